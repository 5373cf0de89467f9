"""`hepbench events`: one set of a task's events in a file, for external training or scoring."""

from __future__ import annotations

from pathlib import Path

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import UserError
from hepbench.suite.commands.console import Console
from hepbench.suite.exchange.events import write_events
from hepbench.suite.exchange.part import open_part
from hepbench.suite.progress import DataLines, progress_bar


def write(
    task_given: str,
    split: str,
    out: Path | None,
    *,
    labels: bool,
    data: str,
    budget: str,
    events: int | None,
    view: str,
    features: str,
    console: Console,
) -> None:
    """Write ids and raw inputs of the events, with `labels` also their labels, to an HDF5 file. view, features: as for
    `write_events`."""
    if features and not view:
        raise UserError(f"--features {features}: only a view has feature sets: give --view, too")
    task = registry.find("task", task_given)
    out = out or Path(f"{task.name.replace(':', '-')}-{split}.h5")
    with DataLines(console) as listener:
        opened = open_part(task, split, data=data, budget=budget, events=events, labels=labels, listener=listener)
    with progress_bar(console, "writing", len(opened.rows[split]), "events") as advance:
        count = write_events(out, opened, advance, view, features)
    part = opened.part
    given = "with labels" if labels else "without labels"
    console.print(
        f"{count:,} events of the {split} set of {task.name}, {part.data} data, budget {budget}, {given}: {out}",
        soft_wrap=True,
        highlight=False,
    )
    if split == "test" and labels:
        console.print("scores of these events will be marked, as they were written with the labels of the test set")
