"""A new particle X -> t tbar or Standard-Model t tbar in the lepton + jets channel, in a fast detector simulation.

Events are from Pythia 8; the detector follows the formulae of Delphes' ATLAS card, applied to whole batches at once:

    Pythia -> particles -> towers -> jets -> b-tags
                        -> leptons (efficiency, momentum, isolation)
                        -> missing momentum
           -> selection -> mass combinations -> features, in GeV and radians -> normalised

The classes differ only in the process. A background event has no mass and gets one at random.

What the official events are like. Beside the normalised file of UCI there was one in GeV. `angarmin/hepmass` on GitHub
(a master's thesis; code/visualization, two notebooks at commit 28104d5) has the quantiles of 140,000 of its rows, how
many have which b-tags, and histograms of each feature by mass. From these is known, and held against this simulation by
`benchmarks/validation/hepmass.py`:

- Leptons have pT > 15 GeV and |eta| < 2.5, jets pT > 20 GeV and |eta| < 3; missing momentum starts at 0.
- No row has more than two b-tags among its four jets, 86 % have two, 13 % one, 0.6 % none: tagged are two jets of all.
- Of signal events at any mass 50 % have more than four jets, and the hardest ones share out half the mass evenly: X is
  made by gluons and decays with no preferred direction. It is narrow: few events are below its mass.
- m_jjj has a cusp at the top quark's mass, m_jj and m_jlv have none: of all pairs of jets without a tag and both jets
  with one, those three are taken whose mass is nearest to it; the other tagged jet makes m_jlv.
- m_lv is the W's mass or more. m_jlv is as wide as one solution for the neutrino makes it that is right in half the
  events. m_wwbb is of lepton, neutrino and the four hardest jets.
- Jets are as hard, and tagged as often by their rank, as with Delphes' ATLAS card of August 2014, the date in the names
  of its files; not as with the card of 2015 and later.

Sources of formulae and constants
- Processes: Pythia 8, `HiggsSM:gg2H` with the scalar's mass set to that of X, its width to 1 GeV and its decays to top
  quarks; `Top:gg2ttbar`, `Top:qqbar2ttbar`; pp at 8 TeV, leading order with Pythia's showers, hadronisation and decays
  in its default tune (Monash 2013, 1404.5630). One W decays to an electron or a muon, the other to quarks; which of the
  two is leptonic alternates from chunk to chunk.
- Detector: `atlas_card.ATLAS_2014` with these thresholds, anti-kT jets of R = 0.6.
- 15 widths: what MadGraph allows a resonance that decays, by the default of its `bwcutoff`.
- Masses: PDG review.

Choices where nothing is known: the energy of the protons; the width of X, which is below what is measured; that a third
b-tag rejects an event instead of being dropped. Normalisation: less the mean, over the standard deviation,
NORMALISATION below: to 5 % those of this simulation, half of it signal. The official file's own constants are others.

At most one event in four with two bottom jets has two tags. An event is therefore taken with its probability to have
two tags over the largest that there is, and tagged as such an event is, see `two_tags`: the same events come out as if
tags were drawn first and most events dropped, of 2.7 times fewer.

Not included: pile-up; multi-parton interactions; other backgrounds; tau decays of the W; matrix elements beyond leading
order; bending in eta; muons in jets. Isolation sums true particles, not measured ones. An electron's own jet is
identified by distance (0.4), not by shared towers. Missing momentum is from towers and isolated muons, where the card
sums energy flow. Multi-parton interactions would take three quarters of the time.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from math import comb
from typing import Any

import numpy as np

from hepbench.benchmarks.simulation import atlas_card, pythia, units

MASSES = (500, 750, 1000, 1250, 1500)  # GeV
W_MASS, TOP_MASS = 80.4, 172.5  # GeV
JETS = 4  # whose momenta are features
MOST_JETS = 12  # the hardest, among which tops are looked for

ENERGY = 8000.0  # GeV, of the two protons
WIDTH, WINDOW = 1.0, 15  # GeV, of X; widths on either side
BATCH = 50  # events asked of Pythia at a time
DETECTOR = replace(atlas_card.ATLAS_2014, lepton_pt=15.0, jet_eta=3.0)
LARGEST_TAG = 0.5  # no jet's b-tag is more probable
LIKELIEST = max(comb(n, 2) * LARGEST_TAG**2 * (1 - LARGEST_TAG) ** (n - 2) for n in range(2, MOST_JETS + 1))
"""The largest probability of two tags: it is linear in that of each jet, so that each is 0 or LARGEST_TAG there."""


def generate(label: int, count: int, number: int, seed: int) -> dict[str, np.ndarray]:
    """features (count, 27) float32, normalised, and mass (count, 1) float32 in GeV, of background (0) or signal (1).

    Any five signal events in a row have one of each mass.
    """
    rng = np.random.default_rng([seed, label, number])
    if label == 0:
        raw = _selected(None, count, number % 2, rng)
        mass = rng.choice(MASSES, count)
    else:
        share = -(-count // len(MASSES))
        by_mass = [_selected(mass, share, number % 2, rng) for mass in MASSES]
        raw = np.stack(by_mass, axis=1).reshape(-1, len(NORMALISATION))[:count]
        mass = np.resize(MASSES, count)
    return {"features": normalise(raw).astype(np.float32), "mass": mass[:, None].astype(np.float32)}


def _selected(mass: int | None, count: int, leptonic: int, rng: np.random.Generator) -> np.ndarray:
    """(count, 27) features of the first events that pass the selection."""
    collider = _collider(mass, leptonic, int(rng.integers(1, pythia.LARGEST_SEED)))
    return pythia.first(count, collider, BATCH, partial(reconstruct, rng=rng))


def _collider(mass: int | None, leptonic: int, seed: int) -> Any:
    """A Pythia of its own for each mass and chunk: one that has run before would remember it. leptonic: 0, the W+."""
    process = ["Top:gg2ttbar = on", "Top:qqbar2ttbar = on"]
    if mass is not None:
        process = ["HiggsSM:gg2H = on", f"25:m0 = {mass}", "25:doForceWidth = on", f"25:mWidth = {WIDTH}"]
        process += ["25:onMode = off", "25:onIfMatch = 6 -6"]
        process += [f"25:mMin = {mass - WINDOW * WIDTH}", f"25:mMax = {mass + WINDOW * WIDTH}"]
    leptons, quarks = ("Pos", "Neg") if leptonic == 0 else ("Neg", "Pos")
    decay = ["24:onMode = off", f"24:on{leptons}IfAny = 11 13", f"24:on{quarks}IfAny = 1 2 3 4 5"]
    return pythia.generator(f"Beams:eCM = {ENERGY}", "PartonLevel:MPI = off", *process, *decay, seed=seed)


def reconstruct(particles: Any, rng: np.random.Generator) -> np.ndarray:
    """(n, 27) features in GeV and radians of those events of an awkward array of particles that pass the selection."""
    found = atlas_card.reconstruct(particles, rng, card=DETECTOR)
    leptons, jets, events = found.leptons, found.jets, len(particles)
    number = np.bincount(jets.event, minlength=events)
    rank = np.arange(len(jets)) - (np.cumsum(number) - number)[jets.event]
    kept = rank < MOST_JETS
    tag, momentum = np.zeros((events, MOST_JETS)), np.zeros((events, MOST_JETS, 4))
    tag[jets.event[kept], rank[kept]] = found.tag[kept]
    momentum[jets.event[kept], rank[kept]] = jets.momentum[kept]

    passed, tagged = two_tags(tag, rng)
    passed &= (np.bincount(leptons.event, minlength=events) == 1) & (number >= JETS)
    lepton, four = leptons[passed[leptons.event]], jets[passed[jets.event] & (rank < JETS)]
    missing, tagged = found.missing[passed], tagged[passed]
    shape = (int(passed.sum()), JETS)
    shaped = [*(values.reshape(shape) for values in (four.pt, four.eta, four.phi)), tagged[:, :JETS]]
    return np.column_stack(
        [
            *(lepton.pt, lepton.eta, lepton.phi, np.hypot(*missing.T), np.arctan2(missing[:, 1], missing[:, 0])),
            number[passed],
            np.stack(shaped, axis=2).reshape(-1, 4 * JETS),
            combinations(lepton.momentum, missing, momentum[passed], tagged),
        ]
    )


def two_tags(probability: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(n,) whether an event is taken, with a chance that grows as that of two tags, and (n, jets) two tagged jets of
    each, drawn as of events that have two. probability (n, jets) of each tag, at most LARGEST_TAG.

    With odds o = p / (1 - p), exactly i and j are tagged with the probability o_i o_j times that of no tag.
    """
    if probability.max(initial=0) > LARGEST_TAG:
        raise ValueError(f"a b-tag has a probability of {probability.max():.3f}, above {LARGEST_TAG}")
    odds = probability / (1 - probability)
    either = odds * (odds.sum(axis=1, keepdims=True) - odds)  # times that of no tag: this jet and another one
    two = np.prod(1 - probability, axis=1) * either.sum(axis=1) / 2
    taken = rng.random(len(odds)) < two / LIKELIEST
    event, tagged = np.arange(len(odds)), np.zeros(odds.shape, bool)
    for weight in (either, odds):
        weight = np.where(tagged, 0, weight)
        reached = np.cumsum(weight, axis=1)
        which = (reached <= rng.random((len(odds), 1)) * reached[:, -1:]).sum(axis=1)
        tagged[event, np.minimum(which, odds.shape[1] - 1)] = True
    return taken, tagged


