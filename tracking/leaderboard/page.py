"""The leaderboard as a page of HTML that needs no other file: tables, intervals of the ranking metric, ROC curves."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from hepbench.tracking import pages, statistics
from hepbench.tracking.leaderboard import matrix
from hepbench.tracking.leaderboard.ranking import TIED_WITHIN, Row, groups
from hepbench.tracking.leaderboard.table import (
    LEGEND,
    NOT_MEASURED,
    PUBLISHED,
    REPORTED,
    Leaderboard,
    columns_of,
    everything,
    facts_of,
    hardware_lines,
    published_cells,
    setting_of,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Curves = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Run id -> name of a curve -> {"signal_efficiency", "background_efficiency"}, each (m,)."""

MOST_CURVES = 10
"""Rows, the best of a table, whose ROC curves can be told apart."""

MOST_DRAWN = 40
"""Rows whose intervals can be told apart in a drawing."""

BY_CLASS = ("auc", "precision", "recall", "rejection_50", "rejection_90", "efficiency_at_purity_90")
"""Metrics of each class that the table of the best model shows."""


def render(
    board: Leaderboard,
    curves: Curves | None = None,
    confusions: Mapping[str, np.ndarray] | None = None,
    *,
    command: str = "",
    signal: str = "signal",
    background: str = "background",
    classes: Mapping[str, str] | None = None,
    about: Sequence[str] = (),
    slices: Mapping[str, Mapping[str, str]] | None = None,
) -> str:
    """The page: the tables, the ranking metric with its errors, ROC curves, sources and how to repeat it.

    curves: of each row the first of its run_ids that has some is drawn, the one named as the signal is; signal,
    background: the classes that it is of. classes: of a task with more than two, what stands for each in the names of
    metrics; then the page has each class against the rest. confusions: of the best rows, by run id, (classes, classes)
    events of each true class that score highest in each. command: what makes these results. about: paragraphs below
    the title, such as data, licence and citation. slices: what stands for each
    slice of the task in the names of metrics -> metric -> heading; rows have `<metric>_<slice>_<value>`.
    """
    return pages.render(
        "leaderboard.html",
        title=board.title or "Leaderboard",
        about=about,
        ranked_by=board.ranked_by.name,
        tables=[
            {
                **_table(board, rows),
                "figures": [
                    *_figures(board, rows, curves or {}, signal, background),
                    *_of_slices(rows, slices or {}),
                ],
                "classes": _of_classes(board, rows, curves or {}, confusions or {}, classes) if classes else None,
            }
            for rows in groups(board.rows)
        ],
        published=published_cells(board),
        published_columns=PUBLISHED,
        reported=REPORTED,
        notes=board.notes,
        command=command,
        legend=(*LEGEND, NOT_MEASURED),
        pairs_legend=matrix.LEGEND,
    )


def _table(board: Leaderboard, rows: Sequence[Row]) -> dict[str, Any]:
    """What the template shows of one ranked table."""
    columns = columns_of(board, rows)
    of_table = next((found for table, found in matrix.tables(board) if table[0] is rows[0]), ())
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
        "columns": columns,
        "rows": [
            {
                "model": row["model"],
                "setting": setting_of(row),
                "title": row["title"],
                "cells": {column.name: column.cell(row) for column in columns},
                "share": _share(board, row, rows),
                "configuration": row["configuration"],
                "seeds": row["seed_list"],
                "runs": row["run_ids"],
            }
            for row in rows
        ],
        "hardware": hardware_lines(rows),
        "everything": [[column.heading, *(column.cell(row) for row in rows)] for column in everything(board)],
        "names": [f"{row['model']} {setting_of(row)}".strip() for row in rows],
    }


def _of_classes(
    board: Leaderboard,
    rows: Sequence[Row],
    curves: Curves,
    confusions: Mapping[str, np.ndarray],
    classes: Mapping[str, str],
) -> dict[str, Any]:
    """Each class against the rest: the AUC of every model, and more of the best, in tables and drawings."""
    from hepbench.tracking import plots

    best = rows[0]
    areas = [f"auc_{key}" for key in (*classes.values(), "micro", "macro")]
    columns = {column.name: column for column in everything(board)}
    shown = [name for name in BY_CLASS if any(f"{name}_{key}" in columns for key in classes.values())]
    figures = []
    run = best["run_ids"][0]
    with pages.style():
        if len(curves.get(run, {})) > 1:
            for corner, caption in (
                (None, f"{best['model']}, one seed: each class against the rest, and their means, with the AUC."),
                (plots.ZOOM, "The corner of it."),
            ):
                figure, axes = plots.figure(figsize=(5.6, 5.0))
                labels = {
                    name: f"{name} {columns[key].cell(best)}"
                    if (key := f"auc_{classes.get(name, name)}") in columns
                    else name
                    for name in curves[run]
                }
                drawn = {labels[name]: plots.efficiencies(one) for name, one in curves[run].items()}
                plots.draw_rates(axes, drawn, corner)
                figures.append((pages.inline_svg(figure), caption))
        if run in confusions:
            figure, axes = plots.figure(figsize=(5.6, 5.0))
            plots.draw_confusion(axes, confusions[run], list(classes))
            figures.append((pages.inline_svg(figure), f"{best['model']}, one seed: events by class."))
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
        "figures": figures,
    }


def _share(board: Leaderboard, row: Row, rows: Sequence[Row]) -> float | None:
    """Length in percent of the bar behind a value of the ranking metric: from chance to the best of the table."""
    value: float | None = row[board.ranked_by.name]
    best: float = rows[0][board.ranked_by.name]
    if board.chance is None or value is None:
        return None
    reach = best - board.chance
    if (reach > 0) != board.ranked_by.higher_is_better or not reach:
        return 0.0
    return max(0.0, 100 * (value - board.chance) / reach)


