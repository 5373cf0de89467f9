"""`hepbench measure models`: size, work and speed of every entry on a task, and its speed against other programs.

FLOPs are those that XLA counts of one prediction, of a cloud with as many points as the task's clouds have on average;
a step of training is taken as three predictions. Rates are of a network that is compiled, on scaled events in memory.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from multiprocessing.pool import Pool
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import registry, views
from benchmarks.base import Sample, UserError, check_known
from benchmarks.registry import Entry
from suite import bench, data, device, training, trial
from suite.measure import _apart
from suite.trial import Spec

if TYPE_CHECKING:
    import torch

MATRIX = 2048  # a side of the matrices whose product is the machine's rate
LONGEST = (
    50_000  # events of a shorter sample repeated, so that an epoch is no matter of its start; fewer below a second
)
LARGEST = 2**28  # bytes of a sample
ROUNDS = 3  # turns that each of two programs takes
WEAVER_BATCH = 256
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
        _weaver_is_there()
    chosen, _ = device.resolve(wanted_device, backend)
    device.load_keras(chosen, backend)
    found = [registry.find("task", given) for given in tasks]
    entries = [registry.find("model", given) for given in models or registry.names("model")]
    peak = _matrix_rate()
    machine = data.hardware.describe()
    processor = machine["gpus"][0]["name"] if chosen == "gpu" else f"{machine['cpu']}, {machine['cores_usable']} cores"
    where = f"{processor}, {backend}, {date.today()}"
    with multiprocessing.get_context("spawn").Pool(1, _on_jax) as counting:
        for task in found:
            sample = {}  # of each view, read once
            _, prepared = bench.open_data(
                task, data.choose(task, "simulated" if task.record.simulation else "auto"), events, console
            )
            table = _table(f"{task.name}: {where}, {peak / 1e9:,.0f} GFLOP/s in matrix products", against)
            for entry in entries:
                parameters = trial.parameters_of(
                    task.record, entry.record, Spec(task.given, entry.given, 0, "full", "simulated", chosen, backend)
                )
                if trial.refusal(task.record, entry.record, parameters.get("features")):
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
        shapes = _apart(_shapes, task.given, sorted({entry.record.view for entry in networks.values()}))
        for name, entry in networks.items():
            advance(1)
            if trial.refusal(task.record, entry.record, next(iter(task.record.features), None)):
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
    with bench.progress_bar(Console(stderr=True), "building", None, "networks") as advance:
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


def _sample(task: Entry, prepared: data.Prepared, view: str, parameters: dict[str, Any], seconds: float) -> Sample:
    """All events, scaled on themselves, repeated to a length that can be timed."""
    inputs = trial.cut(task.record, data.view(task, prepared, view) if view else {}, parameters)
    rows = np.arange(len(prepared))
    sample = Sample(inputs, rows, prepared.labels)
    size = 4 * sum(math.prod(shape) for shape in sample.shapes.values())
    longest = min(round(LONGEST * min(1, seconds)), LARGEST // max(1, size))
    rows = np.resize(rows, max(len(rows), longest))
    return replace(sample, rows=rows, labels=prepared.labels[rows], scaling=views.fit_scaling(sample))


def _alone(
    task: Entry, entry: Entry, parameters: dict, sample: Sample, seconds: float, peak: float, counting: Pool
) -> list[str]:
    classes = len(task.record.classes)
    if not entry.record.build:
        return _not_a_network(entry, parameters, sample, classes)
    network, train, predict = training.rates_of(entry.record.build, sample, parameters, classes, seconds)
    points = max(1, round(float(training._lengths(sample).mean())))
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
    structured = training._structured(network, batch)

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


# --- other programs --------------------------------------------------------------------------------------------------


def _against(against: str, task: Entry, entry: Entry, parameters: dict, sample: Sample, seconds: float) -> list[str]:
    """Ours and theirs in turns; the middle of three turns of each."""
    classes = len(task.record.classes)
    if against == "weaver":
        parameters = {**parameters, "batch_size": min(WEAVER_BATCH, parameters["batch_size"])}
    ours = training.rates_of(entry.record.build, sample, parameters, classes, seconds)[1:]
    their = {"keras": _keras, "weaver": _weaver}[against]
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


def _for_seconds(step: Callable[[], int], seconds: float) -> float:
    """Events a second of a step that gives the events it has done."""
    started, events = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        events += step()
    return events / (time.perf_counter() - started)


@contextmanager
def _keras(entry: Entry, sample: Sample, parameters: dict, classes: int, seconds: float):
    """(training, prediction) of `keras.Model.fit` and `predict`, each an epoch over scaled arrays in memory."""
    import keras

    network = entry.record.build(sample.shapes, classes, parameters)
    binary = network.output_shape[-1] == 1
    loss = "binary_crossentropy" if binary else "sparse_categorical_crossentropy"
    network.compile(training._optimiser({**training.DEFAULTS, **parameters}), loss, metrics=["accuracy"])
    batch = sample.take(slice(None))
    inputs = keras.tree.map_structure(lambda tensor: batch[tensor.name], network.input)
    size = int(parameters["batch_size"])

    def fit() -> int:
        network.fit(inputs, sample.labels, batch_size=size, verbose=0)
        return len(sample)

    def predict() -> int:
        network.predict(inputs, batch_size=training.MOST_PREDICTED, verbose=0)
        return len(sample)

    fit(), predict()
    yield lambda: _for_seconds(fit, seconds), lambda: _for_seconds(predict, seconds)


WEAVER = {
    "particlenet_lite": {"conv_params": [(7, (32, 32, 32)), (7, (64, 64, 64))], "fc_params": [(128, 0.1)]},
    "particlenet": {
        "conv_params": [(16, (64, 64, 64)), (16, (128, 128, 128)), (16, (256, 256, 256))],
        "fc_params": [(256, 0.1)],
    },
    "part_lite": {
        "embed_dims": [64, 256, 64],
        "pair_embed_dims": [16],
        "num_heads": 4,
        "num_layers": 2,
        "num_cls_layers": 1,
    },
    "part": {},
}
"""What weaver-core calls the layers of our entries, its own defaults for `part`."""


def _weaver_is_there() -> None:
    try:
        import torch  # noqa: F401
        import weaver.nn.model.ParticleNet  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"weaver-core is not installed ({error}): {sys.executable} -m pip install torch weaver-core"
        ) from None


def weaver_network(name: str, features: int, classes: int) -> torch.nn.Module:
    """weaver-core's network of `WEAVER`, for this many features of a particle."""
    from weaver.nn.model.ParticleNet import ParticleNet
    from weaver.nn.model.ParticleTransformer import ParticleTransformer

    if name.startswith("particlenet"):
        return ParticleNet(features, classes, use_fusion=False, **WEAVER[name])
    return ParticleTransformer(features, classes, **WEAVER[name])


