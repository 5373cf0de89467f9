"""Events of one part of a task's split in an HDF5 file, for whoever trains or tests by other means.

events.attrs["events"]      text that says which events these are, to be kept with their scores
events.attrs["classes"]     names of the classes, in the order of their index; "signal": the index of the signal
events.attrs["variables"]   names of the columns of a table, where the task has them
id (n,)                     of each event
inputs/<name> (n, ...)      as the task's files have them, not scaled; or those of a view
label (n,)                  class index, where labels were asked for
weight (n,)                 of the events, where they have weights
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from hepbench.benchmarks.base import Arrays, check_known
from hepbench.suite.atomic import atomic_file
from hepbench.suite.data.dataset import view_of
from hepbench.suite.exchange.part import OpenedPart
from hepbench.suite.trial.spec import cut

CHUNK_BYTES = 2**24
"""Of one input that are written at a time."""


def write_events(
    out: Path,
    opened: OpenedPart,
    progress: Callable[[int], None] = lambda done: None,
    view: str = "",
    features: str = "",
) -> int:
    """Write the events of a part, whole or not at all; returns their number. progress: is called with the number of
    events that were written since. view, features: a view of the task and a set of its features, whose inputs are
    written in place of the files' own; "": of features, the task's first. UserError for what the task has not."""
    import h5py

    rows, task = opened.rows[opened.part.split], opened.task.record
    arrays = _of_view(opened, view, features) if view else opened.prepared.arrays
    with atomic_file(out) as path, h5py.File(path, "w", locking=False) as file:
        file.attrs["events"] = opened.part.as_text()
        file.attrs["classes"] = list(task.classes)
        file.attrs["signal"] = task.signal
        if task.variables:
            file.attrs["variables"] = list(task.variables)
        file["id"] = opened.prepared.ids[rows]
        if opened.part.labels:
            file["label"] = opened.prepared.labels[rows]
        if opened.prepared.weights is not None:
            file["weight"] = opened.prepared.weights[rows]
        size = sum(array[:1].nbytes for array in arrays.values())
        step = max(1, CHUNK_BYTES // max(1, size))
        stored = {}
        for name, array in arrays.items():
            one = array[rows[:1]]
            chunks = (min(step, len(rows)), *one.shape[1:])
            stored[name] = file.create_dataset(
                f"inputs/{name}",
                (len(rows), *one.shape[1:]),
                one.dtype,
                chunks=chunks,
                compression="gzip",
                compression_opts=1,
                shuffle=True,
            )
        for start in range(0, len(rows), step):
            some = rows[start : start + step]
            for name, array in arrays.items():
                stored[name][start : start + len(some)] = np.asarray(array[some])
            progress(len(some))
    return len(rows)


def _of_view(opened: OpenedPart, view: str, features: str) -> Arrays:
    task = opened.task.record
    check_known("view", view, task.views)
    if features or task.features:
        features = features or next(iter(task.features))
        check_known("set of features", features, task.features)
    return cut(task, view_of(opened.task, opened.prepared, view, features), {"features": features})
