"""`hepbench measure models`: size, work and speed of every entry on a task, and its speed against other programs.

FLOPs are those that XLA counts of one prediction, of a cloud with as many points as the task's clouds have on average;
a step of training is taken as three predictions. Rates are of a network that is compiled, on scaled events in memory.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import Sample, check_known
from hepbench.benchmarks.registry import Entry
from hepbench.benchmarks.scaling import fit_scaling
from hepbench.suite import device
from hepbench.suite.commands.opening import open_data
from hepbench.suite.data.dataset import Prepared, view_of
from hepbench.suite.data.files import choose
from hepbench.suite.profiling.data import in_own_process
from hepbench.suite.profiling.timing import for_seconds, rates_of
from hepbench.suite.profiling.weaver import WEAVER, WEAVER_BATCH, require_weaver, weaver_rates
from hepbench.suite.progress import progress_bar
from hepbench.suite.training.batches import cloud_lengths
from hepbench.suite.training.network import MOST_PREDICTED
from hepbench.suite.training.optimiser import optimiser_of
from hepbench.suite.training.settings import DEFAULTS
from hepbench.suite.training.steps import structured_batch
from hepbench.suite.trial.spec import Spec, cut, parameters_of, refusal
from hepbench.tracking.hardware.machine import describe as describe_machine

MATRIX = 2048  # a side of the matrices whose product is the machine's rate
LONGEST = (
    50_000  # events of a shorter sample repeated, so that an epoch is no matter of its start; fewer below a second
)
LARGEST = 2**28  # bytes of a sample
ROUNDS = 3  # turns that each of two programs takes
AGAINST = ("keras", "weaver")


def measure_models(
    tasks: Sequence[str],
    models: Sequence[str],
    *,
    events: int,
    seconds: float,
    against: str | None,
    wanted_device: str,
    backend: str,
    console: Console,
) -> None:
    """Print a table for each task. Each rate is taken over about `seconds`; against: "keras", plain `keras.Model.fit`
    on the same networks, or "weaver", weaver-core's with the same layers on the same clouds, in turns with ours."""
    if against:
        check_known("program to measure against", against, AGAINST)
    if against == "weaver":
        require_weaver()
    chosen, _ = device.resolve(wanted_device, backend)
    device.load_keras(chosen, backend)
    found = [registry.find("task", given) for given in tasks]
    entries = [registry.find("model", given) for given in models or registry.names("model")]
    peak = _matrix_rate()
    machine = describe_machine()
    processor = machine["gpus"][0]["name"] if chosen == "gpu" else f"{machine['cpu']}, {machine['cores_usable']} cores"
    where = f"{processor}, {backend}, {date.today()}"
    with multiprocessing.get_context("spawn").Pool(1, _on_jax) as counting:
        for task in found:
            sample = {}  # of each view, read once
            _, prepared = open_data(
                task, choose(task, "simulated" if task.record.simulation else "auto"), events, console
            )
            table = _table(f"{task.name}: {where}, {peak / 1e9:,.0f} GFLOP/s in matrix products", against)
            for entry in entries:
                parameters = parameters_of(
                    task.record, entry.record, Spec(task.given, entry.given, 0, "full", "simulated", chosen, backend)
                )
                if refusal(task.record, entry.record, parameters.get("features")):
                    continue
                if against and (not entry.record.build or (against == "weaver" and entry.name not in WEAVER)):
                    continue
                view = entry.record.view
                if view not in sample:
                    sample[view] = _sample(task, prepared, view, parameters, seconds)
                with console.status(f"{task.name}: {entry.name}"):
                    if against:
                        table.add_row(entry.name, *_against(against, task, entry, parameters, sample[view], seconds))
                    else:
                        table.add_row(
                            entry.name, *_alone(task, entry, parameters, sample[view], seconds, peak, counting)
                        )
            console.print(table)
    console.print("Training and prediction in events a second; nothing else should run beside this.")


