"""A transformer on four-momenta that knows the symmetry of space and time, after L-GATr-slim (2512.17011).

Each particle has scalars and vectors. Attention weighs by products of scalars and Minkowski products of vectors;
vectors are mixed, gated by scalars and normalised by the absolute value of their squares; scalars take in products of
vectors, and the scores come from scalars alone. What a particle brings is invariant, too: logarithms of products of its
momentum with that of the jet and with the references, and of pairs the logarithm of their product, which is added to
the logits as the Particle Transformer (2202.03772) does it; charge and kind where the task has them. The class comes
from the mean over particles. Sizes and training are ours, about the cost of `part_lite`: no number published for
L-GATr-slim is this entry's.

`references` says what breaks the symmetry:

none        Scores are invariant under every Lorentz transformation of the particles.
beam        The directions of the beams are given: invariant under rotations about the beam and boosts along it.
beam_time   The time of the laboratory, too: invariant under rotations about the beam alone.

Only tasks with a view `momenta` have it. There momenta are in the frame of the jet, where float32 keeps their products
to six digits; vectors, products and attention stay in float32 where `precision` is bfloat16.

    make bench TASK=top_tagging MODEL="lorentz_transformer part_lite particlenet_lite"
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hepbench.benchmarks.base import Model, Parameters, Shapes, check_known

if TYPE_CHECKING:
    import keras
    import optuna


PAIR_SCALE = 0.2  # brings logarithms near 1
REFERENCES = {"none": 0, "beam": 2, "beam_time": 3}
"""How many of the vectors of the input `references` each takes: both beams, then time."""

DEFAULTS = {
    "width": 64,
    "vectors": 16,
    "heads": 4,
    "blocks": 2,
    "pair_width": 16,
    "references": "beam",
    "dropout": 0.0,
    "epochs": 20,
    "batch_size": 128,
    "learning_rate": 2e-3,
    "weight_decay": 1e-3,
    "schedule": "cosine",
    "minimum_learning_rate": 1e-5,
    "patience": 20,
}


def build(shapes: Shapes, classes: int, parameters: Parameters) -> keras.Model:
    """momenta (N, P, 4), mask (N, P), and references (N, 3, 4), features (N, P, F) and context (N, K) where there are
    such -> probabilities (N, classes)."""
    import keras
    from keras import layers, ops

    from hepbench.benchmarks.layers.attention import Trim
    from hepbench.benchmarks.layers.lorentz import (
        Invariants,
        LorentzAttention,
        MassBias,
        VectorNorm,
        VectorProducts,
        mix,
    )
    from hepbench.benchmarks.layers.point_cloud import CloudMean, Packed

    check_known("references", parameters["references"], REFERENCES)
    taken = REFERENCES[parameters["references"]]
    named = ["momenta", *(["references"] if taken else []), "features", "context"]
    inputs = {name: keras.Input(shapes[name], name=name) for name in named if name in shapes}
    inputs["mask"] = mask = keras.Input(shapes["mask"], name="mask", dtype="bool")
    width, channels = parameters["width"], parameters["vectors"]

    def dense(x: Any, size: int, activation: str | None = None) -> Any:
        return layers.Dense(size, activation=activation)(layers.LayerNormalization()(x))

    def dropped(x: Any) -> Any:
        return layers.Dropout(parameters["dropout"])(x)

    rows, longest = Trim()(mask)
    there = ops.cast(mask, "float32")[..., None]
    references = [inputs["references"][:, :taken]] if "references" in inputs else []
    vectors, scalars = Invariants()([inputs["momenta"], mask, *references])
    scalars = scalars * there
    given = [scalars, *([inputs["features"] * there] if "features" in inputs else [])]
    count = vectors.shape[-1]
    vectors = Packed(dtype="float32")([ops.reshape(vectors, (-1, vectors.shape[1], 4 * count)), rows])
    vectors = ops.reshape(vectors, (-1, 4, count))
    packed = [Packed(dtype="float32")([x, rows]) for x in given]

    bias = MassBias(parameters["heads"], parameters["pair_width"], 1, PAIR_SCALE)
    bias = bias([mask, rows, longest, vectors[..., 0], packed[0][:, :1]])
    s = layers.Dense(width, activation="gelu")(layers.Concatenate()(packed))
    s = dense(dense(s, 4 * width, "gelu"), width, "gelu")
    v = mix(channels)(vectors)
    for number in range(parameters["blocks"]):
        seen = [layers.LayerNormalization()(s), VectorNorm()(v)]
        more, turned = LorentzAttention(parameters["heads"])([*seen, mask, longest, bias])
        s, v = s + dropped(layers.LayerNormalization()(more)), v + turned
        normal = VectorNorm()(v)
        hidden = layers.Concatenate()([layers.LayerNormalization()(s), VectorProducts(channels)(normal)])
        hidden = layers.LayerNormalization()(layers.Dense(4 * width, activation="gelu")(hidden))
        s = s + dropped(layers.Dense(width)(hidden))
        if number < parameters["blocks"] - 1:  # nothing comes after the last
            gate = layers.Dense(channels, activation="sigmoid", dtype="float32")(hidden)
            v = v + mix(channels)(normal) * gate[:, None, :]
    kept = Packed()([there, rows])
    x = CloudMean()([layers.LayerNormalization()(s) * kept, mask, rows])
    if "context" in inputs:
        x = layers.Concatenate()([x, inputs["context"]])
    x = layers.Dense(width, activation="gelu")(x)
    return keras.Model(inputs, layers.Dense(classes, activation="softmax", dtype="float32")(dropped(x)))


def space(trial: optuna.Trial) -> dict[str, Any]:
    return {
        "width": trial.suggest_categorical("width", [32, 64, 128]),
        "vectors": trial.suggest_categorical("vectors", [8, 16, 32]),
        "blocks": trial.suggest_int("blocks", 1, 4),
        "pair_width": trial.suggest_categorical("pair_width", [8, 16, 32]),
        "references": trial.suggest_categorical("references", list(REFERENCES)),
        "dropout": trial.suggest_float("dropout", 0.0, 0.3),
        "batch_size": trial.suggest_categorical("batch_size", [64, 128, 256]),
        "learning_rate": trial.suggest_float("learning_rate", 3e-4, 5e-3, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-5, 1e-1, log=True),
    }


MODEL = Model(
    title="Lorentz-equivariant transformer on four-momenta",
    view="momenta",
    defaults=DEFAULTS,
    space=space,
    build=build,
    source="2512.17011",
)
