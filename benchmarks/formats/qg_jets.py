"""The npz files of quark and gluon jets: reading and writing.

Keys: `X` (n, M, 4) float64 = (pT in GeV, rapidity, phi, PDG code) of a jet's particles, padded with zeros to M, the
highest multiplicity in the file; `y` (n,) float64, quark 1, gluon 0, absent for unlabelled jets. The file's number
precedes `.npz`; the first has none.
"""

from __future__ import annotations

import contextlib
import math
import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np

from hepbench.benchmarks.base import Arrays, Events, UserError
from hepbench.benchmarks.features import jets
from hepbench.benchmarks.formats.refusal import (
    as_float32,
    binary_labels,
    library_errors,
    refuse_beyond_memory,
    refuse_first,
    shown,
)

CLASSES = ("gluon", "quark")
PARTICLES = 150  # kept per jet: the two million official jets have at most 148
WIDEST = 1000  # maximum number of particles per jet in a file
CHUNK = 2048  # jets read at a time: some 9 MB at a width of 139
FILE_EVENTS = 100_000
IDS_OF_FILE = 10**9  # ids of file number n begin at n times this
CODES = (0, *jets.CODES)
INCOMPLETE = "not a complete npz file, which numpy.savez writes of X and y"


def read(paths: Sequence[Path]) -> Iterator[Events]:
    """Yields chunks with jets (n, 150, 4) float32, each jet's particles in falling order of pT.

    The width is the same for every file; of jets with more particles the softest are dropped. float32 holds each PDG
    code exactly (they are below 2^24) and angles to 5e-7, a thousandth of the closest particles' distance. The id is
    the row and the number in the file's name (0 if there is none), so that it does not depend on the other files.
    """
    numbers: dict[int, Path] = {}
    for path in paths:
        found = re.search(r"_(\d{1,6})\.npz$", path.name)
        number = int(found[1]) if found else 0
        if number in numbers:
            raise UserError(
                f"{path}: has the same number, {number}, as {numbers[number].name}; file numbers must be unique"
            )
        numbers[number] = path
        first = number * IDS_OF_FILE
        with library_errors(path, INCOMPLETE):
            archive = zipfile.ZipFile(path)
        with archive:
            yield from _read_archive(path, archive, first)


def _read_archive(path: Path, archive: zipfile.ZipFile, first: int) -> Iterator[Events]:
    members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
    if len(members) < len(archive.infolist()):
        raise UserError(f"{path}: has an array twice; it has {shown(', '.join(archive.namelist()))}")
    if "X" not in members:
        raise UserError(f"{path}: no array 'X'; it has {shown(', '.join(archive.namelist())) or 'nothing'}")
    with contextlib.ExitStack() as stack:
        x = _opened(path, "X", archive, members["X"], stack)
        if len(x.shape) != 3 or x.shape[2] != 4 or not 0 < x.shape[1] <= WIDEST:
            raise UserError(f"{path}: X has shape {x.shape}; expected (n, M, 4) with M from 1 to {WIDEST}")
        if x.dtype.kind != "f":
            raise UserError(f"{path}: X has dtype {x.dtype}; expected float64")
        y = None
        if "y" in members:
            y = _opened(path, "y", archive, members["y"], stack)
            if y.dtype.kind not in "fiub" or y.shape[1:] not in ((), (1,)) or not y.shape:
                raise UserError(f"{path}: y has shape {y.shape} and dtype {y.dtype}; expected (n,) numbers")
            if x.shape[0] != y.shape[0]:
                raise UserError(f"{path}: X has {x.shape[0]} events and y {y.shape[0]}; they must be equal")
        if x.shape[0] <= 0:
            raise UserError(f"{path}: no events in it")
        label = None if y is None else y.rows(path, x.shape[0])
        for start, particles in _chunks(path, x):
            of_chunk = None if label is None else label[start : start + len(particles)]
            yield _checked(path, start, particles, of_chunk, first)


