"""Errors of results over seeds, intervals, paired tests on the same test events, corrections for many tests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEVEL = 0.95
"""Of the intervals and tests that are shown."""

POWER = 0.8
"""With which a difference of the size that is seen is to be found, where seeds are counted that it takes."""

MOST_SEEDS = 100
"""More than these are not counted up to."""


Components = Sequence[tuple[float, int]]
"""Components of a variance that were estimated from seeds, each with its degrees of freedom."""


@dataclass(frozen=True)
class Combined:
    """One metric over the seeds of one configuration. sampling: variance by the finite test sample;
    components: by the randomness of the training. spread: standard deviation of the seeds, NaN for one seed."""

    mean: float
    sampling: float
    components: Components
    spread: float

    @property
    def error(self) -> float:
        """Half of the 68 % interval."""
        return half_width(ONE_SIGMA, self.sampling, self.components)

    def interval(self, scale: str = "linear", level: float = LEVEL) -> tuple[float, float]:
        """As the function `interval`."""
        return _between(self.mean, half_width(level, self.sampling, self.components), scale, self.error, level)


def combine(values: Sequence[float], errors: Sequence[float]) -> Combined:
    """The mean of one metric over seeds with its error; NaN where any value is.

    All seeds are tested on the same events, so the statistical error of the test set does not shrink with the number
    of seeds: it is the mean of their errors. The chance in training does shrink: spread / sqrt(n), spread being the
    sample standard deviation, which one seed cannot tell (NaN) and then is not counted. Raises ValueError unless there
    is an error for each value.
    """
    number = len(values)
    if not number or number != len(errors):
        raise ValueError(f"one error a value and at least one of each, got {number} values and {len(errors)} errors")
    mean = math.fsum(values) / number
    error = math.fsum(errors) / number
    if number == 1:
        return Combined(mean, error**2, (), math.nan)
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (number - 1))
    return Combined(mean, error**2, [(spread**2 / number, number - 1)], spread)


def half_width(level: float, sampling: float, components: Components) -> float:
    """Of the central interval at this level. Each part of the variance has the quantile of its own, Student's t at its
    degrees of freedom, and they are taken in quadrature: a spread of two or three seeds is itself poorly known, and
    degrees of the sum (Welch) are too many where it came out small by chance."""
    return _width_of_tail((1 - level) / 2, sampling, components)


def _width_of_tail(tail: float, sampling: float, components: Components) -> float:
    from scipy.special import ndtri, stdtrit

    variance = 0.0 if not sampling else float(ndtri(tail)) ** 2 * sampling
    return math.sqrt(
        variance + math.fsum(float(stdtrit(degrees, tail)) ** 2 * part for part, degrees in components if part)
    )


ONE_SIGMA = math.erf(1 / math.sqrt(2))
"""Level of one standard deviation."""


def quantile(level: float, degrees: float = math.inf) -> float:
    """Half width of the central interval of Student's t, in standard deviations; of the normal's for infinite
    degrees."""
    return half_width(level, 1.0, ()) if math.isinf(degrees) else half_width(level, 0.0, [(1.0, int(degrees))])


def two_sided(difference: float, sampling: float, components: Components = ()) -> float:
    """p of a difference: 1 less the level at which it is half of the interval about it."""
    if math.isnan(difference):
        return math.nan
    if difference == 0:
        return 1.0
    if not any(part for part, _ in components):
        return math.erfc(abs(difference) / math.sqrt(2 * sampling)) if sampling else 0.0
    from scipy.optimize import brentq

    def excess(logarithm: float) -> float:
        return _width_of_tail(math.exp(logarithm) / 2, sampling, components) - abs(difference)

    lowest = -200.0  # of the logarithm of p; beyond, Student's t is too large a number
    return 0.0 if excess(lowest) < 0 else math.exp(float(brentq(excess, lowest, 0.0, xtol=1e-6)))


def interval(value: float, error: float, scale: str = "linear", level: float = LEVEL) -> tuple[float, float]:
    """(low, high) of the central interval at this level, symmetric on the scale: "linear", "log" for a positive value,
    "logit" for a share. error: one standard deviation. At the end of the scale, where a share is 0 or 1 with an error
    1/n, it is that of n events of which none fails. NaN where value or error is."""
    return _between(value, error * quantile(level), scale, error, level)


def _between(value: float, width: float, scale: str, error: float, level: float) -> tuple[float, float]:
    if not (math.isfinite(value) and math.isfinite(width)):
        return math.nan, math.nan
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

    values: one a seed. influences: (n,) what each event adds to the mean of the values, less its mean: the sum of
    squares is the variance by the finite test sample. alone: mean over the seeds of that variance of one seed.
    """

    values: Sequence[float]
    influences: np.ndarray
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
        own = (self.alone - float(np.dot(self.influences, self.influences))) * number / (number - 1)
        return max(spread - max(own, 0.0), 0.0) / number, number - 1


