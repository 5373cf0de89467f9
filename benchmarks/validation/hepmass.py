"""What physics says of HEPMASS events, since no figure of the official file is known here.

Sources: 1601.07913 for shares and masses; symmetries of detector and beams; masses of W and top of the PDG review, at
which combinations of jets peak as well as ATLAS knows the energy of jets (1112.6426).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hepbench.benchmarks.base import Arrays, Check, Comparison
from hepbench.benchmarks.formats.hepmass import CLASSES, MASSES, VARIABLES
from hepbench.benchmarks.sampling import evenly_spaced

VALIDATED = 20_000  # events at most
PSEUDO_SAMPLES = 50
JET_SCALE = 0.04  # share by which the energy of jets below 60 GeV is known: ATLAS, 1112.6426


def validate(arrays: Arrays, labels: np.ndarray) -> list[Check | Comparison]:
    """What physics says of at most VALIDATED evenly spaced events, since no figure of the official file is known.

    Checks that no shift or scale of a feature moves serve both kinds of file. Those in GeV are given for simulated
    events alone, whose normalisation is known; it is the known one if it makes numbers of jets whole.
    """
    rows = evenly_spaced(len(labels), VALIDATED)
    labels, features = labels[rows], np.asarray(arrays["features"][rows], np.float64)
    mass = np.asarray(arrays["mass"][rows])[:, 0]
    if not all((labels == label).any() for label in (0, 1)):
        return []
    return [
        Check("share of signal", (labels == 1).mean(), 0.5, 0.5 / np.sqrt(len(labels)), "1601.07913: half of the rows"),
        *_masses(mass, labels),
        *_symmetries(features, mass, labels),
        *_peaks(features, mass, labels),
    ]


def _masses(mass: np.ndarray, labels: np.ndarray) -> Iterator[Comparison]:
    """Each of the five masses is as frequent as the others in either class."""
    edges = np.array([*(m - 125 for m in MASSES), MASSES[-1] + 125], np.float64)
    for label, kind in enumerate(CLASSES):
        of_class = mass[labels == label]
        observed = np.histogram(of_class, edges)[0] / len(of_class)
        error = np.full(len(MASSES), np.sqrt(0.2 * 0.8 / len(of_class)))
        yield Comparison(
            f"mass, {kind}", edges, observed, np.full(len(MASSES), 0.2), error, "1601.07913: equal numbers"
        )


def _symmetries(features: np.ndarray, mass: np.ndarray, labels: np.ndarray) -> Iterator[Check]:
    """A detector has no preferred direction in azimuth and no preferred end; a background event has no mass."""
    for name in ("lepton_phi", "missing_phi", "jet1_phi"):
        z = _standard(features[:, VARIABLES.index(name)])
        # Of a uniform variable: E z^4 = 9/5, and z^4 - (18/5) z^2, to which the estimate is linear, varies by 1.317.
        error = np.sqrt(1.317 / len(z))
        yield Check(f"{name}, kurtosis", (z**4).mean(), 1.8, error, "uniform in azimuth")
    for name in ("lepton_eta", "jet1_eta"):
        z = _standard(features[:, VARIABLES.index(name)])
        error = (z**3 - 3 * z).std() / np.sqrt(len(z))
        yield Check(f"{name}, skewness", (z**3).mean(), 0.0, error, "equal beams")
    background = labels == 0
    z = _standard(features[background, VARIABLES.index("m_wwbb")]) * _standard(mass[background])
    yield Check(
        "background, correlation of m_wwbb and mass", z.mean(), 0.0, len(z) ** -0.5, "1601.07913: mass drawn at random"
    )


def _standard(values: np.ndarray) -> np.ndarray:
    result: np.ndarray = (values - values.mean()) / values.std()
    return result


def _peaks(features: np.ndarray, mass: np.ndarray, labels: np.ndarray) -> Iterator[Check]:
    """The combinations peak at the masses of what they are made of, as well as the energy of jets is known."""
    from hepbench.benchmarks.simulation import hepmass as simulation

    raw = simulation.denormalise(features)
    jets = raw[:, VARIABLES.index("jets")]
    if np.abs(jets - np.round(jets)).max() > 1e-3:
        return
    background = labels == 0
    selections = [
        ("m_jj", "background", background, simulation.W_MASS, "W, PDG"),
        ("m_jjj", "background", background, simulation.TOP_MASS, "top, PDG"),
        ("m_jlv", "background", background, simulation.TOP_MASS, "top, PDG"),
        *(("m_wwbb", f"X of {m} GeV", (labels == 1) & (mass == m), m, "X as generated") for m in MASSES),
    ]
    rng = np.random.default_rng(0)
    for name, of, chosen, expected, source in selections:
        values = raw[chosen, VARIABLES.index(name)]
        if len(values) < 20:
            continue
        spread = np.std([mode(rng.choice(values, len(values))) for _ in range(PSEUDO_SAMPLES)])
        error = np.hypot(spread, JET_SCALE * expected)
        source = f"{source}; jet energy to 4 %, 1112.6426"
        yield Check(f"{name} in GeV, {of}, most frequent", mode(values), expected, error, source)


def mode(values: np.ndarray) -> float:
    """Half-sample mode (Bickel and Fruehwirth, math/0505419): the densest half of the densest half, and so on."""
    values = np.sort(values)
    while len(values) > 3:
        half = (len(values) + 1) // 2
        start = int(np.argmin(values[half - 1 :] - values[: len(values) - half + 1]))
        values = values[start : start + half]
    return float(values.mean())
