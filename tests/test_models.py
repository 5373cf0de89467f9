"""Every model family on small samples, so that a new file is tested unasked; the layers; the training loop."""

import functools
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hepbench.benchmarks import metrics, registry
from hepbench.benchmarks.base import Sample, UserError
from hepbench.benchmarks.features import calorimeter, four_momenta
from hepbench.benchmarks.scaling import fit_scaling
from hepbench.suite.training.loop import fit_network
from hepbench.suite.training.network import load_network
from hepbench.suite.training.settings import DEFAULTS

# Keras 3.15 converts TensorFlow's variables with a numpy call that numpy 2 deprecates
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

SMALL = {
    **{"epochs": 8, "rounds": 30, "batch_size": 50, "learning_rate": 3e-3},
    **{"blocks": 1, "depth": 1, "width": 32, "filters": 8, "dense": 32},
}
"""Parameters that make a training short, for the families that have them."""
NAMES = registry.names("model")
SLOW_TO_COMPILE = ("part", "part_lite", "lorentz_transformer")
OF_ITS_FILE = {registry.find("model", name).path: name for name in reversed(NAMES)}
VARIANTS = {name for name in NAMES if name in SLOW_TO_COMPILE or name not in OF_ITS_FILE.values()}
"""Those beside the first of a file, which is built of the same layers, and what is slow to compile."""
UNTRAINED = ("prior", "optimum")
"""Which count the classes of the training part, and no more."""
NOTHING_RANDOM = ("logistic", *UNTRAINED)
TRAINED_LONG = ("part", "lorentz_transformer")
"""part_lite has the layers of the one and is trained in its place; tests/test_lorentz.py looks at the other."""
NARROW = ("mlp_pxd_study_six", "mlp_pxd_study_six_appendix")
"""Deep networks of six sigmoids with dropout, which find nothing out in the steps that others need."""
LONGER = {"epochs": 200, "learning_rate": 0.006, "patience": 0}


def images(events, size=16, seed=0):
    """Images of two classes, the second one wider in phi, and their labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, events)
    image = np.zeros((events, size, size, 2), np.float32)
    for event, label in enumerate(labels):
        spread = np.array([1.5, 1.5 + 2 * label])
        eta, phi = np.clip(size // 2 + rng.normal(size=(20, 2)) * spread, 0, size - 1).astype(int).T
        image[event, eta, phi] = np.stack([rng.exponential(1, 20), rng.normal(size=20)], axis=1)
    return image, labels


def log_likelihoods(image):
    """(n, 2): of the hits in phi, as `images` draws them but for the edges and the width of a crystal."""
    hits = (image[..., 0] > 0).sum(axis=1)
    phi = np.arange(image.shape[2]) - image.shape[2] // 2
    return np.stack([hits @ (-((phi / width) ** 2) / 2 - np.log(width)) for width in (1.5, 3.5)], axis=1)


def inputs_of(view, image):
    return {
        "image": lambda: {"image": image},
        "cloud": lambda: calorimeter.image_to_cloud(image, points=24),
        "table": lambda: {"table": calorimeter.shower_shapes(image)},
        "optimum": lambda: {"log_likelihoods": log_likelihoods(image)},
        "momenta": lambda: momenta_of(calorimeter.image_to_cloud(image, points=24)),
        "": dict,
    }[view]()


def momenta_of(cloud):
    """Massless particles at the places of the hits."""
    pt, (eta, phi) = np.exp(cloud["log_pt"]) * cloud["mask"], np.moveaxis(cloud["points"].astype(np.float64), -1, 0)
    momenta = np.stack([np.cos(phi), np.sin(phi), np.sinh(eta), np.cosh(eta)], axis=-1) * pt[..., None]
    return four_momenta.at_rest(momenta, points=24)


def samples(view, size=16):
    """Training, validation and test part as this view, scaled."""
    image, labels = images(400, size)
    inputs = inputs_of(view, image)
    rows = np.random.default_rng(1).permutation(400)
    parts = [Sample(inputs, part, labels[part]) for part in np.split(rows, [250, 330])]
    scaling = fit_scaling(parts[0])
    return [replace(part, scaling=scaling) for part in parts]


def fit(model, parts, seed=0, report=lambda epoch, values: None, classes=2, **changes):
    """Train with the family's defaults and these changes, of which it takes those that it knows."""
    hasty = model.build and model.defaults.get("patience", 5) < 5  # would stop before a small sample is learned
    changed = {**SMALL, **({"patience": 20} if hasty else {}), **changes}
    parameters = {name: changed.get(name, default) for name, default in model.defaults.items()}
    if model.defaults.get("optimiser") == "sgd" and "learning_rate" not in changes:
        parameters["learning_rate"] = 0.1  # what the few steps of a small sample need without Adam
    fitting = model.fit or functools.partial(fit_network, model.build)
    return fitting(*parts[:2], parameters, classes=classes, seed=seed, device="cpu", report=report)


def network(name):
    return registry.find("model", name).record


