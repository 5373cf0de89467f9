"""Text files of pixel clusters by particle type: reading and writing.

One file per type, `<kind>.txt`, with one line per cluster, six numbers separated by blanks, commas or semicolons: total
charge, seed charge and minimum charge (ADC units of about 217 electrons), size, size in u and size in v (pixels). Files
with other names or additional columns are declared in `layout.toml` (`pxd_layout`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from hepbench.benchmarks.base import Arrays, Events, UserError
from hepbench.benchmarks.features.pixel_clusters import CLUSTER_VARIABLES
from hepbench.benchmarks.formats import pxd_layout, text_table
from hepbench.benchmarks.formats.refusal import as_float32

CLASSES = ("background", "anti-deuteron", "pion", "tetraquark")
OF_STUDY = {
    kind: f'{kind} = {{file = "Beam_{short}_cluster_sim.txt", columns = [0, 1, 2, 3, 4, 5]}}'
    for kind, short in zip(CLASSES, ("BG", "dd", "pi", "T"), strict=True)
}
"""Declarations of the files of the pixel study: the first six columns of each are used."""


def read(paths: Sequence[Path], classes: Sequence[str] = CLASSES) -> Iterator[Events]:
    """Yields chunks with table (n, 6) float32; the class follows from the file's name or its declaration, the id is the
    row in the class. Events of a file not named after a type have no labels.

    classes: those to read, in the order of the labels; files of the others are ignored.
    """
    for rows in pxd_layout.read(paths, classes, CLASSES, len(CLUSTER_VARIABLES), CLUSTER_VARIABLES):
        table = as_float32(rows.values)
        _check(rows.path, rows.lines, rows.values, table)
        labels = np.full(len(rows.lines), classes.index(rows.kind), np.int64) if rows.kind else None
        yield Events({"table": table}, labels, rows.ids)


def files_of(folder: Path, classes: Sequence[str] = CLASSES) -> list[Path] | None:
    """See `pxd_layout.files_of`."""
    return pxd_layout.files_of(folder, classes, CLASSES, len(CLUSTER_VARIABLES), OF_STUDY)


def _check(path: Path, lines: np.ndarray, rows: np.ndarray, table: np.ndarray) -> None:
    total, seed, lowest, *sizes = rows.T
    size, size_u, size_v = sizes
    faults = {
        "a number beyond float32": ~np.isfinite(table).all(axis=1),
        "a minimum charge not above 0": table[:, 2] <= 0,
        "a seed charge below the minimum charge": seed < lowest,
        "a total charge below the seed charge": total < seed,
        "a size that is not a positive integer": (np.array(sizes) < 1).any(axis=0)
        | (np.array(sizes) != np.round(sizes)).any(axis=0),
        "a size above size in u times size in v": size > size_u * size_v,
        "a size below that in u or v": size < np.maximum(size_u, size_v),
    }
    for fault, where in faults.items():
        if where.any():
            row = int(np.argmax(where))
            raise UserError(
                f"{path}, line {lines[row]}: {fault}; the columns must be total, seed and minimum charge, size, "
                f"size in u, size in v, got {' '.join(f'{value:g}' for value in rows[row])}"
            )


def write(folder: Path, counts: Sequence[int], chunks: Iterator[tuple[int, Arrays]]) -> list[Path]:
    """One text file per class."""
    return text_table.write_by_class(folder, CLASSES, ((label, arrays["table"]) for label, arrays in chunks))
