"""What the store of results holds of a task: its ranking, and the page of it."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import Task, UserError
from hepbench.benchmarks.registry import Entry
from hepbench.suite.paths import reports_folder, results_folder
from hepbench.tracking import runs
from hepbench.tracking.leaderboard import page, ranking


def open_store() -> runs.Store:
    """The store of MLFLOW_TRACKING_URI, or the file in the results folder. StoreError where it cannot be written."""
    return runs.connect(None, results_folder())


def store_location() -> str:
    """What `open_store` opens, to be shown; without opening it."""
    return runs.location(None, results_folder())


def leaderboard_of(
    task: Entry[Task], store: runs.Store, only: Collection[str] | None = None
) -> tuple[list[dict[str, Any]], list[str]]:
    """Ranked rows of a task, and lines on what was skipped and what failed. UserError where nothing has finished.

    only: identities of the results that count; None: all.
    """
    found = [run for run in store.runs(task.name) if only is None or run["tags"].get("identity") in only]
    titles = {name: registry.find("model", name).record.title for name in registry.names("model")}
    rows = ranking.rows(found, titles=titles)
    if not rows:
        raise UserError(f"no finished runs of {task.name} in {store_location()}: run make bench TASK={task.given}")
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


def references_of(task: Entry[Task]) -> list[dict[str, Any]]:
    """Published results of a task."""
    return [dataclasses.asdict(reference) for reference in task.record.references]


def write_page(task: Entry[Task], store: runs.Store, rows: list[dict[str, Any]], footer: list[str]) -> Path:
    """Write the page of a task's leaderboard; returns its path."""
    record = task.record
    return page.page(
        reports_folder() / f"{task.name}.html",
        rows,
        references_of(task),
        footer,
        _curves(rows, store),
        title=record.title,
        command="\n".join(dict.fromkeys(_command(task, row) for row in rows)),
        signal=record.classes[record.signal],
        background=record.classes[1 - record.signal] if len(record.classes) == 2 else "the rest",
        about=[line for line in (record.citation, record.licence) if line],
    )


def _command(task: Entry[Task], row: dict[str, Any]) -> str:
    return f"make bench TASK={task.given} BUDGET={row['budget']} DATA={row['data']} SEEDS={row['seeds']}"


def _curves(rows: list[dict[str, Any]], store: runs.Store) -> dict[str, dict[str, np.ndarray]]:
    """ROC points of each row's first run, by run id."""
    curves = {}
    with tempfile.TemporaryDirectory() as scratch:
        for row in rows:
            run = row["run_ids"][0]
            table = np.genfromtxt(store.download(run, "roc.csv", Path(scratch) / run), delimiter=",", names=True)
            curves[run] = {name: table[name] for name in ("signal_efficiency", "background_efficiency")}
    return curves
