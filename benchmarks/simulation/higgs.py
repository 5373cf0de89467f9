"""A heavy Higgs boson H0 -> W H+ -> W W h0 -> W W b b, or top quarks, in a fast detector simulation: HIGGS, 1402.4735.

Collisions are from Pythia 8, the detector is `atlas_card`. Both classes have the final state of one charged lepton, a
neutrino, two light and two bottom quarks, and differ only in the process.

- Signal: `HiggsBSM:gg2H2` at 8 TeV, H0 of 425 GeV to a W and a charged Higgs boson of 325 GeV, this to a W and h0 of
  125 GeV, h0 to bottom quarks: the masses of 1402.4735. Background: `Top:gg2ttbar`, `Top:qqbar2ttbar`. Leading order,
  default tune, multi-parton interactions off. Which of the two W is leptonic alternates from chunk to chunk.
- Selection, as there: exactly one electron or muon and at least four jets, each with pT above 20 GeV and |eta| below
  2.5; two b-tags among the four hardest jets.
- Seven masses: m_jj, m_jjj, m_lv, m_jlv and m_wwbb, see `combinations`; m_bb of the two hardest tagged jets; m_wbb of
  these with the W, leptonic or hadronic, that comes nearer to 325 GeV.
- Normalisation, as there: angles less their mean, over their standard deviation; all others over their mean.

What differs from the official file. MadGraph made its collisions, an earlier Delphes card its detector. Its b-tags have
three values, here two. How it assigns jets to the masses is not said, nor are its constants of normalisation: those
below are of 4,000 events of this simulation. H0 and H+ are 1 GeV wide here. Half of the events are signal, there 53 %.
"""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any

import numpy as np

from hepbench.benchmarks.simulation import atlas_card, hepmass, pythia, units

ENERGY = 8000.0  # GeV, of the two protons
CHARGED_HIGGS = 325.0  # GeV
JETS = 4
BATCH = 150  # collisions asked of Pythia at a time
SIGNAL = (
    *("Higgs:useBSM = on", "HiggsBSM:gg2H2 = on", "HiggsH2:coup2HchgW = 1."),
    *("35:m0 = 425", f"37:m0 = {CHARGED_HIGGS}", "25:m0 = 125"),
    *(f"{code}:{setting}" for code in (35, 37) for setting in ("doForceWidth = on", "mWidth = 1", "onMode = off")),
    *("35:onIfMatch = 24 -37", "35:onIfMatch = -24 37", "37:onIfMatch = 24 25"),
    *("25:onMode = off", "25:onIfMatch = 5 -5"),
)
BACKGROUND = ("Top:gg2ttbar = on", "Top:qqbar2ttbar = on")


def generate(label: int, count: int, number: int, seed: int) -> np.ndarray:
    """(count, 28) float32 features, normalised, of background (0) or signal (1)."""
    rng = np.random.default_rng([seed, label, number])
    leptons, quarks = ("Pos", "Neg") if number % 2 == 0 else ("Neg", "Pos")
    collider = pythia.generator(
        f"Beams:eCM = {ENERGY}",
        "PartonLevel:MPI = off",
        *(SIGNAL if label else BACKGROUND),
        *("24:onMode = off", f"24:on{leptons}IfAny = 11 13", f"24:on{quarks}IfAny = 1 2 3 4 5"),
        seed=int(rng.integers(1, pythia.LARGEST_SEED)),
    )
    raw = pythia.first(count, collider, BATCH, partial(reconstruct, rng=rng))
    return normalise(raw).astype(np.float32)


def reconstruct(particles: Any, rng: np.random.Generator) -> np.ndarray:
    """(n, 28) features in GeV and radians of those events of an awkward array of particles that pass the selection."""
    found = atlas_card.reconstruct(particles, rng)
    leptons, jets, events = found.leptons, found.jets, len(particles)
    lepton_number = np.bincount(leptons.event, minlength=events)
    jet_number = np.bincount(jets.event, minlength=events)
    rank = np.arange(len(jets)) - (np.cumsum(jet_number) - jet_number)[jets.event]
    hardest = jets[rank < JETS]
    tags = np.bincount(hardest.event, hardest.kind, minlength=events)
    passed = (lepton_number == 1) & (jet_number >= JETS) & (tags >= 2)
    lepton, four = leptons[passed[leptons.event]], hardest[passed[hardest.event]]
    n = int(passed.sum())
    missing = found.missing[passed]
    shaped = [values.reshape(n, JETS) for values in (four.pt, four.eta, four.phi, four.kind)]
    return np.column_stack(
        [
            *(lepton.pt, lepton.eta, lepton.phi, np.hypot(*missing.T), np.arctan2(missing[:, 1], missing[:, 0])),
            np.stack(shaped, axis=2).reshape(n, 4 * JETS),
            masses(lepton.momentum, missing, four.momentum.reshape(n, JETS, 4), shaped[3]),
        ]
    )


