"""The HDF5 pair of electron and photon images: reading and writing.

Keys of each file: `X` (n, 32, 32, 2) float32, axes eta, phi and channel, channel 0 the energy of a hit in units of
50 GeV and channel 1 its time in ns in simulated files, unspecified in the official ones; `y` (n,) float32, electron 1,
photon 0. A file holds one class; a reader asks `y` alone. Where there is no `y` the events have no labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hepbench.benchmarks.base import Arrays, Events, UserError
from hepbench.benchmarks.formats.refusal import refuse_first

CLASSES = ("photon", "electron")
CHUNK = 4096  # events read at a time: 32 MiB
ID_OF_CLASS = 10**9  # ids of electrons begin here, those of photons at 0


def read(paths: Sequence[Path]) -> Iterator[Events]:
    """Yields chunks with image (n, 32, 32, 2) float32, label and id = row, counted within its class; in files without
    labels, within these files."""
    import h5py

    seen = [0, 0, 0]  # photons, electrons, events without a label
    for path in paths:
        try:
            file = h5py.File(path, "r")
        except FileNotFoundError:
            raise UserError(f"{path}: no such file") from None
        except OSError as error:
            raise UserError(f"{path}: not a complete HDF5 file ({error})") from None
        with file:
            images = _dataset(file, path, "X", (32, 32, 2))
            labels = _dataset(file, path, "y", ()) if "y" in file else None
            if labels is not None and len(images) != len(labels):
                raise UserError(f"{path}: X has {len(images)} events and y {len(labels)}; they must be equal")
            if not len(images):
                raise UserError(f"{path}: no events in it")
            for start in range(0, len(images), CHUNK):
                where = slice(start, start + CHUNK)
                try:
                    image, label = images[where], None if labels is None else labels[where]
                except OSError as error:
                    raise UserError(f"{path}: events from {start} cannot be read ({error})") from None
                yield _checked(path, start, image, label, seen)


def _dataset(file: Any, path: Path, key: str, shape: tuple[int, ...]) -> Any:
    import h5py

    if key not in file or not isinstance(file[key], h5py.Dataset):
        raise UserError(f"{path}: no dataset {key!r}; it has {', '.join(file) or 'nothing'}")
    data = file[key]
    if data.shape is None or data.shape[1:] != shape or data.ndim != 1 + len(shape):
        raise UserError(f"{path}: {key} has shape {data.shape}; expected (n, {', '.join(map(str, shape))})")
    if data.dtype.kind != "f":
        raise UserError(f"{path}: {key} has dtype {data.dtype}; expected float32")
    return data


def _checked(path: Path, start: int, image: np.ndarray, label: np.ndarray | None, seen: list[int]) -> Events:
    refuse = partial(refuse_first, path, "event", start)
    refuse(~np.isfinite(image).all(axis=(1, 2, 3)), "NaN or infinity in X")
    refuse((image[..., 0] < 0).any(axis=(1, 2)), "negative energy in X")
    image = image.astype(np.float32, copy=False)
    if label is None:
        seen[2] += len(image)
        return Events({"image": image}, None, np.arange(seen[2] - len(image), seen[2]))
    refuse(~np.isin(label, (0, 1)), "label outside {0, 1} in y")
    labels = label.astype(np.int64)
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
    with h5py.File(paths[0], "w") as photons, h5py.File(paths[1], "w") as electrons:
        files, filled = (photons, electrons), [0, 0]
        for label, (file, count) in enumerate(zip(files, counts, strict=True)):
            file.create_dataset("X", (count, 32, 32, 2), chunks=(min(count, 100), 32, 32, 2), **storage)
            file.create_dataset("y", data=np.full(count, label, np.float32), **storage)
        for label, arrays in chunks:
            start, filled[label] = filled[label], filled[label] + len(arrays["image"])
            files[label]["X"][start : filled[label]] = arrays["image"]
    return paths
