"""One trial, top to bottom: data, training, one look at the test set, everything to MLflow."""

from __future__ import annotations

import contextlib
import json
import operator
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hepbench.benchmarks.base import Fitted, Model, Sample, UserError
from hepbench.benchmarks.registry import Entry
from hepbench.suite.data.dataset import Prepared, obtain, prepare
from hepbench.suite.data.split import PARTS, split_events, with_fewer
from hepbench.suite.data.weights import weights_of
from hepbench.suite.device import out_of_memory
from hepbench.suite.paths import home_folder
from hepbench.suite.trial.artifacts import (
    VALIDATION_SCORES,
    StoredScores,
    log_scores,
    save_model,
    write_csv,
    write_scores,
)
from hepbench.suite.trial.inputs import missing_told, samples_of, slices_of
from hepbench.suite.trial.pyfunc import describe_model
from hepbench.suite.trial.score_metrics import ROC, evaluate_scores, of_validation, rejections, write_evaluated
from hepbench.suite.trial.spec import Trial
from hepbench.suite.trial.warm_start import InitialWeights, fetch

if TYPE_CHECKING:
    from hepbench.suite.training.checkpoint import Checkpoint
    from hepbench.tracking.runs import Store


SHORTEST_FOR_ENERGY = 0.5
"""Seconds of the test part's prediction from which its energy is told: counters step by milliseconds, a GPU's by tenths
of a second."""

LISTED = ("test_auc", "test_accuracy", "test_rejection_50", "latency_ms", "train_seconds", "parameters")
"""Metrics that stand beside a model in MLflow's list of them."""

Listener = Callable[[dict[str, Any]], None]
"""Is told how far a trial is: {"stage": ...} or {"epoch": ..., "epochs": ..., "metrics": ...}."""


