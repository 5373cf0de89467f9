"""The records that a study is written in, a document whose networks and experiments this suite does again; and where
they are found: a file of `benchmarks/studies/` exposes one as `STUDY`, which has the file's name."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hepbench.benchmarks.base import Reference, check_known

FOLDER = Path(__file__).parent / "studies"

COSTS = {
    "parameters": "trainable parameters",
    "total_parameters": "parameters with moving averages",
    "epochs": "epochs until it stopped",
    "seconds_per_epoch": "seconds an epoch",
    "seconds_per_step": "seconds a step",
}
"""What a number of a document may be beside a metric, and its words."""

TIMES = ("seconds_per_epoch", "seconds_per_step")
"""Of these, what depends on the hardware."""


@dataclass(frozen=True)
class Reported:
    """A number of a document that is a result.

    what: in words, as the document means it. metric: a metric's key of a run, `test_auc` or `final_val_accuracy`; with
    an epoch what is reported after each, `accuracy` or `val_accuracy`; or a key of `COSTS`. where: it stands in the
    document. sign: before the value, such as "about". epoch: after which, -1 the last; None: of the trained network.
    note: what is to be known of it.
    """

    what: str
    metric: str
    value: float
    where: str
    sign: str = ""
    epoch: int | None = None
    note: str = ""


@dataclass(frozen=True)
class Experiment:
    """A training of a document.

    name: one of the study. settings: hyper-parameters in place of the entry's defaults, which are the document's.
    events: of its dataset, training, validation and test together; None: all that there are. trained, tested: events
    of those parts in the document, None where it does not say. reported: its numbers. by_epoch: what the document's log
    has after each epoch, from the first, None where it is cut off. differs: what the document does differently in data
    and split, in words. most_events: budget -> events at most, where the budget's are too many for it. left_out: budget
    -> why it does not run there. modes: whether the trained network is also evaluated with dropout and normalisation as
    in training.
    """

    name: str
    title: str
    task: str
    model: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    events: int | None = None
    trained: int | None = None
    tested: int | None = None
    reported: tuple[Reported, ...] = ()
    by_epoch: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)
    differs: tuple[str, ...] = ()
    most_events: Mapping[str, int] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    modes: bool = False


@dataclass(frozen=True)
class Comparison:
    """Experiments beside each other. statement: what the document says of it, and where. experiments: names; the first
    is what the others are compared with. metrics: keys of a run, as those of `Reported`."""

    question: str
    statement: str
    experiments: tuple[str, ...]
    metrics: tuple[str, ...]


@dataclass(frozen=True)
class Study:
    """A document and its experiments.

    title: what it is about, for this suite. source: author, title and year, as the document gives them.
    remarks: contradictions within the document, and what its listing shows. elsewhere: what another command does, each
    with that command.
    """

    title: str
    source: str
    experiments: tuple[Experiment, ...]
    comparisons: tuple[Comparison, ...] = ()
    remarks: tuple[str, ...] = ()
    elsewhere: Mapping[str, str] = field(default_factory=dict)


def names() -> list[str]:
    """Names of every study, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")


@functools.cache
def find(name: str) -> Study:
    """The study of this name; UserError with the nearest known name otherwise."""
    check_known("study", name, names())
    study: Study = importlib.import_module(f"{__package__}.studies.{name}").STUDY
    return study


def references(task: str) -> list[Reference]:
    """Results of the test part that documents report of their own networks on a task, as rows of a leaderboard. model
    begins with the name of the entry that has that network."""
    found = []
    for name in names():
        for one in find(name).experiments:
            numbers = [number for number in one.reported if number.metric.startswith("test_") and number.epoch is None]
            test = {
                number.metric.removeprefix("test_"): round(number.value, 4)
                for number in numbers
                if number.sign in ("", "about")
            }
            if one.task == task and test:
                settings = "".join(f" {key}={value}" for key, value in one.settings.items())
                trained_on = f"{one.trained:,} events" if one.trained else "the study's own files"
                trained_on += "; about" if any(number.sign for number in numbers) else ""
                found.append(Reference(f"{one.model}{settings}", test, trained_on, find(name).source, verified=True))
    return found
