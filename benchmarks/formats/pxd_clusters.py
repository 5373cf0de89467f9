"""Text files of pixel clusters by kind of particle: reading and writing.

One file a kind, `<kind>.txt`; a line a cluster, six numbers separated by blanks, commas or semicolons: total charge,
seed charge and minimum charge (ADC units of about 217 electrons), size, size in u and size in v (pixels).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from hepbench.benchmarks.base import Arrays, Events, UserError
from hepbench.benchmarks.features.pixel_clusters import CLUSTER_VARIABLES
from hepbench.benchmarks.formats import text_table

CLASSES = ("background", "anti-deuteron", "pion", "tetraquark")
ID_OF_CLASS = 10**9  # ids of CLASSES[k] begin at k times this, in a pair, too


def read(paths: Sequence[Path], classes: Sequence[str] = CLASSES) -> Iterator[Events]:
    """Yields chunks with table (n, 6) float32; the class is the file's stem, the id its row within the class.

    classes: those that are wanted, in the order of the labels; files of the others are passed over.
    """
    seen = dict.fromkeys(CLASSES, 0)
    for path in paths:
        kind = path.stem
        if kind not in CLASSES:
            raise UserError(f"{path}: the file's name must be its kind of particle, one of {', '.join(CLASSES)}")
        if kind not in classes:
            continue
        for lines, rows in text_table.read(path, len(CLUSTER_VARIABLES)):
            _check(path, lines, rows)
            ids = CLASSES.index(kind) * ID_OF_CLASS + seen[kind] + np.arange(len(rows), dtype=np.int64)
            seen[kind] += len(rows)
            labels = np.full(len(rows), classes.index(kind), np.int64)
            yield Events({"table": rows.astype(np.float32)}, labels, ids)
    if not any(seen.values()):
        raise UserError(f"{', '.join(map(str, paths))}: not one of the kinds that are asked for, {', '.join(classes)}")


def _check(path: Path, lines: np.ndarray, rows: np.ndarray) -> None:
    total, seed, lowest, *sizes = rows.T
    size, size_u, size_v = sizes
    faults = {
        "a minimum charge that is not above 0": lowest <= 0,
        "a seed charge below the minimum charge": seed < lowest,
        "a total charge below the seed charge": total < seed,
        "a size that is not a whole number from 1": (np.array(sizes) < 1).any(axis=0)
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
    """One text file a class."""
    return text_table.write_by_class(folder, CLASSES, ((label, arrays["table"]) for label, arrays in chunks))
