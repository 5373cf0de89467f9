"""A fast detector simulation for whole batches of events: the formulae of Delphes' ATLAS card.

Delphes (1307.6346), cards/delphes_card_ATLAS.tcl: track efficiencies and relative resolutions (of an electron the
weighted mean of its track and its tower, as SimpleCalorimeter has it), lepton efficiencies and isolation, tower sizes,
calorimeter resolutions and thresholds, anti-kT jets from towers, jet energy scale, b-tag efficiencies (from
ATL-PHYS-PUB-2015-022), charged particles bent by 2 T up to a radius of 1.15 m. `ATLAS_2014` is the card as it was in
August 2014 (Delphes f2d7d0c, examples/delphes_card_ATLAS.tcl), with which files of that time were made: both
calorimeters in the large towers, tighter isolation, muons measured to 3 % and worse, jets at the energy of their
towers, b-tags that grow with pT up to a half.

Not included: pile-up, bending in eta, muons in jets. Isolation sums true particles, not measured ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hepbench.benchmarks.simulation import pythia

BEND = 0.3 * 2.0 * 1.15 / 2  # GeV: a charged particle of this pT just reaches 1.15 m in 2 T
JET_RADIUS, JET_PT, JET_ETA = 0.6, 20.0, 2.5
LEPTON_PT, LEPTON_ETA = 20.0, 2.5
ISOLATION_RADIUS, ISOLATION_PT = 0.5, 0.5
OVERLAP_RADIUS = 0.4
FLAVOUR_RADIUS = 0.5
INVISIBLE = (12, 14, 16)


class Objects:
    """Particles, towers or jets of many events: event (N,), momentum (N, 4) as (px, py, pz, E), kind (N,)."""

    def __init__(
        self,
        event: np.ndarray,
        momentum: np.ndarray,
        kind: np.ndarray,
        pt: np.ndarray,
        eta: np.ndarray,
        phi: np.ndarray,
    ) -> None:
        self.event, self.momentum, self.kind, self.pt, self.eta, self.phi = event, momentum, kind, pt, eta, phi

    @classmethod
    def of(cls, event: np.ndarray, momentum: np.ndarray, kind: np.ndarray) -> Objects:
        px, py, pz, _ = momentum.T
        pt = np.hypot(px, py)
        return cls(event, momentum, kind, pt, np.arcsinh(pz / np.maximum(pt, 1e-9)), np.arctan2(py, px))

    @classmethod
    def massless(cls, event: np.ndarray, pt: np.ndarray, eta: np.ndarray, phi: np.ndarray, kind: np.ndarray) -> Objects:
        momentum = np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), pt * np.cosh(eta)], axis=1)
        return cls(event, momentum, kind, pt, eta, phi)

    def with_kind(self, kind: np.ndarray) -> Objects:
        return Objects(self.event, self.momentum, kind, self.pt, self.eta, self.phi)

    def __getitem__(self, which: np.ndarray) -> Objects:
        columns = (self.event, self.momentum, self.kind, self.pt, self.eta, self.phi)
        return Objects(*(column[which] for column in columns))

    def __len__(self) -> int:
        return len(self.event)


@dataclass(frozen=True)
class Reconstructed:
    """What a detector sees of a batch of events. leptons: in order of events. jets: in order of events and by falling
    pT within one, of kind 1 where they are b-tagged, else 0. missing: (events, 2) transverse momentum in GeV. tag:
    (jets,) how probable each b-tag was."""

    leptons: Objects
    jets: Objects
    missing: np.ndarray
    tag: np.ndarray


def reconstruct(
    particles: Any, rng: np.random.Generator, invisible: tuple[int, ...] = INVISIBLE, card: Card | None = None
) -> Reconstructed:
    """Of an awkward array of Pythia's particles. Missing momentum is that of towers and isolated muons. invisible: PDG
    codes of what leaves nothing. card: ATLAS where none is given."""
    card = card or ATLAS
    event, code, status, momentum = flat_particles(particles)
    events, kind = len(particles), np.abs(code)
    final = (status > 0) & ~np.isin(kind, invisible)
    visible = Objects.of(event[final], momentum[final], kind[final])
    heavy = np.isin(kind, (4, 5))
    partons = Objects.of(event[heavy], momentum[heavy], kind[heavy])
    partons = partons[(partons.pt > 1) & (np.abs(partons.eta) < 2.5)]

    leptons = isolated_leptons(visible, rng, card)
    towers = towers_of(visible, charges(code[final]), rng, card)
    muons = leptons[leptons.kind == 13]
    missing = -transverse_sum(towers, events) - transverse_sum(muons, events)

    jets = jets_of(towers, events, card)
    electrons = leptons[leptons.kind == 11]
    jets = jets[~near(jets, electrons, OVERLAP_RADIUS) & (jets.pt > JET_PT) & (np.abs(jets.eta) < card.jet_eta)]
    jets = jets[np.lexsort((-jets.pt, jets.event))]
    tag = card.b_tag(flavours(jets, partons), jets.pt, jets.eta)
    return Reconstructed(leptons, jets.with_kind((rng.random(len(jets)) < tag).astype(np.float64)), missing, tag)


def flat_particles(particles: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Event (N,), PDG code (N,), status (N,) and momentum (N, 4) as (px, py, pz, E) of an awkward array of events."""
    import awkward as ak

    event = np.repeat(np.arange(len(particles)), ak.num(particles).to_numpy())
    flat = ak.flatten(particles)
    momentum = np.stack([flat.p[axis].to_numpy() for axis in ("px", "py", "pz", "e")], axis=1)
    return event, flat.id.to_numpy(), flat.status.to_numpy(), momentum


