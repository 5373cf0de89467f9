"""Keras layers on four-momenta: under a Lorentz transformation scalars stay and vectors are transformed, whatever the
weights are. Ideas of LorentzNet, 2201.08187, and of L-GATr-slim, 2512.17011.

Vectors are (..., 4, V): V channels of E, px, py, pz. What may be done to them: channels are mixed, multiplied with
scalars and with each other, a b = E E' - px px' - py py' - pz pz'. Particles lie in R rows as the layers of `attention`
have them.

Vectors, products and attention are in float32 whatever the precision of the training: what rounds to 16 bits is no
longer symmetric.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from hepbench.benchmarks.layers.attention import HIDDEN, PairBias, attend_in_chunks

SMALLEST = 1e-10  # product of two momenta, in units of the event's mass squared, of which a logarithm is taken
SOFTEST = 1e-4  # the same of a momentum with a reference, and with the sum of all
ENLARGED = 1e2  # times as large as it is, a direction at most
TYPICAL = -4.0  # logarithm of an energy, and of 1 GeV over a mass: centred, logarithms are learnt from faster
LIGHTEST = 0.03  # mass of an event over its energy, where rounding hides a smaller one
NULL = 1e-2  # added to the norm of vectors, as that of light-like ones is zero


def product(one: Any, other: Any) -> Any:
    """Minkowski products (..., V) of vectors (..., 4, V)."""
    terms = one * other
    return terms[..., 0, :] - terms[..., 1, :] - terms[..., 2, :] - terms[..., 3, :]


@keras.saving.register_keras_serializable("hepbench")
class Float32(keras.layers.Layer):
    """A layer that computes in float32 within a network of any precision."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})


