"""Learning rates by step, and by what a validation showed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hepbench.benchmarks.base import Parameters, UserError


def learning_rates(done: np.ndarray, options: Parameters) -> np.ndarray:
    """(S,) learning rate of each step, given the share (S,) of the training that is done before it."""
    highest, lowest = float(options["learning_rate"]), lowest_rate(options)
    rates: np.ndarray = np.full(len(done), highest)
    if options["schedule"] == "step":
        steps = np.array(step_epochs(options["step_epoch"]))
        passed = (done[:, None] * options["epochs"] >= steps - 1e-9).sum(axis=1)
        rates = highest * float(options["step_factor"]) ** passed
    elif options["schedule"] == "cosine":
        falling = lowest + (highest - lowest) * 0.5 * (1 + np.cos(np.pi * (done - 0.1) / 0.9))
        rising = np.maximum(lowest, highest * (0.1 + 9 * done))
        rates = np.where(done < 0.1, rising, falling)
    elif options["schedule"] == "one_cycle":
        rates = np.interp(done, [0, 0.4, 0.8, 1], [highest / 10, highest, highest / 10, lowest])
    return rates


def lowest_rate(options: Parameters) -> float:
    """Where the schedules end: at the minimum, unless the learning rate itself is lower."""
    return min(float(options["minimum_learning_rate"]), float(options["learning_rate"]))


def step_epochs(given: Any) -> list[float]:
    """Epochs after which the rate steps: of a number, or of text such as "10,20" or "10 20". UserError for other."""
    try:
        epochs = [float(epoch) for epoch in str(given).replace(",", " ").split()]
    except ValueError:
        epochs = []
    if not epochs:
        raise UserError(f"step_epoch={given!r}: give a number of epochs, or several with commas, such as 10,20")
    return epochs


class Plateau:
    """The rate of schedule "plateau", with the rules of keras.callbacks.ReduceLROnPlateau."""

    def __init__(self, options: Parameters):
        self.rate = float(options["learning_rate"])
        self._options = options
        self._best, self._waited, self._cooling = math.inf, 0, 0

    def after_epoch(self, val_loss: float) -> None:
        """Lower the rate, or not, after an epoch of this validation loss."""
        if self._cooling > 0:
            self._cooling -= 1
            self._waited = 0
        if val_loss < self._best - self._options["plateau_min_delta"]:
            self._best, self._waited = val_loss, 0
        elif self._cooling == 0:
            self._waited += 1
            if self._waited >= self._options["plateau_patience"]:
                self.rate = max(self.rate * self._options["plateau_factor"], lowest_rate(self._options))
                self._waited, self._cooling = 0, self._options["plateau_cooldown"]

    def state(self) -> dict[str, float]:
        """What `restore` takes, in what JSON can hold."""
        return {"rate": self.rate, "best": self._best, "waited": self._waited, "cooling": self._cooling}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue as the one that gave the state."""
        self.rate, self._best = state["rate"], state["best"]
        self._waited, self._cooling = state["waited"], state["cooling"]
