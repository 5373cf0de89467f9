"""Prepared arrays: read once, memory-mapped, with the views of each model family.

A folder of prepared data has labels.npy, ids.npy, weights.npy for weighted events, and arrays and views as .npy; its
name contains the digests of the files and of the code that read them. It appears by a rename when complete, so that an
interrupted command leaves nothing that looks like data. Its checksums detect later damage, which is then prepared
again.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from hepbench.benchmarks.base import Arrays, Events, Task, UserError
from hepbench.benchmarks.formats.sparse_images import Sparse
from hepbench.benchmarks.registry import Entry
from hepbench.benchmarks.scaling import FILLED
from hepbench.suite import fingerprint
from hepbench.suite.atomic import atomic_folder, discard, locked, remove_leftovers
from hepbench.suite.data.checked import check_ids, checked, finite_arrays
from hepbench.suite.data.checksums import damaged, write_checksums
from hepbench.suite.data.files import (
    Files,
    changed_since,
    check_published,
    digest_of_files,
    events_wanted,
    official,
    simulated_files,
    simulated_folder,
)
from hepbench.suite.data.simulate import Progress, cores, simulate_files
from hepbench.suite.paths import prepared_folder

VIEW_CHUNK = 4096  # events for which a view is computed at a time
VIEW_BYTES = 2**28  # maximum size of these events

Damage = Callable[[Path], None]
"""Called with the path of a damaged file."""


@dataclass(frozen=True)
class Prepared:
    """A dataset as memory-mapped arrays. Opening it reads no event. weights: (N,) float32; None: each counts one."""

    folder: Path
    arrays: Arrays
    labels: np.ndarray
    ids: np.ndarray
    weights: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)


def obtain(
    entry: Entry[Task],
    kind: str,
    budget_events: int | None,
    seed: int,
    progress: Progress = lambda done: None,
    found: Damage = lambda path: None,
) -> Files:
    """The raw files of this `kind` (official or simulated). Simulated ones are generated if they do not exist or one of
    them is damaged, which is reported to `found`. UserError if an official file is not the published one."""
    if kind == "official":
        paths = official(entry)
        if not paths:
            raise UserError(f"the official files of {entry.name} are missing: run make data TASK={entry.name}")
        check_published(entry, paths)
    else:
        events = events_wanted(entry, budget_events)
        folder = simulated_folder(entry, events, seed)
        if folder.is_dir() and changed_since(folder):
            with locked(folder):
                if folder.is_dir() and (path := changed_since(folder)):
                    found(path)
                    discard(folder)
        simulate_files(entry, events, seed, folder, cores(), progress)
        paths = simulated_files(folder)
    return Files(kind, paths, digest_of_files(paths))


def prepare(
    entry: Entry[Task], files: Files, progress: Progress = lambda done: None, found: Damage = lambda path: None
) -> Prepared:
    """Read the files into .npy arrays once and open these. A concurrent second process waits for the first. A variant
    with the same reader as its task shares the task's arrays. found: called with arrays that were damaged since and are
    prepared again."""
    folder = _folder_of(entry, files.digest)
    _made(folder, lambda scratch: _write(scratch, files, entry, progress), found)
    return _opened(folder)


def prepared_here(entry: Entry[Task], digest: str) -> Prepared | None:
    """The prepared arrays of files with this digest, if they exist undamaged; nothing is prepared."""
    folder = _folder_of(entry, digest)
    return _opened(folder) if folder.is_dir() and not damaged(folder) else None


def _folder_of(entry: Entry[Task], digest: str) -> Path:
    variant = "" if entry.record.read is entry.base.read else entry.name.partition(":")[2]
    key = f"{digest[:16]}-{fingerprint.code_of_reader(entry)[:8]}{'-' * bool(variant)}{variant}"
    return prepared_folder(entry.dataset) / key


def _opened(folder: Path) -> Prepared:
    weights = folder / "weights.npy"
    return Prepared(
        folder,
        _open(folder / "arrays"),
        np.load(folder / "labels.npy"),
        np.load(folder / "ids.npy"),
        np.load(weights) if weights.is_file() else None,
    )


def _made(folder: Path, make: Callable[[Path], None], found: Damage = lambda path: None) -> None:
    """Make sure that the folder exists with intact arrays. Of concurrent processes only one makes it."""
    if folder.is_dir() and not damaged(folder):
        return
    with locked(folder):
        remove_leftovers(folder)
        if folder.is_dir():
            if not (name := damaged(folder)):
                return
            found(folder / name)
            discard(folder)
        with atomic_folder(folder) as scratch:
            make(scratch)
            write_checksums(scratch)


def view_of(entry: Entry[Task], prepared: Prepared, name: str, features: str = "") -> Arrays:
    """The inputs of one view, under a feature set, over all events, memory-mapped; computed in chunks and cached at
    first use.

    A view that passes arrays through, unchanged or with pixels rearranged, gives their own memory maps, not copies.
    """
    compute = entry.record.view(name, features)
    few = {key: array[:2] for key, array in prepared.arrays.items()}
    computed = compute(few)
    missing = dict.fromkeys(set(FILLED) & computed.keys(), math.nan) if entry.record.missing else {}
    for key, value in computed.items():
        source = next((one for one in entry.record.missing if one in few and _same_memory(value, few[one])), None)
        if source and key not in FILLED:
            raise UserError(
                f"{entry.name}: view {name}: {key} is {source}, which may have missing values: only "
                f"{' and '.join(FILLED)} may have NaN, so the view must replace them with a number"
            )
    passed = {
        key: _rearranged(prepared.arrays[source], value)
        for key, value in computed.items()
        for source, array in few.items()
        if value is array or _same_memory(value, array)
    }
    if len(passed) == len(computed):
        return passed
    shared = name in entry.base.views and compute is entry.base.view(name, features)
    variant = "" if shared else entry.name.partition(":")[2]
    own = features if compute is not entry.record.views[name] else ""
    folder = prepared.folder / "-".join(part for part in ("view", name, variant, own) if part)
    size = sum(array[:1].nbytes for array in prepared.arrays.values())
    chunk = max(1, min(VIEW_CHUNK, VIEW_BYTES // size))

    def chunks() -> Iterator[Arrays]:
        for start in range(0, len(prepared), chunk):
            few = {key: array[start : start + chunk] for key, array in prepared.arrays.items()}
            number = min(chunk, len(prepared) - start)
            yield finite_arrays(f"{entry.name}: view {name}", compute(few), number, start, missing)

    _made(folder, lambda scratch: _append(scratch, chunks()))
    return _open(folder)


def _same_memory(one: np.ndarray | Sparse, other: np.ndarray | Sparse) -> bool:
    if isinstance(one, Sparse) and isinstance(other, Sparse):
        return one.index is other.index and one.values is other.values and one.event == other.event
    dense = isinstance(one, np.ndarray) and isinstance(other, np.ndarray)
    return dense and one.shape == other.shape and np.shares_memory(one, other)


def _rearranged(whole: np.ndarray | Sparse, few: np.ndarray | Sparse) -> np.ndarray | Sparse:
    """The whole array with its pixels rearranged as in the few."""
    if isinstance(whole, Sparse) and isinstance(few, Sparse) and few.places is not whole.places:
        return replace(whole, places=few.places)
    return whole


def refuse_unlabelled(read: Callable[[Sequence[Path]], Iterator[Events]], paths: Sequence[Path]) -> NoReturn:
    """Raises UserError naming the files without labels."""
    without = []
    for path in paths:
        with contextlib.suppress(UserError):  # of a reader that wants all of them together
            if (first := next(iter(read([path])), None)) and first.labels is None:
                without.append(path)
    names = ", ".join(map(str, without or paths))
    raise UserError(
        f"{names}: no labels: neither the file nor its name gives the class of an event, which training and testing "
        "need. hepbench predict scores unlabelled events"
    )


FIX_FILE = "Fix the file, or remove what is named"
"""Hint for a file that a reader rejects, if nothing else is known about it."""


def _fix_hint(entry: Entry[Task], files: Files) -> str:
    """Hint for the user if a reader rejects one of these files."""
    if files.kind == "simulated":
        return f"Remove {files.paths[0].parent}, and the events are simulated again"
    published = {source.name for source in entry.record.sources if source.url}
    if published & {path.name for path in files.paths}:
        return f"Remove the file and run hepbench data {entry.dataset}, which downloads the published one, or fix it"
    return FIX_FILE


def with_fix_hint(chunks: Iterator[Events], fix: str) -> Iterator[Events]:
    """The chunks of one of this suite's readers; its errors get a hint."""
    try:
        yield from chunks
    except UserError as error:
        raise UserError(f"{str(error).rstrip('.')}. {fix}") from error


