"""Files found or simulated, then prepared, as every verb that needs data opens them."""

from __future__ import annotations

from rich.console import Console

from hepbench.benchmarks.registry import Entry
from hepbench.suite.data.dataset import Prepared, obtain, prepare
from hepbench.suite.data.files import Files, events_wanted, is_simulated
from hepbench.suite.progress import progress_bar


def open_data(task: Entry, kind: str, events: int | None, console: Console) -> tuple[Files, Prepared]:
    """Files found or simulated, then prepared, with a progress bar and a line on what was taken."""
    if kind == "simulated" and not is_simulated(task, events):
        published = any(source.url for source in task.record.sources)
        fetch = f"; make data TASK={task.dataset} fetches it" if published else ", and none is published"
        console.print(f"no official data of {task.name} here{fetch}. Simulating:")
    wanted = events_wanted(task, events)
    with progress_bar(console, "simulating", wanted, "events") as advance:
        files = obtain(task, kind, events, 0, advance)
    with progress_bar(console, "preparing", None, "events") as advance:
        prepared = prepare(task, files, advance)
    names = ", ".join(path.name for path in files.paths)
    console.print(f"data: {files.kind}, {len(prepared):,} events, {names}, digest {files.digest[:12]}")
    return files, prepared
