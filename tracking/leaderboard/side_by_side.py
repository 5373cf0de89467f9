"""Several tasks side by side: one row per model, one column per task, the ranking metric in each cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hepbench.tracking.leaderboard.ranking import Row, groups, value_or_limit
from hepbench.tracking.leaderboard.table import NOT_MEASURED, REPORTED, Leaderboard, columns_of, facts_of, setting_of
from hepbench.tracking.printable import markdown_cell

if TYPE_CHECKING:
    from rich.console import RenderableType

TIED = "=: not significantly different from the best of its column, by the test of that leaderboard."


@dataclass(frozen=True)
class Cell:
    """best: of its column; tied: not significantly different from it."""

    text: str
    best: bool = False
    tied: bool = False


@dataclass(frozen=True)
class SideBySide:
    """heading: what all columns have in common. tasks: the columns. lines: (model with its settings, a cell for each
    task). reported: (model, its published value for each task, "–" where there is none)."""

    heading: str
    tasks: Sequence[str]
    lines: Sequence[tuple[str, Sequence[Cell]]]
    reported: Sequence[tuple[str, Sequence[str]]]


def side_by_side(
    board: Leaderboard, tasks: Sequence[str], references: Mapping[str, Sequence[Mapping[str, Any]]]
) -> list[SideBySide]:
    """A table for each kind of data and budget that the board has rows of.

    tasks: names of the columns. references: task -> published results, each as in `Leaderboard.references`. Of a task
    with several datasets the one counts that was last run on; of a model with the same settings on several devices the
    better. Models that are on every task come first, in the order of their means.
    """
    newest: dict[tuple[str, ...], dict[str, list[Row]]] = {}
    for rows in groups(board.rows):
        of_task = newest.setdefault(tuple(facts_of(rows)[:2]), {})
        if _ended(rows) > _ended(of_task.get(rows[0]["task"], [])):
            of_task[rows[0]["task"]] = rows
    name = board.ranked_by.name
    published: dict[str, dict[str, str]] = {}
    for task in tasks:
        for one in references.get(task, ()):
            if name in one["metrics"]:
                published.setdefault(one["model"], {})[task] = f"{one['metrics'][name]:g}"
    reported = [(model, [values.get(task, "–") for task in tasks]) for model, values in published.items()]
    return [
        SideBySide(" · ".join([board.ranked_by.heading, *facts]), tasks, _lines(board, tasks, of_task), reported)
        for facts, of_task in newest.items()
    ]


def _lines(
    board: Leaderboard, tasks: Sequence[str], of_task: Mapping[str, Sequence[Row]]
) -> list[tuple[str, list[Cell]]]:
    metric = board.ranked_by
    cells: dict[str, dict[str, Cell]] = {}
    values: dict[str, list[float]] = {}
    for task, rows in of_task.items():
        column = next(column for column in columns_of(board, rows) if column.name == metric.name)
        for row in rows:
            model, value = f"{row['model']} {setting_of(row)}".strip(), value_or_limit(row, metric.name)
            if task in cells.setdefault(model, {}):
                continue
            cells[model][task] = Cell(column.cell(row), row["rank"] == 1 and value is not None, row["tied"])
            values.setdefault(model, []).extend([] if value is None else [value])
    sign = -1 if metric.higher_is_better else 1

    def place(model: str) -> tuple[int, float, str]:
        measured = values[model]
        return -len(measured), sign * sum(measured) / max(1, len(measured)), model

    return [(model, [cells[model].get(task, Cell("–")) for task in tasks]) for model in sorted(cells, key=place)]


def renderables(tables: Sequence[SideBySide]) -> list[RenderableType]:
    """The tables for a terminal."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    parts: list[RenderableType] = []
    for table in tables:
        drawn = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True, header_style="bold")
        drawn.add_column("model", overflow="fold")
        for task in table.tasks:
            drawn.add_column(_words(task), justify="right")
        for model, cells in table.lines:
            texts = (Text(f"{'*' if x.best else '=' * x.tied}{x.text}", "bold" if x.best else "") for x in cells)
            drawn.add_row(Text(model), *texts)
        if table.reported:
            drawn.add_section()
            drawn.add_row("reported:")
        for model, values in table.reported:
            drawn.add_row(Text(model), *values)
        parts += [Text(""), Text(table.heading, style="bold"), drawn]
    return parts + [Text(line, style="dim") for line in ("*: best of its column.", *_legend(tables))]


def markdown(tables: Sequence[SideBySide], title: str = "") -> str:
    """The tables as Markdown."""
    lines = [f"# {title}", ""] if title else []
    for table in tables:
        lines += [f"**{table.heading}**", "", _line(["model", *table.tasks])]
        lines.append(_line([":---", *["---:"] * len(table.tasks)]))
        for model, cells in table.lines:
            lines.append(_line([model, *(f"**{x.text}**" if x.best else "=" * x.tied + x.text for x in cells)]))
        lines += [_line([f"reported: {model}", *texts]) for model, texts in table.reported]
        lines.append("")
    return "\n".join([*lines, *(f"{line}  " for line in ("Bold: best of its column.", *_legend(tables)))]) + "\n"


def _legend(tables: Sequence[SideBySide]) -> list[str]:
    reported = [f"reported: {REPORTED}."] if any(table.reported for table in tables) else []
    return [TIED, NOT_MEASURED, *reported]


def _ended(rows: Sequence[Row]) -> float:
    return max((float(row["ended"]) for row in rows), default=-1.0)


def _words(task: str) -> str:
    """The name of a variant, to be broken between its words; else the task's."""
    return task.partition(":")[2].replace("_", " ") or task


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(markdown_cell(cell) for cell in cells) + " |"
