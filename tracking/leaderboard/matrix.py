"""The differences between the rows of a table as a matrix: for a terminal, a page, JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hepbench.tracking import statistics
from hepbench.tracking.leaderboard import latex
from hepbench.tracking.leaderboard.differences import MOST_COMPARED, Differences, Pair
from hepbench.tracking.leaderboard.ranking import GROUP, Row, groups, id_of
from hepbench.tracking.leaderboard.table import Leaderboard, heading_of, setting_of
from hepbench.tracking.metric import Metric
from hepbench.tracking.printable import markdown_table

if TYPE_CHECKING:
    from rich.console import RenderableType

NOT_SIGNIFICANT = (
    f"=: not significantly different, p > {1 - statistics.LEVEL:.0%} after Holm's correction for all pairs of the "
    "table. Row minus column, for rejections row over column; all on the same test events."
)
SEEDS = (
    "seeds: number of seeds of each with which a difference of this size from the first is found at "
    f"{1 - statistics.LEVEL:.0%} with a power of {statistics.POWER:.0%}, for this pair alone; ?: one of the two has "
    "one seed, so that its run-to-run variance is unknown."
)


LEGEND = (NOT_SIGNIFICANT, SEEDS)


def cells(table: Sequence[Row], differences: Differences, metric: Metric) -> list[list[str]]:
    """A row of the matrix for each row of the table: rank, name, the difference to each row, and how many seeds a claim
    over the first needs. Of the first MOST_COMPARED rows."""
    table = table[:MOST_COMPARED]
    first = id_of(table[0])
    lines = []
    for row in table:
        own = [differences.between(id_of(row), id_of(other)) for other in table]
        to_first = differences.between(first, id_of(row))
        lines.append([f"{row['rank']}", name_of(row), *(_cell(pair, metric) for pair in own), _needed(to_first)])
    return lines


def headings(table: Sequence[Row]) -> list[str]:
    """Of the columns of `cells`."""
    return ["#", "model", *(f"– {row['rank']}" for row in table[:MOST_COMPARED]), "seeds"]


def name_of(row: Row) -> str:
    return f"{row['model']} {setting_of(row)}".strip()


def _cell(pair: Pair | None, metric: Metric) -> str:
    if pair is None:
        return ""
    value, error = pair.difference.value, pair.difference.error
    tied = "" if pair.significant else "="
    if metric.scale == "log":
        return f"{tied}× {math.exp(value):.2f}"
    decimals = metric.decimals
    if decimals is None:
        decimals = 1 if not error else min(max(1 - math.floor(math.log10(error)), 0), 4)
    return f"{tied}{value:+,.{decimals}f}"


def _needed(pair: Pair | None) -> str:
    if pair is None:
        return ""
    needed = pair.difference.needed
    return f"> {statistics.MOST_SEEDS}" if needed is None else str(needed or "?")


def renderables(board: Leaderboard, width: int) -> list[RenderableType]:
    """The matrices of every table for a terminal of this width, in as many pieces as it takes."""
    from rich.text import Text

    parts: list[RenderableType] = []
    for table, found in tables(board):
        parts += [Text(""), Text(heading_of(table), style="bold")]
        for differences in found:
            metric = board.metrics[differences.metric]
            parts += [Text(""), Text(f"Differences of {metric.heading}", style="bold")]
            parts += _drawn(headings(table), cells(table, differences, metric), width)
            parts += [Text(line, style="dim") for line in left_out(table, differences)]
    return [*parts, *(Text(line, style="dim") for line in LEGEND)]


def tables(board: Leaderboard) -> list[tuple[list[Row], Sequence[Differences]]]:
    """Each ranked table with its differences; none where the board has none."""
    return list(zip(groups(board.rows), board.differences, strict=bool(board.differences)))


def _drawn(heads: Sequence[str], lines: Sequence[Sequence[str]], width: int) -> list[RenderableType]:
    """Tables with the first two columns and as many of the others as there is room for."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    widths = [2 + max(len(heads[place]), *(len(line[place]) for line in lines)) for place in range(len(heads))]
    room = max(width - sum(widths[:2]), max(widths[2:]))
    parts: list[RenderableType] = []
    columns = list(range(2, len(heads)))
    while columns:
        some = [columns.pop(0)]
        while columns and sum(widths[place] for place in some) + widths[columns[0]] <= room:
            some.append(columns.pop(0))
        drawn = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True, header_style="bold")
        for place in (0, 1, *some):
            drawn.add_column(heads[place], justify="left" if place == 1 else "right", no_wrap=place != 1)
        for line in lines:
            drawn.add_row(*(Text(line[place]) for place in (0, 1, *some)))
        parts.append(drawn)
    return parts


def left_out(table: Sequence[Row], differences: Differences) -> list[str]:
    """A line for each row that is in no pair, with the reason."""
    return [
        f"in no pair: {name_of(row)}: {differences.left_out[id_of(row)]}"
        for row in table
        if id_of(row) in differences.left_out
    ]


def records(board: Leaderboard) -> list[dict[str, Any]]:
    """A record for each pair and metric of every table."""
    found = []
    for table, some in tables(board):
        names = {id_of(row): name_of(row) for row in table}
        for differences in some:
            for pair in differences.pairs:
                difference = pair.difference
                found.append(
                    {
                        **{name: table[0][name] for name in GROUP},
                        "metric": differences.metric,
                        "one": names[pair.one],
                        "other": names[pair.other],
                        "scale": "log" if board.metrics[differences.metric].scale == "log" else "linear",
                        "difference": difference.value,
                        "error": difference.error,
                        "p": difference.p,
                        "p_adjusted": pair.adjusted,
                        "significant": pair.significant,
                        "seeds_needed": difference.needed or None,
                    }
                )
    return found


def as_json(board: Leaderboard) -> str:
    return json.dumps(records(board), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def as_csv(board: Leaderboard) -> str:
    found = records(board)
    out = io.StringIO()
    writer = csv.DictWriter(out, list(found[0]) if found else ["metric"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
    return out.getvalue()


def as_latex(board: Leaderboard) -> str:
    lines = [latex.PREAMBLE]
    for table, some in tables(board):
        for differences in some:
            metric = board.metrics[differences.metric]
            heads = headings(table)
            lines += ["", latex.comment(f"{heading_of(table)}: differences of {metric.heading}")]
            lines += latex.table(heads, [head != "model" for head in heads], cells(table, differences, metric))
            lines += map(latex.comment, left_out(table, differences))
    return "\n".join([*lines, "", *map(latex.comment, LEGEND)]) + "\n"


def as_markdown(board: Leaderboard) -> str:
    lines = []
    for table, some in tables(board):
        lines += [f"**{heading_of(table)}**", ""]
        for differences in some:
            metric = board.metrics[differences.metric]
            heads = headings(table)
            rule = [":---" if head == "model" else "---:" for head in heads]
            lines += [f"Differences of {metric.heading}", ""]
            lines += [*markdown_table([heads, rule, *cells(table, differences, metric)]), ""]
            lines += [f"{line}  " for line in left_out(table, differences)]
    return "\n".join([*lines, *(f"{line}  " for line in LEGEND)]).rstrip() + "\n"
