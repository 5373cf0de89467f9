"""Where data and results lie."""

from __future__ import annotations

import os
from pathlib import Path


def home_folder() -> Path:
    """The folder that holds data/ and results/."""
    return Path(os.environ.get("HEPBENCH_HOME", ".")).resolve()
