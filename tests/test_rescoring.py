"""Stored runs measured again, and ensembles of them, without a training."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import assert_user_mistake, hepbench

from hepbench.benchmarks import registry
from hepbench.suite import ensemble, results
from hepbench.suite.trial.artifacts import StoredScores


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Of three models with two seeds each, and of the floor."""
    home = tmp_path_factory.mktemp("home")
    train(home, "logistic", "gbdt", "hist_gbdt", "prior")
    return home


def train(home, *models, seeds=2):
    chosen = [word for model in models for word in ("--model", model)]
    settings = ("--set", "rounds=20", "--budget", "smoke", "--seeds", seeds)
    done = hepbench("bench", "magic", *chosen, *settings, home=home)
    assert done.returncode == 0, done.stderr


def rows_of(home):
    return json.loads(hepbench("leaderboard", "magic", "--format", "json", home=home).stdout)


def test_rescoring_finds_what_was_measured(home, monkeypatch):
    before = rows_of(home)
    monkeypatch.setenv("HEPBENCH_HOME", str(home))
    store = results.open_store()
    run = before[0]["run_ids"][0]
    store.log(run, {"test_auc": 0.1})
    assert rows_of(home)[0]["auc"] != before[0]["auc"]
    done = hepbench("rescore", "magic", home=home)
    assert done.returncode == 0 and "metrics of 8 runs recomputed" in done.stdout, done.stdout + done.stderr
    after = rows_of(home)
    assert [row["model"] for row in after] == [row["model"] for row in before]
    for old, new in zip(before, after, strict=True):
        for name, value in old.items():
            if isinstance(value, float):
                assert new[name] == pytest.approx(value, rel=1e-6), name


def test_rescoring_of_nothing(tmp_path):
    assert_user_mistake(hepbench("rescore", "magic", home=tmp_path), "no finished runs", "make bench TASK=magic")
    assert_user_mistake(hepbench("ensemble", "magic", home=tmp_path), "no finished runs")


def test_an_ensemble_is_a_row_of_its_own(home):
    done = hepbench("ensemble", "magic", home=home)
    assert done.returncode == 0, done.stderr
    assert "ensemble seed 0" in done.stdout and "ensemble seed 1" in done.stdout
    rows = {row["model"]: row for row in rows_of(home) if not row["set"].startswith("of ")}
    assert rows["ensemble"]["seeds"] == 2 and rows["ensemble"]["auc"] > rows["logistic"]["auc"] - 0.02
    assert rows["ensemble"]["parameters"] >= rows["gbdt"]["parameters"]
    assert hepbench("rescore", "magic", home=home).returncode == 0
    again = hepbench("ensemble", "magic", home=home)  # of the same members, and never of itself
    assert again.returncode == 0 and "ensemble" not in again.stdout.partition(": ")[2].partition("\n")[0]
    assert len([row for row in rows_of(home) if row["model"] == "ensemble"]) == 3
    assert_user_mistake(
        hepbench("predict", rows["ensemble"]["run_ids"][0], __file__, home=home), "is an ensemble", "keeps no model"
    )
    assert "hepbench ensemble magic" in (home / "results" / "reports" / "magic.html").read_text()


def test_the_seeds_of_a_row_together_are_a_row(home):
    done = hepbench("ensemble", "magic", home=home)
    assert "ensemble of 2 seeds of gbdt rounds=20, budget smoke" in done.stdout
    assert "ensemble of 2 seeds of hist_gbdt" in done.stdout
    assert "seeds of logistic" not in done.stdout and "seeds of prior" not in done.stdout  # the same whatever the seed
    (row,) = [row for row in rows_of(home) if row["set"] == "of 2 seeds of gbdt rounds=20"]
    (alone,) = [row for row in rows_of(home) if row["model"] == "gbdt"]
    assert row["model"] == "ensemble" and row["seeds"] == 1
    assert row["log_loss"] < alone["log_loss"]  # convex: below the mean of its members'
    assert row["parameters"] == pytest.approx(2 * alone["parameters"], rel=1e-6)


