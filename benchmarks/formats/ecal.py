"""The HDF5 pair of electron and photon images: reading and writing.

Keys of each file: `X` (n, 32, 32, 2) float32, axes eta, phi and channel, channel 0 the energy of a hit in units of
50 GeV and channel 1 its time, in ns in simulated files, in unspecified units in the official ones; `y` (n,) float32,
electron 1, photon 0. A file holds one class; the reader uses only `y`. Without `y` the events have no labels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hepbench.benchmarks.base import Arrays, Events, UserError
from hepbench.benchmarks.formats.hdf5 import check_filters
from hepbench.benchmarks.formats.refusal import (
    as_float32,
    binary_labels,
    library_errors,
    refuse_beyond_memory,
    refuse_first,
    shown,
)

CLASSES = ("photon", "electron")
CHUNK = 4096  # events read at a time: 32 MiB
LOCKING = "best-effort"  # for file systems without locks
ID_OF_CLASS = 10**9  # ids of electrons begin here, those of photons at 0


def read(paths: Sequence[Path]) -> Iterator[Events]:
    """Yields chunks with image (n, 32, 32, 2) float32, label and id = row, counted within its class, or, without
    labels, over the unlabelled files. Labels may be (n,) or (n, 1), of any integer, float or bool type."""
    import h5py

    seen = [0, 0, 0]  # photons, electrons, events without a label
    for path in paths:
        with library_errors(path, "not a complete HDF5 file"):
            file = h5py.File(path, "r", locking=LOCKING)
        with file:
            images = _dataset(file, path, "X", "f", ((32, 32, 2),))
            if images is None:
                with library_errors(path, "its groups cannot be read"):
                    names = ", ".join(file)
                raise UserError(f"{path}: no dataset 'X'; it has {shown(names) or 'nothing'}")
            labels = _dataset(file, path, "y", "fiub", ((), (1,)))
            if labels is not None and len(images) != len(labels):
                raise UserError(f"{path}: X has {len(images)} events and y {len(labels)}; they must be equal")
            if not len(images):
                raise UserError(f"{path}: no events in it")
            _check_stored(path, images)
            for start in range(0, len(images), CHUNK):
                where = slice(start, start + CHUNK)
                with library_errors(path, f"events from {start} cannot be read"):
                    image, label = images[where], None if labels is None else labels[where]
                yield _checked(path, start, image, label, seen)


def _dataset(file: Any, path: Path, key: str, kinds: str, shapes: Sequence[tuple[int, ...]]) -> Any:
    """The dataset of this name, None if the file has none; UserError for another kind of dtype or shape of an event,
    and if it cannot be opened."""
    import h5py

    with library_errors(path, f"{key} cannot be opened"):
        link = file.get(key, getlink=True)
        if link is None:
            return None
        if isinstance(link, h5py.ExternalLink | h5py.SoftLink):
            to = f"{link.filename}:{link.path}" if isinstance(link, h5py.ExternalLink) else link.path
            with library_errors(path, f"{key} is a link to {shown(to)}, which leads nowhere"):
                data = file[key]
        else:
            data = file[key]
        is_dataset = isinstance(data, h5py.Dataset)
        shape, dtype = (data.shape, data.dtype) if is_dataset else (None, None)
    if not is_dataset:
        raise UserError(f"{path}: {key} is not a dataset; expected one of numbers")
    if shape is None or len(shape) == 0 or shape[1:] not in shapes:
        expected = " or ".join(f"(n, {', '.join(map(str, one))})".replace(", )", ",)") for one in shapes)
        raise UserError(f"{path}: {key} has shape {shape}; expected {expected}")
    if dtype is None or dtype.kind not in kinds:
        raise UserError(f"{path}: {key} has dtype {shown(dtype)}; expected {'float32' if key == 'X' else 'numbers'}")
    check_filters(path, key, data)
    return data


def _check_stored(path: Path, images: Any) -> None:
    """Rejects images that are declared but not stored, and chunks that do not fit into memory."""
    with library_errors(path, "X cannot be opened"):
        chunk, itemsize = images.chunks, images.dtype.itemsize
        if images.is_virtual:  # of other files
            return
        if chunk is None:
            stored, declared, unit = images.id.get_storage_size(), images.nbytes, "bytes"
        else:
            stored, unit = images.id.get_num_chunks(), "chunks"
            declared = math.prod(-(-length // part) for length, part in zip(images.shape, chunk, strict=True))
    if stored < declared:
        raise UserError(
            f"{path}: X declares {len(images):,} events, {declared:,} {unit}, but the file holds {stored:,}"
        )
    if chunk is not None:
        refuse_beyond_memory(path, "a chunk of X", math.prod(chunk) * itemsize)


def _checked(path: Path, start: int, image: np.ndarray, label: np.ndarray | None, seen: list[int]) -> Events:
    refuse = partial(refuse_first, path, "event", start)
    image = as_float32(image)
    refuse(~np.isfinite(image).all(axis=(1, 2, 3)), "NaN or infinity in X, or a number beyond float32")
    refuse((image[..., 0] < 0).any(axis=(1, 2)), "negative energy in X")
    refuse(~(image[..., 0] > 0).any(axis=(1, 2)), "no energy at all in X")
    if label is None:
        seen[2] += len(image)
        return Events({"image": image}, None, np.arange(seen[2] - len(image), seen[2]))
    labels = binary_labels(refuse, label, "y")
    ids = np.empty(len(labels), dtype=np.int64)
    for kind in (0, 1):
        of_kind = labels == kind
        count = int(of_kind.sum())
        ids[of_kind] = kind * ID_OF_CLASS + seen[kind] + np.arange(count)
        seen[kind] += count
    return Events({"image": image}, labels, ids)


def write(folder: Path, counts: Sequence[int], chunks: Iterator[tuple[int, Arrays]]) -> list[Path]:
    """The pair of files, photons and electrons."""
    import h5py

    paths = [
        folder / f"Single{kind.capitalize()}Pt50_IMGCROPS_n{count}_simulated.hdf5"
        for kind, count in zip(CLASSES, counts, strict=True)
    ]
    storage = {"dtype": "f4", "compression": "lzf"}
    with h5py.File(paths[0], "w", locking=LOCKING) as photons, h5py.File(paths[1], "w", locking=LOCKING) as electrons:
        files, filled = (photons, electrons), [0, 0]
        for label, (file, count) in enumerate(zip(files, counts, strict=True)):
            file.create_dataset("X", (count, 32, 32, 2), chunks=(min(count, 100), 32, 32, 2), **storage)
            file.create_dataset("y", data=np.full(count, label, np.float32), **storage)
        for label, arrays in chunks:
            start, filled[label] = filled[label], filled[label] + len(arrays["image"])
            files[label]["X"][start : filled[label]] = arrays["image"]
    return paths
