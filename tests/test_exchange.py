"""What passes between this suite and others: events out, scores in, results of one machine to another."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
from conftest import assert_user_mistake, hepbench

from hepbench.benchmarks import registry
from hepbench.suite.data.dataset import obtain, prepare
from hepbench.suite.data.split import split_events
from hepbench.suite.exchange.events import write_events
from hepbench.suite.exchange.part import OpenedPart, Part


def export(home, path, *options):
    done = hepbench("events", "magic", "--budget", "smoke", "--out", path, *options, home=home)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("split", ["train", "test"])
def test_exported_events_are_those_of_the_part(split, home, tmp_path):
    export(home, tmp_path / "events.h5", "--split", split)
    task = registry.find("task", "magic")
    files = obtain(task, "official", 2_000, 0)
    prepared = prepare(task, files)
    rows, split_hash = split_events(task.record, prepared, 2_000)
    with h5py.File(tmp_path / "events.h5") as file:
        assert set(file) == {"id", "inputs"}  # labels on demand alone
        np.testing.assert_array_equal(file["id"][:], prepared.ids[rows[split]])
        np.testing.assert_array_equal(file["inputs/table"][:], prepared.arrays["table"][rows[split]])
        assert list(file.attrs["classes"]) == ["hadron", "gamma"] and file.attrs["signal"] == 1
        assert list(file.attrs["variables"]) == list(task.record.variables)
        told = Part.of_text(file.attrs["events"])
    assert told == Part("magic", split, "official", "smoke", None, files.digest, split_hash, False)
    printed = export(home, tmp_path / "events.h5", "--split", split, "--labels")
    assert ("will be marked" in printed) == (split == "test")
    with h5py.File(tmp_path / "events.h5") as file:
        np.testing.assert_array_equal(file["label"][:], prepared.labels[rows[split]])
        assert json.loads(file.attrs["events"])["labels"] is True


def test_events_of_images_that_are_kept_as_hits(files_of, tmp_path, monkeypatch):
    monkeypatch.setattr("hepbench.suite.exchange.events.CHUNK_BYTES", 1_000_000)  # five images at a time
    task, files = files_of("qg_images")
    prepared = prepare(task, files)
    rows, split_hash = split_events(task.record, prepared, None)
    part = Part(task.name, "test", files.kind, "quick", None, files.digest, split_hash, False)
    told = []
    write_events(tmp_path / "events.h5", OpenedPart(part, task, prepared, rows, ""), told.append)
    assert sum(told) == len(rows["test"]) and len(told) > 1
    with h5py.File(tmp_path / "events.h5") as file:
        assert set(file["inputs"]) == set(prepared.arrays)
        for name, array in prepared.arrays.items():
            np.testing.assert_array_equal(file["inputs"][name][:], array[rows["test"]])


def test_events_that_cannot_be_had(home, tmp_path):
    out = tmp_path / "events.h5"
    for arguments, words in (
        (("magik",), "did you mean 'magic'"),
        (("magic", "--split", "tset"), "did you mean 'test'"),
        (("magic", "--budget", "quik"), "did you mean 'quick'"),
        (("magic", "--data", "simulated"), "genuine data only"),
        (("magic", "--out", tmp_path / "absent" / "events.h5"), "there is no folder"),
    ):
        options = () if "--out" in arguments else ("--out", out)
        assert_user_mistake(hepbench("events", *arguments, *options, home=home), words)
    assert not list(tmp_path.glob("*.h5*"))
