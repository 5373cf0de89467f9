"""Simulated files on request, and the comparison of a task's data with its calibration figures."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import budgets, registry
from benchmarks.base import UserError
from suite import bench, data

AGREE = 3.0  # standard deviations


def simulate(task_given: str, events: int, seed: int, jobs: int | None, out: Path | None, console: Console) -> None:
    """Write simulated files in the official format, into a new folder or where bench looks for them."""
    entry = registry.find("task", task_given)
    if not entry.record.simulation:
        raise UserError(f"task {entry.name} has genuine data only, nothing simulates it")
    folder = out.resolve() if out else data.simulated_folder(entry, events, seed)
    if out and folder.exists():
        raise UserError(f"{folder} is there already: give a folder that is not")
    if not folder.exists():
        made = 0

        def count(done: int) -> None:
            nonlocal made
            made += done
            advance(done)

        started = time.perf_counter()
        jobs = jobs or data.cores()
        with bench.progress_bar(console, "simulating", events, "events") as advance:
            data.simulate(entry, events, seed, folder, jobs, count)
        seconds = time.perf_counter() - started
        console.print(f"{events:,} events in {seconds:.1f} s with {jobs} process{'es' * (jobs > 1)}")
    for path in sorted(folder.iterdir()):
        console.print(f"{path} ({path.stat().st_size:,} bytes)", highlight=False, soft_wrap=True)


def validate(task_given: str, wanted: str, budget: str, console: Console) -> None:
    """Print each calibration figure of a task beside that of its data, with the difference in standard deviations."""
    entry = registry.find("task", task_given)
    if not entry.record.validate:
        raise UserError(f"task {entry.name} has no calibration figures to compare with")
    kind = data.choose(entry, wanted)
    files, prepared = bench.open_data(entry, kind, budgets.find(budget).events, console)
    checks = entry.record.validate(prepared.arrays, prepared.labels)
    table = Table("figure", title=f"{entry.name}, {files.kind} data")
    for heading in ("here", "expected", "± error", "difference", ""):
        table.add_column(heading, justify="right")
    for check in checks:
        agrees = abs(check.pull) < AGREE
        verdict = "agrees" if agrees else "[bold red]differs[/]"
        numbers = (f"{x:.4g}" for x in (check.observed, check.expected, check.error))
        table.add_row(check.figure, *numbers, f"{check.pull:+.1f} σ", verdict)
    console.print(table)
    differing = sum(abs(check.pull) >= AGREE for check in checks)
    console.print(f"{len(checks) - differing} of {len(checks)} figures agree within {AGREE:g} σ")
    for source in dict.fromkeys(check.source for check in checks):
        console.print(f"expected: {source}; the error has both sides' statistics")
