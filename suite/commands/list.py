"""`hepbench list`: tasks, models, metrics and budgets, and which of them are available.

Nothing here imports TensorFlow, Keras or MLflow.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence

from rich.table import Table

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import Task, UserError, check_known
from hepbench.benchmarks.budgets import BUDGETS
from hepbench.benchmarks.registry import Entry
from hepbench.suite.commands.console import Console
from hepbench.suite.data.files import official
from hepbench.suite.paths import simulations_folder
from hepbench.suite.provenance import versions

LISTED = ("all", "tasks", "models", "metrics", "budgets")


def print_list(what: str, console: Console) -> None:
    """Print tasks with their data, models with their views, metrics and budgets; or only one of these, models with
    their number of trainable parameters on each task."""
    check_known("list", what, LISTED)
    made = {"tasks": _tasks, "models": _models, "metrics": _metrics, "budgets": _budgets}
    for name, make in made.items():
        if what in ("all", name):
            console.print(make())
    if what == "models":
        for table in _trainable_parameters(console.width):
            console.print(table)
        console.print(
            "Trainable parameters with the defaults; trees and baselines have no fixed number. –: incompatible."
        )
    if what == "all":
        console.print(
            "installed: " + ", ".join(f"{name} {version}" for name, version in versions().items()), highlight=False
        )


def _tasks() -> Table:
    table = Table("task", "description", "inputs", "available data", title="tasks", title_justify="left")
    for name in registry.names("task"):
        entry = registry.find("task", name)
        table.add_row(name, entry.record.title, ", ".join(entry.record.views), _data_here(entry))
    return table


def _models() -> Table:
    table = Table("model", "description", "inputs", "source", title="models", title_justify="left")
    for name in registry.names("model"):
        model = registry.find("model", name).record
        table.add_row(name, model.title, model.view or "labels only", model.source)
    return table


def _trainable_parameters(width: int) -> list[Table]:
    """The counts of `hepbench measure parameters`, which are stored so that a list builds no networks.

    Split into as many tables as needed for no number to be cut at `width` characters.
    """
    with (registry.HOME / "parameters.csv").open() as file:
        models, *tasks = zip(*csv.reader(file), strict=True)
    parts, left = [], 0
    for task, *counts in tasks:
        column = (task, *(f"{int(count):,}" if count else "–" for count in counts))
        needed = max(map(len, column)) + len("  │")
        if needed > left:
            parts.append([models])
            left = width - max(map(len, models)) - len("│  │")
        parts[-1].append(column)
        left -= needed
    return [_table(part) for part in parts]


def _table(columns: Sequence[Sequence[str]]) -> Table:
    table = Table(title="trainable parameters by task", title_justify="left")
    for number, (heading, *_) in enumerate(columns):
        table.add_column(heading, justify="right" if number else "left", no_wrap=True)
    for row in list(zip(*columns, strict=True))[1:]:
        table.add_row(*row)
    return table


def _metrics() -> Table:
    from hepbench.benchmarks.metrics import METRICS

    table = Table("metric", "description", title="metrics, each with its error", title_justify="left")
    for name, metric in METRICS.items():
        table.add_row(name, metric.title)
    table.add_section()
    table.add_row("NAME_CLASS", "one-vs-rest, with more than two classes")
    return table


def _budgets() -> Table:
    headings = ("budget", "max. events", "epochs", "epochs (tables)", "rounds (trees)", "seeds")
    table = Table(*headings, title="budgets", title_justify="left")
    for name, budget in BUDGETS.items():
        events = f"{budget.events:,}" if budget.events else "all"
        passes = str(budget.epochs), str(budget.table_epochs)
        table.add_row(name, events, *passes, f"{budget.rounds:,}", str(budget.seeds))
    return table


def _data_here(entry: Entry[Task]) -> str:
    lines = []
    try:
        if paths := official(entry):
            lines.append(f"official: {len(paths)} file{'s' * (len(paths) > 1)}")
        elif entry.record.sources:
            lines.append("official: not available")
    except UserError:
        lines.append("official: invalid layout.toml, see hepbench doctor")
    if entry.record.simulation:
        folder = simulations_folder(entry.dataset)
        sets = [path.name.split("_")[0][1:] for path in folder.glob("n*")] if folder.is_dir() else []
        lines.append("simulated: " + (", ".join(f"{int(n):,}" for n in sorted(sets, key=int)) or "none"))
    return "\n".join(lines)
