"""The rows of a leaderboard against each other, event by event, from the scores that their runs keep."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hepbench.benchmarks import metrics, scored
from hepbench.benchmarks.base import Metric, Task
from hepbench.benchmarks.registry import Entry
from hepbench.suite.atomic import write_atomically
from hepbench.suite.fingerprint import digest_of_code, reached
from hepbench.suite.paths import results_folder
from hepbench.suite.trial.artifacts import SCORES, StoredScores, read_scores
from hepbench.suite.trial.spec import hash_of
from hepbench.tracking import statistics
from hepbench.tracking.leaderboard import differences as of_leaderboard
from hepbench.tracking.leaderboard.differences import MOST_COMPARED, Differences, Pair
from hepbench.tracking.leaderboard.ranking import id_of
from hepbench.tracking.runs import Store, StoreError

COMPARED = ("auc", "accuracy", "rejection_50")
"""Metrics of which a leaderboard has the differences; the first ranks."""

RESAMPLINGS = 2000
"""Of the paired bootstrap, of metrics whose events have no parts of their own."""

_known: dict[str, list[Differences]] = {}


class NotComparable(ValueError):
    """Why scores cannot be paired with those of others: one line."""


def of_table(task: Entry[Task], table: Sequence[Mapping[str, Any]], store: Store) -> list[Differences]:
    """The differences of COMPARED between the rows of one ranked table, the first MOST_COMPARED of them. What was
    compared once is kept in the results folder, as long as neither the runs nor the code that measures have changed;
    where a row is left out, which may be a fault of the moment, it is compared again."""
    table = table[:MOST_COMPARED]
    code = digest_of_code(
        reached([Path(metrics.__file__)]) | {Path(statistics.__file__), Path(of_leaderboard.__file__), Path(__file__)}
    )
    key = hash_of([task.name, COMPARED, [row["run_ids"] for row in table], code])
    if key not in _known:
        path = results_folder() / "differences" / f"{key}.json"
        found = _read(path)
        if found is None:
            found = _compare(task, table, store)
            if any(one.left_out for one in found):
                return found
            with contextlib.suppress(OSError):  # a folder that cannot be written is compared again
                path.parent.mkdir(exist_ok=True)
                write_atomically(path, json.dumps([_plain(one) for one in found]))
        _known[key] = found
    return _known[key]


def _compare(task: Entry[Task], table: Sequence[Mapping[str, Any]], store: Store) -> list[Differences]:
    trained: dict[str, dict[str, statistics.Trainings]] = {name: {} for name in COMPARED}
    left_out: dict[str, str] = {}
    reference: StoredScores | None = None
    for row in table:
        values: dict[str, list[float]] = {name: [] for name in COMPARED}
        parts: dict[str, list[np.ndarray]] = {name: [] for name in COMPARED}
        try:
            for run in row["run_ids"]:
                found = scores_of(store, run)
                reference = reference or found
                found = matched(found, reference)
                events = found.scored()
                for name in COMPARED:
                    metric = metrics.METRICS[name]
                    value, part = compared(metric, events, task.record.signal)
                    values[name].append(value)
                    parts[name].append(part)
        except (StoreError, OSError, ValueError, KeyError) as error:
            left_out[id_of(row)] = str(error).partition("\n")[0]
            continue
        for name in COMPARED:
            trained[name][id_of(row)] = statistics.trainings(values[name], parts[name])
    return [of_leaderboard.compare(name, trained[name], left_out) for name in COMPARED]


def compared(metric: Metric, events: scored.Scored, signal: int) -> tuple[float, np.ndarray]:
    """(value, parts (n,)) of a metric that has parts, on the scale on which it is compared: of a rejection its
    logarithm, so that a difference is that of a ratio."""
    value, _ = metric.of(events, signal)
    assert metric.influences is not None
    parts = metric.influences(events, signal)
    return (math.log(value), parts / value) if metric.scale == "log" else (value, parts)


Trained = Sequence[scored.Scored]
"""The scores of each training of one side."""


def trainings_of(metric: Metric, sides: Sequence[Trained], signal: int) -> list[statistics.Trainings]:
    """The trainings of each side, all scored on the same events, as `statistics.paired` takes them: with the parts of
    the events where the metric has some, else with a part for each of RESAMPLINGS of the paired bootstrap, on the scale
    of `compared`."""
    if metric.influences:
        return [
            statistics.trainings(*zip(*(compared(metric, events, signal) for events in side), strict=True))
            for side in sides
        ]
    return bootstrapped(metric, sides, signal, RESAMPLINGS)


def bootstrapped(metric: Metric, sides: Sequence[Trained], signal: int, resamplings: int) -> list[statistics.Trainings]:
    """As `trainings_of`, of a metric that has a bootstrap. The part of a resampling is its distance from the mean,
    scaled so that the sum of squares is the variance. Those in which a training cannot be measured are left out; all
    are NaN where half are."""
    assert metric.bootstrap is not None
    logarithmic = metric.scale == "log"
    drawn = metric.bootstrap([events for side in sides for events in side], signal, resamplings)
    kept = drawn[:, np.isfinite(drawn).all(axis=0)]
    kept = np.log(kept) if logarithmic else kept
    if kept.shape[1] <= resamplings / 2:
        kept = np.full((len(drawn), 2), math.nan)
    parts = iter((kept - kept.mean(axis=1, keepdims=True)) / math.sqrt(kept.shape[1] - 1))
    values = [[metric.of(events, signal)[0] for events in side] for side in sides]
    return [
        statistics.trainings([math.log(value) if logarithmic else value for value in some], [next(parts) for _ in some])
        for some in values
    ]


def scores_of(store: Store, run: str, name: str = SCORES) -> StoredScores:
    """What a run keeps of its test part, or of another. NotComparable where it keeps none."""
    if name not in store.files(run):
        raise NotComparable(f"run {run[:12]} keeps no {name}")
    with tempfile.TemporaryDirectory() as scratch:
        found = read_scores(store.download(run, name, Path(scratch)))
    if len(np.unique(found.ids)) < len(found.ids):
        raise NotComparable(f"{name} of run {run[:12]} has the id of an event twice")
    return found


def matched(found: StoredScores, reference: StoredScores) -> StoredScores:
    """The scores in the order of the reference's events. NotComparable where they are of other events."""
    if not np.array_equal(found.ids, reference.ids):
        mine, theirs = np.argsort(found.ids), np.argsort(reference.ids)
        if not np.array_equal(found.ids[mine], reference.ids[theirs]):
            raise NotComparable("its scores are of other events than those of the first")
        order = np.empty(len(mine), np.int64)
        order[theirs] = mine
        found = found.taken(order)
    if not np.array_equal(found.labels, reference.labels):
        raise NotComparable("its events have other labels than those of the first")
    weights = [np.ones(1) if one.weights is None else one.weights for one in (found, reference)]
    if not np.array_equal(weights[0], weights[1]):
        raise NotComparable("its events have other weights than those of the first")
    if found.scores.shape != reference.scores.shape:
        raise NotComparable("its scores are of another number of classes than those of the first")
    return found


def _plain(one: Differences) -> dict[str, Any]:
    return {
        "metric": one.metric,
        "left_out": one.left_out,
        "pairs": [[pair.one, pair.other, dataclasses.asdict(pair.difference), pair.adjusted] for pair in one.pairs],
    }


def _read(path: Path) -> list[Differences] | None:
    """What was kept; None where there is none, or it is damaged."""
    try:
        return [
            Differences(
                one["metric"],
                [Pair(a, b, statistics.Difference(**found), adjusted) for a, b, found, adjusted in one["pairs"]],
                one["left_out"],
            )
            for one in json.loads(path.read_text())
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return None
