"""The approximate median significance of the ATLAS Higgs challenge, with its error.

AMS = sqrt(2 ((s + b + 10) ln(1 + s / (b + 10)) - s), with s and b the expected signal and background among the selected
events (Adam-Bourdarios et al., PMLR 42 (2015) 19). The highest-scoring events are selected, a fraction SELECTED of all
by number. That fraction is fixed, not optimised on the evaluated events, which would bias the AMS upwards; the
challenge's winner selected about as many.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import numpy as np

from hepbench.benchmarks.base import Metric
from hepbench.benchmarks.scored import Scored

SELECTED = 0.15
"""Fraction of the events that is selected; the winner took 15.2 % (github.com/melisgl/higgsml, doc/model.md)."""

REGULARISATION = 10.0
"""Added to the background."""

WINDOW = 2.5
"""Standard deviations of the selected number, to either side, over which the effect of the cut is determined."""


def metric(expected: Sequence[float]) -> Metric:
    """The record "ams". expected: background and signal events before the selection."""
    return Metric(
        "ams",
        f"AMS of the {SELECTED:.0%} of events with the highest scores",
        "AMS",
        partial(ams, expected=tuple(expected)),
        decimals=3,
        lowest=0.0,
        influences=partial(ams_influences, expected=tuple(expected)),
    )


def significance(s: float, b: float) -> float:
    """AMS of s and b expected events."""
    b += REGULARISATION
    return math.sqrt(max(2 * ((s + b) * math.log1p(s / b) - s), 0.0))


def ams(scored: Scored, signal: int, expected: Sequence[float]) -> tuple[float, float]:
    """(AMS, one standard deviation from the finite sample), NaN where a class has fewer than two events."""
    if scored.numbers.min() < 2:
        return math.nan, math.nan
    value = significance(*_selected(scored, signal, expected, _above(scored, signal, SELECTED)))
    parts = ams_influences(scored, signal, expected)
    return value, math.sqrt(float(parts @ parts))


def ams_influences(scored: Scored, signal: int, expected: Sequence[float]) -> np.ndarray:
    """(n,) contribution of each event to the AMS: by being selected or not, and by its effect on the cut."""
    total = len(scored.labels)
    if scored.numbers.min() < 2:
        return np.full(total, math.nan)
    above = _above(scored, signal, SELECTED)
    s, b = _selected(scored, signal, expected, above)
    value = significance(s, b)
    if not value:
        return np.full(total, math.nan)
    ratio = s / (b + REGULARISATION)
    slopes = np.where(np.arange(2) == signal, math.log1p(ratio), math.log1p(ratio) - ratio) / value
    scales = slopes * [expected[1] if label == signal else expected[0] for label in (0, 1)] / scored.numbers
    weights = np.ones(total) if scored.weights is None else scored.weights
    shares = np.bincount(scored.labels, weights * above) / scored.numbers
    step = min(WINDOW * math.sqrt(SELECTED * (1 - SELECTED) / total), SELECTED / 2)
    values = [
        significance(*_selected(scored, signal, expected, _above(scored, signal, SELECTED + side * step)))
        for side in (-1, 1)
    ]
    of_cut = (values[1] - values[0]) / (2 * step) * (SELECTED - above) / total
    return np.asarray(scales[scored.labels] * weights * (above - shares[scored.labels]) + of_cut)


def _above(scored: Scored, signal: int, share: float) -> np.ndarray:
    """(n,) fraction of each event that is among this share of the events, by number: the same for equal scores."""
    ranking = scored.one_vs_rest(signal)
    wanted = share * len(scored.labels)
    group = int(np.searchsorted(ranking.ends, wanted))
    start = int(ranking.ends[group - 1]) if group else 0
    above = np.zeros(len(scored.labels))
    above[ranking.order[:start]] = 1
    above[ranking.order[start : ranking.ends[group]]] = (wanted - start) / (int(ranking.ends[group]) - start)
    return above


def _selected(scored: Scored, signal: int, expected: Sequence[float], above: np.ndarray) -> tuple[float, float]:
    """(signal, background) events expected above the cut."""
    weights = np.ones(len(above)) if scored.weights is None else scored.weights
    shares = np.bincount(scored.labels, weights * above, 2) / scored.numbers
    return float(expected[1] * shares[signal]), float(expected[0] * shares[1 - signal])
