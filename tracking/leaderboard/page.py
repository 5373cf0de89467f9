"""The leaderboard as a page of HTML that needs no other file: tables to sort and filter, plots of the rows chosen."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from hepbench.tracking import pages, statistics
from hepbench.tracking.leaderboard import charts, matrix, shifts
from hepbench.tracking.leaderboard.differences import mark_tied
from hepbench.tracking.leaderboard.plot_data import EFFICIENCIES, PlotData
from hepbench.tracking.leaderboard.ranking import Row, groups, ranked, value_or_limit
from hepbench.tracking.leaderboard.table import (
    LEGEND,
    NOT_MEASURED,
    NUMBERS,
    PUBLISHED,
    REPORTED,
    TARGET,
    Leaderboard,
    columns_of,
    everything,
    facts_of,
    hardware_lines,
    published_cells,
    setting_of,
)

FIRST_DRAWN = 5
"""Rows whose plots a page begins with."""

COSTS = (
    "latency_ms",
    "predict_us_per_event",
    "parameters",
    "train_seconds",
    *(one for one in NUMBERS if "energy" in one),
)
"""What a score is drawn as a function of, where it was measured."""

FIRST, LAST = ("rank", "model"), (TARGET, "hardware", "seeds")
"""Columns that stand before and behind what was measured."""

HISTORIES = {"loss": "loss", "auc": "AUC", "accuracy": "accuracy"}

BY_CLASS = ("auc", "precision", "recall", "rejection_50", "rejection_90", "efficiency_at_purity_90")
"""Metrics of each class that the table of the best model shows."""


@dataclass(frozen=True)
class Slice:
    """name: the task's own. headings: metric -> its heading."""

    name: str
    headings: Mapping[str, str]


Slices = Mapping[str, Slice]
"""What stands for each slice of the task in the names of metrics -> what it is."""


def render(
    board: Leaderboard,
    drawn: Mapping[str, PlotData] | None = None,
    *,
    signal: str = "signal",
    background: str = "background",
    classes: Mapping[str, str] | None = None,
    about: Sequence[str] = (),
    slices: Slices | None = None,
    library: str = "",
) -> str:
    """The page: the tables, the plots, published results, differences, sources, and how to reproduce each row.

    drawn: what is drawn of rows, by the first of their run_ids. signal, background: the classes that curves are of.
    classes: of a task with more than two, what stands for each in the names of metrics; then the page has metrics
    one-vs-rest. about: paragraphs below the title, such as data, licence and citation. slices: of the task; rows have
    `<metric>_<slice>_<value>`. library: the JavaScript of `pages.vega`; without it nothing is drawn.
    """
    drawn = drawn or {}
    tables = list(groups(board.rows))
    sliced = {name for names in slices_of(board.rows, slices or {}).values() for name in names}
    columns = _columns(board, tables, sliced, tuple(f"_{key}" for key in (classes or {}).values()))
    labels = _labels(tables)
    official = any(table[0]["data"] == "official" for table in tables)
    names = list(classes or {}) or [background, signal]
    plots = charts.specs(signal, background, names, _choices(board, drawn, slices or {})) if library else []
    data = {
        "metrics": {
            name: {"heading": metric.heading, "higher": metric.higher_is_better, "log": metric.scale == "log"}
            for name, metric in board.metrics.items()
        },
        "costs": NUMBERS,
        "efficiencies": EFFICIENCIES,
        "signal": signal,
        "classes": names,
        "ranks": _ranks(board, tables),
        "rows": {row["run_ids"][0]: _row_data(row, labels, drawn, slices or {}) for row in board.rows},
        "slices": {_beginning(names): axes for axes, names in slices_of(board.rows, slices or {}).items()},
        "plots": {plot["kind"]: plot["spec"] for plot in plots},
        "looks": charts.LOOKS,
        "first": FIRST_DRAWN,
        "bands": charts.MOST_BANDS,
    }
    return pages.render(
        "leaderboard.html",
        title=board.title or "Leaderboard",
        about=about,
        ranked_by=board.ranked_by,
        columns=columns,
        kinds=[(kind, some) for kind in KINDS if (some := [one for one in columns if one["kind"] == kind])],
        tables=[_table(board, rows, columns, classes or {}) for rows in tables],
        published=[] if official else published_cells(board),
        published_columns=PUBLISHED,
        reported=REPORTED,
        notes=board.notes,
        legend=(*LEGEND, NOT_MEASURED),
        pairs_legend=matrix.LEGEND,
        plots=plots,
        rankable=_rankable(board),
        filters=_filters(board.rows),
        summary=_summary(board, tables),
        data=pages.json_script(data),
        library=Markup(library),
        script=Markup((pages.TEMPLATES / "leaderboard.js").read_text(encoding="utf-8")),
    )


