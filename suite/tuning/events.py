"""Events that a study sends to its listener."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hepbench.suite.campaign import BenchEvent
from hepbench.suite.tuning.storage import DatabaseGone
from hepbench.suite.workers.jobs import Event


@dataclass(frozen=True)
class Requeued:
    """Trials interrupted by the end of an earlier call: marked as failed and requeued, each at most once."""

    trials: Sequence[int]


@dataclass(frozen=True)
class SearchProgress:
    """Progress of the search. counts: trials by state. finished, wanted: numbers of trials. best: value and number of
    the best trial, None before there is one and with two objectives. seconds_left: estimate; infinite if unknown."""

    counts: Mapping[str, int]
    finished: int
    wanted: int
    best: tuple[float, int] | None
    seconds_left: float


@dataclass(frozen=True)
class SearchEvent:
    """An event of a trial of the search."""

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
    """The time limit ends the search before all trials are done."""

    finished: int
    wanted: int


@dataclass(frozen=True)
class RetestStarted:
    """The best trial's hyper-parameters and the defaults are trained on this number of fresh seeds each; the events of
    each training run follow."""

    trial: int
    seeds: int


@dataclass(frozen=True)
class ComparisonStarted:
    """The training runs on fresh seeds are finished, and their scores of the test events are compared."""


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
