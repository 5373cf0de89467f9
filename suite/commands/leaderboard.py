"""`hepbench leaderboard`: the ranking of a task from the store alone, printed, and as a page."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence

from hepbench.benchmarks import registry, study
from hepbench.benchmarks.base import Reference, Task, UserError, check_known
from hepbench.benchmarks.registry import Entry
from hepbench.suite import results
from hepbench.suite.commands.console import Console
from hepbench.suite.paths import reports_folder
from hepbench.tracking.leaderboard import matrix, side_by_side, text
from hepbench.tracking.leaderboard.table import Leaderboard
from hepbench.tracking.printable import printable
from hepbench.tracking.runs import Store


def print_leaderboard(
    task_given: str, form: str, columns: Sequence[str], pairs: bool, target: float | None, console: Console
) -> None:
    """Print the ranking of a task, or of all, in one of `leaderboard.FORMATS`; a table comes with its page. That of all
    variants of a task is one table; JSON and CSV have the rows of each.

    columns: of the table, in place of the usual ones. pairs: with the differences between all rows; JSON and CSV have
    these in place of the rows. target: as of `results.board_of`. UserError where variants stand side by side.
    """
    check_known("format", form, text.FORMATS)
    store = results.open_store(to_write=False)
    tasks = [registry.find("task", name) for name in registry.expand(task_given)]
    variants = task_given.endswith(":all")
    if columns and variants:
        raise UserError("a table of variants has one metric a cell: leave --columns out, or name one variant")
    if target is not None and variants:
        raise UserError("a table of variants has no times: leave --target out, or name one variant")
    if pairs and variants:
        raise UserError("a table of variants has no pairs of rows: leave --pairs out, or name one variant")
    if form == "table" and variants:
        write_variants(tasks, store, console)
        return
    if task_given == "all" or variants:
        every, tasks = tasks, _with_results(tasks, store)
    if form == "table":
        for task in tasks:
            write(task, store, console, columns, pairs, target)
        return
    board = results.board_of(tasks, store, columns, target)
    if pairs:
        forms = {"json": matrix.as_json, "csv": matrix.as_csv, "markdown": matrix.as_markdown, "latex": matrix.as_latex}
        sys.stdout.write(forms[form](board))
        return
    rendered = side_by_side.markdown(_tables(every, board)) if variants and form == "markdown" else None
    sys.stdout.write(printable(rendered or text.render(board, form)))


def write_variants(every: Sequence[Entry[Task]], store: Store, console: Console) -> None:
    """Print the variants of a task side by side, and write the page of each that has results. UserError where none
    has."""
    tasks = _with_results(every, store)
    board = results.board_of(tasks, store)
    for part in side_by_side.renderables(_tables(every, board)):
        console.print(part)
    published = (reference for task in every for reference in _references(task))
    for model, source, verified in dict.fromkeys((one.model, one.source, one.verified) for one in published):
        line = f"reported: {model}: {source}{'' if verified else ' (not verified)'}"
        console.print(line, highlight=False, soft_wrap=True)
    for note in board.notes:
        console.print(note, highlight=False, soft_wrap=True)
    for task in tasks:
        _write_page(task, results.board_of([task], store), store, console)


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


def write(
    task: Entry[Task],
    store: Store,
    console: Console,
    columns: Sequence[str] = (),
    pairs: bool = False,
    target: float | None = None,
) -> None:
    """Print the leaderboard of everything in the store, with these columns or the usual ones, and write its page."""
    board = results.board_of([task], store, columns, target)
    for part in text.renderables(dataclasses.replace(board, title=""), console.width):
        console.print(part)
    for part in matrix.renderables(board, console.width) if pairs else ():
        console.print(part)
    _write_page(task, dataclasses.replace(board, columns=(), target=None), store, console)


def _write_page(task: Entry[Task], board: Leaderboard, store: Store, console: Console) -> None:
    """Write the page and print where; a folder that cannot be written, or is full, costs the page alone."""
    try:
        line = f"report: {results.write_page(task, board, store)}"
    except OSError as error:
        line = f"no page is written: {error.filename or reports_folder()}: {error.strerror or error}"
    console.print(line, soft_wrap=True)
