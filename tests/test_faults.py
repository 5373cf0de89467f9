"""Faults in small: that their harm is counted, and some of those of `make faults`."""

from __future__ import annotations

import multiprocessing.context
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from conftest import empty_store
from faults import warm
from faults.__main__ import chosen, table
from faults.counting import HARMS, count
from faults.kills import plan
from faults.kinds import KINDS, Outcome, attempt
from faults.scene import Call, Scene
from test_cluster import need_postgres

from hepbench.suite.processes import interrupts_held

pytestmark = pytest.mark.apart


@pytest.fixture
def scene(tmp_path):
    """With three finished results in its store, of which two are of one identity, and one that stands as running."""
    scene = Scene(tmp_path)
    (scene.home / "results").mkdir(parents=True)
    path = scene.home / "results" / "mlflow.db"
    path.write_bytes(empty_store())
    with closing(sqlite3.connect(path)) as store, store:
        for number, status in enumerate(("FINISHED", "FINISHED", "FINISHED", "RUNNING")):
            run = f"run{number}"
            (tmp_path / run).mkdir()
            (tmp_path / run / "scores.parquet").touch()
            columns = "run_uuid, status, artifact_uri, lifecycle_stage, experiment_id"
            values = (run, status, (tmp_path / run).as_uri(), "active", 0)
            store.execute(f"INSERT INTO runs ({columns}) VALUES (?, ?, ?, ?, ?)", values)
            for key, value in (("stage", "final"), ("identity", f"of {number // 2}")):
                store.execute("INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)", (key, value, run))
            columns = "key, value, timestamp, step, is_nan, run_uuid"
            metric = ("test_auc", 0.5, 0, 0, False, run)
            store.execute(f"INSERT INTO latest_metrics ({columns}) VALUES (?, ?, ?, ?, ?, ?)", metric)
    return scene


def harms(scene: Scene, **options) -> dict[str, int]:
    return {harm: len(lines) for harm, lines in count(scene, **options).items() if lines}


def test_each_harm_is_counted(scene):
    assert harms(scene) == {"doubled": 1, "others": 1}
    scene.results = 3
    assert harms(scene)["lost"] == 1
    scene.results = 2
    assert harms(scene, reference={"of 1": 0.5, "of 0": 0.6})["lost"] == 2
    (scene.folder / "run2" / "scores.parquet").unlink()
    assert harms(scene)["lost"] == 1
    scene.calls.append(
        Call(("bench",), 0, "".join(f"done {number}/5 cnn seed {number}: AUC\n" for number in range(1, 6)))
    )
    assert len(harms(scene)) == 3 and harms(scene)["lost"] == 2
    scene.calls = [Call(("bench",), 1, "Traceback (most recent call last):\n  File\nKeyError: 'x'\n")]
    scene.calls += [Call(("bench",), None, ""), Call(("bench",), -11, "")]
    scene.orphans.append("a process")
    (scene.home / "data" / "ecal").mkdir(parents=True)
    (scene.home / "data" / "ecal" / ".scratch").touch()
    (scene.home / "data" / "ecal" / ".folder.lock").touch()
    assert harms(scene) == {"lost": 1, "doubled": 1, "orphaned": 1, "tracebacks": 2, "hangs": 1, "others": 2}
    assert "bench: KeyError: 'x'" in count(scene)["tracebacks"]


def test_faults_have_names_and_a_table(scene):
    assert [(kind.name, number) for kind, number in chosen(["kill:17", "trials"])] == [("kill", 17), ("trials", 0)]
    with pytest.raises(SystemExit, match="no fault 'kil'; there are kill:0-71, disk"):
        chosen(["kil"])
    assert KINDS["kill"].number >= 60 and len(set(plan())) == KINDS["kill"].number
    nothing: dict[str, list[str]] = {harm: [] for harm in HARMS}
    outcomes = [
        Outcome(KINDS["kill"], 0, scene, "", nothing),
        Outcome(KINDS["kill"], 1, scene, "", {**nothing, "lost": ["one", "another"]}),
    ]
    assert table(outcomes).splitlines()[1].split() == ["kill", "2", "1", "2", "0", "0", "0", "0", "0"]


def test_a_process_that_is_started_never_sees_an_interrupt():
    program = "import signal; print(*signal.pthread_sigmask(signal.SIG_BLOCK, []))"
    with interrupts_held():
        started = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert started.stdout.split() == [str(int(signal.SIGINT))]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


@pytest.mark.long
def test_the_status_of_a_call_is_its_own(tmp_path, monkeypatch):
    """Also where multiprocessing has lost it."""
    scene = Scene(tmp_path, name="of a call")
    assert scene.call_warm("bench", "no_such_task").status == 2
    monkeypatch.setattr(multiprocessing.context.ForkServerProcess, "exitcode", warm.UNKNOWN)
    monkeypatch.setattr(multiprocessing.context.ForkServerProcess, "is_alive", lambda process: False)
    assert scene.call_warm("bench", "no_such_task").status == 2


@pytest.mark.takes(15)
@pytest.mark.parametrize(
    "name", ["kill:0", *(pytest.param(name, marks=pytest.mark.long) for name in ("disk:0", "model:0"))]
)
def test_a_fault_does_no_harm(name, tmp_path):
    ((kind, number),) = chosen([name])
    assert not [line for lines in attempt(kind, number, tmp_path, undisturbed=False).harms.values() for line in lines]


OF_COMMANDS = ("kill", "disk", "mlflow", "postgresql", "equal", "model", "name")
"""Kinds whose results are compared with those of undisturbed calls, which one process makes for all of them."""


def further():
    """Every twelfth fault. One process runs those that have the same beginnings."""
    for kind, number in chosen([]):
        if number % 12 == 5:
            group = "of commands" if kind.name in OF_COMMANDS else kind.name
            marks = (pytest.mark.xdist_group(group), pytest.mark.takes(20 if kind.name in OF_COMMANDS else 3))
            yield pytest.param(f"{kind.name}:{number}", marks=marks)


@pytest.mark.long
@pytest.mark.parametrize("name", list(further()))
def test_further_faults_do_no_harm(name, tmp_path):
    if name.startswith("postgresql"):
        need_postgres()
    ((kind, number),) = chosen([name])
    outcome = attempt(kind, number, tmp_path, undisturbed=kind.name in OF_COMMANDS)
    assert outcome.survived, outcome.line
