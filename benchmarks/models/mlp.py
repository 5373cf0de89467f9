"""Dense networks on a table of variables, or on the pixels of a small image.

`mlp` is ours, with batch normalisation and dropout. `mlp_hepmass`, `mlp_pxd` and `mlp_pxd6` have widths and activations
of the HEPMASS and pixel studies and are other networks: batch normalisation stands before the activation and not on the
inputs, there is no dropout, six wide is two layers, and the training is ours; no published row is their result. The
networks of these studies are `mlp_hepmass_study` and `mlp_pxd_study`.

`mlp_parametrised` takes the mass that is searched for beside the features (1601.07913, five layers of 500); the other
entries take it in too where there is one, this one serves no task without. `mlp_resnet` is a strong network for tables:
residual blocks (2106.11959) on variables that are first embedded by trained frequencies (2203.05556); its sizes are
ours.

    make bench TASK=hepmass MODEL="mlp mlp_hepmass mlp_parametrised mlp_resnet"
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from hepbench.benchmarks.base import Model, Parameters, Shapes
from hepbench.benchmarks.scaling import BY_SPREAD, method_of

if TYPE_CHECKING:
    import keras
    import optuna


LARGEST_INPUT = 8.0  # spreads; an outlier of a long tail does not throw the first layer off
FLAT = ("table", "image", "context")  # inputs that a dense network takes in

TRAINING = {
    "epochs": 30,
    "batch_size": 128,
    "learning_rate": 2e-3,
    "weight_decay": 1e-4,
    "schedule": "cosine",
    "patience": 10,
}
DEFAULTS = {"width": 128, "depth": 3, "activation": "gelu", "normalise": True, "dropout": 0.1, **TRAINING}
RESIDUAL = {"frequencies": 16, "embedding": 8, "width": 192, "blocks": 3, "dropout": 0.15, **TRAINING}
RESIDUAL |= {"batch_size": 256, "learning_rate": 1e-3}


def _fixed(widths: str, activation: str, normalise: bool, **training: Any) -> dict[str, Any]:
    """Defaults of a network of fixed widths; Adam at a constant rate."""
    layers = {"widths": widths, "activation": activation, "normalise": normalise, "dropout": 0.0}
    recipe = {"epochs": 30, "batch_size": 128, "learning_rate": 1e-3, "schedule": "constant", "patience": 10}
    return {**layers, **recipe, **training}


def build(shapes: Shapes, classes: int, parameters: Parameters) -> keras.Model:
    """table (N, V) or image (N, H, W, C), and context (N, K) where there is one -> probabilities (N, 1) or
    (N, classes). The layers are `widths`, such as "80-64", or `depth` times `width`; inputs that are scaled by their
    spread are cut at 8 times it."""
    from keras import layers

    from hepbench.benchmarks.layers.normalization import BatchNormalization

    inputs, x = table_inputs(shapes, parameters)
    if "widths" in parameters:
        widths = [int(width) for width in parameters["widths"].split("-")]
    else:
        widths = [parameters["width"]] * parameters["depth"]
    for width in widths:
        x = layers.Dense(width)(x)
        if parameters["normalise"]:
            x = BatchNormalization()(x)
        x = layers.Activation(parameters["activation"])(x)
        if parameters["dropout"]:
            x = layers.Dropout(parameters["dropout"])(x)
    return probabilities(inputs, x, classes)


def build_residual(shapes: Shapes, classes: int, parameters: Parameters) -> keras.Model:
    """As `build`: embedded variables, then blocks of normalisation, two layers and a sum."""
    from keras import layers

    from hepbench.benchmarks.layers.embedding import PeriodicEmbedding
    from hepbench.benchmarks.layers.normalization import BatchNormalization

    inputs, x = table_inputs(shapes, parameters)
    if parameters["frequencies"]:
        x = PeriodicEmbedding(parameters["frequencies"], parameters["embedding"])(x)
    x = layers.Dense(parameters["width"])(x)
    for _ in range(parameters["blocks"]):
        y = layers.Dense(2 * parameters["width"], activation="relu")(BatchNormalization()(x))
        y = layers.Dense(parameters["width"])(layers.Dropout(parameters["dropout"])(y))
        x = x + y
    return probabilities(inputs, layers.Activation("relu")(BatchNormalization()(x)), classes)


def table_inputs(shapes: Shapes, parameters: Parameters) -> tuple[dict[str, Any], Any]:
    scaled = [name for name in FLAT if method_of(parameters, name) in BY_SPREAD]
    return flat_inputs(shapes, cut=scaled)


def flat_inputs(shapes: Shapes, cut: Collection[str] = ()) -> tuple[dict[str, Any], Any]:
    """(inputs, all of them in one vector). cut: those that are cut at LARGEST_INPUT."""
    import keras
    from keras import layers, ops

    inputs = {name: keras.Input(shapes[name], name=name) for name in FLAT if name in shapes}
    flat = []
    for name, x in inputs.items():
        x = layers.Flatten()(x) if len(x.shape) > 2 else x
        flat.append(ops.clip(x, -LARGEST_INPUT, LARGEST_INPUT) if name in cut else x)
    x = ops.concatenate(flat, axis=-1) if len(flat) > 1 else flat[0]
    return inputs, x


def probabilities(inputs: dict[str, Any], x: Any, classes: int) -> keras.Model:
    """The network with its last layer: one sigmoid for two classes, a softmax for several."""
    import keras
    from keras import layers

    if classes == 2:
        return keras.Model(inputs, layers.Dense(1, activation="sigmoid", dtype="float32")(x))
    return keras.Model(inputs, layers.Dense(classes, activation="softmax", dtype="float32")(x))


def space(trial: optuna.Trial) -> dict[str, Any]:
    return {
        "width": trial.suggest_int("width", 32, 512, log=True),
        "depth": trial.suggest_int("depth", 1, 6),
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
        **training_space(trial),
    }


def residual_space(trial: optuna.Trial) -> dict[str, Any]:
    return {
        "frequencies": trial.suggest_categorical("frequencies", [0, 8, 16, 32]),
        "width": trial.suggest_int("width", 64, 512, log=True),
        "blocks": trial.suggest_int("blocks", 1, 6),
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
        **training_space(trial),
    }


def training_space(trial: optuna.Trial) -> dict[str, Any]:
    """What is tuned of a network whose layers are given."""
    return {
        "batch_size": trial.suggest_categorical("batch_size", [64, 128, 256, 512]),
        "learning_rate": trial.suggest_float("learning_rate", 3e-4, 1e-2, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-6, 1e-2, log=True),
    }


def _given(title: str, defaults: Parameters, view: str = "table", **more: Any) -> Model:
    defaults = {**defaults, "weight_decay": 0.0}
    return Model(title=title, view=view, defaults=defaults, space=training_space, build=build, **more)


MODELS = {
    "mlp": Model("dense network on a table of variables", "table", DEFAULTS, space, build),
    "mlp_hepmass": _given(
        "dense network 500-400-300-200-100, ours", _fixed("500-400-300-200-100", "relu", True, batch_size=1000)
    ),
    "mlp_parametrised": _given(
        "parametrised dense network",
        _fixed("500-500-500-500-500", "relu", False, batch_size=1000),
        source="1601.07913",
        needs_context=True,
    ),
    "mlp_pxd": _given(
        "dense network 80-64-64-32-32 on pixels, ours",
        _fixed("80-64-64-32-32", "swish", False),
        view="image",
        source="2202.07935",
    ),
    "mlp_pxd6": _given("dense network of two layers of six, ours", _fixed("6-6", "swish", False)),
    "mlp_resnet": Model(
        "residual network on embedded variables", "table", RESIDUAL, residual_space, build_residual, source="2203.05556"
    ),
}
