"""From a file to arrays: found or simulated, digested, prepared once, memory-mapped, split.

Everything lies under `data/<task>/` of the working folder, or of HEPBENCH_HOME:
    official/           the published files, downloaded or put there by hand
    simulated/n30000_seed0_<version>/
    prepared/<key>/     labels.npy, ids.npy, arrays and views as .npy; the key holds the files' digest and the reader's
Each folder appears by a rename when it is whole, so a run that was stopped leaves nothing that looks like data.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import benchmarks
from benchmarks.base import Events, Task, UserError, check_known
from benchmarks.registry import Entry

PARTS = ("train", "validation", "test")
VIEW_STRETCH = 4096  # events for which a view is computed at a time
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
    arrays: dict[str, np.ndarray]
    labels: np.ndarray
    ids: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


# --- files -----------------------------------------------------------------------------------------------------------


def official(entry: Entry) -> list[Path] | None:
    """The official files of a task where all are in place: in its folder, or carried by a package."""
    task = entry.record
    paths = [home() / "data" / entry.name / "official" / source.name for source in task.sources]
    if paths and all(path.is_file() for path in paths):
        return paths
    return task.locate() if task.locate else None


def simulated_folder(entry: Entry, events: int, seed: int) -> Path:
    """Where a simulation's files lie. The name holds the generators' text, so that data of an older one stay behind."""
    generators = sorted((Path(benchmarks.__file__).parent / "simulation").glob("*.py"))
    text = b"".join(path.read_bytes() for path in [entry.path, *generators])
    version = hashlib.sha256(text).hexdigest()[:8]
    return home() / "data" / entry.name / "simulated" / f"n{events}_seed{seed}_{version}"


def choose(entry: Entry, kind: str) -> str:
    """What `auto` means for this task now, or the given kind if the task can serve it: official or simulated."""
    check_known("data", kind, KINDS)
    task = entry.record
    if kind == "auto":
        kind = "official" if official(entry) or not task.simulate else "simulated"
    if kind == "simulated" and not task.simulate:
        raise UserError(f"task {entry.name} has genuine data only: leave DATA=auto, or give DATA=official")
    if kind == "official" and not official(entry):
        raise UserError(f"the official files of {entry.name} are not here: run make data TASK={entry.name}")
    return kind


def events_wanted(task: Task, budget_events: int | None) -> int:
    """How many events a simulation makes under a budget: the official dataset's number at most."""
    return min(n for n in (budget_events, task.size) if n is not None)


def obtain(entry: Entry, kind: str, budget_events: int | None, seed: int, progress: Callable[[int], None]) -> Files:
    """The raw files, simulating them if that is what `kind` (official or simulated) asks for and they are not there."""
    if kind == "official":
        paths = official(entry)
    else:
        folder = simulated_folder(entry, events_wanted(entry.record, budget_events), seed)
        if not folder.is_dir():
            simulate(entry, events_wanted(entry.record, budget_events), seed, folder, progress)
        paths = sorted(folder.iterdir(), reverse=True)
    return Files(kind, paths, digest(paths))


def simulate(entry: Entry, events: int, seed: int, folder: Path, progress: Callable[[int], None]) -> None:
    """Fill `folder` with simulated files in the official format, whole or not at all."""
    with _whole_folder(folder) as scratch:
        entry.record.simulate(scratch, events, seed, progress)


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
        yield scratch
        scratch.chmod(0o755)
        scratch.rename(folder)
    except (OSError, RuntimeError) as error:
        if _tells_a_full_disk(error):
            free = shutil.disk_usage(folder.parent).free
            message = f"disk full while writing {folder} ({free / 2**20:.0f} MiB free): free some space and repeat"
            raise UserError(message) from None
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _tells_a_full_disk(error: BaseException | None) -> bool:
    """HDF5 raises a second error as it closes the file, in whose text the system's number stands."""
    while error is not None:
        if getattr(error, "errno", None) == errno.ENOSPC or f"errno = {errno.ENOSPC}," in str(error):
            return True
        error = error.__context__
    return False


# --- prepared arrays -------------------------------------------------------------------------------------------------


def prepare(entry: Entry, files: Files, progress: Callable[[int], None] = lambda done: None) -> Prepared:
    """Read the files into .npy arrays once and open these. A second process that asks meanwhile waits for the first."""
    key = f"{files.digest[:16]}-{entry.code[:8]}"
    folder = home() / "data" / entry.name / "prepared" / key
    with _locked(folder):
        if not folder.is_dir():
            with _whole_folder(folder) as scratch:
                _write(scratch, entry.record.read(files.paths), progress)
    arrays = {path.stem: np.load(path, mmap_mode="r") for path in sorted((folder / "arrays").glob("*.npy"))}
    return Prepared(folder, arrays, np.load(folder / "labels.npy"), np.load(folder / "ids.npy"))


def view(entry: Entry, prepared: Prepared, name: str) -> dict[str, np.ndarray]:
    """The inputs of one view over all events, memory-mapped; computed by stretches and kept on first use.

    A view that hands an array through unchanged is that array's own map, not a copy.
    """
    compute = entry.record.views[name]
    few = {key: array[:2] for key, array in prepared.arrays.items()}
    passed = {
        key: next((n for n, source in few.items() if np.shares_memory(value, source)), None)
        for key, value in compute(few).items()
    }
    if all(passed.values()):
        return {key: prepared.arrays[source] for key, source in passed.items()}
    folder = prepared.folder / f"view-{name}-{_views_code()[:8]}"
    with _locked(folder):
        if not folder.is_dir():
            with _whole_folder(folder) as scratch:
                stretches = (
                    compute({key: array[start : start + VIEW_STRETCH] for key, array in prepared.arrays.items()})
                    for start in range(0, len(prepared), VIEW_STRETCH)
                )
                _append(scratch, stretches)
    return {path.stem: np.load(path, mmap_mode="r") for path in sorted(folder.glob("*.npy"))}


def _views_code() -> str:
    from benchmarks import views

    return hashlib.sha256(Path(views.__file__).read_bytes()).hexdigest()


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


def _append(folder: Path, stretches: Iterator[dict[str, np.ndarray]]) -> None:
    """Stream named arrays to one .npy each, with memory for a stretch alone. The header is written last: numpy pads
    it so that the number of events can grow in place."""
    header = np.lib.format.write_array_header_1_0
    files, shapes, dtypes = {}, {}, {}
    with contextlib.ExitStack() as stack:
        for stretch in stretches:
            for name, array in stretch.items():
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
