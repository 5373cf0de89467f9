"""`hepbench ensemble`: ensembles of trained models, chosen by validation scores, and of the seeds of each model."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from hepbench.benchmarks.base import Task, UserError
from hepbench.benchmarks.registry import Entry
from hepbench.suite import ensemble as ensembles
from hepbench.suite import results
from hepbench.suite.commands import leaderboard
from hepbench.suite.commands.console import Console
from hepbench.suite.progress import progress_bar
from hepbench.tracking.runs import Store


def ensemble(given: Sequence[str], console: Console) -> None:
    """Build and store the ensembles of these tasks; print why a task has none. UserError if no task has one."""
    store = results.open_store()
    tasks, left_out = results.stored_tasks(given, store)
    if left_out:
        console.print(results.of_left_out(left_out), soft_wrap=True, highlight=False)
    if not tasks:
        raise UserError(f"no finished runs in {results.store_location()}: run make bench TASK={shlex.join(given)}")
    refused = []
    for task in tasks:
        try:
            _ensemble(task, store, console)
        except UserError as error:
            refused.append(str(error))
            if len(refused) == len(tasks):
                raise
            console.print(str(error), soft_wrap=True, highlight=False)


def _ensemble(task: Entry[Task], store: Store, console: Console) -> None:
    """Build and store the ensembles of a task, print their members with weights, and the leaderboard."""
    with progress_bar(console, f"{task.name}: choosing members", None, "steps") as advance:
        made = ensembles.ensembles(task, store, lambda: advance(1))
    for one in made:
        members = ", ".join(f"{weight:.0%} {name}" for name, weight in one.weights.items())
        line = f"ensemble {one.what}, budget {one.budget}, run {one.run[:12]}: {members}"
        console.print(line, soft_wrap=True, highlight=False)
    leaderboard.write(task, store, console)
