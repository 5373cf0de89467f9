"""The chance in training as a function of the number of training events, and draws of a whole curve."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hepbench.tracking.statistics import Trainings


def of_training(events: Sequence[int], found: Sequence[Trainings]) -> np.ndarray:
    """(points,) variance of one training by its seed, which draws the training events as well: a power of their number.

    Two to five seeds tell a spread badly, so that those of all points are taken together: the power law under which
    their sample variances are the most likely (chi-squared), beside the part that each network makes of the test events
    by itself, which stands in `Trainings.influences`. Zeros where no point has two seeds.
    """
    several = [place for place, one in enumerate(found) if len(one.values) > 1]
    if not several:
        return np.zeros(len(found))
    from scipy.optimize import minimize

    x = np.log(np.asarray(events, dtype=float) / max(events))
    number = np.array([len(one.values) for one in found])[several]
    spread = np.array([np.var(found[place].values, ddof=1) for place in several])
    own = np.array(
        [max(found[place].alone - np.dot(found[place].influences, found[place].influences), 0) for place in several]
    )
    own *= number / (number - 1)
    typical = max(float(np.average(spread, weights=number - 1)), 1e-300)

    def misfit(parameters: np.ndarray) -> float:
        variance = typical * np.exp(parameters[0] + parameters[1] * x[several]) + own
        return float((0.5 * (number - 1) * (np.log(variance) + spread / variance)).sum())

    steepest = 3.0 if len({events[place] for place in several}) > 1 else 0.0
    starts = [np.array([level, -0.5 * bool(steepest)]) for level in (-4.0, -1.0, 0.0)]
    fits = [minimize(misfit, start, bounds=[(-30, 5), (-steepest, 0)], method="L-BFGS-B") for start in starts]
    level, slope = min(fits, key=lambda fit: float(fit.fun)).x
    return np.asarray(typical * np.exp(level + slope * x))


def covariance(events: Sequence[int], found: Sequence[Trainings]) -> np.ndarray:
    """(points, points) of the means: the choice of the test events, which all points share, and on the diagonal the
    chance in training."""
    parts = np.stack([one.influences for one in found])
    number = np.array([len(one.values) for one in found])
    return np.asarray(parts @ parts.T + np.diag(of_training(events, found) / number))
