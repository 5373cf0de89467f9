"""The store of results and that of studies, where they come into being, break, and are shared."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import resource
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from conftest import COMMAND, ROOT, assert_user_mistake, hepbench

from hepbench.benchmarks import budgets
from hepbench.suite import campaign, plot_data, results
from hepbench.suite.atomic import write_atomically
from hepbench.suite.claims import Claims
from hepbench.suite.trial.spec import Spec
from hepbench.suite.tuning import storage
from hepbench.suite.workers import pool
from hepbench.suite.workers.jobs import Job
from hepbench.tracking import runs, sqlite_files

# A process that has imported what takes seconds, and has children do what is given on its standard input, as lines of
# JSON; for each it prints the file's name, how the child ended, and what it said.
CHILDREN = """
import json, os, resource, signal, sys, time
from pathlib import Path

os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true"}
import mlflow.store.tracking.sqlalchemy_store, optuna
from hepbench.suite.claims import Claims
from hepbench.suite.tuning import storage
from hepbench.tracking import runs

def make(kind, home):
    if kind == "store":
        runs.connect(None, home)
    elif kind == "studies":
        os.environ["OPTUNA_STORAGE"] = f"sqlite:///{home}/studies.db"
        storage.connect()
    else:  # as versions before made it
        runs._make_tables(home, f"sqlite:///{home}/mlflow.db")

class Calls:
    # counts the calls of functions, and kills the process at a given one: the same moment on every machine
    def __init__(self, last):
        self.made, self.last = 0, last

    def __call__(self, frame, event, argument):
        if event in ("call", "c_call"):
            self.made += 1
            if self.made == self.last:
                os.kill(os.getpid(), signal.SIGKILL)

