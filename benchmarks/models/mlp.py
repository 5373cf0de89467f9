"""A dense network with batch normalisation and dropout on a table of variables.

make bench TASK=ecal MODEL=mlp
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.base import Model, Parameters, Shapes

if TYPE_CHECKING:
    import keras
    import optuna

LARGEST_INPUT = 8.0  # standard deviations; an outlier of a long tail does not throw the first layer off

DEFAULTS = {
    "width": 128,
    "depth": 3,
    "dropout": 0.1,
    "epochs": 30,
    "batch_size": 128,
    "learning_rate": 2e-3,
    "weight_decay": 1e-4,
    "schedule": "cosine",
    "patience": 10,
}


def build(shapes: Shapes, classes: int, parameters: Parameters) -> keras.Model:
    """table (N, V) and context (N, K) where there is one, standardised -> probabilities (N, 1) or (N, classes)."""
    import keras
    from keras import layers, ops

    inputs = {name: keras.Input(shapes[name], name=name) for name in ("table", "context") if name in shapes}
    x = ops.concatenate(list(inputs.values()), axis=-1) if len(inputs) > 1 else inputs["table"]
    x = ops.clip(x, -LARGEST_INPUT, LARGEST_INPUT)
    for _ in range(parameters["depth"]):
        x = layers.Dense(parameters["width"], use_bias=False)(x)
        x = layers.BatchNormalization()(x)
        x = layers.Activation("gelu")(x)
        x = layers.Dropout(parameters["dropout"])(x)
    if classes == 2:
        out = layers.Dense(1, activation="sigmoid")(x)
    else:
        out = layers.Dense(classes, activation="softmax")(x)
    return keras.Model(inputs, out)


def space(trial: optuna.Trial) -> dict[str, Any]:
    return {
        "width": trial.suggest_int("width", 32, 512, log=True),
        "depth": trial.suggest_int("depth", 1, 6),
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
        "batch_size": trial.suggest_categorical("batch_size", [64, 128, 256, 512]),
        "learning_rate": trial.suggest_float("learning_rate", 3e-4, 1e-2, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-6, 1e-2, log=True),
    }


MODEL = Model(title="dense network on a table of variables", view="table", defaults=DEFAULTS, space=space, build=build)
