"""What is kept of data: damage is found and made good, what was killed leaves nothing, what counts as official is."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
from conftest import COMMAND, ROOT, assert_user_mistake, hepbench, with_patience
from filelock import FileLock

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import UserError
from hepbench.suite import atomic
from hepbench.suite.data import checksums, files, simulate
from hepbench.suite.data.dataset import obtain, prepare, view_of
from hepbench.suite.data.files import digest_of_file, simulated_folder
from hepbench.suite.data.simulate import simulate_files


@pytest.fixture
def prepared(files_of, home):
    """(task, its files, the folder of its arrays), with a view that was computed."""
    entry, of_task = files_of("ecal")
    data = prepare(entry, of_task)
    view_of(entry, data, "table")
    return entry, of_task, data.folder


def flipped(path: Path) -> None:
    """One bit of a file in its middle, and its times as they were."""
    state = path.stat()
    with path.open("r+b") as file:
        file.seek(state.st_size // 2)
        byte = file.read(1)[0]
        file.seek(state.st_size // 2)
        file.write(bytes([byte ^ 1]))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGE = {
    "flipped": flipped,
    "cut": cut,
    "empty": lambda path: path.write_bytes(b""),
    "gone": Path.unlink,
    "one more": lambda path: shutil.copy(path, path.with_name("more.npy")),
}


@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize("file", ["arrays/image.npy", "labels.npy", "ids.npy", "view-table/table.npy"])
def test_damaged_arrays_are_made_again(kind, file, prepared):
    entry, of_task, folder = prepared
    before = {path: path.read_bytes() for path in folder.rglob("*.npy")}
    DAMAGE[kind](folder / file)
    found = []
    data = prepare(entry, of_task, found=found.append)
    view_of(entry, data, "table")
    if file.startswith("view"):
        assert not found
    else:
        assert found == [(folder / file).with_name("more.npy") if kind == "one more" else folder / file]
    assert {path: path.read_bytes() for path in folder.rglob("*.npy")} == before
    assert not list(folder.parent.glob(f".*{atomic.UNFINISHED}"))


@pytest.mark.parametrize("text", [None, "", "{", "[]", "{}", '{"labels.npy": 1}'])
def test_data_without_checksums_are_prepared_again(text, prepared):
    entry, of_task, folder = prepared
    path = folder / checksums.CHECKSUMS
    path.unlink() if text is None else path.write_text(text)
    before = (folder / "labels.npy").read_bytes()
    found = []
    prepare(entry, of_task, found=found.append)
    assert len(found) == 1
    assert (folder / "labels.npy").read_bytes() == before and not checksums.damaged(folder)


def test_whole_data_are_opened_without_reading_them_and_a_copy_is_read_once(prepared, monkeypatch):
    entry, of_task, folder = prepared
    read = []
    crc32 = checksums._crc32
    monkeypatch.setattr(checksums, "_crc32", lambda path: read.append(path.name) or crc32(path))
    found = []
    prepare(entry, of_task, found=found.append)
    assert not read
    shutil.copytree(folder, folder.with_name("copy"))
    shutil.rmtree(folder)
    folder.with_name("copy").rename(folder)
    for _ in range(2):
        prepare(entry, of_task, found=found.append)
    assert sorted(read) == ["ids.npy", "image.npy", "labels.npy"]
    assert not found


def test_whole_data_are_opened_where_nothing_can_be_written(prepared, monkeypatch):
    entry, of_task, folder = prepared

    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    for path in folder.rglob("*.npy"):
        os.utime(path)
    monkeypatch.setattr(checksums, "write_atomically", refuse)
    monkeypatch.setattr(FileLock, "acquire", refuse)
    assert len(prepare(entry, of_task)) == len(np.load(folder / "labels.npy"))
    (folder / "ids.npy").unlink()
    with pytest.raises(UserError, match="no permission to write"):
        prepare(entry, of_task)


def test_a_command_says_what_was_damaged(home):
    entry = registry.find("task", "magic")
    before = prepare(entry, obtain(entry, "official", None, 0))
    cut(before.folder / "arrays" / "table.npy")
    done = hepbench("describe", "magic", home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "table.npy: corrupted or without a checksum" in done.stdout and "19,020 events" in done.stdout


PREPARE_AND_DIE = """
import os, signal, sys
from hepbench.benchmarks import registry
from hepbench.suite.data.dataset import obtain, prepare
entry = registry.find("task", "magic")
prepare(entry, obtain(entry, "official", None, 0), lambda done: os.kill(os.getpid(), signal.SIGKILL))
"""


def test_what_a_killed_preparation_left_is_removed(home):
    entry = registry.find("task", "magic")
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", PREPARE_AND_DIE], env={**os.environ, "HEPBENCH_HOME": str(home)})
        assert done.returncode == -signal.SIGKILL
    folder = home / "data" / "magic" / "prepared"
    (left,) = folder.glob(f".*{atomic.UNFINISHED}")  # the second call has removed what the first left
    other = left.rename(folder / f".older-code.abcd1234{atomic.UNFINISHED}")
    (folder / ".older-code.lock").touch()
    busy, strange = (folder / f".{name}.abcd1234{atomic.UNFINISHED}" for name in ("busy", "no lock of ours"))
    busy.mkdir()
    strange.mkdir()
    with FileLock(folder / ".busy.lock"):
        prepare(entry, obtain(entry, "official", None, 0))
    assert busy.is_dir() and strange.is_dir() and not other.exists()


# --- digests and what counts as official -----------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"a": 1, "b": [[1], 2]}', "folder", "bytes"])
def test_a_damaged_cache_of_digests_costs_time_alone(text, home, tmp_path):
    path, kept = tmp_path / "x", home / "data" / "digests.json"
    path.write_bytes(b"one")
    right = digest_of_file(path)
    kept.unlink()
    match text:
        case "folder":
            kept.mkdir()
        case "bytes":
            kept.write_bytes(bytes(range(255)))
        case _:
            kept.write_text(text)
    assert digest_of_file(path) == right == digest_of_file(path)
    if text != "folder":
        assert list(json.loads(kept.read_text())) == [str(path)]


def test_a_cache_of_digests_that_cannot_be_written_is_none(home, tmp_path, monkeypatch):
    def refuse(path, text):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(files, "write_atomically", refuse)
    path = tmp_path / "x"
    path.write_bytes(b"one")
    assert digest_of_file(path) == digest_of_file(path)
    assert not (home / "data" / "digests.json").exists()


def test_a_digest_follows_a_change_that_keeps_size_and_time(home, tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"one" * 100)
    before = digest_of_file(path)
    flipped(path)
    assert digest_of_file(path) != before


TASK = """
from hepbench import Source, Task
from hepbench.benchmarks.tasks import magic
TASK = Task(title="x", classes=("hadron", "gamma"), read=magic.read, views={{"table": lambda arrays: arrays}},
            variables=magic.VARIABLES, sources=(Source("x.data", "", sha256={sha256!r}),))