def transverse_sum(objects: Objects, events: int) -> np.ndarray:
    """(events, 2) sum of the transverse momenta."""
    return np.stack([np.bincount(objects.event, objects.momentum[:, axis], minlength=events) for axis in (0, 1)], 1)


def pairs(one: Objects, other: Objects) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Index into each and distance in (eta, phi) of every pair of the same event; `other` is in order of events."""
    first = np.searchsorted(other.event, one.event, "left")
    count = np.searchsorted(other.event, one.event, "right") - first
    left = np.repeat(np.arange(len(one)), count)
    right = np.arange(count.sum()) + np.repeat(first - np.cumsum(count) + count, count)
    return left, right, np.hypot(one.eta[left] - other.eta[right], turn(one.phi[left] - other.phi[right]))


def near(one: Objects, other: Objects, radius: float) -> np.ndarray:
    left, _, distance = pairs(one, other)
    near = np.zeros(len(one), bool)
    near[left[distance < radius]] = True
    return near


def turn(angle: np.ndarray) -> np.ndarray:
    """The same angle within pi of 0."""
    return (angle + np.pi) % (2 * np.pi) - np.pi


def isolated_leptons(visible: Objects, rng: np.random.Generator, card: Card | None = None) -> Objects:
    """Electrons and muons that are found and isolated, with smeared momenta; at most a few in an event."""
    card = card or ATLAS
    candidates = visible[np.isin(visible.kind, (11, 13)) & (visible.pt > 10) & (np.abs(visible.eta) < LEPTON_ETA)]
    muon, barrel = candidates.kind == 13, np.abs(candidates.eta) <= 1.5
    hard = candidates.pt > 100
    track = np.where(barrel, np.where(hard, 0.99, 0.95), np.where(hard, 0.90, 0.83))
    track = np.where(muon, np.where(barrel, 0.99, 0.98), track)
    found = rng.random(len(candidates)) < track * np.where(barrel, 0.95, 0.85)

    # Activity round the lepton; electrons and muons do not count, by the card.
    others = visible[(visible.pt > ISOLATION_PT) & ~np.isin(visible.kind, (11, 13))]
    left, right, distance = pairs(candidates, others)
    inside = distance < ISOLATION_RADIUS
    activity = np.bincount(left[inside], others.pt[right[inside]], minlength=len(candidates))
    found &= activity < np.where(muon, card.muon_isolation, card.electron_isolation) * candidates.pt

    relative = card.lepton_resolution(muon, candidates.pt, np.abs(candidates.eta))
    pt = log_normal(candidates.pt, relative * candidates.pt, rng)
    smeared = Objects.massless(candidates.event, pt, candidates.eta, candidates.phi, candidates.kind)
    return smeared[found & (pt > card.lepton_pt)]


def lepton_resolution(muon: np.ndarray, pt: np.ndarray, eta: np.ndarray) -> np.ndarray:
    """Relative, of muons and of electrons, whose track energy flow weighs with their tower; eta without its sign."""
    region = np.digitize(eta, [0.5, 1.5])
    constant = np.where(muon, np.array([0.01, 0.015, 0.025])[region], np.array([0.03, 0.05, 0.15])[region])
    slope = np.where(muon, np.array([1.0e-4, 1.5e-4, 3.5e-4])[region], np.array([1.3e-3, 1.7e-3, 3.1e-3])[region])
    track = np.hypot(constant, slope * pt)
    energy = pt * np.cosh(eta)
    tower = electromagnetic_resolution(eta, energy) / energy
    relative: np.ndarray = np.where(muon, track, 1 / np.hypot(1 / track, 1 / tower))
    return relative


def _lepton_resolution_2014(muon: np.ndarray, pt: np.ndarray, eta: np.ndarray) -> np.ndarray:
    energy = pt * np.cosh(eta)
    electron = np.where(energy <= 25, 0.015, np.sqrt(0.005**2 + 0.05**2 / energy + (0.25 / energy) ** 2))
    hardness = np.digitize(pt, [50, 100])
    by_pt = np.where(eta <= 1.5, np.array([0.03, 0.04, 0.07])[hardness], np.array([0.04, 0.05, 0.10])[hardness])
    return np.where(muon, by_pt, electron)


def charges(code: np.ndarray) -> np.ndarray:
    """Of particles by their PDG code: 1, 0 or -1."""
    from particle import PDGID

    kinds, which = np.unique(code, return_inverse=True)
    charges: np.ndarray = np.array([int(PDGID(kind).charge or 0) for kind in kinds], np.int64)[which]
    return charges


def towers_of(visible: Objects, charge: np.ndarray, rng: np.random.Generator, card: Card | None = None) -> Objects:
    """Towers of both calorimeters, ordered by event; kind 22 of the electromagnetic one, 130 of the hadronic one."""
    card = card or ATLAS
    inside = ((charge == 0) | (visible.pt > card.bend)) & (np.abs(visible.eta) < 4.9)
    visible, charge = visible[inside], charge[inside]
    phi = turn(visible.phi - charge * np.arcsin(card.bend / np.maximum(visible.pt, card.bend)))
    both = np.isin(visible.kind, (310, 3122))  # K0S and Lambda share their energy 3 : 7
    electromagnetic = np.where(both, 0.3, np.isin(visible.kind, (11, 22)))
    hadronic = np.where(visible.kind == 13, 0, 1 - electromagnetic)
    energy = visible.momentum[:, 3]
    parts = [
        calorimeter(visible.event, visible.eta, phi, electromagnetic * energy, card.electromagnetic, rng),
        calorimeter(visible.event, visible.eta, phi, hadronic * energy, card.hadronic, rng),
    ]
    columns = [np.concatenate(pair) for pair in zip(*parts, strict=True)]
    columns.append(np.repeat([22, 130], [len(part[0]) for part in parts]))
    event, pt, eta, phi, kind = (column[np.argsort(columns[0], kind="stable")] for column in columns)
    return Objects.massless(event, pt, eta, phi, kind)


def calorimeter(
    event: np.ndarray,
    eta: np.ndarray,
    phi: np.ndarray,
    energy: np.ndarray,
    part: Mapping[str, Any],
    rng: np.random.Generator,
) -> tuple[np.ndarray, ...]:
    """Event, pT, eta and phi of towers whose smeared energy is above threshold and so many times its resolution."""
    hit = energy > 0
    event, eta, phi, energy = event[hit], eta[hit], phi[hit], energy[hit]
    fine = np.abs(eta) < part["inner"]
    eta_size, phi_size = (np.where(fine, *part[axis]) for axis in ("eta", "phi"))
    row, column = np.floor(eta / eta_size).astype(np.int64), np.floor(phi / phi_size).astype(np.int64)
    cell = ((event * 2 + fine) * 1000 + row + 500) * 1000 + column + 500
    _, first, which = np.unique(cell, return_index=True, return_inverse=True)
    deposit = np.bincount(which, energy)
    # A uniform place within the tower instead of its centre, as SmearTowerCenter has it.
    eta = (row[first] + rng.random(len(first))) * eta_size[first]
    phi = turn((column[first] + rng.random(len(first))) * phi_size[first])
    resolution = part["resolution"]
    measured = log_normal(deposit, resolution(np.abs(eta), deposit), rng)
    kept = (measured > part["threshold"]) & (measured > part["significance"] * resolution(np.abs(eta), measured))
    return event[first][kept], (measured / np.cosh(eta))[kept], eta[kept], phi[kept]


def electromagnetic_resolution(eta: np.ndarray, energy: np.ndarray) -> np.ndarray:
    return np.where(eta <= 3.2, np.sqrt((0.0017 * energy) ** 2 + 0.101**2 * energy), _quadrature(energy, 0.035, 0.285))


def hadronic_resolution(eta: np.ndarray, energy: np.ndarray) -> np.ndarray:
    barrel = np.sqrt((0.0302 * energy) ** 2 + 0.5205**2 * energy + 1.59**2)
    endcap = _quadrature(energy, 0.05, 0.706)
    return np.where(eta <= 1.7, barrel, np.where(eta <= 3.2, endcap, _quadrature(energy, 0.0942, 1.0)))


def _quadrature(energy: np.ndarray, constant: float, stochastic: float) -> np.ndarray:
    return np.sqrt((constant * energy) ** 2 + stochastic**2 * energy)


# Sizes of towers within and beyond the |eta| called inner; threshold in GeV and in units of the resolution.
ELECTROMAGNETIC = {
    "inner": 2.958,
    "eta": (0.0174, 0.175),
    "phi": (np.pi / 180, np.pi / 18),
    "resolution": electromagnetic_resolution,
    "threshold": 0.5,
    "significance": 2.0,
}
HADRONIC = {
    "inner": 2.5,
    "eta": (0.1, 0.2),
    "phi": (np.pi / 18, np.pi / 9),
    "resolution": hadronic_resolution,
    "threshold": 1.0,
    "significance": 2.0,
}


def log_normal(mean: np.ndarray, sigma: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Delphes' smearing of towers and of leptons: log-normal of this mean and standard deviation."""
    spread = np.sqrt(np.log1p((sigma / mean) ** 2))
    result: np.ndarray = mean * np.exp(spread * rng.normal(size=len(mean)) - spread**2 / 2)
    return result


