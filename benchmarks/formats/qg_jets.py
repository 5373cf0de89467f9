"""The npz files of quark and gluon jets: reading and writing.

Keys: `X` (n, M, 4) float64 = (pT in GeV, rapidity, phi, PDG code) of a jet's particles, padded with zeros to the widest
jet M of the file; `y` (n,) float64, quark 1, gluon 0, absent where the jets have no labels. The file's number stands
before `.npz`; the first has none.
"""

from __future__ import annotations

import contextlib
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np

from hepbench.benchmarks.base import Arrays, Events, UserError
from hepbench.benchmarks.features import jets
from hepbench.benchmarks.formats.refusal import refuse_first

CLASSES = ("gluon", "quark")
PARTICLES = 150  # that are kept of a jet: the widest of the two million official ones has 148
WIDEST = 1000  # particles of a jet that a file may have
CHUNK = 2048  # jets read at a time: some 9 MB at a width of 139
FILE_EVENTS = 100_000
IDS_OF_FILE = 10**9  # ids of the file of number n begin here n times
CODES = (0, *jets.CODES)


def read(paths: Sequence[Path]) -> Iterator[Events]:
    """Yields chunks with jets (n, 150, 4) float32, each jet's particles in falling order of pT.

    The width is the same for every file, and the least pT goes first where a jet has more particles. float32 holds
    each PDG code exactly (they are below 2^24) and angles to 5e-7, a thousandth of the closest particles' distance.
    The id is the row and the number in the file's name (0 where there is none), so that it is the same whichever
    files are read with it.
    """
    numbers: dict[int, Path] = {}
    for path in paths:
        found = re.search(r"_(\d{1,6})\.npz$", path.name)
        number = int(found[1]) if found else 0
        if number in numbers:
            raise UserError(
                f"{path}: has number {number}, as has {numbers[number].name}; each file needs one of its own"
            )
        numbers[number] = path
        first = number * IDS_OF_FILE
        try:
            with zipfile.ZipFile(path) as archive:
                yield from _read_archive(path, archive, first)
        except FileNotFoundError:
            raise UserError(f"{path}: no such file") from None
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise UserError(f"{path}: not a complete npz file ({error})") from None


def _read_archive(path: Path, archive: zipfile.ZipFile, first: int) -> Iterator[Events]:
    members = archive.namelist()
    if "X.npy" not in members:
        raise UserError(f"{path}: no array 'X'; it has {', '.join(members) or 'nothing'}")
    with contextlib.ExitStack() as stack:
        particles = stack.enter_context(archive.open("X.npy"))
        shape, dtype = _header(path, "X", particles, archive.getinfo("X.npy").file_size)
        if len(shape) != 3 or shape[2] != 4 or not 0 < shape[1] <= WIDEST:
            raise UserError(f"{path}: X has shape {shape}; expected (n, M, 4) with M from 1 to {WIDEST}")
        if dtype.kind != "f":
            raise UserError(f"{path}: X has dtype {dtype}; expected float64")
        classes = None
        if "y.npy" in members:
            classes = stack.enter_context(archive.open("y.npy"))
            label_shape, label_dtype = _header(path, "y", classes, archive.getinfo("y.npy").file_size)
            if label_dtype.kind not in "fiu" or len(label_shape) != 1:
                raise UserError(f"{path}: y has shape {label_shape} and dtype {label_dtype}; expected (n,) numbers")
            if shape[0] != label_shape[0]:
                raise UserError(f"{path}: X has {shape[0]} events and y {label_shape[0]}; they must be equal")
        if not shape[0]:
            raise UserError(f"{path}: no events in it")
        for start in range(0, shape[0], CHUNK):
            number = min(CHUNK, shape[0] - start)
            x = _values(path, particles, dtype, (number, *shape[1:]))
            y = _values(path, classes, label_dtype, (number,)) if classes else None
            yield _checked(path, start, x, y, first)