def trainings(values: Sequence[float], influences: Sequence[np.ndarray]) -> Trainings:
    """values: one a seed. influences: (n,) of each seed, as of a metric's record."""
    mean = np.mean(influences, axis=0)
    return Trainings(list(values), mean, float(np.mean([np.dot(one, one) for one in influences])))


def combine_trainings(found: Trainings) -> Combined:
    """As `combine`, with the influences of the events known: what seeds share is separated from what they do not."""
    spread = math.nan if len(found.values) < 2 else float(np.std(found.values, ddof=1))
    return Combined(found.mean, float(np.dot(found.influences, found.influences)), [found.of_training], spread)


@dataclass(frozen=True)
class Difference:
    """Of the means of two configurations on the same events. error: half of its 68 % interval; low, high: that at
    LEVEL. p: two-sided, that it is none. needed: trainings of each at which a difference of this size is found with
    POWER; None: more than MOST_SEEDS; 0: the spread is not known, as one of them has one seed."""

    value: float
    error: float
    p: float
    needed: int | None = 0
    low: float = math.nan
    high: float = math.nan


def paired(one: Trainings, other: Trainings) -> Difference:
    """The difference of two configurations, event by event.

    Its variance is that of the events' parts in it, in which what both share drops out (for the AUC this is DeLong's
    test, Biometrics 44 (1988) 837, over all seeds; for the accuracy McNemar's in its normal form), and that of the
    trainings of both, as in `half_width`. With one seed a side it is about these two networks alone.
    """
    difference = one.mean - other.mean
    apart = one.influences - other.influences
    of_events = float(np.dot(apart, apart))
    if not (math.isfinite(difference) and math.isfinite(of_events)):
        return Difference(math.nan, math.nan, math.nan)
    sides = (one, other)
    parts = [side.of_training for side in sides]
    spreads = [part * len(side.values) for (part, _), side in zip(parts, sides, strict=True)]
    few = min(len(side.values) for side in sides) < 2
    reach = half_width(LEVEL, of_events, parts)
    return Difference(
        difference,
        half_width(ONE_SIGMA, of_events, parts),
        two_sided(difference, of_events, parts),
        0 if few else seeds_needed(difference, of_events, spreads),
        difference - reach,
        difference + reach,
    )


def seeds_needed(difference: float, of_events: float, spreads: Sequence[float], power: float = POWER) -> int | None:
    """How many trainings of each side a claim needs: the least number at which a difference of this size is found, at
    LEVEL, with this power; None where MOST_SEEDS would not do. of_events: its variance by the choice of the test
    events. spreads: variance of one training of each side."""
    above = quantile(2 * power - 1)
    for number in range(2, MOST_SEEDS + 1):
        parts = [(spread / number, number - 1) for spread in spreads]
        deviation = math.sqrt(of_events + math.fsum(part for part, _ in parts))
        if difference and abs(difference) >= half_width(LEVEL, of_events, parts) + above * deviation:
            return number
    return None


def flat(values: Sequence[float], errors: Sequence[float]) -> float:
    """p of the chi-squared test that values with these errors have one mean."""
    from scipy.special import chdtrc

    x, weights = np.asarray(values), 1 / np.maximum(np.asarray(errors, float), 1e-12) ** 2
    mean = (weights * x).sum() / weights.sum()
    return float(chdtrc(len(x) - 1, (weights * (x - mean) ** 2).sum()))


def holm(p_values: Sequence[float]) -> np.ndarray:
    """(n,) p-values adjusted for n tests: below a level they keep the chance of any false one below it (Holm, Scand. J.
    Statistics 6 (1979) 65). By hand, since scipy has no Holm and statsmodels is a heavy dependency for four lines."""
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return adjusted
