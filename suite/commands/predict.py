"""`hepbench predict`: scores of raw files in the task's format from the model of a finished run."""

from __future__ import annotations

from pathlib import Path

from hepbench.benchmarks.base import UserError
from hepbench.suite import results, scoring
from hepbench.suite.commands.console import Console
from hepbench.suite.progress import progress_bar

OUT = Path("scores.parquet")


def predict(
    run_given: str, files: list[Path], out: Path | None, task: str | None, model: str | None, console: Console
) -> None:
    """Write the scores of every event in the files to a Parquet file in the format of a trial's own. out: None: OUT,
    which must not exist, as its name does not say whose scores it has. task, model: as for `scoring.model_of`."""
    if out is None and OUT.exists():
        raise UserError(f"{OUT} already exists: give the file for the scores with --out")
    out = out or OUT
    with (
        scoring.model_of(results.open_store(to_write=False), run_given, task=task, model=model) as (run, saved),
        progress_bar(console, "scoring", None, "events") as advance,
    ):
        events = scoring.write_predictions(saved, files, out, advance)
    name = f"{run['tags']['model']} seed {run['tags']['seed']}"
    console.print(f"{events:,} events scored by {name}: {out}", soft_wrap=True)
