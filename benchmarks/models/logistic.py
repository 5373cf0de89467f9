"""Logistic regression on a table of variables: the linear floor.

make bench TASK=ecal MODEL="logistic prior"
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hepbench.benchmarks import metrics
from hepbench.benchmarks.base import Model, Parameters, Report, Sample
from hepbench.benchmarks.scaling import BY_SPREAD, method_of
from hepbench.benchmarks.scored import log_scores_of

if TYPE_CHECKING:
    import optuna


FILE = "weights.npz"
LARGEST_INPUT = 8.0  # spreads, as for the dense networks

DEFAULTS = {"inverse_penalty": 1.0, "iterations": 300}


@dataclass(frozen=True)
class Logistic:
    """weights: (V, classes). constant: (classes,). largest: (V,), at which variables are cut."""

    weights: np.ndarray
    constant: np.ndarray
    largest: np.ndarray

    @property
    def trainable_parameters(self) -> int:
        return self.weights.size + self.constant.size

    def predict(self, sample: Sample) -> np.ndarray:
        return np.asarray(np.exp(self.predict_log(sample)))

    def predict_log(self, sample: Sample) -> np.ndarray:
        return log_scores_of(_table(sample, self.largest) @ self.weights + self.constant)

    def save(self, folder: Path) -> None:
        np.savez(folder / FILE, weights=self.weights, constant=self.constant, largest=self.largest)


def fit(
    train: Sample, valid: Sample, parameters: Parameters, *, classes: int, seed: int, device: str, report: Report
) -> Logistic:
    """The weights of least log-loss with a squared penalty, by L-BFGS; nothing is random. Reports once."""
    from sklearn.linear_model import LogisticRegression

    machine = LogisticRegression(C=parameters["inverse_penalty"], max_iter=parameters["iterations"])
    largest = _largest(train, parameters)
    machine.fit(_table(train, largest), train.labels, train.weights)
    weights, constant = np.zeros((machine.coef_.shape[1], classes)), np.full(classes, -1e9)
    if classes == 2:
        weights[:, 1], constant[:] = machine.coef_[0], (0, machine.intercept_[0])
    else:
        weights[:, machine.classes_], constant[machine.classes_] = machine.coef_.T, machine.intercept_
    fitted = Logistic(weights, constant, largest)
    loss, _ = metrics.log_loss(train.labels, fitted.predict(train), 1, train.weights)
    scores = fitted.predict(valid)
    values = {"loss": loss, "val_loss": metrics.log_loss(valid.labels, scores, 1, valid.weights)[0]}
    report(1, {**values, "val_auc": metrics.auc(valid.labels, scores, 1, valid.weights)[0]})
    return fitted


def load(folder: Path) -> Logistic:
    with np.load(folder / FILE) as saved:
        return Logistic(saved["weights"], saved["constant"], saved["largest"])


def space(trial: optuna.Trial) -> dict[str, Any]:
    return {"inverse_penalty": trial.suggest_float("inverse_penalty", 1e-4, 1e2, log=True)}


def _table(sample: Sample, largest: np.ndarray) -> np.ndarray:
    inputs = sample.take(slice(None))
    table = np.concatenate([inputs[name] for name in ("table", "context") if name in inputs], axis=1)
    result: np.ndarray = np.clip(table, -largest, largest)
    return result


def _largest(sample: Sample, parameters: Parameters) -> np.ndarray:
    """LARGEST_INPUT of variables that are scaled by their spread, infinity of others."""
    widths = {name: sample.shapes[name][0] for name in ("table", "context") if name in sample.shapes}
    most = {name: LARGEST_INPUT if method_of(parameters, name) in BY_SPREAD else np.inf for name in widths}
    return np.concatenate([np.full(width, most[name], np.float32) for name, width in widths.items()])


MODEL = Model("logistic regression", "table", DEFAULTS, space, fit=fit, load=load)
