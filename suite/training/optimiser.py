"""The optimiser of a training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hepbench.benchmarks.base import Parameters

if TYPE_CHECKING:
    import keras


def optimiser_of(options: Parameters) -> keras.Optimizer:
    """Adam, SGD or RMSprop, as the hyper-parameters say."""
    import keras

    rate, decay = float(options["learning_rate"]), float(options["weight_decay"]) or None
    if options["optimiser"] == "sgd":
        return keras.optimizers.SGD(rate, momentum=float(options["momentum"]), weight_decay=decay)
    if options["optimiser"] == "rmsprop":
        return keras.optimizers.RMSprop(rate, weight_decay=decay)
    if keras.backend.backend() == "tensorflow":
        from hepbench.suite.training.adam import Adam

        return Adam(rate, weight_decay=decay)
    return keras.optimizers.Adam(rate, weight_decay=decay)
