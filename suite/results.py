"""What the store of results holds of a task: its ranking, and the page of it."""

from __future__ import annotations

import dataclasses
import json
import math
import shlex
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hepbench.benchmarks import registry, study
from hepbench.benchmarks.base import Metric, Task, UserError, check_known
from hepbench.benchmarks.metrics import BY_SLICE, METRICS, class_keys, metrics_of, slice_key
from hepbench.benchmarks.registry import Entry
from hepbench.suite import differences, plot_data
from hepbench.suite.atomic import write_atomically
from hepbench.suite.paths import reports_folder, results_folder
from hepbench.tracking import pages, runs
from hepbench.tracking.leaderboard import index, page, ranking
from hepbench.tracking.leaderboard.differences import BELOW_OPTIMUM, Differences, mark_distance, mark_tied
from hepbench.tracking.leaderboard.plot_data import MOST_DRAWN
from hepbench.tracking.leaderboard.table import NUMBERS, TARGET, Leaderboard

SHOWN = differences.COMPARED
"""Metrics that have a column; the first ranks."""

ENSEMBLE = "ensemble"
"""What an ensemble of trained models is called as a model."""

TRIALS = ("final", "part")
"""Stages of runs that keep a trained model and its test scores; the second was trained on a part of the training events
and is in no leaderboard."""

CHANCE = 0.5
"""AUC of a model that knows nothing."""


def open_store(*, to_write: bool = True) -> runs.Store:
    """The store of MLFLOW_TRACKING_URI, or the file in the results folder. StoreError where it cannot be written,
    unless it is only to be read."""
    return runs.connect(None, results_folder(), to_write=to_write)


def store_location() -> str:
    """What `open_store` opens, to be shown; without opening it."""
    return runs.location(None, results_folder())


def find_run(store: runs.Store, given: str, *, with_model: bool = True) -> dict[str, Any]:
    """The one finished trial whose id begins with `given`; UserError for none, several, and, where a model is asked
    for, what keeps none."""
    found = store.find(given)
    trials = [run for run in found if run["status"] == "FINISHED" and run["tags"].get("stage") in TRIALS]
    if len(trials) == 1:
        if with_model and (why := _without_model(trials[0]["tags"])):
            raise UserError(f"{trials[0]['name']!r}, {trials[0]['id'][:12]}, keeps no model: {why}")
        return trials[0]
    if trials:
        some = ", ".join(f"{run['id'][:12]} ({run['name']})" for run in trials[:3])
        more = f" and {len(trials) - 3} more" if len(trials) > 3 else ""
        raise UserError(f"{len(trials)} finished trials have an id that begins with {given!r}: {some}{more}")
    if len(found) == 1:
        (run,) = found
        tags, status = run["tags"], run["status"]
        if "study" in tags:
            why = f"is of the study {tags['study']}, whose trials keep no model: hepbench bench --tuned trains its best"
        elif tags.get("stage") not in TRIALS:
            why = "holds trials and is none itself: hepbench leaderboard TASK --format json has the ids of trials"
        else:
            why = f"is {status.lower()} and has no model: run `{tags['command']}`"
        raise UserError(f"no finished trial: {run['name']!r}, {run['id'][:12]}, {why}")
    raise UserError(
        f"no finished trial with an id that begins with {given!r}: hepbench leaderboard TASK --format json has the ids"
    )


def _without_model(tags: Mapping[str, str]) -> str:
    """Why a finished trial has no model; "" where it should have one."""
    if "weights" in tags:
        return "it is an ensemble of other runs"
    if tags.get("origin") == ranking.SUBMITTED:
        return "it was submitted as scores"
    return f"it was imported, and is on {tags['imported_from']}" if tags.get("imported_from") else ""


def stored_tasks(words: Sequence[str], store: runs.Store) -> tuple[list[Entry[Task]], list[str]]:
    """The tasks that these words of a command stand for, and the experiments that are left out; "all" stands for every
    experiment with finished trials. Variants are found by their names; for a task in a user's file, the file must be
    given. UserError where only such are there."""
    words = list(dict.fromkeys(words))
    given = [registry.find("task", one) for word in words if word != "all" for one in registry.expand(word)]
    tasks, left_out = {task.name: task for task in given}, []
    for name in sorted(finished_experiments(store) - tasks.keys()) if "all" in words else ():
        base, _, variant = name.partition(":")
        known = base in registry.names("task")
        if known and (not variant or variant in registry.find("task", base).record.variants):
            tasks[name] = registry.find("task", name)
        else:
            left_out.append(name)
    if left_out and not tasks:
        raise UserError(of_left_out(left_out))
    return list(tasks.values()), left_out


def finished_experiments(store: runs.Store) -> set[str]:
    """Names of the experiments with finished trials."""
    return {
        name
        for name in store.experiments()
        if any(store.runs(name, status="FINISHED", tags={"stage": stage}) for stage in TRIALS)
    }


