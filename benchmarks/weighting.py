"""Event weights: the one place where they are normalised and validated.

Weights are None, where every event counts one, or an array (n,) of the events. Only the relative weights within a class
enter; the proportions of the classes follow from the numbers of events, as without weights: so the loss keeps its
scale, and a signal of 0.2 % of a cross section can still be trained on and distinguished.
"""

from __future__ import annotations

import numpy as np

NEGATIVE = (
    "negative weights, as from generators beyond leading order, are not supported: with them losses have no minimum "
    "and a looser cut may have a lower efficiency; give events without negative weights"
)


def by_class(labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(n,) float64 weights with a mean of one over the events of each class. labels: (n,) class indices.

    Raises ValueError if their number is not that of the labels, one is not finite or negative, or those of a class sum
    to zero."""
    if weights.shape != labels.shape:
        raise ValueError(f"expected as many weights as labels, {len(labels):,}, but got {weights.shape}")
    if fault := fault_of(weights):
        event, reason = fault
        raise ValueError(f"weights: event {event:,} has {weights[event]}: {reason}")
    numbers, sums = np.bincount(labels), np.bincount(labels, weights)
    if (empty := np.flatnonzero((numbers > 0) & (sums <= 0))).size:
        raise ValueError(f"weights of class {empty[0]} sum to zero: it needs events with a positive weight")
    scales = np.divide(numbers, sums, out=np.zeros(len(sums)), where=sums > 0)
    return np.asarray(weights * scales[labels], np.float64)


def fault_of(weights: np.ndarray) -> tuple[int, str] | None:
    """(first event, reason) if one of these weights (n,) is invalid."""
    with np.errstate(over="ignore"):
        unknown = np.flatnonzero(~np.isfinite(weights.astype(np.float32)))
    if unknown.size:
        return int(unknown[0]), "expected a finite number in single precision"
    negative = np.flatnonzero(weights < 0)
    return (int(negative[0]), NEGATIVE) if negative.size else None


def equal_spectra(labels: np.ndarray, values: np.ndarray, bins: int) -> np.ndarray:
    """(n,) float32 weights that give every class the same spectrum, the mean of the classes' own, in bins of equal
    numbers of events; 0 in a bin where a class has none. labels, values: (n,)."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1]))
    cells = np.searchsorted(edges, values, side="right")
    classes = int(labels.max(initial=0)) + 1
    counts = np.bincount(labels * (len(edges) + 1) + cells, minlength=classes * (len(edges) + 1))
    counts = counts.reshape(classes, -1).astype(np.float64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    wanted = shares.mean(axis=0) * (counts > 0).all(axis=0)  # where a class has none, nothing can be compared
    weights = np.divide(wanted, shares, out=np.zeros_like(shares), where=shares > 0)
    return np.asarray(weights[labels, cells], np.float32)
