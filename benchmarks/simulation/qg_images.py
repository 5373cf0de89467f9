"""Quark and gluon jets at 8 TeV as three images: tracks, electromagnetic and hadron calorimeter of CMS.

Pythia 8 generates dijets and pile-up; the further steps process the particles of many events at once:

    collide -> overlay -> propagate -> track, shower -> particle-flow jets -> select -> crop round the seed tower

The classes differ only in the pair of partons from the hard collision: gg for gluon, light quarks for quark. Colour
factors, hadronisation and decays are Pythia's.

Sources of formulae and constants
- Selection and images: the analysis code of the official data (MLAnalyzer's RecHitAnalyzer and ML4SCI/E2E): hard
  collisions of pT-hat 80 to 170 GeV; both partons matched within 0.4 to anti-kT R = 0.5 jets with pT > 70 GeV and
  |eta| < 2; both gluons, or both u, d or s; the first parton's jet. The seed is the tower of highest energy among the
  7x7 round the jet; 12 towers of the calorimeter on each side of it are needed, so |ieta| <= 16. Tracks stand at their
  direction at the vertex, weighted with pT; the energy of an HCAL tower is shared equally by its 5x5 pixels.
- Generator: Pythia 8.3, arXiv:2203.11601, default tune (Monash, 1404.5630). The official events are Pythia 6 Z2*.
- Pile-up: 21 inelastic collisions on average, CMS public luminosity results for 2012, Poisson distributed; of these the
  non-diffractive ones, drawn from a pool with a random azimuth and direction of the beams. Vertices spread by 5 cm.
- Geometry: CMS, JINST 3 (2008) S08004: field 3.8 T, crystals at a radius of 1.29 m and |z| = 3.17 m, towers of HCAL
  as in its table 5.1; beyond |eta| = 1.74 their azimuth is 10 degrees. PbWO4: X0 0.89 cm, Moliere radius 2.19 cm,
  interaction length 20.3 cm, 23 cm long, so 0.25 GeV for a minimum-ionising particle (PDG).
- Tracks: 1405.6569: pT > 0.1 GeV, |eta| < 2.5; for pions in the barrel the efficiency rises to 0.95 above 1 GeV, lost
  in nuclear interactions; resolution 0.7 % at 1 GeV, growing with pT.
- Electromagnetic showers: Grindhammer and Peters, hep-ex/0001020: core and tail of rational shape, integrated over
  5x5 crystals in closed form. Resolution 2.8 % / sqrt(E) + 0.3 % (S08004).
- Hadron showers: the first interaction is exponential in depth; from it on the longitudinal profile of Bock et al.,
  Nucl. Instrum. Meth. 186 (1981) 533. Response 1 - (1 - h/e) E^-0.18 (PDG, "Hadronic calorimeters"), e/h 1.4 for HCAL,
  whose scale is that 50 GeV pions give 50 GeV, 1.6 for ECAL. Resolution 84.7 % / sqrt(E) + 7.4 % (CMS, EPJ C 60 (2009)
  359). Radial profile as for the core above with 95 % within one interaction length.
- Noise and thresholds: ECAL 40 MeV a crystal, kept above 95 MeV (endcap 150 and 350 MeV); HCAL 0.2 GeV a tower, kept
  above 0.7 GeV (endcap 0.8 GeV), the thresholds of CMS' calorimeter towers.
- Jets: particle flow (1706.04965) taken as ideal: tracks as pions, other particles without mass from the calorimeters,
  where they pass the seeds of clusters, 0.23 GeV in ECAL and 0.8 GeV in HCAL; nothing is subtracted for pile-up and no
  energy correction applied, as for the uncorrected jets of the official data.

The official pixels were not available: nothing here is tuned to them, and numbers of hits per layer, noise, thresholds
may differ from theirs. What is known to differ: Pythia 8 for Pythia 6; one window of pT-hat with its own falling
spectrum, where the official sample may join narrower ones; the same pile-up for all jets, where the three official
files are three periods of 2012; no crystal without a deposit is above threshold. With 4,000 jets the ratio of tracks in
gluon and quark jets is 1.54, tracks carry 0.60 of the jet's pT, pT runs from 70 to 255 GeV, and an image has 85 pixels
with tracks, 256 crystals and 28 towers. Boosted trees on jet variables, trained on 2,800 of them, reach an AUC of 0.80
and 0.85 on two sets of 600; the best published for official images is 0.815. pT alone gives 0.58, since the spectra of
the two classes differ, and jets are not weighted to the same one.

Not included: tracker material (bremsstrahlung, conversions), fake tracks, out-of-time pile-up, noise hits without any
deposit, albedo, cracks. Secondary vertices are those of the collision.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from scipy.special import gammainc

from hepbench.benchmarks.simulation import pythia

SIZE = 125  # pixels of an image in eta and in phi
BLOCK = 5  # pixels of an HCAL tower in each
AROUND = 12  # towers on each side of the seed
SEARCH = 7  # towers in eta and in phi among which the seed is looked for
ETA_TOWER = 0.087
ETA_PIXELS, PHI_PIXELS = 280, 360
ETA_TOWERS, PHI_TOWERS = ETA_PIXELS // BLOCK, PHI_PIXELS // BLOCK
# Upper |eta| of the towers 1 to 28.
TOWER_ETA = np.array(
    [ETA_TOWER * n for n in range(1, 21)] + [1.830, 1.930, 2.043, 2.172, 2.322, 2.500, 2.650, 3.000],
)
ETA_EDGES = np.concatenate([-TOWER_ETA[::-1], [0.0], TOWER_ETA])
WIDE_TOWER = 20  # from this one on, counted from 0 outwards, a tower spans two of phi

BEAM_ENERGY = 8000.0  # GeV, both beams
PT_HAT = (80.0, 170.0)
JET_RADIUS, JET_PT, JET_ETA, MATCH = 0.5, 70.0, 2.0, 0.4
PILE_UP = 21 * 50.9 / 72.7  # non-diffractive among 21 inelastic collisions, by Pythia's cross-sections in mb
POOL = 600  # pile-up collisions of a seed, from which every event draws
PROCESSES = (
    ("HardQCD:gg2gg", "HardQCD:qqbar2gg"),
    ("HardQCD:qq2qq", "HardQCD:gg2qqbar", "HardQCD:qqbar2qqbarNew"),
)

FIELD, RADIUS, HALF_LENGTH = 3.8, 1.29, 3.17  # T, m, m
VERTEX_SPREAD = 0.05  # m
ETA_HIGHEST = 3.0
CRYSTAL = 2 * np.pi / PHI_PIXELS

TRACK_PT, TRACK_ETA = 0.1, 2.5
MOLIERE, INTERACTION, RADIATION, CRYSTAL_LENGTH = 0.0219, 0.203, 0.0089, 0.23  # m
CORE, CORE_SHARE, TAIL = 0.13, 0.88, 0.71  # radii in Moliere radii at the shower's maximum
HADRON_RADIUS = 0.23  # in interaction lengths
HCAL_INTERACTION, HCAL_RADIUS = 0.19, 1.8  # m, brass with its gaps; depth at which towers are met
MINIMUM_IONISING = 0.25  # GeV in ECAL
SPOTS = 10  # of a hadron shower in each calorimeter
ECAL_NOISE, ECAL_THRESHOLD = (0.040, 0.150), (0.095, 0.350)  # GeV, barrel and endcap
HCAL_NOISE, HCAL_THRESHOLD = 0.2, (0.7, 0.8)
PARTICLE_FLOW = (0.23, 0.8)  # GeV, ECAL and HCAL
PION = 0.1396  # GeV
BARREL_ETA = 1.479

CHARGED = (11, 13, 211, 321, 2212)
LEPTONS_OUT = (12, 14, 16)


def generate(label: int, events: int, seed: list[int], collisions: float = PILE_UP) -> dict[str, np.ndarray]:
    """Jets of one class. label: 0 gluon, 1 quark. seed: the first number alone fixes the pool of pile-up. collisions:
    of an event's pile-up, on average.

    Gives index (n, P) int32, the flat pixel in (channel, eta, phi) with one entry, the middle pixel, for each HCAL
    tower, and values (n, P) float32, padded with 0; pt and m0 (n,) float32 in GeV.
    """
    rng = np.random.default_rng(seed)
    hooks = _central()()
    spectrum = (f"PhaseSpace:pTHatMin = {PT_HAT[0]}", f"PhaseSpace:pTHatMax = {PT_HAT[1]}")
    collider = _collider(rng, *(f"{process} = on" for process in PROCESSES[label]), *spectrum, hooks=hooks)
    pool = pile_up(seed[0])
    found: list[dict[str, np.ndarray]] = []
    count, tried = 0, 0
    while count < events:
        share = max(count, 1) / max(tried, 4)
        batch = int(np.clip(1.1 * (events - count) / share, 10, 200))
        jets = _jets(_overlay(collide(collider, batch), pool, batch, collisions, rng), batch, rng)
        tried += batch
        count += len(jets["pt"])
        found.append(jets)
    width = max(jets["index"].shape[1] for jets in found)
    for jets in found:
        for name in ("index", "values"):
            jets[name] = np.pad(jets[name], ((0, 0), (0, width - jets[name].shape[1])))
    return {name: np.concatenate([jets[name] for jets in found])[:events] for name in found[0]}


def _collider(rng: np.random.Generator, *settings: str, hooks: Any = None) -> Any:
    seed = int(rng.integers(1, pythia.LARGEST_SEED))
    return pythia.generator(f"Beams:eCM = {BEAM_ENERGY}", *settings, seed=seed, hooks=hooks)


@lru_cache
def _central() -> Any:
    """Drops hard collisions whose partons no jet of the selection can match, before time goes into their showers."""
    highest = (
        TOWER_ETA[ETA_TOWERS // 2 - AROUND - 1] + (SEARCH // 2 + 1) * ETA_TOWER + MATCH,  # of the jet in the image
        JET_ETA + MATCH,
    )

    class Central(pythia.imported("pythia8mc").UserHooks):  # type: ignore[misc]  # of untyped bindings
        def canVetoProcessLevel(self) -> bool:
            return True

        def doVetoProcessLevel(self, process: Any) -> bool:
            return any(abs(process[5 + n].eta()) > highest[n] for n in (0, 1))

    return Central


def collide(collider: Any, events: int) -> dict[str, np.ndarray]:
    """Visible final particles of a number of events, and partons (events, 2, 4) of the hard collision.

    particles: event, id, px, py, pz, energy, each (n,), ordered by event.
    """
    import awkward as ak

    record = collider.nextBatch(events).prt
    number = ak.num(record.id).to_numpy()
    event = np.repeat(np.arange(len(number)), number)
    status, kind = (ak.flatten(record[name]).to_numpy() for name in ("status", "id"))
    momentum = np.stack([ak.flatten(record.p[name]).to_numpy() for name in ("px", "py", "pz", "e")], axis=1)
    keep = (status > 0) & ~np.isin(np.abs(kind), LEPTONS_OUT)
    keep &= np.abs(momentum[:, 2]) < np.sinh(ETA_HIGHEST + 0.5) * np.hypot(momentum[:, 0], momentum[:, 1])
    first = np.cumsum(number) - number
    partons = np.stack([first + 5, first + 6], axis=1)  # places in Pythia's record of a 2 -> 2 collision
    hard = np.abs(status[partons]) == 23
    return {
        "event": event[keep],
        "id": kind[keep],
        "momentum": momentum[keep],
        "partons": np.where(hard[..., None], momentum[partons], np.nan),
        "parton_ids": kind[partons],
    }


@lru_cache(maxsize=2)
def pile_up(seed: int) -> dict[str, np.ndarray]:
    """POOL collisions, by the seed alone, so that each process makes them once."""
    rng = np.random.default_rng([seed, 2**31])
    return collide(_collider(rng, "SoftQCD:nonDiffractive = on"), POOL)


def _overlay(
    hard: dict[str, np.ndarray],
    pool: dict[str, np.ndarray],
    events: int,
    collisions: float,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Add to each event its pile-up, each collision turned by a random azimuth and along a random beam."""
    number = rng.poisson(collisions, events)
    which = rng.integers(0, POOL, number.sum())
    size = np.bincount(pool["event"], minlength=POOL)
    start = np.cumsum(size) - size
    taken = size[which]
    collision = np.repeat(np.arange(len(which)), taken)
    place = np.arange(taken.sum()) + np.repeat(start[which] - (np.cumsum(taken) - taken), taken)
    turn = rng.uniform(-np.pi, np.pi, len(which))[collision]
    beam = rng.choice([-1.0, 1.0], len(which))[collision]
    px, py, pz, energy = pool["momentum"][place].T
    cos, sin = np.cos(turn), np.sin(turn)
    extra = np.stack([cos * px - sin * py, sin * px + cos * py, beam * pz, energy], axis=1)
    vertex = rng.normal(0, VERTEX_SPREAD, events)
    others = rng.normal(0, VERTEX_SPREAD, len(which))
    return {
        "event": np.concatenate([hard["event"], np.repeat(np.arange(events), number)[collision]]),
        "id": np.concatenate([hard["id"], pool["id"][place]]),
        "momentum": np.concatenate([hard["momentum"], extra]),
        "vertex": np.concatenate([vertex[hard["event"]], others[collision]]),
        "partons": hard["partons"],
        "parton_ids": hard["parton_ids"],
    }


