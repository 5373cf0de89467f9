"""The networks of the studies, layer by layer, and their training, setting by setting."""

import math
from dataclasses import replace

import numpy as np
import pytest

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import UserError
from hepbench.suite.settings import settings_by_model
from hepbench.suite.training.network import trainable_parameters
from hepbench.suite.training.optimiser import optimiser_of
from hepbench.suite.training.schedules import Plateau, learning_rates, step_epochs
from hepbench.suite.training.settings import DEFAULTS
from hepbench.suite.trial.spec import Spec, identity_of, look_up

IMAGE, TABLE, CONTEXT = {"image": (32, 32, 2)}, {"table": (6,)}, {"context": (2,)}
PIXELS = {"image": (9, 9, 1)}
ADAM = {"optimiser": "adam", "learning_rate": 1e-3, "weight_decay": 0.0, "precision": "float32"}
CONSTANT = {**ADAM, "schedule": "constant", "patience": 0, "best_by": "last"}


def model(name):
    return registry.find("model", name).record


def built(name, shapes, classes=2):
    return model(name).build(shapes, classes, model(name).defaults)


def described(layer):
    """What decides a layer: its type and, as far as it has them, its settings."""
    kind, config = type(layer).__name__, layer.get_config()
    told = {}
    for name, setting in (("units", "width"), ("filters", "width"), ("rate", "rate"), ("activation", "activation")):
        if name in config:
            told[setting] = config[name]
    for name in ("kernel_size", "strides", "pool_size", "padding", "momentum", "epsilon"):
        if name in config:
            told[name] = config[name]
    for name in ("kernel_initializer", "depthwise_initializer"):
        if name in config:
            initialiser = config[name]
            initialiser = initialiser if isinstance(initialiser, dict) else {"class_name": initialiser, "config": {}}
            told["initialiser"] = (initialiser["class_name"], initialiser["config"].get("stddev"))
    return kind, told


def layers_of(network):
    return [described(layer) for layer in network.layers if type(layer).__name__ != "InputLayer"]


def convolution(width, activation, padding="valid", initialiser=("GlorotUniform", None)):
    told = {"width": width, "activation": activation, "kernel_size": (3, 3), "strides": (1, 1), "padding": padding}
    return "Conv2D", {**told, "initialiser": initialiser}


def depthwise():
    told = {"activation": "gelu", "kernel_size": (3, 3), "strides": (1, 1), "padding": "valid"}
    return "DepthwiseConv2D", {**told, "initialiser": ("GlorotUniform", None)}


def pool(size):
    return "MaxPooling2D", {"pool_size": (size, size), "strides": (size, size), "padding": "valid"}


def dense(width, activation, initialiser=("GlorotUniform", None)):
    return "Dense", {"width": width, "activation": activation, "initialiser": initialiser}


def dropout(rate):
    return "Dropout", {"rate": rate}


FLAT = ("Flatten", {})
JOIN = ("Concatenate", {})
NORMAL = ("BatchNormalization", {"momentum": 0.99, "epsilon": 1e-3})
TRUNCATED = ("TruncatedNormal", 0.05)


def dense_of_pixels(last):
    widths = ((80, 0.5), (64, 0.5), (64, 0.5), (32, 0.25), (32, 0.25))
    return [layer for width, rate in widths for layer in (dense(width, "silu"), dropout(rate))] + [last]


def sigmoids(*widths):
    return [layer for width in widths for layer in (dense(width, "sigmoid"), dropout(0.25))] + [dense(1, "sigmoid")]


