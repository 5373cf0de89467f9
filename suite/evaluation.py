"""Evaluates a saved model on labelled files: every metric with its error, without the events it was trained on."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hepbench.benchmarks import metrics
from hepbench.benchmarks.base import Arrays, Task, UserError
from hepbench.benchmarks.scored import Scored
from hepbench.suite.atomic import atomic_folder
from hepbench.suite.data.dataset import Prepared, prepare, refuse_unlabelled
from hepbench.suite.data.files import Files, digest_of_file, digest_of_files, events_wanted, official, simulated_folder
from hepbench.suite.data.split import split_events
from hepbench.suite.data.weights import reweighted
from hepbench.suite.scoring import OTHER, UNKNOWN, Progress, ScoredEvents, Slices, reader_of, score
from hepbench.suite.trial.artifacts import SavedModel, StoredScores
from hepbench.suite.trial.score_metrics import EvaluatedScores, write_evaluated
from hepbench.suite.trial.spec import Trial

IN_PART = {"train": "of its training part", "validation": "of its validation part"}
UNKNOWN_CLASS = "of classes that it does not know"
EQUAL = "equal to one of its training or validation part"

CHUNK = 1024  # events compared at a time

CONTENT = "contents of events"
"""The name of `contents` among the slices of a chunk; no slice of a task can have it."""

SPECTRUM = "spectrum of the classes"
"""Likewise for the variable by which the task reweights."""

MOST_BY_CHANCE = 0.01
"""Maximum fraction of test events that equal training events: with more, as for clusters of a few small integers,
equality does not show that an event is the same."""


@dataclass(frozen=True)
class Provenance:
    """Which of the given files a run was trained on.

    same: these, at the run's own paths, since ids may depend on file names. others: the other given files.
    parts: "train" and "validation" -> ids of events in `same`; None if the split cannot be reproduced.
    trained: sorted `contents` of the events of these sets, to search for in `others`; None if that is not conclusive.
    warnings, notes: sentences to show, what a reader of the numbers must know and what is good to know.
    """

    same: Sequence[Path]
    others: Sequence[Path]
    parts: Mapping[str, np.ndarray] | None = None
    trained: np.ndarray | None = None
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Evaluation:
    """Metrics of a model on events, and the events. ids, labels: (n,). scores: (n, classes) logarithms of
    probabilities.

    metrics: as `metrics.evaluate` names them, and by slice. left_out: reason -> number of excluded events.
    warnings, notes: see `Provenance`. weights: (n,) event weights; None: each counts one.
    """

    metrics: Mapping[str, float]
    ids: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    left_out: Mapping[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    weights: np.ndarray | None = None

    @property
    def stored(self) -> StoredScores:
        return StoredScores(self.ids, self.labels, self.scores, self.weights)


def provenance_of(
    run: Mapping[str, Any], trial: Trial, paths: Sequence[Path], progress: Progress = lambda done: None
) -> Provenance:
    """Compare files with those that a run was trained on. progress: of reading these, if necessary."""
    digests = [digest_of_file(path) for path in paths]
    if len(set(digests)) < len(digests):
        twice = next(path for path, digest in zip(paths, digests, strict=True) if digests.count(digest) > 1)
        raise UserError(f"{twice}: the same content is given twice, and its events would count twice")
    files = _files_of(run, trial, paths)
    if files is None:
        note = "the files that the model was trained on are missing: whether it was trained on some of these events "
        return Provenance((), paths, notes=(f"{note}is not known",))
    same = [path for path in files.paths if digest_of_file(path) in digests]
    of_run = {digest_of_file(path) for path in same}
    others = [path for path, digest in zip(paths, digests, strict=True) if digest not in of_run]
    prepared = prepare(trial.task, files, progress)
    rows, split_hash = split_events(trial.task.record, prepared, trial.spec.most_events)
    known = split_hash == run["tags"]["split_hash"]
    warnings, notes, trained = [], [], None
    if same and not known:
        warnings.append(
            f"{_names(same)}: the model was trained on events of {_them(same)}, which this version splits differently: "
            "they are not excluded, and the numbers are too good"
        )
    if others and known:
        trained, test = (
            _contents_of(prepared, np.concatenate([rows[part] for part in parts]), progress)
            for parts in (("train", "validation"), ("test",))
        )
        if np.isin(test, trained).mean() > MOST_BY_CHANCE:
            trained = None
    if others and trained is None:
        notes.append(
            f"{_names(others)}: other files than the model was trained on; whether they contain some of the same "
            "events is not known"
        )
    parts = {part: prepared.ids[rows[part]] for part in IN_PART} if known else None
    return Provenance(same, others, parts, trained, tuple(warnings), tuple(notes))


def contents(arrays: Arrays) -> np.ndarray:
    """(n,) uint64 hash of the numbers of each event in all arrays: the same for equal events, whatever their file."""
    found = np.zeros(1, np.uint64)
    for place, name in enumerate(sorted(arrays)):
        values = arrays[name]
        dense = np.ascontiguousarray(values if isinstance(values, np.ndarray) else values[np.arange(len(values))])
        letters = dense.reshape(len(dense), -1).view(np.uint8)
        words = np.pad(letters, ((0, 0), (0, -letters.shape[1] % 8))).view(np.uint64)
        weights = np.random.default_rng(place).integers(2**63, size=words.shape[1], dtype=np.uint64) * 2 + 1
        words = words * np.uint64(0x9E3779B97F4A7C15)  # modulo 2^64, as all that follows
        words ^= words >> np.uint64(29)  # so that signs, the highest bits, do not cancel
        found = found * np.uint64(1_000_003) + (words * weights).sum(axis=1)
    return found


def _contents_of(prepared: Prepared, rows: np.ndarray, progress: Progress) -> np.ndarray:
    """Sorted contents of these events."""
    found = []
    for part in np.array_split(np.sort(rows), max(1, len(rows) // CHUNK)):
        found.append(contents({name: array[part] for name, array in prepared.arrays.items()}))
        progress(len(part))
    return np.sort(np.concatenate(found))


def evaluate(model: SavedModel, provenance: Provenance, progress: Progress = lambda done: None) -> Evaluation:
    """Score the files and evaluate every metric on the events that were not used in training.

    Events of the training and validation sets are excluded, as are those of classes that the model does not know.
    UserError if a file has no labels, or no event is left.
    """
    task = model.trial.task.record
    left_out: dict[str, int] = {}
    kept: list[ScoredEvents] = []
    of_run = of_others = 0
    for paths, parts in ((provenance.same, provenance.parts or {}), (provenance.others, {})):
        if not paths:
            continue
        trained = provenance.trained if paths is provenance.others else None
        slices = dict(task.slices) if trained is None else {**task.slices, CONTENT: contents}
        if task.reweight:
            slices[SPECTRUM] = task.reweight
        events = _together(_labelled(model, paths, slices, progress))
        of_run += len(events.ids) if parts else 0
        reasons = {IN_PART[part]: np.isin(events.ids, ids) for part, ids in parts.items()}
        if trained is not None:
            reasons[EQUAL] = np.isin(events.slices.pop(CONTENT), trained)
            of_others = len(events.ids)
        reasons[UNKNOWN_CLASS] = events.labels == OTHER
        counts = np.ones(len(events.ids), bool)
        for reason, where in reasons.items():
            left_out[reason] = left_out.get(reason, 0) + int((where & counts).sum())
            counts &= ~where
        kept.append(_of(events, counts))
    left_out = {reason: number for reason, number in left_out.items() if number}
    events = _together(kept)
    if not len(events.ids):
        shown = ", ".join(f"{number:,} {reason}" for reason, number in left_out.items())
        raise UserError(f"{_names([*provenance.same, *provenance.others])}: no event is left to evaluate: {shown}")
    weights = _weights(task, events)
    try:
        measured = metrics.evaluate(events.labels, events.scores, task.signal, task.classes, weights)
        measured |= metrics.measure(Scored(events.labels, events.scores, weights), task.signal, task.metrics)
    except ValueError as error:
        raise UserError(f"{_names([*provenance.same, *provenance.others])}: {error}") from error
    for name, values in events.slices.items():
        measured |= metrics.by_slice(name, values, events.labels, events.scores, task.signal, weights)
    warnings, notes = provenance.warnings, provenance.notes
    if provenance.same and provenance.parts:
        counted = ", ".join(f"{left_out[reason]:,} {reason}" for reason in IN_PART.values() if reason in left_out)
        warnings = (
            f"{_names(provenance.same)}: the model was trained on {_them(provenance.same)}. Of {of_run:,} events "
            f"{counted or 'none'} are excluded",
            *warnings,
        )
    if equal := left_out.get(EQUAL):
        warnings = (
            f"{_names(provenance.others)}: other files than the model was trained on, but {equal:,} of "
            f"{of_others:,} events equal one of its training or validation set in every number: they are excluded",
            *warnings,
        )
    elif provenance.trained is not None:
        notes = (f"{_names(provenance.others)}: other files than the model was trained on, and other events", *notes)
    if other := left_out.get(UNKNOWN_CLASS):
        notes = (f"{other:,} events of classes that the model does not know are excluded", *notes)
    return Evaluation(measured, events.ids, events.labels, events.scores, left_out, warnings, notes, weights)


def _weights(task: Task, events: ScoredEvents) -> np.ndarray | None:
    """As `suite.data.weights.weights_of`, for scored events, with the spectrum from their slices."""
    spectrum = events.slices.pop(SPECTRUM, None)
    if spectrum is not None:
        return reweighted(task, events.labels, spectrum)
    return events.weights if task.weights in ("testing", "both") else None


def _labelled(model: SavedModel, paths: Sequence[Path], slices: Slices, progress: Progress) -> Iterator[ScoredEvents]:
    for chunk in score(model, paths, progress, slices):
        if (chunk.labels == UNKNOWN).any():
            refuse_unlabelled(reader_of(model.trial.task)[0].read, paths)
        yield chunk


def _together(chunks: Iterable[ScoredEvents]) -> ScoredEvents:
    parts = list(chunks)
    ids, labels, scores = (
        np.concatenate([getattr(one, name) for one in parts]) for name in ("ids", "labels", "scores")
    )
    slices = {name: np.concatenate([one.slices[name] for one in parts]) for name in parts[0].slices}
    weighted = [one.weights for one in parts if one.weights is not None]
    return ScoredEvents(ids, labels, scores, slices, np.concatenate(weighted) if weighted else None)


def _of(events: ScoredEvents, which: np.ndarray) -> ScoredEvents:
    slices = {name: values[which] for name, values in events.slices.items()}
    weights = None if events.weights is None else events.weights[which]
    return ScoredEvents(events.ids[which], events.labels[which], events.scores[which], slices, weights)


def write(folder: Path, run: Mapping[str, Any], model: SavedModel, paths: Sequence[Path], found: Evaluation) -> None:
    """Write scores, ROC, confusion matrix, plots and metrics.json, all that a run has for its test set, into a new
    folder, which appears complete or not at all."""
    spec = model.trial.spec
    about = {
        "run": run["id"],
        "task": model.trial.task.name,
        "model": model.trial.model.name,
        "seed": spec.seed,
        "budget": spec.budget,
        "trained_on": {"data": spec.data, "digest": run["tags"].get("data_digest")},
        "files": [{"name": path.name, "sha256": digest_of_file(path)} for path in paths],
        "events": len(found.ids),
        "left_out": dict(found.left_out),
        "warnings": found.warnings,
        "notes": found.notes,
        "metrics": {name: value if math.isfinite(value) else None for name, value in found.metrics.items()},
    }
    with atomic_folder(folder) as scratch:
        (scratch / "metrics.json").write_text(json.dumps(about, indent=1, ensure_ascii=False), encoding="utf-8")
        evaluated = EvaluatedScores(found.stored, found.stored.scored(), dict(found.metrics))
        write_evaluated(scratch, model.trial.task.record, evaluated)


def _files_of(run: Mapping[str, Any], trial: Trial, given: Sequence[Path]) -> Files | None:
    """The files that a run was trained on: where a bench looks for them, or all of those given; None if neither have
    the run's digest."""
    task, spec = trial.task, trial.spec
    if spec.data == "official":
        here = official(task) or []
    else:
        folder = simulated_folder(task, events_wanted(task, spec.most_events), spec.data_seed)
        here = sorted(folder.iterdir(), reverse=True) if folder.is_dir() else []
    order = {source.name: number for number, source in enumerate(task.record.sources)}
    by_name = sorted(given)
    for paths in (here, list(given), by_name, by_name[::-1], sorted(given, key=lambda path: order.get(path.name, 0))):
        if paths and digest_of_files(paths) == run["tags"].get("data_digest"):
            return Files(spec.data, paths, run["tags"]["data_digest"])
    return None


def _them(paths: Sequence[Path]) -> str:
    return "it" if len(paths) == 1 else "them"


def _names(paths: Sequence[Path]) -> str:
    return ", ".join(path.name for path in paths)
