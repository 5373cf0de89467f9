"""Many machines in small: a Dask scheduler, worker processes, PostgreSQL for the studies, and an MLflow server on
PostgreSQL, all real and on loopback."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections import Counter
from pathlib import Path

import pytest
from conftest import COMMAND, ROOT, assert_user_mistake, free_port, hepbench, with_patience
from test_tune import FAST, PAUSE, changed, closed, waiting_from  # noqa: F401  a fixture

from hepbench.suite.tuning import storage
from hepbench.tracking import runs


def binaries() -> Path | None:
    """PostgreSQL's programs; Debian keeps them out of the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    there = shutil.which("initdb")
    return Path(there).parent if there else None


class Postgres:
    """A server with a folder and a port of its own. It does not run as root, so root runs it as another user."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.port = free_port()
        self.bin = binaries()
        self.wrap = []
        folder.mkdir(mode=0o755)
        if os.geteuid() == 0:
            user = "postgres"
            self.wrap = ["runuser", "-u", user, "--"]
            shutil.chown(folder, user)
            for above in folder.parents:  # a temporary folder is its user's alone
                if above.owner() == "root" and above.is_relative_to("/tmp") and above != Path("/tmp"):
                    above.chmod(above.stat().st_mode | 0o011)
        self.run("initdb", "-D", folder / "data", "-U", "hepbench", "-A", "trust", "--no-sync")
        self.start()

    def run(self, program: str, *arguments: object) -> None:
        command = [*self.wrap, self.bin / program, *map(str, arguments)]
        done = subprocess.run(command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert done.returncode == 0, done.stdout

    def start(self) -> None:
        options = f"-p {self.port} -c unix_socket_directories= -c listen_addresses=127.0.0.1 -c fsync=off"
        self.run("pg_ctl", "-D", self.folder / "data", "-w", "-l", self.folder / "log", "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        self.run("pg_ctl", "-D", self.folder / "data", "-w", "-m", mode, "stop")

    def database(self, name: str) -> str:
        self.run("createdb", "-h", "127.0.0.1", "-p", self.port, "-U", "hepbench", name)
        return f"postgresql+psycopg://hepbench@127.0.0.1:{self.port}/{name}"


def lack_of_postgres() -> str:
    """What is missing to start it; empty where nothing is."""
    if binaries() is None:
        return "PostgreSQL is not installed (on Debian: apt-get install postgresql)"
    if os.geteuid() == 0 and subprocess.run(["id", "postgres"], capture_output=True).returncode:
        return "there is no user postgres to run PostgreSQL as"
    return ""


def need_postgres() -> None:
    if lack := lack_of_postgres():
        if os.environ.get("CI"):
            pytest.fail(lack)
        pytest.skip(lack)


@pytest.fixture(scope="module")
def postgres():
    need_postgres()
    with tempfile.TemporaryDirectory() as folder:  # pytest's are closed to others again whenever a session starts
        server = Postgres(Path(folder) / "postgres")
        yield server
        with contextlib.suppress(AssertionError):
            server.stop()


def with_text(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@contextlib.contextmanager
def printed_until(text: str, arguments: list[str], home: Path, **variables: str):
    """hepbench running, and what it has printed up to the line with this text."""
    environment = {**os.environ, "HEPBENCH_HOME": str(home), **variables}
    with subprocess.Popen(
        [*COMMAND, *arguments], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as parent:
        printed = ""
        while text not in printed:
            line = parent.stdout.readline()
            assert line, printed
            printed += line
        yield parent, printed


@contextlib.contextmanager
def process(*command: object, log: Path, **variables: str):
    with log.open("w") as out:
        one = subprocess.Popen(
            list(map(str, command)), cwd=ROOT, env={**os.environ, **variables}, stdout=out, stderr=out
        )
    try:
        yield one
    finally:
        one.terminate()
        try:
            one.wait(10)
        except subprocess.TimeoutExpired:
            one.kill()
            one.wait()


@contextlib.contextmanager
def mlflow_at(database: str, folder: Path, port: int, *options: object):
    """An MLflow server, which answers from then on; gives its address."""
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", port, "--workers", "1"]
    command += ["--backend-store-uri", database, "--artifacts-destination", folder / "artifacts", *options]
    with process(*command, log=folder / "log", MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false"):

        def answers() -> bool:
            with contextlib.suppress(OSError):
                return urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=60).status == 200
            return False

        with_patience(answers)
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def mlflow_server(postgres, tmp_path_factory):
    with mlflow_at(postgres.database("mlflow"), tmp_path_factory.mktemp("mlflow"), free_port()) as address:
        yield address


@pytest.fixture
def scheduler(tmp_path, home):
    """(address, start_worker): a Dask scheduler in a process of its own, and what starts workers of it."""
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    with contextlib.ExitStack() as stack:
        options = ["--host", "127.0.0.1", "--port", port, "--no-dashboard", "--no-show"]
        program = Path(sys.executable).with_name("dask")
        stack.enter_context(process(program, "scheduler", *options, log=tmp_path / "scheduler.log"))

        def start_worker(number: int, **variables: str):
            own = ["--nthreads", 1, "--no-dashboard", "--no-nanny", "--memory-limit", 0]
            own += ["--local-directory", tmp_path / f"worker{number}"]
            return stack.enter_context(
                process(
                    program, "worker", address, *own, log=tmp_path / f"worker{number}.log",
                    HEPBENCH_HOME=str(home), OMP_NUM_THREADS="1", **variables,
                )
            )  # fmt: skip

        yield address, start_worker


@pytest.mark.long
@pytest.mark.takes(30)
def test_two_workers_postgresql_and_an_mlflow_server(postgres, mlflow_server, scheduler, home, tmp_path, monkeypatch):
    """A worker is killed in mid-trial: its trial is run again by the other, and nothing is counted twice."""
    address, start_worker = scheduler
    hold = tmp_path / "hold"
    held = f"""{PAUSE}
        import os, pathlib
        while (hold := pathlib.Path({str(hold)!r}, str(os.getpid()))).exists():
            hold.with_suffix(".held").touch()
            time.sleep(0.05)"""
    hold.mkdir()
    fast = changed(with_text(tmp_path / "fast.py", FAST), ('"pause": 0.0', '"pause": 0.2'), (PAUSE, held))
    uri = postgres.database("studies_of_two")
    places = {"OPTUNA_STORAGE": uri, "MLFLOW_TRACKING_URI": mlflow_server}
    workers = [start_worker(number, **places) for number in range(2)]
    for number in range(2):
        with_patience(lambda number=number: "Registered to" in (tmp_path / f"worker{number}.log").read_text())
    arguments = ["tune", "magic", "--model", str(fast), "--budget", "smoke", "--trials", "14", "--seeds", "2"]
    arguments += ["--pruner", "none", "--scheduler", address]
    (hold / str(workers[0].pid)).touch()  # its first trial waits until it is killed
    with printed_until("4/14", arguments, home, **places) as (parent, printed):
        with_patience(lambda: (hold / f"{workers[0].pid}.held").exists())
        workers[0].send_signal(signal.SIGKILL)
        printed += parent.communicate(timeout=900)[0]
    assert parent.returncode == 0, printed
    assert "14 complete" in printed, printed
    monkeypatch.setenv("HEPBENCH_HOME", str(home))
    monkeypatch.setenv(storage.VARIABLE, uri)
    study = storage.named(storage.connect(), "magic-fast-smoke")
    assert len(study.trials) == 14
    assert storage.counted(study.trials)["complete"] == 14
    store = runs.connect(mlflow_server, home / "results")
    everything = store.runs("magic")
    assert not [run for run in everything if run["status"] == "RUNNING"]
    trials = [run for run in everything if "trial" in run["tags"]]
    assert Counter(run["tags"]["trial"] for run in trials if run["status"] == "FINISHED") == Counter(
        {str(number): 1 for number in range(14)}
    )
    (lost,) = [run for run in trials if run["status"] == "KILLED"]
    assert "its process died" in lost["tags"]["failure"]
    assert not (home / "results" / "studies.db").exists() and not (home / "results" / "mlflow.db").exists()

    again = hepbench(*arguments, home=home, **places)
    assert again.returncode == 0 and "14 complete" in again.stdout
    listed = hepbench("studies", home=home, **places)
    assert "magic-fast-smoke" in listed.stdout

    done = hepbench(
        "bench", "magic", "--model", "gbdt", "--model", "logistic", "--budget", "smoke", "--scheduler", address,
        home=home, **places,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "gbdt" in done.stdout and "logistic" in done.stdout


@pytest.mark.long
def test_a_study_is_held_by_one_process_in_postgresql_too(postgres, monkeypatch):
    from hepbench.benchmarks.base import UserError

    monkeypatch.setenv(storage.VARIABLE, postgres.database("held"))
    with storage.alone("one"):
        with storage.alone("another"):
            pass
        with pytest.raises(UserError, match="another process"), storage.alone("one"):
            pass
    with storage.alone("one"):
        pass


@pytest.mark.long
@pytest.mark.takes(15)
def test_a_database_that_goes_away_and_comes_back(postgres, home, tmp_path, monkeypatch):
    fast = with_text(tmp_path / "fast.py", FAST)
    begun = waiting_from(fast, 5)  # the third trial
    uri = postgres.database("restarted")
    arguments = ["tune", "magic", "--model", str(fast), "--budget", "smoke", "--trials", "8", "--seeds", "2"]
    with printed_until("2/8", [*arguments, "--pruner", "none"], home, OPTUNA_STORAGE=uri) as (parent, printed):
        with_patience(lambda: begun.stat().st_size == 5)
        postgres.stop()
        begun.with_name("go on").touch()
        while "retrying in" not in printed:
            line = parent.stdout.readline()
            assert line, printed
            printed += line
        postgres.start()
        printed += parent.communicate(timeout=900)[0]
    assert parent.returncode == 0, printed
    assert "retrying in" in printed and "8 complete" in printed, printed


@pytest.mark.long
@pytest.mark.takes(30)
@pytest.mark.parametrize(
    "command, third, printed_again, counted",
    [
        (
            ["tune", "--trials", "8", "--seeds", "2", "--pruner", "none"],
            "3/8",
            "8 complete",
            ("state", "complete", "trial"),
        ),
        (["bench", "--seeds", "8"], "done 3/8", "results already exist", ("stage", "final", "seed")),
    ],
)
def test_an_mlflow_server_that_goes_away(command, third, printed_again, counted, home, tmp_path, monkeypatch):
    """The command ends and says how to resume; what it was storing is no failed trial, and runs once more."""
    fast = with_text(tmp_path / "fast.py", FAST)
    begun = waiting_from(fast, 9)  # three trials of two epochs have ended, and two more have one each at most
    name, *options = command
    arguments = [name, "magic", "--model", str(fast), "--budget", "smoke", "--jobs", "2", *options]
    database, port = f"sqlite:///{tmp_path}/mlflow.db", free_port()
    places = {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2"}
    with contextlib.ExitStack() as server:
        server.enter_context(mlflow_at(database, tmp_path, port))
        with printed_until(third, arguments, home, **places) as (parent, printed):
            server.close()
            begun.with_name("go on").touch()
            printed += parent.communicate(timeout=900)[0]
    assert parent.returncode == 2 and "Traceback" not in printed, printed
    assert "check that the server runs" in printed and "the same command resumes" in printed, printed
    with mlflow_at(database, tmp_path, port) as address:
        again = hepbench(*arguments, home=home, **places)
        assert again.returncode == 0 and printed_again in again.stdout, again.stdout + again.stderr
        monkeypatch.setenv("HEPBENCH_HOME", str(home))
        everything = runs.connect(address, home / "results").runs("magic")
    assert not [run for run in everything if run["status"] == "RUNNING"]
    assert not [run for run in everything if run["status"] == "FAILED" and "seed" in run["tags"]]
    tag, value, number = counted
    complete = [run["tags"] for run in everything if (run["tags"].get(tag), run["status"]) == (value, "FINISHED")]
    assert len({tags[number] for tags in complete}) == len(complete) == 8


def test_wide_workers_are_refused(scheduler, home, tmp_path):
    address, _ = scheduler
    program = Path(sys.executable).with_name("dask")
    options = ["--nthreads", 2, "--no-dashboard", "--no-nanny", "--local-directory", tmp_path / "wide"]
    with process(program, "worker", address, *options, log=tmp_path / "wide.log"):
        with_patience(lambda: "Registered to" in (tmp_path / "wide.log").read_text())
        done = hepbench("bench", "magic", "--model", "prior", "--budget", "smoke", "--scheduler", address, home=home)
    assert_user_mistake(done, "2 threads", "--nthreads 1")
