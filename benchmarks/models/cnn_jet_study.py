"""The convolutional network of a study of quark and gluon jet images, with pt and m0 beside them, and its training.

A convolution of 32 and two depthwise convolutions, 3x3 without padding, each with GELU, then batch normalisation,
pooling and dropout of 0.3, 0.5, 0.5; pt and m0 through a dense layer of 32; both joined, dense 128 with GELU and 64
with ReLU, each with normalisation and dropout of 0.5 after it, and one sigmoid. 707,553 parameters on 125x125x3 with
two variables, of which 706,977 are trained. Normalisation is Keras' own: moving averages of momentum 0.99. The momentum
and the five rates of dropout, from the first layer to the last, are hyper-parameters, so that what they do can be
measured.

The study's network trains and does not validate. Dropout stands in front of normalisation: the moving averages are of
activations behind dropout, and inference turns it off; `make reproduce STUDY=qg_images_cnn` measures it.

SGD of rate 0.01 and momentum 0.6 in batches of 32 for 20 epochs; nothing stops it, and the last epoch is what is
evaluated.

The study's text says "default parameters" of SGD beside a rate and a momentum that are given: those count. Images go in
as they are, pt and m0 with mean 0 and standard deviation 1, as in the study, which takes them over all jets; here they
are those of the training part. It splits off 20 % for the test and 20 % of the rest for validation; here the task's
split counts. On images of fewer than 22 pixels a side convolutions and pooling pad.

    make bench TASK=qg_images MODEL="cnn_jet_study cnn_jet"
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hepbench.benchmarks.base import Model, Parameters, Shapes
from hepbench.benchmarks.models.cnn import inputs_of_image, probabilities

if TYPE_CHECKING:
    import keras
    import optuna


SMALLEST_UNPADDED = 22  # pixels a side that three convolutions and poolings leave one of

DEFAULTS = {
    "scaling": "none,context:standard",
    "epochs": 20,
    "batch_size": 32,
    "optimiser": "sgd",
    "momentum": 0.6,
    "learning_rate": 0.01,
    "schedule": "constant",
    "patience": 0,
    "best_by": "last",
    "dropout": "0.3-0.5-0.5-0.5-0.5",
    "normalisation_momentum": 0.99,
}


def build(shapes: Shapes, classes: int, parameters: Parameters) -> keras.Model:
    """image (N, H, W, C), and context (N, K) where there is one -> probabilities (N, 1) or (N, classes)."""
    from keras import layers

    inputs = inputs_of_image(shapes)
    rates = [float(rate) for rate in parameters["dropout"].split("-")]
    momentum = parameters["normalisation_momentum"]
    padding = "valid" if min(shapes["image"][:2]) >= SMALLEST_UNPADDED else "same"
    x = inputs["image"]
    for block, rate in enumerate(rates[:3]):
        if block == 0:
            x = layers.Conv2D(32, 3, padding=padding, activation="gelu")(x)
        else:
            x = layers.DepthwiseConv2D(3, padding=padding, activation="gelu")(x)
        x = layers.BatchNormalization(momentum=momentum)(x)
        x = layers.MaxPooling2D(2, padding=padding)(x)
        x = layers.Dropout(rate)(x)
    x = layers.Flatten()(x)
    if "context" in inputs:
        beside = layers.Dense(32, activation="gelu")(inputs["context"])
        x = layers.Concatenate()([x, beside])
    for width, activation, rate in ((128, "gelu", rates[3]), (64, "relu", rates[4])):
        x = layers.Dense(width, activation=activation)(x)
        x = layers.BatchNormalization(momentum=momentum)(x)
        x = layers.Dropout(rate)(x)
    return probabilities(inputs, x, classes)


def space(trial: optuna.Trial) -> dict[str, Any]:
    return {
        "batch_size": trial.suggest_categorical("batch_size", [32, 64, 128]),
        "momentum": trial.suggest_float("momentum", 0.3, 0.95),
        "learning_rate": trial.suggest_float("learning_rate", 1e-3, 0.1, log=True),
    }


MODEL = Model("depthwise network of the quark-gluon image study", "image", DEFAULTS, space, build)