def of_left_out(names: Sequence[str]) -> str:
    """A line for what `stored_tasks` leaves out."""
    return f"left out: {', '.join(names)}: no installed task has this name; give the file of your own task"


def leaderboard_of(
    task: Entry[Task], store: runs.Store, only: Collection[str] | None = None, ranked_by: str = SHOWN[0]
) -> tuple[list[dict[str, Any]], list[str]]:
    """Ranked rows of a task, and lines on what was skipped and what failed. UserError where nothing has finished.

    only: identities of the results that count; None: all. ranked_by: a metric.
    """
    found = [run for run in store.runs(task.name) if only is None or run["tags"].get("identity") in only]
    titles = {name: registry.find("model", name).record.title for name in registry.names("model")}
    rows = ranking.rows(found, metrics_of(task.record.classes, task.record.metrics), ranked_by, titles)
    if not rows:
        raise UserError(
            f"no finished runs of {task.name} in {store_location()}: run make bench TASK={shlex.quote(task.given)}"
        )
    for table in ranking.groups(rows):
        for one in _differences(task, table, store):
            if one.metric == ranked_by:
                mark_tied(table, one)
            if one.metric == SHOWN[0]:
                mark_distance(table, one)
    skipped: dict[str, str] = {}
    for run in found:
        skipped |= _skipped(run["tags"])
    notes = [f"skipped {name}: {reason}" for name, reason in skipped.items()]
    notes += [_of_submission(row) for row in rows if row["submitted"]]
    for told in dict.fromkeys(row["missing"] for row in rows if row["missing"]):
        models = dict.fromkeys(row["model"] for row in rows if row["missing"] == told)
        notes.append(f"missing values: {told}: {', '.join(models)}")
    ranked = {row["configuration"] for row in rows}
    for run in found:
        tags = run["tags"]
        unfinished = run["status"] in ("FAILED", "KILLED") and tags.get("stage") == "final"
        if unfinished and tags["configuration"] not in ranked:
            notes.append(f"{run['status'].lower()} {run['name']}: {tags.get('failure', 'no message')}")
    return rows, list(dict.fromkeys(notes))


def _skipped(tags: Mapping[str, str]) -> dict[str, str]:
    """The models that a command left out, with reasons, by the tags of its run; a trial, which may be imported, has
    none."""
    if tags.get("stage") in TRIALS:
        return {}
    try:
        found = json.loads(tags.get("skipped", "{}"))
    except ValueError:  # an earlier version let it be cut
        return {}
    return found if isinstance(found, dict) else {}


def _differences(task: Entry[Task], table: Sequence[dict[str, Any]], store: runs.Store) -> list[Differences]:
    """Of a table in whatever order: compared once, in that of the metric that ranks usually."""
    return differences.of_table(task, ranking.ranked([dict(row) for row in table], METRICS[SHOWN[0]]), store)


def _of_submission(row: Mapping[str, Any]) -> str:
    """What is known of a row whose scores were made by other means."""
    trained = "an unknown number of" if row["train_events"] is None else f"{row['train_events']:,}"
    code = row["training_code"]
    facts = [f"trained on {trained} events", f"training code {'not known' if code == 'not known' else f'at {code}'}"]
    given = (
        "were given out with the events" if row["test_labels_seen"] == "may have been" else "were not given out here"
    )
    facts.append(f"whether it has seen the test labels is not known, they {given}")
    return f"submitted {row['model']}: {'; '.join([*facts, row['url']] if row['url'] else facts)}"


def _seconds_to(target: float, run_ids: Sequence[str], store: runs.Store) -> float | None:
    """As `TARGET` of a row."""
    seconds = []
    for run in run_ids:
        scores, trained = dict(store.history(run, "val_auc")), dict(store.history(run, "trained_seconds"))
        reached = [trained[step] for step, score in sorted(scores.items()) if score >= target and step in trained]
        seconds.append(reached[0] if reached else math.inf)
    middle = float(np.median(seconds))
    return middle if math.isfinite(middle) else None


def check_columns(tasks: Sequence[Entry[Task]], columns: Sequence[str]) -> None:
    """UserError where one of these is no metric of any of the tasks, no time, and no use of the hardware."""
    known = {name for task in tasks for name in metrics_of(task.record.classes, task.record.metrics)} | NUMBERS.keys()
    slices = tuple(
        f"{metric}_{slice_key(name)}_" for task in tasks for name in task.record.slices for metric in BY_SLICE
    )
    listed = [name for name in METRICS if name in known] + list(NUMBERS)
    if any(len(task.record.classes) > 2 for task in tasks):
        listed += [f"{name}_CLASS" for name, metric in METRICS.items() if metric.of_class]
    listed += [f"{name}VALUE" for name in slices]
    for name in columns:
        if name not in known and not (slices and name.startswith(slices)):
            check_known("column", name, listed)


