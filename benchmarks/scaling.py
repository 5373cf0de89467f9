"""Scaling of a model's inputs, fitted on the training part alone."""

from __future__ import annotations

import numpy as np

from hepbench.benchmarks.base import Sample
from hepbench.benchmarks.sampling import evenly_spaced

Moments = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Number, mean and sum of squared deviations of each column."""


def fit_scaling(sample: Sample, events: int = 50_000, memory: int = 2**30) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Shift and scale of each input, to be handed back as `Sample.scaling`; fit it on the training part.

    "table", "context" and "features" get mean 0 and standard deviation 1, features over true particles only, a
    constant variable scale 1. "image" keeps its zeros: shift 0 and the root mean square of its non-zero pixels by
    channel. "points" and "mask" stay as they are. Padding is not zero after scaling: a network multiplies features
    with the mask.

    Measured on evenly spaced events: at most `events`, and at most `memory` bytes are read, in chunks.
    """
    size = max(1, sum(array[:1].nbytes for array in sample.inputs.values()))
    which = evenly_spaced(len(sample), min(events, max(1, memory // size)))
    chunk = max(1, 2**26 // size)
    sums: dict[str, Moments] = {}
    for start in range(0, len(which), chunk):
        rows = sample.rows[which[start : start + chunk]]
        for name in sample.inputs.keys() & {"table", "context", "features", "image"}:
            values = sample.inputs[name][rows]
            width = values.shape[-1]
            if name == "features" and "mask" in sample.inputs:
                values = values[sample.inputs["mask"][rows]]
            values = values.reshape(-1, width)
            hit = (values != 0).sum(axis=0) if name == "image" else np.full(width, len(values))
            mean = np.zeros(width) if name == "image" or not len(values) else values.mean(axis=0, dtype=np.float64)
            square = np.square(values - mean).sum(axis=0, dtype=np.float64)
            sums[name] = _merge(sums[name], (hit, mean, square)) if name in sums else (hit, mean, square)
    scaling = {}
    for name, (number, mean, square) in sums.items():
        spread = np.sqrt(square / np.maximum(number, 1))
        constant = spread <= 1e-6 * np.maximum(np.abs(mean), 1e-30)
        scaling[name] = (mean.astype(np.float32), (1 / np.where(constant, 1, spread)).astype(np.float32))
    return scaling


def _merge(one: Moments, other: Moments) -> Moments:
    """Those of two chunks together (Chan, Golub and LeVeque 1979)."""
    number = one[0] + other[0]
    part = other[0] / np.maximum(number, 1)
    step = other[1] - one[1]
    return number, one[1] + step * part, one[2] + other[2] + step**2 * part * one[0]
