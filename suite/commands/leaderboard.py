"""`hepbench leaderboard`: the ranking of a task from the store alone, printed, and as a page."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

from rich.console import Console

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import Task, UserError, check_known
from hepbench.benchmarks.registry import Entry
from hepbench.suite import results
from hepbench.tracking.leaderboard import text
from hepbench.tracking.runs import Store


def print_leaderboard(task_given: str, form: str, console: Console) -> None:
    """Print the ranking of a task, or of all, in one of `leaderboard.FORMATS`; a table comes with its page."""
    check_known("format", form, text.FORMATS)
    store = results.open_store()
    if task_given == "all":
        every = [registry.find("task", name) for name in registry.names("task")]
        tasks = [task for task in every if store.runs(task.name, status="FINISHED", tags={"stage": "final"})]
        if not tasks:
            raise UserError(f"no finished runs in {results.store_location()}: run make bench TASK=all")
    else:
        tasks = [registry.find("task", task_given)]
    if form == "table":
        for task in tasks:
            write(task, store, console)
        return
    sys.stdout.write(text.render(results.board_of(tasks, store), form))


def write(task: Entry[Task], store: Store, console: Console) -> Path:
    """Print the leaderboard of everything in the store and write its page; returns the page's path."""
    board = results.board_of([task], store)
    for part in text.renderables(dataclasses.replace(board, title=""), narrow=console.width < 110):
        console.print(part)
    path = results.write_page(task, board, store)
    console.print(f"report: {path}", soft_wrap=True)
    return path
