"""Shifted samples of `ecal`: the same images with another energy scale, calibration or noise, and other images with
more or less material.

    make bench TASK=ecal SHIFT=all
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from hepbench.benchmarks.base import Arrays, Simulation
from hepbench.benchmarks.formats.ecal import CLASSES, write
from hepbench.benchmarks.shift import Shift
from hepbench.benchmarks.tasks import ecal

NOISE = 0.04 / 50
"""Noise per crystal, in the images' unit of 50 GeV: as in `benchmarks/simulation/ecal.py`."""

MATERIAL = {"material_up": 1.1, "material_down": 0.9}
"""Radiation lengths in front of the crystals, relative to those of the task."""


def scaled(arrays: Arrays, rng: np.random.Generator, factor: float) -> Arrays:
    """Every energy times a factor; the same crystals are read out."""
    image = np.array(arrays["image"])
    image[..., 0] *= np.float32(factor)
    return {**arrays, "image": image}


def miscalibrated(arrays: Arrays, rng: np.random.Generator, spread: float) -> Arrays:
    """Every energy times an individual factor, with mean 1 and this standard deviation."""
    image = np.array(arrays["image"])
    image[..., 0] *= 1 + np.float32(spread) * rng.standard_normal(image.shape[:3], dtype=np.float32)
    return {**arrays, "image": image}


def noisier(arrays: Arrays, rng: np.random.Generator, noise: float) -> Arrays:
    """Noise of this standard deviation added to every hit. Hits that are then not positive are removed, with their
    time; no hits are added."""
    image = np.array(arrays["image"])
    hit = image[..., 0] > 0
    image[..., 0] += hit * (np.float32(noise) * rng.standard_normal(hit.shape, dtype=np.float32))
    image[hit & (image[..., 0] <= 0)] = 0
    return {**arrays, "image": image}


def generate(label: int, number: int, seed: int, shift: str) -> Arrays:
    from hepbench.benchmarks.simulation import ecal_shifted as simulation

    rng = np.random.default_rng([seed, label, number, 1 + list(MATERIAL).index(shift)])
    return {"image": simulation.generate(CLASSES[label], ecal.CHUNK, rng, MATERIAL[shift])}


TASK = replace(
    ecal.TASK,
    sources=(),
    validate=None,
    references=(),
    variants={
        name: replace(
            ecal.TASK,
            title=f"electron or photon: {factor:g} times the material",
            sources=(),
            simulation=Simulation(ecal.CHUNK, partial(generate, shift=name), write, name=name),
            validate=None,
            references=(),
        )
        for name, factor in MATERIAL.items()
    },
)
SHIFTS = {
    "scale_up": Shift("energies 1 % higher", change=partial(scaled, factor=1.01)),
    "scale_down": Shift("energies 1 % lower", change=partial(scaled, factor=0.99)),
    "calibration": Shift("each crystal's energy miscalibrated by 2 %", change=partial(miscalibrated, spread=0.02)),
    "noise": Shift("twice the noise in crystals with a hit", change=partial(noisier, noise=np.sqrt(3) * NOISE)),
    **{
        name: Shift(f"{factor:g} times the material in front of the crystals", sample=f"{__file__}:{name}")
        for name, factor in MATERIAL.items()
    },
}
