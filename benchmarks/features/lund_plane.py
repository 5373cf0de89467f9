"""Views of jets whose particles are emissions off one emitter, in the coordinates of the Lund plane (1807.04758).

A jet is (P, 4) = (pT in GeV, rapidity, phi, PDG code) in falling order of pT, padded with zeros, as in `qg_jets`;
angles are relative to the emitter, which is at (0, 0). Pure functions, vectorised over jets.
"""

from __future__ import annotations

import numpy as np

WIDEST = 0.4  # largest angle in the plane
HARD = (2.0, 4.0, 8.0, 16.0)  # GeV, kt above which emissions are counted
LEADING = 4  # emissions, by kt, whose coordinates in the plane are variables

FEATURES = ("delta_rapidity", "delta_phi", "log_pt", "log_pt_fraction", "log_inverse_angle", "log_kt", "is_emitter")
VARIABLES = (
    "log_jet_pt",
    "emissions",
    *(f"emissions_above_{kt:.0f}_gev" for kt in HARD),
    "emitter_fraction",
    "sum_log_kt",
    *(f"{name}_{number}" for number in range(1, LEADING + 1) for name in ("log_kt", "log_inverse_angle", "fraction")),
)


def plane(jets: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(N, P) ln(0.4 / angle) and ln(pT angle / GeV), both 0 for the emitter and padding, and which are emissions."""
    angle = np.hypot(jets[..., 1], jets[..., 2])
    emission = (angle > 0) & (jets[..., 0] > 0)
    log_angle = np.log(angle, where=emission, out=np.zeros(angle.shape))
    log_pt = np.log(jets[..., 0], where=emission, out=np.zeros(angle.shape))
    return (np.log(WIDEST) - log_angle) * emission, log_pt + log_angle, emission


def cloud(jets: np.ndarray, points: int) -> dict[str, np.ndarray]:
    """The hardest particles: points (N, points, 2), rapidity and phi relative to the emitter; features (N, points, 7),
    those of FEATURES; log_pt (N, points); mask (N, points)."""
    total = jets[..., 0].sum(axis=1)
    jets = jets[:, :points]
    mask = jets[..., 0] > 0
    inverse_angle, log_kt, emission = plane(jets)
    log_pt = np.log(jets[..., 0], where=mask, out=np.zeros(mask.shape))
    columns = [jets[..., 1], jets[..., 2], log_pt, log_pt - np.log(total)[:, None], inverse_angle, log_kt, ~emission]
    return {
        "points": jets[..., 1:3].astype(np.float32),
        "features": (np.stack(columns, axis=-1) * mask[..., None]).astype(np.float32),
        "log_pt": log_pt.astype(np.float32),
        "mask": mask,
    }


def variables(jets: np.ndarray) -> np.ndarray:
    """(N, V) float32 VARIABLES: 0 for emissions beyond the last."""
    total = jets[..., 0].sum(axis=1)
    inverse_angle, log_kt, emission = plane(jets)
    order = np.argsort(np.where(emission, -log_kt, np.inf), axis=1, kind="stable")[:, :LEADING]
    fraction = jets[..., 0] / total[:, None] * emission
    columns = [np.log(total), emission.sum(axis=1)]
    columns += [(emission & (log_kt > np.log(kt))).sum(axis=1) for kt in HARD]
    columns += [1 - fraction.sum(axis=1), log_kt.sum(axis=1)]
    for column in order.T:
        row = np.arange(len(jets))
        columns += [log_kt[row, column], inverse_angle[row, column], fraction[row, column]]
    return np.stack(columns, axis=1).astype(np.float32)
