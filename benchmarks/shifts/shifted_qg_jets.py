"""Shifted samples of `qg_jets`: jets of the same recipe with another shower, tune, radiation scale or hadronisation,
and the official Herwig jets.

    make bench TASK=qg_jets SHIFT=all

Pythia 8.317 has no Dire shower: `PartonShowers:model` is 1 or 2. `a14` is the ATLAS tune with NNPDF2.3
(ATL-PHYS-PUB-2014-021), with less final-state radiation and more multi-parton interactions than the default, Monash
2013. The renormalisation scale of the final-state radiation is halved and doubled, as the experiments vary it (Pythia's
factor multiplies its square). `hadronisation` has the string fragmentation of tune 4C, with everything else unchanged:
Lund a 0.3, b 0.8 and sigma 0.304 GeV instead of 0.68, 0.98 and 0.335.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from hepbench.benchmarks.base import Arrays, Simulation, Source
from hepbench.benchmarks.formats.qg_jets import CLASSES, write
from hepbench.benchmarks.shift import Shift
from hepbench.benchmarks.tasks.qg_jets import BASE, CHUNK

TITLES = {
    "vincia": "Vincia shower",
    "a14": "A14 tune",
    "radiation_up": "more final-state radiation (half the scale)",
    "radiation_down": "less final-state radiation (twice the scale)",
    "hadronisation": "string fragmentation of tune 4C",
}


SETTINGS = {
    "vincia": ("PartonShowers:model = 2", "Print:verbosity = 0"),
    "a14": ("Tune:pp = 21",),
    "radiation_up": ("TimeShower:renormMultFac = 0.25",),
    "radiation_down": ("TimeShower:renormMultFac = 4.0",),
    "hadronisation": ("StringZ:aLund = 0.3", "StringZ:bLund = 0.8", "StringPT:sigma = 0.304"),
}


def generate(label: int, number: int, seed: int, shift: str) -> Arrays:
    """With separate random sequences, so that no event begins like one of another sample."""
    from hepbench.benchmarks.simulation import qg_jets as simulation

    own = (seed, 1 + list(SETTINGS).index(shift))
    return {"X": simulation.generate(CLASSES[label], CHUNK, own, number, SETTINGS[shift])}


HERWIG = Source(
    "QG_jets_herwig_0.npz",
    "https://zenodo.org/record/3066475/files/QG_jets_herwig_0.npz?download=1",
    sha256="0527349778c0ab2f7da268975fb9e7c0705c88d60f2c478401d941b9913f4d44",
)
"""100,000 of two million: more than are used for testing."""

TASK = replace(
    BASE,
    title="quark or gluon: shifted samples of qg_jets",
    sources=(),
    validate=None,
    references=(),
    variants={
        **{
            name: replace(
                BASE,
                title=f"quark or gluon: {title}",
                sources=(),
                simulation=Simulation(CHUNK, partial(generate, shift=name), write, name=name),
                validate=None,
                references=(),
            )
            for name, title in TITLES.items()
        },
        "herwig": replace(
            BASE,
            title="quark or gluon: Herwig 7.1.4",
            sources=(HERWIG,),
            required_sources=None,
            simulation=None,
            validate=None,
            references=(),
            citation="P. Komiske, E. Metodiev, J. Thaler, Zenodo 3066475",
        ),
    },
)
SHIFTS = {
    name: Shift(title, sample=f"{__file__}:{name}") for name, title in {**TITLES, "herwig": "Herwig 7.1.4"}.items()
}
