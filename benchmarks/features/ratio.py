"""Ratios of sums over an event, some of which are empty."""

from __future__ import annotations

import numpy as np


def ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """(N,) float64, above / below, both (N,); 0 where `below` is not above 0."""
    result: np.ndarray = np.divide(above, below, out=np.zeros(len(below)), where=below > 0)
    return result
