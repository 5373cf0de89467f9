"""Benchmarks of particle-physics classifiers, tracked in MLflow.

What a file of a user's own imports stands here: the records that a task or a model is written in, `bench`,
`columns` of ROOT files, `leaderboard`, `predict` and `evaluate_files` for notebooks and scripts, `METRICS` and
`evaluate` for scores. Importing it is light: what is heavy is imported where it is needed.
"""

from __future__ import annotations

from hepbench.benchmarks.base import (
    Arrays,
    Check,
    Comparison,
    Events,
    FeatureSet,
    Fitted,
    Metric,
    Model,
    Parameters,
    Reference,
    Report,
    Sample,
    Shapes,
    Simulation,
    Source,
    Task,
    UserError,
)
from hepbench.benchmarks.formats.root_tree import columns
from hepbench.benchmarks.metrics import METRICS, evaluate
from hepbench.suite.api import bench, evaluate_files, leaderboard, models, predict, tasks

__all__ = [
    "METRICS",
    "Arrays",
    "Check",
    "Comparison",
    "Events",
    "FeatureSet",
    "Fitted",
    "Metric",
    "Model",
    "Parameters",
    "Reference",
    "Report",
    "Sample",
    "Shapes",
    "Simulation",
    "Source",
    "Task",
    "UserError",
    "bench",
    "columns",
    "evaluate",
    "evaluate_files",
    "leaderboard",
    "models",
    "predict",
    "tasks",
]
