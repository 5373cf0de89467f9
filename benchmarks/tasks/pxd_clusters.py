"""Six numbers of a cluster in the Belle II pixel detector: anti-deuteron, pion, tetraquark or beam background.

One text file a kind of particle, `<kind>.txt`, six numbers a line, separated by blanks (commas and semicolons are read,
too): total charge, seed charge, minimum charge (ADC units of about 217 electrons), size, size in u, size in v (pixels).
No such file is public: a group puts its own at `data/pxd_clusters/official/<kind>.txt`, and
`benchmarks/simulation/pxd.py` writes the same files; it lists its assumptions and what it does not have.

The tasks of the literature are pairs, with equal numbers of both; a variant needs the files of its pair alone:

    make bench TASK=pxd_clusters
    make bench TASK=pxd_clusters:tetraquark_vs_background
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from hepbench.benchmarks.base import Arrays, Check, Events, Reference, Simulation, Source, Task, UserError
from hepbench.benchmarks.features import pixel_clusters
from hepbench.benchmarks.formats import text_table

CLASSES = ("background", "anti-deuteron", "pion", "tetraquark")
PAIRS = (  # signal, background
    ("anti-deuteron", "background"),
    ("tetraquark", "background"),
    ("pion", "background"),
    ("anti-deuteron", "tetraquark"),
    ("tetraquark", "pion"),
)
CHUNK = 2000
ID_OF_CLASS = 10**9  # ids of CLASSES[k] begin at k times this, in a pair, too
SHARES = (0.70, 0.90)  # of each class, up to which are training and validation; the rest is test
VALIDATED = 20_000  # events at most


def read(paths: Sequence[Path], classes: Sequence[str] = CLASSES) -> Iterator[Events]:
    """Yields stretches with table (n, 6) float32; the class is the file's stem, the id its row within the class.

    classes: those that are wanted, in the order of the labels; files of the others are passed over.
    """
    seen = dict.fromkeys(CLASSES, 0)
    for path in paths:
        kind = path.stem
        if kind not in CLASSES:
            raise UserError(f"{path}: the file's name must be its kind of particle, one of {', '.join(CLASSES)}")
        if kind not in classes:
            continue
        for lines, rows in text_table.read(path, len(pixel_clusters.CLUSTER_VARIABLES)):
            _check(path, lines, rows)
            ids = CLASSES.index(kind) * ID_OF_CLASS + seen[kind] + np.arange(len(rows), dtype=np.int64)
            seen[kind] += len(rows)
            labels = np.full(len(rows), classes.index(kind), np.int64)
            yield Events({"table": rows.astype(np.float32)}, labels, ids)


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


def generate(label: int, number: int, seed: int) -> Arrays:
    from hepbench.benchmarks.simulation import pxd

    return {"table": pxd.generate(CLASSES[label], CHUNK, np.random.default_rng([seed, label, number]))[1]}


def write(folder: Path, counts: Sequence[int], chunks: Iterator[tuple[int, Arrays]]) -> list[Path]:
    """One text file a class."""
    paths = [folder / f"{kind}.txt" for kind in CLASSES]
    for path in paths:
        path.touch()
    for label, arrays in chunks:
        with paths[label].open("a") as file:
            np.savetxt(file, arrays["table"], fmt="%d")
    return paths


def split(labels: np.ndarray, ids: np.ndarray, equal: bool = False) -> np.ndarray:
    """70/20/10 of each class, drawn by a fixed seed; equal: of as many of each as the rarest has, the rest unused."""
    part = np.full(len(labels), -1, dtype=np.int8)
    kinds, counts = np.unique(labels, return_counts=True)
    for kind, count in zip(kinds, counts, strict=True):
        of_class = np.flatnonzero(labels == kind)
        of_class = of_class[np.argsort(ids[of_class], kind="stable")]
        used = counts.min() if equal else count
        drawn = np.random.default_rng([2026, int(kind)]).permutation(count)[:used]
        part[of_class[drawn]] = np.digitize(np.arange(used) / used, SHARES)
    return part


def validate(arrays: Arrays, labels: np.ndarray, classes: Sequence[str] = CLASSES) -> list[Check]:
    """What the digitiser and the literature say of any such data, and the simulation at fixed momenta."""
    from hepbench.benchmarks.validation import pxd as pxd_validation

    rows = np.unique(np.linspace(0, len(labels) - 1, min(len(labels), VALIDATED)).astype(np.int64))
    table, labels = np.asarray(arrays["table"][rows]), labels[rows]
    of = {kind: table[labels == label] for label, kind in enumerate(classes)}
    return pxd_validation.of_clusters(of) + pxd_validation.of_simulation()


def _reference(model: str, auc: float) -> Reference:
    return Reference(model, {"auc": auc}, "the group's own files", "source document of the benchmark", verified=False)


REFERENCES = {
    ("tetraquark", "background"): (_reference("dense network", 0.992),),
    ("pion", "background"): (_reference("dense network, at first", 0.5),),
    ("anti-deuteron", "tetraquark"): (_reference("dense network, not separable", 0.5),),
}


def _pair(signal: str, background: str) -> Task:
    classes = (background, signal)
    return replace(
        BASE,
        title=f"{signal} or {background}: Belle II pixel detector, 6 variables of a cluster",
        classes=classes,
        read=partial(read, classes=classes),
        sources=tuple(Source(f"{kind}.txt", "") for kind in classes),
        split=partial(split, equal=True),
        validate=partial(validate, classes=classes),
        references=REFERENCES.get((signal, background), ()),
    )


BASE = Task(
    title="four kinds of particles: Belle II pixel detector, 6 variables of a cluster",
    classes=CLASSES,
    read=read,
    views={"table": lambda arrays: {"table": arrays["table"]}},
    variables=pixel_clusters.CLUSTER_VARIABLES,
    sources=tuple(Source(f"{kind}.txt", "") for kind in CLASSES),
    simulation=Simulation(CHUNK, generate, write),
    split=split,
    validate=validate,
    size=200_000,
    licence="none published",
    citation="K. Dort, J. S. Lange, K. Lautenbach, arXiv:1906.04942; K. Dort et al., Eur. Phys. J. C 82 (2022) 587, "
    "arXiv:2202.07935",
)
TASK = replace(BASE, variants={f"{signal}_vs_{background}": _pair(signal, background) for signal, background in PAIRS})
