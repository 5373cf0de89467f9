"""Learning rates by step."""

from __future__ import annotations

import numpy as np

from hepbench.benchmarks.base import Parameters


def learning_rates(done: np.ndarray, options: Parameters) -> np.ndarray:
    """(S,) learning rate of each step, given the share (S,) of the training that is done before it."""
    highest, lowest = float(options["learning_rate"]), float(options["minimum_learning_rate"])
    rates: np.ndarray = np.full(len(done), highest)
    if options["schedule"] == "step":
        after = done * options["epochs"] >= options["step_epoch"] - 1e-9
        rates = np.where(after, highest * float(options["step_factor"]), highest)
    elif options["schedule"] == "cosine":
        falling = lowest + (highest - lowest) * 0.5 * (1 + np.cos(np.pi * (done - 0.1) / 0.9))
        rising = np.maximum(lowest, highest * (0.1 + 9 * done))
        rates = np.where(done < 0.1, rising, falling)
    elif options["schedule"] == "one_cycle":
        rates = np.interp(done, [0, 0.4, 0.8, 1], [highest / 10, highest, highest / 10, lowest])
    return rates