for line in sys.stdin:
    asked = json.loads(line)
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        ended = {"said": ""}
        calls = Calls(asked["calls"])
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            if asked["bytes"]:
                resource.setrlimit(resource.RLIMIT_FSIZE, (asked["bytes"], asked["bytes"]))
            sys.setprofile(calls)
            make(asked["kind"], Path(asked["home"]))
        except BaseException as error:
            ended["said"] = f"{type(error).__name__}: {error}"[:4000]
        sys.setprofile(None)
        os.write(writer, json.dumps(ended | {"killed": False, "calls": calls.made}).encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    print(os.read(reader, 50000).decode() or json.dumps({"killed": True, "said": ""}), flush=True)
    os.close(reader)
"""


@pytest.fixture(scope="module")
def in_a_child():
    """Makes a store of a kind in a home, in a process that is killed at the given call of a function, or may write
    files of so many bytes at most."""
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    with subprocess.Popen(
        [sys.executable, "-c", CHILDREN], cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True,
    ) as process:  # fmt: skip

        def make(kind: str, home: Path, calls: int = 0, bytes: int = 0) -> dict:
            home.mkdir(parents=True, exist_ok=True)
            asked = {"kind": kind, "home": str(home), "calls": calls, "bytes": bytes}
            process.stdin.write(json.dumps(asked) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        yield make
        process.stdin.close()


FILES = {"store": "mlflow.db", "studies": "studies.db"}
EMPTY = {"store": "SELECT count(*) FROM runs", "studies": "SELECT count(*) FROM studies"}


def assert_whole_and_empty(kind: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes a result, and nothing of an earlier attempt lies about."""
    if kind == "store":
        store = runs.connect(None, home)
        store.finish(store.start("magic", "a run", tags={}, parameters={}), "FINISHED")
        assert [run["status"] for run in store.runs("magic")] == ["FINISHED"]
    else:
        import optuna

        monkeypatch.setenv("OPTUNA_STORAGE", f"sqlite:///{home}/studies.db")
        study = optuna.create_study(study_name="a study", storage=storage.connect())
        study.enqueue_trial({"x": 1})
        assert len(study.trials) == 1
    assert not [path.name for path in home.iterdir() if ".new" in path.name]


@pytest.mark.parametrize("kind", [pytest.param("store", marks=pytest.mark.long), "studies"])
def test_a_new_store_is_whole_or_not_there_whenever_it_is_killed(kind, in_a_child, tmp_path, monkeypatch):
    whole = in_a_child(kind, tmp_path / "whole")
    assert not whole["killed"] and not whole["said"]
    moments = 8
    for moment in range(moments):
        home = tmp_path / f"home {moment}"
        ended = in_a_child(kind, home, calls=int(whole["calls"] * (moment + 0.5) / moments))
        assert ended["killed"]
        file = home / FILES[kind]
        if file.exists():
            with sqlite_files.opened(file) as connection:
                assert connection.execute(EMPTY[kind]).fetchone() == (0,)
                assert connection.execute("PRAGMA user_version").fetchone() == (sqlite_files.WHOLE,)
        if moment % 3 == 1:
            again = in_a_child(kind, home)
            assert not again["said"], again
            assert not list(home.glob(".*.new*"))
    assert_whole_and_empty(kind, home, monkeypatch)


@pytest.mark.parametrize("kind", FILES)
def test_a_disk_that_fills_while_a_store_is_made_leaves_none(kind, in_a_child, tmp_path, monkeypatch):
    for bytes in (5_000, 80_000):
        ended = in_a_child(kind, tmp_path, bytes=bytes)
        assert ended["said"].startswith("StoreError: ") and "check its disk and permissions" in ended["said"]
        assert "\n" not in ended["said"] and "Error:" not in ended["said"][12:]
        assert not (tmp_path / FILES[kind]).exists()
    assert_whole_and_empty(kind, tmp_path, monkeypatch)


@pytest.mark.long
def test_a_store_that_an_older_version_left_half_made_is_mended(in_a_child, tmp_path, monkeypatch):
    whole = in_a_child("as before", tmp_path / "whole")
    assert not whole["said"]
    halves = 0
    for moment in (0.15, 0.4, 0.65, 0.9):
        home = tmp_path / f"home {moment}"
        in_a_child("as before", home, calls=int(whole["calls"] * moment))
        halves += (home / "mlflow.db").exists()
        assert runs.connect(None, home, to_write=False).runs("magic") == []
        again = in_a_child("store", home)
        assert not again["said"], again
        if kept := list(home.glob("*.half-made")):
            assert kept == [home / "mlflow.db.half-made"]
    assert halves
    assert_whole_and_empty("store", home, monkeypatch)
    marked = in_a_child("store", tmp_path / "whole")  # that one is used as it is
    assert not marked["said"] and not list((tmp_path / "whole").glob("*.half-made"))


def test_a_store_with_results_is_never_taken_for_a_half_made_one(in_a_child, tmp_path):
    store = runs.connect(None, tmp_path)
    run = store.start("magic", "a run", tags={}, parameters={})
    store.finish(run, "FINISHED")
    with sqlite3.connect(tmp_path / "mlflow.db") as connection:
        connection.execute("PRAGMA user_version = 0")
        connection.execute("UPDATE alembic_version SET version_num = 'an older one'")
    assert "cannot be opened" in in_a_child("store", tmp_path)["said"]
    assert [one["id"] for one in runs.connect(None, tmp_path, to_write=False).runs("magic")] == [run]


def test_a_whole_store_of_another_version_is_not_taken_for_an_empty_one(tmp_path):
    store = runs.connect(None, tmp_path / "results")
    store.finish(store.start("magic", "a run", tags={}, parameters={}), "FINISHED")
    with sqlite3.connect(tmp_path / "results" / "mlflow.db") as connection:
        connection.execute("ALTER TABLE runs RENAME TO trainings")
    assert_user_mistake(hepbench("leaderboard", "magic", home=tmp_path), "no such table: runs", "another version")


def test_reading_creates_nothing(tmp_path):
    done = hepbench("leaderboard", "magic", home=tmp_path / "home")
    assert done.returncode == 2 and "no finished runs" in done.stderr
    store = runs.connect(None, tmp_path / "home" / "results", to_write=False)
    assert store.runs("magic") == store.find("0") == store.history("0", "auc") == []
    with pytest.raises(runs.StoreError, match=r"fetch roc\.csv"):
        store.download("0" * 32, "roc.csv", tmp_path / "out")
    assert not (tmp_path / "home" / "results" / "mlflow.db").exists()


# --- leaderboards of what is damaged, of many runs, and of what cannot be written -----------------------------------


@pytest.fixture(scope="module")
def benched(tmp_path_factory):
    """A home with two results of magic."""
    home = tmp_path_factory.mktemp("benched")
    models = ("--model", "prior", "--model", "logistic")
    done = hepbench("bench", "magic", *models, "--budget", "smoke", "--events", 1000, home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    return home


def ranked(home: Path) -> list[dict]:
    done = hepbench("leaderboard", "magic", "--format", "json", home=home)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


DAMAGES = {"missing": None, "empty": b"", "cut": b"PAR1" + bytes(20), "binary": bytes(range(256))}


@pytest.mark.parametrize(
    "damage", [name if name in ("missing", "cut") else pytest.param(name, marks=pytest.mark.long) for name in DAMAGES]
)
def test_a_bad_artefact_costs_the_plots_of_its_row(damage, benched):
    rows = ranked(benched)
    (scores,) = (benched / "results" / "artifacts").glob(f"**/{rows[0]['run_ids'][0]}/**/artifacts/scores.parquet")
    whole, page = scores.read_bytes(), benched / "results" / "reports" / "magic.html"
    plot_data._known.clear()
    for kept in (benched / "results" / "drawn").glob("*.json"):
        kept.unlink()
    try:
        scores.unlink()
        if DAMAGES[damage] is not None:
            scores.write_bytes(DAMAGES[damage])
        done = hepbench("leaderboard", "magic", "--page", home=benched)
    finally:
        scores.write_bytes(whole)
    assert done.returncode == 0, done.stderr
    text = page.read_text()
    assert f"not drawn: {rows[0]['model']}, run {rows[0]['run_ids'][0][:12]}: " in text
    assert text.count("not drawn:") == 1


def test_a_home_that_cannot_be_written_shows_its_leaderboard(benched):
    whole = hepbench("leaderboard", "magic", "--page", home=benched).stdout
    before = {path: path.stat().st_mtime_ns for path in benched.rglob("*")}
    mount = f"mount --bind {benched} {benched} && mount -o remount,ro,bind {benched}"
    command = f'{sys.executable} -c "from hepbench.suite.cli import main; main()"'
    call = ["sh", "-c", f"{mount} && {command} leaderboard magic --page && ! {command} bench magic --model prior"]
    if os.geteuid() == 0:  # whom no permission keeps out
        call = ["unshare", "--mount", *call]
    else:
        call[-1] = call[-1].replace(mount, "true")
        for path in (benched, *before):
            path.chmod(path.stat().st_mode & ~0o222)
    environment = {**os.environ, "HEPBENCH_HOME": str(benched), "COLUMNS": "200"}
    try:
        done = subprocess.run(call, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900)
    finally:
        if os.geteuid():
            for path in (benched, *before):
                path.chmod(path.stat().st_mode | 0o200)
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip("this machine mounts nothing")
    assert done.returncode == 0, done.stderr
    assert whole.partition("report:")[0] in done.stdout
    assert "page not written: " in done.stdout
    assert done.stderr.startswith("error: results cannot be stored in ") and done.stderr.count("\n") == 1
    assert {path: path.stat().st_mtime_ns for path in before} == before


def copies_of_a_run(database: Path, run: str, count: int) -> None:
    """The run of this id again, so many times, each with other hyper-parameters."""
    with sqlite3.connect(database) as connection:
        for table in ("runs", "tags", "params", "latest_metrics"):
            columns = [one[1] for one in connection.execute(f"PRAGMA table_info({table})")]
            rows = connection.execute(f"SELECT * FROM {table} WHERE run_uuid = ?", (run,)).fetchall()
            copies = []
            for number in range(count):
                for row in rows:
                    copy = dict(zip(columns, row, strict=True)) | {"run_uuid": f"{number:032x}"}
                    if copy.get("key") in ("identity", "configuration"):
                        copy["value"] = f"{copy['value']}-{number}"
                    copies.append(list(copy.values()))
            connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(columns))})", copies)
        widths = [("width", str(number), f"{number:032x}") for number in range(count)]
        connection.executemany("INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)", widths)


