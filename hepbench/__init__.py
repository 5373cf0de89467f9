"""Benchmarks of particle-physics classifiers, tracked in MLflow."""

from __future__ import annotations

from hepbench.benchmarks.base import Events, Model, Simulation, Task, UserError

__all__ = ["Events", "Model", "Simulation", "Task", "UserError"]
