"""The text file of MAGIC's image parameters: reading.

A row an event: the ten numbers of VARIABLES and the class, `g` (gamma) or `h` (hadron), separated by commas. The file
of the UCI repository has rows alone; that of the KEEL repository begins with lines of `@` that describe the columns.
Where no row has a class the events have no labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from hepbench.benchmarks.base import Events, UserError

VARIABLES = (
    "fLength",  # major axis of the ellipse, mm
    "fWidth",  # minor axis of the ellipse, mm
    "fSize",  # log10 of the sum of all pixel contents, photo-electrons
    "fConc",  # the two highest pixels over fSize
    "fConc1",  # the highest pixel over fSize
    "fAsym",  # distance from the highest pixel to the centre, along the major axis, mm
    "fM3Long",  # third root of the third moment along the major axis, mm
    "fM3Trans",  # third root of the third moment along the minor axis, mm
    "fAlpha",  # angle of the major axis with the line to the origin, degrees
    "fDist",  # distance from the origin to the centre of the ellipse, mm
)
CLASSES = ("h", "g")


def read(paths: Sequence[Path]) -> Iterator[Events]:
    """Comma-separated rows of ten numbers and a class `g` or `h`; lines that begin with @ (KEEL header) are passed.

    Yields a chunk for each file: table (N, 10) float32, label 1 for gamma, id the row. Raises UserError naming file
    and line.
    """
    first = 0
    for path in paths:
        try:
            text = path.read_text(encoding="ascii")
        except UnicodeDecodeError as error:
            raise UserError(f"{path}: not a text file of comma-separated values (byte {error.start})") from None
        lines = [(n, line) for n, line in enumerate(text.splitlines(), 1) if line.strip() and line[0] != "@"]
        if not lines:
            raise UserError(f"{path}: no events in it; expected rows of 10 numbers and a class g or h")
        rows = [[field.strip() for field in line.split(",")] for _, line in lines]
        labelled = any(len(row) != 10 or row[9] in CLASSES for row in rows)
        for (number, _), row in zip(lines, rows, strict=True):
            if labelled and (len(row) != 11 or row[10] not in CLASSES):
                raise UserError(f"{path}, line {number}: expected 10 numbers and a class g or h, got {','.join(row)!r}")
        try:
            table = np.array([row[:10] for row in rows], dtype=np.float32)
        except ValueError as error:
            raise UserError(f"{path}: {error}") from None
        if not np.isfinite(table).all():
            bad = int(np.flatnonzero(~np.isfinite(table).all(axis=1))[0])
            raise UserError(f"{path}, line {lines[bad][0]}: NaN or infinity")
        labels = np.array([CLASSES.index(row[10]) for row in rows], dtype=np.int64) if labelled else None
        yield Events({"table": table}, labels, first + np.arange(len(rows), dtype=np.int64))
        first += len(rows)
