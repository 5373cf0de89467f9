"""Checks of HEPMASS events against what is known of the official ones, and against physics.

Sources: 1601.07913 for fractions and masses; symmetries of detector and beams; masses of W and top from the PDG review,
at which combinations of jets peak within ATLAS' uncertainty of the jet energy (1112.6426); quartiles and b-tags of
140,000 rows of the official events in GeV, from `angarmin/hepmass` on GitHub, code/visualization, commit 28104d5.
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
OFFICIAL = "official events in GeV, angarmin/hepmass"
OFFICIAL_ROWS = {0: 48_092, 500: 16_315, 750: 21_855, 1000: 19_616, 1250: 20_051, 1500: 14_071}
"""Numbers of rows of background (0) and of each mass from which the following numbers were counted."""
QUARTILES = {
    "lepton_pt": (38.584, 66.036, 116.275),
    "missing_pt": (42.893, 76.254, 138.218),
    "jet1_pt": (113.394, 183.997, 321.253),
    "jet2_pt": (76.430, 112.540, 176.987),
    "jet4_pt": (32.986, 45.891, 66.095),
    "m_jj": (66.591, 83.413, 121.197),
    "m_jjj": (166.469, 178.799, 221.845),
    "m_jlv": (168.136, 214.000, 393.995),
    "m_wwbb": (582.357, 875.876, 1283.400),
}
TAGGED = (88_625, 80_409, 56_279, 34_384)  # rows in which the first to the fourth jet are
TWO_TAGGED = 120_600  # rows in which two of these jets are


def validate(arrays: Arrays, labels: np.ndarray) -> list[Check | Comparison]:
    """Checks against physics and the official events, on at most VALIDATED evenly spaced ones.

    Checks that are invariant under shift and scale of a feature apply to both kinds of files. Those in GeV are only
    for simulated events, whose normalisation is known: the one that makes numbers of jets integers.
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
        *_official(features, mass, labels),
    ]


def _masses(mass: np.ndarray, labels: np.ndarray) -> Iterator[Comparison]:
    """The five masses are equally frequent in either class."""
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
    """The combinations peak at the masses of the decaying particles, within the uncertainty of the jet energy."""
    from hepbench.benchmarks.simulation import hepmass as simulation

    raw = _in_gev(features)
    if raw is None:
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


def _in_gev(features: np.ndarray) -> np.ndarray | None:
    """None if the normalisation is not that of the simulation, with which numbers of jets would be integers."""
    from hepbench.benchmarks.simulation import hepmass as simulation

    raw = simulation.denormalise(features)
    jets = raw[:, VARIABLES.index("jets")]
    return None if np.abs(jets - np.round(jets)).max() > 1e-3 else raw


def _official(features: np.ndarray, mass: np.ndarray, labels: np.ndarray) -> Iterator[Check]:
    """Quartiles and b-tags, with events weighted to the fractions of background and masses in the official rows."""
    raw = _in_gev(features)
    kinds, kind, number = np.unique(np.where(labels == 1, mass, 0), return_inverse=True, return_counts=True)
    if raw is None or set(kinds) != set(OFFICIAL_ROWS):
        return
    weights = (np.array(list(OFFICIAL_ROWS.values())) / number)[kind]
    rng = np.random.default_rng(0)
    samples = [rng.integers(0, len(raw), len(raw)) for _ in range(PSEUDO_SAMPLES)]

    def quartiles(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return np.asarray(np.quantile(values, [0.25, 0.5, 0.75], weights=weights, method="inverted_cdf"))

    for name, quantiles in QUARTILES.items():
        values = raw[:, VARIABLES.index(name)]
        spread = np.std([quartiles(values[drawn], weights[drawn]) for drawn in samples], axis=0)
        rows = zip((25, 50, 75), quartiles(values, weights), quantiles, spread, strict=True)
        for share, observed, expected, error in rows:
            yield Check(f"{name} in GeV, quantile of {share} %", observed, expected, error, OFFICIAL)
    tags = raw[:, [VARIABLES.index(f"jet{jet}_b_tag") for jet in (1, 2, 3, 4)]] > 0.5
    counted = {f"jet {jet}": (tags[:, jet - 1], rows) for jet, rows in enumerate(TAGGED, 1)}
    counted["two of the four jets"] = (tags.sum(axis=1) == 2, TWO_TAGGED)
    for which, (tagged, count) in counted.items():
        official = count / sum(OFFICIAL_ROWS.values())
        error = float(np.sqrt(official * (1 - official) * (weights**2).sum()) / weights.sum())
        figure = f"share with a b-tag, {which}, as of the file in GeV"
        yield Check(figure, float(np.average(tagged, weights=weights)), official, error, OFFICIAL)


def mode(values: np.ndarray) -> float:
    """Half-sample mode (Bickel and Fruehwirth, math/0505419): the densest half of the densest half, and so on."""
    values = np.sort(values)
    while len(values) > 3:
        half = (len(values) + 1) // 2
        start = int(np.argmin(values[half - 1 :] - values[: len(values) - half + 1]))
        values = values[start : start + half]
    return float(values.mean())