@dataclass(frozen=True)
class Member:
    """An array in the archive, after its header. fortran: the first axis varies fastest."""

    key: str
    file: IO[bytes]
    shape: tuple[int, ...]
    dtype: np.dtype
    fortran: bool

    def rows(self, path: Path, number: int) -> np.ndarray:
        """The next `number` rows; for a Fortran array all of them, since each is spread over the whole file."""
        shape = (number, *self.shape[1:])
        size = self.dtype.itemsize * math.prod(shape)
        with library_errors(path, INCOMPLETE):
            data = self.file.read(size)
        if len(data) != size:
            raise UserError(f"{path}: ends before its arrays do")
        return np.frombuffer(data, self.dtype).reshape(shape, order="F" if self.fortran else "C")


def _opened(
    path: Path, key: str, archive: zipfile.ZipFile, info: zipfile.ZipInfo, stack: contextlib.ExitStack
) -> Member:
    """An npy member, of which only the header is read. Python objects and wrong sizes are rejected."""
    with library_errors(path, INCOMPLETE):
        file = stack.enter_context(archive.open(info))
    with library_errors(path, f"{key} is not an array in npy format"):
        version = np.lib.format.read_magic(file)
        # Version 3 has its header in UTF-8, which for numeric arrays is the same as in versions 1 and 2.
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = header(file)
        expected = file.tell() + dtype.itemsize * math.prod(shape)
    if dtype.hasobject:
        raise UserError(f"{path}: {key} holds Python objects, which are never loaded; expected numbers")
    if info.file_size != expected:
        raise UserError(f"{path}: {key} of shape {shape} has {info.file_size} bytes; expected {expected}")
    if fortran and len(shape) > 1:
        refuse_beyond_memory(path, f"{key}, which is in Fortran order,", expected)
    return Member(key, file, shape, dtype, fortran and len(shape) > 1)


def _chunks(path: Path, x: Member) -> Iterator[tuple[int, np.ndarray]]:
    """(number of the first, (n, M, 4) jets), CHUNK at a time."""
    whole = x.rows(path, x.shape[0]) if x.fortran else None
    for start in range(0, x.shape[0], CHUNK):
        stop = min(start + CHUNK, x.shape[0])
        yield start, x.rows(path, stop - start) if whole is None else np.ascontiguousarray(whole[start:stop])


def _checked(path: Path, start: int, x: np.ndarray, y: np.ndarray | None, first: int) -> Events:
    refuse = partial(refuse_first, path, "event", start)
    labels = None if y is None else binary_labels(refuse, y, "y")
    pt, code = x[..., 0], x[..., 3]
    order = np.argsort(-pt, axis=1, kind="stable")[:, :PARTICLES]
    kept = np.zeros((len(x), PARTICLES, 4), np.float32)
    kept[:, : order.shape[1]] = as_float32(np.take_along_axis(x, order[..., None], axis=1))
    finite = np.isfinite(x).all(axis=(1, 2)) & np.isfinite(kept).all(axis=(1, 2))
    refuse(~finite, "NaN or infinity in X, or a number beyond float32")
    refuse((pt < 0).any(axis=1), "negative pT in X")
    refuse(~np.isin(code, CODES).all(axis=1), f"PDG code in X that is none of 0, {', '.join(map(str, jets.CODES))}")
    refuse(((pt > 0) != (code != 0)).any(axis=1), "a particle in X with only a pT or only a PDG code")
    refuse((np.abs(x[..., 1]) > 20).any(axis=1), "rapidity beyond 20 in X")
    refuse(~(kept[..., 0] > 0).any(axis=1), "a jet without particles in X")
    kept[kept[..., 0] == 0] = 0
    return Events({"jets": kept}, labels, first + start + np.arange(len(x), dtype=np.int64))


def write(folder: Path, counts: Sequence[int], chunks: Iterator[tuple[int, Arrays]]) -> list[Path]:
    """Files of 100,000 jets, alternating gluons and quarks, so that the split by rows has equal numbers of both."""
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
        # Without padding, as 100,000 jets stay in memory until the highest multiplicity is known.
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
