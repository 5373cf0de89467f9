"""Pythia 8 and FastJet for all simulations of collisions; both are in the optional extra `simulation`."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from hepbench.benchmarks.base import UserError

LARGEST_SEED = 900_000_000  # Pythia's seeds are 1 to this


def imported(package: str) -> Any:
    """The module of this name; UserError where the extra is not installed."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise UserError(
            f"simulating collisions needs {error.name or package}, which is not installed: "
            'pip install "hepbench[simulation]" (Pythia has wheels for Python 3.11 and 3.12 alone)'
        ) from None


def generator(*settings: str, seed: int, hooks: Any = None) -> Any:
    """A Pythia that is ready to make events of these settings. hooks: user hooks, of which Pythia itself keeps no
    Python reference: the caller must."""
    imported("fastjet")  # which every simulation needs in the end: what is missing is told before minutes are spent
    pythia = imported("pythia8mc").Pythia("", False)
    for setting in ("Print:quiet = on", "Random:setSeed = on", f"Random:seed = {seed}", *settings):
        if not pythia.readString(setting):
            raise RuntimeError(f"Pythia does not know the setting {setting!r}")
    if hooks is not None:
        pythia.setUserHooksPtr(hooks)
    if not pythia.init():
        raise RuntimeError("Pythia cannot be initialised")
    return pythia


def first(count: int, collider: Any, batch: int, reconstruct: Callable[[Any], np.ndarray]) -> np.ndarray:
    """(count, ...) rows of the first events that pass a selection. reconstruct: from an awkward array of the particles
    of `batch` events to a row of each that passes."""
    parts: list[np.ndarray] = []
    while sum(map(len, parts)) < count:
        parts.append(reconstruct(collider.nextBatch(batch).prt))
    return np.concatenate(parts)[:count]


def anti_kt(radius: float) -> Any:
    """FastJet's definition of anti-kT jets (0802.1189, 1111.6097), without the banner that it prints into a progress
    bar."""
    fastjet = imported("fastjet")
    fastjet._swig.ClusterSequence.set_fastjet_banner_stream(None)
    return fastjet.JetDefinition(fastjet.antikt_algorithm, radius)
