"""Particle that made a cluster: 9x9 pixels of the Belle II pixel detector, five classes.

One text file per particle type, `<kind>.txt`, with 81 integers per line, separated by blanks, commas or semicolons: the
charges, in ADC units of about 217 electrons, of the 9x9 pixels around the seed, the pixel with the highest charge, row
by row; rows along u, the direction across the ladder (pitch 50 um), columns along v, the direction of the beam (55 to
85 um). Zero is a pixel that did not fire. No such file is public: a group puts its own at
`data/pxd_pixels/official/<kind>.txt`, or declares its own names and columns in `layout.toml` next to them
(`benchmarks/formats/pxd_layout.py`). `benchmarks/simulation/pxd.py` writes the same files.

The docstring of the simulation says what it leaves out. With a monopole of a full Dirac charge the class is easy here:
nearly every pixel of its core saturates and its delta electrons reach many pixels, while in the literature's sample a
third of the monopoles were identified at 99 % purity.

In that sample background looks like nothing else, so that the literature also studies the other four classes alone: the
variant `without_background`, which needs no background file. Its events have the same split as with background.

The literature classifies anti-deuterons and tetraquarks by six variables only, and hopes that pixels separate what
those do not: variants take the pairs of `pxd_clusters` as pixels. Simulated ones are the clusters of that task, event
by event, in separate files; official ones are `anti-deuteron.txt` and `tetraquark.txt` next to the others.

    make bench TASK=pxd_pixels
    make bench TASK=pxd_pixels:without_background
    make bench TASK=pxd_pixels:anti-deuteron_vs_tetraquark
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from hepbench.benchmarks.base import Arrays, FeatureSet, Reference, Simulation, Source, Task
from hepbench.benchmarks.features.pixel_clusters import CLUSTER_VARIABLES, SHAPE_VARIABLES, cloud, image, table
from hepbench.benchmarks.formats.pxd_clusters import CLASSES as CLASSES_OF_PAIRS
from hepbench.benchmarks.formats.pxd_pixels import CLASSES, files_of, read, write
from hepbench.benchmarks.tasks import pxd_clusters
from hepbench.benchmarks.validation.pxd import validate_pixels

CHUNK = 2000  # clusters simulated from one seed
SHARES = (0.70, 0.90)  # of each class, up to which are training and validation; the rest is test


def generate(label: int, number: int, seed: int) -> Arrays:
    from hepbench.benchmarks.simulation import pxd

    return {"image": pxd.generate(CLASSES[label], CHUNK, np.random.default_rng([seed, label, number]))[0]}


def generate_of_pair(label: int, number: int, seed: int) -> Arrays:
    """The pixels of the clusters of `pxd_clusters` with this class, number and seed."""
    from hepbench.benchmarks.simulation import pxd

    kind = CLASSES_OF_PAIRS[label]
    return {"image": pxd.generate(kind, pxd_clusters.CHUNK, np.random.default_rng([seed, label, number]))[0]}


def split(labels: np.ndarray, ids: np.ndarray, classes: Sequence[str] = CLASSES) -> np.ndarray:
    """70/20/10 of each class, drawn with a fixed seed per class: the same with and without the others."""
    part = np.full(len(labels), -1, dtype=np.int8)
    for label, kind in enumerate(classes):
        of_class = np.flatnonzero(labels == label)
        of_class = of_class[np.argsort(ids[of_class], kind="stable")]
        rng = np.random.default_rng([2026, CLASSES.index(kind)])
        share = rng.permutation(len(of_class)) / max(1, len(of_class))
        part[of_class] = np.digitize(share, SHARES)
    return part


BASE = Task(
    title="five particle types: Belle II pixel detector, 9x9 pixels",
    classes=CLASSES,
    read=read,
    custom_layout=files_of,
    views={"image": image, "cloud": cloud, "table": table},
    variables=(*CLUSTER_VARIABLES, *SHAPE_VARIABLES),
    features={"all": FeatureSet(), "six": FeatureSet({"table": len(CLUSTER_VARIABLES)})},
    sources=tuple(Source(f"{kind}.txt", "") for kind in CLASSES),
    simulation=Simulation(CHUNK, generate, write),
    split=split,
    validate=validate_pixels,
    size=250_000,
    references=(
        Reference(
            "CNN on 9x9 pixels, slow pions below 230 MeV against background",
            {"signal_efficiency": 0.78, "background_rejection": 0.79},
            "the thesis' sample, two classes",
            "BELLE2-MTHESIS-2021-081",
            verified=True,
        ),
    ),
    licence="none published",
    citation="K. Dort, J. S. Lange, K. Lautenbach, arXiv:1906.04942; K. Dort et al., Eur. Phys. J. C 82 (2022) 587, "
    "arXiv:2202.07935",
)


def _without_background() -> Task:
    classes = tuple(kind for kind in CLASSES if kind != "background")
    return replace(
        BASE,
        title="four particle types without background: Belle II pixel detector, 9x9 pixels",
        classes=classes,
        signal=classes.index("monopole"),
        read=partial(read, classes=classes),
        custom_layout=partial(files_of, classes=classes),
        sources=tuple(Source(f"{kind}.txt", "") for kind in classes),
        split=partial(split, classes=classes),
        validate=partial(validate_pixels, classes=classes),
        size=200_000,  # the task's 250,000 without background
        references=(),
    )


SIMULATED_PAIRS = Simulation(
    pxd_clusters.CHUNK,
    generate_of_pair,
    partial(write, classes=CLASSES_OF_PAIRS),
    classes=CLASSES_OF_PAIRS,
    name="pairs",
)


def _pair(signal: str, background: str) -> Task:
    classes = (background, signal)
    return replace(
        BASE,
        title=f"{signal} or {background}: Belle II pixel detector, 9x9 pixels",
        classes=classes,
        read=partial(read, classes=classes),
        custom_layout=partial(files_of, classes=classes),
        sources=tuple(Source(f"{kind}.txt", "") for kind in classes),
        simulation=SIMULATED_PAIRS,
        split=partial(pxd_clusters.split, equal=True),
        validate=partial(validate_pixels, classes=classes),
        size=pxd_clusters.BASE.size,
        references=(),
    )


TASK = replace(
    BASE,
    variants={
        "without_background": _without_background(),
        **{f"{signal}_vs_{background}": _pair(signal, background) for signal, background in pxd_clusters.PAIRS},
    },
)
