"""What a comparison says, cell by cell and in sentences: the same in a terminal and on a page."""

from __future__ import annotations

import math

from hepbench.tracking.comparison.record import Comparison, Measured, Side
from hepbench.tracking.statistics import LEVEL, MOST_SEEDS, POWER, Combined, Difference

SHOWN_EVENTS = 10


def percent(share: float, decimals: int = 0) -> str:
    return f"{100 * share:.{decimals}f} %"


LEGEND = (
    "Every difference is taken on the same test events, event by event, so that what both sides share cancels; its "
    "error, half of the 68 % interval, includes the finite test sample and, with several seeds, their variance.",
    f"×: ratio. p: of no difference, for this metric alone; of many metrics, one in twenty is below "
    f"{percent(1 - LEVEL)} by chance. In slices p is corrected for all of them (Holm). =: not significantly different, "
    f"p > {percent(1 - LEVEL)}.",
    "–: not measured, or not measurable with these events.",
)

ODD = ["event", "true class"]


def headings(found: Comparison, narrow: bool = False) -> list[str]:
    """Of the columns of `cells`."""
    interval = [] if narrow else [f"{percent(LEVEL)} interval"]
    return ["metric", found.one.name, found.other.name, "difference", *interval, "p", "better"]


def cells(found: Comparison, by_class: bool, narrow: bool = False) -> list[list[str]]:
    """A line for each metric: those of all events, or those of single classes. narrow: without the errors of the two
    sides and without the interval."""
    return [
        [measured.metric.heading, *_cells(found, measured, narrow)]
        for name, measured in found.measured.items()
        if (name in found.by_class) == by_class
    ]


def _cells(found: Comparison, measured: Measured, narrow: bool) -> list[str]:
    sides = [value(measured, side) for side in (measured.one, measured.other)]
    return [
        *(side.partition(" ")[0] if narrow else side for side in sides),
        difference(measured),
        *([] if narrow else [interval(measured)]),
        p_value(measured.p),
        better(found, measured),
    ]


def better(found: Comparison, measured: Measured) -> str:
    if not math.isfinite(measured.p):
        return ""
    return {1: found.one.name, -1: found.other.name, 0: "="}[measured.better]


def value(measured: Measured, combined: Combined) -> str:
    """Of one side, with its error."""
    if not math.isfinite(combined.mean):
        return "–"
    decimals = measured.metric.decimals
    if decimals is None:
        decimals = _decimals(combined.error, 4)
    return f"{combined.mean:,.{decimals}f} ± {combined.error:,.{decimals}f}"


def difference(measured: Measured) -> str:
    """One minus other, or one over other, with its error."""
    found = measured.difference
    if not math.isfinite(found.value):
        return "–"
    if measured.metric.scale == "log":
        ratio = math.exp(found.value)
        decimals = _decimals(ratio * found.error, 4)
        return f"× {ratio:,.{decimals}f} ± {ratio * found.error:,.{decimals}f}"
    decimals = _decimals(found.error, 6)
    return f"{found.value:+,.{decimals}f} ± {found.error:,.{decimals}f}"


def interval(measured: Measured) -> str:
    low, high = measured.interval
    if not math.isfinite(low):
        return "–"
    if measured.metric.scale == "log":
        decimals = _decimals(math.exp(measured.difference.value) * measured.difference.error, 4)
        return f"{low:,.{decimals}f} to {high:,.{decimals}f}"
    decimals = _decimals(measured.difference.error, 6)
    return f"{low:+,.{decimals}f} to {high:+,.{decimals}f}"


def p_value(p: float) -> str:
    if not math.isfinite(p):
        return "–"
    return "< 1e-6" if p < 1e-6 else f"{p:.2g}"


def _p(p: float) -> str:
    """In a sentence."""
    text = p_value(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def _decimals(error: float, most: int) -> int:
    """Digits after the point that give an error two digits."""
    return min(max(1 - math.floor(math.log10(error)), 0), most) if error > 0 else 2


def verdicts(found: Comparison) -> list[str]:
    """The answer in sentences: on the metric that ranks, and on what it would take to know more."""
    ranking = found.ranking
    names, heading, told = (found.one.name, found.other.name), ranking.metric.heading, difference(ranking)
    if not math.isfinite(ranking.p):
        return [f"{heading} cannot be measured of both with these events."]
    if ranking.better:
        first = names[0] if ranking.better > 0 else names[1]
        lines = [f"{first} is better by {heading}: {' − '.join(names)} = {told}, {_p(ranking.p)}."]
    else:
        lines = [f"Not significantly different by {heading}: {' − '.join(names)} = {told}, {_p(ranking.p)}."]
    rest = [one for name, one in found.measured.items() if one is not ranking and name not in found.by_class]
    measured = [one for one in rest if math.isfinite(one.p)]
    apart = [one.metric.heading for one in measured if one.better]
    if measured:
        what = f"significantly different by {', '.join(apart)}" if apart else "none significantly different"
        lines.append(f"Of {len(measured)} other metrics, each alone: {what}.")
    return [*lines, *_seeds(found, ranking.difference)]


def _seeds(found: Comparison, difference: Difference) -> list[str]:
    single = [side.name for side in (found.one, found.other) if len(side.runs) == 1]
    if single:
        return [
            f"One training run of {' and of '.join(single)}: the result holds for these trained models only; the "
            "run-to-run variance is unknown."
        ]
    most = f"more than {MOST_SEEDS}" if difference.needed is None else str(difference.needed)
    return [f"Finding a difference of this size with a power of {percent(POWER)} takes {most} seeds of each."]


def overlap_headings(found: Comparison) -> list[str]:
    return ["events", "by both", f"{found.one.name} only", f"{found.other.name} only", "by neither"]


def overlap_cells(found: Comparison) -> list[list[str]]:
    several = max(len(found.one.runs), len(found.other.runs)) > 1
    return [
        [one.name, *(f"{number:,.{1 if several else 0}f}" for number in (one.both, one.one, one.other, one.neither))]
        for one in found.agreement.overlaps
    ]


def agreement_lines(found: Comparison) -> list[str]:
    """How often trainings put an event into different classes."""
    agreement = found.agreement
    lines = [f"One training run of each puts {percent(agreement.between, 2)} of the events into different classes."]
    for side, share in zip((found.one, found.other), agreement.within, strict=True):
        if math.isfinite(share):
            lines.append(f"Two training runs of {side.name} do so with {percent(share, 2)}.")
    return lines


def odd_headings(found: Comparison) -> list[str]:
    return [*ODD, f"score of {found.one.name}", f"score of {found.other.name}"]


def odd_cells(found: Comparison) -> list[list[str]]:
    return [[str(event.id), event.true, f"{event.one:.4f}", f"{event.other:.4f}"] for event in found.odd]


def slice_headings(found: Comparison, narrow: bool = False) -> list[str]:
    return ["slice", "events", *headings(found, narrow)]


def slice_cells(found: Comparison, narrow: bool = False) -> list[list[str]]:
    """A line for each slice and metric."""
    return [
        [f"{one.name} {one.value}", f"{one.events:,}", measured.metric.heading, *_cells(found, measured, narrow)]
        for one in found.slices
        for measured in one.measured.values()
    ]


def cost_headings(found: Comparison) -> list[str]:
    return ["", found.one.name, found.other.name, "ratio"]


def about(side: Side) -> str:
    """A line on one side."""
    several = "s" * (len(side.runs) > 1)
    seeds = f" (seed{several} {', '.join(map(str, side.seeds))})" if side.seeds else ""
    return f"{side.name}: {len(side.runs)} training run{several}{seeds}{side.about}"
