"""JetClass: variables and clouds with particle identification and track displacement."""

from __future__ import annotations

import numpy as np

from hepbench.benchmarks.base import Arrays
from hepbench.benchmarks.features import boosted_jets, jets

DISPLACEMENT_FEATURES = ("tanh_d0", "d0_error", "tanh_dz", "dz_error")
DISPLACEMENT_VARIABLES = ("displaced_tracks", *(f"d0_significance_{number}" for number in (1, 2, 3)))
KINEMATIC = len(boosted_jets.KINEMATIC_FEATURES)
IDENTITY = len(jets.IDENTITY_FEATURES)
VARIABLES = (*boosted_jets.VARIABLES, *jets.IDENTITY_VARIABLES, *DISPLACEMENT_VARIABLES)
DISPLACED = 3.0  # errors from the beam


def cloud(arrays: Arrays) -> Arrays:
    """As `boosted_jets.cloud`, with features (N, 128, 17): kinematics, then IDENTITY_FEATURES of `jets`, then
    DISPLACEMENT_FEATURES, in mm; the inputs of 2202.03772, table 2."""
    found = boosted_jets.cloud(arrays["momenta"])
    kinds = jets.identities(arrays["kinds"])
    more = [*(kinds[name] for name in jets.IDENTITY_FEATURES), *displacements(arrays)]
    features = np.concatenate([found["features"], np.stack(more, axis=-1).astype(np.float32)], axis=-1)
    return {**found, "features": features * found["mask"][..., None]}


def displacements(arrays: Arrays) -> list[np.ndarray]:
    """(N, P) each of DISPLACEMENT_FEATURES, in mm."""
    d0, d0_error, dz, dz_error = np.moveaxis(arrays["displacement"], -1, 0)
    return [np.tanh(d0), np.clip(d0_error, 0, 1), np.tanh(dz), np.clip(dz_error, 0, 1)]


def variables(arrays: Arrays) -> np.ndarray:
    """(N, V) float32 VARIABLES: those of `boosted_jets`, the identity variables of `jets`, the number of tracks with an
    impact-parameter significance above DISPLACED and the three largest significances."""
    particles, axis = boosted_jets.directions(arrays["momenta"]), boosted_jets.axes(arrays["momenta"])
    distance = np.hypot(*jets.relative(particles, axis[:, 1], axis[:, 2])) / 0.4
    z = particles[..., 0] / particles[..., 0].sum(axis=1, keepdims=True)
    named = jets.identity_variables(jets.identities(arrays["kinds"]), z, distance)
    identity = np.stack([named[name] for name in jets.IDENTITY_VARIABLES], axis=1)
    d0, error = arrays["displacement"][..., 0], arrays["displacement"][..., 1]
    significance = np.abs(d0) / np.where(error > 0, error, np.inf)
    largest = -np.sort(-significance, axis=1)[:, :3]
    displaced = (significance > DISPLACED).sum(axis=1)
    kinematic = boosted_jets.variables(arrays["momenta"])
    return np.column_stack([kinematic, identity, displaced, np.log1p(largest)]).astype(np.float32)
