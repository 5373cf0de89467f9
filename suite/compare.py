"""Two results of a task beside each other, event by event, from the scores that their runs keep; nothing is trained."""

from __future__ import annotations

import dataclasses
import math
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from hepbench.benchmarks import metrics, registry
from hepbench.benchmarks.base import Metric, Task, UserError, check_known
from hepbench.benchmarks.registry import Entry
from hepbench.benchmarks.scored import Scored
from hepbench.suite import differences, results
from hepbench.suite.atomic import write_atomically
from hepbench.suite.data.dataset import prepared_here
from hepbench.suite.differences import NotComparable, Trained, trainings_of
from hepbench.suite.exchange import scores
from hepbench.suite.exchange.scores import GivenScores
from hepbench.suite.paths import file_name, reports_folder
from hepbench.suite.trial.artifacts import StoredScores
from hepbench.suite.trial.inputs import slices_of
from hepbench.tracking import statistics
from hepbench.tracking.comparison import page, table
from hepbench.tracking.comparison.record import (
    Agreement,
    Band,
    Comparison,
    Curves,
    Densities,
    Density,
    DiscrepantEvent,
    Measured,
    Overlap,
    Side,
    Slice,
)
from hepbench.tracking.leaderboard import ranking
from hepbench.tracking.leaderboard.matrix import name_of
from hepbench.tracking.leaderboard.ranking import Row
from hepbench.tracking.leaderboard.table import NUMBERS, facts_of
from hepbench.tracking.numbers import significant_digits
from hepbench.tracking.runs import Store, StoreError

SAME = {"data": "other data", "data_digest": "another data digest", "split_hash": "another split"}
"""Tags that must be equal for two results to be of the same test events, and what it is called where they are not."""

EFFICIENCIES = np.append(np.linspace(2, 98, 49), 99)
"""Of the signal, in percent, at which the curves are measured."""

BY_SLICE = ("auc", "rejection_50")
"""Metrics that are compared in slices, too."""

BINS = 60
"""Of the log-odds."""

INNER = 0.002, 0.998
"""Quantiles of the log-odds between which these bins are."""

COSTS = ("parameters", "train_seconds", "predict_us_per_event", "latency_ms")

BEGINNING = re.compile("[0-9a-f]{6,64}")
"""Of the id of a run or a configuration."""

Advance = Callable[[int], None]
"""Is called with how many more steps are done."""


@dataclasses.dataclass(frozen=True)
class CompareRequest:
    """Two rows, as `ranking.rows` gives them, of the same test events. notes: what was chosen among several."""

    task: Entry[Task]
    one: Row
    other: Row
    names: tuple[str, str]
    notes: tuple[str, ...]

    @property
    def steps(self) -> int:
        """As many as `compare` advances by."""
        return len(_records(self.task.record)) + len(EFFICIENCIES)


def request(task: str, one: str, other: str, store: Store, budget: str | None = None) -> CompareRequest:
    """Find what the names stand for: a model (that of its defaults, where it has been run), a model with its settings
    as a leaderboard names it, "<model> tuned" or the name of a study, the beginning of the id of a configuration or a
    run, or a file of scores as `hepbench score` takes it. budget: only results within it.

    Of several results of these names the latest that are of the same test events are taken. UserError for what is not
    there, and for two results of other test events, another split or other data.
    """
    entry = registry.find("task", task)
    runs = store.runs(entry.name, status="FINISHED", tags={"stage": "final"})
    rows = ranking.rows(runs, metrics.metrics_of(entry.record.classes, entry.record.metrics), differences.COMPARED[0])
    if not rows:
        raise UserError(
            f"no finished runs of {entry.name} in {results.store_location()}: "
            f"make bench TASK={shlex.quote(entry.given)}"
        )
    sides = [_named(entry, given, rows, store) for given in (one, other)]
    if budget:
        check_known("budget", budget, dict.fromkeys(row["budget"] for row in rows))
        sides = [[row for row in side if row["budget"] == budget] for side in sides]
        for given, side in zip((one, other), sides, strict=True):
            if not side:
                raise UserError(f"{given} has no result of {entry.name} within the budget {budget}")
    first, second = _paired(entry, (one, other), sides)
    names = [name_of(row) for row in (first, second)]
    if names[0] == names[1]:
        names = [
            f"{name} ({_apart(row, by)})" for name, row, by in zip(names, (first, second), (second, first), strict=True)
        ]
    notes = [
        f"{given}: the latest of {len(side)} results; the others are {_listed(side, row)}"
        for given, side, row in zip((one, other), sides, (first, second), strict=True)
        if len(side) > 1
    ]
    if first["budget"] != second["budget"]:
        notes.append(f"other budgets: {names[0]} {first['budget']}, {names[1]} {second['budget']}")
    return CompareRequest(entry, first, second, (names[0], names[1]), tuple(notes))


