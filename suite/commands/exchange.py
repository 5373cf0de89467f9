"""`hepbench export` and `hepbench import`: transfer results to the leaderboard of another machine."""

from __future__ import annotations

import shlex
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import Task, UserError
from hepbench.benchmarks.registry import Entry
from hepbench.suite import results
from hepbench.suite.atomic import locked
from hepbench.suite.commands.console import Console
from hepbench.suite.exchange import archive, merging
from hepbench.suite.paths import results_folder
from hepbench.suite.progress import progress_bar


def write(task_given: str, out: Path | None, console: Console) -> None:
    """Write all finished results of one task, of its variants or of all experiments to one file."""
    store = results.open_store(to_write=False)
    if task_given == "all":
        tasks = sorted(results.finished_experiments(store))
    else:
        tasks = [registry.find("task", given).name for given in registry.expand(task_given)]
    name = tasks[0] if len(tasks) == 1 and task_given != "all" else task_given
    out = out or Path(f"{name}-results.zip".replace(":", "-"))
    records = archive.records_of(store, tasks)
    with tempfile.TemporaryDirectory() as scratch, progress_bar(console, "exporting", len(records), "runs") as advance:
        left_out = archive.write(out, store, records, Path(scratch), advance)
    names = {record.id: f"{record.tags['task']} {record.name}" for record in records}
    for run, reason in left_out.items():
        console.print(f"left out: {names[run]}, run {run[:12]}: {reason}", soft_wrap=True, highlight=False)
    counts = Counter(record.tags["task"] for record in records if record.id not in left_out)
    console.print(f"{_counted(counts)}: {out} ({out.stat().st_size:,} bytes)", soft_wrap=True, highlight=False)


def read(path: Path, own_tasks: Sequence[str], console: Console) -> None:
    """Merge the results of such a file into the store. own_tasks: files of user-defined tasks."""
    given = [registry.find("task", one) for one in own_tasks]
    store = results.open_store()
    with tempfile.TemporaryDirectory() as scratch:
        packed = archive.unpack(path, Path(scratch))
        tasks = _tasks(path, {one.record.tags["task"] for one in packed}, given)
        with locked(results_folder() / "import"):
            new = merging.new_ones(packed, store)
            with progress_bar(console, "checking", len(new), "runs") as advance:
                checked = merging.check(path, new, tasks, store, advance)
            with progress_bar(console, "importing", len(new), "runs") as advance:
                for one in checked:
                    merging.merge(one, store)
                    advance(1)
    if there := len(packed) - len(new):
        console.print(f"{there} run{'s' * (there > 1)} already in the store, unchanged")
    hosts = ", ".join(sorted({one.host for one in new}))
    if new:
        counts = Counter(one.record.tags["task"] for one in new)
        console.print(f"imported {_counted(counts)} from {hosts}", soft_wrap=True, highlight=False)
    for name in sorted(tasks):
        console.print(
            f"leaderboard: hepbench leaderboard {shlex.quote(tasks[name].given)}", soft_wrap=True, highlight=False
        )


def _tasks(path: Path, names: set[str], given: Sequence[Entry[Task]]) -> dict[str, Entry[Task]]:
    """Name -> task. UserError for an unknown task."""
    found = {task.name: task for task in given}
    for name in sorted(names - found.keys()):
        try:
            found[name] = registry.find("task", name)
        except UserError as error:
            raise UserError(
                f"{path} has results of the unknown task {name} ({error}): give its file with --task ./my_task.py"
            ) from error
    return {name: found[name] for name in names}


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{count} run{'s' * (count > 1)} of {task}" for task, count in sorted(counts.items()))