@keras.saving.register_keras_serializable("hepbench")
class Invariants(Float32):
    """[momenta (N, P, 4), mask (N, P)] or with references (N, K, 4) -> [vectors (N, P, 4, 3 + K), scalars (N, P, S)],
    all without a unit but that of M.

    Vectors are the momentum p over the mass M of the sum J of all particles, p in units of its energy in the frame of
    J (of M / ENLARGED, where that is larger), J / M, and the references in units of their energy there, so that their
    lengths do not matter. Scalars are logarithms, centred: of M in GeV; of the products of p with J and with each
    reference; of the products of J with two references each. S is 2, or 2 + K + K (K - 1) / 2.

    Where the references are the two light-like directions of the beams, a boost along the beams changes their lengths
    alone, and so nothing.
    """

    def call(self, inputs: Any) -> Any:
        momenta, mask, *references = inputs
        p = ops.where(mask[..., None], momenta, 0)[..., None]  # (N, P, 4, 1)
        total = ops.sum(p, axis=1, keepdims=True)
        energy = ops.sum(ops.abs(p[:, :, :1]), axis=1, keepdims=True)
        least = ops.square(LIGHTEST * energy[:, :, 0]) + SMALLEST
        mass = ops.sqrt(ops.maximum(product(total, total), least))[:, :, None]  # (N, 1, 1, 1)
        p, total = p / mass, total / mass
        fraction = product(p, total)  # (N, P, 1)
        vectors = [p, p / ops.maximum(fraction, 1 / ENLARGED)[:, :, None], total]
        scalars = [ops.log(ops.maximum(fraction, SOFTEST)) - TYPICAL, ops.log(mass[:, :, 0]) + TYPICAL]
        if references:
            known = ops.transpose(references[0], (0, 2, 1))[:, None]  # (N, 1, 4, K)
            seen = ops.maximum(product(known, total), SMALLEST)  # (N, 1, K)
            known = known / seen[:, :, None]
            pairs = [(i, j) for i in range(known.shape[-1]) for j in range(i)]
            both = [ops.log(seen[..., i]) + ops.log(seen[..., j]) + TYPICAL for i, j in pairs]
            vectors.append(known)
            scalars += [
                ops.log(ops.maximum(product(p, known), SOFTEST)) - TYPICAL,
                *([ops.stack(both, axis=-1)] if both else []),
            ]
        return [self._alike(p, vectors), self._alike(fraction, scalars)]

    def _alike(self, like: Any, parts: list[Any]) -> Any:
        """What is of the event given to each particle, beside what is of the particle."""
        return ops.concatenate([part + ops.zeros_like(like) for part in parts], axis=-1)

    def compute_output_spec(self, inputs: Any) -> Any:
        events, places = inputs[1].shape
        count = inputs[2].shape[1] if len(inputs) > 2 else 0
        shapes = (events, places, 4, 3 + count), (events, places, 2 + count + count * (count - 1) // 2)
        return [keras.KerasTensor(shape, self.compute_dtype) for shape in shapes]


@keras.saving.register_keras_serializable("hepbench")
class MassBias(PairBias):
    """[mask (N, P), rows (R,), longest (CHUNKS,), momenta (R, 4), log_energy (R, 1)] -> (B,), as `PairBias`, of what is
    invariant of a pair: the logarithms of the product of the momenta, of that over both energies, 1 - cos of the
    angle where these are of one frame, and of the share of the softer one."""

    def build(self, shapes: Any) -> None:
        width = 3
        for layer in self.embed:
            layer.build((None, None, None, width))
            width = layer.units

    def _of_chunk(self, true: Any, momenta: Any, log_energy: Any) -> Any:
        """true (n, L), momenta (n, L, 4), log_energy (n, L, 1) -> (n heads L L,)."""
        x = invariants_of_pairs(momenta, log_energy) * self.scale
        for layer in self.embed:
            x = layer(x)
        x = ops.where(true[:, None, None, :], ops.transpose(x, (0, 3, 1, 2)), HIDDEN)
        return ops.reshape(x, (-1,))


def invariants_of_pairs(momenta: Any, log_energy: Any) -> Any:
    """momenta (n, L, 4), log_energy (n, L, 1) -> (n, L, L, 3), as `MassBias` names them; zero of a particle with
    itself. By differences of products, not as a matrix product, which a GPU may round to ten bits."""
    products = momenta[:, :, None, :] * momenta[:, None, :, :]
    products = products[..., 0] - products[..., 1] - products[..., 2] - products[..., 3]
    log_product = ops.log(ops.maximum(products, SMALLEST)) - 2 * TYPICAL
    one, other = log_energy, ops.transpose(log_energy, (0, 2, 1))
    columns = [
        log_product,
        log_product - one - other,
        ops.minimum(one, other) - ops.logaddexp(one, other),
    ]
    own = ops.arange(ops.shape(momenta)[1])
    apart = ops.cast(own[:, None] != own[None, :], momenta.dtype)
    return ops.stack(columns, axis=-1) * apart[None, :, :, None]


@keras.saving.register_keras_serializable("hepbench")
class VectorNorm(Float32):
    """vectors (R, 4, V) -> (R, 4, V), divided by the root of the mean of the absolute values of their squares."""

    def call(self, vectors: Any) -> Any:
        size = ops.mean(ops.abs(product(vectors, vectors)), axis=-1, keepdims=True)
        return vectors / ops.sqrt(size + NULL)[..., None]

    def compute_output_shape(self, shape: Any) -> Any:
        return shape


@keras.saving.register_keras_serializable("hepbench")
class VectorProducts(Float32):
    """vectors (R, 4, V) -> (R, W): products of W pairs of mixed channels, their size as its arsinh."""

    def __init__(self, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width = width
        self.one, self.other = (mix(width, name) for name in ("one", "other"))

    def build(self, shape: Any) -> None:
        self.one.build(shape)
        self.other.build(shape)

    def call(self, vectors: Any) -> Any:
        return ops.arcsinh(product(self.one(vectors), self.other(vectors)))

    def compute_output_shape(self, shape: Any) -> Any:
        return (shape[0], self.width)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "width": self.width}


def mix(width: int, name: str | None = None) -> Any:
    """vectors (..., 4, V) -> (..., 4, width): the linear maps that commute with all Lorentz transformations."""
    return keras.layers.Dense(width, use_bias=False, dtype="float32", name=name)


@keras.saving.register_keras_serializable("hepbench")
class LorentzAttention(Float32):
    """[scalars (R, C), vectors (R, 4, V), mask (N, P), longest (CHUNKS,), bias (B,)] -> [(R, C), (R, 4, V)]: attention
    whose weights come from products of scalars, products of vectors and the bias of the pair."""

    def __init__(self, heads: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.heads = heads

    def build(self, shapes: Any) -> None:
        width, channels = shapes[0][-1], shapes[1][-1]
        if width % self.heads or channels % self.heads:
            raise ValueError(f"{width} scalars and {channels} vectors must divide by {self.heads} heads")
        names = ("query", "key", "value", "out")
        self.scalar_maps = [keras.layers.Dense(width, dtype="float32", name=name) for name in names]
        self.vector_maps = [mix(channels, f"{name}_vectors") for name in names]
        for layer in self.scalar_maps:
            layer.build(shapes[0])
        for layer in self.vector_maps:
            layer.build(shapes[1])

    def call(self, inputs: Any) -> Any:
        scalars, vectors, mask, longest, bias = inputs
        query, key, value = (
            self._joined(of_scalars(scalars), of_vectors(vectors))
            for of_scalars, of_vectors in zip(self.scalar_maps[:3], self.vector_maps[:3], strict=True)
        )
        width, channels = scalars.shape[-1], vectors.shape[-1]
        signs = [
            [1.0] * (width // self.heads) + [s for s in (1.0, -1.0, -1.0, -1.0) for _ in range(channels // self.heads)]
        ]
        query = query * ops.convert_to_tensor(signs * self.heads, "float32")
        size = width + 4 * channels
        attend = attend_in_chunks(self.heads, size)
        found = attend(*(ops.reshape(x, (-1, size)) for x in (query, key, value)), bias, mask, longest)
        found = ops.reshape(found, (-1, self.heads, size // self.heads))
        of_heads, vectors_of_heads = ops.split(found, [width // self.heads], axis=-1)
        vectors_of_heads = ops.reshape(vectors_of_heads, (-1, self.heads, 4, channels // self.heads))
        vectors = ops.reshape(ops.transpose(vectors_of_heads, (0, 2, 1, 3)), (-1, 4, channels))
        return [self.scalar_maps[3](ops.reshape(of_heads, (-1, width))), self.vector_maps[3](vectors)]

    def _joined(self, scalars: Any, vectors: Any) -> Any:
        """(R, C), (R, 4, V) -> (R, heads, C / heads + 4 V / heads)."""
        vectors = ops.reshape(vectors, (-1, 4, self.heads, vectors.shape[-1] // self.heads))
        vectors = ops.reshape(ops.transpose(vectors, (0, 2, 1, 3)), (-1, self.heads, 4 * vectors.shape[-1]))
        return ops.concatenate([ops.reshape(scalars, (-1, self.heads, scalars.shape[-1] // self.heads)), vectors], -1)

    def compute_output_shape(self, shapes: Any) -> Any:
        return [shapes[0], shapes[1]]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "heads": self.heads}
