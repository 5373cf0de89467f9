"""The leaderboard as text: terminal table, JSON, CSV, Markdown."""

from __future__ import annotations

import csv
import io
import json
import math
import string
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hepbench.tracking.leaderboard.ranking import TIED_WITHIN, Row, groups

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table


FORMATS = ("table", "json", "csv", "markdown")

TITLES = {
    "auc": "AUC",
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "log_loss": "log-loss",
    **{f"rejection_{percent}": f"1/ε_B at ε_S = {percent} %" for percent in (30, 50, 70)},
}

LEGEND = (
    "±: one standard deviation, the test events' error and the seeds' spread / √seeds in quadrature.",
    f"=: not told apart from the first, within {TIED_WITHIN} combined errors. The errors are taken as independent, "
    "which is cautious: all rows see the same test events.",
)
NOT_MEASURED = "–: not measured, or not measurable with these events."
WIDE = ("weights", "latency ms")
"""Columns that a narrow terminal goes without."""

REPORTED = "reported by their authors on the official data, not measured here"


def render(
    rows: Sequence[Row],
    format: str = "table",
    title: str = "",
    footer: Sequence[str] = (),
    references: Sequence[Mapping[str, Any]] = (),
    *,
    width: int = 110,
    colour: bool = False,
) -> str:
    """The tables as text in one of FORMATS. footer: lines below them, such as what was skipped and why.

    references: published results, each {"model", "metrics": {name: value}, "trained_on", "source"}.
    width, colour: of the terminal, for "table". JSON and CSV have the rows alone.
    """
    if format == "json":
        return json.dumps(list(rows), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    if format == "csv":
        return _csv(rows)
    if format == "markdown":
        return _markdown(rows, title, footer, references)
    if format != "table":
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, got {format!r}")

    from rich.console import Console

    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=colour, color_system="standard" if colour else None)
    for part in renderables(rows, title, footer, references, narrow=width < 110):
        console.print(part)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def renderables(
    rows: Sequence[Row],
    title: str = "",
    footer: Sequence[str] = (),
    references: Sequence[Mapping[str, Any]] = (),
    narrow: bool = False,
) -> list[RenderableType]:
    """What `render` prints for a terminal, for a console of one's own. narrow: for 80 columns and not 110."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    parts: list[RenderableType] = [Text(title, style="bold")] if title else []
    if not rows:
        parts.append(Text("no finished result yet"))
    for table in groups(rows):
        parts += [Text(""), Text(heading_of(table), style="bold")]
        marks = hardware_marks(table)
        drawn = _empty_table(Table)
        columns = [column for column in columns_of(table, marks) if not (narrow and column[0] in WIDE)]
        for name, justify in columns:
            heading = "acc." if narrow and name == "accuracy" else name.replace(" ", "\n", 1)
            drawn.add_column(heading, justify=justify, no_wrap=name != "model", overflow="fold")
        for row in table:
            cells = cells_of(_narrowed(row) if narrow else row, columns, marks)
            drawn.add_row(*map(Text, cells), style="bold" if row["rank"] == 1 else "")
        parts.append(drawn)
        parts += [Text(line, style="dim") for line in hardware_lines(table, marks)]
    if rows:
        parts += [Padding(Text(line, style="dim"), 0) for line in LEGEND]
    if references:
        parts += [Text(""), Text(f"Published: {REPORTED}", style="bold")]
        drawn = _empty_table(Table)
        for name in PUBLISHED:
            drawn.add_column(name, overflow="fold")
        for entry in references:
            drawn.add_row(*map(Text, reference_cells(entry)))
        parts.append(drawn)
    if footer:
        parts += [Text(""), *(Text(line) for line in footer)]
    return parts


def _empty_table(kind: type[Table]) -> Table:
    from rich import box

    return kind(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True, header_style="bold")


def heading_of(table: Sequence[Row]) -> str:
    first = table[0]
    parts = [str(first["task"]), f"{first['data']} data", f"budget {first['budget']}"]
    if first["events"]:
        parts.append(f"{first['events']:,} test events")
    parts += [f"data {str(first['data_digest'])[:12]}", f"split {str(first['split_hash'])[:12]}"]
    return " · ".join(parts)


def hardware_marks(table: Sequence[Row]) -> dict[tuple, str]:
    """A letter for each (hardware, device, backend), where a table has more than one: times compare within a letter."""
    places = list(dict.fromkeys(_place(row) for row in table))
    return {place: string.ascii_lowercase[i % 26] * (i // 26 + 1) for i, place in enumerate(places)}


def _place(row: Row) -> tuple:
    return row["hardware"], row["device"], row["backend"]


def hardware_lines(table: Sequence[Row], marks: Mapping[tuple, str]) -> list[str]:
    lines = []
    for (hardware, device, backend), mark in marks.items():
        on = f"{hardware or 'unknown hardware'}, {device}, {backend}"
        lines.append(f"times [{mark}] on {on}" if len(marks) > 1 else f"times on {on}")
    if len(marks) > 1:
        lines.append("times compare only between rows of the same letter")
    return lines


def columns_of(table: Sequence[Row], marks: Mapping[tuple, str]) -> list[tuple[str, str]]:
    names = [("#", "right"), ("model", "left"), ("AUC", "right"), ("accuracy", "right")]
    names += [("1/ε_B at 50 %", "right"), ("weights", "right"), ("train s", "right"), ("test µs/event", "right")]
    names.append(("latency ms", "right"))  # of one event alone
    if len(marks) > 1:
        names.append(("on", "left"))
    return [*names, ("seeds", "right")]


def cells_of(row: Row, columns: Sequence[tuple[str, str]], marks: Mapping[tuple, str]) -> list[str]:
    texts = {
        "#": f"{'=' if row['tied'] else ''}{row['rank']}",
        "model": f"{row['model']} {setting_of(row)}".strip(),
        "AUC": _with_error(row["auc"], row["auc_error"], 4),
        "accuracy": _with_error(row["accuracy"], None, 4),
        "1/ε_B at 50 %": _with_error(row["rejection_50"], row["rejection_50_error"]),
        "weights": "–" if row["parameters"] is None else f"{row['parameters']:,}",
        "train s": _significant(row["train_seconds"]),
        "test µs/event": _significant(row["predict_us_per_event"]),
        "latency ms": _significant(row["latency_ms"]),
        "on": marks[_place(row)],
        "seeds": str(row["seeds"]),
    }
    return [texts[name] for name, _ in columns]


def _narrowed(row: Row) -> Row:
    """The row for 80 columns, where the model's column has some 16: a longer setting goes on after its "="."""
    words = [word.replace("=", "=\n", 1) if len(word) > 16 else word for word in row["set"].split()]
    return {**row, "rejection_50_error": None, "set": " ".join(words)}


