"""Shifted samples of `ecal`: the same images with another energy scale, calibration or noise, and other images behind
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
"""Of a crystal, in the images' unit of 50 GeV: as `benchmarks/simulation/ecal.py` has it."""

MATERIAL = {"material_up": 1.1, "material_down": 0.9}
"""Radiation lengths before the crystals over those of the task."""


def scaled(arrays: Arrays, rng: np.random.Generator, factor: float) -> Arrays:
    """Every energy times a factor; what is read out stays the same."""
    image = np.array(arrays["image"])
    image[..., 0] *= np.float32(factor)
    return {**arrays, "image": image}


def miscalibrated(arrays: Arrays, rng: np.random.Generator, spread: float) -> Arrays:
    """Every energy times a factor of its own, of mean 1 and this standard deviation."""
    image = np.array(arrays["image"])
    image[..., 0] *= 1 + np.float32(spread) * rng.standard_normal(image.shape[:3], dtype=np.float32)
    return {**arrays, "image": image}


def noisier(arrays: Arrays, rng: np.random.Generator, noise: float) -> Arrays:
    """Noise of this standard deviation added to every hit. One that is not positive then is none, and has no time; none
    is added where there was none."""
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
    "calibration": Shift("each crystal's energy off by 2 %, at random", change=partial(miscalibrated, spread=0.02)),
    "noise": Shift("twice the noise in crystals with a hit", change=partial(noisier, noise=np.sqrt(3) * NOISE)),
    **{
        name: Shift(f"{factor:g} times the material before the crystals", sample=f"{__file__}:{name}")
        for name, factor in MATERIAL.items()
    },
}
