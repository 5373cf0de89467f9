"""The leaderboard of a task, from the store alone: printed, and as a page."""

from __future__ import annotations

import dataclasses
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import UserError, check_known
from hepbench.benchmarks.registry import Entry
from hepbench.suite.paths import reports_folder, results_folder
from hepbench.tracking import runs
from hepbench.tracking.leaderboard import page, ranking, text


def print_leaderboard(task_given: str, form: str, console: Console) -> None:
    """Print the ranking of a task, or of all, in one of `leaderboard.FORMATS`; a table comes with its page."""
    check_known("format", form, text.FORMATS)
    store = runs.connect(None, results_folder())
    if task_given == "all":
        tasks = [task for task in map(_task, registry.names("task")) if store.runs(task.name, status="FINISHED")]
        if not tasks:
            raise UserError(f"no finished runs in {runs.location(None, results_folder())}: run make bench TASK=all")
    else:
        tasks = [_task(task_given)]
    if form == "table":
        for task in tasks:
            write(task, store, console)
        return
    found = [collect(task, store) for task in tasks]
    rows, footer = ([one for part in parts for one in part] for parts in zip(*found, strict=True))
    references = [reference for task in tasks for reference in _references(task)]
    title = "every task" if len(tasks) > 1 else tasks[0].record.title
    sys.stdout.write(text.render(rows, form, title, footer, references))


def _task(given: str) -> Entry:
    return registry.find("task", given)


def write(task: Entry, store: runs.Store, console: Console) -> Path:
    """Print the leaderboard of everything in the store and write its page; returns the page's path."""
    rows, footer = collect(task, store)
    for part in text.renderables(rows, "", footer, _references(task), narrow=console.width < 110):
        console.print(part)
    record = task.record
    path = page.page(
        reports_folder() / f"{task.name}.html",
        rows,
        _references(task),
        footer,
        _curves(rows, store),
        title=record.title,
        command="\n".join(dict.fromkeys(_command(task, row) for row in rows)),
        signal=record.classes[record.signal],
        background=record.classes[1 - record.signal] if len(record.classes) == 2 else "the rest",
        about=[line for line in (record.citation, record.licence) if line],
    )
    console.print(f"report: {path}", soft_wrap=True)
    return path


def collect(task: Entry, store: runs.Store) -> tuple[list[dict[str, Any]], list[str]]:
    """Ranked rows of a task, and lines on what was skipped and what failed. UserError where nothing has finished."""
    found = store.runs(task.name)
    rows = ranking.rows(
        found, titles={name: registry.find("model", name).record.title for name in registry.names("model")}
    )
    if not rows:
        place = runs.location(None, results_folder())
        raise UserError(f"no finished runs of {task.name} in {place}: run make bench TASK={task.given}")
    skipped: dict[str, str] = {}
    for run in found:
        skipped |= json.loads(run["tags"].get("skipped", "{}"))
    footer = [f"skipped {name}: {reason}" for name, reason in skipped.items()]
    ranked = {row["configuration"] for row in rows}
    for run in found:
        tags = run["tags"]
        unfinished = run["status"] in ("FAILED", "KILLED") and tags.get("stage") == "final"
        if unfinished and tags["configuration"] not in ranked:
            footer.append(f"{run['status'].lower()} {run['name']}: {tags.get('failure', 'no message')}")
    return rows, list(dict.fromkeys(footer))


def _command(task: Entry, row: dict[str, Any]) -> str:
    return f"make bench TASK={task.given} BUDGET={row['budget']} DATA={row['data']} SEEDS={row['seeds']}"


def _references(task: Entry) -> list[dict[str, Any]]:
    return [dataclasses.asdict(reference) for reference in task.record.references]


def _curves(rows: list[dict[str, Any]], store: runs.Store) -> dict[str, dict[str, np.ndarray]]:
    """ROC points of each row's first run, by run id."""
    curves = {}
    with tempfile.TemporaryDirectory() as scratch:
        for row in rows:
            run = row["run_ids"][0]
            table = np.genfromtxt(store.download(run, "roc.csv", Path(scratch) / run), delimiter=",", names=True)
            curves[run] = {name: table[name] for name in ("signal_efficiency", "background_efficiency")}
    return curves
