"""Toys that show whether intervals cover, whether equal models are told apart, and what is found of unequal ones.

A toy has two classes of events, as likely as each other, whose variable x is normal with a standard deviation of one
and means that lie `distance` apart. A model sees x with noise of its own and tells the logarithm of the true odds of
what it sees, so that every metric has a value that is known: the truth that intervals are to contain.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hepbench.benchmarks.metrics import EFFICIENCIES, METRICS, PURITIES
from hepbench.benchmarks.scored import Scored, log_scores_of
from hepbench.suite.differences import bootstrapped, compared, trainings_of
from hepbench.tracking import statistics

LEVELS = (0.68, 0.95)
DISTANCES = (1.0, 2.0)
NOISE, MORE_NOISE = 0.5, 0.65
"""Of two models on the same events: with the same they are equally good, with more the other is worse."""

MEASURED = (
    "auc",
    "accuracy",
    "precision",
    "recall",
    "log_loss",
    "brier",
    *(f"rejection_{percent}" for percent in EFFICIENCIES),
    *(f"efficiency_at_purity_{percent}" for percent in PURITIES),
)
DIFFERENCES = (
    ("auc", False),
    ("accuracy", False),
    ("rejection_30", False),
    ("rejection_50", False),
    ("rejection_50", True),
    ("rejection_70", False),
    ("efficiency_at_purity_90", True),
)
"""Metrics whose differences are measured, and whether by the bootstrap: of a rejection it is shown beside the parts of
the events, by which it is compared."""

RESAMPLINGS = 200
"""Of the bootstrap of a toy."""

SEEDS = ((2, 0.0), (2, 1.0), (2, 3.0), (3, 1.0), (3, 3.0), (5, 3.0))
"""Trainings, and the spread of their true AUC in errors of the test set."""

Advance = Callable[[int], None]
"""Is called with the number of toys that were made since."""


@dataclass(frozen=True)
class Coverage:
    """Of one quantity on test sets of so many events. truth: what it is. measured: share of the toys that gave a value;
    a limit, or the interval of what has no value, counts as an interval. covered: share of the intervals at each of
    LEVELS that contain the truth."""

    quantity: str
    distance: float
    events: int
    truth: float
    measured: float
    covered: tuple[float, ...]


@dataclass(frozen=True)
class Tested:
    """Of the test of a difference. false: share of pairs of equal models that are called different at 5 %. power: share
    of pairs of unequal models that are; independent: the same by the test that takes both errors as independent."""

    metric: str
    distance: float
    events: int
    false: float
    power: float
    independent: float


def truth(name: str, distance: float, noise: float = 0.0) -> float:
    """What a metric is for infinitely many events."""
    from scipy.integrate import quad
    from scipy.optimize import brentq
    from scipy.stats import norm

    apart = distance / math.hypot(1, noise)  # of what the model sees, in its standard deviations
    if name == "auc":
        return float(norm.cdf(apart / math.sqrt(2)))
    if name in ("accuracy", "precision", "recall"):
        return float(norm.cdf(apart / 2))
    if name in ("log_loss", "brier"):

        def loss(x: float) -> float:
            odds = apart * x + apart**2 / 2  # of the true class
            own = math.log1p(math.exp(-odds)) if name == "log_loss" else 1 / (1 + math.exp(odds)) ** 2
            return float(norm.pdf(x)) * own

        return float(quad(loss, -9, 9)[0])
    percent = int(name.rsplit("_", 1)[1]) / 100
    if name.startswith("rejection"):
        return float(1 / norm.sf(norm.isf(percent, apart)))

    def excess(threshold: float) -> float:
        signal, background = norm.sf(threshold - apart), norm.sf(threshold)
        return float(signal / (signal + background) - percent)

    return float(norm.sf(brentq(excess, -8, 12) - apart))


def coverage(events: int, distance: float, toys: int, advance: Advance) -> list[Coverage]:
    """Of the intervals of every metric of MEASURED."""
    rng = np.random.default_rng([events, round(100 * distance)])
    truths = {name: truth(name, distance) for name in MEASURED}
    inside = {name: np.zeros(len(LEVELS)) for name in MEASURED}
    measured, shown = dict.fromkeys(MEASURED, 0), dict.fromkeys(MEASURED, 0)
    for _ in range(toys):
        labels, variable = _events(rng, events, distance)
        scored = _model(labels, variable, distance, 0.0, rng)
        for name in MEASURED:
            metric = METRICS[name]
            value, error = metric.of(scored, 1)
            limit = metric.limit(scored, 1) if metric.limit and math.isnan(value) else math.nan
            measured[name] += math.isfinite(value)
            if math.isfinite(value) or math.isfinite(limit) or metric.interval:
                shown[name] += 1
                for place, level in enumerate(LEVELS):
                    if metric.interval:
                        low, high = metric.interval(scored, 1, statistics.quantile(_exact(level)))
                    elif math.isnan(value):
                        low, high = limit, math.inf
                    else:
                        low, high = interval(value, error, metric.scale, level)
                    inside[name][place] += low <= truths[name] <= high
        advance(1)
    return [
        Coverage(
            METRICS[name].heading,
            distance,
            events,
            truths[name],
            measured[name] / toys,
            tuple(float(one) for one in inside[name] / max(1, shown[name])),
        )
        for name in MEASURED
    ]


def interval(value: float, error: float, scale: str, level: float) -> tuple[float, float]:
    return statistics.interval(value, error, scale, _exact(level))


def _exact(level: float) -> float:
    """68.27 % for 68 %."""
    return statistics.ONE_SIGMA if level == LEVELS[0] else level


def differences(events: int, distance: float, toys: int, advance: Advance) -> tuple[list[Coverage], list[Tested]]:
    """Of the DIFFERENCES between two models on the same events: the intervals of unequal ones, and the test of equal
    and unequal ones."""
    rng = np.random.default_rng([events, round(100 * distance), 1])
    inside = {kind: np.zeros(len(LEVELS)) for kind in DIFFERENCES}
    false, power, independent, measured = ({kind: 0 for kind in DIFFERENCES} for _ in range(4))
    truths = {}
    for name, _ in DIFFERENCES:
        one, other = (truth(name, distance, noise) for noise in (NOISE, MORE_NOISE))
        truths[name] = math.log(one / other) if METRICS[name].scale == "log" else one - other
    for _ in range(toys):
        labels, variable = _events(rng, events, distance)
        models = [[_model(labels, variable, distance, noise, rng)] for noise in (NOISE, NOISE, MORE_NOISE)]
        for kind in DIFFERENCES:
            name, drawn = kind
            metric = METRICS[name]
            sides = bootstrapped(metric, models, 1, RESAMPLINGS) if drawn else trainings_of(metric, models, 1)
            found = statistics.paired(sides[0], sides[2])
            equal = statistics.paired(sides[0], sides[1])
            if not (math.isfinite(found.p) and math.isfinite(equal.p)):
                continue
            measured[kind] += 1
            false[kind] += equal.p < 0.05
            power[kind] += found.p < 0.05
            alone = sides[0].alone + sides[2].alone
            independent[kind] += statistics.two_sided(found.value, alone) < 0.05
            for place, level in enumerate(LEVELS):
                low, high = interval(found.value, found.error, "linear", level)
                inside[kind][place] += low <= truths[name] <= high
        advance(1)
    covered = [
        Coverage(
            f"difference of {_titled(name, drawn)}" + (", as a ratio" if METRICS[name].scale == "log" else ""),
            distance,
            events,
            math.exp(truths[name]) if METRICS[name].scale == "log" else truths[name],
            measured[name, drawn] / toys,
            tuple(float(one) for one in inside[name, drawn] / max(1, measured[name, drawn])),
        )
        for name, drawn in DIFFERENCES
    ]
    tested = [
        Tested(
            _titled(*kind),
            distance,
            events,
            *(one[kind] / max(1, measured[kind]) for one in (false, power, independent)),
        )
        for kind in DIFFERENCES
    ]
    return covered, tested


def _titled(name: str, drawn: bool) -> str:
    return METRICS[name].heading + (" (bootstrap)" if drawn else "")


def over_seeds(events: int, distance: float, toys: int, advance: Advance) -> list[Coverage]:
    """Of the intervals of the mean AUC over few seeds, whose networks see the events with noise of their own, and
    differ in what they separate."""
    rng = np.random.default_rng([events, round(100 * distance), 2])
    area = truth("auc", distance, NOISE)
    found = []
    for seeds, spread in SEEDS:
        inside = np.zeros(len(LEVELS))
        for _ in range(toys):
            labels, variable = _events(rng, events, distance)
            values, parts = [], []
            for _ in range(seeds):
                scored = _model(labels, variable, distance, NOISE, rng)
                value, part = compared(METRICS["auc"], scored, 1)
                error = math.sqrt(float(np.dot(part, part)))
                values.append(value + spread * error * rng.normal())
                parts.append(part)
            combined = statistics.combine_trainings(statistics.trainings(values, parts))
            for place, level in enumerate(LEVELS):
                low, high = combined.interval("linear", _exact(level))
                inside[place] += low <= area <= high
            advance(1)
        name = f"mean AUC of {seeds} seeds that spread by {spread:g} errors of the test set"
        found.append(Coverage(name, distance, events, area, 1.0, tuple(float(one) for one in inside / toys)))
    return found


def studies(events: Sequence[int], toys: int) -> list[tuple[str, int, int, float]]:
    """(kind, events, toys, distance) of each study that `every` makes."""
    found = []
    for number in events:
        for distance in DISTANCES:
            found += [("coverage", number, toys, distance), ("differences", number, toys, distance)]
        found.append(("seeds", number, len(SEEDS) * max(2, toys // 2), DISTANCES[0]))
    return found


def every(events: Sequence[int], toys: int, advance: Advance) -> tuple[list[Coverage], list[Tested]]:
    """All studies, with toys of each of these numbers of events."""
    covered: list[Coverage] = []
    tested: list[Tested] = []
    for kind, number, repeated, distance in studies(events, toys):
        if kind == "coverage":
            covered += coverage(number, distance, repeated, advance)
        elif kind == "differences":
            found, tests = differences(number, distance, repeated, advance)
            covered += found
            tested += tests
        else:
            covered += over_seeds(number, distance, repeated // len(SEEDS), advance)
    return covered, tested


def _events(rng: np.random.Generator, events: int, distance: float) -> tuple[np.ndarray, np.ndarray]:
    """(labels, variable) of events, each of either class."""
    labels = rng.integers(0, 2, events)
    return labels, rng.normal(size=events) + distance * labels


def _model(labels: np.ndarray, variable: np.ndarray, distance: float, noise: float, rng: np.random.Generator) -> Scored:
    seen = variable + noise * rng.normal(size=len(variable)) if noise else variable
    odds = (seen - distance / 2) * distance / (1 + noise**2)
    return Scored(labels, log_scores_of(odds[:, None]))
