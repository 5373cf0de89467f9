"""One part of a task's events, and the text by which whoever scores them tells which they are."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hepbench.benchmarks import budgets
from hepbench.benchmarks.base import Task, UserError, check_known
from hepbench.benchmarks.registry import Entry
from hepbench.suite.data.dataset import Prepared
from hepbench.suite.data.files import choose
from hepbench.suite.data.opening import DataEvent, open_data
from hepbench.suite.data.split import PARTS, split_events


@dataclass(frozen=True)
class Part:
    """Which events: those of a part ("train", "validation" or "test") of a task's split. events: of the dataset, in
    place of the budget's number; None: the budget's. labels: whether they were given out with their labels."""

    task: str
    split: str
    data: str
    budget: str
    events: int | None
    data_digest: str
    split_hash: str
    labels: bool

    def as_text(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def of_text(cls, text: str) -> Part:
        """What `as_text` gave. ValueError for another text."""
        found = json.loads(text)
        kinds = {field.name: field.type for field in dataclasses.fields(cls)}
        types = {"str": (str,), "bool": (bool,), "int | None": (int, type(None))}
        if not isinstance(found, dict) or found.keys() != kinds.keys():
            raise ValueError(f"expected {', '.join(kinds)}")
        for name, kind in kinds.items():
            if type(found[name]) not in types[str(kind)]:
                raise ValueError(f"{name} is {found[name]!r}")
        return cls(**found)


@dataclass(frozen=True)
class OpenedPart:
    """A part with its data. rows: part of the split ("train", ...) -> its events' places in `prepared`."""

    part: Part
    task: Entry[Task]
    prepared: Prepared
    rows: dict[str, np.ndarray]
    source: str
    """Name of the folder of the raw files."""


def open_part(
    task: Entry[Task],
    split: str,
    *,
    data: str,
    budget: str,
    events: int | None,
    labels: bool,
    listener: Callable[[DataEvent], None],
) -> OpenedPart:
    """The events of a part, simulated or prepared where they have to be. data: "official", "simulated" or "auto".
    UserError for what is not known or cannot be had."""
    check_known("part of the split", split, PARTS)
    most = budgets.most_events(budget, events)
    files, prepared = open_data(task, choose(task, data), most, listener)
    rows, split_hash = split_events(task.record, prepared, most)
    part = Part(task.name, split, files.kind, budget, events, files.digest, split_hash, labels)
    return OpenedPart(part, task, prepared, rows, files.paths[0].parent.name)


def check_same(found: Part, told: Part, where: str) -> None:
    """UserError where these are not the same events, with what tells them apart."""
    if found.data_digest != told.data_digest:
        raise UserError(
            f"{where}: made of {told.data} data with the digest {told.data_digest[:12]}, and those here have "
            f"{found.data_digest[:12]}: score the events that hepbench events gives here"
        )
    if found.split_hash != told.split_hash:
        raise UserError(
            f"{where}: made of another split, {told.split_hash[:12]}, than that of {found.task} here, "
            f"{found.split_hash[:12]}: score the events that hepbench events gives here"
        )
