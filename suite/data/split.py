"""The split of a dataset: training, validation and test set."""

from __future__ import annotations

import hashlib

import numpy as np

from hepbench.benchmarks.base import Task, UserError
from hepbench.suite.data.dataset import Prepared

PARTS = ("train", "validation", "test")

Rows = dict[str, np.ndarray]
"""Rows of each set: {"train": (n,) int64, "validation": ..., "test": ...}, in ascending order."""


def split_events(task: Task, prepared: Prepared, events: int | None) -> tuple[Rows, str]:
    """Rows of each set, and the sha256 of the choice. If the budget allows fewer events than there are, the same
    fraction of each set is used, drawn with a fixed seed.

    Returns (rows, hash).
    """
    rng = np.random.default_rng(2026)
    if task.split:
        part = np.asarray(task.split(prepared.labels, prepared.ids), dtype=np.int8)
    else:
        part = np.digitize(rng.permutation(len(prepared)) / len(prepared), [0.70, 0.85]).astype(np.int8)
    used = int((part >= 0).sum())
    share = 1.0 if events is None else min(1.0, events / used)
    rows = {}
    for code, name in enumerate(PARTS):
        of_part = np.flatnonzero(part == code)
        if share < 1:
            of_part = np.sort(rng.permutation(of_part)[: round(share * len(of_part))])
        classes = np.unique(prepared.labels[of_part])
        if len(classes) < len(task.classes):
            missing = [kind for label, kind in enumerate(task.classes) if label not in classes]
            raise UserError(f"the {name} set has {len(of_part)} events and no {', '.join(missing)}: give more events")
        rows[name] = of_part
    text = hashlib.sha256()
    for name in PARTS:
        text.update(prepared.ids[rows[name]].tobytes())
    return rows, text.hexdigest()


def with_fewer(rows: Rows, labels: np.ndarray, events: int | None, seed: int) -> Rows:
    """The same split with only `events` of the training events; None: all. labels: (N,) of the whole file.

    Each number of events is drawn independently, so that statistical fluctuations at different numbers are independent,
    as learning curves assume. The classes have the proportions of the whole training set, to an event. UserError if
    there are not enough events, or none of a class.
    """
    if events is None:
        return rows
    train = rows["train"]
    if not 1 <= events <= len(train):
        raise UserError(f"the training set has {len(train):,} events, but {events:,} of them are requested")
    rng, of_train = np.random.default_rng([2026, seed, events]), labels[train]
    place = np.empty(len(train))  # random rank within the class, as a fraction of the class
    classes, counts = np.unique(of_train, return_counts=True)
    for label, count in zip(classes, counts, strict=True):
        place[of_train == label] = (rng.permutation(count) + 0.5) / count
    chosen = np.argsort(place, kind="stable")[:events]
    if len(np.unique(of_train[chosen])) < len(classes):
        raise UserError(f"{events:,} training events have none of a class: give more")
    return {**rows, "train": np.sort(train[chosen])}
