"""From finished runs to ranked tables: for the terminal, for files, and as a page of HTML that needs nothing else.

Results are ranked together only where they were measured on the same thing: the same task, data (official or
simulated), data digest, split and budget.
"""

from __future__ import annotations

import csv
import html
import io
import json
import math
import string
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracking import pages, statistics

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import RenderableType
    from rich.table import Table

Row = dict[str, Any]

FORMATS = ("table", "json", "csv", "markdown")

GROUP = ("task", "data", "data_digest", "split_hash", "budget")
"""Tags that must be equal for results to be ranked together."""

IDENTITY = {"model", "seed", "configuration", "identity"}
"""Tags without which a run is not one of a benchmark."""

MEASURED = ("auc", "accuracy", "precision", "recall", "log_loss", "rejection_30", "rejection_50", "rejection_70")
"""Metrics that every row has, None where they were not measured, each with its _error and _spread."""

COSTS = ("train_seconds", "fit_seconds", "predict_seconds", "predict_us_per_event", "latency_ms")

TIED_WITHIN = 2
"""Combined errors from the best within which a row counts as tied."""

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
INTERVALS = "AUC with its error, one standard deviation. Band: two errors of the first. Models at chance are left out."
WIDE = ("weights", "latency ms")
"""Columns that a narrow terminal goes without."""

REPORTED = "reported by their authors on the official data, not measured here"


