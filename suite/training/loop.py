"""Trains a network: one loop for every family, on TensorFlow, JAX and PyTorch.

The loop hands the backend a chunk of many batches at a time, so that a step costs no Python, while a thread reads
the next chunk. Every batch has the same number of events, so that a network is compiled once: the events that fill
no batch, others each epoch as they are shuffled, are left out. Within a batch, clouds come in the order of their
lengths, which the graph layers make use of.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hepbench.benchmarks import metrics
from hepbench.benchmarks.base import Parameters, Report, Sample, UserError, check_known
from hepbench.suite.training.batches import BatchLoader
from hepbench.suite.training.checkpoint import Checkpoint, Progress
from hepbench.suite.training.keras_training import set_up
from hepbench.suite.training.network import Network
from hepbench.suite.training.schedules import Plateau, learning_rates, step_epochs
from hepbench.suite.training.settings import BEST_BY, DEFAULTS, OPTIMISERS, PRECISIONS, SCHEDULES
from hepbench.tracking.hardware.machine import cores_usable

if TYPE_CHECKING:
    import keras
    import torch

    from hepbench.suite.training.torch_network import TorchNetwork


def fit_network(
    build: Callable[..., keras.Model | torch.nn.Module],
    train: Sample,
    valid: Sample,
    parameters: Parameters,
    *,
    classes: int,
    seed: int,
    device: str,
    report: Report,
    signal: int = 1,
    package: str = "",
    start: Sequence[np.ndarray] = (),
    objects: Mapping[str, Any] | None = None,
    checkpoint: Checkpoint | None = None,
) -> Network | TorchNetwork:
    """Build a network with `build(shapes, classes, parameters)`, train it, and keep the weights of its best epoch.

    package: as `Model.package`; "torch" where the network is one of PyTorch. start: weights in the order of the
    network's, in place of those it draws; the optimiser starts afresh. objects: of a user's own file, as `objects_of`
    gives them: the network must load again with them; None: of this package. checkpoint: from which the training
    resumes, to the same weights as if it had not been interrupted, and to which its state is saved.

    After each epoch, from 1, report is called with loss, accuracy, learning_rate, the validation set's
    `metrics.epoch_metrics` with the class `signal`, and the cost of the epoch's steps, as `_cost` gives it. The same
    seed gives the same weights on the same machine. Raises FloatingPointError naming the epoch if the loss is not
    finite, UserError if a set has too few events, a hyper-parameter has an unknown value or the network's output does
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

    shuffle = np.random.default_rng(seed)
    training = set_up(
        build, train, classes, parameters, package=package, seed=seed, device=device, start=start, objects=objects
    )
    network = training.network
    feed = BatchLoader(train, network, int(options["batch_size"]), int(options["passes"]), training.holds)
    plateau = Plateau(options)
    started = time.perf_counter()
    training.warm_up(feed, valid)
    compiled = time.perf_counter() - started
    progress = Progress(seconds={"train_seconds": 0.0, "validate_seconds": 0.0})
    best_weights: Any = None
    if checkpoint and (found := checkpoint.load(training.restore)):
        progress, best_weights = found
        shuffle.bit_generator.state = progress.shuffle
        plateau.restore(progress.plateau)
        for line in progress.history:
            report(int(line["epoch"]), {name: value for name, value in line.items() if name != "epoch"})
    progress.seconds["compile_seconds"] = compiled
    network.history, network.timings = progress.history, progress.seconds

    epochs = int(options["epochs"])
    for epoch in range(progress.epoch + 1, epochs + 1):
        started, busy = time.perf_counter(), time.process_time()
        total = {"loss": 0.0, "accuracy": 0.0}
        done = 0
        for inputs, targets in feed.epoch(shuffle):
            share = (epoch - 1 + (done + np.arange(feed.batches_per_chunk)) / feed.steps) / epochs
            rates = learning_rates(share, options)
            if options["schedule"] == "plateau":
                rates[:] = plateau.rate
            losses, correct = training.run_steps(inputs, targets, rates.astype(np.float32))
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
            **metrics.epoch_metrics(valid.labels, scores, signal, valid.weights),
            "learning_rate": float(rates[-1]),
            **_cost(feed, trained - started, busy),
        }
        progress.seconds["train_seconds"] += trained - started
        progress.seconds["validate_seconds"] += time.perf_counter() - trained
        progress.history.append({"epoch": epoch, **line})
        report(epoch, line)

        if (worth := _selection_score(epoch, line, options["best_by"])) > progress.best:
            progress.best, best_weights = worth, training.weights()
        if line["val_loss"] < progress.lowest_loss:
            progress.lowest_loss, progress.lowest_epoch = line["val_loss"], epoch
        elif 0 < options["patience"] <= epoch - progress.lowest_epoch:
            break
        plateau.after_epoch(line["val_loss"])
        progress.epoch, progress.plateau = epoch, plateau.state()
        progress.shuffle = dict(shuffle.bit_generator.state)
        if checkpoint and epoch < epochs:
            checkpoint.save(progress, functools.partial(training.state, best_weights))

    training.set_weights(best_weights)
    return network


def _cost(feed: BatchLoader, seconds: float, busy: float) -> dict[str, float]:
    """Of an epoch's steps: epoch_seconds; epoch_events_per_second, of the events that were trained on; and
    epoch_cpu_percent, the CPU time of this process as a share of the cores it may use. busy: seconds of CPU time."""
    return {
        "epoch_seconds": seconds,
        "epoch_events_per_second": feed.steps * feed.batch_size / seconds,
        "epoch_cpu_percent": 100 * busy / seconds / cores_usable(),
    }


def _selection_score(epoch: int, line: Parameters, best_by: str) -> float:
    """What the best epoch has most of."""
    if best_by == "last":
        return epoch
    return -float(line[best_by]) if best_by == "val_loss" else float(line[best_by])
