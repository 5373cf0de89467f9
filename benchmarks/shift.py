"""Samples of a task that differ from those that models are trained on, and where they are found.

A file `benchmarks/shifts/shifted_<task>.py` exposes those of a task as `SHIFTS`, by name; a user's own file of a task
exposes them beside its `TASK`. No training sees them: they are no part of a result's identity.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hepbench.benchmarks.base import Arrays, Task, UserError, check_known, check_names
from hepbench.benchmarks.registry import Entry

FOLDER = Path(__file__).parent / "shifts"

ALL = "all"
"""In place of names: every shift of the task."""

Change = Callable[[Arrays, np.random.Generator], Arrays]
"""Raw arrays of events, as the task's `read` gives them -> the same events as they would have been. The generator is
for what is drawn anew, such as noise."""


@dataclass(frozen=True)
class Shift:
    """A sample that trained models are scored on. It has a `change` or a `sample`.

    title: what differs, in words. change: of the events of the test part, which are then the same events: a change of a
    score has a paired error. sample: what finds a task of the same classes and arrays whose events these are, made by
    another simulation or of official files, such as a path "file.py:variant": the errors are independent. simulated:
    the change knows units that simulated data alone are in, and official ones cannot be changed so.
    """

    title: str
    change: Change | None = None
    sample: str = ""
    simulated: bool = False

    def __post_init__(self) -> None:
        """UserError unless it has one of the two."""
        if bool(self.change) == bool(self.sample):
            raise UserError(f"the shift {self.title!r} needs a change of events or a sample of others, and not both")


def of_task(task: Entry[Task]) -> dict[str, Shift]:
    """The shifts of a task, or of the task whose variant it is, by name; none where it has none. UserError where what a
    user's file exposes are none."""
    if task.shipped:
        name = f"shifted_{task.dataset}"
        found = vars(importlib.import_module(f"{__package__}.shifts.{name}")) if file_of(task).is_file() else {}
    else:
        found = vars(sys.modules[task.module])
    shifts = found.get("SHIFTS", {})
    if not isinstance(shifts, Mapping) or not all(isinstance(one, Shift) for one in shifts.values()):
        raise UserError(f"task file {task.path}: SHIFTS must be a dict of names and Shifts")
    check_names("shift", shifts)
    return dict(shifts)


def file_of(task: Entry[Task]) -> Path:
    """Where the shifts of a task stand."""
    return FOLDER / f"shifted_{task.dataset}.py" if task.shipped else task.path


def named(task: Entry[Task], names: tuple[str, ...]) -> dict[str, Shift]:
    """Those of these names, in the task's order; ("all",) for every one. UserError where one is not known, and where
    the task has none."""
    known = of_task(task)
    if not known:
        raise UserError(f"task {task.name} has no shifted samples: leave SHIFT out")
    for name in names:
        check_known(f"shift of {task.name}", name, (*known, ALL))
    return {name: shift for name, shift in known.items() if name in names or ALL in names}
