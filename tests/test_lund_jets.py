"""Emissions of known likelihood: generator and likelihood against each other, against sums by hand, and as a task."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest
from conftest import hepbench

from hepbench.benchmarks import metrics, registry
from hepbench.benchmarks.base import UserError
from hepbench.benchmarks.features import lund_plane
from hepbench.benchmarks.simulation import lund_jets
from hepbench.benchmarks.simulation.lund_jets import CUT, GLUON, QUARK, WIDEST
from hepbench.benchmarks.validation.lund_jets import validate

FLAVOURS = (GLUON, QUARK)


def made(conserved: bool, count: int = 20_000, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Events of both classes, as many of each, and their labels."""
    rng = np.random.default_rng(seed)
    classes = [lund_jets.generate(flavour, count, rng, conserved) for flavour in FLAVOURS]
    width = max(events.shape[1] for events in classes)
    padded = [np.pad(events, ((0, 0), (0, width - events.shape[1]), (0, 0))) for events in classes]
    return np.concatenate(padded), np.repeat(FLAVOURS, count)


@pytest.mark.parametrize("reach", [0.3, 2.0, 5.0])
def test_integrated_rates_are_the_integrals_of_the_rates(reach):
    from scipy.integrate import dblquad

    for flavour in FLAVOURS:

        def rate(log_z: float, below: float, flavour: int = flavour) -> float:
            z = np.exp(log_z)
            return float(lund_jets.alpha_s(2 * CUT * np.exp(below) * z) / np.pi * lund_jets.splitting(z)[flavour].sum())

        expected, _ = dblquad(rate, 0, reach, lambda below: math.log(0.5) - below, lambda _: math.log(0.5))
        assert lund_jets.expected_emissions(np.array(reach))[flavour] == pytest.approx(expected, rel=1e-5)


def test_the_coupling_and_the_soft_limits():
    assert lund_jets.alpha_s(np.array(91.188)) == pytest.approx(0.1180)
    soft = lund_jets.splitting(np.array(1e-9))
    np.testing.assert_allclose(soft, [[6, 0], [0, 8 / 3]], atol=1e-7)  # 2 CA and 2 CF; soft ones change no flavour


@pytest.mark.parametrize("conserved", [False, True])
def test_generator_and_likelihood_agree(conserved):
    events, labels = made(conserved, count=40_000)
    checks = validate({"jets": events.astype(np.float32)}, labels, conserved)
    assert len(checks) >= 6
    assert all(abs(check.pull) < 4 for check in checks), checks
    exchanged = validate({"jets": events.astype(np.float32)}, 1 - labels, conserved)
    assert any(abs(check.pull) > 10 for check in exchanged)


@pytest.mark.parametrize("conserved", [False, True])
def test_every_event_keeps_the_rules_of_the_model(conserved):
    events, _ = made(conserved, count=5_000)
    angle = np.hypot(events[..., 1], events[..., 2])
    emitter = (angle == 0) & (events[..., 0] > 0)
    assert (emitter.sum(axis=1) == 1).all()
    assert (np.diff(events[..., 0], axis=1) <= 0).all()
    energy = lund_jets.energies(events, conserved)
    assert (energy >= lund_jets.LOWEST * (1 - 1e-9)).all() and (energy <= lund_jets.HIGHEST * (1 + 1e-9)).all()
    emission = angle > 0
    assert (events[..., 0] * angle)[emission].min() >= CUT and angle.max() < WIDEST


def by_hand(event: np.ndarray, flavour: int, conserved: bool) -> float:
    """The density of one event as the sum over every history of flavours, a product of scalars each."""
    emissions = sorted(
        ((math.hypot(rapidity, phi), pt) for pt, rapidity, phi, _ in event if pt and math.hypot(rapidity, phi)),
        reverse=True,
    )
    total = 0.0
    for later in itertools.product(FLAVOURS, repeat=len(emissions)):
        history, density = (flavour, *later), 1.0
        energy = float(lund_jets.energies(event[None], conserved)[0])
        start = math.log(energy * WIDEST / (2 * CUT))
        for (angle, pt), before, after in zip(emissions, history[:-1], later, strict=True):
            z, reach = pt / energy, math.log(energy * angle / (2 * CUT))
            survived = lund_jets.expected_emissions(np.array(reach)) - lund_jets.expected_emissions(np.array(start))
            kernel = lund_jets.splitting(np.array(z))[before] / z * lund_jets.alpha_s(np.array(pt * angle)) / math.pi
            if conserved:
                density *= math.exp(survived[before]) * kernel[after]
                energy -= pt
                start = math.log(energy * angle / (2 * CUT))
            else:
                density *= math.exp(survived[before]) * kernel.sum() * (after == before)
                start = reach
        total += density * math.exp(-lund_jets.expected_emissions(np.array(start))[history[-1]])
    return math.log(total)


