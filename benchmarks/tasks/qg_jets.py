"""Quark or gluon: jets of 500 to 550 GeV as lists of particles, Pythia, no detector.

The official 20 files (Zenodo 3164691) have 100,000 jets each under the keys `X` (n, M, 4) float64 = (pT in GeV,
rapidity, phi, PDG code) of the particles, padded with zeros to M, the highest multiplicity in the file, and `y` (n,)
quark 1, gluon 0. Any subset of the files makes a dataset. `benchmarks/simulation/qg_jets.py` writes the same.

On 5,500 simulated gluon and 5,700 quark jets the means and AUCs of `validate` agree within 1 standard deviation, and
24 of 26 distributions of the ten hardest particles agree with the genuine ones (p from 0.05 to 0.82). Two in gluon jets
stand out, the particle types (p = 0.005: some 6 % too few neutrons and protons) and the pT of the fifth (0.008).

The feature set `kinematic` has no particle identification, as in published results "without PID"; `pid`, the default,
has the charge and five particle types that an experiment can distinguish. `raw` gives a cloud the four raw columns of
the file, for every particle: the quark-gluon study's features.

`kinematic` is not entirely free of PID: as in the usual recipe each particle's energy, and hence the jet axis, is
computed with the mass of its type. Exchanging types changes the scores. `massless` computes all energies without
masses, and nothing in it depends on types. The view `momenta` has four-momenta, whose masses reveal the type: only
`pid` and `massless` have it.

The variant `equal_pt` tests with weights that give quarks and gluons the same pT spectrum; `features=pt` measures how
far the pT distinguishes them on its own.

    make bench TASK=qg_jets
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hepbench.benchmarks.base import Arrays, FeatureSet, Reference, Simulation, Source, Task
from hepbench.benchmarks.features import four_momenta, jets
from hepbench.benchmarks.formats.qg_jets import CLASSES, FILE_EVENTS, read, write
from hepbench.benchmarks.validation.qg_jets import validate

CHUNK = 100


def generate(label: int, number: int, seed: int) -> Arrays:
    from hepbench.benchmarks.simulation import qg_jets as simulation

    return {"X": simulation.generate(CLASSES[label], CHUNK, seed, number)}


def split(labels: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """The usual one in sequence over the 20 official files, 1.6 million, 200,000 and 200,000; for fewer, 70/15/15 %."""
    shares = np.array([0.8, 0.9]) if len(ids) == 20 * FILE_EVENTS else np.array([0.70, 0.85])
    part = np.empty(len(ids), np.int8)
    part[np.argsort(ids, kind="stable")] = np.searchsorted(np.round(shares * len(ids)), np.arange(len(ids)), "right")
    return part


SHA256 = (
    "3f27a02eab06e8b83ccc9d25638021e6e24c9361341730961f9d560dee12c257",
    "648e49cd59b5353e0064e7b1a3388d9c2f4a454d3ca67afaa8d0344c836ecb35",
    "09f7b16fa7edb312c0f652bb8504de45f082c4193df65204d693155017272fe9",
    "7dc9a50bb38e9f6fc1f11db18f9bd04f72823c944851746b848dee0bba808537",
    "3e6217aad8e0502f5ce3b6371c61396dfc48a6cf4f26ee377cc7b991b1d2b543",
    "b5b7d742b2599bcbe1d7a639895bca64c28da513dc3620b0e5bbb5801f8c88fd",
    "7d31bc48c15983401e0dbe8fd5ee938c3809d9ee3c909f4adab6daf8b73c14f1",
    "cec0d7b2afa9d955543c597f9b7f3b3767812a68b2401ec870caf3a2ceb98401",
    "e984620f57abe06fc5d0b063f9f84ba54bd3e8c295d2b2419a7b1c6175079ed4",
    "6e3b69196995d6eb3b8e7af874e2b9f93d904624f7a7a73b8ff39f151e3bd189",
    "fa3d386f230b806058ff17e5bd77326ff4bf01d72aa5eb3325c1df2a8825927c",
    "acd49ab7bea8f72ecf699a9a898bccacc8730474259d68406656a5a43d407fb0",
    "2edd55b8bc30c686a0637855e1ba068586eb97041e8114d5540d96db2a7a2e17",
    "7276a8a0e573f9795a47f9d5addc10d2af903c2a0ffa5c848a720ccae93daa90",
    "2068ecfa912e94cd3ce7273b7c77af0bbd5ec57940997e7483b56f03434a6869",
    "41a732ce6321dd593214225b03fb87329607ccae768c705e3896ffecc28bfcca",
    "9d68caeb18f3ccf127b9032f52e63ee011c4381293a3a503f894e5c0741ae215",
    "086053ca611bb04d97fa0b6509b4ffb6955421b067c7b277498f0e5188879331",
    "cdc595f5fedef7db9411a9f93f2786f110073b4d17a523700f625846588b1e44",
    "d07781139320ae134ce4824bc0cefa43fd5003cd97cdf3aed90d4fb12fad8a1d",
)


def _image(arrays: Arrays) -> Arrays:
    return {"image": jets.image(arrays["jets"])}


def _published(
    model: str,
    source: str,
    accuracy: float | None,
    auc: float,
    at_50: float | None,
    at_30: float | None,
    verified: bool,
) -> Reference:
    known = {"accuracy": accuracy, "auc": auc, "rejection_50": at_50, "rejection_30": at_30}
    metrics = {name: value for name, value in known.items() if value is not None}
    return Reference(model, metrics, "1.6 million jets", f"arXiv:{source}", verified)


WITHOUT_PID = (
    _published("multiplicity only, kinematic", "1810.05165", None, 0.840, 19.0, None, False),
    _published("EFN, kinematic", "1810.05165", None, 0.8824, 28.6, None, False),
    _published("EFP, kinematic", "1810.05165", None, 0.8919, 29.7, None, False),
    _published("PFN, kinematic", "1810.05165", None, 0.8911, 30.8, None, False),
    _published("P-CNN, kinematic", "1902.08570", 0.818, 0.8915, 31.0, 82.3, False),
    _published("ResNeXt-50, kinematic", "1902.08570", 0.821, 0.8960, 30.9, 80.8, False),
    _published("ParticleNet-Lite, kinematic", "1902.08570", 0.826, 0.8993, 32.8, 84.6, False),
    _published("ParticleNet, kinematic", "1902.08570", 0.828, 0.9014, 33.7, 85.4, False),
)
# A row whose AUC was read in its source has only the numbers that were read there too.
WITH_PID = (
    _published("ParticleNet-Lite, PID of five types", "1902.08570", 0.835, 0.9079, 37.1, 94.5, False),
    _published("ParticleNet, PID of five types", "1902.08570", None, 0.9116, None, None, True),
    _published("PFN-ID, full PID", "1810.05165", None, 0.9052, None, None, True),
    _published("LorentzNet, full PID", "2201.08187", 0.844, 0.9161, 43.2, 112.9, True),
    _published("ParT, full PID", "2202.03772", None, 0.9203, None, None, True),
    _published("ParT, fine-tuned, full PID", "2202.03772", None, 0.9230, None, None, True),
    _published("MIParT, full PID", "2407.08682", 0.851, 0.9215, 49.3, 133.9, False),
    _published("MIParT-L, fine-tuned, full PID", "2407.08682", 0.853, 0.9237, 51.9, 141.4, False),
)

BASE = Task(
    title="quark or gluon: jets of 500-550 GeV as particles, Pythia",
    classes=CLASSES,
    read=read,
    views={
        "cloud": lambda arrays: jets.cloud(arrays["jets"]),
        "table": lambda arrays: {"table": jets.variables(arrays["jets"])},
        "image": _image,
        "momenta": lambda arrays: four_momenta.of_jets(arrays["jets"]),
    },
    variables=jets.KINEMATIC_VARIABLES + jets.IDENTITY_VARIABLES,
    features={
        "pid": FeatureSet(),
        "kinematic": FeatureSet({"features": len(jets.KINEMATIC_FEATURES), "table": len(jets.KINEMATIC_VARIABLES)}),
        "massless": FeatureSet(
            views={
                "cloud": lambda arrays: jets.cloud(jets.massless(arrays["jets"]), identity=False),
                "table": lambda arrays: {"table": jets.variables(jets.massless(arrays["jets"]), identity=False)},
                "momenta": lambda arrays: four_momenta.of_jets(jets.massless(arrays["jets"]), identity=False),
            }
        ),
        "raw": FeatureSet(views={"cloud": lambda arrays: jets.raw_cloud(arrays["jets"])}),
    },
    sources=tuple(
        Source(name, f"https://zenodo.org/record/3164691/files/{name}?download=1", sha256=sha256)
        for name, sha256 in zip(
            ["QG_jets.npz", *(f"QG_jets_{number}.npz" for number in range(1, 20))], SHA256, strict=True
        )
    ),
    required_sources=1,
    simulation=Simulation(CHUNK, generate, write),
    split=split,
    validate=validate,
    size=2_000_000,
    references=WITHOUT_PID + WITH_PID,
    licence="CC-BY-4.0",
    citation="P. T. Komiske, E. M. Metodiev, J. Thaler, JHEP 01 (2019) 121, arXiv:1810.05165; Zenodo 3164691",
)
EQUAL_PT = replace(
    BASE,
    title="quark or gluon: jets tested with equal pT spectra",
    reweight=lambda arrays: jets.total_pt(arrays["jets"]),
    features={**BASE.features, "pt": FeatureSet({"table": 1})},
    references=(),
)
TASK = replace(BASE, variants={"equal_pt": EQUAL_PT})
