"""The CSV files of HIGGS and SUSY of the UCI repository, plain or compressed: reading and writing.

One line per event, without a header: the class (1 signal, 0 background), then the variables, with 18 decimals. A file
without the class holds unlabelled events; one with a header may have its columns in any order.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from hepbench.benchmarks.base import Arrays, Events, UserError
from hepbench.benchmarks.formats import csv_table

CLASSES = ("background", "signal")
LABEL = "class"


def read(paths: Sequence[Path], variables: Sequence[str]) -> Iterator[Events]:
    """Yields chunks with features (n, variables) float32. The id is the row, over all files. Raises UserError naming
    file and line."""
    first = 0
    for path in paths:
        for rows in csv_table.read(Path(path), variables, LABEL, header=False, label_first=True):
            rows.refuse(~(rows.values != 0).any(axis=1), "nothing but zeros")
            if rows.labels is None and np.isin(rows.values[:, 0], (0, 1)).all():
                raise UserError(
                    f"{path}: {len(variables)} columns, the first of which is 0 or 1 like the class; expected the "
                    f"class and {len(variables)} variables, or only these variables"
                )
            yield Events({"features": rows.values}, rows.labels, first + np.arange(len(rows.values)))
            first += len(rows.values)


def split(labels: np.ndarray, ids: np.ndarray, size: int) -> np.ndarray:
    """For the whole official file of `size` rows the last 500,000 are the test set and the 500,000 before them the
    validation set; for fewer rows 70/15/15 % in sequence."""
    edges = [size - 1_000_000, size - 500_000] if len(ids) == size else np.round(np.array([0.70, 0.85]) * len(ids))
    part = np.empty(len(ids), np.int8)
    part[np.argsort(ids, kind="stable")] = np.searchsorted(edges, np.arange(len(ids)), "right")
    return part


def write(folder: Path, counts: Sequence[int], chunks: Iterator[tuple[int, Arrays]], name: str) -> list[Path]:
    """One file, with alternating classes, so that a split by rows has equal numbers of both."""
    path = folder / name
    waiting: list[list[np.ndarray]] = [[], []]
    with path.open("wb") as raw, gzip.GzipFile("", "wb", compresslevel=6, fileobj=raw, mtime=0) as file:

        def append(most: int) -> None:
            rows = []
            for kind in (0, 1):
                if not waiting[kind]:
                    continue
                every = np.concatenate(waiting[kind])
                waiting[kind] = [every[most:]]
                place = np.arange(len(every[:most]))[:, None] * 2.0 + kind
                rows.append(np.hstack([place, np.full_like(place, kind), every[:most]]))
            together = np.concatenate(rows)
            np.savetxt(file, together[np.argsort(together[:, 0]), 1:], fmt="%.18e", delimiter=",")

        for label, arrays in chunks:
            waiting[label].append(arrays["features"])
            if all(waiting):
                append(min(sum(map(len, parts)) for parts in waiting))
        append(sum(counts))
    return [path]
