"""Checks of clusters in the Belle II pixel detector, and of their simulation, against what is known.

Sources: the digitiser of belle2/basf2 (charge of pions, threshold, pedestals, noise), the PDG review (Landau's most
probable loss, Bethe's mean) and Ahlen for monopoles. Charges are in ADC units of about 217 electrons, sizes in pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hepbench.benchmarks.base import Arrays, Check
from hepbench.benchmarks.features import pixel_clusters
from hepbench.benchmarks.formats import pxd_clusters, pxd_pixels
from hepbench.benchmarks.sampling import evenly_spaced
from hepbench.benchmarks.simulation import pxd

VALIDATED = 20_000  # clusters at most
NONE = np.zeros((0, len(pixel_clusters.CLUSTER_VARIABLES)))
BASF2 = "digitiser of belle2/basf2"
SIMULATED = 8000  # particles of one kind at one momentum
ABOUT = 0.1  # relative error of a figure that is known as "about"
FIXED = {"pion": 3.5, "proton": 1.0, "deuteron": 0.9, "tetraquark": 0.65}  # beta gamma


def validate_clusters(arrays: Arrays, labels: np.ndarray, classes: Sequence[str] = pxd_clusters.CLASSES) -> list[Check]:
    """Checks of the six variables against the digitiser and the literature, and the simulation at fixed momenta."""
    rows = evenly_spaced(len(labels), VALIDATED)
    table, labels = np.asarray(arrays["table"][rows]), labels[rows]
    of = {kind: table[labels == label] for label, kind in enumerate(classes)}
    return of_clusters(of) + of_simulation()


def validate_pixels(arrays: Arrays, labels: np.ndarray, classes: Sequence[str] = pxd_pixels.CLASSES) -> list[Check]:
    """Checks of the matrices against the digitiser and the literature, and the simulation at fixed momenta.

    Means have their statistical error; a number known only approximately has an error of 10 %.
    """
    rows = evenly_spaced(len(labels), VALIDATED)
    charge, labels = np.asarray(arrays["image"][rows]), labels[rows]
    of = {kind: charge[labels == label] for label, kind in enumerate(classes)}
    checks = of_clusters({kind: pixel_clusters.six(charges) for kind, charges in of.items()})
    for kind, more in (("monopole", of_saturation), ("pion", of_noise)):
        if len(of.get(kind, NONE)):
            checks += more(of[kind])
    return checks + of_simulation()


def of_clusters(six: Mapping[str, np.ndarray]) -> list[Check]:
    """Checks of the clusters' six variables by particle type; types without clusters are left out."""
    checks = []
    if len(pions := six.get("pion", NONE)):
        mode, error = most_probable(pions[:, 0])
        expected = 6000 / pxd.UNIT
        figure = "pion, most probable cluster charge (6000 e)"
        checks.append(Check(figure, mode, expected, float(np.hypot(error, ABOUT * expected)), BASF2))
    if len(background := six.get("background", NONE)):
        share = float((background[:, 3] == 1).mean())
        error = np.hypot(np.sqrt(share * (1 - share) / len(background)), ABOUT * 0.5)
        figure = "background, share of single pixels (over a half)"
        checks.append(
            Check(figure, share, 0.5, float(error), "literature on Belle II data; an input of the simulation")
        )
    lowest = min(float(table[:, 2].min()) for table in six.values() if len(table))
    checks.append(Check("lowest charge of a pixel", lowest, pxd.THRESHOLD, 0.5, BASF2))
    return checks


def of_saturation(monopoles: np.ndarray) -> list[Check]:
    """Mean and spread of the pixels in a monopole's core, those with all eight neighbours above 60 units. They are
    selected by their neighbours, so that a low code due to a high pedestal counts like any other."""
    high = np.pad(monopoles > 60, ((0, 0), (1, 1), (1, 1)))
    size = monopoles.shape[1]
    around = [high[:, i : i + size, j : j + size] for i in range(3) for j in range(3) if (i, j) != (1, 1)]
    values = monopoles[np.logical_and.reduce(around)].astype(np.float64)
    if len(values) < 100:
        return []
    spread = pxd.PEDESTAL_SPREAD
    # The pedestal's mean and spread are nominal values, known to a unit.
    return [
        Check(
            "monopole, mean of the core's pixels", values.mean(), 155.0, np.hypot(spread / len(values) ** 0.5, 1), BASF2
        ),
        Check("monopole, spread of them", values.std(), spread, np.hypot(spread / (2 * len(values)) ** 0.5, 1), BASF2),
    ]


def of_noise(images: np.ndarray) -> list[Check]:
    """Fraction of firing pixels at a distance of two pixels or more from the cluster."""
    from scipy.ndimage import binary_dilation

    around = np.zeros((3, 3, 3), bool)
    around[1] = True
    mask = pixel_clusters.of_seed(images)
    far = ~binary_dilation(mask, around, iterations=2)
    pixels, fired = int(far.sum()), int((images[far] > 0).sum())
    expected = pxd.NOISE_FRACTION
    error = np.sqrt(max(fired, expected * pixels, 1)) / max(pixels, 1)
    return [Check("pion, share of pixels that fire by noise", fired / max(pixels, 1), expected, float(error), BASF2)]


