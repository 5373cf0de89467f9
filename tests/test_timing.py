"""What is timed of a trial, docs/timing.md."""

from __future__ import annotations

import dataclasses
import json
import types

import numpy as np
import pytest
from conftest import ROOT, assert_user_mistake, hepbench

from hepbench.benchmarks import budgets
from hepbench.benchmarks.base import Sample
from hepbench.suite.trial import prediction_times
from hepbench.suite.trial.prediction_times import BATCHES
from hepbench.suite.trial.prediction_times import prediction_times as times_of
from hepbench.tracking.leaderboard.ranking import COSTS, THROUGHPUTS


def sample_of(events: int) -> Sample:
    table = np.arange(events, dtype=np.float32)[:, None]
    return Sample({"table": table}, np.arange(events), np.zeros(events, np.int64))


@pytest.fixture
def clock(monkeypatch):
    """What the predictions are timed by: it stands still but for what a test makes of it."""
    one = types.SimpleNamespace(now=0.0, perf_counter=lambda: one.now)
    monkeypatch.setattr(prediction_times, "time", one)
    return one


def test_each_number_of_events_is_predicted_before_it_is_timed(clock):
    calls = []

    def predict(sample: Sample) -> np.ndarray:
        clock.now += 1e-5 if len(sample) in calls else 0.2  # the compiling of a shape
        calls.append(len(sample))
        return sample.take(slice(None))["table"]

    found = times_of(predict, sample_of(7), 0.01)
    assert sorted(set(calls)) == list(BATCHES)
    assert found["latency_ms"] == pytest.approx(0.01) and found["throughput_10000"] == pytest.approx(1e9)
    assert {name.removesuffix("_spread") for name in found} == {"latency_ms", "latency_p99_ms", *THROUGHPUTS}
    assert set(COSTS) >= {"latency_ms", "latency_p99_ms", *THROUGHPUTS}


def test_fewer_events_are_repeated():
    rows = prediction_times.first(sample_of(3), 7).take(slice(None))["table"][:, 0]
    assert rows.tolist() == [0, 1, 2, 0, 1, 2, 0]


def test_what_takes_too_long_is_not_measured(clock):
    def predict(sample: Sample) -> np.ndarray:
        clock.now += 2e-3 * len(sample)
        return np.zeros((len(sample), 2))

    found = times_of(predict, sample_of(10), 0.01)
    assert {"throughput_1", "throughput_10"} <= found.keys() and "throughput_100" not in found
    assert "latency_p99_ms" not in found  # of 30 predictions no percentile can be told
    assert found["throughput_10"] == pytest.approx(500)
    assert times_of(predict, sample_of(10), 0.0).keys() == {"latency_ms"}


def test_a_trial_tells_its_times(home, monkeypatch):
    """In MLflow, JSON, and on demand in the table; the seconds to a validation score with them."""
    monkeypatch.setitem(budgets.BUDGETS, "smoke", dataclasses.replace(budgets.find("smoke"), timing=0.01))
    run = ("bench", "magic", "--budget", "smoke", "--model", "mlp", "--model", "logistic", "--model", "prior")
    assert hepbench(*run, home=home).returncode == 0
    done = hepbench("leaderboard", "magic", "--format", "json", "--target", 0.6, home=home)
    rows = {row["model"]: row for row in json.loads(done.stdout)}
    for name in ("open_seconds", "fit_seconds", "log_seconds", "latency_ms", "throughput_1", "throughput_10000"):
        assert all(row[name] > 0 for row in rows.values()), name
    assert rows["mlp"]["train_events_per_second"] > 0 and rows["logistic"]["train_events_per_second"] is None
    assert 0 < rows["mlp"]["target_seconds"] < rows["mlp"]["fit_seconds"]
    assert 0 < rows["logistic"]["target_seconds"] < rows["logistic"]["fit_seconds"]
    assert rows["prior"]["target_seconds"] is None

    columns = "latency_p99_ms,throughput_1000"
    done = hepbench("leaderboard", "magic", "--columns", columns, "--target", 0.6, home=home)
    assert all(word in done.stdout for word in ("events/s", "by 1,000", "s", "to 0.6"))
    refused = hepbench("leaderboard", "magic", "--target", 1.2, home=home)
    assert_user_mistake(refused, "--target must be above 0.5", "got 1.2")


def test_the_page_names_every_time():
    text = (ROOT / "docs" / "timing.md").read_text()
    assert all(f"`{name}`" in text for name in COSTS if not name.startswith("throughput_"))
