"""Labels and scores of the same events, and quantities shared by several metrics, computed once: one sort per class."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator

import numpy as np

from hepbench.benchmarks.weighting import by_class

MOST_PACKED = 2**31
"""Up to this number, decisions are sorted as 32 bits of score above 32 bits of index; more by numpy's argsort."""

COMPLEMENT = 0.99
"""Probability of one of several classes above which those of the others are summed, as 1 - p loses digits."""

SUM_WITHIN = 1e-3
"""Tolerance on the sum of an event's scores, for files with three digits."""


class Ranking:
    """Decisions from the highest score to the lowest, equal scores together. Properties are computed at first use and
    cached.

    positive: (n,) true labels. order: (n,) indices, from high to low. weights: (n,) float64; None: each counts one.
    """

    def __init__(self, positive: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None):
        """positive: (n,) bool. scores: (n,), higher for more positive; infinite ones are allowed, NaN is not."""
        self.positive = positive
        self.weights = weights
        self._given = scores
        self.order, self._ordered, self._ends = _falling(scores, positive)

    @functools.cached_property
    def ends(self) -> np.ndarray:
        """(g,) number of decisions up to the end of each group of equal scores."""
        return np.flatnonzero(self._ends) + 1

    @functools.cached_property
    def scores(self) -> np.ndarray:
        """(g,) scores of the groups, falling."""
        return np.asarray(self._given[self.order[self._ends]])

    @functools.cached_property
    def _counts(self) -> np.ndarray:
        """(n,) number of positives up to each decision."""
        return np.cumsum(self._ordered, dtype=np.int32 if len(self.order) < MOST_PACKED else np.int64)

    @functools.cached_property
    def positives(self) -> np.ndarray:
        """(g + 1,), starting above all, number of positives, or their weight, up to each group."""
        if self.weights is not None:
            return self._reaching(self._ordered)
        return np.append(np.zeros(1, self._counts.dtype), self._counts[self._ends])

    @functools.cached_property
    def negatives(self) -> np.ndarray:
        """(g + 1,), starting above all, number of negatives, or their weight, up to each group."""
        if self.weights is not None:
            return self._reaching(~self._ordered)
        found = np.zeros(len(self.positives), self.positives.dtype)
        np.subtract(self.ends, self.positives[1:], out=found[1:], casting="unsafe")
        return found

    def _reaching(self, own: np.ndarray) -> np.ndarray:
        """(g + 1,) sums of the weights of these decisions, (n,) bool in order."""
        assert self.weights is not None
        sums = np.cumsum(np.where(own, self.weights[self.order], 0.0))
        return np.append(0.0, sums[self.ends - 1])

    @functools.cached_property
    def units(self) -> tuple[float, float]:
        """(positives, negatives) weight of an equivalent decision: the sum of squared weights divided by their sum;
        weights in this unit are numbers of equivalent decisions. 1 without weights."""
        if self.weights is None:
            return 1.0, 1.0
        own = self.weights[self.positive], self.weights[~self.positive]
        return tuple(float(one @ one) / float(one.sum()) if len(one) else 1.0 for one in own)  # type: ignore[return-value]

    @functools.cached_property
    def placements(self) -> np.ndarray:
        """(n,): for a positive the fraction of negatives below it, for a negative the fraction of positives above it;
        equal scores count one half. Both average to the area under the curve (Sun and Xu, IEEE Signal Processing
        Letters 21 (2014) 1389, equations 6 to 10). With weights the fractions are of sums of weights, and the means are
        weighted."""
        if self.weights is not None:
            return self._weighted_placements()
        placed = np.empty(len(self.order))
        number = int(np.count_nonzero(self.positive))
        kinds = ((self._ordered, len(placed) - number, 1), (~self._ordered, number, 0))
        for own, others, best in kinds:
            step = (1 - 2 * best) / max(others, 1)
            seen = 0
            for block in blocks(len(placed)):
                inside = np.flatnonzero(own[block])
                chosen = self.order[block][inside]
                inside += block.start - seen
                inside -= np.arange(len(inside))  # what is left is how many of the others stand before
                placed[chosen] = inside * step + best
                seen += len(chosen)
        equal = np.flatnonzero(~self._ends)  # to the next
        if len(equal):
            starts = equal[np.append(True, np.diff(equal) > 1)]
            ends = equal[np.append(np.diff(equal) > 1, True)] + 2
            sizes = ends - starts
            before = np.concatenate([[0], np.cumsum(sizes)[:-1]])
            inside = self.order[np.repeat(starts - before, sizes) + np.arange(sizes.sum())]
            reached = self._counts[ends - 1] * 1.0
            tied = reached - np.where(starts, self._counts[starts - 1], 0)
            above = np.repeat((reached - tied / 2) / max(number, 1), sizes)
            below = np.repeat(((starts + ends) / 2 - reached + tied / 2) / max(len(placed) - number, 1), sizes)
            placed[inside] = np.where(self.positive[inside], 1 - below, above)
        return placed

    def _weighted_placements(self) -> np.ndarray:
        above, below = ((reached[1:] + reached[:-1]) / 2 for reached in (self.positives, self.negatives))
        placed = np.empty(len(self.order))
        group = np.repeat(np.arange(len(self.ends)), np.diff(self.ends, prepend=0))
        share_above, share_below = above / (self.positives[-1] or 1), 1 - below / (self.negatives[-1] or 1)
        placed[self.order] = np.where(self._ordered, share_below[group], share_above[group])
        return placed

    @functools.cached_property
    def area(self) -> float:
        """Area under the ROC curve: the mean fraction of negatives below a positive."""
        if self.weights is not None:
            own = self.weights[self.positive]
            return float(own @ self.placements[self.positive]) / float(own.sum())
        given = self.placements, self.positive
        total = math.fsum(
            float(np.einsum("i,i", *(one[block] for one in given))) for block in blocks(len(self.positive))
        )
        return total / np.count_nonzero(self.positive)


