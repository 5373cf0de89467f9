"""Subsets of events where using all would take too long."""

from __future__ import annotations

import numpy as np


def evenly_spaced(number: int, most: int) -> np.ndarray:
    """(n,) int64 distinct rows from the first to the last of `number`, at most `most` of them, in rising order."""
    return np.unique(np.linspace(0, number - 1, min(number, most)).astype(np.int64))
