"""Runs as MLflow's tables have them, read in a few queries.

MLflow's own reading makes an object of every tag, parameter and metric, which of a thousand runs takes ten seconds or
more, after the seconds of its import. These tables have had these columns since its first version.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

Rows = Callable[..., list[tuple[Any, ...]]]
"""Gives what an SQL statement with `:names` selects; the values of these are given by name."""

ACTIVE = "r.lifecycle_stage = 'active'"


def of_experiment(rows: Rows, experiment: str, status: str | None, tags: Mapping[str, str]) -> list[dict[str, Any]]:
    """As `Store.runs` gives them."""
    wanted = f"{ACTIVE} AND r.experiment_id IN (SELECT experiment_id FROM experiments WHERE name = :experiment)"
    values = {"experiment": experiment}
    if status:
        wanted += " AND r.status = :status"
        values["status"] = status
    for number, (name, value) in enumerate(tags.items()):
        wanted += " AND EXISTS (SELECT 1 FROM tags t WHERE t.run_uuid = r.run_uuid"
        wanted += f" AND t.key = :name{number} AND t.value = :value{number})"
        values |= {f"name{number}": name, f"value{number}": value}
    return _runs(rows, wanted, values)


def experiments(rows: Rows) -> dict[str, str]:
    """Name -> id of every active experiment, newest first."""
    found = rows(
        "SELECT name, experiment_id FROM experiments WHERE lifecycle_stage = 'active' ORDER BY experiment_id DESC"
    )
    return {name: str(number) for name, number in found}


def beginning_with(rows: Rows, beginning: str) -> list[dict[str, Any]]:
    """As `Store.find` gives them."""
    return _runs(rows, f"{ACTIVE} AND substr(r.run_uuid, 1, {len(beginning)}) = :beginning", {"beginning": beginning})


def history(rows: Rows, run_id: str, metric: str) -> list[tuple[int, float]]:
    """As `Store.history` gives it."""
    statement = "SELECT step, value, is_nan FROM metrics WHERE run_uuid = :run AND key = :metric"
    found = rows(f"{statement} ORDER BY step, timestamp", run=run_id, metric=metric)
    return [(step, math.nan if is_nan else value) for step, value, is_nan in found]


def artifact_address(rows: Rows, run_id: str) -> tuple[str, str, tuple[str, ...]] | None:
    """Where a run's artifacts lie, where those of its experiment do, and what the experiment may be called there; None
    where there is no such run."""
    columns = "r.artifact_uri, e.artifact_location, e.name, e.experiment_id"
    joined = "runs r JOIN experiments e ON e.experiment_id = r.experiment_id"
    found = rows(f"SELECT {columns} FROM {joined} WHERE r.run_uuid = :run", run=run_id)
    return (found[0][0], found[0][1], (found[0][2], str(found[0][3]))) if found else None


PARTS = ("test_", "final_val_")
"""How the metrics of a part of the data begin."""

FOREMOST = ("auc", "accuracy", "log_loss", "rejection_50", "events", "roc_rejection")
"""What MLflow's page shows of them, with its errors, among all metrics; the others are in a section of their own."""

SECTION = "detail/"
"""Before the names of those in the store: MLflow's page folds metrics together whose names begin alike to a slash."""


def filed(name: str) -> str:
    """The name that a metric has in the store."""
    for part in PARTS:
        if name.startswith(part) and name.removeprefix(part).removesuffix("_error") not in FOREMOST:
            return SECTION + name
    return name


def renamed(metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics of a run of whatever version, as they are called now, by the names that they were logged by. Those of
    the validation part began with "valid_", beside those by epoch, "val_"; where a name was written without its section
    and with it, the latter counts."""
    now = {name: f"final_val_{name.removeprefix('valid_')}" for name in metrics if name.startswith("valid_")}
    now |= {"valid_events": "val_events"}
    old = {now[name]: value for name, value in metrics.items() if name in now}
    plain = {name: value for name, value in metrics.items() if name not in now}
    in_section = {name: value for name, value in plain.items() if name.startswith(SECTION)}
    plain = {name: value for name, value in plain.items() if name not in in_section}
    return old | plain | {name.removeprefix(SECTION): value for name, value in in_section.items()}


def _runs(rows: Rows, wanted: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Runs that fulfil a condition on `runs r`, oldest first."""
    columns = "r.run_uuid, r.name, r.status, r.start_time, r.end_time"
    found = {
        run_id: {
            "id": run_id,
            "name": name,
            "status": status,
            "start": start / 1000,
            "end": end / 1000 if end else None,
            "tags": {},
            "metrics": {},
            "parameters": {},
        }
        for run_id, name, status, start, end in rows(
            f"SELECT {columns} FROM runs r WHERE {wanted} ORDER BY r.start_time, r.run_uuid", **values
        )
    }
    if not found:
        return []
    for table, field in (("tags", "tags"), ("params", "parameters"), ("latest_metrics", "metrics")):
        which = "o.run_uuid, o.key, o.value" + (", o.is_nan" if field == "metrics" else ", 0")
        statement = f"SELECT {which} FROM {table} o JOIN runs r ON r.run_uuid = o.run_uuid WHERE {wanted}"
        for run_id, name, value, is_nan in rows(statement, **values):
            if run_id in found:  # else it was begun since
                found[run_id][field][name] = math.nan if is_nan else value
    for run in found.values():
        run["metrics"] = renamed(run["metrics"])
    return list(found.values())
