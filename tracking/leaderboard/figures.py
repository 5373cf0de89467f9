"""The plots of a leaderboard as figures for papers, of the rows that are chosen: the same numbers as on the page."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hepbench.tracking import plots
from hepbench.tracking.leaderboard.plot_data import EFFICIENCIES, Numbers, PlotData
from hepbench.tracking.leaderboard.ranking import Row, limit_of, value_or_limit
from hepbench.tracking.leaderboard.table import NUMBERS
from hepbench.tracking.metric import Metric

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Chosen:
    """What is drawn. rows: name -> (row, its numbers). metric: the score. x_axis: the cost on the x axis of "pareto",
    a key of NUMBERS. slices: headings of the metric and of a slice -> the names of its metrics in a row with the
    slice's values. signal, background: the classes that curves are of."""

    rows: Mapping[str, tuple[Row, PlotData]]
    metric: Metric
    x_axis: str
    slices: Mapping[tuple[str, str], Mapping[str, float]]
    signal: str
    background: str


class NotMeasured(ValueError):
    """Why there is nothing to draw: one line."""


def draw(kind: str, chosen: Chosen) -> Figure:
    """One of KINDS, within `plots.style`. NotMeasured where no row has anything to be drawn."""
    if not chosen.rows:
        raise NotMeasured("no row is chosen")
    drawing, axes = plots.figure()
    KINDS[kind](axes, chosen)
    return drawing


def left_out(kind: str, chosen: Chosen) -> list[str]:
    """Names of rows that a figure leaves out though they are measured: costs of 0, where the axis is logarithmic."""
    return [name for name, (row, _) in chosen.rows.items() if kind == "pareto" and row.get(chosen.x_axis) == 0]


def _looks(chosen: Chosen) -> list[tuple[plots.Look, str, Row, PlotData]]:
    """(look, label, row, numbers) of each row."""
    return [
        (plots.look(place), plots.literal(name), row, drawn)
        for place, (name, (row, drawn)) in enumerate(chosen.rows.items())
    ]


def _draw_roc(axes: Axes, chosen: Chosen) -> None:
    _draw_curves(axes, chosen, inverted=True)
    axes.set(ylim=(0, 1))


def _draw_rejection(axes: Axes, chosen: Chosen) -> None:
    highest = _draw_curves(axes, chosen, inverted=False)
    axes.set(yscale="log", ylim=(1, 4 * highest))


def _draw_curves(axes: Axes, chosen: Chosen, inverted: bool) -> float:
    """Lines with bands; returns the highest rejection."""
    x = np.array(EFFICIENCIES)
    axes.plot(x, x if inverted else 1 / x, color="0.6", linewidth=1, linestyle=":")
    highest = 1.0
    for look, label, _, drawn in _measured(chosen, lambda drawn: drawn.rejection.get(chosen.signal)):
        value, low, high = (_array(drawn.rejection[chosen.signal][name]) for name in ("value", "low", "high"))
        highest = max(highest, np.nanmax(value, initial=1))
        if inverted:
            value, low, high = 1 / value, 1 / high, 1 / low
        axes.fill_between(x, low, high, color=look.colour, alpha=0.2, linewidth=0)
        axes.plot(x, value, color=look.colour, linestyle=look.line, label=label)
    axes.set(xlim=(0, 1))
    name = r"background efficiency $\epsilon_B$" if inverted else r"background rejection $1/\epsilon_B$"
    axes.set_xlabel(rf"signal efficiency $\epsilon_S$ ({plots.literal(chosen.signal)})")
    axes.set_ylabel(f"{name} ({plots.literal(chosen.background)})")
    axes.legend(loc="upper left" if inverted else "upper right")
    return highest


def _draw_intervals(axes: Axes, chosen: Chosen) -> None:
    name, sign = chosen.metric.name, -1 if chosen.metric.higher_is_better else 1
    shown = [(value, *one) for one in _looks(chosen) if (value := value_or_limit(one[2], name)) is not None]
    if not shown:
        raise NotMeasured(f"none of these rows has {name}")
    shown.sort(key=lambda one: sign * one[0])
    for place, (value, look, _, row, _) in enumerate(shown):
        axes.plot(_interval(row, name), [place, place], color=look.colour)
        axes.plot(value, place, "o", color=look.colour, markerfacecolor=_inside(row, name, look))
    axes.set_yticks(range(len(shown)), [label for _, _, label, _, _ in shown])
    axes.tick_params(axis="y", which="both", length=0)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    if chosen.metric.scale == "log":
        axes.set_xscale("log")
    axes.set_xlabel(_heading(chosen.metric) + _of_limits(chosen, name))


