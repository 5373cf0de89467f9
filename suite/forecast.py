"""How long trials take on this machine, by those that ran here before; nothing where none did."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hepbench.benchmarks.base import as_text

SAME = ("model", "budget", "events", "data", "device", "backend", "hardware")
"""Tags that an earlier trial must share for its time to count."""


@dataclass(frozen=True)
class Forecast:
    """seconds: of each trial by its name, None where nothing like it has run here. earlier: how many runs that is taken
    from. at_once: how many trials run side by side."""

    seconds: Mapping[str, float | None]
    earlier: int
    at_once: int = 1

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
) -> Forecast:
    """By the median of the runs that share SAME with a trial, and its hyper-parameters where some do.

    trials: name -> (tags, hyper-parameters). runs: finished ones, as `Store.runs` gives them.
    """
    found: dict[str, float | None] = {}
    used: set[str] = set()
    for name, (tags, hyperparameters) in trials.items():
        like = [
            run
            for run in runs
            if run["end"] is not None
            and not run["tags"].get("imported_from")
            and all(run["tags"].get(key, "") == tags.get(key, "") for key in SAME)
        ]
        texts = {key: as_text(value) for key, value in hyperparameters.items()}
        same = [run for run in like if dict(run["parameters"]) == texts]
        taken = same or like
        used |= {run["id"] for run in taken}
        found[name] = statistics.median(run["end"] - run["start"] for run in taken) if taken else None
    return Forecast(found, len(used), at_once)


def in_words(seconds: float) -> str:
    """A time that is not known better than by a tenth."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
