"""The leaderboard as a page of HTML that needs no other file: tables, intervals of the ranking metric, ROC curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from hepbench.tracking import pages
from hepbench.tracking.leaderboard.ranking import TIED_WITHIN, Row, groups
from hepbench.tracking.leaderboard.table import (
    LEGEND,
    NOT_MEASURED,
    PUBLISHED,
    REPORTED,
    Leaderboard,
    columns_of,
    facts_of,
    hardware_lines,
    published_cells,
    setting_of,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Curves = Mapping[str, Mapping[str, Any]]
"""Run id -> {"signal_efficiency", "background_efficiency"}, each (m,)."""


def render(
    board: Leaderboard,
    curves: Curves | None = None,
    *,
    command: str = "",
    signal: str = "signal",
    background: str = "background",
    about: Sequence[str] = (),
) -> str:
    """The page: the tables, the ranking metric with its errors, ROC curves, sources and how to repeat it.

    curves: of each row the first of its run_ids that has one is drawn; signal, background: the classes they are of.
    command: what makes these results. about: paragraphs below the title, such as data, licence and citation.
    """
    return pages.render(
        "leaderboard.html",
        title=board.title or "Leaderboard",
        about=about,
        ranked_by=board.ranked_by.name,
        tables=[_table(board, rows, curves or {}, signal, background) for rows in groups(board.rows)],
        published=published_cells(board),
        published_columns=PUBLISHED,
        reported=REPORTED,
        notes=board.notes,
        command=command,
        legend=(*LEGEND, NOT_MEASURED),
    )


def _table(board: Leaderboard, rows: Sequence[Row], curves: Curves, signal: str, background: str) -> dict[str, Any]:
    """What the template shows of one ranked table."""
    columns = columns_of(board, rows)
    return {
        "task": rows[0]["task"],
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
        "figures": _figures(board, rows, curves, signal, background),
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
        run = next((run for run in row["run_ids"] if run in curves), None)
        if run is not None:
            label = row["model"] if row["model"] not in drawn else f"{row['model']} {row['configuration'][:6]}"
            drawn[label] = curves[run]["signal_efficiency"], curves[run]["background_efficiency"]
    drawn = dict(list(drawn.items())[: len(plots.COLOURS)])  # as many as can be told apart, the best ones
    figures = []
    with pages.style():
        if shown := _above_chance(board, rows):
            caption = (
                f"{board.ranked_by.heading} with its error, one standard deviation. Band: two errors of the first."
            )
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
    axes.set_xlabel(board.ranked_by.heading)
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