def _draw_pareto(axes: Axes, chosen: Chosen) -> None:
    name, x_axis, sign = chosen.metric.name, chosen.x_axis, 1 if chosen.metric.higher_is_better else -1
    shown = [
        (cost, value, *one)
        for one in _looks(chosen)
        if (cost := one[2].get(x_axis)) and (value := value_or_limit(one[2], name)) is not None
    ]
    if not shown:
        raise NotMeasured(f"none of these rows has both {name} and {x_axis} above 0")
    for cost, value, look, label, row, _ in shown:
        axes.plot([cost, cost], _interval(row, name), color=look.colour)
        inside = _inside(row, name, look)
        axes.plot(cost, value, look.marker, color=look.colour, markerfacecolor=inside, label=label)
    best, front = -math.inf, []
    for cost, value, *_ in sorted(shown, key=lambda one: (one[0], -sign * one[1])):
        if sign * value > best:
            best = sign * value
            front.append((cost, value))
    axes.plot(*zip(*front, strict=True), ":", color="0.5", zorder=0, label="Pareto front")
    axes.set(xscale="log")
    axes.set_xlabel(NUMBERS[x_axis].replace("µ", r"$\mu$"))
    axes.set_ylabel(_heading(chosen.metric) + _of_limits(chosen, name))
    axes.legend(loc="best", fontsize=9)


def _draw_learning(axes: Axes, chosen: Chosen) -> None:
    from matplotlib.ticker import MaxNLocator, NullLocator

    name = "auc" if chosen.metric.name == "auc" else chosen.metric.name.replace("log_loss", "loss")

    def history(drawn: PlotData) -> Numbers:
        return drawn.history.get(f"val_{name}", ())

    found = _measured(chosen, history, f"val_{name} by epoch")
    for look, label, _, drawn in found:
        epochs = _array(drawn.history["epoch"])
        few = max(1, len(epochs) // 12)
        options: dict[str, Any] = {"color": look.colour, "marker": look.marker, "markersize": 4, "markevery": few}
        axes.plot(epochs, _array(history(drawn)), label=label, **options)
        if name in drawn.history:
            axes.plot(epochs, _array(drawn.history[name]), "--", linewidth=1.2, **options)
    dashed = " (dashed: training)" if any(name in drawn.history for *_, drawn in found) else ""
    axes.set_xlabel(f"epoch or round{dashed}")
    axes.xaxis.set_major_locator(MaxNLocator(nbins="auto", integer=True, min_n_ticks=1))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_ylabel(f"validation {'loss' if name == 'loss' else _heading(chosen.metric)}")
    axes.legend(loc="best")


def _draw_calibration(axes: Axes, chosen: Chosen) -> None:
    axes.plot([0, 1], [0, 1], ":", color="0.6", label="calibrated")
    for look, label, _, drawn in _measured(chosen, lambda drawn: drawn.reliability.get("score")):
        score, share, error = (_array(drawn.reliability[name]) for name in ("score", "share", "error"))
        options: dict[str, Any] = {"color": look.colour, "linestyle": look.line, "marker": look.marker}
        axes.errorbar(score, share, yerr=error, capsize=2, markersize=4, linewidth=1.2, label=label, **options)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.set_xlabel(f"predicted probability of {plots.literal(chosen.signal)}")
    axes.set_ylabel("fraction of positives")
    axes.legend(loc="upper left")


def _draw_slices(axes: Axes, chosen: Chosen) -> None:
    """The first slice of the metric."""
    (up, across), names = next(iter(chosen.slices.items()), (("", ""), {}))
    if not names:
        raise NotMeasured("the task declares no slices, or its results have none of this metric")
    for look, label, row, _ in _looks(chosen):
        values, errors = ([row.get(f"{name}{part}") for name in names] for part in ("", "_error"))
        options: dict[str, Any] = {"color": look.colour, "linestyle": look.line, "marker": look.marker}
        axes.errorbar(list(names.values()), _array(values), yerr=_array(errors), capsize=3, label=label, **options)
    axes.set_xlabel(plots.literal(across))
    axes.set_ylabel(_formula(up))
    axes.legend(loc="best")


KINDS: Mapping[str, Callable[[Axes, Chosen], None]] = {
    "roc": _draw_roc,
    "rejection": _draw_rejection,
    "auc": _draw_intervals,
    "pareto": _draw_pareto,
    "learning": _draw_learning,
    "calibration": _draw_calibration,
    "slices": _draw_slices,
}
"""What can be drawn; "auc" is the metric that is chosen, with its intervals."""


def _measured(
    chosen: Chosen, of: Callable[[PlotData], Any], what: str = "stored scores"
) -> list[tuple[plots.Look, str, Row, PlotData]]:
    found = [one for one in _looks(chosen) if of(one[3])]
    if not found:
        raise NotMeasured(f"none of these rows has {what}")
    return found


def _interval(row: Row, name: str) -> tuple[float, float]:
    """95 %; of a limit, or a value without an interval, both ends are that."""
    own: Any = value_or_limit(row, name)
    low, high = (own if row[f"{name}_{end}"] is None else row[f"{name}_{end}"] for end in ("low", "high"))
    return low, high


def _inside(row: Row, name: str, look: plots.Look) -> str:
    """Colour of a point: a limit is hollow."""
    return look.colour if limit_of(row, name) is None else "none"


def _of_limits(chosen: Chosen, name: str) -> str:
    limits = any(limit_of(row, name) is not None for row, _ in chosen.rows.values())
    return " (hollow: lower limit)" if limits else ""


def _heading(metric: Metric) -> str:
    return _formula(metric.heading)


def _formula(heading: str) -> str:
    return heading.replace("ε_B", r"$\epsilon_B$").replace("ε_S", r"$\epsilon_S$")


def _array(values: Sequence[float | None]) -> np.ndarray:
    return np.array([math.nan if value is None else value for value in values])
