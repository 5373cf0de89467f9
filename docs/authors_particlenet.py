"""How fast the authors' TensorFlow code of ParticleNet-Lite runs on jets of the task `qg_jets`.

    curl -LO https://raw.githubusercontent.com/hqucms/ParticleNet/fd77db8/tf-keras/tf_keras_model.py
    .venv/bin/python -m pip install --no-deps tf_keras==2.21.0    # which would bring another TensorFlow along
    .venv/bin/hepbench simulate qg_jets --events 4000 --out jets
    .venv/bin/python docs/authors_particlenet.py tf_keras_model.py jets/QG_jets_simulated_0.npz

Batches of 256 through `fit` and `predict` of Keras 2, as in the authors' notebook, which pads to 100 particles; four
features of a particle. TensorFlow and the C library are as they are installed.
"""

from __future__ import annotations

import importlib.util
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import numpy as np
import tensorflow as tf

from hepbench.benchmarks.tasks.qg_jets import TASK

JETS, BATCH, SECONDS, FEATURES = 1024, 256, 5.0, 4
PADDED = (100, 139)  # the authors' own, and the widest jet of most official files


def main(code: str, file: str) -> None:
    spec = importlib.util.spec_from_file_location("tf_keras_model", code)
    authors = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(authors)
    events = next(TASK.read([Path(file)]))
    cloud = {name: np.float32(array[:JETS]) for name, array in TASK.views["cloud"](events.arrays).items()}
    batch = {"points": cloud["points"], "features": cloud["features"][..., :FEATURES], "mask": cloud["mask"][..., None]}
    targets = tf.keras.utils.to_categorical(events.labels[:JETS], 2)
    print(f"tensorflow {tf.__version__}, mean {cloud['mask'].sum(axis=1).mean():.1f} particles, {os.cpu_count()} cores")
    for size in PADDED:
        inputs = {name: padded(array, size) for name, array in batch.items()}
        training, prediction = rates(authors.get_particle_net_lite, inputs, targets)
        print(f"padded to {size}: training {training:,.0f}, prediction {prediction:,.0f} jets/s", flush=True)


def padded(array: np.ndarray, size: int) -> np.ndarray:
    """(N, P, C) -> (N, size, C), filled up with zeros or cut, as the hardest particles come first."""
    return np.pad(array[:, :size], ((0, 0), (0, max(0, size - array.shape[1])), (0, 0)))


def rates(build: Callable, inputs: dict[str, np.ndarray], targets: np.ndarray) -> tuple[float, float]:
    """(training, prediction), jets a second, the median of three turns each."""
    network = build(2, {name: array.shape[1:] for name, array in inputs.items()})
    network.compile("adam", "categorical_crossentropy", metrics=["accuracy"])

    def fit() -> None:
        network.fit(inputs, targets, batch_size=BATCH, verbose=0)

    def predict() -> None:
        network.predict(inputs, batch_size=BATCH, verbose=0)

    fit(), predict()
    turns = [[rate(step) for step in (fit, predict)] for _ in range(3)]
    training, prediction = map(statistics.median, zip(*turns, strict=True))
    return training, prediction


def rate(step: Callable[[], None]) -> float:
    """Jets a second of a step that takes all of them, repeated for SECONDS."""
    started, jets = time.perf_counter(), 0
    while time.perf_counter() - started < SECONDS:
        step()
        jets += JETS
    return jets / (time.perf_counter() - started)


if __name__ == "__main__":
    main(*sys.argv[1:])
