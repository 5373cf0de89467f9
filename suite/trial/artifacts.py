"""What a trial leaves, written and read again: the model with its scaling, the scores, curves."""

from __future__ import annotations

import collections
import csv
import dataclasses
import json
import re
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import Fitted, Sample, Scaling, Shapes, UserError
from hepbench.benchmarks.scored import Scored, logarithms
from hepbench.suite.trial.spec import Spec, Trial, command_for, look_up

SCORES, VALIDATION_SCORES = "scores.parquet", "validation_scores.parquet"
"""Of the test part, and of the validation part, by which an ensemble is chosen."""


@dataclasses.dataclass(frozen=True)
class SavedModel:
    """A trained model as `load_model` gives it.

    scaling: as `Sample.scaling`, fitted on the training part. shapes: of an event in each input that it was trained on;
    None where an older version did not keep them.
    """

    trial: Trial
    fitted: Fitted
    scaling: Scaling
    shapes: Shapes | None


def save_model(folder: Path, fitted: Fitted, trial: Trial, train: Sample) -> None:
    """A folder from which `load_model` makes the trained model again, with the scaling that was fitted for it on
    `train`."""
    folder.mkdir()
    fitted.save(folder)
    arrays: dict[str, Any] = {f"{name}|{i}": x for name, pair in train.scaling.items() for i, x in enumerate(pair)}
    np.savez(folder / "scaling.npz", **arrays)
    about = {
        "spec": dataclasses.asdict(trial.spec),
        "parameters": trial.hyperparameters,
        "classes": trial.task.record.classes,
        "shapes": train.raw_shapes,
    }
    (folder / "trial.json").write_text(json.dumps(about, indent=1))


def load_model(folder: Path, *, task: str | None = None, model: str | None = None) -> SavedModel:
    """What `save_model` wrote. Nothing in the folder is run as code: a user's own file of a task or a model is loaded
    only where it is given here again.

    UserError where that is missing, where the model's code has changed so much since that it does not load or the
    classes of its task have, and where the folder is none of `save_model`.
    """
    from hepbench.suite.training.network import load_network, objects_of
    from hepbench.suite.training.torch_network import TORCH_FILE, load_torch

    try:
        about = json.loads((folder / "trial.json").read_text(encoding="utf-8"))
        recorded = Spec(**about["spec"])
        names = [recorded.task, recorded.model, recorded.budget, recorded.data, recorded.device, recorded.backend]
        if not all(isinstance(name, str) for name in names) or not isinstance(recorded.parameters, dict):
            raise TypeError("a spec of other types")
        shapes = {name: tuple(shape) for name, shape in about["shapes"].items()} if "shapes" in about else None
        with np.load(folder / "scaling.npz") as saved:
            inputs = collections.Counter(key.rsplit("|", 1)[0] for key in saved.files)
            scaling = {name: tuple(saved[f"{name}|{i}"] for i in range(number)) for name, number in inputs.items()}
            if odd := [name for name, arrays in scaling.items() if len(arrays) not in (2, 4)]:
                raise TypeError(f"a scaling of {odd[0]} of other arrays")
    except Exception as error:  # whatever a file of anyone makes json and numpy raise
        raise UserError(f"{folder}: no saved model, or a damaged one ({_reason(error)})") from error
    task, model = _given("task", recorded.task, task), _given("model", recorded.model, model)
    trial = look_up(dataclasses.replace(recorded, task=task, model=model))
    if reason := trial.model.record.missing_package:
        raise UserError(f"this model of {trial.model.name} {reason}")
    classes = trial.task.record.classes
    if tuple(about.get("classes", classes)) != classes:
        raise UserError(
            f"this model was trained on the classes {', '.join(map(str, about['classes']))}, and {trial.task.name} now "
            f"has {', '.join(classes)}: train it again with `{command_for(trial.spec)}`"
        )
    try:
        own = {} if trial.model.shipped else objects_of(sys.modules[trial.model.module])
        load: Callable[[Path], Fitted] = partial(load_network, objects=own)
        if (record := trial.model.record).load:
            load = record.load
        elif record.build and (folder / TORCH_FILE).is_file():
            load = partial(load_torch, build=record.build)
        fitted = load(folder)
    except Exception as error:  # whatever Keras or a user's `load` raises
        raise UserError(
            f"this model of {trial.model.name} was saved by another version, or damaged, and does not load "
            f"({_reason(error)}): train it again with `{command_for(trial.spec)}`"
        ) from error
    return SavedModel(trial, fitted, scaling, shapes)


def _given(kind: registry.Kind, recorded: str, given: str | None) -> str:
    """What finds the task or model of a saved model. UserError where it is a user's file, whose code would run, and is
    not given."""
    file = _FILE.fullmatch(recorded)
    if file is None:
        if given not in (None, recorded):
            raise UserError(f"the {kind} of this run is {recorded}, not {given}: leave --{kind} out")
        return recorded
    path, name = Path(file["path"]), Path(file["path"]).name
    if given is None:
        raise UserError(
            f"the {kind} of this run is a file of its user, {name}, whose code runs where the model is loaded: give "
            f"the file that you trust, --{kind} {shlex.quote(str(path))}"
        )
    own = _FILE.fullmatch(given)
    if own is None or Path(own["path"]).name != name or own["entry"] not in (None, file["entry"]):
        raise UserError(f"the {kind} of this run is {recorded}, not {given}: give --{kind} its own file")
    return own["path"] if file["entry"] is None else f"{own['path']}:{file['entry']}"