CLOUDS = [name for name in NAMES if network(name).view == "cloud"]


def each(names, *, long=()):
    """The names as parameters of a test, so that one process runs all tests of an entry; the long ones for some."""
    marks = {name: [pytest.mark.xdist_group(name), *([pytest.mark.long] if name in long else [])] for name in names}
    return pytest.mark.parametrize("name", [pytest.param(name, marks=marks[name]) for name in names])


@pytest.fixture
def uncompiled(name):
    """Steps run as they are written, where a test takes so few that compiling them takes longer."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(name in SLOW_TO_COMPILE)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="module")
def trained():
    """Each family trained once: (model, parts, fitted, reported)."""
    done = {}

    def get(name):
        if name not in done:
            model, reported = network(name), []
            parts = samples(model.view)
            fitted = fit(model, parts, report=lambda epoch, values: reported.append((epoch, dict(values))))
            done[name] = model, parts, fitted, reported
        return done[name]

    return get


@each(NAMES, long=TRAINED_LONG)
def test_scores_are_normalised(name, trained):
    _, parts, fitted, _ = trained(name)
    scores = fitted.predict(parts[2])
    assert scores.shape == (len(parts[2]), 2) and scores.dtype == np.float32
    assert np.isfinite(scores).all() and (scores >= 0).all()
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-6)
    assert isinstance(fitted.trainable_parameters, int) and fitted.trainable_parameters > 0


@each(NAMES, long=TRAINED_LONG)
def test_a_saved_model_gives_the_same_scores(name, trained, tmp_path):
    model, parts, fitted, _ = trained(name)
    fitted.save(tmp_path)
    loaded = (model.load or load_network)(tmp_path)
    np.testing.assert_array_equal(loaded.predict(parts[2]), fitted.predict(parts[2]))
    assert loaded.trainable_parameters == fitted.trainable_parameters


@each([name for name in NAMES if name not in UNTRAINED], long=VARIANTS)
def test_a_family_takes_in_the_context(name):
    """The context alone tells these classes apart; what else is there does not."""
    model = network(name)
    labels = np.arange(400) % 2
    context = (labels[:, None] + np.random.default_rng(0).normal(0, 0.2, (400, 2))).astype(np.float32)
    parts = samples(model.view)
    parts = [replace(part, inputs={**part.inputs, "context": context}, labels=labels[part.rows]) for part in parts]
    scaling = fit_scaling(parts[0])
    train, valid, test = (replace(part, scaling=scaling) for part in parts)
    fitted = fit(model, (train, valid), **(LONGER if name in NARROW else {"epochs": 15}))
    assert metrics.auc(test.labels, fitted.predict(test), 1)[0] > 0.9


@each(NAMES, long=VARIANTS)
def test_the_seed_alone_decides_the_scores(name, trained):
    model, parts, fitted, _ = trained(name)
    scores = fitted.predict(parts[2])
    np.testing.assert_array_equal(fit(model, parts, seed=0).predict(parts[2]), scores)
    if name not in NOTHING_RANDOM:
        assert np.any(fit(model, parts, seed=1).predict(parts[2]) != scores)


@each(NAMES, long=TRAINED_LONG)
def test_epochs_are_reported_from_1(name, trained):
    model, _, _, reported = trained(name)
    assert [epoch for epoch, _ in reported] == sorted({epoch for epoch, _ in reported})
    if name not in UNTRAINED:
        assert reported[0][0] == 1
        assert {"loss", "val_loss", "val_auc"} <= set(reported[0][1])
    if model.build:
        assert [epoch for epoch, _ in reported] == list(range(1, SMALL["epochs"] + 1))
    for _, values in reported:
        assert all(np.isfinite(value) for value in values.values())


@each(NAMES, long=TRAINED_LONG)
def test_scores_do_not_depend_on_the_events_beside(name, trained):
    _, parts, fitted, _ = trained(name)
    scores = fitted.predict(parts[2])
    some = replace(parts[2], rows=parts[2].rows[5:8], labels=parts[2].labels[5:8])
    np.testing.assert_allclose(fitted.predict(some), scores[5:8], atol=1e-6)
    none = replace(parts[2], rows=parts[2].rows[:0], labels=parts[2].labels[:0])
    assert fitted.predict(none).shape == (0, 2)


@each(NAMES)
def test_a_search_space_replaces_defaults_only(name):
    import optuna

    model = network(name)
    for seed in range(3):
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
        assert set(model.space(study.ask())) <= set(model.defaults)


@each([name for name in NAMES if name != "optimum"], long=VARIANTS)  # the likelihoods here are of two
def test_several_classes(name, uncompiled):
    model = network(name)
    parts = [replace(part, labels=np.arange(len(part)) % 3) for part in samples(model.view)]
    scores = fit(model, parts, classes=3, epochs=1, rounds=3).predict(parts[2])
    assert scores.shape == (len(parts[2]), 3)
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)


@each(sorted(set(NAMES) - {"prior"}), long={*TRAINED_LONG, *NARROW})
def test_what_can_be_learned_is_learned(name, trained):
    model, parts, fitted, _ = trained(name)
    if name in NARROW:
        fitted = fit(model, parts, **LONGER)
    assert metrics.auc(parts[2].labels, fitted.predict(parts[2]), 1)[0] > 0.7


def test_prior_scores_are_the_frequencies_of_the_training_part(trained):
    _, parts, fitted, _ = trained("prior")
    assert fitted.predict(parts[2])[0, 1] == pytest.approx(parts[0].labels.mean())


@each(NAMES, long=VARIANTS)
def test_labels_that_mean_nothing_are_not_learned(name, uncompiled):
    """What tells 1,500 events of scrambled labels apart has seen these labels."""
    model = network(name)
    image, labels = images(1800)
    labels = np.random.default_rng(7).permutation(labels)
    inputs = inputs_of(model.view, image)
    parts = [Sample(inputs, rows, labels[rows]) for rows in np.split(np.arange(1800), [200, 300])]
    scaling = fit_scaling(parts[0])
    train, valid, test = (replace(part, scaling=scaling) for part in parts)
    auc, error = metrics.auc(test.labels, fit(model, (train, valid), epochs=2).predict(test), 1)
    assert abs(auc - 0.5) < 4 * max(error, 1e-3)


def cloud(hits, points, seed=0):
    """Clouds of so many hits each, padded to so many points with what must not matter."""
    rng = np.random.default_rng(seed)
    mask = np.arange(points) < np.array(hits)[:, None]
    real = rng.normal(size=(len(hits), 64, 9)).astype(np.float32)[:, :points]
    batch = {"points": real[..., :2].copy(), "features": real[..., 2:8].copy(), "log_pt": real[..., 8].copy()}
    batch["points"][~mask] = 0
    batch["features"][~mask] = 17
    batch["log_pt"][~mask] = 17
    return {**batch, "mask": mask}


@functools.cache
def cloud_network(name, points):
    """Networks with the same weights for any number of points; the statistics are no longer those of the start."""
    import keras

    model = network(name)
    keras.utils.set_random_seed(0)
    shapes = {"points": (points, 2), "features": (points, 6), "log_pt": (points,), "mask": (points,)}
    built = model.build(shapes, 2, model.defaults)
    rng = np.random.default_rng(0)
    for variable in built.non_trainable_variables:
        if "moving" in variable.name:
            variable.assign(rng.uniform(0.2, 1.0, variable.shape))
    return built


def scores_of(name, batch):
    """Outputs (N, ...) of the untrained entry, which takes what it knows of the batch."""
    built = cloud_network(name, batch["mask"].shape[1])
    names = {tensor.name for tensor in built.inputs}
    return np.asarray(built({name: values for name, values in batch.items() if name in names}, training=False))


@each(CLOUDS)
def test_padding_does_not_change_the_scores_of_a_cloud(name):
    hits = [0, 1, 2, 5, 7, 8, 9, 20]
    scores = scores_of(name, cloud(hits, 20))
    assert np.isfinite(scores).all() and len(np.unique(scores[:, -1])) == len(hits)
    np.testing.assert_allclose(scores_of(name, cloud(hits, 40)), scores, atol=2e-6)


@each(CLOUDS)
def test_fewer_points_than_neighbours(name):
    hits = [0, 1, 2, 4]
    np.testing.assert_allclose(scores_of(name, cloud(hits, 4)), scores_of(name, cloud(hits, 20)), atol=2e-6)


@pytest.mark.parametrize("grid", [False, True], ids=["anywhere", "on a grid"])
@each(CLOUDS)
def test_the_order_of_points_does_not_change_the_scores_of_a_cloud(name, grid):
    """On a grid of crystals many neighbours are at the same distance."""
    batch = cloud([20] * 6 if grid else [0, 1, 3, 7, 12, 20], 20)
    if grid:
        crystals = np.stack(np.meshgrid(np.arange(5), np.arange(4)), axis=-1).reshape(20, 2)
        batch["points"] = np.broadcast_to(0.0174 * crystals, (6, 20, 2)).astype(np.float32)
    order = np.random.default_rng(3).permutation(20)
    shuffled = {name: values[:, order] for name, values in batch.items()}
    np.testing.assert_allclose(scores_of(name, shuffled), scores_of(name, batch), atol=2e-6)


def parameters(name, shapes, classes=2):
    """(all, trained) numbers of an entry with its defaults."""
    model = network(name)
    built = model.build(shapes, classes, model.defaults)
    return built.count_params(), sum(int(np.prod(weight.shape)) for weight in built.trainable_variables)


@pytest.mark.parametrize("name", ["gnn", "particlenet_lite", "part_lite"])
@pytest.mark.parametrize("events", [1, 4])
def test_a_batch_of_empty_clouds_alone(name, events):
    from hepbench.suite.training.network import Network

    batch = cloud([0] * events, 20)
    built = Network(cloud_network(name, 20), 2)
    sample = Sample(batch, np.arange(events), np.zeros(events, int))
    np.testing.assert_allclose(np.exp(built.predict_log(sample)).sum(axis=1), 1, atol=1e-6)


def test_a_training_goes_through_a_batch_of_empty_clouds():
    """And no moving average is moved by it."""
    batch = cloud([0] * 8, 20)
    sample = Sample(batch, np.arange(8), np.arange(8) % 2)
    fitted = fit(network("particlenet_lite"), (sample, sample), epochs=1, width=4)
    for variable in fitted.keras_model.non_trainable_variables:
        if "moving" in variable.name:
            np.testing.assert_array_equal(variable, float("variance" in variable.name))


@pytest.mark.parametrize("fused", [True, False], ids=["TensorFlow", "JAX"])
def test_batch_normalisation_remembers_the_unbiased_variance(fused, monkeypatch):
    """1502.03167 algorithm 2; of true points alone, and of no point nothing."""
    from hepbench.benchmarks.layers import normalization

    monkeypatch.setattr(normalization, "on_tensorflow", lambda: fused)
    x = np.random.default_rng(0).normal(3, 2, (10, 4, 5)).astype(np.float32)
    layer = normalization.BatchNormalization(momentum=0.0)
    weight = np.ones((10, 1), np.float32)
    if not fused:
        weight[6:] = 0
    true = x[weight[:, 0] > 0]
    y = np.asarray(layer([x, weight], training=True))[: len(true)]
    np.testing.assert_allclose(y.std(axis=(0, 1)), 1, rtol=1e-3)
    for _ in range(2):
        np.testing.assert_allclose(layer.mean, true.mean(axis=(0, 1)), rtol=1e-5)
        np.testing.assert_allclose(layer.variance, true.reshape(-1, 5).var(axis=0, ddof=1), rtol=1e-5)
        layer([x[:0], weight[:0]] if fused else [x, 0 * weight], training=True)


@pytest.mark.parametrize("tensorflow", [True, False], ids=["TensorFlow", "JAX"])
@pytest.mark.parametrize("kind", ["CloudSum", "CloudMean"])
def test_clouds_are_summed_in_32_bits(kind, tensorflow, monkeypatch):
    from hepbench.benchmarks.layers import point_cloud

    monkeypatch.setattr(point_cloud, "on_tensorflow", lambda: tensorflow)
    x = np.abs(np.random.default_rng(0).normal(size=(2 * 139, 8))).astype("bfloat16")
    mask = np.ones((2, 139), bool)
    layer = getattr(point_cloud, kind)(dtype="bfloat16")
    found = layer([x, mask, np.arange(2 * 139, dtype=np.int32)])
    expected = x.astype(np.float64).reshape(2, 139, 8).sum(axis=1) / (139 if kind == "CloudMean" else 1)
    assert found.dtype == "bfloat16"
    np.testing.assert_allclose(np.asarray(found).astype(np.float64), expected, rtol=2**-8)


def test_features_of_pairs_are_their_formula():
    """Down to small angles; of two particles at the same place the angle is 1e-8, and only a particle with itself has
    none."""
    from hepbench.benchmarks.layers.attention import pair_features

    angles = np.array([0, 0, 3e-4, -1e-3, 2e-2, 0.5], np.float32)
    points = np.stack([0.7 * angles, -0.3 * angles], axis=-1)[None]
    log_pt = np.log(np.arange(1.0, 7)).astype(np.float32)[None, :, None]
    found = np.asarray(pair_features(points, log_pt))[0]
    eta, phi = points[0].astype(np.float64).T
    pt = np.exp(log_pt[0, :, 0].astype(np.float64))
    for i in range(6):
        for j in range(6):
            if i == j:
                np.testing.assert_array_equal(found[i, j], 0)
                continue
            distance = max(np.hypot(eta[i] - eta[j], phi[i] - phi[j]), 1e-8)
            mass = 4 * (np.sinh((eta[i] - eta[j]) / 2) ** 2 + np.sin((phi[i] - phi[j]) / 2) ** 2)
            soft = min(pt[i], pt[j])
            expected = [
                *(np.log(distance), np.log(soft * distance), np.log(soft / (pt[i] + pt[j]))),
                np.log(pt[i] * pt[j] * max(mass, 1e-16)),
            ]
            np.testing.assert_allclose(found[i, j], expected, atol=1e-4)
    np.testing.assert_array_equal(np.asarray(pair_features(points))[0, ..., 0], found[..., 0])


def test_weights_of_attention_are_dropped_in_training_alone():
    from hepbench.benchmarks.layers.attention import ParticleAttention, Trim, attend

    rng = np.random.default_rng(0)
    mask = np.ones((4, 12), bool)
    _, longest = Trim()(mask)
    x = rng.normal(size=(48, 8)).astype(np.float32)
    layer = ParticleAttention(2, dropout=0.5)
    given = [x, mask, longest, np.zeros(4 * 2 * 12 * 12, np.float32)]
    known, one, other = (np.asarray(layer(given, training=training)) for training in (False, True, True))
    np.testing.assert_array_equal(layer(given), known)
    assert np.abs(one - known).max() > 0.01 < np.abs(other - one).max()
    query, key, value = rng.normal(size=(3, 1, 12, 8)).astype(np.float32)
    kept = 2 * rng.integers(0, 2, (1, 1, 12, 12)).astype(np.float32)
    weights = np.exp(query[0] @ key[0].T * 8**-0.5)
    expected = (weights / weights.sum(axis=1, keepdims=True) * kept[0, 0]) @ value[0]
    found = attend(query, key, value, np.zeros((1, 1, 1, 12), np.float32), kept, heads=1)
    np.testing.assert_allclose(found, expected, atol=1e-5)


CLOUD_OF = {features: {"points": (100, 2), "features": (100, features), "mask": (100,)} for features in (4, 7)}


@pytest.mark.parametrize("static", ["", "_static"])
def test_particlenet_has_the_published_number_of_parameters(static):
    """The source document counts moving averages; the paper's 366k are trained, with 7 features."""
    assert parameters(f"particlenet_lite{static}", CLOUD_OF[4]) == (26_898, 26_122)
    assert parameters(f"particlenet{static}", CLOUD_OF[7])[1] == 366_160


