"""Views of HEPMASS events: the table, and the objects as a cloud."""

from __future__ import annotations

import numpy as np

from hepbench.benchmarks.base import Arrays

# Types of the objects of a cloud, one-hot.
OBJECTS = ("lepton", "missing", "jet", "jet", "jet", "jet")
KINDS = ("lepton", "missing", "jet")
CLOUD_FEATURES = ("pt", "eta", "phi", "b_tag", *KINDS)


def table(arrays: Arrays) -> Arrays:
    return {"table": arrays["features"], "context": arrays["mass"]}


def cloud(arrays: Arrays) -> Arrays:
    """The six reconstructed objects, normalised as in the file: points (N, 6, 2) of (eta, phi), features (N, 6, 7) of
    CLOUD_FEATURES, mask (N, 6) all true, context (N, 1) the mass.

    Momenta are standardised over the whole dataset, so that pT can be negative and has no logarithm here, and distances
    between points are not Delta R. The missing momentum has no eta and no b-tag: zeros. The number of jets and the
    masses of combinations belong to no single object and are only in the table.
    """
    features = arrays["features"]
    events, zero = len(features), np.zeros(len(features), np.float32)
    lepton = [features[:, 0], features[:, 1], features[:, 2], zero]
    missing = [features[:, 3], zero, features[:, 4], zero]
    jets = features[:, 6:22].reshape(events, 4, 4)
    objects = np.concatenate([np.stack([lepton, missing]).transpose(2, 0, 1), jets], axis=1)  # (N, 6, 4)
    one_hot = np.array([[kind == other for other in KINDS] for kind in OBJECTS], np.float32)
    return {
        "points": np.ascontiguousarray(objects[:, :, 1:3]),
        "features": np.concatenate([objects, np.broadcast_to(one_hot, (events, *one_hot.shape))], axis=2),
        "mask": np.ones((events, len(OBJECTS)), bool),
        "context": arrays["mass"],
    }
