"""Views of jets given as lists of particles: point cloud, variables and image. Pure functions, vectorised over jets.

A jet is (P, 4) = (pT in GeV, rapidity, phi, PDG code) of its particles in falling order of pT, padded with zeros; a
particle has pT > 0. Angles are relative to the jet axis, the vector sum of all its particles. A transverse-momentum
fraction z is pT over the sum of the particles' pT.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hepbench.benchmarks.features.ratio import ratio
from hepbench.benchmarks.formats.sparse_images import Sparse

# Mass in GeV and charge of stable particles: PDG, Review of Particle Physics 2024. Not from the package `particle`,
# whose digits are more and change from year to year, which would change the features of prepared data.
PARTICLES = {
    11: (0.000510999, -1),
    13: (0.1056584, -1),
    22: (0.0, 0),
    130: (0.497611, 0),
    211: (0.1395704, 1),
    321: (0.493677, 1),
    2112: (0.9395654, 0),
    2212: (0.9382721, 1),
}
CODES = np.array(sorted({sign * code for code in PARTICLES for sign in (-1, 1)} - {-22, -130}))

KINEMATIC_FEATURES = (
    "delta_rapidity",
    "delta_phi",
    "log_pt",
    "log_energy",
    "log_pt_fraction",
    "log_energy_fraction",
    "delta_r",
)
IDENTITY_FEATURES = ("charge", "is_electron", "is_muon", "is_charged_hadron", "is_neutral_hadron", "is_photon")

KINEMATIC_VARIABLES = (
    "jet_pt",
    "jet_rapidity",
    "multiplicity",
    "mass",
    "mass_over_pt",
    "lha",
    "girth",
    "thrust",
    "pt_dispersion",
    "axis_major",
    "axis_minor",
    "entropy",
    "leading_fraction",
    "second_fraction",
    "third_fraction",
    "fraction_of_ten",
    "n_half",
    "n_90_percent",
    "leading_distance",
    "c1_02",
    "c1_1",
    "c2_1",
    "d2_1",
    "core_fraction",
)
IDENTITY_VARIABLES = (
    "charged_multiplicity",
    "charged_fraction",
    "photon_multiplicity",
    "photon_fraction",
    "neutral_hadron_fraction",
    "leptons",
    "jet_charge",
    "absolute_jet_charge",
    "charged_girth",
    "charged_pt_dispersion",
)


def masses_and_charges(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mass in GeV and charge by PDG code, same shape; 0 for the code 0 of padding."""
    known = np.array([0, *CODES])
    order = np.argsort(known)
    place = np.searchsorted(known[order], codes.astype(np.int64))
    mass = np.array([0.0] + [PARTICLES[abs(int(code))][0] for code in CODES])[order]
    charge = np.array([0] + [np.sign(code) * PARTICLES[abs(int(code))][1] for code in CODES])[order]
    return mass[place], charge[place]


def massless(jets: np.ndarray) -> np.ndarray:
    """(N, P, 4) jets whose particles are all photons: without any information on particle types, not even masses."""
    same = jets.copy()
    same[..., 3] = np.where(jets[..., 0] > 0, 22, 0)
    return same


def four_momenta(jets: np.ndarray) -> np.ndarray:
    """(N, P, 4) float64 px, py, pz, E of (N, P, 4) jets, each particle with the mass of its type."""
    pt, rapidity, phi, code = np.moveaxis(jets.astype(np.float64), -1, 0)
    transverse_mass = np.hypot(pt, masses_and_charges(code)[0])
    momenta = [
        pt * np.cos(phi),
        pt * np.sin(phi),
        transverse_mass * np.sinh(rapidity),
        transverse_mass * np.cosh(rapidity),
    ]
    result: np.ndarray = np.stack(momenta, axis=-1) * (pt > 0)[..., None]
    return result


