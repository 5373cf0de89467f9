"""Quark or gluon with a known Bayes optimum: emissions drawn from a model with an exact likelihood.

No detector, no hadrons and no published files: `benchmarks/simulation/lund_jets.py` has the physics, an emitter and the
emissions of its primary Lund plane. By the Neyman-Pearson lemma no classifier is better than the ratio of the two
likelihoods, which is the entry `optimum`; any gap to it is what a model has not learnt. In the task itself emissions
are independent, so that the ratio factorises over them. In the variant `correlated` energy is conserved and the
flavour of the emitter changes unobserved, and the ratio is no function of a sum over particles.

The files have the format of `qg_jets`, with the massless code 22 for every particle. The feature set `kinematic`, the
default, is the standard one for jets without PID, relative to the jet axis; `lund` gives the coordinates of the plane,
in which the likelihood is written.

    make bench TASK=lund_jets
    make bench TASK=lund_jets:correlated MODEL="optimum pfn particlenet_lite"
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from hepbench.benchmarks.base import Arrays, Events, FeatureSet, Simulation, Source, Task, View
from hepbench.benchmarks.features import jets, lund_plane
from hepbench.benchmarks.formats import qg_jets
from hepbench.benchmarks.formats.refusal import refuse_first
from hepbench.benchmarks.models.optimum import VIEW
from hepbench.benchmarks.validation.lund_jets import validate

CHUNK = 2000
POINTS = 32  # of a cloud; the widest of two million events has 24
SOURCE = "QG_jets.npz"


def read(paths: Sequence[Path]) -> Iterator[Events]:
    """The chunks of the reader of `qg_jets`; each event must have exactly one emitter, at rapidity and phi 0."""
    for path in paths:
        start = 0
        for events in qg_jets.read([path]):
            particles = events.arrays["jets"]
            middle = (particles[..., 0] > 0) & (np.hypot(particles[..., 1], particles[..., 2]) == 0)
            refuse_first(
                path, "event", start, middle.sum(axis=1) != 1, "not exactly one particle at rapidity and phi 0"
            )
            yield events
            start += len(events.ids)


def generate(label: int, number: int, seed: int, conserved: bool) -> Arrays:
    from hepbench.benchmarks.simulation import lund_jets as simulation

    return {"X": simulation.generate(label, CHUNK, np.random.default_rng([seed, label, number]), conserved)}


def optimum(arrays: Arrays, conserved: bool) -> Arrays:
    from hepbench.benchmarks.simulation import lund_jets as simulation

    return {"log_likelihoods": simulation.log_likelihoods(arrays["jets"], conserved)}


def views(conserved: bool) -> dict[str, View]:
    return {
        "cloud": lambda arrays: jets.cloud(arrays["jets"], POINTS, identity=False),
        "table": lambda arrays: {"table": jets.variables(arrays["jets"], identity=False)},
        VIEW: partial(optimum, conserved=conserved),
    }


TASK = Task(
    title="quark or gluon with a known Bayes optimum: independent emissions in the Lund plane",
    classes=qg_jets.CLASSES,
    read=read,
    views=views(conserved=False),
    variables=jets.KINEMATIC_VARIABLES,
    features={
        "kinematic": FeatureSet(),
        "lund": FeatureSet(
            views={
                "cloud": lambda arrays: lund_plane.cloud(arrays["jets"], POINTS),
                "table": lambda arrays: {"table": lund_plane.variables(arrays["jets"])},
            }
        ),
    },
    sources=(Source(SOURCE, ""),),
    simulation=Simulation(CHUNK, partial(generate, conserved=False), qg_jets.write),
    validate=partial(validate, conserved=False),
    size=2_000_000,
    licence="none published",
    citation="this suite; F. A. Dreyer, G. P. Salam, G. Soyez, JHEP 12 (2018) 064, arXiv:1807.04758",
)

TASK = replace(
    TASK,
    variants={
        "correlated": replace(
            TASK,
            title="quark or gluon with a known Bayes optimum: emissions that conserve energy and change flavour",
            views=views(conserved=True),
            simulation=Simulation(
                CHUNK, partial(generate, conserved=True), qg_jets.write, classes=qg_jets.CLASSES, name="correlated"
            ),
            validate=partial(validate, conserved=True),
        )
    },
)
