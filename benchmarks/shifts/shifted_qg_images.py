"""Shifted samples of `qg_images`: jets with 0.5 and 1.5 times the pile-up.

make bench TASK=qg_images SHIFT=all
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from hepbench.benchmarks.base import Arrays, Simulation
from hepbench.benchmarks.formats.qg_images import write
from hepbench.benchmarks.shift import Shift
from hepbench.benchmarks.tasks.qg_images import BASE, CHUNK

PILE_UP = {"pile_up_down": 0.5, "pile_up_up": 1.5}
"""Collisions relative to those of the task, 21 inelastic ones on average."""


def generate(label: int, number: int, seed: int, shift: str) -> Arrays:
    from hepbench.benchmarks.simulation import qg_images as simulation

    first = 1000 * (1 + list(PILE_UP).index(shift)) + seed  # a pool of its own
    return simulation.generate(label, CHUNK, [first, label, number], PILE_UP[shift] * simulation.PILE_UP)


TASK = replace(
    BASE,
    sources=(),
    required_sources=None,
    validate=None,
    references=(),
    variants={
        name: replace(
            BASE,
            title=f"quark or gluon: CMS jet images, {factor:g} times the pile-up",
            sources=(),
            required_sources=None,
            simulation=Simulation(CHUNK, partial(generate, shift=name), write, name=name),
            validate=None,
            references=(),
        )
        for name, factor in PILE_UP.items()
    },
)
SHIFTS = {name: Shift(f"{factor:g} times the pile-up", sample=f"{__file__}:{name}") for name, factor in PILE_UP.items()}
