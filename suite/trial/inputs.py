"""What a model is given of a dataset: its view, cut to a set of features, the parts of the split, scaled."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from hepbench.benchmarks import metrics, scaling
from hepbench.benchmarks.base import Arrays, Sample, Scaling, Task, UserError
from hepbench.benchmarks.registry import Entry
from hepbench.suite.data.dataset import Prepared, view_of
from hepbench.suite.data.split import PARTS
from hepbench.suite.data.weights import training_weights, weights_of
from hepbench.suite.trial.spec import Trial, cut

FEW = 1000
"""Events that tell whether the slices of a task are right, before anything is trained."""


def slices_of(task: Entry[Task], arrays: Arrays) -> dict[str, np.ndarray]:
    """Name -> (N,) integers, of the task's slices. UserError where one gives something else, or where the metrics of
    two would have one name."""
    found: dict[str, np.ndarray] = {}
    events = len(next(iter(arrays.values())))
    for name, value_of in task.record.slices.items():
        where = f"{task.path}: the slice {name!r}"
        twins = [other for other in found if metrics.slice_key(other) == metrics.slice_key(name)]
        if twins:
            raise UserError(f"{where} has the metrics auc_... of the slice {twins[0]!r}: rename one of the two")
        try:
            values = np.asarray(value_of(arrays))
        except Exception as error:  # whatever a user's file raises
            raise UserError(f"{where} fails: {type(error).__name__}: {error}") from error
        if values.shape != (events,) or values.dtype.kind not in "iub":
            raise UserError(
                f"{where} must give a whole number for each of {events:,} events, such as np.digitize does, but it "
                f"gives {values.dtype} of shape {values.shape}"
            )
        found[name] = values
    return found


def check_slices(task: Entry[Task], prepared: Prepared) -> None:
    """UserError as `slices_of`, by a few events."""
    slices_of(task, {name: array[:FEW] for name, array in prepared.arrays.items()})


def check_weights(task: Entry[Task], prepared: Prepared, rows: Mapping[str, np.ndarray]) -> None:
    """UserError where the weights of a part cannot weigh its events, before anything is trained."""
    for part in PARTS:
        weights_of(task, prepared, rows[part], "testing" if part == "test" else "training")


def samples_of(
    trial: Trial,
    prepared: Prepared,
    rows: Mapping[str, np.ndarray],
    fitted: Scaling | None = None,
) -> dict[str, Sample]:
    """Each part as the model sees it. rows: as `split_events` gives them. fitted: shifts and scales of the run that a
    training starts from; None: those of the training part."""
    samples = _unscaled(trial, prepared, rows)
    if fitted is None:
        train = _with_filling(trial, samples["train"])
        fitted = scaling.fit_scaling(train, trial.hyperparameters.get("scaling", scaling.DEFAULT))
        if trial.model.record.takes_missing:
            fitted = scaling.without_filling(fitted)
    return {part: dataclasses.replace(sample, scaling=fitted) for part, sample in samples.items()}


def check_scaling(trial: Trial, prepared: Prepared, rows: Mapping[str, np.ndarray]) -> None:
    """UserError where the scaling that the trial asks for meets a column that it cannot bring to its size. A model's
    default leaves such a column as it is."""
    asked = trial.spec.parameters.get("scaling")
    if not asked or trial.spec.start:
        return
    train = _with_filling(trial, _unscaled(trial, prepared, rows)["train"])
    if constant := scaling.constant_columns(train, asked):
        name, column = constant[0]
        what = "the same" if scaling.methods_of(asked)[name] != "max" else "0"
        more = f", and so are {len(constant) - 1} more" if len(constant) > 1 else ""
        raise UserError(
            f"scaling={asked}: {_named(trial.task.record, name, column)} is {what} in all {len(train):,} training "
            f"events{more}: leave scaling out, or give none or standard"
        )


def missing_told(trial: Trial, train: Sample) -> dict[str, str]:
    """What a run tells of missing values; nothing where its task has none, or the model no inputs that may have."""
    if not trial.task.record.missing or not set(scaling.FILLED) & train.inputs.keys():
        return {}
    if trial.model.record.takes_missing:
        return {"missing": "taken as they are"}
    marks = sum(len(marked) for _, _, *filling in train.scaling.values() for marked in filling[1:])
    where = f"a column each for {marks} variable{'s' * (marks != 1)} that tells where"
    return {"missing": f"filled with the median of the training part, {where}"}


def _with_filling(trial: Trial, train: Sample) -> Sample:
    return scaling.with_filling(train) if trial.task.record.missing else train


def _unscaled(trial: Trial, prepared: Prepared, rows: Mapping[str, np.ndarray]) -> dict[str, Sample]:
    view, settings = trial.model.record.view, trial.hyperparameters
    whole = view_of(trial.task, prepared, view, settings.get("features", "")) if view else {}
    inputs = cut(trial.task.record, whole, settings)
    return {
        part: Sample(
            inputs,
            rows[part],
            prepared.labels[rows[part]],
            weights=None if part == "test" else training_weights(trial.task, prepared, rows[part]),
        )
        for part in PARTS
    }


def _named(task: Task, name: str, column: int) -> str:
    variables = {"table": task.variables, "context": task.context}.get(name, ())
    if column < len(variables):
        return f"the variable {variables[column]}"
    return {"image": f"channel {column} of the image", "features": f"feature {column} of the points"}.get(
        name, f"column {column} of the {name}"
    )
