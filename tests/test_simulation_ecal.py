"""Photons and electrons in the calorimeter: form of the images, the physics by formula, the calibration."""

from __future__ import annotations

import numpy as np
import pytest

from hepbench.benchmarks.base import Comparison
from hepbench.benchmarks.features import calorimeter
from hepbench.benchmarks.formats.ecal import CLASSES
from hepbench.benchmarks.simulation import ecal as simulation
from hepbench.benchmarks.validation import ecal_reference
from hepbench.benchmarks.validation.ecal import GENUINE, shapes, validate

EVENTS = 2000


@pytest.fixture(scope="module")
def images() -> dict[str, np.ndarray]:
    return {
        kind: np.concatenate([simulation.generate(kind, 1000, np.random.default_rng([7, label, i])) for i in range(2)])
        for label, kind in enumerate(CLASSES)
    }


def mean_of(image: np.ndarray, variable: str) -> float:
    return float(calorimeter.shower_shapes(image)[:, calorimeter.SHOWER_SHAPES.index(variable)].mean())


@pytest.mark.parametrize("kind", CLASSES)
def test_images_have_the_official_form(images, kind):
    image = images[kind]
    assert image.shape == (EVENTS, 32, 32, 2)
    assert image.dtype == np.float32
    assert np.isfinite(image).all()
    energy, time = image[..., 0], image[..., 1]
    assert (energy >= 0).all()
    assert (time[energy == 0] == 0).all()
    assert (energy.reshape(EVENTS, -1).argmax(axis=1) == 16 * 32 + 16).all()


