"""Simulation of a task's files in chunks, by several processes."""

from __future__ import annotations

import concurrent.futures
import concurrent.futures.process
import math
import multiprocessing
import os
import shutil
import signal
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import Simulation, Task, UserError
from hepbench.benchmarks.registry import Entry
from hepbench.suite.atomic import atomic_folder, full_disk_as_user_error, locked, remove_leftovers, write_atomically
from hepbench.suite.data.files import list_of_written, simulated_classes, simulated_folder
from hepbench.suite.processes import end_with_parent, interrupts_held, sigterm_as_interrupt, without_main_file
from hepbench.tracking.hardware import machine

Progress = Callable[[int], None]
"""Is called with the number of events that were finished since."""

Work = tuple[str, int, int, int, Path]
"""A chunk to be made: what finds its task, class index, number, seed, and where it is kept."""

ATTEMPTS = 3  # of processes that are killed, without a chunk between


def cores() -> int:
    """Processes that share a simulation unless a number is given: one for each core that may be used."""
    return max(1, int(machine.cores_usable()))


def simulation_of(entry: Entry[Task]) -> Simulation:
    """How a task's events are made; UserError where it has genuine data only."""
    if entry.record.simulation is None:
        raise UserError(f"task {entry.name} has genuine data only, nothing simulates it")
    return entry.record.simulation


def simulate_files(entry: Entry[Task], events: int, seed: int, folder: Path, jobs: int, progress: Progress) -> int:
    """Fill `folder` with simulated files in the official format, whole or not at all. Of processes that ask at once one
    makes it.

    Chunks are made by `jobs` processes and kept beside the folder until it is whole, so that a simulation that was
    stopped resumes where it was. Their content depends on the seed and their number alone. Returns the events that
    this call made. UserError where nothing simulates the task.
    """
    simulation, kinds = simulation_of(entry), len(simulated_classes(entry))
    version = simulated_folder(entry, 0, 0).name.rpartition("_")[2]
    parts = folder.parent / f".{folder.name}.seed{seed}-{version}.parts"
    if folder.is_dir() and not parts.is_dir():
        return 0
    counts = [events // kinds + (label < events % kinds) for label in range(kinds)]
    numbers = math.ceil(max(counts) / simulation.chunk)
    wanted = [
        (label, number, min(simulation.chunk, counts[label] - number * simulation.chunk))
        for number in range(numbers)
        for label in range(kinds)
        if number * simulation.chunk < counts[label]
    ]

    def work(label: int, number: int) -> Work:
        return entry.given, label, number, seed, parts / f"{label}_{number}.npz"

    def chunks() -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        for label, number, size in wanted:
            yield label, {name: array[:size] for name, array in _saved_chunk(work(label, number)).items()}

    with locked(folder), full_disk_as_user_error(folder), sigterm_as_interrupt():
        if folder.is_dir():
            shutil.rmtree(parts, ignore_errors=True)  # of a process that was killed as it removed them
            return 0
        remove_leftovers(folder)
        parts.mkdir(parents=True, exist_ok=True)
        sizes = {(label, number): size for label, number, size in wanted}
        missing = [one for one in sizes if not _is_whole(work(*one)[-1])]
        made = events - sum(sizes[one] for one in missing)
        if made:
            progress(made)
        for label, number in _in_processes([work(*one) for one in missing], jobs):
            progress(sizes[label, number])
        with atomic_folder(folder) as scratch:
            written = simulation.write(scratch, counts, chunks())
            write_atomically(list_of_written(folder), "".join(f"{path.name}\n" for path in written))
        shutil.rmtree(parts)
    return events - made


def _is_whole(path: Path) -> bool:
    """Whether a chunk is there up to its end, where the list of its arrays stands."""
    return path.is_file() and zipfile.is_zipfile(path)


def _saved_chunk(work: Work) -> dict[str, np.ndarray]:
    """The arrays of a chunk that was made. One that was damaged since is made again: each array has a checksum."""
    path = work[-1]
    try:
        with np.load(path, allow_pickle=False) as saved:
            return dict(saved)
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error):
        _make_chunk(*work)
        with np.load(path, allow_pickle=False) as saved:
            return dict(saved)


def _in_processes(work: list[Work], jobs: int) -> Iterator[tuple[int, int]]:
    """(label, number) of each chunk as it is finished. What a process that was killed leaves undone is done by others.

    Raises UserError where processes are killed again and again and no chunk is finished.
    """
    if min(jobs, len(work)) <= 1:
        for one in work:
            yield _make_chunk(*one)
        return
    left, attempts = {one[1:3]: one for one in work}, ATTEMPTS
    while left:
        try:
            for done in _in_pool(list(left.values()), min(jobs, len(left))):
                del left[done]
                attempts = ATTEMPTS
                yield done
        except concurrent.futures.process.BrokenProcessPool:
            attempts -= 1
            if not attempts:
                raise UserError(
                    f"processes that simulate {work[0][0]} were killed {ATTEMPTS} times before one finished a chunk, "
                    f"as where memory is short: give fewer than {jobs} (--jobs). What is finished is kept"
                ) from None


def _in_pool(work: list[Work], jobs: int) -> Iterator[tuple[int, int]]:
    context = multiprocessing.get_context("spawn")
    executor = concurrent.futures.ProcessPoolExecutor(jobs, context, initializer=_begin)
    with without_main_file(), executor as pool:
        try:
            with interrupts_held():
                begun = [pool.submit(_make_chunk, *one) for one in work]
            for done in concurrent.futures.as_completed(begun):
                yield done.result()
        except BaseException:  # an interrupt, too: what is begun is finished, what waits is not
            pool.shutdown(cancel_futures=True)  # waits, else a second shutdown takes the cancelling back
            raise


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is the parent's to answer
    end_with_parent()


def _make_chunk(task_given: str, label: int, number: int, seed: int, path: Path) -> tuple[int, int]:
    arrays = simulation_of(registry.find("task", task_given)).generate(label, number, seed)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    with scratch.open("wb") as file:
        np.savez(file, **arrays)
    os.replace(scratch, path)
    return label, number
