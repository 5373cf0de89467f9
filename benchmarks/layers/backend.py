"""What the layers ask of the backend they run on: TensorFlow or JAX."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import keras


def on_tensorflow() -> bool:
    return str(keras.backend.backend()) == "tensorflow"


def traced_once(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of tensors that is called for each chunk of a batch. On TensorFlow all calls share one graph of it, as
    without that what is traced and compiled grows with the chunks."""
    if not on_tensorflow():
        return function
    import tensorflow as tf

    traced: Callable[..., Any] = tf.function(function, reduce_retracing=True, autograph=False)
    return traced


SIZES = 4
"""Numbers of rows, between one power of two and the next, for which a kernel of `in_one_kernel` is compiled."""


@functools.cache
def in_one_kernel(forward: Callable[..., Any], backward: Callable[..., Any], rows: int = 0) -> Callable[..., Any]:
    """On TensorFlow: forward(*inputs) with the gradients backward(*inputs, upstream), each compiled by XLA, so that
    what is elementwise goes through memory once and nothing of it is kept for the gradients. rows: how many inputs,
    the first, are (M, ...), as is what forward gives; 0: all.

    XLA compiles for each M anew. So they are filled up to one of `SIZES` with rows of zeros, whose results are cut off
    and whose upstream is zero: what backward sums over rows is as without them."""
    import tensorflow as tf

    forward = tf.function(forward, jit_compile=True, autograph=False)
    backward = tf.function(backward, jit_compile=True, autograph=False)

    def run(*inputs: Any) -> Any:
        many = rows or len(inputs)
        number = tf.shape(inputs[0])[0]
        logarithm = tf.math.log(tf.cast(tf.maximum(number, SIZES), "float64")) / math.log(2)
        missing = -number % (tf.bitwise.left_shift(1, tf.cast(logarithm, "int32")) // SIZES)

        def filled(x: Any) -> Any:
            return tf.concat([x, tf.zeros((missing, *x.shape[1:]), x.dtype)], axis=0)

        def kernel(*inputs: Any) -> Any:
            known = [*map(filled, inputs[:many]), *inputs[many:]]

            def gradient(upstream: Any) -> Any:
                found = backward(*known, filled(upstream))
                return [x if x is None else x[:number] for x in found[:many]] + list(found[many:])

            return forward(*known)[:number], gradient

        return tf.custom_gradient(kernel)(*inputs)

    return run
