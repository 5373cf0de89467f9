"""Event weights of a training, validation or test set, for training or testing."""

from __future__ import annotations

from typing import Literal

import numpy as np

from hepbench.benchmarks.base import Task, UserError
from hepbench.benchmarks.registry import Entry
from hepbench.benchmarks.weighting import by_class, equal_spectra
from hepbench.suite.data.dataset import VIEW_CHUNK, Prepared

BINS = 100
"""Bins of equal numbers of events, in which spectra are made equal."""


def weights_of(
    task: Entry[Task], prepared: Prepared, rows: np.ndarray, use: Literal["training", "testing"]
) -> np.ndarray | None:
    """(n,) float32 weights of these events, from the files or the task's reweighting; None if each counts one.
    UserError if those of a class sum to zero."""
    if use == "testing" and task.record.reweight:
        values = [
            np.asarray(task.record.reweight({name: array[some] for name, array in prepared.arrays.items()}))
            for some in np.array_split(rows, max(1, len(rows) // VIEW_CHUNK))
        ]
        return reweighted(task.record, prepared.labels[rows], np.concatenate(values))
    if prepared.weights is None or task.record.weights not in (use, "both"):
        return None
    weights: np.ndarray = prepared.weights[rows]
    check_weights(task.record, prepared.labels[rows], weights)
    return weights


def reweighted(task: Task, labels: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(n,) float32 that give each class the same spectrum of these values (n,)."""
    if values.shape != labels.shape or not np.isfinite(values).all():
        raise UserError(f"{task.title}: reweight must give one finite number per event, got shape {values.shape}")
    weights = equal_spectra(labels, values, BINS)
    check_weights(task, labels, weights)
    return weights


def check_weights(task: Task, labels: np.ndarray, weights: np.ndarray) -> None:
    """UserError for invalid weights of these events."""
    try:
        by_class(labels, weights)
    except ValueError as error:
        raise UserError(f"{task.title}: {error}") from error


def training_weights(task: Entry[Task], prepared: Prepared, rows: np.ndarray) -> np.ndarray | None:
    """(n,) float32, see `Sample.weights`."""
    weights = weights_of(task, prepared, rows, "training")
    return None if weights is None else by_class(prepared.labels[rows], weights).astype(np.float32)


def tags_of(task: Task, prepared: Prepared) -> dict[str, str]:
    """Tags of a run that describe its event weights; none if each event counts one."""
    found = []
    if prepared.weights is not None:
        found.append("events weighted in " + ("training and testing" if task.weights == "both" else task.weights))
    if task.reweight:
        found.append("classes reweighted to one spectrum in testing")
    return {"weighted": ", ".join(found)} if found else {}
