"""Rates of training and prediction of a network."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hepbench.benchmarks.base import Parameters, Sample
from hepbench.suite.training.batches import BatchLoader, inputs_of
from hepbench.suite.training.keras_training import warm_up
from hepbench.suite.training.network import Network, build_network, start_session
from hepbench.suite.training.optimiser import optimiser_of
from hepbench.suite.training.settings import DEFAULTS
from hepbench.suite.training.steps import training_steps

if TYPE_CHECKING:
    import keras

Rates = tuple[Callable[[], float], Callable[[], float]]
"""Two functions that measure training and prediction, in events per second."""


TRAINING = 3
"""Predictions that take about as long as a training step on the same number of events."""


def for_seconds(step: Callable[[], int], seconds: float) -> float:
    """Events per second of a step that returns its number of events, repeated for this number of seconds."""
    started, events = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        events += step()
    return events / (time.perf_counter() - started)


def rates_of(
    build: Callable[..., keras.Model], sample: Sample, parameters: Parameters, classes: int, seconds: float = 2.0
) -> tuple[keras.Model, Callable[[], float], Callable[[], float]]:
    """(network, training, prediction): the compiled and warmed-up network, and two functions that each take about this
    many seconds and return events per second, over as many events as they process in that time."""
    import keras

    options = {**DEFAULTS, **parameters}
    start_session(0, "cpu")
    keras_model = build_network(build, sample, classes, parameters)
    optimiser = optimiser_of(options)
    optimiser.build(keras_model.trainable_variables)
    run_steps = training_steps(keras_model, optimiser)
    network = Network(keras_model, classes)
    batch_size = int(options["batch_size"])
    predicted = _predicted_in(seconds, network, sample)
    sample = _first(sample, predicted)
    trained = _first(sample, max(2 * batch_size, predicted // TRAINING))
    feed = BatchLoader(trained, network, batch_size, hold=keras.backend.backend() == "jax")
    shuffle = np.random.default_rng(0)

    def train() -> float:
        started, events = time.perf_counter(), 0
        while time.perf_counter() - started < seconds:
            for inputs, targets in feed.epoch(shuffle):
                run_steps(inputs, targets, np.full(feed.batches_per_chunk, 1e-4, np.float32))
                events += feed.batches_per_chunk * feed.batch_size
                if time.perf_counter() - started > seconds:
                    break
        return events / (time.perf_counter() - started)

    def predict() -> float:
        started, events = time.perf_counter(), 0
        while time.perf_counter() - started < seconds:
            network.predict(sample)
            events += len(sample)
        return events / (time.perf_counter() - started)

    warm_up(network, run_steps, feed, sample)
    return keras_model, train, predict


def _first(sample: Sample, count: int) -> Sample:
    """The first `count` events, or all."""
    return replace(sample, rows=sample.rows[:count], labels=sample.labels[:count])


def _predicted_in(seconds: float, network: Network, sample: Sample) -> int:
    """Approximate number of events predicted in this time, at least a batch. The first batch compiles."""
    batch = _first(sample, network.batch_size(inputs_of(sample, network)))
    network.predict(batch)
    started = time.perf_counter()
    network.predict(batch)
    return max(len(batch), int(len(batch) * seconds / (time.perf_counter() - started)))
