"""What trainings on more and more events reached, and the difference of two models on the same events."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from hepbench.tracking import statistics

CHANCE = 0.5
"""AUC of a model that knows nothing."""


@dataclass(frozen=True)
class Training:
    """auc: of the test events. influences: (n,) what each of these adds to it, as of `statistics.Trainings`. seconds:
    of training. last_was_best: whether the validation loss was lowest at the end of a training ended by its budget."""

    auc: float
    influences: np.ndarray
    seconds: float = math.nan
    last_was_best: bool = False


@dataclass(frozen=True)
class Point:
    """A model on so many training events. trainings: by seed; all models take the same events with the same seed.
    failures: messages of the trainings that failed."""

    events: int
    trainings: Mapping[int, Training]
    failures: Sequence[str] = ()

    @property
    def together(self) -> statistics.Trainings:
        """Over the seeds."""
        some = self.trainings.values()
        return statistics.trainings([one.auc for one in some], [one.influences for one in some])

    @property
    def score(self) -> statistics.Combined:
        """AUC over the seeds."""
        return statistics.combine_trainings(self.together)

    @property
    def ended_early(self) -> int:
        """Trainings that the budget ended while they still improved."""
        return sum(one.last_was_best for one in self.trainings.values())


@dataclass(frozen=True)
class Line:
    """A model's points by rising numbers of events; those without a training have failures alone."""

    model: str
    title: str
    points: Sequence[Point]

    @property
    def measured(self) -> list[Point]:
        """The points that have a training."""
        return [point for point in self.points if point.trainings]


@dataclass(frozen=True)
class Curves:
    """lines: of each model. train_events: of the whole training part. validation_events, test_events: the same for
    every point. skipped: model -> why it cannot serve the task. left_out: numbers of events that are too few, why."""

    task: str
    lines: Sequence[Line]
    train_events: int
    validation_events: int
    test_events: int
    skipped: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[int, str] = field(default_factory=dict)

    @property
    def events(self) -> list[int]:
        """Numbers of training events at which something was measured, rising."""
        return sorted({point.events for line in self.lines for point in line.measured})

    @property
    def measured(self) -> list[Line]:
        """The models that have a point."""
        return [line for line in self.lines if line.measured]

    @property
    def pairs(self) -> list[tuple[Line, Line]]:
        """Every two models, each once."""
        some = self.measured
        return [(one, other) for place, one in enumerate(some) for other in some[place + 1 :]]


def paired(one: Point, other: Point) -> statistics.Trainings | None:
    """The AUC of one minus that of the other, seed by seed and test event by test event: what both share, the training
    events of a seed and the test events, drops out. None where they have no seed in common."""
    seeds = sorted(one.trainings.keys() & other.trainings.keys())
    if not seeds:
        return None
    pairs = [(one.trainings[seed], other.trainings[seed]) for seed in seeds]
    return statistics.trainings([a.auc - b.auc for a, b in pairs], [a.influences - b.influences for a, b in pairs])


@dataclass(frozen=True)
class Gap:
    """The difference of two models at a number of events. low, high: its 95 % interval. p: that it is none, alone;
    adjusted: with all others that are looked at. seeds: that both have."""

    events: int
    value: float
    error: float
    low: float
    high: float
    p: float
    seeds: int
    adjusted: float = math.nan

    @property
    def significant(self) -> bool:
        return self.adjusted <= 1 - statistics.LEVEL


def gaps(curves: Curves) -> dict[tuple[str, str], list[Gap]]:
    """(one, other) -> one minus other at each number of events that both have; p adjusted by Holm for all of them."""
    found: dict[tuple[str, str], list[Gap]] = {}
    for one, other in curves.pairs:
        found[one.model, other.model] = [_gap(events, apart) for events, apart in shared(one, other)]
    every = [gap for some in found.values() for gap in some]
    adjusted = iter(statistics.holm([gap.p for gap in every]))
    return {
        names: [Gap(**{**vars(gap), "adjusted": float(next(adjusted))}) for gap in some]
        for names, some in found.items()
    }


def shared(one: Line, other: Line) -> list[tuple[int, statistics.Trainings]]:
    """(events, `paired`) of each number of events that both have."""
    points = {point.events: point for point in other.measured}
    some = [(point.events, paired(point, points[point.events])) for point in one.measured if point.events in points]
    return [(events, apart) for events, apart in some if apart is not None]


def _gap(events: int, apart: statistics.Trainings) -> Gap:
    found = statistics.combine_trainings(apart)
    low, high = found.interval()
    p = statistics.two_sided(found.mean, found.sampling, found.components)
    return Gap(events, found.mean, found.error, low, high, p, len(apart.values))