@pytest.mark.parametrize(
    "name, shapes, classes, count",
    [
        ("mlp_hepmass", {"table": (27,), "context": (1,)}, 2, 28 * 500 + 500 * 400 + 400 * 300 + 300 * 200 + 200 * 100),
        ("mlp_pxd", {"image": (9, 9, 1)}, 5, 81 * 80 + 80 * 64 + 64 * 64 + 64 * 32 + 32 * 32 + 32 * 5),
        ("mlp_pxd6", {"table": (6,)}, 2, 2 * 6 * 6),
        ("mlp_parametrised", {"table": (27,), "context": (1,)}, 2, 28 * 500 + 4 * 500**2),
    ],
)
def test_dense_networks_have_the_documents_layers(name, shapes, classes, count):
    """Weights without constants: the products of neighbouring widths, of the last layer too."""
    model = network(name)
    built = model.build(shapes, classes, model.defaults)
    last = built.layers[-1].kernel.shape
    kernels = [weight for weight in built.trainable_variables if len(weight.shape) == 2]
    assert sum(int(np.prod(kernel.shape)) for kernel in kernels) == count + (classes == 2) * int(np.prod(last))


def test_the_particle_transformer_has_the_papers_layers():
    """Dropout of the three places of a particle block, none for the class token; (2.14M weights, table 3)."""
    assert parameters("part", CLOUD_OF[7] | {"log_pt": (100,)})[1] == 2_140_712
    built = cloud_network("part", 20)
    rates = [layer.rate for layer in built.layers if type(layer).__name__ == "Dropout"]
    assert rates == [0.1] * 3 * 8 + [0.0] * 3 * 2
    of_attention = [layer.dropout.rate for layer in built.layers if type(layer).__name__ == "ParticleAttention"]
    assert of_attention == [0.1] * 8
    (token,) = (layer for layer in built.layers if type(layer).__name__ == "ClassToken")
    users = {type(node.operation).__name__ for node in token._outbound_nodes}
    assert users == {"LayerNormalization", "TokenAttention", "Add"}  # the query is not normalised


