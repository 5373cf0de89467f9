"""Quark or gluon: 125x125x3 jet images of the CMS tracker, ECAL and HCAL.

Three official Parquet files, CMS open-data simulation of dijets at 8 TeV (1902.08276); any subset makes a dataset.
Columns `X_jets` list<list<list<double>>> (3, 125, 125), `pt` and `m0` of the jet in GeV, `y` quark 1, gluon 0, one jet
per row group; as many quarks as gluons. Axes of an image: channel, eta, phi. Channel 0 is the pT of tracks, 1 the ECAL
energy, 2 the HCAL energy, where each tower is 5x5 pixels with a 25th of its energy each; the tower with the highest
energy is in the centre. The reader transposes to (125, 125, 3) and checks that the blocks of HCAL are in channel 2. The
quark-gluon image study reshapes directly to (125, 125, 3), which scrambles the pixels; it reports a training accuracy
of 0.698 and a validation and test accuracy of 0.49 to 0.50. The variant `scrambled` has the same events with the images
as that reshape leaves them, to measure what it costs. The split is 70/15/15, seeded; these files have no official one.

Pixels below 1e-3 GeV become 0, as in the analysis code of the data. The others are stored as hits (`Sparse`), 4 bytes
each, 4 kB per simulated jet instead of 188 kB for the dense image: float16 values are off by 0.05 % at most, a sixth of
the calorimeters' best resolution. `benchmarks/simulation/qg_images.py` writes one such file, with 20 jets per row
group.

    make bench TASK=qg_images
    make bench TASK=qg_images:scrambled MODEL="cnn_jet_study cnn_jet"

The variant `equal_pt` tests with weights that give quarks and gluons the same pT spectrum, since their spectra alone
distinguish them; `features=pt` measures how far the pT does so on its own.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hepbench.benchmarks.base import Arrays, FeatureSet, Reference, Simulation, Source, Task
from hepbench.benchmarks.features.jet_images import VARIABLES, cloud, jet_variables, scrambled
from hepbench.benchmarks.formats.qg_images import CLASSES, plain_read, read, write
from hepbench.benchmarks.validation.qg_images import validate

CHUNK = 100  # jets simulated from one seed
# Files of the public share https://cernbox.cern.ch/s/oolDBdQegsITFcv; an older share is index.php/s/hqz8zE7oxyPjvsL.
SHARE = "https://cernbox.cern.ch/remote.php/dav/public-files/oolDBdQegsITFcv"
RUNS = ("run0_n36272", "run1_n47540", "run2_n55494")


def generate(label: int, number: int, seed: int) -> Arrays:
    from hepbench.benchmarks.simulation import qg_images as simulation

    return simulation.generate(label, CHUNK, [seed, label, number])


def slice_of_pt(arrays: Arrays) -> np.ndarray:
    """(N,) lower edge in GeV of the jet's pT interval: 0, 90, 110 or 140."""
    edges = np.array([0, 90, 110, 140])
    result: np.ndarray = edges[np.searchsorted(edges, arrays["context"][:, 0], side="right") - 1]
    return result


def pt_alone(arrays: Arrays) -> Arrays:
    return {"table": arrays["context"][:, :1]}


BASE = Task(
    title="quark or gluon: CMS jet images, 125x125 pixels of tracks, ECAL and HCAL",
    classes=CLASSES,
    read=read,
    plain_read=plain_read,
    views={
        "image": lambda arrays: {"image": arrays["image"], "context": arrays["context"]},
        "cloud": cloud,
        "table": lambda arrays: {"table": jet_variables(arrays), "context": arrays["context"]},
    },
    variables=VARIABLES,
    context=("pt", "m0"),
    sources=tuple(
        Source(name, f"{SHARE}/{name}")
        for name in (f"QCDToGGQQ_IMGjet_RH1all_jet0_{run}.test.snappy.parquet" for run in RUNS)
    ),
    required_sources=1,
    slices={"pt_above": slice_of_pt},
    simulation=Simulation(CHUNK, generate, write),
    validate=validate,
    size=139_306,
    references=(
        Reference("CoAtNet", {"auc": 0.8146}, "all three files", "ML4SCI/E2E", verified=True),
        Reference("EffSwin", {"auc": 0.8144}, "all three files", "ML4SCI/E2E", verified=True),
        Reference("Swin-T", {"auc": 0.8083}, "all three files", "ML4SCI/E2E", verified=True),
        Reference("ResNet", {"auc": 0.8076}, "all three files", "ML4SCI/E2E", verified=True),
        Reference("ResNet-15, combined images", {"auc": 0.8077}, "paper's sample", "arXiv:1902.08276", verified=False),
        Reference("RecNN", {"auc": 0.8017}, "paper's sample", "arXiv:1902.08276", verified=False),
        Reference(
            "ViT, 5,178 parameters", {"auc": 0.793}, "all three files", "salcc/QuantumTransformers", verified=True
        ),
        Reference("GCN", {"auc": 0.778}, "run 0 only", "ML4SCI/E2E", verified=True),
        Reference("Xception", {"auc": 0.769}, "run 0 only", "ML4SCI/E2E", verified=True),
    ),
    licence="CMS open data, CC0",
    citation="M. Andrews et al., Nucl. Instrum. Meth. A 977 (2020) 164304, arXiv:1902.08276",
)
SCRAMBLED = replace(
    BASE,
    title="quark or gluon: CMS jet images, pixels scrambled by the image study's reshape",
    views={"image": scrambled},
    variables=(),
    references=(),
)
EQUAL_PT = replace(
    BASE,
    title="quark or gluon: CMS jet images, tested with equal pT spectra",
    reweight=lambda arrays: arrays["context"][:, 0],
    features={
        "all": FeatureSet(),
        "pt": FeatureSet(views={"table": lambda arrays: {"table": arrays["context"][:, :1]}}),
    },
    references=(),
)
TASK = replace(BASE, variants={"scrambled": SCRAMBLED, "equal_pt": EQUAL_PT})
