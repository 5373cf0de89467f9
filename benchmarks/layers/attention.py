"""Keras layers of a transformer on point clouds: Particle Transformer, 2202.03772.

A batch, (N, P) places of which a mask tells the true points, is cut into CHUNKS chunks, and each chunk to its longest
cloud: its n clouds keep (n, L) places. The layers work on these places alone, one after the other as the R rows of a
matrix, and attention on each chunk's (n, L, L) pairs: sort a batch by length and hardly anything is computed of
padding, which attention does not see. JAX, whose shapes are fixed, has one chunk of all N P places.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import keras
from keras import ops

from hepbench.benchmarks.layers.backend import on_tensorflow, traced_once

CHUNKS = 8  # of a batch
HIDDEN = -1e9  # attention logit of a padded place
SMALLEST = 1e-8  # angle between two particles of which a logarithm is taken


@keras.saving.register_keras_serializable("hepbench")
class Trim(keras.layers.Layer):
    """mask (N, P) bool -> [rows (R,) int32, longest (CHUNKS,) int32]: where the rows lie among the N P places, and the
    L of each chunk."""

    def call(self, mask: Any) -> Any:
        events, size = ops.shape(mask)
        if not on_tensorflow():
            return [ops.arange(events * size, dtype="int32"), ops.full((CHUNKS,), size, "int32")]
        import tensorflow as tf

        extent = tf.reduce_max(tf.where(mask, tf.range(1, size + 1), 0), axis=1)
        bounds = events * tf.range(CHUNKS + 1) // CHUNKS
        chunks = tf.repeat(tf.range(CHUNKS), bounds[1:] - bounds[:-1])  # (N,), the chunk of each cloud
        longest = tf.math.unsorted_segment_max(extent, chunks, CHUNKS)
        longest = tf.minimum(tf.maximum(longest, 2), size)  # Keras warns of a softmax over a single place
        kept = tf.range(size) < tf.gather(longest, chunks)[:, None]
        return [tf.cast(tf.where(tf.reshape(kept, (-1,)))[:, 0], tf.int32), longest]

    def compute_output_spec(self, mask: Any) -> Any:
        return [keras.KerasTensor((None,), "int32"), keras.KerasTensor((CHUNKS,), "int32")]


def chunks_of(mask: Any, longest: Any) -> Any:
    """mask (N, P), longest (CHUNKS,) -> (n, L) of each chunk."""
    events, size = ops.shape(mask)
    if not on_tensorflow():
        return [(events, size)]
    return [(events * (chunk + 1) // CHUNKS - events * chunk // CHUNKS, longest[chunk]) for chunk in range(CHUNKS)]


def split(x: Any, shapes: Any) -> Any:
    """x, of which each chunk has its share of the first axis -> x of each chunk in its shape."""
    if not on_tensorflow():
        return [ops.reshape(x, shapes[0])]
    import tensorflow as tf

    kept = len(x.shape) - 1  # axes after the first
    pieces = tf.split(x, [math.prod(shape[: len(shape) - kept]) for shape in shapes])
    return [tf.reshape(piece, shape) for piece, shape in zip(pieces, shapes, strict=True)]


def split_mask(mask: Any, rows: Any, shapes: Any) -> Any:
    """mask (N, P), rows (R,) -> (n, L) bool of each chunk."""
    return split(ops.take(ops.reshape(mask, (-1,)), rows, axis=0), shapes)


def pair_features(points: Any, log_pt: Any = None) -> Any:
    """points (n, L, 2), log_pt (n, L, 1) -> (n, L, L, 1 or 4): of each pair of massless particles ln Delta and, with
    log_pt, ln kT, ln z and ln m^2; 2202.03772 equation 3. Zero of a particle with itself."""
    step = points[:, :, None, :] - points[:, None, :, :]
    log_distance = 0.5 * ops.log(ops.maximum(ops.sum(ops.square(step), axis=-1), SMALLEST**2))
    columns = [log_distance]
    if log_pt is not None:
        one, other = log_pt, ops.swapaxes(log_pt, 1, 2)
        softer = ops.minimum(one, other)
        # 2 (cosh - cos), which in 32 bits is rounding alone at small angles
        mass = 4 * (ops.square(ops.sinh(step[..., 0] / 2)) + ops.square(ops.sin(step[..., 1] / 2)))
        columns += [
            softer + log_distance,
            softer - ops.logaddexp(one, other),
            one + other + ops.log(ops.maximum(mass, SMALLEST**2)),
        ]
    own = ops.arange(ops.shape(points)[1])
    apart = ops.cast(own[:, None] != own[None, :], points.dtype)
    return ops.stack(columns, axis=-1) * apart[None, :, :, None]


@keras.saving.register_keras_serializable("hepbench")
class PairBias(keras.layers.Layer):
    """[mask (N, P), rows (R,), longest (CHUNKS,), points (R, 2)] or with log_pt (R, 1) -> (B,): what is added to the
    attention logits of each pair, for `heads` heads: the (n, heads, L, L) of all chunks, one after the other. The
    features of a pair go through `layers` layers of `width`; a padded place is hidden from all others."""

    def __init__(self, heads: int, width: int, layers: int, scale: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**{"autocast": False, **kwargs})  # differences of angles need more than 16 bits
        self.heads, self.width, self.layers, self.scale = heads, width, layers, scale
        self.embed = [
            keras.layers.Dense(width, activation="gelu", name=f"pair_{number}", dtype=self.dtype_policy)
            for number in range(layers)
        ]
        self.embed.append(keras.layers.Dense(heads, name="bias", dtype=self.dtype_policy))
        self.of_chunk = traced_once(self._of_chunk)

    def build(self, shapes: Any) -> None:
        width = 4 if len(shapes) > 4 else 1
        for layer in self.embed:
            layer.build((None, None, None, width))
            width = layer.units

    def call(self, inputs: Any) -> Any:
        mask, rows, longest, *known = inputs
        shapes = chunks_of(mask, longest)
        known = [split(x, [(*shape, x.shape[-1]) for shape in shapes]) for x in known]
        true = split_mask(mask, rows, shapes)
        return ops.concatenate([self.of_chunk(*chunk) for chunk in zip(true, *known, strict=True)])

    def _of_chunk(self, true: Any, *known: Any) -> Any:
        """true (n, L), points (n, L, 2), log_pt (n, L, 1) -> (n heads L L,)."""
        x = pair_features(*known) * self.scale
        for layer in self.embed:
            x = layer(x)
        x = ops.where(true[:, None, None, :], ops.transpose(x, (0, 3, 1, 2)), HIDDEN)
        return ops.reshape(x, (-1,))

    def compute_output_spec(self, inputs: Any) -> Any:
        return keras.KerasTensor((None,), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        own = {"heads": self.heads, "width": self.width, "layers": self.layers, "scale": self.scale}
        return {**super().get_config(), **own}


def attend(query: Any, key: Any, value: Any, bias: Any, kept: Any = None, *, heads: int) -> Any:
    """query (n, Q, C), key and value (n, L, C), bias (n, heads or 1, Q or 1, L) -> (n Q, C): attention of many heads,
    1706.03762. kept: (n, heads, Q, L), by which the weights are multiplied: their dropout."""

    def by_head(x: Any) -> Any:
        return ops.transpose(ops.reshape(x, (-1, ops.shape(x)[1], heads, x.shape[-1] // heads)), (0, 2, 1, 3))

    logits = ops.matmul(by_head(query), ops.transpose(by_head(key), (0, 1, 3, 2)))  # (n, heads, Q, L)
    logits = ops.cast(logits * (query.shape[-1] // heads) ** -0.5 + bias, "float32")
    weights = ops.softmax(logits, axis=-1)
    weights = ops.cast(weights if kept is None else weights * kept, value.dtype)
    return ops.reshape(ops.transpose(ops.matmul(weights, by_head(value)), (0, 2, 1, 3)), (-1, query.shape[-1]))


@functools.cache
def attend_in_chunks(heads: int, width: int, drops: bool = False) -> Any:
    """The attention of `ParticleAttention` without its weights, which all layers of these sizes share: query, key and
    value (R, width), bias (B,), mask (N, P), longest (CHUNKS,), and where it drops kept (B,) -> (R, width)."""
    attend_once = traced_once(functools.partial(attend, heads=heads))

    def of_chunks(query: Any, key: Any, value: Any, bias: Any, mask: Any, longest: Any, *kept: Any) -> Any:
        shapes = chunks_of(mask, longest)
        projected = [split(x, [(*shape, width) for shape in shapes]) for x in (query, key, value)]
        pairs = [split(x, [(events, heads, size, size) for events, size in shapes]) for x in (bias, *kept)]
        return ops.concatenate([attend_once(*chunk) for chunk in zip(*projected, *pairs, strict=True)])

    return traced_once(of_chunks)


@functools.cache
def attend_by_class_in_chunks(heads: int, width: int) -> Any:
    """The same for `TokenAttention`: query (N, width), key and value of the tokens (N, width) and of the particles
    (R, width), mask (N, P), rows (R,), longest (CHUNKS,) -> (N, width)."""
    attend_once = traced_once(functools.partial(attend, heads=heads))

    def of_chunks(
        query: Any, token_key: Any, key: Any, token_value: Any, value: Any, mask: Any, rows: Any, longest: Any
    ) -> Any:
        shapes = chunks_of(mask, longest)
        alone, places = [(events, 1, width) for events, _ in shapes], [(*shape, width) for shape in shapes]

        def seen(token: Any, x: Any) -> Any:
            return [ops.concatenate(pair, axis=1) for pair in zip(split(token, alone), split(x, places), strict=True)]

        biases = []
        for true in split_mask(mask, rows, shapes):
            shown = ops.concatenate([ops.ones_like(true[:, :1]), true], axis=1)
            biases.append(ops.cast(ops.where(shown, 0.0, HIDDEN), query.dtype)[:, None, None, :])
        chunks = zip(split(query, alone), seen(token_key, key), seen(token_value, value), biases, strict=True)
        return ops.concatenate([attend_once(*chunk) for chunk in chunks])

    return traced_once(of_chunks)


class HeadScaledAttention(keras.layers.Layer):
    """Attention of many heads and a layer after it, whose outputs are scaled by a trained number for each head, as the
    authors' code has it; 2110.09456 scales before the layer."""

    def __init__(self, heads: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.heads = heads

    def build(self, shapes: Any) -> None:
        width = shapes[0][-1]
        if width % self.heads:
            raise ValueError(f"a width of {width} does not divide by {self.heads} heads")
        self.query, self.key, self.value, self.out = (
            keras.layers.Dense(width, name=name, dtype=self.dtype_policy) for name in ("query", "key", "value", "out")
        )
        for layer in (self.query, self.key, self.value, self.out):
            layer.build((None, width))
        self.scale = self.add_weight(shape=(self.heads, 1), initializer="ones", name="head_scale")

    def scaled(self, x: Any) -> Any:
        """(rows, C) -> (rows, C): the heads mixed by the last layer, and scaled."""
        width = x.shape[-1]
        x = ops.reshape(self.out(x), (-1, self.heads, width // self.heads))
        return ops.reshape(x * ops.cast(self.scale, x.dtype), (-1, width))

    def compute_output_shape(self, shapes: Any) -> Any:
        return shapes[0]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "heads": self.heads}


@keras.saving.register_keras_serializable("hepbench")
class ParticleAttention(HeadScaledAttention):
    """[x (R, C), mask (N, P), longest (CHUNKS,), bias (B,)] -> (R, C): attention of the particles of a cloud to each
    other. In training a fraction `dropout` of the weights is dropped."""

    def __init__(self, heads: int, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(heads, **kwargs)
        self.dropout = keras.layers.Dropout(dropout, dtype="float32")

    def call(self, inputs: Any, training: bool = False) -> Any:
        x, mask, longest, bias = inputs
        drops = training and self.dropout.rate > 0
        kept = [self.dropout(ops.ones(ops.shape(bias)), training=True)] if drops else []
        in_chunks = attend_in_chunks(self.heads, x.shape[-1], drops)
        return self.scaled(in_chunks(self.query(x), self.key(x), self.value(x), bias, mask, longest, *kept))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "dropout": self.dropout.rate}


@keras.saving.register_keras_serializable("hepbench")
class TokenAttention(HeadScaledAttention):
    """[token (N, C), normal token (N, C), x (R, C), mask (N, P), rows (R,), longest (CHUNKS,)] -> (N, C): attention of
    each cloud's class token, as it is, to its normalised self and to the particles."""

    def call(self, inputs: Any) -> Any:
        token, normal, x, *places = inputs
        seen = [layer(each) for layer in (self.key, self.value) for each in (normal, x)]
        in_chunks = attend_by_class_in_chunks(self.heads, x.shape[-1])
        return self.scaled(in_chunks(self.query(token), *seen, *places))


@keras.saving.register_keras_serializable("hepbench")
class ChannelScale(keras.layers.Layer):
    """x (..., C) -> (..., C): each channel times a trained number, as 2110.09456 scales what a block adds to."""

    def build(self, shape: Any) -> None:
        self.scale = self.add_weight(shape=(shape[-1],), initializer="ones", name="scale")

    def call(self, x: Any) -> Any:
        return x * ops.cast(self.scale, x.dtype)

    def compute_output_shape(self, shape: Any) -> Any:
        return shape


@keras.saving.register_keras_serializable("hepbench")
class ClassToken(keras.layers.Layer):
    """mask (N, P) -> (N, width): a trained vector, the same for every event."""

    def __init__(self, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width = width

    def build(self, shape: Any) -> None:
        start = keras.initializers.TruncatedNormal(stddev=0.02)
        self.token = self.add_weight(shape=(1, self.width), initializer=start, name="token")

    def call(self, mask: Any) -> Any:
        return ops.tile(ops.cast(self.token, self.compute_dtype), (ops.shape(mask)[0], 1))

    def compute_output_spec(self, mask: Any) -> Any:
        return keras.KerasTensor((mask.shape[0], self.width), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "width": self.width}
