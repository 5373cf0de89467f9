"""From a file to arrays: found or simulated, digested, prepared once, memory-mapped, split.

Everything lies under `data/<task>/` of the working folder, or of HEPBENCH_HOME:
    official/           the published files, downloaded or put there by hand
    simulated/n30000_seed0_<version>/
    prepared/<key>/     labels.npy, ids.npy, arrays and views as .npy; the key holds the files' digest and the reader's
Each folder appears by a rename when it is whole, so a run that was stopped leaves nothing that looks like data.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import errno
import hashlib
import json
import math
import multiprocessing
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import benchmarks
from benchmarks import registry
from benchmarks.base import Arrays, Events, Task, UserError, check_known
from benchmarks.registry import Entry
from benchmarks.sparse import Sparse
from tracking import hardware

Progress = Callable[[int], None]
"""Called with a number of events that are finished."""

PARTS = ("train", "validation", "test")
VIEW_STRETCH = 4096  # events for which a view is computed at a time
VIEW_BYTES = 2**28  # of such events at most
KINDS = ("auto", "official", "simulated")


def home() -> Path:
    """The folder that holds data/ and results/."""
    return Path(os.environ.get("HEPBENCH_HOME", ".")).resolve()


@dataclass(frozen=True)
class Files:
    """The raw files of one dataset. kind: "official" or "simulated". digest: sha256 over the files' own digests."""

    kind: str
    paths: list[Path]
    digest: str


@dataclass(frozen=True)
class Prepared:
    """A dataset as memory-mapped arrays. Opening it reads no event."""

    folder: Path
    arrays: Arrays
    labels: np.ndarray
    ids: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


# --- files -----------------------------------------------------------------------------------------------------------


def official(entry: Entry) -> list[Path] | None:
    """The official files of a task where enough are in place: in its folder, or carried by a package."""
    task = entry.record
    folder = home() / "data" / entry.dataset / "official"
    paths = [folder / source.name for source in task.sources]
    needed = len(paths) if task.needed is None else task.needed
    if paths and all(path.is_file() for path in paths[:needed]):
        return [path for path in paths if path.is_file()]
    return task.locate() if task.locate else None


def simulated_folder(entry: Entry, events: int, seed: int) -> Path:
    """Where a simulation's files lie. The name holds the generators' text, so that data of an older one stay behind."""
    generators = registry.imported(entry.path, Path(benchmarks.__file__).parent / "simulation")
    text = b"".join(path.read_bytes() for path in sorted(generators))
    version = hashlib.sha256(text).hexdigest()[:8]
    return home() / "data" / entry.dataset / "simulated" / f"n{events}_seed{seed}_{version}"


def choose(entry: Entry, kind: str) -> str:
    """What `auto` means for this task now, or the given kind if the task can serve it: official or simulated."""
    check_known("data", kind, KINDS)
    task = entry.record
    if kind == "auto":
        kind = "official" if official(entry) or not task.simulation else "simulated"
    if kind == "simulated" and not task.simulation:
        raise UserError(f"task {entry.name} has genuine data only: leave DATA=auto, or give DATA=official")
    if kind == "official" and not official(entry):
        raise UserError(f"the official files of {entry.name} are not here: run make data TASK={entry.name}")
    return kind


def events_wanted(entry: Entry, budget_events: int | None) -> int:
    """How many events a simulation makes under a budget: the official dataset's number at most. A variant with fewer
    classes than its dataset has as many events of each as if they were all."""
    events = min(n for n in (budget_events, entry.record.size) if n is not None)
    return math.ceil(events * len(entry.base.classes) / len(entry.record.classes))


def obtain(
    entry: Entry, kind: str, budget_events: int | None, seed: int, progress: Progress = lambda done: None
) -> Files:
    """The raw files, simulating them if that is what `kind` (official or simulated) asks for and they are not there."""
    if kind == "official":
        paths = official(entry)
    else:
        events = events_wanted(entry, budget_events)
        folder = simulated_folder(entry, events, seed)
        with _locked(folder):
            if not folder.is_dir():
                simulate(entry, events, seed, folder, cores(), progress)
        paths = sorted(folder.iterdir(), reverse=True)
    return Files(kind, paths, digest(paths))


