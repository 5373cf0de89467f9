"""An interrupted training resumes from its last checkpoint, to the same result."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import ROOT, hepbench

from hepbench.benchmarks.base import Sample
from hepbench.suite import results
from hepbench.suite.training import checkpoint as checkpoint_module
from hepbench.suite.training.checkpoint import STALE, Checkpoint, Progress
from hepbench.suite.training.loop import fit_network

SETTINGS = {
    **{"epochs": 8, "batch_size": 32, "learning_rate": 0.02, "momentum": 0.9, "optimiser": "sgd", "weight_decay": 0.01},
    **{"schedule": "plateau", "plateau_patience": 1, "plateau_min_delta": 0.01, "plateau_cooldown": 1, "patience": 0},
}
"""With all that a training remembers from one epoch to the next."""

NEEDS_TORCH = pytest.mark.skipif(not importlib.util.find_spec("torch"), reason="PyTorch is not installed")


@pytest.fixture(autouse=True)
def after_every_epoch(monkeypatch):
    monkeypatch.setattr(checkpoint_module, "EVERY", 0.0)


class Interrupted(Exception):
    pass


def sample() -> Sample:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 300)
    table = rng.normal(size=(300, 4)).astype(np.float32)
    table[:, 0] += labels
    return Sample({"table": table}, np.arange(300), labels)


def in_keras(shapes, classes, parameters):
    import keras

    table = keras.Input(shapes["table"], name="table")
    x = keras.layers.BatchNormalization()(keras.layers.Dense(8, activation="relu")(table))
    x = keras.layers.Dropout(0.3)(x)
    return keras.Model({"table": table}, keras.layers.Dense(1, activation="sigmoid")(x))


def in_torch(shapes, classes, parameters):
    from torch import nn

    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 1))


def fit(package="", checkpoint=None, last=100, **settings):
    """(network, reported), interrupted as the epoch after `last` is reported."""
    events, reported = sample(), []

    def report(epoch, values):
        if epoch > last:
            raise Interrupted
        reported.append((epoch, values))

    network = fit_network(
        in_torch if package else in_keras,
        events,
        Sample(events.inputs, events.rows[:100], events.labels[:100]),
        {**SETTINGS, **settings},
        classes=2,
        seed=3,
        device="cpu",
        report=report,
        package=package,
        checkpoint=checkpoint,
    )
    return network, reported


def without_times(reported):
    return [(n, {k: v for k, v in one.items() if not k.startswith("epoch_")}) for n, one in reported]


def check_goes_on(folder, package="", **settings):
    path = folder / "trainings" / "one.npz"
    whole, reported = fit(package, **settings)
    with pytest.raises(Interrupted):
        fit(package, Checkpoint(path, "first"), last=3, **settings)
    checkpoint = Checkpoint(path, "second")
    network, told = fit(package, checkpoint, **settings)
    assert (checkpoint.earlier_run, checkpoint.earlier_epoch) == ("first", 3) and checkpoint.earlier_seconds > 0
    np.testing.assert_array_equal(network.predict(sample()), whole.predict(sample()))
    assert without_times(told) == without_times(reported)
    assert [line["epoch"] for line in network.history] == list(range(1, len(reported) + 1))
    assert network.timings["train_seconds"] == pytest.approx(sum(line["epoch_seconds"] for line in network.history))


EARLY = {"optimiser": "adam", "learning_rate": 0.5, "patience": 3, "epochs": 200}
"""It stops early, and its best epoch is one before the interruption."""


@pytest.mark.parametrize(
    ("package", "settings"),
    [("", {}), ("", EARLY), pytest.param("torch", EARLY, marks=NEEDS_TORCH)],
    ids=["keras", "keras, stopped early", "torch, stopped early"],
)
def test_a_training_goes_on_to_the_same_weights(package, settings, tmp_path):
    check_goes_on(tmp_path, package, **settings)


def test_a_training_is_interrupted_more_than_once(tmp_path):
    path, whole = tmp_path / "one.npz", fit()[0].predict(sample())
    for run, last in (("first", 2), ("second", 5)):
        with pytest.raises(Interrupted):
            fit(checkpoint=Checkpoint(path, run), last=last)
    checkpoint = Checkpoint(path, "third")
    np.testing.assert_array_equal(fit(checkpoint=checkpoint)[0].predict(sample()), whole)
    assert (checkpoint.earlier_run, checkpoint.earlier_epoch) == ("second", 5)


@pytest.mark.long
def test_a_training_on_jax_goes_on_to_the_same_weights(tmp_path):
    ready = "import pathlib, test_checkpoint as one; one.checkpoint_module.EVERY = 0"
    code = f"{ready}; one.check_goes_on(pathlib.Path({str(tmp_path)!r}))"
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT / "tests")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("package", ["", pytest.param("torch", marks=NEEDS_TORCH)], ids=["keras", "torch"])
def test_what_cannot_be_gone_on_with_is_begun_again(package, tmp_path):
    path = tmp_path / "one.npz"
    whole = fit(package, epochs=2)[0].predict(sample())
    for wrong in (b"", b"no archive", b"PK\x03\x04 cut short"):
        path.write_bytes(wrong)
        checkpoint = Checkpoint(path, "run")
        np.testing.assert_array_equal(fit(package, checkpoint, epochs=2)[0].predict(sample()), whole)
        assert checkpoint.earlier_epoch == 0
    other = np.zeros((3, 3))
    np.savez(path, about=np.array("{}"), state=np.frombuffer(other.tobytes(), np.uint8))
    assert Checkpoint(path, "run").load(lambda state: None) is None
    Checkpoint(path, "other").save(Progress(epoch=1), lambda: b"of another network")
    checkpoint = Checkpoint(path, "run")
    np.testing.assert_array_equal(fit(package, checkpoint, epochs=2)[0].predict(sample()), whole)
    assert checkpoint.earlier_epoch == 0


def test_states_are_kept_now_and_then_and_old_ones_removed(tmp_path, caplog, monkeypatch):
    path, old = tmp_path / "one.npz", tmp_path / "old.npz"
    old.write_bytes(b"")
    os.utime(old, (time.time() - STALE - 10,) * 2)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint_module, "EVERY", 20.0)
        Checkpoint(path, "run").save(Progress(epoch=1), lambda: b"state")
    assert not path.exists() and old.exists()  # a short training keeps nothing
    checkpoint = Checkpoint(path, "run")
    checkpoint.save(Progress(epoch=1), lambda: b"state")
    assert [one.name for one in tmp_path.iterdir()] == ["one.npz"]
    assert Checkpoint(path, "again").load(lambda state: state) == (Progress(epoch=1), b"state")
    (tmp_path / "file").write_text("")
    Checkpoint(tmp_path / "file" / "one.npz", "run").save(Progress(epoch=1), lambda: b"state")
    assert "checkpoint not written" in caplog.text  # and the training continues
    checkpoint_module.delete(path)
    checkpoint_module.delete(path)
    assert not path.exists()


def test_a_bench_goes_on_with_a_training(home, tmp_path, monkeypatch):
    """The second call takes up what the first has left; its run tells so, and the scores are those of one call."""
    save = Checkpoint.save

    def dies(checkpoint, progress, state):
        save(checkpoint, progress, state)
        if progress.epoch == 2:
            raise RuntimeError("the power went")

    asked = ("bench", "magic", "-m", "mlp", "--budget", "smoke", "--set", "epochs=4")
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "save", dies)
        done = hepbench(*asked, home=home)
    assert done.returncode and "the power went" in done.stdout + done.stderr
    assert len(list((home / "results" / "trainings").iterdir())) == 1
    done = hepbench(*asked, home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not list((home / "results" / "trainings").iterdir())
    whole = hepbench(*asked, home=tmp_path / "other")
    assert whole.returncode == 0, whole.stdout + whole.stderr

    def finished(folder):
        monkeypatch.setenv("HEPBENCH_HOME", str(folder))
        return results.open_store().runs("magic", "FINISHED", {"stage": "final"})[0]

    again, once = finished(home), finished(tmp_path / "other")
    assert again["tags"]["continued"].startswith("after epoch 2 of run ")
    assert "interrupted" in again["tags"]["not_available"]
    assert "continued" not in once["tags"]
    assert again["metrics"]["test_auc"] == once["metrics"]["test_auc"]
    assert again["metrics"]["epochs"] == 4


def test_a_training_is_begun_afresh_by_force(home, monkeypatch):
    asked = ("bench", "magic", "-m", "mlp", "--budget", "smoke", "--set", "epochs=3")
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint_module, "delete", lambda path: None)
        assert hepbench(*asked, home=home).returncode == 0
        (of_equal,) = (home / "results" / "trainings").iterdir()
        assert hepbench(*asked, "--force", home=home).returncode == 0
        (forced,) = set((home / "results" / "trainings").iterdir()) - {of_equal}  # which no equal trial writes into
        assert forced.name.startswith(f"{of_equal.stem}-")
    monkeypatch.setenv("HEPBENCH_HOME", str(home))
    runs = results.open_store().runs("magic", "FINISHED", {"stage": "final"})
    assert len(runs) == 2 and not any("continued" in run["tags"] for run in runs)