def axes(momenta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(N,) pT, rapidity, phi and mass of the sum of (N, P, 4) momenta."""
    import vector

    jet: Any = vector.array({name: momenta[..., axis] for axis, name in enumerate(("px", "py", "pz", "E"))}).sum(axis=1)
    mass = np.maximum(jet.mass, 0)  # vector gives a space-like sum a negative mass
    return jet.pt, np.arcsinh(jet.pz / np.hypot(jet.pt, mass)), jet.phi, mass


def relative(jets: np.ndarray, rapidity: np.ndarray, phi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, P) rapidity and phi of the particles relative to the axes (N,), phi within pi; 0 for padding."""
    there = jets[..., 0] > 0
    step = (jets[..., 2] - phi[:, None] + np.pi) % (2 * np.pi) - np.pi
    return (jets[..., 1] - rapidity[:, None]) * there, step * there


def cloud(jets: np.ndarray, points: int = 100, identity: bool = True) -> dict[str, np.ndarray]:
    """The hardest particles of (N, P, 4) jets with the standard features: ParticleNet, 1902.08570, table 2.

    Gives points (N, points, 2), rapidity and phi relative to the axis; features (N, points, 7 or 13), those of
    KINEMATIC_FEATURES and, with identity, of IDENTITY_FEATURES: the charge and the five classes that an experiment
    can distinguish (electron, muon, charged hadron, neutral hadron, photon), not the full species; log_pt (N, points),
    the unscaled logarithm of pT in GeV, for pairwise features; mask (N, points).
    Fractions are of the jet's pT and energy, both those of the vector sum.
    """
    momenta = four_momenta(jets)
    pt, rapidity, phi, _ = axes(momenta)
    energy = momenta[:, :, 3].sum(axis=1)
    jets, momenta = jets[:, :points], momenta[:, :points]
    mask = jets[..., 0] > 0
    delta_rapidity, delta_phi = relative(jets, rapidity, phi)
    log_pt = np.log(jets[..., 0], where=mask, out=np.zeros(mask.shape))
    log_energy = np.log(momenta[..., 3], where=mask, out=np.zeros(mask.shape))
    columns = [
        delta_rapidity,
        delta_phi,
        log_pt,
        log_energy,
        log_pt - np.log(pt)[:, None],
        log_energy - np.log(energy)[:, None],
        np.hypot(delta_rapidity, delta_phi),
    ]
    if identity:
        kinds = identities(jets[..., 3])
        columns += [kinds[name] for name in IDENTITY_FEATURES]
    features = np.stack(columns, axis=-1) * mask[..., None]

    def pad(array: np.ndarray) -> np.ndarray:
        missing = points - array.shape[1]
        return np.pad(array, ((0, 0), (0, missing), *((0, 0),) * (array.ndim - 2))) if missing > 0 else array

    return {
        "points": pad(np.stack([delta_rapidity, delta_phi], axis=-1).astype(np.float32)),
        "features": pad(features.astype(np.float32)),
        "log_pt": pad(log_pt.astype(np.float32)),
        "mask": pad(mask),
    }


def raw_cloud(jets: np.ndarray) -> dict[str, np.ndarray]:
    """All particles of (N, P, 4) jets with the raw columns of the files.

    Gives points (N, P, 2), rapidity and phi relative to the axis, which preserves their differences; features
    (N, P, 4), the raw jets: pT in GeV, rapidity, phi, PDG code; log_pt (N, P); mask (N, P).
    """
    _, rapidity, phi, _ = axes(four_momenta(jets))
    mask = jets[..., 0] > 0
    return {
        "points": np.stack(relative(jets, rapidity, phi), axis=-1).astype(np.float32),
        "features": jets.astype(np.float32, copy=False),
        "log_pt": np.log(jets[..., 0], where=mask, out=np.zeros(mask.shape)).astype(np.float32),
        "mask": mask,
    }


def identities(codes: np.ndarray) -> dict[str, np.ndarray]:
    """Charge and five classes by PDG code."""
    size, charge = np.abs(codes), masses_and_charges(codes)[1]
    hadron = size > 100
    return {
        "charge": charge,
        "is_electron": size == 11,
        "is_muon": size == 13,
        "is_charged_hadron": hadron & (charge != 0),
        "is_neutral_hadron": hadron & (charge == 0),
        "is_photon": size == 22,
    }


def total_pt(jets: np.ndarray) -> np.ndarray:
    """(N,) pT in GeV of the vector sum of the particles of jets (N, P, 4)."""
    pt, phi = jets[..., 0], jets[..., 2]
    return np.asarray(np.hypot((pt * np.cos(phi)).sum(axis=1), (pt * np.sin(phi)).sum(axis=1)))


def variables(jets: np.ndarray, identity: bool = True) -> np.ndarray:
    """(N, V) float32 variables of (N, P, 4) jets: KINEMATIC_VARIABLES and, with identity, IDENTITY_VARIABLES.

    Sources. Angularities sum z (R/R0)^b, R the distance from the axis and R0 = 0.4, with b = 1/2 (Les Houches
    angularity), 1 (girth or width) and 2 (thrust-like), multiplicity, and pt_dispersion sqrt(sum z^2): 1408.3122 and
    1704.03878. axis_major and axis_minor, the root eigenvalues of the pT^2-weighted covariance, and the multiplicity
    and pT dispersion as CMS' quark-gluon likelihood: CMS-PAS-JME-13-002. leading_fraction is the largest z: CMS'
    pull of the hardest constituent, 1106.3076 for the use of all these. entropy is -sum z log z: 1811.06993 gives
    its use. n_90_percent: the fewest particles with 90 % of the pT, a kin of 1106.3076's subjet multiplicity; n_half
    the same with half. c1_02, c1_1 and c2_1: the energy-correlation ratios C1 (b = 0.2 and 1) and C2 (b = 1) of
    1305.0007; d2_1: D2 of 1409.6298, both with the correlators ECF2 = sum_ij z z R and
    ECF3 = sum_ijk z z z R R R, whose triple sum is a trace of a matrix cubed. core_fraction: pT within R = 0.1, the
    jet shape of 0501219 (hep-ex). charged_girth and charged_pt_dispersion: the same sums over charged particles, as
    with tracks in 1405.6583. jet_charge: sum of q z^0.5, 1209.2421.
    """
    momenta = four_momenta(jets)
    pt_jet, rapidity, phi, mass = axes(momenta)
    mask = jets[..., 0] > 0
    delta_rapidity, delta_phi = relative(jets, rapidity, phi)
    distance = np.hypot(delta_rapidity, delta_phi) / 0.4
    pt = jets[..., 0].astype(np.float64)
    z = pt / pt.sum(axis=1, keepdims=True)
    running = np.cumsum(z, axis=1)
    major, minor = _ellipse(delta_rapidity, delta_phi, z**2)
    low, pairs, triples = _correlators(jets, z)
    columns = {
        "jet_pt": pt_jet,
        "jet_rapidity": rapidity,
        "multiplicity": mask.sum(axis=1),
        "mass": mass,
        "mass_over_pt": mass / pt_jet,
        "lha": (z * np.sqrt(distance)).sum(axis=1),
        "girth": (z * distance).sum(axis=1),
        "thrust": (z * distance**2).sum(axis=1),
        "pt_dispersion": np.sqrt((z**2).sum(axis=1)),
        "axis_major": major,
        "axis_minor": minor,
        "entropy": -(z * np.log(z, where=mask, out=np.zeros(z.shape))).sum(axis=1),
        "leading_fraction": z[:, 0],
        "second_fraction": z[:, 1],
        "third_fraction": z[:, 2],
        "fraction_of_ten": z[:, :10].sum(axis=1),
        "n_half": 1 + (running < 0.5).sum(axis=1),
        "n_90_percent": 1 + (running < 0.9).sum(axis=1),
        "leading_distance": distance[:, 0],
        "c1_02": low,
        "c1_1": pairs,
        "c2_1": ratio(triples, pairs**2),
        "d2_1": ratio(triples, pairs**3),
        "core_fraction": (z * (distance < 0.25)).sum(axis=1),
    }
    names: tuple[str, ...] = KINEMATIC_VARIABLES
    if identity:
        columns |= identity_variables(identities(jets[..., 3]), z, distance)
        names += IDENTITY_VARIABLES
    return np.stack([columns[name] for name in names], axis=1).astype(np.float32)


def identity_variables(kinds: dict[str, np.ndarray], z: np.ndarray, distance: np.ndarray) -> dict[str, np.ndarray]:
    """IDENTITY_VARIABLES (N,) by name, from `identities`, fractions z of pT and distances from the axis divided by 0.4,
    (N, P)."""
    charged = kinds["charge"] != 0
    charged_z = z * charged
    tracks = charged_z.sum(axis=1)
    charge = (kinds["charge"] * np.sqrt(z)).sum(axis=1)
    return {
        "charged_multiplicity": charged.sum(axis=1),
        "charged_fraction": tracks,
        "photon_multiplicity": kinds["is_photon"].sum(axis=1),
        "photon_fraction": (z * kinds["is_photon"]).sum(axis=1),
        "neutral_hadron_fraction": (z * kinds["is_neutral_hadron"]).sum(axis=1),
        "leptons": (kinds["is_electron"] | kinds["is_muon"]).sum(axis=1),
        "jet_charge": charge,
        "absolute_jet_charge": np.abs(charge),
        "charged_girth": ratio((charged_z * distance).sum(axis=1), tracks),
        "charged_pt_dispersion": ratio(np.sqrt((charged_z**2).sum(axis=1)), tracks),
    }


def _ellipse(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N,) root of the larger and of the smaller eigenvalue of the weighted covariance of (N, P) positions."""
    whole = weight.sum(axis=1)
    x_mean, y_mean = (weight * x).sum(axis=1) / whole, (weight * y).sum(axis=1) / whole
    x, y = x - x_mean[:, None], y - y_mean[:, None]
    xx, yy, xy = ((weight * product).sum(axis=1) / whole for product in (x * x, y * y, x * y))
    centre, spread = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    return np.sqrt(centre + spread), np.sqrt(np.maximum(centre - spread, 0))


def _correlators(jets: np.ndarray, z: np.ndarray, chunk: int = 256) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(N,) energy correlators of 1305.0007 in fractions z and distances over 0.4: of pairs with the distance to the
    power 0.2, of pairs with the distance, of triples with the product of the three distances.

    With M_ij = sqrt(z_i z_j) R_ij, the trace of M^3 is 6 times the sum over triples. float32 suffices, since every
    term is positive.
    """
    low, pairs, triples = np.zeros((3, len(jets)))
    for start in range(0, len(jets), chunk):
        part = slice(start, start + chunk)
        width = int((z[part] > 0).sum(axis=1).max(initial=1))
        rapidity, phi = (jets[part, :width, column].astype(np.float32) for column in (1, 2))
        step = np.abs(phi[:, :, None] - phi[:, None])
        squared = (rapidity[:, :, None] - rapidity[:, None]) ** 2 + np.minimum(step, np.float32(2 * np.pi) - step) ** 2
        distance = np.sqrt(squared / np.float32(0.16))
        weight = z[part, :width].astype(np.float32)
        root = np.sqrt(weight)
        low[part] = ((distance ** np.float32(0.2) @ weight[..., None])[..., 0] * weight).sum(axis=1) / 2
        pairs[part] = ((distance @ weight[..., None])[..., 0] * weight).sum(axis=1) / 2
        matrix = distance * root[:, :, None] * root[:, None]
        triples[part] = np.einsum("nij,nij->n", matrix @ matrix, matrix) / 6
    return low, pairs, triples


def image(jets: np.ndarray, pixels: int = 33, half_width: float = 0.4) -> Sparse:
    """(N, pixels, pixels, 3) images around the axis: pT of charged and of neutral particles divided by the jet's, and
    the number of charged particles. The three colours and the 33 pixels of 1612.01551; axis 0 rapidity, axis 1 phi.

    Particles farther than half_width in either direction are left out.
    """
    _, rapidity, phi, _ = axes(four_momenta(jets))
    x, y = relative(jets, rapidity, phi)
    row, column = (np.floor((step / half_width + 1) / 2 * pixels).astype(np.int64) for step in (x, y))
    inside = (jets[..., 0] > 0) & (row >= 0) & (row < pixels) & (column >= 0) & (column < pixels)
    jet, particle = np.nonzero(inside)
    pixel = (row[jet, particle] * pixels + column[jet, particle]) * 3
    fraction = (jets[..., 0] / jets[..., 0].sum(axis=1, dtype=np.float64)[:, None])[jet, particle]
    charged = masses_and_charges(jets[jet, particle, 3])[1] != 0
    place = np.concatenate([pixel + ~charged, pixel[charged] + 2])
    jet = np.concatenate([jet, jet[charged]])
    values = np.concatenate([fraction, np.ones(charged.sum())])
    size = pixels * pixels * 3
    hit, where = np.unique(jet * size + place, return_inverse=True)
    offsets = np.searchsorted(hit, np.arange(len(jets) + 1) * size)
    total = np.bincount(where, values, minlength=len(hit)).astype(np.float32)
    return Sparse(offsets, (hit % size).astype(np.uint16), total, (pixels, pixels, 3))