"""


@pytest.mark.parametrize(
    "verb",
    [
        ["describe", "TASK"],
        pytest.param(["bench", "TASK", "--model", "prior"], marks=pytest.mark.long),
        pytest.param(["tune", "TASK", "--model", "gbdt"], marks=pytest.mark.long),
    ],
)
def test_a_file_with_another_sha256_than_published_does_not_count_as_official(verb, home, tmp_path):
    genuine = registry.find("task", "magic").record.locate()[0]
    task, path = tmp_path / "showers.py", home / "data" / "showers" / "official" / "x.data"
    path.parent.mkdir(parents=True)
    path.write_bytes(genuine.read_bytes())
    right = digest_of_file(genuine)
    task.write_text(TASK.format(sha256=right))
    entry = registry.find("task", str(task))
    assert obtain(entry, "official", None, 0).paths == [path]
    path.write_bytes(genuine.read_bytes().replace(b"28.7967", b"28.7968", 1))
    words = [str(task) if word == "TASK" else word for word in verb]
    done = hepbench(*words, home=home)
    assert_user_mistake(
        done, f"{path}: sha256 is {digest_of_file(path)}, published is {right}", "make data TASK=showers"
    )
    assert not (home / "data" / "showers" / "prepared").exists()


def test_what_a_package_carries_is_the_published_file(home, tmp_path, monkeypatch):
    entry = registry.find("task", "magic")
    other = tmp_path / "magic.dat"
    other.write_bytes(entry.record.locate()[0].read_bytes() + b"\n")
    obtain(entry, "official", None, 0)
    with pytest.raises(UserError, match=r"it is not the official file\. Reinstall the package"):
        files.check_published(entry, [other])


# --- simulation ------------------------------------------------------------------------------------------------------


def running(parent: subprocess.Popen, parts: Path) -> list[psutil.Process]:
    """The processes of a simulation that has finished a chunk."""
    with_patience(lambda: any(parts.glob("*.npz")))
    return psutil.Process(parent.pid).children(recursive=True)


def ended(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def simulating(home: Path, events: int, folder: Path, stderr: int = subprocess.DEVNULL) -> subprocess.Popen:
    words = ["simulate", "ecal", "--events", str(events), "--jobs", "2", "--out", str(folder)]
    return subprocess.Popen(
        [*COMMAND, *words],
        env={**os.environ, "HEPBENCH_HOME": str(home)},
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # what runs in the background ignores it
    )


@pytest.fixture
def in_one_piece(home, tmp_path):
    """ecal's files of so many events, from one process: what the others must give."""
    entry = registry.find("task", "ecal")
    events = 6 * entry.record.simulation.chunk
    simulate_files(entry, events, 0, tmp_path / "expected", 1, lambda done: None)
    return events, contents(tmp_path / "expected")


