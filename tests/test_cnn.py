"""The convolutional family: trainable parameters, layers, shapes of images and outputs."""

import numpy as np
import pytest

from hepbench.benchmarks import registry
from hepbench.suite.training.network import trainable_parameters

NAMES = ("cnn", "cnn_jet", "cnn_9x9", "cnn_resnet")
SHAPES = [(5, 5, 1), (9, 9, 1), (13, 20, 3), (14, 14, 2), (32, 32, 2), (125, 125, 3)]
VARIANTS = [(name, {}) for name in NAMES] + [("cnn_jet", {"normalise": False}), ("cnn_resnet", {"compress": False})]


def built(name, shape, classes=2, context=0, **changes):
    model = registry.find("model", name).record
    assert set(changes) <= set(model.defaults)
    shapes = {"image": shape, **({"context": (context,)} if context else {})}
    return model.build(shapes, classes, {**model.defaults, **changes})


@pytest.mark.parametrize(
    ("name", "shape", "context", "total", "trainable"),
    [
        ("cnn", (32, 32, 2), 0, 868_993, 868_993),
        ("cnn_jet", (125, 125, 3), 2, 25_089, 24_641),
        ("cnn_9x9", (9, 9, 1), 0, 172_865, 172_865),
        ("cnn_resnet", (32, 32, 2), 0, 179_425, 178_497),
    ],
)
def test_parameters_at_home(name, shape, context, total, trainable):
    network = built(name, shape, context=context)
    assert (network.count_params(), trainable_parameters(network)) == (total, trainable)


def test_the_layers_of_cnn():
    """Layers, since a total of trainable parameters is shared by networks of other layers."""
    network = built("cnn", (32, 32, 2))
    given = [
        (type(layer).__name__, getattr(layer, "filters", getattr(layer, "units", None))) for layer in network.layers
    ]
    assert given[1:] == [
        *[("Conv2D", 16)] * 2,
        ("MaxPooling2D", None),
        *[("Conv2D", 32)] * 2,
        ("Flatten", None),
        ("Dense", 256),
        ("Dropout", None),
        ("Dense", 128),
        ("Dropout", None),
        ("Dense", 1),
    ]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("name", "changes"), VARIANTS)
def test_any_image_builds(name, changes, shape):
    for classes, context in ((2, 0), (2, 2), (5, 0), (5, 2)):
        network = built(name, shape, classes, context, **changes)
        assert network.output_shape == (None, 1 if classes == 2 else classes)
        assert network.layers[-1].dtype_policy.name == "float32"
        assert network.count_params() < 3_000_000


@pytest.mark.parametrize("name", NAMES)
def test_scores_are_probabilities_and_the_context_counts(name):
    rng = np.random.default_rng(0)
    image = rng.normal(size=(4, 14, 14, 2)).astype(np.float32)
    network = built(name, (14, 14, 2), 5, context=2)
    scores = [
        np.asarray(network({"image": image, "context": np.full((4, 2), value, np.float32)})) for value in (-2.0, 2.0)
    ]
    np.testing.assert_allclose(scores[0].sum(axis=1), 1, rtol=1e-5)
    assert not np.allclose(*scores)
