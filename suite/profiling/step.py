"""One training step of a network, kernel by kernel, by TensorFlow's profiler.

hepbench measure step --task ecal -m gnn
"""

from __future__ import annotations

import re
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hepbench.benchmarks.base import Sample, UserError
from hepbench.suite.profiling.models import FlopCounter
from hepbench.suite.training.batches import BatchLoader
from hepbench.suite.training.keras_training import warm_up
from hepbench.suite.training.network import Network, build_network, start_session
from hepbench.suite.training.optimiser import optimiser_of
from hepbench.suite.training.settings import DEFAULTS
from hepbench.suite.training.steps import training_steps
from hepbench.suite.trial.spec import Trial

LEAST_CHUNKS = 3
"""Chunk of batches, which are timed and then profiled."""

TRACED = 3
"""Level of TensorFlow's profiler: the maximum; it still omits kernels of a few microseconds."""

FORWARD, BACKWARD, UPDATE = "forward", "backward", "update"


@dataclass(frozen=True)
class Kernel:
    """All calls of one kind of operation in one pass of one layer. calls, seconds: per step; bytes: of memory that they
    allocate, including results unless written in place."""

    kind: str
    stage: str
    layer: str
    calls: float
    seconds: float
    bytes: float


@dataclass(frozen=True)
class StepProfile:
    """seconds: per step without the profiler, the median of chunks. steps: number profiled. flops: per step, three
    predictions as XLA counts them; None if they are not counted."""

    batch_size: int
    steps: int
    seconds: float
    kernels: tuple[Kernel, ...]
    flops: float | None


def profile_of(trial: Trial, sample: Sample, seconds: float, count_flops: FlopCounter) -> StepProfile:
    """Training steps of this trial: timed for about this number of seconds, then profiled for as long. UserError for
    models that are not Keras networks, and for backends other than TensorFlow."""
    build = trial.model.record.build
    if build is None or not trial.model.record.in_keras:
        raise UserError(f"{trial.model.name} is not a Keras network: give one, such as mlp")
    if trial.spec.backend != "tensorflow":
        raise UserError("steps are profiled only on TensorFlow: omit --backend")
    options = {**DEFAULTS, **trial.hyperparameters}
    start_session(0, trial.spec.device)
    classes = len(trial.task.record.classes)
    keras_model = build_network(build, sample, classes, trial.hyperparameters)
    optimiser = optimiser_of(options)
    optimiser.build(keras_model.trainable_variables)
    run_steps = training_steps(keras_model, optimiser)
    network = Network(keras_model, classes)
    feed = BatchLoader(sample, network, int(options["batch_size"]))
    warm_up(network, run_steps, feed, sample)
    rates = np.full(feed.batches_per_chunk, 1e-4, np.float32)

    def chunks() -> Iterator[float]:
        """Runs chunks for about this number of seconds and returns the seconds per step of each."""
        shuffle, started, done = np.random.default_rng(0), time.perf_counter(), 0
        while True:
            for inputs, targets in feed.epoch(shuffle):
                before = time.perf_counter()
                run_steps(inputs, targets, rates)
                yield (time.perf_counter() - before) / feed.batches_per_chunk
                done += 1
                if done >= LEAST_CHUNKS and time.perf_counter() - started > seconds:
                    return

    timed = statistics.median(chunks())
    number, kernels = _profiled(chunks(), feed.batches_per_chunk)
    flops = count_flops(trial, sample)
    step_flops = None if flops is None else 3 * flops * feed.batch_size
    return StepProfile(feed.batch_size, number, timed, kernels, step_flops)


def _profiled(chunks: Iterator[float], steps_of_chunk: int) -> tuple[int, tuple[Kernel, ...]]:
    """Steps, and their kernels, the longest first."""
    import tensorflow as tf

    options = tf.profiler.experimental.ProfilerOptions(
        host_tracer_level=TRACED, python_tracer_level=0, device_tracer_level=1
    )
    with tempfile.TemporaryDirectory() as scratch:
        tf.profiler.experimental.start(scratch, options=options)
        try:
            steps = steps_of_chunk * sum(1 for _ in chunks)
        finally:
            tf.profiler.experimental.stop()
        (path,) = Path(scratch).rglob("*.xplane.pb")
        return steps, _kernels(path, steps)


def _kernels(path: Path, steps: int) -> tuple[Kernel, ...]:
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    space = xplane_pb2.XSpace()
    space.ParseFromString(path.read_bytes())
    found: dict[tuple[str, str, str], list[float]] = defaultdict(lambda: [0, 0.0, 0.0])
    for plane in space.planes:
        names = {key: one.name for key, one in plane.event_metadata.items()}
        stats = {key: one.name for key, one in plane.stat_metadata.items()}
        for line in plane.lines:
            for key, seconds, size in _own_seconds(line, names, stats):
                place, _, kind = key.rpartition(":")
                entry = found[kind, *_stage_and_layer(place)]
                entry[0] += 1
                entry[1] += seconds
                entry[2] += size
    kernels = [Kernel(*key, *(value / steps for value in values)) for key, values in found.items()]
    return tuple(sorted(kernels, key=lambda one: -one.seconds))


_OPERATION = re.compile(r"[\w./>-]+:_?[A-Z]\w*")
"""TensorFlow's name of a kernel in a profile: name of the operation, and its kind."""


def _own_seconds(line: Any, names: dict[int, str], stats: dict[int, str]) -> Iterator[tuple[str, float, float]]:
    """(name, seconds, bytes) of each kernel on one thread, without the kernels that run within it, such as those in the
    body of a loop."""
    open_ones: list[list[Any]] = []  # [name, end, own picoseconds, bytes]
    for event in sorted(line.events, key=lambda one: (one.offset_ps, -one.duration_ps)):
        while open_ones and open_ones[-1][1] <= event.offset_ps:
            name, _, own, size = open_ones.pop()
            yield name, own / 1e12, size
        name = names[event.metadata_id]
        if name == "MemoryAllocation" and open_ones:
            given = {stats[one.metadata_id]: one.int64_value or one.uint64_value for one in event.stats}
            open_ones[-1][3] += given.get("allocation_bytes", 0)
        elif _OPERATION.fullmatch(name):
            if open_ones:
                open_ones[-1][2] -= event.duration_ps
            open_ones.append([name, event.offset_ps + event.duration_ps, event.duration_ps, 0])
    for name, _, own, size in open_ones:
        yield name, own / 1e12, size


def _stage_and_layer(place: str) -> tuple[str, str]:
    """From the names that Keras and TensorFlow give to operations: a network's are below `functional`, followed by the
    layer, whose name may have an additional number."""
    parts = place.split("/")
    at = [number for number, part in enumerate(parts) if part.startswith(("functional", "sequential"))]
    layer = parts[at[0] + 1] if at and at[0] + 1 < len(parts) - 1 else ""
    if any(part.startswith("gradient_tape") for part in parts):
        return BACKWARD, layer
    return (FORWARD, layer) if at else (UPDATE, "")
