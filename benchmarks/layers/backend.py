"""What the layers ask of the backend they run on: TensorFlow or JAX."""

from __future__ import annotations

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
