"""`hepbench measure data`: how fast each task's events are simulated, read and opened, and with how much memory.

Simulating is measured as it is. Reading is measured on a file of any length, written by the task's own `write` from
the simulated events again and again: for a rate their content does not matter.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import Arrays, Simulation
from hepbench.benchmarks.registry import Entry
from hepbench.suite.data.dataset import prepare
from hepbench.suite.data.files import Files
from hepbench.suite.data.simulate import cores, simulate_files
from hepbench.suite.progress import progress_bar
from hepbench.tracking.hardware.machine import describe as describe_machine

PLAIN = 1_000  # events that a plain reader is given: it is slow


def measure_data(tasks: Sequence[str], simulated: int, read: int, console: Console) -> None:
    """Print a table: events simulated a second, then of a file of `read` events the seconds to prepare and to open it,
    the rate, the peak memory, and the rate of the task's plain reader where it has one."""
    entries = [registry.find("task", given) for given in tasks or registry.names("task")]
    jobs = cores()
    machine = describe_machine()
    table = Table(
        "task",
        title=f"{machine['cpu']}, {machine['cores_usable']} cores, Python {sys.version.split()[0]}",
        title_justify="left",
    )
    for heading in (
        f"simulated /s\n{jobs} processes",
        "events\nread",
        "file\nMB",
        "prepared\n/s",
        "peak\nMiB",
        "opened\nms",
        "plain reader\n/s",
    ):
        table.add_column(heading, justify="right")
    for entry in entries:
        if not entry.record.simulation:
            console.print(f"{entry.name}: genuine data only, nothing is simulated or measured")
            continue
        with tempfile.TemporaryDirectory() as scratch:
            table.add_row(entry.name, *_measured(entry, Path(scratch), simulated, read, jobs, console))
    console.print(table)
    console.print("Prepared: read from the official format, checked, and written as arrays. Opened: mapped again.")


def _measured(entry: Entry, scratch: Path, simulated: int, read: int, jobs: int, console: Console) -> list[str]:
    started = time.perf_counter()
    with progress_bar(console, f"{entry.name}: simulating", simulated, "events") as advance:
        simulate_files(entry, simulated, 0, scratch / "simulated", jobs, advance)
    rate = simulated / (time.perf_counter() - started)

    simulation, kinds = entry.base.simulation, len(entry.base.classes)
    made = {label: simulation.generate(label, 0, 0) for label in range(kinds)}
    paths = _write(simulation, made, read, scratch / "long")
    size = sum(path.stat().st_size for path in paths)
    seconds, peak, opened = in_own_process(_prepare, entry.given, paths, str(scratch / "home"))
    plain = "–"
    if entry.record.plain_read:
        few = _write(simulation, made, PLAIN, scratch / "few")
        plain = f"{in_own_process(_plain, entry.given, few):,.0f}"
    return [
        f"{rate:,.0f}",
        f"{read:,}",
        f"{size / 1e6:,.0f}",
        f"{read / seconds:,.0f}",
        f"{peak:,.0f}",
        f"{1e3 * opened:.0f}",
        plain,
    ]


def _write(simulation: Simulation, made: dict[int, Arrays], events: int, folder: Path) -> list[Path]:
    """Files of this many events, the same chunks again and again."""
    folder.mkdir()
    counts = [events // len(made) + (label < events % len(made)) for label in made]

    def chunks() -> Iterator[tuple[int, Arrays]]:
        for number in range(math.ceil(max(counts) / simulation.chunk)):
            for label, arrays in made.items():
                left = min(simulation.chunk, counts[label] - number * simulation.chunk)
                if left > 0:
                    yield label, {name: array[:left] for name, array in arrays.items()}

    return simulation.write(folder, counts, chunks())


def in_own_process(function, *arguments):
    """In a process of its own, whose memory is its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def _prepare(task_given: str, paths: list[Path], home: str) -> tuple[float, float, float]:
    os.environ["HEPBENCH_HOME"] = home
    entry = registry.find("task", task_given)
    files = Files("simulated", paths, "0" * 64)
    started = time.perf_counter()
    prepare(entry, files)
    prepared = time.perf_counter()
    prepare(entry, files)
    opened = time.perf_counter()
    return prepared - started, _peak_mib(), opened - prepared


def _peak_mib() -> float:
    """Most memory that this process has held. Linux' getrusage would begin with what its parent held."""
    status = Path("/proc/self/status")
    if status.is_file():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**20 if sys.platform == "darwin" else 2**10)


def _plain(task_given: str, paths: list[Path]) -> float:
    task = registry.find("task", task_given).record
    started = time.perf_counter()
    read = sum(len(events.labels) for events in task.plain_read(paths))
    return read / (time.perf_counter() - started)
