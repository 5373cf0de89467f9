"""Text files of 9x9 pixels by kind of particle: reading and writing.

One file a kind, `<kind>.txt`; a line a cluster, 81 integers separated by blanks, commas or semicolons: the charges, in
ADC units of about 217 electrons from 0 (did not fire) to 255, of the 9x9 pixels round the seed, row by row; rows along
u, the direction across the ladder, columns along v, the direction of the beam.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from hepbench.benchmarks.base import Arrays, Events, UserError
from hepbench.benchmarks.formats import text_table

CLASSES = ("background", "monopole", "pion", "proton", "deuteron")
KINDS = (*CLASSES, "anti-deuteron", "tetraquark")
SIZE = 9  # pixels in u and in v
ID_OF_CLASS = 10**9  # ids of KINDS[k] begin at k times this


def read(paths: Sequence[Path], classes: Sequence[str] = CLASSES) -> Iterator[Events]:
    """Yields chunks with image (n, 9, 9) uint8, ADC units; the class is the file's stem, the id its row in the class.

    classes: those that are wanted, in the order of the labels; files of the other KINDS are passed over.
    """
    seen = dict.fromkeys(KINDS, 0)
    for path in paths:
        kind = path.stem
        if kind not in KINDS:
            raise UserError(f"{path}: the file's name must be its kind of particle, one of {', '.join(KINDS)}")
        if kind not in classes:
            continue
        for lines, rows in text_table.read(path, SIZE * SIZE):
            _check(path, lines, rows)
            ids = KINDS.index(kind) * ID_OF_CLASS + seen[kind] + np.arange(len(rows), dtype=np.int64)
            seen[kind] += len(rows)
            image = rows.astype(np.uint8).reshape(-1, SIZE, SIZE)
            yield Events({"image": image}, np.full(len(rows), classes.index(kind), np.int64), ids)
    if not any(seen.values()):
        raise UserError(f"{', '.join(map(str, paths))}: not one of the kinds that are asked for, {', '.join(classes)}")


def _check(path: Path, lines: np.ndarray, rows: np.ndarray) -> None:
    faults = {
        "a charge below 0 or above 255, which is no ADC value": (rows < 0) | (rows > 255),
        "a charge that is not a whole number": rows != np.round(rows),
    }
    for fault, where in faults.items():
        if where.any():
            row = int(np.argmax(where.any(axis=1)))
            raise UserError(f"{path}, line {lines[row]}: {fault} ({rows[row][where[row]][0]:g})")
    empty = ~(rows > 0).any(axis=1)
    if empty.any():
        raise UserError(f"{path}, line {lines[np.argmax(empty)]}: no pixel fired in it")


def write(
    folder: Path, counts: Sequence[int], chunks: Iterator[tuple[int, Arrays]], classes: Sequence[str] = CLASSES
) -> list[Path]:
    """One text file a class."""
    flat = ((label, arrays["image"].reshape(-1, SIZE * SIZE)) for label, arrays in chunks)
    return text_table.write_by_class(folder, classes, flat)
