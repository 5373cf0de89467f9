"""Higgs boson or background with a lepton and a hadronic tau: a kinematic stand-in for the challenge's events.

    process -> boson or top quarks with jets they recoil from -> taus, visible parts -> smeared -> selected -> variables

Purpose: the official layout, with its weights and missing values, without the official file. It is simpler than the
other simulations here: no matrix elements and no showers, but distributions drawn for each process with momentum
conserved in the transverse plane. Scores on it say nothing about scores on the official events.

- Signal: a resonance of 125 GeV to two taus; VBF of the events have two jets far apart in eta, as of vector-boson
  fusion.
- Background, the three kinds of the official file: Z -> tau tau (91.19 GeV, width 2.5 GeV), W -> lepton with a jet that
  is taken for a tau, top pairs with a lepton and a tau, which are the daughters of one object of 60 to 400 GeV here.
  Shares of events and of the expected number are choices, MIX.
- Taus decay in their own direction; the visible share of the momentum has (1 - z)(5 + 5z - 4z^2)/3 for leptons
  (unpolarised, massless; Tsai, Phys. Rev. D 4 (1971) 2821, integrated), and for hadrons that of 0.2 + 0.8 times a
  beta variable, a choice.
- Resolution: tau 10 %, lepton 2 %, jets 80 %/sqrt(pT) + 5 %, missing momentum 0.5 sqrt(sum ET); choices of the size
  that LHC detectors have. Thresholds: lepton 26 GeV, tau 20 GeV, jets 30 GeV, |eta| 2.5 and 4.5 (the challenge's
  documentation, from memory).
- DER_mass_MMC: in place of ATLAS' calculator, the mean mass over shares of the visible momenta, each weighted by how
  well it explains the missing momentum; missing where none explains it within three standard deviations.
- Weights: the expected number of the class over the events of the official file, by process, with a spread.

Not included: tau polarisation, spin correlations, other backgrounds, pile-up, correlations of fake rates with momenta,
detector geometry, systematic uncertainties.
"""

from __future__ import annotations

import numpy as np

from hepbench.benchmarks.base import Arrays
from hepbench.benchmarks.formats.atlas_higgs import MISSING

MIX = {"Z": (0.55, 0.75), "W": (0.25, 0.20), "top": (0.20, 0.05)}
"""Process -> fraction of the background events, and of the expected number."""

VBF = 0.15
"""Fraction of the signal events, a choice."""

SPREAD = 0.3
"""Relative spread of the weights of a process, a choice."""

EVENTS = (538_678, 279_560)
"""Background and signal events of the official file (from memory)."""

EXPECTED = (410_999.847, 691.989)
"""Expected background and signal events, the sums of the official weights."""

SHARES = np.linspace(0.05, 0.95, 19)
"""Of a tau's momentum that is visible, over which the mass is averaged."""


def generate(label: int, count: int, number: int, seed: int) -> Arrays:
    """table (count, 30) float64 and weight (count,) of selected events; the same numbers give the same events."""
    rng = np.random.default_rng([seed, label, number])
    shares = {"H": (1.0, 1.0)} if label else MIX
    numbers = rng.multinomial(count, [of_events for of_events, _ in shares.values()])
    tables, weights = [], []
    for (process, (of_events, of_expected)), wanted in zip(shares.items(), numbers, strict=True):
        found = 0
        while found < wanted:
            table = _selected(rng, process, 4 * count)[: wanted - found]
            each = EXPECTED[label] / EVENTS[label] * of_expected / of_events
            tables.append(table)
            weights.append(each * rng.lognormal(-(SPREAD**2) / 2, SPREAD, len(table)))
            found += len(table)
    order = rng.permutation(count)
    return {"table": np.concatenate(tables)[order], "weight": np.concatenate(weights)[order]}


