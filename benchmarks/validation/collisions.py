"""Checks of HIGGS and SUSY events against physics, since no numbers of the official files are known here.

Sources: symmetries of detector and beams; masses of decaying particles, at which combinations of jets peak within
ATLAS' uncertainty of the jet energy (1112.6426). Peaks in GeV are only for simulated events, whose normalisation is
known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from hepbench.benchmarks.base import Check
from hepbench.benchmarks.validation.hepmass import JET_SCALE, PSEUDO_SAMPLES, mode

VALIDATED = 20_000  # events at most
FEWEST = 20  # events of a class


def symmetries(features: np.ndarray, variables: Sequence[str]) -> Iterator[Check]:
    """A detector has no preferred direction in azimuth and no preferred end, whatever the normalisation."""
    for name in variables:
        if not name.endswith(("_phi", "_eta")):
            continue
        z = features[:, variables.index(name)].astype(np.float64)
        z = (z - z.mean()) / z.std()
        if name.endswith("_phi"):
            # Of a uniform variable: E z^4 = 9/5, and z^4 - (18/5) z^2, to which the estimate is linear, varies by 1.317
            error = float(np.sqrt(1.317 / len(z)))
            yield Check(f"{name}, kurtosis", float((z**4).mean()), 1.8, error, "uniform in azimuth")
        else:
            error = float((z**3 - 3 * z).std() / np.sqrt(len(z)))
            yield Check(f"{name}, skewness", float((z**3).mean()), 0.0, error, "equal beams")


def peak(name: str, values: np.ndarray, expected: float, source: str) -> Iterator[Check]:
    """The mode of these values in GeV, which should be a mass."""
    if len(values) < FEWEST:
        return
    rng = np.random.default_rng(0)
    spread = np.std([mode(rng.choice(values, len(values))) for _ in range(PSEUDO_SAMPLES)])
    error = float(np.hypot(spread, JET_SCALE * expected))
    yield Check(
        f"{name} in GeV, most frequent", mode(values), expected, error, f"{source}; jet energy to 4 %, 1112.6426"
    )
