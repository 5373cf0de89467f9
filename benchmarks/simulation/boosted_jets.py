"""Jets of R = 0.8 as lists of particle-flow objects: top quarks, W, Z and Higgs bosons, quarks and gluons.

Collisions are from Pythia 8 with its default tune, multi-parton interactions off. The detector follows a Delphes card
(1307.6346), applied to whole batches at once:

    Pythia -> particles -> tracks (efficiency, momentum, impact parameter) -> particle flow -> anti-kT, R = 0.8 -> jet
                        -> towers of what left no track

From each collision the hardest jet within the pT window and |eta| < 2 is kept; for a signal class the hardest that is
within 0.8 of the particle it is named after and of all its decay products except neutrinos.

Sources
- Recipes of the published files: Zenodo 2603256 and 1902.09914 (`TOP_TAGGING`), Zenodo 6619768 and 2202.03772
  (`JETCLASS`).
- Cards delphes_card_ATLAS.tcl (2 T, `atlas_card`) and delphes_card_CMS.tcl (3.8 T): efficiencies and resolutions of
  tracks, sizes, resolutions and thresholds of calorimeters.
- Impact parameters: 25 to 90 um across the beam and 45 to 150 um along it for tracks of 10 to 1 GeV, 1405.6569.

What differs from Delphes. Deposits of found tracks are subtracted from the towers exactly, where Delphes subtracts
measured energies and keeps what is significant. Tracks begin at their vertex with straight lines, for the impact
parameters alone; K0S and Lambda decay wherever they do. Every track has the momentum resolution of a charged hadron.

What differs from the recipes. JetClass' collisions are those of MadGraph at leading order, here the processes of Pythia
alone, W and Z with a parton, Higgs bosons with a Z to neutrinos; its underlying event is on. Which jet of an event the
top-tagging files keep is not said. Collisions whose hard process has less than 400 GeV are not made: of jets of 550 to
650 GeV they would give 10 % of either class (counted among 1,450 and 1,079, with a hard process from 330 GeV on).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from hepbench.benchmarks.simulation import atlas_card, pythia
from hepbench.benchmarks.simulation.atlas_card import Card, Objects

RADIUS, ETA = 0.8, 2.0
BATCH = 60  # collisions asked of Pythia at a time
RESONANCES = (6, 23, 24, 25)
TRACK_PT, TRACK_ETA = 0.1, 2.5


@dataclass(frozen=True)
class Process:
    """settings: of Pythia. resonance: PDG code of what makes the jet; 0: any jet is one."""

    settings: tuple[str, ...]
    resonance: int = 0


@dataclass(frozen=True)
class Detector:
    """Tracks within |eta| of 1.5 and beyond: efficiencies of hadrons, electrons and muons below 1 GeV, to 100 GeV and
    above; relative resolution as (constant, slope in 1/GeV) within |eta| of 0.5, 1.5 and 2.5."""

    card: Card
    hadrons: tuple[tuple[float, float, float], tuple[float, float, float]]
    electrons: tuple[tuple[float, float, float], tuple[float, float, float]]
    muons: tuple[tuple[float, float, float], tuple[float, float, float]]
    resolution: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Recipe:
    """energy: of the two protons, GeV. pt: window of the jets, GeV. pt_hat: of the hard process, GeV. most: particles
    that are kept of a jet, the hardest."""

    energy: float
    pt: tuple[float, float]
    pt_hat: tuple[float, float]
    most: int
    detector: Detector


@dataclass(frozen=True)
class Jets:
    """momenta (n, most, 4) float64 px, py, pz, E in GeV by falling pT, padded with zeros. kinds (n, most): PDG codes of
    what a detector takes them for, 22 and 130 for towers; 0 for padding. displacement (n, most, 4): d0 and its error,
    dz and its error, mm; 0 for towers. truth (n, 4): momentum of the particle that made the jet, 0 where none did.
    """

    momenta: np.ndarray
    kinds: np.ndarray
    displacement: np.ndarray
    truth: np.ndarray


def generate(process: Process, recipe: Recipe, count: int, key: tuple[int, ...]) -> Jets:
    """So many jets; the same key gives the same."""
    rng = np.random.default_rng(key)
    collider = pythia.generator(
        f"Beams:eCM = {recipe.energy}",
        "PartonLevel:MPI = off",
        f"PhaseSpace:pTHatMin = {recipe.pt_hat[0]}",
        f"PhaseSpace:pTHatMax = {recipe.pt_hat[1]}",
        *process.settings,
        seed=int(rng.integers(1, pythia.LARGEST_SEED)),
    )
    parts: list[Jets] = []
    found = 0
    while found < count:
        parts.append(jets_of(collider.nextBatch(BATCH).prt, process, recipe, rng))
        found += len(parts[-1].kinds)
    names = ("momenta", "kinds", "displacement", "truth")
    return Jets(*(np.concatenate([getattr(part, name) for part in parts])[:count] for name in names))


def jets_of(particles: Any, process: Process, recipe: Recipe, rng: np.random.Generator) -> Jets:
    """The jet of each event of an awkward array of particles that has one."""
    import awkward as ak

    event, code, status, momentum = atlas_card.flat_particles(particles)
    flat = ak.flatten(particles)
    vertex = np.stack([ak.to_numpy(ak.fill_none(flat.vProd[axis], 0.0)) for axis in ("px", "py", "pz")], axis=1)
    final = (status > 0) & ~np.isin(np.abs(code), atlas_card.INVISIBLE)
    visible = Objects.of(event[final], momentum[final], np.abs(code[final]))
    charge = atlas_card.charges(code[final])
    objects, displacement = particle_flow(visible, charge, vertex[final], recipe.detector, rng)

    jets, members, jet_of = _clustered(objects, len(particles), recipe.pt[0])
    passed = (jets.pt >= recipe.pt[0]) & (jets.pt <= recipe.pt[1]) & (np.abs(jets.eta) < ETA)
    truth = np.zeros((len(jets), 4))
    if process.resonance:
        history = History(event, code, flat.daughter1.to_numpy(), flat.daughter2.to_numpy(), momentum)
        matched, of = history.matched(jets, process.resonance)
        passed &= matched
        truth[matched] = momentum[of[matched]]
    order = np.lexsort((-jets.pt, jets.event))
    order = order[passed[order]]
    chosen = order[np.unique(jets.event[order], return_index=True)[1]]

    number = np.full(len(jets), -1)
    number[chosen] = np.arange(len(chosen))
    inside = number[jet_of] >= 0
    members, row = members[inside], number[jet_of[inside]]
    order = np.lexsort((-objects.pt[members], row))
    members, row = members[order], row[order]
    place = np.arange(len(row)) - np.searchsorted(row, row)
    kept = place < recipe.most
    members, row, place = members[kept], row[kept], place[kept]

    def padded(values: np.ndarray) -> np.ndarray:
        array = np.zeros((len(chosen), recipe.most, *values.shape[1:]))
        array[row, place] = values[members]
        return array

    return Jets(padded(objects.momentum), padded(objects.kind), padded(displacement), truth[chosen])


def particle_flow(
    visible: Objects, charge: np.ndarray, vertex: np.ndarray, detector: Detector, rng: np.random.Generator
) -> tuple[Objects, np.ndarray]:
    """Tracks and the towers of what left none, all without a mass, in order of events; (N, 4) d0, its error, dz, its
    error. charge (N,) and vertex (N, 3) in mm are those of the visible particles. kind: charge times 11, 13 or 211 of
    tracks, 22 and 130 of towers."""
    table = np.stack([detector.hadrons, detector.electrons, detector.muons])
    family = np.where(visible.kind == 11, 1, np.where(visible.kind == 13, 2, 0))
    size = np.digitize(visible.pt, [1.0, 100.0])
    efficiency = table[family, (np.abs(visible.eta) > 1.5).astype(np.int64), size]
    inside = (charge != 0) & (visible.pt > TRACK_PT) & (np.abs(visible.eta) < TRACK_ETA)
    tracked = inside & (rng.random(len(visible)) < efficiency)

    found, place = visible[tracked], vertex[tracked]
    constant, slope = np.array(detector.resolution)[np.digitize(np.abs(found.eta), [0.5, 1.5])].T
    pt = found.pt * np.maximum(0.1, 1 + rng.normal(size=len(found)) * np.hypot(constant, slope * found.pt))
    code = np.array([211, 11, 13])[family[tracked]] * charge[tracked] * np.array([1, -1, -1])[family[tracked]]
    tracks = Objects.massless(found.event, pt, found.eta, found.phi, code)
    x, y, z = place.T
    along = (x * np.cos(found.phi) + y * np.sin(found.phi)) * np.sinh(found.eta)
    error_d0, error_dz = np.hypot(0.0236, 0.0868 / pt), np.hypot(0.0427, 0.144 / pt)
    d0 = y * np.cos(found.phi) - x * np.sin(found.phi) + error_d0 * rng.normal(size=len(found))
    dz = z - along + error_dz * rng.normal(size=len(found))

    towers = atlas_card.towers_of(visible[~tracked], charge[~tracked], rng, detector.card)
    columns = [np.concatenate(pair) for pair in zip(_columns(tracks), _columns(towers), strict=True)]
    displacement = np.zeros((len(columns[0]), 4))
    displacement[: len(tracks)] = np.stack([d0, error_d0, dz, error_dz], axis=1)
    order = np.argsort(columns[0], kind="stable")
    event, pt, eta, phi, kind = (column[order] for column in columns)
    return Objects.massless(event, pt, eta, phi, kind), displacement[order]


def _columns(objects: Objects) -> tuple[np.ndarray, ...]:
    return objects.event, objects.pt, objects.eta, objects.phi, objects.kind


def _clustered(objects: Objects, events: int, least: float) -> tuple[Objects, np.ndarray, np.ndarray]:
    """Jets of at least this pT, and each object that is in one with the jet's number: (jets, objects, numbers)."""
    import awkward as ak

    count = np.bincount(objects.event, minlength=events)
    columns = dict(zip(("px", "py", "pz", "E"), objects.momentum.T, strict=True))
    inputs = ak.unflatten(ak.zip(columns, with_name="Momentum4D"), count)
    clustered = pythia.imported("fastjet").ClusterSequence(inputs, pythia.anti_kt(RADIUS))
    found = clustered.inclusive_jets(min_pt=least)
    within = clustered.constituent_index(min_pt=least)
    event = np.repeat(np.arange(events), ak.num(found).to_numpy())
    flat = ak.flatten(found)
    momentum = np.stack([flat[axis].to_numpy() for axis in ("px", "py", "pz", "E")], axis=1)
    numbers = ak.flatten(ak.num(within, axis=2)).to_numpy()
    first = np.cumsum(count) - count
    members = ak.flatten(within, axis=None).to_numpy() + np.repeat(first[event], numbers)
    return Objects.of(event, momentum, np.zeros(len(event))), members, np.repeat(np.arange(len(event)), numbers)


