"""Gradient-boosted trees of CatBoost (1706.09516), with one split at each depth, on a table of variables.

A saved model is arrays of numbers, of which CatBoost's JSON is made again. Needs the package catboost
(`pip install 'hepbench[boosted]'`).

    make bench TASK=ecal MODEL="gbdt catboost"
"""

from __future__ import annotations

import json
import tempfile
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
    import catboost
    import optuna


FILE = "trees.npz"
DEEPEST = 16
"""CatBoost's own limit."""

DEFAULTS = {
    "rounds": 2000,
    "patience": 50,
    "learning_rate": 0.1,
    "depth": 6,
    "l2_leaf_reg": 3.0,
    "random_strength": 1.0,
    "border_count": 254,
}


@dataclass(frozen=True)
class Trees:
    """Boosted trees, up to their best round.

    depths: (trees,) splits of each. feature, border: (D,) of the splits, one tree after the other; border in 32 bits.
    value: (L * outputs,) of the 2^depth leaves of each tree, the outputs of a leaf side by side; an event is in the
    leaf whose bit d says whether it is above the border of split d. bias: (outputs,) what they add to. variables: of an
    event. timings: train_seconds, the binning of the variables included.
    """

    depths: np.ndarray
    feature: np.ndarray
    border: np.ndarray
    value: np.ndarray
    bias: np.ndarray
    variables: int
    booster: catboost.CatBoost
    timings: dict[str, float] = field(default_factory=dict)

    @property
    def trainable_parameters(self) -> int:
        """Values of the leaves, and splits, of all trees."""
        return len(self.feature) + len(self.value)

    def predict(self, sample: Sample) -> np.ndarray:
        return np.asarray(np.exp(self.predict_log(sample)))

    def predict_log(self, sample: Sample) -> np.ndarray:
        table = np.ascontiguousarray(table_of(sample), np.float32)
        if table.shape[1] != self.variables:
            raise ValueError(
                f"the trees were trained on {self.variables} variables, and the events have {table.shape[1]}"
            )
        if not len(sample):
            return np.zeros((0, max(2, len(self.bias))), np.float32)
        logits = self.booster.predict(table, prediction_type="RawFormulaVal", thread_count=cores())
        return log_scores_of(logits if logits.ndim == 2 else logits[:, None])

    def save(self, folder: Path) -> None:
        arrays: dict[str, Any] = {name: getattr(self, name) for name in (*OF_TREES, "variables")}
        np.savez(folder / FILE, **arrays)


OF_TREES = ("depths", "feature", "border", "value", "bias")


def fit(
    train: Sample, valid: Sample, parameters: Parameters, *, classes: int, seed: int, device: str, report: Report
) -> Trees:
    """Trees on table (N, V) and context (N, K) where there is one, until log-loss on the validation part has not
    fallen for `patience` rounds. Reports round 1 and every tenth; of more than two classes, the AUC mu of Kleiman and
    Page (ICML 2019). Runs on the processor: on a GPU CatBoost tells nothing before its end."""
    import catboost

    binary = classes == 2
    loss, auc = ("Logloss", "AUC") if binary else ("MultiClass", "AUC:type=Mu")
    options = {name: parameters[name] for name in DEFAULTS if name not in ("rounds", "patience")}
    options |= {
        "iterations": parameters["rounds"],
        "loss_function": loss,
        "custom_metric": [f"{auc}{':' if binary else ';'}hints=skip_train~true"],
        "boosting_type": "Plain",  # "Ordered", which small data have otherwise, takes many times as long
        "od_type": "Iter",
        "od_wait": parameters["patience"],
        "use_best_model": True,
        "thread_count": cores(),
        "random_seed": seed,
        "allow_writing_files": False,
        "logging_level": "Silent",
    }
    if not binary:
        options["classes_count"] = classes

    class Reporter:
        def after_iteration(self, state: Any) -> bool:
            done = state.iteration
            if done == 1 or done % REPORTED == 0:
                learned, tested = state.metrics["learn"], state.metrics["validation"]
                told = {"loss": learned[loss], "val_loss": tested[loss], "val_auc": tested[auc]}
                report(done, {name: float(values[-1]) for name, values in told.items()})
            return True

    started = time.perf_counter()
    trained, tested = (
        catboost.Pool(table_of(one), one.labels, weight=one.weights, thread_count=cores()) for one in (train, valid)
    )
    booster = catboost.CatBoost(options)
    booster.fit(trained, eval_set=tested, callbacks=[Reporter()])
    seconds = time.perf_counter() - started
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "trees.json"
        booster.save_model(str(path), format="json")
        saved = json.loads(path.read_text())
    return _with_booster(_read(saved), len(saved["features_info"]["float_features"]), {"train_seconds": seconds})


