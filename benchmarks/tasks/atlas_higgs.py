"""A Higgs boson that decays to taus, or its backgrounds: the ATLAS Higgs machine-learning challenge of 2014.

The official file is CERN open data 328: CSV, 818,238 events of ATLAS' full simulation with 30 variables of a lepton, a
hadronic tau, what is missing and up to three jets; -999 where a variable does not exist, such as of a jet that is not
there; a weight each, by which the expected numbers are 692 of the signal and 411,000 of the background. Its column
KaggleSet splits it: "t", 250,000 events, trains; "b", 100,000 of the public leaderboard, validates; "v", 450,000 of the
private one, tests. A file of the challenge without that column is split 70/15/15 by the number of the event.

The metric of the challenge is `ams`, measured where 15 % of the events are selected (`benchmarks/significance.py`).
Only how the events of a class weigh against each other enters a training; the expected numbers enter the AMS alone.

`benchmarks/simulation/atlas_higgs.py` makes a stand-in of the same columns by kinematics, simpler than the other
simulations here: it is for the layout, the weights and the missing values, not for comparing with what is published.

    make bench TASK=atlas_higgs
    hepbench leaderboard atlas_higgs --by ams
"""

from __future__ import annotations

import numpy as np

from hepbench.benchmarks import significance
from hepbench.benchmarks.base import Arrays, Reference, Simulation, Source, Task
from hepbench.benchmarks.formats.atlas_higgs import CLASSES, ID_OF_SET, MISSING, VARIABLES, read, write

CHUNK = 500  # events simulated from one seed
EXPECTED = (410_999.847, 691.989)
"""Background and signal, by the sums of the official weights."""


def generate(label: int, number: int, seed: int) -> Arrays:
    from hepbench.benchmarks.simulation import atlas_higgs as simulation

    return simulation.generate(label, CHUNK, number, seed)


def split(labels: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """By KaggleSet: t trains, b validates, v tests, u is unused; without it 70/15/15 by EventId."""
    of_set, event = ids // ID_OF_SET, ids % ID_OF_SET
    by_event = np.searchsorted([14, 17], event % 20, side="right")
    part: np.ndarray = np.where(of_set < 4, np.array([0, 1, 2, -1, 0])[of_set], by_event).astype(np.int8)
    return part


TASK = Task(
    title="Higgs boson to taus or background: 30 variables, weights, missing values",
    classes=CLASSES,
    read=read,
    views={"table": lambda arrays: arrays},
    variables=VARIABLES,
    missing={"table": MISSING},
    weights="both",
    metrics={"ams": significance.metric(EXPECTED)},
    sources=(
        Source(
            "atlas-higgs-challenge-2014-v2.csv.gz",
            "https://opendata.cern.ch/record/328/files/atlas-higgs-challenge-2014-v2.csv.gz",
        ),
    ),
    simulation=Simulation(CHUNK, generate, write),
    split=split,
    slices={"jets": lambda arrays: np.minimum(arrays["table"][:, VARIABLES.index("PRI_jet_num")], 2).astype(np.int64)},
    size=818_238,
    references=(
        Reference(
            "70 networks with dropout (G. Melis, first of 1,785 teams)",
            {"ams": 3.806},
            "250,000 events",
            "private leaderboard of the challenge, cut chosen by its author",
            verified=False,
        ),
        Reference(
            "boosted trees (XGBoost)",
            {"auc": 0.913, "ams": 3.60},
            "250,000 events",
            "Higgs-Discovery-Dashboard, README, private set, cut chosen on the public one",
            verified=True,
        ),
        Reference(
            "boosted trees, weighted, bagged",
            {"ams": 3.69},
            "250,000 events",
            "Higgs-Discovery-Dashboard, README, private set, cut chosen on the public one",
            verified=True,
        ),
        Reference(
            "boosted trees (XGBoost)",
            {"ams": 3.4904},
            "250,000 events",
            "bourcierj/higgsml, README, private leaderboard, cut chosen in cross-validation",
            verified=True,
        ),
        Reference(
            "random forest",
            {"ams": 3.5274},
            "250,000 events",
            "bourcierj/higgsml, README, private leaderboard, cut chosen in cross-validation",
            verified=True,
        ),
    ),
    licence="CC0-1.0",
    citation="ATLAS collaboration (2014), CERN Open Data Portal, doi:10.7483/OPENDATA.ATLAS.ZBP2.M5T8",
)
