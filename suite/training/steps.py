"""Steps of training and prediction, compiled by TensorFlow or JAX."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras

WEIGHTS = "weights of the events"
"""Among the inputs of a chunk, where a sample has weights; no input of a network is called so."""

HELD, ROWS = "inputs of all events", "rows of the events"
"""The inputs of a chunk where those of all events are on the device: these, and (batches, batch_size) rows of them."""

ChunkSteps = Callable[[Mapping[str, Any], np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""(inputs, targets, learning rates) of a chunk of batches -> (losses, accuracies), a number for each batch."""


def _loss(keras_model: keras.Model, targets: Any, outputs: Any, weights: Any = None) -> tuple[Any, Any]:
    """(mean loss, share of events whose class is found) of a batch. outputs: (batch, 1 or classes), or of an ensemble
    (batch, members, 1 or classes): each member has a loss of its own, of which the mean is taken, and what is found is
    found by the mean of their outputs. weights: (batch,) of the events, of a mean of one over the sample; None: each
    counts one."""
    import keras
    from keras import ops

    outputs = ops.cast(outputs, "float32")
    scores, of_each = outputs, targets
    if len(outputs.shape) == 3:
        scores, of_each = ops.mean(outputs, axis=1), ops.repeat(ops.expand_dims(targets, 1), outputs.shape[1], axis=1)
    if keras_model.output_shape[-1] == 1:
        loss, found = keras.losses.binary_crossentropy(of_each, outputs), (scores > 0.5) == (targets > 0.5)
    else:
        loss = keras.losses.sparse_categorical_crossentropy(of_each, outputs)
        found = ops.cast(ops.argmax(scores, axis=-1), "int32") == targets
    if len(outputs.shape) == 3:
        loss = ops.mean(loss, axis=1)
    if weights is not None:
        found = ops.reshape(ops.cast(found, "float32"), (-1,))
        return ops.mean(loss * weights), ops.mean(found * weights)
    return ops.mean(loss), ops.mean(ops.cast(found, "float32"))


def training_steps(keras_model: keras.Model, optimiser: keras.Optimizer, weighted: bool = False) -> ChunkSteps:
    """(inputs, targets, rates), a chunk of S batches, -> (losses, accuracies), each (S,): S steps of training.
    weighted: the inputs hold WEIGHTS besides."""
    import keras

    made = {"tensorflow": _steps_of_tensorflow, "jax": _steps_of_jax}[keras.backend.backend()]
    return made(keras_model, optimiser, weighted)


def _steps_of_tensorflow(keras_model: keras.Model, optimiser: keras.Optimizer, weighted: bool) -> ChunkSteps:
    import tensorflow as tf

    weights = keras_model.trainable_variables
    signature = (
        {tensor.name: tf.TensorSpec((None, *tensor.shape), tensor.dtype) for tensor in keras_model.inputs},
        tf.TensorSpec((None, None, 1), tf.float32)
        if keras_model.output_shape[-1] == 1
        else tf.TensorSpec((None, None), tf.int32),
        tf.TensorSpec((None,), tf.float32),
    )
    if weighted:
        signature[0][WEIGHTS] = tf.TensorSpec((None, None), tf.float32)

    def steps(inputs: Any, targets: Any, rates: Any) -> Any:
        losses = tf.TensorArray(tf.float32, size=tf.shape(rates)[0])
        correct = tf.TensorArray(tf.float32, size=tf.shape(rates)[0])
        for number in tf.range(tf.shape(rates)[0]):
            batch = {name: values[number] for name, values in inputs.items()}
            optimiser.learning_rate.assign(rates[number])
            with tf.GradientTape() as tape:
                outputs = keras_model(structured_batch(keras_model, batch), training=True)
                loss, accuracy = _loss(keras_model, targets[number], outputs, batch.get(WEIGHTS))
                objective = loss + sum(keras_model.losses)
            optimiser.apply(tape.gradient(objective, weights), weights)
            losses = losses.write(number, objective)
            correct = correct.write(number, accuracy)
        return losses.stack(), correct.stack()

    run = tf.function(steps, input_signature=signature)

    def run_chunk(*chunk: Any) -> tuple[np.ndarray, np.ndarray]:
        losses, accuracies = run(*chunk)
        return losses.numpy(), accuracies.numpy()

    return run_chunk


def step_of_jax(keras_model: keras.Model, optimiser: keras.Optimizer) -> Callable[..., Any]:
    """(state, (inputs, targets, rate)) -> (state, (loss, accuracy)), for JAX to compile: one step. A third argument,
    where there is one: the inputs of all events, of which those of the batch are ROWS."""
    import jax

    def objective(weights: Any, others: Any, inputs: Any, targets: Any) -> Any:
        outputs, others, losses = keras_model.stateless_call(
            weights, others, structured_batch(keras_model, inputs), training=True, return_losses=True
        )
        loss, accuracy = _loss(keras_model, targets, outputs, inputs.get(WEIGHTS))
        return loss + sum(losses), (accuracy, others)

    def step(state: Any, batch: Any, held: Any = None) -> Any:
        weights, others, moments = state
        inputs, targets, rate = batch
        if held is not None:
            inputs = {name: values[inputs[ROWS]] for name, values in held.items()}
        moments = [
            rate if variable is optimiser.learning_rate else value
            for variable, value in zip(optimiser.variables, moments, strict=True)
        ]
        (loss, (accuracy, others)), gradients = jax.value_and_grad(objective, has_aux=True)(
            weights, others, inputs, targets
        )
        weights, moments = optimiser.stateless_apply(moments, gradients, weights)
        return (weights, others, moments), (loss, accuracy)

    return step