@pytest.fixture(scope="module")
def thousand(benched, tmp_path_factory):
    """A home with a thousand results more."""
    home = tmp_path_factory.mktemp("thousand") / "home"
    shutil.copytree(benched, home)
    (logistic, _) = ranked(benched)
    copies_of_a_run(home / "results" / "mlflow.db", logistic["run_ids"][0], 1000)
    return home


def leaderboard(home: Path, *arguments: str) -> tuple[str, float]:
    """(what a process of its own prints, processor seconds it takes), without an import of MLflow."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *COMMAND[1:], "leaderboard", "magic", *arguments],
        cwd=ROOT, env={**os.environ, "HEPBENCH_HOME": str(home)}, capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-1000:]
    assert " mlflow" not in done.stderr and "Locator" not in done.stderr
    return done.stdout, resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


def test_leaderboards_import_no_mlflow(benched, thousand):
    printed, _ = leaderboard(thousand, "--format", "json")
    assert len(json.loads(printed)) == 1002
    leaderboard(benched)


@pytest.mark.long
@pytest.mark.parametrize("arguments, most", [(("--format", "json"), 4), ((), 10)], ids=["json", "table"])
def test_a_thousand_runs_take_seconds_and_little_more_than_two(arguments, most, benched, thousand):
    """2.5 times the processor time of a leaderboard of two; MLflow's objects of a thousand runs took ten times that."""
    pairs = [(leaderboard(benched, *arguments)[1], leaderboard(thousand, *arguments)[1]) for _ in range(3)]
    assert statistics.median(many / two for two, many in pairs) < 5
    assert statistics.median(many for _, many in pairs) < most  # seconds, with room for slow machines


