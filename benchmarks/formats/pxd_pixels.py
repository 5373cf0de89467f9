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
SIZE = 9  # pixels in u and in v
ID_OF_CLASS = 10**9  # ids of CLASSES[k] begin at k times this, in a variant, too


def read(paths: Sequence[Path], classes: Sequence[str] = CLASSES) -> Iterator[Events]:
    """Yields chunks with image (n, 9, 9) uint8, ADC units; the class is the file's stem, the id its row in the class.

    classes: those that are wanted, in the order of the labels; files of the others are passed over.
    """
    seen = dict.fromkeys(CLASSES, 0)
    for path in paths:
        kind = path.stem
        if kind not in CLASSES:
            raise UserError(f"{path}: the file's name must be its kind of particle, one of {', '.join(CLASSES)}")
        if kind not in classes:
            continue
        for lines, rows in text_table.read(path, SIZE * SIZE):
            _check(path, lines, rows)
            ids = CLASSES.index(kind) * ID_OF_CLASS + seen[kind] + np.arange(len(rows), dtype=np.int64)
            seen[kind] += len(rows)
            image = rows.astype(np.uint8).reshape(-1, SIZE, SIZE)
            yield Events({"image": image}, np.full(len(rows), classes.index(kind), np.int64), ids)


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


def write(folder: Path, counts: Sequence[int], chunks: Iterator[tuple[int, Arrays]]) -> list[Path]:
    """One text file a class."""
    flat = ((label, arrays["image"].reshape(-1, SIZE * SIZE)) for label, arrays in chunks)
    return text_table.write_by_class(folder, CLASSES, flat)