def _figures(
    board: Leaderboard, rows: Sequence[Row], curves: Curves, signal: str, background: str
) -> list[tuple[Markup, str]]:
    """(drawing, caption) of what there is to draw."""
    from hepbench.tracking import plots

    drawn = {}
    for row in rows:
        run = next((run for run in row["run_ids"] if signal in curves.get(run, {})), None)
        if run is not None:
            label = row["model"] if row["model"] not in drawn else f"{row['model']} {row['configuration'][:6]}"
            drawn[label] = plots.efficiencies(curves[run][signal])
    drawn = dict(list(drawn.items())[:MOST_CURVES])
    figures = []
    with pages.style():
        if shown := _above_chance(board, rows):
            caption = (
                f"{board.ranked_by.heading} with its error, one standard deviation. Band: two errors of the first."
            )
            if len(shown) > MOST_DRAWN:
                caption += f" The first {MOST_DRAWN} of {len(shown)}."
                shown = shown[:MOST_DRAWN]
            if board.chance is not None:
                caption += " Models at chance are left out."
            figures.append((pages.inline_svg(_draw_intervals(board, shown)), caption))
        if drawn:
            for draw, caption in (
                (plots.draw_roc, "ROC curves of one seed each. Dotted: chance."),
                (plots.draw_rejection, "Background rejection of one seed each. Dotted: chance."),
            ):
                figure, axes = plots.figure(figsize=(6.0, 4.6))
                draw(axes, drawn, signal, background)
                figures.append((pages.inline_svg(figure), caption))
    return figures


MOST_SLICED = 6
"""Rows that are told apart where they are drawn over the values of a slice."""


def _of_slices(rows: Sequence[Row], slices: Mapping[str, Mapping[str, str]]) -> list[tuple[Markup, str]]:
    """What the first rows give for each value of a slice, with errors, and whether the cut of the first is flat."""
    from hepbench.tracking import plots

    figures = []
    with pages.style():
        for name, headings in slices.items():
            for metric, heading in headings.items():
                names = _values_of(rows, f"{metric}_{name}_")
                drawn = [row for row in rows if any(row.get(one) is not None for one in names)][:MOST_SLICED]
                if len(names) < 2 or not drawn:
                    continue
                figure, axes = plots.figure(figsize=(6.0, 4.6))
                for place, row in enumerate(drawn):
                    axes.errorbar(
                        list(names.values()),
                        [_or_nan(row.get(one)) for one in names],  # a gap where it is not measurable
                        yerr=[_or_nan(row.get(f"{one}_error")) for one in names],
                        fmt="o-",
                        color=plots.COLOURS[place % len(plots.COLOURS)],
                        capsize=3,
                        label=plots.literal(row["model"]),
                    )
                axes.set_xlabel(plots.literal(name))
                axes.set_ylabel(heading)
                axes.legend()
                caption = f"{heading} for each value of {name}, with one standard deviation."
                if "efficiency" in metric:
                    best, known = drawn[0], [one for one in names if drawn[0].get(one) is not None]
                    p = statistics.flat([best[one] for one in known], [best[f"{one}_error"] or 0 for one in known])
                    caption += f" {best['model']}: flat with p = {p:.2g}."
                figures.append((pages.inline_svg(figure), caption))
    return figures


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _values_of(rows: Sequence[Row], beginning: str) -> dict[str, float]:
    """Names of metrics that begin so and end in a number -> the number, in its order."""
    found = {}
    for name in {name for row in rows for name in row if name.startswith(beginning)}:
        with contextlib.suppress(ValueError):
            found[name] = float(name.removeprefix(beginning))
    return dict(sorted(found.items(), key=lambda one: one[1]))


def _draw_intervals(board: Leaderboard, shown: Sequence[Row]) -> Figure:
    """The ranking metric of each row with its error, the first on top, with the band of the first."""
    from hepbench.tracking import plots

    name = board.ranked_by.name
    figure, axes = plots.figure(figsize=(6.0, max(4.6, 1.4 + 0.34 * len(shown))))
    best = shown[0]
    if best[f"{name}_error"]:
        band = TIED_WITHIN * best[f"{name}_error"]
        axes.axvspan(best[name] - band, best[name] + band, color=plots.COLOURS[0], alpha=0.15, linewidth=0)
    for place, row in enumerate(shown):
        colour = plots.COLOURS[0] if place == 0 or row["tied"] else plots.COLOURS[4]
        error = row[f"{name}_error"] or 0
        axes.errorbar(row[name], place, xerr=error, fmt="o", color=colour, capsize=3, markersize=6)
    axes.set_yticks(range(len(shown)), [plots.literal(row["model"]) for row in shown])
    axes.tick_params(axis="y", which="both", length=0)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.margins(x=0.08)
    axes.grid(axis="x", alpha=0.25)
    axes.set_xlabel(plots.literal(board.ranked_by.heading))
    return figure


def _above_chance(board: Leaderboard, rows: Sequence[Row]) -> list[Row]:
    """Rows that are better than chance by more than their error can explain; all that were measured where there is no
    such."""
    name = board.ranked_by.name
    measured = [row for row in rows if row[name] is not None]
    if board.chance is None:
        return measured
    sign = 1 if board.ranked_by.higher_is_better else -1
    better = [row for row in measured if sign * (row[name] - board.chance) > 3 * (row[f"{name}_error"] or 0) + 1e-9]
    return better or measured
