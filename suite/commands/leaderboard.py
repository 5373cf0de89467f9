"""`hepbench leaderboard`: the ranking of tasks from stored results, printed and optionally as an HTML page."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import click
from rich.text import Text

from hepbench.benchmarks import study
from hepbench.benchmarks.base import Reference, Task, UserError, check_known
from hepbench.benchmarks.registry import Entry
from hepbench.suite import results
from hepbench.suite.commands.console import Console
from hepbench.suite.paths import reports_folder
from hepbench.tracking.leaderboard import matrix, side_by_side, text
from hepbench.tracking.leaderboard.selection import Selection, select
from hepbench.tracking.leaderboard.table import Leaderboard
from hepbench.tracking.printable import printable
from hepbench.tracking.runs import Store


@dataclasses.dataclass(frozen=True)
class Shown:
    """What to show. form: one of `text.FORMATS`. columns: of the table, instead of the default ones. pairs: also show
    the differences between all rows; formats other than "table" contain only these. target, metric: as for
    `results.board_of`. page: also write the pages. opened: and open them in a browser."""

    selection: Selection
    form: str = "table"
    columns: Sequence[str] = ()
    pairs: bool = False
    target: float | None = None
    metric: str = results.SHOWN[0]
    page: bool = False
    opened: bool = False


def print_leaderboard(given: Sequence[str], shown: Shown, console: Console) -> None:
    """Print the ranking of tasks, or of all, from stored results. All variants of a task share one table; JSON and CSV
    have the rows of each variant. UserError for options that a table of variants does not support."""
    store = results.open_store(to_write=False)
    tasks, left_out = results.stored_tasks(given, store)
    variants = next((word for word in given if word.endswith(":all")), "")
    if variants:
        _check_side_by_side(variants, len(given), shown)
    if variants and shown.form == "table":
        show_variants(tasks, store, console)
    else:
        every = tasks
        if variants or "all" in given:
            tasks = _with_results(tasks, store)
        boards = _boards(tasks, store, shown)
        if shown.form == "table":
            for board in boards:
                show(board, console, pairs=shown.pairs)
        else:
            _print_as(shown, boards[0], every if variants else (), console)
    beside = Console(stderr=shown.form != "table")
    if left_out:
        beside.print(Text(results.of_left_out(left_out), style="yellow"), soft_wrap=True)
    if shown.page or shown.opened:
        for task in _with_results(tasks, store) if variants else tasks:
            path = _write_page(task, results.board_of([task], store), store, beside)
            if path and shown.opened:
                click.launch(str(path))
    elif shown.form == "table":
        console.print(Text(f"HTML page: hepbench leaderboard {shlex.join(given)} --page, or --open", style="dim"))


def _check_side_by_side(variants: str, words: int, shown: Shown) -> None:
    if words > 1:
        raise UserError(f"{variants} gives a table of variants: give it alone, without other tasks")
    if shown.columns:
        raise UserError("a table of variants has one metric per cell: omit --columns, or give a single variant")
    if shown.target is not None:
        raise UserError("a table of variants has no times: omit --target, or give a single variant")
    if shown.pairs:
        raise UserError("a table of variants has no pairs of rows: omit --pairs, or give a single variant")
    if shown.form == "table" and (shown.selection != Selection() or shown.metric != results.SHOWN[0]):
        raise UserError("a table of variants has all rows: omit --model, --max-latency, --sort and --metric")


def _boards(tasks: Sequence[Entry[Task]], store: Store, shown: Shown) -> list[Leaderboard]:
    """One board per task for tables, one of all tasks for the other formats. UserError for a model without results."""
    selection = shown.selection
    if selection.sort and selection.sort != "model":
        results.check_columns(tasks, [selection.sort])
    parts = [[task] for task in tasks] if shown.form == "table" else [tasks]
    boards = [results.board_of(some, store, shown.columns, shown.target, shown.metric) for some in parts]
    ranked = dict.fromkeys(row["model"] for board in boards for row in board.rows)
    for model in selection.models:
        check_known("model among these results", model, ranked)
    return [select(board, selection) for board in boards]


def _print_as(shown: Shown, board: Leaderboard, variants: Sequence[Entry[Task]], console: Console) -> None:
    """Print in a format other than "table". variants: those shown side by side in Markdown."""
    form = shown.form
    if shown.pairs:
        forms = {"json": matrix.as_json, "csv": matrix.as_csv, "markdown": matrix.as_markdown, "latex": matrix.as_latex}
        sys.stdout.write(forms[form](board))
    elif variants and form == "markdown":
        sys.stdout.write(printable(side_by_side.markdown(_tables(variants, board))))
    else:
        sys.stdout.write(printable(text.render(board, form)))


def write_variants(every: Sequence[Entry[Task]], store: Store, console: Console) -> None:
    """Print the variants of a task side by side, and write the page of each that has results. UserError if none has
    any."""
    show_variants(every, store, console)
    for task in _with_results(every, store):
        _write_page(task, results.board_of([task], store), store, console)


def show_variants(every: Sequence[Entry[Task]], store: Store, console: Console) -> None:
    """Print the variants of a task side by side."""
    board = results.board_of(_with_results(every, store), store)
    for part in side_by_side.renderables(_tables(every, board)):
        console.print(part)
    published = (reference for task in every for reference in _references(task))
    for model, source, verified in dict.fromkeys((one.model, one.source, one.verified) for one in published):
        line = f"reported: {model}: {source}{'' if verified else ' (not verified)'}"
        console.print(line, highlight=False, soft_wrap=True)
    for note in board.notes:
        console.print(note, highlight=False, soft_wrap=True)


def _tables(every: Sequence[Entry[Task]], board: Leaderboard) -> list[side_by_side.SideBySide]:
    references = {task.name: [dataclasses.asdict(one) for one in _references(task)] for task in every}
    return side_by_side.side_by_side(board, list(references), references)


def _references(task: Entry[Task]) -> list[Reference]:
    return [*task.record.references, *study.references(task.name)]


def has_results(task: Entry[Task], store: Store) -> bool:
    return bool(store.runs(task.name, status="FINISHED", tags={"stage": "final"}))


def _with_results(tasks: Sequence[Entry[Task]], store: Store) -> list[Entry[Task]]:
    """The tasks with finished runs; UserError if there are none."""
    found = [task for task in tasks if has_results(task, store)]
    if not found:
        datasets = {task.dataset for task in tasks}
        every = f"{datasets.pop()}:all" if len(datasets) == 1 else "all"
        raise UserError(f"no finished runs in {results.store_location()}: run make bench TASK={every}")
    return found


def write(task: Entry[Task], store: Store, console: Console, columns: Sequence[str] = ()) -> None:
    """Print the leaderboard of all stored results, with these columns or the default ones, and write its page."""
    board = results.board_of([task], store, columns)
    show(board, console)
    _write_page(task, dataclasses.replace(board, columns=()), store, console)


def show(board: Leaderboard, console: Console, *, pairs: bool = False) -> None:
    """Print the leaderboard. pairs: also the differences between all rows."""
    for part in text.renderables(dataclasses.replace(board, title=""), console.width):
        console.print(part)
    for part in matrix.renderables(board, console.width) if pairs else ():
        console.print(part)


def _write_page(task: Entry[Task], board: Leaderboard, store: Store, console: Console) -> Path | None:
    """Write the page, print and return its path; if it cannot be written, print why and return None."""
    try:
        path = results.write_page(task, board, store)
    except OSError as error:
        line = f"page not written: {error.filename or reports_folder()}: {error.strerror or error}"
        console.print(line, soft_wrap=True)
        return None
    console.print(f"report: {path}", soft_wrap=True)
    return path
