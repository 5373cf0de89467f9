"""Keras layers that convolve over the edges from a point to its neighbours, on packed points of `point_cloud`.

Edge convolution: Wang et al., 1801.07829; on particles ParticleNet, 1902.08570.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from hepbench.benchmarks.layers.backend import in_one_kernel, on_tensorflow
from hepbench.benchmarks.layers.normalization import BatchNormalization


def product(x: Any, kernel: Any, bias: Any = None) -> Any:
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


def _present(index: Any) -> Any:
    """index (M, k) -> (M, k) bool: whether it is another point."""
    return index != ops.arange(ops.shape(index)[0], dtype="int32")[:, None]


def _mean_of_edges(own: Any, other: Any, index: Any) -> Any:
    """own, other (M, C), index (M, k) -> (M, C): mean over the neighbours j of relu(own_i + other_j)."""
    present = _present(index)
    total = ops.zeros_like(own)
    for neighbour in range(index.shape[1]):  # one by one, as XLA then keeps the sum in registers
        edge = ops.relu(own + ops.take(other, index[:, neighbour], axis=0))
        total = total + ops.where(present[:, neighbour, None], edge, 0)
    return total / _number(present, own.dtype)


def _gradient_of_mean(own: Any, other: Any, index: Any, upstream: Any) -> Any:
    """(M, C), (M, C): the gradients of own and other; index has none."""
    present = _present(index)
    upstream = upstream / _number(present, own.dtype)
    of_own = ops.zeros_like(own)
    for neighbour in range(index.shape[1]):
        edge = own + ops.take(other, index[:, neighbour], axis=0)
        of_own = of_own + ops.where(present[:, neighbour, None] & (edge > 0), upstream, 0)
    edges = own[:, None, :] + ops.take(other, index, axis=0)
    of_edges = ops.where(present[..., None] & (edges > 0), upstream[:, None, :], 0)
    rows = ops.reshape(of_edges, (-1, of_edges.shape[-1]))
    of_other = ops.segment_sum(rows, ops.reshape(index, (-1,)), num_segments=ops.shape(index)[0])
    return of_own, of_other, None


def _number(present: Any, dtype: Any) -> Any:
    return ops.maximum(ops.sum(ops.cast(present, dtype), axis=1, keepdims=True), 1)


@keras.saving.register_keras_serializable("hepbench")
class EdgeBlock(keras.layers.Layer):
    """[x (M, C), index (M, k), weight (M, 1)] -> (M, widths[-1]): the block of ParticleNet, 1902.08570 figure 1.

    An edge [x_i, x_j - x_i] goes through len(widths) layers of weights, batch normalisation and relu; the mean over
    the k neighbours is added to x_i, brought to the same width, and a relu ends it. The first layer is linear in x_i
    and x_j, so that its products are taken for each point instead of for each of its k edges.
    """

    def __init__(
        self, widths: Sequence[int], momentum: float = 0.9, initializer: str = "he_normal", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.widths = tuple(widths)
        self.momentum = momentum
        self.initializer = initializer
        names = [f"edge_{number}" for number in range(len(self.widths))] + ["shortcut"]
        self.normalizations = [
            BatchNormalization(momentum, name=f"{name}_normalization", dtype=self.dtype_policy) for name in names
        ]

    def build(self, shapes: Any) -> None:
        channels = shapes[0][-1]
        style = {"initializer": self.initializer, "autocast": False}  # `product` casts, after the statistics went in
        befores = (2 * channels, *self.widths[:-1])
        self.kernels = [
            self.add_weight(shape=shape, name=f"edge_{number}", **style)
            for number, shape in enumerate(zip(befores, self.widths, strict=True))
        ]
        self.shortcut = self.add_weight(shape=(channels, self.widths[-1]), name="shortcut", **style)
        for normalization, width in zip(self.normalizations, (*self.widths, self.widths[-1]), strict=True):
            normalization.build([(None, width), (None, 1)])

    def call(self, inputs: Any, training: bool = False) -> Any:
        x, index, weight = inputs
        *normalizations, of_shortcut = self.normalizations
        own, other = self.kernels[0][: x.shape[-1]], self.kernels[0][x.shape[-1] :]
        if not training:
            return self._trained(x, index, own, other)
        edges = ops.take(product(x, other), index, axis=0) + ops.expand_dims(product(x, own - other), 1)
        edges = ops.relu(normalizations[0]([edges, weight], training=True))
        for kernel, normalization in zip(self.kernels[1:], normalizations[1:], strict=True):
            edges = ops.relu(normalization([product(edges, kernel), weight], training=True))
        shortcut = of_shortcut([product(x, self.shortcut), weight], training=True)
        return ops.relu(ops.mean(edges, axis=1) + shortcut)

    def _trained(self, x: Any, index: Any, own: Any, other: Any) -> Any:
        """The same with the normalisations, which no longer change, multiplied into the weights."""
        (scale, shift), *others, (of_shortcut, last) = (some.scale_and_shift() for some in self.normalizations)
        edges = ops.take(product(x, other * scale), index, axis=0)
        edges = ops.relu(edges + product(x, (own - other) * scale, shift)[:, None, :])
        for kernel, (scale, shift) in zip(self.kernels[1:], others, strict=True):
            edges = ops.relu(product(edges, kernel * scale, shift))
        return ops.relu(ops.mean(edges, axis=1) + product(x, self.shortcut * of_shortcut, last))

    def compute_output_shape(self, shapes: Any) -> Any:
        return (None, self.widths[-1])

    def get_config(self) -> dict[str, Any]:
        own = {"widths": self.widths, "momentum": self.momentum, "initializer": self.initializer}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("hepbench")
class EdgeConv(keras.layers.Layer):
    """[x (M, C), index (M, k)] -> (M, width).

    The mean over the neighbours j of W2 relu(W1 [x_i, x_j - x_i] + b1) + b2. W1 is linear, so it is A x_i + B x_j
    with a product for each point instead of each edge; so is W2, which follows the mean. `Neighbours` gives a point
    itself where its cloud has no further one: that is no neighbour, and a point without neighbours gives b2.

    In training on TensorFlow the mean and its gradient are a kernel each (`in_one_kernel`): op by op, a dozen arrays of
    all edges would go through memory.
    """

    def __init__(self, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width = width
        self.own = keras.layers.Dense(width, kernel_initializer="he_normal", name="own", dtype=self.dtype_policy)
        self.other = keras.layers.Dense(
            width, use_bias=False, kernel_initializer="he_normal", name="other", dtype=self.dtype_policy
        )
        self.out = keras.layers.Dense(width, name="out", dtype=self.dtype_policy)

    def build(self, shapes: Any) -> None:
        channels = shapes[0][-1]
        self.own.build((None, channels))
        self.other.build((None, channels))
        self.out.build((None, self.width))

    def call(self, inputs: Any, training: bool = False) -> Any:
        x, index = inputs
        if training and on_tensorflow():
            mean = in_one_kernel(_mean_of_edges, _gradient_of_mean)
            return self.out(mean(self.own(x), self.other(x), index))
        present = ops.cast(_present(index), x.dtype)[..., None]
        edges = ops.relu(self.own(x)[:, None, :] + ops.take(self.other(x), index, axis=0))  # (M, k, width)
        return self.out(ops.sum(edges * present, axis=1) / ops.maximum(ops.sum(present, axis=1), 1))

    def compute_output_shape(self, shapes: Any) -> Any:
        return (None, self.width)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "width": self.width}
