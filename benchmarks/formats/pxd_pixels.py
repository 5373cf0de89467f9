"""Text files of 9x9 pixels by particle type: reading and writing.

One file per type, `<kind>.txt`, with one line per cluster, 81 integers separated by blanks, commas or semicolons: the
charges, in ADC units of about 217 electrons from 0 (did not fire) to 255, or to 65,535 with 16 bits, of the 9x9 pixels
around the seed, row by row; rows along u, the direction across the ladder, columns along v, the direction of the beam.
Files with other names or additional columns are declared in `layout.toml` (`pxd_layout`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from hepbench.benchmarks.base import Arrays, Events, UserError
from hepbench.benchmarks.formats import pxd_layout, text_table

CLASSES = ("background", "monopole", "pion", "proton", "deuteron")
KINDS = (*CLASSES, "anti-deuteron", "tetraquark")
SIZE = 9  # pixels in u and in v
HIGHEST = 2**16 - 1  # charge
OF_STUDY = {
    "background": 'background = {file = "monopol_bg_9x9.txt", first_column = 1, only_where_zero = 0}',
    "monopole": 'monopole = {file = "monopol_bg_9x9.txt", first_column = 1, skip_where_zero = 0}',
    **{kind: f'{kind} = {{file = "{kind}s.txt", first_column = 2}}' for kind in CLASSES[2:]},
}
"""Declarations of the files of the pixel study. Its code uses columns 2 to 82 for pions, protons and deuterons, and the
81 after the first in `monopol_bg_9x9.txt`, from which it removes the rows that begin with 0 before training on the
others as monopoles: here they are read as background."""


def read(paths: Sequence[Path], classes: Sequence[str] = CLASSES) -> Iterator[Events]:
    """Yields chunks with image (n, 9, 9) uint16, ADC units; the class follows from the file's name or its declaration,
    the id is the row in the class. Events of a file not named after a type have no labels.

    classes: those to read, in the order of the labels; files of the other KINDS are ignored.
    """
    for rows in pxd_layout.read(paths, classes, KINDS, SIZE * SIZE):
        _check(rows)
        image = rows.values.astype(np.uint16).reshape(-1, SIZE, SIZE)
        labels = np.full(len(image), classes.index(rows.kind), np.int64) if rows.kind else None
        yield Events({"image": image}, labels, rows.ids)


def files_of(folder: Path, classes: Sequence[str] = CLASSES) -> list[Path] | None:
    """See `pxd_layout.files_of`."""
    return pxd_layout.files_of(folder, classes, KINDS, SIZE * SIZE, OF_STUDY)


def _check(rows: pxd_layout.Rows) -> None:
    values = rows.values
    faults = {
        f"a charge below 0 or above {HIGHEST:,}, which is no ADC value": (values < 0) | (values > HIGHEST),
        "a charge that is not a whole number": values != np.round(values),
    }
    for fault, where in faults.items():
        if where.any():
            raise UserError(f"{rows.place(where)}: {fault} ({values[where][0]:g})")
    empty = ~(values > 0).any(axis=1)
    if empty.any():
        raise UserError(f"{rows.path}, line {rows.lines[np.argmax(empty)]}: no pixel fired in it")


def write(
    folder: Path, counts: Sequence[int], chunks: Iterator[tuple[int, Arrays]], classes: Sequence[str] = CLASSES
) -> list[Path]:
    """One text file per class."""
    flat = ((label, arrays["image"].reshape(-1, SIZE * SIZE)) for label, arrays in chunks)
    return text_table.write_by_class(folder, classes, flat)
