"""The reference convolutional network of the electron-photon images: 868,993 parameters on 32x32x2.

Convolutions 16, 16, pooling, convolutions 32, 32, dense 256 and 128 with dropout, as in the reference notebook of the
task, with its initialisers, optimiser, batch size and learning-rate schedule. It adapts to other images: below 14
pixels a side it does not pool, below 9 it pads, and feature maps of more than 16 a side are pooled again before the
dense layers, which would grow with them.

    make bench TASK=ecal MODEL=cnn
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.base import Model, Parameters, Shapes

if TYPE_CHECKING:
    import keras
    import optuna

SMALLEST_POOLED = 14  # pixels a side that leave one after two convolutions, pooling and two convolutions
SMALLEST_UNPADDED = 9  # pixels a side that leave one after four convolutions
LARGEST_MAP = 16

DEFAULTS = {
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


def build(shapes: Shapes, classes: int, parameters: Parameters) -> keras.Model:
    """image (N, H, W, C), and context (N, K) where there is one -> probabilities (N, 1) or (N, classes)."""
    import keras
    from keras import layers

    inputs = {name: keras.Input(shapes[name], name=name) for name in ("image", "context") if name in shapes}
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
    x = layers.Flatten()(x)
    if "context" in inputs:
        x = layers.Concatenate()([x, inputs["context"]])
    for width in (parameters["dense"], parameters["dense"] // 2):
        x = layers.Dense(width, **style)(x)
        x = layers.Dropout(parameters["dropout"])(x)
    if classes == 2:
        out = layers.Dense(1, activation="sigmoid", kernel_initializer="truncated_normal")(x)
    else:
        out = layers.Dense(classes, activation="softmax", kernel_initializer="truncated_normal")(x)
    return keras.Model(inputs, out)


def space(trial: optuna.Trial) -> dict[str, Any]:
    return {
        "filters": trial.suggest_int("filters", 8, 32, step=8),
        "dense": trial.suggest_int("dense", 64, 512, log=True),
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
        "batch_size": trial.suggest_categorical("batch_size", [64, 100, 256]),
        "learning_rate": trial.suggest_float("learning_rate", 2e-4, 3e-3, log=True),
    }


MODEL = Model(title="convolutional network", view="image", defaults=DEFAULTS, space=space, build=build)