def _selected(rng: np.random.Generator, process: str, size: int) -> np.ndarray:
    """(n, 30) of the events of a process that pass, of so many."""
    top, fake = process == "top", process == "W"
    jets = rng.choice(4, size, p=[0.52, 0.28, 0.13, 0.07])
    fusion = rng.random(size) < (VBF if process == "H" else 0)
    jets = np.where(fusion, np.maximum(jets, 2), jets)
    if top:
        jets = np.maximum(jets, rng.choice([1, 2, 3], size))

    jet_pt, jet_eta, jet_phi = _jets(rng, jets, fusion, top)
    recoil = -np.stack([(jet_pt * np.cos(jet_phi)).sum(axis=1), (jet_pt * np.sin(jet_phi)).sum(axis=1)])
    recoil += rng.normal(0, 8, (2, size))
    width = 2.495 / 2 * np.clip(rng.standard_cauchy(size), -20, 20)
    masses = {"H": np.full(size, 125.0), "Z": 91.19 + width, "W": np.full(size, 80.4)}
    mass = rng.uniform(60, 400, size) if top else masses[process]
    first, second = _two_body(rng, mass, recoil, rng.normal(0, 1.1, size))
    lepton = first if top or fake else _leptonic_share(rng, size) * first
    visible = _hadronic_share(rng, size) * second
    neutrinos = second if fake else first + second - lepton - visible
    if top:
        neutrinos[:2] += rng.exponential(30, size) * _directions(rng, size)

    tau_pt, tau_eta, tau_phi = _polar(visible)
    if fake:
        tau_pt, tau_eta = 20 + rng.exponential(15, size), rng.uniform(-2.5, 2.5, size)
        tau_phi = rng.uniform(-np.pi, np.pi, size)
    lep_pt, lep_eta, lep_phi = _polar(lepton)
    tau_pt, lep_pt = tau_pt * rng.normal(1, 0.10, size), lep_pt * rng.normal(1, 0.02, size)
    sum_et = tau_pt + lep_pt + jet_pt.sum(axis=1) + rng.gamma(4, 40, size)
    width = 0.5 * np.sqrt(np.maximum(sum_et, 1))
    met_x, met_y = neutrinos[0] + rng.normal(0, width), neutrinos[1] + rng.normal(0, width)
    smeared = jet_pt * (1 + rng.normal(0, 1, jet_pt.shape) * (0.8 / np.sqrt(np.maximum(jet_pt, 1)) + 0.05))
    order = np.argsort(-smeared, axis=1)
    jet_pt, jet_eta, jet_phi = (np.take_along_axis(one, order, 1) for one in (smeared, jet_eta, jet_phi))
    jets = (jet_pt > 30).sum(axis=1)
    jet_pt = np.where(jet_pt > 30, jet_pt, 0)

    chosen = np.flatnonzero((lep_pt > 26) & (tau_pt > 20) & (np.abs(lep_eta) < 2.5) & (np.abs(tau_eta) < 2.5))
    tau, lep = np.stack([tau_pt, tau_eta, tau_phi]), np.stack([lep_pt, lep_eta, lep_phi])
    per_event = (one[chosen] for one in (sum_et, width, jets, jet_pt, jet_eta, jet_phi))
    return _variables(tau[:, chosen], lep[:, chosen], np.stack([met_x, met_y])[:, chosen], *per_event)


def _jets(rng: np.random.Generator, jets: np.ndarray, fusion: np.ndarray, top: bool) -> tuple[np.ndarray, ...]:
    """(n, 3) pT, eta, phi of jets at the beginning of each row; pT 0 behind them."""
    shape = (len(jets), 3)
    there = np.arange(3) < jets[:, None]
    pt = there * (28 + rng.exponential(45 if top else 30, shape))
    eta = np.clip(rng.normal(0, 1.2 if top else 2.0, shape), -4.4, 4.4)
    side = rng.choice([-1, 1], len(jets))
    for jet, sign in ((0, 1), (1, -1)):  # of vector-boson fusion, forward and backward
        forward = sign * side * np.clip(rng.normal(2.4, 0.8, len(jets)), 0.5, 4.4)
        eta[:, jet] = np.where(fusion, forward, eta[:, jet])
    return pt, eta, rng.uniform(-np.pi, np.pi, shape)


