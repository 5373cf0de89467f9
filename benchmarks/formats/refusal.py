"""The one sentence by which a reader refuses a file: its path, the event or line, and the fault."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hepbench.benchmarks.base import UserError


def refuse_first(path: Path, unit: str, start: int, bad: np.ndarray | np.bool_, fault: str) -> None:
    """Raises UserError for the first that is bad.

    unit: "event" or "line", which are counted from `start`. bad: (n,) bool of those from there on.
    """
    if bad.any():
        raise UserError(f"{path}: {unit} {start + int(np.argmax(bad))}: {fault}")
