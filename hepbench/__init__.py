"""Benchmarks of particle-physics classifiers, tracked in MLflow.

What a file of a user's own imports stands here: the records that a task or a model is written in, `bench`,
`columns` of files, `leaderboard`, `predict` and `evaluate_files` for notebooks and scripts, `METRICS` and
`evaluate` for scores. Importing it is light: what is heavy is imported where it is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hepbench.public import *  # noqa: F403


def __getattr__(name: str) -> Any:
    # At the first name that is asked for, not before: what the console script does first is to mind an interrupt.
    if name in ("public", "__path__"):
        raise AttributeError(name)
    import hepbench.public

    return getattr(hepbench.public, name)


def __dir__() -> list[str]:
    import hepbench.public

    return sorted(hepbench.public.__all__)
