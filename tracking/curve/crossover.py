"""Where one model's curve crosses another's: from how many training events on it stays above, with an interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hepbench.tracking import statistics
from hepbench.tracking.curve import spread
from hepbench.tracking.curve.record import Line, shared

DRAWS = 20_000
"""Of curves within their errors, from which an interval is taken."""


@dataclass(frozen=True)
class Crossover:
    """ahead: the model whose mean is higher at the most events, behind: the other. at: from which number of training
    events on it is; NaN where it is at all. low, high: 95 % interval of that number: 0 where it may lie below the
    fewest events, infinite where it may not be ahead within these events. before: further crossings, at fewer events.
    fewest, most: events between which both were measured."""

    ahead: str
    behind: str
    at: float
    low: float
    high: float
    before: Sequence[float]
    fewest: int
    most: int

    @property
    def certain(self) -> bool:
        """Whether the one is ahead at the most events beyond the error."""
        return math.isfinite(self.high)


def crossover(one: Line, other: Line) -> Crossover | None:
    """Between neighbouring points a difference is a straight line over the logarithm of the number of events. None
    where the two have no number of events in common, or no difference at the most."""
    some = shared(one, other)
    if not some:
        return None
    events, found = [n for n, _ in some], [apart for _, apart in some]
    mean = np.array([apart.mean for apart in found])
    if not np.isfinite(mean).all() or mean[-1] == 0:
        return None
    sign = 1.0 if mean[-1] > 0 else -1.0
    drawn = np.random.default_rng(2026).multivariate_normal(
        sign * mean, spread.covariance(events, found), DRAWS, method="eigh"
    )
    x = np.log(events)
    tail = (1 - statistics.LEVEL) / 2
    low, high = np.quantile(last_crossing(x, drawn), [tail, 1 - tail], method="inverted_cdf")
    at = float(last_crossing(x, sign * mean[None])[0])
    crossings = [_between(x, mean, place) for place in range(len(x) - 1) if (mean[place] > 0) != (mean[place + 1] > 0)]
    names = (one.model, other.model) if sign > 0 else (other.model, one.model)
    return Crossover(
        *names, at or math.nan, float(low), float(high), crossings[:-1] if at else crossings, events[0], events[-1]
    )


def _between(x: np.ndarray, y: np.ndarray, place: int) -> float:
    """Events at which the line from this point to the next is 0."""
    rise = y[place + 1] - y[place]
    return float(np.exp(x[place] - y[place] * (x[place + 1] - x[place]) / rise))


def last_crossing(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(draws,) events from which y stays above 0 up to the last point: 0 where it is above everywhere, infinite where
    the last is not. x: (points,) logarithms of events. y: (draws, points)."""
    below = y <= 0
    last = len(x) - 1 - np.argmax(below[:, ::-1], axis=1)  # the last point that is not above
    found = np.zeros(len(y))
    found[below[:, -1]] = np.inf
    crossing = below.any(axis=1) & ~below[:, -1]
    rows, place = np.flatnonzero(crossing), last[crossing]
    start, end = y[rows, place], y[rows, place + 1]
    found[crossing] = np.exp(x[place] - start * (x[place + 1] - x[place]) / (end - start))
    return found
