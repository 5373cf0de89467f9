"""What a comparison of two results on the same test events finds, as records. `one` and `other` are the two sides."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hepbench.tracking.metric import Metric
from hepbench.tracking.statistics import LEVEL, Combined, Difference


@dataclass(frozen=True)
class Side:
    """name: as it is shown. about: what else it is. seeds, runs: of its trainings; a file of scores tells no seed, and
    has its sha256 in place of a run."""

    name: str
    about: str
    seeds: Sequence[int]
    runs: Sequence[str]


@dataclass(frozen=True)
class Measured:
    """A metric of both sides over their trainings. difference: of one minus other; of a metric whose scale is "log"
    that of the logarithms. p: that it is none; of slices after Holm's correction for all of them."""

    metric: Metric
    one: Combined
    other: Combined
    difference: Difference
    p: float

    @property
    def better(self) -> int:
        """1 where one is significantly better, -1 where the other is, 0 where neither is."""
        if not self.p <= 1 - LEVEL or not self.difference.value:
            return 0
        return 1 if (self.difference.value > 0) == self.metric.higher_is_better else -1

    @property
    def interval(self) -> tuple[float, float]:
        """Of the difference, or of the ratio, at LEVEL."""
        low, high = self.difference.low, self.difference.high
        return (math.exp(low), math.exp(high)) if self.metric.scale == "log" else (low, high)


@dataclass(frozen=True)
class Slice:
    """The events of one value of a slice alone. measured: by the name of the metric."""

    name: str
    value: str
    events: int
    measured: Mapping[str, Measured]


@dataclass(frozen=True)
class Overlap:
    """Of events, how many a training of one and a training of the other both choose, one alone, the other alone,
    neither: the mean over all pairs of trainings."""

    name: str
    both: float
    one: float
    other: float
    neither: float


@dataclass(frozen=True)
class Agreement:
    """Which events are chosen by which side. between: share of events that a training of one and a training of the
    other put into different classes; within: that two trainings of the same side do, NaN where there is one."""

    overlaps: Sequence[Overlap]
    between: float
    within: tuple[float, float]


@dataclass(frozen=True)
class DiscrepantEvent:
    """An event whose signal scores, means over the trainings, are far apart."""

    id: int
    true: str
    one: float
    other: float


@dataclass(frozen=True)
class Density:
    """How often which log-odds of the signal come together, means over the trainings. counts: (bins, bins), first axis
    one. correlation: of the ranks."""

    name: str
    events: int
    counts: np.ndarray
    correlation: float


@dataclass(frozen=True)
class Densities:
    """edges: (bins + 1,) of both axes; what lies beyond is in the outermost bins."""

    edges: np.ndarray
    of: Sequence[Density]


@dataclass(frozen=True)
class Band:
    """value, low, high: (m,) with the interval at LEVEL; NaN where nothing can be measured."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True)
class Curves:
    """efficiency: (m,) of the signal. one, other: background rejection 1/eps_B. ratio: one over other."""

    efficiency: np.ndarray
    one: Band
    other: Band
    ratio: Band


@dataclass(frozen=True)
class Comparison:
    """facts: of what both were tested on, the kind of data first. measured: of every metric, the one that ranks first.
    by_class: names of those that are of one class of several. costs: heading, one, other, one over other. signal,
    background: names of the classes. notes: what a reader must know besides."""

    task: str
    facts: Sequence[str]
    one: Side
    other: Side
    measured: Mapping[str, Measured]
    by_class: frozenset[str]
    agreement: Agreement
    odd: Sequence[DiscrepantEvent]
    densities: Densities
    curves: Curves
    slices: Sequence[Slice]
    costs: Sequence[Sequence[str]]
    signal: str
    background: str
    notes: Sequence[str] = ()

    @property
    def ranking(self) -> Measured:
        return next(iter(self.measured.values()))