def _named(task: Entry[Task], given: str, rows: Sequence[Row], store: Store) -> list[Row]:
    """Rows that a name, or the beginning of an id, may mean."""
    if not given.strip():
        raise UserError(f"the name of a result of {task.name} is empty: give a model, or the id of a run")
    first, *settings = given.split()
    if given.endswith(".parquet"):
        return [_row_of_file(task, given)]
    path = re.fullmatch(r"(.+)\.py(?::(.+))?", first)
    model = (path[2] or Path(path[1]).name) if path else first
    own = [row for row in rows if row["model"] == model]
    if own and settings:
        words = set(settings)
        fitting = [row for row in own if words in (set(name_of(row).split()[1:]), set(row["set"].split()))]
        if not fitting:
            known = ", ".join(dict.fromkeys(map(name_of, own)))
            raise UserError(f"{model} has no result on {task.name} with {' '.join(settings)}; there are: {known}")
        return fitting
    if own:
        return [row for row in own if name_of(row) == model] or own
    if found := [row for row in rows if given in (row["tuned"], row["set"] and f"{row['model']} {row['set']}")]:
        return found
    if BEGINNING.fullmatch(given):
        if found := [row for row in rows if str(row["configuration"]).startswith(given)]:
            return found
        run = results.find_run(store, given, with_model=False)
        if run["tags"]["task"] != task.name:
            raise UserError(f"run {given} is of the task {run['tags']['task']}, not of {task.name}")
        return ranking.rows(
            [run], metrics.metrics_of(task.record.classes, task.record.metrics), differences.COMPARED[0]
        )
    check_known(f"result of {task.name}", given, dict.fromkeys(map(name_of, rows)), ", or the beginning of a run's id")
    raise AssertionError(given)


def _row_of_file(task: Entry[Task], given: str) -> Row:
    """What a row would hold, and beside it "given", the scores. UserError as of `scores.read`."""
    path = Path(given)
    if not path.is_file():
        raise UserError(f"no file of scores {given}")
    found = scores.read(path, task.name, task.record.classes)
    told = {name: getattr(found.part, name) for name in ranking.GROUP}
    empty = dict.fromkeys((*COSTS, "device", "backend", "hardware"))
    return {
        **told,
        **empty,
        "model": path.stem,
        "set": "",
        "tuned": "",
        "requested_events": found.part.events,
        "events": len(found.ids),
        "configuration": found.sha256[:16],
        "run_ids": [found.sha256],
        "seed_list": [],
        "ended": path.stat().st_mtime,
        "path": given,
        "given": found,
    }


def _paired(task: Entry[Task], given: tuple[str, str], sides: Sequence[Sequence[Row]]) -> tuple[Row, Row]:
    pairs = [
        (one, other)
        for one in sides[0]
        for other in sides[1]
        if all(one[name] == other[name] for name in SAME) and not _shared(one, other)
    ]
    if pairs:
        return max(pairs, key=lambda pair: (pair[0]["budget"] == pair[1]["budget"], min(row["ended"] for row in pair)))
    if any(_shared(one, other) for one in sides[0] for other in sides[1]):
        raise UserError(f"{given[0]} and {given[1]} are the same result of {task.name}, or share a training: give two")
    one, other = (max(side, key=lambda row: row["ended"]) for side in sides)
    reasons = [
        f"{words} ({str(one[name])[:12]}, {str(other[name])[:12]})"
        for name, words in SAME.items()
        if one[name] != other[name]
    ]
    raise UserError(
        f"{given[0]} and {given[1]} are not of the same test events of {task.name}: {', '.join(reasons)}; budgets "
        f"{one['budget']} and {other['budget']}: run both within one budget on the same data"
    )


def _shared(one: Row, other: Row) -> bool:
    return bool(set(one["run_ids"]) & set(other["run_ids"]))


def _apart(row: Row, other: Row) -> str:
    """In what two rows of one name differ."""
    parts = [str(row[name]) for name in ("budget", "device", "backend") if row[name] and row[name] != other[name]]
    if not parts:
        parts = [row["run_ids"][0][:8] if len(row["run_ids"]) == 1 else str(row["configuration"])[:8]]
    return ", ".join(parts)


