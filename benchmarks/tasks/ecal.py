"""Electron or photon: 32x32x2 images of the CMS electromagnetic calorimeter, pT = 50 GeV.

The official pair of HDF5 files is CMS open-data simulation of single particles in the barrel (1910.07029). Keys `X`
(n, 32, 32, 2) float32, channel 0 hit energy in units of 50 GeV, channel 1 hit time; `y` (n,) electron 1, photon 0.
`benchmarks/simulation/ecal.py` writes the same pair.

The feature set `energy` leaves out the hit times: what they add is a question that the electron-photon study raises.

    make bench TASK=ecal
"""

from __future__ import annotations

import numpy as np

from hepbench.benchmarks.base import Arrays, FeatureSet, Reference, Simulation, Source, Task
from hepbench.benchmarks.features import calorimeter
from hepbench.benchmarks.formats.ecal import CLASSES, ID_OF_CLASS, read, write
from hepbench.benchmarks.validation.ecal import validate

CHUNK = 1000  # events simulated from one seed, so that any number of events begins with the same ones
# Rows of each class in the study: training, validation, test; the others are unused.
OFFICIAL_ROWS = np.cumsum([160_000, 25_600, 25_600])


def generate(label: int, number: int, seed: int) -> Arrays:
    from hepbench.benchmarks.simulation import ecal as simulation

    return {"image": simulation.generate(CLASSES[label], CHUNK, np.random.default_rng([seed, label, number]))}


def split(labels: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """The study's split where the file has all of its rows; else 70/15/15 of each class, in file order."""
    row = ids % ID_OF_CLASS
    part = np.full(len(labels), -1, dtype=np.int8)
    for kind in (0, 1):
        of_kind = labels == kind
        count = int(of_kind.sum())
        edges = OFFICIAL_ROWS if count >= OFFICIAL_ROWS[-1] else np.round(count * np.array([0.70, 0.85, 1.0]))
        part[of_kind] = np.searchsorted(edges, row[of_kind], side="right")
    part[part == 3] = -1
    return part


TASK = Task(
    title="electron or photon: CMS ECAL images, 32x32 crystals, energy and time",
    classes=CLASSES,
    read=read,
    views={
        "image": lambda arrays: {"image": arrays["image"]},
        "cloud": lambda arrays: calorimeter.image_to_cloud(arrays["image"]),
        "table": lambda arrays: {"table": calorimeter.shower_shapes(arrays["image"])},
    },
    variables=calorimeter.SHOWER_SHAPES,
    features={
        "all": FeatureSet(),
        "energy": FeatureSet(
            {
                "image": 1,
                "features": len(calorimeter.CLOUD_FEATURES),
                "table": len(calorimeter.SHOWER_SHAPES) - len(calorimeter.TIMES),
            }
        ),
    },
    sources=(
        Source(
            "SinglePhotonPt50_IMGCROPS_n249k_RHv1.hdf5",
            "https://cernbox.cern.ch/index.php/s/69nGEZjOy3xGxBq/download",
            size=79_876_391,
        ),
        Source(
            "SingleElectronPt50_IMGCROPS_n249k_RHv1.hdf5",
            "https://cernbox.cern.ch/index.php/s/sHjzCNFTFxutYCj/download",
            size=87_010_508,
        ),
    ),
    simulation=Simulation(CHUNK, generate, write),
    split=split,
    validate=validate,
    size=498_000,
    references=(
        Reference(
            "parallel ResNet-15",
            {"auc": 0.8109, "accuracy": 0.7394},
            "320,000 images",
            "thanh12273203/ML4SCI_GSoC_2025_Submissions",
            verified=True,
        ),
        Reference("Xception", {"auc": 0.799}, "320,000 images", "ML4SCI submissions", verified=True),
        Reference("quantum ViT", {"auc": 0.7793}, "320,000 images", "ML4SCI submissions", verified=True),
        Reference("ViT, 2,778 parameters", {"auc": 0.7650}, "320,000 images", "ML4SCI submissions", verified=True),
    ),
    licence="CMS open data, CC0",
    citation="M. Andrews et al., EPJ Web Conf. 245 (2020) 06031, arXiv:1910.07029",
)
