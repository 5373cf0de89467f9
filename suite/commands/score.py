"""`hepbench score`: external scores, evaluated and added to the leaderboard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hepbench.benchmarks import registry
from hepbench.suite import results
from hepbench.suite.commands import leaderboard
from hepbench.suite.commands.console import Console
from hepbench.suite.exchange.submission import Submission, enter
from hepbench.suite.progress import DataLines


def score(task_given: str, path: Path, facts: Mapping[str, Any], force: bool, console: Console) -> None:
    """Check and evaluate the scores, store them and print the leaderboard. facts: fields of a `Submission`."""
    task = registry.find("task", task_given)
    submission = Submission(**facts)
    store = results.open_store()
    with DataLines(console) as listener:
        entered = enter(task, path, submission, store, force=force, listener=listener)
    name = f"{submission.name} seed {submission.seed}"
    if entered.evaluated is None:
        console.print(f"{name}: identical scores already exist, run {entered.run[:12]}", soft_wrap=True)
    else:
        found = entered.evaluated.metrics
        count = len(entered.evaluated.found.ids)
        console.print(
            f"{name}: {count:,} events, AUC {found['auc']:.4f} ± {found['auc_error']:.4f}, accuracy "
            f"{found['accuracy']:.4f}; submitted as run {entered.run[:12]}",
            soft_wrap=True,
            highlight=False,
        )
    leaderboard.write(task, store, console)