def _listed(side: Sequence[Row], chosen: Row) -> str:
    others = [row for row in side if row is not chosen]
    some = ", ".join(
        f"{str(row['configuration'])[:8]} ({name_of(row)}, {row['data']}, budget {row['budget']})" for row in others[:3]
    )
    return some + (f" and {len(others) - 3} more" if len(others) > 3 else "")


def compare(asked: CompareRequest, store: Store, advance: Advance = lambda done: None) -> Comparison:
    """Everything that the stored scores tell of the two. UserError where a run keeps no scores, or such of other
    events."""
    task, signal = asked.task.record, asked.task.record.signal
    rows = (asked.one, asked.other)
    stored = _scores(rows, asked.names, store)
    reference = stored[0][0]
    ones, others = ([_scored(name, one) for one in side] for name, side in zip(asked.names, stored, strict=True))
    known = _records(task)
    measured = _measured(known, ones, others, signal, advance)
    notes = list(asked.notes)
    try:
        slices = _slices(asked, reference, ones, others)
    except _NotHere as reason:
        slices = []
        notes.append(str(reason))
    means = [_mean_odds(side, signal) for side in (ones, others)]
    binary = len(task.classes) == 2
    return Comparison(
        task=asked.task.name,
        facts=_facts(rows, len(reference.ids)),
        one=_side(asked.one, asked.names[0], rows),
        other=_side(asked.other, asked.names[1], rows),
        measured=measured,
        by_class=frozenset(known.keys() - metrics.metrics_for(len(task.classes)).keys()),
        agreement=_agreement(ones, others, signal),
        odd=_odd(reference, ones, others, task),
        densities=_densities(reference.labels, means, task),
        curves=_curves(ones, others, signal, advance),
        slices=slices,
        costs=_costs(rows),
        signal=task.classes[signal],
        background=task.classes[1 - signal] if binary else "the rest",
        notes=notes,
    )


def _records(task: Task) -> dict[str, Metric]:
    """Of the metrics that are compared, by name."""
    return {
        name: one for name, one in metrics.metrics_of(task.classes, task.metrics).items() if name not in metrics.COUNTS
    }


def write_page(asked: CompareRequest, found: Comparison) -> Path:
    """Write the page; returns its path."""
    name = file_name("-".join(["compare", found.task, found.one.name, found.other.name]))
    path = reports_folder() / f"{name}.html"
    write_atomically(path, page.render(found, command=command(asked)))
    return path


def command(asked: CompareRequest) -> str:
    """What compares the two again."""
    given = [_given(row) for row in (asked.one, asked.other)]
    return f"make compare TASK={shlex.quote(asked.task.given)} A={shlex.quote(given[0])} B={shlex.quote(given[1])}"


def _given(row: Row) -> str:
    """An id, as a name means another result once there is a later one."""
    if "given" in row:
        return str(row["path"])
    return str(row["run_ids"][0] if len(row["run_ids"]) == 1 else row["configuration"])[:12]


def _scores(rows: Sequence[Row], names: Sequence[str], store: Store) -> list[list[StoredScores]]:
    """Of each training, in the order of the first one's events."""
    reference: StoredScores | None = None
    found: list[list[StoredScores]] = [[], []]
    for place in sorted((0, 1), key=lambda place: "given" in rows[place]):  # a file's labels are the other's
        for run in rows[place]["run_ids"]:
            try:
                own = _of_file(rows[place]["given"], reference) if "given" in rows[place] else None
                own = own or differences.scores_of(store, run)
                found[place].append(differences.matched(own, reference) if reference else own)
            except (StoreError, OSError, ValueError, KeyError) as error:
                reason = str(error).partition("\n")[0] or type(error).__name__
                raise UserError(f"{names[place]} cannot be compared: {reason}") from error
            reference = reference or own
    return found


def _of_file(given: GivenScores, reference: StoredScores | None) -> StoredScores:
    """With the labels of the reference's events, where the file has none, and their weights. NotComparable where it is
    of others."""
    order = np.argsort(given.ids)
    if np.any(np.diff(given.ids[order]) == 0):
        raise NotComparable("its file has the id of an event twice")
    if given.labels is not None and reference is None:
        return StoredScores(given.ids, given.labels.astype(np.int64), given.scores)
    if reference is None:
        raise NotComparable("neither of two files tells the labels: put one on the leaderboard with hepbench score")
    theirs = np.argsort(reference.ids)
    if not np.array_equal(given.ids[order], reference.ids[theirs]):
        raise NotComparable("its scores are of other events than those of the first")
    place = np.empty(len(order), np.int64)
    place[order] = theirs
    told = reference.taken(place)
    labels = told.labels if given.labels is None else given.labels.astype(np.int64)
    return StoredScores(given.ids, labels, given.scores, told.weights)


