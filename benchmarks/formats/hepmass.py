"""The CSV files of HEPMASS, plain or compressed: reading and writing.

A header, then one line per event of 29 comma-separated numbers: `# label` (1 signal, 0 background), `f0` to `f26`,
which are VARIABLES with their mean subtracted and divided by their standard deviation, and `mass` in GeV. The official
files write every number with 18 decimals, some 740 bytes per line. A file without the column `# label` holds unlabelled
events. Columns are identified by name: `csv_table` reads them in any order.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from hepbench.benchmarks.base import Arrays, Events
from hepbench.benchmarks.formats import csv_table

CLASSES = ("background", "signal")
MASSES = (500, 750, 1000, 1250, 1500)  # GeV
VARIABLES = (
    *("lepton_pt", "lepton_eta", "lepton_phi", "missing_pt", "missing_phi", "jets"),
    *(f"jet{jet}_{variable}" for jet in (1, 2, 3, 4) for variable in ("pt", "eta", "phi", "b_tag")),
    *("m_jj", "m_jjj", "m_lv", "m_jlv", "m_wwbb"),
)
"""Columns f0 to f26, as 1601.07913 describes them: the momenta of the lepton and the four hardest jets, the missing
transverse momentum, and the masses of the combinations for W, t, W, t and X."""

COLUMNS = ("# label", *(f"f{i}" for i in range(27)), "mass")
ID_OF_CLASS = 10**9  # ids of a class in a file begin at a multiple: training file 0 and 1, test file 2 and 3


def read(paths: Sequence[Path]) -> Iterator[Events]:
    """Yields chunks with features (n, 27) float32 and mass (n, 1) float32 from text, compressed or not, row by row.

    The mass is rounded to GeV, since the official file has 499.999969 for 500. An id encodes the file, training or test
    by its name, the class, and the number within these; for unlabelled events only the number. Raises UserError naming
    file and line.
    """
    seen: dict[int, int] = {}
    unlabelled = 0
    for path in paths:
        path = Path(path)
        first = 2 * ("test" in path.name.casefold())
        for rows in csv_table.read(path, COLUMNS[1:], "label"):
            features, mass, labels = rows.values[:, :-1], np.round(rows.values[:, -1:]), rows.labels
            rows.refuse(mass[:, 0] < 1, "mass below 1 GeV")
            rows.refuse(~(features != 0).any(axis=1), "nothing but zeros in f0 to f26")
            if labels is None:
                ids = np.arange(unlabelled, unlabelled + len(mass))
                unlabelled += len(mass)
                yield Events({"features": features, "mass": mass}, None, ids)
                continue
            ids = np.empty(len(labels), np.int64)
            for label in (0, 1):
                of_class = labels == label
                start = seen.get(first + label, 0)
                count = int(of_class.sum())
                ids[of_class] = (first + label) * ID_OF_CLASS + start + np.arange(count)
                seen[first + label] = start + count
            yield Events({"features": features, "mass": mass}, labels, ids)


def plain_read(paths: Sequence[Path]) -> Iterator[Events]:
    """The same with the csv module and a loop over rows, without the checks."""
    seen: dict[int, int] = {}
    for path in paths:
        first = 2 * ("test" in path.name)
        features, mass, labels, ids = [], [], [], []
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
            rows = csv.reader(file)
            next(rows)
            for row in rows:
                label = int(float(row[0]))
                labels.append(label)
                features.append([float(value) for value in row[1:28]])
                mass.append([round(float(row[28]))])
                ids.append((first + label) * ID_OF_CLASS + seen.get(first + label, 0))
                seen[first + label] = seen.get(first + label, 0) + 1
        arrays = {"features": np.array(features, np.float32), "mass": np.array(mass, np.float32)}
        yield Events(arrays, np.array(labels), np.array(ids))


def write(folder: Path, counts: Sequence[int], chunks: Iterable[tuple[int, Arrays]]) -> list[Path]:
    """One file with the header, the columns and the number format of the official training file."""
    path = folder / "all_train_simulated.csv.gz"
    with path.open("wb") as raw, gzip.GzipFile("", "wb", compresslevel=6, fileobj=raw, mtime=0) as file:
        file.write((",".join(COLUMNS) + "\n").encode())
        for label, arrays in chunks:
            labels = np.full((len(arrays["mass"]), 1), label)
            np.savetxt(file, np.hstack([labels, arrays["features"], arrays["mass"]]), fmt="%.18e", delimiter=",")
    return [path]
