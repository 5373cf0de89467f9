"""What the layers ask of the backend they run on: TensorFlow or JAX."""

from __future__ import annotations

import keras


def on_tensorflow() -> bool:
    return keras.backend.backend() == "tensorflow"


def traced_once(function):
    """A function of tensors that is called for each part of a batch. On TensorFlow all calls share one graph of it, as
    without that what is traced and compiled grows with the parts."""
    if not on_tensorflow():
        return function
    import tensorflow as tf

    return tf.function(function, reduce_retracing=True, autograph=False)
