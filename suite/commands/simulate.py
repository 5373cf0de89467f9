"""`hepbench simulate`: simulated files in the official format."""

from __future__ import annotations

import time
from pathlib import Path

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import UserError
from hepbench.suite.commands.console import Console
from hepbench.suite.data.files import simulated_folder
from hepbench.suite.data.simulate import cores, simulate_files, simulation_of
from hepbench.suite.progress import progress_bar


def simulate(task_given: str, events: int, seed: int, jobs: int | None, out: Path | None, console: Console) -> None:
    """Write simulated files to a new folder, or to where bench looks for them; resumes where it was stopped."""
    entry = registry.find("task", task_given)
    simulation_of(entry)
    folder = out.resolve() if out else simulated_folder(entry, events, seed)
    if out and folder.exists():
        raise UserError(f"{folder} already exists: give a new folder with --out")
    jobs = jobs or cores()
    started = time.perf_counter()
    with progress_bar(console, "simulating", events, "events") as advance:
        made = simulate_files(entry, events, seed, folder, jobs, advance)
    seconds = time.perf_counter() - started
    if made:
        rate = f"{made / seconds:,.0f} per second with {jobs} process{'es' * (jobs > 1)}"
        console.print(f"{made:,} events in {seconds:.1f} s, {rate}")
    for path in sorted(folder.iterdir()):
        console.print(f"{path} ({path.stat().st_size:,} bytes)", highlight=False, soft_wrap=True)
