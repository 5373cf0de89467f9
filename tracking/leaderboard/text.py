"""The leaderboard as text: terminal table, JSON, CSV, Markdown."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hepbench.tracking.leaderboard.ranking import Row, groups
from hepbench.tracking.leaderboard.table import (
    LEGEND,
    PUBLISHED,
    REPORTED,
    Leaderboard,
    columns_of,
    hardware_lines,
    heading_of,
    published_cells,
)

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table


FORMATS = ("table", "json", "csv", "markdown")


def render(board: Leaderboard, format: str = "table", *, width: int = 110, colour: bool = False) -> str:
    """The leaderboard in one of FORMATS. width, colour: of the terminal, for "table". JSON and CSV have the rows alone.
    ValueError for another format."""
    if format == "json":
        return json.dumps(list(board.rows), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    if format == "csv":
        return _csv(board.rows)
    if format == "markdown":
        return _markdown(board)
    if format != "table":
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, got {format!r}")

    from rich.console import Console

    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=colour, color_system="standard" if colour else None)
    for part in renderables(board, narrow=width < 110):
        console.print(part)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def renderables(board: Leaderboard, narrow: bool = False) -> list[RenderableType]:
    """What `render` prints for a terminal, for a console of one's own. narrow: for 80 columns and not 110."""
    from rich.padding import Padding
    from rich.text import Text

    parts: list[RenderableType] = [Text(board.title, style="bold")] if board.title else []
    if not board.rows:
        parts.append(Text("no finished result yet"))
    for rows in groups(board.rows):
        parts += [Text(""), Text(heading_of(rows), style="bold")]
        drawn = _empty_table()
        columns = columns_of(board, rows, narrow)
        for column in columns:
            heading = column.heading
            if narrow and column.name in board.metrics:
                heading = _cut(heading, max(len(column.cell(row)) for row in rows))
            drawn.add_column(
                heading.replace(" ", "\n", 1),
                justify="right" if column.numeric else "left",
                no_wrap=column.name != "model",
                overflow="fold",
            )
        for row in rows:
            drawn.add_row(*(Text(column.cell(row)) for column in columns), style="bold" if row["rank"] == 1 else "")
        parts.append(drawn)
        parts += [Text(line, style="dim") for line in hardware_lines(rows)]
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
        flat["hyperparameters"] = json.dumps(flat["hyperparameters"])
        writer.writerow(flat)
    return out.getvalue()


def _markdown(board: Leaderboard) -> str:
    lines = [f"# {board.title}", ""] if board.title else []
    for rows in groups(board.rows):
        columns = columns_of(board, rows)
        rule = ["---:" if column.numeric else ":---" for column in columns]
        cells = [[column.cell(row) for column in columns] for row in rows]
        lines += [f"**{heading_of(rows)}**", ""]
        lines += _markdown_table([[column.heading for column in columns], rule, *cells])
        lines += ["", *(f"{line}  " for line in hardware_lines(rows)), ""]
    if board.rows:
        lines += [*(f"{line}  " for line in LEGEND), ""]
    if board.references:
        lines += [f"**Published** ({REPORTED})", ""]
        lines += [*_markdown_table([PUBLISHED, [":---"] * len(PUBLISHED), *published_cells(board)]), ""]
    lines += [f"{line}  " for line in board.notes]
    return "\n".join(lines).rstrip() + "\n"


def _markdown_table(lines: Sequence[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(text.replace("|", r"\|") for text in line) + " |" for line in lines]