def contents(folder: Path) -> dict[str, list[bytes]]:
    task = registry.find("task", "ecal").record
    read = {path.name: list(task.read([path])) for path in sorted(folder.iterdir())}
    return {name: [one.arrays["image"].tobytes() for one in chunks] for name, chunks in read.items()}


@pytest.mark.parametrize("killed", ["SIGKILL", pytest.param("SIGHUP", marks=pytest.mark.long)])
def test_the_processes_of_a_simulation_end_with_it(killed, home, tmp_path):
    parts = tmp_path / "made"
    process = simulating(home, 1_000_000, parts)
    try:
        (folder,) = wait_for(tmp_path, ".made.*.parts")
        children = running(process, folder)
        assert len(children) >= 2
        process.send_signal(getattr(signal, killed))
        process.wait(240)
        with_patience(lambda: all(map(ended, children)))
    finally:
        os.killpg(process.pid, signal.SIGKILL) if process.poll() is None else None
    assert not parts.exists()


@pytest.mark.parametrize(
    "sent, send",
    [("SIGTERM", os.kill), *(pytest.param(n, os.killpg, marks=pytest.mark.long) for n in ("SIGTERM", "SIGINT"))],
)
def test_a_simulation_that_is_to_end_says_one_line(sent, send, home, tmp_path):
    """To the process, as `kill` does, or to all of its group, as a batch system or a terminal does."""
    process = simulating(home, 1_000_000, tmp_path / "made", subprocess.PIPE)
    try:
        (folder,) = wait_for(tmp_path, ".made.*.parts")
        children = running(process, folder)
        send(process.pid, getattr(signal, sent))
        _, told = process.communicate(timeout=240)  # of Python's own helpers, too, which end after it
    finally:
        os.killpg(process.pid, signal.SIGKILL) if process.poll() is None else None
    with_patience(lambda: all(map(ended, children)))
    assert process.returncode == 130
    assert told.decode().strip() == "interrupted; finished work is saved, the same command resumes from there"
    assert not (tmp_path / "made").exists()


def wait_for(folder: Path, pattern: str) -> list[Path]:
    with_patience(lambda: any(folder.glob(pattern)))
    return list(folder.glob(pattern))


MORTAL = """
import os, pathlib, signal
import numpy as np
from hepbench import Simulation, Task

def generate(label, number, seed):
    death = pathlib.Path(__file__).with_name("death")
    if (label, number) == (1, 2) and death.exists():
        death.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    return {"x": np.random.default_rng([seed, label, number]).random((5, 3))}

def write(folder, counts, chunks):
    paths = [folder / f"{label}.npy" for label in range(2)]
    found = [(label, arrays["x"]) for label, arrays in chunks]
    for label, path in enumerate(paths):
        np.save(path, np.concatenate([x for one, x in found if one == label]))
    return paths

TASK = Task(title="x", classes=("a", "b"), read=list, views={}, simulation=Simulation(5, generate, write), size=60)
"""


def test_a_killed_process_of_a_simulation_is_replaced(home, tmp_path):
    task, death = tmp_path / "mortal.py", tmp_path / "death"
    task.write_text(MORTAL)
    made = {}
    for jobs in (1, 2):
        if jobs == 2:
            death.touch()
        out = tmp_path / f"made by {jobs}"
        done = hepbench("simulate", task, "--events", 53, "--jobs", jobs, "--out", out, home=home)
        assert done.returncode == 0, done.stdout + done.stderr
        made[jobs] = {path.name: path.read_bytes() for path in out.iterdir()}
    assert not death.exists()
    assert made[1] == made[2] and len(made[1]) == 2
    assert not list(tmp_path.glob(".*.parts")) and not list(tmp_path.glob(f".*{atomic.UNFINISHED}"))