def _columns(
    board: Leaderboard, tables: Sequence[Sequence[Row]], sliced: Container[str], of_class: tuple[str, ...]
) -> list[dict[str, Any]]:
    """Every column that any row has something in; "shown" are those of the terminal. sliced: names of metrics of
    slices. of_class: endings of those of single classes."""
    usual = [column for table in tables for column in columns_of(board, table)]
    shown = {column.name for column in usual}
    ends = {column.name: column for column in usual if column.name in (*FIRST, *LAST)}
    measured = [column for column in everything(board) if any(_known(row, column.name) for row in board.rows)]
    first, last = ([ends[name] for name in names if name in ends] for names in (FIRST, LAST))
    in_order = sorted(measured, key=lambda column: column.name not in shown)
    return [
        {
            "place": place,
            "name": column.name,
            "heading": column.heading,
            "cell": column.cell,
            "numeric": column.numeric,
            "shown": column.name in shown,
            "kind": _kind(board, column.name, sliced, of_class),
        }
        for place, column in enumerate((*first, *in_order, *last))
    ]


KINDS = ("Metrics", "Cost and hardware", "One-vs-rest", "Slices")
"""Under which columns are chosen."""


def _kind(board: Leaderboard, name: str, sliced: Container[str], of_class: tuple[str, ...]) -> str:
    """One of KINDS; "" for a column that is always there."""
    if name in FIRST:
        return ""
    if name not in board.metrics:
        return KINDS[1]
    return KINDS[3] if name in sliced else KINDS[2] if of_class and name.endswith(of_class) else KINDS[0]


def _known(row: Row, name: str) -> bool:
    return row.get(name) is not None or row.get(f"{name}_low") is not None


def _labels(tables: Sequence[Sequence[Row]]) -> dict[str, str]:
    """A name for each row that no other has, by its first run."""
    budgets = {table[0]["budget"] for table in tables}
    named = {}
    for table in tables:
        for row in table:
            name = matrix.name_of(row)
            named[row["run_ids"][0]] = f"{name} ({row['budget']})" if len(budgets) > 1 else name
    twice = {name for name, count in Counter(named.values()).items() if count > 1}
    return {run: f"{name} {run[:6]}" if name in twice else name for run, name in named.items()}


def _row_data(row: Row, labels: Mapping[str, str], drawn: Mapping[str, PlotData], slices: Slices) -> dict[str, Any]:
    """What the script needs of a row."""
    run = row["run_ids"][0]
    names = [name for name in row if f"{name}_error" in row]
    found = drawn.get(run, PlotData())
    return {
        "name": labels[run],
        "values": {name: [row[f"{name}{part}"] for part in ("", "_low", "_high")] for name in names},
        "costs": {name: row[name] for name in NUMBERS if row.get(name) is not None},
        "rejection": {name: [*curve.values()] for name, curve in found.rejection.items()},
        "reliability": [*found.reliability.values()][:3],
        "history": found.history,
        "confusion": found.confusion,
        "slices": {
            f"{metric}_{name}": [
                [value, row[full], row.get(f"{full}_error")]
                for full, value in _values_of([row], f"{metric}_{name}_").items()
                if row[full] is not None
            ]
            for name, cut in slices.items()
            for metric in cut.headings
        },
        "shifts": _shifts_of(row),
    }


LARGEST = "largest of all"
"""Shift, among the choices of the figure: the one by which the AUC of a row changes most."""


def _shifts_of(row: Row) -> dict[str, list[float]]:
    """Shift -> the change of the AUC in per cent, without its sign, and its error."""
    found = {name: [abs(one["relative"]), one["relative_error"]] for name, one in row.get("shifts", {}).items()}
    largest = shifts.resilience(row)
    return {LARGEST: list(largest), **found} if largest else {}


def _choices(board: Leaderboard, drawn: Mapping[str, PlotData], slices: Slices) -> dict[str, list[tuple[str, str]]]:
    """The lists beside the plots that something can be chosen from: (value, label) pairs."""
    costs = [(name, NUMBERS[name]) for name in COSTS if any(row.get(name) is not None for row in board.rows)]
    scores = [(name, board.metrics[name].heading) for name in _measured(board, board.shown)]
    histories = [
        (name, heading)
        for name, heading in HISTORIES.items()
        if any({name, f"val_{name}"} & one.history.keys() for one in drawn.values())
    ]
    cut = []
    for (up, across), names in slices_of(board.rows, slices).items():
        cut.append((_beginning(names), f"{up} versus {across}{_flat(board.rows[0], names)}"))
    moved = shifts.names_of(board.rows)
    return {
        "x": [*costs, *scores] if costs else [],
        "y": [*scores, *costs],
        "history": histories,
        "slice": cut,
        "shift": [(name, name) for name in (LARGEST, *moved)] if moved else [],
    }


