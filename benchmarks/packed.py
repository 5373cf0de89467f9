"""Keras layers for point clouds, on TensorFlow and on JAX.

A cloud comes padded: (N, P) places, of which a mask tells the true points. The layers of a graph network work on
packed points, (M, C) for the M true points of all clouds of a batch one after the other, so that nothing is computed
of padding and no statistic sees it. JAX, whose shapes are fixed, packs all N P places, and `weight` (M, 1), 1 for a
true point and 0 for padding, keeps padding out of the statistics; on TensorFlow it is 1 everywhere.

EdgeConv: Wang et al., 1801.07829; on particles ParticleNet, 1902.08570.
"""

from __future__ import annotations

import math

import keras
from keras import ops

FAR = 1e18  # squared distance to what is no neighbour: padding, and the point itself
SERIES = 8  # parts of a batch that look for neighbours one after the other
LARGEST_BY_DIFFERENCES = 3  # coordinates up to which distances are computed from differences


def on_tensorflow() -> bool:
    return keras.backend.backend() == "tensorflow"


def traced_once(function):
    """A function of tensors that is called for each part of a batch. On TensorFlow all calls share one graph of it, as
    without that what is traced and compiled grows with the parts."""
    if not on_tensorflow():
        return function
    import tensorflow as tf

    return tf.function(function, reduce_retracing=True, autograph=False)


def squared_distances(x):
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


def k_nearest(points, mask, k: int):
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

    def call(self, mask):
        flat = ops.reshape(mask, (-1,))
        if on_tensorflow():
            import tensorflow as tf

            rows = tf.cast(tf.where(flat)[:, 0], tf.int32)
            return [rows, tf.ones((tf.shape(rows)[0], 1), self.compute_dtype)]
        return [ops.arange(ops.shape(flat)[0], dtype="int32"), ops.cast(flat, self.compute_dtype)[:, None]]

    def compute_output_spec(self, mask):
        return [keras.KerasTensor((None,), "int32"), keras.KerasTensor((None, 1), self.compute_dtype)]


@keras.saving.register_keras_serializable("hepbench")
class Packed(keras.layers.Layer):
    """[x (N, P, C), rows (M,)] -> (M, C)."""

    def call(self, inputs):
        x, rows = inputs
        return ops.take(ops.reshape(x, (-1, x.shape[-1])), rows, axis=0)

    def compute_output_shape(self, shapes):
        return (None, shapes[0][-1])


@keras.saving.register_keras_serializable("hepbench")
class Neighbours(keras.layers.Layer):
    """[coordinates (M, D) packed, mask (N, P), rows (M,)] -> (M, k) int32: packed indices of `k_nearest`.

    On TensorFlow a batch is searched in SERIES parts, each cut to its own longest cloud: sort a batch by length and
    hardly a distance to padding is computed.
    """

    def __init__(self, k: int, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})  # 16 bits would round neighbours to the same place
        self.k = k
        self.search = traced_once(self._search)

    def call(self, inputs):
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
        bounds = shape[0] * tf.range(SERIES + 1) // SERIES
        parts = [(x, mask, place, extent, bounds[part], bounds[part + 1]) for part in range(SERIES)]
        return tf.concat([self.search(*part) for part in parts], axis=0)

    def _search(self, x, mask, place, extent, start, stop):
        """Those of the clouds from start to stop."""
        import tensorflow as tf

        longest = tf.maximum(tf.reduce_max(extent[start:stop]), 1)
        true, here = mask[start:stop, :longest], tf.maximum(place[start:stop, :longest], 0)
        points = tf.ensure_shape(tf.gather(x, here), (None, None, x.shape[-1]))
        near = tf.gather(here, k_nearest(points, true, self.k), batch_dims=1)
        return tf.boolean_mask(near, true)

    def compute_output_spec(self, inputs):
        return keras.KerasTensor((None, self.k), "int32")

    def get_config(self):
        return {**super().get_config(), "k": self.k}


