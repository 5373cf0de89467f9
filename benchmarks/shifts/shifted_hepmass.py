"""Shifted samples of `hepmass`: the same simulated events with another jet scale, jet resolution or b-tagging.

Quantities that depend on the jets are recomputed: the missing momentum balances the change, and each mass is scaled by
the ratio obtained with massless jets, since the features do not contain jet masses, and with only the four jets,
although a fifth may have been part of a mass. Events stay selected, whatever their jets and tags become.

    make bench TASK=hepmass SHIFT=all
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from hepbench.benchmarks.base import Arrays
from hepbench.benchmarks.shift import Shift

OfJets = Callable[[np.ndarray], np.ndarray]
"""From jets (n, 4, 4) to one number per jet (n, 4)."""

JETS = slice(6, 22)
"""Columns pt, eta, phi, b-tag of each of the four jets, which are sorted by pT."""


def scaled(arrays: Arrays, rng: np.random.Generator, factor: float) -> Arrays:
    """The pT of all jets times a factor."""
    return _with_jets(arrays, lambda jets: jets[..., 0] * factor, lambda jets: jets[..., 3])


def smeared(arrays: Arrays, rng: np.random.Generator, spread: float) -> Arrays:
    """The pT of each jet times an individual factor, with mean 1 and this standard deviation, at least 0.1."""
    shape = (len(arrays["features"]), 4)
    factors = np.maximum(1 + spread * rng.standard_normal(shape), 0.1)
    return _with_jets(arrays, lambda jets: jets[..., 0] * factors, lambda jets: jets[..., 3])


def retagged(arrays: Arrays, rng: np.random.Generator, lost: float, gained: float) -> Arrays:
    """Tagged jets lose their tag, others gain one, with these probabilities."""
    drawn = rng.random((len(arrays["features"]), 4))

    def tags(jets: np.ndarray) -> np.ndarray:
        tagged = jets[..., 3] > 0.5
        return np.where(tagged, drawn >= lost, drawn < gained).astype(float)

    return _with_jets(arrays, lambda jets: jets[..., 0], tags)


def _with_jets(arrays: Arrays, pt: OfJets, tags: OfJets) -> Arrays:
    """The events with another pT and b-tag for their jets."""
    from hepbench.benchmarks.simulation import hepmass as simulation

    raw = simulation.denormalise(np.asarray(arrays["features"], np.float64))
    before = raw[:, JETS].reshape(-1, 4, 4)
    after = before.copy()
    after[..., 0], after[..., 3] = pt(before), tags(before)
    after = np.take_along_axis(after, np.argsort(-after[..., 0], axis=1)[..., None], axis=1)
    lepton = _momentum(raw[:, 0], raw[:, 1], raw[:, 2])
    missing = np.stack([raw[:, 3] * np.cos(raw[:, 4]), raw[:, 3] * np.sin(raw[:, 4])], axis=1)
    jets = [_momentum(one[..., 0], one[..., 1], one[..., 2]) for one in (before, after)]
    moved = missing - (jets[1] - jets[0])[..., :2].sum(axis=1)
    masses = [
        simulation.combinations(lepton, found, momenta, np.round(one[..., 3]))
        for found, momenta, one in ((missing, jets[0], before), (moved, jets[1], after))
    ]
    raw[:, 3], raw[:, 4] = np.hypot(*moved.T), np.arctan2(moved[:, 1], moved[:, 0])
    raw[:, JETS] = after.reshape(-1, 16)
    raw[:, 22:] *= masses[1] / np.maximum(masses[0], 1e-3)
    return {**arrays, "features": simulation.normalise(raw).astype(np.float32)}


def _momentum(pt: np.ndarray, eta: np.ndarray, phi: np.ndarray) -> np.ndarray:
    """(..., 4) px, py, pz, E of massless particles."""
    return np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), pt * np.cosh(eta)], axis=-1)


SHIFTS = {
    "jet_scale_up": Shift("jet pT 3 % higher", change=partial(scaled, factor=1.03), simulated=True),
    "jet_scale_down": Shift("jet pT 3 % lower", change=partial(scaled, factor=0.97), simulated=True),
    "jet_resolution": Shift("jet pT smeared by a further 10 %", change=partial(smeared, spread=0.10), simulated=True),
    "b_tag": Shift(
        "a tenth of the b-tags lost, 1 % of the other jets tagged",
        change=partial(retagged, lost=0.10, gained=0.01),
        simulated=True,
    ),
}
