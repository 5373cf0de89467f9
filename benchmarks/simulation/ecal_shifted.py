"""Images of `ecal` with more or less tracker material."""

from __future__ import annotations

import numpy as np

from hepbench.benchmarks.simulation.ecal import gun, read_out, shower, track


def generate(kind: str, count: int, rng: np.random.Generator, material: float) -> np.ndarray:
    """As `ecal.generate`, with this many times the radiation lengths before the crystals."""
    particles = gun(kind, count, rng)
    particles["thickness"] = material * particles["thickness"]
    return read_out(*shower(track(particles, rng), count, rng), rng)