def parameters_by_task(advance: Callable[[int], None]) -> dict[str, dict[str, int]]:
    """model -> task -> trained numbers of the network with its defaults, of every shipped network and task that it
    serves. The shapes come from a few events of each task, simulated in a folder that is removed again."""
    device.load_keras("cpu", "tensorflow")
    counts: dict[str, dict[str, int]] = {}
    entries = {name: registry.find("model", name) for name in registry.names("model")}
    networks = {name: entry for name, entry in entries.items() if entry.record.build}
    for task in (registry.find("task", name) for name in registry.names("task")):
        shapes = in_own_process(_shapes, task.given, sorted({entry.record.view for entry in networks.values()}))
        for name, entry in networks.items():
            advance(1)
            if refusal(task.record, entry.record, next(iter(task.record.features), None)):
                continue
            network = entry.record.build(shapes[entry.record.view], len(task.record.classes), entry.record.defaults)
            weights = network.trainable_variables
            counts.setdefault(name, {})[task.name] = int(sum(math.prod(weight.shape) for weight in weights))
    return counts


def _shapes(task_given: str, wanted: Sequence[str]) -> dict[str, dict[str, tuple[int, ...]]]:
    """view -> shapes of one event's inputs."""
    task = registry.find("task", task_given)
    with tempfile.TemporaryDirectory() as scratch:
        simulation = task.base.simulation
        if simulation:
            made = [(label, simulation.generate(label, 0, 0)) for label in range(len(task.base.classes))]
            few = [(label, {name: array[:8] for name, array in arrays.items()}) for label, arrays in made]
            paths = simulation.write(Path(scratch), [8] * len(few), iter(few))
        else:
            paths = task.record.locate()
        arrays = next(iter(task.record.read(paths))).arrays
        inputs = {view: task.record.views[view](arrays) for view in wanted if view in task.record.views}
        return {view: {name: tuple(x.shape[1:]) for name, x in named.items()} for view, named in inputs.items()}


def print_parameters() -> None:
    """Write to standard output what `benchmarks/parameters.csv` must hold."""
    tasks = registry.names("task")
    with progress_bar(Console(stderr=True), "building", None, "networks") as advance:
        counts = parameters_by_task(advance)
    print(",".join(["model", *tasks]))
    for name in sorted(counts):
        print(",".join([name, *(str(counts[name].get(task, "")) for task in tasks)]))


def _table(title: str, against: str | None) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("model", no_wrap=True)
    headings = (
        "parameters",
        "FLOPs of a\nprediction",
        "training\n/s",
        "prediction\n/s",
        "training: share of\nmatrix rate",
    )
    if against:
        headings = ("batch", "training\n/s", f"{against}:\ntraining /s", "ratio", "prediction\n/s", f"{against}:\n/s")
    for heading in headings:
        table.add_column(heading, justify="right")
    return table


