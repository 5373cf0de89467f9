"""Every metric of stored runs again, from the scores that they keep, and those that were added since: no training."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hepbench.benchmarks import metrics
from hepbench.benchmarks.base import Task
from hepbench.benchmarks.registry import Entry
from hepbench.suite import shifted
from hepbench.suite.campaign import finished
from hepbench.suite.differences import scores_of
from hepbench.suite.provenance import versions
from hepbench.suite.results import TRIALS
from hepbench.suite.trial.artifacts import (
    SCORES,
    VALIDATION_SCORES,
    StoredScores,
    write_scores,
)
from hepbench.suite.trial.score_metrics import ROC, of_validation, signal_rejections, write_curves
from hepbench.tracking.runs import Store, StoreError

Advance = Callable[[], None]
"""Is called after each run."""


def finals(task: Entry[Task], store: Store) -> list[dict[str, Any]]:
    """The finished trials of a task."""
    return finished(task.name, TRIALS, store)


def rescore(
    task: Entry[Task], store: Store, runs: Sequence[Mapping[str, Any]], advance: Advance = lambda: None
) -> dict[str, str]:
    """Measure these runs again and log what is found to them, in place of what was; curves, confusion matrix and
    reliability are written again as well. What a slice gives stays, since slices are of the events and not of scores.
    Returns run id -> why it was left as it is."""
    skipped = {}
    for run in runs:
        try:
            test = scores_of(store, run["id"])
            values = measured(task.record, test, "test")
            if VALIDATION_SCORES in store.files(run["id"]):
                values |= measured(task.record, scores_of(store, run["id"], VALIDATION_SCORES), "validation")
            values |= shifted.measured_again(run, test, task.record, store)
        except (StoreError, OSError, ValueError, KeyError) as error:
            skipped[run["id"]] = str(error).partition("\n")[0]
        else:
            store.log(run["id"], values)
            store.tag(run["id"], {"rescored": versions(("hepbench",)).get("hepbench", "")})
            with tempfile.TemporaryDirectory() as scratch:
                scored = test.scored()
                write_curves(Path(scratch), task.record, scored)
                store.upload(run["id"], Path(scratch))
            store.log_series(run["id"], ROC, signal_rejections(task.record, scored))
        advance()
    return skipped


def measured(task: Task, found: StoredScores, part: str) -> dict[str, float]:
    """Every metric of stored scores, as a trial logs them. part: "test" or "validation"."""
    scored = found.scored()
    if part == "validation":
        return of_validation(task, scored)
    values = metrics.measure(scored, task.signal, metrics.metrics_of(task.classes, task.metrics))
    return {f"test_{name}": value for name, value in values.items()}


def write_all(folder: Path, task: Task, test: StoredScores, validation: StoredScores) -> None:
    """The scores of both parts, and what `write_curves` makes of the test part."""
    for name, found in ((SCORES, test), (VALIDATION_SCORES, validation)):
        write_scores(folder / name, found, task.classes)
    write_curves(folder, task, test.scored())
