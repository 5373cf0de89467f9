"""The floor: every event gets the class frequencies of the training part. AUC 0.5 by construction.

make bench TASK=ecal MODEL=prior
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hepbench.benchmarks.base import Model, Parameters, Report, Sample

FILE = "frequencies.json"


@dataclass(frozen=True)
class Prior:
    """frequencies: (classes,) share of each class."""

    frequencies: np.ndarray

    @property
    def trainable_parameters(self) -> int:
        return len(self.frequencies)

    def predict(self, sample: Sample) -> np.ndarray:
        return np.tile(self.frequencies.astype(np.float32), (len(sample), 1))

    def save(self, folder: Path) -> None:
        (folder / FILE).write_text(json.dumps(self.frequencies.tolist()))


def fit(
    train: Sample, valid: Sample, parameters: Parameters, *, classes: int, seed: int, device: str, report: Report
) -> Prior:
    return Prior(np.bincount(train.labels, minlength=classes) / len(train))


def load(folder: Path) -> Prior:
    return Prior(np.array(json.loads((folder / FILE).read_text())))


MODEL = Model(title="class frequencies", view="", defaults={}, space=lambda trial: {}, fit=fit, load=load)
