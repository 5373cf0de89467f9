"""The saved network that a training starts from: checked before anything begins, its weights taken over in the trial.

Its task, model and the network's hyper-parameters, scaling and features among them, are those of the new training;
what is of the training (epochs, rates, batches) may be another. The scaling keeps the numbers that the run fitted, as
its weights mean nothing under others. The optimiser starts afresh, and epochs count from 1.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hepbench.benchmarks.base import Scaling, UserError
from hepbench.suite.trial.spec import Trial, known_hyperparameters
from hepbench.tracking.runs import Store


@dataclass(frozen=True)
class InitialWeights:
    """weights: in the order of the network's. scaling: as `Sample.scaling`."""

    weights: list[np.ndarray]
    scaling: Scaling


def check(run: Mapping[str, Any], trial: Trial, store: Store) -> None:
    """UserError where the network of a finished run cannot be trained on as this trial."""
    from hepbench.suite.training.network import NETWORK_FILE
    from hepbench.suite.training.settings import DEFAULTS
    from hepbench.suite.training.torch_network import TORCH_FILE

    tags, name = run["tags"], f"run {run['id'][:8]}"
    task, model = trial.task, trial.model
    if tags["task"] != task.name:
        raise UserError(f"{name} is of the task {tags['task']}, not of {task.name}: start from one of {task.name}")
    if tags["model"] != model.name:
        raise UserError(f"{name} is of the model {tags['model']}, not of {model.name}: give --model {tags['model']}")
    if model.record.build is None:
        raise UserError(f"{name} is of {model.name}, no network: a training starts from the weights of a network alone")
    if not {NETWORK_FILE, TORCH_FILE} & set(store.files(run["id"], "model")):
        raise UserError(f"{name} has saved no network: run `{tags['command']}` and start from what it gives")
    known = known_hyperparameters(task.record, model.record)
    for one in known.keys() - DEFAULTS.keys():
        theirs = run["parameters"].get(one, str(known[one]))
        if theirs != str(ours := trial.hyperparameters.get(one, known[one])):
            raise UserError(
                f"{name} has {one}={theirs}, and {one}={ours} is asked for: the network must be the same, give "
                f"--set {one}={theirs}"
            )


def check_data(run: Mapping[str, Any], tags: Mapping[str, Any]) -> None:
    """UserError where events that the run has trained on may be among the test events. tags: those of the new runs.

    The parts of the same data are the same under every budget; of other data of the same kind, such as more simulated
    events, they are divided anew.
    """
    theirs = run["tags"]
    if theirs["data"] == tags["data"] and theirs["data_digest"] != tags["data_digest"]:
        raise UserError(
            f"run {run['id'][:8]} was trained on other {theirs['data']} data of {tags['task']}, some of which may be "
            f"test events here: give it the budget that the run had, {theirs['budget']}, or start from another run"
        )


def fetch(store: Store, trial: Trial) -> InitialWeights:
    """What a trial takes over of the run that it starts from. UserError where the network does not load."""
    from hepbench.suite.trial.artifacts import load_model

    with tempfile.TemporaryDirectory() as scratch:
        folder = store.download(trial.spec.start, "model", Path(scratch))
        model = load_model(folder, task=trial.spec.task, model=trial.spec.model)
    return InitialWeights(model.fitted.weights(), model.scaling)  # type: ignore[attr-defined]
