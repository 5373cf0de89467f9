"""`hepbench rescore`: recompute all metrics of stored runs from their scores."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from hepbench.benchmarks.base import UserError
from hepbench.suite import rescoring, results
from hepbench.suite.commands.console import Console
from hepbench.suite.progress import progress_bar


def rescore(given: Sequence[str], console: Console) -> None:
    """Recompute, and print the number of runs and why others are unchanged. UserError if there are no finished runs."""
    store = results.open_store()
    tasks, left_out = results.stored_tasks(given, store)
    if left_out:
        console.print(results.of_left_out(left_out), soft_wrap=True, highlight=False)
    runs = {task.name: rescoring.finals(task, store) for task in tasks}
    if not any(runs.values()):
        asked = given[0] if len(given) == 1 else shlex.quote(" ".join(given))
        raise UserError(f"no finished runs in {results.store_location()}: run make bench TASK={asked}")
    for task in tasks:
        found = runs[task.name]
        if not found:
            continue
        with progress_bar(console, f"{task.name}: recomputing metrics", len(found), "runs") as advance:
            skipped = rescoring.rescore(task, store, found, lambda: advance(1))
        console.print(
            f"{task.name}: metrics of {len(found) - len(skipped)} runs recomputed from their scores", highlight=False
        )
        for run, reason in skipped.items():
            console.print(f"unchanged: {run[:12]}: {reason}", soft_wrap=True, highlight=False)