def chunk_of_jax(keras_model: keras.Model, optimiser: keras.Optimizer) -> Callable[..., Any]:
    """As `step_of_jax`, but the steps of a chunk."""
    import jax

    step = step_of_jax(keras_model, optimiser)

    def run(state: Any, chunk: Any, held: Any = None) -> Any:
        return jax.lax.scan(lambda state, batch: step(state, batch, held), state, chunk)

    return run


def variables_of(keras_model: keras.Model, optimiser: keras.Optimizer) -> tuple[list[Any], list[Any], list[Any]]:
    """The variables whose values are the state of a training: trained ones, the network's others, the optimiser's."""
    return keras_model.trainable_variables, keras_model.non_trainable_variables, optimiser.variables


def _steps_of_jax(keras_model: keras.Model, optimiser: keras.Optimizer, weighted: bool) -> ChunkSteps:
    import jax

    variables = variables_of(keras_model, optimiser)
    if jax.default_backend() == "cpu" and _convolves(keras_model):
        run = _one_by_one(jax.jit(step_of_jax(keras_model, optimiser)))
    else:
        run = jax.jit(chunk_of_jax(keras_model, optimiser))

    def run_and_keep(inputs: Any, targets: Any, rates: Any) -> tuple[np.ndarray, np.ndarray]:
        state = tuple([variable.value for variable in some] for some in variables)
        of_chunk = {name: values for name, values in inputs.items() if name != HELD}
        state, measured = run(state, (of_chunk, targets, rates), inputs.get(HELD))
        for some, values in zip(variables, state, strict=True):
            assign(some, values)
        losses, accuracies = map(np.asarray, measured)
        return losses, accuracies

    return run_and_keep


def _one_by_one(step: Callable[..., Any]) -> Callable[..., Any]:
    """The steps of a chunk, each a call: in a compiled loop XLA's convolutions on a CPU are many times slower
    (https://github.com/jax-ml/jax/issues/12868)."""

    def run(state: Any, chunk: Any, held: Any = None) -> Any:
        inputs, targets, rates = chunk
        measured = []
        for number, rate in enumerate(rates):
            batch = {name: values[number] for name, values in inputs.items()}
            state, of_step = step(state, (batch, targets[number], rate), held)
            measured.append(of_step)
        return state, tuple(zip(*measured, strict=True))

    return run


def _convolves(keras_model: keras.Model) -> bool:
    """Whether a layer is a convolution, those within other layers too."""
    return any(hasattr(layer, "kernel_size") for layer in keras_model._flatten_layers())


def forward(keras_model: keras.Model, logits: bool = False) -> Callable[[dict[str, np.ndarray]], Any]:
    """inputs of a batch -> outputs, compiled. logits: without its last activation, of a network that `gives_logits`."""
    import keras

    output = _without_activation if logits else contextlib.nullcontext

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        signature = {tensor.name: tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in keras_model.inputs}

        def outputs(inputs: Any) -> Any:
            with output(keras_model):
                return keras_model(structured_batch(keras_model, inputs), training=False)

        compiled: Callable[[dict[str, np.ndarray]], Any] = tf.function(outputs, input_signature=[signature])
        return compiled
    import jax

    @jax.jit
    def run(weights: Any, others: Any, inputs: Any) -> Any:
        with output(keras_model):
            return keras_model.stateless_call(weights, others, structured_batch(keras_model, inputs), training=False)[0]

    return lambda inputs: run(
        [variable.value for variable in keras_model.trainable_variables],
        [variable.value for variable in keras_model.non_trainable_variables],
        inputs,
    )


def gives_logits(keras_model: keras.Model) -> bool:
    """Whether the sigmoid or softmax that a network ends in is the activation of its last layer, so that it can be left
    out."""
    import keras

    activation = getattr(_last_layer(keras_model), "activation", None)
    return activation in (keras.activations.sigmoid, keras.activations.softmax)


def _last_layer(keras_model: keras.Model) -> Any:
    history = getattr(keras_model.outputs[0], "_keras_history", None)
    return history.operation if history else None


@contextlib.contextmanager
def _without_activation(keras_model: keras.Model) -> Iterator[None]:
    """While a backend reads the network, its last layer has no activation."""
    import keras

    last = _last_layer(keras_model)
    activation = last.activation
    last.activation = keras.activations.linear
    try:
        yield
    finally:
        last.activation = activation


def structured_batch(keras_model: keras.Model, batch: dict[str, Any]) -> Any:
    """The batch in the structure in which the network takes its inputs, found by their names."""
    import keras

    if isinstance(keras_model, keras.Sequential):
        return batch[keras_model.inputs[0].name]
    return keras.tree.map_structure(lambda tensor: batch[tensor.name], keras_model.input)


def values_of(variables: Sequence[Any]) -> list[np.ndarray]:
    """Copies of what Keras variables hold."""
    import keras

    # Copies, as on JAX the next step may reuse the memory that convert_to_numpy shows.
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def assign(variables: Sequence[Any], values: Sequence[Any]) -> None:
    """Set Keras variables to values, as `values_of` gives them."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
