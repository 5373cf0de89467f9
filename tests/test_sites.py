"""What sites ask for: MLflow servers that refuse or are slow, odd folders, ports that are taken, passwords, terminals
without Unicode."""

from __future__ import annotations

import base64
import contextlib
import http.server
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import pytest
from conftest import ROOT, assert_user_mistake, free_port, hepbench
from test_cluster import mlflow_at

from hepbench.suite import processes, terminal
from hepbench.suite.tuning import storage
from hepbench.tracking import runs, sqlite_files
from hepbench.tracking.passwords import masked

# --- passwords -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("postgresql://me:s3cret@host/db", "postgresql://me:***@host/db"),
        ("postgresql+psycopg://me:s/e:c@r?t@host:5/db", "postgresql+psycopg://me:***@host:5/db"),
        ("postgresql://host/db?user=me&password=s3cret&x=1", "postgresql://host/db?user=me&password=***&x=1"),
        ("postgresql://me:p@w@host/db?sslpassword=s3cret", "postgresql://me:***@host/db?sslpassword=***"),
        ("https://host/f?X-Amz-Signature=s3cret&token=s3cret", "https://host/f?X-Amz-Signature=***&token=***"),
        ("connection to http://me:s@c@h:1/x failed, not http://h:1/y", "connection to http://me:***@h:1/x failed, not http://h:1/y"),
        ("host=h user=me password='s3 cret' dbname=d", "host=h user=me password=*** dbname=d"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
        ("http://host:5000/a and me@host", "http://host:5000/a and me@host"),
        ("sqlite:////home/me@site/a:b@c.db", "sqlite:////home/me@site/a:b@c.db"),
    ],
)  # fmt: skip
def test_passwords_are_masked_in_every_form(given, shown):
    assert masked(given) == shown
    assert masked(f"error: {given}!") == f"error: {shown}!".replace("***!", "***" if shown.endswith("***") else "***!")


@pytest.mark.parametrize("form", ["s3/cr%40et", "s3/cr@et", "s3%2Fcr%40et"])
def test_passwords_of_the_environment_are_masked_wherever_they_stand(form, monkeypatch):
    monkeypatch.setenv("OPTUNA_STORAGE", "postgresql://me:s3%2Fcr%40et@host/db")
    monkeypatch.setenv("PGPASSWORD", "s3/cr%40et")
    assert masked(f"could not read {form} as a number") == "could not read *** as a number"


def test_a_database_that_is_not_there_is_named_without_its_password(home, tmp_path):
    task = ("leaderboard", "magic")
    for password in ("s3cret", "s3%2Fcr%40et", "s3/cr@et"):
        for variable, command in (("MLFLOW_TRACKING_URI", task), ("OPTUNA_STORAGE", ("studies",))):
            uri = f"postgresql+psycopg://me:{password}@127.0.0.1:9/db?connect_timeout=1"
            done = hepbench(*command, home=home, **{variable: uri})
            assert done.returncode == 2 and "Traceback" not in done.stderr
            for part in (password, "s3/cr", "cr@et", "s3cret"):
                assert part not in done.stdout + done.stderr


def test_a_traceback_holds_no_password(tmp_path):
    code = "import os; os.environ['PGPASSWORD'] = 's3cret'\nfrom hepbench.suite import cli\n"
    code += "cli.commands = lambda **o: 1 / {'http://me:pw/@h': 0, 's3cret': 0}['s3cret']\ncli.main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1 and "ZeroDivisionError" in done.stderr
    assert "s3cret" not in done.stderr and "pw/" not in done.stderr


