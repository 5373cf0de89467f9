"""The dense networks of a study of the Belle II pixel detector, with their training.

`mlp_pxd_study` takes the 81 pixels: dense 80, 64, 64, 32, 32 with swish and dropout 0.5, 0.5, 0.5, 0.25, 0.25, and a
softmax of the classes. Adam of rate 1e-3 in batches of 256, 50 epochs; figures of the study have 10, 100, 200 and 2,000
(epochs=2000).

`mlp_pxd_study_six` takes six variables: five dense layers of 6 with sigmoid, dropout 0.25 after each, and one sigmoid,
with Adam, as in section 5. That section's text counts four hidden layers, its listing has five: the listing is taken.
It names neither batches nor epochs: those of the appendix are taken, 32 and 100. `mlp_pxd_study_six_appendix` is the
network of the appendix: 6, 6, 6, 6, 4, 4, and RMSprop of rate 1e-3.

Nothing stops any of these trainings, and the last epoch is what is evaluated. The study takes a sigmoid at the end for
two classes, a softmax for several. Pixels are scaled from 0 to 1 by the smallest and largest of all, the six variables
by their maxima, as in the study, which takes them of all parts of its data; here they are those of the training part.
An image is flattened, and variables of the whole event are joined where the task has them.

    make bench TASK=pxd_pixels MODEL="mlp_pxd_study cnn_pxd_study" SET="epochs=200"
    make bench TASK=pxd_clusters MODEL="mlp_pxd_study_six mlp_pxd_study_six_appendix"
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hepbench.benchmarks.base import Model, Parameters, ReportedTraining, Shapes
from hepbench.benchmarks.models.mlp import flat_inputs, probabilities

if TYPE_CHECKING:
    import keras
    import optuna


PIXELS = ((80, 0.5), (64, 0.5), (64, 0.5), (32, 0.25), (32, 0.25))
SIX = tuple((width, 0.25) for width in (6, 6, 6, 6, 6))
APPENDIX = tuple((width, 0.25) for width in (6, 6, 6, 6, 4, 4))

DEFAULTS = {
    "scaling": "minmax",
    "epochs": 50,
    "batch_size": 256,
    "optimiser": "adam",
    "learning_rate": 1e-3,
    "schedule": "constant",
    "patience": 0,
    "best_by": "last",
}
SIX_DEFAULTS = {**DEFAULTS, "scaling": "max", "epochs": 100, "batch_size": 32}
APPENDIX_DEFAULTS = {**SIX_DEFAULTS, "optimiser": "rmsprop"}

CPU, GPU = "i7-6800K", "GTX 1080"
REPORTED = tuple(
    ReportedTraining(device, hardware, epochs, batch_size, seconds, utilisation)
    for device, hardware, epochs, batch_size, seconds, utilisation in (
        ("cpu", CPU, 200, 40960, 138.30, 96),
        ("cpu", CPU, 200, 12288, 159.45, 91),
        ("cpu", CPU, 200, 8192, 166.02, 90),
        ("cpu", CPU, 200, 4096, 185.76, 85),
        ("cpu", CPU, 50, 2048, 49.65, 74),
        ("cpu", CPU, 50, 1024, 49.49, 66),
        ("cpu", CPU, 50, 512, 66.44, 56),
        ("cpu", CPU, 50, 256, 95.91, 45),
        ("cpu", CPU, 50, 128, 168.91, 38),
        ("cpu", CPU, 50, 32, 451.51, 40),
        ("gpu", GPU, 200, 40960, 25.72, 41),
        ("gpu", GPU, 200, 20480, 28.44, 31),
        ("gpu", GPU, 200, 12288, 32.00, 21),
        ("gpu", GPU, 200, 8192, 39.80, 20),
        ("gpu", GPU, 200, 4096, 52.48, 12),
        ("gpu", GPU, 200, 2048, 81.02, 8),
        ("gpu", GPU, 50, 1024, 39.95, 7),
        ("gpu", GPU, 50, 512, 71.51, 6),
        ("gpu", GPU, 50, 256, 135.06, 5),
        ("gpu", GPU, 50, 128, 276.46, 6),
        ("gpu", GPU, 50, 32, 1211.57, 5),
    )
)
"""Section 8 of the study: trainings of the network of `build` with batches of these sizes."""


def dense_layers(x: Any, widths: Sequence[tuple[int, float]], activation: str) -> Any:
    """Dense layers of these widths, each with a dropout of the rate beside it."""
    from keras import layers

    for width, dropout in widths:
        x = layers.Dense(width, activation=activation)(x)
        x = layers.Dropout(dropout)(x)
    return x


def build(shapes: Shapes, classes: int, parameters: Parameters) -> keras.Model:
    """image (N, H, W, C), and context (N, K) where there is one -> probabilities (N, 1) or (N, classes)."""
    inputs, x = flat_inputs(shapes)
    return probabilities(inputs, dense_layers(x, PIXELS, "swish"), classes)


def build_six(shapes: Shapes, classes: int, parameters: Parameters) -> keras.Model:
    """table (N, V), and context (N, K) where there is one -> probabilities (N, 1) or (N, classes)."""
    inputs, x = flat_inputs(shapes)
    return probabilities(inputs, dense_layers(x, SIX, "sigmoid"), classes)


def build_appendix(shapes: Shapes, classes: int, parameters: Parameters) -> keras.Model:
    """As `build_six`, the six layers of the appendix."""
    inputs, x = flat_inputs(shapes)
    return probabilities(inputs, dense_layers(x, APPENDIX, "sigmoid"), classes)


def space(trial: optuna.Trial) -> dict[str, Any]:
    return {
        "batch_size": trial.suggest_categorical("batch_size", [32, 128, 256, 512]),
        "learning_rate": trial.suggest_float("learning_rate", 3e-4, 1e-2, log=True),
    }


MODELS = {
    "mlp_pxd_study": Model(
        "dense network of the pixel detector study",
        "image",
        DEFAULTS,
        space,
        build,
        reported={"pxd_pixels": REPORTED},
    ),
    "mlp_pxd_study_six": Model(
        "dense network of the pixel detector study on six variables", "table", SIX_DEFAULTS, space, build_six
    ),
    "mlp_pxd_study_six_appendix": Model(
        "dense network of that study's appendix", "table", APPENDIX_DEFAULTS, space, build_appendix
    ),
}