def test_pfn_has_the_papers_layers():
    """100, 100, 256, sum, 100, 100, 100 and two outputs, each with constants."""
    widths = [(4, 100), (100, 100), (100, 256), (256, 100), (100, 100), (100, 100), (100, 2)]
    assert parameters("pfn", CLOUD_OF[4])[1] == sum((one + 1) * other for one, other in widths)


def test_neighbours_are_the_nearest_true_points():
    """A point itself stands where there are no further ones."""
    from hepbench.benchmarks.layers.point_cloud import k_nearest

    batch = cloud([0, 1, 3, 7, 12, 20], 20)
    index = np.asarray(k_nearest(batch["points"], batch["mask"], 7))
    for points, mask, found in zip(batch["points"], batch["mask"], index, strict=True):
        for i in np.flatnonzero(mask):
            distance = ((points - points[i]) ** 2).sum(axis=1)
            others = [j for j in np.argsort(distance) if mask[j] and j != i][:7]
            assert sorted(found[i]) == sorted(others + [i] * (7 - len(others)))


def test_edge_conv_is_its_formula():
    """W2 mean relu(W1 [x_i, x_j - x_i] + b1) + b2, edge by edge; a point is no neighbour of itself."""
    from hepbench.benchmarks.layers.edge_conv import EdgeConv

    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 6)).astype(np.float32)
    index = rng.integers(0, 30, (30, 7), dtype=np.int32)
    index[:10, 4:] = np.arange(10)[:, None]
    index[10] = 10
    layer = EdgeConv(16)
    result = np.asarray(layer([x, index]))
    own, bias, other, out, out_bias = (np.asarray(weight) for weight in layer.get_weights())
    first = np.concatenate([own + other, other])  # A = W_x - W_d, B = W_d for W1 = [W_x, W_d]
    for i in range(30):
        edges = [np.concatenate([x[i], x[j] - x[i]]) @ first + bias for j in index[i] if j != i]
        mean = np.mean(np.maximum(edges, 0), axis=0) if edges else np.zeros(16)
        np.testing.assert_allclose(result[i], mean @ out + out_bias, atol=2e-5)


