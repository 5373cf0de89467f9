"""Labels and scores of the same events, and what several metrics need of them, made once: one sort for each class."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Ranking:
    """Decisions from the highest score to the lowest, equal scores together.

    positive: (n,) true where yes is right. order: (n,) from high to low. ends: (g,) how many decisions stand before the
    end of each group of equal scores. thresholds, positives, negatives: (g + 1,) falling distinct scores, beginning
    above all, and how many positives and negatives reach each.
    """

    positive: np.ndarray
    order: np.ndarray
    ends: np.ndarray
    thresholds: np.ndarray
    positives: np.ndarray
    negatives: np.ndarray

    @functools.cached_property
    def placements(self) -> np.ndarray:
        """(n,): for a positive the share of negatives below it, for a negative the share of positives above it; equal
        scores count one half. Both average to the area under the curve (Sun and Xu, IEEE Signal Processing Letters 21
        (2014) 1389, equations 6 to 10)."""
        above = (self.positives[1:] + self.positives[:-1]) / (2 * self.positives[-1])
        below = 1 - (self.negatives[1:] + self.negatives[:-1]) / (2 * self.negatives[-1])
        group = np.repeat(np.arange(len(self.ends)), np.diff(self.ends, prepend=0))
        found = np.empty(len(self.order))
        found[self.order] = np.where(self.positive[self.order], below[group], above[group])
        return found

    @property
    def area(self) -> float:
        """Under the ROC curve."""
        return float(np.trapezoid(self.positives / self.positives[-1], self.negatives / self.negatives[-1]))


def ranking(positive: np.ndarray, scores: np.ndarray) -> Ranking:
    """positive: (n,) bool. scores: (n,), the higher the more positive."""
    order = np.argsort(-scores)
    falling = scores[order]
    last = np.flatnonzero(np.append(falling[1:] != falling[:-1], True)) if len(falling) else np.zeros(0, np.int64)
    positives = np.concatenate([[0], np.cumsum(positive[order])[last]])
    ends = last + 1
    thresholds = np.concatenate([[np.inf], falling[last]])
    return Ranking(positive, order, ends, thresholds, positives, np.concatenate([[0], ends]) - positives)


class Scored:
    """Labels (n,) of class indices and scores (n, classes), rows summing to 1, of the same events. What is read from it
    is made at the first reading and kept."""

    def __init__(self, labels: np.ndarray, scores: np.ndarray):
        self.labels = labels
        self.scores = scores
        self.classes = int(scores.shape[1])
        self._rankings: dict[int, Ranking] = {}

    @functools.cached_property
    def guessed(self) -> np.ndarray:
        """(n,) the class of the highest score."""
        return np.asarray(self.scores.argmax(axis=1))

    @functools.cached_property
    def confusion(self) -> np.ndarray:
        """(classes, classes) how many events of the row's class score highest in the column's."""
        pairs = self.labels * self.classes + self.guessed
        return np.bincount(pairs, minlength=self.classes**2).reshape(self.classes, self.classes)

    @property
    def numbers(self) -> np.ndarray:
        """(classes,) how many events each class has."""
        return np.asarray(self.confusion.sum(axis=1))

    def against_the_rest(self, positive: int) -> Ranking:
        """The events by their score of one class, which is positive."""
        if positive not in self._rankings:
            self._rankings[positive] = ranking(self.labels == positive, self.scores[:, positive])
        return self._rankings[positive]

    @functools.cached_property
    def pooled(self) -> Ranking:
        """Of n * classes decisions, event by event whether it is of each class, by their scores all together."""
        own = self.labels[:, None] == np.arange(self.classes)
        return ranking(own.ravel(), self.scores.ravel())
