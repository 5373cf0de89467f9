"""Simulation of a task's files in chunks, by several processes."""

from __future__ import annotations

import concurrent.futures
import math
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import Simulation, Task, UserError
from hepbench.benchmarks.registry import Entry
from hepbench.suite.atomic import full_disk_as_user_error, whole_folder
from hepbench.suite.data.files import simulated_classes, simulated_folder
from hepbench.suite.processes import without_main_file
from hepbench.tracking.hardware import machine

Progress = Callable[[int], None]
"""Is called with the number of events that were finished since."""


def cores() -> int:
    """Processes that share a simulation unless a number is given: one for each core that may be used."""
    return max(1, int(machine.cores_usable()))


def simulation_of(entry: Entry[Task]) -> Simulation:
    """How a task's events are made; UserError where it has genuine data only."""
    if entry.record.simulation is None:
        raise UserError(f"task {entry.name} has genuine data only, nothing simulates it")
    return entry.record.simulation


def simulate_files(entry: Entry[Task], events: int, seed: int, folder: Path, jobs: int, progress: Progress) -> int:
    """Fill `folder` with simulated files in the official format, whole or not at all.

    Chunks are made by `jobs` processes and kept beside the folder until it is whole, so that a simulation that was
    stopped resumes where it was. Their content depends on the seed and their number alone. Returns the events that
    this call made. UserError where nothing simulates the task.
    """
    simulation, kinds = simulation_of(entry), len(simulated_classes(entry))
    counts = [events // kinds + (label < events % kinds) for label in range(kinds)]
    numbers = math.ceil(max(counts) / simulation.chunk)
    wanted = [
        (label, number, min(simulation.chunk, counts[label] - number * simulation.chunk))
        for number in range(numbers)
        for label in range(kinds)
        if number * simulation.chunk < counts[label]
    ]
    version = simulated_folder(entry, 0, 0).name.rpartition("_")[2]
    parts = folder.parent / f".{folder.name}.seed{seed}-{version}.parts"

    def path_of(label: int, number: int) -> Path:
        return parts / f"{label}_{number}.npz"

    def chunks() -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        for label, number, size in wanted:
            with np.load(path_of(label, number)) as saved:
                yield label, {name: saved[name][:size] for name in saved.files}

    with full_disk_as_user_error(folder):
        parts.mkdir(parents=True, exist_ok=True)
        missing = [(label, number) for label, number, _ in wanted if not path_of(label, number).is_file()]
        made = sum(size for label, number, size in wanted if (label, number) not in set(missing))
        if made:
            progress(made)
        sizes = {(label, number): size for label, number, size in wanted}
        work = [(entry.given, label, number, seed, path_of(label, number)) for label, number in missing]
        for label, number in _in_processes(work, min(jobs, len(work))):
            progress(sizes[label, number])
        with whole_folder(folder) as scratch:
            simulation.write(scratch, counts, chunks())
    shutil.rmtree(parts)
    return events - made


def _in_processes(work: list[tuple[Any, ...]], jobs: int) -> Iterator[tuple[int, int]]:
    """(label, number) of each chunk as it is finished."""
    if jobs <= 1:
        for one in work:
            yield _make_chunk(*one)
        return
    context = multiprocessing.get_context("spawn")
    executor = concurrent.futures.ProcessPoolExecutor(jobs, context, initializer=_ignore_interrupt)
    with without_main_file(), executor as pool:
        try:
            for done in concurrent.futures.as_completed([pool.submit(_make_chunk, *one) for one in work]):
                yield done.result()
        except BaseException:  # an interrupt, too: what is begun is finished, what waits is not
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _ignore_interrupt() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is the parent's to answer


def _make_chunk(task_given: str, label: int, number: int, seed: int, path: Path) -> tuple[int, int]:
    arrays = simulation_of(registry.find("task", task_given)).generate(label, number, seed)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    with scratch.open("wb") as file:
        np.savez(file, **arrays)
    os.replace(scratch, path)
    return label, number
