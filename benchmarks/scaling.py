"""Scaling of a model's inputs, (x - shift) * scale per column of the last axis, fitted on the training set only.

none      raw
standard  mean 0 and standard deviation 1; images divided by the root mean square of their hits
minmax    smallest value 0, largest 1
max       divided by the largest absolute value
robust    median 0 and interquartile range 1; images divided by the interquartile range of their hits. Where that range
          is 0 although the values differ, as for a flag that is rarely set, the standard deviation takes its place (for
          an image the root mean square)

A setting names one of them for all inputs, and after commas others for some: "none,context:standard". Scaled inputs are
the "table", the "context", the "features" of true points (padding excluded), and the "image" by channel. Hits are
pixels other than 0: standard, max and robust keep the zeros of an image; minmax uses all pixels, and zeros stay zeros
where no pixel is negative. "points" and "mask" are never scaled. Padding of features is not zero after scaling: a
network multiplies it with the mask.

Smallest and largest values are those of the whole training set, read in chunks. Means, spreads and quartiles are taken
from evenly spaced events, at most 50,000 and at most 1 GiB. A constant column (for max: all zero; in an image: without
a hit) cannot be scaled and keeps scale 1; `constant_columns` finds such columns.

Missing values, NaN in "table" and "context", are replaced by the median of the training set before scaling and flagged
in an extra column, which is 0 or 1 and not scaled; models that take NaN get them unchanged.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from hepbench.benchmarks.base import Parameters, Sample, Scaling, check_known
from hepbench.benchmarks.sampling import evenly_spaced

METHODS = ("none", "standard", "minmax", "max", "robust")
DEFAULT = "standard"
SCALED = ("table", "context", "features", "image")
"""Scaled inputs, where a model has them."""

FILLED = ("table", "context")
"""Inputs in which values may be missing."""

MEDIAN_OF = 50_000
"""Events from which the median of a variable is taken."""

BY_SPREAD = ("standard", "robust")
"""Methods after which a large value is an outlier."""

CHUNK_BYTES = 2**26

Moments = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Number, mean and sum of squared deviations of each column."""

Fit = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Shift, scale and whether it is constant, of each column."""


def methods_of(scaling: str) -> dict[str, str]:
    """Input -> one of METHODS, from a setting such as "standard" or "none,context:standard". UserError for unknown
    names."""
    first, *others = str(scaling).split(",")
    check_known("scaling", first, METHODS)
    methods = dict.fromkeys(SCALED, first)
    for name, _, method in (other.partition(":") for other in others):
        check_known(f"input in scaling={scaling}", name, SCALED)
        check_known(f"scaling of {name}", method, METHODS)
        methods[name] = method
    return methods


def method_of(parameters: Parameters, name: str) -> str:
    """Scaling method of an input by a model's hyper-parameters."""
    return methods_of(parameters.get("scaling", DEFAULT))[name]


def fit_scaling(
    sample: Sample, scaling: str = DEFAULT, events: int = 50_000, memory: int = 2**30
) -> dict[str, tuple[np.ndarray, ...]]:
    """Shift and scale of each scaled input, for `Sample.scaling`; to be fitted on the training set, for a task with
    missing values on the result of `with_filling`.

    scaling: as `methods_of` reads it. events, memory: maximum number of events, and bytes of them, from which moments
    and quartiles are taken.
    """
    found = dict(sample.scaling)
    for name, (shift, scale, _) in _fits(sample, scaling, events, memory):
        found[name] = (shift, scale)
        if filling := sample.scaling.get(name, ())[2:]:
            marks = len(filling[1])
            shift, scale = (np.append(shift, np.zeros(marks)), np.append(scale, np.ones(marks)))
            found[name] = (shift.astype(np.float32), scale.astype(np.float32), *filling)
    return found


def with_filling(sample: Sample) -> Sample:
    """The training set of a task with missing values, with NaN of each variable filled with the median of the other
    values, and flags for the variables that have some; nothing is scaled."""
    found: dict[str, tuple[np.ndarray, ...]] = {}
    some = sample.rows[evenly_spaced(len(sample), MEDIAN_OF)]
    for name in FILLED:
        if name not in sample.inputs:
            continue
        values = np.asarray(sample.inputs[name][some], np.float64)
        known = ~np.isnan(values)
        fill = np.zeros(values.shape[1], np.float32)
        for column in np.flatnonzero(known.any(axis=0)):
            fill[column] = np.median(values[known[:, column], column])
        has = np.zeros(values.shape[1], bool)
        for chunk in _chunks(sample, name, sample.rows):
            has |= np.isnan(chunk).any(axis=0)
        marked = np.flatnonzero(has)
        zeros, ones = (np.full(len(fill) + len(marked), one, np.float32) for one in (0, 1))
        found[name] = (zeros, ones, fill, marked)
    return dataclasses.replace(sample, scaling=found)


def without_filling(scaling: Scaling) -> dict[str, tuple[np.ndarray, ...]]:
    """The same scaling for a model that takes NaN."""
    return {name: tuple(one[: len(fill[0])] if fill else one for one in (shift, scale))
            for name, (shift, scale, *fill) in scaling.items()}  # fmt: skip


