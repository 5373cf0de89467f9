"""The text file of MAGIC's image parameters: reading.

One row per event: the ten numbers of VARIABLES and the class, `g` (gamma) or `h` (hadron), separated by commas. The
file of the UCI repository has only rows; that of the KEEL repository begins with `@` lines that describe the columns,
as in ARFF. If the rows have no class, the events have no labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from hepbench.benchmarks.base import Events
from hepbench.benchmarks.formats import csv_table

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
    """Reads rows with `csv_table`, with a header or without.

    Yields chunks with table (n, 10) float32, label 1 for gamma, id the row. Raises UserError naming file and line.
    """
    first = 0
    for path in paths:
        for rows in csv_table.read(Path(path), VARIABLES, "class", CLASSES, header=False):
            rows.refuse(~(rows.values != 0).any(axis=1), "nothing but zeros: no shower")
            ids = first + np.arange(len(rows.lines), dtype=np.int64)
            first += len(rows.lines)
            yield Events({"table": rows.values}, rows.labels, ids)
