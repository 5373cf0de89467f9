"""Fixtures, and hepbench as the tests call it. Every test works in a folder of its own, with no store or data of the
user's."""

from __future__ import annotations

import atexit
import contextlib
import functools
import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import filelock
import hypothesis
import numpy as np
import pytest

hypothesis.settings.load_profile("ci")  # the same examples everywhere, and no deadline: tests run side by side

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as in a trial

ROOT = Path(__file__).parent.parent
COMMAND = [sys.executable, "-c", "from hepbench.suite.cli import main; main()"]
"""The console script, as a process of its own is started with it."""


@pytest.hookimpl(trylast=True)  # of those that are selected
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tell pytest-xdist which tests one process runs: those of a file, as its fixtures are made once; but tests marked
    `apart` one by one, and those of an `xdist_group` of their own together. (--dist loadgroup of pytest-xdist 3.8 does
    not reach pytest 9.2.) What takes longest comes first, so that no process is left with it while the others have
    ended."""
    if not hasattr(config, "workerinput"):
        return
    groups, seconds = {}, Counter[str]()
    for item in items:
        own = item.get_closest_marker("xdist_group")
        name = own.args[0] if own else item.nodeid if item.get_closest_marker("apart") else ""
        group = groups[item.nodeid] = f"{item.path.name} {name}"
        seconds[group] += seconds_of(item)
    items.sort(key=lambda item: (-seconds[groups[item.nodeid]], groups[item.nodeid]))
    path = Path(config.workerinput["groups"])
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        json.dump(groups, file)
    os.replace(file.name, path)  # other processes write the same


def seconds_of(item: pytest.Item) -> float:
    """As it is marked, or what the others take on average."""
    told = item.get_closest_marker("takes")
    return told.args[0] if told else 3.0 if item.get_closest_marker("long") else 0.3


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node) -> None:
    node.workerinput["groups"] = str(groups_file())


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        @functools.cached_property
        def groups(self) -> dict[str, str]:
            """Once every process has collected its tests."""
            try:
                return json.loads(groups_file().read_text())
            finally:
                groups_file().unlink()

        def _split_scope(self, nodeid: str) -> str:
            return self.groups[nodeid]

    config.option.loadscopereorder = False  # by the number of their tests
    return ByGroup(config, log)


def groups_file() -> Path:
    """Of the process that distributes the tests."""
    return Path(tempfile.gettempdir()) / f"hepbench-tests-{os.getpid()}.json"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """HEPBENCH_HOME of this test."""
    monkeypatch.setenv("HEPBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path / "home"


@pytest.fixture(scope="module")
def browser():
    """Chromium. In CI it is there; elsewhere a test without it is skipped."""
    from browser import NO_BROWSER, Browser, chromium

    if chromium() is None and "CI" not in os.environ:
        pytest.skip(NO_BROWSER)
    with Browser() as one:
        yield one


EVENTS = 200


@pytest.fixture(scope="session")
def files_of(tmp_path_factory):
    """Name of a task -> (entry, its files): of EVENTS simulated events, or genuine ones where nothing is simulated."""
    from hepbench.benchmarks import registry
    from hepbench.suite.data.dataset import obtain
    from hepbench.suite.data.files import Files
    from hepbench.suite.data.simulate import simulate_files

    @functools.cache
    def get(name: str) -> tuple[registry.Entry, Files]:
        entry = registry.find("task", name)
        if not entry.record.simulation:
            return entry, obtain(entry, "official", EVENTS, 0)

        def simulate(folder: Path) -> None:
            simulate_files(entry, EVENTS, 0, folder / "simulated", 1, lambda done: None)

        folder = made_once(tmp_path_factory, name, simulate) / "simulated"
        return entry, Files("simulated", sorted(folder.iterdir(), reverse=True), name.encode().hex())

    return get


def hepbench(*arguments: object, home: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """The console script as in `console_script`, but in this process, which has imported what takes seconds. The
    trials of a bench or a study run in a thread of it."""
    from hepbench.suite import cli
    from hepbench.tracking import runs

    connect, environment = runs.connect, dict(os.environ)

    def connect_to_copy(uri: str | None, home: Path, *, to_write: bool = True) -> runs.Store:
        """Where a file with MLflow's tables would come into being, it does so without the second that takes."""
        if to_write and not uri and "MLFLOW_TRACKING_URI" not in os.environ and not (home / "mlflow.db").exists():
            with contextlib.suppress(OSError):
                home.mkdir(parents=True, exist_ok=True)
                (home / "mlflow.db").write_bytes(empty_store())
        return connect(uri, home, to_write=to_write)

    printed, complained = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.chdir(ROOT),
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(complained),
    ):
        os.environ.update({"HEPBENCH_HOME": str(home), "COLUMNS": "200", **variables})
        patch.setattr(sys, "argv", ["hepbench", *map(str, arguments)])
        patch.setattr(runs, "connect", connect_to_copy)
        run_in_a_thread(patch)
        try:
            cli.main()
            status = 0
        except SystemExit as end:
            status = end.code or 0
        finally:
            os.environ.clear()
            os.environ.update(environment)
    return subprocess.CompletedProcess(arguments, status, printed.getvalue(), complained.getvalue())