def _two_body(
    rng: np.random.Generator, mass: np.ndarray, recoil: np.ndarray, rapidity: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(4, n) px, py, pz, E of two massless daughters, isotropic in the rest frame of what has this transverse
    momentum (2, n) and rapidity."""
    transverse = np.hypot(mass, np.hypot(*recoil))
    parent = np.stack([*recoil, transverse * np.sinh(rapidity), transverse * np.cosh(rapidity)])
    cosine, phi = rng.uniform(-1, 1, len(mass)), rng.uniform(-np.pi, np.pi, len(mass))
    sine = np.sqrt(1 - cosine**2)
    own = mass / 2 * np.stack([sine * np.cos(phi), sine * np.sin(phi), cosine])
    along = (own * parent[:3]).sum(axis=0)
    first = own + parent[:3] * (along / (parent[3] + mass) + mass / 2) / mass
    energy = (mass / 2 * parent[3] + along) / mass
    daughter = np.concatenate([first, energy[None]])
    return daughter, parent - daughter


def _leptonic_share(rng: np.random.Generator, size: int) -> np.ndarray:
    grid = np.linspace(0, 1, 400)
    density = (1 - grid) * (5 + 5 * grid - 4 * grid**2) / 3
    cumulative = np.cumsum(density)
    return np.interp(rng.random(size), cumulative / cumulative[-1], grid)


def _hadronic_share(rng: np.random.Generator, size: int) -> np.ndarray:
    return 0.2 + 0.8 * rng.beta(1.6, 1.3, size)


def _directions(rng: np.random.Generator, size: int) -> np.ndarray:
    phi = rng.uniform(-np.pi, np.pi, size)
    return np.stack([np.cos(phi), np.sin(phi)])


def _polar(momentum: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    pt = np.hypot(momentum[0], momentum[1])
    safe = np.maximum(pt, 1e-9)
    return pt, np.arcsinh(momentum[2] / safe), np.arctan2(momentum[1], momentum[0])


def _wrapped(phi: np.ndarray) -> np.ndarray:
    return np.asarray((phi + np.pi) % (2 * np.pi) - np.pi)


def _mass(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Of two massless (pT, eta, phi)."""
    return np.asarray(np.sqrt(2 * one[0] * other[0] * (np.cosh(one[1] - other[1]) - np.cos(one[2] - other[2]))))


def _variables(
    tau: np.ndarray,
    lep: np.ndarray,
    met: np.ndarray,
    sum_et: np.ndarray,
    width: np.ndarray,
    jets: np.ndarray,
    jet_pt: np.ndarray,
    jet_eta: np.ndarray,
    jet_phi: np.ndarray,
) -> np.ndarray:
    """(n, 30) in the order of VARIABLES, as the challenge's documentation defines them."""
    missing_pt, missing_phi = np.hypot(*met), np.arctan2(met[1], met[0])
    plane = [np.stack([one[0] * np.cos(one[2]), one[0] * np.sin(one[2])]) for one in (tau, lep)]
    of_jets = [np.stack([jet_pt[:, i] * np.cos(jet_phi[:, i]), jet_pt[:, i] * np.sin(jet_phi[:, i])]) for i in (0, 1)]
    one, two = jets >= 1, jets >= 2
    leading, subleading = (np.stack([jet_pt[:, i], jet_eta[:, i], jet_phi[:, i]]) for i in (0, 1))
    visible = _mass(tau, lep)
    apart, middle = leading[1] - subleading[1], (leading[1] + subleading[1]) / 2
    turn = np.sign(np.sin(tau[2] - lep[2]))
    a, b = np.sin(missing_phi - lep[2]) * turn, np.sin(tau[2] - missing_phi) * turn
    columns = [
        _estimated_mass(visible, plane, met, width),
        np.sqrt(2 * lep[0] * missing_pt * (1 - np.cos(lep[2] - missing_phi))),
        visible,
        np.hypot(*(plane[0] + plane[1] + met)),
        np.where(two, np.abs(apart), MISSING),
        np.where(two, _mass(leading, subleading), MISSING),
        np.where(two, leading[1] * subleading[1], MISSING),
        np.hypot(tau[1] - lep[1], _wrapped(tau[2] - lep[2])),
        np.hypot(*(plane[0] + plane[1] + met + of_jets[0] + of_jets[1])),
        tau[0] + lep[0] + jet_pt.sum(axis=1),
        lep[0] / tau[0],
        (a + b) / np.maximum(np.hypot(a, b), 1e-9),
        np.where(two, np.exp(-4 / np.maximum(apart**2, 1e-9) * (lep[1] - middle) ** 2), MISSING),
        *tau,
        *lep,
        missing_pt,
        missing_phi,
        sum_et,
        jets,
        *np.where(one, leading, MISSING),
        *np.where(two, subleading, MISSING),
        jet_pt.sum(axis=1),
    ]
    return np.stack(columns, axis=1)


def _estimated_mass(visible: np.ndarray, plane: list[np.ndarray], met: np.ndarray, width: np.ndarray) -> np.ndarray:
    """(n,) mean of visible / sqrt(x y) over the shares x and y that the two visible momenta may have of their taus'."""
    x, y = (one.ravel() for one in np.meshgrid(SHARES, SHARES))
    expected = plane[0][:, :, None] * (1 / x - 1) + plane[1][:, :, None] * (1 / y - 1)  # (2, n, shares)
    chi2 = (((expected - met[:, :, None]) / width[:, None]) ** 2).sum(axis=0)
    likely = np.exp(-(chi2 - chi2.min(axis=1, keepdims=True)) / 2) * (1 - y) * (5 + 5 * y - 4 * y**2)
    mean = (likely / np.sqrt(x * y)).sum(axis=1) / likely.sum(axis=1)
    return np.asarray(np.where(chi2.min(axis=1) < 9, visible * mean, MISSING))
