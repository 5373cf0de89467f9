"""The figures of learning curves: scores, 1 - AUC with its power laws, and differences."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from hepbench.tracking import plots
from hepbench.tracking.curve.record import Line
from hepbench.tracking.curve.table import Findings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def _marked(found: Findings) -> dict[str, tuple[str, str]]:
    """Model -> (colour, marker)."""
    looks = {line.model: plots.look(place) for place, line in enumerate(found.curves.measured)}
    return {model: (look.colour, look.marker) for model, look in looks.items()}


def draw_scores(found: Findings) -> Figure:
    """AUC versus the number of training events; a band where one model overtakes another within the events."""
    drawing, axes = plots.figure(figsize=(7.2, 5.0))
    for line in found.curves.measured:
        colour, marker = _marked(found)[line.model]
        scores = [point.score for point in line.measured]
        axes.errorbar(
            [point.events for point in line.measured],
            [score.mean for score in scores],
            [score.error for score in scores],
            color=colour,
            marker=marker,
            label=plots.literal(line.model),
            capsize=2,
        )
    for one in found.overtakings:
        if math.isfinite(one.at) and one.low > 0 and one.certain:
            axes.axvspan(one.low, one.high, color=_marked(found)[one.ahead][0], alpha=0.1, linewidth=0)
            axes.axvline(one.at, color=_marked(found)[one.ahead][0], linewidth=1, linestyle=":")
    _axis_of_events(axes, found)
    axes.set_ylabel("AUC")
    axes.legend(loc="lower right")
    return drawing


def draw_laws(found: Findings) -> Figure:
    """1 - AUC versus the number of training events, both logarithmic, with the power laws that fit."""
    drawing, axes = plots.figure(figsize=(7.2, 5.0))
    for line in found.curves.measured:
        colour, marker = _marked(found)[line.model]
        whole, part = found.laws[line.model]
        law = part or whole
        fitted = law is not None and law.fits and law.determined
        label = line.model + (f", c = {law.exponent:.2f}" if law is not None and fitted else ", no exponent")
        _points(axes, line, colour, marker, label)
        if law is not None and fitted:
            events = np.geomspace(law.start, found.curves.events[-1], 200)
            axes.plot(events, law.at(events), color=colour, linewidth=1.5)
    axes.set(yscale="log")
    _axis_of_events(axes, found)
    axes.set_ylabel("1 − AUC")
    _plain_ticks(axes)
    axes.legend(loc="lower left")
    return drawing


def _points(axes: Axes, line: Line, colour: str, marker: str, label: str) -> None:
    scores = [point.score for point in line.measured]
    axes.errorbar(
        [point.events for point in line.measured],
        [1 - score.mean for score in scores],
        [score.error for score in scores],
        color=colour,
        marker=marker,
        linestyle="none",
        label=plots.literal(label),
        capsize=2,
    )


def _plain_ticks(axes: Axes) -> None:
    """Numbers such as 0.25 on a logarithmic axis of less than a decade."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def draw_gaps(found: Findings) -> Figure:
    """Paired differences with their 95 % intervals, slightly beside each other."""
    drawing, axes = plots.figure(figsize=(7.2, 4.4))
    axes.axhline(0, color="0.6", linewidth=1)
    for place, ((one, other), some) in enumerate(found.gaps.items()):
        beside = 1.04 ** (place - (len(found.gaps) - 1) / 2)
        values = np.array([gap.value for gap in some])
        reach = [values - [gap.low for gap in some], np.array([gap.high for gap in some]) - values]
        axes.errorbar(
            [gap.events * beside for gap in some],
            values,
            reach,
            color=plots.look(place).colour,
            marker=plots.look(place).marker,
            label=plots.literal(f"{one} − {other}"),
            capsize=2,
        )
    _axis_of_events(axes, found)
    axes.set_ylabel("difference of AUC")
    axes.legend(loc="best")
    return drawing


def _axis_of_events(axes: Axes, found: Findings) -> None:
    from matplotlib.ticker import FixedLocator, NullLocator

    events = found.curves.events
    axes.set(xscale="log")
    axes.xaxis.set_major_locator(FixedLocator(events))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([f"{number:,}" for number in events], rotation=45, ha="right")
    axes.set_xlabel("training events")