def test_edges_of_a_training_are_those_of_a_prediction():
    """With their gradients, on TensorFlow, whose kernels for training are compiled; of every number of points."""
    import tensorflow as tf

    from hepbench.benchmarks.layers.edge_conv import EdgeConv

    rng = np.random.default_rng(0)
    layer = EdgeConv(8)
    layer.build([(None, 6), (None, 7)])
    for points in (1, 30, 37):
        index = rng.integers(0, points, (points, 7), dtype=np.int32)
        index[:10, 4:] = np.arange(points)[:10, None]
        x = tf.constant(rng.normal(size=(points, 6)).astype(np.float32))
        found = []
        for training in (False, True):
            with tf.GradientTape() as tape:
                tape.watch(x)
                total = tf.reduce_sum(tf.sin(layer([x, index], training=training)))
            found.append([total, *tape.gradient(total, [x, *(weight.value for weight in layer.trainable_weights)])])
        for expected, result in zip(*found, strict=True):
            np.testing.assert_allclose(result, expected, rtol=1e-5, atol=2e-5)


@pytest.fixture
def mlp():
    """The dense network with every option of the training."""
    return replace(network("mlp"), defaults={**DEFAULTS, **network("mlp").defaults})


def test_best_epoch_is_kept_and_training_stops(mlp):
    parts, losses = samples("table"), []
    parts[1] = replace(parts[1], labels=1 - parts[1].labels)  # whatever is learned is wrong there
    fitted = fit(mlp, parts, report=lambda epoch, values: losses.append(values["val_loss"]), epochs=60, patience=3)
    best = int(np.argmin(losses))
    assert len(losses) == best + 1 + 3 < 60
    loss, _ = metrics.log_loss(parts[1].labels, fitted.predict(parts[1]), 1)
    assert loss == pytest.approx(losses[best], rel=1e-6)
    assert [line["epoch"] for line in fitted.history] == list(range(1, len(losses) + 1))
    assert set(fitted.timings) == {"compile_seconds", "train_seconds", "validate_seconds"}


