"""`hepbench predict`: a finished run's model on raw files of the task's format."""

from __future__ import annotations

from pathlib import Path

from hepbench.suite import results, scoring
from hepbench.suite.commands.console import Console
from hepbench.suite.progress import progress_bar


def predict(
    run_given: str, files: list[Path], out: Path, task: str | None, model: str | None, console: Console
) -> None:
    """Write the scores of every event in the files to a Parquet file like a trial's own. task, model: as of
    `scoring.model_of`."""
    with (
        scoring.model_of(results.open_store(to_write=False), run_given, task=task, model=model) as (run, saved),
        progress_bar(console, "scoring", None, "events") as advance,
    ):
        events = scoring.write_predictions(saved, files, out, advance)
    name = f"{run['tags']['model']} seed {run['tags']['seed']}"
    console.print(f"{events:,} events scored by {name}: {out}", soft_wrap=True)
