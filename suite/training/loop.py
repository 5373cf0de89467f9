"""Trains a Keras network: one loop for every family, on TensorFlow and on JAX.

The loop hands the backend a chunk of many batches at a time, so that a step costs no Python, while a thread reads
the next chunk. Every batch has the same number of events, so that a network is compiled once: the events that fill
no batch, others each epoch as they are shuffled, are left out. Within a batch, clouds come in the order of their
lengths, which the graph layers make use of.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hepbench.benchmarks import metrics
from hepbench.benchmarks.base import Parameters, Report, Sample, UserError, check_known
from hepbench.suite.training.batches import Feed, inputs_of
from hepbench.suite.training.network import Network, build_network, check_loads_again, start_session, take_over
from hepbench.suite.training.optimiser import optimiser_of
from hepbench.suite.training.schedules import Plateau, learning_rates, step_epochs
from hepbench.suite.training.settings import BEST_BY, DEFAULTS, OPTIMISERS, PRECISIONS, SCHEDULES
from hepbench.suite.training.steps import assign, training_steps, values_of
from hepbench.tracking.hardware.machine import cores_usable

if TYPE_CHECKING:
    import keras


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
    signal: int = 1,
    start: Sequence[np.ndarray] = (),
    objects: Mapping[str, Any] | None = None,
) -> Network:
    """Build a network with `build(shapes, classes, parameters)`, train it, and keep the weights of its best epoch.

    start: weights in the order of the network's, in place of those it draws; the optimiser starts afresh. objects: of
    a user's own file, as `objects_of` gives them: the network must load again with them; None: of this package.

    After each epoch, from 1, report is given loss, accuracy, learning_rate, of the validation part what
    `metrics.of_epoch` measures with the class `signal`, and what the steps of the epoch cost, as `_cost` gives it. The
    same seed gives the same weights on the same machine. Raises FloatingPointError naming the epoch if the loss is not
    finite, UserError if a part has too few events, a hyper-parameter has an unknown value or the network's output does
    not fit the classes.
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
    check_known("best_by", options["best_by"], BEST_BY)
    if options["passes"] < 1:
        raise UserError(f"passes must be at least 1, got {options['passes']}")
    step_epochs(options["step_epoch"])  # before an hour of training, not after

    start_session(seed, device)
    shuffle = np.random.default_rng(seed)
    keras_model = build_network(build, train, classes, parameters)
    if start:
        take_over(keras_model, start)
    optimiser = optimiser_of(options)
    optimiser.build(keras_model.trainable_variables)
    run_steps = training_steps(keras_model, optimiser, train.weights is not None)
    network = Network(keras_model, classes)
    if objects is not None:
        check_loads_again(network, train, objects)
    feed = Feed(train, keras_model, int(options["batch_size"]), int(options["passes"]))

    started = time.perf_counter()
    variables = keras_model.variables + optimiser.variables
    state = values_of(variables)
    warm_up(network, run_steps, feed, valid)
    assign(variables, state)
    seconds = {"compile_seconds": time.perf_counter() - started, "train_seconds": 0.0, "validate_seconds": 0.0}

    lowest_loss, lowest_epoch = math.inf, 0
    best, best_state = -math.inf, []
    plateau = Plateau(options)
    epochs = int(options["epochs"])
    for epoch in range(1, epochs + 1):
        started, busy = time.perf_counter(), time.process_time()
        total = {"loss": 0.0, "accuracy": 0.0}
        done = 0
        for inputs, targets in feed.epoch(shuffle):
            share = (epoch - 1 + (done + np.arange(feed.batches_per_chunk)) / feed.steps) / epochs
            rates = learning_rates(share, options)
            if options["schedule"] == "plateau":
                rates[:] = plateau.rate
            losses, correct = run_steps(inputs, targets, rates.astype(np.float32))
            if not np.isfinite(losses).all():
                raise FloatingPointError(f"the loss is not finite in epoch {epoch}: try a lower learning_rate")
            total = {"loss": total["loss"] + losses.sum(), "accuracy": total["accuracy"] + correct.sum()}
            done += feed.batches_per_chunk
        trained, busy = time.perf_counter(), time.process_time() - busy
        scores = network.predict(valid)
        if not np.isfinite(scores).all():
            raise FloatingPointError(f"validation scores are not finite in epoch {epoch}: try a lower learning_rate")
        line = {
            **{name: float(value) / feed.steps for name, value in total.items()},
            **metrics.of_epoch(valid.labels, scores, signal, valid.weights),
            "learning_rate": float(rates[-1]),
            **_cost(feed, trained - started, busy),
        }
        seconds["train_seconds"] += trained - started
        seconds["validate_seconds"] += time.perf_counter() - trained
        network.history.append({"epoch": epoch, **line})
        report(epoch, line)

        if (worth := _worth(epoch, line, options["best_by"])) > best:
            best, best_state = worth, values_of(keras_model.variables)
        if line["val_loss"] < lowest_loss:
            lowest_loss, lowest_epoch = line["val_loss"], epoch
        elif 0 < options["patience"] <= epoch - lowest_epoch:
            break
        plateau.after_epoch(line["val_loss"])

    assign(keras_model.variables, best_state)
    network.timings = seconds
    return network


def _cost(feed: Feed, seconds: float, busy: float) -> dict[str, float]:
    """Of an epoch's steps: epoch_seconds; epoch_events_per_second, of the events that were trained on; and
    epoch_cpu_percent, the CPU time of this process as a share of the cores it may use. busy: seconds of CPU time."""
    return {
        "epoch_seconds": seconds,
        "epoch_events_per_second": feed.steps * feed.batch_size / seconds,
        "epoch_cpu_percent": 100 * busy / seconds / cores_usable(),
    }


def _worth(epoch: int, line: Parameters, best_by: str) -> float:
    """What the best epoch has most of."""
    if best_by == "last":
        return epoch
    return -float(line[best_by]) if best_by == "val_loss" else float(line[best_by])


def warm_up(network: Network, run_steps: Callable[..., Any], feed: Feed, sample: Sample) -> None:
    """Compile steps and prediction: TensorFlow at the first step, JAX for a chunk of the length that follows."""
    import keras

    batches = 1 if keras.backend.backend() == "tensorflow" else feed.batches_per_chunk
    inputs, targets = feed.chunk(np.arange(feed.batch_size * batches))
    run_steps(inputs, targets, np.zeros(batches, np.float32))
    first = network.batch_size(inputs_of(sample, network.keras_model))
    network.predict(replace(sample, rows=sample.rows[:first], labels=sample.labels[:first]))
