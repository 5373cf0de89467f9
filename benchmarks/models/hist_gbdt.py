"""Gradient-boosted trees of scikit-learn, on a table of variables: a second implementation beside XGBoost's.

Trees over histograms as in LightGBM (Ke et al., NeurIPS 2017). A saved model is a pickle: load only what you trust.

    make bench TASK=ecal MODEL="gbdt hist_gbdt"
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hepbench.benchmarks import metrics
from hepbench.benchmarks.base import Model, Parameters, Report, Sample

if TYPE_CHECKING:
    import optuna
    from sklearn.ensemble import HistGradientBoostingClassifier


FILE = "trees.pickle"

DEFAULTS = {
    "rounds": 2000,
    "patience": 50,
    "learning_rate": 0.05,
    "max_leaf_nodes": 31,
    "min_samples_leaf": 20,
    "l2_regularization": 1.0,
    "max_features": 0.6,
}


@dataclass(frozen=True)
class Trees:
    """A trained ensemble for labels 0 to classes - 1."""

    machine: HistGradientBoostingClassifier
    classes: int

    @property
    def trainable_parameters(self) -> int:
        """Leaves and splits of all trees."""
        return int(sum(tree.nodes.shape[0] for trees in self.machine._predictors for tree in trees))

    def predict(self, sample: Sample) -> np.ndarray:
        scores = np.zeros((len(sample), self.classes), np.float32)
        if len(sample):
            scores[:, self.machine.classes_] = self.machine.predict_proba(_table(sample))
        return scores

    def save(self, folder: Path) -> None:
        (folder / FILE).write_bytes(pickle.dumps((self.machine, self.classes)))


def fit(
    train: Sample, valid: Sample, parameters: Parameters, *, classes: int, seed: int, device: str, report: Report
) -> Trees:
    """Trees until log-loss on the validation part has not fallen for `patience` rounds. Reports at the end, since
    scikit-learn tells nothing on the way. Runs on the processor."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    machine = HistGradientBoostingClassifier(
        max_iter=parameters["rounds"],
        learning_rate=parameters["learning_rate"],
        max_leaf_nodes=parameters["max_leaf_nodes"],
        min_samples_leaf=parameters["min_samples_leaf"],
        l2_regularization=parameters["l2_regularization"],
        max_features=parameters["max_features"],
        early_stopping=True,
        n_iter_no_change=parameters["patience"],
        random_state=seed,
    )
    machine.fit(_table(train), train.labels, X_val=_table(valid), y_val=valid.labels)
    fitted = Trees(machine, classes)
    values = {"loss": metrics.log_loss(train.labels, fitted.predict(train), 1)[0]}
    scores = fitted.predict(valid)
    values |= {
        "val_loss": metrics.log_loss(valid.labels, scores, 1)[0],
        "val_auc": metrics.auc(valid.labels, scores, 1)[0],
    }
    report(1, values)
    return fitted


def load(folder: Path) -> Trees:
    return Trees(*pickle.loads((folder / FILE).read_bytes()))


def space(trial: optuna.Trial) -> dict[str, Any]:
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.2, log=True),
        "max_leaf_nodes": trial.suggest_int("max_leaf_nodes", 7, 127, log=True),
        "min_samples_leaf": trial.suggest_int("min_samples_leaf", 5, 200, log=True),
        "l2_regularization": trial.suggest_float("l2_regularization", 1e-3, 100.0, log=True),
        "max_features": trial.suggest_float("max_features", 0.3, 1.0),
    }


def _table(sample: Sample) -> np.ndarray:
    inputs = sample.take(slice(None))
    return np.concatenate([inputs[name] for name in ("table", "context") if name in inputs], axis=1)


MODEL = Model("gradient-boosted trees (scikit-learn)", "table", DEFAULTS, space, fit=fit, load=load)