@dataclass(frozen=True)
class History:
    """Particles of many events. event, code (N,); daughter1, daughter2 (N,), numbers within the event, 0 for none;
    momentum (N, 4)."""

    event: np.ndarray
    code: np.ndarray
    daughter1: np.ndarray
    daughter2: np.ndarray
    momentum: np.ndarray
    first: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "first", np.searchsorted(self.event, self.event))

    def matched(self, jets: Objects, resonance: int) -> tuple[np.ndarray, np.ndarray]:
        """Whether each jet lies within RADIUS of such a particle as it decays, and of all it decays to but neutrinos,
        (jets,) bool; and which particle that is (jets,), anything where it is none."""
        decaying = (np.abs(self.code) == resonance) & (self.daughter1 > 0)
        (which,) = np.nonzero(decaying & (self.code[self._daughter(self.daughter1)] != self.code))
        owner, product = self._products(which)
        parents = Objects.of(self.event[which], self.momentum[which], np.arange(len(which)))
        products = Objects.of(self.event[product], self.momentum[product], owner)
        wanted = np.bincount(owner, minlength=len(which)) + 1
        inside = np.zeros((len(jets), len(which)), np.int64)
        for others in (parents, products[np.argsort(products.event, kind="stable")]):
            left, right, distance = atlas_card.pairs(jets, others)
            near = distance < RADIUS
            np.add.at(inside, (left[near], others.kind[right[near]]), 1)
        complete = inside == wanted
        if not len(which):
            return np.zeros(len(jets), bool), np.zeros(len(jets), np.int64)
        of: np.ndarray = which[complete.argmax(axis=1)]
        return complete.any(axis=1), of

    def _daughter(self, number: np.ndarray) -> np.ndarray:
        """Rows of the daughters of all particles, by their numbers within the events."""
        row: np.ndarray = self.first + number
        return row

    def _products(self, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What these particles decay to, through further resonances and without neutrinos: (place in which, row)."""
        owner, row = np.arange(len(which)), which
        owners, rows = [], []
        while len(row):
            both = [self._daughter(number)[row] for number in (self.daughter1, self.daughter2)]
            owner, row = np.concatenate([owner, owner]), np.concatenate(both)
            row = self._as_it_decays(row)
            further = np.isin(np.abs(self.code[row]), RESONANCES)
            seen = ~further & ~np.isin(np.abs(self.code[row]), atlas_card.INVISIBLE)
            owners.append(owner[seen])
            rows.append(row[seen])
            owner, row = owner[further], row[further]
        return np.concatenate([*owners, np.zeros(0, np.int64)]), np.concatenate([*rows, np.zeros(0, np.int64)])

    def _as_it_decays(self, row: np.ndarray) -> np.ndarray:
        """The last copy of each resonance among these rows."""
        while True:
            following = self._daughter(self.daughter1)[row]
            copied = np.isin(np.abs(self.code[row]), RESONANCES) & (self.code[following] == self.code[row])
            if not copied.any():
                return row
            row = np.where(copied, following, row)


ATLAS = Detector(
    atlas_card.ATLAS,
    hadrons=((0.70, 0.95, 0.95), (0.60, 0.85, 0.85)),
    electrons=((0.73, 0.95, 0.99), (0.50, 0.83, 0.90)),
    muons=((0.75, 0.99, 0.99), (0.70, 0.98, 0.98)),
    resolution=((0.06, 1.3e-3), (0.10, 1.7e-3), (0.25, 3.1e-3)),
)


def _cms_electromagnetic(eta: np.ndarray, energy: np.ndarray) -> np.ndarray:
    barrel = np.sqrt((0.008 * energy) ** 2 + 0.11**2 * energy + 0.40**2)
    endcap = (2.16 + 5.6 * (eta - 2) ** 2) * barrel
    forward = np.sqrt((0.107 * energy) ** 2 + 2.08**2 * energy)
    outer = np.where(eta <= 2.5, endcap, forward)
    return np.where(eta <= 1.5, (1 + 0.64 * eta**2) * barrel, outer)


def _cms_hadronic(eta: np.ndarray, energy: np.ndarray) -> np.ndarray:
    central = np.sqrt((0.050 * energy) ** 2 + 1.50**2 * energy)
    return np.where(eta <= 3.0, central, np.sqrt((0.130 * energy) ** 2 + 2.70**2 * energy))


CMS = Detector(
    Card(
        bend=0.3 * 3.8 * 1.29 / 2,
        electromagnetic={
            "inner": 3.0,
            "eta": (0.0174, 0.175),
            "phi": (np.pi / 180, np.pi / 18),
            "resolution": _cms_electromagnetic,
            "threshold": 0.5,
            "significance": 2.0,
        },
        hadronic={
            "inner": 1.74,
            "eta": (0.087, 0.175),
            "phi": (np.pi / 36, np.pi / 18),
            "resolution": _cms_hadronic,
            "threshold": 1.0,
            "significance": 2.0,
        },
    ),
    hadrons=((0.70, 0.95, 0.95), (0.60, 0.85, 0.85)),
    electrons=((0.70, 0.95, 0.99), (0.50, 0.83, 0.90)),
    muons=((0.75, 0.99, 0.99), (0.70, 0.98, 0.98)),
    resolution=((0.01, 1.0e-4), (0.015, 1.5e-4), (0.025, 3.5e-4)),
)

HADRONIC_W = ("24:onMode = off", "24:onIfAny = 1 2 3 4 5")
TOP = ("Top:gg2ttbar = on", "Top:qqbar2ttbar = on")
QCD = Process(("HardQCD:all = on",))

TOP_TAGGING = Recipe(14_000.0, (550.0, 650.0), (400.0, 900.0), 200, ATLAS)
TOP_TAGGING_PROCESSES = (QCD, Process((*TOP, *HADRONIC_W), 6))

JETCLASS = Recipe(13_000.0, (500.0, 1000.0), (400.0, 1400.0), 128, CMS)
WITH_Z = ("HiggsSM:ffbar2HZ = on", "23:onMode = off", "23:onIfAny = 12 14 16", "25:onMode = off")
LEPTONIC_W = ("24:onMode = off", "24:onIfAny = 11 13")
HALF_LEPTONIC_W = ("24:onMode = off", "24:onPosIfAny = 11 13", "24:onNegIfAny = 1 2 3 4 5")
JETCLASS_PROCESSES = {
    "QCD": QCD,
    "Hbb": Process((*WITH_Z, "25:onIfMatch = 5 -5"), 25),
    "Hcc": Process((*WITH_Z, "25:onIfMatch = 4 -4"), 25),
    "Hgg": Process((*WITH_Z, "25:onIfMatch = 21 21"), 25),
    "H4q": Process((*WITH_Z, "25:onIfMatch = 24 -24", *HADRONIC_W), 25),
    "Hqql": Process((*WITH_Z, "25:onIfMatch = 24 -24", *HALF_LEPTONIC_W), 25),
    "Zqq": Process(
        (
            *("WeakBosonAndParton:qqbar2gmZg = on", "WeakBosonAndParton:qg2gmZq = on", "WeakZ0:gmZmode = 2"),
            *("23:onMode = off", "23:onIfAny = 1 2 3 4 5"),
        ),
        23,
    ),
    "Wqq": Process(("WeakBosonAndParton:qqbar2Wg = on", "WeakBosonAndParton:qg2Wq = on", *HADRONIC_W), 24),
    "Tbqq": Process((*TOP, *HADRONIC_W), 6),
    "Tbl": Process((*TOP, *LEPTONIC_W), 6),
}
"""Jets of JetClass by class. In H -> l nu q q the lepton is positive as often as negative: see `jetclass_process`."""


def jetclass_process(kind: str, number: int) -> Process:
    """The process of a class of JetClass; which W of a Higgs boson is leptonic alternates from chunk to chunk."""
    process = JETCLASS_PROCESSES[kind]
    if kind != "Hqql" or number % 2 == 0:
        return process
    swapped = {
        "24:onPosIfAny = 11 13": "24:onNegIfAny = 11 13",
        "24:onNegIfAny = 1 2 3 4 5": "24:onPosIfAny = 1 2 3 4 5",
    }
    return replace(process, settings=tuple(swapped.get(one, one) for one in process.settings))


def soft_drop_mass(momenta: np.ndarray) -> np.ndarray:
    """(n,) GeV of (n, P, 4) jets, clustered by Cambridge and Aachen; beta = 0, z = 0.1: 1402.2657."""
    import awkward as ak

    fastjet = pythia.imported("fastjet")
    there = momenta[..., 3] > 0
    columns = {name: momenta[..., axis][there] for axis, name in enumerate(("px", "py", "pz", "E"))}
    inputs = ak.unflatten(ak.zip(columns, with_name="Momentum4D"), there.sum(axis=1))
    definition = fastjet.JetDefinition(fastjet.cambridge_algorithm, 2 * RADIUS)
    groomed = fastjet.ClusterSequence(inputs, definition).exclusive_jets_softdrop_grooming(R0=RADIUS)
    return np.asarray(ak.to_numpy(ak.flatten(groomed.msoftdrop, axis=None)))
