"""Whether a network loads again from its own file: told before its training, not after."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from hepbench.benchmarks.base import UserError


class Saved(Protocol):
    """What can be written into an existing folder."""

    def save(self, folder: Path) -> None: ...


Kind = TypeVar("Kind", bound=Saved)


def check_round_trip(
    network: Kind,
    load: Callable[[Path], Kind],
    scores: Callable[[Kind], np.ndarray],
    reason_of: Callable[[Exception], str],
    fix: str,
) -> None:
    """UserError where a network, saved and loaded again, does not give the scores that it gave.

    scores: of a few events, without any choice by chance unless the network draws as it predicts. reason_of: an error
    of saving or loading in one line. fix: what the network must be like.
    """
    before, again = scores(network), scores(network)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            network.save(Path(scratch))
            loaded = scores(load(Path(scratch)))
    except Exception as error:  # whatever a framework or a user's layer raises
        reason = reason_of(error)
    else:
        draws = not np.allclose(before, again, atol=1e-5, equal_nan=True)
        if draws or np.allclose(before, loaded, atol=1e-5, equal_nan=True):
            return
        reason = "it gives other scores"
    raise UserError(
        f"the network does not load again from its own file, so that it could train but not predict ({reason}): {fix}"
    )
