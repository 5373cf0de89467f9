"""Benchmarks of particle-physics classifiers, tracked in MLflow.

This is what users' own files import: the records that describe a task or a model, `bench`, `columns` of files,
`leaderboard`, `predict` and `evaluate_files` for notebooks and scripts, `METRICS` and `evaluate` for scores. The import
is light: heavy packages are imported only when needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hepbench.public import *  # noqa: F403


def __getattr__(name: str) -> Any:
    # Only when a name is first requested: the console script must install its handling of interrupts before that.
    if name in ("public", "__path__"):
        raise AttributeError(name)
    import hepbench.public

    return getattr(hepbench.public, name)


def __dir__() -> list[str]:
    import hepbench.public

    return sorted(hepbench.public.__all__)
