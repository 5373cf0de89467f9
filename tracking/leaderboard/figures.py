"""The plots of a leaderboard as figures for papers, of the rows that are chosen: the same numbers as on the page."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hepbench.tracking import plots
from hepbench.tracking.leaderboard.plot_data import EFFICIENCIES, Numbers, PlotData
from hepbench.tracking.leaderboard.ranking import Row
from hepbench.tracking.leaderboard.table import NUMBERS
from hepbench.tracking.metric import Metric

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Chosen:
    """What is drawn. rows: name -> (row, its numbers). metric: the score. over: the cost on the other axis of "pareto",
    a key of NUMBERS. slices: heading of a slice -> the names of its metrics in a row with the slice's values. signal,
    background: the classes that curves are of."""

    rows: Mapping[str, tuple[Row, PlotData]]
    metric: Metric
    over: str
    slices: Mapping[str, Mapping[str, float]]
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


def _coloured(chosen: Chosen) -> list[tuple[str, str, Row, PlotData]]:
    """(colour, label, row, numbers) of each row."""
    return [
        (plots.COLOURS[place % len(plots.COLOURS)], plots.literal(name), row, drawn)
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
    for colour, label, _, drawn in _measured(chosen, lambda drawn: drawn.rejection.get(chosen.signal)):
        value, low, high = (_array(drawn.rejection[chosen.signal][name]) for name in ("value", "low", "high"))
        highest = max(highest, np.nanmax(value, initial=1))
        if inverted:
            value, low, high = 1 / value, 1 / high, 1 / low
        axes.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
        axes.plot(x, value, color=colour, label=label)
    axes.set(xlim=(0, 1))
    name = r"background efficiency $\epsilon_B$" if inverted else r"background rejection $1/\epsilon_B$"
    axes.set_xlabel(rf"signal efficiency $\epsilon_S$ ({plots.literal(chosen.signal)})")
    axes.set_ylabel(f"{name} ({plots.literal(chosen.background)})")
    axes.legend(loc="upper left" if inverted else "upper right")
    return highest


def _draw_intervals(axes: Axes, chosen: Chosen) -> None:
    name = chosen.metric.name
    shown = [one for one in _coloured(chosen) if one[2].get(name) is not None]
    if not shown:
        raise NotMeasured(f"none of these rows has {name}")
    shown.sort(key=lambda one: -one[2][name] if chosen.metric.higher_is_better else one[2][name])
    for place, (colour, _, row, _) in enumerate(shown):
        low, high = _interval(row, name)
        axes.plot([low, high], [place, place], color=colour)
        axes.plot(row[name], place, "o", color=colour)
    axes.set_yticks(range(len(shown)), [label for _, label, _, _ in shown])
    axes.tick_params(axis="y", which="both", length=0)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    if chosen.metric.scale == "log":
        axes.set_xscale("log")
    axes.set_xlabel(_heading(chosen.metric))


def _draw_pareto(axes: Axes, chosen: Chosen) -> None:
    name, over, sign = chosen.metric.name, chosen.over, 1 if chosen.metric.higher_is_better else -1
    shown = [one for one in _coloured(chosen) if None not in (one[2].get(name), one[2].get(over))]
    if not shown:
        raise NotMeasured(f"none of these rows has both {name} and {over}")
    for colour, label, row, _ in shown:
        low, high = _interval(row, name)
        axes.plot([row[over], row[over]], [low, high], color=colour)
        axes.plot(row[over], row[name], "o", color=colour, label=label)
    best, front = -math.inf, []
    for _, _, row, _ in sorted(shown, key=lambda one: (one[2][over], -sign * one[2][name])):
        if sign * row[name] > best:
            best = sign * row[name]
            front.append((row[over], row[name]))
    axes.plot(*zip(*front, strict=True), ":", color="0.5", zorder=0, label="Pareto front")
    axes.set(xscale="log")
    axes.set_xlabel(NUMBERS[over].replace("µ", r"$\mu$"))
    axes.set_ylabel(_heading(chosen.metric))
    axes.legend(loc="best", fontsize=9)


def _draw_learning(axes: Axes, chosen: Chosen) -> None:
    name = "auc" if chosen.metric.name == "auc" else chosen.metric.name.replace("log_loss", "loss")

    def history(drawn: PlotData) -> Numbers:
        return drawn.history.get(f"val_{name}", ())

    for colour, label, _, drawn in _measured(chosen, history, f"val_{name} by epoch"):
        epochs = _array(drawn.history["epoch"])
        marker = "o" if len(epochs) < 25 else None
        axes.plot(epochs, _array(history(drawn)), color=colour, label=label, marker=marker, markersize=3)
        if name in drawn.history:
            axes.plot(epochs, _array(drawn.history[name]), "--", color=colour, linewidth=1.2)
    axes.set_xlabel("epoch or round (dashed: training)")
    axes.set_ylabel(f"validation {'loss' if name == 'loss' else _heading(chosen.metric)}")
    axes.legend(loc="best")


def _draw_calibration(axes: Axes, chosen: Chosen) -> None:
    axes.plot([0, 1], [0, 1], ":", color="0.6", label="calibrated")
    for colour, label, _, drawn in _measured(chosen, lambda drawn: drawn.reliability.get("score")):
        score, share, error = (_array(drawn.reliability[name]) for name in ("score", "share", "error"))
        axes.errorbar(
            score, share, yerr=error, fmt="o-", color=colour, capsize=2, markersize=4, linewidth=1.2, label=label
        )
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.set_xlabel(f"probability of {plots.literal(chosen.signal)}")
    axes.set_ylabel("share of events for which it is true")
    axes.legend(loc="upper left")


def _draw_slices(axes: Axes, chosen: Chosen) -> None:
    """The first slice of the metric."""
    heading, names = next(iter(chosen.slices.items()), ("", {}))
    if not names:
        raise NotMeasured("the task declares no slices, or its results have none of this metric")
    for colour, label, row, _ in _coloured(chosen):
        values, errors = ([row.get(f"{name}{part}") for name in names] for part in ("", "_error"))
        options: dict[str, Any] = {"fmt": "o-", "color": colour, "capsize": 3, "label": label}
        axes.errorbar(list(names.values()), _array(values), yerr=_array(errors), **options)
    up, _, across = heading.partition(" against ")
    axes.set_xlabel(plots.literal(across))
    axes.set_ylabel(up)
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
) -> list[tuple[str, str, Row, PlotData]]:
    found = [one for one in _coloured(chosen) if of(one[3])]
    if not found:
        raise NotMeasured(f"none of these rows has {what}")
    return found


def _interval(row: Row, name: str) -> tuple[float, float]:
    low, high = (row[name] if row[f"{name}_{end}"] is None else row[f"{name}_{end}"] for end in ("low", "high"))
    return low, high


def _heading(metric: Metric) -> str:
    return metric.heading.replace("ε_B", r"$\epsilon_B$").replace("ε_S", r"$\epsilon_S$")


def _array(values: Sequence[float | None]) -> np.ndarray:
    return np.array([math.nan if value is None else value for value in values])
