"""Two results on the same test events: what differs significantly, what is refused, what is shown."""

from __future__ import annotations

import re
import types

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import assert_user_mistake, empty_store, hepbench

from hepbench.benchmarks import metrics, registry
from hepbench.benchmarks.scored import Scored
from hepbench.suite import compare, differences, rescoring
from hepbench.suite.data.dataset import prepare, prepared_here
from hepbench.suite.exchange.part import Part
from hepbench.suite.trial.artifacts import StoredScores, write_scores
from hepbench.suite.trial.spec import hash_of
from hepbench.tracking import runs

EVENTS = 1200


def odds_of(rng, labels, noise=0.4, power=1.3):
    """Log-odds of a model that knows this much, with a noise that is its own."""
    return power * (2 * labels - 1) + noise * rng.normal(size=len(labels))


def logs_of(odds):
    return np.stack([-np.logaddexp(0, odds), -np.logaddexp(0, -odds)], axis=1).astype(np.float32)


class Runs:
    """A store with finished runs of MAGIC whose scores are made here, all of the same difficulty of each event."""

    def __init__(self, home, task="magic"):
        self.home, self.task = home, registry.find("task", task)
        (home / "results").mkdir(parents=True)
        (home / "results" / "mlflow.db").write_bytes(empty_store())
        self.store = runs.connect(None, home / "results")
        self.rng = np.random.default_rng(3)
        self.ids = np.arange(EVENTS) * 7
        self.labels = self.rng.integers(0, 2, EVENTS)
        self.hard = 1.5 * self.rng.normal(size=EVENTS)

    def add(self, model, seeds=2, power=1.3, ids=None, scores=True, set="", tuned="", folder=None, **tags):
        ids = self.ids if ids is None else ids
        kept = []
        for seed in range(seeds):
            same = {
                "task": self.task.name,
                "data": "official",
                "data_digest": "d1",
                "split_hash": "s1",
                "budget": "quick",
            }
            own = {"stage": "final", "model": model, "seed": seed, "set": set, "tuned": tuned, "device": "cpu"}
            own |= {
                "configuration": hash_of([model, set, tags]),
                "identity": hash_of([model, set, seed, tags]),
                "backend": "tensorflow",
            }
            run = self.store.start(
                self.task.name, f"{model} seed {seed}", tags=same | own | tags, parameters={"set": set}
            )
            odds = self.hard + odds_of(self.rng, self.labels, power=power)
            found = StoredScores(ids, self.labels, logs_of(odds))
            values = rescoring.measured(self.task.record, found, "test")
            self.store.log(run, values | {"test_events": EVENTS, "parameters": 1000, "train_seconds": 2.5})
            if scores:
                folder = self.home / run
                folder.mkdir()
                write_scores(folder / "scores.parquet", found, self.task.record.classes)
                self.store.upload(run, folder)
            self.store.finish(run, "FINISHED")
            kept.append(run)
        return kept


@pytest.fixture
def made(home, monkeypatch):
    monkeypatch.setattr(differences, "RESAMPLINGS", 20)
    return Runs(home)


def test_two_that_are_and_two_that_are_not_told_apart(made):
    for name, power in (("first", 1.3), ("second", 1.3), ("better", 1.9)):
        made.add(name, seeds=3, power=power)
    done = hepbench("compare", "magic", "first", "second", home=made.home)
    assert done.returncode == 0, done.stderr
    assert "Not significantly different by AUC: first − second = " in done.stdout
    assert re.search(r"AUC .* 0?\.\d+ += *\n", done.stdout)
    done = hepbench("compare", "magic", "first", "better", home=made.home)
    assert re.search(r"better is better by AUC: first − better = -0\.\d+ ± 0\.\d+, p ", done.stdout)
    assert re.search(r"1/ε_B at 50 % .* × 0\.\d+ ± .* better *\n", done.stdout)
    assert "Two training runs of first do so with" in done.stdout and re.search(
        r"Finding a difference of this size with a power of \d+ % takes [23] seeds of each", done.stdout
    )
    page = (made.home / "results" / "reports" / "compare-magic-first-better.html").read_text()
    assert page.count("<svg") == 4 and "Where they disagree" in page and "http" not in page.split("<svg")[0]
    again = re.search(r"make compare TASK=magic A=(\S+) B=(\S+)</pre>", page)
    assert "first − better" in hepbench("compare", "magic", again[1], again[2], home=made.home).stdout


