"""Checks of quark and gluon images.

Sources: the analysis code of the official data for what its construction fixes (equal pixels of an HCAL tower, equal
numbers of both classes, the least pT); CMS and OPAL for tracks. No pixel of the official files was at hand.
"""

from __future__ import annotations

import numpy as np

from hepbench.benchmarks.base import Arrays, Check
from hepbench.benchmarks.features.jet_images import JET, PIXEL
from hepbench.benchmarks.features.ratio import ratio
from hepbench.benchmarks.formats.qg_images import BLOCK, SIZE
from hepbench.benchmarks.formats.sparse_images import Sparse
from hepbench.benchmarks.sampling import evenly_spaced

VALIDATED = 20_000  # jets at most
CHARGED_SOURCE = "65 % of a jet's energy is charged (1706.04965), 95 % of that tracked (1405.6569)"
TRACKS_SOURCE = "OPAL, hep-ex/9903027, whole jets of 40 GeV (reported, unverified); +- 0.15 for cone and initial state"


def validate(arrays: Arrays, labels: np.ndarray) -> list[Check]:
    """Checks against the construction of the official data and the literature, on at most VALIDATED evenly spaced jets;
    empty if a class is missing. No pixel of the official files was available for calibration."""
    rows = evenly_spaced(len(labels), VALIDATED)
    labels = labels[rows]
    if len(np.unique(labels)) < 2:
        return []
    context = np.asarray(arrays["context"][rows], np.float64)
    chunks = np.array_split(rows, -(-len(rows) // 500))
    figures = [_figures(arrays["image"], arrays["context"], chunk) for chunk in chunks]
    whole, tracks, charged = (np.concatenate(values) for values in zip(*figures, strict=True))
    means = [tracks[labels == kind].mean() for kind in (0, 1)]
    errors = [tracks[labels == kind].std() / np.sqrt((labels == kind).sum()) / means[kind] for kind in (0, 1)]
    gluon_to_quark = means[0] / means[1]
    spacing = (np.quantile(context[:, 0], 0.1) - context[:, 0].min()) / (0.1 * len(rows))
    root = np.sqrt(len(rows))
    error = np.hypot(gluon_to_quark * np.hypot(*errors), 0.15)
    code = "analysis code of the official data"
    return [
        Check("HCAL blocks with equal pixels, share", whole.mean(), 1.0, 1e-3, code),
        Check("quark jets, share", labels.mean(), 0.5, 0.5 / root, code),
        Check("pt, lowest, GeV", context[:, 0].min(), 70.0, 3 * spacing, code),
        Check("track pT / pt, mean", charged.mean(), 0.62, np.hypot(0.03, charged.std() / root), CHARGED_SOURCE),
        Check("tracks, gluon / quark", gluon_to_quark, 1.514, error, TRACKS_SOURCE),
    ]


def _figures(image: Sparse, context: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each jet: fraction of its HCAL blocks with equal pixels; tracks within 0.5 of the centre, less the pile-up
    expected from a ring of 0.7 to 1; their pT divided by that of the jet."""
    event, index, energy = image.hits(rows)
    pixel, channel = np.divmod(index, 3)
    row, column = np.divmod(pixel, SIZE)
    hcal, towers = channel == 2, SIZE // BLOCK
    block = (event[hcal] * towers + row[hcal] // BLOCK) * towers + column[hcal] // BLOCK
    blocks, number = len(rows) * towers**2, BLOCK**2
    filled = np.bincount(block, minlength=blocks).reshape(len(rows), -1)
    mean = np.bincount(block, energy[hcal], minlength=blocks).reshape(len(rows), -1) / number
    square = np.bincount(block, energy[hcal].astype(np.float64) ** 2, minlength=blocks).reshape(len(rows), -1) / number
    equal = (filled == number) & (np.abs(square - mean**2) <= 1e-6 * mean**2)
    whole = ratio(equal.sum(axis=1).astype(float), (filled > 0).sum(axis=1))

    r = np.hypot(row - SIZE // 2, column - SIZE // 2) * PIXEL
    near, ring = (channel == 0) & (r < JET), (channel == 0) & (r > 0.7) & (r < 1.0)
    expected = np.bincount(event[ring], minlength=len(rows)) * JET**2 / (1.0 - 0.7**2)
    tracks = np.bincount(event[near], minlength=len(rows)) - expected
    charged = np.bincount(event[near], energy[near], minlength=len(rows)) / np.asarray(context[rows])[:, 0]
    return whole, tracks, charged
