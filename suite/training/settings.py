"""Hyper-parameters of the training of a network, beside those of its layers.

epochs, batch_size    how many; events a step
passes                over the training part in an epoch: of few events several, so that validation does not cost more
                      than training
optimiser             "adam", "sgd" with momentum, or "rmsprop" (rho 0.9, without momentum)
learning_rate         the highest of the schedule
weight_decay          decoupled, as in AdamW (1711.05101), of every weight
schedule              "constant"
                      "plateau": multiply the rate with plateau_factor after plateau_patience epochs in which
                      val_loss has not fallen by more than plateau_min_delta; for plateau_cooldown epochs after that
                      none is counted, as keras.callbacks.ReduceLROnPlateau does
                      "step": multiply the rate with step_factor after step_epoch epochs; several steps are text with
                      commas, each with the factor again: step_epoch=10,20
                      "cosine": rise over the first tenth, then half a cosine down
                      "one_cycle": as for ParticleNet, 1902.08570: from a tenth of the rate up for 40 % of the
                      training and down again for 40 %, then to minimum_learning_rate
minimum_learning_rate where the schedules end
patience              stop after so many epochs in which val_loss has not fallen; 0: never
best_by               whose epoch's weights are kept: that of the best "val_loss", "val_accuracy" or "val_auc", the
                      first of equals, or the "last" epoch
precision             "float32", or "bfloat16": layers compute in 16 bits, weights and the loss stay in 32
"""

from __future__ import annotations

DEFAULTS = {
    "epochs": 20,
    "batch_size": 128,
    "passes": 1,
    "optimiser": "adam",
    "momentum": 0.9,
    "learning_rate": 1e-3,
    "weight_decay": 0.0,
    "schedule": "plateau",
    "plateau_factor": 0.2,
    "plateau_patience": 2,
    "plateau_min_delta": 0.0,
    "plateau_cooldown": 0,
    "step_epoch": "10",
    "step_factor": 0.1,
    "minimum_learning_rate": 1e-6,
    "patience": 5,
    "best_by": "val_loss",
    "precision": "float32",
}
BEST_BY = ("val_loss", "val_accuracy", "val_auc", "last")
OPTIMISERS = ("adam", "sgd", "rmsprop")
PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16"}  # as Keras calls them
SCHEDULES = ("constant", "plateau", "step", "cosine", "one_cycle")
