"""What passes between this suite and others: events out, scores in, results of one machine to another."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import zipfile
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pandas as pd
import pytest
from conftest import assert_user_mistake, hepbench

from hepbench.benchmarks import registry
from hepbench.benchmarks.metrics import metrics_for
from hepbench.suite import campaign, results
from hepbench.suite.data.dataset import obtain, prepare
from hepbench.suite.data.split import split_events
from hepbench.suite.exchange import archive
from hepbench.suite.exchange.archive import Packed, Record
from hepbench.suite.exchange.events import write_events
from hepbench.suite.exchange.merging import tags_of
from hepbench.suite.exchange.part import OpenedPart, Part
from hepbench.suite.trial.spec import hash_of
from hepbench.tracking.leaderboard import ranking
from hepbench.tracking.runs import LONGEST_TAG


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
        (("magic", "--data", "simulated"), "only genuine data"),
        (("magic", "--out", tmp_path / "absent" / "events.h5"), "there is no folder"),
    ):
        options = () if "--out" in arguments else ("--out", out)
        assert_user_mistake(hepbench("events", *arguments, *options, home=home), words)
    assert not list(tmp_path.glob("*.h5*"))


def scored(events):
    """A frame of scores of exported events, by one variable of theirs."""
    with h5py.File(events) as file:
        frame = pd.DataFrame({"id": file["id"][:]})
        signal = 1 / (1 + np.exp(file["inputs/table"][:, 8].astype(float) / 20 - 1))
        frame["score_gamma"], frame["score_hadron"] = signal, 1 - signal
        frame["events"] = file.attrs["events"]
    return frame


def entered(home, path, *options, frame=None):
    if frame is not None:
        frame.to_parquet(path)
    return hepbench("score", "magic", path, *options, home=home)


def rows_of(home, task="magic"):
    return json.loads(hepbench("leaderboard", task, "--format", "json", home=home).stdout)


def test_scores_made_elsewhere_are_rated_like_ours(home, tmp_path):
    """Those of a run of ours, shuffled, give its very numbers."""
    assert hepbench("bench", "magic", "--model", "logistic", "--budget", "smoke", home=home).returncode == 0
    (own,) = rows_of(home)
    store = results.open_store(to_write=False)
    ours = pd.read_parquet(store.download(own["run_ids"][0], "scores.parquet", tmp_path))
    export(home, tmp_path / "events.h5")
    with h5py.File(tmp_path / "events.h5") as file:
        ours["events"] = file.attrs["events"]
    facts = ("--train-events", 1_400, "--parameters", 11, "--latency-ms", 0.5, "--code", "https://example.org/code")
    done = entered(home, tmp_path / "mine.parquet", "--name", "mine", *facts, frame=ours.sample(frac=1, random_state=0))
    assert done.returncode == 0, done.stderr
    assert "mine submitted" in done.stdout and "training code at https://example.org/code" in done.stdout
    rows = {row["model"]: row for row in rows_of(home)}
    for name in metrics_for(2):
        for part in ("", "_error"):
            assert rows["mine"][name + part] == own[name + part], name
    mine = rows["mine"]
    assert mine["submitted"] and not own["submitted"]
    assert (mine["train_events"], mine["parameters"], mine["latency_ms"]) == (1_400, 11, 0.5)
    assert (mine["training_code"], own["training_code"]) == ("https://example.org/code", "known")
    assert own["test_labels_seen"] == "no" and mine["test_labels_seen"].startswith("not known")
    assert mine["train_seconds"] is None
    assert {"roc.csv", "scores.parquet"} <= set(store.files(mine["run_ids"][0]))
    assert "mine" in (home / "results" / "reports" / "magic.html").read_text()
    told = hepbench("predict", mine["run_ids"][0], tmp_path / "events.h5", home=home)
    assert_user_mistake(told, "submitted as scores")

    again = entered(home, tmp_path / "mine.parquet", "--name", "mine", *facts)
    assert "identical scores already exist" in again.stdout and again.returncode == 0
    assert len(store.runs("magic", tags={"model": "mine"})) == 1


def test_probabilities_and_their_logarithms_several_trainings_and_others_in_their_place(home, tmp_path):
    export(home, tmp_path / "events.h5", "--labels")
    frame = scored(tmp_path / "events.h5")
    logs = frame.rename(columns=lambda name: name.replace("score_", "log_probability_"))
    named = [name for name in logs if name.startswith("log_")]
    logs[named] = np.log(logs[named])
    hidden = frame.copy()
    hidden[["score_gamma", "score_hadron"]] = np.log(hidden[["score_gamma", "score_hadron"]])
    for number, one in enumerate((frame, logs, hidden)):
        done = entered(home, tmp_path / f"{number}.parquet", "--name", "cut", "--seed", number, frame=one)
        assert done.returncode == 0, done.stderr
    (row,) = rows_of(home)
    assert row["seed_list"] == [0, 1, 2] and row["auc_spread"] < 1e-9
    assert row["test_labels_seen"].startswith("may have been") and row["training_code"] == "not known"
    worse = frame.assign(score_gamma=0.4, score_hadron=0.6)
    assert_user_mistake(
        entered(home, tmp_path / "w.parquet", "--name", "cut", frame=worse), "is there already", "--force"
    )
    done = entered(home, tmp_path / "w.parquet", "--name", "cut", "--force")
    assert done.returncode == 0, done.stderr
    (row,) = rows_of(home)
    assert row["seeds"] == 3 and row["auc_spread"] > 0.01


def refused(home, path, frame, *words, name="mine"):
    assert_user_mistake(entered(home, path, "--name", name, frame=frame), *words)


def test_scores_that_are_none_of_these_events(home, tmp_path):
    export(home, tmp_path / "events.h5")
    export(home, tmp_path / "train.h5", "--split", "train")
    frame, path = scored(tmp_path / "events.h5"), tmp_path / "bad.parquet"
    told = json.loads(frame["events"][0])
    train = scored(tmp_path / "train.h5")

    def but(**facts):
        return frame.assign(events=json.dumps(told | facts))

    def with_value(column, value):
        changed = frame.copy()
        changed.loc[3, column] = value
        return changed

    first = frame["id"][3]
    for bad, words in (
        (frame.drop(columns="events"), ("no column 'events'",)),
        (frame.drop(columns="id"), ("no column 'id'",)),
        (frame.drop(columns="score_gamma"), ("score_hadron; expected score_hadron, score_gamma",)),
        (frame.assign(score_muon=0.0), ("score_muon", "expected score_hadron, score_gamma")),
        (frame[["id", "events"]], ("no columns of scores",)),
        (frame.iloc[:0], ("no rows",)),
        (frame.iloc[5:], ("5 of 300 events", str(frame["id"][0]))),
        (pd.concat([frame, frame.iloc[:2]]), ("2 rows repeat the id",)),
        (with_value("id", 10**9), ("1 rows are of no event", str(10**9))),
        (train.assign(events=frame["events"][0]), ("1,400 of them of the training or validation part",)),
        (train, ("scores of the train part",)),
        (with_value("score_gamma", np.nan), ("1 rows are not finite", f"id {first}")),
        (with_value("score_gamma", np.inf), ("1 rows are not finite", f"id {first}")),
        (with_value("score_gamma", 7.0), ("1 rows are neither probabilities", f"id {first}")),
        (frame.assign(score_gamma="high"), ("score_gamma holds", "expected numbers")),
        (frame.assign(id=frame["id"].astype(float)), ("id holds double", "expected whole numbers")),
        (frame.assign(label=0), ("rows have another label",)),
        (frame.assign(events="magic"), ("not the text that hepbench events wrote",)),
        (frame.assign(events=[f"{number}" for number in range(300)]), ("300 values",)),
        (but(task="ecal"), ("scores of the task ecal, not of magic",)),
        (but(data_digest="0" * 64), ("digest 000000000000",)),
        (but(split_hash="0" * 64), ("another split",)),
        (but(budget="quik"), ("did you mean 'quick'",)),
        (but(more=1), ("not the text",)),
        (but(events="many"), ("events is 'many'",)),
    ):
        refused(home, path, bad, *words)
    path.write_text("no Parquet")
    refused(home, path, None, "no Parquet file")
    names = {"a b": "its name must consist of", "gbdt": "is the name of a model", "ensemble": "of a model"}
    for name, word in names.items():
        refused(home, path, frame, word, name=name)
    for options, word in (
        (("--latency-ms", "nan"), "latency_ms must be"),
        (("--latency-ms", 0), "latency_ms must be greater than 0"),
        (("--train-events", -1), "train_events must be"),
        (("--url", "javascript:alert(1)"), "url must be an address"),
        (("--code", "https://example.org/a b"), "code must be an address"),
    ):
        assert_user_mistake(entered(home, path, "--name", "mine", *options), word)
    assert not results.open_store(to_write=False).runs("magic")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """(home, its export): a trained model with two seeds, and a submission."""
    folder = tmp_path_factory.mktemp("exported")
    home, path = folder / "home", folder / "results.zip"
    bench = ("bench", "magic", "--model", "logistic", "--budget", "smoke", "--seeds", 2)
    assert hepbench(*bench, home=home).returncode == 0
    export(home, folder / "events.h5")
    assert entered(home, folder / "s.parquet", "--name", "cut", frame=scored(folder / "events.h5")).returncode == 0
    done = hepbench("export", "magic", "--out", path, home=home)
    assert done.returncode == 0 and "3 runs of magic" in done.stdout, done.stderr
    return home, path


def test_two_leaderboards_become_one(exported, home, tmp_path):
    elsewhere, path = exported
    bench = ("bench", "magic", "--model", "logistic", "--budget", "smoke", "--seeds", 1)
    assert hepbench(*bench, home=home).returncode == 0
    (own,) = rows_of(home)
    done = hepbench("import", path, home=home)
    assert done.returncode == 0 and "imported 3 runs of magic from" in done.stdout, done.stderr
    rows, theirs = rows_of(home), {row["model"]: row for row in rows_of(elsewhere)}
    assert len(rows) == 3 and len({row["configuration"] for row in rows}) == 3
    (here,) = (row for row in rows if not row["imported_from"])
    assert here["run_ids"] == own["run_ids"]  # nothing is overwritten
    for row in rows:
        if row["imported_from"]:
            assert row["imported_from"] == platform.node()
            other = theirs[row["model"]]
            assert row["seed_list"] == other["seed_list"] and row["submitted"] == other["submitted"]
            for name in ("auc", "auc_error", "rejection_50", "train_seconds", "hardware", "parameters", "ended"):
                assert row[name] == other[name], name
            assert not set(row["run_ids"]) & set(other["run_ids"])
    board = hepbench("leaderboard", "magic", home=home).stdout
    assert f"logistic on {platform.node()}" in board and f"cut submitted on {platform.node()}" in board
    planned = hepbench(*bench[:-1], 2, "--dry-run", home=home).stdout
    assert "run" in planned.split("seed 1")[-1]  # a training of another machine is none of this one

    again = hepbench("import", path, home=home)
    assert again.returncode == 0 and "3 runs already in the store" in again.stdout and "imported" not in again.stdout
    assert rows_of(home) == rows
    assert "already in the store" in hepbench("import", path, home=elsewhere).stdout  # of itself
    back = tmp_path / "back.zip"
    assert "4 runs" in hepbench("export", "magic", "--out", back, home=home).stdout
    assert "3 runs already in the store" in hepbench("import", back, home=elsewhere).stdout
    assert len(rows_of(elsewhere)) == 3
    run = next(row for row in rows if row["imported_from"] and not row["submitted"])["run_ids"][0]
    assert_user_mistake(hepbench("predict", run, path, home=home), "it was imported")


def changed(path, out, change, digests=True):
    """A copy of an export with its files changed: change(name, bytes) -> bytes or None for none."""
    with zipfile.ZipFile(path) as old:
        files = {name: change(name, old.read(name)) for name in old.namelist()}
    contents = files.pop("hepbench.json")
    if digests and contents:
        about = json.loads(contents)
        for run in about["runs"]:
            for name in run["sha256"]:
                data = files.get(f"runs/{run['run']}/{name}") or b""
                run["sha256"][name] = hashlib.sha256(data).hexdigest()
        contents = json.dumps(about).encode()
    with zipfile.ZipFile(out, "w") as new:
        for name, data in {"hepbench.json": contents, **files}.items():
            if data is not None:
                new.writestr(name, data)
    return out


def of_record(**facts):
    def change(name, data):
        if not name.endswith("record.json"):
            return data
        record = json.loads(data)
        for key, value in facts.items():
            record[key] = {**record[key], **value} if isinstance(value, dict) else value
        return json.dumps(record).encode()

    return change


def of_scores(change):
    def changed_file(name, data):
        if not name.endswith("/scores.parquet"):
            return data
        frame = change(pd.read_parquet(io.BytesIO(data)))
        return frame.to_parquet()

    return changed_file


def of_contents(**facts):
    return lambda name, data: json.dumps({**json.loads(data), **facts}).encode() if name == "hepbench.json" else data


def test_an_export_that_was_changed_is_refused_whole(exported, home, tmp_path):
    _, path = exported
    out = tmp_path / "changed.zip"

    def one_byte(name, data):
        return data if not name.endswith("/scores.parquet") else data[:50] + bytes([data[50] ^ 1]) + data[51:]

    reverse = ["score_hadron", "score_gamma", "log_probability_hadron", "log_probability_gamma"]

    def swapped(frame):
        frame[reverse] = frame[[reverse[1], reverse[0], reverse[3], reverse[2]]].to_numpy()
        return frame

    for change, digests, words in (
        (one_byte, False, ("its sha256 is", "changed or damaged")),
        (lambda name, data: None if name.endswith("record.json") else data, False, ("no file of hepbench export",)),
        (of_contents(format=2), True, ("format 2, and this version reads 1",)),
        (of_contents(runs=[]), True, ("it holds no runs",)),
        (of_contents(runs=[{"run": "../../a", "sha256": {}}]), True, ("other files than an export has",)),
        (of_record(metrics={"test_auc": 0.99}), True, ("its record tells auc 0.9900, and its scores give",)),
        (of_record(metrics={"test_auc": "high"}), True, ("a metric or time is no number",)),
        (of_record(tags={"seed": "x"}), True, ("of no trial",)),
        (of_record(tags={"task": "absent"}), True, ("results of the unknown task absent",)),
        (of_record(tags={"task": "ecal"}), True, ("2 columns of scores; expected score_photon",)),
        (of_record(more=1), True, ("the record of a run is none",)),
        (of_scores(swapped), True, ("its record tells auc",)),
        (of_scores(lambda frame: frame.iloc[[0, *range(len(frame))]]), True, ("has the id of an event twice",)),
        (of_scores(lambda frame: frame.drop(columns="label")), True, ("holds no scores",)),
        (of_scores(lambda frame: frame.assign(label=7)), True, ("labels must be from 0 to 1",)),
        (of_scores(lambda frame: frame.assign(log_probability_gamma=0.0)), True, ("sum to 1",)),
        (of_scores(lambda frame: frame.assign(score_muon=0.0)), True, ("3 columns of scores; expected score_hadron",)),
    ):
        done = hepbench("import", changed(path, out, change, digests), home=home)
        assert_user_mistake(done, *words)
    out.write_bytes(path.read_bytes()[:-100])
    assert_user_mistake(hepbench("import", out, home=home), "no file of hepbench export")
    assert not results.open_store(to_write=False).runs("magic")

    def others(frame):
        return frame.assign(id=frame["id"] + 1)

    assert hepbench("import", path, home=home).returncode == 0
    with zipfile.ZipFile(path) as old:
        run = json.loads(old.read("hepbench.json"))["runs"][0]["run"]

    def renamed(name, data):
        return (
            others_of(name, data).replace(run.encode(), b"f" * 32) if name.endswith("json") else others_of(name, data)
        )

    others_of = of_scores(others)
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "renamed.zip", "w") as new:
        for name in old.namelist():
            new.writestr(name.replace(run, "f" * 32), renamed(name, old.read(name)))
    done = hepbench("import", changed(tmp_path / "renamed.zip", out, lambda name, data: data), home=home)
    assert_user_mistake(done, "of other events than those of the same split here")


def packed_of(tags, run="r1", host="far"):
    own = {"identity": "i", "configuration": "c", "process.id": "1", "mlflow.user": "u"}
    return Packed(Record(run, "gbdt seed 0", 1.0, 2.0, {**own, **tags}, {}, {}), Path(), host)


def test_an_identity_here_is_never_that_of_an_archive_and_the_same_by_every_route():
    own = hash_of(["imported", "far", "i"])
    direct = tags_of(packed_of({}))
    assert direct["identity"] == own and direct["imported_identity"] == "i" and "process.id" not in direct
    by_another = tags_of(packed_of(direct))  # exported again by a machine that had imported it
    assert {name: by_another[name] for name in direct} == direct
    planted = tags_of(packed_of({"imported_from": "far"}))
    assert planted["identity"] != "i" and planted["configuration"] != "c"
    assert tags_of(packed_of({"imported_identity": "x"}))["identity"] != own


def test_a_record_names_the_machine_that_it_was_imported_from(exported, home, tmp_path):
    for name in ("", " "):
        out = changed(exported[1], tmp_path / "changed.zip", of_record(tags={"imported_from": name}))
        assert_user_mistake(hepbench("import", out, home=home), "imported_from names no machine")


def test_a_run_that_ends_before_it_starts_is_exported_and_one_with_other_tags_imported(exported, home, tmp_path):
    """By a clock that was set back; and the tags of a trial that only the run of a command has are not read."""
    run = {"id": "r1", "name": "n", "start": 9.0, "end": 4.0, "metrics": {}, "parameters": {}}
    run["tags"] = dict.fromkeys((*ranking.IDENTITY, *ranking.GROUP), "1") | {"stage": "final"}
    (record,) = archive.records_of(SimpleNamespace(runs=lambda *_, **__: [run]), ["magic"])
    assert (record.started, record.ended) == (9.0, 9.0)
    out = changed(
        exported[1], tmp_path / "changed.zip", of_record(tags={"skipped": "no JSON", "shift_far": '{"a": 1}'})
    )
    assert hepbench("import", out, home=home).returncode == 0
    assert len(rows_of(home)) == 2
    done = hepbench("rescore", "magic", home=home)
    assert done.returncode == 0 and "metrics of 3 runs recomputed" in done.stdout, done.stdout


def test_what_a_command_skipped_is_read_as_far_as_a_tag_holds_it():
    reasons = {f"model_{number}": "needs image inputs; the task has table" for number in range(200)}
    text = campaign._within_a_tag(reasons)
    assert len(text) <= LONGEST_TAG < len(text) + 100
    assert results._skipped({"stage": "bench", "skipped": text}).items() < reasons.items()
    for tags in ({}, {"skipped": text[:-5]}, {"skipped": "[1]"}, {"stage": "final", "skipped": text}):
        assert results._skipped({"stage": "bench", **tags}) == {}


def test_nothing_to_export(home, tmp_path):
    assert_user_mistake(hepbench("export", "magic", "--out", tmp_path / "a.zip", home=home), "nothing to export")
    assert not list(tmp_path.glob("*.zip*"))
