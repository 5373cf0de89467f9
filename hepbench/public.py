"""The public names of `hepbench`, and where each is defined."""

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
from hepbench.benchmarks.formats.columns import columns
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