def _scored(name: str, found: StoredScores) -> Scored:
    try:
        return found.scored()
    except ValueError as error:
        raise UserError(f"{name} cannot be compared: {error}") from error


def _facts(rows: Sequence[Row], events: int) -> list[str]:
    facts = facts_of([rows[0]])
    if rows[0]["budget"] != rows[1]["budget"]:
        facts[1] = f"budgets {rows[0]['budget']}, {rows[1]['budget']}"
    return [facts[0], facts[1], f"{events:,} test events", *facts[-2:]]


def _side(row: Row, name: str, rows: Sequence[Row]) -> Side:
    told = [f"settings {row['set']}"] if row["tuned"] and row["set"] else []
    told += [f"of the file {row['path']}"] if "given" in row else []
    told += [str(row[name]) for name in ("device", "backend") if row[name] and rows[0][name] != rows[1][name]]
    return Side(name, "".join(f", {one}" for one in told), row["seed_list"], row["run_ids"])


def _measured(
    records: Mapping[str, Metric], ones: Trained, others: Trained, signal: int, advance: Advance
) -> dict[str, Measured]:
    """Of each metric both sides and their difference."""
    found = {}
    for name, record in records.items():
        difference = statistics.paired(*trainings_of(record, (ones, others), signal))
        alone = [_combined(record, trained, signal) for trained in (ones, others)]
        found[name] = Measured(record, alone[0], alone[1], difference, difference.p)
        advance(1)
    return found


def _combined(record: Metric, trained: Trained, signal: int) -> statistics.Combined:
    values, errors = zip(*(record.of(events, signal) for events in trained), strict=True)
    return statistics.combine(values, errors)


def _curves(ones: Trained, others: Trained, signal: int, advance: Advance) -> Curves:
    points: list[list[tuple[float, float, float]]] = [[], [], []]
    for percent in EFFICIENCIES:
        record = metrics.rejection_at(float(percent))
        sides = trainings_of(record, (ones, others), signal)
        for place, side in enumerate(sides):
            combined = statistics.combine_trainings(side)
            points[place].append((combined.mean, *combined.interval()))
        difference = statistics.paired(*sides)
        points[2].append((difference.value, difference.low, difference.high))
        advance(1)
    bands = [Band(*np.exp(np.array(some).T)) for some in points]  # a rejection is compared by its logarithm
    return Curves(EFFICIENCIES / 100, *bands)


def _agreement(ones: Trained, others: Trained, signal: int) -> Agreement:
    labels = ones[0].labels
    own = labels == signal
    right = [np.mean([events.guessed == labels for events in side], axis=0) for side in (ones, others)]
    passing = [
        np.mean([metrics.passing_at(events, signal, metrics.WORKING_POINT) for events in side], axis=0)
        for side in (ones, others)
    ]
    at = f"at ε_S = {table.percent(metrics.WORKING_POINT)}"
    overlaps = [
        _overlap("classed right", *right),
        _overlap(f"signal that passes {at}", *(one[own] for one in passing)),
        _overlap(f"background that passes {at}", *(one[~own] for one in passing)),
    ]
    votes = [_votes(side) for side in (ones, others)]
    return Agreement(
        overlaps,
        float(1 - (votes[0] * votes[1]).sum(axis=1).mean()),
        (_differ(votes[0], len(ones)), _differ(votes[1], len(others))),
    )


def _overlap(name: str, one: np.ndarray, other: np.ndarray) -> Overlap:
    """one, other: (n,) share of the trainings that choose each event."""
    return Overlap(
        name,
        float(one @ other),
        float(one @ (1 - other)),
        float((1 - one) @ other),
        float((1 - one) @ (1 - other)),
    )


def _votes(trained: Trained) -> np.ndarray:
    """(n, classes) share of the trainings that put each event into each class."""
    classes = np.arange(trained[0].classes)
    return np.asarray(np.mean([events.guessed[:, None] == classes for events in trained], axis=0))


def _differ(votes: np.ndarray, trainings: int) -> float:
    """Share of events that two different trainings of one side put into different classes; NaN of one training."""
    if trainings < 2:
        return math.nan
    return float((1 - (votes**2).sum(axis=1)).mean() * trainings / (trainings - 1))


