"""Provenance of a result: versions, commit, command."""

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
"""Packages that compute scores: their versions are part of a result's identity."""

PACKAGES = (*COMPUTING, "lightgbm", "catboost", "torch", "pandas", "pyarrow", "h5py", "mlflow", "optuna")
"""Packages whose versions are tagged on every run."""


@functools.cache
def versions(names: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Version of each installed package of these, by name."""
    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def provenance_tags() -> dict[str, str]:
    """Git commit, whether the tree is modified, and the versions of the packages. A repository that only contains the
    environment in which this is installed is ignored."""
    tags = {"python": platform.python_version()}
    tags |= {f"version.{name}": version for name, version in versions().items()}
    ours = _git("ls-files", "--error-unmatch", Path(__file__).name) is not None
    commit, changes = (_git("rev-parse", "HEAD"), _git("status", "--porcelain")) if ours else (None, None)
    tags["git_commit"] = commit or "not available"
    tags["git_dirty"] = "not available" if changes is None else str(bool(changes))
    return tags


def _git(*arguments: str) -> str | None:
    """Output of git in the folder of this file; None if it fails or is not installed."""
    try:
        done = subprocess.run(["git", "-C", Path(__file__).parent, *arguments], capture_output=True, text=True)
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def command() -> str:
    """The command line; for a call from Python, the calling program."""
    return " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
