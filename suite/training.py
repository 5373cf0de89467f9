"""Trains a Keras network: one loop for every family, on TensorFlow and on JAX.

The loop hands the backend a stretch of many batches at a time, so that a step costs no Python, while a thread reads
the next stretch. Every batch has the same number of events, so that a network is compiled once: the events that fill
no batch, others each epoch as they are shuffled, are left out. Within a batch, clouds come in the order of their
lengths, which the graph layers make use of.

It reads these parameters of a model, each with the default of `DEFAULTS`:

    epochs, batch_size    passes over the training part; events a step
    optimiser             "adam", or "sgd" with momentum
    learning_rate         the highest of the schedule
    weight_decay          decoupled, as in AdamW (1711.05101), of every weight
    schedule              "constant"
                          "plateau": multiply the rate with plateau_factor after plateau_patience epochs in which
                          val_loss has not fallen
                          "step": multiply the rate with step_factor once, after step_epoch epochs
                          "cosine": rise over the first tenth, then half a cosine down
                          "one_cycle": as for ParticleNet, 1902.08570: from a tenth of the rate up for 40 % of the
                          training and down again for 40 %, then to minimum_learning_rate
    minimum_learning_rate where the schedules end
    patience              stop after so many epochs in which val_loss has not fallen; the best epoch's weights are kept
    precision             "float32", or "bfloat16": layers compute in 16 bits, weights and the loss stay in 32
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import metrics
from benchmarks.base import Parameters, Report, Sample, UserError, check_known

if TYPE_CHECKING:
    import keras

DEFAULTS = {
    "epochs": 20,
    "batch_size": 128,
    "optimiser": "adam",
    "momentum": 0.9,
    "learning_rate": 1e-3,
    "weight_decay": 0.0,
    "schedule": "plateau",
    "plateau_factor": 0.2,
    "plateau_patience": 2,
    "step_epoch": 10,
    "step_factor": 0.1,
    "minimum_learning_rate": 1e-6,
    "patience": 5,
    "precision": "float32",
}
OPTIMISERS = ("adam", "sgd")
PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16"}  # as Keras calls them
SCHEDULES = ("constant", "plateau", "step", "cosine", "one_cycle")
FILE = "network.keras"
STRETCH_BYTES = 2**26  # of inputs that are handed to the backend at a time
MOST_PREDICTED = 4096  # events predicted at a time; fewer where an event is large
PREDICTED_BYTES = 2**23


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
        self._forward = _forward(keras_model)

    def predict(self, sample: Sample) -> np.ndarray:
        """(n, classes) float32 scores, each row summing to 1, in the order of `sample.rows`."""
        sample = _of_inputs(sample, self.keras_model)
        batch_size = self.batch_size(sample)
        order = np.argsort(_lengths(sample), kind="stable")
        scores = np.empty((len(sample), self.classes), np.float32)
        for start in range(0, len(sample), batch_size):
            which = order[start : start + batch_size]
            filled = np.resize(which, batch_size)  # one shape for the backend: repeats events of this batch
            output = np.asarray(self._forward(sample.take(filled)))[: len(which)]
            scores[which] = np.concatenate([1 - output, output], axis=1) if output.shape[1] == 1 else output
        return scores

    def batch_size(self, sample: Sample) -> int:
        """Events predicted at a time."""
        return max(1, min(MOST_PREDICTED, PREDICTED_BYTES // _bytes(sample), len(sample)))

    def save(self, folder: Path) -> None:
        """Write architecture and weights into an existing folder."""
        self.keras_model.save(folder / FILE)


def load_network(folder: Path) -> Network:
    """The network that `Network.save` wrote; it gives the same scores."""
    import keras

    _register_layers()
    keras_model = keras.models.load_model(folder / FILE, compile=False)
    return Network(keras_model, max(2, keras_model.output_shape[-1]))


def _register_layers() -> None:
    """Import the modules whose custom layers Keras loads by their names."""
    from benchmarks import attention, layers, packed  # noqa: F401


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
    not finite, UserError if a part has too few events, a parameter is not known or the network's output does not fit
    the classes.
    """
    options = {**DEFAULTS, **parameters}
    if len(train) < 1 or len(valid) < 2:
        raise UserError(
            f"training needs `train >= 1` and `validation >= 2` events, but got train={len(train)}, "
            f"validation={len(valid)}"
        )
    check_known("schedule", options["schedule"], SCHEDULES)
    check_known("optimiser", options["optimiser"], OPTIMISERS)
    check_known("precision", options["precision"], PRECISIONS)

    _seed(seed, device)
    shuffle = np.random.default_rng(seed)
    keras_model = _built(build, train, classes, parameters)
    optimiser = _optimiser(options)
    optimiser.build(keras_model.trainable_variables)
    run_steps = _steps(keras_model, optimiser)
    network = Network(keras_model, classes)
    feed = Feed(train, keras_model, int(options["batch_size"]))

    started = time.perf_counter()
    variables = keras_model.variables + optimiser.variables
    state = _copy(variables)
    _warm(network, run_steps, feed, valid)
    _restore(variables, state)
    seconds = {"compile_seconds": time.perf_counter() - started, "train_seconds": 0.0, "validate_seconds": 0.0}

    best, best_epoch, best_state, lowered = math.inf, 0, [], 0
    rate = float(options["learning_rate"])
    epochs = int(options["epochs"])
    for epoch in range(1, epochs + 1):
        started = time.perf_counter()
        total = {"loss": 0.0, "accuracy": 0.0}
        done = 0
        for inputs, targets in feed.epoch(shuffle):
            share = (epoch - 1 + (done + np.arange(feed.together)) / feed.steps) / epochs
            rates = np.full(feed.together, rate) if options["schedule"] == "plateau" else _rates(share, options)
            losses, correct = run_steps(inputs, targets, rates.astype(np.float32))
            if not np.isfinite(losses).all():
                raise FloatingPointError(f"the loss is not finite in epoch {epoch}: try a lower learning_rate")
            total = {"loss": total["loss"] + losses.sum(), "accuracy": total["accuracy"] + correct.sum()}
            done += feed.together
        trained = time.perf_counter()
        scores = network.predict(valid)
        if not np.isfinite(scores).all():
            raise FloatingPointError(f"validation scores are not finite in epoch {epoch}: try a lower learning_rate")
        line = {
            **{name: float(value) / feed.steps for name, value in total.items()},
            "val_loss": metrics.log_loss(valid.labels, scores, 1)[0],
            "val_accuracy": float(metrics.accuracy(valid.labels, scores, 1)[0]),
            "val_auc": metrics.auc(valid.labels, scores, 1)[0],
            "learning_rate": float(rates[-1]),
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
            lowered = epoch

    _restore(keras_model.variables, best_state)
    network.timings = seconds
    return network


def rates_of(
    build: Callable[..., keras.Model], sample: Sample, parameters: Parameters, classes: int, seconds: float = 2.0
) -> tuple[keras.Model, Callable[[], float], Callable[[], float]]:
    """(network, training, prediction): the network compiled and warm, and two functions that each take about this
    many seconds and give events a second."""
    options = {**DEFAULTS, **parameters}
    _seed(0, "cpu")
    keras_model = _built(build, sample, classes, parameters)
    optimiser = _optimiser(options)
    optimiser.build(keras_model.trainable_variables)
    run_steps = _steps(keras_model, optimiser)
    network = Network(keras_model, classes)
    feed = Feed(sample, keras_model, int(options["batch_size"]))
    shuffle = np.random.default_rng(0)

    def train() -> float:
        started, events = time.perf_counter(), 0
        while time.perf_counter() - started < seconds:
            for inputs, targets in feed.epoch(shuffle):
                run_steps(inputs, targets, np.full(feed.together, 1e-4, np.float32))
                events += feed.together * feed.batch_size
                if time.perf_counter() - started > seconds:
                    break
        return events / (time.perf_counter() - started)

    def predict() -> float:
        started, events = time.perf_counter(), 0
        while time.perf_counter() - started < seconds:
            network.predict(sample)
            events += len(sample)
        return events / (time.perf_counter() - started)

    _warm(network, run_steps, feed, sample)
    return keras_model, train, predict


# --- what the loop is made of ----------------------------------------------------------------------------------------


class Feed:
    """Batches of a sample for a network, in stretches of `together` batches; `steps` batches are an epoch."""

    def __init__(self, sample: Sample, keras_model: keras.Model, batch_size: int):
        self.sample = _of_inputs(sample, keras_model)
        self.batch_size = min(batch_size, len(sample))
        self.lengths = _lengths(self.sample)
        binary = keras_model.output_shape[-1] == 1
        self.targets = sample.labels.astype(np.float32)[:, None] if binary else sample.labels.astype(np.int32)
        whole = len(sample) // self.batch_size
        most = max(1, min(whole, STRETCH_BYTES // (_bytes(sample) * self.batch_size)))
        self.together = min(range((most + 1) // 2, most + 1), key=lambda size: (whole % size, -size))
        self.steps = whole // self.together * self.together

    def epoch(self, shuffle: np.random.Generator) -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
        """All events in a random order. The next stretch is read while the last is in use."""
        order = shuffle.permutation(len(self.sample))[: self.steps * self.batch_size]
        parts = order.reshape(-1, self.together * self.batch_size)
        with ThreadPoolExecutor(1) as pool:
            coming = pool.submit(self.stretch, parts[0])
            for following in (*parts[1:], None):
                ready = coming.result()
                if following is not None:
                    coming = pool.submit(self.stretch, following)
                yield ready

    def stretch(self, which: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Inputs and targets (together, batch_size, ...) of these events, each batch in the order of its lengths."""
        shape = (-1, self.batch_size)
        which = which.reshape(shape)
        order = np.argsort(self.lengths[which], axis=1, kind="stable")
        which = np.take_along_axis(which, order, axis=1).reshape(-1)
        batch = self.sample.take(which)
        fold = {name: values.reshape(shape + values.shape[1:]) for name, values in batch.items()}
        targets = self.targets[which]
        return fold, targets.reshape(shape + targets.shape[1:])


def _lengths(sample: Sample) -> np.ndarray:
    """(n,) true points of each cloud, 0 where there are no clouds."""
    if "mask" not in sample.inputs:
        return np.zeros(len(sample), np.int64)
    return np.asarray(sample.inputs["mask"])[sample.rows].sum(axis=1)


def _bytes(sample: Sample) -> int:
    return max(1, sum(4 * math.prod(shape) for shape in sample.shapes.values()))


def _of_inputs(sample: Sample, keras_model: keras.Model) -> Sample:
    """The sample with what the network takes in alone."""
    names = [tensor.name for tensor in keras_model.inputs]
    return replace(sample, inputs={name: sample.inputs[name] for name in names})


def _warm(network: Network, run_steps: Callable, feed: Feed, sample: Sample) -> None:
    """Compile: TensorFlow at the first step, JAX for a stretch of the length that follows."""
    import keras

    together = 1 if keras.backend.backend() == "tensorflow" else feed.together
    inputs, targets = feed.stretch(np.arange(feed.batch_size * together))
    run_steps(inputs, targets, np.zeros(together, np.float32))
    first = network.batch_size(_of_inputs(sample, network.keras_model))
    network.predict(replace(sample, rows=sample.rows[:first], labels=sample.labels[:first]))


def _seed(seed: int, device: str) -> None:
    import keras

    keras.utils.clear_session()  # a process that trains many networks does not keep the graphs of all
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow" and device == "gpu":
        import tensorflow

        tensorflow.config.experimental.enable_op_determinism()


def _built(build: Callable[..., keras.Model], sample: Sample, classes: int, parameters: Parameters) -> keras.Model:
    import keras

    keras.config.set_dtype_policy(PRECISIONS[parameters.get("precision", DEFAULTS["precision"])])
    try:
        keras_model = build(sample.shapes, classes, parameters)
    finally:
        keras.config.set_dtype_policy("float32")
    outputs = keras_model.output_shape[-1]
    if len(keras_model.output_shape) != 2 or (outputs != classes and (outputs, classes) != (1, 2)):
        raise UserError(
            f"the network must end in (N, {classes}) probabilities{', or (N, 1)' if classes == 2 else ''}, "
            f"but its output is {keras_model.output_shape}"
        )
    return keras_model


def _optimiser(options: Parameters) -> keras.Optimizer:
    import keras

    rate, decay = float(options["learning_rate"]), float(options["weight_decay"]) or None
    if options["optimiser"] == "sgd":
        return keras.optimizers.SGD(rate, momentum=float(options["momentum"]), weight_decay=decay)
    if keras.backend.backend() == "tensorflow":
        from suite.adam import Adam

        return Adam(rate, weight_decay=decay)
    return keras.optimizers.Adam(rate, weight_decay=decay)


def _rates(done: np.ndarray, options: Parameters) -> np.ndarray:
    """Learning rate of each step, given the share of the training that is done before it."""
    highest, lowest = float(options["learning_rate"]), float(options["minimum_learning_rate"])
    if options["schedule"] == "step":
        after = done * options["epochs"] >= options["step_epoch"] - 1e-9
        return np.where(after, highest * options["step_factor"], highest)
    if options["schedule"] == "cosine":
        falling = lowest + (highest - lowest) * 0.5 * (1 + np.cos(np.pi * (done - 0.1) / 0.9))
        return np.where(done < 0.1, np.maximum(lowest, highest * (0.1 + 9 * done)), falling)
    if options["schedule"] == "one_cycle":
        return np.interp(done, [0, 0.4, 0.8, 1], [highest / 10, highest, highest / 10, lowest])
    return np.full(len(done), highest)


def _loss(keras_model: keras.Model, targets: Any, outputs: Any) -> tuple[Any, Any]:
    """(mean loss, share of events whose class is found) of a batch."""
    import keras
    from keras import ops

    outputs = ops.cast(outputs, "float32")
    if keras_model.output_shape[-1] == 1:
        loss, found = keras.losses.binary_crossentropy(targets, outputs), (outputs > 0.5) == (targets > 0.5)
    else:
        loss = keras.losses.sparse_categorical_crossentropy(targets, outputs)
        found = ops.cast(ops.argmax(outputs, axis=-1), "int32") == targets
    return ops.mean(loss), ops.mean(ops.cast(found, "float32"))


def _steps(keras_model: keras.Model, optimiser: keras.Optimizer) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """(inputs, targets, rates), a stretch of S batches, -> (losses, accuracies), each (S,): S steps of training."""
    import keras

    made = {"tensorflow": _steps_of_tensorflow, "jax": _steps_of_jax}[keras.backend.backend()]
    return made(keras_model, optimiser)


def _steps_of_tensorflow(keras_model: keras.Model, optimiser: keras.Optimizer) -> Callable:
    import tensorflow as tf

    weights = keras_model.trainable_variables
    signature = (
        {tensor.name: tf.TensorSpec((None, *tensor.shape), tensor.dtype) for tensor in keras_model.inputs},
        tf.TensorSpec((None, None, 1), tf.float32)
        if keras_model.output_shape[-1] == 1
        else tf.TensorSpec((None, None), tf.int32),
        tf.TensorSpec((None,), tf.float32),
    )

    @tf.function(input_signature=signature)
    def run(inputs, targets, rates):
        losses = tf.TensorArray(tf.float32, size=tf.shape(rates)[0])
        correct = tf.TensorArray(tf.float32, size=tf.shape(rates)[0])
        for number in tf.range(tf.shape(rates)[0]):
            batch = {name: values[number] for name, values in inputs.items()}
            optimiser.learning_rate.assign(rates[number])
            with tf.GradientTape() as tape:
                outputs = keras_model(_structured(keras_model, batch), training=True)
                loss, accuracy = _loss(keras_model, targets[number], outputs)
                objective = loss + sum(keras_model.losses)
            optimiser.apply(tape.gradient(objective, weights), weights)
            losses = losses.write(number, objective)
            correct = correct.write(number, accuracy)
        return losses.stack(), correct.stack()

    return lambda *stretch: tuple(values.numpy() for values in run(*stretch))


def _steps_of_jax(keras_model: keras.Model, optimiser: keras.Optimizer) -> Callable:
    import jax

    variables = (keras_model.trainable_variables, keras_model.non_trainable_variables, optimiser.variables)

    def objective(weights, others, inputs, targets):
        outputs, others, losses = keras_model.stateless_call(
            weights, others, _structured(keras_model, inputs), training=True, return_losses=True
        )
        loss, accuracy = _loss(keras_model, targets, outputs)
        return loss + sum(losses), (accuracy, others)

    def step(state, batch):
        weights, others, moments = state
        inputs, targets, rate = batch
        moments = [
            rate if variable is optimiser.learning_rate else value
            for variable, value in zip(optimiser.variables, moments, strict=True)
        ]
        (loss, (accuracy, others)), gradients = jax.value_and_grad(objective, has_aux=True)(
            weights, others, inputs, targets
        )
        weights, moments = optimiser.stateless_apply(moments, gradients, weights)
        return (weights, others, moments), (loss, accuracy)

    @jax.jit
    def run(state, stretch):
        return jax.lax.scan(step, state, stretch)

    def run_and_keep(*stretch):
        state = tuple([variable.value for variable in some] for some in variables)
        state, measured = run(state, stretch)
        for some, values in zip(variables, state, strict=True):
            _restore(some, values)
        return tuple(np.asarray(values) for values in measured)

    return run_and_keep


def _forward(keras_model: keras.Model) -> Callable[[dict[str, np.ndarray]], Any]:
    """inputs of a batch -> outputs, compiled."""
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        signature = {tensor.name: tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in keras_model.inputs}
        return tf.function(
            lambda inputs: keras_model(_structured(keras_model, inputs), training=False), input_signature=[signature]
        )
    import jax

    @jax.jit
    def run(weights, others, inputs):
        return keras_model.stateless_call(weights, others, _structured(keras_model, inputs), training=False)[0]

    return lambda inputs: run(
        [variable.value for variable in keras_model.trainable_variables],
        [variable.value for variable in keras_model.non_trainable_variables],
        inputs,
    )


def _structured(keras_model: keras.Model, batch: dict[str, Any]) -> Any:
    """The batch in the structure in which the network takes its inputs, found by their names."""
    import keras

    if isinstance(keras_model, keras.Sequential):
        return batch[keras_model.inputs[0].name]
    return keras.tree.map_structure(lambda tensor: batch[tensor.name], keras_model.input)


def _copy(variables: list) -> list[np.ndarray]:
    import keras

    # A copy, as on JAX the next step may reuse the memory that convert_to_numpy shows
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def _restore(variables: list, values: list) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
