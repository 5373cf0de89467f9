"""Quark and gluon jets from Pythia 8 and FastJet, by the recipe of Zenodo 3164691 (Komiske, Metodiev, Thaler 2019).

Proton-proton collisions at 14 TeV, Z + jet with the Z decaying to neutrinos: `WeakBosonAndParton:qqbar2gmZg` for gluon
jets, `qg2gmZq` with only u, d, s for quark jets, no virtual photon; default tune, hadronisation, and multi-parton
interactions. All final-state particles except neutrinos are clustered with anti-kT, R = 0.4; the hardest jet is kept if
its pT is 500 to 550 GeV and its |rapidity| below 1.7. No detector. Differences from the official files are the Pythia
version, 8.317 instead of 8.226, and what the record leaves open: the minimum pT of the hard process (300 GeV here) and
the choice of the hardest jet of an event.

Nearly all collisions fail the jet's window, so they are given up as soon as that is known: the hardest jet of partons
is looked at once at the shower's scale of 20 GeV, and again before the beam remnants and hadronisation. What the
windows of VETO lose was counted among 1,504 gluon and 1,508 quark jets accepted with windows of 430 to 900 GeV: 1.1 and
0.5 %, nearly all jets that gain or lose a hard piece at the edge of the cone between the partons and the hadrons.
Collisions with a hard process of 270 to 300 GeV, where radiation makes the jet, would add 0.1 % to the gluon and 0.3 %
to the quark jets.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from hepbench.benchmarks.simulation import pythia

PROCESS = {"gluon": "qqbar2gmZg", "quark": "qg2gmZq"}
RADIUS = 0.4
PT = (500.0, 550.0)  # GeV
RAPIDITY = 1.7
LEAST_PT_HAT = 300.0
VETO_SCALE = 20.0  # GeV
# pT window, GeV, and largest |rapidity| of the hardest parton jet at VETO_SCALE and after the shower.
VETO = ((455.0, 680.0, 2.2), (480.0, 640.0, 2.0))
NEUTRINOS = (12, 14, 16)


def generate(
    kind: str, count: int, seed: int | tuple[int, ...], number: int, settings: tuple[str, ...] = ()
) -> np.ndarray:
    """(count, M, 4) float64 jets of a kind, "quark" or "gluon": pT, rapidity, phi and PDG code of the particles in
    FastJet's order, padded with zeros to the widest. Chunks of any seed and number have random sequences of their own.
    settings: of Pythia, beside or in place of those here.
    """
    generator, _ = _generator(kind, settings)
    first = int(np.random.SeedSequence(seed).generate_state(1)[0])
    generator.rndm.init(1 + (first + number) % pythia.LARGEST_SEED)
    jets: list[np.ndarray] = []
    while len(jets) < count:
        # A third is kept: not many more than are needed, since hadronisation is dear.
        jets += _jets(generator.nextBatch(max(10, 2 * min(count - len(jets), 100))))
    jets = jets[:count]
    padded = np.zeros((count, max(map(len, jets)), 4))
    for jet, particles in zip(padded, jets, strict=True):
        jet[: len(particles)] = particles
    return padded


@functools.lru_cache
def _generator(kind: str, more: tuple[str, ...]) -> tuple[Any, Any]:
    """Pythia made ready for a kind of jet, and its hooks; that takes seconds, and its random numbers are begun anew for
    each chunk."""
    hooks = _veto(light_quarks=kind == "quark")
    settings = (
        "Beams:eCM = 14000.",
        f"WeakBosonAndParton:{PROCESS[kind]} = on",
        "WeakZ0:gmZmode = 2",
        "23:onMode = off",
        "23:onIfAny = 12 14 16",
        f"PhaseSpace:pTHatMin = {LEAST_PT_HAT}",
        *more,
    )
    return pythia.generator(*settings, seed=1, hooks=hooks), hooks


def _veto(light_quarks: bool) -> Any:
    """Hooks that give up a collision whose hardest parton jet is outside VETO, or whose outgoing quark is heavy."""
    pythia8mc = pythia.imported("pythia8mc")
    # The last argument: Pythia's own clustering, since the copy of FastJet inside it prints a banner.
    finder = pythia8mc.SlowJet(-1, RADIUS, VETO[0][0] - 100, 4.0, 1, 2, None, False)

    def hopeless(event: Any, window: tuple[float, float, float]) -> bool:
        finder.analyze(event)
        boson = event[5] if event[5].id() == 23 else event[6]
        boson = event[boson.iBotCopyId()]  # undecayed as yet, so that it makes a jet of its own
        lowest, highest, rapidity = window
        for jet in range(finder.sizeJet()):
            angle = abs(finder.phi(jet) - boson.phi())
            if math.hypot(finder.y(jet) - boson.y(), min(angle, 2 * math.pi - angle)) > 0.2:
                return not (lowest < finder.pT(jet) < highest and abs(finder.y(jet)) < rapidity)
        return True

    class Veto(pythia8mc.UserHooks):  # type: ignore[misc, name-defined]  # of untyped bindings
        def canVetoProcessLevel(self) -> bool:
            return light_quarks

        def doVetoProcessLevel(self, process: Any) -> bool:
            return bool(max(abs(process[5].id()) % 23, abs(process[6].id()) % 23) > 3)

        def canVetoPT(self) -> bool:
            return True

        def scaleVetoPT(self) -> float:
            return VETO_SCALE

        def doVetoPT(self, position: Any, event: Any) -> bool:
            return hopeless(event, VETO[0])

        def canVetoPartonLevelEarly(self) -> bool:
            return True

        def doVetoPartonLevelEarly(self, event: Any) -> bool:
            return hopeless(event, VETO[1])

    return Veto()


def _jets(events: Any) -> list[np.ndarray]:
    """(M, 4) pT, rapidity, phi, PDG code of the hardest jet's particles, of each event where it is in the window."""
    import awkward as ak

    particles = events.prt
    code = abs(particles.id)
    seen = particles.status > 0
    for neutrino in NEUTRINOS:
        seen = seen & (code != neutrino)
    momenta = particles.p[seen]
    codes = particles.id[seen]
    momenta = ak.zip(
        {"px": momenta.px, "py": momenta.py, "pz": momenta.pz, "E": momenta.e},
        with_name="Momentum4D",
    )
    clusters = pythia.imported("fastjet").ClusterSequence(momenta, pythia.anti_kt(RADIUS))
    constituents = clusters.constituent_index(min_pt=PT[0] / 2)
    found = clusters.inclusive_jets(min_pt=PT[0] / 2)
    hardest = ak.argmax(found.px**2 + found.py**2, axis=1, keepdims=True)
    inside = ak.flatten(ak.fill_none(constituents[hardest], [], axis=1), axis=2)
    chosen = momenta[inside]
    numbers = ak.to_numpy(ak.num(inside))
    px, py, pz, energy = (ak.to_numpy(ak.flatten(chosen[name])) for name in ("px", "py", "pz", "E"))
    flat_codes = ak.to_numpy(ak.flatten(codes[inside]))
    stops = np.cumsum(numbers)
    jets = []
    for start, stop in zip(stops - numbers, stops, strict=True):
        if stop > start:
            part = slice(start, stop)
            jet = _inside_window(px[part], py[part], pz[part], energy[part], flat_codes[part])
            jets += [jet] if jet is not None else []
    return jets


def _inside_window(
    px: np.ndarray, py: np.ndarray, pz: np.ndarray, energy: np.ndarray, codes: np.ndarray
) -> np.ndarray | None:
    """The particles (M, 4) of a jet, or None if it is outside the window of pT and rapidity."""
    pt, rapidity, phi = _pt_rapidity_phi(px.sum(), py.sum(), pz.sum(), energy.sum())
    if not (PT[0] <= pt <= PT[1] and abs(rapidity) < RAPIDITY):
        return None
    phi = phi % (2 * np.pi)
    particle_pt, particle_rapidity, particle_phi = _pt_rapidity_phi(px, py, pz, energy)
    particle_phi = phi + (particle_phi - phi + np.pi) % (2 * np.pi) - np.pi
    return np.stack([particle_pt, particle_rapidity, particle_phi, codes], axis=1)


def _pt_rapidity_phi(
    px: np.ndarray, py: np.ndarray, pz: np.ndarray, energy: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """By hand: the transverse momentum of the package vector, a root of squares, differs from hypot's in the last bit
    for one in six pairs of numbers, and files that were simulated before would not come out again."""
    return np.hypot(px, py), 0.5 * np.log((energy + pz) / (energy - pz)), np.arctan2(py, px)
