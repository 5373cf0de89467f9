"""Heavy Higgs boson or top quarks: 21 low-level and 7 derived variables of a collision, UCI dataset 280.

The official file HIGGS.csv.gz has 11,000,000 rows without a header, the class and 28 variables, 53 % of them signal: H0
-> W H+ -> W W h0 -> W W b b against t tbar -> W W b b (1402.4735). Its last 500,000 rows are the test set, the 500,000
before them the validation set. `benchmarks/simulation/higgs.py` writes a file with the same columns.

The feature sets are those of the published results: `complete`, the default; `low`, the low-level variables; and
`high`, the seven masses. The cloud consists of the six objects, with low-level variables only.

    make bench TASK=higgs
    make bench TASK=higgs MODEL="gbdt mlp" SET="features=low"
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
    *("lepton_pt", "lepton_eta", "lepton_phi", "missing_pt", "missing_phi"),
    *(f"jet{jet}_{variable}" for jet in (1, 2, 3, 4) for variable in ("pt", "eta", "phi", "b_tag")),
)
HIGH = ("m_jj", "m_jjj", "m_lv", "m_jlv", "m_bb", "m_wbb", "m_wwbb")
VARIABLES = (*LOW, *HIGH)
OBJECTS = ("lepton", "missing", "jet1", "jet2", "jet3", "jet4")
CLOUD_FEATURES = len(uci_events.COORDINATES) + 3
SIZE = 11_000_000
CHUNK = 100  # events simulated from one seed


def generate(label: int, number: int, seed: int) -> Arrays:
    from hepbench.benchmarks.simulation import higgs as simulation

    return {"features": simulation.generate(label, CHUNK, number, seed)}


def validate(arrays: Arrays, labels: np.ndarray) -> list[Check]:
    """Symmetries; and masses where the normalisation is the simulation's, that is, where it makes b-tags 0 and 1."""
    from hepbench.benchmarks.simulation import higgs as simulation

    rows = evenly_spaced(len(labels), collisions.VALIDATED)
    labels, features = labels[rows], np.asarray(arrays["features"][rows])
    checks = list(collisions.symmetries(features, VARIABLES))
    raw = simulation.denormalise(features)
    if np.abs(raw[:, VARIABLES.index("jet1_b_tag")] - 0.5).max() < 0.51:
        of = {name: raw[:, VARIABLES.index(name)] for name in HIGH}
        signal = labels == 1
        checks += collisions.peak("m_jj, background", of["m_jj"][~signal], 80.4, "W, PDG")
        checks += collisions.peak("m_jjj, background", of["m_jjj"][~signal], 172.5, "top, PDG")
        checks += collisions.peak("m_bb, signal", of["m_bb"][signal], 125, "h0 as generated")
        checks += collisions.peak("m_wbb, signal", of["m_wbb"][signal], 325, "H+ as generated")
        checks += collisions.peak("m_wwbb, signal", of["m_wwbb"][signal], 425, "H0 as generated")
    return checks


def _published(model: str, features: str, auc: float) -> Reference:
    source = "arXiv:1402.4735, table 1, reported"
    return Reference(f"{model}, {features}", {"auc": auc}, "2,600,000 events", source, verified=False)


TASK = Task(
    title="heavy Higgs boson or top quarks: 28 variables of a collision",
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
    sources=(
        Source(
            "HIGGS.csv.gz",
            "https://archive.ics.uci.edu/ml/machine-learning-databases/00280/HIGGS.csv.gz",
            sha256="ea302c18164d4e3d916a1e2e83a9a8d07069fa6ebc7771e4c0540d54e593b698",
            size=2_816_407_858,
        ),
    ),
    simulation=Simulation(CHUNK, generate, partial(write, name="HIGGS_simulated.csv.gz")),
    split=partial(split, size=SIZE),
    validate=validate,
    size=SIZE,
    references=(
        _published("boosted trees", "low", 0.73),
        _published("boosted trees", "high", 0.78),
        _published("boosted trees", "complete", 0.81),
        _published("shallow network", "low", 0.733),
        _published("shallow network", "high", 0.777),
        _published("shallow network", "complete", 0.816),
        _published("deep network", "low", 0.880),
        _published("deep network", "high", 0.800),
        _published("deep network", "complete", 0.885),
    ),
    licence="CC-BY-4.0",
    citation="P. Baldi, P. Sadowski, D. Whiteson, Nature Commun. 5 (2014) 4308, arXiv:1402.4735; UCI Machine Learning "
    "Repository 280",
)
