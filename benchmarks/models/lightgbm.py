"""Gradient-boosted trees of LightGBM (Ke et al., NeurIPS 2017), grown leaf by leaf, on a table of variables.

A saved model is arrays of numbers, of which LightGBM's text is made again. Needs the package lightgbm
(`pip install 'hepbench[boosted]'`).

    make bench TASK=ecal MODEL="gbdt lightgbm"
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hepbench.benchmarks.base import Model, Parameters, Report, Sample
from hepbench.benchmarks.boosting import REPORTED, cores, table_of
from hepbench.benchmarks.scored import log_scores_of

if TYPE_CHECKING:
    import lightgbm
    import optuna


FILE = "trees.npz"

DEFAULTS = {
    "rounds": 2000,
    "patience": 50,
    "learning_rate": 0.05,
    "num_leaves": 31,
    "min_data_in_leaf": 20,
    "bagging_fraction": 0.8,
    "feature_fraction": 0.6,
    "lambda_l2": 1.0,
    "max_bin": 255,
}


@dataclass(frozen=True)
class Trees:
    """Boosted trees, up to their best round.

    splits: (trees,) splits of each, which has one leaf more. feature, threshold: (S,) over the splits of all trees, one
    tree after the other; left, right: (S,) split of the same tree, or ~l of its leaf l; events with a value up to the
    threshold go left. value: (S + trees,) of the leaves. outputs: what tree t adds to is t % outputs. variables: of an
    event. timings: train_seconds, the binning of the variables included.
    """

    splits: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    value: np.ndarray
    outputs: int
    variables: int
    booster: lightgbm.Booster
    timings: dict[str, float] = field(default_factory=dict)

    @property
    def trainable_parameters(self) -> int:
        """Leaves and splits of all trees."""
        return len(self.feature) + len(self.value)

    def predict(self, sample: Sample) -> np.ndarray:
        return np.asarray(np.exp(self.predict_log(sample)))

    def predict_log(self, sample: Sample) -> np.ndarray:
        if not len(sample):
            return np.zeros((0, max(2, self.outputs)), np.float32)
        logits = np.asarray(self.booster.predict(table_of(sample), raw_score=True, num_threads=cores()))
        return log_scores_of(logits if logits.ndim == 2 else logits[:, None])

    def save(self, folder: Path) -> None:
        arrays: dict[str, Any] = {name: getattr(self, name) for name in (*OF_TREES, "outputs", "variables")}
        np.savez(folder / FILE, **arrays)


OF_TREES = ("splits", "feature", "threshold", "left", "right", "value")


def fit(
    train: Sample, valid: Sample, parameters: Parameters, *, classes: int, seed: int, device: str, report: Report
) -> Trees:
    """Trees on table (N, V) and context (N, K) where there is one, until log-loss on the validation part has not
    fallen for `patience` rounds. Reports round 1 and every tenth; of more than two classes, the AUC mu of Kleiman and
    Page (ICML 2019). Runs on the processor, where the installed package has its kernels."""
    import lightgbm

    binary = classes == 2
    loss, auc = ("binary_logloss", "auc") if binary else ("multi_logloss", "auc_mu")
    options = {name: parameters[name] for name in DEFAULTS if name not in ("rounds", "patience")}
    options |= {
        "objective": "binary" if binary else "multiclass",
        "metric": [loss, auc],
        "bagging_freq": 1,
        "num_threads": cores(),
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,  # else the faster of two ways is looked for, whose sums differ in rounding
        "verbosity": -1,
    }
    if not binary:
        options["num_class"] = classes

    def tell(state: Any) -> None:
        done = state.iteration + 1
        if done == 1 or done % REPORTED == 0:
            values = {(part, name): float(value) for part, name, value, *_ in state.evaluation_result_list}
            told = {"loss": values["train", loss], "val_loss": values["valid", loss], "val_auc": values["valid", auc]}
            report(done, told)

    started = time.perf_counter()
    trained = lightgbm.Dataset(table_of(train), train.labels, weight=train.weights, params=options)
    tested = lightgbm.Dataset(table_of(valid), valid.labels, weight=valid.weights, reference=trained, params=options)
    stop = lightgbm.early_stopping(parameters["patience"], first_metric_only=True, verbose=False)
    booster = lightgbm.train(
        options,
        trained,
        parameters["rounds"],
        valid_sets=[trained, tested],
        valid_names=["train", "valid"],
        callbacks=[tell, stop],
    )
    seconds = time.perf_counter() - started
    text = booster.model_to_string(num_iteration=booster.best_iteration)
    outputs = 1 if binary else classes
    return _with_booster(_read(text), outputs, booster.num_feature(), {"train_seconds": seconds})


def load(folder: Path) -> Trees:
    """What `Trees.save` wrote. ValueError where the arrays are no trees: LightGBM follows a text unchecked."""
    with np.load(folder / FILE) as saved:
        arrays = {name: saved[name] for name in OF_TREES}
        outputs, variables = int(saved["outputs"]), int(saved["variables"])
    if not _is_whole(arrays, outputs, variables):
        raise ValueError(f"the trees in {FILE} are not whole")
    return _with_booster(arrays, outputs, variables)


def _is_whole(arrays: Mapping[str, np.ndarray], outputs: int, variables: int) -> bool:
    """Whether every split has its numbers, and every way through a tree ends in a leaf of that tree."""
    splits, left, right = arrays["splits"], arrays["left"], arrays["right"]
    kinds = dict.fromkeys(OF_TREES, "i") | {"threshold": "f", "value": "f"}
    if any(arrays[name].ndim != 1 or arrays[name].dtype.kind != kind for name, kind in kinds.items()):
        return False
    total = int(splits.sum())
    if not len(splits) or splits.min() < 0 or outputs < 1 or len(splits) % outputs:
        return False
    if any(len(arrays[name]) != total for name in ("feature", "threshold", "left", "right")):
        return False
    if len(arrays["value"]) != total + len(splits) or not np.isfinite(arrays["value"]).all():
        return False
    place = np.arange(total) - np.repeat(np.cumsum(splits) - splits, splits)
    most = np.repeat(splits, splits)
    whole = (arrays["feature"] >= 0) & (arrays["feature"] < variables) & ~np.isnan(arrays["threshold"])
    for side in (left, right):  # a split is behind the one that leads to it
        whole &= np.where(side < 0, ~side <= most, (side > place) & (side < most))
    return bool(whole.all())


def _read(text: str) -> dict[str, np.ndarray]:
    """The arrays of LightGBM's text, of trees without categories, linear leaves and missing values."""
    trees = [
        dict(line.split("=", 1) for line in block.strip().splitlines())
        for block in text.split("\n\n")
        if block.strip().startswith("Tree=")
    ]
    names = {"feature": "split_feature", "threshold": "threshold", "left": "left_child", "right": "right_child"}
    arrays = {
        name: np.array(" ".join(tree[key] for tree in trees).split(), np.float64 if name == "threshold" else np.int64)
        for name, key in names.items()
    }
    arrays["splits"] = np.array([int(tree["num_leaves"]) - 1 for tree in trees], np.int64)
    arrays["value"] = np.array(" ".join(tree["leaf_value"] for tree in trees).split(), np.float64)
    return arrays


