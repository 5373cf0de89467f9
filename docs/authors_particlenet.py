"""How fast the authors' TensorFlow code of ParticleNet-Lite runs on the jets of `hepbench measure models`.

    curl -LO https://raw.githubusercontent.com/hqucms/ParticleNet/fd77db8/tf-keras/tf_keras_model.py
    .venv/bin/python -m pip install --no-deps tf_keras==2.21.0    # which would bring another TensorFlow along
    .venv/bin/python docs/authors_particlenet.py tf_keras_model.py

Batches of 256 through `fit` and `predict` of Keras 2, as in the authors' notebook, which pads to 100 particles; four
features of a particle. TensorFlow and the C library are as they are installed: nothing of `suite/device.py` is set.
"""

from __future__ import annotations

import importlib.util
import os
import statistics
import sys

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import numpy as np
import tensorflow as tf
from rich.console import Console

from hepbench.benchmarks import registry
from hepbench.suite.commands.opening import open_data
from hepbench.suite.data.files import choose
from hepbench.suite.data.simulate import cores
from hepbench.suite.profiling import models
from hepbench.suite.profiling.timing import for_seconds
from hepbench.suite.profiling.weaver import WEAVER_BATCH

EVENTS, SECONDS, FEATURES = 4_000, 5.0, 4
JETS = 1024  # of the events, as an epoch of all takes most of a minute
PADDED = (100, 139)  # the authors' own, and the file of jets


def main(path: str) -> None:
    spec = importlib.util.spec_from_file_location("tf_keras_model", path)
    authors = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(authors)
    task = registry.find("task", "qg_jets")
    _, prepared = open_data(task, choose(task, "simulated"), EVENTS, Console())
    sample = models._sample(task, prepared, "cloud", {"features": "kinematic"}, 0)
    batch = sample.take(slice(None))
    batch = {
        "points": batch["points"],
        "features": batch["features"][..., :FEATURES],
        "mask": np.float32(batch["mask"])[..., None],
    }
    targets = tf.keras.utils.to_categorical(sample.labels[:JETS], 2)
    print(f"tensorflow {tf.__version__}, mean {batch['mask'].sum(axis=1).mean():.1f} particles, {cores()} cores")
    for size in PADDED:
        inputs = {name: _padded(array[:JETS], size) for name, array in batch.items()}
        train, predict = _rates(authors.get_particle_net_lite, inputs, targets)
        print(f"padded to {size}: training {train:,.0f}, prediction {predict:,.0f} jets/s", flush=True)


def _padded(array: np.ndarray, size: int) -> np.ndarray:
    """(N, P, C) -> (N, size, C), filled up with zeros or cut, as the hardest particles come first."""
    return np.pad(array[:, :size], ((0, 0), (0, max(0, size - array.shape[1])), (0, 0)))


def _rates(build, inputs: dict[str, np.ndarray], targets: np.ndarray) -> tuple[float, float]:
    """(training, prediction), jets a second, the middle of three turns each."""
    network = build(2, {name: array.shape[1:] for name, array in inputs.items()})
    network.compile("adam", "categorical_crossentropy", metrics=["accuracy"])

    def fit() -> int:
        network.fit(inputs, targets, batch_size=WEAVER_BATCH, verbose=0)
        return len(targets)

    def predict() -> int:
        network.predict(inputs, batch_size=WEAVER_BATCH, verbose=0)
        return len(targets)

    fit(), predict()
    turns = [[for_seconds(step, SECONDS) for step in (fit, predict)] for _ in range(3)]
    train, prediction = map(statistics.median, zip(*turns, strict=True))
    return train, prediction


if __name__ == "__main__":
    main(sys.argv[1])
