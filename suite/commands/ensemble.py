"""`hepbench ensemble`: trained models together, chosen by their validation scores, and the seeds of each."""

from __future__ import annotations

from hepbench.benchmarks import registry
from hepbench.suite import ensemble as ensembles
from hepbench.suite import results
from hepbench.suite.commands import leaderboard
from hepbench.suite.commands.console import Console
from hepbench.suite.progress import progress_bar


def ensemble(task_given: str, console: Console) -> None:
    """Make and store them, print their members with their weights, and the leaderboard."""
    store = results.open_store()
    task = registry.find("task", task_given)
    with progress_bar(console, f"{task.name}: choosing members", None, "steps") as advance:
        made = ensembles.ensembles(task, store, lambda: advance(1))
    for one in made:
        members = ", ".join(f"{weight:.0%} {name}" for name, weight in one.weights.items())
        line = f"ensemble {one.what}, budget {one.budget}, run {one.run[:12]}: {members}"
        console.print(line, soft_wrap=True, highlight=False)
    leaderboard.write(task, store, console)
