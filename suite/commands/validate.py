"""`hepbench validate`: a task's data compared with its calibration figures, printed and as an HTML page with plots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.table import Table
from rich.text import Text

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import Check, Comparison, UserError
from hepbench.suite.atomic import write_atomically
from hepbench.suite.commands.console import Console
from hepbench.suite.commands.opening import open_data
from hepbench.suite.data.files import choose
from hepbench.suite.paths import reports_folder
from hepbench.tracking import pages

AGREE = 3.0  # standard deviations
AGREE_P = 0.0027  # the same for a distribution, as a probability


def validate(task_given: str, wanted: str, events: int, console: Console) -> None:
    """Print each calibration figure of a task next to that of its data, with the difference in standard deviations, and
    each distribution with its chi-square; write the page. UserError for a task without such figures."""
    entry = registry.find("task", task_given)
    if not entry.record.validate:
        those = ", ".join(name for name in registry.names("task") if registry.find("task", name).record.validate)
        raise UserError(f"task {entry.name} has no calibration figures to compare with; tasks with some: {those}")
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
        table.add_row(*map(Text, cells), style="" if agrees(one) else "bold red")
    console.print(table)
    verdict = (
        f"{sum(map(agrees, found))} of {len(found)} agree: figures within {AGREE:g} σ, distributions at p > {AGREE_P}"
    )
    console.print(verdict)
    sources = [f"expected: {source}" for source in dict.fromkeys(one.source for one in found)]
    for line in sources:
        console.print(line)

    path = reports_folder() / f"{entry.name}-validation.html"
    page = pages.render(
        "validation.html",
        title=f"{entry.name}: data against calibration",
        about=[
            entry.record.title,
            f"{len(prepared):,} {files.kind} events, digest {files.digest[:12]}",
            verdict,
            *sources,
        ],
        columns=HEADINGS,
        rows=rows,
        agree=f"{AGREE:g}",
        **_drawings(checks, comparisons),
    )
    write_atomically(path, page)
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


def _drawings(checks: Sequence[Check], comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """differences: drawing of the checks, in standard deviations; None without checks. distributions: (drawing,
    caption) of each comparison."""
    from hepbench.tracking import plots

    differences = None
    distributions = []
    with pages.style():
        if checks:
            figure, axes = plots.figure(figsize=(7.5, 1.2 + 0.24 * len(checks)))
            names, pulls = [check.figure for check in checks], np.array([check.pull for check in checks])
            plots.draw_pulls(axes, names, pulls, AGREE)
            differences = pages.inline_svg(figure)
        for one in comparisons:
            figure, axes = plots.figure(figsize=(5.2, 3.8))
            plots.draw_comparison(axes, one.edges, one.observed, one.expected, one.error, one.figure)
            caption = f"χ² {one.chi2:.1f} for {one.degrees}, p {one.p_value:.2g}."
            distributions.append((pages.inline_svg(figure), caption))
    return {"differences": differences, "distributions": distributions}