@keras.saving.register_keras_serializable("hepbench")
class Normalization(keras.layers.Layer):
    """Batch normalisation (1502.03167) of x (M, ..., C) over all but the last axis; given [x, weight (M, 1)], over the
    true points alone.

    TensorFlow's fused kernel computes it several times faster than Keras' own layer does on a processor.
    """

    def __init__(self, momentum: float = 0.9, epsilon: float = 1e-3, **kwargs):
        super().__init__(**kwargs)
        self.momentum = momentum
        self.epsilon = epsilon

    def build(self, shapes):
        width = (shapes[0] if isinstance(shapes[0], (tuple, list)) else shapes)[-1]
        kept = {"autocast": False}  # statistics in 32 bits, whatever the layer computes in
        self.gamma = self.add_weight(shape=(width,), initializer="ones", name="gamma", **kept)
        self.beta = self.add_weight(shape=(width,), initializer="zeros", name="beta", **kept)
        self.mean = self.add_weight(shape=(width,), initializer="zeros", trainable=False, name="moving_mean", **kept)
        self.variance = self.add_weight(
            shape=(width,), initializer="ones", trainable=False, name="moving_variance", **kept
        )

    def call(self, inputs, training=False):
        x, weight = inputs if isinstance(inputs, (tuple, list)) else (inputs, None)
        if not training:
            scale, shift = self.scale_and_shift()
            return x * ops.cast(scale, x.dtype) + ops.cast(shift, x.dtype)
        if on_tensorflow():
            return self._fused(x)
        if weight is None:
            weight = ops.ones((ops.shape(x)[0], 1))
        weight = ops.reshape(ops.cast(weight, "float32"), (-1,) + (1,) * (len(x.shape) - 1))
        axes = tuple(range(len(x.shape) - 1))
        number = ops.maximum(ops.sum(weight), 1) * math.prod(x.shape[1:-1])
        y = ops.cast(x, "float32")
        mean = ops.sum(y * weight, axis=axes) / number
        variance = ops.sum(ops.square(y - mean) * weight, axis=axes) / number
        self._remember(mean, variance)
        return ops.cast((y - mean) * ops.rsqrt(variance + self.epsilon) * self.gamma + self.beta, x.dtype)

    def scale_and_shift(self):
        """(C,), (C,): what the normalisation is once trained."""
        scale = ops.convert_to_tensor(self.gamma) * ops.rsqrt(self.variance + self.epsilon)
        return scale, ops.convert_to_tensor(self.beta) - self.mean * scale

    def _fused(self, x):
        import tensorflow as tf

        width = x.shape[-1]
        y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=tf.reshape(x, (1, -1, 1, width)),
            scale=ops.convert_to_tensor(self.gamma),
            offset=ops.convert_to_tensor(self.beta),
            mean=tf.zeros(0),
            variance=tf.zeros(0),
            epsilon=self.epsilon,
            is_training=True,
        )
        self._remember(mean, variance)
        return tf.reshape(y, tf.shape(x))

    def _remember(self, mean, variance):
        keep = self.momentum
        self.mean.assign(self.mean * keep + ops.stop_gradient(mean) * (1 - keep))
        self.variance.assign(self.variance * keep + ops.stop_gradient(variance) * (1 - keep))

    def compute_output_shape(self, shapes):
        return shapes[0] if isinstance(shapes[0], (tuple, list)) else shapes

    def get_config(self):
        return {**super().get_config(), "momentum": self.momentum, "epsilon": self.epsilon}


def _product(x, kernel, bias=None):
    """x (..., C) times kernel (C, D), as one product of matrices, plus bias (D,)."""
    out = ops.matmul(ops.reshape(x, (-1, x.shape[-1])), ops.cast(kernel, x.dtype))
    if bias is not None:
        bias = ops.cast(bias, x.dtype)
        if on_tensorflow():
            import tensorflow as tf

            out = tf.nn.bias_add(out, bias)  # which TensorFlow fuses with the product and the relu after it
        else:
            out = out + bias
    return ops.reshape(out, (-1, *x.shape[1:-1], kernel.shape[-1]))


