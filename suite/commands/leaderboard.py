"""`hepbench leaderboard`: the ranking of tasks from the store alone, printed, and where it is asked for as a page."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

import click
from rich.text import Text

from hepbench.benchmarks import registry, study
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
    """What is asked to be shown. form: one of `text.FORMATS`. columns: of the table, in place of the usual ones. pairs:
    with the differences between all rows; JSON and CSV have these in place of the rows. target, metric: as of
    `results.board_of`. page: the pages are written as well. opened: and shown in a browser."""

    selection: Selection
    form: str = "table"
    columns: Sequence[str] = ()
    pairs: bool = False
    target: float | None = None
    metric: str = results.SHOWN[0]
    page: bool = False
    opened: bool = False


def print_leaderboard(given: Sequence[str], shown: Shown, console: Console) -> None:
    """Print the ranking of tasks, or of all, from the store alone. That of all variants of a task is one table; JSON
    and CSV have the rows of each. UserError where something is asked that variants side by side do not have."""
    store = results.open_store(to_write=False)
    tasks = [
        registry.find("task", name) for name in dict.fromkeys(one for word in given for one in registry.expand(word))
    ]
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
    if shown.page or shown.opened:
        for task in _with_results(tasks, store) if variants else tasks:
            path = _write_page(task, results.board_of([task], store), store, Console(stderr=shown.form != "table"))
            if path and shown.opened:
                click.launch(str(path))
    elif shown.form == "table":
        console.print(Text(f"with its page: hepbench leaderboard {' '.join(given)} --page, or --open", style="dim"))


def _check_side_by_side(variants: str, words: int, shown: Shown) -> None:
    if words > 1:
        raise UserError(f"{variants} gives a table of variants: name it alone")
    if shown.columns:
        raise UserError("a table of variants has one metric a cell: leave --columns out, or name one variant")
    if shown.target is not None:
        raise UserError("a table of variants has no times: leave --target out, or name one variant")
    if shown.pairs:
        raise UserError("a table of variants has no pairs of rows: leave --pairs out, or name one variant")
    if shown.form == "table" and (shown.selection != Selection() or shown.metric != results.SHOWN[0]):
        raise UserError("a table of variants has all rows: leave --model, --max-latency, --sort and --metric out")


def _boards(tasks: Sequence[Entry[Task]], store: Store, shown: Shown) -> list[Leaderboard]:
    """One a task for tables, one of all for what a program reads. UserError for a model that none of them ranks."""
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
    """As what a program reads, or as Markdown. variants: those that stand side by side in it."""
    form = shown.form
    if shown.pairs:
        forms = {"json": matrix.as_json, "csv": matrix.as_csv, "markdown": matrix.as_markdown, "latex": matrix.as_latex}
        sys.stdout.write(forms[form](board))
    elif variants and form == "markdown":
        sys.stdout.write(printable(side_by_side.markdown(_tables(variants, board))))
    else:
        sys.stdout.write(printable(text.render(board, form)))


def write_variants(every: Sequence[Entry[Task]], store: Store, console: Console) -> None:
    """Print the variants of a task side by side, and write the page of each that has results. UserError where none
    has."""
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


def _with_results(tasks: Sequence[Entry[Task]], store: Store) -> list[Entry[Task]]:
    """Those in which something has finished; UserError where there is none."""
    found = [task for task in tasks if store.runs(task.name, status="FINISHED", tags={"stage": "final"})]
    if not found:
        datasets = {task.dataset for task in tasks}
        every = f"{datasets.pop()}:all" if len(datasets) == 1 else "all"
        raise UserError(f"no finished runs in {results.store_location()}: run make bench TASK={every}")
    return found


def write(task: Entry[Task], store: Store, console: Console, columns: Sequence[str] = ()) -> None:
    """Print the leaderboard of everything in the store, with these columns or the usual ones, and write its page."""
    board = results.board_of([task], store, columns)
    show(board, console)
    _write_page(task, dataclasses.replace(board, columns=()), store, console)


def show(board: Leaderboard, console: Console, *, pairs: bool = False) -> None:
    """Print the leaderboard. pairs: with the differences between all rows."""
    for part in text.renderables(dataclasses.replace(board, title=""), console.width):
        console.print(part)
    for part in matrix.renderables(board, console.width) if pairs else ():
        console.print(part)


def _write_page(task: Entry[Task], board: Leaderboard, store: Store, console: Console) -> Path | None:
    """Write the page, print where and return it; a folder that cannot be written, or is full, costs the page alone."""
    try:
        path = results.write_page(task, board, store)
    except OSError as error:
        line = f"no page is written: {error.filename or reports_folder()}: {error.strerror or error}"
        console.print(line, soft_wrap=True)
        return None
    console.print(f"report: {path}", soft_wrap=True)
    return path
