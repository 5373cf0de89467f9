"""What a study tells its listener, as it happens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hepbench.suite.campaign import BenchEvent
from hepbench.suite.tuning.storage import DatabaseGone
from hepbench.suite.workers.jobs import Event


@dataclass(frozen=True)
class Requeued:
    """These trials were interrupted by the end of an earlier call: marked as failed, and queued once again."""

    trials: Sequence[int]


@dataclass(frozen=True)
class SearchProgress:
    """How far the search is. counts: trials by state. finished, wanted: trials. best: the value and the number of the
    best trial, None before there is one and with two objectives. seconds_left: estimated; infinite if unknown."""

    counts: Mapping[str, int]
    finished: int
    wanted: int
    best: tuple[float, int] | None
    seconds_left: float


@dataclass(frozen=True)
class SearchEvent:
    """What became known of a trial of the search."""

    trial: int
    event: Event


@dataclass(frozen=True)
class SearchTrialEnded:
    """state: "complete", with the values of the objectives by name; "pruned"; or "failed", for this reason."""

    trial: int
    state: str
    values: Mapping[str, float]
    reason: str
    progress: SearchProgress


@dataclass(frozen=True)
class TimeIsUp:
    """The search ends before it has all of its trials."""

    finished: int
    wanted: int


@dataclass(frozen=True)
class RetestStarted:
    """The best trial's hyper-parameters and the defaults are trained on so many fresh seeds each; each training's
    events follow."""

    trial: int
    seeds: int


@dataclass(frozen=True)
class ComparisonStarted:
    """The trainings on fresh seeds are there, and their scores of the test events are compared."""


StudyEvent = (
    BenchEvent
    | DatabaseGone
    | Requeued
    | SearchProgress
    | SearchEvent
    | SearchTrialEnded
    | TimeIsUp
    | RetestStarted
    | ComparisonStarted
)

Listener = Callable[[StudyEvent], None]
