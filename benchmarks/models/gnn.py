"""A graph network on point clouds: edge convolutions over nearest neighbours, after ParticleNet-Lite (1902.08570).

Two changes make it fast without a GPU. The graph is static: neighbours are found once, in eta and phi. An edge has
one non-linear layer, the others work on points. Layer normalisation takes the place of batch normalisation, so that
neither padding nor the other events of a batch change a score.

    make bench TASK=ecal MODEL=gnn
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hepbench.benchmarks.base import Model, Parameters, Shapes
from hepbench.benchmarks.scaling import method_of

if TYPE_CHECKING:
    import keras
    import optuna


# Of a crystal grid's many equally far neighbours the ones most alike in their features are taken, so that the order of
# the hits does not decide; small beside the width of a crystal, 0.0174
TIE_BREAK = 1e-4

DEFAULTS = {
    "neighbours": 7,
    "width": 64,
    "blocks": 3,
    "dense": 128,
    "dropout": 0.1,
    "epochs": 20,
    "batch_size": 128,
    "learning_rate": 2e-3,
    "weight_decay": 1e-4,
    "schedule": "cosine",
    "patience": 10,
}


def build(shapes: Shapes, classes: int, parameters: Parameters) -> keras.Model:
    """points (N, P, 2), features (N, P, F), mask (N, P), and context (N, K) where there is one -> probabilities
    (N, 1) or (N, classes)."""
    import keras
    from keras import layers, ops

    from hepbench.benchmarks.layers.edge_conv import EdgeConv
    from hepbench.benchmarks.layers.normalization import LayerNormalization
    from hepbench.benchmarks.layers.point_cloud import CloudMaximum, CloudMean, Neighbours, Pack, Packed

    width = parameters["width"]
    points = keras.Input(shapes["points"], name="points")
    features = keras.Input(shapes["features"], name="features")
    mask = keras.Input(shapes["mask"], name="mask", dtype="bool")

    rows, _ = Pack()(mask)
    angles, x = (Packed(dtype="float32")([values, rows]) for values in (points, features))
    likeness = ops.sum(x, axis=-1, keepdims=True)
    if method_of(parameters, "features") == "none":
        likeness = ops.softsign(likeness)  # as they are, features may be of any size
    coordinates = ops.concatenate([angles, TIE_BREAK * likeness], axis=-1)
    index = Neighbours(parameters["neighbours"])([coordinates, mask, rows])
    x = layers.Dense(width, activation="relu")(x)
    for _ in range(parameters["blocks"]):
        x = x + EdgeConv(width)([LayerNormalization()(x), index])
    x = layers.Dense(width, activation="relu")(LayerNormalization()(x))
    x = layers.Concatenate()([CloudMean()([x, mask, rows]), CloudMaximum()([x, mask, rows])])
    inputs = {"points": points, "features": features, "mask": mask}
    if "context" in shapes:
        inputs["context"] = keras.Input(shapes["context"], name="context")
        x = layers.Concatenate()([x, inputs["context"]])
    x = layers.Dense(parameters["dense"], activation="relu")(x)
    x = layers.Dropout(parameters["dropout"])(x)
    if classes == 2:
        out = layers.Dense(1, activation="sigmoid", dtype="float32")(x)
    else:
        out = layers.Dense(classes, activation="softmax", dtype="float32")(x)
    return keras.Model(inputs, out)


def space(trial: optuna.Trial) -> dict[str, Any]:
    return {
        "neighbours": trial.suggest_int("neighbours", 3, 16),
        "width": trial.suggest_categorical("width", [32, 64, 128]),
        "blocks": trial.suggest_int("blocks", 1, 4),
        "dropout": trial.suggest_float("dropout", 0.0, 0.4),
        "batch_size": trial.suggest_categorical("batch_size", [64, 128, 256]),
        "learning_rate": trial.suggest_float("learning_rate", 3e-4, 1e-2, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-6, 1e-2, log=True),
    }


MODEL = Model(
    title="graph network (edge convolutions, after ParticleNet-Lite)",
    view="cloud",
    defaults=DEFAULTS,
    space=space,
    build=build,
    source="1902.08570",
)
