"""Checks of calorimeter images against numbers from genuine ones.

Source: 200 images (98 photons, 102 electrons) of the official files, from which GENUINE and the distributions and
correlations of `ecal_reference` were taken; energies in units of 50 GeV, widths in crystals, AUCs with electrons as
signal.
"""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from hepbench.benchmarks.base import Arrays, Check, Comparison
from hepbench.benchmarks.features import calorimeter
from hepbench.benchmarks.formats.ecal import CHUNK, CLASSES
from hepbench.benchmarks.sampling import evenly_spaced
from hepbench.benchmarks.scored import Ranking
from hepbench.benchmarks.validation import ecal_reference as genuine

GENUINE_EVENTS = tuple(genuine.EVENTS[kind] for kind in CLASSES)
GENUINE = {
    "hits, photon, mean": 45.2,
    "hits, electron, mean": 51.2,
    "E_max/E, photon, mean": 0.579,
    "E_max/E, electron, mean": 0.516,
    "eta width, photon, mean": 0.731,
    "eta width, electron, mean": 0.769,
    "phi width, photon, mean": 1.049,
    "phi width, electron, mean": 1.267,
    "phi width, photon, median": 0.833,
    "phi width, electron, median": 0.996,
    "hit energy, 1 % quantile": 5.7e-5,
    "hit energy, 5 % quantile": 2.7e-4,
    "hit energy, 25 % quantile": 1.2e-3,
    "hit energy, 50 % quantile": 2.2e-3,
    "hit energy, 75 % quantile": 5.8e-3,
    "hit energy, 95 % quantile": 8.8e-2,
    "hit energy, 99 % quantile": 0.67,
    "total energy, median": 1.18,
    "total energy, lowest of 200": 0.48,
    "total energy, highest of 200": 1.84,
    "total energy, AUC": 0.51,
    "hits, AUC": 0.62,
    "E_max/E, AUC": 0.38,
    "eta width, AUC": 0.57,
    "phi width, AUC": 0.62,
}
PSEUDO_SAMPLES = 200
VALIDATED = 20_000  # events at most


def validate(arrays: Arrays, labels: np.ndarray) -> list[Check | Comparison]:
    """The numbers of GENUINE on at most VALIDATED evenly spaced events, and the shapes of `ecal_reference`; empty if a
    class is missing.

    The error of a number combines that of the genuine sample, the spread among pseudo-samples of the same size drawn
    from the present events; that of the present events, smaller by the root of their number; and the rounding of the
    genuine number.
    """
    rows = evenly_spaced(len(labels), VALIDATED)
    labels = labels[rows]
    of_class = [np.flatnonzero(labels == kind) for kind in (0, 1)]
    if not all(len(events) for events in of_class):
        return []
    # In chunks, so that memory-mapped images are not all in memory at once.
    chunks = [arrays["image"][rows[start : start + CHUNK]] for start in range(0, len(rows), CHUNK)]
    variables = np.concatenate([calorimeter.shower_shapes(chunk) for chunk in chunks]).astype(np.float64)
    columns = dict(zip(calorimeter.SHOWER_SHAPES, variables.T, strict=True))
    energies = np.concatenate([chunk[..., 0][chunk[..., 0] > 0] for chunk in chunks])
    hits = np.split(energies, np.cumsum(columns["hits"].astype(np.int64))[:-1])

    rng = np.random.default_rng(0)
    samples = [
        _figures(columns, hits, *(rng.choice(events, n) for events, n in zip(of_class, GENUINE_EVENTS, strict=True)))
        for _ in range(PSEUDO_SAMPLES)
    ]
    observed = _figures(columns, hits, *of_class)
    checks: list[Check | Comparison] = []
    for figure, expected in GENUINE.items():
        drawn = np.array([sample[figure] for sample in samples])
        value = drawn.mean() if "of 200" in figure else observed[figure]
        rounding = float(Decimal(1).scaleb(int(Decimal(repr(expected)).as_tuple().exponent))) / np.sqrt(12)
        error = np.hypot(drawn.std() * np.sqrt(1 + min(GENUINE_EVENTS) / min(map(len, of_class))), rounding)
        checks.append(Check(figure, float(value), expected, float(error), genuine.SOURCE))
    for kind, events in zip(CLASSES, of_class, strict=True):
        checks += shapes({name: values[events] for name, values in columns.items()}, kind)
    return checks


def shapes(columns: dict[str, np.ndarray], kind: str) -> list[Check | Comparison]:
    """Comparisons with `ecal_reference` for one class. columns: variables of its events.

    A distribution is compared in the intervals between the genuine quantiles, whose fractions are known; chi2 is
    Pearson's with the errors of both samples.
    """
    from scipy.stats import spearmanr

    found: list[Check | Comparison] = []
    events = len(columns["hits"])
    for name, (expected, of_mean) in ((name, means[kind]) for name, means in genuine.MEANS.items()):
        values = columns[name]
        error = np.hypot(of_mean, values.std() / np.sqrt(events))
        found.append(Check(f"{name}, {kind}, mean", float(values.mean()), expected, float(error), genuine.SOURCE))
    for (one, other), correlations in genuine.CORRELATIONS.items():
        observed = float(spearmanr(columns[one], columns[other]).statistic)
        error = np.hypot(genuine.CORRELATION_ERROR, 1 / np.sqrt(events))
        figure = f"correlation {one} {other}, {kind}"
        found.append(Check(figure, observed, correlations[kind], float(error), genuine.SOURCE))

    shares = np.diff([0, *genuine.LEVELS, 1])
    error = np.sqrt(shares * (1 / genuine.EVENTS[kind] + 1 / events))
    for name, quantiles in genuine.QUANTILES.items():
        values, inner = columns[name], np.array(quantiles[kind])
        here = np.bincount(np.searchsorted(inner, values), minlength=len(shares)) / events
        # The outer intervals are drawn to where nearly all events are.
        low, high = np.quantile(values, [0.01, 0.99])
        edges = np.array([min(low, 2 * inner[0] - inner[1]), *inner, max(high, 2 * inner[-1] - inner[-2])])
        found.append(Comparison(f"{name}, {kind}", edges, here, shares, error, genuine.SOURCE))
    return found


def _figures(
    columns: dict[str, np.ndarray], hits: list[np.ndarray], photons: np.ndarray, electrons: np.ndarray
) -> dict[str, float]:
    """The numbers of GENUINE. columns: variables of all events; hits: energies of their hits; photons, electrons:
    events."""
    both = np.concatenate([photons, electrons])
    variables = {
        "hits": columns["hits"],
        "E_max/E": columns["seed_fraction"],
        "eta width": columns["eta_width"],
        "phi width": columns["phi_width"],
    }
    figures = {}
    for kind, events in zip(CLASSES, (photons, electrons), strict=True):
        for name, values in variables.items():
            figures[f"{name}, {kind}, mean"] = values[events].mean()
            figures[f"{name}, {kind}, median"] = np.median(values[events])
    total = np.exp(columns["log_energy"])
    energies = np.concatenate([hits[event] for event in both])
    for percent in (1, 5, 25, 50, 75, 95, 99):
        figures[f"hit energy, {percent} % quantile"] = np.quantile(energies, percent / 100)
    figures["total energy, median"] = np.median(total[both])
    figures["total energy, lowest of 200"] = total[both].min()
    figures["total energy, highest of 200"] = total[both].max()
    labels = np.repeat([0, 1], [len(photons), len(electrons)])
    for name, values in (variables | {"total energy": total}).items():
        figures[f"{name}, AUC"] = Ranking(labels == 1, values[both]).area
    return figures
