"""Toy studies of the coverage of intervals, and of the false-positive rate and power of tests of differences.

A toy has two equally likely classes of events, whose variable x is normal with a standard deviation of one and means
`distance` apart. A model sees x with its own noise and predicts the true log-odds given what it sees, so that every
metric has a known true value, which intervals should contain.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hepbench.benchmarks.metrics import BINS, EFFICIENCIES, METRICS, PURITIES
from hepbench.benchmarks.scored import Scored, log_scores_of
from hepbench.suite.differences import bootstrapped, compared, trainings_of
from hepbench.tracking import statistics

LEVELS = (0.68, 0.95)
DISTANCES = (1.0, 2.0)
NOISE, MORE_NOISE = 0.5, 0.65
"""Noise of two models on the same events: with the same noise they are equally good, with more the other is worse."""

MEASURED = (
    "auc",
    "accuracy",
    "precision",
    "recall",
    "log_loss",
    "brier",
    "ece",
    *(f"rejection_{percent}" for percent in EFFICIENCIES),
    *(f"efficiency_at_purity_{percent}" for percent in PURITIES),
)
OVERCONFIDENT = (1.1, 1.3)
"""Log-odds relative to the true ones, for additional models whose calibration error is measured."""

DIFFERENCES = (
    ("auc", False),
    ("accuracy", False),
    ("rejection_30", False),
    ("rejection_50", False),
    ("rejection_50", True),
    ("rejection_70", False),
    ("efficiency_at_purity_90", True),
)
"""Metrics whose differences are measured, and whether by the bootstrap: for a rejection it is shown in addition to the
influences of the events, which the comparison uses."""

RESAMPLINGS = 200
"""Resamplings in the bootstrap of a toy."""

SEEDS = ((2, 0.0), (2, 1.0), (2, 3.0), (3, 1.0), (3, 3.0), (5, 3.0))
"""Number of seeds, and the spread of their true AUC in units of the test-set error."""

Advance = Callable[[int], None]
"""Called with the number of toys generated since the last call."""


@dataclass(frozen=True)
class Coverage:
    """Coverage of one quantity on test sets of this number of events. truth: its true value. measured: fraction of toys
    that gave a value; limits, and intervals without a value, count as intervals. covered: fraction of the intervals at
    each of LEVELS that contain the truth."""

    quantity: str
    distance: float
    events: int
    truth: float
    measured: float
    covered: tuple[float, ...]


@dataclass(frozen=True)
class Tested:
    """The test of a difference. false: fraction of pairs of equal models that are found different at 5 %. power:
    fraction of pairs of unequal models that are; independent: the same with errors treated as independent."""

    metric: str
    distance: float
    events: int
    false: float
    power: float
    independent: float


def truth(name: str, distance: float, noise: float = 0.0, factor: float = 1.0) -> float:
    """The value of a metric for infinitely many events. factor: on the log-odds, for a calibration error."""
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
    if name == "ece":
        return _calibration_error(apart, factor)
    percent = int(name.rsplit("_", 1)[1]) / 100
    if name.startswith("rejection"):
        return float(1 / norm.sf(norm.isf(percent, apart)))

    def excess(threshold: float) -> float:
        signal, background = norm.sf(threshold - apart), norm.sf(threshold)
        return float(signal / (signal + background) - percent)

    return float(norm.sf(brentq(excess, -8, 12) - apart))


def _calibration_error(apart: float, factor: float) -> float:
    """Mean over bins of equally many events of |fraction of positives - mean predicted probability|."""
    from scipy.integrate import quad
    from scipy.optimize import brentq
    from scipy.stats import norm

    def below(x: float, share: float) -> float:
        return float(norm.cdf(x) + norm.cdf(x - apart)) / 2 - share

    def gap(x: float) -> float:
        odds = apart * (x - apart / 2)
        return float(norm.pdf(x) + norm.pdf(x - apart)) / 2 * (_logistic(odds) - _logistic(factor * odds))

    edges = [-9, *(brentq(below, -9, 9 + apart, args=(place / BINS,)) for place in range(1, BINS)), 9 + apart]
    return math.fsum(abs(float(quad(gap, low, high)[0])) for low, high in itertools.pairwise(edges))


def _logistic(odds: float) -> float:
    return 1 / (1 + math.exp(-odds))


def coverage(events: int, distance: float, toys: int, advance: Advance) -> list[Coverage]:
    """Coverage of the intervals of every metric of MEASURED, and of the calibration error of OVERCONFIDENT models."""
    rng = np.random.default_rng([events, round(100 * distance)])
    asked = [(name, 1.0) for name in MEASURED] + [("ece", factor) for factor in OVERCONFIDENT]
    truths = {one: truth(one[0], distance, factor=one[1]) for one in asked}
    inside = {one: np.zeros(len(LEVELS)) for one in asked}
    measured, shown = dict.fromkeys(asked, 0), dict.fromkeys(asked, 0)
    for _ in range(toys):
        labels, variable = _events(rng, events, distance)
        models = {factor: _model(labels, variable, distance, 0.0, rng, factor) for factor in (1.0, *OVERCONFIDENT)}
        for one in asked:
            metric, scored = METRICS[one[0]], models[one[1]]
            value, error = metric.of(scored, 1)
            limit = metric.limit(scored, 1) if metric.limit and math.isnan(value) else math.nan
            measured[one] += math.isfinite(value)
            if math.isfinite(value) or math.isfinite(limit) or metric.interval:
                shown[one] += 1
                for place, level in enumerate(LEVELS):
                    if metric.interval:
                        low, high = metric.interval(scored, 1, statistics.quantile(_exact(level)))
                    elif math.isnan(value):
                        low, high = limit, math.inf
                    else:
                        low, high = interval(value, error, metric.scale, level)
                    inside[one][place] += low <= truths[one] <= high
        advance(1)
    return [
        Coverage(
            METRICS[name].heading + (f", log-odds × {factor:g}" if factor != 1 else ""),
            distance,
            events,
            truths[name, factor],
            measured[name, factor] / toys,
            tuple(float(one) for one in inside[name, factor] / max(1, shown[name, factor])),
        )
        for name, factor in asked
    ]


def interval(value: float, error: float, scale: str, level: float) -> tuple[float, float]:
    return statistics.interval(value, error, scale, _exact(level))


def _exact(level: float) -> float:
    """68.27 % for 68 %."""
    return statistics.ONE_SIGMA if level == LEVELS[0] else level


def differences(events: int, distance: float, toys: int, advance: Advance) -> tuple[list[Coverage], list[Tested]]:
    """The DIFFERENCES between two models on the same events: coverage of the intervals for unequal ones, and the test
    of equal and unequal ones."""
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
    """Coverage of the intervals of the mean AUC over few seeds, whose networks have independent noise and different
    true AUCs."""
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
        name = f"mean AUC of {seeds} seeds with a spread of {spread:g} test-set errors"
        found.append(Coverage(name, distance, events, area, 1.0, tuple(float(one) for one in inside / toys)))
    return found


def studies(events: Sequence[int], toys: int) -> list[tuple[str, int, int, float]]:
    """(kind, events, toys, distance) of each study that `every` runs."""
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


def _model(
    labels: np.ndarray,
    variable: np.ndarray,
    distance: float,
    noise: float,
    rng: np.random.Generator,
    factor: float = 1.0,
) -> Scored:
    seen = variable + noise * rng.normal(size=len(variable)) if noise else variable
    odds = (seen - distance / 2) * distance / (1 + noise**2)
    return Scored(labels, log_scores_of(factor * odds[:, None]))
