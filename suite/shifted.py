"""Trained models scored on the shifted samples of a task: no training sees these, and none is done for them.

Scores of the sample NAME are kept with the run as `shift_NAME.parquet`, its AUC and how that differs from the test
part's as metrics `shift_NAME_auc` and `shift_NAME_change`, and what the sample is as the tag `shift_NAME`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import shlex
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import Events, Sample, Task, UserError
from hepbench.benchmarks.metrics import METRICS
from hepbench.benchmarks.registry import Entry
from hepbench.benchmarks.shift import ALL, Shift, file_of, named
from hepbench.suite import campaign, differences, fingerprint, scoring
from hepbench.suite.campaign import Bench
from hepbench.suite.data.dataset import Prepared, prepare, view_of
from hepbench.suite.data.files import Files, official
from hepbench.suite.data.opening import DataEvent, open_data
from hepbench.suite.data.split import split_events
from hepbench.suite.data.weights import weights_of
from hepbench.suite.paths import official_folder
from hepbench.suite.trial.artifacts import SavedModel, StoredScores, log_scores, write_scores
from hepbench.suite.trial.spec import cut, hash_of
from hepbench.tracking.leaderboard.shifts import PREFIX
from hepbench.tracking.runs import Store, StoreError

MOST_SIMULATED = 10_000
"""Events of a sample by another simulation, or of other files, at most: the error of its AUC is then some 0.003."""

CHUNK = 2048  # events that are changed at a time

RATED = "auc"
"""The metric of shifted samples."""


@dataclasses.dataclass(frozen=True)
class Opened:
    """A shifted sample as arrays. rows: those of its events that are scored. same: they are events of the test part,
    changed. digest: of the events and of what reads them."""

    name: str
    shift: Shift
    prepared: Prepared
    rows: np.ndarray
    digest: str

    @property
    def same(self) -> bool:
        return self.shift.change is not None


def runs_of(asked: Bench, planned: Collection[campaign.PlannedTrial], store: Store) -> list[dict[str, Any]]:
    """The latest finished run of each of these trials."""
    identities = {one.identity for one in planned if one.identity}
    latest = {run["tags"].get("identity"): run for run in campaign.finished(asked.task.name, {"final"}, store)}
    return [run for identity, run in latest.items() if identity in identities]


def open_shifts(
    asked: Bench, names: Sequence[str], listener: Callable[[DataEvent], None] = campaign.ignore
) -> tuple[list[Opened], list[str]]:
    """The shifts of these names, ("all",) for every one, and lines on those that are not here. UserError as of
    `check`."""
    check(asked, names)
    opened, notes = [], []
    for name, shift in named(asked.task, tuple(names)).items():
        if why := missing(shift, asked.data):
            notes.append(f"the shifted sample {name} {why}")
        else:
            opened.append(open_shift(asked, name, shift, listener))
    return opened, notes


def score_runs(
    task: Entry[Task],
    runs: Sequence[Mapping[str, Any]],
    opened: Sequence[Opened],
    store: Store,
    advance: Callable[[int], None] = lambda done: None,
) -> list[str]:
    """Score the trained models of these runs on shifted samples, where they are not yet. advance: is called with the
    number of samples that are done with since. Returns lines on what could not be scored."""
    notes = []
    for run in runs:
        lacking = [one for one in opened if _tag(run, one.name).get("digest") != one.digest]
        advance(len(opened) - len(lacking))
        try:
            notes += _score_run(task, run, lacking, store, advance) if lacking else []
        except (UserError, StoreError, OSError, ValueError) as error:
            notes.append(f"{run['name']} is not scored on shifted samples: {_reason(error)}")
    return notes


def missing(shift: Shift, data: str) -> str:
    """Why a sample cannot be had with this kind of data; "" where it can."""
    if shift.simulated and data != "simulated":
        return "is of simulated data alone, whose units are known: give DATA=simulated"
    if shift.change:
        return ""
    entry = registry.find("task", shift.sample)
    if entry.record.simulation or official(entry):
        return ""
    folder = official_folder(entry.dataset)
    wanted = ", ".join(f"{source.name} from {source.url}" for source in entry.record.sources)
    return f"is not here: put {wanted} into {folder}"


def open_shift(asked: Bench, name: str, shift: Shift, listener: Callable[[DataEvent], None]) -> Opened:
    """The events of a shift, simulated or changed where they are not here yet. Those of another simulation are as many
    as the test part has, MOST_SIMULATED at most."""
    task, most = asked.task, asked.trials[0].spec.most_events
    files, prepared = open_data(task, asked.data, most, campaign.ignore)
    rows, split_hash = split_events(task.record, prepared, most)
    if shift.change:
        entry = _changed(task, name, shift, prepared, rows["test"])
        digest = hashlib.sha256(f"{files.digest} {split_hash} {name}".encode()).hexdigest()
        shifted = prepare(entry, Files(files.kind, files.paths, digest))
        chosen = np.arange(len(shifted))
    else:
        entry = registry.find("task", shift.sample)
        if entry.record.classes != task.record.classes:
            theirs, ours = (", ".join(one.record.classes) for one in (entry, task))
            raise UserError(f"the shifted sample {name} has the classes {theirs}, and {task.name} has {ours}")
        count = min(len(rows["test"]), MOST_SIMULATED)
        kind = "simulated" if entry.record.simulation else "official"
        found, shifted = open_data(entry, kind, count, listener)
        chosen = np.sort(np.random.default_rng(2026).permutation(len(shifted))[:count])
        digest = found.digest
    return Opened(name, shift, shifted, chosen, hash_of([digest, len(chosen), fingerprint.code_of_reader(entry)]))


def _changed(task: Entry[Task], name: str, shift: Shift, prepared: Prepared, rows: np.ndarray) -> Entry[Task]:
    """A task that reads these events as the shift changes them, whatever its files."""

    def read(paths: Sequence[Path]) -> Iterator[Events]:
        assert shift.change is not None
        for start in range(0, len(rows), CHUNK):
            some = rows[start : start + CHUNK]
            arrays = {key: array[some] for key, array in prepared.arrays.items()}
            try:
                changed = shift.change(arrays, np.random.default_rng([2026, start]))
            except Exception as error:  # whatever a user's file raises
                raise UserError(
                    f"{file_of(task)}: the shift {name!r} fails: {type(error).__name__}: {error}"
                ) from error
            weights = None if prepared.weights is None else prepared.weights[some]
            yield Events(changed, prepared.labels[some], prepared.ids[some], weights)

    record = dataclasses.replace(task.record, read=read)
    return dataclasses.replace(task, name=f"{task.dataset}:{name}", path=file_of(task), record=record)


def _score_run(
    task: Entry[Task], run: Mapping[str, Any], lacking: Sequence[Opened], store: Store, advance: Callable[[int], None]
) -> list[str]:
    """Lines on the samples that a run's model cannot be scored on."""
    nominal, notes = differences.scores_of(store, run["id"]), []
    own = {"task": None if task.shipped else task.given, "model": _own_model(run)}
    with scoring.model_of(store, run["id"], **own) as (_, model):
        for one in lacking:
            try:
                _log(run["id"], one, nominal, predicted(task, model, one), task.record, store)
            except (ValueError, UserError) as error:
                notes.append(f"{run['name']} is not scored on {one.name}: {_reason(error)}")
            advance(1)
    return notes


