"""Shifted samples of `qg_jets`: jets of the same recipe by another shower, tune, strength of radiation and
hadronisation, and the official ones of Herwig.

    make bench TASK=qg_jets SHIFT=all
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from hepbench.benchmarks.base import Arrays, Simulation, Source
from hepbench.benchmarks.formats.qg_jets import CLASSES, write
from hepbench.benchmarks.shift import Shift
from hepbench.benchmarks.tasks.qg_jets import BASE, CHUNK

TITLES = {
    "vincia": "shower Vincia",
    "a14": "tune A14",
    "radiation_up": "final-state radiation at half the scale: more of it",
    "radiation_down": "final-state radiation at twice the scale: less of it",
    "hadronisation": "string fragmentation of tune 4C",
}


def generate(label: int, number: int, seed: int, shift: str) -> Arrays:
    from hepbench.benchmarks.simulation import qg_jets_shifted as simulation

    return {"X": simulation.generate(shift, CLASSES[label], CHUNK, seed, number)}


HERWIG = Source(
    "QG_jets_herwig_0.npz",
    "https://zenodo.org/record/3066475/files/QG_jets_herwig_0.npz?download=1",
    sha256="0527349778c0ab2f7da268975fb9e7c0705c88d60f2c478401d941b9913f4d44",
)
"""100,000 of two million: more than are tested."""

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
            needed=None,
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
