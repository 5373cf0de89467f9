"""How long a trained model takes to predict: one event alone, and many at a time. What is timed, and how, is on
docs/timing.md."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

import numpy as np

from hepbench.benchmarks.base import Sample

BATCHES = (1, 10, 100, 1_000, 10_000)
"""Events that are predicted at once."""

LATENCIES = 30
"""Predictions of one event at least, whose median is the latency."""

MOST_LATENCIES = 1_000

FOR_P99 = 100
"""Predictions of which a 99th percentile can be told."""

REPEATS = 3
"""Predictions of many events at least, whose median gives the rate."""

LONGEST = 10
"""Times of the seconds given that a single prediction may take to be timed at all."""

Predict = Callable[[Sample], np.ndarray]
"""Gives scores as an array of numpy, by which the device is done with them."""


def prediction_times(predict: Predict, sample: Sample, seconds: float) -> dict[str, float]:
    """Latency of one event and rates by the number of events at once, of which each is timed for so many seconds, or
    for `REPEATS` predictions where these take longer; 0: the latency alone, by LATENCIES predictions.

    latency_ms, latency_p99_ms: median and 99th percentile, in milliseconds; the second needs `FOR_P99` predictions.
    throughput_<n>, throughput_<n>_spread: events a second, n at once: the median, and half of the range that holds 68 %
    of the repeats. What takes too long (`LONGEST`), or needs more predictions than there is time for, is absent.
    """
    alone = repeated(predict, first(sample, 1), seconds, LATENCIES, MOST_LATENCIES)
    result = {"latency_ms": 1e3 * float(np.median(alone))}
    if len(alone) >= FOR_P99:
        result["latency_p99_ms"] = 1e3 * float(np.percentile(alone, 99))
    if not seconds:
        return result
    expected, before = 0.0, 1
    for events in BATCHES:
        if expected * events / before > LONGEST * seconds:
            break
        taken = repeated(predict, first(sample, events), seconds, REPEATS, MOST_LATENCIES) if events > 1 else alone
        result |= rate_and_spread(f"throughput_{events}", events / taken)
        expected, before = float(np.median(taken)), events
    return result


def repeated(predict: Predict, sample: Sample, seconds: float, least: int, most: int) -> np.ndarray:
    """Seconds of each prediction, repeated for so many seconds, `least` to `most` times, after an untimed one, which
    compiles and allocates."""
    predict(sample)
    taken: list[float] = []
    started = now = time.perf_counter()
    while len(taken) < least or (now - started < seconds and len(taken) < most):
        predict(sample)
        before, now = now, time.perf_counter()
        taken.append(now - before)
    return np.array(taken)


def rate_and_spread(name: str, rates: np.ndarray) -> dict[str, float]:
    """Median of rates (n,), and with more than one half of the range that holds 68 % of them, as `<name>_spread`."""
    low, middle, high = (float(value) for value in np.percentile(rates, (16, 50, 84)))
    return {name: middle} | ({f"{name}_spread": (high - low) / 2} if len(rates) > 1 else {})


def first(sample: Sample, count: int) -> Sample:
    """So many events of a sample, from the first on and again where it has fewer."""
    rows = np.resize(np.arange(len(sample)), count)
    return dataclasses.replace(sample, rows=sample.rows[rows], labels=sample.labels[rows])