def constant_columns(sample: Sample, scaling: str) -> list[tuple[str, int]]:
    """(input, column) of constant columns, which this scaling leaves unscaled, for all methods but "standard"."""
    methods = methods_of(scaling)
    found = [(name, constant) for name, (_, _, constant) in _fits(sample, scaling) if methods[name] != "standard"]
    return [(name, int(column)) for name, constant in found for column in np.flatnonzero(constant)]


def _fits(sample: Sample, scaling: str, events: int = 50_000, memory: int = 2**30) -> Iterator[tuple[str, Fit]]:
    fits = {"minmax": _minmax, "max": _max, "standard": _standard, "robust": _robust}
    whole = {"minmax", "max"}
    size = max(1, sum(array[:1].nbytes for array in sample.inputs.values()))
    some = sample.rows[evenly_spaced(len(sample), min(events, max(1, memory // size)))]
    for name, method in methods_of(scaling).items():
        if name in sample.inputs and method != "none":
            yield name, fits[method](sample, name, sample.rows if method in whole else some)


def _standard(sample: Sample, name: str, rows: np.ndarray) -> Fit:
    moments: Moments | None = None
    for values in _chunks(sample, name, rows):
        width = values.shape[-1]
        hit = (values != 0).sum(axis=0) if name == "image" else np.full(width, len(values))
        mean = np.zeros(width) if name == "image" or not len(values) else values.mean(axis=0, dtype=np.float64)
        square = np.square(values - mean).sum(axis=0, dtype=np.float64)
        moments = _merge(moments, (hit, mean, square)) if moments else (hit, mean, square)
    assert moments is not None
    number, mean, square = moments
    spread = np.sqrt(square / np.maximum(number, 1))
    return _fit(mean, spread, _is_constant(mean, spread))


def _minmax(sample: Sample, name: str, rows: np.ndarray) -> Fit:
    least, most = _extremes(sample, name, rows)
    return _fit(np.where(np.isfinite(least), least, 0), most - least, ~(most > least))


def _max(sample: Sample, name: str, rows: np.ndarray) -> Fit:
    largest = np.abs(_extremes(sample, name, rows)).max(axis=0)
    return _fit(np.zeros(len(largest)), largest, ~(np.isfinite(largest) & (largest > 0)))


def _extremes(sample: Sample, name: str, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest value of each column; inf and -inf where there are no values."""
    width = sample.inputs[name].shape[-1]
    least, most = np.full(width, np.inf), np.full(width, -np.inf)
    for values in _chunks(sample, name, rows):
        if len(values):
            least, most = np.minimum(least, values.min(axis=0)), np.maximum(most, values.max(axis=0))
    return least, most


def _robust(sample: Sample, name: str, rows: np.ndarray) -> Fit:
    width = sample.inputs[name].shape[-1]
    parts: list[list[np.ndarray]] = [[] for _ in range(width)]
    for values in _chunks(sample, name, rows):
        for column, part in enumerate(parts):
            of_column = values[:, column]
            part.append(of_column[of_column != 0] if name == "image" else of_column)
    shift, spread, constant = np.zeros(width), np.zeros(width), np.ones(width, bool)
    for column, part in enumerate(parts):
        values = np.concatenate(part).astype(np.float64)
        if not len(values):
            continue
        low, middle, high = np.percentile(values, (25, 50, 75))
        shift[column] = 0 if name == "image" else middle
        deviation = np.sqrt(np.square(values).mean()) if name == "image" else values.std()
        spread[column] = high - low or deviation
        constant[column] = _is_constant(shift[column], spread[column])
    return _fit(shift, spread, constant)


def _chunks(sample: Sample, name: str, rows: np.ndarray) -> Iterator[np.ndarray]:
    """(n, columns) values of these events; for features those of true points only."""
    array = sample.inputs[name]
    chunk = max(1, CHUNK_BYTES // max(1, array[:1].nbytes))
    for start in range(0, max(1, len(rows)), chunk):
        values = array[rows[start : start + chunk]]
        if name == "features" and "mask" in sample.inputs:
            values = values[sample.inputs["mask"][rows[start : start + chunk]]]
        if filling := sample.scaling.get(name, ())[2:]:
            values = np.where(np.isnan(values), filling[0], values)
        yield values.reshape(-1, values.shape[-1])


def _fit(shift: np.ndarray, size: np.ndarray, constant: np.ndarray) -> Fit:
    return shift.astype(np.float32), (1 / np.where(constant, 1, size)).astype(np.float32), constant


def _is_constant(middle: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Up to rounding."""
    return np.asarray(spread <= 1e-6 * np.maximum(np.abs(middle), 1e-30))


def _merge(one: Moments, other: Moments) -> Moments:
    """Moments of two chunks combined (Chan, Golub and LeVeque 1979)."""
    number = one[0] + other[0]
    part = other[0] / np.maximum(number, 1)
    step = other[1] - one[1]
    return number, one[1] + step * part, one[2] + other[2] + step**2 * part * one[0]
