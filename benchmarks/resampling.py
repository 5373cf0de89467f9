"""Paired bootstrap of quantities read from ROC curves: several training runs on the same resampled events.

Events are counted in cells: those between the same two cuts of every ranking are exchangeable, so a resampling draws
one number per cell rather than per event. Cuts are dense where a threshold may move and absent elsewhere, which reduces
a million events to some ten thousand cells.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from hepbench.benchmarks.scored import Ranking

MOST_DRAWN = 2**22
"""Numbers drawn at a time."""

CUTS = 240
"""Cuts of each ranking; between two of them the curve is taken as straight."""

REACH = 6.0
"""Standard deviations to either side of a threshold that the cuts cover."""

Reading = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(positives, negatives), each (cuts + 2, b) numbers above each cut, from the highest cut with none to the lowest with
all, in b resamplings -> (b,) values, NaN where undefined."""


def cuts_between(ranking: Ranking, least: float, most: float) -> np.ndarray:
    """Increasing ranks, counted from the highest score, after which there are cuts: about CUTS, at equal steps in the
    number of positives passed, from `least` to `most` of them. Equal scores stay together."""
    wanted = np.linspace(max(least, 0), min(most, float(ranking.positives[-1])), CUTS + 1)
    groups = np.unique(np.searchsorted(ranking.positives, wanted))
    cuts = ranking.ends[groups[groups > 0] - 1]
    return np.asarray(cuts[cuts < len(ranking.order)])


def bootstrap(
    rankings: Sequence[Ranking], cuts: Sequence[np.ndarray], read: Reading, resamplings: int, seed: int = 0
) -> np.ndarray:
    """(rankings, resamplings) values. rankings: of the same events, in the same order. cuts: of each, from
    `cuts_between`.

    Each event is drawn a Poisson number of times with mean 1, so that the numbers of events and of each class vary as
    in another data set of this luminosity; ratios of numbers vary as if drawn with replacement. The weight of a cell
    varies as a Poisson number of equivalent events (Bohm and Zech, Nucl. Instr. Meth. A 748 (2014) 1): with the mean
    and the variance of the sum of individually drawn weights.
    """
    from scipy.sparse import csr_array

    bins, counts, positive, units = _cells(rankings, cuts)
    sums = []
    for own, cut in zip(bins, cuts, strict=True):
        lines = own + (len(cut) + 1) * ~positive
        columns = np.arange(len(counts))
        shape = 2 * (len(cut) + 1), len(counts)
        sums.append(csr_array((np.ones(len(counts), np.float32), (lines, columns)), shape=shape))
    rng = np.random.default_rng(seed)
    found = np.empty((len(rankings), resamplings))
    together = max(1, MOST_DRAWN // max(1, len(counts)))
    for start in range(0, resamplings, together):
        drawn = _poisson(rng, counts, min(together, resamplings - start))
        if units is not None:
            drawn *= units[:, None]
        for place, one in enumerate(sums):
            reached = (one @ drawn).reshape(2, -1, drawn.shape[1]).cumsum(axis=1, dtype=np.float64)
            reached = np.concatenate([np.zeros_like(reached[:, :1]), reached], axis=1)
            found[place, start : start + drawn.shape[1]] = read(reached[0], reached[1])
    return found


def _cells(
    rankings: Sequence[Ranking], cuts: Sequence[np.ndarray]
) -> tuple[list[np.ndarray], np.ndarray, np.ndarray, np.ndarray | None]:
    """(interval between cuts, for each ranking (c,); events, or equivalent ones, (c,); positive (c,); weight per event
    (c,), None without weights) of each cell."""
    positive = rankings[0].positive
    cell = positive.astype(np.int64)
    inside = []
    for ranking, cut in zip(rankings, cuts, strict=True):
        own = np.empty(len(positive), np.int16)
        own[ranking.order] = np.repeat(np.arange(len(cut) + 1), np.diff(cut, prepend=0, append=len(positive)))
        inside.append(own)
        if int(cell.max(initial=0)) > 2**62 // (len(cut) + 1):
            cell = np.unique(cell, return_inverse=True)[1]
        cell = cell * (len(cut) + 1) + own
    weights = rankings[0].weights
    if weights is None:
        _, first, counts = np.unique(cell, return_index=True, return_counts=True)
        return [own[first].astype(np.int64) for own in inside], counts, positive[first], None
    _, first, place = np.unique(cell, return_index=True, return_inverse=True)
    sums, squares = np.bincount(place, weights), np.bincount(place, weights**2)
    counts = np.divide(sums**2, squares, out=np.zeros(len(sums)), where=squares > 0)
    units = np.divide(squares, sums, out=np.zeros(len(sums)), where=sums > 0).astype(np.float32)
    return [own[first].astype(np.int64) for own in inside], counts, positive[first], units


def _poisson(rng: np.random.Generator, means: np.ndarray, number: int) -> np.ndarray:
    """(means, number) float32. Most cells hold one event: for a mean of 1 the numbers are looked up by 16 random bits,
    which is exact to 1e-5."""
    drawn = np.empty((len(means), number), np.float32)
    single = means == 1
    drawn[single] = _of_bits()[rng.integers(0, 2**16, (int(single.sum()), number), np.uint16)]
    several = means[~single]
    drawn[~single] = rng.poisson(several[:, None], (len(several), number))
    return drawn


def _of_bits() -> np.ndarray:
    """(65536,) each number as often as a Poisson variable of mean 1 takes it, in units of 2^-16."""
    from scipy.special import pdtr

    ends = np.round(pdtr(np.arange(9), 1.0) * 2**16).astype(np.int64)
    ends[-1] = 2**16
    return np.repeat(np.arange(9, dtype=np.float32), np.diff(ends, prepend=0))