@pytest.mark.parametrize("best_by", ["val_loss", "val_accuracy", "val_auc", "last"])
def test_the_best_epoch_is_that_of_the_metric(mlp, best_by):
    """No patience trains all epochs; the first of equally good ones is kept."""
    parts, lines = samples("table"), []
    parts[1] = replace(parts[1], labels=np.random.default_rng(3).permutation(parts[1].labels))
    fitted = fit(mlp, parts, report=lambda epoch, values: lines.append(values), epochs=20, patience=0, best_by=best_by)
    assert len(lines) == 20
    best = {
        "val_loss": lambda: int(np.argmin([line["val_loss"] for line in lines])),
        "last": lambda: 19,
    }.get(best_by, lambda: int(np.argmax([line[best_by] for line in lines])))()
    loss, _ = metrics.log_loss(parts[1].labels, fitted.predict(parts[1]), 1)
    assert loss == pytest.approx(lines[best]["val_loss"], rel=1e-6)


def test_rmsprop_trains(mlp):
    parts = samples("table")
    fitted = fit(mlp, parts, optimiser="rmsprop")
    assert metrics.auc(parts[2].labels, fitted.predict(parts[2]), 1)[0] > 0.7


def test_learning_rate_falls_where_the_loss_does_not(mlp):
    lines = []
    fit(
        mlp,
        samples("table"),
        report=lambda epoch, values: lines.append(values),
        **{"epochs": 40, "learning_rate": 0.03, "schedule": "plateau", "plateau_patience": 1, "plateau_factor": 0.1},
        **{"minimum_learning_rate": 1e-3, "patience": 8},
    )
    losses = [line["val_loss"] for line in lines]
    for epoch in range(1, len(lines)):
        if lines[epoch]["learning_rate"] < lines[epoch - 1]["learning_rate"]:
            assert losses[epoch - 1] > min(losses[:epoch])
    assert sorted({line["learning_rate"] for line in lines}) == pytest.approx([1e-3, 3e-3, 3e-2])


@pytest.mark.parametrize("schedule", ["cosine", "one_cycle"])
def test_a_rate_below_the_minimum_is_not_raised(schedule):
    from hepbench.suite.training.schedules import Plateau, learning_rates

    options = {**DEFAULTS, "learning_rate": 1e-7, "minimum_learning_rate": 1e-6, "schedule": schedule}
    assert learning_rates(np.linspace(0, 1, 50), options).max() <= 1.0001e-7
    plateau = Plateau(options)
    for _ in range(9):
        plateau.after_epoch(1.0)
    assert plateau.rate == 1e-7


