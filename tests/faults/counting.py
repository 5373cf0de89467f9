"""What a fault did: the one function that counts."""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlparse

from faults.scene import Scene

HARMS = ("lost", "doubled", "orphaned", "tracebacks", "hangs", "others")
"""Results or files that are not there, or not as an undisturbed call makes them; results of one identity that count
twice; processes that outlive their call by 20 s; tracebacks and crashes of the interpreter; calls that do not end; and
whatever else is wrong: a repeated call that fails, a run that stands as running, scratch files."""

CRASHES = (-4, -6, -7, -8, -11)
"""SIGILL, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, which no fault here sends."""


@dataclass(frozen=True)
class Run:
    id: str
    status: str
    artifacts: str
    tags: dict[str, str]
    auc: float | None


def count(scene: Scene, reference: dict[str, float] | None = None) -> dict[str, list[str]]:
    """Harm -> a line for each time that it was done. reference: identity -> AUC on the test events of results as an
    undisturbed call has them."""
    found: dict[str, list[str]] = {harm: [] for harm in HARMS}
    found["orphaned"] += scene.orphans
    found["others"] += scene.complaints
    for call in scene.calls:
        said = " ".join(call.arguments)[:60]
        found["tracebacks"] += [f"{said}: {line}" for line in tracebacks(call.printed)]
        if call.status is None:
            found["hangs"].append(f"{said}: {call.last_line}")
        elif call.status in CRASHES or call.status in [128 - crash for crash in CRASHES]:
            found["tracebacks"].append(f"{said}: crashed with status {call.status}")
    _count_results(scene, reference or {}, found)
    _count_trials(scene, found)
    _count_files(scene, found)
    return found


def tracebacks(printed: str) -> list[str]:
    """The last line of each traceback."""
    lines = printed.splitlines()
    found = []
    for number, line in enumerate(lines):
        if "Traceback (most recent call last)" in line:
            rest = [one for one in lines[number + 1 :] if one and not one.startswith((" ", "│", "╰"))]
            found.append(rest[0] if rest else line)
    return found


def _count_results(scene: Scene, reference: dict[str, float], found: dict[str, list[str]]) -> None:
    every = runs_of(scene.store or scene.home / "results" / "mlflow.db")
    finished = [run for run in every if run.status == "FINISHED"]
    finals = [run for run in finished if run.tags.get("stage") == "final"]
    # A call that finds another at its trials waits for them, and tells of them, too.
    announced = {
        name for call in scene.calls for name in re.findall(r"^done \d+/\d+ ([^:]*)", call.printed, re.MULTILINE)
    }
    there = len({run.tags["identity"] for run in finals})
    if there < scene.results:
        found["lost"].append(f"{there} of {scene.results} results are there")
    elif len(announced) > len(finals):
        found["lost"].append(f"{len(announced)} results were said to be done, {len(finals)} are there")
    for run in finals:
        identity = run.tags["identity"]
        place = urlparse(run.artifacts)
        if place.scheme == "file" and not (Path(unquote(place.path)) / "scores.parquet").is_file():
            found["lost"].append(f"the scores of the finished run {run.id}")
        if identity in reference and run.auc != reference[identity]:
            found["lost"].append(f"AUC {run.auc} of run {run.id}, undisturbed {reference[identity]}")
    for identity, times in Counter(run.tags["identity"] for run in finals).items():
        if times > 1:
            found["doubled"].append(f"{times} finished results of identity {identity[:12]}")
    of_trials = [(run.tags["study"], run.tags["trial"]) for run in finished if {"study", "trial"} <= run.tags.keys()]
    for (study, trial), times in Counter(of_trials).items():
        if times > 1:
            found["doubled"].append(f"{times} finished runs of trial {trial} of study {study}")
    found["others"] += [f"run {run.id} stands as running" for run in every if run.status == "RUNNING"]


def _count_trials(scene: Scene, found: dict[str, list[str]]) -> None:
    """A trial that was interrupted and retried counts once, as that which took its place."""
    if not scene.trials:
        return
    states = scene.states
    if states is None:
        states = states_of(f"sqlite:///{scene.home / 'results' / 'studies.db'}")
    ended = sum(state in ("COMPLETE", "PRUNED", "FAIL") for state in states)
    if ended < scene.trials:
        found["lost"].append(f"{ended} of {scene.trials} trials of the study are there")
    elif ended > scene.trials:
        found["doubled"].append(f"{ended} trials of a study of {scene.trials}")
    found["others"] += [f"a trial is {state.lower()}" for state in states if state in ("RUNNING", "WAITING")]


KEPT = (".lock", ".files")
"""Endings of hidden files that belong there: locks, and the list of what a simulation wrote."""


def _count_files(scene: Scene, found: dict[str, list[str]]) -> None:
    for page in scene.home.glob("results/reports/*.html"):
        if not page.read_text(errors="replace").rstrip().endswith("</html>"):
            found["lost"].append(f"the page {page.name} is cut")
    for path in [*scene.home.glob("data/**/.*"), *scene.home.glob("results/**/.*")]:
        if not path.name.endswith(KEPT):
            found["others"].append(f"left in the home: {path.relative_to(scene.home)}")


def runs_of(database: Path) -> list[Run]:
    """Of MLflow's tables, without MLflow. None where there are no tables."""
    if not database.is_file():
        return []
    with closing(sqlite3.connect(database, timeout=60)) as connection:
        if not connection.execute("SELECT name FROM sqlite_master WHERE name = 'latest_metrics'").fetchall():
            return []
        tags: dict[str, dict[str, str]] = {}
        for run, key, value in connection.execute("SELECT run_uuid, key, value FROM tags"):
            tags.setdefault(run, {})[key] = value
        aucs = dict(connection.execute("SELECT run_uuid, value FROM latest_metrics WHERE key = 'test_auc'"))
        rows = connection.execute("SELECT run_uuid, status, artifact_uri FROM runs WHERE lifecycle_stage = 'active'")
        return [Run(run, status, uri, tags.get(run, {}), aucs.get(run)) for run, status, uri in rows]


def states_of(address: str) -> list[str]:
    """Of the trials in a database of studies; those that were retried are left out."""
    import sqlalchemy

    engine = sqlalchemy.create_engine(address)
    with engine.connect() as connection:
        if not sqlalchemy.inspect(connection).has_table("trials"):
            return []
        query = "SELECT value_json FROM trial_user_attributes WHERE key = 'retry_of'"
        retried = {int(value) for (value,) in connection.execute(sqlalchemy.text(query))}
        query = "SELECT number, state FROM trials"
        states = [state for number, state in connection.execute(sqlalchemy.text(query)) if number not in retried]
    engine.dispose()
    return states
