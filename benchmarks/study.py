"""Records of a study, a document whose networks and experiments this suite reproduces. A file of `benchmarks/studies/`
exposes one as `STUDY`; its name is the file's name."""

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
    "epochs": "epochs until early stopping",
    "seconds_per_epoch": "seconds per epoch",
    "seconds_per_step": "seconds per step",
}
"""What a number of a document may be other than a metric, and its description."""

TIMES = ("seconds_per_epoch", "seconds_per_step")
"""Those of COSTS that depend on the hardware."""


@dataclass(frozen=True)
class Reported:
    """A result reported in a document.

    what: description, as the document means it. metric: key of a run's metric, `test_auc` or `final_val_accuracy`; with
    an epoch, of what is reported after each, `accuracy` or `val_accuracy`; or a key of `COSTS`. where: place in the
    document. sign: qualifier of the value, such as "about". epoch: after which, -1 the last; None: of the trained
    network. note: a remark on it.
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
    """A training run of a document.

    name: unique in the study. settings: hyper-parameters in place of the entry's defaults, which are the document's.
    events: of its dataset, training, validation and test together; None: all. trained, tested: events of these sets in
    the document, None where it does not say. reported: its numbers. by_epoch: the document's log after each epoch, from
    the first, None where it is cut off. differs: how data and split differ from the document's, in words. most_events:
    budget -> maximum number of events, where the budget's are too many. left_out: budget -> why it does not run there.
    modes: whether the trained network is also evaluated with dropout and normalisation in training mode.
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
    """A comparison of experiments. statement: what the document says about it, and where. experiments: names; the first
    is the one that the others are compared with. metrics: keys of a run, as in `Reported`."""

    question: str
    statement: str
    experiments: tuple[str, ...]
    metrics: tuple[str, ...]


@dataclass(frozen=True)
class Study:
    """A document and its experiments.

    title: its subject, for this suite. source: author, title and year, as the document gives them.
    remarks: contradictions within the document, and what its listing shows. elsewhere: parts covered by another
    command, each with that command.
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
    """The study of this name; UserError suggesting the closest match otherwise."""
    check_known("study", name, names())
    study: Study = importlib.import_module(f"{__package__}.studies.{name}").STUDY
    return study


def references(task: str) -> list[Reference]:
    """Test results that documents report for their own networks on a task, as rows of a leaderboard. model begins with
    the name of the entry that has that network."""
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