def run_in_a_thread(patch: pytest.MonkeyPatch) -> None:
    """Let trials run in a thread of this process, in place of processes of their own."""
    from hepbench.suite import fingerprint
    from hepbench.suite.trial import worker

    patch.setattr("distributed.Nanny", in_a_thread)
    # CPython counts the depth of syntax trees for all threads at once: one that imports Keras breaks another's parsing.
    patch.setattr("hepbench.suite.workers.pool.Workers.warm", lambda workers, *place: None)
    worker._store.cache_clear()  # what a process keeps to its end
    fingerprint._digest_of_reached.cache_clear()
    fingerprint._digest_of_generators.cache_clear()


def in_a_thread(scheduler: str, *, env: object, preload: object, worker_class: Callable, **options: object):
    """A Dask worker in place of the process that a Nanny starts: without the settings of a process."""
    return worker_class(scheduler, **options)


@pytest.fixture
def trials_in_a_thread(monkeypatch):
    """For what starts a bench or a study by other ways than `hepbench`."""
    run_in_a_thread(monkeypatch)


@functools.cache
def empty_store() -> bytes:
    """MLflow's tables in SQLite."""
    from hepbench.tracking import runs

    with tempfile.TemporaryDirectory() as folder:
        store = runs.connect(f"sqlite:///{folder}/mlflow.db", Path(folder))
        store._client._tracking_client.store._dispose_engine()
        return (Path(folder) / "mlflow.db").read_bytes()


def console_script(*arguments: object, home: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """The console script in a process of its own, as a user runs it: where the process is what is tested."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        env={**os.environ, "HEPBENCH_HOME": str(home), "COLUMNS": "200", **variables},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
    )


def with_patience(condition: Callable[[], bool], seconds: float = 240) -> None:
    """Wait until the condition holds. The limit ends a test that hangs; it is far above what any machine needs."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)


def free_port() -> int:
    """A port of loopback that nobody listens on, and that is given to no other program as long as this process lives:
    it is bound here, and one who asks for it by number, as servers do, may listen on it."""
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind(("127.0.0.1", 0))
    atexit.register(one.close)
    return one.getsockname()[1]


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that the first process of the test session fills, for all of them to read."""
    shared = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder = shared / "once" / name
    folder.parent.mkdir(exist_ok=True)
    with filelock.FileLock(f"{folder}.lock"):
        if not folder.exists():
            unfinished = folder.with_suffix(".unfinished")
            unfinished.mkdir()
            make(unfinished)
            unfinished.rename(folder)
    return folder


def measure(home: Path, *arguments: object) -> dict[str, list[str]]:
    """The cells of each row of `hepbench measure models` on a small sample."""
    done = hepbench("measure", "models", "--events", 500, "--seconds", 0.01, *arguments, home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    return {line.split("│")[1].strip(): line.split("│")[2:-1] for line in done.stdout.splitlines() if "│" in line}


def assert_user_mistake(done: subprocess.CompletedProcess, *words: str) -> None:
    """Exit status 2, and one line on stderr that holds these words."""
    assert done.returncode == 2, done.stdout + done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    for word in words:
        assert word in done.stderr


def write_images(path: Path, images: np.ndarray, labels: np.ndarray, **options) -> Path:
    """A file in the format of the official calorimeter images."""
    import h5py

    with h5py.File(path, "w") as file:
        file.create_dataset("X", data=images, **options)
        file.create_dataset("y", data=labels)
    return path


def images_by_hand(count: int, seed: int = 0) -> np.ndarray:
    """(count, 32, 32, 2) float32 with some fifty hits each, the hottest in the middle."""
    rng = np.random.default_rng(seed)
    image = np.zeros((count, 32, 32, 2), np.float32)
    hit = rng.random((count, 32, 32)) < 0.05
    image[..., 0] = np.where(hit, rng.exponential(0.002, hit.shape), 0)
    image[..., 1] = np.where(hit, rng.normal(0, 0.1, hit.shape), 0)
    image[:, 16, 16] = 0.6, 0.01
    return image
