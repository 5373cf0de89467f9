"""Which particle made this cluster? 9x9 pixels of the Belle II pixel detector, five classes.

One text file a kind of particle, `<kind>.txt`, 81 integers a line, separated by blanks (commas and semicolons are read,
too): the charges, in ADC units of about 217 electrons, of the 9x9 pixels round the seed, the pixel with the highest
charge, row by row; rows along u, the direction across the ladder (pitch 50 um), columns along v, the direction of the
beam (55 to 85 um). Zero is a pixel that did not fire. No such file is public: a group puts its own at
`data/pxd_pixels/official/<kind>.txt`, and `benchmarks/simulation/pxd.py` writes the same files.

What the simulation does not have is in its docstring. With a monopole of a full Dirac charge the class is easy here:
nearly every pixel of its core saturates and its knocked-out electrons reach many pixels, while the literature's sample
gave a third of the monopoles at 99 % purity.

    make bench TASK=pxd_pixels
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from hepbench.benchmarks.base import Arrays, Check, Events, Reference, Simulation, Source, Task, UserError
from hepbench.benchmarks.features import calorimeter, pixel_clusters
from hepbench.benchmarks.formats import text_table

CLASSES = ("background", "monopole", "pion", "proton", "deuteron")
SIZE = 9
PITCH = 0.05  # mm in u; that in v is not in the file
CHUNK = 2000
ID_OF_CLASS = 10**9  # ids of class k begin at k times this
SHARES = (0.70, 0.90)  # of each class, up to which are training and validation; the rest is test
VALIDATED = 20_000  # events at most


def read(paths: Sequence[Path]) -> Iterator[Events]:
    """Yields stretches with image (n, 9, 9) uint8, ADC units; the class is the file's stem, the id its row."""
    seen = [0] * len(CLASSES)
    for path in paths:
        if path.stem not in CLASSES:
            raise UserError(f"{path}: the file's name must be its kind of particle, one of {', '.join(CLASSES)}")
        label = CLASSES.index(path.stem)
        for lines, rows in text_table.read(path, SIZE * SIZE):
            _check(path, lines, rows)
            ids = label * ID_OF_CLASS + seen[label] + np.arange(len(rows), dtype=np.int64)
            seen[label] += len(rows)
            image = rows.astype(np.uint8).reshape(-1, SIZE, SIZE)
            yield Events({"image": image}, np.full(len(rows), label, np.int64), ids)


def _check(path: Path, lines: np.ndarray, rows: np.ndarray) -> None:
    faults = {
        "a charge below 0 or above 255, which is no ADC value": (rows < 0) | (rows > 255),
        "a charge that is not a whole number": rows != np.round(rows),
    }
    for fault, where in faults.items():
        if where.any():
            row = int(np.argmax(where.any(axis=1)))
            raise UserError(f"{path}, line {lines[row]}: {fault} ({rows[row][where[row]][0]:g})")
    empty = ~(rows > 0).any(axis=1)
    if empty.any():
        raise UserError(f"{path}, line {lines[np.argmax(empty)]}: no pixel fired in it")


def generate(label: int, number: int, seed: int) -> Arrays:
    from hepbench.benchmarks.simulation import pxd

    return {"image": pxd.generate(CLASSES[label], CHUNK, np.random.default_rng([seed, label, number]))[0]}


def write(folder: Path, counts: Sequence[int], chunks: Iterator[tuple[int, Arrays]]) -> list[Path]:
    """One text file a class."""
    paths = [folder / f"{kind}.txt" for kind in CLASSES]
    for path in paths:
        path.touch()
    for label, arrays in chunks:
        with paths[label].open("a") as file:
            np.savetxt(file, arrays["image"].reshape(-1, SIZE * SIZE), fmt="%d")
    return paths


def split(labels: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """70/20/10 of each class, drawn by a fixed seed."""
    part = np.full(len(labels), -1, dtype=np.int8)
    for label in range(len(CLASSES)):
        of_class = np.flatnonzero(labels == label)
        of_class = of_class[np.argsort(ids[of_class], kind="stable")]
        share = np.random.default_rng([2026, label]).permutation(len(of_class)) / max(1, len(of_class))
        part[of_class] = np.digitize(share, SHARES)
    return part


def image(arrays: Arrays) -> Arrays:
    """(N, 9, 9, 1) float32, ADC units."""
    return {"image": arrays["image"][:].astype(np.float32)[..., None]}


def cloud(arrays: Arrays) -> Arrays:
    """Fired pixels by falling charge: points as if all pixels were 50 um wide, distances from the window's centre in u
    and v, the logarithm of the charge, that of its share, and the distance."""
    return calorimeter.image_to_cloud(image(arrays)["image"], points=32, pitch=PITCH)


def table(arrays: Arrays) -> Arrays:
    """The six variables of the cluster and its shape; sources in `clusters.shapes`."""
    return {"table": pixel_clusters.shapes(arrays["image"][:])}


def validate(arrays: Arrays, labels: np.ndarray) -> list[Check]:
    """What the digitiser and the literature say of any such data, and the simulation at fixed momenta.

    Means have their statistical error; a figure that is known as "about" has a tenth of itself.
    """
    from hepbench.benchmarks.validation import pxd as pxd_validation

    rows = np.unique(np.linspace(0, len(labels) - 1, min(len(labels), VALIDATED)).astype(np.int64))
    charge, labels = np.asarray(arrays["image"][rows]), labels[rows]
    of = {kind: charge[labels == label] for label, kind in enumerate(CLASSES)}
    six = {kind: pixel_clusters.six(charges) for kind, charges in of.items()}
    checks = pxd_validation.of_clusters(six)
    if len(of["monopole"]):
        checks += pxd_validation.of_saturation(of["monopole"])
    if len(of["pion"]):
        checks += pxd_validation.of_noise(of["pion"])
    return checks + pxd_validation.of_simulation()


TASK = Task(
    title="five kinds of particles: Belle II pixel detector, 9x9 pixels",
    classes=CLASSES,
    read=read,
    views={"image": image, "cloud": cloud, "table": table},
    variables=(*pixel_clusters.CLUSTER_VARIABLES, *pixel_clusters.SHAPE_VARIABLES),
    sources=tuple(Source(f"{kind}.txt", "") for kind in CLASSES),
    simulation=Simulation(CHUNK, generate, write),
    split=split,
    validate=validate,
    size=250_000,
    references=(
        Reference(
            "CNN on 9x9 pixels, slow pions below 230 MeV against background",
            {"signal_efficiency": 0.78, "background_rejection": 0.79},
            "the thesis' sample, two classes",
            "BELLE2-MTHESIS-2021-081",
            verified=True,
        ),
        Reference(
            "dense 81-80-64-64-32-32-5, and a CNN of two convolutions: the same curves",
            {"monopole_efficiency_at_99_percent_purity": 0.33},
            "the group's own files",
            "source document of the benchmark",
            verified=False,
        ),
    ),
    licence="none published",
    citation="K. Dort, J. S. Lange, K. Lautenbach, arXiv:1906.04942; K. Dort et al., Eur. Phys. J. C 82 (2022) 587, "
    "arXiv:2202.07935",
)