def longitudinal(lepton: np.ndarray, missing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n,) and (n,): the neutrino's longitudinal momentum is the first plus or minus the second, from the lepton's
    (n, 4) momentum and the missing transverse one (n, 2).

    With the lepton massless, (l + v)^2 = m_W^2 is quadratic in it. Of complex solutions the first is the real part and
    the second 0.
    """
    pt2 = lepton[:, 0] ** 2 + lepton[:, 1] ** 2
    a = W_MASS**2 / 2 + (lepton[:, :2] * missing).sum(axis=1)
    root = np.sqrt(np.maximum(0, lepton[:, 3] ** 2 * (a**2 - pt2 * (missing**2).sum(axis=1)))) / pt2
    return a * lepton[:, 2] / pt2, root


def neutrino(missing: np.ndarray, pz: np.ndarray) -> np.ndarray:
    """(n, 4) its momentum from the missing transverse one (n, 2) and the longitudinal one (n,)."""
    return np.column_stack([missing, pz, np.sqrt((missing**2).sum(axis=1) + pz**2)])


def invariant_mass(momentum: np.ndarray) -> np.ndarray:
    """Of (..., 4) momenta (px, py, pz, E); 0 of a space-like one."""
    import vector

    momenta: Any = vector.array({name: momentum[..., axis] for axis, name in enumerate(("px", "py", "pz", "E"))})
    masses: np.ndarray = np.maximum(0, momenta.mass)
    return masses


def combinations(lepton: np.ndarray, missing: np.ndarray, jets: np.ndarray, tagged: np.ndarray) -> np.ndarray:
    """(n, 5) masses m_jj, m_jjj, m_lv, m_jlv, m_wwbb in GeV.

    lepton (n, 4), missing (n, 2), jets (n, k, 4) by falling pT and 0 where there are no more, tagged (n, k): the bottom
    quarks are the hardest two of these, and where these are fewer the hardest of the others. Of both neutrinos the one
    with the larger longitudinal momentum, which is as often the right one as not.
    """
    middle, root = longitudinal(lepton, missing)
    w = lepton + neutrino(missing, middle + root)
    order = np.argsort(~tagged.astype(bool), axis=1, kind="stable")
    ordered = np.take_along_axis(jets, order[..., None], axis=1)
    bottom, other = ordered[:, :2], ordered[:, 2:]
    first, second = np.triu_indices(other.shape[1], 1)
    pair = other[:, first] + other[:, second]  # (n, pairs, 4)
    top = pair[:, :, None] + bottom[:, None]  # (n, pairs, 2, 4)
    m_jjj = invariant_mass(top)
    distance = np.where((other[:, second, 3] > 0)[..., None], np.abs(m_jjj - TOP_MASS), np.inf)
    row, best = np.arange(len(w)), distance.reshape(len(w), 2 * len(first)).argmin(axis=1)
    which, hadronic = best // 2, best % 2
    m_jlv = invariant_mass(w + bottom[row, 1 - hadronic])
    whole = invariant_mass(w + jets[:, :JETS].sum(axis=1))
    m_jj = invariant_mass(pair[row, which])
    return np.column_stack([m_jj, m_jjj[row, which, hadronic], invariant_mass(w), m_jlv, whole])


# Mean and standard deviation of each feature, in GeV and radians.
NORMALISATION = (
    (80.71, 68.76),  # lepton pt
    (0, 1.032),  # lepton eta
    (0, 1.813),  # lepton phi
    (90.05, 80.86),  # missing pt
    (0, 1.826),  # missing phi
    (5.033, 1.117),  # jets
    (213, 160.6),  # jet 1 pt
    (0, 1.012),  # jet 1 eta
    (0, 1.816),  # jet 1 phi
    (0.604, 0.4891),  # jet 1 b-tag
    (129.7, 94.41),  # jet 2 pt
    (0, 1.086),  # jet 2 eta
    (0, 1.803),  # jet 2 phi
    (0.5621, 0.4961),  # jet 2 b-tag
    (78.65, 46.17),  # jet 3 pt
    (0, 1.192),  # jet 3 eta
    (0, 1.802),  # jet 3 phi
    (0.4231, 0.4941),  # jet 3 b-tag
    (50.5, 28.5),  # jet 4 pt
    (0, 1.316),  # jet 4 eta
    (0, 1.816),  # jet 4 phi
    (0.2642, 0.4409),  # jet 4 b-tag
    (121.7, 116.4),  # m_jj
    (228.3, 141.1),  # m_jjj
    (89, 34.4),  # m_lv
    (318.1, 257.6),  # m_jlv
    (931.6, 520),  # m_WWbb
)

normalise = partial(units.normalise, normalisation=NORMALISATION)
denormalise = partial(units.denormalise, normalisation=NORMALISATION)
