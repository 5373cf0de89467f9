"""Keras layers for point clouds, in `keras.ops`, so that they run on every backend.

EdgeConv: Wang et al., 1801.07829; on particles ParticleNet, 1902.08570.
"""

from __future__ import annotations

import keras
from keras import ops

FAR = 1e18  # squared distance to what is no neighbour: padding, and the point itself


def k_nearest(points, mask, k: int):
    """The k nearest neighbours of each point among the true points of its cloud, itself left out.

    points: (N, P, D). mask: (N, P) bool. Gives indices (N, P, k) int32 into the P axis and (N, P, k) bool, false
    where a cloud has no further point. k is lowered to P where P is smaller.
    """
    size = points.shape[1]
    distance = 0.0
    # By differences, not by a matrix product: the distance of two points does not change with their place in the
    # cloud, nor does, by rounding, the choice between neighbours equally far away
    for axis in range(points.shape[-1]):
        x = points[:, :, axis]
        distance = distance + ops.square(x[:, :, None] - x[:, None, :])  # (N, P, P)
    distance = ops.where(mask[:, None, :], distance, FAR) + FAR * ops.eye(size)
    nearness, index = ops.top_k(-distance, min(k, size), sorted=False)
    return ops.cast(index, "int32"), nearness > -FAR / 2


def gather_neighbours(x, index):
    """x: (N, P, C), index: (N, P, k) -> (N, P, k, C)."""
    events, (size, width) = ops.shape(x)[0], x.shape[1:]
    first = ops.arange(events, dtype="int32") * size
    return ops.take(ops.reshape(x, (-1, width)), index + first[:, None, None], axis=0)


def masked_mean(x, mask, axis: int):
    """Mean of x over an axis where mask is true; 0 where it never is. mask has the shape of x, but for the last axis,
    which is 1."""
    weight = ops.cast(mask, x.dtype)
    return ops.sum(x * weight, axis=axis) / ops.maximum(ops.sum(weight, axis=axis), 1)


@keras.saving.register_keras_serializable("hepbench")
class NearestNeighbours(keras.layers.Layer):
    """[points (N, P, D), mask (N, P)] -> [index (N, P, k), present (N, P, k)], see `k_nearest`."""

    def __init__(self, k: int, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})  # 16 bits would round neighbours to the same place
        self.k = k

    def call(self, inputs):
        points, mask = inputs
        return list(k_nearest(points, mask, self.k))

    def get_config(self):
        return {**super().get_config(), "k": self.k}


@keras.saving.register_keras_serializable("hepbench")
class EdgeConv(keras.layers.Layer):
    """[x (N, P, C), index (N, P, k), present (N, P, k)] -> (N, P, width).

    The mean over the neighbours j of W2 relu(W1 [x_i, x_j - x_i] + b1) + b2. W1 is linear, so it is A x_i + B x_j
    with a product for each point instead of each edge; so is W2, which follows the mean. A point without neighbours
    gives b2.
    """

    def __init__(self, width: int, **kwargs):
        super().__init__(**kwargs)
        self.width = width
        self.own = keras.layers.Dense(width, kernel_initializer="he_normal", name="own", dtype=self.dtype_policy)
        self.other = keras.layers.Dense(
            width, use_bias=False, kernel_initializer="he_normal", name="other", dtype=self.dtype_policy
        )
        self.out = keras.layers.Dense(width, name="out", dtype=self.dtype_policy)

    def build(self, shapes):
        (*_, channels), *_ = shapes
        self.own.build((None, channels))
        self.other.build((None, channels))
        self.out.build((None, self.width))

    def call(self, inputs):
        x, index, present = inputs
        edges = ops.relu(self.own(x)[:, :, None, :] + gather_neighbours(self.other(x), index))  # (N, P, k, width)
        return self.out(masked_mean(edges, present[..., None], axis=2))

    def compute_output_shape(self, shapes):
        return (*shapes[0][:-1], self.width)

    def get_config(self):
        return {**super().get_config(), "width": self.width}


@keras.saving.register_keras_serializable("hepbench")
class MaskedPooling(keras.layers.Layer):
    """[x (N, P, C), mask (N, P)] -> (N, 2 C): mean and maximum over the true points; zeros for an empty cloud."""

    def call(self, inputs):
        x, mask = inputs
        mask = mask[..., None]
        highest = ops.max(ops.where(mask, x, -1e9), axis=1)
        highest = ops.where(ops.any(mask, axis=1), highest, 0.0)
        return ops.concatenate([masked_mean(x, mask, axis=1), highest], axis=-1)

    def compute_output_shape(self, shapes):
        return (shapes[0][0], 2 * shapes[0][-1])