@contextmanager
def _weaver(entry: Entry, sample: Sample, parameters: dict, classes: int, seconds: float):
    """(training, prediction) of weaver-core's network on the same clouds; no loader stands between, the arrays are in
    memory. It has a process of its own, as in its own program, where nothing of `device` is set."""
    size = int(parameters["batch_size"])
    few = replace(sample, rows=sample.rows[: 16 * size], labels=sample.labels[: 16 * size])
    batch = few.take(slice(None))
    points, features = batch["points"].transpose(0, 2, 1), batch["features"].transpose(0, 2, 1)
    mask = batch["mask"][:, None, :]
    if entry.name.startswith("particlenet"):
        inputs = points, features, mask
    else:
        inputs = features, _momenta(points, batch.get("log_pt")), mask
    arrays, sizes = [np.ascontiguousarray(array) for array in inputs], (features.shape[1], classes)
    with multiprocessing.get_context("spawn").Pool(1) as process:
        process.apply(_weaver_starts, (entry.name, sizes, arrays, few.labels, size))
        yield [lambda step=step: process.apply(_weaver_goes_on, (step, seconds)) for step in ("fit", "predict")]


_weaver_steps: dict[str, Callable[[], int]] = {}  # in weaver-core's process


def _weaver_starts(name: str, sizes: tuple[int, int], arrays: list[np.ndarray], labels: np.ndarray, batch: int) -> None:
    """Its network for (features, classes), trained with AdamW in batches trimmed to their longest as it does itself."""
    import torch

    torch.set_num_threads(data.cores())
    torch.manual_seed(0)
    network = weaver_network(name, *sizes)
    inputs, labels = [torch.tensor(array) for array in arrays], torch.tensor(labels)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-4)
    loss_of, turn = torch.nn.CrossEntropyLoss(), [0]

    def part() -> slice:
        start = turn[0] % (len(labels) // batch) * batch
        turn[0] += 1
        return slice(start, start + batch)

    def fit() -> int:
        which = part()
        network.train()
        optimiser.zero_grad()
        loss_of(network(*(array[which] for array in inputs)), labels[which]).backward()
        optimiser.step()
        return batch

    def predict() -> int:
        which = part()
        network.eval()
        with torch.no_grad():
            network(*(array[which] for array in inputs))
        return batch

    for _ in range(6):  # it trims clouds from its sixth call on
        fit()
    _weaver_steps.update(fit=fit, predict=predict)


def _weaver_goes_on(step: str, seconds: float) -> float:
    return _for_seconds(_weaver_steps[step], seconds)


def _momenta(points: np.ndarray, log_pt: np.ndarray | None) -> np.ndarray:
    """(N, 4, P) momenta (px, py, pz, E) of massless particles at points (N, 2, P); of pT 1 where none is known."""
    eta, phi = points[:, 0], points[:, 1]
    pt = np.ones_like(eta) if log_pt is None else np.exp(log_pt)
    return np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), pt * np.cosh(eta)], axis=1)
