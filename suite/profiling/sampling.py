"""Overhead of hardware monitoring: the same work with and without the sampler, interleaved."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hepbench.tracking.hardware.sampler import Sampler

SIDE = 384
"""Side of the multiplied matrices."""

TURN = 2.0
"""Seconds of work before switching; long enough for a sample at the start, one in between and one at the end, as in a
run of this length."""


@dataclass(frozen=True)
class SamplerCost:
    """share: fraction of the work lost to the sampler, the mean over pairs of turns; error: their standard deviation
    divided by the square root of their number. samples: per turn, on average."""

    share: float
    error: float
    pairs: int
    samples: float


def sampler_cost(seconds: float, progress: Callable[[int], None] = lambda done: None) -> SamplerCost:
    """About this number of seconds of matrix multiplications on all cores, in pairs of turns, one with and one without
    the sampler in alternating order; at least two pairs. progress: called after each pair."""
    matrix, product = np.ones((SIDE, SIDE), np.float32), np.empty((SIDE, SIDE), np.float32)
    pairs = max(2, round(seconds / (2 * TURN)))
    turn = min(TURN, seconds / (2 * pairs))
    taken: list[int] = []

    def work() -> float:
        """Products per second."""
        started, done = time.perf_counter(), 0
        while time.perf_counter() - started < turn:
            np.matmul(matrix, matrix, out=product)
            done += 1
        return done / (time.perf_counter() - started)

    def watched() -> float:
        taken.append(0)
        with Sampler(sink=count):
            return work()

    def count(values: dict[str, float], number: int) -> None:
        taken[-1] += 1

    work()
    shares = []
    for pair in range(pairs):
        rates = [way() for way in ((watched, work) if pair % 2 else (work, watched))]
        with_it, without = rates if pair % 2 else rates[::-1]
        shares.append(1 - with_it / without)
        progress(1)
    error = float(np.std(shares, ddof=1) / np.sqrt(pairs))
    return SamplerCost(float(np.mean(shares)), error, pairs, sum(taken) / pairs)