# --- folders, ports, terminals ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a b", "a?b=c", "a%20b", "a#b", "ä ü", "q'h?y%2fs #é&;"])
def test_a_home_of_any_name(tmp_path, name, monkeypatch):
    folder = tmp_path / name
    address = sqlite_files.address(folder / "mlflow.db")
    assert sqlite_files.file_of(address) == folder / "mlflow.db"
    import sqlalchemy

    folder.mkdir()
    sqlalchemy.create_engine(address).connect().close()
    assert [path.name for path in folder.iterdir()] == ["mlflow.db"]
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_bench_in_a_home_of_an_odd_name(tmp_path, monkeypatch):
    home = tmp_path / "q'h?y%20s #é"
    done = hepbench("bench", "magic", "--model", "prior", "--budget", "smoke", "--seeds", 1, home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (home / "results" / "mlflow.db").is_file() and (home / "results" / "reports" / "magic.html").is_file()
    monkeypatch.setenv("HEPBENCH_HOME", str(home))
    (run,) = runs.connect(None, home / "results").runs("magic", tags={"stage": "final"})
    assert "roc.csv" in runs.connect(None, home / "results").files(run["id"])
    storage.connect()
    with storage.alone("one"):
        pass
    assert (home / "results" / "studies.db").is_file()
    assert [path.name for path in tmp_path.iterdir()] == [home.name]


@pytest.mark.parametrize("verb", ["ui", "optuna-ui"])
def test_a_port_that_is_taken(home, verb):
    if verb == "optuna-ui":
        pytest.importorskip("optuna_dashboard")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert_user_mistake(hepbench(verb, "--port", port, home=home), f"port {port} cannot be used", "PORT=")
    processes.refuse_taken_port(port)


def test_the_address_of_a_database_stands_in_no_command(tmp_path):
    store = runs.Store("postgresql://me:s3cret@host/db", tmp_path, lambda: None)
    command, environment = store.ui_command()
    assert "s3cret" not in " ".join(command)
    assert environment == {"MLFLOW_BACKEND_STORE_URI": store.uri}


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_terminal_that_cannot_show_every_character(home, encoding):
    environment = {**os.environ, "PYTHONIOENCODING": f"{encoding}:strict", "COLUMNS": "100", "HEPBENCH_HOME": str(home)}
    for arguments in (["--help"], ["list", "tasks"], ["describe", "näin–\udcff"]):
        done = subprocess.run(
            [sys.executable, "-m", "hepbench", *arguments], capture_output=True, env=environment, cwd=ROOT
        )
        assert b"Traceback" not in done.stderr, done.stderr.decode()
        assert done.returncode == (2 if arguments[0] == "describe" else 0)
        done.stdout.decode(encoding)
    assert b"n\xc3\xa4in" in done.stderr if encoding == "utf-8" else b"n" in done.stderr


@pytest.mark.parametrize(
    ("text", "ascii_text"), [("0.9 ± 0.1", "0.9 +- 0.1"), ("Müller – µ×2…", "Muller - ux2..."), ("\udcff中", "??")]
)
def test_what_stands_in_for_a_character(text, ascii_text):
    import codecs

    codecs.register_error("hepbench", terminal._instead)
    assert text.encode("ascii", "hepbench") == ascii_text.encode()


# --- MLflow servers --------------------------------------------------------------------------------------------------


class Door(http.server.ThreadingHTTPServer):
    """Before an MLflow server, or alone: asks for a user and a password, or takes its time."""

    def __init__(self, behind: str = "", login: str = "", seconds: float = 0, refusal: str = ""):
        super().__init__(("127.0.0.1", 0), Passing)
        self.behind, self.seconds, self.refusal = behind, seconds, refusal
        self.login = f"Basic {base64.b64encode(login.encode()).decode()}" if login else ""

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exception):
        self.shutdown()
        self.server_close()

    def url(self, user: str = "") -> str:
        return f"http://{user}127.0.0.1:{self.server_port}"


class Passing(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        door: Door = self.server
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        time.sleep(door.seconds)
        if door.login and self.headers.get("Authorization") != door.login:
            return self.reply(401, b"<html>who is there</html>")
        if door.refusal:
            return self.reply(403, door.refusal.encode())
        if not door.behind:
            return self.reply(200, b"{}")
        passed = {name: value for name, value in self.headers.items() if name != "Host"}
        request = urllib.request.Request(door.behind + self.path, body or None, passed, method=self.command)
        try:
            with urllib.request.urlopen(request) as answer:
                self.reply(answer.status, answer.read())
        except urllib.error.HTTPError as error:
            self.reply(error.code, error.read())

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def reply(self, status, body):
        with contextlib.suppress(OSError):  # the client has given up
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture(autouse=True)
def nobody(monkeypatch):
    """Is known to MLflow's client; what a test sets is taken back after it."""
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "120")


