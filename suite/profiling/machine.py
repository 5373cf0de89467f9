"""Peak rates of the machine: matrix multiplication, memory copies, writing to disk; in 20 seconds, with numpy."""

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
"""Side of the multiplied matrices, of 32-bit numbers."""

COPIED = 2**28
"""Bytes copied at a time, many times the size of CPU caches."""

WRITTEN = 2**27
"""Bytes written to a file at a time, and synchronised to disk."""

SECONDS = 6.0
"""Seconds for which each of the three is repeated."""

LEAST = 3
"""Minimum number of repeats."""


@dataclass(frozen=True)
class MachineRates:
    """Medians of the repeats, each with half of the range that contains 68 % of them. matrix: floating-point operations
    per second. copy: bytes copied per second, each read and written. disk: bytes written per second in the given
    folder."""

    matrix: tuple[float, float]
    copy: tuple[float, float]
    disk: tuple[float, float]


def machine_rates(folder: Path, seconds: float = SECONDS) -> MachineRates:
    """Measure each rate for this number of seconds. folder: where a temporary file is written. UserError if it cannot
    be."""
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
        raise UserError(f"{folder}: cannot be written to for the measurement ({error.strerror or error})") from error
    return MachineRates(
        _rate(lambda: np.matmul(matrix, matrix, out=product), 2 * MATRIX**3, seconds),
        _copies(seconds),
        disk,
    )


def copy_rate(seconds: float = SECONDS) -> float:
    """Bytes copied in memory per second, each read and written: the median of copies over this number of seconds."""
    return _copies(seconds)[0]


def _copies(seconds: float) -> tuple[float, float]:
    source, target = np.ones(COPIED, np.uint8), np.empty(COPIED, np.uint8)
    return _rate(lambda: np.copyto(target, source), COPIED, seconds)


def _rate(step: Callable[[], object], work: float, seconds: float) -> tuple[float, float]:
    """(median, spread) of work per second, after an untimed step."""
    step()
    taken: list[float] = []
    started = now = time.perf_counter()
    while len(taken) < LEAST or now - started < seconds:
        step()
        before, now = now, time.perf_counter()
        taken.append(now - before)
    rate, spread = rate_and_spread("rate", work / np.array(taken)).values()
    return rate, spread