def rows(
    runs: Sequence[Mapping[str, Any]],
    metric: str = "auc",
    higher: bool = True,
    titles: Mapping[str, str] | None = None,
) -> list[Row]:
    """One row a configuration, ranked by the metric within what is comparable; group by group, from rank 1.

    runs: as `Store.runs` gives them; those that did not finish or are not final are left out. A trial that was
    repeated counts once, by its latest run, and a configuration once, by its latest version: that of the same model,
    parameters, device and backend. titles: model name -> what it is.

    Each row holds rank, tied, model, title, the group's tags, events (of the test set), seeds, every metric with
    `_error` and `_spread` (see `statistics.combine`), parameters (trained numbers), seconds of training and prediction
    and the latency of one event as means over the seeds, set (parameters that differ from the defaults), tuned (the
    study that chose them), device, hardware, backend, configuration, hyperparameters, run_ids, ended (seconds since
    1970). What was not measured is None.
    """
    latest: dict[str, Mapping[str, Any]] = {}
    for run in sorted(runs, key=lambda run: run["start"]):
        tags = run["tags"]
        if run["status"] == "FINISHED" and tags.get("stage") == "final" and tags.keys() >= IDENTITY:
            latest[tags["identity"]] = run

    versions: dict[tuple, dict[str, list[Mapping[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for run in latest.values():
        tags = run["tags"]
        group = tuple(tags.get(name, "") for name in GROUP)
        set_up = tuple(sorted(run["parameters"].items()))
        same = (group, tags["model"], set_up, tags.get("device"), tags.get("backend"))
        versions[same][tags["configuration"]].append(run)

    groups: dict[tuple, list[Row]] = defaultdict(list)
    for (group, *_), configurations in versions.items():
        newest = max(configurations.values(), key=lambda some: max(run["start"] for run in some))
        groups[group].append(_row(newest, titles or {}))

    ranked = []
    for group in sorted(groups, key=lambda group: (group[0], group[1] != "official", group[1:])):
        ranked += _ranked(groups[group], metric, higher)
    return ranked


def _row(runs: Sequence[Mapping[str, Any]], titles: Mapping[str, str]) -> Row:
    """The seeds of one configuration together."""
    runs = sorted(runs, key=lambda run: int(run["tags"]["seed"]))
    first = runs[0]["tags"]
    row: Row = {"rank": None, "tied": False, "model": first["model"], "title": titles.get(first["model"], "")}
    row |= {name: first.get(name) for name in GROUP}
    row["set"] = first.get("set", "")
    row["tuned"] = next((run["tags"]["tuned"] for run in runs if run["tags"].get("tuned")), "")
    row["seeds"] = len(runs)
    for name in dict.fromkeys([*MEASURED, *_tested(runs)]):
        row |= _combined(name, runs)

    hardware = sorted({run["tags"].get("hardware", "") for run in runs})
    for name in COSTS:  # a mean over different machines says nothing
        row[name] = _mean(runs, name) if len(hardware) == 1 else None
    weights = {run["metrics"].get("parameters") for run in runs}
    weight = weights.pop() if len(weights) == 1 else _mean(runs, "parameters")
    row["parameters"] = None if weight is None else round(weight)
    events = runs[0]["metrics"].get("test_events")
    row["events"] = None if events is None else round(events)
    row |= {name: first.get(name) for name in ("device", "backend", "configuration")}
    row["hardware"] = "; ".join(hardware)
    row["hyperparameters"] = dict(runs[0]["parameters"])
    row["seed_list"] = [int(run["tags"]["seed"]) for run in runs]
    row["run_ids"] = [run["id"] for run in runs]
    row["ended"] = max(run["end"] or run["start"] for run in runs)
    return row


def _tested(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of the test set's metrics that have an error."""
    names = {name for run in runs for name in run["metrics"]}
    return sorted(n.removeprefix("test_") for n in names if n.startswith("test_") and f"{n}_error" in names)


def _combined(name: str, runs: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """The metric over the seeds; None where a seed did not measure it, which a mean over the others would hide."""
    pairs = [(run["metrics"].get(f"test_{name}"), run["metrics"].get(f"test_{name}_error")) for run in runs]
    values, errors = zip(*pairs, strict=True)
    mean = error = spread = math.nan
    if None not in values:
        mean, error, spread = statistics.combine(values, [math.nan if e is None else e for e in errors])
    return {name: _number(mean), f"{name}_error": _number(error), f"{name}_spread": _number(spread)}


def _mean(runs: Sequence[Mapping[str, Any]], name: str) -> float | None:
    values = [run["metrics"].get(name) for run in runs]
    return None if None in values else _number(math.fsum(values) / len(values))


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _ranked(group: list[Row], metric: str, higher: bool) -> list[Row]:
    sign = -1 if higher else 1
    measured = [row for row in group if row.get(metric) is not None]
    measured.sort(key=lambda row: (sign * row[metric], row["model"], row["configuration"]))
    rest = sorted((row for row in group if row.get(metric) is None), key=lambda row: row["model"])
    for rank, row in enumerate([*measured, *rest], 1):
        row["rank"] = rank
    for row in measured[1:]:
        errors = row.get(f"{metric}_error"), measured[0].get(f"{metric}_error")
        if None not in errors:
            row["tied"] = abs(row[metric] - measured[0][metric]) <= TIED_WITHIN * math.hypot(*errors)
    return [*measured, *rest]


def groups(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """The rows in their tables: each list is ranked from 1."""
    table: list[Row] = []
    for row in rows:
        if table and any(row[name] != table[0][name] for name in GROUP):
            yield table
            table = []
        table.append(row)
    if table:
        yield table


# --- as text ---------------------------------------------------------------------------------------------------------


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
        parts += [Text(""), Text(_heading(table), style="bold")]
        marks = _marks(table)
        drawn = _empty_table(Table)
        columns = [column for column in _columns(table, marks) if not (narrow and column[0] in WIDE)]
        for name, justify in columns:
            heading = "acc." if narrow and name == "accuracy" else name.replace(" ", "\n", 1)
            drawn.add_column(heading, justify=justify, no_wrap=name != "model", overflow="fold")
        for row in table:
            cells = _cells(_narrowed(row) if narrow else row, columns, marks)
            drawn.add_row(*map(Text, cells), style="bold" if row["rank"] == 1 else "")
        parts.append(drawn)
        parts += [Text(line, style="dim") for line in _hardware_lines(table, marks)]
    if rows:
        parts += [Padding(Text(line, style="dim"), 0) for line in LEGEND]
    if references:
        parts += [Text(""), Text(f"Published: {REPORTED}", style="bold")]
        drawn = _empty_table(Table)
        for name in PUBLISHED:
            drawn.add_column(name, overflow="fold")
        for entry in references:
            drawn.add_row(*map(Text, _reference_cells(entry)))
        parts.append(drawn)
    if footer:
        parts += [Text(""), *(Text(line) for line in footer)]
    return parts


def _empty_table(kind: type[Table]) -> Table:
    from rich import box

    return kind(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True, header_style="bold")


def _heading(table: Sequence[Row]) -> str:
    first = table[0]
    parts = [str(first["task"]), f"{first['data']} data", f"budget {first['budget']}"]
    if first["events"]:
        parts.append(f"{first['events']:,} test events")
    parts += [f"data {str(first['data_digest'])[:12]}", f"split {str(first['split_hash'])[:12]}"]
    return " · ".join(parts)


def _marks(table: Sequence[Row]) -> dict[tuple, str]:
    """A letter for each (hardware, device, backend), where a table has more than one: times compare within a letter."""
    places = list(dict.fromkeys(_place(row) for row in table))
    return {place: string.ascii_lowercase[i % 26] * (i // 26 + 1) for i, place in enumerate(places)}


def _place(row: Row) -> tuple:
    return row["hardware"], row["device"], row["backend"]


def _hardware_lines(table: Sequence[Row], marks: Mapping[tuple, str]) -> list[str]:
    lines = []
    for (hardware, device, backend), mark in marks.items():
        on = f"{hardware or 'unknown hardware'}, {device}, {backend}"
        lines.append(f"times [{mark}] on {on}" if len(marks) > 1 else f"times on {on}")
    if len(marks) > 1:
        lines.append("times compare only between rows of the same letter")
    return lines


def _columns(table: Sequence[Row], marks: Mapping[tuple, str]) -> list[tuple[str, str]]:
    names = [("#", "right"), ("model", "left"), ("AUC", "right"), ("accuracy", "right")]
    names += [("1/ε_B at 50 %", "right"), ("weights", "right"), ("train s", "right"), ("test µs/event", "right")]
    names.append(("latency ms", "right"))  # of one event alone
    if len(marks) > 1:
        names.append(("on", "left"))
    return [*names, ("seeds", "right")]


def _cells(row: Row, columns: Sequence[tuple[str, str]], marks: Mapping[tuple, str]) -> list[str]:
    texts = {
        "#": f"{'=' if row['tied'] else ''}{row['rank']}",
        "model": f"{row['model']} {_setting(row)}".strip(),
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


def _setting(row: Row) -> str:
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


def _reference_cells(entry: Mapping[str, Any]) -> list[str]:
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
        marks = _marks(table)
        columns = _columns(table, marks)
        lines += [f"**{_heading(table)}**", ""]
        lines += _markdown_table(columns, [_cells(row, columns, marks) for row in table])
        lines += ["", *(f"{line}  " for line in _hardware_lines(table, marks)), ""]
    if rows:
        lines += [*(f"{line}  " for line in LEGEND), ""]
    if references:
        columns = [(name, "left") for name in PUBLISHED]
        lines += [f"**Published** ({REPORTED})", ""]
        lines += [*_markdown_table(columns, [_reference_cells(entry) for entry in references]), ""]
    lines += [f"{line}  " for line in footer]
    return "\n".join(lines).rstrip() + "\n"


def _markdown_table(columns: Sequence[tuple[str, str]], cells: Sequence[Sequence[str]]) -> list[str]:
    head = [name for name, _ in columns]
    rule = ["---:" if justify == "right" else ":---" for _, justify in columns]
    return ["| " + " | ".join(text.replace("|", r"\|") for text in line) + " |" for line in (head, rule, *cells)]


# --- as a page -------------------------------------------------------------------------------------------------------


def page(
    path: Path,
    rows: Sequence[Row],
    references: Sequence[Mapping[str, Any]] = (),
    footer: Sequence[str] = (),
    curves: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    title: str = "Leaderboard",
    command: str = "",
    signal: str = "signal",
    background: str = "background",
    about: Sequence[str] = (),
) -> Path:
    """Write one HTML file that needs no other: the tables, AUC with errors, ROC curves, sources and how to repeat it.

    curves: run id -> {"signal_efficiency", "background_efficiency"}, each (m,); of each row the first of its run_ids
    that has one is drawn. references, footer: as of `render`. command: what makes these results. about: paragraphs
    below the title, such as data, licence and citation.
    """
    sections = []
    for number, table in enumerate(groups(rows)):
        sections.append(_section(table, curves or {}, signal, background, number))
    if not sections:
        sections.append("<p>No finished result yet.</p>")
    if references:
        body = [[pages.linked(cell) for cell in _reference_cells(entry)] for entry in references]
        sections.append(
            f"<section><h2>Published results</h2><p class=note>{html.escape(REPORTED.capitalize())}.</p>"
            f"{pages.table(PUBLISHED, body, set())}</section>"
        )
    if footer:
        listed = "".join(f"<li>{pages.linked(line)}</li>" for line in footer)
        sections.append(f"<section><h2>Notes</h2><ul>{listed}</ul></section>")
    if command:
        sections.append(f"<section><h2>Repeat it</h2><pre>{html.escape(command)}</pre></section>")
    legend = "".join(f"<li>{html.escape(line)}</li>" for line in (*LEGEND, NOT_MEASURED))
    pages.write(path, title, about, sections, f"<ul>{legend}</ul>")
    return path


def _section(
    table: Sequence[Row], curves: Mapping[str, Mapping[str, Any]], signal: str, background: str, number: int
) -> str:
    """One ranked table with its plots."""
    first, marks = table[0], _marks(table)
    columns = _columns(table, marks)
    body = []
    for row in table:
        cells = [html.escape(cell) for cell in _cells(row, columns, marks)]
        about = f"<small>{html.escape(row['title'])}</small>" if row["title"] else ""
        cells[1] = f"<b>{html.escape(row['model'])}</b> {html.escape(_setting(row))}{about}"
        cells[2] = f"<span class=bar style='--share:{_share(row, table):.1f}%'>{cells[2]}</span>"
        body.append(cells)
    right = {i for i, (_, justify) in enumerate(columns) if justify == "right"}
    kind = "official" if first["data"] == "official" else "simulated"
    chips = [f"{first['data']} data", f"budget {first['budget']}"]
    if first["events"]:
        chips.append(f"{first['events']:,} test events")
    chips += [f"data {str(first['data_digest'])[:12]}", f"split {str(first['split_hash'])[:12]}"]
    chip_row = "".join(
        f"<span class='chip {kind if not i else ''}'>{html.escape(c)}</span>" for i, c in enumerate(chips)
    )
    hardware = "<br>".join(map(html.escape, _hardware_lines(table, marks)))
    figures = _figures(table, curves, signal, background, number)
    runs = "".join(
        f"<li><b>{html.escape(row['model'])}</b> configuration {html.escape(str(row['configuration']))}, seeds "
        f"{', '.join(map(str, row['seed_list']))}: {', '.join(map(html.escape, row['run_ids']))}</li>"
        for row in table
    )
    return (
        f"<section><h2>{html.escape(str(first['task']))}</h2><div class=chips>{chip_row}</div>"
        f"{pages.table([name for name, _ in columns], body, right)}<p class=note>{hardware}</p>"
        f"<div class=figures>{figures}</div>"
        f"<details><summary>MLflow runs behind this table</summary><ul>{runs}</ul></details></section>"
    )


def _share(row: Row, table: Sequence[Row]) -> float:
    """Length in percent of the bar behind an AUC: from 0.5, which is chance, to the best of the table."""
    best = max((other["auc"] for other in table if other["auc"] is not None), default=None)
    if row["auc"] is None or best is None or best <= 0.5:
        return 0.0
    return max(0.0, 100 * (row["auc"] - 0.5) / (best - 0.5))


def _figures(
    table: Sequence[Row], curves: Mapping[str, Mapping[str, Any]], signal: str, background: str, number: int
) -> str:
    from tracking import plots

    drawn = {}
    for row in table:
        run = next((run for run in row["run_ids"] if run in curves), None)
        if run is not None:
            label = row["model"] if row["model"] not in drawn else f"{row['model']} {row['configuration'][:6]}"
            drawn[label] = curves[run]["signal_efficiency"], curves[run]["background_efficiency"]
    drawn = dict(list(drawn.items())[: len(plots.COLOURS)])  # as many as can be told apart, the best ones
    parts = []
    with pages.style(number):
        if any(row["auc"] is not None for row in table):
            parts.append(
                pages.figure(
                    _draw_intervals(table),
                    INTERVALS,
                )
            )
        if drawn:
            for draw, caption in (
                (plots.draw_roc, "ROC curves of one seed each. Dotted: chance."),
                (plots.draw_rejection, "Background rejection of one seed each. Dotted: chance."),
            ):
                figure, axes = plots.figure(figsize=(6.0, 4.6))
                draw(axes, drawn, signal, background)
                parts.append(pages.figure(figure, caption))
    return "".join(parts)


def _draw_intervals(table: Sequence[Row]) -> Figure:
    """AUC ± error of each row, the first on top, with the band of the first."""
    from tracking import plots

    shown = _above_chance(table)
    figure, axes = plots.figure(figsize=(6.0, max(4.6, 1.4 + 0.34 * len(shown))))
    best = shown[0]
    if best["auc_error"]:
        band = TIED_WITHIN * best["auc_error"]
        axes.axvspan(best["auc"] - band, best["auc"] + band, color=plots.COLOURS[0], alpha=0.15, linewidth=0)
    for place, row in enumerate(shown):
        first = place == 0 or row["tied"]
        colour = plots.COLOURS[0] if first else plots.COLOURS[4]
        axes.errorbar(row["auc"], place, xerr=row["auc_error"] or 0, fmt="o", color=colour, capsize=3, markersize=6)
    axes.set_yticks(range(len(shown)), [row["model"].replace("$", r"\$") for row in shown])
    axes.tick_params(axis="y", which="both", length=0)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.margins(x=0.08)
    axes.grid(axis="x", alpha=0.25)
    axes.set_xlabel("AUC")
    return figure


def _above_chance(table: Sequence[Row]) -> list[Row]:
    """Rows whose AUC is above 0.5 by more than its error can explain; all with an AUC where there is no such."""
    measured = [row for row in table if row["auc"] is not None]
    return [row for row in measured if row["auc"] - 0.5 > 3 * (row["auc_error"] or 0) + 1e-9] or measured
