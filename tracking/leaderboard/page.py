"""The leaderboard as an HTML page."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hepbench.tracking import pages
from hepbench.tracking.leaderboard.ranking import TIED_WITHIN, Row, groups
from hepbench.tracking.leaderboard.text import (
    LEGEND,
    NOT_MEASURED,
    PUBLISHED,
    REPORTED,
    cells_of,
    columns_of,
    hardware_lines,
    hardware_marks,
    reference_cells,
    setting_of,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INTERVALS = "AUC with its error, one standard deviation. Band: two errors of the first. Models at chance are left out."


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
        body = [[pages.linked(cell) for cell in reference_cells(entry)] for entry in references]
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
    first, marks = table[0], hardware_marks(table)
    columns = columns_of(table, marks)
    body = []
    for row in table:
        cells = [html.escape(cell) for cell in cells_of(row, columns, marks)]
        about = f"<small>{html.escape(row['title'])}</small>" if row["title"] else ""
        cells[1] = f"<b>{html.escape(row['model'])}</b> {html.escape(setting_of(row))}{about}"
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
    hardware = "<br>".join(map(html.escape, hardware_lines(table, marks)))
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
    from hepbench.tracking import plots

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
    from hepbench.tracking import plots

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
