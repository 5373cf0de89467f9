"""Batches of a sample, read ahead by a thread."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from hepbench.benchmarks.base import Sample
from hepbench.suite.training.steps import HELD, ROWS, WEIGHTS

CHUNK_BYTES = 2**26  # of inputs that are handed to the backend at a time, as a chunk of batches
SHARE_HELD = 0.25  # of a GPU's memory that the inputs of all events may take, which then stay there


class Takes(Protocol):
    """What a network takes in, by the names of its inputs, and how many numbers it gives of an event."""

    input_names: list[str]
    outputs: int


class BatchLoader:
    """Batches of a sample for a network, in chunks of `batches_per_chunk`; `steps` batches, of so many passes over the
    sample, are an epoch. hold: the inputs of all events may stay on a GPU of JAX, so that chunks name their rows."""

    def __init__(self, sample: Sample, network: Takes, batch_size: int, passes: int = 1, hold: bool = False):
        self.sample = inputs_of(sample, network)
        self.batch_size = min(batch_size, len(sample))
        self.lengths = cloud_lengths(self.sample)
        self.targets = (
            sample.labels.astype(np.float32)[:, None] if network.outputs == 1 else sample.labels.astype(np.int32)
        )
        self.passes = passes
        whole = len(sample) // self.batch_size * passes
        most = max(1, min(whole, CHUNK_BYTES // (bytes_of_event(sample) * self.batch_size)))
        self.batches_per_chunk = min(range((most + 1) // 2, most + 1), key=lambda size: (whole % size, -size))
        self.steps = whole // self.batches_per_chunk * self.batches_per_chunk
        held = hold and len(sample) * bytes_of_event(sample) <= SHARE_HELD * memory_of_gpu()
        self.held = held_inputs(self.sample) if held else None

    def epoch(self, shuffle: np.random.Generator) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
        """All events in a random order, in each pass another. The next chunk is read while the last is in use."""
        whole = len(self.sample) // self.batch_size * self.batch_size
        order = np.concatenate([shuffle.permutation(len(self.sample))[:whole] for _ in range(self.passes)])
        parts = order[: self.steps * self.batch_size].reshape(-1, self.batches_per_chunk * self.batch_size)
        with ThreadPoolExecutor(1) as pool:
            coming = pool.submit(self.chunk, parts[0])
            for following in (*parts[1:], None):
                ready = coming.result()
                if following is not None:
                    coming = pool.submit(self.chunk, following)
                yield ready

    def chunk(self, which: np.ndarray) -> tuple[dict[str, Any], np.ndarray]:
        """Inputs and targets (batches_per_chunk, batch_size, ...) of these events; the clouds of a batch by length."""
        shape = (-1, self.batch_size)
        which = which.reshape(shape)
        order = np.argsort(self.lengths[which], axis=1, kind="stable")
        which = np.take_along_axis(which, order, axis=1).reshape(-1)
        targets = self.targets[which]
        if self.held is not None:
            return {HELD: self.held, ROWS: which.astype(np.int32).reshape(shape)}, targets.reshape(
                shape + targets.shape[1:]
            )
        batch = with_weights(self.sample, which)
        fold = {name: values.reshape(shape + values.shape[1:]) for name, values in batch.items()}
        return fold, targets.reshape(shape + targets.shape[1:])


def with_weights(sample: Sample, which: np.ndarray) -> dict[str, np.ndarray]:
    """The inputs of these events, and their weights where the sample has them."""
    weights = {} if sample.weights is None else {WEIGHTS: sample.weights[which]}
    return sample.take(which) | weights


def memory_of_gpu() -> int:
    """Bytes that JAX may take of the GPU that it computes on; 0 where it is none."""
    import jax

    return int((jax.devices()[0].memory_stats() or {}).get("bytes_limit", 0))


def held_inputs(sample: Sample) -> dict[str, Any]:
    """Scaled inputs of all events, and their weights where there are such, as arrays of JAX on its device."""
    import jax

    size = max(1, CHUNK_BYTES // bytes_of_event(sample))
    rows = np.arange(len(sample))
    parts = [jax.device_put(with_weights(sample, rows[i : i + size])) for i in range(0, len(sample), size)]
    return {name: jax.numpy.concatenate([part[name] for part in parts]) for name in parts[0]}


def cloud_lengths(sample: Sample) -> np.ndarray:
    """(n,) true points of each cloud, 0 where there are no clouds."""
    if "mask" not in sample.inputs:
        return np.zeros(len(sample), np.int64)
    lengths: np.ndarray = np.asarray(sample.inputs["mask"])[sample.rows].sum(axis=1)
    return lengths


def bytes_of_event(sample: Sample) -> int:
    """Of one event's inputs as float32, at least 1."""
    return max(1, sum(4 * math.prod(shape) for shape in sample.shapes.values()))


def inputs_of(sample: Sample, network: Takes) -> Sample:
    """The sample with what the network takes in alone."""
    return replace(sample, inputs={name: sample.inputs[name] for name in network.input_names})