def test_cosine_rises_and_falls(mlp):
    rates = []
    fit(mlp, samples("table"), report=lambda epoch, values: rates.append(values["learning_rate"]), epochs=10)
    assert rates.index(max(rates)) <= 1
    assert rates[1:] == sorted(rates[1:], reverse=True)
    assert rates[-1] < 0.1 * max(rates) <= 0.1 * SMALL["learning_rate"]


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_adam_takes_the_steps_of_keras(decay):
    import keras

    from hepbench.suite.training.adam import Adam

    def trained_with(kind):
        rng = np.random.default_rng(0)
        weights = [keras.Variable(rng.normal(size=shape).astype(np.float32)) for shape in [(5, 3), (3,), ()]]
        optimiser = kind(learning_rate=0.01, weight_decay=decay or None)
        for step in range(20):
            optimiser.learning_rate.assign(0.01 / (1 + step))
            gradients = [rng.normal(size=weight.shape).astype(np.float32) for weight in weights]
            optimiser.apply(gradients, weights)
        return [np.asarray(weight) for weight in weights]

    for ours, theirs in zip(trained_with(Adam), trained_with(keras.optimizers.Adam), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_a_loss_that_is_not_finite_ends_the_training():
    parts = samples("table")
    table = parts[0].inputs["table"].copy()
    table[parts[0].rows[0], 0] = np.nan
    with pytest.raises(FloatingPointError, match="in epoch 1"):
        fit(network("mlp"), [replace(part, inputs={"table": table}) for part in parts])


def test_mistakes_are_named():
    model, parts = network("mlp"), samples("table")
    with pytest.raises(UserError, match="train=250, validation=0"):
        fit(model, [parts[0], replace(parts[1], rows=parts[1].rows[:0], labels=parts[1].labels[:0])])
    with pytest.raises(UserError, match="unknown schedule 'exponential'"):
        fit(model, parts, schedule="exponential")
    with pytest.raises(UserError, match="unknown best_by 'val_los', did you mean 'val_loss'"):
        fit(replace(model, defaults={**DEFAULTS, **model.defaults}), parts, best_by="val_los")
    with pytest.raises(UserError, match="step_epoch='ten'"):
        fit(replace(model, defaults={**DEFAULTS, **model.defaults}), parts, step_epoch="ten")
    with pytest.raises(UserError, match=r"must end in \(N, 3\)"):
        fit_network(
            lambda shapes, classes, parameters: model.build(shapes, 2, parameters),
            *parts[:2],
            model.defaults,
            classes=3,
            seed=0,
            device="cpu",
            report=lambda epoch, values: None,
        )


def test_a_network_may_take_its_inputs_in_any_structure():
    """A user's own file builds a plain Sequential network."""
    import keras

    def build(shapes, classes, parameters):
        table = keras.Input(shapes["table"], name="table")
        return keras.Sequential([table, keras.layers.Dense(2, activation="softmax")])

    parts = samples("table")
    fitted = fit_network(
        build, *parts[:2], {"epochs": 1}, classes=2, seed=0, device="cpu", report=lambda epoch, values: None
    )
    np.testing.assert_allclose(fitted.predict(parts[2]).sum(axis=1), 1, atol=1e-6)


ONE_OF_EACH_KIND = ("cnn_jet", "cnn_resnet", "gnn", "mlp_resnet", "part_lite", "particlenet_lite", "pfn", "tabm")


@each(ONE_OF_EACH_KIND, long=set(ONE_OF_EACH_KIND) - {"mlp_resnet", "gnn"})
def test_networks_train_in_16_bits(name, tmp_path):
    model = network(name)
    parts = samples(model.view)
    fitted = fit(replace(model, defaults={**model.defaults, "precision": "bfloat16"}), parts)
    scores = fitted.predict(parts[2])
    assert metrics.auc(parts[2].labels, scores, 1)[0] > 0.7
    assert "bfloat16" in {layer.compute_dtype for layer in fitted.keras_model.layers}
    assert all(weight.dtype == "float32" for weight in fitted.keras_model.trainable_variables)
    fitted.save(tmp_path)
    np.testing.assert_array_equal(load_network(tmp_path).predict(parts[2]), scores)


@pytest.mark.parametrize("shape", [(5, 8), (37, 64), (3, 11, 8)])
def test_layer_normalisation_in_one_kernel_is_that_of_keras(shape):
    """Its value and its gradients in training, and its value outside."""
    import keras
    import tensorflow as tf

    from hepbench.benchmarks.layers.normalization import LayerNormalization

    rng = np.random.default_rng(0)
    x, upstream = (tf.constant(rng.normal(2, 3, shape), tf.float32) for _ in range(2))
    layers = LayerNormalization(), keras.layers.LayerNormalization()
    weights = [rng.normal(size=shape[-1]), rng.normal(size=shape[-1])]
    found = []
    for layer in layers:
        layer.build(shape)
        layer.set_weights(weights)
        np.testing.assert_allclose(layer(x), layers[0](x, training=True), rtol=1e-5, atol=1e-5)
        with tf.GradientTape() as tape:
            tape.watch(x)
            out = layer(x, training=True)
        found.append(tape.gradient(out, [x, *(one.value for one in layer.trainable_variables)], upstream))
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layers[0]))
    assert type(again) is LayerNormalization


