"""The best trained model of a task in MLflow's registry, under a name and an alias."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from hepbench.benchmarks.base import Task, UserError
from hepbench.benchmarks.registry import Entry
from hepbench.suite import results
from hepbench.suite.trial.pyfunc import MODEL_FILE
from hepbench.suite.trial.score_metrics import VALIDATION
from hepbench.tracking.leaderboard.ranking import groups
from hepbench.tracking.runs import DESCRIPTION, Store

ALIAS = "champion"

FACTS = ("test_auc", "test_auc_error", "test_accuracy", "test_rejection_50", "latency_ms", "parameters")
"""Metrics of the run that the version of the model is tagged with."""


def winner(task: Entry[Task], store: Store, budget: str | None = None) -> tuple[dict[str, Any], dict[str, str]]:
    """The run of the first row of a task's ranking that keeps a model, and the models of better rows that keep none.
    Of the seeds of a row it is the one with the best validation AUC: the test part chooses none.

    budget: only results within this one. UserError where none is left, or where several tables each have a first.
    """
    rows, _ = results.leaderboard_of(task, store)
    tables = [table for table in groups(rows) if budget in (None, table[0]["budget"])]
    if len(tables) != 1:
        known = ", ".join(sorted({f"{row['budget']} on {row['data']} data" for row in rows}))
        what = "no results" if not tables else "several tables"
        raise UserError(f"{task.name} has {what} to choose from ({known}): give --budget, or --run with the id of one")
    runs = {run["id"]: run for run in store.runs(task.name, status="FINISHED", tags={"stage": "final"})}
    passed_over: dict[str, str] = {}
    for row in tables[0]:
        trained = [runs[one] for one in row["run_ids"] if MODEL_FILE in store.files(one, "model")]
        if trained:
            return max(trained, key=lambda run: run["metrics"].get(f"{VALIDATION}auc", 0.0)), passed_over
        passed_over[row["model"]] = "its runs keep no model of MLflow's"
    raise UserError(
        f"no row of {task.name} keeps a model of MLflow's: older versions kept none, nor do ensembles and submitted "
        f"scores; hepbench bench {shlex.quote(task.given)} --force trains them again"
    )


def register(task: Entry[Task], store: Store, run: Mapping[str, Any], name: str, alias: str) -> str:
    """Let a run's model be a version of a registered one, and the alias name it; returns the version. UserError where
    the run is of another task or keeps none."""
    if run["tags"]["task"] != task.name:
        raise UserError(f"run {run['id'][:12]} is of the task {run['tags']['task']}, not of {task.name}")
    if MODEL_FILE not in store.files(run["id"], "model"):
        raise UserError(f"run {run['id'][:12]} ({run['name']}) keeps no model of MLflow's: train it again with --force")
    tags = {key: f"{run['metrics'][key]:.6g}" for key in FACTS if key in run["metrics"]}
    tags |= {key: run["tags"][key] for key in ("task", "model", "seed", "budget", "data") if key in run["tags"]}
    return store.register(name, run["id"], "model", alias, tags, run["tags"].get(DESCRIPTION, ""), task.record.title)
