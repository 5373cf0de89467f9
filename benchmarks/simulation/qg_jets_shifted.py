"""Quark and gluon jets of `qg_jets` by Pythia with other settings: another shower, tune, strength of radiation or
hadronisation.

Pythia 8.317 has no shower Dire: `PartonShowers:model` is 1 or 2. `a14` is the tune of ATLAS with NNPDF2.3
(ATL-PHYS-PUB-2014-021), with less radiation in the final state and more multi-parton interactions than the default,
Monash 2013. The scale at which the coupling of the final-state radiation is taken is halved and doubled, as the
experiments vary it (its square is what Pythia's factor multiplies). `hadronisation` has the fragmentation of strings of
tune 4C and all else as it was: Lund's a 0.3, b 0.8 and sigma 0.304 GeV in place of 0.68, 0.98 and 0.335.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from hepbench.benchmarks.simulation import pythia
from hepbench.benchmarks.simulation.qg_jets import LEAST_PT_HAT, PROCESS, _jets, _veto

SETTINGS = {
    "vincia": ("PartonShowers:model = 2", "Print:verbosity = 0"),
    "a14": ("Tune:pp = 21",),
    "radiation_up": ("TimeShower:renormMultFac = 0.25",),
    "radiation_down": ("TimeShower:renormMultFac = 4.0",),
    "hadronisation": ("StringZ:aLund = 0.3", "StringZ:bLund = 0.8", "StringPT:sigma = 0.304"),
}


def generate(shift: str, kind: str, count: int, seed: int, number: int) -> np.ndarray:
    """As `qg_jets.generate`, by the settings of a shift. Its random sequences are its own, so that no event begins as
    one of another sample."""
    generator, _ = _generator(shift, kind)
    first = int(np.random.SeedSequence([seed, 1 + list(SETTINGS).index(shift)]).generate_state(1)[0])
    generator.rndm.init(1 + (first + number) % pythia.LARGEST_SEED)
    jets: list[np.ndarray] = []
    while len(jets) < count:
        jets += _jets(generator.nextBatch(max(10, 2 * min(count - len(jets), 100))))
    jets = jets[:count]
    padded = np.zeros((count, max(map(len, jets)), 4))
    for jet, particles in zip(padded, jets, strict=True):
        jet[: len(particles)] = particles
    return padded


@functools.lru_cache
def _generator(shift: str, kind: str) -> tuple[Any, Any]:
    """As that of `qg_jets`, whose code stays as it is: it names the folders of what is simulated already."""
    hooks = _veto(light_quarks=kind == "quark")
    settings = (
        "Beams:eCM = 14000.",
        f"WeakBosonAndParton:{PROCESS[kind]} = on",
        "WeakZ0:gmZmode = 2",
        "23:onMode = off",
        "23:onIfAny = 12 14 16",
        f"PhaseSpace:pTHatMin = {LEAST_PT_HAT}",
        *SETTINGS[shift],
    )
    return pythia.generator(*settings, seed=1, hooks=hooks), hooks