def run(
    trial: Trial,
    store: Store,
    run_id: str,
    listener: Listener,
    final: bool,
    data_digest: str,
    split_hash: str,
    checkpoint_file: Path,
) -> dict[str, float]:
    """Run one trial and log it to a run that has been started; returns the metrics. The caller ends the run.

    final: test at the end, and keep scores, plots and the model; a trial of a study sees the validation part alone and
    keeps numbers. checkpoint_file: where the training is saved, and resumed from. Raises UserError where the data found
    are not those of the digest and the split.
    """
    from hepbench.benchmarks import budgets
    from hepbench.suite.training.checkpoint import Checkpoint, delete
    from hepbench.suite.training.layer_graph import write_layers, write_network
    from hepbench.suite.training.network import Network
    from hepbench.suite.training.torch_network import TorchNetwork
    from hepbench.suite.trial.prediction_times import prediction_times
    from hepbench.tracking.hardware.sampler import Sampler

    seconds: dict[str, float] = {}
    logging = {"log_seconds": 0.0}
    spec, task, model, hyperparameters = trial.spec, trial.task, trial.model, trial.hyperparameters
    classes, signal = task.record.classes, task.record.signal

    listener({"stage": "opening data"})
    with _timed(seconds, "open_seconds"):
        start = fetch(store, trial) if spec.start else None
        prepared, samples = open_samples(trial, data_digest, split_hash, start)
    train, valid, test = (samples[part] for part in PARTS)
    slices = slices_of(task, prepared.arrays) if final else {}  # before the training, which a mistake in one would lose

    history: list[dict[str, float]] = []
    most_epochs = hyperparameters.get("epochs") or hyperparameters.get("rounds")

    def report(epoch: int, values: Mapping[str, float]) -> None:
        epoch, values = _reported(model.name, epoch, values)
        sampler.settle()
        values = {**values, "trained_seconds": trained_seconds(values)}
        history.append({"epoch": epoch, **values})
        with _timed(logging, "log_seconds"):
            store.log(run_id, values, epoch)
        listener({"epoch": epoch, "epochs": most_epochs, "metrics": values})

    def trained_seconds(values: Mapping[str, float]) -> float:
        """Of training until now: of the steps where they are timed, else since the start, without the logging."""
        if "epoch_seconds" in values:
            return (history[-1]["trained_seconds"] if history else 0.0) + values["epoch_seconds"]
        return time.perf_counter() - fit_started - logging["log_seconds"]

    def hardware(values: dict[str, float], step: int) -> None:
        store.log(run_id, values, step)

    listener({"stage": "training"})
    checkpoint = Checkpoint(checkpoint_file, run_id)
    fit = training_of(model, signal, start, checkpoint)
    with Sampler(gpu=0 if spec.device == "gpu" else None, sink=hardware) as sampler:
        fit_started, joules = time.perf_counter(), sampler.energy()
        with _timed(seconds, "fit_seconds"), _lack_of_memory_told(trial):
            fitted = fit(
                train, valid, hyperparameters, classes=len(classes), seed=spec.seed, device=spec.device, report=report
            )
        seconds["fit_seconds"] += checkpoint.earlier_seconds
        energy = {f"train_{name}_joule": used for name, used in _used(joules, sampler.energy()).items()}
        if checkpoint.earlier_epoch:  # whose joules nobody counted to the end
            energy, sampler.unavailable["train energy"] = {}, "the training was interrupted and resumed"
            store.tag(run_id, {"continued": f"after epoch {checkpoint.earlier_epoch} of run {checkpoint.earlier_run}"})
        _check_fitted(model.name, fitted)
        listener({"stage": "testing" if final else "validating"})
        valid_scores = log_scores(fitted, valid)  # also what only a first call does, which is no time of prediction
        _check_scores(model.name, valid_scores, len(valid), classes)
        if final:
            joules = sampler.energy()
            with _timed(seconds, "predict_seconds"):
                scores = log_scores(fitted, test)  # the one look at the test set
            if seconds["predict_seconds"] > SHORTEST_FOR_ENERGY:
                of_test = _used(joules, sampler.energy())
                energy |= {f"million_{name}_joule": 1e6 * used / len(test) for name, used in of_test.items()}
    times = prediction_times(partial(log_scores, fitted), valid, budgets.find(spec.budget).timing if final else 0.0)
    seconds.setdefault("train_seconds", seconds["fit_seconds"])
    seconds.update(getattr(fitted, "timings", {}))

    def stored(sample: Sample, scores: np.ndarray) -> StoredScores:
        rows = sample.rows
        return StoredScores(prepared.ids[rows], sample.labels, scores, weights_of(task, prepared, rows, "testing"))

    validation = stored(valid, valid_scores)
    result = of_validation(task.record, validation.scored())
    result |= {**seconds, **times, **_epoch_rate(history), **energy, "parameters": fitted.trainable_parameters}
    result |= {"train_events": len(train), "val_events": len(valid)}
    if isinstance(fitted, Network | TorchNetwork):
        result |= {"epochs": len(fitted.history), "total_parameters": fitted.total_parameters}
    if final:
        found = stored(test, scores)
        evaluated = evaluate_scores(task.record, found, {name: values[test.rows] for name, values in slices.items()})
        result |= {f"test_{name}": value for name, value in evaluated.metrics.items()}
        result["test_events"] = len(test)
        result["predict_us_per_event"] = 1e6 * seconds["predict_seconds"] / len(test)
    store.log(run_id, result | sampler.summary())
    store.tag(run_id, missing_told(trial, train))
    if isinstance(fitted, Network) and not model.record.in_keras:  # of a file that imports PyTorch, too
        store.tag(run_id, {"backend": spec.backend})
    store.tag(run_id, {"not_available": json.dumps(sampler.unavailable)})
    if not final:
        delete(checkpoint.path)
        return result

    listener({"stage": "writing"})
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_scores(folder / VALIDATION_SCORES, validation, classes)
        if history:
            columns = list(dict.fromkeys(name for line in history for name in line))
            write_csv(folder / "history.csv", {c: [line.get(c, np.nan) for line in history] for c in columns})
        weights: Mapping[str, np.ndarray] = {}
        if isinstance(fitted, Network):
            weights = write_network(folder, fitted.keras_model)
        elif isinstance(fitted, TorchNetwork):
            write_layers(folder, fitted.layers)
            weights = fitted.trained_weights()
        curves = write_evaluated(folder, task.record, evaluated, history, weights)
        save_model(folder / "model", fitted, trial, train)
        tags = describe_model(folder / "model", train, classes, run_id)
        with _timed(logging, "log_seconds"):
            store.upload(run_id, folder)
            store.log_series(run_id, ROC, rejections(curves[classes[signal]]))
            beside = {name: result[name] for name in LISTED if name in result}
            store.list_model(run_id, folder / "model", f"{model.name} seed {spec.seed}", model.record.title, beside)
    store.tag(run_id, tags)
    store.log(run_id, logging)
    delete(checkpoint.path)
    return result | logging


