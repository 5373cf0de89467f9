"""Views against slow loops and images made by hand; scaling."""

import numpy as np
import pytest

from hepbench.benchmarks.base import Sample
from hepbench.benchmarks.features import calorimeter
from hepbench.benchmarks.scaling import fit_scaling


def images(events=40, size=16, hits=0.1, seed=0):
    """(N, size, size, 2) with some hits of random energy and time."""
    rng = np.random.default_rng(seed)
    image = rng.exponential(1, (events, size, size, 2)) * (rng.random((events, size, size, 1)) < hits)
    return image.astype(np.float32)


def shapes_of(image):
    return dict(zip(calorimeter.SHOWER_SHAPES, calorimeter.shower_shapes(image[None])[0], strict=True))


@pytest.mark.parametrize("points", [5, 64])
def test_cloud_is_that_of_a_loop_over_pixels(points):
    image = images()
    cloud = calorimeter.image_to_cloud(image, points=points, pitch=0.5)
    for event, pixels in enumerate(image):
        hits = [(pixels[i, j, 0], i, j) for i in range(16) for j in range(16) if pixels[i, j, 0] > 0]
        total = sum(float(energy) for energy, _, _ in hits)
        hits = sorted(hits, reverse=True)[:points]
        assert cloud["mask"][event].tolist() == [True] * len(hits) + [False] * (points - len(hits))
        for rank, (energy, i, j) in enumerate(hits):
            eta, phi = (i - 8) * 0.5, (j - 8) * 0.5
            expected = [eta, phi, np.log(energy), np.log(energy / total), np.hypot(eta, phi), pixels[i, j, 1]]
            np.testing.assert_allclose(cloud["features"][event, rank], expected, rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(cloud["points"][event, rank], [eta, phi])
        assert not cloud["features"][event, len(hits) :].any()
        assert not cloud["points"][event, len(hits) :].any()


def test_cloud_of_an_empty_image_is_all_padding():
    cloud = calorimeter.image_to_cloud(np.zeros((3, 8, 8, 2), np.float32))
    assert not cloud["mask"].any() and np.isfinite(cloud["features"]).all()
    assert cloud["features"].shape == (3, 64, len(calorimeter.CLOUD_FEATURES) + 1)


def test_shower_shapes_of_an_image_by_hand():
    image = np.zeros((16, 16, 2), np.float32)
    energies = {(8, 8): 8.0, (8, 9): 4.0, (9, 8): 2.0, (8, 12): 1.5, (5, 8): 0.5}
    for (eta, phi), energy in energies.items():
        image[eta, phi] = energy, phi - 8  # time = distance in phi
    shapes = shapes_of(image)
    expected = {
        "log_energy": np.log(16),
        "hits": 5,
        "hits_above_1_percent": 5,
        "seed_fraction": 8 / 16,
        "second_fraction": 4 / 16,
        "e_ratio": (8 - 4) / (8 + 4),
        "s4": 14 / 14,  # the 2x2 up and right of the seed holds all of the 5x5
        "r9": 14 / 16,
        "e5x5_fraction": 14 / 16,
        "e1x3_e3x3": 12 / 14,
        "e3x1_e3x3": 10 / 14,
        "e1x5_e5x5": 12 / 14,
        "e2x5_e5x5": 14 / 14,
        "r_eta": 14 / 14.5,
        "r_phi": 1.0,
        "eta_offset": (2 * 1 + 0.5 * -3) / 16,
        "phi_offset": (4 * 1 + 1.5 * 4) / 16,
        "phi_asymmetry": 5.5 / 16,
        "phi_tail": 1.5 / 16,
        "phi_tail_difference": 1.5 / 16,
        "eta_tail": 0.5 / 16,
        "soft_fraction": 0,
        "dispersion": np.sqrt(64 + 16 + 4 + 2.25 + 0.25) / 16,
        "entropy": -sum(e / 16 * np.log(e / 16) for e in energies.values()),
        "satellite_fraction": 1.5 / 16,
        "satellite_delta_eta": 0,
        "satellite_delta_phi": 4,
        "seed_time": 0,
        "time_mean": (4 * 1 + 1.5 * 4) / 16,
    }
    for name, value in expected.items():
        assert shapes[name] == pytest.approx(value, rel=1e-5, abs=1e-6), name


def moments(image, window=None, logarithmic=False):
    """Means, widths and covariance of an image in eta and phi, pixel by pixel."""
    energy = image[..., 0].astype(np.float64)
    seed = np.unravel_index(energy.argmax(), energy.shape)
    eta, phi = np.meshgrid(*(np.arange(16) - middle for middle in seed), indexing="ij")
    inside = energy > 0
    if window is not None:
        inside &= (np.abs(eta) <= window) & (np.abs(phi) <= window)
    weight = np.where(inside, energy, 0)
    if logarithmic:
        share = weight / weight.sum()
        weight = np.maximum(0, 4.7 + np.log(np.where(share > 0, share, 1e-30))) * inside
    weight = weight / weight.sum()
    eta_mean, phi_mean = (weight * eta).sum(), (weight * phi).sum()
    eta, phi = eta - eta_mean, phi - phi_mean
    return eta, phi, weight, eta_mean, phi_mean


def test_moments_are_those_of_sums_over_pixels():
    for image in images(20, hits=0.2, seed=1):
        shapes = shapes_of(image)
        eta, phi, weight, eta_mean, phi_mean = moments(image)
        assert shapes["eta_offset"] == pytest.approx(eta_mean, rel=1e-4, abs=1e-5)
        assert shapes["phi_offset"] == pytest.approx(phi_mean, rel=1e-4, abs=1e-5)
        eta_width, phi_width = np.sqrt((weight * eta**2).sum()), np.sqrt((weight * phi**2).sum())
        assert shapes["eta_width"] == pytest.approx(eta_width, rel=1e-4)
        assert shapes["phi_width"] == pytest.approx(phi_width, rel=1e-4)
        assert shapes["width_ratio"] == pytest.approx(phi_width / eta_width, rel=1e-4)
        assert shapes["phi_skewness"] == pytest.approx((weight * phi**3).sum() / phi_width**3, rel=1e-3, abs=1e-5)
        brightest = np.sort(image[..., 0].ravel())[::-1][:2].astype(np.float64).sum()
        outside = image[..., 0] < np.sort(image[..., 0].ravel())[-2]
        moment = (image[..., 0] * (eta**2 + phi**2) * outside).sum()
        assert shapes["lateral_moment"] == pytest.approx(moment / (moment + brightest), rel=1e-4)
        time = image[..., 1].astype(np.float64)
        mean = (weight * time).sum()
        assert shapes["time_mean"] == pytest.approx(mean, rel=1e-4)
        assert shapes["time_spread"] == pytest.approx(np.sqrt((weight * (time - mean) ** 2).sum()), rel=1e-4)

        eta, phi, weight, *_ = moments(image, window=2, logarithmic=True)
        assert shapes["sigma_ieta_ieta"] == pytest.approx(np.sqrt((weight * eta**2).sum()), rel=1e-4, abs=1e-5)
        assert shapes["sigma_iphi_iphi"] == pytest.approx(np.sqrt((weight * phi**2).sum()), rel=1e-4, abs=1e-5)
        assert shapes["sigma_ieta_iphi"] == pytest.approx((weight * eta * phi).sum(), rel=1e-4, abs=1e-5)


def test_shower_shapes_of_one_event_do_not_depend_on_the_others():
    image = images(10)
    image[4] = 0
    together = calorimeter.shower_shapes(image)
    alone = np.concatenate([calorimeter.shower_shapes(image[i : i + 1]) for i in range(10)])
    np.testing.assert_allclose(together, alone, rtol=1e-6)
    assert np.isfinite(together).all()
    assert not together[4].any()


def test_a_single_hit_has_finite_shower_shapes():
    image = np.zeros((16, 16, 2), np.float32)
    image[0, 15, 0] = 3
    shapes = shapes_of(image)
    assert all(np.isfinite(list(shapes.values())))
    assert shapes["r9"] == shapes["seed_fraction"] == 1


def sample_of(inputs, rows):
    return Sample(inputs, np.asarray(rows), np.zeros(len(rows), np.int64))


def test_scaling_is_fitted_on_the_rows_of_the_part_alone():
    table = np.random.default_rng(0).normal(5, 3, (1000, 4)).astype(np.float32)
    table[500:] = 1e6
    scaling = fit_scaling(sample_of({"table": table}, np.arange(500)))
    scaled = Sample({"table": table}, np.arange(500), np.zeros(500), scaling).take(slice(None))["table"]
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.std(axis=0), 1, rtol=1e-5)
    assert scaled.dtype == np.float32