def _write(folder: Path, files: Files, entry: Entry[Task], progress: Progress) -> None:
    paths = files.paths
    (folder / "arrays").mkdir()
    labels: list[np.ndarray] = []
    ids: list[np.ndarray] = []
    weights: list[np.ndarray] = []

    def arrays() -> Iterator[Arrays]:
        read = entry.record.read(paths)
        chunks = with_fix_hint(read, _fix_hint(entry, files)) if entry.shipped else read
        for events in checked(entry.name, entry.record, chunks):
            if events.labels is None:
                refuse_unlabelled(entry.record.read, paths)
            labels.append(events.labels)
            ids.append(events.ids)
            if events.weights is not None:
                weights.append(events.weights)
            yield events.arrays
            progress(len(events.labels))

    _append(folder / "arrays", arrays())
    if not sum(map(len, ids)):
        raise UserError(f"{entry.name}: read yields no events from {', '.join(map(str, paths))}")
    check_ids(entry.name, np.concatenate(ids))
    np.save(folder / "labels.npy", np.concatenate(labels))
    np.save(folder / "ids.npy", np.concatenate(ids))
    if weights:
        np.save(folder / "weights.npy", np.concatenate(weights))


def _append(folder: Path, chunks: Iterator[Arrays]) -> None:
    """Stream named arrays to one .npy each, with memory for only one chunk. The header is written last: numpy pads it
    so that the number of events can grow in place. A Sparse becomes three files, its hits and their number."""
    header = np.lib.format.write_array_header_1_0
    files, shapes, dtypes = {}, {}, {}
    with contextlib.ExitStack() as stack:
        for chunk in chunks:
            for name, array in _plain(chunk):
                if name not in files:
                    files[name] = stack.enter_context((folder / f"{name}.npy").open("wb"))
                    shapes[name], dtypes[name] = (0, *array.shape[1:]), array.dtype
                    header(files[name], _described(dtypes[name], shapes[name]))
                # write, since the OSError of ndarray.tofile does not identify a full disk
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
            yield f"{name}.{shape}.index", array.placed(array.index).astype(array.index.dtype)
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


def _described(dtype: np.dtype, shape: tuple[int, ...]) -> dict[str, Any]:
    return {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
