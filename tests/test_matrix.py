"""Every model on every task that it can serve, with its defaults: a few steps of training, scores, saved and loaded."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import pytest

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import Sample
from hepbench.benchmarks.scaling import DEFAULT, fit_scaling, with_filling, without_filling
from hepbench.suite.data.dataset import prepare, view_of
from hepbench.suite.data.split import PARTS, split_events
from hepbench.suite.training.loop import fit_network
from hepbench.suite.training.network import load_network
from hepbench.suite.trial.spec import Spec, cut, look_up

pytestmark = [
    pytest.mark.long,
    pytest.mark.apart,
    # Keras 3.15 converts TensorFlow's variables with a numpy call that numpy 2 deprecates
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]

FEW = ("gbdt", "logistic", "mlp", "particlenet_lite", "pfn")
"""One of each family, for tasks whose views others have as well."""
OF_FEW = ("atlas_higgs", "higgs", "jetclass", "susy", "top_tagging")
ON_TABLES = ("catboost", "lightgbm", "tabm")
"""Which take the same table as `gbdt` of every task."""
OF_TABLES = ("magic", "pxd_pixels")
TRIALS = [
    look_up(Spec(task, model, 0, "smoke", "auto", "cpu", "tensorflow"))
    for task in registry.names("task")
    for model in (FEW if task in OF_FEW else registry.names("model"))
    if model not in ON_TABLES or task in OF_TABLES
]
EVENTS_OF_PART = dict(zip(PARTS, (48, 16, 16), strict=True))
SHORT = {"epochs": 1, "rounds": 3, "batch_size": 16}
EAGER = ("part", "part_lite", "lorentz_transformer")
"""Whose steps take minutes to compile at this size, and a second as they are written."""


@pytest.fixture
def as_written(trial):
    import tensorflow as tf

    tf.config.run_functions_eagerly(trial.model.name in EAGER)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.mark.parametrize(
    "trial",
    [trial for trial in TRIALS if not trial.refusal],
    ids=lambda trial: f"{trial.task.name} {trial.model.name}",
)
def test_a_model_on_a_task(trial, files_of, tmp_path, as_written):
    entry, files = files_of(trial.task.name)
    prepared = prepare(entry, files)
    rows, _ = split_events(entry.record, prepared, min(200, len(prepared)))
    view, model = trial.model.record.view, trial.model.record
    inputs = cut(entry.record, view_of(entry, prepared, view) if view else {}, trial.hyperparameters)
    # PlotData, since the classes of a file may take turns
    few = [np.random.default_rng(0).permutation(rows[part])[:most] for part, most in EVENTS_OF_PART.items()]
    if len(entry.record.classes) == 10:  # of which some would not be among so few
        few = list(rows.values())
    parts = [Sample(inputs, some, prepared.labels[some]) for some in few]
    filled = with_filling(parts[0]) if entry.record.missing else parts[0]
    scaling = fit_scaling(filled, trial.hyperparameters.get("scaling", DEFAULT))
    scaling = without_filling(scaling) if model.takes_missing else scaling
    train, valid, test = (replace(part, scaling=scaling) for part in parts)

    settings = {name: SHORT.get(name, value) for name, value in trial.hyperparameters.items()}
    fit = model.fit or functools.partial(fit_network, model.build)
    classes = len(entry.record.classes)
    fitted = fit(train, valid, settings, classes=classes, seed=0, device="cpu", report=lambda epoch, values: None)
    scores = fitted.predict(test)
    assert scores.shape == (len(test), classes) and np.isfinite(scores).all() and (scores >= 0).all()
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)
    fitted.save(tmp_path)
    np.testing.assert_array_equal((model.load or load_network)(tmp_path).predict(test), scores)
