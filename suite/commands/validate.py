"""`hepbench validate`: a task's data against its calibration figures, line by line, and as a page with plots."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np
from rich.console import Console
from rich.table import Table

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import Check, Comparison, UserError
from hepbench.suite.commands.opening import open_data
from hepbench.suite.data.files import choose
from hepbench.suite.paths import reports_folder
from hepbench.tracking import pages

AGREE = 3.0  # standard deviations
AGREE_P = 0.0027  # the same for a distribution, as a probability


def validate(task_given: str, wanted: str, events: int, console: Console) -> None:
    """Print each figure of a task beside that of its data with the difference in standard deviations, and each
    distribution with its chi-square; write the page."""
    entry = registry.find("task", task_given)
    if not entry.record.validate:
        raise UserError(f"task {entry.name} has no calibration figures to compare with")
    kind = choose(entry, wanted)
    files, prepared = open_data(entry, kind, events, console)
    found = entry.record.validate(prepared.arrays, prepared.labels)
    checks = [one for one in found if isinstance(one, Check)]
    comparisons = [one for one in found if isinstance(one, Comparison)]

    rows = [_cells(one) for one in found]
    table = Table("figure", title=f"{entry.name}: {len(prepared):,} {files.kind} events")
    for heading in HEADINGS[1:]:
        table.add_column(heading, justify="right")
    for one, cells in zip(found, rows, strict=True):
        table.add_row(*cells, style="" if agrees(one) else "bold red")
    console.print(table)
    verdict = (
        f"{sum(map(agrees, found))} of {len(found)} agree: figures within {AGREE:g} σ, distributions at p > {AGREE_P}"
    )
    console.print(verdict)
    sources = [f"expected: {source}" for source in dict.fromkeys(one.source for one in found)]
    for line in sources:
        console.print(line)

    sections = [f"<section><h2>Figures</h2>{pages.table(HEADINGS, _escaped(rows), {1, 2, 3, 4, 5})}</section>"]
    sections += _drawn(checks, comparisons)
    path = pages.write(
        reports_folder() / f"{entry.name}-validation.html",
        f"{entry.name}: data against calibration",
        [entry.record.title, f"{len(prepared):,} {files.kind} events, digest {files.digest[:12]}", verdict, *sources],
        sections,
    )
    console.print(f"page: {path}", soft_wrap=True)


HEADINGS = ("figure", "here", "expected", "± error", "difference", "")


def agrees(one: Check | Comparison) -> bool:
    return abs(one.pull) < AGREE if isinstance(one, Check) else one.p_value > AGREE_P


def _cells(one: Check | Comparison) -> list[str]:
    verdict = "agrees" if agrees(one) else "differs"
    if isinstance(one, Check):
        numbers = [f"{x:.4g}" for x in (one.observed, one.expected, one.error)]
        return [one.figure, *numbers, f"{one.pull:+.1f} σ", verdict]
    return [one.figure, "", "", "", f"χ² {one.chi2:.1f} / {one.degrees}, p {one.p_value:.2g}", verdict]


def _escaped(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    return [[html.escape(cell) for cell in row] for row in rows]


def _drawn(checks: Sequence[Check], comparisons: Sequence[Comparison]) -> list[str]:
    from hepbench.tracking import plots

    sections = []
    with pages.style():
        if checks:
            drawing, axes = plots.figure(figsize=(7.5, 1.2 + 0.24 * len(checks)))
            plots.draw_pulls(
                axes, [check.figure for check in checks], np.array([check.pull for check in checks]), AGREE
            )
            caption = f"Difference from the expected figure in standard deviations. Band: {AGREE:g}."
            sections.append(f"<section><h2>Differences</h2>{pages.figure(drawing, caption)}</section>")
        figures = []
        for one in comparisons:
            drawing, axes = plots.figure(figsize=(5.2, 3.8))
            plots.draw_comparison(axes, one.edges, one.observed, one.expected, one.error, one.figure)
            figures.append(pages.figure(drawing, f"χ² {one.chi2:.1f} for {one.degrees}, p {one.p_value:.2g}."))
    if figures:
        sections.append(f"<section><h2>Distributions</h2><div class=figures>{''.join(figures)}</div></section>")
    return sections
