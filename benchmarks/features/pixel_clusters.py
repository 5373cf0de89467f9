"""Views of pixel clusters, and their variables: what remains of a matrix of charges if only cluster variables leave the
detector.

A cluster is the set of fired pixels connected with the seed, the pixel with the highest charge; pixels that touch at a
corner are connected, as in the PXD clustering of basf2. The first axis of a matrix is u, across the ladder, the second
v, along the beam.
"""

from __future__ import annotations

import numpy as np

from hepbench.benchmarks.base import Arrays
from hepbench.benchmarks.features import calorimeter
from hepbench.benchmarks.features.ratio import ratio

PITCH = 0.05  # mm in u; that in v is not in the files

CLUSTER_VARIABLES = ("charge", "seed_charge", "minimum_charge", "size", "size_u", "size_v")
"""Charge of the cluster, of its seed and of its weakest pixel; pixels; extent in u and in v, in pixels."""

SHAPE_VARIABLES = (
    "mean_charge",
    "seed_fraction",
    "second_charge",
    "charge_spread",
    "width_u",
    "width_v",
    "covariance_uv",
    "skewness_u",
    "skewness_v",
    "major_axis",
    "minor_axis",
    "filling",
    "saturated",
    "e3x3_fraction",
    "outside_charge",
    "outside_pixels",
)


def image(arrays: Arrays) -> Arrays:
    """(N, 9, 9, 1) float32, ADC units."""
    return {"image": arrays["image"][:].astype(np.float32)[..., None]}


def cloud(arrays: Arrays) -> Arrays:
    """Fired pixels by falling charge: points as if all pixels were 50 um wide, distances from the window's centre in u
    and v, the logarithm of the charge, that of its fraction, and the distance."""
    return calorimeter.image_to_cloud(image(arrays)["image"], points=32, pitch=PITCH)


def table(arrays: Arrays) -> Arrays:
    """The six variables of the cluster and its shape; sources in `shapes`."""
    return {"table": shapes(arrays["image"][:])}


def seeds(charge: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns (N,) of the highest pixel of (N, H, W) matrices, the first of equal ones."""
    return np.divmod(charge.reshape(len(charge), -1).argmax(axis=1), charge.shape[2])


def of_seed(charge: np.ndarray) -> np.ndarray:
    """(N, H, W) bool, true for the pixels of the cluster with the seed."""
    from scipy.ndimage import label

    touching = np.zeros((3, 3, 3), bool)
    touching[1] = True  # never from one matrix to the next
    number, _ = label(charge > 0, touching)
    own = number[np.arange(len(charge)), *seeds(charge)]
    result: np.ndarray = (number == own[:, None, None]) & (number > 0)
    return result


def six(charge: np.ndarray) -> np.ndarray:
    """(N, 6) float32, the CLUSTER_VARIABLES of (N, H, W) matrices; zeros for a matrix without a fired pixel."""
    return _six(charge, of_seed(charge)).astype(np.float32)


def shapes(charge: np.ndarray, ceiling: float = 100.0) -> np.ndarray:
    """(N, 6 + len(SHAPE_VARIABLES)) float32, CLUSTER_VARIABLES and then SHAPE_VARIABLES of (N, H, W) matrices.

    Sources: the six are the cluster data of Belle II's searches (1906.04942). The others are moments of the charge
    about its centre, the image moments of Hillas (ICRC 1985) that calorimeters and pixels share: mean charge; the
    seed's share; the second highest pixel; the standard deviation of the pixels' charges; root mean square widths in
    u and v, their covariance and skewnesses, and the axes of the ellipse, in pixels. filling is size / (size_u
    size_v), 1 for a rectangle of fired pixels; saturated counts pixels above `ceiling`, which hardly any
    minimum-ionising particle reaches and where an ADC of 8 bits less its pedestal begins to clip; e3x3_fraction is
    the share within one pixel of the seed, the calorimeters' R9; what is outside the cluster is noise or another hit.
    """
    charge = charge.astype(np.float64)
    mask = of_seed(charge)
    six_columns = _six(charge, mask)
    inside = np.where(mask, charge, 0.0)
    whole, seed_charge, _, size, size_u, size_v = six_columns.T

    height, width = charge.shape[1:]
    row, column = seeds(charge)
    u = np.arange(height)[None, :] - row[:, None]
    v = np.arange(width)[None, :] - column[:, None]
    along_u, along_v = inside.sum(axis=2), inside.sum(axis=1)
    mean_u, mean_v = ratio((along_u * u).sum(axis=1), whole), ratio((along_v * v).sum(axis=1), whole)
    from_u, from_v = u - mean_u[:, None], v - mean_v[:, None]
    variance_u = ratio((along_u * from_u**2).sum(axis=1), whole)
    variance_v = ratio((along_v * from_v**2).sum(axis=1), whole)
    covariance = ratio(np.einsum("nuv,nu,nv->n", inside, from_u, from_v), whole)
    half, root = (variance_u + variance_v) / 2, np.hypot((variance_u - variance_v) / 2, covariance)
    near = (np.abs(u) <= 1)[:, :, None] & (np.abs(v) <= 1)[:, None, :]
    mean = ratio(whole, size)
    outside = np.where(mask, 0.0, charge)
    columns = {
        "mean_charge": mean,
        "seed_fraction": ratio(seed_charge, whole),
        "second_charge": np.partition(inside.reshape(len(charge), -1), -2, axis=1)[:, -2],
        "charge_spread": np.sqrt(np.maximum(ratio((inside**2).sum(axis=(1, 2)), size) - mean**2, 0)),
        "width_u": np.sqrt(variance_u),
        "width_v": np.sqrt(variance_v),
        "covariance_uv": covariance,
        "skewness_u": ratio(ratio((along_u * from_u**3).sum(axis=1), whole), variance_u**1.5),
        "skewness_v": ratio(ratio((along_v * from_v**3).sum(axis=1), whole), variance_v**1.5),
        "major_axis": np.sqrt(half + root),
        "minor_axis": np.sqrt(np.maximum(half - root, 0)),
        "filling": ratio(size, size_u * size_v),
        "saturated": (inside > ceiling).sum(axis=(1, 2)),
        "e3x3_fraction": ratio((inside * near).sum(axis=(1, 2)), whole),
        "outside_charge": outside.sum(axis=(1, 2)),
        "outside_pixels": (outside > 0).sum(axis=(1, 2)),
    }
    return np.concatenate(
        [six_columns, np.stack([columns[name] for name in SHAPE_VARIABLES], axis=1)], axis=1, dtype=np.float32
    )


def _six(charge: np.ndarray, mask: np.ndarray) -> np.ndarray:
    inside = np.where(mask, charge, 0)
    fired = mask.any(axis=(1, 2))
    lowest = np.where(mask, charge, np.inf).min(axis=(1, 2))
    columns = [
        inside.sum(axis=(1, 2)),
        inside.max(axis=(1, 2)),
        np.where(fired, lowest, 0),
        mask.sum(axis=(1, 2)),
        mask.any(axis=2).sum(axis=1),
        mask.any(axis=1).sum(axis=1),
    ]
    return np.stack(columns, axis=1).astype(np.float64)
