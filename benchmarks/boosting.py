"""Inputs and settings shared by the boosted-tree libraries."""

from __future__ import annotations

import os

import numpy as np

from hepbench.benchmarks.base import Sample

REPORTED = 10
"""Rounds between two reports."""


def table_of(sample: Sample) -> np.ndarray:
    """(n, V + K): the scaled table (n, V), and the context (n, K) if there is one."""
    inputs = sample.take(slice(None))
    return np.concatenate([inputs[name] for name in ("table", "context") if name in inputs], axis=1)


def cores() -> int:
    """Number of cores by OMP_NUM_THREADS, else those that this process may run on."""
    given = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if given.isdigit() and int(given):
        return int(given)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