def slices_of(rows: Sequence[Row], slices: Slices) -> dict[tuple[str, str], dict[str, float]]:
    """Headings of what is drawn and of the slice -> name of the metric of each value -> that value, where there are two
    or more."""
    found = {}
    for key, cut in slices.items():
        for metric, heading in cut.headings.items():
            if len(names := _values_of(rows, f"{metric}_{key}_")) > 1:
                found[heading, cut.name] = names
    return found


def _beginning(names: Mapping[str, float]) -> str:
    """That the names of the metrics of a slice have in common, `<metric>_<slice>`."""
    return next(iter(names)).rpartition("_")[0]


def _flat(best: Row, names: Mapping[str, float]) -> str:
    """Whether the cut of the first row is flat, where the metric is an efficiency."""
    known = [name for name in names if best.get(name) is not None]
    if "efficiency" not in next(iter(names)) or len(known) < 2:
        return ""
    p = statistics.flat([best[one] for one in known], [best[f"{one}_error"] or 0 for one in known])
    return f" ({matrix.name_of(best)}: flat with p = {p:.2g})"


def _values_of(rows: Sequence[Row], beginning: str) -> dict[str, float]:
    """Names of metrics that begin so and end in a number -> the number, in its order."""
    found = {}
    for name in {name for row in rows for name in row if name.startswith(beginning)}:
        with contextlib.suppress(ValueError):
            found[name] = float(name.removeprefix(beginning))
    return dict(sorted(found.items(), key=lambda one: one[1]))


def _measured(board: Leaderboard, names: Sequence[str]) -> list[str]:
    return [name for name in names if any(value_or_limit(row, name) is not None for row in board.rows)]


def _rankable(board: Leaderboard) -> list[tuple[str, str]]:
    """(name, title) of each metric that the table can be ranked by, the usual ones first."""
    names = dict.fromkeys([*board.shown, *board.metrics])
    return [(name, board.metrics[name].heading) for name in _measured(board, list(names))]


def _ranks(board: Leaderboard, tables: Sequence[Sequence[Row]]) -> dict[str, dict[str, tuple[int, bool]]]:
    """Metric -> first run of a row -> its rank in its table by this metric, and whether it is not significantly
    different from the first: by the paired test where there is one, else by the errors."""
    found: dict[str, dict[str, tuple[int, bool]]] = {}
    paired = dict(zip((table[0]["run_ids"][0] for table in tables), board.differences, strict=bool(board.differences)))
    for name, _ in _rankable(board):
        found[name] = {}
        for table in tables:
            needed = [f"{name}{part}" for part in ("", "_error", "_low", "_high")]
            kept = ("model", "configuration", "run_ids")
            copies = [{**{one: row[one] for one in kept}, **{one: row.get(one) for one in needed}} for row in table]
            order = ranked([{**row, "tied": False} for row in copies], board.metrics[name])
            for differences in paired.get(table[0]["run_ids"][0], ()):
                if differences.metric == name:
                    mark_tied(order, differences)
            found[name] |= {row["run_ids"][0]: (row["rank"], row["tied"]) for row in order}
    return found


def _filters(rows: Sequence[Row]) -> list[tuple[str, str, list[str]]]:
    """(name, label, values) of what rows can be chosen by and differ in."""
    asked = {"model": "Family", "budget": "Budget", "device": "Device"}
    found = [(name, label, sorted({str(row[name] or "unknown") for row in rows})) for name, label in asked.items()]
    return [one for one in found if len(one[2]) > 1]


def _summary(board: Leaderboard, tables: Sequence[Sequence[Row]]) -> str:
    """What an index of pages reads from this one: JSON."""
    metric = board.ranked_by
    cell = next((column.cell for column in everything(board) if column.name == metric.name), None)
    return pages.as_json(
        {
            "title": board.title,
            "task": tables[0][0]["task"] if tables else "",
            "metric": metric.heading,
            "tables": [
                {
                    "data": table[0]["data"],
                    "budget": table[0]["budget"],
                    "rows": len(table),
                    "best": matrix.name_of(table[0]),
                    "value": cell(table[0]) if cell else "–",
                }
                for table in tables
            ],
        }
    )


