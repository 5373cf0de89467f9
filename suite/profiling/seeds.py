"""Several seeds of one network trained in one JAX program, compared with a single one: the potential gain.

A bench does not do this. Its trial is one training run, with its own early stopping, logged, stopped, resumed and
evaluated by itself, which another machine can reproduce; seeds in one program stop together and fail together.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from hepbench.benchmarks.base import Sample, UserError
from hepbench.suite.trial.spec import Trial

RATE = 1e-3
FEW = 1_000


@dataclass(frozen=True)
class SeedsAtOnce:
    """Seconds of the steps of a single seed (the median), and of all in one program, without compilation. difference:
    the largest between the two ways in any score of `FEW` events after one epoch: rounding grows from step to step."""

    one: float
    all: float
    difference: float


def seeds_at_once(trial: Trial, train: Sample, seeds: int, epochs: int) -> SeedsAtOnce:
    """Each seed draws its weights and the order of its batches like `fit_network`. UserError if Keras does not run on
    JAX."""
    import jax
    import keras

    from hepbench.suite.training.batches import BatchLoader
    from hepbench.suite.training.network import Network, build_network, start_session
    from hepbench.suite.training.optimiser import optimiser_of
    from hepbench.suite.training.settings import DEFAULTS
    from hepbench.suite.training.steps import chunk_of_jax, structured_batch, values_of, variables_of

    if keras.backend.backend() != "jax":
        raise UserError("several seeds in one program require BACKEND=jax")
    build, options = trial.model.record.build, {**DEFAULTS, **trial.hyperparameters}
    assert build is not None
    states, classes = [], len(trial.task.record.classes)
    for seed in range(seeds):
        start_session(seed, trial.spec.device)
        keras_model = build_network(build, train, classes, trial.hyperparameters)
        optimiser = optimiser_of(options)
        optimiser.build(keras_model.trainable_variables)
        states.append(tuple(values_of(some) for some in variables_of(keras_model, optimiser)))
    feed = BatchLoader(train, Network(keras_model, classes), int(options["batch_size"]))
    run = chunk_of_jax(keras_model, optimiser)
    one, many = jax.jit(run), jax.jit(jax.vmap(run, in_axes=(0, (0, 0, None))))
    rates = np.full(feed.batches_per_chunk, RATE, np.float32)

    def chunks(seed: int, epochs: int) -> Iterator[Any]:
        shuffle = np.random.default_rng(seed)
        for _ in range(epochs):
            yield from feed.epoch(shuffle)

    def alone(seed: int, epochs: int) -> Any:
        state: Any = states[seed]
        for inputs, targets in chunks(seed, epochs):
            state, _ = one(state, (inputs, targets, rates))
        return jax.block_until_ready(state)  # type: ignore[no-untyped-call]

    stacked = jax.tree.map(lambda *values: np.stack(values), *states)

    def together(epochs: int) -> Any:
        state: Any = stacked
        for several in zip(*(chunks(seed, epochs) for seed in range(seeds)), strict=True):
            inputs, targets = jax.tree.map(lambda *values: np.stack(values), *several)
            state, _ = many(state, (inputs, targets, rates))
        return jax.block_until_ready(state)  # type: ignore[no-untyped-call]

    with jax.default_matmul_precision("highest"):  # or the two ways would round apart on a GPU, more at each step
        first, both = [alone(seed, 1) for seed in range(seeds)], together(1)  # compiled
        seconds = []
        for seed in range(seeds):
            started = time.perf_counter()
            alone(seed, epochs)
            seconds.append(time.perf_counter() - started)
        started = time.perf_counter()
        together(epochs)
        whole = time.perf_counter() - started
    few = structured_batch(keras_model, feed.sample.take(slice(0, FEW)))

    def scores(state: Any) -> np.ndarray:
        return np.asarray(keras_model.stateless_call(state[0], state[1], few, training=False)[0], np.float64)

    ways = [
        (scores(state), scores(jax.tree.map(lambda x, seed=seed: x[seed], both))) for seed, state in enumerate(first)
    ]
    difference = max(float(np.abs(alone - together).max()) for alone, together in ways)
    return SeedsAtOnce(float(np.median(seconds)), whole, difference)