NO_CATEGORY = 2
"""What LightGBM's text has for a split by a number, of a variable without missing values."""


def _with_booster(
    arrays: Mapping[str, np.ndarray], outputs: int, variables: int, timings: dict[str, float] | None = None
) -> Trees:
    """The trees with LightGBM's own of them, made of a text that holds no more than these arrays."""
    import lightgbm

    ends = np.cumsum(arrays["splits"])
    rows = [
        dict(zip(("feature", "threshold", "left", "right"), some, strict=True))
        for some in zip(
            *(np.split(arrays[name], ends[:-1]) for name in ("feature", "threshold", "left", "right")), strict=True
        )
    ]
    leaves = np.split(arrays["value"], np.cumsum(arrays["splits"] + 1)[:-1])
    lines = ["tree", "version=v4", f"num_class={outputs}", f"num_tree_per_iteration={outputs}", "label_index=0"]
    lines += [f"max_feature_idx={variables - 1}", "feature_names=" + " ".join(f"v{i}" for i in range(variables))]
    lines += ["feature_infos=" + " ".join(["none"] * variables), ""]
    for number, (row, values) in enumerate(zip(rows, leaves, strict=True)):
        lines += [f"Tree={number}", f"num_leaves={len(values)}", "num_cat=0"]
        lines += [f"split_feature={_text(row['feature'])}", f"threshold={_text(row['threshold'])}"]
        lines += [f"decision_type={_text(np.full(len(values) - 1, NO_CATEGORY))}"]
        lines += [f"left_child={_text(row['left'])}", f"right_child={_text(row['right'])}"]
        lines += [f"leaf_value={_text(values)}", "is_linear=0", "shrinkage=1", "", ""]
    text = "\n".join([*lines, "end of trees", ""])
    booster = lightgbm.Booster(model_str=text)
    return Trees(**arrays, outputs=outputs, variables=variables, booster=booster, timings=timings or {})


def _text(values: np.ndarray) -> str:
    """Numbers that are read as the same."""
    return " ".join(map(repr, values.tolist()))


def space(trial: optuna.Trial) -> dict[str, Any]:
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.2, log=True),
        "num_leaves": trial.suggest_int("num_leaves", 7, 127, log=True),
        "min_data_in_leaf": trial.suggest_int("min_data_in_leaf", 5, 200, log=True),
        "bagging_fraction": trial.suggest_float("bagging_fraction", 0.5, 1.0),
        "feature_fraction": trial.suggest_float("feature_fraction", 0.3, 1.0),
        "lambda_l2": trial.suggest_float("lambda_l2", 1e-3, 100.0, log=True),
    }


MODEL = Model(
    title="gradient-boosted trees (LightGBM)",
    view="table",
    defaults=DEFAULTS,
    space=space,
    fit=fit,
    load=load,
    package="lightgbm",
)
