"""Estimates how long trials take on this machine from earlier runs on it; no estimate without any."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hepbench.benchmarks.base import as_text

SAME = ("model", "budget", "events", "data", "device", "backend", "hardware")
"""Tags that an earlier trial must share for its time to count unscaled."""

SCALED = tuple(key for key in SAME if key not in ("budget", "events"))
"""Tags that one must share for its time to count scaled by events and epochs."""

PASSES = ("epochs", "rounds")
"""Hyper-parameters for the number of passes over the training events."""


Run = Mapping[str, Any]
"""As `Store.runs` gives it."""


@dataclass(frozen=True)
class Forecast:
    """seconds: of each trial by its name, None if nothing like it has run here. earlier: number of runs that this is
    based on. at_once: number of trials in parallel. scaled: whether some of the runs had another budget."""

    seconds: Mapping[str, float | None]
    earlier: int
    at_once: int = 1
    scaled: bool = False

    @property
    def unknown(self) -> list[str]:
        """Names of the trials without an estimate."""
        return [name for name, seconds in self.seconds.items() if seconds is None]

    def left(self, running: Mapping[str, float], ended: Iterable[str]) -> float:
        """Seconds until all trials with an estimate have ended. running: elapsed seconds, by name."""
        ended = set(ended)
        rest = [
            max(seconds - running.get(name, 0.0), 0.0)
            for name, seconds in self.seconds.items()
            if seconds is not None and name not in ended
        ]
        return max([sum(rest) / self.at_once, *rest]) if rest else 0.0


def forecast(
    trials: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]],
    runs: Sequence[Mapping[str, Any]],
    at_once: int = 1,
    events: int = 0,
) -> Forecast:
    """The median of the runs that share SAME with a trial, preferably with the same hyper-parameters; if there are
    none, from those that share SCALED and are closest in events times epochs.

    trials: name -> (tags, hyper-parameters). runs: finished ones, as `Store.runs` gives them. events: training events
    of each trial; 0: not known, and nothing is scaled.
    """
    found: dict[str, float | None] = {}
    used: set[str] = set()
    scaled = False
    here = [run for run in runs if run["end"] is not None and not run["tags"].get("imported_from")]
    for name, (tags, hyperparameters) in trials.items():
        like = _sharing(SAME, here, tags)
        texts = {key: as_text(value) for key, value in hyperparameters.items()}
        same = [run for run in like if dict(run["parameters"]) == texts]
        seconds = {run["id"]: run["end"] - run["start"] for run in same or like}
        if not seconds:
            seconds = _by_work(_sharing(SCALED, here, tags), events, texts)
            scaled |= bool(seconds)
        used |= seconds.keys()
        found[name] = statistics.median(seconds.values()) if seconds else None
    return Forecast(found, len(used), at_once, scaled)


def _sharing(
    keys: Sequence[str], runs: Sequence[Mapping[str, Any]], tags: Mapping[str, Any]
) -> list[Mapping[str, Any]]:
    return [run for run in runs if all(run["tags"].get(key, "") == tags.get(key, "") for key in keys)]


def _by_work(runs: Sequence[Run], events: int, parameters: Mapping[str, str]) -> dict[str, float]:
    """Id -> seconds of the runs closest in work, scaled to this number of events and these hyper-parameters (as
    strings); preferably runs with no other difference. Training scales with events times epochs, the test with events,
    the rest is constant."""
    others = {key: value for key, value in parameters.items() if key not in PASSES}
    found: dict[str, tuple[bool, float, float]] = {}
    for run in runs:
        metrics, theirs = run["metrics"], run["parameters"]
        if not events or not metrics.get("train_events"):
            continue
        more = events / metrics["train_events"]
        passes = [(float(parameters[key]), float(theirs[key])) for key in PASSES if key in parameters and key in theirs]
        work = more * math.prod(wanted / given for wanted, given in passes if given > 0)
        training, test = metrics.get("train_seconds", 0.0), metrics.get("predict_seconds", 0.0)
        seconds = run["end"] - run["start"] + training * (work - 1) + test * (more - 1)
        differs = {key: value for key, value in theirs.items() if key not in PASSES} != others
        found[run["id"]] = (differs, abs(math.log(work)) if work > 0 else math.inf, seconds)
    nearest = min((one[:2] for one in found.values()), default=None)
    return {name: seconds for name, (differs, far, seconds) in found.items() if (differs, far) == nearest}


def in_words(seconds: float) -> str:
    """A time with about 10 % precision."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
