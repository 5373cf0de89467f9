"""The entries of LightGBM and CatBoost: trained, saved as arrays, loaded, exported; and told where they are missing."""

from __future__ import annotations

import importlib.util
import json
import os
import re
from dataclasses import replace

import numpy as np
import pytest
from conftest import hepbench

from hepbench.benchmarks import metrics, registry
from hepbench.benchmarks.base import Sample
from hepbench.suite import campaign

ENTRIES = ("lightgbm", "catboost")
there = pytest.mark.skipif(
    not os.environ.get("CI") and any(importlib.util.find_spec(name) is None for name in ENTRIES),
    reason="LightGBM or CatBoost is not installed: pip install 'hepbench[boosted]'",
)


def samples(classes: int) -> list[Sample]:
    """Train, validation and test of events that trees can tell apart by products."""
    draw = np.random.default_rng(0)
    table, context = (draw.normal(size=(900, columns)).astype(np.float32) for columns in (5, 1))
    hidden = table[:, 0] + table[:, 1] * table[:, 2] + context[:, 0] + draw.normal(size=900)
    labels = np.digitize(hidden, [0] if classes == 2 else [-1, 1]).astype(np.int64)
    scaling = {"table": (np.full(5, 0.1, np.float32), np.full(5, 1.5, np.float32))}
    inputs = {"table": table, "context": context}
    return [Sample(inputs, rows, labels[rows], scaling) for rows in np.split(np.arange(900), [600, 750])]


def trained(name: str, classes: int, reports: list | None = None, **settings):
    train, valid, test = samples(classes)
    model = registry.find("model", name).record
    told = [] if reports is None else reports
    fitted = model.fit(
        train,
        valid,
        {**model.defaults, "rounds": 40, **settings},
        classes=classes,
        seed=0,
        device="cpu",
        report=lambda done, values: told.append((done, values)),
    )
    return fitted, test


@there
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", ENTRIES)
def test_trees_learn_and_come_back_as_they_were(name, classes, tmp_path):
    reports: list = []
    fitted, test = trained(name, classes, reports)
    scores = fitted.predict(test)
    assert scores.shape == (150, classes) and scores.dtype == np.float32
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)
    assert (scores.argmax(axis=1) == test.labels).mean() > {2: 0.7, 3: 0.5}[classes]
    assert [done for done, _ in reports] == [1, 10, 20, 30, 40]
    assert all(set(values) == {"loss", "val_loss", "val_auc"} for _, values in reports)
    assert reports[-1][1]["loss"] < reports[0][1]["loss"] and 0.75 < reports[-1][1]["val_auc"] < 1
    assert fitted.trainable_parameters > 100 and fitted.timings["train_seconds"] > 0
    again, _ = trained(name, classes)
    np.testing.assert_array_equal(again.predict(test), scores)
    fitted.save(tmp_path)
    assert [path.suffix for path in tmp_path.iterdir()] == [".npz"]
    load = registry.find("model", name).record.load
    np.testing.assert_array_equal(load(tmp_path).predict(test), scores)


@there
@pytest.mark.parametrize("name", ENTRIES)
def test_the_best_round_is_kept(name):
    reports: list = []
    fitted, _ = trained(name, 2, reports, rounds=400, learning_rate=0.3, patience=5)
    assert reports[-1][0] < 390
    count = len(fitted.splits if name == "lightgbm" else fitted.depths)
    assert abs(count + 5 - reports[-1][0]) <= 10


@pytest.mark.parametrize("classes", [2, 3])
def test_scikit_learns_best_round_is_kept(classes):
    reports: list = []
    fitted, _ = trained("hist_gbdt", classes, reports, rounds=400, learning_rate=0.3, patience=5)
    _, valid, _ = samples(classes)
    losses = []
    for rounds in range(1, len(fitted.lengths) + 1):
        lengths = fitted.lengths[:rounds]
        few = replace(fitted, nodes=fitted.nodes[: lengths.sum()], lengths=lengths)
        losses.append(metrics.log_loss(valid.labels, few.predict(valid), 1)[0])
    assert 1 < len(losses) < 390 and int(np.argmin(losses)) == len(losses) - 1
    assert reports[0][1]["val_loss"] == pytest.approx(losses[-1])


