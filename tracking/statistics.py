"""Errors of results over seeds, paired tests on the same test events, and corrections for many tests."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np


def combine(values: Sequence[float], errors: Sequence[float]) -> tuple[float, float, float]:
    """(mean, error, spread) of one metric over the seeds of one configuration; NaN where any value is.

    All seeds are tested on the same events, so the statistical error of the test set does not shrink with the number
    of seeds: it is the mean of their errors. The chance in training does shrink: spread / sqrt(n), spread being the
    sample standard deviation, which one seed cannot tell (NaN) and then is not counted. The error is both in
    quadrature.
    """
    number = len(values)
    if not number or number != len(errors):
        raise ValueError(f"one error a value and at least one of each, got {number} values and {len(errors)} errors")
    mean = math.fsum(values) / number
    error = math.fsum(errors) / number
    if number == 1:
        return mean, error, math.nan
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (number - 1))
    return mean, math.hypot(error, spread / math.sqrt(number)), spread


def paired_delong(labels: np.ndarray, scores_a: np.ndarray, scores_b: np.ndarray) -> tuple[float, float, float]:
    """(AUC of a - AUC of b, its standard error, two-sided p) of two scores of the same events.

    labels: (n,) true for signal. scores: (n,) each. DeLong et al., Biometrics 44 (1988) 837, in O(n log n) after Sun
    and Xu, IEEE Signal Processing Letters 21 (2014) 1389. p is 1 where the scores rank alike. NaN for fewer than two
    events of a class.
    """
    signal = np.asarray(labels).astype(bool)
    signals, backgrounds = np.count_nonzero(signal), np.count_nonzero(~signal)
    if min(signals, backgrounds) < 2:
        return math.nan, math.nan, math.nan
    above = _placements(signal, np.asarray(scores_a)) - _placements(signal, np.asarray(scores_b))
    difference = float(above[signal].mean())
    variance = above[signal].var(ddof=1) / signals + above[~signal].var(ddof=1) / backgrounds
    error = math.sqrt(variance)
    if error == 0:
        return difference, 0.0, 1.0 if difference == 0 else 0.0
    return difference, error, math.erfc(abs(difference) / error / math.sqrt(2))


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


def _placements(signal: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """(n,): for a signal event the share of backgrounds below it, for a background the share of signals above it;
    equal scores count one half."""
    from scipy.stats import rankdata

    ranks = rankdata(scores)
    shares = np.empty(len(scores))
    shares[signal] = (ranks[signal] - rankdata(scores[signal])) / np.count_nonzero(~signal)
    shares[~signal] = 1 - (ranks[~signal] - rankdata(scores[~signal])) / np.count_nonzero(signal)
    return shares