def jets_of(towers: Objects, events: int, card: Card | None = None) -> Objects:
    """Anti-kT jets of towers above the threshold, with the card's energy scale."""
    import awkward as ak

    card = card or ATLAS
    count = np.bincount(towers.event, minlength=events)
    columns = dict(zip(("px", "py", "pz", "E"), towers.momentum.T, strict=True))
    inputs = ak.unflatten(ak.zip(columns, with_name="Momentum4D"), count)
    clustered = pythia.imported("fastjet").ClusterSequence(inputs, pythia.anti_kt(JET_RADIUS))
    jets = clustered.inclusive_jets(min_pt=JET_PT)
    event = np.repeat(np.arange(events), ak.num(jets).to_numpy())
    flat = ak.flatten(jets)
    momentum = np.stack([flat[axis].to_numpy() for axis in ("px", "py", "pz", "E")], axis=1)
    found = Objects.of(event, momentum, np.zeros(len(event)))
    scale = card.jet_scale(found.pt, np.abs(found.eta))
    return Objects.of(event, momentum * scale[:, None], np.zeros(len(event)))


def jet_scale(pt: np.ndarray, eta: np.ndarray) -> np.ndarray:
    """What the momentum of a jet of towers is multiplied by; eta without its sign."""
    scale: np.ndarray = np.sqrt((3.0 - 0.2 * eta) ** 2 / pt + 1)
    return scale


