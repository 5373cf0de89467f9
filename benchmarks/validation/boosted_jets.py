"""Checks of jets with radius 0.8 against physics and the published recipes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from hepbench.benchmarks.base import Check
from hepbench.benchmarks.features import boosted_jets
from hepbench.benchmarks.validation.hepmass import JET_SCALE, mode

VALIDATED = 20_000  # jets at most
PSEUDO_SAMPLES = 50
FEWEST = 20  # jets of a class


def checks(
    momenta: np.ndarray, labels: np.ndarray, window: tuple[float, float], peaks: Mapping[str, tuple[int, float]]
) -> Iterator[Check]:
    """momenta (N, P, 4). window: of pT in GeV. peaks: decaying particle -> its class and its mass in GeV."""
    pt, eta, phi, energy = boosted_jets.axes(momenta).T
    tolerance = 0.5 * len(pt) ** -0.5
    inside = ((pt >= window[0] * 0.999) & (pt <= window[1] * 1.001)).mean()
    yield Check(f"share with pT of {window[0]:g} to {window[1]:g} GeV", float(inside), 1.0, tolerance, "the recipe")
    yield Check("share with |eta| below 2", float((np.abs(eta) < 2.01).mean()), 1.0, tolerance, "the recipe")
    for name, angle in (("cosine of phi, mean", np.cos(phi)), ("sine of phi, mean", np.sin(phi))):
        yield Check(name, float(angle.mean()), 0.0, float((2 * len(phi)) ** -0.5), "uniform in azimuth")
    yield Check("eta, mean", float(eta.mean()), 0.0, float(eta.std() / np.sqrt(len(eta))), "equal beams")
    momentum = np.hypot(pt, pt * np.sinh(eta))
    mass = np.sqrt(np.maximum(0, energy**2 - momentum**2))
    rng = np.random.default_rng(0)
    for kind, (label, expected) in peaks.items():
        values = mass[labels == label]
        if len(values) < FEWEST:
            continue
        spread = np.std([mode(rng.choice(values, len(values))) for _ in range(PSEUDO_SAMPLES)])
        error = float(np.hypot(spread, JET_SCALE * expected))
        source = f"{kind}, PDG; jet energy to 4 %, 1112.6426"
        yield Check(f"mass in GeV, {kind}, most frequent", mode(values), expected, error, source)