@keras.saving.register_keras_serializable("hepbench")
class EdgeBlock(keras.layers.Layer):
    """[x (M, C), index (M, k), weight (M, 1)] -> (M, widths[-1]): the block of ParticleNet, 1902.08570 figure 1.

    An edge [x_i, x_j - x_i] goes through len(widths) layers of weights, batch normalisation and relu; the mean over
    the k neighbours is added to x_i, brought to the same width, and a relu ends it. The first layer is linear in x_i
    and x_j, so that its products are taken for each point instead of for each of its k edges.
    """

    def __init__(self, widths, **kwargs):
        super().__init__(**kwargs)
        self.widths = tuple(widths)
        names = [f"edge_{number}" for number in range(len(self.widths))] + ["shortcut"]
        self.normalizations = [Normalization(name=f"{name}_normalization", dtype=self.dtype_policy) for name in names]

    def build(self, shapes):
        channels = shapes[0][-1]
        style = {"initializer": "he_normal", "autocast": False}  # `_product` casts, after the statistics went in
        befores = (2 * channels, *self.widths[:-1])
        self.kernels = [
            self.add_weight(shape=shape, name=f"edge_{number}", **style)
            for number, shape in enumerate(zip(befores, self.widths, strict=True))
        ]
        self.shortcut = self.add_weight(shape=(channels, self.widths[-1]), name="shortcut", **style)
        for normalization, width in zip(self.normalizations, (*self.widths, self.widths[-1]), strict=True):
            normalization.build([(None, width), (None, 1)])

    def call(self, inputs, training=False):
        x, index, weight = inputs
        *normalizations, of_shortcut = self.normalizations
        own, other = self.kernels[0][: x.shape[-1]], self.kernels[0][x.shape[-1] :]
        if not training:
            return self._trained(x, index, own, other)
        edges = ops.take(_product(x, other), index, axis=0) + _product(x, own - other)[:, None, :]
        edges = ops.relu(normalizations[0]([edges, weight], training=True))
        for kernel, normalization in zip(self.kernels[1:], normalizations[1:], strict=True):
            edges = ops.relu(normalization([_product(edges, kernel), weight], training=True))
        shortcut = of_shortcut([_product(x, self.shortcut), weight], training=True)
        return ops.relu(ops.mean(edges, axis=1) + shortcut)

    def _trained(self, x, index, own, other):
        """The same with the normalisations, which no longer change, multiplied into the weights."""
        (scale, shift), *others, (of_shortcut, last) = (some.scale_and_shift() for some in self.normalizations)
        edges = ops.take(_product(x, other * scale), index, axis=0)
        edges = ops.relu(edges + _product(x, (own - other) * scale, shift)[:, None, :])
        for kernel, (scale, shift) in zip(self.kernels[1:], others, strict=True):
            edges = ops.relu(_product(edges, kernel * scale, shift))
        return ops.relu(ops.mean(edges, axis=1) + _product(x, self.shortcut * of_shortcut, last))

    def compute_output_shape(self, shapes):
        return (None, self.widths[-1])

    def get_config(self):
        return {**super().get_config(), "widths": self.widths}


@keras.saving.register_keras_serializable("hepbench")
class PeriodicEmbedding(keras.layers.Layer):
    """(N, V) variables -> (N, V * width): sine and cosine of each variable at trained frequencies, then a layer that
    all variables share and a relu; 2203.05556. The frequencies start from a normal distribution of width `spread`."""

    def __init__(self, frequencies: int, width: int, spread: float = 0.3, **kwargs):
        super().__init__(**kwargs)
        self.frequencies = frequencies
        self.width = width
        self.spread = spread
        self.dense = keras.layers.Dense(width, activation="relu", name="dense", dtype=self.dtype_policy)

    def build(self, shape):
        start = keras.initializers.RandomNormal(stddev=self.spread)
        self.rates = self.add_weight(shape=(shape[-1], self.frequencies), initializer=start, name="rates")
        self.dense.build((None, shape[-1], 2 * self.frequencies))

    def call(self, x):
        angle = 2 * math.pi * x[:, :, None] * ops.cast(self.rates, x.dtype)
        embedded = self.dense(ops.concatenate([ops.sin(angle), ops.cos(angle)], axis=-1))
        return ops.reshape(embedded, (-1, x.shape[-1] * self.width))

    def compute_output_shape(self, shape):
        return (shape[0], shape[-1] * self.width)

    def get_config(self):
        return {
            **super().get_config(),
            "frequencies": self.frequencies,
            "width": self.width,
            "spread": self.spread,
        }


@keras.saving.register_keras_serializable("hepbench")
class CloudMean(keras.layers.Layer):
    """[x (M, C) packed, mask (N, P), rows (M,)] -> (N, C): mean over the true points; zeros for an empty cloud.
    With total=True their sum."""

    def __init__(self, total: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.total = total

    def get_config(self):
        return {**super().get_config(), "total": self.total}

    def call(self, inputs):
        x, mask, rows = inputs
        events, size = ops.shape(mask)[0], ops.shape(mask)[1]
        if on_tensorflow():
            total = ops.segment_sum(x, rows // size, num_segments=events)
        else:
            places = ops.reshape(x, (events, size, -1))
            total = ops.sum(places * ops.cast(mask, x.dtype)[..., None], axis=1)
        if self.total:
            return total
        number = ops.sum(ops.cast(mask, x.dtype), axis=1, keepdims=True)
        return total / ops.maximum(number, 1)

    def compute_output_spec(self, inputs):
        return keras.KerasTensor((inputs[1].shape[0], inputs[0].shape[-1]), self.compute_dtype)