def _table(
    board: Leaderboard, rows: Sequence[Row], columns: Sequence[Mapping[str, Any]], classes: Mapping[str, str]
) -> dict[str, Any]:
    """What the template shows of one ranked table."""
    of_table = next((found for table, found in matrix.tables(board) if table[0] is rows[0]), ())
    own = {one.name: one.cell for one in columns_of(board, rows) if one.name == "hardware"}  # letters are a table's
    return {
        "task": rows[0]["task"],
        "differences": [
            {
                "heading": board.metrics[one.metric].heading,
                "columns": matrix.headings(rows),
                "cells": matrix.cells(rows, one, board.metrics[one.metric]),
                "left_out": matrix.left_out(rows, one),
            }
            for one in of_table
        ],
        "facts": facts_of(rows),
        "official": rows[0]["data"] == "official",
        "rows": [
            {
                "id": row["run_ids"][0],
                "model": row["model"],
                "budget": row["budget"],
                "device": row["device"] or "unknown",
                "setting": setting_of(row),
                "title": row["title"],
                "url": row["url"],
                "cells": [own.get(column["name"], column["cell"])(row) for column in columns],
                "values": [_sorted_by(row, str(column["name"])) for column in columns],
                "share": _share(board, row, rows),
                "seeds": row["seed_list"],
                "runs": row["run_ids"],
                "command": row["command"],
                "commit": row["commit"],
            }
            for row in rows
        ],
        "reported": _reported(board, columns) if rows[0]["data"] == "official" else [],
        "hardware": hardware_lines(rows),
        "shifts": _shifted(rows),
        "classes": _of_classes(board, rows, classes) if classes else None,
    }


def _shifted(rows: Sequence[Row]) -> dict[str, Any] | None:
    heads, cells = shifts.table(rows)
    notes = [*shifts.titles(rows), *shifts.LEGEND]
    return {"heading": shifts.HEADING, "columns": heads, "cells": cells, "notes": notes} if heads else None


def _sorted_by(row: Row, name: str) -> Any:
    """A number, or a text; None is the last."""
    return matrix.name_of(row) if name == "model" else value_or_limit(row, name)


ADDRESS = re.compile(r"https?://[^\s,;)]+|arXiv:\s*(\d{4}\.\d{4,5})")


def _reported(board: Leaderboard, columns: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Published results as rows of a table, with what they give of its columns."""
    found = []
    for entry in board.references:
        metrics = entry["metrics"]
        unknown = [f"{name} {value:g}" for name, value in metrics.items() if name not in board.metrics]
        address = ADDRESS.search(entry["source"])
        found.append(
            {
                "model": entry["model"],
                "trained_on": ", ".join([entry["trained_on"], *unknown]),
                "source": entry["source"] + ("" if entry.get("verified", True) else " (not verified)"),
                "url": "" if not address else f"https://arxiv.org/abs/{address[1]}" if address[1] else address[0],
                "values": [metrics.get(column["name"]) for column in columns],
            }
        )
    return found


def _of_classes(board: Leaderboard, rows: Sequence[Row], classes: Mapping[str, str]) -> dict[str, Any]:
    """One-vs-rest: the AUC of every model, and more of the best."""
    best = rows[0]
    areas = [f"auc_{key}" for key in (*classes.values(), "micro", "macro")]
    columns = {column.name: column for column in everything(board)}
    shown = [name for name in BY_CLASS if any(f"{name}_{key}" in columns for key in classes.values())]
    return {
        "best": best["model"],
        "areas": [
            [row["model"], *(columns[name].cell(row) if name in columns else "–" for name in areas)] for row in rows
        ],
        "area_columns": ["model", *classes, "micro", "macro"],
        "columns": ["class", *(board.metrics[name].heading for name in shown)],
        "rows": [
            [kind, *(columns[full].cell(best) if (full := f"{name}_{key}") in columns else "–" for name in shown)]
            for kind, key in classes.items()
        ],
    }


def _share(board: Leaderboard, row: Row, rows: Sequence[Row]) -> float | None:
    """Length in percent of the bar behind a value of the ranking metric: from chance to the best of the table."""
    value, best = (value_or_limit(one, board.ranked_by.name) for one in (row, rows[0]))
    if board.chance is None or value is None or best is None:
        return None
    reach = best - board.chance
    if (reach > 0) != board.ranked_by.higher_is_better or not reach:
        return 0.0
    return max(0.0, 100 * (value - board.chance) / reach)
