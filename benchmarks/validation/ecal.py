"""Figures of genuine calorimeter images that events are held against.

Source: 200 images (98 photons, 102 electrons) of the official files, from which GENUINE was taken; energies in units
of 50 GeV, widths in crystals, AUCs with electrons as signal.
"""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from hepbench.benchmarks.base import Arrays, Check
from hepbench.benchmarks.features import calorimeter
from hepbench.benchmarks.formats.ecal import CHUNK, CLASSES
from hepbench.benchmarks.sampling import evenly_spaced
from hepbench.benchmarks.scored import Ranking

GENUINE_EVENTS = (98, 102)
GENUINE_SOURCE = "200 genuine images (98 photons, 102 electrons)"
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


def validate(arrays: Arrays, labels: np.ndarray) -> list[Check]:
    """The figures of GENUINE on at most VALIDATED evenly spaced events; none where a class is missing.

    The error is that of the genuine sample, the spread of the figure among pseudo-samples of as many events drawn
    from those at hand; with that of the events at hand, smaller by the root of their number; and with the rounding of
    the genuine figure as it is known.
    """
    rows = evenly_spaced(len(labels), VALIDATED)
    labels = labels[rows]
    of_class = [np.flatnonzero(labels == kind) for kind in (0, 1)]
    if not all(len(events) for events in of_class):
        return []
    # In chunks, so that memory-mapped images are not all in memory at once.
    chunks = [arrays["image"][rows[start : start + CHUNK]] for start in range(0, len(rows), CHUNK)]
    shapes = np.concatenate([calorimeter.shower_shapes(chunk) for chunk in chunks]).astype(np.float64)
    columns = dict(zip(calorimeter.SHOWER_SHAPES, shapes.T, strict=True))
    energies = np.concatenate([chunk[..., 0][chunk[..., 0] > 0] for chunk in chunks])
    hits = np.split(energies, np.cumsum(columns["hits"].astype(np.int64))[:-1])

    rng = np.random.default_rng(0)
    samples = [
        _figures(columns, hits, *(rng.choice(events, n) for events, n in zip(of_class, GENUINE_EVENTS, strict=True)))
        for _ in range(PSEUDO_SAMPLES)
    ]
    observed = _figures(columns, hits, *of_class)
    checks = []
    for figure, expected in GENUINE.items():
        drawn = np.array([sample[figure] for sample in samples])
        value = drawn.mean() if "of 200" in figure else observed[figure]
        rounding = float(Decimal(1).scaleb(int(Decimal(repr(expected)).as_tuple().exponent))) / np.sqrt(12)
        error = np.hypot(drawn.std() * np.sqrt(1 + min(GENUINE_EVENTS) / min(map(len, of_class))), rounding)
        checks.append(Check(figure, float(value), expected, float(error), GENUINE_SOURCE))
    return checks


def _figures(
    columns: dict[str, np.ndarray], hits: list[np.ndarray], photons: np.ndarray, electrons: np.ndarray
) -> dict[str, float]:
    """Those of GENUINE. columns: variables of all events; hits: their hits' energies; photons, electrons: events."""
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
