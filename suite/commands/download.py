"""`hepbench data`: the official files of a task, downloaded and verified, with a progress bar per file."""

from __future__ import annotations

import contextlib

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from hepbench.benchmarks import registry
from hepbench.suite.commands.console import Console
from hepbench.suite.data import download
from hepbench.suite.paths import official_folder


def fetch(task_given: str, count: int | None, console: Console) -> None:
    """Download the files, or only the first `count` of them, and print what is available."""
    task = registry.find("task", task_given)
    if carried := download.carried(task):
        console.print(f"{task.name}: genuine data are included in a Python package, no download needed: {carried[0]}")
        return
    if task.record.custom_layout and (paths := task.record.custom_layout(official_folder(task.dataset))):
        console.print(f"{task.name}: files in a custom layout found, as declared in {paths[0]}:")
        for path in paths[1:]:
            console.print(path, highlight=False, soft_wrap=True)
        return
    with contextlib.ExitStack() as stack:
        bars = {}

        def show(event: download.DownloadEvent) -> None:
            name = event.source.name
            if isinstance(event, download.Transfer):
                if name not in bars:
                    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
                    title = TextColumn("{task.description}", markup=False)
                    bars[name] = stack.enter_context(Progress(title, *columns, console=console))
                    bars[name].add_task(name)
                bars[name].update(bars[name].task_ids[0], completed=event.done, total=event.total)
                return
            stack.close()
            bars.clear()
            if isinstance(event, download.Waiting):
                text = f"{name}: {event.reason}; retrying in {event.seconds:.0f} s"
                console.print(text, highlight=False, soft_wrap=True)
                return
            if isinstance(event, download.NextAddress):
                text = f"{name}: no download from {event.reason}; trying the next address"
                console.print(text, highlight=False, soft_wrap=True)
                return
            console.print(f"{name}: downloaded and verified" if event.fetched else f"{name}: present and verified")

        paths = download.fetch(task, count, show)
    folder = paths[0].parent
    console.print(f"{len(paths)} files in {folder}; digests in SHA256SUMS. Used by make bench TASK={task.name}.")
