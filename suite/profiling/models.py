"""Size, FLOPs and speed of an entry on a task, alone or interleaved with another program.

FLOPs are counted by XLA for one prediction, for a cloud with the task's average number of points; a training step
counts as three predictions. Rates are for a compiled network, on scaled events in memory.
"""

from __future__ import annotations

import importlib.util
import math
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import Model, Sample, Task, UserError, check_known
from hepbench.benchmarks.registry import Entry
from hepbench.benchmarks.scaling import DEFAULT as SCALING
from hepbench.benchmarks.scaling import fit_scaling, with_filling
from hepbench.suite import device
from hepbench.suite.data.dataset import Prepared, view_of
from hepbench.suite.data.files import simulated_classes
from hepbench.suite.processes import call_in_process, end_with_parent, without_main_file
from hepbench.suite.profiling.timing import Rates, for_seconds, rates_of
from hepbench.suite.profiling.weaver import MODES, WEAVER, WEAVER_BATCH, require_weaver, weaver_rates
from hepbench.suite.training.batches import cloud_lengths
from hepbench.suite.training.network import PREDICTION_BATCH, trainable_parameters
from hepbench.suite.training.optimiser import optimiser_of
from hepbench.suite.training.settings import DEFAULTS
from hepbench.suite.training.steps import structured_batch
from hepbench.suite.trial.prediction_times import rate_and_spread
from hepbench.suite.trial.run import training_of
from hepbench.suite.trial.spec import Spec, Trial, cut, refusal

MATRIX = 2048
"""Side of the matrices whose multiplication gives the machine's rate."""

REPEATED_EVENTS = 50_000
"""Number to which a shorter sample is repeated, so that the start of an epoch does not matter; fewer below a second."""

SAMPLE_BYTES = 2**28
"""Maximum size of a repeated sample."""

TURNS = 3
"""Turns of each of two programs."""

REPEATS = 5
"""Repeats of a rate measured alone, of which the median is reported."""

AGAINST = ("keras", "weaver")
"""Programs to compare with: plain `keras.Model.fit` on the same networks, and weaver-core's networks with the same
layers on the same clouds."""

FlopCounter = Callable[[Trial, Sample], "float | None"]
"""FLOPs of the prediction of one event; None where JAX, which counts them, is not installed."""


@dataclass(frozen=True)
class ModelRates:
    """training, prediction: events per second, medians of `REPEATS`; their spread: half of the range that contains 68 %
    of these. whole: measured once on a whole training run, as there are no steps. flops: of a prediction. matrix_share:
    FLOPs of the training as a fraction of the machine's rate. None where not measured."""

    model: str
    parameters: int
    training: float
    prediction: float
    training_spread: float | None = None
    prediction_spread: float | None = None
    whole: bool = False
    flops: float | None = None
    matrix_share: float | None = None


@dataclass(frozen=True)
class ComparedRates:
    """Ours and theirs in events per second, medians of `TURNS` turns; ratio: median of ours divided by theirs in
    training. mode: of theirs, "" if it has only one; missing: why it was not measured, if all numbers are NaN."""

    model: str
    batch_size: int
    training: float
    their_training: float
    ratio: float
    prediction: float
    their_prediction: float
    mode: str = ""
    missing: str = ""


def check_against(against: str | None, modes: Sequence[str] = ()) -> None:
    """UserError for a program or mode that is unknown or not installed."""
    if against:
        check_known("program to compare with", against, AGAINST)
    for mode in modes:
        check_known("mode of weaver-core", mode, MODES)
    if modes and against != "weaver":
        raise UserError("modes are of weaver-core: give --against weaver")
    if against == "weaver":
        require_weaver()


def measurable(
    task: Entry[Task], models: Sequence[Entry[Model]], chosen: str, backend: str, against: str | None
) -> list[Trial]:
    """A trial of each model that supports the task and that the other program also has."""
    trials = [
        Trial(Spec(task.given, model.given, 0, "full", "simulated", chosen, backend), task, model) for model in models
    ]
    return [
        one
        for one in trials
        if not one.refusal
        and (not against or one.model.record.in_keras)
        and (against != "weaver" or one.model.name in WEAVER)
    ]


