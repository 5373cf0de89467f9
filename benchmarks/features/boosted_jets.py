"""Jets of radius 0.8 as particle-flow objects: variables and clouds.

Momenta are (N, P, 4) px, py, pz and E in GeV, by falling pT, padded with zeros.
"""

from __future__ import annotations

import numpy as np

from hepbench.benchmarks.features import jets
from hepbench.benchmarks.features.ratio import ratio

RADIUS = 0.8
AXES = 4  # of N-subjettiness at most
STEPS = 4  # in which the axes move to the middle of their subjets
KINEMATIC_FEATURES = ("delta_eta", *jets.KINEMATIC_FEATURES[1:])
SUBJETTINESS = ("tau_1", "tau_2", "tau_3", "tau_4", "tau_21", "tau_32", "tau_43")
VARIABLES = (*jets.KINEMATIC_VARIABLES, *SUBJETTINESS)


def directions(momenta: np.ndarray) -> np.ndarray:
    """(N, P, 4) as in `jets`: pT, pseudorapidity, phi and the massless code 22; 0 for padding."""
    px, py, pz, _ = np.moveaxis(momenta.astype(np.float64), -1, 0)
    pt = np.hypot(px, py)
    there = pt > 0
    eta = np.arcsinh(pz / np.where(there, pt, 1)) * there
    return np.stack([pt, eta, np.arctan2(py, px) * there, 22 * there], axis=-1)


def axes(momenta: np.ndarray) -> np.ndarray:
    """(N, 4) pT, pseudorapidity, phi and energy of the jets."""
    px, py, pz, energy = momenta.sum(axis=1, dtype=np.float64).T
    pt = np.hypot(px, py)
    return np.stack([pt, np.arcsinh(pz / pt), np.arctan2(py, px), energy], axis=1)


def cloud(momenta: np.ndarray, points: int = 128) -> dict[str, np.ndarray]:
    """The hardest particles with the standard features: 1902.08570, table 2, and 2202.03772.

    Gives points (N, points, 2), eta and phi from the jet's axis; features (N, points, 7), KINEMATIC_FEATURES; log_pt
    (N, points); mask (N, points). Fractions are of the jet's pT and energy.
    """
    pt_jet, eta_jet, phi_jet, energy_jet = axes(momenta).T
    momenta = momenta[:, :points]
    particles = directions(momenta)
    mask = particles[..., 0] > 0
    delta_eta, delta_phi = jets.relative(particles, eta_jet, phi_jet)
    log_pt, log_energy = (
        np.log(values, where=mask & (values > 0), out=np.zeros(mask.shape))
        for values in (particles[..., 0], momenta[..., 3].astype(np.float64))
    )
    columns = [
        delta_eta,
        delta_phi,
        log_pt,
        log_energy,
        log_pt - np.log(pt_jet)[:, None],
        log_energy - np.log(energy_jet)[:, None],
        np.hypot(delta_eta, delta_phi),
    ]
    return {
        "points": np.stack([delta_eta, delta_phi], axis=-1).astype(np.float32),
        "features": (np.stack(columns, axis=-1) * mask[..., None]).astype(np.float32),
        "log_pt": log_pt.astype(np.float32),
        "mask": mask,
    }


def four_momenta(momenta: np.ndarray, points: int = 128) -> dict[str, np.ndarray]:
    """As `cloud`, with raw E, px, py and pz in GeV as features (N, points, 4)."""
    found = cloud(momenta, points)
    return {**found, "features": momenta[:, :points][..., [3, 0, 1, 2]].astype(np.float32)}


def variables(momenta: np.ndarray) -> np.ndarray:
    """(N, V) float32 VARIABLES: those of `jets`, with distances in units of 0.4 as there, and N-subjettiness.

    jet_rapidity is the true rapidity. N-subjettiness tau_N = sum pT min R / (sum pT R0), with the minimum over N axes,
    and its ratios: 1011.2268; the axes are those of `subjettiness`.
    """
    particles = directions(momenta)
    tau = subjettiness(momenta)
    ratios = [ratio(tau[:, number], tau[:, number - 1]) for number in range(1, AXES)]
    known = jets.variables(particles, identity=False)
    return np.column_stack([known, tau, *ratios]).astype(np.float32)


def subjettiness(momenta: np.ndarray, chunk: int = 1024) -> np.ndarray:
    """(N, AXES) tau_1 to tau_AXES with beta = 1.

    The first axis starts at the hardest particle, each further one at that with the largest pT times squared distance
    from the others; then all move STEPS times to the pT centroid of the particles nearest to them. The FastJet contrib
    Nsubjettiness starts from exclusive kT jets instead, and requires FastJet.
    """
    result = np.zeros((len(momenta), AXES))
    for start in range(0, len(momenta), chunk):
        part = momenta[start : start + chunk]
        width = max(1, int((part[..., 3] > 0).sum(axis=1).max(initial=1)))
        particles, axis = directions(part[:, :width]), axes(part)
        eta, phi = jets.relative(particles, axis[:, 1], axis[:, 2])
        result[start : start + chunk] = _subjettiness(particles[..., 0], np.stack([eta, phi], axis=-1))
    return result


def _subjettiness(pt: np.ndarray, place: np.ndarray) -> np.ndarray:
    """tau from (n, P) pT and (n, P, 2) positions relative to the jet axis."""
    every = np.arange(len(pt))
    centres = place[:, :1]
    tau = np.empty((len(pt), AXES))
    for number in range(AXES):
        for _ in range(STEPS):
            nearest = _distances(place, centres).argmin(axis=2)
            weight = np.where(nearest[..., None] == np.arange(number + 1), pt[..., None], 0)  # (n, P, axes)
            total = weight.sum(axis=1)[..., None]
            moved = np.einsum("npa,npc->nac", weight, place) / np.where(total > 0, total, 1)
            centres = np.where(total > 0, moved, centres)
        least = _distances(place, centres).min(axis=2)
        tau[:, number] = (pt * least).sum(axis=1) / (pt.sum(axis=1) * RADIUS)
        farthest = (pt * least**2).argmax(axis=1)
        centres = np.concatenate([centres, place[every, farthest][:, None]], axis=1)
    return tau


def _distances(place: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """(n, P, axes)."""
    step = place[:, :, None] - centres[:, None]
    result: np.ndarray = np.hypot(step[..., 0], step[..., 1])
    return result