BENCH = ("bench", "magic", "--model", "prior", "--budget", "smoke", "--seeds", 1)


def test_a_server_that_wants_a_user(home):
    with Door(login="me:s3/cr@et") as door:
        done = hepbench(*BENCH, home=home, MLFLOW_TRACKING_URI=door.url())
        assert_user_mistake(done, "wants a user (401)", "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD")
        done = hepbench(*BENCH, home=home, MLFLOW_TRACKING_URI=door.url("me:wr%2Fong@"))
        assert_user_mistake(done, "does not accept the user 'me' with this password (401)", door.url())
        assert "wr" not in done.stderr.replace("writ", "")
        runs.connect(door.url("me:s3%2Fcr%40et@"), home)
    assert not (home / "data").exists()


def test_a_server_that_does_not_know_its_own_name(home):
    from mlflow.server.security_utils import INVALID_HOST_MSG

    with Door(refusal=INVALID_HOST_MSG) as door:
        host = door.url().removeprefix("http://")
        done = hepbench(*BENCH, home=home, MLFLOW_TRACKING_URI=door.url())
        assert_user_mistake(done, f"takes no requests for the name {host} (403)", f"--allowed-hosts {host}")
    with Door(refusal="no") as door, pytest.raises(runs.StoreError, match="does not let this user do that"):
        runs.connect(door.url(), home)


def test_a_slow_server_is_waited_for_as_long_as_the_user_says(home, monkeypatch):
    with Door(seconds=60) as door:
        done = hepbench(*BENCH, home=home, MLFLOW_TRACKING_URI=door.url(), MLFLOW_HTTP_REQUEST_TIMEOUT="1")
        assert_user_mistake(done, "has not answered within 1 s", "MLFLOW_HTTP_REQUEST_TIMEOUT=60 waits longer")
        door.seconds = 1.5
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "120")
        runs.connect(door.url(), home)


@pytest.mark.long
def test_a_bench_through_a_door_with_a_password(home, tmp_path):
    with (
        mlflow_at(f"sqlite:///{tmp_path}/mlflow.db", tmp_path, free_port()) as address,
        Door(address, login="me:s3/cr@et") as door,
    ):
        done = hepbench(*BENCH, home=home, MLFLOW_TRACKING_URI=door.url("me:s3%2Fcr%40et@"))
        assert done.returncode == 0, done.stdout + done.stderr
        assert "s3" not in done.stdout.replace("s3.", "") and "cr@et" not in done.stdout + done.stderr
        (run,) = runs.connect(address, home).runs("magic", tags={"stage": "final"})
        assert "roc.csv" in runs.connect(address, home).files(run["id"])


@pytest.mark.long
def test_a_server_of_a_host_name(home, tmp_path):
    port = free_port()
    options = ["--allowed-hosts", "mlflow.site.example"]
    with mlflow_at(f"sqlite:///{tmp_path}/mlflow.db", tmp_path, port, *options) as address:
        done = hepbench(*BENCH, home=home, MLFLOW_TRACKING_URI=address)
        assert_user_mistake(done, f"takes no requests for the name 127.0.0.1:{port} (403)")


@pytest.mark.long
def test_artifacts_that_every_machine_would_write_itself_are_refused_before_training(home, tmp_path):
    database, port, elsewhere = f"sqlite:///{tmp_path}/mlflow.db", free_port(), tmp_path / "elsewhere"
    with mlflow_at(database, tmp_path, port, "--no-serve-artifacts", "--default-artifact-root", elsewhere) as address:
        for _ in range(2):  # what was begun for the first does not stand in the way of the second
            done = hepbench(*BENCH, home=home, MLFLOW_TRACKING_URI=address)
            assert_user_mistake(done, "leaves it to every machine to write artifacts of magic", "--serve-artifacts")
        assert not elsewhere.exists() and not runs.connect(address, home).runs("magic")
    with mlflow_at(database, tmp_path, port) as address:
        done = hepbench(*BENCH, home=home, MLFLOW_TRACKING_URI=address)
        assert done.returncode == 0, done.stdout + done.stderr