@pytest.mark.parametrize("kind", CLASSES)
def test_same_seed_same_bytes(kind):
    one, same, other = (simulation.generate(kind, 50, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one.tobytes() == same.tobytes()
    assert one.tobytes() != other.tobytes()


@pytest.mark.parametrize("count", [1, 3])
def test_any_number_of_events(count):
    assert simulation.generate("electron", count, np.random.default_rng(0)).shape == (count, 32, 32, 2)


@pytest.mark.parametrize("kind", CLASSES)
def test_energy_is_pt_cosh_eta(images, kind):
    eta = np.linspace(-simulation.ETA_HIGHEST, simulation.ETA_HIGHEST, 1001)
    total = images[kind][..., 0].sum(axis=(1, 2))
    assert total.mean() == pytest.approx(np.cosh(eta).mean(), rel=0.03)
    assert np.quantile(total, 0.99) == pytest.approx(np.cosh(1.2), rel=0.05)


def test_electrons_are_wider_in_phi(images):
    assert mean_of(images["electron"], "phi_width") > 1.08 * mean_of(images["photon"], "phi_width")
    assert mean_of(images["electron"], "eta_width") == pytest.approx(mean_of(images["photon"], "eta_width"), rel=0.05)


def test_shares_of_the_tracker_sum_to_one():
    assert sum(share for _, share in simulation.LAYERS) == pytest.approx(1)


def test_photons_convert_with_seven_ninths_of_the_thickness():
    count = 20_000
    rng = np.random.default_rng(3)
    particles = simulation.gun("photon", count, rng)
    expected = 1 - np.exp(-7 / 9 * particles["thickness"])
    arriving = simulation.track(particles, rng)
    whole = (arriving["charge"] == 0) & np.isclose(arriving["energy"], particles["energy"][arriving["event"]])
    converted = count - whole.sum()
    assert converted == pytest.approx(expected.sum(), abs=4 * np.sqrt((expected * (1 - expected)).sum()))


def test_legs_share_the_energy_by_the_pair_spectrum():
    count = 50_000
    rng = np.random.default_rng(4)
    pair = simulation.convert(simulation.gun("photon", count, rng), np.full(count, 50.0), rng)[0]
    positron = pair["charge"] > 0
    share = pair["energy"][positron] / (50 * np.sqrt(1 + pair["slope"][positron] ** 2))
    assert share.mean() == pytest.approx(1 / 2, abs=0.006)
    # The second moment of 1 - 4/3 x (1 - x) over [0, 1], normalised by 7/9.
    assert (share**2).mean() == pytest.approx((1 / 3 - 1 / 3 + 4 / 15) / (7 / 9), abs=0.006)


def test_electrons_lose_energy_as_bremsstrahlung_says():
    count, depth = 20_000, 0.05
    rng = np.random.default_rng(5)
    electrons = simulation.gun("electron", count, rng)
    after = simulation.radiate(electrons, np.full(count, depth), rng)
    assert np.bincount(after["event"], after["energy"]) == pytest.approx(electrons["energy"])
    photons = after["charge"] == 0
    lost = after["energy"][photons].sum() / electrons["energy"].sum()
    assert lost == pytest.approx(depth, rel=0.1)


def test_a_track_bends_as_the_field_says():
    electrons = simulation.gun("electron", 1000, np.random.default_rng(6))
    electrons["charge"] = np.ones(1000)
    straight = electrons["phi"]
    there = simulation.propagate(electrons, 0.0, simulation.FACE)
    bend = simulation.LIGHT * simulation.FIELD * simulation.FACE / 2 / simulation.GUN_PT
    np.testing.assert_allclose(there["phi"] - straight, np.arcsin(bend), rtol=1e-9)
    halfway = simulation.propagate(simulation.propagate(electrons, 0.0, 0.5), 0.5, simulation.FACE)
    np.testing.assert_allclose(halfway["phi"], there["phi"], rtol=1e-12)
    np.testing.assert_allclose(halfway["z"], there["z"], rtol=1e-9)


def test_soft_tracks_do_not_reach_the_crystals():
    electrons = simulation.gun("electron", 2, np.random.default_rng(6))
    electrons["slope"] = np.zeros(2)
    electrons["energy"] = np.array([0.7, 0.8])
    assert simulation.propagate(electrons, 0.0, simulation.FACE)["event"].tolist() == [1]


def test_photons_shower_deeper_than_electrons():
    rng = np.random.default_rng(8)
    energy = np.full(20_000, 50.0)
    middle = {}
    for photon in (True, False):
        weight, depth = simulation.longitudinal(energy, np.full(len(energy), photon), rng)
        assert (weight >= 0).all()
        assert 0.95 < weight.sum(axis=1).mean() <= 1
        middle[photon] = (weight * depth).sum(axis=1).mean() / simulation.X0
    assert 0.4 < middle[True] - middle[False] < 1.3


def test_lateral_shares_sum_to_nearly_one():
    share = simulation.lateral_table().sum(axis=-1)
    assert share.max() < 1
    assert share[-1, :-1].min() > 0.95
    assert simulation.containment() == pytest.approx(0.977, abs=0.002)


def test_the_field_widens_showers_in_phi_as_geant4_does():
    """Energy beside a shower in the middle of a crystal, which without a field is as much in phi as in eta."""
    middle = simulation.OFFSETS
    table = simulation.lateral_table()[:, -1, 4, middle, middle]
    window = table.reshape(len(simulation.FIELDS), simulation.WINDOW, simulation.WINDOW)
    beside_eta, beside_phi = window.sum(axis=2)[:, simulation.REACH + 1], window.sum(axis=1)[:, simulation.REACH + 1]
    assert (np.diff(beside_phi / beside_eta) > 0).all()
    assert 1.05 < (beside_phi / beside_eta)[1] < 1.4


def test_noise_of_the_weights():
    """Samples of independent noise alone: the root of the sum of squares; a pedestal alone: nothing."""
    one = (1.0,) + (0.0,) * 9
    assert simulation.noise_of(one, one) == pytest.approx(simulation.SAMPLE_NOISE**2 + 1 / 12)
    assert sum(simulation.AMPLITUDE) == pytest.approx(0, abs=1e-6)
    assert sum(simulation.FILTER) == pytest.approx(0, abs=1e-3)
    counts = simulation.NOISE / simulation.ADC
    assert counts == pytest.approx(1.0955, abs=1e-3)
    assert 0.8 < simulation.TOGETHER < 1


def test_crystals_that_touch_a_cluster_are_kept():
    energy = np.zeros((1, 32, 32))
    energy[0, 16, 16] = 10
    energy[0, 18, 18] = energy[0, 17, 17] = 0.3
    energy[0, 19, 19] = energy[0, 20, 20] = 0.09  # a chain by corners
    energy[0, 22, 22] = 0.09  # alone, below what is kept alone
    energy[0, 25, 5] = 0.1  # alone, above it
    kept = simulation.reduced(energy)[0]
    assert kept[16:21, 16:21].diagonal().all()
    assert not kept[22, 22]
    assert kept[25, 5]


def test_calibration(images):
    both = np.concatenate([images[kind] for kind in CLASSES])
    checks = validate({"image": both}, np.repeat([0, 1], EVENTS))
    figures = [check for check in checks if check.figure in GENUINE]
    assert [check.figure for check in figures] == list(GENUINE)
    assert {check.figure: check.pull for check in figures if abs(check.pull) >= 4} == {}


def test_every_shape_of_the_genuine_images_is_compared(images):
    both = np.concatenate([images[kind] for kind in CLASSES])
    found = validate({"image": both}, np.repeat([0, 1], EVENTS))
    comparisons = [one for one in found if isinstance(one, Comparison)]
    assert len(comparisons) == 13 * len(CLASSES)
    for one in comparisons:
        assert (np.diff(one.edges) > 0).all(), one.figure
        assert one.observed.sum() == pytest.approx(1)
        assert one.expected.sum() == pytest.approx(1)
        assert one.degrees == 5
    # Each of 5 degrees of freedom; half of a class's 13 shapes are of the same few crystals.
    assert max(one.chi2 for one in comparisons) < 45
    distances = [one.figure for one in found if "satellite" in one.figure]
    assert len(distances) == 4
    assert len([one for one in found if one.figure.startswith("correlation")]) == 8


def test_a_sample_with_the_genuine_quantiles_agrees():
    levels, between = [0, *ecal_reference.LEVELS, 1], 10_000
    for name, quantiles in ecal_reference.QUANTILES.items():
        inner = np.array(quantiles["photon"])
        wide = [inner[0] - 1, *inner, inner[-1] + 1]
        columns = {other: np.linspace(0, 1, between) for other in calorimeter.SHOWER_SHAPES}
        columns[name] = np.interp((np.arange(between) + 0.5) / between, levels, wide)
        (one,) = [one for one in shapes(columns, "photon") if one.figure == f"{name}, photon"]
        assert one.chi2 < 0.01, name


def test_a_class_alone_has_no_checks(images):
    assert validate({"image": images["photon"]}, np.zeros(EVENTS, np.int64)) == []
