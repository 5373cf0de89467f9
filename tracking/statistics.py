"""Errors of results over seeds, intervals, paired tests on the same test events, corrections for many tests."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

LEVEL = 0.95
"""Of the intervals and tests that are shown."""

POWER = 0.8
"""With which a difference of the size that is seen is to be found, where seeds are counted that it takes."""

MOST_SEEDS = 100
"""More than these are not counted up to."""


@dataclass(frozen=True)
class Combined:
    """One metric over the seeds of one configuration. error: half of the 68 % interval; spread: standard deviation of
    the seeds, NaN for one seed; degrees: of freedom of the error, infinite where the spread has no part in it."""

    mean: float
    error: float
    spread: float
    degrees: float


def combine(values: Sequence[float], errors: Sequence[float]) -> Combined:
    """The mean of one metric over seeds with its error; NaN where any value is.

    All seeds are tested on the same events, so the statistical error of the test set does not shrink with the number
    of seeds: it is the mean of their errors. The chance in training does shrink: spread / sqrt(n), spread being the
    sample standard deviation, which one seed cannot tell (NaN) and then is not counted. Both are taken in quadrature,
    and multiplied with Student's t for 68 %, at the degrees of freedom of the sum (Welch, Biometrika 34 (1947) 28),
    since a spread of few seeds is itself hardly known. Raises ValueError unless there is an error for each value.
    """
    number = len(values)
    if not number or number != len(errors):
        raise ValueError(f"one error a value and at least one of each, got {number} values and {len(errors)} errors")
    mean = math.fsum(values) / number
    error = math.fsum(errors) / number
    if number == 1:
        return Combined(mean, error, math.nan, math.inf)
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (number - 1))
    return Combined(mean, *_with_t(error**2, [(spread**2 / number, number - 1)], spread))


def _with_t(known: float, parts: Sequence[tuple[float, int]], spread: float = math.nan) -> tuple[float, float, float]:
    """(error, spread, degrees) of a variance that is known and of parts, each with its degrees of freedom."""
    variance = known + math.fsum(part for part, _ in parts)
    degrees = _degrees(variance, parts)
    return math.sqrt(variance) * quantile(ONE_SIGMA, degrees), spread, degrees


def _degrees(variance: float, parts: Sequence[tuple[float, int]]) -> float:
    uncertain = math.fsum(part**2 / degrees for part, degrees in parts if degrees)
    return variance**2 / uncertain if uncertain > 0 else math.inf


ONE_SIGMA = math.erf(1 / math.sqrt(2))
"""Level of one standard deviation."""


def quantile(level: float, degrees: float) -> float:
    """Half width of the central interval of Student's t, in standard deviations; of the normal's for infinite degrees.
    1 for ONE_SIGMA at infinite degrees."""
    if degrees > 1e6 and level == ONE_SIGMA:
        return 1.0
    from scipy.special import ndtri, stdtrit

    tail = (1 + level) / 2
    return float(ndtri(tail) if degrees > 1e6 else stdtrit(max(degrees, 1.0), tail))


def two_sided(pull: float, degrees: float) -> float:
    """p of a pull in standard deviations."""
    if not math.isfinite(pull):
        return math.nan if math.isnan(pull) else 0.0
    if degrees > 1e6:
        return math.erfc(abs(pull) / math.sqrt(2))
    from scipy.special import stdtr

    return float(2 * stdtr(max(degrees, 1.0), -abs(pull)))


def interval(
    value: float, error: float, scale: str = "linear", level: float = LEVEL, degrees: float = math.inf
) -> tuple[float, float]:
    """(low, high) of the central interval at this level, symmetric on the scale: "linear", "log" for a positive value,
    "logit" for a share. error: half of the 68 % interval. At the end of the scale, where a share is 0 or 1 with
    an error 1/n, it is that of n events of which none fails. NaN where value or error is."""
    if not (math.isfinite(value) and math.isfinite(error)):
        return math.nan, math.nan
    width = error * quantile(level, degrees) / quantile(ONE_SIGMA, degrees)
    if scale == "log" and value > 0:
        factor = math.exp(min(width / value, 700))
        return value / factor, value * factor
    if scale == "logit" and 0 < value < 1:
        centre, half = math.log(value / (1 - value)), min(width / (value * (1 - value)), 700)
        return _logistic(centre - half), _logistic(centre + half)
    if scale == "logit" and value in (0, 1):
        reach = min(-error * math.log1p(-level), 1)
        return (1 - reach, 1.0) if value == 1 else (0.0, reach)
    return value - width, value + width


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > 0 else math.exp(x) / (1 + math.exp(x))


@dataclass(frozen=True)
class Trainings:
    """The seeds of one configuration, tested on the same events as those of others.

    values: one a seed. parts: (n,) what each event adds to the mean of the values, less its mean: the sum of squares
    is the variance by the choice of the test events. alone: mean over the seeds of that variance of one seed.
    """

    values: Sequence[float]
    parts: np.ndarray
    alone: float

    @property
    def mean(self) -> float:
        return math.fsum(self.values) / len(self.values)

    @property
    def of_training(self) -> tuple[float, int]:
        """(variance of the mean by the chance in training, degrees of freedom); (0, 0) of one seed, which cannot tell.

        The spread of the seeds on the same events holds, beside the chance in training, what each network makes of
        these events by itself; that stands in the parts, too, and is taken off."""
        number = len(self.values)
        if number < 2:
            return 0.0, 0
        spread = float(np.var(self.values, ddof=1))
        own = (self.alone - float(np.dot(self.parts, self.parts))) * number / (number - 1)
        return max(spread - max(own, 0.0), 0.0) / number, number - 1


def trainings(values: Sequence[float], parts: Sequence[np.ndarray]) -> Trainings:
    """values: one a seed. parts: (n,) of each seed, as of a metric's record."""
    mean = np.mean(parts, axis=0)
    return Trainings(list(values), mean, float(np.mean([np.dot(one, one) for one in parts])))


