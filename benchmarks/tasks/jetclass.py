"""Origin of a jet, ten classes: QCD, five Higgs boson decays, Z, W and two top-quark decays; JetClass.

The official files (Zenodo 6619768) are tar archives of ROOT files, jets of 500 to 1000 GeV and radius 0.8: 100 million
for training in ten archives, 5 million for validation, 20 million for testing. Any subset of the archives makes a
dataset; they are read in place. `benchmarks/simulation/boosted_jets.py` writes ROOT files with the same branches.

The feature sets are those of 2202.03772: `full`, the default; `kinpid`, without track displacement; `kin`, also without
particle identification (PID). The view `momenta` has four-momenta, whose masses reveal the PID: only `full` and
`kinpid` have it. A prepared jet takes 4.9 KB: 24 GB for the validation archive, 610 GB for all.

    make data TASK=jetclass FILES=1      # the validation archive
    make bench TASK=jetclass
    make bench TASK=jetclass MODEL="particlenet_lite part_lite" SET="features=kin"
"""

from __future__ import annotations

import numpy as np

from hepbench.benchmarks.base import Arrays, Check, FeatureSet, Reference, Simulation, Source, Task
from hepbench.benchmarks.features import boosted_jets, four_momenta, jets
from hepbench.benchmarks.features import jetclass as features
from hepbench.benchmarks.formats.jetclass import CLASSES, IDS_OF_PART, read, write
from hepbench.benchmarks.sampling import evenly_spaced
from hepbench.benchmarks.validation import boosted_jets as validation

CHUNK = 40
MASSES = {
    "top quark": (CLASSES.index("Tbqq"), 172.5),
    "Z": (CLASSES.index("Zqq"), 91.2),
    "W": (CLASSES.index("Wqq"), 80.4),
    "Higgs boson to four quarks": (CLASSES.index("H4q"), 125.0),
    "Higgs boson to gluons": (CLASSES.index("Hgg"), 125.0),
}
"""Class and mass in GeV, for decays without a neutrino."""


def generate(label: int, number: int, seed: int) -> Arrays:
    from hepbench.benchmarks.simulation import boosted_jets as simulation

    process = simulation.jetclass_process(CLASSES[label], number)
    found = simulation.generate(process, simulation.JETCLASS, CHUNK, (seed, label, number))
    return {
        "momenta": found.momenta.astype(np.float32),
        "kinds": found.kinds.astype(np.int16),
        "displacement": found.displacement.astype(np.float32),
        "soft_drop_mass": simulation.soft_drop_mass(found.momenta).astype(np.float32),
    }


def split(labels: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """That of the archives where there is one of each, else 70/15/15 % of each class in sequence."""
    part = (ids // IDS_OF_PART).astype(np.int8)
    if len(np.unique(part)) == 3:
        return part
    for label in np.unique(labels):
        of_class = np.flatnonzero(labels == label)
        of_class = of_class[np.argsort(ids[of_class], kind="stable")]
        edges = np.round(np.array([0.70, 0.85]) * len(of_class))
        part[of_class] = np.searchsorted(edges, np.arange(len(of_class)), "right")
    return part


def validate(arrays: Arrays, labels: np.ndarray) -> list[Check]:
    """The recipe's pT window and the masses of the decaying particles, on at most VALIDATED jets."""
    rows = evenly_spaced(len(labels), validation.VALIDATED)
    return list(validation.checks(np.asarray(arrays["momenta"][rows]), labels[rows], (500, 1000), MASSES))


def _published(model: str, source: str, accuracy: float, auc: float) -> Reference:
    metrics = {"accuracy": accuracy, "auc_one_vs_one": auc}
    return Reference(model, metrics, "100 million jets", f"arXiv:{source}, reported", verified=False)


ARCHIVES = (
    ("val_5M", "7235ccb577ed85023ea3ab4d5e6160cf"),
    ("test_20M", "64e5156d26d101adeb43b8388207d767"),
    ("train_100M_part0", "de4fd2dca2e68ab3c85d5cfd3bcc65c3"),
    ("train_100M_part1", "9722a359c5ef697bea0fbf79bf50f003"),
    ("train_100M_part2", "1e9f66cd1f915f9d10e90ae1d7761720"),
    ("train_100M_part3", "47348fc8985319fa4806da87500482fa"),
    ("train_100M_part4", "6b0ce16bd93b442a8d51914466990279"),
    ("train_100M_part5", "416e347512e716de51d392bee327b8e9"),
    ("train_100M_part6", "e9b9c1557b1b39bf0a16e4ab631ae451"),
    ("train_100M_part7", "5bfc6cb285ccb7680cefa9ac82ad1a2e"),
    ("train_100M_part8", "540c1a0d66dfad78d2b363c5740ccf86"),
    ("train_100M_part9", "668f40b3275167ff7104c48317c0ae2a"),
)
"""Names and MD5 sums, as jet-universe/particle_transformer gives them."""

TASK = Task(
    title="ten classes of jets of 500-1000 GeV, radius 0.8, as particle-flow objects with track displacement",
    classes=CLASSES,
    read=read,
    views={
        "cloud": features.cloud,
        "table": lambda arrays: {"table": features.variables(arrays)},
        "momenta": four_momenta.of_jetclass,
    },
    variables=features.VARIABLES,
    features={
        "full": FeatureSet(),
        "kinpid": FeatureSet(
            {
                "features": features.KINEMATIC + features.IDENTITY,
                "table": len(boosted_jets.VARIABLES) + len(jets.IDENTITY_VARIABLES),
            },
            {"momenta": lambda arrays: four_momenta.of_jetclass(arrays, displacement=False)},
        ),
        "kin": FeatureSet({"features": features.KINEMATIC, "table": len(boosted_jets.VARIABLES)}),
    },
    sources=tuple(
        Source(
            f"JetClass_Pythia_{name}.tar",
            f"https://zenodo.org/records/6619768/files/JetClass_Pythia_{name}.tar?download=1",
            md5=md5,
            mirrors=(f"https://hqu.web.cern.ch/datasets/JetClass/JetClass_Pythia_{name}.tar",),
        )
        for name, md5 in ARCHIVES
    ),
    required_sources=1,
    simulation=Simulation(CHUNK, generate, write),
    split=split,
    validate=validate,
    size=125_000_000,
    references=(
        _published("PFN", "2202.03772", 0.772, 0.9714),
        _published("P-CNN", "2202.03772", 0.809, 0.9789),
        _published("ParticleNet", "2202.03772", 0.844, 0.9849),
        _published("ParT", "2202.03772", 0.861, 0.9877),
        _published("MIParT-L", "2407.08682", 0.861, 0.9878),
        _published("L-GATr-slim", "2512.17011", 0.866, 0.9885),
    ),
    licence="CC-BY-4.0",
    citation="H. Qu, C. Li, S. Qian, ICML 2022, arXiv:2202.03772; Zenodo 6619768",
)