@pytest.mark.parametrize("conserved", [False, True])
def test_a_likelihood_is_the_sum_over_histories(conserved):
    events, _ = made(conserved, count=15)
    events = events[(events[..., 0] > 0).sum(axis=1) < 7]
    given = lund_jets.log_likelihoods(events, conserved)
    expected = [[by_hand(event, flavour, conserved) for flavour in FLAVOURS] for event in events]
    assert len(events) > 10
    np.testing.assert_allclose(given, expected, rtol=1e-9)


@pytest.mark.parametrize("conserved", [False, True])
def test_neither_order_nor_padding_nor_a_turn_changes_a_likelihood(conserved):
    events, _ = made(conserved, count=200)
    expected = lund_jets.log_likelihoods(events, conserved)
    order = np.random.default_rng(0).permutation(events.shape[1])
    wider = np.pad(events[:, order], ((0, 0), (3, 5), (0, 0)))
    turned = wider.copy()
    turned[..., 1], turned[..., 2] = wider[..., 2], -wider[..., 1]
    for same in (wider, turned):
        np.testing.assert_allclose(lund_jets.log_likelihoods(same, conserved), expected, rtol=1e-9)


def test_a_likelihood_ranks_better_than_the_number_of_emissions():
    events, labels = made(conserved=True)
    emissions = -(events[..., 0] > 0).sum(axis=1)

    def auc(scores: np.ndarray) -> float:
        odds = 1 / (1 + np.exp(-scores))
        return metrics.auc(labels, np.stack([1 - odds, odds], axis=1), QUARK)[0]

    assert auc(np.diff(lund_jets.log_likelihoods(events, True))[:, 0]) > auc(emissions) + 0.02


def test_views_of_one_event_by_hand():
    event = np.zeros((1, 4, 4), np.float32)
    event[0, 0] = (300, 0, 0, 22)
    event[0, 1] = (80, 0.03, 0.04, 22)
    event[0, 2] = (20, 0.0, -0.2, 22)
    cloud = lund_plane.cloud(event, points=3)
    assert cloud["mask"].tolist() == [[True, True, True]]
    named = dict(zip(lund_plane.FEATURES, cloud["features"][0].T, strict=True))
    np.testing.assert_allclose(named["log_inverse_angle"], [0, math.log(8), math.log(2)], rtol=1e-6)
    np.testing.assert_allclose(named["log_kt"], [0, math.log(4), math.log(4)], rtol=1e-5)
    np.testing.assert_allclose(named["log_pt_fraction"], np.log([0.75, 0.2, 0.05]), rtol=1e-6)
    assert named["is_emitter"].tolist() == [1, 0, 0]
    row = dict(zip(lund_plane.VARIABLES, lund_plane.variables(event)[0], strict=True))
    assert (row["emissions"], row["emissions_above_2_gev"], row["emissions_above_8_gev"]) == (2, 2, 0)
    assert row["emitter_fraction"] == pytest.approx(0.75) and row["log_jet_pt"] == pytest.approx(math.log(400))
    assert row["fraction_3"] == row["log_kt_4"] == 0


def test_a_jet_without_an_emitter_is_refused(tmp_path):
    x = np.zeros((2, 2, 4))
    x[:, 0] = (300, 0, 0, 22)
    x[1, 0, 1] = 0.1
    np.savez(tmp_path / "QG_jets.npz", X=x, y=np.array([0.0, 1.0]))
    with pytest.raises(UserError, match="event 1: not exactly one particle at rapidity and phi 0"):
        list(registry.find("task", "lund_jets").record.read([tmp_path / "QG_jets.npz"]))


@pytest.mark.parametrize("task", ["lund_jets", "lund_jets:correlated"])
def test_no_entry_is_above_the_optimum_beyond_error(task, tmp_path):
    done = hepbench("bench", task, "--budget", "smoke", "--model", "logistic", "--model", "optimum", home=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = json.loads(hepbench("leaderboard", task, "--format", "json", home=tmp_path).stdout)
    (best,) = (row for row in rows if row["model"] == "optimum")
    assert best["rank"] == 1 or best["tied"]
    assert best["auc"] > 0.75 and best["parameters"] == 2  # the frequencies of two classes
    (other,) = (row for row in rows if row["model"] == "logistic")
    assert other["below_optimum"] == pytest.approx(best["auc"] - other["auc"])
    assert 0 < other["below_optimum_error"] < best["auc_error"]  # on the same events
    assert best["below_optimum"] is None


def test_the_optimum_is_refused_where_no_likelihood_is_known(tmp_path):
    done = hepbench("bench", "magic", "--budget", "smoke", "--model", "optimum", home=tmp_path)
    assert "needs optimum inputs" in done.stdout + done.stderr
