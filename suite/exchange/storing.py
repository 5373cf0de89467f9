"""A result that no training here has made, as a run of the store: finished with all that it has, or failed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hepbench.tracking.runs import Store


def store_run(
    store: Store,
    experiment: str,
    name: str,
    *,
    tags: Mapping[str, Any],
    parameters: Mapping[str, Any],
    values: Mapping[str, float],
    write: Callable[[Path], object],
    series: Mapping[str, Mapping[int, float]],
    dataset: Mapping[str, str] | None = None,
    started: float | None = None,
    ended: float | None = None,
) -> str:
    """Returns the run's id. write: puts the artifacts into a folder. series: metrics by step. started, ended: when it
    was trained, in seconds since 1970; None: now."""
    with tempfile.TemporaryDirectory() as scratch:
        write(Path(scratch))
        run = store.start(experiment, name, tags=tags, parameters=parameters, dataset=dataset, started=started)
        status = "FAILED"
        try:
            store.log(run, values)
            for key, points in series.items():
                store.log_series(run, key, points)
            store.upload(run, Path(scratch))
            status = "FINISHED"
        finally:
            store.finish(run, status, ended=ended)
    return run