def open_samples(
    trial: Trial, data_digest: str, split_hash: str, start: InitialWeights | None = None
) -> tuple[Prepared, dict[str, Sample]]:
    """The data, and each part as the model sees it."""
    spec, task = trial.spec, trial.task
    files = obtain(task, spec.data, spec.most_events, spec.data_seed)
    prepared = prepare(task, files)
    rows, found_hash = split_events(task.record, prepared, spec.most_events)
    if (files.digest, found_hash) != (data_digest, split_hash):
        raise UserError(
            f"{platform.node()} finds other data of {task.name} in {home_folder()} than the bench was started with: "
            "let HEPBENCH_HOME be one folder that all machines see"
        )
    rows = with_fewer(rows, prepared.labels, spec.train_events, spec.seed)
    return prepared, samples_of(trial, prepared, rows, start.scaling if start else None)


def training_of(
    model: Entry[Model], signal: int, start: InitialWeights | None = None, checkpoint: Checkpoint | None = None
) -> Callable[..., Fitted]:
    """Its `fit`, or that of networks for its `build`, whose state is kept. UserError where it has neither."""
    record = model.record
    if record.fit:
        return record.fit
    if record.build is None:
        raise UserError(f"the model {record.title!r} has neither `build` nor `fit`: give it one")
    from hepbench.suite.training.loop import fit_network
    from hepbench.suite.training.network import objects_of

    objects = None if model.shipped else objects_of(sys.modules[model.module])
    weights = start.weights if start else ()
    fit = partial(fit_network, record.build, signal=signal, package=record.package)
    return partial(fit, start=weights, objects=objects, checkpoint=checkpoint)


def _reported(model: str, epoch: int, values: Mapping[str, float]) -> tuple[int, dict[str, float]]:
    """What a training reports, of which a user's own may be numpy's or the numbers of any library, as Python's."""
    try:
        return operator.index(epoch), {str(name): float(value) for name, value in values.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise UserError(
            f"fit of {model} reports {values!r} of epoch {epoch!r}: the epoch must be a whole number, and the values "
            f"numbers by name ({error})"
        ) from None


def _epoch_rate(history: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """train_events_per_second of the epochs, with its spread, where a training has such."""
    from hepbench.suite.trial.prediction_times import rate_and_spread

    rates = [line["epoch_events_per_second"] for line in history if "epoch_events_per_second" in line]
    return rate_and_spread("train_events_per_second", np.array(rates)) if rates else {}


def _used(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """What was used in between, of what was told both times."""
    return {name: after[name] - joules for name, joules in before.items() if name in after}


def _check_fitted(model: str, fitted: Fitted) -> None:
    """UserError where what a `fit` returns is no `Fitted`."""
    if missing := [name for name in ("trainable_parameters", "predict", "save") if not hasattr(fitted, name)]:
        raise UserError(f"what fit of {model} returns has no {', '.join(missing)}: see hepbench.Fitted")
    numbers = {"trainable_parameters": fitted.trainable_parameters, **getattr(fitted, "timings", {})}
    for name, value in numbers.items():
        try:
            float(value)
        except (TypeError, ValueError):
            raise UserError(f"what fit of {model} returns has {name}={value!r}: expected a number") from None


def _check_scores(model: str, scores: np.ndarray, events: int, classes: Sequence[str]) -> None:
    """UserError where what a model predicts has not one column a class."""
    if scores.shape != (events, len(classes)):
        raise UserError(
            f"predict of {model} gives scores of shape {scores.shape} for {events:,} events: expected "
            f"{(events, len(classes))}, a probability of each of {', '.join(classes)}"
        )


@contextlib.contextmanager
def _lack_of_memory_told(trial: Trial) -> Iterator[None]:
    """UserError that says what to do where memory has run out."""
    try:
        yield
    except Exception as error:
        if not out_of_memory(error):
            raise
        size = trial.hyperparameters.get("batch_size")
        fix = (
            f"--set batch_size={size // 2}, or --batch-size auto for the largest that fits" if size else "fewer events"
        )
        batches = f" with batches of {size:,} events" if size else ""
        raise UserError(f"{trial.model.name} ran out of memory{batches}: give {fix}") from error


@contextlib.contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - start