def of_simulation() -> list[Check]:
    """The simulation itself at fixed momenta and angles, compared with formulae."""
    checks = []
    for kind, beta_gamma in FIXED.items():
        loss = total_losses(kind, beta_gamma, SIMULATED)
        mode, error = most_probable(loss)
        expected = float(pxd.most_probable_loss(kind, np.array([beta_gamma]), pxd.THICKNESS)[0])
        # Landau's formula for thin layers, without the shells' binding, holds to some 5 %.
        error = float(np.hypot(error, 0.05 * expected))
        figure = f"simulation: {kind} at beta gamma {beta_gamma:g}, most probable loss in 75 um, keV"
        checks.append(Check(figure, mode, expected, error, "PDG review, Landau's most probable loss"))
    for kind, beta_gamma in {**FIXED, "monopole": 3.0}.items():
        loss = total_losses(kind, beta_gamma, SIMULATED)
        expected = float(pxd.mean_loss(kind, np.array([beta_gamma]))[0]) * pxd.THICKNESS
        error = float(loss.std() / np.sqrt(len(loss)))
        figure = f"simulation: {kind} at beta gamma {beta_gamma:g}, mean loss in 75 um, keV"
        checks.append(Check(figure, float(loss.mean()), expected, error, "PDG review, Bethe; for monopoles Ahlen"))
    for degrees in (0, 30, 45, 60):
        checks.append(_size_at(degrees))
    return checks


def total_losses(kind: str, beta_gamma: float, events: int) -> np.ndarray:
    """keV lost by particles that cross at right angles."""
    rng = np.random.default_rng(0)
    every = np.full(events, beta_gamma)
    kept, (event, _, energy) = pxd.losses(kind, every, np.full(events, pxd.THICKNESS), rng)
    result: np.ndarray = kept.sum(axis=1) + np.bincount(event, energy, minlength=events)
    return result


def _size_at(degrees: float) -> Check:
    """Mean size in v of protons, by the angle of their path in the plane of v and the normal.

    A path over a length L meets 1 + L / pitch columns on average, wherever it begins. At either end a column counts
    up to the distance at which the charge that spreads there falls below the threshold.
    """
    from scipy.optimize import brentq
    from scipy.stats import norm

    events, pitch, beta_gamma = 4000, 55.0, 0.6
    rng = np.random.default_rng(1)
    slope = float(np.tan(np.radians(degrees)))
    crossing = {
        "beta_gamma": np.full(events, beta_gamma),
        "tan_u": np.zeros(events),
        "tan_v": np.full(events, slope),
        "layer": np.zeros(events, np.int64),
        "pitch_v": np.full(events, pitch),
    }
    sizes = pixel_clusters.six(pxd.digitise(pxd.deposit("proton", crossing, rng), rng))[:, 5]

    path = pxd.THICKNESS * np.hypot(1, slope)
    total = float(pxd.most_probable_loss("proton", np.array([beta_gamma]), path)[0]) / pxd.PAIR
    threshold = pxd.THRESHOLD * pxd.UNIT
    # Half of a pixel's edges are at sources, half at drains, with borders of their own.
    reaches = []
    for border in pxd.BORDER_V[0]:
        spread = float(np.hypot(pxd.drift(np.array([pxd.THICKNESS / 2]))[2][0], border / np.sqrt(3)))
        length = pxd.THICKNESS * slope
        if length < spread:
            reaches.append(spread * norm.isf(threshold / total))
        else:
            density = total / length
            reaches.append(
                brentq(lambda x, s=spread, d=density: d * s * _overhang(x / s) - threshold, -20 * spread, 20 * spread)
            )
    expected = 1 + (pxd.THICKNESS * slope + 2 * float(np.mean(reaches))) / pitch
    error = float(np.hypot(sizes.std() / np.sqrt(events), 2.0 / pitch))
    figure = f"simulation: size in v at {degrees} degrees, pixels"
    source = "75 um tan(theta) / pitch, and the threshold's reach at either end, 1 um each"
    return Check(figure, float(sizes.mean()), expected, error, source)


def _overhang(x: float) -> float:
    """Charge beyond x standard deviations of a uniform line's end, for a charge of 1 on each standard deviation."""
    from scipy.stats import norm

    return float(norm.pdf(x) - x * norm.sf(x))


def most_probable(values: np.ndarray) -> tuple[float, float]:
    """Most probable value, the vertex of a parabola through the logarithm of a histogram's peak, and its error from
    ten parts of the sample."""

    def mode(sample: np.ndarray) -> float:
        low, high = np.quantile(sample, [0.005, 0.9])
        counts, edges = np.histogram(sample, bins=60, range=(low, high))
        centres = (edges[1:] + edges[:-1]) / 2
        smooth = np.convolve(counts, np.ones(5) / 5, mode="same")
        peak = smooth.max()
        top = smooth > 0.7 * peak
        a, b, _ = np.polyfit(centres[top], np.log(smooth[top]), 2, w=np.sqrt(smooth[top]))
        return float(-b / (2 * a)) if a < 0 else float(centres[np.argmax(smooth)])

    if len(values) < 500:
        return float(np.median(values)), float(np.std(values))
    parts = [mode(values[part::10]) for part in range(10)]
    return mode(values), float(np.std(parts) / np.sqrt(10))
