"""Normalisation over the true points of a batch, and over the channels of a point."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from hepbench.benchmarks.layers.backend import in_one_kernel, on_tensorflow


@keras.saving.register_keras_serializable("hepbench", name="Normalization")
class BatchNormalization(keras.layers.Layer):
    """Batch normalisation (1502.03167) of x (M, ..., C) over all but the last axis; given [x, weight (M, 1)], over the
    true points alone.

    TensorFlow's fused kernel computes it several times faster than Keras' own layer does on a processor.
    """

    def __init__(self, momentum: float = 0.9, epsilon: float = 1e-3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.momentum = momentum
        self.epsilon = epsilon

    def build(self, shapes: Any) -> None:
        width = (shapes[0] if isinstance(shapes[0], (tuple, list)) else shapes)[-1]
        kept = {"autocast": False}  # statistics in 32 bits, whatever the layer computes in
        self.gamma = self.add_weight(shape=(width,), initializer="ones", name="gamma", **kept)
        self.beta = self.add_weight(shape=(width,), initializer="zeros", name="beta", **kept)
        self.mean = self.add_weight(shape=(width,), initializer="zeros", trainable=False, name="moving_mean", **kept)
        self.variance = self.add_weight(
            shape=(width,), initializer="ones", trainable=False, name="moving_variance", **kept
        )

    def call(self, inputs: Any, training: bool = False) -> Any:
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
        present = ops.sum(weight) * math.prod(x.shape[1:-1])
        number = ops.maximum(present, 1)
        y = ops.cast(x, "float32")
        mean = ops.sum(y * weight, axis=axes) / number
        variance = ops.sum(ops.square(y - mean) * weight, axis=axes) / number
        self._remember(mean, variance * number / ops.maximum(number - 1, 1), present)
        return ops.cast((y - mean) * ops.rsqrt(variance + self.epsilon) * self.gamma + self.beta, x.dtype)

    def scale_and_shift(self) -> Any:
        """(C,), (C,): what the normalisation is once trained."""
        scale = ops.convert_to_tensor(self.gamma) * ops.rsqrt(self.variance + self.epsilon)
        return scale, ops.convert_to_tensor(self.beta) - self.mean * scale

    def _fused(self, x: Any) -> Any:
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
        self._remember(mean, variance, tf.size(x))
        return tf.reshape(y, tf.shape(x))

    def _remember(self, mean: Any, variance: Any, number: Any) -> None:
        """Moving averages of the mean and of the unbiased variance, 1502.03167 algorithm 2; of number 0 there is
        neither."""
        for average, value in ((self.mean, mean), (self.variance, variance)):
            before = ops.convert_to_tensor(average)
            moved = before * self.momentum + ops.stop_gradient(value) * (1 - self.momentum)
            average.assign(ops.where(number > 0, moved, before))

    def compute_output_shape(self, shapes: Any) -> Any:
        return shapes[0] if isinstance(shapes[0], (tuple, list)) else shapes

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "momentum": self.momentum, "epsilon": self.epsilon}


# Keras files the weights of a network under its layers' class names: those saved under this one can still be read.
BatchNormalization.__name__ = "Normalization"


@keras.saving.register_keras_serializable("hepbench")
class LayerNormalization(keras.layers.LayerNormalization):
    """Layer normalisation (1607.06450) of x (..., C) over its last axis, as Keras' own.

    In training on TensorFlow it and its gradient are a kernel each, where Keras' own are some thirty
    operations.
    """

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not (training and on_tensorflow()):
            return super().call(inputs)
        import tensorflow as tf

        normalise = in_one_kernel(_normalised, _gradient_of_normalised, 1)
        rows = tf.reshape(inputs, (-1, inputs.shape[-1]))
        weights = (tf.convert_to_tensor(one.value) for one in (self.gamma, self.beta))
        out = normalise(rows, *weights, tf.constant(self.epsilon))
        return tf.reshape(out, tf.shape(inputs))


def _normalised(x: Any, gamma: Any, beta: Any, epsilon: Any) -> Any:
    """x (M, C), gamma, beta (C,) -> (M, C)."""
    normal, _ = _normal(x, epsilon)
    return ops.cast(normal * ops.cast(gamma, "float32") + ops.cast(beta, "float32"), x.dtype)


def _gradient_of_normalised(x: Any, gamma: Any, beta: Any, epsilon: Any, upstream: Any) -> Any:
    normal, scale = _normal(x, epsilon)
    upstream = ops.cast(upstream, "float32")
    of_normal = upstream * ops.cast(gamma, "float32")
    of_x = scale * (of_normal - _mean(of_normal) - normal * _mean(of_normal * normal))
    over_rows = ops.ones((1, ops.shape(x)[0]))  # a product is many times faster than XLA's sum over rows
    of_gamma, of_beta = (ops.cast(ops.matmul(over_rows, one)[0], gamma.dtype) for one in (upstream * normal, upstream))
    return ops.cast(of_x, x.dtype), of_gamma, of_beta, None


def _normal(x: Any, epsilon: Any) -> Any:
    """(M, C), (M, 1) in 32 bits: x with mean 0 and variance 1 in each row, and what it was multiplied by."""
    x = ops.cast(x, "float32")
    x = x - _mean(x)
    scale = ops.rsqrt(_mean(ops.square(x)) + epsilon)
    return x * scale, scale


def _mean(x: Any) -> Any:
    return ops.matmul(x, ops.full((x.shape[1], 1), 1 / x.shape[1]))
