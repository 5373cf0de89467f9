"""A model as an ONNX file: agreement with the trained model, loss from 8-bit quantisation, latency on one thread.

hepbench measure onnx --task ecal
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from hepbench.benchmarks.base import Model, Sample, Task, UserError
from hepbench.benchmarks.metrics import METRICS
from hepbench.benchmarks.registry import Entry
from hepbench.benchmarks.scored import Scored, logarithms
from hepbench.suite.export.exporting import Exported, export
from hepbench.suite.export.quantisation import WAYS, quantised
from hepbench.suite.export.runtime import BATCH, Runtime
from hepbench.suite.trial.artifacts import log_scores
from hepbench.suite.trial.prediction_times import (
    FOR_P99,
    LATENCIES,
    MOST_LATENCIES,
    REPEATS,
    Predict,
    first,
    repeated,
)
from hepbench.tracking.runs import Store

TRAINED, ON_ONE_THREAD = "as trained", "ONNX Runtime, one thread"
AT_ONCE = 1_000
"""Events predicted at once for the rate."""


@dataclass(frozen=True)
class Times:
    """p50, p99: milliseconds to predict one event; p99 None if there are too few predictions. rate: events per second,
    `AT_ONCE` at once."""

    p50: float
    p99: float | None
    rate: float


@dataclass(frozen=True)
class Form:
    """A model in one of its forms. difference: largest difference of a score from the trained model's. auc: on the
    run's test events; loss: its decrease from the trained model's, with one standard deviation of the paired
    difference. times: None if not requested. mib: size of the file; None: there is none. missing: why these are
    missing."""

    task: str
    model: str
    form: str
    difference: float | None = None
    auc: float | None = None
    loss: tuple[float, float] | None = None
    times: Times | None = None
    mib: float | None = None
    missing: str = ""


def exportable(task: Entry[Task], models: Sequence[Entry[Model]], store: Store) -> list[str]:
    """Ids of the latest finished run of each of these models, or of all."""
    latest = {}
    wanted = {model.name for model in models}
    for run in store.runs(task.name, status="FINISHED", tags={"stage": "final"}):
        name = run["tags"]["model"]
        if (not wanted or name in wanted) and "weights" not in run["tags"] and "origin" not in run["tags"]:
            latest[name] = run["id"]
    return [latest[name] for name in sorted(latest)]


def forms_of(store: Store, run_id: str, seconds: float, task: Entry[Task], model: str | None) -> Iterator[Form]:
    """The model of a run as trained, as a file, and quantised to 8 bits. seconds: for which each is timed; 0: no
    timing. model: the user's own file, if it is one."""
    names = task.name, next(run["tags"]["model"] for run in store.find(run_id))
    own = None if task.shipped else task.given
    try:
        with export(store, run_id, task=own, model=model) as found:
            trained = dataclasses.replace(found.test, scaling=found.model.scaling)
            predict = partial(log_scores, found.model.fitted)
            auc = _auc(found, found.scores)
            yield Form(*names, TRAINED, auc=auc, times=times_of(predict, trained, seconds) if seconds else None)
            times, mib = _file_times(found.file, found, seconds), len(found.file) / 2**20
            yield Form(*names, ON_ONE_THREAD, found.difference, auc, times=times, mib=mib)
            for way in WAYS:
                form = Form(*names, f"{ON_ONE_THREAD}, 8 bits {way}")
                try:
                    file = quantised(found.file, way, found.train)
                except Exception as error:  # whatever ONNX Runtime raises of a graph that it cannot quantise
                    reason = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
                    yield dataclasses.replace(form, missing=reason)
                    continue
                if file is not None:
                    yield _with_bits(found, form, file, way, seconds)
    except UserError as error:
        yield Form(*names, ON_ONE_THREAD, missing=str(error))


def scores_with_bits(file: bytes, way: str, test: Sample) -> np.ndarray:
    """(n, classes) scores of a quantised file; for "dynamic" event by event, as its ranges depend on the batch."""
    return Runtime(file).predict(test, 1 if way == "dynamic" else BATCH)


def _with_bits(found: Exported, form: Form, file: bytes, way: str, seconds: float) -> Form:
    """The form of a quantised file, with its numbers."""
    scores = scores_with_bits(file, way, found.test)
    auc, *loss = auc_and_loss(found.test.labels, scores, found.scores, found.model.trial.task.record.signal)
    return dataclasses.replace(
        form,
        difference=float(np.abs(scores - found.scores).max()),
        auc=auc,
        loss=(loss[0], loss[1]),
        times=_file_times(file, found, seconds),
        mib=len(file) / 2**20,
    )


def auc_and_loss(
    labels: np.ndarray, scores: np.ndarray, trained: np.ndarray, signal: int
) -> tuple[float, float, float]:
    """AUC of scores (n, classes), its decrease from the trained model's, and one standard deviation of the paired
    difference."""
    auc = METRICS["auc"]
    assert auc.influences is not None
    ours, theirs = (Scored(labels, logarithms(one)) for one in (scores, trained))
    value, before = (auc.of(one, signal)[0] for one in (ours, theirs))
    parts = auc.influences(ours, signal) - auc.influences(theirs, signal)
    return value, before - value, float(np.sqrt(np.square(parts).sum()))


def _file_times(file: bytes, found: Exported, seconds: float) -> Times | None:
    return file_times(file, found.test, seconds) if seconds else None


def _auc(found: Exported, scores: np.ndarray) -> float:
    return METRICS["auc"].of(Scored(found.test.labels, logarithms(scores)), found.model.trial.task.record.signal)[0]


def file_times(file: bytes, sample: Sample, seconds: float = 1.0) -> Times:
    """Times of an ONNX file on one thread, each measured for this number of seconds. sample: unscaled events."""
    return times_of(Runtime(file).predict, sample, seconds)


def times_of(predict: Predict, sample: Sample, seconds: float) -> Times:
    """Times of a model, on events in its own input format."""
    alone = 1e3 * repeated(predict, first(sample, 1), seconds, LATENCIES, MOST_LATENCIES)
    together = repeated(predict, first(sample, AT_ONCE), seconds, REPEATS, MOST_LATENCIES)
    p99 = float(np.percentile(alone, 99)) if len(alone) >= FOR_P99 else None
    return Times(float(np.median(alone)), p99, float(np.median(AT_ONCE / together)))