def board_of(
    tasks: Sequence[Entry[Task]],
    store: runs.Store,
    columns: Sequence[str] = (),
    target: float | None = None,
    ranked_by: str = SHOWN[0],
) -> Leaderboard:
    """The rankings of these tasks as they are shown, with the published results, those of a study where the study's own
    network is ranked.

    columns: to be shown in place of the usual ones. target: a validation AUC, to which the seconds of training are told
    besides. ranked_by: the metric that ranks. UserError as of `leaderboard_of` and `check_columns`, for a metric that
    is none of every task, and for a target that is no such AUC.
    """
    check_columns(tasks, columns)
    if target is not None and not CHANCE < target <= 1:
        raise UserError(f"--target must be above {CHANCE}, the AUC of chance, and at most 1, got {target:g}")
    for task in tasks:
        check_known(f"metric of {task.name}", ranked_by, metrics_of(task.record.classes, task.record.metrics))
    found = [leaderboard_of(task, store, ranked_by=ranked_by) for task in tasks]
    rows = [row for rows, _ in found for row in rows]
    if target is not None:
        for row in rows:
            row[TARGET] = _seconds_to(target, row["run_ids"], store)
    ranked = {row["model"] for row in rows}
    published = [reference for task in tasks for reference in task.record.references]
    for task in tasks:
        published += [one for one in study.references(task.name) if one.model.split()[0] in ranked]
    records = {
        name: metric for task in tasks for name, metric in metrics_of(task.record.classes, task.record.metrics).items()
    }
    measured = [name for row in rows for name in row if f"{name}_error" in row]
    slices = {slice_key(name): name for task in tasks for name in task.record.slices}
    return Leaderboard(
        rows=rows,
        metrics=records
        | {name: _slice(name, slices) for name in [*measured, *columns] if name not in {*records, *NUMBERS}},
        shown=tuple(dict.fromkeys([ranked_by, *SHOWN])),
        columns=columns,
        target=target,
        chance=CHANCE,
        title=tasks[0].record.title if len(tasks) == 1 else "every task",
        references=[dataclasses.asdict(reference) for reference in published],
        notes=[line for _, lines in found for line in lines],
        differences=[
            _differences(task, table, store)
            for task, (of_task, _) in zip(tasks, found, strict=True)
            for table in ranking.groups(of_task)
        ],
    )


def _slice(name: str, slices: Mapping[str, str]) -> Metric:
    """The record of a metric of a slice, `<metric>_<name>_<value>`, of the distance to the optimum, or of a metric that
    another version measured. slices: what stands for each slice in these names -> the task's own name of it."""
    of_slice = [one for one in sorted(BY_SLICE, key=len, reverse=True) if name.startswith(f"{one}_")]
    metric = of_slice[0] if of_slice else ""
    cut, _, value = name.removeprefix(f"{metric}_").rpartition("_")
    heading = f"{BY_SLICE.get(metric, '')} {slices.get(cut, cut.replace('_', ' '))} {value}".strip()
    better = metric != "background_efficiency" and name != BELOW_OPTIMUM
    record = METRICS.get(metric, METRICS["recall"])
    return dataclasses.replace(record, name=name, title=heading, heading=heading, higher_is_better=better)


def write_page(task: Entry[Task], board: Leaderboard, store: runs.Store) -> Path:
    """Write the page of a task's leaderboard, and the index of all pages; returns its path. What of a run cannot be
    read is named on it."""
    record = task.record
    found, lost = plot_data.of_rows(task, [row for row in board.rows if row["rank"] <= MOST_DRAWN], store)
    text = page.render(
        dataclasses.replace(board, notes=[*board.notes, *lost]),
        found,
        signal=record.classes[record.signal],
        background=record.classes[1 - record.signal] if len(record.classes) == 2 else "the rest",
        classes=dict(zip(record.classes, class_keys(record.classes), strict=True)) if len(record.classes) > 2 else {},
        about=[line for line in (record.citation, record.licence) if line],
        slices={slice_key(name): page.Slice(name, BY_SLICE) for name in record.slices},
        library=pages.vega(results_folder() / "drawn"),
    )
    path = reports_folder() / f"{task.name}.html"
    write_atomically(path, text)
    write_atomically(reports_folder() / "index.html", index.render(reports_folder()))
    return path


def keep_ranking(task: Entry[Task], store: runs.Store, run_id: str) -> None:
    """Keep the ranking as it is now as a table of MLflow's, and the page that was written last, with the run of a
    bench."""
    rows, _ = leaderboard_of(task, store)
    numbers = (*SHOWN, *(f"{name}_error" for name in SHOWN), "train_seconds", "latency_ms", "parameters")
    columns = ["rank", "model", "set", "budget", "data", "seeds", *numbers]
    store.upload_table(run_id, "leaderboard.json", columns, [[row.get(name) for name in columns] for row in rows])
    path = reports_folder() / f"{task.name}.html"
    if path.is_file():
        store.upload_file(run_id, path)
