"""Conversion between variables in GeV and radians and the shifted and scaled ones of the UCI files."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Normalisation = Sequence[tuple[float, float]]
"""Shift and scale of each variable."""


def normalise(raw: np.ndarray, normalisation: Normalisation) -> np.ndarray:
    """From GeV and radians to the file's units, (n, variables)."""
    shift, scale = np.array(normalisation).T
    return np.asarray((raw - shift) / scale)


def denormalise(features: np.ndarray, normalisation: Normalisation) -> np.ndarray:
    """Back to GeV and radians, in float64."""
    shift, scale = np.array(normalisation).T
    return np.asarray(features.astype(np.float64) * scale + shift)
