"""Views of jet images: a cloud of the brightest hits, and jet variables."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hepbench.benchmarks.base import Arrays
from hepbench.benchmarks.features.ratio import ratio
from hepbench.benchmarks.formats.qg_images import BLOCK, SIZE
from hepbench.benchmarks.formats.sparse_images import Sparse

PIXEL = 0.0174  # of eta and of phi
POINTS = 128  # of a cloud

CLOUD_FEATURES = (
    "delta_eta",
    "delta_phi",
    "log_energy",
    "log_energy_fraction",
    "delta_r",
    "is_track",
    "is_ecal",
    "is_hcal",
)

LAYERS = ("track", "ecal", "hcal", "all")
LAYER_VARIABLES = (
    "number",
    "fraction",
    "leading_fraction",
    "pt_d",
    "girth",
    "lha",
    "thrust",
    "axis_1",
    "axis_2",
    "in_01",
    "in_02",
    "n90",
)
VARIABLES = (
    "mass_over_pt",
    *(f"{layer}_{name}" for layer in LAYERS for name in LAYER_VARIABLES),
    "tracks_above_1_gev",
    "tracks_in_core",
    "track_c1_02",
    "track_c1_10",
    "track_second_fraction",
    "track_sum_over_pt",
    "tracks_outside",
)
JET = 0.5  # radius within which jet variables are taken, that of the official jets
PAIRED = 24  # tracks of which pairs are taken
SCRAMBLED = np.arange(3 * SIZE * SIZE).reshape(3, -1).T.ravel()  # of a pixel, channels last: its place, channels first


def scrambled(arrays: Arrays) -> Arrays:
    """image (N, 125, 125, 3) from a reshape of (N, 3, 125, 125) without transposition: values in memory order, channels
    first. A row of it has 125 x 3 neighbouring pixels of one channel and a "channel" every third of them. context is
    unchanged."""
    return {"image": replace(arrays["image"], places=SCRAMBLED), "context": arrays["context"]}


def hits_of(image: Sparse) -> tuple[np.ndarray, ...]:
    """(event, channel, eta, phi, energy) of each track pixel, crystal and HCAL tower; energy in GeV, eta and phi
    relative to the image centre. A tower is one hit: its central pixel with the energy of all 25."""
    event, index, energy = image.hits()
    pixel, channel = np.divmod(index, 3)
    row, column = np.divmod(pixel, SIZE)
    once = (channel < 2) | ((row % BLOCK == BLOCK // 2) & (column % BLOCK == BLOCK // 2))
    event, channel, row, column = event[once], channel[once], row[once], column[once]
    energy = energy[once].astype(np.float64) * np.where(channel == 2, BLOCK**2, 1)
    return event, channel, (row - SIZE // 2) * PIXEL, (column - SIZE // 2) * PIXEL, energy


def cloud(arrays: Arrays) -> dict[str, np.ndarray]:
    """The POINTS most energetic hits of each image, in falling order of energy, padded with zeros.

    points (N, P, 2), eta and phi relative to the seed tower; features (N, P, F), those of CLOUD_FEATURES, as in
    ParticleNet (1902.08570, table 1) with the layer instead of the particle type; log_pt (N, P), the logarithm of the
    energy; mask (N, P).
    """
    events = len(arrays["image"])
    event, channel, eta, phi, energy = hits_of(arrays["image"])
    total = np.bincount(event, energy, minlength=events)
    place = _ranked(event, energy, events)
    kept = place < POINTS
    event, channel, eta, phi, energy, place = (x[kept] for x in (event, channel, eta, phi, energy, place))
    points = np.zeros((events, POINTS, 2), np.float32)
    features = np.zeros((events, POINTS, len(CLOUD_FEATURES)), np.float32)
    mask = np.zeros((events, POINTS), bool)
    flags = (channel == layer for layer in range(3))
    columns = (eta, phi, np.log(energy), np.log(energy / total[event]), np.hypot(eta, phi), *flags)
    points[event, place] = np.stack([eta, phi], axis=1)
    features[event, place] = np.stack(columns, axis=1)
    mask[event, place] = True
    log_pt = np.zeros((events, POINTS), np.float32)
    log_pt[event, place] = np.log(energy)
    inputs = {"points": points, "features": features, "log_pt": log_pt, "mask": mask}
    return {**inputs, "context": arrays["context"]}


def _ranked(group: np.ndarray, energy: np.ndarray, groups: int) -> np.ndarray:
    """Rank of each hit in its group by falling energy, from 0."""
    order = np.lexsort((-energy, group))
    number = np.bincount(group, minlength=groups)
    place = np.empty(len(group), np.int64)
    place[order] = np.arange(len(group)) - (np.cumsum(number) - number)[group[order]]
    return place


def jet_variables(arrays: Arrays) -> np.ndarray:
    """(N, len(VARIABLES)) float32 jet variables from the hits within 0.5 of the jet's axis, which is the centroid of
    the energy within 0.5 of the seed tower.

    Sources. CMS' quark-gluon likelihood (CMS-PAS-JME-13-002): number of constituents, pt_d = sqrt(sum e^2) / sum e,
    axis_1 and axis_2, the axes of the jet's ellipse, weighted with e^2. girth, sum z r: Gallicchio and Schwartz,
    1106.3076. lha, sum z r^0.5, and thrust, sum z r^2, the generalised angularities of 1704.03878. c1 = sum over pairs
    z_i z_j r_ij^beta with beta 0.2 and 1: Larkoski, Salam and Thaler, 1305.0007, here of the 24 highest tracks. in_01
    and in_02, shares of the energy within 0.1 and 0.2, the integrated jet shape (CMS, 1204.3170). n90, hits that carry
    90 % of the energy: Pumplin, Phys. Rev. D 44 (1991) 2025. leading_fraction: z of the highest hit (Field and Feynman,
    Nucl. Phys. B 136 (1978) 1, who first took it for telling quarks). fraction: a layer's share of the jet's energy
    (particle-flow fractions, 1706.04965). tracks_outside, those between 0.6 and 0.9, measure pile-up.

    z and e are a hit's energy, in the tracks' layer their pT; a layer without hits gives zeros.
    """
    image, (pt, m0) = arrays["image"], np.asarray(arrays["context"], np.float64).T
    events = len(image)
    event, channel, eta, phi, energy = hits_of(image)
    near = np.hypot(eta, phi) < JET
    total = np.bincount(event[near], energy[near], minlength=events)
    eta = eta - ratio(np.bincount(event[near], (energy * eta)[near], minlength=events), total)[event]
    phi = phi - ratio(np.bincount(event[near], (energy * phi)[near], minlength=events), total)[event]
    r = np.hypot(eta, phi)
    outside = np.bincount(event[(channel == 0) & (r > 0.6) & (r < 0.9)], minlength=events)
    inside = r < JET
    event, channel, eta, phi, energy, r = (x[inside] for x in (event, channel, eta, phi, energy, r))

    whole = np.bincount(event, energy, minlength=events)
    group = np.concatenate([4 * event + channel, 4 * event + 3])
    eta, phi, energy, r = (np.tile(x, 2) for x in (eta, phi, energy, r))
    layers = _layers(group, eta, phi, energy, r, 4 * events)
    layers["fraction"] = layers["sum"] / np.maximum(whole, 1e-9).repeat(4)
    table = np.stack([layers[name] for name in LAYER_VARIABLES], axis=1).reshape(events, -1)

    track = np.flatnonzero(group % 4 == 0)
    owner, z = group[track] // 4, energy[track]
    tracks = np.bincount(owner, z, minlength=events)
    z = z / tracks[owner]
    place = _ranked(owner, z, events)
    c1_02, c1_10 = _correlations(owner, place, z, eta[track], phi[track], events)
    second = np.bincount(owner[place == 1], z[place == 1], minlength=events)
    columns = [
        np.bincount(owner[energy[track] > 1], minlength=events),
        np.bincount(owner[r[track] < 0.2], minlength=events),
        c1_02,
        c1_10,
        second,
        tracks / pt,
        outside,
    ]
    return np.concatenate([(m0 / pt)[:, None], table, np.stack(columns, axis=1)], axis=1).astype(np.float32)


def _layers(
    group: np.ndarray, eta: np.ndarray, phi: np.ndarray, energy: np.ndarray, r: np.ndarray, groups: int
) -> dict[str, np.ndarray]:
    """Each variable for each group of hits, one layer of an event."""

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(group, values, minlength=groups)

    whole = total(energy)
    square = total(energy**2)
    z = energy / whole[group]
    weight = energy**2 / square[group]
    mean_eta, mean_phi = total(weight * eta), total(weight * phi)
    step_eta, step_phi = eta - mean_eta[group], phi - mean_phi[group]
    a, b, c = total(weight * step_eta**2), total(weight * step_phi**2), total(weight * step_eta * step_phi)
    spread = np.hypot(a - b, 2 * c)
    order = np.lexsort((-energy, group))
    above = np.cumsum(z[order])
    number = np.bincount(group, minlength=groups)
    start = np.cumsum(number) - number
    before = above - z[order] - np.concatenate([[0.0], above])[start[group[order]]]
    leading = np.zeros(groups)
    leading[number > 0] = z[order[start[number > 0]]]
    return {
        "number": number,
        "sum": whole,
        "leading_fraction": leading,
        "pt_d": ratio(np.sqrt(square), whole),
        "girth": total(z * r),
        "lha": total(z * np.sqrt(r)),
        "thrust": total(z * r**2),
        "axis_1": np.sqrt(np.maximum(a + b + spread, 0) / 2),
        "axis_2": np.sqrt(np.maximum(a + b - spread, 0) / 2),
        "in_01": total(z * (r < 0.1)),
        "in_02": total(z * (r < 0.2)),
        "n90": np.bincount(group[order[before < 0.9]], minlength=groups),
    }


def _correlations(
    owner: np.ndarray, place: np.ndarray, z: np.ndarray, eta: np.ndarray, phi: np.ndarray, events: int
) -> tuple[np.ndarray, np.ndarray]:
    """C1 with beta 0.2 and 1 of the PAIRED highest tracks of each event."""
    kept = place < PAIRED
    padded = np.zeros((3, events, PAIRED))
    padded[:, owner[kept], place[kept]] = z[kept], eta[kept], phi[kept]
    high_z, high_eta, high_phi = padded
    one, other = np.triu_indices(PAIRED, 1)
    product = high_z[:, one] * high_z[:, other]
    distance = np.hypot(high_eta[:, one] - high_eta[:, other], high_phi[:, one] - high_phi[:, other])
    return (product * distance**0.2).sum(axis=1), (product * distance).sum(axis=1)