BLOCK = 2**15
"""Decisions processed at a time, so that they stay in the CPU cache."""


def blocks(number: int) -> Iterator[slice]:
    """Slices of BLOCK decisions, or events, each, which together cover this number."""
    return (slice(start, start + BLOCK) for start in range(0, number, BLOCK))


def _falling(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices from the highest score to the lowest, and in this order what is positive, and what is the last of its
    score.

    32-bit scores are sorted as integers of the same order, with index and label in the lower half: that takes a
    fraction of the time of an indirect sort, and everything is read in order."""
    last = np.ones(len(scores), bool)
    if scores.dtype != np.float32 or len(scores) >= MOST_PACKED:
        order = np.argsort(-scores)
        falling = scores[order]
        np.not_equal(falling[1:], falling[:-1], out=last[:-1])
        return order, positive[order], last
    keys = np.empty(len(scores), np.int64)
    places = np.arange(min(BLOCK, len(scores)), dtype=np.int64) << 1
    for block in blocks(len(scores)):
        bits = (np.float32(0) - scores[block]).view(np.int32)  # 0 - 0 is 0: the two zeros are one
        bits ^= (bits >> 31) & 0x7FFFFFFF
        part = keys[block]
        np.left_shift(bits, 32, out=part, dtype=np.int64)
        part |= places[: len(part)] + (block.start << 1)
        part |= positive[block]
    keys.sort()
    ordered = np.empty(len(scores), bool)
    for block in blocks(len(scores)):
        part = keys[block]
        high = keys[block.start : block.stop + 1] >> 32
        np.not_equal(high[1:], high[:-1], out=last[block][: len(high) - 1])
        np.not_equal(part & 1, 0, out=ordered[block])
        part &= 0xFFFFFFFF
        part >>= 1
    return keys, ordered, last


class Scored:
    """Labels (n,) of class indices and scores (n, classes) of the same events: probabilities that sum to 1, or their
    natural logarithms, which stay distinct where probabilities round to 1. Properties are computed at first use and
    cached.

    weights: (n,) of the events; None: each counts one. They are scaled to a mean of one in each class, as by
    `weighting.by_class`, so that numbers of events stay the same.

    Raises ValueError if the labels are not indices of the classes, the scores are neither, or the weights are invalid.
    """

    def __init__(self, labels: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None):
        labels, scores = np.asarray(labels), np.asarray(scores)
        _check(labels, scores)
        self.labels = labels
        self.weights = None if weights is None else by_class(labels, np.asarray(weights))
        self.classes = int(scores.shape[1])
        self._given = scores
        self._are_logarithms = bool(scores.size) and float(scores.min()) < 0
        _check_sums(self.scores)
        self._rankings: dict[int, Ranking] = {}
        self._pairs: dict[tuple[int, int], Ranking] = {}

    @functools.cached_property
    def scores(self) -> np.ndarray:
        """(n, classes) probabilities."""
        return np.asarray(np.exp(self._given) if self._are_logarithms else self._given)

    @functools.cached_property
    def log_scores(self) -> np.ndarray:
        """(n, classes) natural logarithms of the probabilities; -inf of 0."""
        if self._are_logarithms:
            return self._given
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(self._given))

    def log_odds(self, positive: int) -> np.ndarray:
        """(n,) logarithm of the probability of one class divided by that of all others together, which ranks events.
        Equal probabilities have equal log-odds, whatever the others are, up to COMPLEMENT."""
        logs = self.log_scores
        if self.classes == 2:
            with np.errstate(invalid="ignore"):
                return np.asarray(logs[:, positive] - logs[:, 1 - positive])
        others = np.log1p(-np.minimum(self.scores[:, positive], COMPLEMENT))
        above = np.flatnonzero(self.scores[:, positive] > COMPLEMENT)
        rest = np.delete(logs[above], positive, axis=1)
        with np.errstate(divide="ignore"):
            others[above] = np.logaddexp.reduce(rest, axis=1)
        return np.asarray(logs[:, positive] - others)

    @functools.cached_property
    def guessed(self) -> np.ndarray:
        """(n,) the class with the highest score."""
        return np.asarray(self._given.argmax(axis=1))

    @functools.cached_property
    def confusion(self) -> np.ndarray:
        """(classes, classes) number, or weight, of events of the row's class that score highest in the column's."""
        pairs = self.labels * self.classes + self.guessed
        return np.bincount(pairs, self.weights, minlength=self.classes**2).reshape(self.classes, self.classes)

    @functools.cached_property
    def numbers(self) -> np.ndarray:
        """(classes,) number of events of each class."""
        if self.classes == 2:  # a fifth of what counting takes
            ones = int(np.count_nonzero(self.labels))
            return np.array([len(self.labels) - ones, ones])
        return np.bincount(self.labels, minlength=self.classes)

    @functools.cached_property
    def equivalent(self) -> np.ndarray:
        """(classes,) number of equivalent events of each class: (sum w)^2 / sum w^2."""
        if self.weights is None:
            return self.numbers
        return self.numbers**2 / np.maximum(np.bincount(self.labels, self.weights**2, self.classes), 1e-300)

    def one_vs_rest(self, positive: int) -> Ranking:
        """The events ranked by the log-odds of one class, which is positive."""
        if positive not in self._rankings:
            self._rankings[positive] = Ranking(self.labels == positive, self.log_odds(positive), self.weights)
        return self._rankings[positive]

    def of_two(self, one: int, other: int) -> np.ndarray:
        """Indices of the events of these two classes."""
        return np.flatnonzero((self.labels == one) | (self.labels == other))

    def against(self, positive: int, negative: int) -> Ranking:
        """The events of only these two classes, in the order of `of_two`, ranked by the log-odds of the first."""
        if (positive, negative) not in self._pairs:
            which = self.of_two(positive, negative)
            weights = None if self.weights is None else self.weights[which]
            own = self.labels[which] == positive
            self._pairs[positive, negative] = Ranking(own, self.log_odds(positive)[which], weights)
        return self._pairs[positive, negative]

    @functools.cached_property
    def pooled(self) -> Ranking:
        """Ranking of n * classes decisions, whether each event belongs to each class, by their log-odds."""
        own = self.labels[:, None] == np.arange(self.classes)
        odds = np.stack([self.log_odds(positive) for positive in range(self.classes)], axis=1)
        weights = None if self.weights is None else np.repeat(self.weights, self.classes)
        return Ranking(own.ravel(), odds.ravel(), weights)


def log_scores_of(logits: np.ndarray) -> np.ndarray:
    """(n, classes) float32 logarithms of probabilities, from logits (n, classes), or (n, 1) log-odds of class 1."""
    logits = np.asarray(logits, np.float32)
    with np.errstate(invalid="ignore"):  # what is no number stays none, for the training to say so
        if logits.shape[1] == 1:
            logits = np.concatenate([-logits, logits], axis=1)
            return np.asarray(-np.logaddexp(np.float32(0), -logits))
        highest = logits.max(axis=1, keepdims=True)
        return np.asarray(logits - highest - np.log(np.exp(logits - highest).sum(axis=1, keepdims=True)))


def logarithms(scores: np.ndarray) -> np.ndarray:
    """(n, classes) float32 logarithms of probabilities; for 0, that of the smallest normal 32-bit number."""
    return np.asarray(np.log(np.maximum(scores, np.finfo(np.float32).tiny)), np.float32)


def _check(labels: np.ndarray, scores: np.ndarray) -> None:
    if scores.ndim != 2 or labels.ndim != 1 or len(scores) != len(labels) or scores.shape[1] < 2:
        raise ValueError(f"scores must be (n, classes) for {len(labels)} labels, but got {scores.shape}")
    if labels.dtype.kind not in "iub":
        raise ValueError(f"labels must be integers, the index of each event's class, but got {labels.dtype}")
    if len(labels) and (int(labels.min()) < 0 or int(labels.max()) >= scores.shape[1]):
        raise ValueError(
            f"labels must be from 0 to {scores.shape[1] - 1}, one column of scores per class, but got "
            f"{labels.min()} to {labels.max()}"
        )
    if not np.isfinite(scores).all():
        rows = np.flatnonzero(~np.isfinite(scores).all(axis=1))
        raise ValueError(f"scores must be finite, but {len(rows)} rows are not, the first at {rows[0]}")


def _check_sums(scores: np.ndarray) -> None:
    sums = _sums(scores)
    if len(sums) and (abs(float(sums.min()) - 1) > SUM_WITHIN or abs(float(sums.max()) - 1) > SUM_WITHIN):
        rows = np.flatnonzero(np.abs(sums - 1) > SUM_WITHIN)
        raise ValueError(
            f"scores of an event must be probabilities that sum to 1, or their logarithms, but {len(rows)} rows do "
            f"not, the first at {rows[0]}: {sums[rows[0]]:.6g}"
        )
    if len(scores) and float(scores.min()) < 0:
        raise ValueError("scores must be probabilities, but some are negative")


def _sums(scores: np.ndarray) -> np.ndarray:
    """(n,) sums of the rows; by columns, which is faster for few of them."""
    total = scores[:, 0]
    for number in range(1, scores.shape[1]):
        total = total + scores[:, number]
    return total
