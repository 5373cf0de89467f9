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

ROC = "test_roc_rejection"
"""1/eps_B of the signal by its efficiency, which is the step, in percent: MLflow draws such series of runs together."""

PERCENT = np.arange(1, 100)

VALIDATION = "final_val_"
"""How the metrics of the validation part begin, by the weights that are kept; those by epoch begin with "val_"."""

WITH_ERROR = ("auc", "accuracy", "log_loss")
"""Metrics whose error is kept of the validation part, too."""


@dataclass(frozen=True)
class EvaluatedScores:
    """metrics: every one of the task by name, with its error, and by slice; NaN where it cannot be measured."""

    found: StoredScores
    scored: Scored
    metrics: dict[str, float]


def evaluate_scores(task: Task, found: StoredScores, slices: Mapping[str, np.ndarray]) -> EvaluatedScores:
    """Every metric of scores. slices: name -> (n,) whole numbers of these events. ValueError where the scores are
    none."""
    scored = found.scored()
    measured = metrics.measure(scored, task.signal, metrics.metrics_of(task.classes, task.metrics))
    for name, values in slices.items():
        measured |= metrics.by_slice(name, values, found.labels, found.scores, task.signal, found.weights)
    return EvaluatedScores(found, scored, measured)


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


def rejections(curve: Curve) -> dict[int, float]:
    """Signal efficiency in percent -> 1/eps_B of a ROC curve; without those that no background passes."""
    places = np.searchsorted(curve["signal_efficiency"], PERCENT / 100 - 1e-12)
    efficiencies = curve["background_efficiency"][np.minimum(places, len(curve["background_efficiency"]) - 1)]
    return {int(step): 1 / float(passed) for step, passed in zip(PERCENT, efficiencies, strict=True) if passed > 0}


def signal_rejections(task: Task, scored: Scored) -> dict[int, float]:
    """As `rejections`, of the signal's curve."""
    return rejections(metrics.roc_curves(scored, task.signal, task.classes)[task.classes[task.signal]])


def of_validation(task: Task, scored: Scored) -> dict[str, float]:
    """The metrics of the validation part by the weights that are kept, as a run logs them."""
    records = {**metrics.metrics_for(len(task.classes)), **task.metrics}
    values = metrics.measure(scored, task.signal, records)
    kept = [*records, *(f"{name}_error" for name in WITH_ERROR)]
    return {f"{VALIDATION}{name}": values[name] for name in kept if name in values}


def write_evaluated(
    folder: Path,
    task: Task,
    evaluated: EvaluatedScores,
    history: Sequence[Mapping[str, float]] = (),
    weights: Mapping[str, np.ndarray] | None = None,
) -> dict[str, Curve]:
    """The scores, their curves and plots, into an existing folder. history, weights: as of `plots.trial_plots`. Returns
    the ROC curves by name."""
    from hepbench.tracking import plots

    found = evaluated.found
    write_scores(folder / SCORES, found, task.classes)
    curves, reliability = write_curves(folder, task, evaluated.scored)
    (folder / "plots").mkdir()
    areas = metrics.areas_of(evaluated.metrics, task.signal, task.classes)
    plots.trial_plots(
        folder / "plots",
        evaluated.scored.scores,
        found.labels,
        task.signal,
        task.classes,
        curves,
        areas,
        metrics.METRICS,
        history,
        weights,
        reliability,
        evaluated.scored.weights,
    )
    return curves
