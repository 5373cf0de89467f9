"""Files scored by the model that a run saved: of its task's format, with labels or without."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import Arrays, Events, Sample, Task, UserError, check_known
from hepbench.benchmarks.registry import Entry
from hepbench.suite import device, results
from hepbench.suite.atomic import full_disk_as_user_error
from hepbench.suite.data.checked import checked
from hepbench.suite.data.dataset import FIX_FILE, with_fix_hint
from hepbench.suite.training.network import NETWORK_FILE
from hepbench.suite.trial.artifacts import SavedModel, load_model, log_scores, scores_table
from hepbench.suite.trial.spec import cut
from hepbench.tracking.runs import Store

Progress = Callable[[int], None]
"""Is called with the number of events that were scored since."""


@dataclass(frozen=True)
class ScoredEvents:
    """A chunk of events as a model scores them. ids: (n,). labels: (n,) class index of the model's; UNKNOWN where the
    file does not tell it, OTHER where it is none of the model's classes. scores: (n, classes) logarithms of the
    probabilities. slices: name -> (n,). weights: (n,) as the file has them; None: each counts one."""

    ids: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    slices: dict[str, np.ndarray]
    weights: np.ndarray | None = None


UNKNOWN, OTHER = -1, -2

Slices = Mapping[str, Callable[[Arrays], np.ndarray]]
"""As `Task.slices`."""


@contextlib.contextmanager
def model_of(
    store: Store, given: str, *, task: str | None = None, model: str | None = None, backend: str | None = None
) -> Iterator[tuple[dict[str, Any], SavedModel]]:
    """The run whose id begins so, and its model, on the processor. task, model: the user's own file, where the run has
    one. backend: that of a network, None: the run's. UserError where there is no such run, or its model does not load.
    """
    run = results.find_run(store, given)
    before = dict(os.environ)
    with tempfile.TemporaryDirectory() as scratch:
        folder = store.download(run["id"], "model", Path(scratch))
        if (folder / NETWORK_FILE).is_file():
            check_known("backend", backend := backend or run["tags"].get("backend", ""), device.BACKENDS)
            device.load_keras("cpu", backend)
        else:
            device.set_environment("cpu", device.BACKENDS[0])
        try:
            yield run, load_model(folder, task=task, model=model)
        finally:  # a notebook that has called this may train on a GPU next
            for name in os.environ.keys() - before.keys():
                del os.environ[name]
            os.environ.update(before)


def score(
    model: SavedModel, paths: Sequence[Path], progress: Progress = lambda done: None, slices: Slices | None = None
) -> Iterator[ScoredEvents]:
    """The events of the files in their order, a chunk at a time, with these slices.

    UserError where a file is given twice, is not of the task's format, or its events have other inputs than those of
    the training.
    """
    twice = [path for number, path in enumerate(paths) if path.resolve() in {one.resolve() for one in paths[:number]}]
    if twice:
        raise UserError(f"{twice[0]}: given twice, its events would count twice")
    task, family = model.trial.task.record, model.trial.model.record
    reader, known = reader_of(model.trial.task)
    if model.trial.task.base.variants:  # a file of a class that the reader passes over is refused, not lost
        for path in paths:
            next(_read(model.trial.task, reader, [path]), None)
    found = False
    for events in _read(model.trial.task, reader, paths):
        count = len(events.ids)
        if not count:
            continue
        found = True
        settings = model.trial.hyperparameters
        view = task.view(family.view, settings.get("features", "")) if family.view else None
        inputs = cut(task, view(events.arrays) if view else {}, settings)
        rows = np.arange(count)
        sample = Sample(inputs, rows, np.full(count, UNKNOWN), model.scaling)  # a model never sees labels here
        if model.shapes is not None and sample.raw_shapes != model.shapes:
            raise UserError(
                f"{_named(paths)}: an event has {_shown(sample.raw_shapes)}, and the model was trained on "
                f"{_shown(model.shapes)}"
            )
        labels = np.full(count, UNKNOWN) if events.labels is None else known[events.labels]
        try:
            scores = log_scores(model.fitted, sample)
        except Exception as error:  # of a model that was damaged, or of a user's own
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            raise UserError(
                f"{_named(paths)}: the model of {model.trial.model.name} fails on the events ({reason})"
            ) from error
        if scores.shape != (count, len(task.classes)) or not np.isfinite(scores).all():
            raise UserError(
                f"{_named(paths)}: the model of {model.trial.model.name} gives no scores of {len(task.classes)} "
                "classes, or some that are NaN or infinite"
            )
        found_slices = {name: of(events.arrays) for name, of in (slices or {}).items()}
        yield ScoredEvents(events.ids, labels, scores, found_slices, events.weights)
        progress(count)
    if not found:
        raise UserError(f"{_named(paths)}: no events in {'it' if len(paths) == 1 else 'them'}")


def write_predictions(model: SavedModel, paths: Sequence[Path], out: Path, progress: Progress) -> int:
    """Score the files into a Parquet file, whole or not at all, and return the number of events.

    Columns: id, label where a file tells one that the model knows, weight where it has weights, score_<class> and
    log_probability_<class>.
    """
    import pyarrow.parquet as pq

    if out.resolve() in {path.resolve() for path in paths}:
        raise UserError(f"{out} is one of the files to be scored: give another file for the scores")
    if not out.absolute().parent.is_dir():
        raise UserError(f"{out}: there is no folder {out.absolute().parent}")
    classes = model.trial.task.record.classes
    part, whole = (out.with_name(f".{out.name}.{os.getpid()}.{kind}") for kind in ("part", "whole"))
    events, labelled = 0, False
    try:
        with full_disk_as_user_error(out), contextlib.ExitStack() as stack:
            writer = None
            for one in score(model, paths, progress):
                table = scores_table(one.ids, one.labels, one.scores, classes, one.weights)
                writer = writer or stack.enter_context(pq.ParquetWriter(part, table.schema))
                writer.write_table(table)
                events += len(one.ids)
                labelled = labelled or bool((one.labels >= 0).any())
        if not labelled:
            with full_disk_as_user_error(out), pq.ParquetFile(part) as file:
                names = [name for name in file.schema_arrow.names if name != "label"]
                with pq.ParquetWriter(whole, file.schema_arrow.remove(file.schema_arrow.get_field_index("label"))) as w:
                    for batch in file.iter_batches(columns=names):
                        w.write_batch(batch)
        os.replace(part if labelled else whole, out)
    finally:
        part.unlink(missing_ok=True)
        whole.unlink(missing_ok=True)
    return events


def reader_of(task: Entry[Task]) -> tuple[Task, np.ndarray]:
    """The task that reads the files, and the model's class for each of its, OTHER where the model does not know it: a
    variant of fewer classes is given the events of all, which its own reader passes over."""
    classes, all_classes = task.record.classes, task.base.classes
    if not set(classes) < set(all_classes):
        return task.record, np.arange(len(classes))
    return task.base, np.array([classes.index(kind) if kind in classes else OTHER for kind in all_classes])


def _read(task: Entry[Task], reader: Task, paths: Sequence[Path]) -> Iterator[Events]:
    """Chunks of events, checked. What a user's own reader raises of files that it was not written for is a
    UserError."""
    try:
        read = reader.read(paths)
        yield from checked(
            f"{_named(paths)}: {task.name}", reader, with_fix_hint(read, FIX_FILE) if task.shipped else read
        )
    except UserError:
        raise
    except Exception as error:
        if task.path.is_relative_to(registry.HOME):
            raise
        reason = " ".join(str(error).split())
        raise UserError(
            f"{_named(paths)}: the reader of {task.name} fails on {'it' if len(paths) == 1 else 'them'} "
            f"({type(error).__name__}: {reason}). Files without labels need a `read` that gives Events with labels=None"
        ) from error


def _named(paths: Sequence[Path]) -> str:
    return ", ".join(map(str, paths))


def _shown(shapes: Any) -> str:
    return ", ".join(f"{name} {shape}" for name, shape in shapes.items()) or "no inputs"
