"""Six variables of a cluster in the Belle II pixel detector: anti-deuteron, pion, tetraquark or beam background.

One text file per particle type, `<kind>.txt`, with six numbers per line, separated by blanks, commas or semicolons:
total charge, seed charge, minimum charge (ADC units of about 217 electrons), size, size in u, size in v (pixels). No
such file is public: a group puts its own at `data/pxd_clusters/official/<kind>.txt`, or declares its own names and
columns in `layout.toml` next to them (`benchmarks/formats/pxd_layout.py`). `benchmarks/simulation/pxd.py` writes the
same files; it lists its assumptions and what it leaves out.

The tasks of the literature are pairs, with equal numbers of both; a variant needs only the files of its pair:

    make bench TASK=pxd_clusters
    make bench TASK=pxd_clusters:tetraquark_vs_background
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from hepbench.benchmarks.base import Arrays, Simulation, Source, Task
from hepbench.benchmarks.features.pixel_clusters import CLUSTER_VARIABLES
from hepbench.benchmarks.formats.pxd_clusters import CLASSES, files_of, read, write
from hepbench.benchmarks.validation.pxd import validate_clusters

PAIRS = (  # signal, background
    ("anti-deuteron", "background"),
    ("tetraquark", "background"),
    ("pion", "background"),
    ("anti-deuteron", "tetraquark"),
    ("tetraquark", "pion"),
)
CHUNK = 2000  # clusters simulated from one seed
SHARES = (0.70, 0.90)  # of each class, up to which are training and validation; the rest is test


def generate(label: int, number: int, seed: int) -> Arrays:
    from hepbench.benchmarks.simulation import pxd

    return {"table": pxd.generate(CLASSES[label], CHUNK, np.random.default_rng([seed, label, number]))[1]}


def split(labels: np.ndarray, ids: np.ndarray, equal: bool = False) -> np.ndarray:
    """70/20/10 of each class, drawn with a fixed seed; equal: of as many of each as the rarest has, the rest unused."""
    part = np.full(len(labels), -1, dtype=np.int8)
    kinds, counts = np.unique(labels, return_counts=True)
    for kind, count in zip(kinds, counts, strict=True):
        of_class = np.flatnonzero(labels == kind)
        of_class = of_class[np.argsort(ids[of_class], kind="stable")]
        used = counts.min() if equal else count
        drawn = np.random.default_rng([2026, int(kind)]).permutation(count)[:used]
        part[of_class[drawn]] = np.digitize(np.arange(used) / used, SHARES)
    return part


def _pair(signal: str, background: str) -> Task:
    classes = (background, signal)
    return replace(
        BASE,
        title=f"{signal} or {background}: Belle II pixel detector, 6 variables of a cluster",
        classes=classes,
        read=partial(read, classes=classes),
        custom_layout=partial(files_of, classes=classes),
        sources=tuple(Source(f"{kind}.txt", "") for kind in classes),
        split=partial(split, equal=True),
        validate=partial(validate_clusters, classes=classes),
    )


BASE = Task(
    title="four particle types: Belle II pixel detector, 6 variables of a cluster",
    classes=CLASSES,
    read=read,
    custom_layout=files_of,
    views={"table": lambda arrays: {"table": arrays["table"]}},
    variables=CLUSTER_VARIABLES,
    sources=tuple(Source(f"{kind}.txt", "") for kind in CLASSES),
    simulation=Simulation(CHUNK, generate, write),
    split=split,
    validate=validate_clusters,
    size=200_000,
    licence="none published",
    citation="K. Dort, J. S. Lange, K. Lautenbach, arXiv:1906.04942; K. Dort et al., Eur. Phys. J. C 82 (2022) 587, "
    "arXiv:2202.07935",
)
TASK = replace(BASE, variants={f"{signal}_vs_{background}": _pair(signal, background) for signal, background in PAIRS})
