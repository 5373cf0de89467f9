"""Particle Transformer (2202.03772): attention over particles, with what is known of each pair added to its logits.

`part` has the paper's sizes: 8 blocks over particles and 2 over the class token, 128 wide with 8 heads, features
embedded by 128-512-128 and pairs by 64-64-64. Its layers are those of the authors' code (ParticleTransformer.py of
weaver-core, version=1), dropout of the particle blocks and normalisations among them. `part_lite` is ours, sized for a
processor: 2 blocks and 1, 64 wide, pairs by 16.

What differs: inputs are standardised and pairs multiplied by 0.2 instead of batch normalisation of the inputs, of the
pairs and within their layers, so that padding changes nothing. The features of a particle with itself are zero, where
the authors' are cut logarithms; an angle is cut at 1e-8 as theirs is, kT and the mass with it, where theirs are cut by
themselves. Weights start from Glorot's uniform distribution, the authors' from PyTorch's, and in later versions from
Glorot's with the last layers of particle block n divided by the root of 2 n. Adam with decoupled decay stands for
Lookahead with RAdam. Batches are of 128 events, which take 4 GiB with the 139 particles of `qg_jets`; the paper's
are of 512. Where momenta are not known (hepmass) a pair has its distance alone, and a context, where there is one,
goes through a layer beside the class token.

    make bench TASK=qg_jets MODEL="part_lite pfn particlenet_lite"
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hepbench.benchmarks.base import Model, Parameters, Shapes

if TYPE_CHECKING:
    import keras
    import optuna


PAIR_SCALE = 0.2  # brings logarithms of angles and momenta near 1

FULL = {
    "width": 128,
    "heads": 8,
    "blocks": 8,
    "class_blocks": 2,
    "pair_width": 64,
    "pair_layers": 3,
    "dropout": 0.1,
    "epochs": 20,
    "batch_size": 128,
    "learning_rate": 1e-3,
    "weight_decay": 1e-2,
    "schedule": "cosine",
    "minimum_learning_rate": 1e-5,
    "patience": 20,
}
LITE = {**FULL, "width": 64, "heads": 4, "blocks": 2, "class_blocks": 1, "pair_width": 16, "pair_layers": 1}
LITE |= {"dropout": 0.0, "learning_rate": 2e-3, "weight_decay": 1e-3}


def build(shapes: Shapes, classes: int, parameters: Parameters) -> keras.Model:
    """points (N, P, 2), features (N, P, F), mask (N, P), and log_pt (N, P) and context (N, K) where there are such ->
    probabilities (N, classes)."""
    import keras
    from keras import layers, ops

    from hepbench.benchmarks.layers.attention import (
        ChannelScale,
        ClassToken,
        PairBias,
        ParticleAttention,
        TokenAttention,
        Trim,
    )
    from hepbench.benchmarks.layers.point_cloud import Packed

    named = [name for name in ("points", "features", "log_pt", "context") if name in shapes]
    inputs = {name: keras.Input(shapes[name], name=name) for name in named}
    inputs["mask"] = mask = keras.Input(shapes["mask"], name="mask", dtype="bool")
    width, heads, dropout = parameters["width"], parameters["heads"], parameters["dropout"]

    def normalisation() -> Any:
        return layers.LayerNormalization(epsilon=1e-5)

    def dense(x: Any, size: int, activation: str | None = None) -> Any:
        return layers.Dense(size, activation=activation)(normalisation()(x))

    def added(x: Any, attended: Any, dropout: float = 0.0) -> Any:
        """What attention gives and two layers after it, each added to what comes in; 2110.09456."""
        x = x + layers.Dropout(dropout)(normalisation()(attended))
        y = layers.Dropout(dropout)(dense(x, 4 * width, "gelu"))
        return ChannelScale()(x) + layers.Dropout(dropout)(dense(y, width))

    rows, longest = Trim()(mask)
    clean = inputs["features"] * ops.cast(mask, "float32")[..., None]  # standardised padding is not zero
    x = dense(Packed()([clean, rows]), width, "gelu")
    x = dense(dense(x, 4 * width, "gelu"), width, "gelu")
    known = [inputs["points"], *([inputs["log_pt"][..., None]] if "log_pt" in inputs else [])]
    known = [Packed(dtype="float32")([values, rows]) for values in known]
    pairs = PairBias(heads, parameters["pair_width"], parameters["pair_layers"], PAIR_SCALE)
    bias = pairs([mask, rows, longest, *known])
    for _ in range(parameters["blocks"]):
        x = added(x, ParticleAttention(heads, dropout)([normalisation()(x), mask, longest, bias]), dropout)
    token = ClassToken(width)(mask)
    for _ in range(parameters["class_blocks"]):
        normalise = normalisation()
        seen = [token, normalise(token), normalise(x)]
        token = added(token, TokenAttention(heads)([*seen, mask, rows, longest]))
    x = normalisation()(token)
    if "context" in inputs:
        x = layers.Dense(width, activation="gelu")(layers.Concatenate()([x, inputs["context"]]))
    return keras.Model(inputs, layers.Dense(classes, activation="softmax", dtype="float32")(x))


def space(trial: optuna.Trial) -> dict[str, Any]:
    return {
        "width": trial.suggest_categorical("width", [32, 64, 128]),
        "blocks": trial.suggest_int("blocks", 1, 4),
        "pair_width": trial.suggest_categorical("pair_width", [8, 16, 32]),
        "dropout": trial.suggest_float("dropout", 0.0, 0.3),
        "batch_size": trial.suggest_categorical("batch_size", [64, 128, 256]),
        "learning_rate": trial.suggest_float("learning_rate", 3e-4, 5e-3, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-5, 1e-1, log=True),
    }


MODELS = {
    "part": Model("Particle Transformer", "cloud", FULL, space, build, source="2202.03772"),
    "part_lite": Model("Particle Transformer, sized for a processor", "cloud", LITE, space, build, source="2202.03772"),
}
