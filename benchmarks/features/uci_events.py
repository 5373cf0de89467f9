"""HIGGS and SUSY: views of the variables of a collision."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hepbench.benchmarks.base import Arrays

COORDINATES = ("pt", "eta", "phi", "b_tag")


def cloud(arrays: Arrays, variables: Sequence[str], objects: Sequence[str]) -> Arrays:
    """Reconstructed objects, normalised as in the file: points (N, P, 2) of (eta, phi), features (N, P, 4 + kinds), the
    COORDINATES and which kind of object it is, mask (N, P) all true.

    objects: names before the underscore, in the order of the points; a kind is a name without its digit. What an object
    does not have is 0. Variables of no one object are left to the table.
    """
    features = arrays["features"]
    zero = np.zeros(len(features), np.float32)
    column = {name: features[:, place] for place, name in enumerate(variables)}
    rows = [[column.get(f"{one}_{name}", zero) for name in COORDINATES] for one in objects]
    kinds = [one.rstrip("0123456789") for one in objects]
    known = list(dict.fromkeys(kinds))
    one_hot = np.array([[kind == other for other in known] for kind in kinds], np.float32)
    coordinates = np.array(rows).transpose(2, 0, 1)  # (N, P, 4)
    return {
        "points": np.ascontiguousarray(coordinates[:, :, 1:3]),
        "features": np.concatenate([coordinates, np.broadcast_to(one_hot, (len(features), *one_hot.shape))], axis=2),
        "mask": np.ones((len(features), len(objects)), bool),
    }