ECAL = [
    *[convolution(32, "relu", "same", TRUNCATED)] * 2,
    pool(2),
    *[convolution(64, "relu", "same", TRUNCATED)] * 2,
    pool(2),
    *[convolution(128, "relu", "same", TRUNCATED)] * 2,
    pool(2),
    FLAT,
    *(dense(256, "relu", TRUNCATED), dropout(0.4)),
    *(dense(128, "relu", TRUNCATED), dropout(0.4)),
    *(dense(128, "relu", TRUNCATED), dropout(0.25)),
    *(dense(64, "relu", TRUNCATED), dropout(0.3)),
    dense(1, "sigmoid", TRUNCATED),
]
JET = [
    *(convolution(32, "gelu"), NORMAL, pool(2), dropout(0.3)),
    *(depthwise(), NORMAL, pool(2), dropout(0.5)) * 2,
    FLAT,
    dense(32, "gelu"),
    JOIN,
    *(dense(128, "gelu"), NORMAL, dropout(0.5)),
    *(dense(64, "relu"), NORMAL, dropout(0.5)),
    dense(1, "sigmoid"),
]
HEPMASS = [
    NORMAL,
    *[layer for width in (500, 400, 300, 200, 100) for layer in (dense(width, "relu"), NORMAL)],
    dense(1, "sigmoid"),
]
PXD_CNN = [*[convolution(32, "silu")] * 2, pool(4), dropout(0.25), FLAT, *dense_of_pixels(dense(5, "softmax"))]
LAYERS = {
    "cnn_ecal_study": (IMAGE, 2, ECAL),
    "cnn_jet_study": ({"image": (125, 125, 3), **CONTEXT}, 2, JET),
    "mlp_hepmass_study": ({"table": (28,)}, 2, HEPMASS),
    "mlp_pxd_study": (PIXELS, 5, [FLAT, *dense_of_pixels(dense(5, "softmax"))]),
    "cnn_pxd_study": (PIXELS, 5, PXD_CNN),
    "mlp_pxd_study_six": (TABLE, 2, sigmoids(6, 6, 6, 6, 6)),
    "mlp_pxd_study_six_appendix": (TABLE, 2, sigmoids(6, 6, 6, 6, 4, 4)),
}
COUNTS = {
    "cnn_ecal_study": (868_993, 868_993),
    "cnn_jet_study": (707_553, 706_977),
    "mlp_hepmass_study": (421_713, 418_657),
    "mlp_pxd_study": (19_205, 19_205),
    "cnn_pxd_study": (24_853, 24_853),
    "mlp_pxd_study_six": (217, 217),
    "mlp_pxd_study_six_appendix": (221, 221),
}
RECIPES = {
    "cnn_ecal_study": {
        **ADAM,
        "scaling": "none",
        **{"batch_size": 512, "epochs": 50, "schedule": "plateau", "plateau_factor": 0.5, "plateau_patience": 2},
        **{"plateau_min_delta": 1e-4, "plateau_cooldown": 1, "minimum_learning_rate": 1e-10},
        **{"patience": 4, "best_by": "val_loss"},
    },
    "cnn_jet_study": {
        **CONSTANT,
        **{"optimiser": "sgd", "learning_rate": 0.01, "momentum": 0.6, "batch_size": 32, "epochs": 20},
        "scaling": "none,context:standard",  # images as they are, pt and m0 by StandardScaler
    },
    "mlp_hepmass_study": {**CONSTANT, "scaling": "none", "batch_size": 1000, "epochs": 1000, "patience": 3},
    "mlp_pxd_study": {**CONSTANT, "scaling": "minmax", "batch_size": 256, "epochs": 50},
    "cnn_pxd_study": {**CONSTANT, "scaling": "minmax", "batch_size": 256, "epochs": 50},
    "mlp_pxd_study_six": {**CONSTANT, "scaling": "max", "batch_size": 32, "epochs": 100},
    "mlp_pxd_study_six_appendix": {
        **CONSTANT,
        **{"scaling": "max", "optimiser": "rmsprop", "batch_size": 32, "epochs": 100},
    },
    "particlenet_lite_study": {
        **ADAM,
        "scaling": "none",
        **{"batch_size": 1024, "epochs": 100, "schedule": "step", "step_epoch": "11", "step_factor": 0.1},
        **{"patience": 0, "best_by": "val_accuracy"},
    },
}


@pytest.mark.parametrize("name", LAYERS)
def test_the_layers_are_the_studys(name):
    shapes, classes, layers = LAYERS[name]
    assert layers_of(built(name, shapes, classes)) == layers


@pytest.mark.parametrize("name", COUNTS)
def test_the_parameters_are_the_studys(name):
    shapes, classes, _ = LAYERS[name]
    network = built(name, shapes, classes)
    assert (network.count_params(), trainable_parameters(network)) == COUNTS[name]


def test_the_maps_of_the_studies():
    """Sizes that the studies print, or that follow from theirs."""
    flat = {"cnn_ecal_study": 2048, "cnn_jet_study": 13 * 13 * 32, "cnn_pxd_study": 32}
    for name, size in flat.items():
        shapes, classes, _ = LAYERS[name]
        (layer,) = [layer for layer in built(name, shapes, classes).layers if type(layer).__name__ == "Flatten"]
        assert layer.output.shape == (None, size)


