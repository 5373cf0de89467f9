"""Charginos or W bosons: 8 low-level and 10 derived variables of two leptons and missing momentum, UCI dataset 279.

The official file SUSY.csv.gz has 5,000,000 rows without a header, the class and 18 variables, 46 % of them signal:
charginos that decay to W and neutralinos against W pairs (1402.4735). Its last 500,000 rows are the test set, the
500,000 before them the validation set. `benchmarks/simulation/susy.py` writes a file with the same columns.

The feature sets are those of the published results: `complete`, the default; `low`, the low-level variables; and
`high`, the derived ones. The cloud consists of the three objects, with low-level variables only.

    make bench TASK=susy
    make bench TASK=susy MODEL="gbdt mlp" SET="features=low"
"""

from __future__ import annotations

from functools import partial

import numpy as np

from hepbench.benchmarks.base import Arrays, Check, FeatureSet, Reference, Simulation, Source, Task
from hepbench.benchmarks.features import uci_events
from hepbench.benchmarks.formats.uci_events import CLASSES, read, split, write
from hepbench.benchmarks.sampling import evenly_spaced
from hepbench.benchmarks.validation import collisions

LOW = (
    *(f"lepton{lepton}_{variable}" for lepton in (1, 2) for variable in ("pt", "eta", "phi")),
    *("missing_pt", "missing_phi"),
)
HIGH = ("met_rel", "axial_met", "m_r", "m_tr", "r", "mt2", "s_r", "m_delta_r", "dphi_r_b", "cos_theta_r1")
VARIABLES = (*LOW, *HIGH)
OBJECTS = ("lepton1", "lepton2", "missing")
CLOUD_FEATURES = len(uci_events.COORDINATES) + 2
SIZE = 5_000_000
CHUNK = 100  # events simulated from one seed


def generate(label: int, number: int, seed: int) -> Arrays:
    from hepbench.benchmarks.simulation import susy as simulation

    return {"features": simulation.generate(label, CHUNK, number, seed)}


def validate(arrays: Arrays, labels: np.ndarray) -> list[Check]:
    """Symmetries; and, where the normalisation is the simulation's, that is, where it makes r the ratio that it must
    be, the selection, the official means and the bound of the stransverse mass."""
    from hepbench.benchmarks.simulation import susy as simulation

    rows = evenly_spaced(len(labels), collisions.VALIDATED)
    labels, features = labels[rows], np.asarray(arrays["features"][rows])
    checks = list(collisions.symmetries(features, VARIABLES))
    raw = {name: column for name, column in zip(VARIABLES, simulation.denormalise(features).T, strict=True)}
    if np.abs(raw["r"] - raw["m_tr"] / raw["m_r"]).max() < 1e-2:
        share, tolerance = float((raw["lepton2_pt"] > 0.999 * 20).mean()), 0.5 * len(labels) ** -0.5
        checks.append(Check("fraction with lepton2_pt of 20 GeV", share, 1.0, tolerance, "1402.4735: selection"))
        weight = np.array([0.54, 0.46])[labels] / np.bincount(labels, minlength=2)[labels]  # the official share of each
        for name, expected in (("lepton1_pt", 78.5), ("lepton2_pt", 46.7)):
            mean = float((weight * raw[name]).sum())
            error = float(np.sqrt((weight**2 * (raw[name] - mean) ** 2).sum()))
            source = "20 GeV / the smallest value, ablanco1950/SUSY_WEIGHTED; masses are chosen for it, to 2 %"
            checks.append(Check(f"{name}, mean", mean, expected, float(np.hypot(error, 0.02 * expected)), source))
        # Two W bosons without anything else stay below their mass, up to resolution and width
        few = float((raw["mt2"][labels == 0] > 100).mean())
        error = max(0.01, float(np.sqrt(few / max(1, (labels == 0).sum()))))
        checks.append(Check("background fraction with mt2 above 100 GeV", few, 0.0, error, "hep-ph/9906349: edge at W"))
    return checks


def _published(model: str, features: str, auc: float) -> Reference:
    source = "arXiv:1402.4735, table 2, reported"
    return Reference(f"{model}, {features}", {"auc": auc}, "2,600,000 events", source, verified=False)


TASK = Task(
    title="charginos or W bosons: 18 variables of two leptons and missing transverse momentum",
    classes=CLASSES,
    read=partial(read, variables=VARIABLES),
    views={
        "table": lambda arrays: {"table": arrays["features"]},
        "cloud": partial(uci_events.cloud, variables=VARIABLES, objects=OBJECTS),
    },
    variables=VARIABLES,
    features={
        "complete": FeatureSet(),
        "low": FeatureSet({"table": len(LOW), "features": CLOUD_FEATURES}),
        "high": FeatureSet(views={"table": lambda arrays: {"table": arrays["features"][:, len(LOW) :]}}),
    },
    sources=(Source("SUSY.csv.gz", "https://archive.ics.uci.edu/ml/machine-learning-databases/00279/SUSY.csv.gz"),),
    simulation=Simulation(CHUNK, generate, partial(write, name="SUSY_simulated.csv.gz")),
    split=partial(split, size=SIZE),
    validate=validate,
    size=SIZE,
    references=(
        _published("boosted trees", "low", 0.850),
        _published("boosted trees", "high", 0.835),
        _published("boosted trees", "complete", 0.863),
        _published("shallow network", "low", 0.867),
        _published("shallow network", "high", 0.863),
        _published("shallow network", "complete", 0.875),
        _published("deep network", "low", 0.876),
        _published("deep network", "high", 0.869),
        _published("deep network", "complete", 0.879),
    ),
    licence="CC-BY-4.0",
    citation="P. Baldi, P. Sadowski, D. Whiteson, Nature Commun. 5 (2014) 4308, arXiv:1402.4735; UCI Machine Learning "
    "Repository 279",
)