def _own_model(run: Mapping[str, Any]) -> str | None:
    """The user's file that the model of a run is of, which this command was given, too; None where it is shipped."""
    words = shlex.split(str(run["tags"].get("command", "")))
    given = words[words.index("--model") + 1] if "--model" in words[:-1] else ""
    return given if ".py" in given else None


def predicted(task: Entry[Task], model: SavedModel, one: Opened) -> StoredScores:
    """The scores of a trained model on a shifted sample. ValueError where the sample has other inputs than those of the
    training, or the model gives no scores."""
    settings, family = model.trial.hyperparameters, model.trial.model.record
    whole = view_of(task, one.prepared, family.view, settings.get("features", "")) if family.view else {}
    unknown = np.full(len(one.rows), scoring.UNKNOWN)  # a model never sees labels here
    sample = Sample(cut(task.record, whole, settings), one.rows, unknown, model.scaling)
    if model.shapes is not None and sample.raw_shapes != model.shapes:
        raise ValueError(f"an event has {sample.raw_shapes}, and the model was trained on {model.shapes}")
    try:
        scores = log_scores(model.fitted, sample)
    except Exception as error:  # of a model that was damaged, or of a user's own
        raise ValueError(f"the model fails on the events ({type(error).__name__}: {error})") from error
    weights = weights_of(task, one.prepared, one.rows, "testing")
    return StoredScores(one.prepared.ids[one.rows], one.prepared.labels[one.rows], scores, weights)


