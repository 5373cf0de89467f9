"""A batch of collisions of which none passes a selection gives no event, and no error: one in some hundred is like
that."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

pytest.importorskip("pythia8mc")

from hepbench.benchmarks.simulation import boosted_jets, hepmass, higgs, pythia, qg_images, qg_jets, susy


@cache
def invisible(events: int):
    """Collisions that make neutrinos alone, with all that the protons leave far forward."""
    settings = ("Beams:eCM = 8000.", "WeakSingleBoson:ffbar2gmZ = on", "WeakZ0:gmZmode = 2", "PartonLevel:MPI = off")
    decay = ("23:onMode = off", "23:onIfAny = 12 14 16", "PartonLevel:ISR = off")
    return pythia.generator(*settings, *decay, seed=1).nextBatch(events)


@pytest.mark.parametrize("events", [1, 6])
@pytest.mark.parametrize("module, columns", [(hepmass, 27), (higgs, 28), (susy, 18)])
def test_no_event_of_a_table(module, columns, events):
    rows = module.reconstruct(invisible(events).prt, np.random.default_rng(0))
    assert rows.shape == (0, columns)


@pytest.mark.parametrize("events", [1, 6])
@pytest.mark.parametrize("process", [boosted_jets.QCD, boosted_jets.JETCLASS_PROCESSES["Zqq"]])
@pytest.mark.parametrize("recipe", [boosted_jets.TOP_TAGGING, boosted_jets.JETCLASS])
def test_no_boosted_jet(recipe, process, events):
    jets = boosted_jets.jets_of(invisible(events).prt, process, recipe, np.random.default_rng(0))
    assert jets.momenta.shape == (0, recipe.most, 4) and jets.truth.shape == (0, 4)


@pytest.mark.parametrize("events", [1, 6])
def test_no_jet_of_particles(events):
    assert qg_jets._jets(invisible(events)) == []


class Once:
    """Gives the batch that it has been given."""

    def __init__(self, batch):
        self.nextBatch = lambda events: batch


@pytest.mark.parametrize("events", [1, 6])
def test_no_image(events):
    rng = np.random.default_rng(0)
    hard = qg_images.collide(Once(invisible(events)), events)
    nothing = {"event": np.zeros(0, int), "id": np.zeros(0, int), "momentum": np.zeros((0, 4))}
    for pool in (nothing, qg_images.pile_up(0)):
        jets = qg_images._jets(qg_images._overlay(hard, pool, events, 1.0, rng), events, rng)
        assert len(jets["index"]) == len(jets["values"]) == len(jets["pt"]) == len(jets["m0"]) == 0
