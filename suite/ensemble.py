"""Ensembles of trained models: of different ones, chosen by their validation scores alone (Caruana et al., ICML 2004),
and of the seeds of one, all alike."""

from __future__ import annotations

import dataclasses
import json
import math
import shlex
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hepbench.benchmarks.base import Task, UserError
from hepbench.benchmarks.metrics import METRICS
from hepbench.benchmarks.registry import Entry
from hepbench.benchmarks.scored import Scored, logarithms
from hepbench.suite import rescoring, results
from hepbench.suite.differences import matched, scores_of
from hepbench.suite.provenance import command, provenance_tags
from hepbench.suite.trial.artifacts import VALIDATION_SCORES, StoredScores
from hepbench.suite.trial.score_metrics import ROC, signal_rejections
from hepbench.suite.trial.spec import hash_of
from hepbench.tracking.leaderboard.differences import OPTIMUM
from hepbench.tracking.leaderboard.ranking import COSTS, GROUP, THROUGHPUTS, groups
from hepbench.tracking.runs import Store, StoreError

STEPS = 50
"""Members that are drawn, the same as often as it helps."""

RATES = ("train_events_per_second", *THROUGHPUTS)
"""COSTS that are events a second: members that run one after the other add up their times, not their rates."""

Advance = Callable[[], None]


@dataclass(frozen=True)
class Member:
    """A trained model. name: of its row, with its run where another row has the same. run: as `Store.runs` gives it.
    validation: its scores."""

    name: str
    run: Mapping[str, Any]
    validation: StoredScores


def choose(
    labels: np.ndarray,
    scores: Sequence[np.ndarray],
    signal: int,
    advance: Advance = lambda: None,
    of_events: np.ndarray | None = None,
) -> np.ndarray:
    """(members,) weights that sum to 1. scores: (n, classes) probabilities of each member on the validation part.
    of_events: (n,) weights of the events; None: each counts one.

    From nothing, the member is added that makes the mean's AUC the highest, the same one again where that is best,
    STEPS times; the weights are those of the step that was the best."""
    auc = METRICS["auc"]
    counts, total = np.zeros(len(scores)), np.zeros_like(scores[0], dtype=np.float64)
    best, chosen = -np.inf, counts
    for step in range(1, STEPS + 1):
        reached = [auc.of(Scored(labels, (total + one) / step, of_events), signal)[0] for one in scores]
        place = int(np.argmax(reached))
        counts = counts + np.eye(len(scores))[place]
        total += scores[place]
        if reached[place] > best:
            best, chosen = reached[place], counts
        advance()
    return np.asarray(chosen / chosen.sum())


def mean_of(members: Sequence[StoredScores], weights: np.ndarray) -> StoredScores:
    """The weighted mean of the members' probabilities, as logarithms, on the events of the first."""
    with np.errstate(divide="ignore"):
        logs = np.stack([found.scores.astype(np.float64) for found in members]) + np.log(weights)[:, None, None]
    scores = np.logaddexp.reduce(logs, axis=0)
    scores = np.maximum(scores, logarithms(np.zeros(1))).astype(np.float32)
    return StoredScores(members[0].ids, members[0].labels, scores, members[0].weights)


@dataclass(frozen=True)
class Made:
    """An ensemble that was stored. what: of which models. weights: name of a member -> its weight, the largest
    first."""

    what: str
    budget: str
    run: str
    weights: Mapping[str, float]
    metrics: Mapping[str, float]


def ensembles(task: Entry[Task], store: Store, advance: Advance = lambda: None) -> list[Made]:
    """Of each table of a task's leaderboard: an ensemble of the models of each seed that two rows or more have, and one
    of the seeds of each row that has two or more that are not the same. Each is stored as a run: those of the seeds
    together are a row, those of a row are a row each. UserError where there are no two models with validation scores.
    """
    rows, _ = results.leaderboard_of(task, store)
    runs = {run["id"]: run for run in rescoring.finals(task, store)}
    made = []
    for table in groups(rows):
        members = [row for row in table if row["model"] not in (results.ENSEMBLE, OPTIMUM)]
        for seed in sorted({seed for row in members for seed in row["seed_list"]}):
            found = _members(members, runs, store, seed)
            if len(found) > 1:
                first = found[0].validation
                probabilities = [np.exp(one.validation.scores) for one in found]
                weights = choose(first.labels, probabilities, task.record.signal, advance, first.weights)
                made.append(_make(task, table[0], f"seed {seed}", "", seed, found, weights, store))
        for row in members:
            found = _members([row], runs, store)
            if any(not np.array_equal(one.validation.scores, found[0].validation.scores) for one in found[1:]):
                name, alike = _name(row), np.full(len(found), 1 / len(found))
                made.append(_make(task, row, f"of {len(found)} seeds of {name}", name, 0, found, alike, store))
    if not made:
        raise UserError(
            f"no two trained models of {task.name}, of one seed or one row, have validation scores: train more with "
            f"hepbench bench {shlex.quote(task.given)} --seeds 2, or again with --force, as runs of older versions "
            "keep none"
        )
    return made