def test_what_names_mean(made):
    made.add("mlp", seeds=1)
    made.add("mlp", seeds=1, set="units=8")
    (tuned,) = made.add("mlp", seeds=1, set="units=9", tuned="magic-mlp-quick")
    (single, _) = made.add("gnn")
    made.add("gnn", budget="full", split_hash="s2")

    def names(one, other, **more):
        asked = compare.request("magic", one, other, made.store, **more)
        return asked.names, asked.notes

    assert names("mlp", "mlp units=8") == (("mlp", "mlp units=8"), ())
    assert names("mlp tuned", "mlp")[0] == names("magic-mlp-quick", "mlp")[0] == ("mlp tuned", "mlp")
    assert names(tuned[:12], "mlp")[0] == names("mlp units=9", "mlp")[0] == ("mlp tuned", "mlp")
    assert names("./gnn.py", "mlp")[0] == names(single[:12], "mlp")[0] == ("gnn", "mlp")
    assert "latest of 2 results" in names("gnn", "mlp")[1][0]
    for one, other, words in (
        ("mlp", "mlp", "are the same result"),
        ("gnn", single[:12], "share a training"),
        ("mlp", "mlq", "did you mean 'mlp'?"),
        ("mlp", "mlp units=7", "there are: mlp, mlp tuned, mlp units=8"),
        ("mlp", "s.parquet", "no file of scores s.parquet"),
        ("mlp", "abcdef123", "no finished trial with an id that begins"),
    ):
        assert_user_mistake(hepbench("compare", "magic", one, other, home=made.home), words)
    assert_user_mistake(hepbench("compare", "magic", "mlp", "gnn", "--budget", "full", home=made.home), "mlp", "full")
    assert_user_mistake(hepbench("compare", "hepmass", "mlp", "gnn", home=made.home), "no finished runs of hepmass")


