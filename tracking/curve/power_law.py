"""1 - AUC = a + b N^-c over the number N of training events: the fit, its errors, and whether it fits at all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hepbench.tracking.curve import spread
from hepbench.tracking.curve.record import Line

LEAST_POINTS = 4
"""One more than the parameters of the law, so that it can fail."""

EXPONENTS = np.geomspace(0.01, 5, 4000)
"""That are tried."""

FITS = 0.05
"""p below which a law does not fit."""

FLAT = 5.99
"""Chi-squared of two degrees at 95 %: by as much a law must be better than no dependence on the number of events."""

ONE_SIGMA, LEVEL_95 = 1.0, 3.84
"""Rise of chi-squared at the ends of the intervals of one parameter."""


@dataclass(frozen=True)
class PowerLaw:
    """floor, scale, exponent: a, b, c. Intervals (low, high) are where chi-squared rises by 1, of the exponent besides
    by 3.84; 0 or infinite where it does not. start: the fewest events of the fit."""

    floor: float
    floor_interval: tuple[float, float]
    scale: float
    exponent: float
    interval: tuple[float, float]
    interval_95: tuple[float, float]
    chi2: float
    degrees: int
    start: int
    gain: float
    """By how much chi-squared is better than that of no dependence on the number of events."""
    seeds: int = 0
    """Degrees of freedom by which the chance in training is known; 0: it is left out."""

    @property
    def p(self) -> float:
        """That the law is true: of F, as the errors are themselves from few seeds; without any, of chi-squared."""
        from scipy.special import chdtrc, fdtrc

        known = fdtrc(self.degrees, self.seeds, self.chi2 / self.degrees) if self.seeds else None
        return float(chdtrc(self.degrees, self.chi2) if known is None else known)

    @property
    def fits(self) -> bool:
        return self.p >= FITS

    @property
    def determined(self) -> bool:
        """Whether the points tell the exponent from none and from any."""
        low, high = self.interval_95
        return self.gain > FLAT and low > 0 and math.isfinite(high)

    def at(self, events: np.ndarray) -> np.ndarray:
        """1 - AUC."""
        return np.asarray(self.floor + self.scale * np.asarray(events, dtype=float) ** -self.exponent)


def fit_line(line: Line) -> tuple[PowerLaw | None, PowerLaw | None]:
    """(the law of all points, where it does not fit that of the most of the largest ones that it fits). None: there are
    fewer than LEAST_POINTS, or points without an error."""
    points = line.measured
    if len(points) < LEAST_POINTS:
        return None, None
    events, found = [point.events for point in points], [point.together for point in points]
    y = np.array([1 - one.mean for one in found])
    of_means = spread.covariance(events, found)
    seeds = sum(len(one.values) - 1 for one in found)
    whole = fit(events, y, of_means, seeds)
    if whole is None or whole.fits:
        return whole, None
    for first in range(1, len(points) - LEAST_POINTS + 1):
        part = fit(events[first:], y[first:], of_means[first:, first:], seeds)
        if part is not None and part.fits:
            return whole, part
    return whole, None


def fit(events: Sequence[int], y: np.ndarray, covariance: np.ndarray, seeds: int = 0) -> PowerLaw | None:
    """By generalised least squares with a >= 0 and b >= 0: for each exponent the best a and b are those of a linear
    fit, and what chi-squared is then is its profile. y: (points,). covariance: (points, points). None where that is
    singular; seeds: as of `PowerLaw`."""
    if not (np.isfinite(y).all() and np.isfinite(covariance).all()):
        return None
    try:
        root = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        return None
    most = float(max(events))
    powers = (np.asarray(events, dtype=float) / most)[
        :, None
    ] ** -EXPONENTS  # (points, exponents), 1 at the most events
    ones, falling = np.linalg.solve(root, np.ones(len(y))), np.linalg.solve(root, powers)
    target = np.linalg.solve(root, y)

    def rest(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.asarray(((target[:, None] - a * ones[:, None] - b * falling) ** 2).sum(axis=0))

    oo, ff, of = ones @ ones, (falling**2).sum(axis=0), ones @ falling
    ot, ft = ones @ target, target @ falling
    determinant = np.maximum(oo * ff - of**2, 1e-300)
    a, b = (ff * ot - of * ft) / determinant, (oo * ft - of * ot) / determinant
    a, b = np.where(a < 0, 0.0, a), np.where(a < 0, ft / ff, b)
    level = max(float(ot / oo), 0.0)
    a, b = np.where(b < 0, level, a), np.where(b < 0, 0.0, b)
    profile = rest(a, b)
    best = int(np.argmin(profile))
    rise = profile - profile[best]
    nothing = float(((target - level * ones) ** 2).sum())

    inside = rise <= ONE_SIGMA
    reach = np.sqrt(ff / determinant * np.maximum(ONE_SIGMA - rise, 0))
    floors = np.maximum(a - reach, 0)[inside], (a + reach)[inside]
    return PowerLaw(
        floor=float(a[best]),
        floor_interval=(float(floors[0].min()), float(floors[1].max())),
        scale=float(b[best] * most ** EXPONENTS[best]),
        exponent=float(EXPONENTS[best]),
        interval=_ends(rise <= ONE_SIGMA),
        interval_95=_ends(rise <= LEVEL_95),
        chi2=float(profile[best]),
        degrees=len(y) - 3,
        start=min(events),
        gain=nothing - float(profile[best]),
        seeds=seeds,
    )


def _ends(inside: np.ndarray) -> tuple[float, float]:
    """The least and the largest exponent inside; 0 and infinity where it is at the end of those that are tried."""
    places = np.flatnonzero(inside)
    low, high = int(places[0]), int(places[-1])
    return (
        float(EXPONENTS[low]) if low else 0.0,
        float(EXPONENTS[high]) if high < len(EXPONENTS) - 1 else math.inf,
    )
