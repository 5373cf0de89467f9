"""The convolutional network of a study of the Belle II pixel detector, with its training.

Two 3x3 convolutions of 32 with swish and no padding, pooling of 4, dropout 0.25, then the dense layers of
`mlp_pxd_study`, whose training it has. In the study's listing these layers are commented out, and its figures name
neither padding nor what stands between pooling and dense layers: those lines are taken as they stand. They give the
channel first, which changes no number.

On images of fewer than 8 pixels a side convolutions and pooling pad.

    make bench TASK=pxd_pixels MODEL="cnn_pxd_study mlp_pxd_study" SET="epochs=200"
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hepbench.benchmarks.base import Model, Parameters, Shapes
from hepbench.benchmarks.models.cnn import context_joined, inputs_of_image, probabilities
from hepbench.benchmarks.models.mlp_pxd_study import DEFAULTS, PIXELS, dense_layers, space

if TYPE_CHECKING:
    import keras


SMALLEST_UNPADDED = 8  # pixels a side that two convolutions and the pooling leave one of


def build(shapes: Shapes, classes: int, parameters: Parameters) -> keras.Model:
    """image (N, H, W, C), and context (N, K) where there is one -> probabilities (N, 1) or (N, classes)."""
    from keras import layers

    inputs = inputs_of_image(shapes)
    padding = "valid" if min(shapes["image"][:2]) >= SMALLEST_UNPADDED else "same"
    x = inputs["image"]
    for _ in range(2):
        x = layers.Conv2D(32, 3, padding=padding, activation="swish")(x)
    x = layers.MaxPooling2D(4, padding=padding)(x)
    x = layers.Dropout(0.25)(x)
    x = context_joined(layers.Flatten()(x), inputs)
    return probabilities(inputs, dense_layers(x, PIXELS, "swish"), classes)


MODEL = Model("convolutional network of the pixel detector study", "image", DEFAULTS, space, build)