_FILE = re.compile(r"(?P<path>.+\.py)(:(?P<entry>.*))?", re.DOTALL)
"""A user's file of tasks or models, and which of them."""


def _reason(error: Exception, longest: int = 200) -> str:
    """The last line of a message, to its first full stop."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[-1].partition(". ")[0][:longest]


def write_scores(path: Path, found: StoredScores, classes: Sequence[str]) -> None:
    """Parquet with a row for each event, as `scores_table` has them."""
    import pyarrow.parquet as pq

    pq.write_table(scores_table(np.asarray(found.ids), found.labels, found.scores, classes, found.weights), path)


def scores_table(
    ids: np.ndarray,
    labels: np.ndarray,
    scores: np.ndarray,
    classes: Sequence[str],
    weights: np.ndarray | None = None,
) -> Any:
    """Arrow table of ids (n,), labels (n,), null where one is negative, weights (n,) where there are some, and for each
    class a column score_<class>, its probability, and log_probability_<class>. scores: (n, classes) logarithms of
    probabilities."""
    import pyarrow as pa

    columns = {"id": pa.array(ids, pa.int64()), "label": pa.array(labels.astype(np.int8), mask=labels < 0)}
    if weights is not None:
        columns["weight"] = pa.array(weights, pa.float32())
    logs = scores.astype(np.float32)
    columns |= {f"score_{name}": np.exp(logs[:, i]) for i, name in enumerate(classes)}
    columns |= {f"log_probability_{name}": logs[:, i] for i, name in enumerate(classes)}
    return pa.table(columns)


@dataclasses.dataclass(frozen=True)
class StoredScores:
    """What a trial keeps of a part of its events. ids: (n,). labels: (n,). scores: (n, classes) logarithms of
    probabilities. weights: (n,) by which they are measured, as the files have them; None: each counts one."""

    ids: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    weights: np.ndarray | None = None

    def scored(self) -> Scored:
        """As the metrics take them. ValueError as of `Scored`."""
        return Scored(self.labels, self.scores, self.weights)

    def taken(self, which: np.ndarray) -> StoredScores:
        """Those of these places, in their order."""
        weights = None if self.weights is None else self.weights[which]
        return StoredScores(self.ids[which], self.labels[which], self.scores[which], weights)


def read_scores(path: Path) -> StoredScores:
    """A file that a trial wrote; one of an older version has probabilities alone."""
    import pyarrow.parquet as pq

    table = pq.read_table(path)

    def columns(beginning: str) -> list[np.ndarray]:
        return [table[name].to_numpy() for name in table.column_names if name.startswith(beginning)]

    logs = columns("log_probability_")
    scores = np.column_stack(logs) if logs else logarithms(np.column_stack(columns("score_")))
    weights = table["weight"].to_numpy() if "weight" in table.column_names else None
    return StoredScores(table["id"].to_numpy(), table["label"].to_numpy().astype(np.int64), scores, weights)


def log_scores(fitted: Fitted, sample: Sample) -> np.ndarray:
    """(n, classes) logarithms of the scores of a trained model, by its `predict_log` where it has one."""
    own = getattr(fitted, "predict_log", None)
    scores = own(sample) if own else fitted.predict(sample)
    return np.asarray(scores if own else logarithms(scores))


def write_roc(path: Path, curves: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    """CSV of ROC curves: threshold, signal_efficiency, background_efficiency; of several curves below each other, with
    a first column `curve` of their names."""
    if len(curves) == 1:
        (curve,) = curves.values()
        write_csv(path, dict(curve))
        return
    with path.open("w", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        for name, curve in curves.items():
            if not file.tell():
                lines.writerow(["curve", *curve])
            for point in zip(*curve.values(), strict=True):
                lines.writerow([name, *(f"{value:.9g}" for value in point)])


def read_roc(path: Path) -> dict[str, dict[str, np.ndarray]]:
    """What `write_roc` wrote; a curve alone is called ""."""
    with path.open(newline="") as file:
        heading, *lines = csv.reader(file)
    named = heading[0] == "curve"
    names = np.array([line[0] if named else "" for line in lines])
    points = np.array([line[named:] for line in lines], float)
    return {
        str(name): dict(zip(heading[named:], points[names == name].T, strict=True)) for name in dict.fromkeys(names)
    }


def write_confusion(path: Path, confusion: np.ndarray, classes: Sequence[str]) -> None:
    """CSV: a row for each true class, with how many of its events score highest in each class."""
    with path.open("w", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(["true class", *classes])
        lines.writerows([name, *row] for name, row in zip(classes, confusion.tolist(), strict=True))


def write_csv(path: Path, columns: dict[str, Any]) -> None:
    """Numbers under headings, a column each, all of one length."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerow(columns)
        np.savetxt(
            file,
            np.column_stack([np.asarray(values, dtype=float) for values in columns.values()]),
            delimiter=",",
            fmt="%.9g",
        )
