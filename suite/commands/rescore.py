"""`hepbench rescore`: every metric of stored runs again, from the scores that they keep."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import UserError
from hepbench.suite import rescoring, results
from hepbench.suite.commands import arguments
from hepbench.suite.commands.console import Console
from hepbench.suite.progress import progress_bar


def rescore(given: Sequence[str], console: Console) -> None:
    """Measure again, print how many runs, and why others are left as they are. UserError where nothing has finished."""
    store = results.open_store()
    tasks = [registry.find("task", name) for name in arguments.each(given)]
    runs = {task.name: rescoring.finals(task, store) for task in tasks}
    if not any(runs.values()):
        asked = given[0] if len(given) == 1 else shlex.quote(" ".join(given))
        raise UserError(f"no finished runs in {results.store_location()}: run make bench TASK={asked}")
    for task in tasks:
        found = runs[task.name]
        if not found:
            continue
        with progress_bar(console, f"{task.name}: measuring again", len(found), "runs") as advance:
            skipped = rescoring.rescore(task, store, found, lambda: advance(1))
        console.print(
            f"{task.name}: {len(found) - len(skipped)} runs measured again from their scores", highlight=False
        )
        for run, reason in skipped.items():
            console.print(f"left as it is: {run[:12]}: {reason}", soft_wrap=True, highlight=False)
