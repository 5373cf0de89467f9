"""A network that is built and about to be trained: all that the loop asks of Keras or of PyTorch."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from hepbench.benchmarks.base import Parameters, Sample
from hepbench.suite.training.batches import BatchLoader, inputs_of
from hepbench.suite.training.network import Network, build_network, check_network, load_weights, start_session
from hepbench.suite.training.optimiser import optimiser_of
from hepbench.suite.training.settings import DEFAULTS
from hepbench.suite.training.steps import ChunkSteps, assign, training_steps, values_of

if TYPE_CHECKING:
    import keras
    import torch

    from hepbench.suite.training.torch_network import TorchNetwork


class Training(Protocol):
    """network: predicts with the weights of the moment. run_steps: trains it. holds: inputs may stay on the device."""

    @property
    def network(self) -> Network | TorchNetwork: ...

    @property
    def run_steps(self) -> ChunkSteps: ...

    @property
    def holds(self) -> bool: ...

    def warm_up(self, feed: BatchLoader, valid: Sample) -> None:
        """What only a first step and a first prediction do; every number is as before."""

    def weights(self) -> Any:
        """Copies of all that the network predicts by, moving averages among it."""

    def set_weights(self, weights: Any) -> None:
        """As `weights` gave them."""

    def state(self, best: Any) -> bytes:
        """All that the next steps depend on, and the weights of the best epoch, as `weights` gave them."""

    def restore(self, state: bytes) -> Any:
        """Go on from what `state` gave; returns the weights of the best epoch. ValueError, and nothing is changed,
        where it is of another network or optimiser."""


def set_up(
    build: Callable[..., keras.Model | torch.nn.Module],
    train: Sample,
    classes: int,
    parameters: Parameters,
    *,
    package: str = "",
    seed: int,
    device: str,
    start: Sequence[np.ndarray] = (),
    objects: Mapping[str, Any] | None = None,
) -> Training:
    """What `build(shapes, classes, parameters)` gives, seeded, with its optimiser. The rest as of `fit_network`."""
    if package == "torch":
        from hepbench.suite.training.torch_training import set_up_torch

        own = objects is not None
        begun = set_up_torch(build, train, classes, parameters, seed=seed, device=device, start=start, own=own)
        if begun:
            return begun
    start_session(seed, device)
    keras_model = build_network(build, train, classes, parameters)
    if start:
        load_weights(keras_model, start)
    optimiser = optimiser_of({**DEFAULTS, **parameters})
    optimiser.build(keras_model.trainable_variables)
    run_steps = training_steps(keras_model, optimiser, train.weights is not None)
    network = Network(keras_model, classes)
    if objects is not None:
        check_network(network, train, objects)
    return KerasTraining(network, run_steps, optimiser)


@dataclass(frozen=True)
class KerasTraining:
    """`Training` of a Keras network."""

    network: Network
    run_steps: ChunkSteps
    optimiser: keras.Optimizer

    @property
    def holds(self) -> bool:
        import keras

        return bool(keras.backend.backend() == "jax")

    def warm_up(self, feed: BatchLoader, valid: Sample) -> None:
        variables = self.network.keras_model.variables + self.optimiser.variables
        state = values_of(variables)
        warm_up(self.network, self.run_steps, feed, valid)
        assign(variables, state)

    def weights(self) -> list[np.ndarray]:
        return values_of(self.network.keras_model.variables)

    def set_weights(self, weights: list[np.ndarray]) -> None:
        assign(self.network.keras_model.variables, weights)

    def state(self, best: list[np.ndarray]) -> bytes:
        values = values_of(self.network.keras_model.variables + self.optimiser.variables)
        file = io.BytesIO()
        np.savez(file, *values, *best)
        return file.getvalue()

    def restore(self, state: bytes) -> list[np.ndarray]:
        variables = self.network.keras_model.variables + self.optimiser.variables
        with np.load(io.BytesIO(state), allow_pickle=False) as file:
            values = [file[name] for name in file.files]
        if [tuple(one.shape) for one in variables] != [one.shape for one in values[: len(variables)]]:
            raise ValueError("of another network")
        assign(variables, values[: len(variables)])
        return values[len(variables) :]


def warm_up(network: Network, run_steps: Callable[..., Any], feed: BatchLoader, sample: Sample) -> None:
    """Compile steps and prediction: TensorFlow at the first step, JAX for a chunk of the length that follows."""
    import keras

    batches = 1 if keras.backend.backend() == "tensorflow" else feed.batches_per_chunk
    inputs, targets = feed.chunk(np.arange(feed.batch_size * batches))
    run_steps(inputs, targets, np.zeros(batches, np.float32))
    first = network.batch_size(inputs_of(sample, network))
    network.predict(replace(sample, rows=sample.rows[:first], labels=sample.labels[:first]))