DYING = """
import os, signal
from hepbench import Simulation, Task
def generate(label, number, seed):
    os.kill(os.getpid(), signal.SIGKILL)
TASK = Task(title="x", classes=("a", "b"), read=list, views={}, simulation=Simulation(1, generate, list), size=10)
"""


def test_processes_that_are_always_killed_end_a_simulation_in_one_line(home, tmp_path):
    (tmp_path / "dying.py").write_text(DYING)
    done = hepbench("simulate", tmp_path / "dying.py", "--events", 4, "--jobs", 2, home=home)
    assert_user_mistake(done, "were killed 3 times", "give fewer than 2 (--jobs)")


FAILING = """
import time
import numpy as np
from hepbench import Simulation, Task
def generate(label, number, seed):
    if (label, number) == (0, 0):
        raise ValueError("no physics here")
    time.sleep(0.01)
    return {"x": np.zeros((1, 3))}
TASK = Task(title="x", classes=("a", "b"), read=list, views={}, simulation=Simulation(1, generate, list), size=10)
"""


@pytest.mark.parametrize("attempt", range(2))  # which of two threads is the first is a matter of chance
def test_a_chunk_that_fails_ends_a_simulation_at_once(attempt, home, tmp_path):
    (tmp_path / "failing.py").write_text(FAILING)
    words = ["simulate", str(tmp_path / "failing.py"), "--events", "2000", "--jobs", "2", "--out", str(tmp_path / "x")]
    done = subprocess.run(
        [*COMMAND, *words], env={**os.environ, "HEPBENCH_HOME": str(home)}, cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode and "no physics here" in done.stderr
    (parts,) = tmp_path.glob(".x.*.parts")
    assert len(list(parts.iterdir())) < 500


@pytest.mark.parametrize("kind", ["flipped", "cut", "empty", "gone"])
def test_a_damaged_chunk_of_a_stopped_simulation_is_made_again(kind, home, tmp_path, in_one_piece):
    events, expected = in_one_piece
    entry, folder = registry.find("task", "ecal"), tmp_path / "made"

    def stop(done):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate_files(entry, events, 0, folder, 1, stop)
    (parts,) = tmp_path.glob(".made.*.parts")
    (chunk,) = parts.glob("*.npz")
    DAMAGE[kind](chunk)
    seen = []
    simulate_files(entry, events, 0, folder, 1, seen.append)
    assert sum(seen) == events and contents(folder) == expected


@pytest.mark.long
def test_a_simulation_asked_for_twice_at_once_is_made_once(home, tmp_path, in_one_piece):
    events, expected = in_one_piece
    both = [simulating(home, events, tmp_path / "made") for _ in range(2)]
    assert [one.wait(300) for one in both] == [0, 0]
    assert contents(tmp_path / "made") == expected
    assert sorted(path.name for path in tmp_path.glob(".made*")) == [".made.files", ".made.lock"]


@pytest.mark.parametrize("kind", ["flipped", "cut", "empty", "gone"])
def test_damaged_simulated_files_are_made_again(kind, home):
    entry = registry.find("task", "ecal")
    made = obtain(entry, "simulated", 20, 0)
    before = contents(made.paths[0].parent)
    DAMAGE[kind](made.paths[0])
    found = []
    again = obtain(entry, "simulated", 20, 0, found=found.append)
    assert found == [made.paths[0]]
    assert again.paths == made.paths and contents(made.paths[0].parent) == before
    (home / "data" / "digests.json").unlink()
    os.utime(made.paths[0])
    obtain(entry, "simulated", 20, 0, found=found.append)
    assert len(found) == 1


def test_chunks_that_a_killed_process_was_removing_are_removed(home):
    entry = registry.find("task", "ecal")
    folder = simulated_folder(entry, 10, 0)
    simulate_files(entry, 10, 0, folder, 1, lambda done: None)
    parts = folder.parent / f".{folder.name}.seed0-{folder.name.rpartition('_')[2]}.parts"
    parts.mkdir()
    assert hepbench("simulate", "ecal", "--events", 10, home=home).returncode == 0
    assert not parts.exists()


def test_a_folder_of_simulated_files_is_not_made_again(home, monkeypatch):
    entry = registry.find("task", "ecal")
    folder = simulated_folder(entry, 10, 0)
    folder.mkdir(parents=True)
    monkeypatch.setattr(simulate, "_make_chunk", None)
    assert simulate_files(entry, 10, 0, folder, 1, lambda done: None) == 0
    assert not list(folder.iterdir())
