"""Results of another machine merged into the store: each is checked before one is written, none is overwritten."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hepbench.benchmarks.base import Task, UserError
from hepbench.benchmarks.formats.refusal import library_errors, refuse_beyond_memory
from hepbench.benchmarks.metrics import metrics_of
from hepbench.benchmarks.registry import Entry
from hepbench.suite.differences import NotComparable, matched, scores_of
from hepbench.suite.exchange.archive import OF_A_STORE, Packed
from hepbench.suite.exchange.storing import store_run
from hepbench.suite.trial.artifacts import SCORES, VALIDATION_SCORES, StoredScores, read_scores
from hepbench.suite.trial.score_metrics import ROC, evaluate_scores, signal_rejections, write_curves
from hepbench.suite.trial.spec import hash_of
from hepbench.tracking.runs import Store, StoreError

SAME = 1e-3
"""How far the AUC and the accuracy that a record tells may be from those of its scores, which versions of this suite
round and rank in other ways."""

MEASURED = ("", "_error", "_limit", "_low", "_high")

FIRST = "imported_"
"""Before "configuration" and "identity": the tags that keep those which the run has where it was trained."""


@dataclass(frozen=True)
class Checked:
    """A run that is new here. values: its metrics, those of the test part measured again. roc: as of
    `score_metrics.rejections`."""

    packed: Packed
    task: Entry[Task]
    values: Mapping[str, float]
    roc: Mapping[int, float]


def new_ones(packed: Sequence[Packed], store: Store) -> list[Packed]:
    """Those that the store has neither trained nor imported."""
    known, new = set(), []
    for task in {one.record.tags["task"] for one in packed}:
        for run in store.runs(task, status="FINISHED"):
            known |= {run["id"], run["tags"].get("imported_run", run["id"])}
    for one in packed:
        if one.record.origin not in known:
            new.append(one)
            known.add(one.record.origin)
    return new


def check(
    path: Path,
    packed: Sequence[Packed],
    tasks: Mapping[str, Entry[Task]],
    store: Store,
    progress: Callable[[int], None],
) -> list[Checked]:
    """Rate the scores of each run again. UserError for scores that are none of the task, that are of other events than
    those of the same split here, or that give other numbers than the record tells. progress: is called after each."""
    references: dict[tuple[str, str], StoredScores | None] = {}
    found = []
    for one in packed:
        record, task = one.record, tasks[one.record.tags["task"]]
        where = f"{path}: run {record.id[:12]} ({record.name})"
        key = task.name, record.tags["split_hash"]
        if key not in references:
            references[key] = _of_split(task.name, record.tags["split_hash"], store)
        scores = _scores(where, one.folder / SCORES, task.record)
        if (one.folder / VALIDATION_SCORES).is_file():
            _scores(where, one.folder / VALIDATION_SCORES, task.record)
        try:
            evaluated = evaluate_scores(task.record, scores, {})
            references[key] = reference = references[key] or scores
            matched(scores, reference)
        except NotComparable:
            raise UserError(
                f"{where}: its scores are of other events than those of the same split here: one of both is damaged, "
                "or of another version; train it again and export it"
            ) from None
        except ValueError as error:
            raise UserError(f"{where}: {error}") from None
        for name in ("auc", "accuracy"):
            told, measured = record.metrics.get(f"test_{name}"), evaluated.metrics[name]
            if told is not None and abs(told - measured) > SAME:
                raise UserError(
                    f"{where}: its record tells {name} {told:.4f}, and its scores give {measured:.4f}: it was changed; "
                    "export it again, or hepbench rescore it where it is from"
                )
        again = {
            f"test_{name}{part}" for name in metrics_of(task.record.classes, task.record.metrics) for part in MEASURED
        }
        values = {name: value for name, value in record.metrics.items() if name not in again}
        values |= {f"test_{name}": value for name, value in evaluated.metrics.items()}
        found.append(Checked(one, task, values, signal_rejections(task.record, evaluated.scored)))
        progress(1)
    return found


def merge(checked: Checked, store: Store) -> str:
    """Store a run that was checked; returns its id here."""
    packed, record = checked.packed, checked.packed.record

    def write(folder: Path) -> None:
        for name in (SCORES, VALIDATION_SCORES):
            if (packed.folder / name).is_file():
                shutil.copyfile(packed.folder / name, folder / name)
        scored = evaluate_scores(checked.task.record, read_scores(folder / SCORES), {}).scored
        write_curves(folder, checked.task.record, scored)

    return store_run(
        store,
        checked.task.name,
        record.name,
        tags=tags_of(packed),
        parameters=record.parameters,
        values=checked.values,
        write=write,
        series={ROC: checked.roc},
        dataset={
            "name": checked.task.name,
            "digest": record.tags["data_digest"][:16],
            "source": record.tags["data"],
            "context": "all",
        },
        started=record.started,
        ended=record.ended,
    )


def tags_of(packed: Packed) -> dict[str, str]:
    """Those of the record, and where it is from. Its identity becomes another, whatever the record says, so that it is
    never taken for a result of this machine, nor such a one for it; it is the same by whichever machines it came."""
    record = packed.record
    kept = {name: text for name, text in record.tags.items() if not name.startswith(OF_A_STORE)}
    for name in ("configuration", "identity"):
        first = kept.setdefault(f"{FIRST}{name}", kept[name])
        kept[name] = hash_of(["imported", packed.host, first])
    return {**kept, "imported_from": packed.host, "imported_run": record.origin}


def _of_split(task: str, split_hash: str, store: Store) -> StoredScores | None:
    """Scores of some run here of the same split; None where there are none."""
    for run in store.runs(task, status="FINISHED", tags={"stage": "final", "split_hash": split_hash}):
        try:
            return scores_of(store, run["id"])
        except (StoreError, OSError, ValueError, KeyError):
            continue
    return None


def _scores(where: str, path: Path, task: Task) -> StoredScores:
    """UserError where the file is none of a trial of the task."""
    import pyarrow.parquet as pq

    fault = f"{path.name} is damaged, or holds no scores: export it again"
    with library_errors(Path(where), fault), pq.ParquetFile(path) as file:
        names, rows = list(file.schema_arrow.names), file.metadata.num_rows
    for beginning in ("score_", "log_probability_"):
        expected = [f"{beginning}{name}" for name in task.classes]
        columns = [name for name in names if name.startswith(beginning)]
        if columns != expected and (columns or beginning == "score_"):
            raise UserError(
                f"{where}: {path.name} has {len(columns)} columns of scores; expected {', '.join(expected)}"
            )
    if not {"id", "label"} <= set(names) or len(set(names)) < len(names) or not rows:
        raise UserError(f"{where}: {fault}")
    refuse_beyond_memory(Path(where), path.name, 16 * rows * len(names))
    with library_errors(Path(where), fault):
        table = pq.read_table(path, columns=["id", "label"])
        if table["id"].null_count or table["label"].null_count:
            raise UserError(f"{where}: {path.name}: events without an id or a label: export it again")
        found = read_scores(path)
    if len(np.unique(found.ids)) < len(found.ids):
        raise UserError(f"{where}: {path.name} has the id of an event twice: export it again")
    return found
