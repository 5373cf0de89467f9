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

PACKAGES = (*COMPUTING, "lightgbm", "catboost", "torch", "pandas", "pyarrow", "h5py", "mlflow", "optuna")
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
    """Git commit, whether the tree was changed, and the versions of what computes. A repository that holds no more
    than the environment in which this is installed tells nothing of it."""
    tags = {"python": platform.python_version()}
    tags |= {f"version.{name}": version for name, version in versions().items()}
    ours = _git("ls-files", "--error-unmatch", Path(__file__).name) is not None
    commit, changes = (_git("rev-parse", "HEAD"), _git("status", "--porcelain")) if ours else (None, None)
    tags["git_commit"] = commit or "not available"
    tags["git_dirty"] = "not available" if changes is None else str(bool(changes))
    return tags


def _git(*arguments: str) -> str | None:
    """What git answers in the folder of this file; None where it refuses or is not installed."""
    try:
        done = subprocess.run(["git", "-C", Path(__file__).parent, *arguments], capture_output=True, text=True)
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def command() -> str:
    """What the user typed; of a call from Python, the program that calls."""
    return " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
