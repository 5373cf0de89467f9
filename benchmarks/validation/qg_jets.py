"""Checks of quark and gluon jets.

Sources: means and AUCs of 3,000 jets that the official recipe gave with another version of Pythia (REGENERATED), and
distributions of the ten hardest particles of 12,500 official jets (`qg_jets_reference`).
"""

from __future__ import annotations

import numpy as np

from hepbench.benchmarks.base import Arrays, Check, Comparison
from hepbench.benchmarks.features import jets
from hepbench.benchmarks.formats.qg_jets import CLASSES
from hepbench.benchmarks.sampling import evenly_spaced
from hepbench.benchmarks.scored import Ranking
from hepbench.benchmarks.validation import qg_jets_reference as genuine

VALIDATED = 20_000  # jets at most
FEWEST_OF_BIN = 10  # jets of both samples, for a bin to be judged

REGENERATED_JETS = 1500  # of each class
REGENERATED_SOURCE = "the official recipe with Pythia 8.317, 1,500 + 1,500 jets"
REGENERATED = {
    "multiplicity, gluon, mean": 52.9,
    "multiplicity, quark, mean": 33.7,
    "multiplicity, AUC": 0.837,
    "pT dispersion, AUC": 0.803,
    "width, AUC": 0.728,
}


def validate(arrays: Arrays, labels: np.ndarray) -> list[Check | Comparison]:
    """Two kinds of checks, on at most VALIDATED evenly spaced jets; empty if a class is missing.

    Means and AUCs of REGENERATED, with the errors of the 1,500 + 1,500 jets they come from, of the present jets, and
    of the rounding. Then the ten hardest particles compared with those of genuine jets, class by class, after the same
    cut on the number of particles. There the error of a bin is that of the two samples' pooled fraction, which gives
    the two-sample chi2, and 0 in a bin of fewer than FEWEST_OF_BIN jets, where chi2 is not valid; the types of a jet's
    ten particles are not independent, and their error is the spread among jets.
    """
    rows = evenly_spaced(len(labels), VALIDATED)
    labels, x = labels[rows], np.asarray(arrays["jets"][rows])
    of_class = [np.flatnonzero(labels == kind) for kind in (0, 1)]
    if not all(len(jet) > 1 for jet in of_class):
        return []
    return _regenerated(x, of_class) + [
        comparison for kind, jet in zip(CLASSES, of_class, strict=True) for comparison in _leading_ten(x[jet], kind)
    ]


def _regenerated(x: np.ndarray, of_class: list[np.ndarray]) -> list[Check]:
    _, rapidity, phi, _ = jets.axes(jets.four_momenta(x))
    z = x[..., 0] / x[..., 0].sum(axis=1, keepdims=True)
    figures = {
        "multiplicity": (x[..., 0] > 0).sum(axis=1).astype(np.float64),
        "pT dispersion": np.sqrt((z**2).sum(axis=1)),
        "width": (z * np.hypot(*jets.relative(x, rapidity, phi))).sum(axis=1),
    }
    checks = []
    for kind, jet in zip(CLASSES, of_class, strict=True):
        name = f"multiplicity, {kind}, mean"
        values = figures["multiplicity"][jet]
        error = np.sqrt(values.var() * (1 / len(jet) + 1 / REGENERATED_JETS) + 0.1**2 / 12)
        checks.append(Check(name, float(values.mean()), REGENERATED[name], float(error), REGENERATED_SOURCE))
    for name, values in figures.items():
        higher = of_class if name != "pT dispersion" else of_class[::-1]  # which class has more of it, last first
        area, error = _auc(values[higher[1]], values[higher[0]])
        of_source = _auc_error(area, REGENERATED_JETS, REGENERATED_JETS)
        error = np.sqrt(error**2 + of_source**2 + 0.001**2 / 12)
        name = f"{name}, AUC"
        checks.append(Check(name, area, REGENERATED[name], float(error), REGENERATED_SOURCE))
    return checks


def _auc(below: np.ndarray, above: np.ndarray) -> tuple[float, float]:
    """Probability that a value of the second sample is above one of the first, ties counting half, and its error."""
    values = np.concatenate([below, above])
    labels = np.repeat([0, 1], [len(below), len(above)])
    area = Ranking(labels == 1, values).area
    return area, _auc_error(area, len(below), len(above))


def _auc_error(area: float, below: int, above: int) -> float:
    """Hanley and McNeil, Radiology 143 (1982) 29."""
    one, two = area / (2 - area), 2 * area**2 / (1 + area)
    variance = area * (1 - area) + (above - 1) * (one - area**2) + (below - 1) * (two - area**2)
    return float(np.sqrt(variance / (below * above)))


def _leading_ten(x: np.ndarray, kind: str) -> list[Comparison]:
    number = (x[..., 0] > 0).sum(axis=1)
    ten = x[(number >= genuine.FEWEST) & (number <= genuine.MOST), :10]
    if not len(ten):
        return []
    here, there = genuine.summary(ten), genuine.COUNTS[kind]
    jets_here, jets_there = len(ten), genuine.JETS[kind]
    comparisons = []
    for name, edges in genuine.EDGES.items():
        one, other = np.array(here[name], float), np.array(there[name], float)
        pooled = (one + other) / (jets_here + jets_there)
        error = np.sqrt(pooled * (1 / jets_here + 1 / jets_there)) * (one + other >= FEWEST_OF_BIN)
        comparisons.append(
            Comparison(f"{name}, {kind}", edges, one / jets_here, other / jets_there, error, genuine.SOURCE)
        )
    observed, expected = (
        np.array(counts["kinds of the ten"]) / 10 / n for counts, n in ((here, jets_here), (there, jets_there))
    )
    mean, square = (
        (np.array(here[name]) + np.array(there[name])) / (jets_here + jets_there)
        for name in ("kinds of the ten", "kinds, squared")
    )
    error = np.sqrt((square - mean**2) * (1 / jets_here + 1 / jets_there)) / 10
    edges = np.arange(len(genuine.KINDS) + 1.0)
    comparisons.append(Comparison(f"kinds of the ten, {kind}", edges, observed, expected, error, genuine.SOURCE))
    return comparisons