def test_an_ensemble_of_more_takes_the_place_of_that_of_fewer(home):
    """After a third seed of one model: a third ensemble of models, and of the seeds of this one the three."""
    assert hepbench("ensemble", "magic", home=home).returncode == 0
    train(home, "gbdt", "logistic", seeds=3)
    assert hepbench("ensemble", "magic", home=home).returncode == 0
    found = sorted((row["set"], row["seed_list"]) for row in rows_of(home) if row["model"] == "ensemble")
    assert found == [
        ("", [0, 1, 2]),
        ("of 2 seeds of hist_gbdt rounds=20", [0]),
        ("of 3 seeds of gbdt rounds=20", [0]),
    ]


def test_members_are_chosen_by_what_they_add():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 4000)
    parts = [labels + rng.normal(size=4000) for _ in range(2)]
    odds = [parts[0], parts[1], rng.normal(size=4000)]  # two that know something each, and one that knows nothing
    scores = [np.stack([1 / (1 + np.exp(x)), 1 / (1 + np.exp(-x))], axis=1) for x in odds]
    weights = ensemble.choose(labels, scores, 1)
    assert weights.sum() == pytest.approx(1) and weights[2] < 0.1 and 0.3 < weights[0] < 0.7


def a_row(model, run):
    group = {"task": "magic", "data": "official", "data_digest": "d", "split_hash": "s", "budget": "smoke"}
    return {**group, "model": model, "set": "", "start": "", "seed_list": [0], "run_ids": [run], "configuration": run}


def test_members_of_one_name_are_listed_by_run_rates_are_joint_and_the_optimum_is_none(monkeypatch):
    """An mlp on TensorFlow and one on JAX, beside the likelihoods of the simulation."""
    rng = np.random.default_rng(0)
    ids, labels = np.arange(2000), rng.integers(0, 2, 2000)
    odds = {run: labels + rng.normal(size=2000) for run in ("run-tensorflow", "run-jax")} | {"run-best": 9.0 * labels}
    scores = {
        run: StoredScores(ids, labels, np.stack([-np.logaddexp(0, x), -np.logaddexp(0, -x)], 1).astype(np.float32))
        for run, x in odds.items()
    }
    rates = {"throughput_1": 1000.0, "train_events_per_second": 5e4, "latency_ms": 1.0}
    runs = [{"id": run, "metrics": rates, "tags": {}} for run in scores]
    rows = [a_row("optimum", "run-best"), a_row("mlp", "run-tensorflow"), a_row("mlp", "run-jax")]
    monkeypatch.setattr(results, "leaderboard_of", lambda task, store: (rows, []))
    monkeypatch.setattr(ensemble.rescoring, "finals", lambda task, store: runs)
    monkeypatch.setattr(ensemble, "scores_of", lambda store, run, name="": scores[run])
    monkeypatch.setattr(ensemble, "STEPS", 4)
    stored = {}

    class Store:
        def start(self, *names, tags, **facts):
            stored.update(json.loads(tags["weights"]))
            return "new"

        log = log_series = upload = finish = lambda *arguments: None

    task = SimpleNamespace(name="magic", given="magic", record=registry.find("task", "magic").record)
    (made,) = ensemble.ensembles(task, Store())
    assert set(stored) == set(made.weights) == {"mlp (run run-tens)", "mlp (run run-jax)"}
    assert sum(stored.values()) == pytest.approx(1, abs=1e-3)
    assert {name: made.metrics[name] for name in rates} == pytest.approx(
        {"throughput_1": 500.0, "train_events_per_second": 2.5e4, "latency_ms": 2.0}
    )


def test_the_mean_keeps_what_probabilities_round_away():
    ids, labels = np.arange(2), np.array([0, 1])
    some = [StoredScores(ids, labels, -np.array([[0.0, x], [x, 0.0]], np.float32)) for x in (60.0, 61.0)]
    found = ensemble.mean_of(some, np.array([0.5, 0.5]))
    assert found.scores[0, 1] == pytest.approx(np.log((np.exp(-60) + np.exp(-61)) / 2), rel=1e-6)
    assert found.scores[0, 0] == 0
