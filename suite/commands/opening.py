"""Opens data with a progress bar and prints a line on what is used."""

from __future__ import annotations

from hepbench.benchmarks.base import Task
from hepbench.benchmarks.registry import Entry
from hepbench.suite.commands.console import Console
from hepbench.suite.data import opening
from hepbench.suite.data.dataset import Prepared
from hepbench.suite.data.files import Files
from hepbench.suite.progress import DataLines


def open_data(task: Entry[Task], kind: str, events: int | None, console: Console) -> tuple[Files, Prepared]:
    """`data.opening.open_data` with its progress on the console."""
    with DataLines(console) as listener:
        return opening.open_data(task, kind, events, listener)
