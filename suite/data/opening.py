"""Opens a task's data: files found or simulated, then read once into arrays; reports progress to a listener."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hepbench.benchmarks.base import Task
from hepbench.benchmarks.registry import Entry
from hepbench.suite.data.dataset import Prepared, obtain, prepare
from hepbench.suite.data.files import Files, events_wanted, is_simulated


@dataclass(frozen=True)
class SimulationStarted:
    """There are no official data of the task; `events` are simulated."""

    task: Entry[Task]
    events: int


@dataclass(frozen=True)
class DataProgress:
    """`events` more are simulated or prepared, of a total if known."""

    doing: Literal["simulating", "preparing"]
    events: int
    total: int | None


@dataclass(frozen=True)
class DataDamaged:
    """A simulated or prepared file is damaged; the data are regenerated."""

    path: Path


@dataclass(frozen=True)
class DataOpened:
    """The data are available as arrays."""

    files: Files
    events: int


DataEvent = SimulationStarted | DataProgress | DataDamaged | DataOpened


def open_data(
    task: Entry[Task], kind: str, events: int | None, listener: Callable[[DataEvent], None]
) -> tuple[Files, Prepared]:
    """kind: "official" or "simulated". events: maximum number of simulated events, None: that of the official data.
    Existing files and arrays are reused."""
    wanted = events_wanted(task, events)
    if kind == "simulated" and not is_simulated(task, events):
        listener(SimulationStarted(task, wanted))

    def advance(doing: Literal["simulating", "preparing"], total: int | None) -> Callable[[int], None]:
        return lambda done: listener(DataProgress(doing, done, total))

    def found(path: Path) -> None:
        listener(DataDamaged(path))

    files = obtain(task, kind, events, 0, advance("simulating", wanted), found)
    prepared = prepare(task, files, advance("preparing", None), found)
    listener(DataOpened(files, len(prepared)))
    return files, prepared
