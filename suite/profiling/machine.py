"""What the machine does at best: products of matrices, copies in memory, writing to disk; in 20 seconds, by numpy."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hepbench.benchmarks.base import UserError
from hepbench.suite.trial.prediction_times import rate_and_spread

MATRIX = 2048
"""A side of the matrices that are multiplied, of 32-bit numbers."""

COPIED = 2**28
"""Bytes that are copied at a time, many times what a processor's caches hold."""

WRITTEN = 2**27
"""Bytes that are written to a file at a time, and brought to the disk."""

SECONDS = 6.0
"""For which each of the three is repeated."""

LEAST = 3
"""Repeats at least."""


@dataclass(frozen=True)
class MachineRates:
    """Medians of the repeats, each with half of the range that holds 68 % of them. matrix: floating-point operations a
    second. copy: bytes copied a second, each read and written. disk: bytes written a second, in the folder that is
    measured."""

    matrix: tuple[float, float]
    copy: tuple[float, float]
    disk: tuple[float, float]


def machine_rates(folder: Path, seconds: float = SECONDS) -> MachineRates:
    """Measure for three times so many seconds. folder: where the file is written, and removed again. UserError where
    that cannot be."""
    matrix = np.ones((MATRIX, MATRIX), np.float32)
    product = np.empty_like(matrix)
    source = np.ones(WRITTEN, np.uint8)
    try:
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            chunk = source.data

            def write() -> None:
                file.seek(0)
                file.write(chunk)
                file.flush()
                os.fsync(file.fileno())

            disk = _rate(write, WRITTEN, seconds)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written to be measured ({error.strerror or error})") from error
    return MachineRates(
        _rate(lambda: np.matmul(matrix, matrix, out=product), 2 * MATRIX**3, seconds),
        _copies(seconds),
        disk,
    )


def copy_rate(seconds: float = SECONDS) -> float:
    """Bytes copied in memory a second, each read and written: the median of copies for so many seconds."""
    return _copies(seconds)[0]


def _copies(seconds: float) -> tuple[float, float]:
    source, target = np.ones(COPIED, np.uint8), np.empty(COPIED, np.uint8)
    return _rate(lambda: np.copyto(target, source), COPIED, seconds)


def _rate(step: Callable[[], object], work: float, seconds: float) -> tuple[float, float]:
    """(median, spread) of work a second, after a step that is not timed."""
    step()
    taken: list[float] = []
    started = now = time.perf_counter()
    while len(taken) < LEAST or now - started < seconds:
        step()
        before, now = now, time.perf_counter()
        taken.append(now - before)
    rate, spread = rate_and_spread("rate", work / np.array(taken)).values()
    return rate, spread
