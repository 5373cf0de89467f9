"""The convolutional network of a study of electrons and photons in the calorimeter, with its training.

Convolutions 32, 32, pooling, 64, 64, pooling, 128, 128, pooling, dense 256, 128, 128, 64 with dropout 0.4, 0.4, 0.25,
0.3 and one sigmoid; 868,993 parameters on 32x32x2. Weights of every layer start from a normal distribution that is
truncated at two standard deviations, Keras' TruncatedNormal of standard deviation 0.05.

Adam of rate 1e-3 in batches of 512, at most 50 epochs; the rate is halved after 2 epochs in which the validation loss
has not fallen by 1e-4, then rests 1; the training stops after 4 without a lower one, and keeps the best.

Energies and times go in as they are, without a scaling; features=energy leaves the times out, which the study calls a
channel that may not help. On images of fewer than 8 pixels a side the pooling pads.

    make bench TASK=ecal MODEL="cnn_ecal_study cnn"
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hepbench.benchmarks.base import Model, Parameters, Shapes
from hepbench.benchmarks.models.cnn import context_joined, inputs_of_image, probabilities

if TYPE_CHECKING:
    import keras
    import optuna


SMALLEST_POOLED = 8  # pixels a side that three poolings leave one of
STYLE = {"activation": "relu", "kernel_initializer": "truncated_normal"}
DENSE = ((256, 0.4), (128, 0.4), (128, 0.25), (64, 0.3))

DEFAULTS = {
    "scaling": "none",
    "epochs": 50,
    "batch_size": 512,
    "optimiser": "adam",
    "learning_rate": 1e-3,
    "schedule": "plateau",
    "plateau_factor": 0.5,
    "plateau_patience": 2,
    "plateau_min_delta": 1e-4,
    "plateau_cooldown": 1,
    "minimum_learning_rate": 1e-10,
    "patience": 4,
    "best_by": "val_loss",
}


def build(shapes: Shapes, classes: int, parameters: Parameters) -> keras.Model:
    """image (N, H, W, C), and context (N, K) where there is one -> probabilities (N, 1) or (N, classes)."""
    from keras import layers

    inputs = inputs_of_image(shapes)
    padding = "valid" if min(shapes["image"][:2]) >= SMALLEST_POOLED else "same"
    x = inputs["image"]
    for filters in (32, 64, 128):
        x = layers.Conv2D(filters, 3, padding="same", **STYLE)(x)
        x = layers.Conv2D(filters, 3, padding="same", **STYLE)(x)
        x = layers.MaxPooling2D(2, padding=padding)(x)
    x = context_joined(layers.Flatten()(x), inputs)
    for width, dropout in DENSE:
        x = layers.Dense(width, **STYLE)(x)
        x = layers.Dropout(dropout)(x)
    return probabilities(inputs, x, classes, kernel_initializer="truncated_normal")


def space(trial: optuna.Trial) -> dict[str, Any]:
    return {
        "batch_size": trial.suggest_categorical("batch_size", [128, 256, 512]),
        "learning_rate": trial.suggest_float("learning_rate", 2e-4, 3e-3, log=True),
    }


MODEL = Model("convolutional network of the electron-photon study", "image", DEFAULTS, space, build)