def _log(run: str, one: Opened, nominal: StoredScores, found: StoredScores, task: Task, store: Store) -> None:
    values = measured(one.name, nominal, found, one.same, task)
    with tempfile.TemporaryDirectory() as scratch:
        write_scores(Path(scratch) / file_name(one.name), found, task.classes)
        store.upload(run, Path(scratch))
    store.log(run, values)
    about = {"title": one.shift.title, "events": len(found.ids), "same_events": one.same, "digest": one.digest}
    store.tag(run, {f"{PREFIX}{one.name}": json.dumps(about)})


def _reason(error: Exception) -> str:
    return str(error).partition("\n")[0]


def file_name(name: str) -> str:
    """What the scores of a shift are kept as."""
    return f"{PREFIX}{name}.parquet"


def measured(name: str, nominal: StoredScores, found: StoredScores, same: bool, task: Task) -> dict[str, float]:
    """The AUC on a shifted sample with its error, and how much it is above that of the test part, as a run logs them.

    same: of the same events, whose parts in both are subtracted one by one (DeLong's variance of a difference); else
    the two errors are independent. ValueError where the events are not the same, or a score is none.
    """
    metric = METRICS[RATED]
    shifted = found.scored()
    value, error = metric.of(shifted, task.signal)
    if same:
        nominal = _of_ids(nominal, found.ids)
    before = nominal.scored()
    reference, of_reference = metric.of(before, task.signal)
    if same:
        assert metric.influences is not None
        apart = metric.influences(shifted, task.signal) - metric.influences(before, task.signal)
        of_change = math.sqrt(float(np.dot(apart, apart)))
    else:
        of_change = math.hypot(error, of_reference)
    values = {RATED: value, f"{RATED}_error": error, "change": value - reference, "change_error": of_change}
    return {f"{PREFIX}{name}_{key}": number for key, number in values.items()}


def _of_ids(found: StoredScores, ids: np.ndarray) -> StoredScores:
    """Those of these events, in their order. ValueError where one is not there."""
    order = np.argsort(found.ids, kind="stable")
    places = np.minimum(np.searchsorted(found.ids, ids, sorter=order), len(order) - 1)
    if not np.array_equal(found.ids[order[places]], ids):
        raise ValueError("the shifted events are not those of the test part")
    return found.taken(order[places])


def measured_again(run: Mapping[str, Any], nominal: StoredScores, task: Task, store: Store) -> dict[str, float]:
    """Every metric of the shifted samples of a run of which it keeps the scores; an imported one keeps none."""
    values: dict[str, float] = {}
    kept = store.files(run["id"])
    for tag in run["tags"]:
        name = tag.removeprefix(PREFIX)
        if tag.startswith(PREFIX) and file_name(name) in kept and (about := _tag(run, name)):
            found = differences.scores_of(store, run["id"], file_name(name))
            values |= measured(name, nominal, found, bool(about.get("same_events")), task)
    return values


def _tag(run: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What a run tells of a shifted sample; nothing where it was not scored on it."""
    try:
        about = json.loads(run["tags"].get(f"{PREFIX}{name}", "{}"))
    except ValueError:
        return {}
    return about if isinstance(about, dict) else {}


def check(asked: Bench, names: Sequence[str]) -> None:
    """UserError for a name that is no shift of the task, or a sample asked for by its name that is not here, before
    anything is trained."""
    for name, shift in named(asked.task, tuple(names)).items():
        if ALL not in names and (why := missing(shift, asked.data)):
            raise UserError(f"the shifted sample {name} of {asked.task.name} {why}")
