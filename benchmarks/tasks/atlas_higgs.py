"""Higgs boson decays to taus against their backgrounds: the ATLAS Higgs machine-learning challenge of 2014.

The official file is CERN open data 328: CSV, 818,238 events of the full ATLAS simulation with 30 variables of a lepton,
a hadronic tau, the missing transverse momentum and up to three jets; -999 where a variable is undefined, for example
because there is no such jet; and event weights, with expected yields of 692 signal and 411,000 background events. Its
column KaggleSet defines the split: "t", 250,000 events, training; "b", the 100,000 of the public leaderboard,
validation; "v", the 450,000 of the private one, test. A challenge file without that column is split 70/15/15 by event
number.

The metric of the challenge is `ams`, evaluated with 15 % of the events selected (`benchmarks/significance.py`).
Training uses only the relative weights within each class; the expected yields enter only the AMS.

`benchmarks/simulation/atlas_higgs.py` makes a kinematic stand-in with the same columns, simpler than the other
simulations here: it is for the layout, the weights and the missing values, not for comparison with published results.

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
"""Background and signal: sums of the official weights."""


def generate(label: int, number: int, seed: int) -> Arrays:
    from hepbench.benchmarks.simulation import atlas_higgs as simulation

    return simulation.generate(label, CHUNK, number, seed)


def split(labels: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """By KaggleSet: t training, b validation, v test, u unused; without it 70/15/15 by EventId."""
    of_set, event = ids // ID_OF_SET, ids % ID_OF_SET
    by_event = np.searchsorted([14, 17], event % 20, side="right")
    part: np.ndarray = np.where(of_set < 4, np.array([0, 1, 2, -1, 0])[of_set], by_event).astype(np.int8)
    return part


TASK = Task(
    title="Higgs boson to taus or background: 30 variables, event weights, missing values",
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
            "private leaderboard of the challenge, cut chosen by the author",
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
