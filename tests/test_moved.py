"""A folder of results that is moved or copied: it reads and writes its own files, whoever asks."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from conftest import hepbench

from hepbench.tracking import moved, runs


def filled(home: Path) -> tuple[runs.Store, str]:
    store = runs.connect(None, home / "results")
    run = store.start("qg images/é", "a run", tags={}, parameters={})
    (home / "one.txt").write_text("one")
    store.upload_file(run, home / "one.txt")
    store.finish(run, "FINISHED")
    return store, run


def addresses(results: Path) -> list[str]:
    with sqlite3.connect(results / "mlflow.db") as connection:
        return [
            address
            for table, column in moved.ADDRESSES
            for (address,) in connection.execute(f"SELECT {column} FROM {table}")
            if address
        ]


@pytest.mark.parametrize("how", [shutil.move, shutil.copytree])
def test_a_store_reads_and_writes_its_own_files_wherever_it_lies(how, tmp_path):
    _, run = filled(tmp_path / "old")
    new = tmp_path / "new home"
    how(tmp_path / "old", new)
    (folder,) = (new / "results" / "artifacts").rglob("one.txt")
    folder.write_text("another")
    only_read = runs.connect(None, new / "results", to_write=False)
    assert only_read.files(run) == ["one.txt"]
    assert only_read.download(run, "one.txt", tmp_path).read_text() == "another"
    assert all("/old/" in address for address in addresses(new / "results"))

    store = runs.connect(None, new / "results")
    assert all(address.startswith((new / "results").as_uri()) for address in addresses(new / "results"))
    store.resume(run)
    (tmp_path / "two.txt").write_text("two")
    store.upload_file(run, tmp_path / "two.txt")
    store.finish(run, "FAILED", "it broke\nin two lines")
    later = store.start("qg images/é", "another", tags={}, parameters={})
    (tmp_path / "folder" / "within").mkdir(parents=True)
    (tmp_path / "folder" / "within" / "three.csv").write_text("three")
    store.upload(later, tmp_path / "folder")
    assert store.files(later, "within") == ["three.csv"]
    assert {path.name for path in folder.parent.iterdir()} == {"one.txt", "two.txt", "failure.txt"}
    assert [file.path for file in store._client.list_artifacts(run)] == ["failure.txt", "one.txt", "two.txt"]
    if (tmp_path / "old").exists():
        assert len(list((tmp_path / "old").rglob("*.txt"))) == 2  # one.txt, and the file it is made of
        assert all("/old/" in address for address in addresses(tmp_path / "old" / "results"))


def test_what_is_only_where_it_was_stays_there(tmp_path):
    """A database that was copied without the artifacts of some run."""
    _, run = filled(tmp_path / "old")
    (tmp_path / "new" / "results").mkdir(parents=True)
    shutil.copy2(tmp_path / "old" / "results" / "mlflow.db", tmp_path / "new" / "results")
    store = runs.connect(None, tmp_path / "new" / "results")
    assert store.download(run, "one.txt", tmp_path).read_text() == "one"
    assert store.files(run) == ["one.txt"]


def test_a_leaderboard_is_that_of_the_folder_it_was_moved_to(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    command = ("bench", "magic", "--model", "prior", "--budget", "smoke", "--events", 1000)
    assert hepbench(*command, home=old).returncode == 0
    first = hepbench("leaderboard", "magic", "--format", "json", home=old)
    shutil.move(old, new)
    assert hepbench("leaderboard", "magic", "--format", "json", home=new).stdout == first.stdout
    done = hepbench(*command, "--force", home=new)
    assert done.returncode == 0, done.stderr
    assert not old.exists()
    assert len(list((new / "results" / "artifacts").rglob("scores.parquet"))) == 2
