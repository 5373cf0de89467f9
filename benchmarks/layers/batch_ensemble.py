"""Layers of an ensemble whose members share their matrices: BatchEnsemble (2002.06715), as TabM has it (2410.24210)."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("hepbench")
class EnsembleDense(keras.layers.Layer):
    """(N, members, V), or (N, V) that all members are given, -> (N, members, units): s_i * ((r_i * x_i) W) + b_i with
    a matrix W of all and vectors r, s and b of each; 2002.06715 equation 5.

    W and b start as in 2410.24210: uniform within 1 / sqrt(V), b alike in all members; s and r from 1, where `signs` r
    from 1 or -1 by chance, by which the members differ.
    """

    def __init__(self, units: int, members: int, signs: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units, self.members, self.signs = units, members, signs

    def build(self, shape: Any) -> None:
        width = shape[-1]
        within, within_of_bias, about_zero = _uniform_within(width), _uniform_within(width), _uniform_within(1)

        def signs(shape: Any, dtype: Any = None) -> Any:
            return ops.where(about_zero(shape, dtype) < 0, -1.0, 1.0)

        def alike(shape: Any, dtype: Any = None) -> Any:
            return ops.repeat(within_of_bias((1, shape[1]), dtype), shape[0], axis=0)

        start: Any = signs if self.signs else "ones"
        self.kernel = self.add_weight(shape=(width, self.units), initializer=within, name="kernel")
        self.r = self.add_weight(shape=(self.members, width), initializer=start, name="r")
        self.s = self.add_weight(shape=(self.members, self.units), initializer="ones", name="s")
        self.bias = self.add_weight(shape=(self.members, self.units), initializer=alike, name="bias")

    def call(self, x: Any) -> Any:
        r, s, bias, kernel = (ops.cast(weight, x.dtype) for weight in (self.r, self.s, self.bias, self.kernel))
        x = (x if len(x.shape) == 3 else ops.expand_dims(x, 1)) * r
        # One product of N * members rows
        product = ops.matmul(ops.reshape(x, (-1, x.shape[-1])), kernel)
        return ops.reshape(product, (-1, self.members, self.units)) * s + bias

    def compute_output_shape(self, shape: Any) -> Any:
        return (shape[0], self.members, self.units)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units, "members": self.members, "signs": self.signs}


@keras.saving.register_keras_serializable("hepbench")
class MeanOfMembers(keras.layers.Layer):
    """(N, members, V) -> probabilities, (N, 1) of class 1 where units is 1, else (N, units): the mean of those that
    each member gives by a last layer of its own. In training those of each, (N, members, units), so that each has a
    loss of its own.

    The mean is taken of logits, as the logits of it, and the sigmoid or softmax comes last: what leaves it out has
    scores that do not round to 1.
    """

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.activation = keras.activations.sigmoid if units == 1 else keras.activations.softmax

    def build(self, shape: Any) -> None:
        _, members, width = shape
        self.kernel = self.add_weight(
            shape=(members, width, self.units), initializer=_uniform_within(width), name="kernel"
        )
        self.bias = self.add_weight(shape=(members, self.units), initializer=_uniform_within(width), name="bias")

    def call(self, x: Any, training: bool = False) -> Any:
        kernel, bias = (ops.cast(weight, x.dtype) for weight in (self.kernel, self.bias))
        logits = ops.einsum("nmv,mvu->nmu", x, kernel) + bias
        return self.activation(logits if training else self._of_the_mean(logits))

    def _of_the_mean(self, logits: Any) -> Any:
        """(N, members, units) -> (N, units): logits of the mean of the probabilities. What is added to all classes
        alike, the number of members, is left out."""
        if self.units == 1:
            yes, no = (ops.logsumexp(ops.log_sigmoid(sign * logits), axis=1) for sign in (1, -1))
            return yes - no
        return ops.logsumexp(ops.log_softmax(logits, axis=-1), axis=1)

    def compute_output_shape(self, shape: Any) -> Any:
        return (shape[0], self.units)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


def _uniform_within(width: int) -> Any:
    return keras.initializers.RandomUniform(-1 / math.sqrt(width), 1 / math.sqrt(width))