SOON_COMPILED = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
"""Of the environment: networks that take a few steps on JAX are compiled for as long as they run."""

ON_JAX = """
import sys, tempfile
from dataclasses import replace
from pathlib import Path
sys.path.insert(0, "tests")
import keras, numpy as np
from hepbench.suite.training import batches, steps
from hepbench.suite.training.network import load_network
from test_models import fit, network, samples
assert keras.backend.backend() == "jax"
for name in sys.argv[1:]:
    model = network(name)
    parts = samples(model.view)
    fitted = fit(model, parts, epochs=1)
    assert steps._convolves(fitted.keras_model) == ("cnn" in name)
    folder = Path(tempfile.mkdtemp())
    fitted.save(folder)
    scores = fitted.predict(parts[2])
    np.testing.assert_array_equal(load_network(folder).predict(parts[2]), scores)
    if name == "pfn":  # inputs and weights that stay on a device train the same network
        train = replace(parts[0], weights=np.random.default_rng(0).uniform(0.5, 1.5, len(parts[0])).astype(np.float32))
        found = []
        for batches.memory_of_gpu in (lambda: 0, lambda: 2**40):
            batches.CHUNK_BYTES = 2**16
            fitted = fit(model, (train, *parts[1:]), epochs=2)
            found.append(([line["loss"] for line in fitted.history], fitted.predict(parts[2])))
        assert batches.HELD in batches.BatchLoader(train, fitted, 20, hold=True).chunk(np.arange(20))[0]
        (losses, scores), (of_held, scores_of_held) = found
        np.testing.assert_allclose(of_held, losses, rtol=1e-6)
        np.testing.assert_allclose(scores_of_held, scores, atol=1e-5)
        steps._convolves = lambda keras_model: True  # and so do steps that are a call each
        fitted = fit(model, (train, *parts[1:]), epochs=2)
        np.testing.assert_allclose([line["loss"] for line in fitted.history], of_held, rtol=1e-6)
"""


@pytest.mark.apart
@pytest.mark.takes(30)
@pytest.mark.parametrize(
    "names",
    [
        ("gnn", "pfn"),
        pytest.param(sorted(set(ONE_OF_EACH_KIND) - {"gnn", "pfn"}), marks=pytest.mark.long),
        pytest.param([name for name in NAMES if "_study" in name], marks=pytest.mark.long),
    ],
    ids=["two", "one of each kind", "the studies"],
)
def test_the_same_files_train_on_jax(names):
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", **SOON_COMPILED}
    root = Path(__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", ON_JAX, *names], env=environment, cwd=root, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_layers_of_networks_saved_before_are_found():
    """Keras finds a layer by the name it was registered under, and its weights by the name of its class."""
    import keras

    from hepbench.benchmarks.layers.normalization import BatchNormalization
    from hepbench.benchmarks.layers.point_cloud import CloudMean, CloudSum

    assert keras.saving.get_registered_name(BatchNormalization) == "hepbench>Normalization"
    assert BatchNormalization.__name__ == "Normalization"
    for total, kind in ((True, CloudSum), (False, CloudMean)):
        saved = {"module": "benchmarks.layers", "class_name": "CloudMean", "registered_name": "hepbench>CloudMean"}
        layer = keras.saving.deserialize_keras_object({**saved, "config": {"name": "cloud", "total": total}})
        assert type(layer) is kind and layer.name == "cloud"


@pytest.mark.parametrize(("activation", "outputs"), [("sigmoid", 1), ("softmax", 3)])
def test_a_network_gives_the_logarithms_of_its_scores(activation, outputs):
    """From its logits, so that they differ where the scores are 1; what is saved keeps its activation."""
    import keras

    from hepbench.suite.training.network import Network

    inputs = keras.Input((4,), name="table")
    last = keras.layers.Dense(outputs, activation=activation, kernel_initializer=keras.initializers.RandomNormal(0, 30))
    network = Network(keras.Model({"table": inputs}, last(inputs)), max(2, outputs))
    table = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    sample = Sample({"table": table}, np.arange(50), np.zeros(50, int))
    logs, logits = network.predict_log(sample), table @ np.asarray(last.kernel)
    expected = logits[:, 0] if outputs == 1 else logits[:, 1] - logits[:, 0]
    np.testing.assert_allclose(logs[:, 1] - logs[:, 0], expected, rtol=1e-4, atol=1e-4)
    assert logs.min() < -50 and np.isfinite(logs).all()
    np.testing.assert_allclose(network.predict(sample).sum(axis=1), 1, atol=1e-5)
    assert last.activation is getattr(keras.activations, activation)