def sample_of(
    task: Entry[Task], prepared: Prepared, view: str, hyperparameters: Mapping[str, Any], seconds: float
) -> Sample:
    """All events, scaled on themselves, repeated to a length that can be timed in this number of seconds."""
    whole = view_of(task, prepared, view, hyperparameters.get("features", "")) if view else {}
    inputs = cut(task.record, whole, hyperparameters)
    rows = np.arange(len(prepared))
    sample = Sample(inputs, rows, prepared.labels)
    size = 4 * sum(math.prod(shape) for shape in sample.shapes.values())
    longest = min(round(REPEATED_EVENTS * min(1, seconds)), SAMPLE_BYTES // max(1, size))
    rows = np.resize(rows, max(len(rows), longest))
    filled = with_filling(sample) if task.record.missing else sample
    scaling = fit_scaling(filled, hyperparameters.get("scaling", SCALING))
    return replace(sample, rows=rows, labels=prepared.labels[rows], scaling=scaling)


def rates_alone(
    trial: Trial, sample: Sample, seconds: float, matrix_rate: float, count_flops: FlopCounter
) -> ModelRates:
    """Each rate is measured for about this number of seconds, in `REPEATS` parts. matrix_rate: from `matrix_rate`."""
    build, classes = trial.model.record.build, len(trial.task.record.classes)
    if build is None or not trial.model.record.in_keras:
        return _rates_of_whole_training(trial, sample)
    network, train, predict = rates_of(build, sample, trial.hyperparameters, classes, seconds / REPEATS)
    flops = count_flops(trial, sample)
    rates = [(train(), predict()) for _ in range(REPEATS)]
    (training, training_spread), (prediction, prediction_spread) = (
        rate_and_spread("rate", np.array(some)).values() for some in zip(*rates, strict=True)
    )
    share = None if flops is None else 3 * flops * training / matrix_rate
    return ModelRates(
        trial.model.name,
        trainable_parameters(network),
        training,
        prediction,
        training_spread,
        prediction_spread,
        flops=flops,
        matrix_share=share,
    )


def _rates_of_whole_training(trial: Trial, sample: Sample) -> ModelRates:
    """A tenth of the events is used for validation."""
    fit = training_of(trial.model, trial.task.record.signal)
    rows = np.random.default_rng(0).permutation(len(sample))
    valid, train = (
        replace(sample, rows=sample.rows[some], labels=sample.labels[some])
        for some in np.split(rows, [len(rows) // 10])
    )
    started = time.perf_counter()
    fitted = fit(
        train,
        valid,
        trial.hyperparameters,
        classes=len(trial.task.record.classes),
        seed=0,
        device="cpu",
        report=lambda epoch, values: None,
    )
    trained = time.perf_counter()
    fitted.predict(sample)
    done = time.perf_counter()
    training, prediction = len(train) / (trained - started), len(sample) / (done - trained)
    return ModelRates(trial.model.name, fitted.trainable_parameters, training, prediction, whole=True)


@contextmanager
def flop_counter() -> Iterator[FlopCounter]:
    """Counts in a separate process, where Keras runs on JAX."""
    if importlib.util.find_spec("jax") is None:
        yield lambda trial, sample: None
        return
    with without_main_file(), multiprocessing.get_context("spawn").Pool(1, _keras_on_jax) as process:

        def count(trial: Trial, sample: Sample) -> float:
            points = max(1, round(float(cloud_lengths(sample).mean())))
            shapes = {
                name: (points, *shape[1:]) if "mask" in sample.shapes and name != "context" else shape
                for name, shape in sample.shapes.items()
            }
            classes = len(trial.task.record.classes)
            return process.apply(_flops, (trial.model.given, shapes, classes, trial.hyperparameters))

        yield count


def _keras_on_jax() -> None:
    os.environ["KERAS_BACKEND"], os.environ["JAX_PLATFORMS"] = "jax", "cpu"
    end_with_parent()


def _flops(model: str, shapes: dict[str, tuple[int, ...]], classes: int, hyperparameters: dict[str, Any]) -> float:
    """FLOPs to predict one event, counted by XLA."""
    import jax
    import jax.numpy as jnp

    events = 8
    build = registry.find("model", model).record.build
    assert build is not None
    network = build(shapes, classes, hyperparameters)
    batch = {tensor.name: jnp.ones((events, *tensor.shape[1:]), tensor.dtype) for tensor in network.inputs}
    structured = structured_batch(network, batch)

    def forward(weights: Any, others: Any, inputs: Any) -> Any:
        return network.stateless_call(weights, others, inputs, training=False)[0]

    weights, others = (
        [one.value for one in some] for some in (network.trainable_variables, network.non_trainable_variables)
    )
    counted: Any = jax.jit(forward).lower(weights, others, structured).cost_analysis()
    return float(counted["flops"]) / events


def matrix_rate() -> float:
    """FLOPs per second of a matrix multiplication, the best of six."""
    from keras import ops

    x = ops.ones((MATRIX, MATRIX), "float32")
    best = math.inf
    for _ in range(6):
        started = time.perf_counter()
        np.asarray(ops.matmul(x, x)[0, 0])
        best = min(best, time.perf_counter() - started)
    return 2 * MATRIX**3 / best


def rates_against(
    against: str, trial: Trial, sample: Sample, seconds: float, modes: Sequence[str] = ()
) -> list[ComparedRates]:
    """Ours and each mode of theirs, interleaved, each rate over about this number of seconds; the fastest of theirs in
    training first, those that could not be measured last. modes: of weaver-core, none: all."""
    build, classes = trial.model.record.build, len(trial.task.record.classes)
    assert build is not None
    hyperparameters = trial.hyperparameters
    if against == "weaver":
        hyperparameters = {**hyperparameters, "batch_size": min(WEAVER_BATCH, hyperparameters["batch_size"])}
    _, train, predict = rates_of(build, sample, hyperparameters, classes, seconds)
    theirs: dict[str, Rates] = {}
    missing: dict[str, str] = {}
    with ExitStack() as programs:
        for mode in (modes or MODES) if against == "weaver" else [""]:
            shared = trial.model, sample, hyperparameters, classes, seconds
            program = weaver_rates(*shared, MODES[mode], trial.spec.device) if mode else _keras_rates(*shared)
            try:
                theirs[mode] = programs.enter_context(program)
            except RuntimeError as error:  # whatever a compiler of PyTorch raises, too
                missing[mode] = _first_line(error)
        turns = [[(train(), predict(), *(rate() for rate in rates)) for rates in theirs.values()] for _ in range(TURNS)]

    def compared(mode: str, measured: Sequence[tuple[float, ...]], why: str = "") -> ComparedRates:
        trained, predicted, their_trained, their_predicted = map(statistics.median, zip(*measured, strict=True))
        ratio = statistics.median(ours / theirs for ours, _, theirs, _ in measured)
        sizes = trial.model.name, hyperparameters["batch_size"]
        return ComparedRates(*sizes, trained, their_trained, ratio, predicted, their_predicted, mode, why)

    found = [compared(mode, measured) for mode, measured in zip(theirs, zip(*turns, strict=True), strict=True)]
    found.sort(key=lambda one: -one.their_training)
    return [*found, *(compared(mode, [(math.nan,) * 4], why) for mode, why in missing.items())]


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


@contextmanager
def _keras_rates(
    model: Entry[Model], sample: Sample, hyperparameters: Mapping[str, Any], classes: int, seconds: float
) -> Iterator[Rates]:
    """(training, prediction) of `keras.Model.fit` and `predict`, each one epoch over scaled arrays in memory."""
    import keras

    build = model.record.build
    assert build is not None
    network = build(sample.shapes, classes, hyperparameters)
    few = structured_batch(network, sample.take(slice(0, 2)))
    if len(network(few, training=True).shape) == 3:
        raise RuntimeError("it trains on a score of each member, of which Keras has no loss")
    binary = network.output_shape[-1] == 1
    loss = "binary_crossentropy" if binary else "sparse_categorical_crossentropy"
    network.compile(optimiser_of({**DEFAULTS, **hyperparameters}), loss, metrics=["accuracy"])
    batch = sample.take(slice(None))
    inputs = keras.tree.map_structure(lambda tensor: batch[tensor.name], network.input)
    size = int(hyperparameters["batch_size"])

    def fit() -> int:
        network.fit(inputs, sample.labels, batch_size=size, verbose=0)
        return len(sample)

    def predict() -> int:
        network.predict(inputs, batch_size=PREDICTION_BATCH, verbose=0)
        return len(sample)

    fit(), predict()
    yield lambda: for_seconds(fit, seconds), lambda: for_seconds(predict, seconds)


def parameters_by_task(progress: Callable[[int], None]) -> dict[str, dict[str, int]]:
    """model -> task -> trainable parameters of the network with its defaults, for every shipped network and each task
    that it supports. The shapes come from a few events of each task, simulated in a temporary folder.

    progress: called with 1 for each network and task.
    """
    device.load_keras("cpu", "tensorflow")
    counts: dict[str, dict[str, int]] = {}
    models = {name: registry.find("model", name).record for name in registry.names("model")}
    networks = {name: (model, model.build) for name, model in models.items() if model.build and model.in_keras}
    views = sorted({model.view for model, _ in networks.values()})
    for task in (registry.find("task", name) for name in registry.names("task")):
        shapes = call_in_process(_shapes, task.given, views)
        for name, (model, build) in networks.items():
            progress(1)
            if refusal(task.record, model, next(iter(task.record.features), None)):
                continue
            network = build(shapes[model.view], len(task.record.classes), model.defaults)
            counts.setdefault(name, {})[task.name] = trainable_parameters(network)
    return counts


def _shapes(task_given: str, wanted: Sequence[str]) -> dict[str, dict[str, tuple[int, ...]]]:
    """view -> shapes of one event's inputs."""
    task = registry.find("task", task_given)
    with tempfile.TemporaryDirectory() as scratch:
        simulation = task.record.simulation
        if simulation:
            chunks = [(label, simulation.generate(label, 0, 0)) for label in range(len(simulated_classes(task)))]
            few = [(label, {name: array[:8] for name, array in arrays.items()}) for label, arrays in chunks]
            paths: Sequence[Path] = simulation.write(Path(scratch), [8] * len(few), iter(few))
        else:
            paths = (task.record.locate and task.record.locate()) or []
        arrays = next(iter(task.record.read(paths))).arrays
        inputs = {view: task.record.views[view](arrays) for view in wanted if view in task.record.views}
        return {view: {name: tuple(x.shape[1:]) for name, x in named.items()} for view, named in inputs.items()}
