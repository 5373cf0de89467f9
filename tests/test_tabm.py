"""TabM: its layers against loops over the members, its loss and its score."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import Sample

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

MEMBERS, WIDTH, EVENTS = 4, 6, 8
SHAPES = {"table": (3,), "context": (2,)}


def build(classes, seed=None, **changes):
    """A network of two layers, with all its weights drawn where a seed is given."""
    entry = registry.find("model", "tabm").record
    sizes = {"members": MEMBERS, "width": WIDTH, "depth": 2}
    network = entry.build(SHAPES, classes, {**entry.defaults, **sizes, **changes})
    if seed is not None:
        rng = np.random.default_rng(seed)
        network.set_weights([rng.normal(size=weight.shape) for weight in network.get_weights()])
    return network


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=(EVENTS, *shape)).astype(np.float32) for name, shape in SHAPES.items()}


def arrays(layer, *names):
    import keras

    return [keras.ops.convert_to_numpy(getattr(layer, name)) for name in names]


def dense_networks(network):
    """Each member alone, as a plain network with its vectors folded into its matrices."""
    import keras

    *hidden, last = (layer for layer in network.layers if layer.weights)
    for member in range(MEMBERS):
        inputs = {name: keras.Input(shape, name=name) for name, shape in SHAPES.items()}
        x = keras.layers.Concatenate()(list(inputs.values()))
        weights = []
        for layer in hidden:
            kernel, r, s, bias = arrays(layer, "kernel", "r", "s", "bias")
            x = keras.layers.Dense(kernel.shape[1], activation="relu")(x)
            weights += [r[member][:, None] * kernel * s[member], bias[member]]
        kernel, bias = arrays(last, "kernel", "bias")
        x = keras.layers.Dense(kernel.shape[2], activation=last.activation)(x)
        alone = keras.Model(inputs, x)
        alone.set_weights([*weights, kernel[member], bias[member]])
        yield alone


def test_a_layer_against_a_loop():
    from hepbench.benchmarks.layers.batch_ensemble import EnsembleDense

    rng = np.random.default_rng(0)
    layer = EnsembleDense(WIDTH, MEMBERS)
    layer.build((None, 3))
    for x in (rng.normal(size=(EVENTS, 3)), rng.normal(size=(EVENTS, MEMBERS, 3))):
        layer.set_weights([rng.normal(size=weight.shape) for weight in layer.get_weights()])
        kernel, r, s, bias = arrays(layer, "kernel", "r", "s", "bias")
        y = np.asarray(layer(x.astype(np.float32)))
        assert y.shape == layer.compute_output_shape(x.shape) == (EVENTS, MEMBERS, WIDTH)
        for event in range(EVENTS):
            for member in range(MEMBERS):
                given = x[event] if x.ndim == 2 else x[event, member]
                expected = s[member] * ((r[member] * given) @ kernel) + bias[member]
                np.testing.assert_allclose(y[event, member], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_member_is_a_dense_network_and_the_score_the_mean_of_them(classes, batch):
    network = build(classes, seed=1)
    members = np.stack([np.asarray(alone(batch)) for alone in dense_networks(network)], axis=1)
    np.testing.assert_allclose(np.asarray(network(batch, training=True)), members, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(np.asarray(network(batch, training=False)), members.mean(axis=1), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("classes", [2, 3])
def test_scores_do_not_round_to_one(classes, batch):
    """Their logarithms are those of the mean, computed with 64 bits."""
    from hepbench.suite.training.network import Network

    network = build(classes, seed=1)
    *hidden, last = (layer for layer in network.layers if layer.weights)
    last.set_weights([30 * weight for weight in last.get_weights()])
    x = np.concatenate([batch["table"], batch["context"]], axis=1)[:, None].astype(np.float64)
    for layer in hidden:
        kernel, r, s, bias = arrays(layer, "kernel", "r", "s", "bias")
        x = np.maximum(s * ((r * x) @ kernel) + bias, 0)
    logits = np.einsum("nmv,mvu->nmu", x, *arrays(last, "kernel")) + arrays(last, "bias")[0]
    logits = np.concatenate([np.zeros_like(logits), logits], axis=2) if classes == 2 else logits
    logs = logits - np.logaddexp.reduce(logits, axis=2, keepdims=True)
    expected = np.logaddexp.reduce(logs, axis=1) - math.log(MEMBERS)
    found = Network(network, classes).predict_log(Sample(batch, np.arange(EVENTS), np.zeros(EVENTS, int)))
    assert found.min() < -20
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("classes", [2, 3])
def test_the_loss_is_the_mean_over_the_members(classes, weighted, batch):
    from hepbench.suite.training.steps import _loss

    network = build(classes, seed=1)
    labels = np.arange(EVENTS) % classes
    targets = labels.astype(np.float32)[:, None] if classes == 2 else labels.astype(np.int32)
    weights = np.linspace(0.0, 2.0, EVENTS, dtype=np.float32)
    members = np.clip(np.asarray(network(batch, training=True), np.float64), 1e-7, 1 - 1e-7)
    loss, found = (
        float(one)
        for one in _loss(network, targets, network(batch, training=True), weights if weighted else None)
    )  # fmt: skip
    of_classes = np.concatenate([1 - members, members], axis=2) if classes == 2 else members
    own, mean = of_classes[np.arange(EVENTS), :, labels], of_classes.mean(axis=1)
    weigh = weights if weighted else np.ones(EVENTS)
    assert loss == pytest.approx((-np.log(own).mean(axis=1) * weigh).mean(), rel=1e-3)
    assert found == pytest.approx(((mean.argmax(axis=1) == labels) * weigh).mean(), rel=1e-5)


def test_it_starts_as_in_the_paper():
    first, second = (layer for layer in build(3).layers if "EnsembleDense" in type(layer).__name__)
    for layer, width in ((first, 5), (second, WIDTH)):
        kernel, r, s, bias = arrays(layer, "kernel", "r", "s", "bias")
        assert kernel.shape == (width, WIDTH) and r.shape == (MEMBERS, width) and s.shape == (MEMBERS, WIDTH)
        assert (s == 1).all()
        assert bias.shape == (MEMBERS, WIDTH) and (bias == bias[0]).all() and len(np.unique(bias)) == WIDTH
        for some in (kernel, bias):
            assert 0.5 < np.abs(some).max() * math.sqrt(width) <= 1
    (r,) = arrays(first, "r")
    assert set(np.unique(r)) == {-1, 1} and len(np.unique(r, axis=0)) > 1
    assert (arrays(second, "r")[0] == 1).all()


def test_its_last_layers_are_apart():
    kernel, bias = arrays(build(3).layers[-1], "kernel", "bias")
    assert kernel.shape == (MEMBERS, WIDTH, 3) and bias.shape == (MEMBERS, 3)
    for some in (kernel, bias):
        assert len(np.unique(some)) == some.size and np.abs(some).max() <= 1 / math.sqrt(WIDTH)