PARTICLENET = [  # the study's summary: layer, width of its output, parameters
    ("fts_bn", 4, 16),
    *(("EdgeConv0_conv0", 32, 256), ("EdgeConv0_bn0", 32, 128)),
    *(("EdgeConv0_conv1", 32, 1024), ("EdgeConv0_bn1", 32, 128)),
    *(("EdgeConv0_conv2", 32, 1024), ("EdgeConv0_bn2", 32, 128)),
    *(("EdgeConv0_sc_conv", 32, 128), ("EdgeConv0_sc_bn", 32, 128)),
    *(("EdgeConv1_conv0", 64, 4096), ("EdgeConv1_bn0", 64, 256)),
    *(("EdgeConv1_conv1", 64, 4096), ("EdgeConv1_bn1", 64, 256)),
    *(("EdgeConv1_conv2", 64, 4096), ("EdgeConv1_bn2", 64, 256)),
    *(("EdgeConv1_sc_conv", 64, 2048), ("EdgeConv1_sc_bn", 64, 256)),
    *(("dense", 128, 8320), ("dense_1", 2, 258)),
]


def of_kind(network, kind):
    return [layer for layer in network.layers if type(layer).__name__ == kind]


def summary_of(network):
    """The same of a network of edge blocks, whose kernels have no constant beside them."""
    (first,) = of_kind(network, "Normalization")
    found = [("fts_bn", first.gamma.shape[0], first.count_params())]
    for number, block in enumerate(of_kind(network, "EdgeBlock")):
        kernels = [*block.kernels, block.shortcut]
        names = [*(("conv", "bn", place) for place in range(len(block.kernels))), ("sc_conv", "sc_bn", "")]
        for (conv, bn, place), kernel, normalisation in zip(names, kernels, block.normalizations, strict=True):
            found.append((f"EdgeConv{number}_{conv}{place}", kernel.shape[-1], math.prod(kernel.shape)))
            found.append((f"EdgeConv{number}_{bn}{place}", normalisation.gamma.shape[0], normalisation.count_params()))
        assert len(block.weights) == 5 * len(kernels)  # a kernel, and four vectors of a normalisation
    names = ["dense", "dense_1"]
    layers = of_kind(network, "Dense")
    return found + [(name, layer.units, layer.count_params()) for name, layer in zip(names, layers, strict=True)]


@pytest.mark.parametrize("places", [139, 150])
def test_particlenet_lite_has_the_studys_layers(places):
    """With its four features; padding, of 139 places there and more here, has no weights."""
    network = built("particlenet_lite_study", {"points": (places, 2), "features": (places, 4), "mask": (places,)})
    assert summary_of(network) == PARTICLENET
    assert (network.count_params(), trainable_parameters(network)) == (26_898, 26_122)
    blocks = [block.get_config() for block in of_kind(network, "EdgeBlock")]
    assert [block["widths"] for block in blocks] == [(32, 32, 32), (64, 64, 64)]
    assert {(block["momentum"], block["initializer"]) for block in blocks} == {(0.99, "glorot_normal")}
    (first,) = of_kind(network, "Normalization")
    assert {(one.momentum, one.epsilon) for one in (first, *of_kind(network, "EdgeBlock")[0].normalizations)} == {
        (0.99, 1e-3)
    }
    assert [layer.k for layer in of_kind(network, "Neighbours")] == [7, 7]  # found again in the second block
    assert layers_of(network)[-3:] == [dense(128, "relu"), dropout(0.1), dense(2, "softmax")]


def test_particlenet_lites_mean_is_over_the_studys_places():
    """As the study's mean over 139 places, of which those of padding are 0, it knows how many particles there are."""
    import keras

    network = built("particlenet_lite_study", {"points": (20, 2), "features": (20, 4), "mask": (20,)})
    rng = np.random.default_rng(0)
    batch = {"points": rng.normal(size=(3, 20, 2)), "features": rng.normal(size=(3, 20, 4))}
    batch = {**batch, "mask": np.arange(20) < np.array([[5], [12], [20]])}
    total, mean = (
        keras.Model(network.input, output)(batch)
        for output in (of_kind(network, "CloudSum")[0].output, of_kind(network, "Dense")[0].input)
    )
    assert np.asarray(total).any()
    np.testing.assert_allclose(mean, np.asarray(total) / 139, rtol=1e-6)


@pytest.mark.parametrize("name", RECIPES)
def test_the_training_is_the_studys(name):
    options = {**DEFAULTS, **model(name).defaults}
    assert {setting: options[setting] for setting in RECIPES[name]} == RECIPES[name]


@pytest.mark.parametrize("name", ["cnn_ecal_study", "cnn_jet_study", "cnn_pxd_study"])
@pytest.mark.parametrize("shape", [(5, 5, 1), (9, 9, 1), (13, 20, 3), (22, 22, 2)])
def test_any_image_builds(name, shape):
    for classes, context in ((2, {}), (5, CONTEXT)):
        network = built(name, {"image": shape, **context}, classes)
        assert network.output_shape == (None, 1 if classes == 2 else classes)