def masses(lepton: np.ndarray, missing: np.ndarray, jets: np.ndarray, tagged: np.ndarray) -> np.ndarray:
    """(n, 7) m_jj, m_jjj, m_lv, m_jlv, m_bb, m_wbb and m_wwbb in GeV.

    lepton (n, 4), missing (n, 2), jets (n, 4, 4) by falling pT, tagged (n, 4) b-tags, two or more of an event.
    """
    m_jj, m_jjj, m_lv, m_jlv, m_wwbb = combinations(lepton, missing, jets, tagged).T
    order = np.argsort(-tagged, axis=1, kind="stable")
    ordered = np.take_along_axis(jets, order[..., None], axis=1)
    pair, hadronic = ordered[:, :2].sum(axis=1), ordered[:, 2:].sum(axis=1)
    leptonic = lepton + neutrino(lepton, missing)
    both = np.stack([hepmass.invariant_mass(w + pair) for w in (leptonic, hadronic)], axis=1)
    nearer = np.abs(both - CHARGED_HIGGS).argmin(axis=1)
    m_wbb = np.take_along_axis(both, nearer[:, None], axis=1)[:, 0]
    return np.column_stack([m_jj, m_jjj, m_lv, m_jlv, hepmass.invariant_mass(pair), m_wbb, m_wwbb])


def neutrino(lepton: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """(n, 4) momentum of the neutrino that makes the mass of the W with the lepton (n, 4), of both the slower one."""
    middle, root = hepmass.longitudinal(lepton, missing)
    return hepmass.neutrino(
        missing, np.where(np.abs(middle - root) < np.abs(middle + root), middle - root, middle + root)
    )


# (a, b, hadronic b, leptonic b), a and b the jets of the W.
ASSIGNMENTS = np.array([order for order in itertools.permutations(range(JETS)) if order[0] < order[1]])


def combinations(lepton: np.ndarray, missing: np.ndarray, jets: np.ndarray, tagged: np.ndarray) -> np.ndarray:
    """(n, 5) masses m_jj, m_jjj, m_lv, m_jlv, m_wwbb in GeV.

    lepton (n, 4), missing (n, 2), jets (n, 4, 4), tagged (n, 4) b-tags of the jets. Of the assignments of these to W, b
    and b that call as many tagged jets b as there are, at most two, the one is taken whose m_jj, m_jjj and m_jlv are
    nearest to W and top, each in units of a tenth of it.
    """
    w = lepton + neutrino(lepton, missing)
    pair = jets[:, ASSIGNMENTS[:, 0]] + jets[:, ASSIGNMENTS[:, 1]]  # (n, 12, 4)
    m_jj = hepmass.invariant_mass(pair)
    m_jjj = hepmass.invariant_mass(pair + jets[:, ASSIGNMENTS[:, 2]])
    m_jlv = hepmass.invariant_mass(w[:, None] + jets[:, ASSIGNMENTS[:, 3]])
    tags_used = tagged[:, ASSIGNMENTS[:, 2]] + tagged[:, ASSIGNMENTS[:, 3]]
    most = np.minimum(2, tagged.sum(axis=1))
    distance = (
        (m_jj / hepmass.W_MASS - 1) ** 2 + (m_jjj / hepmass.TOP_MASS - 1) ** 2 + (m_jlv / hepmass.TOP_MASS - 1) ** 2
    )
    best = np.where(tags_used == most[:, None], distance, np.inf).argmin(axis=1)
    row = np.arange(len(best))
    whole = hepmass.invariant_mass(w + jets.sum(axis=1))
    return np.column_stack([m_jj[row, best], m_jjj[row, best], hepmass.invariant_mass(w), m_jlv[row, best], whole])


# What is taken off and what the rest is divided by, in GeV and radians.
NORMALISATION = (
    (0, 60.13),  # lepton_pt
    (0.005354, 1.043),  # lepton_eta
    (-0.0211, 1.825),  # lepton_phi
    (0, 51.25),  # missing_pt
    (-0.006238, 1.832),  # missing_phi
    (0, 121.2),  # jet1_pt
    (0.01777, 1.081),  # jet1_eta
    (-0.003402, 1.802),  # jet1_phi
    (0, 0.5925),  # jet1_b_tag
    (0, 82.67),  # jet2_pt
    (-0.003423, 1.122),  # jet2_eta
    (-0.01203, 1.822),  # jet2_phi
    (0, 0.574),  # jet2_b_tag
    (0, 56.7),  # jet3_pt
    (0.02731, 1.159),  # jet3_eta
    (-0.006433, 1.79),  # jet3_phi
    (0, 0.4928),  # jet3_b_tag
    (0, 40.16),  # jet4_pt
    (0.01812, 1.243),  # jet4_eta
    (-0.04188, 1.815),  # jet4_phi
    (0, 0.4098),  # jet4_b_tag
    (0, 145.5),  # m_jj
    (0, 249.4),  # m_jjj
    (0, 87.95),  # m_lv
    (0, 190.6),  # m_jlv
    (0, 147.7),  # m_bb
    (0, 326.8),  # m_wbb
    (0, 566.3),  # m_wwbb
)

normalise = partial(units.normalise, normalisation=NORMALISATION)
denormalise = partial(units.denormalise, normalisation=NORMALISATION)