def cores() -> int:
    """Processes that share a simulation unless a number is given: one for each core that may be used."""
    return max(1, int(hardware.cores_usable()))


def simulate(entry: Entry, events: int, seed: int, folder: Path, jobs: int, progress: Progress) -> int:
    """Fill `folder` with simulated files in the official format, whole or not at all.

    Chunks are made by `jobs` processes and kept beside the folder until it is whole, so that a simulation that was
    stopped goes on where it was. Their content depends on the seed and their number alone. Returns the events that
    this call made.
    """
    task = entry.base
    simulation, kinds = task.simulation, len(task.classes)
    counts = [events // kinds + (label < events % kinds) for label in range(kinds)]
    numbers = math.ceil(max(counts) / simulation.chunk)
    wanted = [
        (label, number, min(simulation.chunk, counts[label] - number * simulation.chunk))
        for number in range(numbers)
        for label in range(kinds)
        if number * simulation.chunk < counts[label]
    ]
    parts = folder.parent / f".{folder.name}.seed{seed}-{_text_of(entry)}.parts"

    def path_of(label: int, number: int) -> Path:
        return parts / f"{label}_{number}.npz"

    def chunks() -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        for label, number, size in wanted:
            with np.load(path_of(label, number)) as saved:
                yield label, {name: saved[name][:size] for name in saved.files}

    with _telling_a_full_disk(folder):
        parts.mkdir(parents=True, exist_ok=True)
        missing = [(label, number) for label, number, _ in wanted if not path_of(label, number).is_file()]
        made = sum(size for label, number, size in wanted if (label, number) not in set(missing))
        if made:
            progress(made)
        sizes = {(label, number): size for label, number, size in wanted}
        work = [(entry.given, label, number, seed, path_of(label, number)) for label, number in missing]
        for label, number in _in_processes(work, min(jobs, len(work))):
            progress(sizes[label, number])
        with _whole_folder(folder) as scratch:
            simulation.write(scratch, counts, chunks())
    shutil.rmtree(parts)
    return events - made


def _text_of(entry: Entry) -> str:
    return simulated_folder(entry, 0, 0).name.rpartition("_")[2]


def _in_processes(work: list[tuple], jobs: int) -> Iterator[tuple[int, int]]:
    """(label, number) of each chunk as it is finished."""
    if jobs <= 1:
        for one in work:
            yield _make_chunk(*one)
        return
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(jobs, context, initializer=_ignore_interrupt) as pool:
        try:
            for done in concurrent.futures.as_completed([pool.submit(_make_chunk, *one) for one in work]):
                yield done.result()
        except BaseException:  # an interrupt, too: what is begun is finished, what waits is not
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _ignore_interrupt() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is the parent's to answer


def _make_chunk(task_given: str, label: int, number: int, seed: int, path: Path) -> tuple[int, int]:
    arrays = registry.find("task", task_given).base.simulation.generate(label, number, seed)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    with scratch.open("wb") as file:
        np.savez(file, **arrays)
    os.replace(scratch, path)
    return label, number


def digest(paths: list[Path]) -> str:
    """sha256 over the sha256 of each file, in order."""
    return hashlib.sha256("".join(map(digest_of_file, paths)).encode()).hexdigest()


def digest_of_file(path: Path) -> str:
    """sha256 of a file, kept beside its size and time, so that gigabytes are read once."""
    state = path.stat()
    key = f"{path.resolve()}|{state.st_size}|{state.st_mtime_ns}"
    known_path = home() / "data" / "digests.json"
    known = json.loads(known_path.read_text()) if known_path.is_file() else {}
    if key not in known:
        with path.open("rb") as file:
            known[key] = hashlib.file_digest(file, "sha256").hexdigest()
        write_whole(known_path, json.dumps(known, indent=1))
    return known[key]


def write_whole(path: Path, text: str) -> None:
    """Write a text file by a temporary file and a rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        file.write(text)
    os.replace(file.name, path)


@contextlib.contextmanager
def _whole_folder(folder: Path) -> Iterator[Path]:
    """A scratch folder that becomes `folder` when the block ends well and is removed when it does not."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        with _telling_a_full_disk(folder):
            yield scratch
        scratch.chmod(0o755)
        scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextlib.contextmanager
def _telling_a_full_disk(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError) as error:
        if not _tells_a_full_disk(error):
            raise
        free = shutil.disk_usage(folder.parent).free
        message = f"disk full while writing {folder} ({free / 2**20:.0f} MiB free): free some space and repeat"
        raise UserError(message) from None


def _tells_a_full_disk(error: BaseException | None) -> bool:
    """HDF5 raises a second error as it closes the file, in whose text the system's number stands."""
    while error is not None:
        if getattr(error, "errno", None) == errno.ENOSPC or f"errno = {errno.ENOSPC}," in str(error):
            return True
        error = error.__context__
    return False


# --- prepared arrays -------------------------------------------------------------------------------------------------


def prepare(entry: Entry, files: Files, progress: Progress = lambda done: None) -> Prepared:
    """Read the files into .npy arrays once and open these. A second process that asks meanwhile waits for the first."""
    variant = entry.name.partition(":")[2]
    key = f"{files.digest[:16]}-{entry.code[:8]}{'-' * bool(variant)}{variant}"
    folder = home() / "data" / entry.dataset / "prepared" / key
    with _locked(folder):
        if not folder.is_dir():
            with _whole_folder(folder) as scratch:
                _write(scratch, entry.record.read(files.paths), progress)
    return Prepared(folder, _open(folder / "arrays"), np.load(folder / "labels.npy"), np.load(folder / "ids.npy"))


def view(entry: Entry, prepared: Prepared, name: str) -> Arrays:
    """The inputs of one view over all events, memory-mapped; computed by stretches and kept on first use.

    A view that hands arrays through unchanged gives those arrays' own maps, not copies.
    """
    compute = entry.record.views[name]
    few = {key: array[:2] for key, array in prepared.arrays.items()}
    passed = {
        key: next((n for n, source in few.items() if value is source or _same_memory(value, source)), None)
        for key, value in compute(few).items()
    }
    if all(passed.values()):
        return {key: prepared.arrays[source] for key, source in passed.items()}
    folder = prepared.folder / f"view-{name}"
    with _locked(folder):
        if not folder.is_dir():
            size = sum(array[:1].nbytes for array in prepared.arrays.values())
            stretch = max(1, min(VIEW_STRETCH, VIEW_BYTES // size))
            with _whole_folder(folder) as scratch:
                stretches = (
                    compute({key: array[start : start + stretch] for key, array in prepared.arrays.items()})
                    for start in range(0, len(prepared), stretch)
                )
                _append(scratch, stretches)
    return _open(folder)


def _same_memory(one: np.ndarray | Sparse, other: np.ndarray | Sparse) -> bool:
    dense = isinstance(one, np.ndarray) and isinstance(other, np.ndarray)
    return dense and one.shape == other.shape and np.shares_memory(one, other)


def _write(folder: Path, stretches: Iterator[Events], progress: Callable[[int], None]) -> None:
    (folder / "arrays").mkdir()

    def arrays() -> Iterator[dict[str, np.ndarray]]:
        for events in stretches:
            labels.append(events.labels)
            ids.append(events.ids)
            yield events.arrays
            progress(len(events.labels))

    labels, ids = [], []
    _append(folder / "arrays", arrays())
    np.save(folder / "labels.npy", np.concatenate(labels).astype(np.int64))
    np.save(folder / "ids.npy", np.concatenate(ids))


def _append(folder: Path, stretches: Iterator[Arrays]) -> None:
    """Stream named arrays to one .npy each, with memory for a stretch alone. The header is written last: numpy pads
    it so that the number of events can grow in place. A Sparse becomes three files, its hits and their number."""
    header = np.lib.format.write_array_header_1_0
    files, shapes, dtypes = {}, {}, {}
    with contextlib.ExitStack() as stack:
        for stretch in stretches:
            for name, array in _plain(stretch):
                if name not in files:
                    files[name] = stack.enter_context((folder / f"{name}.npy").open("wb"))
                    shapes[name], dtypes[name] = (0, *array.shape[1:]), array.dtype
                    header(files[name], _described(dtypes[name], shapes[name]))
                # write, since ndarray.tofile raises an OSError that does not tell a full disk
                files[name].write(np.ascontiguousarray(array, dtypes[name]).data)
                shapes[name] = (shapes[name][0] + len(array), *shapes[name][1:])
        for name, file in files.items():
            file.seek(0)
            header(file, _described(dtypes[name], shapes[name]))


def _plain(arrays: Arrays) -> Iterator[tuple[str, np.ndarray]]:
    for name, array in arrays.items():
        if isinstance(array, Sparse):
            shape = "x".join(map(str, array.event))
            yield f"{name}.{shape}.count", np.diff(array.offsets).astype(np.uint32)
            yield f"{name}.{shape}.index", array.index
            yield f"{name}.{shape}.values", array.values
        else:
            yield name, array


def _open(folder: Path) -> dict[str, np.ndarray | Sparse]:
    """Memory-mapped arrays that `_append` wrote."""
    arrays: dict[str, np.ndarray | Sparse] = {}
    for path in sorted(folder.glob("*.npy")):
        name, *rest = path.stem.split(".")
        if not rest:
            arrays[name] = np.load(path, mmap_mode="r")
        elif rest[1] == "count":
            count = np.load(path)
            index, values = (np.load(path.with_name(f"{name}.{rest[0]}.{x}.npy"), "r") for x in ("index", "values"))
            offsets = np.concatenate([[0], np.cumsum(count, dtype=np.int64)])
            arrays[name] = Sparse(offsets, index, values, tuple(map(int, rest[0].split("x"))))
    return arrays


def _described(dtype: np.dtype, shape: tuple[int, ...]) -> dict:
    return {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock file; the operating system frees it when the process ends, however it ends."""
    import fcntl

    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


# --- split -----------------------------------------------------------------------------------------------------------


def split(task: Task, prepared: Prepared, events: int | None) -> tuple[dict[str, np.ndarray], str]:
    """Rows of each part, and the sha256 of the choice. Where the budget allows fewer events than there are, each part
    keeps the same share of its own, drawn once for all by a fixed seed.

    Returns ({"train": (n,) int64, "validation": ..., "test": ...} in ascending order, hash).
    """
    rng = np.random.default_rng(2026)
    if task.split:
        part = np.asarray(task.split(prepared.labels, prepared.ids), dtype=np.int8)
    else:
        part = np.digitize(rng.permutation(len(prepared)) / len(prepared), [0.70, 0.85]).astype(np.int8)
    used = int((part >= 0).sum())
    share = 1.0 if events is None else min(1.0, events / used)
    rows = {}
    for code, name in enumerate(PARTS):
        of_part = np.flatnonzero(part == code)
        if share < 1:
            of_part = np.sort(rng.permutation(of_part)[: round(share * len(of_part))])
        classes = np.unique(prepared.labels[of_part])
        if len(classes) < len(task.classes):
            missing = [kind for label, kind in enumerate(task.classes) if label not in classes]
            raise UserError(f"the {name} part has {len(of_part)} events and no {', '.join(missing)}: give more events")
        rows[name] = of_part
    text = hashlib.sha256()
    for name in PARTS:
        text.update(prepared.ids[rows[name]].tobytes())
    return rows, text.hexdigest()
