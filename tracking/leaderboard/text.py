"""The leaderboard as text: terminal table, JSON, CSV, Markdown."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hepbench.tracking.leaderboard import latex, shifts
from hepbench.tracking.leaderboard.ranking import Row, groups
from hepbench.tracking.leaderboard.table import (
    LEGEND,
    LONGEST_WORD,
    NUMBERS,
    PUBLISHED,
    REPORTED,
    Column,
    Leaderboard,
    columns_of,
    hardware_lines,
    heading_of,
    published_cells,
)
from hepbench.tracking.printable import markdown_table

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table


WIDE = 110
"""Columns of a terminal in which the usual columns fit."""

GAP = 2
"""Letters between columns."""

FORMATS = ("table", "json", "csv", "markdown", "latex")


def render(board: Leaderboard, format: str = "table", *, width: int = WIDE, colour: bool = False) -> str:
    """The leaderboard in one of FORMATS. width, colour: of the terminal, for "table". JSON and CSV have only the rows.
    ValueError for another format."""
    if format == "json":
        lines = (json.dumps(row, ensure_ascii=False, allow_nan=False) for row in board.rows)
        return "[\n" + ",\n".join(lines) + "\n]\n"  # one row per line: json indents ten times more slowly
    if format == "csv":
        return _csv(board.rows)
    if format == "markdown":
        return _markdown(board)
    if format == "latex":
        return _latex(board)
    if format != "table":
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, got {format!r}")

    from rich.console import Console

    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=colour, color_system="standard" if colour else None)
    for part in renderables(board, width):
        console.print(part)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def renderables(board: Leaderboard, width: int = WIDE) -> list[RenderableType]:
    """What `render` prints for a terminal, for another console. width: its columns; below WIDE less is shown, and lines
    say what is not."""
    from rich.padding import Padding
    from rich.text import Text

    narrow = width < WIDE
    parts: list[RenderableType] = [Text(board.title, style="bold")] if board.title else []
    if not board.rows:
        parts.append(Text("no finished result yet"))
    for rows in groups(board.rows):
        parts += [Text(""), Text(heading_of(rows), style="bold")]
        columns = columns_of(board, rows, narrow)
        headings = {
            column.name: _cut(column.heading, max(len(column.cell(row)) for row in rows))
            if narrow and column.name in board.metrics
            else column.heading
            for column in columns
        }
        left_out: list[Column] = []
        if not board.columns:
            columns, left_out = _with_room(columns, columns_of(board, rows), headings, rows, width)
            headings |= {column.name: column.heading for column in columns if column.name not in headings}
        for some in _that_fit(columns, headings, rows, width) if board.columns else [columns]:
            drawn = _empty_table()
            for column in some:
                drawn.add_column(
                    headings[column.name].replace(" ", "\n", 1),
                    justify="right" if column.numeric else "left",
                    no_wrap=column.name != "model",
                    min_width=None if column.name == "model" else _room(column, headings[column.name], rows) - GAP,
                    overflow="fold",
                )
            for row in rows:
                drawn.add_row(*(Text(column.cell(row)) for column in some), style="bold" if row["rank"] == 1 else "")
            parts.append(drawn)
        if left_out:
            chosen = [column.name for column in left_out if column.name in {*board.metrics, *NUMBERS}]
            listed = ", ".join(column.heading for column in left_out)
            fix = f"--columns {','.join(chosen)}, or a wider terminal" if chosen else "a wider terminal"
            parts.append(Text(f"not shown in {width} columns: {listed}; to show: {fix}", style="yellow"))
        parts += [Text(line, style="dim") for line in hardware_lines(rows)]
        parts += _shifted(rows, width)
    if board.rows:
        parts += [Padding(Text(line, style="dim"), 0) for line in LEGEND]
    if board.references:
        parts += [Text(""), Text(f"Published: {REPORTED}", style="bold")]
        drawn = _empty_table()
        for name in PUBLISHED:
            drawn.add_column(name, overflow="fold")
        for cells in published_cells(board):
            drawn.add_row(*map(Text, cells))
        parts.append(drawn)
    if board.notes:
        parts += [Text(""), *(Text(line) for line in board.notes)]
    return parts


def _shifted(rows: Sequence[Row], width: int) -> list[RenderableType]:
    """What the rows score on shifted samples, in as many tables as the width requires; nothing where there are none."""
    from rich.text import Text

    heads, cells = shifts.table(rows)
    if not heads:
        return []
    room = [2 + max(len(head), *(len(line[place]) for line in cells)) for place, head in enumerate(heads)]
    parts: list[RenderableType] = [Text(""), Text(shifts.HEADING, style="bold")]
    left = list(range(1, len(heads)))
    while left:
        some, taken = [0], room[0]
        while left and (len(some) == 1 or taken + room[left[0]] <= width):
            taken += room[left[0]]
            some.append(left.pop(0))
        drawn = _empty_table()
        for place in some:
            drawn.add_column(heads[place], justify="right" if place else "left", no_wrap=bool(place), overflow="fold")
        for line in cells:
            drawn.add_row(*(Text(line[place]) for place in some))
        parts.append(drawn)
    return parts + [Text(line, style="dim") for line in (*shifts.titles(rows), *shifts.LEGEND)]


def _that_fit(
    columns: Sequence[Column], headings: Mapping[str, str], rows: Sequence[Row], width: int
) -> list[list[Column]]:
    """The columns in as many tables as the width requires, each with rank and model; no number is cut."""
    first, others = list(columns[:2]), columns[2:]
    room = {column.name: _least(column, headings[column.name], rows) for column in columns}
    free = left = width + GAP - sum(room[column.name] for column in first)
    tables = [list(first)]
    for column in others:
        if room[column.name] > left and len(tables[-1]) > len(first):
            tables.append(list(first))
            left = free
        tables[-1].append(column)
        left -= room[column.name]
    return tables


def _room(column: Column, heading: str, rows: Sequence[Row]) -> int:
    """Letters that a column takes, its distance from the next included."""
    lines = [*heading.split(" ", 1), *(line for row in rows for line in column.cell(row).split("\n"))]
    return GAP + max(map(len, lines))


def _least(column: Column, heading: str, rows: Sequence[Row]) -> int:
    """As `_room`, but for the models' names, which can be broken, no more than for a word."""
    room = _room(column, heading, rows)
    return min(room, GAP + LONGEST_WORD) if column.name == "model" else room


