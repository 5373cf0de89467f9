"""What a leaderboard draws of its rows, measured from the scores that their runs keep, and kept for the next time."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hepbench.benchmarks import metrics, scored
from hepbench.benchmarks.base import Task
from hepbench.benchmarks.registry import Entry
from hepbench.suite.atomic import write_atomically
from hepbench.suite.differences import scores_of
from hepbench.suite.fingerprint import digest_of_code, reached
from hepbench.suite.paths import results_folder
from hepbench.suite.trial.spec import hash_of
from hepbench.tracking import statistics
from hepbench.tracking.leaderboard import plot_data
from hepbench.tracking.leaderboard.plot_data import EFFICIENCIES, PlotData
from hepbench.tracking.runs import Store, StoreError

HISTORIES = ("loss", "auc", "accuracy")
"""What is drawn by epoch, of the training and of the validation part."""

NEIGHBOURS = 11
"""Points of a curve."""

MOST_EPOCHS = 200
"""That are drawn; of more, evenly chosen ones."""

_known: dict[str, PlotData] = {}


def of_rows(
    task: Entry[Task], rows: Sequence[Mapping[str, Any]], store: Store
) -> tuple[dict[str, PlotData], list[str]]:
    """The first run of each row -> what is drawn of it, and a line on each row of which nothing can be. Measured once,
    it is kept in the results folder as long as neither the runs nor the code that measures have changed; what lacks the
    history of a training by epochs, which may be a fault of the moment, is measured again."""
    code = digest_of_code(
        reached([Path(metrics.__file__)]) | {Path(statistics.__file__), Path(plot_data.__file__), Path(__file__)}
    )
    found, lost = {}, []
    for row in rows:
        first = row["run_ids"][0]
        key = hash_of([task.name, row["run_ids"], task.record.classes, code])
        path = results_folder() / "drawn" / f"{key}.json"
        one = _known.get(key) or _read(path)
        if one is None:
            try:
                one = _measure(task.record, row["run_ids"], store)
                complete = bool(one.history) or len(store.history(first, "val_loss")) < 2
            except (StoreError, OSError, ValueError, LookupError, csv.Error) as error:
                reason = str(error).partition("\n")[0] or type(error).__name__
                lost.append(f"not drawn: {row['model']}, run {first[:12]}: {reason}")
                continue
            if not complete:
                found[first] = one
                continue
            with contextlib.suppress(OSError):  # a folder that cannot be written is measured again
                path.parent.mkdir(exist_ok=True)
                write_atomically(path, json.dumps(dataclasses.asdict(one)))
        _known[key] = found[first] = one
    return found, lost


def _measure(task: Task, run_ids: Sequence[str], store: Store) -> PlotData:
    kept = [scores_of(store, run) for run in run_ids]
    trained = [one.scored() for one in kept]
    shown = [task.signal] if len(task.classes) == 2 else range(len(task.classes))
    return PlotData(
        rejection={task.classes[number]: _rejection(trained, number) for number in shown},
        reliability={name: _plain(x) for name, x in metrics.reliability(trained[0], task.signal).items()},
        history=_history(run_ids[0], store),
        confusion=trained[0].confusion.tolist(),
    )


def _rejection(trained: Sequence[scored.Scored], signal: int) -> dict[str, list[float | None]]:
    """As `PlotData.rejection`: means of the logarithms with their intervals. The variance of training is the mean over
    NEIGHBOURS: from two or three seeds it is hardly known, and jumps from point to point."""
    found = np.array([[metrics.rejection(one, signal, at) for at in EFFICIENCIES] for one in trained])
    values, errors = np.log(found[..., 0]), found[..., 1] / found[..., 0]  # (seeds, m)
    mean, known, number = values.mean(axis=0), errors.mean(axis=0) ** 2, len(trained)
    spread = _smooth(values.var(axis=0, ddof=1)) if number > 1 else np.zeros(len(mean))
    widths = np.array(
        [
            statistics.half_width(statistics.LEVEL, own, [(of_training / number, number - 1)] if number > 1 else ())
            for own, of_training in zip(known, spread, strict=True)
        ]
    )
    columns = {"value": mean, "low": mean - widths, "high": mean + widths}
    return {name: _plain(np.exp(np.clip(column, 0, 50))) for name, column in columns.items()}


def _smooth(values: np.ndarray) -> np.ndarray:
    """(m,) the mean of each with its neighbours, as far as they can be measured."""
    kept, window = np.isfinite(values), np.ones(NEIGHBOURS)
    sums, counts = (np.convolve(some, window, "same") for some in (np.where(kept, values, 0), kept))
    return np.where(kept, sums / np.maximum(counts, 1), np.nan)


def _history(run: str, store: Store) -> dict[str, list[float | None]]:
    if "history.csv" not in store.files(run):
        return {}
    with tempfile.TemporaryDirectory() as scratch:
        text = store.download(run, "history.csv", Path(scratch)).read_text(encoding="utf-8")
    names, *lines = csv.reader(text.splitlines())
    values = np.array(lines, dtype=float).reshape(len(lines), len(names))
    chosen = np.unique(np.linspace(0, len(values) - 1, min(len(values), MOST_EPOCHS)).astype(int))
    wanted = {"epoch", *HISTORIES, *(f"val_{name}" for name in HISTORIES)}
    return {name: _plain(values[chosen, place]) for place, name in enumerate(names) if name in wanted}


def _plain(values: np.ndarray) -> list[float | None]:
    """With five digits, and None for what is not finite."""
    return [float(f"{value:.5g}") if math.isfinite(value) else None for value in values.tolist()]


def _read(path: Path) -> PlotData | None:
    """What was kept; None where there is none, or it is damaged."""
    try:
        return PlotData(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None
