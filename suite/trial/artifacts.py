"""What a trial leaves: the model with its scaling, the scores, curves."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hepbench.benchmarks.base import Fitted, Sample, UserError
from hepbench.suite.trial.spec import Spec, Trial, command_for, cut, look_up


def save_model(
    folder: Path, fitted: Fitted, trial: Trial, scaling: Mapping[str, tuple[np.ndarray, np.ndarray]]
) -> None:
    """A folder from which `load_model` makes the trained model again, with the scaling that was fitted for it."""
    folder.mkdir()
    fitted.save(folder)
    arrays: dict[str, Any] = {f"{name}|{i}": x for name, pair in scaling.items() for i, x in enumerate(pair)}
    np.savez(folder / "scaling.npz", **arrays)
    about = {
        "spec": dataclasses.asdict(trial.spec),
        "parameters": trial.hyperparameters,
        "classes": trial.task.record.classes,
    }
    (folder / "trial.json").write_text(json.dumps(about, indent=1))


def load_model(folder: Path) -> tuple[Trial, Fitted, dict[str, tuple[np.ndarray, np.ndarray]]]:
    """(trial, trained model, scaling) from a folder that `save_model` wrote. UserError where the model's code has
    changed so much since that it does not load."""
    from hepbench.suite.training.network import load_network

    trial = look_up(Spec(**json.loads((folder / "trial.json").read_text())["spec"]))
    with np.load(folder / "scaling.npz") as saved:
        names = dict.fromkeys(key.rsplit("|", 1)[0] for key in saved.files)
        scaling = {name: (saved[f"{name}|0"], saved[f"{name}|1"]) for name in names}
    try:
        fitted = (trial.model.record.load or load_network)(folder)
    except Exception as error:  # whatever Keras or a user's `load` raises
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1].partition(". ")[0]
        raise UserError(
            f"this model of {trial.model.name} was saved by another version and does not load ({reason}): train it "
            f"again with `{command_for(trial.spec)}`"
        ) from error
    return trial, fitted, scaling


def predict_files(folder: Path, raw: list[Path], out: Path) -> int:
    """Score raw files of the task's format with a saved model; writes Parquet like a trial's. Returns the events."""
    trial, fitted, scaling = load_model(folder)
    task, model = trial.task.record, trial.model.record
    ids, labels, scores = [], [], []
    for events in task.read(raw):
        settings = trial.hyperparameters
        view = task.view(model.view, settings.get("features", "")) if model.view else None
        inputs = cut(task, view(events.arrays) if view else {}, settings)
        sample = Sample(inputs, np.arange(len(events.labels)), events.labels, scaling)
        scores.append(fitted.predict(sample))
        ids.append(events.ids)
        labels.append(events.labels)
    partial_out = out.with_name(f".{out.name}.part")
    write_scores(partial_out, np.concatenate(ids), np.concatenate(labels), np.concatenate(scores), task.classes)
    os.replace(partial_out, out)
    return sum(map(len, ids))


def write_scores(path: Path, ids: np.ndarray, labels: np.ndarray, scores: np.ndarray, classes: Sequence[str]) -> None:
    """Parquet with a row for each event: ids (n,), labels (n,), and a column score_<class> of scores (n, classes)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {"id": ids, "label": labels.astype(np.int8)}
    columns |= {f"score_{name}": scores[:, i].astype(np.float32) for i, name in enumerate(classes)}
    pq.write_table(pa.table(columns), path)


def read_scores(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Labels (n,) and scores (n, classes) of a file that a trial wrote."""
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    scores = [table[name].to_numpy() for name in table.column_names if name.startswith("score_")]
    return table["label"].to_numpy().astype(np.int64), np.column_stack(scores)


def write_csv(path: Path, columns: dict[str, Any]) -> None:
    """Numbers under headings, a column each, all of one length."""
    np.savetxt(
        path,
        np.column_stack([np.asarray(values, dtype=float) for values in columns.values()]),
        delimiter=",",
        header=",".join(columns),
        comments="",
        fmt="%.9g",
    )