def _jet_scale_2014(pt: np.ndarray, eta: np.ndarray) -> np.ndarray:
    return np.ones_like(pt)


def flavours(jets: Objects, partons: Objects) -> np.ndarray:
    """(jets,) the heaviest quark of each: 5 b, 4 c, 0 other."""
    left, right, distance = pairs(jets, partons)
    near = distance < FLAVOUR_RADIUS
    flavour = np.zeros(len(jets))
    np.maximum.at(flavour, left[near], partons.kind[right[near]])
    return flavour


def b_tag_probability(flavour: np.ndarray, pt: np.ndarray, eta: np.ndarray) -> np.ndarray:
    """Of a jet by the heaviest quark in it, see `flavours`; the same at any eta. pt in GeV."""
    b = 0.80 * np.tanh(0.003 * pt) * 30 / (1 + 0.086 * pt)
    c = 0.20 * np.tanh(0.02 * pt) / (1 + 0.0034 * pt)
    return np.where(flavour == 5, b, np.where(flavour == 4, c, 0.002 + 7.3e-6 * pt))


def b_tag_probability_2014(flavour: np.ndarray, pt: np.ndarray, eta: np.ndarray) -> np.ndarray:
    """The same of the card of 2014: at most a half, and of b and c none beyond |eta| = 2.5."""
    rise = np.maximum(0, np.tanh(0.03 * pt - 0.4)) * (np.abs(eta) <= 2.5)
    central = np.abs(eta) <= 1.2
    b, c = np.where(central, 0.5, 0.4) * rise, np.where(central, 0.2, 0.1) * rise
    return np.where(flavour == 5, b, np.where(flavour == 4, c, 0.001))


