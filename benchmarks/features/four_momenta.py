"""The view `momenta`: four-momenta of a jet's particles, for Lorentz-equivariant networks.

Momenta are (..., 4) E, px, py, pz in GeV, given in the jet rest frame, to which they are boosted in float64. There they
are of the size of the jet mass, and so are their products. In the laboratory frame the product of two particles 0.01
apart is a difference of terms 20,000 times as large, of which float32 keeps three digits.

Symmetry breaking by the environment is a separate input: the directions of the beams and of the laboratory's time axis
in the jet frame.
"""

from __future__ import annotations

import numpy as np

from hepbench.benchmarks.base import Arrays
from hepbench.benchmarks.features import jetclass, jets

REFERENCES = np.array([[1.0, 0, 0, 1], [1.0, 0, 0, -1], [1.0, 0, 0, 0]])
"""Directions of the two beams, and the laboratory's time axis: (3, 4), dimensionless."""

SMALLEST_MASS = 1e-2
"""Over its energy, of a jet that is brought to rest; a lighter one is boosted as far, with gamma = 100, and no farther.
A single massless particle has no such frame, and far from the laboratory products with the references lose digits."""


def at_rest(momenta: np.ndarray, points: int) -> dict[str, np.ndarray]:
    """(N, P, 4) px, py, pz, E of particles by falling pT, zeros for padding.

    Gives, for the hardest particles in the rest frame of all of them, momenta (N, points, 4), E, px, py, pz in GeV;
    references (N, 3, 4), REFERENCES in the same frame; mask (N, points).
    """
    momenta = momenta[..., [3, 0, 1, 2]].astype(np.float64)
    jet = momenta.sum(axis=1)
    missing = points - momenta.shape[1]
    momenta = np.pad(momenta[:, :points], ((0, 0), (0, max(0, missing)), (0, 0)))
    return {
        "momenta": boosted(momenta, jet).astype(np.float32),
        "references": boosted(np.broadcast_to(REFERENCES, (len(jet), 3, 4)), jet).astype(np.float32),
        "mask": (momenta[..., 1:3] != 0).any(axis=-1),
    }


def boosted(vectors: np.ndarray, jet: np.ndarray) -> np.ndarray:
    """(N, P, 4) vectors in the rest frame of the momenta jet (N, 4), by a rotation-free boost."""
    energy, momentum = jet[:, 0], jet[:, 1:]
    squared = energy**2 - (momentum**2).sum(axis=1)
    mass = np.sqrt(np.maximum(squared, (SMALLEST_MASS * energy) ** 2))
    velocity = momentum / np.where(mass > 0, mass, 1)[:, None]  # times gamma
    gamma = np.sqrt(1 + (velocity**2).sum(axis=1))[:, None]
    time, space = vectors[..., 0], vectors[..., 1:]
    along = np.einsum("npi,ni->np", space, velocity)
    moved = space + velocity[:, None] * (along / (gamma + 1) - time)[..., None]
    return np.concatenate([(gamma * time - along)[..., None], moved], axis=-1)


def of_jets(particles: np.ndarray, points: int = 100, identity: bool = True) -> dict[str, np.ndarray]:
    """`at_rest` for jets (N, P, 4) as in `jets`; with identity also features (N, points, 6), IDENTITY_FEATURES."""
    found = at_rest(jets.four_momenta(particles), points)
    if identity:
        kinds = jets.identities(particles[:, :points, 3])
        found["features"] = _features([kinds[name] for name in jets.IDENTITY_FEATURES], found["mask"])
    return found


def of_objects(momenta: np.ndarray, points: int = 128) -> dict[str, np.ndarray]:
    """`at_rest` for jets (N, P, 4) as in `boosted_jets`."""
    return at_rest(momenta, points)


def of_jetclass(arrays: Arrays, displacement: bool = True, points: int = 128) -> dict[str, np.ndarray]:
    """`at_rest` with features (N, points, 6 or 10): IDENTITY_FEATURES of `jets`, then DISPLACEMENT_FEATURES, in mm."""
    found = at_rest(np.asarray(arrays["momenta"]), points)
    kinds = jets.identities(arrays["kinds"][:, :points])
    columns = [kinds[name] for name in jets.IDENTITY_FEATURES]
    if displacement:
        columns += jetclass.displacements(arrays)
    return {**found, "features": _features(columns, found["mask"])}


def _features(columns: list[np.ndarray], mask: np.ndarray) -> np.ndarray:
    """(N, points, F) float32 of F columns of at most as many points; 0 for padding."""
    stacked = np.stack(columns, axis=-1).astype(np.float32)[:, : mask.shape[1]]
    stacked = np.pad(stacked, ((0, 0), (0, mask.shape[1] - stacked.shape[1]), (0, 0)))
    return np.asarray(stacked * mask[..., None])
