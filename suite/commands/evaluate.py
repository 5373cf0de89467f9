"""`hepbench evaluate`: the model of a finished run on labelled files in the task's format."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from rich.table import Column, Table
from rich.text import Text

from hepbench.benchmarks.base import Metric, Task, UserError
from hepbench.benchmarks.metrics import LIMIT, class_keys, metrics_for, metrics_of
from hepbench.suite import evaluation, results, scoring
from hepbench.suite.commands.console import Console
from hepbench.suite.progress import progress_bar

NOT_MEASURABLE = "not measurable"


def evaluate(
    run_given: str, files: list[Path], out: Path | None, task: str | None, model: str | None, console: Console
) -> None:
    """Print every metric with its error, and write metrics, scores, ROC and plots to a new folder. task, model: as for
    `scoring.model_of`. UserError if the folder exists."""
    out = out or Path(f"evaluation-{run_given}")
    if out.exists():
        raise UserError(f"{out} already exists: give a new folder with --out")
    with scoring.model_of(results.open_store(to_write=False), run_given, task=task, model=model) as (run, saved):
        with progress_bar(console, "comparing with the training set:", None, "events") as advance:
            provenance = evaluation.provenance_of(run, saved.trial, files, advance)
        with progress_bar(console, "scoring", None, "events") as advance:
            found = evaluation.evaluate(saved, provenance, advance)
        evaluation.write(out, run, saved, files, found)
    spec = saved.trial.spec
    console.print(
        Text.assemble(
            (saved.trial.model.name, "bold"),
            f" seed {spec.seed} of {saved.trial.task.name}, trained on {spec.data} data, budget {spec.budget}: "
            f"{len(found.ids):,} events",
        ),
        soft_wrap=True,
    )
    for sentence in found.warnings:
        console.print(Text(sentence, style="bold yellow"), soft_wrap=True)
    for sentence in found.notes:
        console.print(Text(sentence, style="dim"), soft_wrap=True)
    for table in _tables(found, saved.trial.task.record):
        console.print(table)
    console.print(f"scores, ROC, plots and metrics.json: {out}", soft_wrap=True, highlight=False)


def _tables(found: evaluation.Evaluation, task: Task) -> Iterator[Table]:
    """Every metric; with more than two classes also the one-vs-rest metrics, one column per class."""
    classes, values = task.classes, found.metrics
    known = metrics_of(classes, task.metrics)
    whole = metrics_for(len(classes))
    by_class = {f"{name}_{key}" for name in whole for key in class_keys(classes)} & known.keys() - whole.keys()
    table = Table("metric", Column("value", justify="right"), Column("error", justify="right"))
    for name, value in values.items():
        if f"{name}_error" in values and name not in by_class:
            metric = known.get(name)
            told = shown(value, values[f"{name}_error"], metric, values.get(f"{name}_limit", math.nan))
            table.add_row(metric.title if metric else name, *told)
    yield table
    if by_class:
        table = Table("one-vs-rest", *(Column(kind, justify="right") for kind in classes))
        for name, metric in whole.items():
            names = [f"{name}_{key}" for key in class_keys(classes)]
            if by_class.issuperset(names):
                cells = [
                    " ".join(
                        shown(values[one], values[f"{one}_error"], metric, values.get(f"{one}_limit", math.nan))
                    ).strip()
                    for one in names
                ]
                table.add_row(metric.heading, *cells)
        yield table


def shown(value: float, error: float, metric: Metric | None, limit: float = math.nan) -> tuple[str, str]:
    """A value and its error as text, with the decimals of the metric or so that the error has two digits; or the
    limit."""
    if not math.isfinite(value):
        return (f"> {limit:,.1f}", f"at {LIMIT:.0%}") if math.isfinite(limit) else (NOT_MEASURABLE, "")
    decimals = metric.decimals if metric else 4
    if decimals is None:
        decimals = min(max(1 - math.floor(math.log10(error)), 0), 4) if error > 0 else 1
    return f"{value:,.{decimals}f}", f"± {error:,.{decimals}f}"