@there
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", ENTRIES)
def test_the_exported_trees_give_the_scores(name, classes):
    for package in ("onnx", "onnxruntime"):
        pytest.importorskip(package)
    from hepbench.suite.export.arrays import arrays_to_onnx
    from hepbench.suite.export.runtime import Runtime

    fitted, test = trained(name, classes)
    file = arrays_to_onnx(fitted, test.inputs, test.scaling, classes).SerializeToString()
    raw = Sample(test.inputs, test.rows, test.labels)
    np.testing.assert_allclose(Runtime(file).predict(raw), fitted.predict(test), atol=1e-6)


def of_lightgbm(**changes) -> dict[str, np.ndarray]:
    """Arrays of two trees: one that splits once, and one leaf."""
    whole = {
        "splits": [1, 0],
        "feature": [0],
        "threshold": [0.5],
        "left": [-1],
        "right": [-2],
        "value": [0.0, 1.0, 0.5],
    }
    return {name: np.array(values) for name, values in (whole | {"outputs": 1, "variables": 2} | changes).items()}


def of_catboost(**changes) -> dict[str, np.ndarray]:
    whole = {"depths": [1, 0], "feature": [0], "border": [0.5], "value": [0.0, 1.0, 0.5], "bias": [0.25]}
    return {name: np.array(values) for name, values in (whole | {"variables": 2} | changes).items()}


MADE = {"lightgbm": of_lightgbm, "catboost": of_catboost}
BROKEN = [
    ("lightgbm", {"left": [0]}),  # a circle
    ("lightgbm", {"right": [-9]}),
    ("lightgbm", {"right": [5]}),
    ("lightgbm", {"feature": [2]}),
    ("lightgbm", {"feature": [0.5]}),
    ("lightgbm", {"splits": [2_000_000, 0]}),
    ("lightgbm", {"splits": [-1, 2]}),
    ("lightgbm", {"value": [0.0, np.nan, 0.5]}),
    ("lightgbm", {"outputs": 3}),
    ("catboost", {"depths": [3, 0]}),
    ("catboost", {"depths": [60, 0]}),
    ("catboost", {"feature": [-1]}),
    ("catboost", {"feature": [2]}),
    ("catboost", {"value": [0.0, 1.0]}),
    ("catboost", {"border": [np.inf]}),
    ("catboost", {"bias": []}),
]


@there
@pytest.mark.parametrize("name", ENTRIES)
def test_trees_of_numbers_are_loaded(name, tmp_path):
    np.savez(tmp_path / "trees.npz", **MADE[name]())
    table = np.array([[0.0, 9.0], [1.0, 9.0]], np.float32)
    sample = Sample({"table": table}, np.arange(2), np.zeros(2, np.int64))
    scores = registry.find("model", name).record.load(tmp_path).predict(sample)
    logits = np.array([0.5, 1.5]) + (0.25 if name == "catboost" else 0)
    np.testing.assert_allclose(scores[:, 1], 1 / (1 + np.exp(-logits)), rtol=1e-6)


@pytest.mark.parametrize("name, changes", BROKEN)
def test_broken_trees_never_reach_the_library(name, changes, tmp_path):
    np.savez(tmp_path / "trees.npz", **MADE[name](**changes))
    with pytest.raises(ValueError, match="are not whole"):
        registry.find("model", name).record.load(tmp_path)


@there
def test_a_run_is_used_again(tmp_path, home):
    """Bench, predict and export-model take the entries as any other."""
    done = hepbench("bench", "magic", "--model", ",".join(ENTRIES), "--budget", "smoke", home=home)
    assert done.returncode == 0, done.stderr
    rows = json.loads(hepbench("leaderboard", "magic", "--format", "json", home=home).stdout)
    assert {row["model"] for row in rows} == set(ENTRIES) and all(row["auc"] > 0.7 for row in rows)
    for row in rows:
        done = hepbench("export-model", row["run_ids"][0], "--out", tmp_path / "model.onnx", home=home)
        assert done.returncode == 0, done.stderr
        assert float(re.search(r"at most (\S+);", done.stdout)[1]) <= 1e-5


def test_a_missing_package_is_told(monkeypatch, home):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name in ENTRIES else found(name, *more)
    )
    model, task = registry.find("model", "lightgbm").record, registry.find("task", "magic").record
    assert model.incompatibility(task) == "needs the package lightgbm, which is not installed: pip install lightgbm"
    done = hepbench("bench", "magic", "--model", "prior,catboost", "--budget", "smoke", home=home)
    assert done.returncode == 0, done.stderr
    told = " ".join((done.stdout + done.stderr).split())
    assert (
        "needs the package catboost, which is not installed: pip install catboost" in told and "done 1/1 prior" in told
    )
    assert not set(ENTRIES) & set(campaign.DEFAULT_MODELS)