def _name(row: Mapping[str, Any]) -> str:
    return f"{row['model']} {row['set']}".strip()


def _members(
    rows: Sequence[Mapping[str, Any]], runs: Mapping[str, Mapping[str, Any]], store: Store, seed: int | None = None
) -> list[Member]:
    """Those of one seed, or of all, whose validation scores are there and of the same events."""
    found: list[Member] = []
    for row in rows:
        for run, own in zip(row["run_ids"], row["seed_list"], strict=True):
            if seed in (None, own):
                try:
                    scores = scores_of(store, run, VALIDATION_SCORES)
                    scores = matched(scores, found[0].validation) if found else scores
                except (StoreError, OSError, ValueError, KeyError):
                    continue
                name = _name(row) if seed is not None else f"seed {own}"
                found.append(Member(name, runs[run], scores))
    counts = Counter(one.name for one in found)
    return [
        dataclasses.replace(one, name=f"{one.name} (run {one.run['id'][:8]})") if counts[one.name] > 1 else one
        for one in found
    ]


def _joint_rate(rates: Sequence[float]) -> float:
    """Events a second of members that run one after the other; NaN where a rate is none."""
    return 1 / sum(1 / rate for rate in rates) if min(rates) > 0 else math.nan


def _make(
    task: Entry[Task],
    first: Mapping[str, Any],
    what: str,
    of: str,
    seed: int,
    members: Sequence[Member],
    weights: np.ndarray,
    store: Store,
) -> Made:
    """The stored mean of members by weights. of: the row whose seeds they are, or "". The columns of its own row are
    those of `first`. It takes the place of one that was made before there were other models or more seeds."""
    taken = [(member, weight) for member, weight in zip(members, weights, strict=True) if weight]
    tests: list[StoredScores] = []
    for member, _ in taken:
        scores = scores_of(store, member.run["id"])
        tests.append(matched(scores, tests[0]) if tests else scores)
    kept = np.array([weight for _, weight in taken])
    test, valid = mean_of(tests, kept), mean_of([member.validation for member, _ in taken], kept)
    named = {member.name: round(float(weight), 4) for member, weight in sorted(taken, key=lambda one: -one[1])}
    values = rescoring.measured(task.record, test, "test") | rescoring.measured(task.record, valid, "validation")
    values |= {"test_events": float(len(test.ids))}
    for name in ("parameters", *COSTS):
        costs = [member.run["metrics"].get(name) for member, _ in taken]
        if None not in costs:
            values[name] = _joint_rate(costs) if name in RATES else float(sum(costs))
    tags = taken[0][0].run["tags"]
    configuration = hash_of(
        [results.ENSEMBLE, task.name, *(first[name] for name in GROUP), first["configuration"] if of else "", STEPS]
    )
    run = store.start(
        task.name,
        f"{results.ENSEMBLE} {what}",
        tags={
            **{name: first[name] for name in GROUP},
            **{name: tags[name] for name in ("device", "backend", "hardware", "events", "weighted") if name in tags},
            **provenance_tags(),
            "stage": "final",
            "model": results.ENSEMBLE,
            "seed": seed,
            "set": what if of else "",
            "start": first["start"] if of else "",
            "configuration": configuration,
            "identity": hash_of([configuration, seed]),  # whatever its members are: of two the later counts
            "weights": json.dumps(named),
            "command": command(),
        },
        parameters={"weights": "all alike", "of": of} if of else {"chosen_by": "validation AUC", "steps": STEPS},
    )
    status = "FAILED"
    try:
        store.log(run, values)
        store.log_series(run, ROC, signal_rejections(task.record, test.scored()))
        with tempfile.TemporaryDirectory() as scratch:
            rescoring.write_all(Path(scratch), task.record, test, valid)
            store.upload(run, Path(scratch))
        status = "FINISHED"
    finally:
        store.finish(run, status)
    return Made(what, str(first["budget"]), run, named, values)