def combine_trainings(found: Trainings) -> Combined:
    """As `combine`, with the parts of the events known: what seeds share and what they do not is told apart."""
    spread = math.nan if len(found.values) < 2 else float(np.std(found.values, ddof=1))
    return Combined(found.mean, *_with_t(float(np.dot(found.parts, found.parts)), [found.of_training], spread))


@dataclass(frozen=True)
class Difference:
    """Of the means of two configurations on the same events. error: half of its 68 % interval. p: two-sided, that it is
    none. needed: trainings of each at which a difference of this size is found with POWER; None: more than MOST_SEEDS;
    0: the spread is not known, as one of them has one seed."""

    value: float
    error: float
    p: float
    degrees: float
    needed: int | None = 0


def paired(one: Trainings, other: Trainings) -> Difference:
    """The difference of two configurations, event by event.

    Its variance is that of the events' parts in it, in which what both share drops out (for the AUC this is DeLong's
    test, Biometrics 44 (1988) 837, over all seeds; for the accuracy McNemar's), and that of the trainings of both. The
    test is Student's t at the degrees of freedom of the sum. With one seed a side it is about these two networks alone.
    """
    difference = one.mean - other.mean
    apart = one.parts - other.parts
    of_events = float(np.dot(apart, apart))
    return _difference(difference, of_events, [one.of_training, other.of_training], _counts(one, other))


def _counts(*sides: Trainings) -> list[int]:
    return [len(side.values) for side in sides]


def _difference(
    difference: float, of_events: float, parts: Sequence[tuple[float, int]], seeds: Sequence[int]
) -> Difference:
    if not (math.isfinite(difference) and math.isfinite(of_events)):
        return Difference(math.nan, math.nan, math.nan, math.nan)
    error, _, degrees = _with_t(of_events, parts)
    variance = of_events + math.fsum(part for part, _ in parts)
    if variance == 0:
        return Difference(difference, 0.0, 1.0 if difference == 0 else 0.0, math.inf)
    p = two_sided(difference / math.sqrt(variance), degrees)
    spreads = [part * number for (part, _), number in zip(parts, seeds, strict=True)]
    needed = seeds_needed(difference, of_events, spreads) if min(seeds) > 1 else 0
    return Difference(difference, error, p, degrees, needed)


def seeds_needed(difference: float, of_events: float, spreads: Sequence[float], power: float = POWER) -> int | None:
    """How many trainings of each side a claim needs: the least number at which a difference of this size is found, at
    LEVEL, with this power; None where MOST_SEEDS would not do. of_events: its variance by the choice of the test
    events. spreads: variance of one training of each side."""
    from scipy.special import ndtri

    for number in range(2, MOST_SEEDS + 1):
        parts = [(spread / number, number - 1) for spread in spreads]
        variance = of_events + math.fsum(part for part, _ in parts)
        if variance == 0:
            return number if difference else None
        reach = quantile(LEVEL, _degrees(variance, parts)) + float(ndtri(power))
        if abs(difference) >= reach * math.sqrt(variance):
            return number
    return None


def mcnemar(right: np.ndarray, other_right: np.ndarray) -> float:
    """Two-sided p that two classifiers are right equally often, from the events in which one of them is: right,
    other_right: (n,) bool. The binomial test, which is exact (McNemar, Psychometrika 12 (1947) 153)."""
    from scipy.stats import binomtest

    alone, other_alone = int(np.count_nonzero(right & ~other_right)), int(np.count_nonzero(other_right & ~right))
    total = alone + other_alone
    return float(binomtest(alone, total).pvalue) if total else 1.0


def paired_bootstrap(
    compute: Callable[[np.ndarray, np.ndarray], float],
    labels: np.ndarray,
    scores_a: Sequence[np.ndarray],
    scores_b: Sequence[np.ndarray],
    resamplings: int,
    seed: int = 0,
) -> float:
    """Standard error, by the choice of the test events, of the mean of a metric over the trainings of a minus that of
    b: both are taken on the same resampled events, so that what they share drops out.

    compute: (labels (n,), scores (n, classes)) -> the metric. scores_a, scores_b: (n, classes) of each training, all of
    the same events. Resamplings in which the metric cannot be measured are left out; NaN where fewer than two are left.
    """
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(resamplings):
        drawn = rng.integers(0, len(labels), len(labels))
        means = [np.mean([compute(labels[drawn], one[drawn]) for one in scores]) for scores in (scores_a, scores_b)]
        found.append(means[0] - means[1])
    kept = np.array(found)[np.isfinite(found)]
    return float(kept.std(ddof=1)) if len(kept) > 1 else math.nan


def holm(p_values: Sequence[float]) -> np.ndarray:
    """(n,) p-values adjusted for n tests: below a level they keep the chance of any false one below it (Holm, Scand. J.
    Statistics 6 (1979) 65). By hand, since scipy has no Holm and statsmodels is a heavy dependency for four lines."""
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return adjusted
