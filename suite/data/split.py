"""The parts of a dataset: train, validation, test."""

from __future__ import annotations

import hashlib

import numpy as np

from hepbench.benchmarks.base import Task, UserError
from hepbench.suite.data.dataset import Prepared

PARTS = ("train", "validation", "test")


def split_events(task: Task, prepared: Prepared, events: int | None) -> tuple[dict[str, np.ndarray], str]:
    """Rows of each part, and the sha256 of the choice. Where the budget allows fewer events than there are, each part
    keeps the same share of its own, drawn once for all by a fixed seed.

    Returns ({"train": (n,) int64, "validation": ..., "test": ...} in ascending order, hash).
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
            raise UserError(f"the {name} part has {len(of_part)} events and no {', '.join(missing)}: give more events")
        rows[name] = of_part
    text = hashlib.sha256()
    for name in PARTS:
        text.update(prepared.ids[rows[name]].tobytes())
    return rows, text.hexdigest()
