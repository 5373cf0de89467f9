"""Several seeds of one network trained in one program of JAX, beside one alone: a measurement of what it would bring.

A bench does not do so. Its trial is one training that stops by its own validation, is logged, stopped, continued and
judged alone, and that one of another machine can repeat; seeds in one program stop together and share one fault.
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


@dataclass(frozen=True)
class SeedsAtOnce:
    """Seconds of the steps of one seed alone (the median), and of all in one program; compiling is not in them.
    difference: the largest of any weight between the two ways."""

    one: float
    all: float
    difference: float


def seeds_at_once(trial: Trial, train: Sample, seeds: int, epochs: int) -> SeedsAtOnce:
    """Each seed draws its weights and the order of its batches as a training of `fit_network` does. UserError where
    Keras does not run on JAX."""
    import jax
    import keras

    from hepbench.suite.training.batches import Feed
    from hepbench.suite.training.network import build_network, start_session
    from hepbench.suite.training.optimiser import optimiser_of
    from hepbench.suite.training.settings import DEFAULTS
    from hepbench.suite.training.steps import chunk_of_jax, values_of, variables_of

    if keras.backend.backend() != "jax":
        raise UserError("several seeds in one program need BACKEND=jax")
    build, options = trial.model.record.build, {**DEFAULTS, **trial.hyperparameters}
    assert build is not None
    states = []
    for seed in range(seeds):
        start_session(seed, trial.spec.device)
        keras_model = build_network(build, train, len(trial.task.record.classes), trial.hyperparameters)
        optimiser = optimiser_of(options)
        optimiser.build(keras_model.trainable_variables)
        states.append(tuple(values_of(some) for some in variables_of(keras_model, optimiser)))
    feed = Feed(train, keras_model, int(options["batch_size"]))
    run = chunk_of_jax(keras_model, optimiser)
    one, many = jax.jit(run), jax.jit(jax.vmap(run, in_axes=(0, (0, 0, None))))
    rates = np.full(feed.batches_per_chunk, RATE, np.float32)

    def chunks(seed: int) -> Iterator[Any]:
        shuffle = np.random.default_rng(seed)
        for _ in range(epochs):
            yield from feed.epoch(shuffle)

    def alone(seed: int) -> Any:
        state: Any = states[seed]
        for inputs, targets in chunks(seed):
            state, _ = one(state, (inputs, targets, rates))
        return jax.block_until_ready(state)  # type: ignore[no-untyped-call]

    stacked = jax.tree.map(lambda *values: np.stack(values), *states)

    def together() -> Any:
        state: Any = stacked
        for several in zip(*map(chunks, range(seeds)), strict=True):
            inputs, targets = jax.tree.map(lambda *values: np.stack(values), *several)
            state, _ = many(state, (inputs, targets, rates))
        return jax.block_until_ready(state)  # type: ignore[no-untyped-call]

    alone(0), together()  # compiled
    results, seconds = [], []
    for seed in range(seeds):
        started = time.perf_counter()
        results.append(alone(seed))
        seconds.append(time.perf_counter() - started)
    started = time.perf_counter()
    both = together()
    whole = time.perf_counter() - started
    difference = max(
        float(np.abs(np.asarray(weight, float) - np.asarray(all_weights[seed], float)).max())
        for seed, state in enumerate(results)
        for weight, all_weights in zip(state[0], both[0], strict=True)
    )
    return SeedsAtOnce(float(np.median(seconds)), whole, difference)