def setting_of(row: Row) -> str:
    """What makes a row another than that of the model's defaults."""
    return "tuned" if row["tuned"] else row["set"]


def _with_error(value: float | None, error: float | None, decimals: int | None = None) -> str:
    """value ± error with these decimals, or with as many as give the error two digits; – where not measurable."""
    if value is None:
        return "–"
    if decimals is None:
        decimals = 1 if not error else min(max(1 - math.floor(math.log10(error)), 0), 4)
    return f"{value:,.{decimals}f}" if error is None else f"{value:,.{decimals}f} ± {error:,.{decimals}f}"


def _significant(value: float | None, digits: int = 3) -> str:
    if value is None:
        return "–"
    if value < 0.01:
        return "< 0.01"
    return f"{value:,.{max(digits - 1 - math.floor(math.log10(abs(value))), 0)}f}"


PUBLISHED = ("model", "reported", "trained on", "source")


def reference_cells(entry: Mapping[str, Any]) -> list[str]:
    numbers = ", ".join(f"{TITLES.get(name, name)} {value:g}" for name, value in entry["metrics"].items())
    source = entry.get("source", "")
    if not entry.get("verified", True):
        source += " (not verified)"
    return [entry["model"], numbers, entry.get("trained_on", ""), source]


def _csv(rows: Sequence[Row]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        plain = {name: value for name, value in row.items() if value is not None}
        for name in ("run_ids", "seed_list"):
            plain[name] = " ".join(map(str, plain[name]))
        plain["hyperparameters"] = json.dumps(plain["hyperparameters"])
        writer.writerow(plain)
    return out.getvalue()


def _markdown(rows: Sequence[Row], title: str, footer: Sequence[str], references: Sequence[Mapping[str, Any]]) -> str:
    lines = [f"# {title}", ""] if title else []
    for table in groups(rows):
        marks = hardware_marks(table)
        columns = columns_of(table, marks)
        lines += [f"**{heading_of(table)}**", ""]
        lines += _markdown_table(columns, [cells_of(row, columns, marks) for row in table])
        lines += ["", *(f"{line}  " for line in hardware_lines(table, marks)), ""]
    if rows:
        lines += [*(f"{line}  " for line in LEGEND), ""]
    if references:
        columns = [(name, "left") for name in PUBLISHED]
        lines += [f"**Published** ({REPORTED})", ""]
        lines += [*_markdown_table(columns, [reference_cells(entry) for entry in references]), ""]
    lines += [f"{line}  " for line in footer]
    return "\n".join(lines).rstrip() + "\n"


def _markdown_table(columns: Sequence[tuple[str, str]], cells: Sequence[Sequence[str]]) -> list[str]:
    head = [name for name, _ in columns]
    rule = ["---:" if justify == "right" else ":---" for _, justify in columns]
    return ["| " + " | ".join(text.replace("|", r"\|") for text in line) + " |" for line in (head, rule, *cells)]
