"""The best that can be done: the likelihoods of a simulation that knows them, by the lemma of Neyman and Pearson.

Nothing is trained but the class frequencies. Only tasks with a view `optimum` have it: the logarithm of each class'
likelihood, event by event.

    make bench TASK=lund_jets MODEL="optimum gbdt particlenet_lite"
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hepbench.benchmarks.base import Model, Parameters, Report, Sample
from hepbench.benchmarks.models import prior
from hepbench.benchmarks.scored import log_scores_of

VIEW = "optimum"


@dataclass(frozen=True)
class Optimum(prior.Prior):
    """The posterior of the classes, with their frequencies in the training part as the prior."""

    def predict(self, sample: Sample) -> np.ndarray:
        return np.asarray(np.exp(self.predict_log(sample)))

    def predict_log(self, sample: Sample) -> np.ndarray:
        return log_scores_of(sample.take(slice(None))["log_likelihoods"] + np.log(self.frequencies))


def fit(
    train: Sample, valid: Sample, parameters: Parameters, *, classes: int, seed: int, device: str, report: Report
) -> Optimum:
    same = prior.fit(train, valid, parameters, classes=classes, seed=seed, device=device, report=report)
    return Optimum(same.frequencies)


def load(folder: Path) -> Optimum:
    return Optimum(prior.load(folder).frequencies)


MODEL = Model(title="exact likelihood ratio", view=VIEW, defaults={}, space=lambda trial: {}, fit=fit, load=load)