def _sample(task: Entry, prepared: Prepared, view: str, parameters: dict[str, Any], seconds: float) -> Sample:
    """All events, scaled on themselves, repeated to a length that can be timed."""
    inputs = cut(task.record, view_of(task, prepared, view) if view else {}, parameters)
    rows = np.arange(len(prepared))
    sample = Sample(inputs, rows, prepared.labels)
    size = 4 * sum(math.prod(shape) for shape in sample.shapes.values())
    longest = min(round(LONGEST * min(1, seconds)), LARGEST // max(1, size))
    rows = np.resize(rows, max(len(rows), longest))
    return replace(sample, rows=rows, labels=prepared.labels[rows], scaling=fit_scaling(sample))


def _alone(
    task: Entry, entry: Entry, parameters: dict, sample: Sample, seconds: float, peak: float, counting: Pool
) -> list[str]:
    classes = len(task.record.classes)
    if not entry.record.build:
        return _not_a_network(entry, parameters, sample, classes)
    network, train, predict = rates_of(entry.record.build, sample, parameters, classes, seconds)
    points = max(1, round(float(cloud_lengths(sample).mean())))
    shapes = {
        name: (points, *shape[1:]) if "mask" in sample.shapes and name != "context" else shape
        for name, shape in sample.shapes.items()
    }
    flops = counting.apply(_flops, (entry.given, shapes, classes, parameters))
    trained, predicted = train(), predict()
    return [
        f"{network.count_params():,}",
        f"{flops / 1e6:,.3g} M",
        f"{trained:,.0f}",
        f"{predicted:,.0f}",
        f"{300 * flops * trained / peak:.2g} %",
    ]


def _not_a_network(entry: Entry, parameters: dict, sample: Sample, classes: int) -> list[str]:
    """Events over the seconds of the whole training, as there are no steps; a tenth of the events validates."""
    rows = np.random.default_rng(0).permutation(len(sample))
    parts = [
        replace(sample, rows=sample.rows[one], labels=sample.labels[one]) for one in np.split(rows, [len(rows) // 10])
    ]
    started = time.perf_counter()
    fitted = entry.record.fit(
        parts[1], parts[0], parameters, classes=classes, seed=0, device="cpu", report=lambda epoch, values: None
    )
    trained = time.perf_counter()
    fitted.predict(sample)
    done = time.perf_counter()
    rates = len(parts[1]) / (trained - started), len(sample) / (done - trained)
    return [f"{fitted.parameters:,}", "–", f"whole {rates[0]:,.0f}", f"{rates[1]:,.0f}", "–"]


def _on_jax() -> None:
    os.environ["KERAS_BACKEND"], os.environ["JAX_PLATFORMS"] = "jax", "cpu"


def _flops(model: str, shapes: dict[str, tuple[int, ...]], classes: int, parameters: dict[str, Any]) -> float:
    """Of a prediction of one event, counted by XLA, in a process where Keras runs on JAX."""
    import jax
    import jax.numpy as jnp

    events = 8
    network = registry.find("model", model).record.build(shapes, classes, parameters)
    batch = {tensor.name: jnp.ones((events, *tensor.shape[1:]), tensor.dtype) for tensor in network.inputs}
    structured = structured_batch(network, batch)

    def forward(weights, others, inputs):
        return network.stateless_call(weights, others, inputs, training=False)[0]

    weights, others = (
        [one.value for one in some] for some in (network.trainable_variables, network.non_trainable_variables)
    )
    counted = jax.jit(forward).lower(weights, others, structured).cost_analysis()
    return float(counted["flops"]) / events


def _matrix_rate() -> float:
    """FLOPs a second of a product of two matrices, the best of five."""
    from keras import ops

    x = ops.ones((MATRIX, MATRIX), "float32")
    best = math.inf
    for _ in range(6):
        started = time.perf_counter()
        np.asarray(ops.matmul(x, x)[0, 0])
        best = min(best, time.perf_counter() - started)
    return 2 * MATRIX**3 / best


def _against(against: str, task: Entry, entry: Entry, parameters: dict, sample: Sample, seconds: float) -> list[str]:
    """Ours and theirs in turns; the middle of three turns of each."""
    classes = len(task.record.classes)
    if against == "weaver":
        parameters = {**parameters, "batch_size": min(WEAVER_BATCH, parameters["batch_size"])}
    ours = rates_of(entry.record.build, sample, parameters, classes, seconds)[1:]
    their = {"keras": _keras, "weaver": weaver_rates}[against]
    with their(entry, sample, parameters, classes, seconds) as theirs:
        turns = [[rate() for rate in (*ours, *theirs)] for _ in range(ROUNDS)]
    trained, predicted, their_trained, their_predicted = map(statistics.median, zip(*turns, strict=True))
    ratio = statistics.median(ours / theirs for ours, _, theirs, _ in turns)
    return [
        str(parameters["batch_size"]),
        f"{trained:,.0f}",
        f"{their_trained:,.0f}",
        f"{ratio:.2f}",
        f"{predicted:,.0f}",
        f"{their_predicted:,.0f}",
    ]


@contextmanager
def _keras(entry: Entry, sample: Sample, parameters: dict, classes: int, seconds: float):
    """(training, prediction) of `keras.Model.fit` and `predict`, each an epoch over scaled arrays in memory."""
    import keras

    network = entry.record.build(sample.shapes, classes, parameters)
    binary = network.output_shape[-1] == 1
    loss = "binary_crossentropy" if binary else "sparse_categorical_crossentropy"
    network.compile(optimiser_of({**DEFAULTS, **parameters}), loss, metrics=["accuracy"])
    batch = sample.take(slice(None))
    inputs = keras.tree.map_structure(lambda tensor: batch[tensor.name], network.input)
    size = int(parameters["batch_size"])

    def fit() -> int:
        network.fit(inputs, sample.labels, batch_size=size, verbose=0)
        return len(sample)

    def predict() -> int:
        network.predict(inputs, batch_size=MOST_PREDICTED, verbose=0)
        return len(sample)

    fit(), predict()
    yield lambda: for_seconds(fit, seconds), lambda: for_seconds(predict, seconds)
