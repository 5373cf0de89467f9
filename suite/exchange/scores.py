"""Scores that were made elsewhere: a Parquet file, checked against the events that it says it scores.

A row for each event of the test part, in any order: `id`; `events`, the text of the file that `hepbench events` wrote,
the same in each row; and for each class `score_<class>`, its probability or the natural logarithm of it, or
`log_probability_<class>`. `label` may stand beside them; other columns are passed over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hepbench.benchmarks.base import UserError
from hepbench.benchmarks.formats.refusal import library_errors, refuse_beyond_memory, shown
from hepbench.benchmarks.scored import SUM_WITHIN, logarithms
from hepbench.suite.data.files import digest_of_file
from hepbench.suite.data.weights import weights_of
from hepbench.suite.exchange.part import OpenedPart, Part
from hepbench.suite.trial.artifacts import StoredScores

NO_PARQUET = "no Parquet file, or a damaged one: write it as examples/outside.py does"
LOGARITHM = "log_probability_"
SCORE = "score_"


@dataclass(frozen=True)
class GivenScores:
    """part: what they say they are of. ids: (n,). scores: (n, classes) natural logarithms of probabilities. labels:
    (n,) class index; None where the file has none. sha256: of the file."""

    path: Path
    part: Part
    ids: np.ndarray
    scores: np.ndarray
    labels: np.ndarray | None
    sha256: str


def read(path: Path, task: str, classes: Sequence[str]) -> GivenScores:
    """A file of scores of the test part of this task. UserError for anything else, such as rows that are not finite or
    do not sum to one, another number of classes, another task or part."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with library_errors(path, NO_PARQUET), pq.ParquetFile(path) as file:
        schema, rows = file.schema_arrow, file.metadata.num_rows
    names = list(schema.names)
    columns = _columns(path, names, classes)
    if "events" not in names:
        raise UserError(
            f"{path}: no column 'events', which tells what these scores are of: copy the attribute 'events' of the "
            "file that hepbench events wrote into each row"
        )
    if "id" not in names:
        raise UserError(
            f"{path}: no column 'id': keep the ids of the file that hepbench events wrote beside the scores"
        )
    if not rows:
        raise UserError(f"{path}: it has no rows: give each event of hepbench events one")
    wanted = ["id", "events", *columns, *(["label"] if "label" in names else [])]
    for name in wanted:
        kind = schema.field(name).type
        whole = pa.types.is_integer(kind)
        if name != "events" and not (whole or (name in columns and pa.types.is_floating(kind))):
            expected = "numbers" if name in columns else "whole numbers"
            raise UserError(f"{path}: the column {name} holds {shown(kind)}; expected {expected}")
    refuse_beyond_memory(path, f"a table of {rows:,} rows", 8 * rows * (2 * len(columns) + 2))
    with library_errors(path, NO_PARQUET), pq.ParquetFile(path, read_dictionary=["events"]) as file:
        table = file.read(columns=wanted)
    if table["id"].null_count:
        raise UserError(
            f"{path}: {table['id'].null_count:,} rows have no id: keep those of the file that hepbench events wrote"
        )
    part = _part(path, table["events"])
    if part.task != task:
        raise UserError(f"{path}: scores of the task {part.task}, not of {task}: give TASK={part.task}")
    if part.split != "test":
        raise UserError(
            f"{path}: scores of the {part.split} part: only the test set is evaluated, hepbench events --split test"
        )
    with library_errors(path, "ids beyond 64 bits"):
        ids = table["id"].cast(pa.int64()).to_numpy()
    scores = _logarithms(path, columns, ids, np.column_stack([_numbers(table[name]) for name in columns]))
    labels = None
    if "label" in wanted and not table["label"].null_count:
        labels = table["label"].to_numpy()
    return GivenScores(path, part, ids, scores, labels, digest_of_file(path))


