"""Top quark or QCD: jets of 550 to 650 GeV and radius 0.8 as particle-flow objects, Pythia and a fast detector.

The three official files (Zenodo 2603256) are pandas tables in HDF5, 1.2 million jets for training, 400,000 for
validation and 400,000 for testing: four-momenta of the 200 hardest objects of each, 14 TeV, Delphes' ATLAS card, no
multi-parton interactions. `benchmarks/simulation/boosted_jets.py` writes the same three files with a detector
simulation after the same card.

The feature set `kinematic`, the default, is the standard one for jets without PID, seven features per particle; `raw`
gives raw E, px, py and pz. The table has jet variables and N-subjettiness. The view `momenta` has the same four-momenta
in both sets, in the jet frame.

    make bench TASK=top_tagging
    make bench TASK=top_tagging MODEL="particlenet_lite part_lite" SET="features=kinematic"
"""

from __future__ import annotations

import numpy as np

from hepbench.benchmarks.base import Arrays, Check, FeatureSet, Reference, Simulation, Source, Task
from hepbench.benchmarks.features import boosted_jets, four_momenta
from hepbench.benchmarks.formats.top_tagging import CLASSES, IDS_OF_FILE, read, write
from hepbench.benchmarks.sampling import evenly_spaced
from hepbench.benchmarks.validation import boosted_jets as validation

CHUNK = 50


def generate(label: int, number: int, seed: int) -> Arrays:
    from hepbench.benchmarks.simulation import boosted_jets as simulation

    process = simulation.TOP_TAGGING_PROCESSES[label]
    jets = simulation.generate(process, simulation.TOP_TAGGING, CHUNK, (seed, label, number))
    return {"particles": jets.momenta.astype(np.float32), "truth": jets.truth.astype(np.float32)}


def split(labels: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """That of the three files where all are present, else 70/15/15 % in sequence."""
    part = (ids // IDS_OF_FILE).astype(np.int8)
    if len(np.unique(part)) == 3:
        return part
    part[np.argsort(ids, kind="stable")] = np.searchsorted(
        np.round(np.array([0.70, 0.85]) * len(ids)), np.arange(len(ids)), "right"
    )
    return part


def validate(arrays: Arrays, labels: np.ndarray) -> list[Check]:
    """The recipe's pT window and the top-quark mass, on at most VALIDATED jets."""
    rows = evenly_spaced(len(labels), validation.VALIDATED)
    particles = np.asarray(arrays["particles"][rows])
    return list(validation.checks(particles, labels[rows], (550, 650), {"top quark": (1, 172.5)}))


def _published(
    model: str,
    source: str,
    accuracy: float | None,
    auc: float | None,
    at_50: float | None,
    at_30: float | None,
    trained_on: str = "1.2 million jets",
) -> Reference:
    known = {"accuracy": accuracy, "auc": auc, "rejection_50": at_50, "rejection_30": at_30}
    metrics = {name: value for name, value in known.items() if value is not None}
    return Reference(model, metrics, trained_on, f"arXiv:{source}, reported", verified=False)


def _momenta(arrays: Arrays) -> Arrays:
    return four_momenta.of_objects(arrays["particles"])


PRETRAINED = "JetClass, then 1.2 million jets"

TASK = Task(
    title="top quark or QCD: jets of 550-650 GeV, radius 0.8, as particle-flow objects",
    classes=CLASSES,
    read=read,
    views={
        "cloud": lambda arrays: boosted_jets.cloud(arrays["particles"]),
        "table": lambda arrays: {"table": boosted_jets.variables(arrays["particles"])},
        "momenta": _momenta,
    },
    variables=boosted_jets.VARIABLES,
    features={
        "kinematic": FeatureSet(),
        "raw": FeatureSet(
            views={"cloud": lambda arrays: boosted_jets.four_momenta(arrays["particles"]), "momenta": _momenta}
        ),
    },
    sources=tuple(
        Source(f"{part}.h5", f"https://zenodo.org/records/2603256/files/{part}.h5?download=1", md5=md5)
        for part, md5 in (
            ("train", "45663819f47c13724f67eb0fd80bfa5c"),
            ("val", "dca4b7248027618f041f9baa86d360fc"),
            ("test", "13163479dee30a5fe546e4536cc3d04d"),
        )
    ),
    simulation=Simulation(CHUNK, generate, write),
    split=split,
    validate=validate,
    size=2_000_000,
    references=(
        _published("P-CNN", "1902.08570", 0.930, 0.9803, 201, 759),
        _published("PFN", "1902.08570", None, 0.9819, 247, 888),
        _published("ResNeXt-50", "1902.08570", 0.936, 0.9837, 302, 1147),
        _published("ParticleNet-Lite", "1902.08570", 0.937, 0.9844, 325, 1262),
        _published("ParticleNet", "1902.08570", 0.940, 0.9858, 397, 1615),
        _published("LorentzNet", "2201.08187", 0.942, 0.9868, 498, 2195),
        _published("ParT", "2202.03772", 0.940, 0.9858, 413, 1602),
        _published("ParT, fine-tuned", "2202.03772", 0.944, 0.9877, 691, 2766, PRETRAINED),
        _published("PELICAN", "2211.00454", 0.9426, 0.9870, None, 2250),
        _published("MIParT", "2407.08682", 0.942, 0.9868, 505, 2010),
        _published("MIParT-L, fine-tuned", "2407.08682", 0.944, 0.9878, 640, 2789, PRETRAINED),
        _published("L-GATr-slim", "2512.17011", None, 0.9869, 546, 2264),
        _published("L-GATr-slim, fine-tuned", "2608.02735", 0.9446, 0.9880, 693, 3062, "48M, then 1.2 million jets"),
        _published(
            "OmniLearned-L, fine-tuned", "2510.24066", None, 0.9880, 688, 3486, "other data, then 1.2 million jets"
        ),
    ),
    licence="CC-BY-4.0",
    citation="G. Kasieczka, T. Plehn, J. Thompson, M. Russel, Zenodo 2603256; A. Butter et al., SciPost Phys. 7 (2019) "
    "014, arXiv:1902.09914",
)
