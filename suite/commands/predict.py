"""`hepbench predict`: a finished run's model on raw files of the task's format."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import UserError
from hepbench.suite import device, results
from hepbench.suite.training.network import NETWORK_FILE
from hepbench.suite.trial.artifacts import predict_files
from hepbench.tracking import runs


def predict(run_given: str, files: list[Path], out: Path, console: Console) -> None:
    """Write the scores of every event in the files to a Parquet file like a trial's own."""
    store = results.open_store()
    run = find_run(store, run_given)
    with tempfile.TemporaryDirectory() as scratch:
        folder = store.download(run["id"], "model", Path(scratch))
        prepare = device.load_keras if (folder / NETWORK_FILE).is_file() else device.set_environment
        prepare("cpu", run["tags"]["backend"])
        events = predict_files(folder, files, out)
    console.print(f"{events:,} events scored by {run['tags']['model']} seed {run['tags']['seed']}: {out}")


def find_run(store: runs.Store, given: str) -> dict[str, Any]:
    """The one finished trial whose id begins with `given`; UserError for none or several."""
    found = [
        run
        for task in registry.names("task")
        for run in store.runs(task, status="FINISHED")
        if run["id"].startswith(given) and run["tags"].get("stage") == "final"
    ]
    if len(found) != 1:
        what = "no finished trial" if not found else f"{len(found)} finished trials"
        raise UserError(
            f"{what} with an id that begins with {given!r}: hepbench leaderboard TASK --format json has the ids"
        )
    return found[0]