@dataclass(frozen=True)
class Card:
    """bend: pT in GeV of a charged particle that just reaches the calorimeters. Isolation: the largest share of a
    lepton's pT that others near it may have. The functions have the arguments of those that are their defaults."""

    bend: float
    electromagnetic: Mapping[str, Any]
    hadronic: Mapping[str, Any]
    electron_isolation: float = 0.12
    muon_isolation: float = 0.25
    lepton_pt: float = LEPTON_PT
    jet_eta: float = JET_ETA
    lepton_resolution: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray] = lepton_resolution
    jet_scale: Callable[[np.ndarray, np.ndarray], np.ndarray] = jet_scale
    b_tag: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray] = b_tag_probability


ATLAS = Card(BEND, ELECTROMAGNETIC, HADRONIC)

_TOWERS_2014 = {"inner": 2.5, "eta": HADRONIC["eta"], "phi": HADRONIC["phi"], "significance": 1.0}
ATLAS_2014 = Card(
    BEND,
    _TOWERS_2014 | {"resolution": electromagnetic_resolution, "threshold": 0.5},
    _TOWERS_2014 | {"resolution": hadronic_resolution, "threshold": 1.0},
    electron_isolation=0.1,
    muon_isolation=0.1,
    lepton_resolution=_lepton_resolution_2014,
    jet_scale=_jet_scale_2014,
    b_tag=b_tag_probability_2014,
)
