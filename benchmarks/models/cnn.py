"""Convolutional networks on images, each with the variables of the whole event (context) where the task has them.

`cnn` is ours: convolutions 16, 16, pooling, convolutions 32, 32, dense 256 and 128 with dropout. On 32x32x2 it has
868,993 trainable parameters, as many as the network of the electron-photon study, and is another network: layers,
dropout, batch size and learning-rate schedule differ, so that no published row of `ecal` is its result; that study's
network is `cnn_ecal_study`. It adapts to
other images: below 14 pixels a side it does not pool, below 9 it pads, and feature maps of more than 16 a side are
pooled again before the dense layers, which would grow with them.

`cnn_jet` is ours, for jet images: a convolution of 32, two depthwise-separable blocks with GELU, joined with a dense
branch on pt and m0, 24,641 trainable parameters on 125x125x3. Of the quark-gluon image study it has the optimiser, SGD
of rate 0.01 and momentum 0.6, and the batches of 32; that study's network is `cnn_jet_study`.

`cnn_9x9` is ours, for the pixel detector's matrices: two 3x3 convolutions of 16 and 32, then dense 64 and 32, with
swish. The pixel study's network is `cnn_pxd_study`.

`cnn_resnet` is a residual network with pre-activation (1603.05027); its sizes and training are ours.

    make bench TASK=ecal MODEL="cnn cnn_resnet"
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hepbench.benchmarks.base import Model, Parameters, Shapes

if TYPE_CHECKING:
    import keras
    import optuna


SMALLEST_POOLED = 14  # pixels a side that leave one after two convolutions, pooling and two convolutions
SMALLEST_UNPADDED = 9  # pixels a side that leave one after four convolutions
LARGEST_MAP = 16
LARGEST_STAGE = 40  # pixels a side of the first residual stage: more costs much and shows little else
LARGEST_SMALL = 9  # pixels a side that cnn_9x9 leaves as they are

PLAIN = {
    "filters": 16,
    "dense": 256,
    "dropout": 0.2,
    "epochs": 20,
    "batch_size": 100,
    "learning_rate": 1e-3,
    "schedule": "plateau",
    "plateau_factor": 0.2,
    "plateau_patience": 2,
    "minimum_learning_rate": 1e-6,
    "patience": 5,
}
JET = {
    "filters": 32,
    "dense": 64,
    "dropout": 0.2,
    "normalise": True,
    "epochs": 20,
    "batch_size": 32,
    "optimiser": "sgd",
    "momentum": 0.6,
    "learning_rate": 0.01,
    "schedule": "constant",
    "patience": 20,
}
SMALL = {
    "filters": 16,
    "dense": 64,
    "dropout": 0.0,
    "epochs": 30,
    "batch_size": 128,
    "learning_rate": 1e-3,
    "schedule": "constant",
    "patience": 10,
}
RESIDUAL = {
    "filters": 16,
    "blocks": 2,
    "stages": 3,
    "dropout": 0.1,
    "compress": True,
    "epochs": 20,
    "batch_size": 128,
    "learning_rate": 2e-3,
    "weight_decay": 1e-2,
    "schedule": "cosine",
    "patience": 20,
}


def build(shapes: Shapes, classes: int, parameters: Parameters) -> keras.Model:
    """image (N, H, W, C), and context (N, K) where there is one -> probabilities (N, 1) or (N, classes)."""
    from keras import layers

    inputs = inputs_of_image(shapes)
    smallest = min(shapes["image"][:2])
    style = {"kernel_initializer": "truncated_normal", "activation": "relu"}
    padding = "valid" if smallest >= SMALLEST_UNPADDED else "same"

    x = inputs["image"]
    for filters in (parameters["filters"], 2 * parameters["filters"]):
        for _ in range(2):
            x = layers.Conv2D(filters, 3, padding=padding, **style)(x)
        if filters == parameters["filters"] and smallest >= SMALLEST_POOLED:
            x = layers.MaxPooling2D()(x)
    while min(x.shape[1:3]) > LARGEST_MAP:
        x = layers.MaxPooling2D()(x)
    x = context_joined(layers.Flatten()(x), inputs)
    for width in (parameters["dense"], parameters["dense"] // 2):
        x = layers.Dense(width, **style)(x)
        x = layers.Dropout(parameters["dropout"])(x)
    return probabilities(inputs, x, classes, kernel_initializer="truncated_normal")


def build_jet(shapes: Shapes, classes: int, parameters: Parameters) -> keras.Model:
    """As `build`. A stem of half the size or, up to 40 pixels a side, of the whole; 2x2 pooling after it and between
    the blocks, the mean of what is left, and beside it the context through a dense layer of its own."""
    from keras import layers

    from hepbench.benchmarks.layers.normalization import BatchNormalization

    def activated(x: Any) -> Any:
        x = BatchNormalization()(x) if parameters["normalise"] else x
        return layers.Activation("gelu")(x)

    inputs = inputs_of_image(shapes)
    filters = parameters["filters"]
    strides = 1 if min(shapes["image"][:2]) <= LARGEST_STAGE else 2
    x = layers.Conv2D(filters, 5, strides=strides, padding="same")(inputs["image"])
    for widening in (2, 4):
        x = layers.MaxPooling2D(padding="same")(activated(x))
        x = layers.SeparableConv2D(widening * filters, 3, padding="same")(x)
    x = layers.GlobalAveragePooling2D()(activated(x))
    if "context" in inputs:
        beside = layers.Dense(parameters["dense"] // 2, activation="gelu")(inputs["context"])
        x = layers.Concatenate()([x, beside])
    x = layers.Dropout(parameters["dropout"])(x)
    x = layers.Dense(parameters["dense"], activation="gelu")(x)
    x = layers.Dropout(parameters["dropout"])(x)
    return probabilities(inputs, x, classes)


def build_small(shapes: Shapes, classes: int, parameters: Parameters) -> keras.Model:
    """As `build`. Images of more than 9 pixels a side are pooled between the convolutions and after them."""
    from keras import layers

    inputs = inputs_of_image(shapes)
    x = inputs["image"]
    for filters in (parameters["filters"], 2 * parameters["filters"]):
        x = layers.Conv2D(filters, 3, padding="same", activation="swish")(x)
        if max(x.shape[1:3]) > LARGEST_SMALL:
            x = layers.MaxPooling2D(padding="same")(x)
    while max(x.shape[1:3]) > LARGEST_SMALL:
        x = layers.MaxPooling2D(padding="same")(x)
    x = context_joined(layers.Flatten()(x), inputs)
    for width in (parameters["dense"], parameters["dense"] // 2):
        x = layers.Dense(width, activation="swish")(x)
        if parameters["dropout"]:
            x = layers.Dropout(parameters["dropout"])(x)
    return probabilities(inputs, x, classes)


def build_residual(shapes: Shapes, classes: int, parameters: Parameters) -> keras.Model:
    """As `build`. Each stage after the first halves the size and doubles the filters. compress: the signed logarithm
    of 1 + |x| goes in, as energies have long tails."""
    from keras import layers, ops

    from hepbench.benchmarks.layers.normalization import BatchNormalization

    def convolution(x: Any, filters: int, size: int = 3, strides: int = 1) -> Any:
        return layers.Conv2D(filters, size, strides, padding="same", use_bias=False, kernel_initializer="he_normal")(x)

    def activated(x: Any) -> Any:
        return layers.Activation("relu")(BatchNormalization()(x))

    inputs = inputs_of_image(shapes)
    x = inputs["image"]
    if parameters["compress"]:
        x = ops.sign(x) * ops.log1p(ops.abs(x))
    filters = parameters["filters"]
    x = convolution(x, filters, strides=1 if min(x.shape[1:3]) <= LARGEST_STAGE else 2)
    while min(x.shape[1:3]) > LARGEST_STAGE:
        x = layers.MaxPooling2D(padding="same")(x)
    for stage in range(parameters["stages"]):
        for block in range(parameters["blocks"]):
            y = activated(x)
            strides = 2 if stage and not block else 1
            if x.shape[-1] != filters or strides == 2:
                x = convolution(y, filters, 1, strides)
            y = activated(convolution(y, filters, 3, strides))
            x = x + convolution(y, filters)
        filters *= 2
    x = layers.GlobalAveragePooling2D()(activated(x))
    x = layers.Dropout(parameters["dropout"])(context_joined(x, inputs))
    x = layers.Dense(filters // 2, activation="relu")(x)
    return probabilities(inputs, x, classes)


def inputs_of_image(shapes: Shapes) -> dict[str, Any]:
    """The image, and the context where there is one."""
    import keras

    return {name: keras.Input(shapes[name], name=name) for name in ("image", "context") if name in shapes}


def context_joined(x: Any, inputs: dict[str, Any]) -> Any:
    """x with the context beside it, where there is one."""
    from keras import layers

    return layers.Concatenate()([x, inputs["context"]]) if "context" in inputs else x


def probabilities(inputs: dict[str, Any], x: Any, classes: int, **style: Any) -> keras.Model:
    """The network with its last layer: one sigmoid for two classes, a softmax for several."""
    import keras
    from keras import layers

    if classes == 2:
        return keras.Model(inputs, layers.Dense(1, activation="sigmoid", dtype="float32", **style)(x))
    return keras.Model(inputs, layers.Dense(classes, activation="softmax", dtype="float32", **style)(x))


def space(trial: optuna.Trial) -> dict[str, Any]:
    return {
        "filters": trial.suggest_int("filters", 8, 32, step=8),
        "dense": trial.suggest_int("dense", 64, 512, log=True),
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
        "batch_size": trial.suggest_categorical("batch_size", [64, 100, 256]),
        "learning_rate": trial.suggest_float("learning_rate", 2e-4, 3e-3, log=True),
    }


def jet_space(trial: optuna.Trial) -> dict[str, Any]:
    return {
        "filters": trial.suggest_categorical("filters", [16, 32, 48]),
        "dense": trial.suggest_int("dense", 16, 256, log=True),
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
        "batch_size": trial.suggest_categorical("batch_size", [32, 64, 128]),
        "momentum": trial.suggest_float("momentum", 0.3, 0.95),
        "learning_rate": trial.suggest_float("learning_rate", 1e-3, 0.1, log=True),
    }


def small_space(trial: optuna.Trial) -> dict[str, Any]:
    return {
        "filters": trial.suggest_int("filters", 8, 32, step=8),
        "dense": trial.suggest_int("dense", 16, 256, log=True),
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
        "batch_size": trial.suggest_categorical("batch_size", [64, 128, 256]),
        "learning_rate": trial.suggest_float("learning_rate", 3e-4, 1e-2, log=True),
    }


def residual_space(trial: optuna.Trial) -> dict[str, Any]:
    return {
        "filters": trial.suggest_int("filters", 8, 32, step=8),
        "blocks": trial.suggest_int("blocks", 1, 3),
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
        "batch_size": trial.suggest_categorical("batch_size", [64, 128, 256]),
        "learning_rate": trial.suggest_float("learning_rate", 3e-4, 1e-2, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-4, 1e-1, log=True),
    }


MODELS = {
    "cnn": Model("convolutional network", "image", PLAIN, space, build),
    "cnn_jet": Model("depthwise-separable network for jet images, ours", "image", JET, jet_space, build_jet),
    "cnn_9x9": Model("convolutional network for the pixel matrices, ours", "image", SMALL, small_space, build_small),
    "cnn_resnet": Model(
        "residual convolutional network", "image", RESIDUAL, residual_space, build_residual, source="1603.05027"
    ),
}
