"""Gradient-boosted decision trees, XGBoost (1603.02754), on a table of variables.

make bench TASK=ecal MODEL=gbdt
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hepbench.benchmarks.base import Model, Parameters, Report, Sample
from hepbench.benchmarks.boosting import REPORTED, cores, table_of
from hepbench.benchmarks.scored import log_scores_of

if TYPE_CHECKING:
    import optuna
    import xgboost


FILE = "trees.json"

DEFAULTS = {
    "rounds": 2000,
    "patience": 50,
    "learning_rate": 0.05,
    "max_depth": 6,
    "min_child_weight": 5.0,
    "subsample": 0.8,
    "colsample_bytree": 0.6,
    "reg_lambda": 1.0,
    "max_bin": 256,
}


@dataclass(frozen=True)
class Trees:
    """Boosted trees, up to their best round. timings: train_seconds, the binning of the variables included."""

    booster: xgboost.Booster
    timings: dict[str, float] = field(default_factory=dict)

    @property
    def trainable_parameters(self) -> int:
        """Leaves and splits of all trees."""
        return sum(line.count("leaf=") + line.count("[") for line in self.booster.get_dump())

    def predict(self, sample: Sample) -> np.ndarray:
        return np.asarray(np.exp(self.predict_log(sample)))

    def predict_log(self, sample: Sample) -> np.ndarray:
        logits = self.booster.inplace_predict(table_of(sample), predict_type="margin")
        return log_scores_of(logits if logits.ndim == 2 else logits[:, None])

    def save(self, folder: Path) -> None:
        self.booster.save_model(folder / FILE)


def fit(
    train: Sample, valid: Sample, parameters: Parameters, *, classes: int, seed: int, device: str, report: Report
) -> Trees:
    """Trees on table (N, V) and context (N, K) where there is one, until log-loss on the validation part has not
    fallen for `patience` rounds. Reports round 1 and every tenth."""
    import xgboost

    loss = "logloss" if classes == 2 else "mlogloss"
    options = {name: parameters[name] for name in DEFAULTS if name not in ("rounds", "patience")}
    options |= {
        "objective": "binary:logistic" if classes == 2 else "multi:softprob",
        "eval_metric": [loss, "auc"],
        "tree_method": "hist",
        "device": "cuda" if device == "gpu" else "cpu",
        "nthread": cores(),
        "seed": seed,
    }
    if classes > 2:
        options["num_class"] = classes

    class Reporter(xgboost.callback.TrainingCallback):
        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            if epoch == 0 or (epoch + 1) % REPORTED == 0:
                values = {"loss": evals_log["train"][loss], "val_loss": evals_log["valid"][loss]}
                values["val_auc"] = evals_log["valid"]["auc"]
                report(epoch + 1, {name: float(rounds[-1]) for name, rounds in values.items()})
            return False

    stop = xgboost.callback.EarlyStopping(
        rounds=parameters["patience"], metric_name=loss, data_name="valid", save_best=True
    )
    started = time.perf_counter()
    trained = xgboost.QuantileDMatrix(
        table_of(train),
        train.labels,
        weight=train.weights,
        max_bin=parameters["max_bin"],
        nthread=options["nthread"],
    )
    tested = xgboost.QuantileDMatrix(
        table_of(valid), valid.labels, weight=valid.weights, ref=trained, nthread=options["nthread"]
    )
    booster = xgboost.train(
        options,
        trained,
        parameters["rounds"],
        evals=[(trained, "train"), (tested, "valid")],
        callbacks=[stop, Reporter()],
        verbose_eval=False,
    )
    booster.set_param({"device": "cpu"})  # predictions do not depend on where a saved model is loaded
    return Trees(booster, {"train_seconds": time.perf_counter() - started})


def load(folder: Path) -> Trees:
    """What `Trees.save` wrote. ValueError where it is no forest: XGBoost follows what a file says unchecked."""
    import xgboost

    saved = json.loads((folder / FILE).read_text())
    if not _is_whole(saved):
        raise ValueError(f"the trees in {FILE} are not whole")
    booster = xgboost.Booster({"device": "cpu", "nthread": cores()})
    booster.load_model(bytearray(json.dumps(saved), "utf-8"))  # no other text than the one that was looked at
    return Trees(booster)


def _is_whole(saved: Any) -> bool:
    """Whether every tree of XGBoost's JSON has all numbers of its nodes, and every way through it ends."""
    learner = saved["learner"]
    features, outputs = (int(learner["learner_model_param"][name]) for name in ("num_feature", "num_class"))
    forest = learner["gradient_booster"]["model"]
    trees, ends = forest["trees"], forest["iteration_indptr"]
    whole = learner["gradient_booster"]["name"] == "gbtree"
    whole &= int(forest["gbtree_model_param"]["num_trees"]) == len(forest["tree_info"]) == len(trees) == ends[-1]
    whole &= ends[0] == 0 and ends == sorted(ends) and set(forest["tree_info"]) <= set(range(max(1, outputs)))
    for tree in trees:
        shape = {name: int(number) for name, number in tree["tree_param"].items()}
        nodes, no_categories = shape["num_nodes"], not any(tree[name] for name in CATEGORIES)
        numbers = {name: np.asarray(tree[name]) for name in OF_NODES}
        if nodes < 1 or any(array.shape != (nodes,) for array in numbers.values()):
            return False
        left, right, place = numbers["left_children"], numbers["right_children"], np.arange(nodes)
        leaf = (left == -1) & (right == -1)
        split = (left > place) & (left < nodes) & (right > place) & (right < nodes)
        split &= (numbers["split_indices"] >= 0) & (numbers["split_indices"] < features)
        whole &= bool((leaf | split).all()) and no_categories and not numbers["split_type"].any()
        whole &= (shape["size_leaf_vector"], shape["num_deleted"], shape["num_feature"]) == (1, 0, features)
    return bool(whole)


OF_NODES = (
    "base_weights",
    "default_left",
    "left_children",
    "loss_changes",
    "parents",
    "right_children",
    "split_conditions",
    "split_indices",
    "split_type",
    "sum_hessian",
)
CATEGORIES = ("categories", "categories_nodes", "categories_segments", "categories_sizes")
"""What XGBoost's JSON has of a tree: a number of each node, and splits by category, which there are none of here."""


def space(trial: optuna.Trial) -> dict[str, Any]:
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.2, log=True),
        "max_depth": trial.suggest_int("max_depth", 3, 10),
        "min_child_weight": trial.suggest_float("min_child_weight", 1.0, 100.0, log=True),
        "subsample": trial.suggest_float("subsample", 0.5, 1.0),
        "colsample_bytree": trial.suggest_float("colsample_bytree", 0.3, 1.0),
        "reg_lambda": trial.suggest_float("reg_lambda", 0.1, 100.0, log=True),
    }


MODEL = Model(
    title="gradient-boosted trees (XGBoost)",
    view="table",
    defaults=DEFAULTS,
    space=space,
    fit=fit,
    load=load,
    source="1603.02754",
    takes_missing=True,
)
