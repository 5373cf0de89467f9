"""Particle flow network (1810.05165): a deep set. Each particle goes through the same layers, the sum over a jet's
particles through others.

Layers 100, 100, 256 before the sum and 100, 100, 100 after it, Adam at 1e-3 and batches of 500, as in the paper; its
inputs are the suite's features of a point. A sum over true particles only: neither order nor padding changes a score.

    make bench TASK=qg_jets MODEL=pfn
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hepbench.benchmarks.base import Model, Parameters, Shapes

if TYPE_CHECKING:
    import keras
    import optuna


TYPICAL = 32.0  # points of a cloud: the sum over them is brought near 1, which changes no result but the start

DEFAULTS = {
    "width": 100,
    "latent": 256,
    "dropout": 0.0,
    "epochs": 20,
    "batch_size": 500,
    "learning_rate": 1e-3,
    "weight_decay": 0.0,
    "schedule": "constant",
    "patience": 8,
}


def build(shapes: Shapes, classes: int, parameters: Parameters) -> keras.Model:
    """features (N, P, F), mask (N, P), and context (N, K) where there is one -> probabilities (N, classes)."""
    import keras
    from keras import layers

    from hepbench.benchmarks.layers.point_cloud import CloudSum, Pack, Packed

    inputs = {name: keras.Input(shapes[name], name=name) for name in ("features", "context") if name in shapes}
    inputs["mask"] = mask = keras.Input(shapes["mask"], name="mask", dtype="bool")
    rows, _ = Pack()(mask)
    x = Packed()([inputs["features"], rows])
    for width in (parameters["width"], parameters["width"], parameters["latent"]):
        x = layers.Dense(width, activation="relu", kernel_initializer="he_uniform")(x)
    x = CloudSum()([x, mask, rows]) / TYPICAL
    if "context" in inputs:
        x = layers.Concatenate()([x, inputs["context"]])
    for _ in range(3):
        x = layers.Dense(parameters["width"], activation="relu", kernel_initializer="he_uniform")(x)
        x = layers.Dropout(parameters["dropout"])(x)
    return keras.Model(inputs, layers.Dense(classes, activation="softmax", dtype="float32")(x))


def space(trial: optuna.Trial) -> dict[str, Any]:
    return {
        "width": trial.suggest_int("width", 50, 300, log=True),
        "latent": trial.suggest_int("latent", 64, 512, log=True),
        "dropout": trial.suggest_float("dropout", 0.0, 0.3),
        "batch_size": trial.suggest_categorical("batch_size", [128, 256, 500, 1000]),
        "learning_rate": trial.suggest_float("learning_rate", 3e-4, 5e-3, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-6, 1e-2, log=True),
    }


MODEL = Model("particle flow network (deep set)", "cloud", DEFAULTS, space, build, source="1810.05165")
