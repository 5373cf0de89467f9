"""Checks that emissions and likelihoods agree: normalisation and calibration of the likelihood, and integrated rates.

The events are generated without integrating a rate, the likelihoods with integrals, so that each tests the other.
"""

from __future__ import annotations

import numpy as np

from hepbench.benchmarks.base import Arrays, Check
from hepbench.benchmarks.formats.qg_jets import CLASSES
from hepbench.benchmarks.sampling import evenly_spaced
from hepbench.benchmarks.simulation import lund_jets

VALIDATED = 200_000  # events at most
BINS = 5  # of the posterior
NORMALISED = "normalisation of the likelihood"


def validate(arrays: Arrays, labels: np.ndarray, conserved: bool) -> list[Check]:
    """Means of likelihood ratios, fractions of quarks in bins of the posterior, and for independent emissions their
    number."""
    rows = evenly_spaced(len(labels), VALIDATED)
    jets, labels = np.asarray(arrays["jets"][rows]), labels[rows]
    logs = lund_jets.log_likelihoods(jets, conserved)
    checks = []
    for label, kind in enumerate(CLASSES):
        ratio = np.exp(logs[labels == label, 1 - label] - logs[labels == label, label])
        figure = f"{kind}s, mean of the other's likelihood over theirs"
        checks.append(_mean(figure, ratio, 1.0, NORMALISED))
    if not conserved:
        energy = lund_jets.energies(jets, conserved)
        expected = lund_jets.expected_emissions(lund_jets.reach_of(energy))
        for label, kind in enumerate(CLASSES):
            of_class = labels == label
            excess = (jets[of_class, :, 0] > 0).sum(axis=1) - 1 - expected[of_class, label]
            checks.append(_mean(f"{kind}s, emissions beyond those expected", excess, 0.0, "integrated rate"))
    share = (labels == 1).mean()
    posterior = 1 / (1 + np.exp(logs[:, 0] - logs[:, 1]) * (1 - share) / share)
    for low in np.arange(BINS) / BINS:
        within = (posterior >= low) & (posterior < low + 1 / BINS)
        if within.sum() >= 100:
            expected_share = float(posterior[within].mean())
            error = float(np.sqrt((posterior[within] * (1 - posterior[within])).sum()) / within.sum())
            figure = f"share of quarks where the posterior is {low:.1f} to {low + 1 / BINS:.1f}"
            checks.append(Check(figure, float(labels[within].mean()), expected_share, error, "calibration"))
    return checks


def _mean(figure: str, values: np.ndarray, expected: float, source: str) -> Check:
    return Check(figure, float(values.mean()), expected, float(values.std() / np.sqrt(len(values))), source)
