"""Keras layers for point clouds, on TensorFlow and on JAX.

A cloud comes padded: (N, P) places, of which a mask tells the true points. The layers of a graph network work on
packed points, (M, C) for the M true points of all clouds of a batch one after the other, so that nothing is computed
of padding and no statistic sees it. JAX, whose shapes are fixed, packs all N P places, and `weight` (M, 1), 1 for a
true point and 0 for padding, keeps padding out of the statistics; on TensorFlow it is 1 everywhere.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from hepbench.benchmarks.layers.backend import on_tensorflow, traced_once

FAR = 1e18  # squared distance to what is no neighbour: padding, and the point itself
CHUNKS = 8  # of a batch, which look for neighbours one after the other
LARGEST_BY_DIFFERENCES = 3  # coordinates up to which distances are computed from differences


def squared_distances(x: Any) -> Any:
    """(N, P, D) points -> (N, P, P) squared distances.

    In few dimensions by differences: the distance of two points does not change with their place in the cloud, nor
    does, by rounding, the choice between neighbours equally far away on a grid. In many by a matrix product, which
    is many times faster.
    """
    if x.shape[-1] > LARGEST_BY_DIFFERENCES:
        square = ops.sum(ops.square(x), axis=-1)
        return square[:, :, None] + square[:, None, :] - 2 * ops.matmul(x, ops.swapaxes(x, 1, 2))
    distance = 0.0
    for axis in range(x.shape[-1]):
        distance = distance + ops.square(x[:, :, None, axis] - x[:, None, :, axis])
    return distance


def k_nearest(points: Any, mask: Any, k: int) -> Any:
    """The k nearest neighbours of each point among the true points of its cloud, itself left out.

    points: (N, P, D). mask: (N, P) bool. Gives (N, P, k) int32 indices into the P axis. Where a cloud has fewer other
    points, a point takes their place itself, so that a neighbour is always a true point.
    """
    size = ops.shape(points)[1]
    own = ops.arange(size, dtype="int32")
    apart = (own[:, None] != own[None, :]) & mask[:, None, :]
    nearness = ops.where(apart, -squared_distances(points), -FAR)
    if not isinstance(size, int) or size < k:
        nearness = ops.pad(nearness, ((0, 0), (0, 0), (0, k)), constant_values=-FAR)
    nearness, index = ops.top_k(nearness, k, sorted=False)
    return ops.where(nearness > -FAR / 2, ops.cast(index, "int32"), own[None, :, None])


@keras.saving.register_keras_serializable("hepbench")
class Pack(keras.layers.Layer):
    """mask (N, P) bool -> [rows (M,) int32, weight (M, 1)]: where the packed points lie among the N P places."""

    def call(self, mask: Any) -> Any:
        flat = ops.reshape(mask, (-1,))
        if on_tensorflow():
            import tensorflow as tf

            rows = tf.cast(tf.where(flat)[:, 0], tf.int32)
            return [rows, tf.ones((tf.shape(rows)[0], 1), self.compute_dtype)]
        return [ops.arange(ops.shape(flat)[0], dtype="int32"), ops.cast(flat, self.compute_dtype)[:, None]]

    def compute_output_spec(self, mask: Any) -> Any:
        return [keras.KerasTensor((None,), "int32"), keras.KerasTensor((None, 1), self.compute_dtype)]


@keras.saving.register_keras_serializable("hepbench")
class Packed(keras.layers.Layer):
    """[x (N, P, C), rows (M,)] -> (M, C)."""

    def call(self, inputs: Any) -> Any:
        x, rows = inputs
        return ops.take(ops.reshape(x, (-1, x.shape[-1])), rows, axis=0)

    def compute_output_shape(self, shapes: Any) -> Any:
        return (None, shapes[0][-1])


@keras.saving.register_keras_serializable("hepbench")
class Neighbours(keras.layers.Layer):
    """[coordinates (M, D) packed, mask (N, P), rows (M,)] -> (M, k) int32: packed indices of `k_nearest`.

    On TensorFlow a batch is searched in CHUNKS chunks, each cut to its own longest cloud: sort a batch by length and
    hardly a distance to padding is computed.
    """

    def __init__(self, k: int, **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})  # 16 bits would round neighbours to the same place
        self.k = k
        self.search = traced_once(self._search)

    def call(self, inputs: Any) -> Any:
        x, mask, _ = inputs
        x = ops.stop_gradient(ops.cast(x, "float32"))
        if not on_tensorflow():
            events, size = mask.shape
            index = k_nearest(ops.reshape(x, (events, size, -1)), mask, self.k)
            first = ops.arange(events, dtype="int32") * size
            return ops.reshape(index + first[:, None, None], (-1, self.k))
        import tensorflow as tf

        shape = tf.shape(mask)
        place = tf.reshape(tf.cumsum(tf.cast(tf.reshape(mask, (-1,)), tf.int32)) - 1, shape)
        extent = tf.reduce_max(tf.where(mask, tf.range(1, shape[1] + 1), 0), axis=1)
        bounds = shape[0] * tf.range(CHUNKS + 1) // CHUNKS
        x = tf.pad(x, [[0, 1], [0, 0]])  # a row for padding to name where no cloud has a point
        found = [self.search(x, mask, place, extent, bounds[chunk], bounds[chunk + 1]) for chunk in range(CHUNKS)]
        return tf.concat(found, axis=0)

    def _search(self, x: Any, mask: Any, place: Any, extent: Any, start: Any, stop: Any) -> Any:
        """Those of the clouds from start to stop."""
        import tensorflow as tf

        longest = tf.maximum(tf.reduce_max(extent[start:stop]), 1)
        true, here = mask[start:stop, :longest], tf.maximum(place[start:stop, :longest], 0)
        points = tf.ensure_shape(tf.gather(x, here), (None, None, x.shape[-1]))
        near = tf.gather(here, k_nearest(points, true, self.k), batch_dims=1)
        return tf.boolean_mask(near, true)

    def compute_output_spec(self, inputs: Any) -> Any:
        return keras.KerasTensor((None, self.k), "int32")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "k": self.k}


@keras.saving.register_keras_serializable("hepbench")
class CloudSum(keras.layers.Layer):
    """[x (M, C) packed, mask (N, P), rows (M,)] -> (N, C): sum over the true points; zeros for an empty cloud."""

    def call(self, inputs: Any) -> Any:
        return ops.cast(self.total(*inputs), inputs[0].dtype)

    def total(self, x: Any, mask: Any, rows: Any) -> Any:
        """In 32 bits: 16 would round it at every point."""
        x = ops.cast(x, "float32")
        events, size = ops.shape(mask)[0], ops.shape(mask)[1]
        if on_tensorflow():
            return ops.segment_sum(x, rows // size, num_segments=events)
        places = ops.reshape(x, (events, size, -1))
        return ops.sum(places * ops.cast(mask, x.dtype)[..., None], axis=1)

    def compute_output_spec(self, inputs: Any) -> Any:
        return keras.KerasTensor((inputs[1].shape[0], inputs[0].shape[-1]), self.compute_dtype)


@keras.saving.register_keras_serializable("hepbench")
class CloudMean(CloudSum):
    """[x (M, C) packed, mask (N, P), rows (M,)] -> (N, C): mean over the true points; zeros for an empty cloud."""

    def call(self, inputs: Any) -> Any:
        number = ops.sum(ops.cast(inputs[1], "float32"), axis=1, keepdims=True)
        return ops.cast(self.total(*inputs) / ops.maximum(number, 1), inputs[0].dtype)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """A sum where a network of before asks this layer for the total."""
        own = {name: value for name, value in config.items() if name != "total"}
        return CloudSum.from_config(own) if config.get("total") else super().from_config(own)


@keras.saving.register_keras_serializable("hepbench")
class CloudMaximum(keras.layers.Layer):
    """[x (M, C) packed, mask (N, P), rows (M,)] -> (N, C): maximum over the true points; zeros for an empty cloud."""

    def call(self, inputs: Any) -> Any:
        x, mask, rows = inputs
        events, size = ops.shape(mask)[0], ops.shape(mask)[1]
        if on_tensorflow():
            highest = ops.segment_max(x, rows // size, num_segments=events)
        else:
            places = ops.reshape(x, (events, size, -1))
            highest = ops.max(ops.where(mask[..., None], places, -FAR), axis=1)
        return ops.where(ops.any(mask, axis=1, keepdims=True), highest, 0)

    def compute_output_spec(self, inputs: Any) -> Any:
        return keras.KerasTensor((inputs[1].shape[0], inputs[0].shape[-1]), self.compute_dtype)
