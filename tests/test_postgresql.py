"""Results in PostgreSQL, on a real server: claims, a leaderboard read from its tables, equal calls at once."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import threading
from pathlib import Path

import psutil
import pytest
from conftest import COMMAND, ROOT, assert_user_mistake, console_script, hepbench, with_patience
from faults.commands import copy_results
from test_cluster import postgres  # noqa: F401  a fixture
from test_store import (  # noqa: F401  claims, as of a SQLite file, by the fixture `shared` of this module
    benched,
    command_in,
    test_a_trial_is_claimed_once_until_it_is_released,
    test_of_many_that_ask_at_once_one_is_given_it,
    test_what_the_dead_have_claimed_is_taken_over,
)

from hepbench.suite.tuning import storage
from hepbench.tracking import runs

pytestmark = pytest.mark.long


@contextlib.contextmanager
def opened(uri: str, home: Path):
    """The store, whose connections are closed in the end, as those of a process are."""
    store = runs.connect(uri, home)
    try:
        yield store
    finally:
        store._engine.dispose()
        store._client._tracking_client.store._dispose_engine()


@pytest.fixture(scope="module")
def shared(postgres, tmp_path_factory):  # noqa: F811
    with opened(postgres.database("claims"), tmp_path_factory.mktemp("shared")) as store:
        yield store


def copy_rows(file, uri: str) -> None:
    """Of every table that MLflow has, from SQLite to another database that has none in them."""
    import sqlalchemy
    from mlflow.store.db.base_sql_model import Base
    from sqlalchemy.pool import NullPool

    there, here = (sqlalchemy.create_engine(one, poolclass=NullPool) for one in (uri, f"sqlite:///{file}"))
    with there.begin() as target, here.connect() as source:
        for table in reversed(Base.metadata.sorted_tables):
            target.execute(table.delete())
        for table in Base.metadata.sorted_tables:
            if rows := [dict(row) for row in source.execute(table.select()).mappings()]:
                target.execute(table.insert(), rows)


def test_the_table_from_postgresql_is_that_from_sqlite(postgres, benched, home):  # noqa: F811
    uri = postgres.database("copied")
    asked = ("leaderboard", "magic")
    copy_results(benched, home)
    assert_user_mistake(console_script(*asked, home=home, MLFLOW_TRACKING_URI=uri), "no finished runs")
    with opened(uri, home / "results") as copy:
        copy_rows(home / "results" / "mlflow.db", uri)
        store = runs.connect(None, home / "results")
        database = store.runs("magic")
        assert len(database) > 2 and copy.runs("magic") == database
        trained = next(run for run in database if run["tags"].get("model") == "logistic")
        assert copy.find(trained["id"][:6]) == store.find(trained["id"][:6]) != []
        wanted = ("magic", "FINISHED", {"model": "logistic"})
        assert copy.runs(*wanted) == store.runs(*wanted) != []
        for metric in trained["metrics"]:
            assert copy.history(trained["id"], metric) == store.history(trained["id"], metric)
    for form in ([], ["--pairs"], ["--format", "json"]):
        from_file = hepbench(*asked, *form, home=home)
        from_server = console_script(*asked, *form, home=home, MLFLOW_TRACKING_URI=uri)
        assert from_file.returncode == from_server.returncode == 0, from_server.stdout + from_server.stderr
        assert from_server.stdout == from_file.stdout
    assert {row["model"] for row in json.loads(from_server.stdout)} == {"prior", "logistic"}


@pytest.mark.takes(25)
def test_equal_benches_at_once_in_a_new_database_run_each_trial_once(postgres, home):  # noqa: F811
    """Of three one is killed, whose trials the others take over."""
    uri = postgres.database("equal")
    arguments = ("bench", "magic", "--model", "prior", "--model", "logistic", "--seeds", "2", "--budget", "smoke")
    environment = {**os.environ, "HEPBENCH_HOME": str(home), "MLFLOW_TRACKING_URI": uri}
    outputs = [home.with_name(f"printed-{number}") for number in range(3)]
    calls = []
    for output in outputs:
        with output.open("w") as file:
            options = {"cwd": ROOT, "env": environment, "stdout": file, "stderr": subprocess.STDOUT}
            calls.append(subprocess.Popen([*COMMAND, *arguments], **options))
    with_patience(lambda: any("done 1/4" in output.read_text() for output in outputs), 900)
    first = next(number for number, output in enumerate(outputs) if "done 1/4" in output.read_text())
    calls[first].send_signal(signal.SIGKILL)
    for number, call in enumerate(calls):
        assert call.wait(900) == (-signal.SIGKILL if number == first else 0), outputs[number].read_text()
    with opened(uri, home / "results") as store:
        found = store.runs("magic")
    assert not [run for run in found if run["status"] == "RUNNING"]
    finished = [run["tags"]["identity"] for run in found if run["status"] == "FINISHED" and "identity" in run["tags"]]
    assert len(finished) == len(set(finished)) == 4
    again = hepbench(*arguments, home=home, MLFLOW_TRACKING_URI=uri)
    assert again.returncode == 0 and re.search("4 of 4 results already exist", again.stdout), again.stdout


@pytest.mark.takes(12)
def test_a_server_that_stands_still_is_given_up(postgres, monkeypatch):  # noqa: F811
    """Its machine takes what is sent, so that no time limit of a connection ends the waiting."""
    monkeypatch.setattr(storage, "RETRY_SECONDS", 2.0)
    monkeypatch.setattr(storage, "UNLOCKING", 0.5)
    monkeypatch.setenv(storage.VARIABLE, postgres.database("still"))
    studies = storage.connect()
    assert studies.get_all_studies() == []
    server = psutil.Process(int((postgres.folder / "data" / "postmaster.pid").read_text().split()[0]))
    with storage.alone("a study"):
        processes = [server, *server.children(recursive=True)]
        for one in processes:
            one.suspend()
        resumed = threading.Timer(240, lambda: [one.resume() for one in processes])
        resumed.start()
        with pytest.raises(runs.StoreError, match="was unreachable for"):
            studies.get_all_studies()
    assert resumed.is_alive()
    resumed.cancel()
    for one in processes:
        one.resume()
    assert studies.get_all_studies() == []
    studies.engine.dispose()