def load(folder: Path) -> Trees:
    """What `Trees.save` wrote. ValueError where the arrays are no trees: CatBoost follows a file unchecked."""
    with np.load(folder / FILE) as saved:
        arrays = {name: saved[name] for name in OF_TREES}
        variables = int(saved["variables"])
    if not _is_whole(arrays, variables):
        raise ValueError(f"the trees in {FILE} are not whole")
    return _with_booster(arrays, variables)


def _is_whole(arrays: Mapping[str, np.ndarray], variables: int) -> bool:
    """Whether every split has its numbers, and every tree the values of all of its leaves."""
    kinds = {"depths": "i", "feature": "i", "border": "f", "value": "f", "bias": "f"}
    if any(arrays[name].ndim != 1 or arrays[name].dtype.kind != kind for name, kind in kinds.items()):
        return False
    depths, feature = arrays["depths"], arrays["feature"]
    if not len(depths) or depths.min() < 0 or depths.max() > DEEPEST or not len(arrays["bias"]):
        return False
    whole = len(feature) == len(arrays["border"]) == depths.sum()
    whole &= len(arrays["value"]) == np.exp2(depths).sum() * len(arrays["bias"])
    whole &= bool(((feature >= 0) & (feature < variables)).all())
    return whole and all(bool(np.isfinite(arrays[name]).all()) for name in ("border", "value", "bias"))


def _read(saved: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The arrays of CatBoost's JSON, of trees without categories and missing values."""
    trees = saved["oblivious_trees"]
    splits = [split for tree in trees for split in tree.get("splits") or ()]
    scale, bias = saved["scale_and_bias"]
    return {
        "depths": np.array([len(tree.get("splits") or ()) for tree in trees], np.int64),
        "feature": np.array([split["float_feature_index"] for split in splits], np.int64),
        "border": np.array([split["border"] for split in splits], np.float32),
        "value": scale * np.array([value for tree in trees for value in tree["leaf_values"]], np.float64),
        "bias": np.array(bias, np.float64),
    }


def _with_booster(arrays: Mapping[str, np.ndarray], variables: int, timings: dict[str, float] | None = None) -> Trees:
    """The trees with CatBoost's own of them, made of a JSON that holds no more than these arrays."""
    import catboost

    depths, feature, border = (arrays[name] for name in ("depths", "feature", "border"))
    borders = [np.unique(border[feature == number]) for number in range(variables)]
    before = np.cumsum([0, *map(len, borders)])  # which are numbered over all variables
    numbers = [int(before[one] + np.searchsorted(borders[one], at)) for one, at in zip(feature, border, strict=True)]
    splits = [
        {"border": float(at), "float_feature_index": int(one), "split_index": number, "split_type": "FloatFeature"}
        for one, at, number in zip(feature, border, numbers, strict=True)
    ]
    ends, leaves = np.cumsum(depths), np.cumsum(2**depths * len(arrays["bias"]))
    trees = [
        {"splits": splits[end - depth : end], "leaf_values": values.tolist()}
        for depth, end, values in zip(depths, ends, np.split(arrays["value"], leaves[:-1]), strict=True)
    ]
    described = [
        {
            "borders": borders[number].tolist(),
            "feature_id": "",
            "feature_index": number,
            "flat_feature_index": number,
            "has_nans": False,
            "nan_value_treatment": "AsIs",
        }
        for number in range(variables)
    ]
    text = {"features_info": {"float_features": described}, "model_info": {}, "oblivious_trees": trees}
    booster = catboost.CatBoost()
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "trees.json"
        path.write_text(json.dumps(text | {"scale_and_bias": [1, arrays["bias"].tolist()]}))
        booster.load_model(str(path), format="json")
    return Trees(**arrays, variables=variables, booster=booster, timings=timings or {})


def space(trial: optuna.Trial) -> dict[str, Any]:
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.02, 0.3, log=True),
        "depth": trial.suggest_int("depth", 4, 10),
        "l2_leaf_reg": trial.suggest_float("l2_leaf_reg", 0.1, 100.0, log=True),
        "random_strength": trial.suggest_float("random_strength", 0.0, 2.0),
    }


MODEL = Model(
    title="gradient-boosted trees (CatBoost)",
    view="table",
    defaults=DEFAULTS,
    space=space,
    fit=fit,
    load=load,
    source="1706.09516",
    package="catboost",
)
