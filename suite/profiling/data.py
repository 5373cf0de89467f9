"""Rates at which a task's events are simulated, read and opened, and the memory needed.

Simulation is measured directly. Reading is measured on a file of any length, written by the task's own `write` by
repeating the simulated events: for a rate their content does not matter.
"""

from __future__ import annotations

import math
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import Arrays, Simulation, Task, UserError
from hepbench.benchmarks.registry import Entry
from hepbench.suite.data.dataset import prepare
from hepbench.suite.data.files import Files, simulated_classes
from hepbench.suite.data.simulate import simulate_files
from hepbench.suite.processes import call_in_process

PLAIN_EVENTS = 1_000
"""Events for a plain reader, which is slow."""


@dataclass(frozen=True)
class DataRates:
    """Rates in events per second. read: number of events in the file, of `size` bytes. peak: peak memory of reading in
    MiB. opened: seconds to map the arrays again. plain: rate of the task's plain reader, None if it has none."""

    simulated: float
    read: int
    size: int
    prepared: float
    peak: float
    opened: float
    plain: float | None


def data_rates(task: Entry[Task], simulated: int, read: int, jobs: int, progress: Callable[[int], None]) -> DataRates:
    """Simulate `simulated` events with `jobs` processes, reporting progress, and read a file of `read` events.
    UserError if the task has only genuine data."""
    simulation, kinds = task.record.simulation, len(simulated_classes(task))
    if simulation is None:
        raise UserError(f"{task.name}: only genuine data, nothing is simulated or measured")
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        started = time.perf_counter()
        simulate_files(task, simulated, 0, scratch / "simulated", jobs, progress)
        rate = simulated / (time.perf_counter() - started)

        chunks = {label: simulation.generate(label, 0, 0) for label in range(kinds)}
        paths = _write(simulation, chunks, read, scratch / "long")
        size = sum(path.stat().st_size for path in paths)
        seconds, peak, opened = call_in_process(_prepare, task.given, paths, str(scratch / "home"))
        plain = None
        if task.record.plain_read:
            few = _write(simulation, chunks, PLAIN_EVENTS, scratch / "few")
            plain = call_in_process(_read_plainly, task.given, few)
    return DataRates(rate, read, size, read / seconds, peak, opened, plain)


def _write(simulation: Simulation, chunks: dict[int, Arrays], events: int, folder: Path) -> list[Path]:
    """Files of this number of events, repeating the same chunk of each class."""
    folder.mkdir()
    counts = [events // len(chunks) + (label < events % len(chunks)) for label in chunks]

    def repeated() -> Iterator[tuple[int, Arrays]]:
        for number in range(math.ceil(max(counts) / simulation.chunk)):
            for label, arrays in chunks.items():
                left = min(simulation.chunk, counts[label] - number * simulation.chunk)
                if left > 0:
                    yield label, {name: array[:left] for name, array in arrays.items()}

    return simulation.write(folder, counts, repeated())


def _prepare(task_given: str, paths: list[Path], home: str) -> tuple[float, float, float]:
    """(seconds to prepare, peak in MiB, seconds to open again)."""
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
    """Peak memory of this process. getrusage on Linux would include that of its parent."""
    status = Path("/proc/self/status")
    if status.is_file():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**20 if sys.platform == "darwin" else 2**10)


def _read_plainly(task_given: str, paths: list[Path]) -> float:
    """Events per second of the task's plain reader."""
    read = registry.find("task", task_given).record.plain_read
    assert read is not None
    started = time.perf_counter()
    events = sum(len(chunk.ids) for chunk in read(paths))
    return events / (time.perf_counter() - started)