def test_scaling_of_features_looks_at_true_particles_alone():
    rng = np.random.default_rng(1)
    features = rng.normal(2, 4, (50, 10, 3)).astype(np.float32)
    mask = rng.random((50, 10)) < 0.5
    features[~mask] = 0
    inputs = {"points": features[..., :2], "features": features, "mask": mask}
    scaling = fit_scaling(sample_of(inputs, np.arange(50)))
    assert set(scaling) == {"features"}
    np.testing.assert_allclose(scaling["features"][0], features[mask].mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(scaling["features"][1], 1 / features[mask].std(axis=0), rtol=1e-5)


def test_scaling_of_an_image_keeps_its_zeros():
    image = images()
    shift, scale = fit_scaling(sample_of({"image": image}, np.arange(40)))["image"]
    assert not shift.any()
    for channel in range(2):
        hits = image[..., channel][image[..., channel] != 0]
        assert scale[channel] == pytest.approx(1 / np.sqrt(np.mean(hits.astype(np.float64) ** 2)), rel=1e-5)


def test_a_constant_variable_keeps_its_scale():
    table = np.full((10, 2), 7.0, np.float32)
    shift, scale = fit_scaling(sample_of({"table": table}, np.arange(10)))["table"]
    assert shift.tolist() == [7, 7] and scale.tolist() == [1, 1]


def test_scaling_in_chunks_is_that_of_the_whole():
    table = np.random.default_rng(2).normal(100, 1, (2000, 10_000)).astype(np.float32)
    shift, scale = fit_scaling(sample_of({"table": table}, np.arange(2000)))["table"]  # two chunks
    np.testing.assert_allclose(shift, table.mean(axis=0, dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(1 / scale, table.std(axis=0, dtype=np.float64), rtol=1e-4)


def test_scaling_reads_no_more_than_its_memory():
    table = np.arange(4000, dtype=np.float32).reshape(1000, 4)
    shift, _ = fit_scaling(sample_of({"table": table}, np.arange(1000)), memory=16 * 2)["table"]
    np.testing.assert_allclose(shift, (table[0] + table[-1]) / 2)


def test_no_inputs_need_no_scaling():
    assert fit_scaling(sample_of({}, np.arange(5))) == {}