def _mean_odds(trained: Trained, signal: int) -> np.ndarray:
    return np.asarray(np.mean([events.log_odds(signal) for events in trained], axis=0))


def _densities(labels: np.ndarray, means: Sequence[np.ndarray], task: Task) -> Densities:
    from scipy.stats import rankdata

    both = np.concatenate(means)
    low, high = np.quantile(both[np.isfinite(both)], INNER)
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    inside = [np.clip(one, edges[0], edges[-1]) for one in means]
    found = []
    for number, name in enumerate(task.classes):
        own = labels == number
        if np.count_nonzero(own) > 1:
            counts, _, _ = np.histogram2d(inside[0][own], inside[1][own], (edges, edges))
            ranks = [rankdata(one[own]) - (np.count_nonzero(own) + 1) / 2 for one in means]
            norm = math.sqrt(float(ranks[0] @ ranks[0]) * float(ranks[1] @ ranks[1]))
            correlation = float(ranks[0] @ ranks[1]) / norm if norm else math.nan
            found.append(Density(name, int(np.count_nonzero(own)), counts.astype(np.int64), correlation))
    return Densities(edges, found)


def _odd(reference: StoredScores, ones: Trained, others: Trained, task: Task) -> list[DiscrepantEvent]:
    """The events whose scores are farthest apart, the farthest first."""
    one, other = (np.mean([events.scores[:, task.signal] for events in side], axis=0) for side in (ones, others))
    farthest = np.argsort(-np.abs(one - other), kind="stable")[: table.SHOWN_EVENTS]
    return [
        DiscrepantEvent(int(reference.ids[i]), task.classes[reference.labels[i]], float(one[i]), float(other[i]))
        for i in farthest
        if one[i] != other[i]
    ]


class _NotHere(Exception):
    """Why there are no slices: one line."""


def _slices(asked: CompareRequest, reference: StoredScores, ones: Trained, others: Trained) -> list[Slice]:
    """Each value of each of the task's slices alone; p after Holm's correction for all of one metric."""
    task, signal = asked.task, asked.task.record.signal
    if not task.record.slices:
        return []
    prepared = prepared_here(task, str(asked.one["data_digest"]))
    if prepared is None:
        raise _NotHere(
            "no slices: the prepared data of this digest, which tell them, are not here; a bench on them prepares them"
        )
    order = np.argsort(prepared.ids)
    places = np.searchsorted(prepared.ids, reference.ids, sorter=order)
    rows = order[np.minimum(places, len(order) - 1)]
    if not np.array_equal(prepared.ids[rows], reference.ids):
        raise _NotHere("no slices: the prepared data have other events than the scores")
    found: list[Slice] = []
    for name, values in slices_of(task, prepared.arrays).items():
        values = values[rows]
        for value in np.unique(values):
            inside = values == value
            if reference.weights is not None:
                inside &= reference.weights > 0
            inside = np.flatnonzero(inside)
            sides = [[_inside(one, inside) for one in side] for side in (ones, others)]
            records = {name: metrics.METRICS[name] for name in BY_SLICE}
            measured = _measured(records, sides[0], sides[1], signal, lambda done: None)
            found.append(Slice(name.replace("_", " "), str(value), len(inside), measured))
    for metric in BY_SLICE:
        measurable = [n for n, one in enumerate(found) if math.isfinite(one.measured[metric].p)]
        adjusted = statistics.holm([found[n].measured[metric].p for n in measurable])
        for n, p in zip(measurable, adjusted, strict=True):
            own = dict(found[n].measured)
            own[metric] = dataclasses.replace(own[metric], p=float(p))
            found[n] = dataclasses.replace(found[n], measured=own)
    return found


def _inside(events: Scored, which: np.ndarray) -> Scored:
    weights = None if events.weights is None else events.weights[which]
    return Scored(events.labels[which], events.log_scores[which], weights)


def _costs(rows: Sequence[Row]) -> list[list[str]]:
    """Parameters, and times where both were taken on the same hardware, device and, of networks, backend."""
    same = all(rows[0][name] == rows[1][name] for name in ("hardware", "device"))
    same &= len({row["backend"] for row in rows} - {"", None}) < 2
    lines = []
    for name in COSTS:
        values = [row[name] for row in rows]
        if None in values or not (same or name == "parameters"):
            continue
        form: Callable[[float], str] = "{:,}".format if name == "parameters" else significant_digits
        ratio = f"× {significant_digits(values[0] / values[1])}" if values[1] else "–"
        lines.append([NUMBERS[name], *map(form, values), ratio])
    return lines
