"""A trained network with dropout and batch normalisation as in training, one by one: what a gap between the accuracy of
training and that of validation is made of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from hepbench.benchmarks.base import Sample
from hepbench.suite.training.network import Network
from hepbench.suite.training.steps import assign, forward, values_of

if TYPE_CHECKING:
    import keras

MODES = {
    "inference": (False, False),
    "moments_of_the_batch": (True, False),
    "dropout": (False, True),
    "training": (True, True),
}
"""Name -> whether normalisation takes the moments of the batch in place of its moving averages, and whether dropout
drops."""


def scores_by_mode(network: Network, sample: Sample, batch_size: int) -> dict[str, np.ndarray]:
    """Mode -> scores (n, classes) of the sample, as `Network.predict` gives them. batch_size: events whose moments are
    taken together. The network is left as it was; of layers of Keras' own alone are the modes changed."""
    scores = {}
    for name, (of_the_batch, drops) in MODES.items():
        with _as_in_training(network.keras_model, of_the_batch, drops):
            scores[name] = _scores(network, sample, batch_size)
    return scores


def _scores(network: Network, sample: Sample, batch_size: int) -> np.ndarray:
    run = forward(network.keras_model)
    batch_size = min(batch_size, len(sample))
    scores = np.empty((len(sample), network.classes), np.float32)
    names = [tensor.name for tensor in network.keras_model.inputs]
    for start in range(0, len(sample), batch_size):
        stop = min(start + batch_size, len(sample))
        taken = sample.take(np.arange(stop - batch_size, stop))  # the last is filled with events of the one before it
        output = np.asarray(run({name: taken[name] for name in names}))[start - stop :]
        scores[start:stop] = np.concatenate([1 - output, output], axis=1) if output.shape[1] == 1 else output
    return scores


@contextmanager
def _as_in_training(keras_model: keras.Model, of_the_batch: bool, drops: bool) -> Iterator[None]:
    import keras

    chosen = {keras.layers.BatchNormalization: of_the_batch, keras.layers.Dropout: drops}
    changed = [
        layer for layer in keras_model.layers for kind, training in chosen.items() if training and type(layer) is kind
    ]
    variables = keras_model.variables  # moving averages and the seeds of dropout move
    state = values_of(variables)
    for layer in changed:
        layer.call = _in_training(layer.call)
    try:
        yield
    finally:
        for layer in changed:
            del layer.call
        assign(variables, state)


def _in_training(call: Any) -> Any:
    def called(inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        return call(inputs, training=True)

    return called
