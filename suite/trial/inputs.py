"""What a model is given of a dataset: its view, cut to a set of features, the parts of the split, scaled."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from hepbench.benchmarks import scaling
from hepbench.benchmarks.base import Sample, Task, UserError
from hepbench.suite.data.dataset import Prepared, view_of
from hepbench.suite.data.split import PARTS
from hepbench.suite.trial.spec import Trial, cut


def samples_of(
    trial: Trial,
    prepared: Prepared,
    rows: Mapping[str, np.ndarray],
    fitted: Mapping[str, tuple[np.ndarray, np.ndarray]] | None = None,
) -> dict[str, Sample]:
    """Each part as the model sees it. rows: as `split_events` gives them. fitted: shifts and scales of the run that a
    training starts from; None: those of the training part."""
    samples = _unscaled(trial, prepared, rows)
    if fitted is None:
        fitted = scaling.fit_scaling(samples["train"], trial.hyperparameters.get("scaling", scaling.DEFAULT))
    return {part: dataclasses.replace(sample, scaling=fitted) for part, sample in samples.items()}


def check_scaling(trial: Trial, prepared: Prepared, rows: Mapping[str, np.ndarray]) -> None:
    """UserError where the scaling that the trial asks for meets a column that it cannot bring to its size. A model's
    default leaves such a column as it is."""
    asked = trial.spec.parameters.get("scaling")
    if not asked or trial.spec.start:
        return
    train = _unscaled(trial, prepared, rows)["train"]
    if constant := scaling.constant_columns(train, asked):
        name, column = constant[0]
        what = "the same" if scaling.methods_of(asked)[name] != "max" else "0"
        more = f", and so are {len(constant) - 1} more" if len(constant) > 1 else ""
        raise UserError(
            f"scaling={asked}: {_named(trial.task.record, name, column)} is {what} in all {len(train):,} training "
            f"events{more}: leave scaling out, or give none or standard"
        )


def _unscaled(trial: Trial, prepared: Prepared, rows: Mapping[str, np.ndarray]) -> dict[str, Sample]:
    view, settings = trial.model.record.view, trial.hyperparameters
    whole = view_of(trial.task, prepared, view, settings.get("features", "")) if view else {}
    inputs = cut(trial.task.record, whole, settings)
    return {part: Sample(inputs, rows[part], prepared.labels[rows[part]]) for part in PARTS}


def _named(task: Task, name: str, column: int) -> str:
    variables = {"table": task.variables, "context": task.context}.get(name, ())
    if column < len(variables):
        return f"the variable {variables[column]}"
    return {"image": f"channel {column} of the image", "features": f"feature {column} of the points"}.get(
        name, f"column {column} of the {name}"
    )