# --- claims ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return runs.connect(None, tmp_path_factory.mktemp("shared"))


def command_in(store: runs.Store, experiment: str, **tags: str) -> Claims:
    run = store.start(experiment, "bench", tags={"stage": "bench", **tags}, parameters={})
    return Claims(store, experiment, run)


def test_a_trial_is_claimed_once_until_it_is_released(shared):
    first, second = (command_in(shared, "once") for _ in range(2))
    assert first.take("a") is None and second.take("b") is None
    assert second.take("a") == f"process {os.getpid()} on {platform.node()}"
    assert first.take("a") == "this command"
    assert set(second.held_elsewhere()) == {"a"}
    first.release("a")
    assert second.take("a") is None
    shared.finish(second.own, "FINISHED")  # claims end with their run
    assert first.take("a") is None and first.take("b") is None


def test_of_many_that_ask_at_once_one_is_given_it(shared):
    identities = [f"{number:016x}" for number in range(6)]
    given, began = [], threading.Barrier(4)

    def ask(claims: Claims) -> None:
        began.wait()
        for identity in identities:
            while (holder := claims.take(identity)) and identity not in {one for one, _ in given}:
                assert holder.startswith("process ")
                time.sleep(0.01)
            if holder is None:
                given.append((identity, claims.own))

    threads = [threading.Thread(target=ask, args=[command_in(shared, "race")]) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(240)
    assert sorted(identity for identity, _ in given) == identities


def test_what_the_dead_have_claimed_is_taken_over(shared, monkeypatch):
    program = """
import os, signal, sys
from pathlib import Path
from hepbench.suite.claims import Claims
from hepbench.tracking import runs
store = runs.connect(sys.argv[1], Path(sys.argv[2]))
run = store.start("dead", "bench", tags={"stage": "bench"}, parameters={})
assert Claims(store, "dead", run).take("a") is None
print(run, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    command = [sys.executable, "-c", program, shared.uri, str(shared.artifacts.parent)]
    dead = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert dead.returncode == -signal.SIGKILL, dead.stderr
    mine = command_in(shared, "dead")
    assert mine.take("a") is None
    assert {run["id"]: run["status"] for run in shared.runs("dead")}[dead.stdout.strip()] == "KILLED"

    far = command_in(shared, "dead", **{"process.host": "far away"})
    assert far.take("b") is None
    assert mine.take("b").endswith("on far away")
    monkeypatch.setattr("hepbench.suite.claims.HEARTBEAT_TIMEOUT", 0.3)
    time.sleep(0.4)
    shared.tag(far.own, {"process.sign": "it lives"})
    assert mine.take("b").endswith("on far away")
    time.sleep(0.4)
    assert mine.take("b") is None


@pytest.mark.skipif(sys.platform != "linux", reason="boot id and namespaces are Linux'")
def test_a_living_process_is_known_after_the_clock_was_set_and_not_from_another_namespace(monkeypatch):
    tags = runs._process_tags()
    of_before = {name: tags[name] for name in ("process.host", "process.id", "process.started")}
    assert runs._is_running(tags) and runs._is_running(of_before)
    assert not runs._is_running(tags | {"process.boot": "of another boot"})
    assert not runs._is_running(tags | {"process.after_boot": "1.5"})
    assert not runs._is_running(of_before | {"process.started": "1.5"})
    assert runs.of_this_machine({"tags": tags}) and runs.of_this_machine({"tags": of_before})
    assert not runs.of_this_machine({"tags": tags | {"process.namespace": "pid:[1]"}})
    assert not runs.of_this_machine({"tags": of_before | {"process.host": "far away"}})
    booted = psutil.boot_time()
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: booted - 3600)
    assert runs._is_running(tags)
    assert not runs._is_running(tags | {"process.boot": ""})  # as of a system that tells no boot id


def test_a_bench_waits_for_what_another_is_running(benched, monkeypatch):
    """The other is this process, which lets its result appear after a while."""
    store = runs.connect(None, benched / "results")
    before = store.runs("magic")
    (run,) = (one for one in before if one["tags"].get("model") == "prior" and one["tags"]["stage"] == "final")
    other = command_in(store, "magic")
    store.resume(run["id"])
    assert other.take(run["tags"]["identity"]) is None

    waited, looks, look = threading.Event(), [], Claims.held_elsewhere

    def looked(claims: Claims) -> dict[str, str]:
        looks.append(claims)
        if len(looks) == 2:  # the first was before it said that it waits
            waited.set()
        return look(claims)

    def end() -> None:
        assert waited.wait(240)
        store.finish(run["id"], "FINISHED")
        other.release(run["tags"]["identity"])

    monkeypatch.setattr(Claims, "held_elsewhere", looked)
    monkeypatch.setattr(campaign, "POLL_SECONDS", 0.1)
    ending = threading.Thread(target=end)
    ending.start()
    command = ("bench", "magic", "--model", "prior", "--budget", "smoke", "--events", 1000)
    done = hepbench(*command, home=benched)
    ending.join()
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"waiting for 1/1 prior seed 0, which process {os.getpid()} on" in done.stdout
    assert "done 1/1 prior seed 0: AUC 0.5" in done.stdout
    finals = [one for one in store.runs("magic", tags={"stage": "final", "identity": run["tags"]["identity"]})]
    assert [one["id"] for one in finals] == [run["id"]]
    store.finish(other.own, "FINISHED")


@pytest.mark.long
@pytest.mark.takes(30)
def test_four_equal_calls_run_each_trial_once(home):
    """In a new home, and one of them is killed."""
    command = [
        *COMMAND,
        "bench",
        "magic",
        "--model",
        "prior",
        "--model",
        "logistic",
        "--seeds",
        "2",
        "--budget",
        "smoke",
    ]
    environment = {**os.environ, "HEPBENCH_HOME": str(home)}
    calls = [
        subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for _ in range(4)
    ]
    while "seed 0" not in (line := calls[0].stdout.readline()):
        assert line, calls[0].poll()
    calls[0].kill()
    for one in calls[1:]:
        printed = one.communicate(timeout=900)[0]
        assert one.returncode == 0, printed
    calls[0].communicate()
    found = runs.connect(None, home / "results").runs("magic")
    assert not [run for run in found if run["status"] == "RUNNING"]
    finished = [run["tags"]["identity"] for run in found if run["status"] == "FINISHED" and "identity" in run["tags"]]
    assert len(finished) == len(set(finished)) == 4


# --- processes that hang, and that have run many trials --------------------------------------------------------------

HANGS = """
import numpy as np
from hepbench.benchmarks.base import Model

class Fitted:
    trainable_parameters = 0
    def predict(self, sample):
        return np.full((len(sample), 2), 0.5, np.float32)
    def save(self, folder): (folder / "nothing").write_text("")

def fit(train, valid, parameters, classes, seed, device, report):
    report(1, {"val_auc": 0.5})
    while seed == 0:
        pass
    return Fitted()

MODEL = Model(title="hangs with seed 0", view="table", fit=fit, load=lambda folder: Fitted(), defaults={}, space=None)
"""


@pytest.mark.long
@pytest.mark.takes(25)
def test_a_training_that_hangs_is_ended_and_its_process_replaced(home, tmp_path, monkeypatch):
    """And a process that has run its share of trials is replaced. The others may be silent for longer, as they are on a
    busy machine."""
    monkeypatch.setattr(pool, "TICK", 0.5)
    monkeypatch.setattr(pool, "LIFETIME", 1)
    monkeypatch.setitem(budgets.BUDGETS, "smoke", dataclasses.replace(budgets.find("smoke"), stall_timeout=4))

    def job(spec: Spec, *rest: object) -> Job:
        one = Job(spec, *rest)
        return one if spec.seed == 0 else dataclasses.replace(one, stall_timeout=600)

    monkeypatch.setattr(campaign, "Job", job)
    model = tmp_path / "hangs.py"
    model.write_text(HANGS)
    asked = campaign.request("magic", [str(model)], seeds=3, budget="smoke", events=1000, device="cpu")
    outcome = campaign.run(asked)
    assert list(outcome.failures) == ["hangs seed 0"]
    assert outcome.failures["hangs seed 0"].startswith("it hung: no progress for 0 min")
    finals = {run["tags"]["seed"]: run for run in results.open_store().runs("magic", tags={"stage": "final"})}
    assert {seed: run["status"] for seed, run in finals.items()} == {"0": "FAILED", "1": "FINISHED", "2": "FINISHED"}
    processes = {int(run["tags"]["process.id"]) for run in finals.values()}
    assert len(processes) == 3
    assert not any(psutil.pid_exists(one) for one in processes)


def test_a_dataset_that_another_records_at_once_is_found_the_next_time(tmp_path, monkeypatch):
    store = runs.connect(None, tmp_path / "results")
    log, refused = store._client.log_inputs, []

    def beaten(*arguments):
        if not refused:
            refused.append(arguments)
            raise sqlite3.IntegrityError("UNIQUE constraint failed: datasets.experiment_id")
        return log(*arguments)

    monkeypatch.setattr(store._client, "log_inputs", beaten)
    dataset = {"name": "ecal", "digest": "d" * 40, "source": "file", "context": "training"}
    store.start("ecal", "a run", tags={}, parameters={}, dataset=dataset)
    assert refused


def test_a_text_file_leaves_nothing_unfinished(tmp_path, monkeypatch):
    path = tmp_path / "a[b].html"
    gone = subprocess.Popen(["true"])
    gone.wait()
    (tmp_path / f".a[b].html.{platform.node()}-{gone.pid}-x").touch()
    living = tmp_path / f".a[b].html.{platform.node()}-{os.getppid()}-x"
    living.touch()
    write_atomically(path, "whole")
    assert {one.name for one in tmp_path.iterdir()} == {path.name, living.name}

    def full(*names: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, "another")
    assert {one.name for one in tmp_path.iterdir()} == {path.name, living.name}
    assert path.read_text() == "whole"


def test_a_store_that_fails_says_so_in_a_line_and_no_traceback(tmp_path):
    """What it logs is looked for in a process of its own, with the loggers that a user has."""
    program = """
import sqlite3, sys
from pathlib import Path
from hepbench.tracking import runs
store = runs.connect(None, Path(sys.argv[1]))
run = store.start("magic", "a run", tags={}, parameters={})
with sqlite3.connect(Path(sys.argv[1]) / "mlflow.db") as database:
    database.execute("DROP TABLE tags")
try:
    store.tag(run, {"a": "b"})
except runs.StoreError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program, tmp_path], cwd=ROOT, capture_output=True, text=True)
    assert "failed to set tags: " in done.stdout and "no such table: tags; " in done.stdout, done.stderr
    assert "Traceback" not in done.stderr and "ERROR" not in done.stderr
