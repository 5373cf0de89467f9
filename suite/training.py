"""Trains a Keras network: one loop for every family, on TensorFlow and on JAX.

The loop feeds `Sample.take` to `train_on_batch` and measures the validation part from its scores. Every batch has the
same shape, so that a network is compiled once: training drops the remainder of an epoch (another one each epoch, as
the events are shuffled), prediction fills the last batch up and discards the filling.

It reads these parameters of a model, each with the default of `DEFAULTS`:

    epochs, batch_size    passes over the training part; events a step
    learning_rate         of Adam, the highest of the schedule
    weight_decay          decoupled, as in AdamW (1711.05101), of every weight
    schedule              "plateau": multiply the rate with plateau_factor after plateau_patience epochs in which
                          val_loss has not fallen. "cosine": rise over the first tenth, then half a cosine down
    minimum_learning_rate where both schedules end
    patience              stop after so many epochs in which val_loss has not fallen; the best epoch's weights are kept
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import metrics
from benchmarks.base import Parameters, Report, Sample, UserError

if TYPE_CHECKING:
    import keras

DEFAULTS = {
    "epochs": 20,
    "batch_size": 128,
    "learning_rate": 1e-3,
    "weight_decay": 0.0,
    "schedule": "plateau",
    "plateau_factor": 0.2,
    "plateau_patience": 2,
    "minimum_learning_rate": 1e-6,
    "patience": 5,
}
FILE = "network.keras"
MOST_PREDICTED = 1024  # events predicted at a time; fewer where an event is large
PREDICTED_BYTES = 2**24


class Network:
    """A trained Keras network.

    history: what was reported of each epoch. timings: seconds of "compile_seconds" (the first step and the first
    prediction), "train_seconds" and "validate_seconds", none of them containing another.
    """

    def __init__(self, keras_model: keras.Model, classes: int):
        self.keras_model = keras_model
        self.classes = classes
        self.parameters = int(sum(math.prod(weight.shape) for weight in keras_model.trainable_variables))
        self.history: list[dict[str, float]] = []
        self.timings: dict[str, float] = {}

    def predict(self, sample: Sample) -> np.ndarray:
        """(n, classes) float32 scores, each row summing to 1, in the order of `sample.rows`."""
        size = max(1, sum(4 * math.prod(shape) for shape in sample.shapes.values()))
        batch_size = max(1, min(MOST_PREDICTED, PREDICTED_BYTES // size))
        scores = np.empty((len(sample), self.classes), np.float32)
        for start in range(0, len(sample), batch_size):
            which = np.arange(start, min(start + batch_size, len(sample)))
            filled = np.resize(which, batch_size)  # repeats events of this batch
            output = np.asarray(self.keras_model.predict_on_batch(_inputs(self.keras_model, sample.take(filled))))
            output = output[: len(which)]
            scores[which] = np.concatenate([1 - output, output], axis=1) if output.shape[1] == 1 else output
        return scores

    def save(self, folder: Path) -> None:
        """Write architecture and weights into an existing folder."""
        self.keras_model.save(folder / FILE)


def load_network(folder: Path) -> Network:
    """The network that `Network.save` wrote; it gives the same scores."""
    import keras

    from benchmarks import layers  # noqa: F401  registers the custom layers, by whose names Keras loads them

    keras_model = keras.models.load_model(folder / FILE, compile=False)
    _compile(keras_model)
    return Network(keras_model, max(2, keras_model.output_shape[-1]))


def fit_network(
    build: Callable[..., keras.Model],
    train: Sample,
    valid: Sample,
    parameters: Parameters,
    *,
    classes: int,
    seed: int,
    device: str,
    report: Report,
) -> Network:
    """Build a network with `build(shapes, classes, parameters)`, train it, and keep the weights of its best epoch.

    After each epoch, from 1, report is given loss, accuracy, val_loss, val_accuracy, val_auc and learning_rate. The
    same seed gives the same weights on the same machine. Raises FloatingPointError naming the epoch if the loss is
    not finite, UserError if a part has too few events or the network's output does not fit the classes.
    """
    import keras

    options = {**DEFAULTS, **parameters}
    if len(train) < 1 or len(valid) < 2:
        raise UserError(
            f"training needs `train >= 1` and `validation >= 2` events, but got train={len(train)}, "
            f"validation={len(valid)}"
        )
    if options["schedule"] not in ("plateau", "cosine"):
        raise UserError(f"`schedule` must be plateau or cosine, but got {options['schedule']!r}")

    keras.utils.clear_session()  # a process that trains many networks does not keep the graphs of all
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow" and device == "gpu":
        import tensorflow

        tensorflow.config.experimental.enable_op_determinism()
    shuffle = np.random.default_rng(seed)
    keras_model = build(train.shapes, classes, parameters)
    outputs = keras_model.output_shape[-1]
    if len(keras_model.output_shape) != 2 or (outputs != classes and (outputs, classes) != (1, 2)):
        raise UserError(
            f"the network must end in (N, {classes}) probabilities{', or (N, 1)' if classes == 2 else ''}, "
            f"but its output is {keras_model.output_shape}"
        )
    rate = float(options["learning_rate"])
    optimiser = keras.optimizers.Adam(rate, weight_decay=float(options["weight_decay"]) or None)
    _compile(keras_model, optimiser, outputs)
    network = Network(keras_model, classes)

    batch_size = min(int(options["batch_size"]), len(train))
    steps = len(train) // batch_size
    targets = train.labels.astype(np.float32)[:, None] if outputs == 1 else train.labels

    def step(which: np.ndarray) -> dict[str, float]:
        inputs = _inputs(keras_model, train.take(which))
        return keras_model.train_on_batch(inputs, targets[which], return_dict=True)

    started = time.perf_counter()
    optimiser.build(keras_model.trainable_variables)
    variables = keras_model.variables + optimiser.variables
    state = _copy(variables)
    step(np.arange(batch_size))
    _restore(variables, state)
    network.predict(Sample(valid.inputs, valid.rows[:1], valid.labels[:1], valid.scaling))
    seconds = {"compile_seconds": time.perf_counter() - started, "train_seconds": 0.0, "validate_seconds": 0.0}

    best, best_epoch, best_state, lowered = math.inf, 0, [], 0
    epochs = int(options["epochs"])
    for epoch in range(1, epochs + 1):
        started = time.perf_counter()
        total = {"loss": 0.0, "accuracy": 0.0}
        order = shuffle.permutation(len(train))
        for number in range(steps):
            if options["schedule"] == "cosine":
                done = ((epoch - 1) * steps + number) / (epochs * steps)
                rate = _one_cycle(done, float(options["learning_rate"]), float(options["minimum_learning_rate"]))
                optimiser.learning_rate.assign(rate)
            # Sorted: a memory-mapped file is read forwards; which events share a batch stays random
            values = step(np.sort(order[number * batch_size : (number + 1) * batch_size]))
            if not math.isfinite(values["loss"]):
                raise FloatingPointError(f"the loss is {values['loss']} in epoch {epoch}: try a lower learning_rate")
            total = {name: total[name] + float(values[name]) for name in total}
        trained = time.perf_counter()
        scores = network.predict(valid)
        if not np.isfinite(scores).all():
            raise FloatingPointError(f"validation scores are not finite in epoch {epoch}: try a lower learning_rate")
        line = {
            **{name: value / steps for name, value in total.items()},
            "val_loss": metrics.log_loss(valid.labels, scores, 1)[0],
            "val_accuracy": float(metrics.accuracy(valid.labels, scores, 1)[0]),
            "val_auc": metrics.auc(valid.labels, scores, 1)[0],
            "learning_rate": rate,
        }
        seconds["train_seconds"] += trained - started
        seconds["validate_seconds"] += time.perf_counter() - trained
        network.history.append({"epoch": epoch, **line})
        report(epoch, line)

        if line["val_loss"] < best:
            best, best_epoch, best_state = line["val_loss"], epoch, _copy(keras_model.variables)
        elif epoch - best_epoch >= options["patience"]:
            break
        if options["schedule"] == "plateau" and epoch - max(best_epoch, lowered) >= options["plateau_patience"]:
            rate = max(rate * options["plateau_factor"], options["minimum_learning_rate"])
            optimiser.learning_rate.assign(rate)
            lowered = epoch

    _restore(keras_model.variables, best_state)
    _compile(keras_model)  # lets go of the optimiser, which is twice the size of the network
    network.timings = seconds
    return network


def _copy(variables: list) -> list[np.ndarray]:
    import keras

    # A copy, as on JAX the next step may reuse the memory that convert_to_numpy shows
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def _restore(variables: list, values: list[np.ndarray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _compile(keras_model: keras.Model, optimiser: Any = None, outputs: int = 1) -> None:
    """With an optimiser for training; without one for prediction alone. Keras chooses "auto" without XLA for
    TensorFlow on a CPU, which trains the CNN twice as fast as with it."""
    loss = None
    if optimiser is not None:
        loss = "binary_crossentropy" if outputs == 1 else "sparse_categorical_crossentropy"
    keras_model.compile(optimiser or "sgd", loss, metrics=["accuracy"] if loss else None, jit_compile="auto")


def _inputs(keras_model: keras.Model, batch: dict[str, np.ndarray]) -> Any:
    """The batch in the structure in which the network takes its inputs, found by their names."""
    import keras

    if isinstance(keras_model, keras.Sequential):
        return batch[keras_model.inputs[0].name]
    return keras.tree.map_structure(lambda tensor: batch[tensor.name], keras_model.input)


def _one_cycle(done: float, highest: float, lowest: float) -> float:
    """Learning rate after this share of all steps: up in a straight line over the first tenth, then half a cosine."""
    if done < 0.1:
        return max(lowest, highest * (0.1 + 9 * done))
    return lowest + (highest - lowest) * 0.5 * (1 + math.cos(math.pi * (done - 0.1) / 0.9))
