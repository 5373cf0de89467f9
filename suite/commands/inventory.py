"""`list`, `doctor` and `ui`: what there is and where it lies. Nothing here imports TensorFlow, Keras or MLflow."""

from __future__ import annotations

import csv
import os
import platform
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import check_known
from hepbench.benchmarks.budgets import BUDGETS
from hepbench.suite import device, results
from hepbench.suite.data.files import official
from hepbench.suite.paths import data_folder, home_folder, official_folder, simulations_folder
from hepbench.suite.provenance import versions
from hepbench.suite.tuning import storage
from hepbench.tracking import runs
from hepbench.tracking.hardware import machine as machine_module

LISTED = ("all", "tasks", "models", "metrics", "budgets")


def print_list(what: str, console: Console) -> None:
    """Tasks with their data, models with their views, metrics, budgets; or one of these, models with parameters."""
    check_known("list", what, LISTED)
    made = {"tasks": _tasks, "models": _models, "metrics": _metrics, "budgets": _budgets}
    for name, table in made.items():
        if what in ("all", name):
            console.print(table())
    if what == "models":
        for table in _parameters(console.width):
            console.print(table)
        console.print("Trained parameters with the defaults; trees and floors have no fixed number. –: does not serve.")
    if what == "all":
        console.print(
            "installed: " + ", ".join(f"{name} {version}" for name, version in versions().items()), highlight=False
        )


def _tasks() -> Table:
    table = Table("task", "what", "inputs", "data here", title="tasks", title_justify="left")
    for name in registry.names("task"):
        entry = registry.find("task", name)
        table.add_row(name, entry.record.title, ", ".join(entry.record.views), _data_here(entry))
    return table


def _models() -> Table:
    table = Table("model", "what", "inputs", "after", title="models", title_justify="left")
    for name in registry.names("model"):
        model = registry.find("model", name).record
        table.add_row(name, model.title, model.view or "labels only", model.source)
    return table


def _parameters(width: int) -> list[Table]:
    """What `hepbench measure parameters` counted, kept so that a list needs no network built.

    In as many tables as it takes for no number to be broken at `width` characters.
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
    table = Table(title="trained parameters by task", title_justify="left")
    for number, (heading, *_) in enumerate(columns):
        table.add_column(heading, justify="right" if number else "left", no_wrap=True)
    for row in list(zip(*columns, strict=True))[1:]:
        table.add_row(*row)
    return table


def _metrics() -> Table:
    from hepbench.benchmarks.metrics import METRICS

    table = Table("metric", "what", title="metrics, each with its error", title_justify="left")
    for name, metric in METRICS.items():
        table.add_row(name, metric.title)
    return table


def _budgets() -> Table:
    headings = ("budget", "events at most", "epochs", "rounds (trees)", "seeds")
    table = Table(*headings, title="budgets", title_justify="left")
    for name, budget in BUDGETS.items():
        events = f"{budget.events:,}" if budget.events else "all"
        table.add_row(name, events, str(budget.epochs), f"{budget.rounds:,}", str(budget.seeds))
    return table


def _data_here(entry: registry.Entry) -> str:
    lines = []
    if paths := official(entry):
        lines.append(f"official: {len(paths)} file{'s' * (len(paths) > 1)}")
    elif entry.record.sources:
        lines.append("official: not here")
    if entry.record.simulation:
        folder = simulations_folder(entry.dataset)
        sets = [path.name.split("_")[0][1:] for path in folder.glob("n*")] if folder.is_dir() else []
        lines.append("simulated: " + (", ".join(f"{int(n):,}" for n in sorted(sets, key=int)) or "not yet"))
    return "\n".join(lines)


def print_doctor(console: Console) -> None:
    """What this machine and this environment have, line by line."""
    machine = machine_module.describe()
    home = home_folder()
    lines = {
        "python": f"{platform.python_version()}, {sys.executable}",
        "system": machine["os"],
        "processor": f"{machine['cpu']}, {machine['cores_usable']} cores usable",
        "memory": f"{machine['memory_gib']:.1f} GiB",
        "GPU": ", ".join(f"{gpu['name']} {gpu['memory_gib']:.0f} GiB" for gpu in machine["gpus"]) or "none found",
    }
    for backend in device.BACKENDS:
        lines[f"auto with {backend}"] = device.missing(backend) or "{} ({})".format(*device.resolve("auto", backend))
    lines["packages"] = ", ".join(f"{name} {version}" for name, version in versions().items())
    lines["results"] = results.store_location()
    lines["studies"] = runs.shown(storage.location())
    lines["data"] = str(data_folder())
    lines["disk"] = f"{shutil.disk_usage(_existing(home)).free / 2**30:.1f} GiB free at {home}"
    for name in registry.names("task"):
        entry = registry.find("task", name)
        lines[f"data of {name}"] = _files_line(entry)
    table = Table.grid(padding=(0, 2))
    for name, text in lines.items():
        table.add_row(f"[bold]{name}[/]", text)
    console.print(table, highlight=False)


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.parent)


def _files_line(entry: registry.Entry) -> str:
    paths = official(entry)
    if paths:
        return "found " + ", ".join(map(str, paths))
    folder = official_folder(entry.dataset)
    missing = [source.name for source in entry.record.sources if not (folder / source.name).is_file()]
    published = any(source.url for source in entry.record.sources)
    how = f"make data TASK={entry.name} fetches it" if published else "none is published"
    few = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
    return f"missing {few} in {folder}; {how}"


def open_ui(port: int, console: Console) -> None:
    """Become the MLflow server on the store, until Ctrl-C."""
    command = results.open_store().ui_command(port=port)
    console.print(
        f"MLflow will answer at {runs.ui_address(port=port)} (Ctrl-C ends it)", highlight=False, soft_wrap=True
    )
    os.execv(command[0], command)
