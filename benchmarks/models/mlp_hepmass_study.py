"""The dense network of a study of HEPMASS, with its training.

Batch normalisation of the 28 inputs, then dense 500, 400, 300, 200, 100, each ReLU and batch normalisation after it,
and one sigmoid: Adam of rate 1e-3, at most 1,000 epochs, stopped after 3 without a lower validation loss.
Normalisation is Keras' own: moving averages of momentum 0.99.

Where the study contradicts itself: its text names batches of 32, its listing reads and trains with 1,000 at a time (800
steps of an epoch have 800,000 events), which is taken here. Its table calls the normalisations and the inputs ReLU; its
listing has none there, and the listing is taken. Whether the best epoch's weights were put back is cut off in its
listing: Keras' default, the last epoch's, is taken. An epoch of the study is 800 batches of the stream, here it is the
whole training part. Features go in as they are, as the study has it: batch normalisation of the inputs is its
scaling. Whether it stands in for one by the whole data is a question that the study leaves open: scaling=standard,
minmax, max and robust put one before it.

The search space is what the study says it tuned: widths, activation, optimiser, batch size.

    make bench TASK=hepmass MODEL="mlp_hepmass_study mlp_hepmass"
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hepbench.benchmarks.base import Model, Parameters, Shapes
from hepbench.benchmarks.models.mlp import flat_inputs, probabilities

if TYPE_CHECKING:
    import keras
    import optuna


DEFAULTS = {
    "scaling": "none",
    "widths": "500-400-300-200-100",
    "activation": "relu",
    "epochs": 1000,
    "batch_size": 1000,
    "optimiser": "adam",
    "learning_rate": 1e-3,
    "schedule": "constant",
    "patience": 3,
    "best_by": "last",
}


def build(shapes: Shapes, classes: int, parameters: Parameters) -> keras.Model:
    """table (N, V), and context (N, K) where there is one -> probabilities (N, 1) or (N, classes)."""
    from keras import layers

    inputs, x = flat_inputs(shapes)
    x = layers.BatchNormalization()(x)
    for width in parameters["widths"].split("-"):
        x = layers.Dense(int(width), activation=parameters["activation"])(x)
        x = layers.BatchNormalization()(x)
    return probabilities(inputs, x, classes)


def space(trial: optuna.Trial) -> dict[str, Any]:
    widths = ["500-400-300-200-100", "500-400-300-200", "300-200-100", "200-100", "100-100-100-100-100"]
    return {
        "widths": trial.suggest_categorical("widths", widths),
        "activation": trial.suggest_categorical("activation", ["relu", "tanh", "swish"]),
        "optimiser": trial.suggest_categorical("optimiser", ["adam", "sgd", "rmsprop"]),
        "batch_size": trial.suggest_categorical("batch_size", [32, 128, 1000]),
        "learning_rate": trial.suggest_float("learning_rate", 3e-4, 1e-2, log=True),
    }


MODEL = Model("dense network of the HEPMASS study", "table", DEFAULTS, space, build)
