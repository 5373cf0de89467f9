"""Scores of the test part rated by the same lines, whoever made them: numbers, curves, plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hepbench.benchmarks import metrics
from hepbench.benchmarks.base import Task
from hepbench.benchmarks.scored import Scored
from hepbench.suite.trial.artifacts import SCORES, StoredScores, write_confusion, write_csv, write_roc, write_scores


@dataclass(frozen=True)
class Rated:
    """metrics: every one of the task by name, with its error, and by slice; NaN where it cannot be measured."""

    found: StoredScores
    scored: Scored
    metrics: dict[str, float]


def rate(task: Task, found: StoredScores, slices: Mapping[str, np.ndarray]) -> Rated:
    """Every metric of scores. slices: name -> (n,) whole numbers of these events. ValueError where the scores are
    none."""
    scored = Scored(found.labels, found.scores)
    measured = metrics.measure(scored, task.signal, metrics.metrics_of(task.classes))
    for name, values in slices.items():
        measured |= metrics.by_slice(name, values, found.labels, found.scores, task.signal)
    return Rated(found, scored, measured)


Curve = dict[str, np.ndarray]


def write_curves(folder: Path, task: Task, scored: Scored) -> tuple[dict[str, Curve], Curve]:
    """roc.csv, confusion.csv and reliability.csv, into an existing folder. Returns the ROC curves by name, and the
    reliability."""
    curves, reliability = (
        metrics.roc_curves(scored, task.signal, task.classes),
        metrics.reliability(scored, task.signal),
    )
    write_roc(folder / "roc.csv", curves)
    write_confusion(folder / "confusion.csv", scored.confusion, task.classes)
    write_csv(folder / "reliability.csv", reliability)
    return curves, reliability


def write_rated(
    folder: Path,
    task: Task,
    rated: Rated,
    history: Sequence[Mapping[str, float]] = (),
    weights: Mapping[str, np.ndarray] | None = None,
) -> None:
    """The scores, their curves and plots, into an existing folder. history, weights: as of `plots.trial_plots`."""
    from hepbench.tracking import plots

    found = rated.found
    write_scores(folder / SCORES, found.ids, found.labels, found.scores, task.classes)
    curves, reliability = write_curves(folder, task, rated.scored)
    (folder / "plots").mkdir()
    areas = metrics.areas_of(rated.metrics, task.signal, task.classes)
    plots.trial_plots(
        folder / "plots",
        rated.scored.scores,
        found.labels,
        task.signal,
        task.classes,
        curves,
        areas,
        metrics.METRICS,
        history,
        weights,
        reliability,
    )
