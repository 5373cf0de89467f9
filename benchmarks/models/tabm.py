"""TabM, a dense network on a table that is 32 in one (2410.24210): its members share the matrices.

Each member scales what a layer takes in and gives by vectors of its own, and has a last layer of its own. The loss is
the mean of the members' losses, the score the mean of their probabilities. Ours are the sizes (512 wide, as in the
paper, is 16 times the arithmetic), no dropout, the rate and its schedule, a decay of all weights, biases among them,
and no limit on the gradient.

    make bench TASK=hepmass MODEL="tabm mlp gbdt"
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hepbench.benchmarks.base import Model, Parameters, Shapes
from hepbench.benchmarks.models.mlp import table_inputs, training_space

if TYPE_CHECKING:
    import keras
    import optuna

DEFAULTS = {
    "members": 32,
    "width": 128,
    "depth": 3,
    "dropout": 0.0,
    "epochs": 30,
    "batch_size": 128,
    "learning_rate": 1e-2,
    "weight_decay": 3e-4,
    "schedule": "cosine",
    "patience": 10,
}


def build(shapes: Shapes, classes: int, parameters: Parameters) -> keras.Model:
    """table (N, V), and context (N, K) where there is one -> probabilities (N, 1) or (N, classes); in training those of
    each member, (N, members, 1) or (N, members, classes)."""
    import keras
    from keras import layers

    from hepbench.benchmarks.layers.batch_ensemble import EnsembleDense, MeanOfMembers

    inputs, x = table_inputs(shapes, parameters)
    for number in range(parameters["depth"]):
        x = EnsembleDense(parameters["width"], parameters["members"], signs=number == 0)(x)
        x = layers.Activation("relu")(x)
        if parameters["dropout"]:
            x = layers.Dropout(parameters["dropout"])(x)
    return keras.Model(inputs, MeanOfMembers(1 if classes == 2 else classes, dtype="float32")(x))


def space(trial: optuna.Trial) -> dict[str, Any]:
    return {
        "width": trial.suggest_int("width", 64, 512, log=True),
        "depth": trial.suggest_int("depth", 1, 5),
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
        **training_space(trial),
    }


MODEL = Model("TabM: 32 dense networks in one", "table", DEFAULTS, space, build, source="2410.24210")
