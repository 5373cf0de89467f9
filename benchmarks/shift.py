"""Shifts: samples of a task that differ from those that models are trained on.

A file `benchmarks/shifts/shifted_<task>.py` exposes the shifts of a task as `SHIFTS`, by name; a user's own task file
exposes them next to its `TASK`. They are never trained on and are not part of a result's identity.
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
"""Instead of names: every shift of the task."""

Change = Callable[[Arrays, np.random.Generator], Arrays]
"""Raw arrays of events, as the task's `read` gives them -> the same events under the shift. The generator is for
whatever is redrawn, such as noise."""


@dataclass(frozen=True)
class Shift:
    """A shifted sample on which trained models are evaluated. It has a `change` or a `sample`.

    title: what differs, in words. change: applied to the test events, which remain the same events: differences of
    scores have paired errors. sample: name or path, such as "file.py:variant", of a task of the same classes and arrays
    with these events, from another simulation or official files: the errors are independent. simulated: the change
    relies on units that only simulated data have, so that it cannot be applied to official data.
    """

    title: str
    change: Change | None = None
    sample: str = ""
    simulated: bool = False

    def __post_init__(self) -> None:
        """UserError unless it has exactly one of the two."""
        if bool(self.change) == bool(self.sample):
            raise UserError(f"the shift {self.title!r} needs either a change of the events or a sample, not both")


def of_task(task: Entry[Task]) -> dict[str, Shift]:
    """The shifts of a task, or of the task whose variant it is, by name; empty where it has none. UserError if a user's
    file exposes something else."""
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
    """The file with the shifts of a task."""
    return FOLDER / f"shifted_{task.dataset}.py" if task.shipped else task.path


def named(task: Entry[Task], names: tuple[str, ...]) -> dict[str, Shift]:
    """The shifts of these names, in the task's order; ("all",) for every one. UserError for an unknown name, and where
    the task has none."""
    known = of_task(task)
    if not known:
        raise UserError(f"task {task.name} has no shifted samples: omit SHIFT")
    for name in names:
        check_known(f"shift of {task.name}", name, (*known, ALL))
    return {name: shift for name, shift in known.items() if name in names or ALL in names}