def _header(path: Path, key: str, member: IO[bytes], size: int) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and dtype of a npy member, of which nothing but the header is read. Python objects are refused."""
    try:
        version = np.lib.format.read_magic(member)
        reader = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if reader is None:
            raise ValueError(f"npy version {version}")
        shape, fortran_order, dtype = reader(member)
    except ValueError as error:
        raise UserError(f"{path}: {key} is not an array in npy format ({error})") from None
    if dtype.hasobject:
        raise UserError(f"{path}: {key} holds Python objects, which are never loaded; expected numbers")
    if fortran_order and len(shape) > 1:
        raise UserError(f"{path}: {key} is in Fortran order; expected C order")
    expected = member.tell() + dtype.itemsize * int(np.prod(shape, dtype=object))
    if size != expected:
        raise UserError(f"{path}: {key} of shape {shape} has {size} bytes; expected {expected}")
    return shape, dtype


def _values(path: Path, member: IO[bytes], dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    size = dtype.itemsize * int(np.prod(shape))
    data = member.read(size)
    if len(data) != size:
        raise UserError(f"{path}: ends before its arrays do")
    return np.frombuffer(data, dtype).reshape(shape)


def _checked(path: Path, start: int, x: np.ndarray, y: np.ndarray | None, first: int) -> Events:
    refuse = partial(refuse_first, path, "event", start)
    refuse(~np.isfinite(x).all(axis=(1, 2)), "NaN or infinity in X")
    if y is not None:
        refuse(~np.isin(y, (0, 1)), "label outside {0, 1} in y")
    pt, code = x[..., 0], x[..., 3]
    refuse((pt < 0).any(axis=1), "negative pT in X")
    refuse(~np.isin(code, CODES).all(axis=1), f"PDG code in X that is none of 0, {', '.join(map(str, jets.CODES))}")
    refuse(((pt > 0) != (code != 0)).any(axis=1), "a particle in X with a pT or a PDG code alone")
    refuse((np.abs(x[..., 1]) > 20).any(axis=1), "rapidity beyond 20 in X")
    refuse(~(pt > 0).any(axis=1), "a jet without particles in X")
    order = np.argsort(-pt, axis=1, kind="stable")[:, :PARTICLES]
    kept = np.zeros((len(x), PARTICLES, 4), np.float32)
    kept[:, : order.shape[1]] = np.take_along_axis(x, order[..., None], axis=1)
    kept[kept[..., 0] == 0] = 0
    labels = None if y is None else y.astype(np.int64)
    return Events({"jets": kept}, labels, first + start + np.arange(len(x), dtype=np.int64))


def write(folder: Path, counts: Sequence[int], chunks: Iterator[tuple[int, Arrays]]) -> list[Path]:
    """Files of 100,000 jets, gluons and quarks in turn, so that the split by rows has as many of both."""
    paths: list[Path] = []
    total = sum(counts)
    waiting: list[list[np.ndarray]] = [[], []]
    rows: list[tuple[int, np.ndarray]] = []

    def finish() -> None:
        path = folder / f"QG_jets_simulated_{len(paths)}.npz"
        _write_file(path, rows)
        paths.append(path)
        rows.clear()

    left = list(counts)
    for label, arrays in chunks:
        # The padding goes: 100,000 jets wait in memory for the widest of them to be known.
        waiting[label] += [jet[jet[:, 0] > 0] for jet in arrays["X"]]
        while any(left) and all(waiting[kind] or not left[kind] for kind in (0, 1)):
            for kind in (0, 1):
                if left[kind]:
                    rows.append((kind, waiting[kind].pop(0)))
                    left[kind] -= 1
                if len(rows) == FILE_EVENTS:
                    finish()
    if rows or not total:
        finish()
    return paths


def _write_file(path: Path, rows: list[tuple[int, np.ndarray]]) -> None:
    """One npz file, written jet by jet, so that its padding is never in memory."""
    width = max(len(jet) for _, jet in rows)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("X.npy", "w", force_zip64=True) as member:
            header = {"descr": "<f8", "fortran_order": False, "shape": (len(rows), width, 4)}
            np.lib.format.write_array_header_1_0(member, header)
            for _, jet in rows:
                padded = np.zeros((width, 4))
                padded[: len(jet)] = jet
                member.write(padded.tobytes())
        with archive.open("y.npy", "w", force_zip64=True) as member:
            np.lib.format.write_array(member, np.array([kind for kind, _ in rows], np.float64))
