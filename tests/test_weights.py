"""Weights of events from a file to a leaderboard: read, trained with, measured with, kept beside the scores."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import assert_user_mistake, hepbench

from hepbench.benchmarks import metrics, registry
from hepbench.benchmarks.base import Events, Sample, Task, UserError
from hepbench.benchmarks.weighting import by_class
from hepbench.suite.data.dataset import prepare
from hepbench.suite.data.files import Files
from hepbench.tracking import runs

TASK = """
import numpy as np
from hepbench import Events, Source, Task
def read(paths):
    for path in paths:
        with np.load(path) as file:
            weights = file["weight"] if "weight" in file else None
            yield Events({"table": file["x"]}, file["label"], np.arange(len(file["x"])), weights)
TASK = Task(title="x", classes=("b", "s"), read=read, views={"table": lambda arrays: arrays}, variables=("x", "y"),
            weights="WHERE", sources=(Source("x.npz", ""),), slices={"half": lambda a: (a["table"][:, 1] > 0) * 1})
"""


def events(number: int = 1200) -> dict[str, np.ndarray]:
    """Of the first variable the second class knows what the first does not: its weights decide which part of it."""
    rng = np.random.default_rng(0)
    label = np.arange(number) % 2
    x = rng.normal(size=(number, 2)).astype(np.float32)
    x[:, 0] += np.where(rng.random(number) < 0.5, 1.5, -1.0) * label
    return {"x": x, "label": label, "weight": (30 - 29 * label) * np.where(x[:, 0] > 0, 1.0, 0.02) ** label}


def placed(tmp_path: Path, home: Path, where: str = "both", **arrays: np.ndarray) -> Path:
    task, path = tmp_path / "mine.py", home / "data" / "mine" / "official" / "x.npz"
    task.write_text(TASK.replace("WHERE", where))
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **(events() | arrays))
    return task


def stored(home: Path, name: str = "scores.parquet"):
    """(run, what it keeps) of each run, by its model."""
    store = runs.connect(None, home / "results")
    found = {}
    for run in store.runs("mine", "FINISHED", {"stage": "final"}):
        folder = home / "kept" / run["id"]
        folder.mkdir(parents=True, exist_ok=True)
        found[run["tags"]["model"]] = run, pq.read_table(store.download(run["id"], name, folder))
    return found


@pytest.mark.long
def test_from_a_file_to_the_leaderboard_and_back(home, tmp_path):
    task = placed(tmp_path, home)
    bench = ["bench", task, "--model", "logistic", "--model", "gbdt", "--budget", "smoke", "--set", "rounds=5"]
    done = hepbench(*bench, home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "events weighted in training and testing" in done.stdout
    for run, table in stored(home).values():
        labels, weights = table["label"].to_numpy(), table["weight"].to_numpy()
        given = events()["weight"].astype(np.float32)[table["id"].to_numpy()]
        np.testing.assert_array_equal(weights, given)
        scores = np.stack([table["score_b"].to_numpy(), table["score_s"].to_numpy()], axis=1)
        expected = metrics.evaluate(labels, scores, 1, ("b", "s"), weights)
        for name in ("auc", "auc_error", "log_loss", "rejection_50", "efficiency_at_purity_90", "ece"):
            assert run["metrics"][f"test_{name}"] == pytest.approx(expected[name], rel=1e-3, nan_ok=True), name
        assert run["metrics"]["test_auc"] > metrics.auc(labels, scores, 1)[0] + 0.02
        sliced = metrics.by_slice(
            "half", (events()["x"][table["id"].to_numpy(), 1] > 0) * 1, labels, scores, 1, weights
        )
        assert run["metrics"]["test_auc_half_1"] == pytest.approx(sliced["auc_half_1"], rel=1e-3)

    run, table = stored(home)["gbdt"]
    file = home / "data" / "mine" / "official" / "x.npz"
    for verb in (("rescore", task), ("compare", task, "gbdt", "logistic"), ("leaderboard", task)):
        done = hepbench(*verb, home=home)
        assert done.returncode == 0, done.stdout + done.stderr
    again, _ = stored(home)["gbdt"]
    assert again["metrics"]["test_auc"] == pytest.approx(run["metrics"]["test_auc"], abs=1e-12)
    out = tmp_path / "evaluated"
    done = hepbench("evaluate", run["id"], file, "--task", task, "--out", out, home=home)
    assert done.returncode == 0, done.stderr
    told = json.loads((out / "metrics.json").read_text())["metrics"]
    assert told["auc"] == pytest.approx(run["metrics"]["test_auc"], abs=1e-6)
    assert "weight" in pq.read_table(out / "scores.parquet").column_names
    done = hepbench("predict", run["id"], file, "--task", task, "--out", tmp_path / "p.parquet", home=home)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(
        pq.read_table(tmp_path / "p.parquet")["weight"].to_numpy(), events()["weight"], rtol=1e-6
    )


@pytest.mark.parametrize("where", ["training", "testing"])
def test_a_task_says_where_weights_enter(home, tmp_path, where):
    task = placed(tmp_path, home, where)
    done = hepbench("bench", task, "--model", "logistic", "--budget", "smoke", home=home)
    assert done.returncode == 0 and f"events weighted in {where}" in done.stdout, done.stdout + done.stderr
    (_, table), = stored(home).values()  # fmt: skip
    assert ("weight" in table.column_names) == (where == "testing")
    odds = np.log(table["score_s"].to_numpy() / table["score_b"].to_numpy())
    slope = np.polyfit(events()["x"][table["id"].to_numpy(), 0], odds, 1)[0]
    assert slope > 1.2 if where == "training" else slope < 0.6


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        (np.full(1200, -1.0), "weights: event 0 has -1.0: negative weights, as from generators"),
        (np.where(np.arange(1200) == 7, np.inf, 1), "weights: event 7 has inf: expected a finite number"),
        (np.arange(1200) % 2, "weights of class 0 sum to zero"),
        (np.ones((1200, 2)), "weights are float64 of the shape (1200, 2); expected numbers of the shape (1200,)"),
    ],
)
def test_weights_that_cannot_be_are_one_line(home, tmp_path, weight, words):
    task = placed(tmp_path, home, weight=weight)
    assert_user_mistake(hepbench("bench", task, "--model", "logistic", "--budget", "smoke", home=home), words)


@pytest.mark.parametrize(
    "verb", [("tune", "logistic", "--trials", 2), ("sweep", "mlp", "--batch-sizes", 64), ("curve", "logistic")]
)
def test_every_verb_that_trains_asks_for_the_weights_before(verb, home, tmp_path):
    task = placed(tmp_path, home, weight=np.arange(1200) % 2)
    name, model, *options = verb
    done = hepbench(name, task, "--model", model, "--budget", "smoke", *options, home=home)
    assert_user_mistake(done, "weights of class 0 sum to zero")
    assert not runs.connect(None, home / "results").runs("mine")


def test_chunks_have_weights_or_none_of_them():
    def read(paths):
        for number in (0, 1):
            yield Events(
                {"t": np.ones((4, 1))}, np.arange(4) % 2, np.arange(4) + 4 * number, [None, np.ones(4)][number]
            )

    record = Task(title="x", classes=("a", "b"), read=read, views={})
    entry = registry.Entry("mine", Path("mine.py").absolute(), record, "mine", record)
    with pytest.raises(UserError, match="weights from event 4 on, none before; expected the same in all"):
        prepare(registry.Entry(entry.name, Path(__file__), record, "mine", record), Files("official", [], "0" * 64))


FAMILIES = ("gbdt", "hist_gbdt", "logistic", "lightgbm", "catboost")


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_learns_from_the_weights(name):
    """Of equal events of both classes those of one have nearly no weight: what is left decides."""
    model = registry.find("model", name).record
    rng = np.random.default_rng(1)
    labels = np.arange(800) % 2
    x = rng.normal(size=(800, 2)).astype(np.float32)
    weights = by_class(labels, np.where((labels == 1) & (x[:, 0] < 0), 0.01, 1.0)).astype(np.float32)
    parts = [
        Sample({"table": x}, rows, labels[rows], weights=weights[rows])
        for rows in (np.arange(600), np.arange(600, 800))
    ]
    parameters = {**model.defaults, **({"rounds": 20} if "rounds" in model.defaults else {})}
    fitted = model.fit(*parts, parameters, classes=2, seed=0, device="cpu", report=lambda epoch, values: None)
    rows = np.arange(800)
    scores = fitted.predict(Sample({"table": x}, rows, labels))[:, 1]
    assert scores[x[:, 0] > 0.3].mean() > scores[x[:, 0] < -0.3].mean() + 0.2


@pytest.mark.parametrize("classes", [2, 3])
def test_the_loss_of_a_network_is_weighted(classes):
    """Against the gradient by hand of one step of a network of one layer."""
    import keras

    from hepbench.suite.training.steps import WEIGHTS, training_steps, values_of

    keras.utils.set_random_seed(0)
    given = keras.Input((2,), name="table")
    outputs, activation = (1, "sigmoid") if classes == 2 else (3, "softmax")
    network = keras.Model({"table": given}, keras.layers.Dense(outputs, activation)(given))
    optimiser = keras.optimizers.SGD(1.0)
    optimiser.build(network.trainable_variables)
    rng = np.random.default_rng(2)
    x, labels = rng.normal(size=(16, 2)).astype(np.float32), np.arange(16) % classes
    weights = rng.exponential(1, 16).astype(np.float32)
    kernel, bias = values_of(network.trainable_variables)
    targets = labels.astype(np.float32)[:, None] if classes == 2 else labels.astype(np.int32)
    steps = training_steps(network, optimiser, weighted=True)
    losses, _ = steps({"table": x[None], WEIGHTS: weights[None]}, targets[None], np.ones(1, np.float32))
    logits = x @ kernel + bias
    if classes == 2:
        p = 1 / (1 + np.exp(-logits[:, 0]))
        own = np.where(labels == 1, p, 1 - p)
        slope = (p - labels)[:, None]
    else:
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        own = p[np.arange(16), labels]
        slope = p - np.eye(3)[labels]
    assert losses[0] == pytest.approx(float((-np.log(own) * weights).mean()), rel=1e-4)
    moved, _ = values_of(network.trainable_variables)
    np.testing.assert_allclose(kernel - moved, x.T @ (slope * weights[:, None]) / 16, atol=1e-5)


@pytest.mark.parametrize("name", ["qg_jets", "qg_images"])
def test_tests_of_one_spectrum_of_pt(name):
    """By its weights the pT alone tells the classes apart no more, and each class keeps its number of events."""
    from hepbench.suite.data.dataset import Prepared
    from hepbench.suite.data.weights import tags_of, weights_of

    entry = registry.find("task", f"{name}:equal_pt")
    rng = np.random.default_rng(3)
    labels = np.arange(6000) % 2
    pt = (100 + rng.exponential(30 + 10 * labels)).astype(np.float32)
    jet = np.stack([pt, 0 * pt, rng.uniform(-3, 3, 6000), 0 * pt + 22], axis=1)[:, None].astype(np.float32)
    arrays = {"jets": jet} if name == "qg_jets" else {"context": np.stack([pt, pt], axis=1)}
    prepared = Prepared(Path("none"), arrays, labels, np.arange(6000))
    rows = np.arange(1000, 6000)
    weights = weights_of(entry, prepared, rows, "testing")
    assert weights_of(entry, prepared, rows, "training") is None
    assert tags_of(entry.record, prepared) == {"weighted": "classes reweighted to one spectrum in testing"}
    score = (pt[rows] / pt.max()).clip(1e-3, 1 - 1e-3)
    scores = np.stack([1 - score, score], axis=1)
    assert metrics.auc(labels[rows], scores, 1)[0] > 0.55
    assert metrics.auc(labels[rows], scores, 1, weights)[0] == pytest.approx(0.5, abs=0.005)