def propagate(
    pt: np.ndarray, pz: np.ndarray, phi: np.ndarray, charge: np.ndarray, vertex: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where particles from (0, 0, vertex) meet the calorimeter: eta and phi as seen from the middle of the detector.

    Helices in a field along z: a chord of length d across the field turns by asin(d / 2R), R = pT / (0.3 B). One that
    does not reach the barrel's radius goes on to an endcap.
    """
    diameter = np.where(charge == 0, np.inf, 2 * pt / (0.299792458 * FIELD))
    reaches = diameter > RADIUS
    turn = np.arcsin(np.minimum(RADIUS / diameter, 1.0))
    along = np.where(charge == 0, RADIUS, np.where(reaches, np.nan_to_num(diameter, posinf=0) * turn, np.inf))
    slope = pz / pt
    with np.errstate(invalid="ignore"):
        z = vertex + along * slope
    end = ~reaches | (np.abs(z) > HALF_LENGTH)
    path = (HALF_LENGTH - np.sign(slope) * vertex) / np.maximum(np.abs(slope), 1e-9)
    half_turn = np.where(charge == 0, 0.0, path / diameter)
    chord = np.where(charge == 0, path, np.abs(np.nan_to_num(diameter, posinf=0) * np.sin(half_turn)))
    rho = np.where(end, np.maximum(chord, 1e-3), RADIUS)
    eta = np.arcsinh(np.where(end, np.sign(slope) * HALF_LENGTH, np.where(end, 0, z)) / rho)
    return eta, wrap(phi - charge * np.where(end, half_turn, turn))


def wrap(phi: np.ndarray) -> np.ndarray:
    """An angle into [-pi, pi)."""
    return (phi + np.pi) % (2 * np.pi) - np.pi


def eta_to_pixel(eta: np.ndarray) -> np.ndarray:
    """Fractional pixel in eta, 0 to 280; five pixels share a tower equally."""
    result: np.ndarray = np.interp(eta, ETA_EDGES, np.arange(ETA_TOWERS + 1) * float(BLOCK))
    return result


def contained(x: np.ndarray, y: np.ndarray, radius: np.ndarray | float) -> np.ndarray:
    """Integral of R^2 / pi / (r^2 + R^2)^2 over the rectangle between (0, 0) and (x, y), positive or negative."""
    across, down = np.hypot(x, radius), np.hypot(y, radius)
    result: np.ndarray = (x / across * np.arctan(y / across) + y / down * np.arctan(x / down)) / (2 * np.pi)
    return result


def electromagnetic(eta_pixel: np.ndarray, phi_pixel: np.ndarray, width: np.ndarray) -> np.ndarray:
    """(n, 5, 5) share of a shower's energy in the crystals round the one that it meets.

    eta_pixel, phi_pixel: where it is met, in pixels. width: of a pixel in metres.
    """
    edges = np.arange(-2.0, 4.0)
    x = (edges - (eta_pixel % 1)[:, None])[:, :, None]
    y = (edges - (phi_pixel % 1)[:, None])[:, None, :]
    share = np.zeros((len(x), 5, 5))
    for part, radius in ((CORE_SHARE, CORE), (1 - CORE_SHARE, TAIL)):
        corners = contained(x, y, (radius * MOLIERE / width)[:, None, None])
        share = share + part * np.diff(np.diff(corners, axis=1), axis=2)
    return share


def hadronic(energy: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Energies that hadrons leave in ECAL and HCAL, as the calibrated calorimeters see them before resolution."""
    deep = CRYSTAL_LENGTH / INTERACTION
    left = deep - rng.exponential(1.0, len(energy))  # interaction lengths of ECAL behind the first interaction
    interacts = left > 0
    log = np.log(np.maximum(energy, 1.0))
    a, d = 0.62 + 0.32 * log, 0.91 - 0.024 * log
    left = np.maximum(left, 0)
    share = 0.46 * gammainc(a, 0.22 * left * INTERACTION / RADIATION) + 0.54 * gammainc(a, d * left)
    rest = np.maximum(energy, 1.0) ** -0.18
    ecal = np.where(interacts, share * energy * (1 - (1 - 1 / 1.6) * rest), np.minimum(MINIMUM_IONISING, energy))
    scale = (1 - (1 - 1 / 1.4) * rest) / (1 - (1 - 1 / 1.4) * 50**-0.18)
    hcal = np.where(interacts, (1 - share) * energy, np.maximum(energy - MINIMUM_IONISING, 0)) * scale
    return ecal, hcal


def _smeared(energy: np.ndarray, stochastic: float, constant: float, rng: np.random.Generator) -> np.ndarray:
    """A gamma distribution of the right mean and spread, which leaves no negative energy."""
    relative = np.hypot(stochastic / np.sqrt(np.maximum(energy, 1e-3)), constant)
    shape = 1 / relative**2
    result: np.ndarray = rng.gamma(shape) / shape * energy
    return result


def tracked(pt: np.ndarray, eta: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(found, pT as measured) of charged particles."""
    efficiency = np.interp(np.log10(np.maximum(pt, 1e-3)), [-1.0, -0.7, -0.4, 0.0], [0.0, 0.6, 0.85, 0.95])
    efficiency = efficiency * np.interp(np.abs(eta), [1.0, TRACK_ETA], [1.0, 0.87])
    found = (rng.random(len(pt)) < efficiency) & (pt > TRACK_PT) & (np.abs(eta) < TRACK_ETA)
    resolution = np.hypot(0.007, 1.5e-4 * pt) * np.interp(np.abs(eta), [1.0, TRACK_ETA], [1.0, 2.5])
    return found, pt * np.exp(resolution * rng.normal(size=len(pt)))


def _jets(particles: dict[str, np.ndarray], events: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """The first parton's jet of each event that passes the selection."""
    event, kind, momentum = particles["event"], np.abs(particles["id"]), particles["momentum"]
    px, py, pz, energy = momentum.T
    pt, phi = np.hypot(px, py), np.arctan2(py, px)
    eta = np.arcsinh(pz / pt)
    charge = np.isin(kind, CHARGED) * np.sign(particles["id"]) * np.where(kind < 20, -1, 1)
    cal_eta, cal_phi = propagate(pt, pz, phi, charge, particles["vertex"])
    muon, shower = kind == 13, (kind == 11) | (kind == 22)
    hadron = ~muon & ~shower

    found, track_pt = tracked(pt, eta, rng)
    found &= charge != 0
    ecal, hcal = np.zeros(len(pt)), np.zeros(len(pt))
    ecal[shower] = _smeared(energy[shower], 0.028, 0.003, rng)
    ecal[muon] = MINIMUM_IONISING
    ecal[hadron], hcal[hadron] = hadronic(energy[hadron], rng)
    for part in (ecal, hcal):
        part[hadron] = _smeared(part[hadron], 0.847, 0.074, rng)

    candidates = _candidates(momentum[:, :3], found, track_pt / pt, ecal, hcal)
    pt_jet, eta_jet, phi_jet, mass = _matched_jets(event, candidates, particles, events)
    chosen = np.isfinite(pt_jet)

    inside = (np.abs(cal_eta) < ETA_HIGHEST) & chosen[event]
    hit = inside & (hcal > 0)
    towers = _towers(event[hit], cal_eta[hit], cal_phi[hit], hcal[hit], events, rng)
    seed_eta, seed_phi = _seeds(towers, eta_jet, phi_jet, chosen)
    chosen &= (seed_eta >= AROUND) & (seed_eta < ETA_TOWERS - AROUND)
    new = np.cumsum(chosen) - 1  # place of an event among the chosen
    seeds = (seed_eta[chosen], seed_phi[chosen])

    keep = found & chosen[event] & (np.abs(eta) < ETA_HIGHEST)
    tracks = _window(new[event[keep]], eta_to_pixel(eta[keep]), _phi_pixel(phi[keep]), track_pt[keep], seeds)
    keep = inside & chosen[event]
    cells = _crystals(new[event[keep]], cal_eta[keep], cal_phi[keep], ecal[keep], shower[keep], muon[keep], seeds, rng)
    blocks = _blocks(towers[chosen], seeds)
    image = np.concatenate([tracks, cells, blocks], axis=1)  # (n, 3 * 125 * 125)
    index, values = _padded(image)
    return {
        "index": index,
        "values": values,
        "pt": pt_jet[chosen].astype(np.float32),
        "m0": mass[chosen].astype(np.float32),
    }


def _candidates(
    momentum: np.ndarray, found: np.ndarray, scale: np.ndarray, ecal: np.ndarray, hcal: np.ndarray
) -> np.ndarray:
    """(n, 4) momenta of the particles as particle flow takes them: tracks as pions, others without mass from what the
    calorimeters see above the seeds of its clusters, zero below."""
    p = np.linalg.norm(momentum, axis=1)
    seen = ecal * (ecal > PARTICLE_FLOW[0]) + hcal * (hcal > PARTICLE_FLOW[1])
    measured = np.where(found, scale * p, seen)
    energy = np.where(found, np.hypot(measured, PION), measured)
    return np.concatenate([momentum * (measured / p)[:, None], energy[:, None]], axis=1)


def _matched_jets(
    event: np.ndarray, momentum: np.ndarray, particles: dict[str, np.ndarray], events: int
) -> tuple[np.ndarray, ...]:
    """pT, eta, phi and mass of the first parton's jet; NaN where the event is not selected."""
    import awkward as ak

    keep = np.abs(momentum[:, 2]) < np.sinh(JET_ETA + JET_RADIUS + 0.1) * np.hypot(momentum[:, 0], momentum[:, 1])
    keep &= momentum[:, 3] > 0
    order = np.flatnonzero(keep)[np.argsort(event[keep], kind="stable")]
    number = np.bincount(event[order], minlength=events)
    flat = ak.zip({name: momentum[order, n] for n, name in enumerate(("px", "py", "pz", "E"))}, with_name="Momentum4D")
    clusters = pythia.imported("fastjet").ClusterSequence(ak.unflatten(flat, number), pythia.anti_kt(JET_RADIUS))
    jets = clusters.inclusive_jets(min_pt=JET_PT)
    px, py, pz, energy = (
        ak.to_numpy(ak.fill_none(ak.pad_none(jets[n], 8, clip=True), np.nan)) for n in ("px", "py", "pz", "E")
    )
    pt, phi = np.hypot(px, py), np.arctan2(py, px)
    eta = np.arcsinh(pz / pt)
    pt = np.where(np.abs(eta) < JET_ETA, pt, np.nan)  # (events, 8)
    mass = np.sqrt(np.maximum(energy**2 - px**2 - py**2 - pz**2, 0))

    qx, qy, qz, _ = np.moveaxis(particles["partons"], 2, 0)  # (events, 2)
    parton_eta, parton_phi = np.arcsinh(qz / np.hypot(qx, qy)), np.arctan2(qy, qx)
    distance = np.hypot(eta[:, None] - parton_eta[..., None], wrap(phi[:, None] - parton_phi[..., None]))
    near = (distance < MATCH) & np.isfinite(pt)[:, None]  # (events, 2, 8)
    rank = np.where(near, pt[:, None], -1).argmax(axis=2)
    kind = np.abs(particles["parton_ids"])
    light = ((kind < 4) | (kind == 21)).all(axis=1) & ((kind[:, 0] == 21) == (kind[:, 1] == 21))
    good = near.any(axis=2).all(axis=1) & (rank[:, 0] != rank[:, 1]) & light
    row = np.arange(events)
    return tuple(np.where(good, values[row, rank[:, 0]], np.nan) for values in (pt, eta, phi, mass))


def _phi_pixel(phi: np.ndarray) -> np.ndarray:
    """Fractional pixel in phi, 0 to 360."""
    return (phi + np.pi) / CRYSTAL % PHI_PIXELS


def _spots(radius: np.ndarray | float, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(n, count) offsets across a hadron's direction drawn from R^2 / pi / (r^2 + R^2)^2."""
    share = rng.random((count, SPOTS))
    r = np.reshape(radius, (-1, 1)) * np.sqrt(share / (1 - share))
    angle = rng.uniform(0, 2 * np.pi, r.shape)
    return r * np.cos(angle), r * np.sin(angle)


def _towers(
    event: np.ndarray, eta: np.ndarray, phi: np.ndarray, energy: np.ndarray, events: int, rng: np.random.Generator
) -> np.ndarray:
    """(events, 56, 72) energy of the HCAL towers above threshold."""
    radius = HADRON_RADIUS * HCAL_INTERACTION / (HCAL_RADIUS * BLOCK * CRYSTAL)
    along, across = _spots(radius, len(energy), rng)
    row = np.floor(eta_to_pixel(eta)[:, None] / BLOCK + along).astype(np.int64)
    column = np.floor(_phi_pixel(phi)[:, None] / BLOCK + across).astype(np.int64) % PHI_TOWERS
    weight = rng.exponential(1.0, row.shape)
    weight *= (energy / weight.sum(axis=1))[:, None]
    ok = (row >= 0) & (row < ETA_TOWERS)
    flat = (event[:, None] * ETA_TOWERS + row) * PHI_TOWERS + column
    towers = np.bincount(flat[ok], weight[ok], minlength=events * ETA_TOWERS * PHI_TOWERS)
    towers = towers.reshape(events, ETA_TOWERS, PHI_TOWERS)
    outward = np.maximum(np.arange(ETA_TOWERS) - ETA_TOWERS // 2, ETA_TOWERS // 2 - 1 - np.arange(ETA_TOWERS))
    wide = outward >= WIDE_TOWER
    pairs = towers[:, wide].reshape(events, wide.sum(), PHI_TOWERS // 2, 2)
    towers[:, wide] = np.repeat(pairs.mean(axis=3), 2, axis=2)
    hit = towers > 0
    noise = rng.normal(0, HCAL_NOISE, towers.shape)
    towers = np.where(hit, towers + np.where(wide[:, None], noise[:, :, PHI_TOWERS - 1 :], noise), 0)
    threshold = np.where(outward >= 16, HCAL_THRESHOLD[1], HCAL_THRESHOLD[0])[:, None]
    return np.where(towers > threshold, towers, 0)


def _seeds(towers: np.ndarray, eta: np.ndarray, phi: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of the tower of highest energy among the 7x7 round each jet; the nearest one where all are 0."""
    row = np.floor(eta_to_pixel(np.where(chosen, eta, 0)) / BLOCK).astype(np.int64)
    column = np.floor(_phi_pixel(np.where(chosen, phi, 0)) / BLOCK).astype(np.int64)
    step = np.array([0, -3, -2, -1, 1, 2, 3])
    rows = np.clip(row[:, None] + step, 0, ETA_TOWERS - 1)
    columns = (column[:, None] + step) % PHI_TOWERS
    near = towers[np.arange(len(row))[:, None, None], rows[:, :, None], columns[:, None, :]]
    best = near.reshape(len(row), len(step) ** 2).argmax(axis=1)
    place = np.arange(len(row))
    return rows[place, best // 7], columns[place, best % 7]


def _window(
    event: np.ndarray,
    eta_pixel: np.ndarray,
    phi_pixel: np.ndarray,
    weight: np.ndarray,
    seeds: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """(n, 125 * 125) sums of weights in the pixels round each seed tower."""
    row = np.floor(eta_pixel).astype(np.int64) - (seeds[0][event] - AROUND) * BLOCK
    column = (np.floor(phi_pixel).astype(np.int64) - (seeds[1][event] - AROUND) * BLOCK) % PHI_PIXELS
    ok = (row >= 0) & (row < SIZE) & (column < SIZE)
    flat = (event * SIZE + row) * SIZE + column
    image = np.bincount(flat[ok], weight[ok], minlength=len(seeds[0]) * SIZE**2).reshape(-1, SIZE**2)
    return image.astype(np.float64, copy=False)  # numpy counts nothing in integers


def _crystals(
    event: np.ndarray,
    eta: np.ndarray,
    phi: np.ndarray,
    energy: np.ndarray,
    shower: np.ndarray,
    muon: np.ndarray,
    seeds: tuple[np.ndarray, np.ndarray],
    rng: np.random.Generator,
) -> np.ndarray:
    """(n, 125 * 125) energy of the crystals above threshold."""
    row, column = eta_to_pixel(eta), _phi_pixel(phi)
    width = CRYSTAL * np.where(np.abs(eta) < BARREL_ETA, RADIUS, HALF_LENGTH / np.sinh(np.maximum(np.abs(eta), 1.0)))
    image = _window(event[muon], row[muon], column[muon], energy[muon], seeds)

    step = np.arange(-2, 3)
    share = electromagnetic(row[shower], column[shower], width[shower])
    rows = np.broadcast_to(row[shower][:, None, None] + step[:, None], share.shape)
    columns = np.broadcast_to(column[shower][:, None, None] + step, share.shape)
    weight = share * energy[shower][:, None, None]
    events = np.broadcast_to(event[shower][:, None, None], share.shape)
    image += _window(events.ravel(), rows.ravel(), columns.ravel(), weight.ravel(), seeds)

    hadron = ~shower & ~muon
    along, across = _spots(HADRON_RADIUS * INTERACTION / width[hadron], hadron.sum(), rng)
    weight = rng.exponential(1.0, along.shape)
    weight *= (energy[hadron] / weight.sum(axis=1))[:, None]
    rows, columns = row[hadron][:, None] + along, column[hadron][:, None] + across
    events = np.repeat(event[hadron], SPOTS)
    image += _window(events, rows.ravel(), columns.ravel(), weight.ravel(), seeds)

    hit = np.flatnonzero(image)
    pixel_row = seeds[0][hit // SIZE**2] * BLOCK - AROUND * BLOCK + hit % SIZE**2 // SIZE
    endcap = (np.abs(pixel_row + 0.5 - ETA_PIXELS / 2) > 85).astype(int)
    value = image.reshape(-1)[hit] + rng.normal(size=len(hit)) * np.array(ECAL_NOISE)[endcap]
    image.reshape(-1)[hit] = np.where(value > np.array(ECAL_THRESHOLD)[endcap], value, 0)
    return image


def _blocks(towers: np.ndarray, seeds: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """(n, 125 * 125) with each tower's energy in the middle pixel of its block."""
    step = np.arange(-AROUND, AROUND + 1)
    rows, columns = seeds[0][:, None] + step, (seeds[1][:, None] + step) % PHI_TOWERS
    image = np.zeros((len(towers), SIZE, SIZE))
    near = towers[np.arange(len(towers))[:, None, None], rows[:, :, None], columns[:, None, :]]
    image[:, BLOCK // 2 :: BLOCK, BLOCK // 2 :: BLOCK] = near
    return image.reshape(len(towers), SIZE**2)


def _padded(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index and value of the non-zero pixels of each event, padded to those of the fullest event."""
    row, pixel = np.nonzero(image)
    number = np.bincount(row, minlength=len(image))
    place = np.arange(len(row)) - (np.cumsum(number) - number)[row]
    index = np.zeros((len(image), max(1, number.max(initial=0))), np.int32)
    values = np.zeros(index.shape, np.float32)
    index[row, place], values[row, place] = pixel, image[row, pixel]
    return index, values