def matched(given: GivenScores, opened: OpenedPart) -> StoredScores:
    """The scores in the order of the test part, with its labels. UserError where an event has two rows or none, a row
    no event, or a label is another."""
    rows = opened.rows["test"]
    wanted, labels = np.asarray(opened.prepared.ids[rows]), np.asarray(opened.prepared.labels[rows])
    order = np.argsort(given.ids, kind="stable")
    ids = given.ids[order]
    twice = ids[1:][ids[1:] == ids[:-1]]
    if len(twice):
        raise UserError(
            f"{given.path}: {len(twice):,} rows repeat the id of an event, the first {twice[0]}: give one an event"
        )
    others = ids[~np.isin(ids, wanted)]
    if len(others):
        trained = np.concatenate([opened.prepared.ids[opened.rows[part]] for part in ("train", "validation")])
        of_training = int(np.isin(others, trained).sum())
        more = f", {of_training:,} of them of the training or validation part" if of_training else ""
        raise UserError(
            f"{given.path}: {len(others):,} rows are of no event of the test part, the first {others[0]}{more}: leave "
            "them out, or score the events of hepbench events again"
        )
    place = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
    missing = wanted[ids[place] != wanted]
    if len(missing):
        raise UserError(
            f"{given.path}: {len(missing):,} of {len(wanted):,} events of the test part have no row, the first "
            f"{missing[0]}: score all of them"
        )
    found = order[place]
    if given.labels is not None and (wrong := np.flatnonzero(given.labels[found] != labels)).size:
        raise UserError(
            f"{given.path}: {len(wrong):,} rows have another label than the event, the first of id {wanted[wrong[0]]}: "
            "ids and scores were mixed up, or the classes are numbered otherwise"
        )
    return StoredScores(wanted, labels, given.scores[found], weights_of(opened.task, opened.prepared, rows, "testing"))


def _columns(path: Path, names: Sequence[str], classes: Sequence[str]) -> list[str]:
    """Names of the columns of scores, in the order of the classes."""
    if len(set(names)) < len(names):
        again = next(name for name in names if names.count(name) > 1)
        raise UserError(f"{path}: two columns are called {shown(again)}")
    for beginning in (LOGARITHM, SCORE):
        expected = [f"{beginning}{name}" for name in classes]
        found = [name for name in names if name.startswith(beginning)]
        if found and set(found) != set(expected):
            raise UserError(f"{path}: has {shown(', '.join(found), 200)}; expected {', '.join(expected)}")
        if found:
            return expected
    expected = [f"{SCORE}{name}" for name in classes]
    raise UserError(f"{path}: no columns of scores; expected {', '.join(expected)}")


def _part(path: Path, column: Any) -> Part:
    import pyarrow.compute as pc

    with library_errors(path, "a column 'events' that cannot be read"):
        found = pc.unique(column).to_pylist()
    if len(found) != 1:
        raise UserError(f"{path}: the column 'events' has {len(found)} values; expected the same in each row")
    try:
        return Part.of_text(str(found[0]))
    except ValueError as error:
        raise UserError(
            f"{path}: the column 'events' is not the text that hepbench events wrote ({shown(error)})"
        ) from None


def _numbers(column: Any) -> np.ndarray:
    """(n,) float64 with NaN for what is not there."""
    return np.asarray(column.to_numpy(), np.float64)


def _logarithms(path: Path, columns: Sequence[str], ids: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(n, classes) float32 logarithms of probabilities. values: (n, classes) these, or probabilities."""
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(bad):
        raise UserError(
            f"{path}: {len(bad):,} rows are not finite, the first of id {ids[bad[0]]}: {_row(values[bad[0]])}; give "
            "every event a number for each class"
        )
    are_logarithms = columns[0].startswith(LOGARITHM) or float(values.min()) < 0
    with np.errstate(over="ignore"):
        sums = (np.exp(values) if are_logarithms else values).sum(axis=1)
    bad = np.flatnonzero(np.abs(sums - 1) > SUM_WITHIN)
    if len(bad):
        raise UserError(
            f"{path}: {len(bad):,} rows are neither probabilities that sum to one nor logarithms of such, the first of "
            f"id {ids[bad[0]]}: {_row(values[bad[0]])}; apply a softmax to what a network gives"
        )
    return values.astype(np.float32) if are_logarithms else logarithms(values)


def _row(values: np.ndarray) -> str:
    return ", ".join(f"{value:.6g}" for value in values[:5]) + ", ..." * (len(values) > 5)
