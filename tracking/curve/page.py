"""The page of learning curves, and their figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from hepbench.tracking import pages
from hepbench.tracking.curve import figures, table
from hepbench.tracking.curve.table import Findings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURES: Mapping[str, tuple[Callable[[Findings], Figure], str]] = {
    "scores": (
        figures.draw_scores,
        "AUC on the test set versus the number of training events, 68 % intervals. Dotted, with a 95 % band: "
        "crossovers.",
    ),
    "power-laws": (figures.draw_laws, "1 − AUC, and the power laws that fit it."),
    "differences": (figures.draw_gaps, "Paired differences with 95 % intervals, uncorrected for their number."),
}
"""Name of a file -> what draws it, and its caption."""


def drawn(found: Findings) -> dict[str, tuple[Callable[[Findings], Figure], str]]:
    """Those of FIGURES that there is something to show of."""
    return {name: one for name, one in FIGURES.items() if name != "differences" or found.gaps}


def render(found: Findings, *, title: str, about: Sequence[str], facts: Sequence[str], command: str) -> str:
    """The page as HTML. about: lines on what was trained. facts: the first is "official" or "simulated". command: what
    makes it again."""
    with pages.style():
        drawings = [(pages.inline_svg(draw(found)), caption) for draw, caption in drawn(found).values()]
    return pages.render(
        "curve.html",
        title=title,
        about=about,
        facts=facts,
        verdicts=table.verdicts(found),
        notes=table.notes(found),
        tables=table.tables(found),
        drawings=drawings,
        command=command,
        legend=table.LEGEND,
    )
