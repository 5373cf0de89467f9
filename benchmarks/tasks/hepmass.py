"""A new particle that decays to top quarks: 27 features of a collision and the mass hypothesis.

The official files are the UCI dataset HEPMASS (1601.07913): gzipped text with 29 comma-separated columns, `# label` (1
signal, 0 background), `f0` to `f26`, `mass`. Signal is X -> t tbar -> W b W b of mass 500, 750, 1000, 1250 or 1500 GeV
with one W decaying to a lepton, background Standard-Model t tbar; the mass of a background row is drawn at random from
the same set. Half of the rows are signal. Features are normalised; the constants are not published. The mass is a
separate input, not a column of the table: the mass hypothesis of a parametrised network.

`all_train.csv.gz` alone is split 70/15/15; if `all_test.csv.gz` is present, that file is the test set, and the last
tenth of the training file the validation set. `benchmarks/simulation/hepmass.py` writes a file of the same format, with
its own normalisation constants.

    make bench TASK=hepmass
"""

from __future__ import annotations

import numpy as np

from hepbench.benchmarks.base import Arrays, Reference, Simulation, Source, Task
from hepbench.benchmarks.features.hepmass import cloud, table
from hepbench.benchmarks.formats.hepmass import CLASSES, ID_OF_CLASS, VARIABLES, plain_read, read, write
from hepbench.benchmarks.validation.hepmass import validate

CHUNK = 600  # events simulated from one seed, so that any number of events begins with the same ones


def generate(label: int, number: int, seed: int) -> Arrays:
    from hepbench.benchmarks.simulation import hepmass as simulation

    return simulation.generate(label, CHUNK, number, seed)


def split(labels: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """The test file, if present, as test set, and the last tenth of each class of the training file as validation set;
    else 70/15/15 of each class, in file order."""
    of_file, row = ids // ID_OF_CLASS, ids % ID_OF_CLASS
    testing = of_file >= 2
    shares = [0.9, 1.0] if testing.any() else [0.70, 0.85]
    part = np.full(len(labels), 2, np.int8)
    for label in (0, 1):
        of_class = of_file == label
        edges = np.round(int(of_class.sum()) * np.array(shares))
        part[of_class] = np.searchsorted(edges, row[of_class], side="right")
    return part


TASK = Task(
    title="X -> t tbar or Standard-Model t tbar: 27 features and the mass hypothesis",
    classes=CLASSES,
    read=read,
    plain_read=plain_read,
    views={"table": table, "cloud": cloud},
    variables=VARIABLES,
    context=("mass",),
    sources=(
        Source(
            "all_train.csv.gz",
            "https://archive.ics.uci.edu/ml/machine-learning-databases/00347/all_train.csv.gz",
            sha256="52061273edbe84cbfff6cc5432a04366d3401c39baf80da99d9baf91e0165498",
        ),
        Source(
            "all_test.csv.gz",
            "https://archive.ics.uci.edu/ml/machine-learning-databases/00347/all_test.csv.gz",
            sha256="eccba00f8d82c471c582ab629084103356f8dda637fad6d43f16a056673091b3",
            optional=True,
        ),
    ),
    simulation=Simulation(CHUNK, generate, write),
    split=split,
    slices={"mass": lambda arrays: arrays["mass"][:, 0].astype(np.int64)},
    validate=validate,
    size=10_500_000,
    references=(
        Reference(
            "affine parametrised network",
            {"auc": 0.958},
            "7,000,000 events",
            "Luca96/affine-parametric-networks, names of weight files",
            verified=True,
        ),
        Reference(
            "parametrised network",
            {"auc": 0.957},
            "7,000,000 events",
            "Luca96/affine-parametric-networks, names of weight files",
            verified=True,
        ),
        Reference(
            "network without the mass",
            {"auc": 0.902},
            "7,000,000 events",
            "Luca96/affine-parametric-networks, names of weight files",
            verified=True,
        ),
        Reference(
            "parametrised network",
            {
                "auc_mass_500": 0.775,
                "auc_mass_750": 0.926,
                "auc_mass_1000": 0.974,
                "auc_mass_1250": 0.989,
                "auc_mass_1500": 0.994,
            },
            "7,000,000 events",
            "1601.07913, reported",
            verified=False,
        ),
    ),
    licence="CC-BY-4.0",
    citation="P. Baldi et al., Eur. Phys. J. C 76 (2016) 235, arXiv:1601.07913; UCI Machine Learning Repository 347",
)