def _with_room(
    narrow: Sequence[Column], wide: Sequence[Column], headings: Mapping[str, str], rows: Sequence[Row], width: int
) -> tuple[list[Column], list[Column]]:
    """The narrow columns that fit, from the left, but always rank, model and the metric that ranks; with those of the
    wide ones that there is room for, the last first; and the others."""
    fitting = list(narrow)
    while len(fitting) > 3 and sum(_least(column, headings[column.name], rows) for column in fitting) > width + GAP:
        fitting.pop()
    present = {column.name: column for column in fitting}
    left = width + GAP - sum(_room(column, headings[column.name], rows) for column in fitting)
    left_out: list[Column] = []
    for column in reversed([column for column in wide if column.name not in present]):
        needed = _room(column, column.heading, rows)
        if needed <= left:
            present[column.name] = column
            left -= needed
        else:
            left_out.insert(0, column)
    return [present[column.name] for column in wide if column.name in present], left_out


def _cut(heading: str, width: int) -> str:
    """A heading of one word that is wider than its cells, as an abbreviation of their width."""
    return heading if " " in heading or len(heading) <= width else f"{heading[: width - 1]}."


def _empty_table() -> Table:
    from rich import box
    from rich.table import Table

    return Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True, header_style="bold")


def _csv(rows: Sequence[Row]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        flat = {name: value for name, value in row.items() if value is not None}
        for name in ("run_ids", "seed_list"):
            flat[name] = " ".join(map(str, flat[name]))
        for name in ("hyperparameters", "shifts"):
            flat[name] = json.dumps(flat[name])
        writer.writerow(flat)
    return out.getvalue()


def _markdown(board: Leaderboard) -> str:
    lines = [f"# {board.title}", ""] if board.title else []
    for rows in groups(board.rows):
        columns = columns_of(board, rows)
        rule = ["---:" if column.numeric else ":---" for column in columns]
        cells = [[column.cell(row) for column in columns] for row in rows]
        lines += [f"**{heading_of(rows)}**", ""]
        lines += markdown_table([[column.heading for column in columns], rule, *cells])
        lines += ["", *(f"{line}  " for line in hardware_lines(rows)), ""]
        heads, cells = shifts.table(rows)
        if heads:
            rule = [":---", *["---:"] * (len(heads) - 1)]
            lines += [f"**{shifts.HEADING}**", "", *markdown_table([heads, rule, *cells]), ""]
            lines += [*(f"{line}  " for line in (*shifts.titles(rows), *shifts.LEGEND)), ""]
    if board.rows:
        lines += [*(f"{line}  " for line in LEGEND), ""]
    if board.references:
        lines += [f"**Published** ({REPORTED})", ""]
        lines += [*markdown_table([PUBLISHED, [":---"] * len(PUBLISHED), *published_cells(board)]), ""]
    lines += [f"{line}  " for line in board.notes]
    return "\n".join(lines).rstrip() + "\n"


def _latex(board: Leaderboard) -> str:
    lines = [latex.comment(board.title), latex.PREAMBLE] if board.title else [latex.PREAMBLE]
    for rows in groups(board.rows):
        columns = columns_of(board, rows)
        cells = [[column.cell(row) for column in columns] for row in rows]
        below = published_rows(board, columns) if rows[0]["data"] == "official" else []
        lines += ["", latex.comment(heading_of(rows))]
        lines += latex.table([one.heading for one in columns], [one.numeric for one in columns], cells, below)
        lines += map(latex.comment, hardware_lines(rows))
    lines += ["", *map(latex.comment, (*LEGEND, *board.notes))]
    lines += [latex.comment(f"{REPORTED}: {', '.join(cells)}") for cells in published_cells(board)]
    return "\n".join(lines) + "\n"


def published_rows(board: Leaderboard, columns: Sequence[Column]) -> list[list[str]]:
    """Published results in these columns, where one of them is given."""
    found = []
    for entry in board.references:
        numbers = {name: f"{value:g}" for name, value in entry["metrics"].items()}
        if any(column.name in numbers for column in columns):
            found.append([entry["model"] if one.name == "model" else numbers.get(one.name, "") for one in columns])
    return found
