"""The page of a batch-size study, and its figures."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hepbench.tracking import pages
from hepbench.tracking.sweep import figures, table
from hepbench.tracking.sweep.record import DEVICES, MOST_OTHERS, Sweep, listed, verdicts

FIGURES = {
    "cost": (
        figures.draw_cost,
        "Time of a pass over the training set, and utilisation of the device, versus batch size.",
    ),
    "score-by-epoch": (
        figures.draw_by_epoch,
        "Validation AUC after each epoch. Dotted: target; dot: where a training run first reaches it.",
    ),
    "score-by-time": (figures.draw_by_time, "The same versus the training time."),
}
"""Name of a file -> what draws it, and its caption."""


def render(sweep: Sweep, *, title: str, about: Sequence[str], command: str) -> str:
    """The page as HTML. about: lines on what was trained on what. command: what makes it again."""
    with pages.style():
        drawings = [(pages.inline_svg(draw(sweep)), caption) for draw, caption in FIGURES.values()]
    return pages.render(
        "sweep.html",
        title=title,
        about=about,
        verdicts=verdicts(sweep),
        headings=table.headings(sweep),
        rows=table.rows(sweep),
        drawings=drawings,
        hollow="Hollow: reported, on another machine and other data." if sweep.reported else "",
        legend=table.legend(sweep),
        notes=notes(sweep),
        reported_headings=table.REPORTED_HEADINGS,
        reported=table.reported_rows(sweep),
        command=command,
    )


def notes(sweep: Sweep) -> list[str]:
    """What was left out or failed, and what a reader should know of the rest."""
    lines = []
    if sweep.left_out:
        lines.append(
            f"Left out: {listed(sweep.left_out)}, more than the {sweep.train_events:,} events of the training set."
        )
    lines += [
        f"Failed: batch size {point.batch_size:,} on the {DEVICES[point.device]}: {point.failure}"
        for point in sweep.points
        if point.failure
    ]
    others = [point.middle("hardware_other_cpu_mean_percent") for point in sweep.points]
    if (most := max(filter(math.isfinite, others), default=0.0)) > MOST_OTHERS:
        lines.append(
            f"Other processes used up to {most:.0f} % of the machine's CPU time: these times are too high; measure "
            "again on an otherwise idle machine with --force."
        )
    return lines