def test_what_is_not_comparable_is_refused(made):
    made.add("mlp")
    made.add("split", split_hash="s2")
    made.add("digest", data_digest="d2")
    made.add("simulated", data="simulated", data_digest="d3")
    made.add("scoreless", scores=False)
    made.add("others", ids=made.ids + 1)
    made.add("twice", ids=made.ids // 14)
    for name, words in {
        "split": "another split (s1, s2)",
        "digest": "another data digest (d1, d2)",
        "simulated": "other data (official, simulated)",
        "scoreless": "scoreless cannot be compared: run",
        "others": "others cannot be compared: its scores are of other events",
        "twice": "has the id of an event twice",
    }.items():
        assert_user_mistake(hepbench("compare", "magic", "mlp", name, home=made.home), words)
    assert not (made.home / "results" / "reports").exists()


def test_a_file_of_scores_without_labels(made, tmp_path):
    made.add("mlp")
    odds = made.hard + odds_of(made.rng, made.labels, power=2.5)
    order = made.rng.permutation(EVENTS)

    def written(name, ids, logs, **part):
        told = {
            "task": "magic",
            "split": "test",
            "data": "official",
            "budget": "quick",
            "events": None,
            "labels": False,
        }
        told |= {"data_digest": "d1", "split_hash": "s1", **part}
        columns = {f"log_probability_{kind}": logs[:, n] for n, kind in enumerate(made.task.record.classes)}
        table = pa.table({"id": ids, "events": [Part(**told).as_text()] * len(ids), **columns})
        pq.write_table(table, tmp_path / name)
        return tmp_path / name

    mine = written("mine.parquet", made.ids[order], logs_of(odds)[order])
    for sides in ((mine, "mlp"), ("mlp", mine)):
        done = hepbench("compare", "magic", *sides, home=made.home)
        assert done.returncode == 0 and "mine is better by AUC" in done.stdout, done.stderr
        assert "mine: 1 training run, of the file" in done.stdout
        assert "One training run of mine: the result holds" in done.stdout
    for name, ids, part, words in (
        ("other.parquet", made.ids + 1, {}, "other events"),
        ("twice.parquet", made.ids // 14, {}, "twice"),
        ("split.parquet", made.ids, {"split_hash": "s2"}, "another split"),
        ("task.parquet", made.ids, {"task": "ecal"}, "scores of the task ecal"),
    ):
        path = written(name, ids, logs_of(odds), **part)
        assert_user_mistake(hepbench("compare", "magic", "mlp", path, home=made.home), words)
    assert_user_mistake(
        hepbench("compare", "magic", mine, written("b.parquet", made.ids, logs_of(-odds)), home=made.home)
    )


def test_each_class_of_several_has_parts_of_its_own():
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 3, 1500)
    odds = 1.5 * np.eye(3)[labels] + rng.normal(size=(1500, 3))
    events = Scored(labels, odds - np.logaddexp.reduce(odds, axis=1, keepdims=True))
    records = metrics.metrics_of(("a", "b", "c"))
    for name in ("auc_a", "auc_b", "auc_micro", "recall_c", "precision_b", "rejection_50_a"):
        value, error = records[name].of(events, 0)
        parts = records[name].influences(events, 0)
        assert np.isfinite(value) and np.sqrt(parts @ parts) == pytest.approx(error, rel=0.05)


def test_agreement_is_the_mean_over_pairs_of_trainings():
    labels = np.array([1, 1, 0, 0])
    right, wrong = np.where(labels == 1, 3.0, -3.0), np.where(labels == 1, -3.0, 3.0)
    one = [Scored(labels, logs_of(right)), Scored(labels, logs_of(np.where([1, 1, 1, 0], right, wrong)))]
    other = [Scored(labels, logs_of(np.where([0, 1, 1, 1], right, wrong)))]
    found = compare._agreement(one, other, 1)
    assert (found.overlaps[0].both, found.overlaps[0].one, found.overlaps[0].other) == (2.5, 1, 0.5)
    assert found.between == (1 / 4 + 2 / 4) / 2 and found.within[0] == 1 / 4 and np.isnan(found.within[1])


def test_slices_of_the_events(home, monkeypatch):
    monkeypatch.setattr(differences, "RESAMPLINGS", 20)
    made = Runs(home, "hepmass")
    made.add("mlp")
    made.add("gbdt", power=2)
    done = hepbench("compare", "hepmass", "mlp", "gbdt", home=home)
    assert done.returncode == 0 and "no slices: the prepared data of this digest" in done.stdout
    mass = made.rng.choice([500.0, 750.0], EVENTS)
    order = made.rng.permutation(EVENTS)
    prepared = types.SimpleNamespace(ids=made.ids[order], arrays={"mass": mass[order, None]})
    monkeypatch.setattr(compare, "prepared_here", lambda task, digest: prepared)
    asked = compare.request("hepmass", "mlp", "gbdt", made.store)
    found = compare.compare(asked, made.store)
    assert [(one.value, one.events) for one in found.slices] == [(str(m), int((mass == m).sum())) for m in (500, 750)]
    assert all(one.measured["auc"].better == -1 for one in found.slices)
    assert "AUC" in compare.write_page(asked, found).read_text()


def test_prepared_data_are_found_and_never_made(files_of):
    task, files = files_of("magic")
    assert prepared_here(task, files.digest) is None
    prepared = prepare(task, files)
    assert prepared_here(task, files.digest).folder == prepared.folder
    assert prepared_here(task, "f" * 64) is None
