"""The largest batch that a network trains with on this machine, for `--batch-size auto`.

It is found before a trial is planned, so that a trial has a number, which is part of its identity like any other. What
is tried is what a training does at its start: a chunk of steps and a prediction, compiled, in a process of its own, as
memory that has run out may end the process that asked for it. The largest that fits is the fastest on most GPUs; which
one learns soonest, `hepbench sweep` tells.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from hepbench.benchmarks.base import Sample, UserError
from hepbench.suite import device
from hepbench.suite.processes import end_with_parent, interrupts_held, without_main_file
from hepbench.suite.trial.spec import Spec, Trial, look_up

AUTO = "auto"
"""What stands in place of a number until it is found."""

MOST = 2**15
"""Events of a batch at most."""

STEPS = 16
"""That an epoch has at least."""

Tries = Callable[[int], bool]
"""Batch size -> whether it fits."""


@dataclasses.dataclass(frozen=True)
class BatchSizeSought:
    """The batch size of a model is being looked for, up to this many events."""

    model: str
    most: int


@dataclasses.dataclass(frozen=True)
class BatchSizeFound:
    """The batch size of a model that was asked to find it itself, and those above it that ran out of memory."""

    model: str
    size: int
    too_large: tuple[int, ...]


def is_auto(trial: Trial) -> bool:
    return trial.spec.parameters.get("batch_size") == AUTO


def found(trial: Trial, data_digest: str, split_hash: str, train_events: int) -> BatchSizeFound:
    """Of a trial that `is_auto`. UserError where not even a batch of one event fits."""
    with _process(trial.spec, data_digest, split_hash) as tries:
        size, too_large = largest(tries, most_for(train_events))
    if not size:
        raise UserError(
            f"{trial.model.name} does not fit into memory with a batch of one event: give it less width or depth, or "
            "run it where there is more memory"
        )
    return BatchSizeFound(trial.model.name, size, too_large)


def with_size(trial: Trial, size: int) -> Trial:
    """The trial with a number."""
    parameters = {**trial.spec.parameters, "batch_size": size}
    return dataclasses.replace(trial, spec=dataclasses.replace(trial.spec, parameters=parameters))


def most_for(train_events: int) -> int:
    """The largest power of two that is at most `MOST` and leaves an epoch `STEPS` steps; 1 at least."""
    return 1 << (max(1, min(MOST, train_events // STEPS)).bit_length() - 1)


def largest(tries: Tries, most: int) -> tuple[int, tuple[int, ...]]:
    """(largest that fits of `most` and its halves, 0 where none does; those that do not)."""
    size, too_large = most, []
    while size and not tries(size):
        too_large.append(size)
        size //= 2
    return size, tuple(too_large)


@contextlib.contextmanager
def _process(spec: Spec, data_digest: str, split_hash: str) -> Iterator[Tries]:
    """Tries, one after the other, in a process; in a new one where memory that ran out has ended it."""
    pools: list[concurrent.futures.ProcessPoolExecutor] = []

    def tries(size: int) -> bool:
        if not pools:
            context = multiprocessing.get_context("spawn")
            pools.append(concurrent.futures.ProcessPoolExecutor(1, context, initializer=_begin))
        try:
            with interrupts_held():
                tried = pools[-1].submit(fits_into_memory, spec, data_digest, split_hash, size)
            return tried.result()
        except BrokenProcessPool:
            pools.pop().shutdown(wait=False)
            return False

    with without_main_file():
        try:
            yield tries
        finally:
            for pool in pools:
                pool.shutdown(wait=False, cancel_futures=True)


def _begin() -> None:
    """Where a machine has no memory left, this process is the one to end, and no other of the user's."""
    end_with_parent()
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def fits_into_memory(spec: Spec, data_digest: str, split_hash: str, size: int) -> bool:
    """Whether a trial can begin its training with batches of this many events."""
    from hepbench.suite.trial.run import open_samples

    if spec.backend == "jax":
        device.without_tensorflow()  # before a user's file, which may import Keras
    trial = with_size(look_up(spec), size)
    if trial.model.record.in_keras:
        device.load_keras(spec.device, spec.backend, ours=True)
    else:
        device.set_environment(spec.device, spec.backend)
    _, samples = open_samples(trial, data_digest, split_hash)
    return fits(trial, samples["train"], samples["validation"])


def fits(trial: Trial, train: Sample, valid: Sample) -> bool:
    """Whether its training can begin in this process."""
    try:
        set_up_training(trial, train, valid)
    except Exception as error:
        if not device.out_of_memory(error):
            raise
        return False
    return True


def set_up_training(trial: Trial, train: Sample, valid: Sample) -> None:
    from hepbench.suite.training.batches import BatchLoader
    from hepbench.suite.training.keras_training import set_up
    from hepbench.suite.training.settings import DEFAULTS

    record, parameters = trial.model.record, trial.hyperparameters
    assert record.build is not None
    training = set_up(
        record.build, train, len(trial.task.record.classes), parameters,
        package=record.package, seed=0, device=trial.spec.device,
    )  # fmt: skip
    size = int({**DEFAULTS, **parameters}["batch_size"])
    training.warm_up(BatchLoader(train, training.network, size, hold=training.holds), valid)
