"""Gradient-boosted trees of scikit-learn, on a table of variables: a second implementation beside XGBoost's.

Trees over histograms as in LightGBM (Ke et al., NeurIPS 2017). A saved model is arrays of numbers.

    make bench TASK=ecal MODEL="gbdt hist_gbdt"
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hepbench.benchmarks import metrics
from hepbench.benchmarks.base import Model, Parameters, Report, Sample

if TYPE_CHECKING:
    import optuna


FILE = "trees.npz"

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
    """A trained ensemble for labels 0 to classes - 1.

    nodes: (n,) of all trees, one tree after the other, as scikit-learn has them (PREDICTOR_RECORD_DTYPE). lengths:
    (rounds, K) nodes of each tree; K is 1 where two labels were seen, else their number. baseline: (K,), what the trees
    add to. known: labels that were seen.
    """

    nodes: np.ndarray
    lengths: np.ndarray
    baseline: np.ndarray
    known: np.ndarray
    classes: int

    @property
    def trainable_parameters(self) -> int:
        """Leaves and splits of all trees."""
        return len(self.nodes)

    def predict(self, sample: Sample) -> np.ndarray:
        from scipy.special import expit, softmax

        scores = np.zeros((len(sample), self.classes), np.float32)
        if len(sample):
            values = self.baseline + self._sums(_table(sample).astype(np.float64))
            if len(self.baseline) == 1:
                signal = expit(values[:, 0])
                scores[:, self.known] = np.stack([1 - signal, signal], axis=1)
            else:
                scores[:, self.known] = softmax(values, axis=1)
        return scores

    def _sums(self, table: np.ndarray) -> np.ndarray:
        """(n, K) sums of the trees' values of events (n, V)."""
        from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
        from sklearn.utils._openmp_helpers import _openmp_effective_n_threads

        splits = self.nodes["feature_idx"][self.nodes["is_leaf"] == 0]
        if splits.max(initial=0) >= table.shape[1]:
            raise ValueError(f"the trees split in variable {splits.max()} of {table.shape[1]}")
        no_categories = np.zeros((0, 8), np.uint32)
        places, threads = np.zeros(table.shape[1], np.uint32), _openmp_effective_n_threads()
        sums = np.zeros((len(table), self.lengths.shape[1]), order="F")
        trees = np.split(self.nodes, np.cumsum(self.lengths)[:-1])
        for number, nodes in enumerate(trees):
            tree = TreePredictor(nodes, no_categories, no_categories)
            sums[:, number % self.lengths.shape[1]] += tree.predict(table, no_categories, places, threads)
        return sums

    def save(self, folder: Path) -> None:
        np.savez(
            folder / FILE,
            nodes=self.nodes,
            lengths=self.lengths,
            baseline=self.baseline,
            known=self.known,
            classes=self.classes,
        )


def fit(
    train: Sample, valid: Sample, parameters: Parameters, *, classes: int, seed: int, device: str, report: Report
) -> Trees:
    """Trees until log-loss on the validation part has not fallen for `patience` rounds; those after the best round,
    which scikit-learn keeps, are cut off. Reports at the end, since scikit-learn tells nothing on the way. Runs on the
    processor."""
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
    weights = {"sample_weight": train.weights, "sample_weight_val": valid.weights}
    machine.fit(_table(train), train.labels, X_val=_table(valid), y_val=valid.labels, **weights)
    best = 1 + int(np.argmax(machine.validation_score_[1:]))  # the first is that of no tree
    trees = [[tree.nodes for tree in trees] for trees in machine._predictors[:best]]
    fitted = Trees(
        np.concatenate([nodes for one in trees for nodes in one]),
        np.array([[len(nodes) for nodes in one] for one in trees]),
        machine._baseline_prediction[0],
        machine.classes_,
        classes,
    )
    values = {"loss": metrics.log_loss(train.labels, fitted.predict(train), 1, train.weights)[0]}
    scores = fitted.predict(valid)
    values |= {
        "val_loss": metrics.log_loss(valid.labels, scores, 1, valid.weights)[0],
        "val_auc": metrics.auc(valid.labels, scores, 1, valid.weights)[0],
    }
    report(1, values)
    return fitted


def load(folder: Path) -> Trees:
    """What `Trees.save` wrote. ValueError where the arrays are no trees: scikit-learn follows them unchecked."""
    from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE

    with np.load(folder / FILE) as saved:
        nodes, lengths, baseline, known = (saved[name] for name in ("nodes", "lengths", "baseline", "known"))
        classes = int(saved["classes"])
    if nodes.dtype != PREDICTOR_RECORD_DTYPE or lengths.dtype.kind != "i" or lengths.ndim != 2 or lengths.min() < 1:
        raise ValueError(f"{FILE} holds no trees of this version of scikit-learn")
    place = np.arange(len(nodes)) - np.repeat(np.cumsum(lengths) - lengths.ravel(), lengths.ravel())
    end = np.repeat(lengths.ravel(), lengths.ravel())
    split = nodes["is_leaf"] == 0
    whole = (nodes["is_categorical"] == 0) & (nodes["feature_idx"] >= 0)
    for side in ("left", "right"):  # which are behind their node, so that every way ends
        whole &= (nodes[side] > place) & (nodes[side] < end)
    if not whole[split].all() or baseline.shape != (lengths.shape[1],) or not set(known) <= set(range(classes)):
        raise ValueError(f"the trees in {FILE} are not whole")
    return Trees(nodes, lengths, baseline, known, classes)


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


MODEL = Model("gradient-boosted trees (scikit-learn)", "table", DEFAULTS, space, fit=fit, load=load, takes_missing=True)
