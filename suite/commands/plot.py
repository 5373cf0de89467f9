"""`hepbench plot`: one plot of selected rows, as a file for a paper."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import UserError, check_known
from hepbench.benchmarks.metrics import BY_SLICE, METRICS, metrics_of, slice_key
from hepbench.suite import plot_data, results
from hepbench.suite.atomic import atomic_file
from hepbench.suite.commands.console import Console
from hepbench.tracking import plots
from hepbench.tracking.leaderboard import figures, page
from hepbench.tracking.leaderboard.matrix import name_of
from hepbench.tracking.leaderboard.plot_data import PlotData
from hepbench.tracking.leaderboard.ranking import Row, groups
from hepbench.tracking.leaderboard.table import NUMBERS, facts_of

DEFAULTS = {"metric": "auc", "x-axis": "latency_ms"}
OF_METRIC = ("auc", "pareto", "learning", "slices")
"""Kinds that show one metric."""

ENDINGS = (".pdf", ".png", ".svg")


def plot(
    task_given: str,
    kind: str,
    names: Sequence[str],
    *,
    metric: str,
    x_axis: str,
    budget: str | None,
    out: Path | None,
    console: Console,
) -> None:
    """Draw one of `figures.KINDS` from rows of one table of a task's leaderboard. UserError for unknown names and for
    what was not measured."""
    check_known("kind", kind, figures.KINDS)
    task = registry.find("task", task_given)
    record, records = task.record, metrics_of(task.record.classes, task.record.metrics)
    check_known("metric", metric, BY_SLICE if kind == "slices" else records)
    check_known("column", x_axis, NUMBERS)
    for option, value, kinds in (("metric", metric, OF_METRIC), ("x-axis", x_axis, ("pareto",))):
        if value != DEFAULTS[option] and kind not in kinds:
            raise UserError(f"--{option} {value}: no part of --kind {kind}, only of {', '.join(kinds)}")
    out = out or Path(f"{task.name.replace(':', '-')}-{kind}.pdf")
    if out.suffix not in ENDINGS:
        raise UserError(f"--out {out}: give a file name ending in {', '.join(ENDINGS)}")
    if not out.absolute().parent.is_dir():
        raise UserError(f"--out {out}: there is no folder {out.absolute().parent}")
    store = results.open_store(to_write=False)
    board = results.board_of([task], store)
    rows = _chosen(list(groups(board.rows)), names, budget)
    numbers, lost = plot_data.of_rows(task, rows, store)
    for line in lost:
        console.print(line, highlight=False, soft_wrap=True)
    headings = {metric: BY_SLICE.get(metric, "")}
    sliced = page.slices_of(board.rows, {slice_key(name): page.Slice(name, headings) for name in record.slices})
    chosen = figures.Chosen(
        rows={name: (row, numbers.get(row["run_ids"][0], PlotData())) for name, row in _named(rows).items()},
        metric=records.get(metric, METRICS["auc"]),
        x_axis=x_axis,
        slices=sliced,
        signal=record.classes[record.signal],
        background=record.classes[1 - record.signal] if len(record.classes) == 2 else "the rest",
    )
    with plots.style(), atomic_file(out) as path:
        try:
            figure = figures.draw(kind, chosen)
        except figures.NotMeasured as error:
            raise UserError(f"cannot draw {kind}: {error}") from None
        figure.savefig(path, format=out.suffix[1:])
    if left_out := figures.left_out(kind, chosen):
        axis = f"not drawn, with {NUMBERS[x_axis]} 0 on a logarithmic axis"
        console.print(f"{axis}: {', '.join(left_out)}", highlight=False, soft_wrap=True)
    console.print(f"{kind} of {', '.join(chosen.rows)}: {' · '.join(facts_of(rows))}", highlight=False, soft_wrap=True)
    console.print(f"written: {out}", highlight=False, soft_wrap=True)


def _chosen(tables: Sequence[list[Row]], names: Sequence[str], budget: str | None) -> list[Row]:
    """Rows of the latest table that has all of these models; without names, its first rows."""
    if budget is not None:
        check_known("budget", budget, dict.fromkeys(str(table[0]["budget"]) for table in tables))
        tables = [table for table in tables if table[0]["budget"] == budget]
    known = dict.fromkeys(name for table in tables for row in table for name in (row["model"], name_of(row)))
    for name in names:
        check_known("model", name, known)
    tables = sorted(tables, key=lambda table: -max(row["ended"] for row in table))
    for table in tables:
        found = [[row for row in table if name in (row["model"], name_of(row))] for name in names]
        if all(found):
            best = [
                next((row for row in some if name_of(row) == name), some[0])
                for some, name in zip(found, names, strict=True)
            ]
            return best or table[: page.FIRST_DRAWN]
    raise UserError(f"no table has all of {', '.join(names)}: give fewer models, or --budget")


def _named(rows: Sequence[Row]) -> dict[str, Row]:
    named: dict[str, Row] = {}
    for row in rows:
        name = name_of(row)
        named[f"{name} {row['run_ids'][0][:6]}" if name in named else name] = row
    return named
