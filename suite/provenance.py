"""Where a result comes from: versions, commit, command."""

from __future__ import annotations

import functools
import importlib.metadata
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

COMPUTING = (
    "tensorflow-cpu",
    "tensorflow",
    "jax",
    "jaxlib",
    "jax-cuda12-plugin",
    "keras",
    "xgboost-cpu",
    "xgboost",
    "scikit-learn",
    "numpy",
    "scipy",
)
"""Packages that scores come from: their versions are part of a result's identity."""

PACKAGES = (*COMPUTING, "pandas", "pyarrow", "h5py", "mlflow", "optuna")
"""Packages whose versions are tagged on every run."""


@functools.cache
def versions(names: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Version of each of these packages, by name, where it is installed."""
    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def provenance_tags() -> dict[str, str]:
    """Git commit, whether the tree was changed, and the versions of what computes."""
    tags = {"python": platform.python_version()}
    tags |= {f"version.{name}": version for name, version in versions().items()}
    here = Path(__file__).parent
    commit = subprocess.run(["git", "-C", here, "rev-parse", "HEAD"], capture_output=True, text=True)
    status = subprocess.run(["git", "-C", here, "status", "--porcelain"], capture_output=True, text=True)
    tags["git_commit"] = commit.stdout.strip() or "not available"
    tags["git_dirty"] = str(bool(status.stdout.strip())) if status.returncode == 0 else "not available"
    return tags


def command() -> str:
    """What the user typed; of a call from Python, the program that calls."""
    return " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
