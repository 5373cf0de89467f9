"""Periodic embedding of a table's variables."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("hepbench")
class PeriodicEmbedding(keras.layers.Layer):
    """(N, V) variables -> (N, V * width): sine and cosine of each variable at trained frequencies, then a layer that
    all variables share and a relu; 2203.05556. The frequencies start from a normal distribution of width `spread`."""

    def __init__(self, frequencies: int, width: int, spread: float = 0.3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.frequencies = frequencies
        self.width = width
        self.spread = spread
        self.dense = keras.layers.Dense(width, activation="relu", name="dense", dtype=self.dtype_policy)

    def build(self, shape: Any) -> None:
        start = keras.initializers.RandomNormal(stddev=self.spread)
        self.rates = self.add_weight(shape=(shape[-1], self.frequencies), initializer=start, name="rates")
        self.dense.build((None, shape[-1], 2 * self.frequencies))

    def call(self, x: Any) -> Any:
        angle = 2 * math.pi * x[:, :, None] * ops.cast(self.rates, x.dtype)
        embedded = self.dense(ops.concatenate([ops.sin(angle), ops.cos(angle)], axis=-1))
        return ops.reshape(embedded, (-1, x.shape[-1] * self.width))

    def compute_output_shape(self, shape: Any) -> Any:
        return (shape[0], shape[-1] * self.width)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "frequencies": self.frequencies,
            "width": self.width,
            "spread": self.spread,
        }
