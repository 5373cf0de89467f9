"""Keras layers of the graph network `gnn`, on packed points as in `benchmarks.packed`.

EdgeConv: Wang et al., 1801.07829; on particles ParticleNet, 1902.08570.
"""

from __future__ import annotations

import keras
from keras import ops

from benchmarks.packed import FAR, on_tensorflow


@keras.saving.register_keras_serializable("hepbench")
class EdgeConv(keras.layers.Layer):
    """[x (M, C), index (M, k)] -> (M, width).

    The mean over the neighbours j of W2 relu(W1 [x_i, x_j - x_i] + b1) + b2. W1 is linear, so it is A x_i + B x_j
    with a product for each point instead of each edge; so is W2, which follows the mean. `Neighbours` gives a point
    itself where its cloud has no further one: that is no neighbour, and a point without neighbours gives b2.
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
        channels = shapes[0][-1]
        self.own.build((None, channels))
        self.other.build((None, channels))
        self.out.build((None, self.width))

    def call(self, inputs):
        x, index = inputs
        itself = ops.arange(ops.shape(x)[0], dtype="int32")[:, None]
        present = ops.cast(index != itself, x.dtype)[..., None]
        edges = ops.relu(self.own(x)[:, None, :] + ops.take(self.other(x), index, axis=0))  # (M, k, width)
        return self.out(ops.sum(edges * present, axis=1) / ops.maximum(ops.sum(present, axis=1), 1))

    def compute_output_shape(self, shapes):
        return (None, self.width)

    def get_config(self):
        return {**super().get_config(), "width": self.width}


@keras.saving.register_keras_serializable("hepbench")
class CloudMaximum(keras.layers.Layer):
    """[x (M, C) packed, mask (N, P), rows (M,)] -> (N, C): maximum over the true points; zeros for an empty cloud."""

    def call(self, inputs):
        x, mask, rows = inputs
        events, size = ops.shape(mask)[0], ops.shape(mask)[1]
        if on_tensorflow():
            highest = ops.segment_max(x, rows // size, num_segments=events)
        else:
            places = ops.reshape(x, (events, size, -1))
            highest = ops.max(ops.where(mask[..., None], places, -FAR), axis=1)
        return ops.where(ops.any(mask, axis=1, keepdims=True), highest, 0)

    def compute_output_spec(self, inputs):
        return keras.KerasTensor((inputs[1].shape[0], inputs[0].shape[-1]), self.compute_dtype)
