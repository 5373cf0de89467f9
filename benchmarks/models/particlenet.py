"""ParticleNet (1902.08570): dynamic edge convolutions over nearest neighbours, and its light and static forms.

Weights, depth and widths are those of the paper and of the authors' code: k = 16, three blocks of (64, 64, 64), (128,
128, 128), (256, 256, 256) and a dense layer of 256; Lite has k = 7, (32, 32, 32), (64, 64, 64) and 128. With 4 features
and 2 outputs Lite has 26,122 trainable parameters, 26,898 numbers with the moving averages of normalisation. Optimiser,
rates and batch sizes are the paper's. Neighbours are found in (eta, phi) for the first block and among the features
after it; the static entries keep the first graph.

What differs, and why: batch normalisation averages over true particles, where the authors' code counts padding, so
that padding changes no score; where a jet has fewer than k other particles a particle takes the place of what is
missing, where the authors take padding; and a distance of 1e-4 times the difference of the sums of two particles'
scaled features (of raw ones, brought between -1 and 1 first) decides between neighbours equally far away on a
detector's grid, so that their order does not. It may also decide between distances that are nearly equal.

`particlenet_lite_study` is Lite as a study of quark and gluon jets takes it from the authors' code, with the study's
training. Features go in as they are (features=raw: pT, rapidity, phi, PDG code); weights start as Glorot's normal,
normalisation is Keras' own with moving averages of momentum 0.99, and the mean over a jet is that over the study's 139
places, so that it knows how many particles there are. Adam of rate 1e-3 without decay, a tenth of it after 11 epochs,
batches of 1,024, 100 epochs, the epoch of the highest validation accuracy. The study means to step to a hundredth after
epoch 20 as well, but its condition is never reached: its log has 1e-3 up to epoch 11 and 1e-4 from 12 to 100, and its
accuracies are of that. step_epoch=11,21 is what it meant. Initialiser, momentum and dropout (0.1) are not printed in
the study but stand in the code that it imports. It takes rapidity and phi themselves as the places of particles, here
they are those from the jet's axis, whose differences do not jump at 2 pi. What differs of the other entries, above,
differs here, too.

    make bench TASK=qg_jets MODEL="particlenet_lite particlenet_lite_static"
    make bench TASK=qg_jets MODEL=particlenet_lite_study SET="features=raw"
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hepbench.benchmarks.base import Model, Parameters, Shapes
from hepbench.benchmarks.scaling import method_of

if TYPE_CHECKING:
    import keras
    import optuna


PLACES = 139  # for particles in the study's clouds
TIE_BREAK = 1e-4  # small beside a crystal's 0.0174 and the angle between two particles of a jet

FULL = {
    "neighbours": 16,
    "width": 64,
    "blocks": 3,
    "layers": 3,
    "dense": 256,
    "dropout": 0.1,
    "dynamic": True,
    "epochs": 20,
    "batch_size": 384,
    "learning_rate": 3e-3,
    "weight_decay": 1e-4,
    "schedule": "one_cycle",
    "minimum_learning_rate": 5e-7,
    "patience": 20,
}
LITE = {**FULL, "neighbours": 7, "width": 32, "blocks": 2, "dense": 128, "batch_size": 1024, "learning_rate": 5e-3}

STUDY = {
    **LITE,
    "scaling": "none",
    "epochs": 100,
    "learning_rate": 1e-3,
    "weight_decay": 0.0,
    "schedule": "step",
    "step_epoch": "11",
    "step_factor": 0.1,
    "patience": 0,
    "best_by": "val_accuracy",
}


def build(shapes: Shapes, classes: int, parameters: Parameters) -> keras.Model:
    """points (N, P, 2), features (N, P, F), mask (N, P), and context (N, K) where there is one -> probabilities
    (N, classes). Widths double from block to block."""
    return _build(shapes, classes, parameters)


def build_study(shapes: Shapes, classes: int, parameters: Parameters) -> keras.Model:
    """As `build`, with the initialiser, the normalisation and the mean of the authors' code."""
    return _build(shapes, classes, parameters, momentum=0.99, initializer="glorot_normal", places=PLACES)


def _build(
    shapes: Shapes,
    classes: int,
    parameters: Parameters,
    momentum: float = 0.9,
    initializer: str = "he_normal",
    places: int | None = None,
) -> keras.Model:
    """places: over which the mean is taken; None: a jet's own particles."""
    import keras
    from keras import layers, ops

    from hepbench.benchmarks.layers.edge_conv import EdgeBlock
    from hepbench.benchmarks.layers.normalization import BatchNormalization
    from hepbench.benchmarks.layers.point_cloud import CloudMean, CloudSum, Neighbours, Pack, Packed

    inputs = {
        name: keras.Input(shapes[name], name=name) for name in ("points", "features", "context") if name in shapes
    }
    inputs["mask"] = mask = keras.Input(shapes["mask"], name="mask", dtype="bool")

    rows, weight = Pack()(mask)
    angles, x = (Packed(dtype="float32")([inputs[name], rows]) for name in ("points", "features"))
    likeness = ops.sum(x, axis=-1, keepdims=True)
    if method_of(parameters, "features") == "none":
        likeness = ops.softsign(likeness)  # as they are, features may be of any size
    coordinates = ops.concatenate([angles, TIE_BREAK * likeness], axis=-1)
    x = BatchNormalization(momentum)([x, weight])
    for block in range(parameters["blocks"]):
        if block == 0 or parameters["dynamic"]:
            index = Neighbours(parameters["neighbours"])([x if block else coordinates, mask, rows])
        widths = [parameters["width"] * 2**block] * parameters["layers"]
        x = EdgeBlock(widths, momentum, initializer)([x, index, weight])
    x = CloudSum()([x, mask, rows]) / places if places else CloudMean()([x, mask, rows])
    if "context" in inputs:
        x = layers.Concatenate()([x, inputs["context"]])
    x = layers.Dense(parameters["dense"], activation="relu")(x)
    x = layers.Dropout(parameters["dropout"])(x)
    out = layers.Dense(classes, activation="softmax", dtype="float32")(x)
    return keras.Model(inputs, out)


def space(trial: optuna.Trial) -> dict[str, Any]:
    return {
        "neighbours": trial.suggest_int("neighbours", 4, 20),
        "width": trial.suggest_categorical("width", [16, 32, 64]),
        "blocks": trial.suggest_int("blocks", 1, 3),
        "layers": trial.suggest_int("layers", 1, 3),
        "dense": trial.suggest_categorical("dense", [64, 128, 256]),
        "dropout": trial.suggest_float("dropout", 0.0, 0.4),
        "batch_size": trial.suggest_categorical("batch_size", [128, 256, 512, 1024]),
        "learning_rate": trial.suggest_float("learning_rate", 5e-4, 2e-2, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-6, 1e-2, log=True),
    }


def _entry(title: str, defaults: Parameters, build: Callable[..., keras.Model] = build) -> Model:
    return Model(title=title, view="cloud", defaults=defaults, space=space, build=build, source="1902.08570")


MODELS = {
    "particlenet": _entry("ParticleNet", FULL),
    "particlenet_static": _entry("ParticleNet, first graph kept", {**FULL, "dynamic": False}),
    "particlenet_lite": _entry("ParticleNet-Lite", LITE),
    "particlenet_lite_study": _entry("ParticleNet-Lite of the quark-gluon study", STUDY, build_study),
    "particlenet_lite_static": _entry("ParticleNet-Lite, first graph kept", {**LITE, "dynamic": False}),
}
