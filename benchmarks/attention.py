"""Keras layers of a transformer on point clouds: Particle Transformer, 2202.03772."""

from __future__ import annotations

import keras
from keras import ops

HIDDEN = -1e9  # attention logit of a padded place
SMALLEST = 1e-8  # of what a logarithm is taken


@keras.saving.register_keras_serializable("hepbench")
class PairFeatures(keras.layers.Layer):
    """[points (N, P, 2)] or with log_pt (N, P) -> (N, P, P, 1 or 4): of each pair of massless particles ln Delta and,
    with log_pt, ln kT, ln z and ln m^2; 2202.03772 equation 3. Zero of a particle with itself."""

    def __init__(self, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})  # differences of angles need more than 16 bits

    def call(self, inputs):
        points = inputs[0]
        step = points[:, :, None, :] - points[:, None, :, :]
        squared = ops.sum(ops.square(step), axis=-1)
        log_distance = 0.5 * ops.log(ops.maximum(squared, SMALLEST))
        columns = [log_distance]
        if len(inputs) > 1:
            one, other = inputs[1][:, :, None], inputs[1][:, None, :]
            softer = ops.minimum(one, other)
            mass = 2 * (ops.cosh(step[..., 0]) - ops.cos(step[..., 1]))
            columns += [
                softer + log_distance,
                softer - ops.logaddexp(one, other),
                one + other + ops.log(ops.maximum(mass, SMALLEST)),
            ]
        apart = ops.cast(squared > 0, "float32")[..., None]
        return ops.stack(columns, axis=-1) * apart

    def compute_output_shape(self, shapes):
        events, size, _ = shapes[0]
        return (events, size, size, 1 if len(shapes) == 1 else 4)


@keras.saving.register_keras_serializable("hepbench")
class Attention(keras.layers.Layer):
    """[x (N, Q, C), seen (N, P, C), mask (N, P), bias (N, P, P, heads) or nothing] -> (N, Q, C): attention of many
    heads (1706.03762), each head scaled by a trained number (2110.09456); the bias is added to the logits."""

    def __init__(self, heads: int, **kwargs):
        super().__init__(**kwargs)
        self.heads = heads

    def build(self, shapes):
        width = shapes[0][-1]
        if width % self.heads:
            raise ValueError(f"a width of {width} does not divide by {self.heads} heads")
        self.query, self.key, self.value, self.out = (
            keras.layers.Dense(width, name=name, dtype=self.dtype_policy) for name in ("query", "key", "value", "out")
        )
        for layer in (self.query, self.key, self.value, self.out):
            layer.build((None, None, width))
        self.scale = self.add_weight(shape=(self.heads, 1), initializer="ones", name="head_scale")

    def call(self, inputs):
        x, seen, mask, *bias = inputs
        split = (self.heads, x.shape[-1] // self.heads)

        def by_head(y):
            return ops.transpose(ops.reshape(y, (ops.shape(y)[0], ops.shape(y)[1], *split)), (0, 2, 1, 3))

        query, key, value = by_head(self.query(x)), by_head(self.key(seen)), by_head(self.value(seen))
        logits = ops.matmul(query * split[1] ** -0.5, ops.transpose(key, (0, 1, 3, 2)))  # (N, heads, Q, P)
        if bias:
            logits = logits + ops.transpose(bias[0], (0, 3, 1, 2))
        logits = ops.where(mask[:, None, None, :], ops.cast(logits, "float32"), HIDDEN)
        weights = ops.cast(ops.softmax(logits, axis=-1), x.dtype)
        heads = ops.transpose(ops.matmul(weights, value), (0, 2, 1, 3)) * ops.cast(self.scale, x.dtype)
        return self.out(ops.reshape(heads, (ops.shape(x)[0], ops.shape(x)[1], x.shape[-1])))

    def compute_output_shape(self, shapes):
        return shapes[0]

    def get_config(self):
        return {**super().get_config(), "heads": self.heads}


@keras.saving.register_keras_serializable("hepbench")
class ClassToken(keras.layers.Layer):
    """x (N, P, C) -> (N, 1, C): a trained vector, the same for every event."""

    def build(self, shape):
        start = keras.initializers.TruncatedNormal(stddev=0.02)
        self.token = self.add_weight(shape=(1, 1, shape[-1]), initializer=start, name="token")

    def call(self, x):
        return ops.tile(ops.cast(self.token, x.dtype), (ops.shape(x)[0], 1, 1))

    def compute_output_shape(self, shape):
        return (shape[0], 1, shape[-1])
