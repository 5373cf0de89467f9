"""How long trials take on this machine, by those that ran here before; nothing where none did."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hepbench.benchmarks.base import as_text

SAME = ("model", "budget", "events", "data", "device", "backend", "hardware")
"""Tags that an earlier trial must share for its time to count as it is."""

SCALED = tuple(key for key in SAME if key not in ("budget", "events"))
"""Tags that one must share for its time to count by the events and epochs of both."""

PASSES = ("epochs", "rounds")
"""Hyper-parameters that say how often a training sees its events."""


Run = Mapping[str, Any]
"""As `Store.runs` gives it."""


@dataclass(frozen=True)
class Forecast:
    """seconds: of each trial by its name, None where nothing like it has run here. earlier: how many runs that is taken
    from. at_once: how many trials run side by side. scaled: whether some of the runs were within another budget."""

    seconds: Mapping[str, float | None]
    earlier: int
    at_once: int = 1
    scaled: bool = False

    @property
    def unknown(self) -> list[str]:
        """Names of the trials of which nothing is known."""
        return [name for name, seconds in self.seconds.items() if seconds is None]

    def left(self, running: Mapping[str, float], ended: Iterable[str]) -> float:
        """Seconds until all trials have ended of which something is known. running: for how long, by name."""
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
    """By the median of the runs that share SAME with a trial, and its hyper-parameters where some do; where none does,
    by those that share SCALED and are the nearest in events times epochs.

    trials: name -> (tags, hyper-parameters). runs: finished ones, as `Store.runs` gives them. events: that each trial
    is trained on; 0: not known, and nothing is scaled.
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
    """Id -> seconds of the runs that are nearest in work, as if they had had so many events and these hyper-parameters,
    as texts; of those that differ in no other, where there are such. The training goes by events times epochs, the
    test by events, the rest stays."""
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
    """A time that is not known better than by a tenth."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