def test_inputs_of_the_studies_are_not_cut():
    """What lies far out is another input to the network, as it is to the study's."""
    network = built("mlp_hepmass_study", {"table": (28,)})
    scores = [float(np.asarray(network({"table": np.full((1, 28), value, np.float32)}))[0, 0]) for value in (9.0, 90.0)]
    assert scores[0] != scores[1]


LOSSES = [0.7, 0.6, 0.59995, 0.6, 0.61, 0.58, 0.6, 0.6, 0.6, 0.6, 0.57995, 0.6, 0.6, 0.5, 0.5, 0.5, 0.5, 0.49995, 0.6]
LOSSES += [0.6] * 30


@pytest.mark.parametrize("patience", [1, 2, 3])
@pytest.mark.parametrize("cooldown", [0, 1, 4])
@pytest.mark.parametrize("min_delta", [0.0, 1e-4])
def test_the_plateau_is_that_of_keras(patience, cooldown, min_delta):
    import keras

    lowest = 1e-5
    options = {"learning_rate": 1e-3, "plateau_factor": 0.5, "plateau_patience": patience}
    options |= {"plateau_cooldown": cooldown, "plateau_min_delta": min_delta, "minimum_learning_rate": lowest}
    plateau = Plateau(options)
    callback = keras.callbacks.ReduceLROnPlateau(
        factor=0.5, patience=patience, cooldown=cooldown, min_delta=min_delta, min_lr=lowest
    )
    network = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    network.compile(keras.optimizers.Adam(1e-3), "mse")
    callback.set_model(network)
    callback.on_train_begin()
    ours, theirs = [], []
    for epoch, loss in enumerate(LOSSES):
        callback.on_epoch_end(epoch, {"val_loss": loss})
        plateau.after_epoch(loss)
        theirs.append(float(network.optimizer.learning_rate))
        ours.append(plateau.rate)
    assert ours == pytest.approx(theirs, rel=1e-6)
    assert len(set(ours)) > 3


def rates_of(**changes):
    """The rate of each of 25 epochs."""
    options = {**DEFAULTS, "schedule": "step", "learning_rate": 1e-3, "epochs": 25, **changes}
    return list(learning_rates(np.arange(25) / 25, options))


@pytest.mark.parametrize("given", ["10,20", "10 20"])
def test_the_rate_falls_at_every_step(given):
    assert rates_of(step_epoch=given) == pytest.approx([1e-3] * 10 + [1e-4] * 10 + [1e-5] * 5)


def test_the_rate_falls_at_one_step():
    assert rates_of() == pytest.approx([1e-3] * 10 + [1e-4] * 15)
    assert rates_of(step_epoch=10.5) == pytest.approx([1e-3] * 11 + [1e-4] * 14)


def test_the_rates_of_the_jet_study_are_those_of_its_log():
    """1e-3 in its epochs 1 to 11, 1e-4 from 12 on."""
    options = {**DEFAULTS, **model("particlenet_lite_study").defaults}
    rates = learning_rates(np.arange(100) / 100, options)
    assert list(rates) == pytest.approx([1e-3] * 11 + [1e-4] * 89)


@pytest.mark.parametrize("given", ["ten", "", "10;20"])
def test_a_step_that_is_no_number_is_refused(given):
    with pytest.raises(UserError, match=r"step_epoch=.* 10,20"):
        step_epochs(given)


def test_epochs_beyond_the_budget_are_trained_where_they_are_asked_for():
    """The number is a hyper-parameter that was set, and so part of the identity and of the leaderboard's setting."""
    spec = Spec("pxd_pixels", "mlp_pxd_study", 0, "smoke", "simulated", "cpu", "tensorflow")
    assert look_up(spec).hyperparameters["epochs"] == 2
    longer = look_up(replace(spec, parameters={"epochs": 2000}))
    assert longer.hyperparameters["epochs"] == 2000
    assert identity_of(longer, "data", "split") != identity_of(look_up(spec), "data", "split")
    with pytest.raises(UserError, match="rounds=900 is more than the 20 of the budget smoke"):
        _ = look_up(replace(spec, model="gbdt", task="magic", parameters={"rounds": 900})).hyperparameters


def test_several_steps_are_asked_for_on_the_command_line():
    task, mlp = registry.find("task", "magic"), registry.find("model", "mlp")
    for given, kept in (("10,20", "10,20"), (12, "12")):
        assert settings_by_model({"step_epoch": given}, task, [mlp]) == {"mlp": {"step_epoch": kept}}


def test_rmsprop_is_that_of_keras():
    import keras

    ours = optimiser_of({**DEFAULTS, "optimiser": "rmsprop", "learning_rate": 2e-3}).get_config()
    theirs = keras.optimizers.RMSprop(2e-3).get_config()
    assert ours.pop("name") and theirs.pop("name") and ours == theirs
