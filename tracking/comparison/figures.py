"""The figures of a comparison: both curves with their ratio, scores versus each other, slices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hepbench.tracking import plots
from hepbench.tracking.comparison.record import Band, Comparison, Density, Measured
from hepbench.tracking.comparison.table import percent
from hepbench.tracking.statistics import LEVEL

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = plots.COLOURS[0], plots.COLOURS[2]
"""Of one and of the other."""

WIDEST = 3.0
"""High over low of an interval of the ratio that is informative, and of a linear axis of it."""


def draw_roc(found: Comparison) -> Figure:
    """Background versus signal efficiency of both with their intervals; below, their ratio with its own."""
    return _draw_curves(found, inverted=True)


def draw_rejection(found: Comparison) -> Figure:
    """The same of the background rejection 1/eps_B."""
    return _draw_curves(found, inverted=False)


def _draw_curves(found: Comparison, inverted: bool) -> Figure:
    drawing, (above, below) = plots.figure(2, 1, figsize=(6.0, 6.2), heights=(2.6, 1))
    curves, turn = found.curves, _inverse if inverted else _same
    name = r"\epsilon_B" if inverted else r"1/\epsilon_B"
    for side, band, colour in ((found.one, curves.one, COLOURS[0]), (found.other, curves.other, COLOURS[1])):
        _band(above, curves.efficiency, turn(band), colour, plots.literal(side.name))
    chance = np.linspace(0.01, 1, 200)
    above.plot(chance, chance if inverted else 1 / chance, color="0.6", linewidth=1, linestyle=":")
    above.set_ylabel(
        f"background {'efficiency' if inverted else 'rejection'} ${name}$\n({plots.literal(found.background)})"
    )
    above.set_xlim(0, 1)
    if inverted:
        above.set_ylim(0, 1)
    else:
        values = np.concatenate([curves.one.value, curves.other.value])
        above.set(yscale="log", ylim=(1, 3 * max(values[np.isfinite(values)], default=10)))
    above.legend(loc="upper left" if inverted else "upper right")
    above.tick_params(labelbottom=False)
    below.axhline(1, color="0.6", linewidth=1, linestyle=":")
    ratio = turn(curves.ratio)
    _band(below, curves.efficiency, ratio, "0.45", "")
    _limits_of_ratio(below, ratio)
    below.set_xlim(0, 1)
    below.set_xlabel(rf"signal efficiency $\epsilon_S$ ({plots.literal(found.signal)})")
    below.set_ylabel(f"ratio of ${name}$")
    return drawing


def _same(band: Band) -> Band:
    return band


def _inverse(band: Band) -> Band:
    """Of the background efficiency."""
    return Band(1 / band.value, 1 / band.high, 1 / band.low)


def _band(axes: Axes, x: np.ndarray, band: Band, colour: str, label: str) -> None:
    axes.fill_between(x, band.low, band.high, color=colour, alpha=0.22, linewidth=0)
    axes.plot(x, band.value, color=colour, label=label or "_", linewidth=1.6)


def _limits_of_ratio(axes: Axes, ratio: Band) -> None:
    """Room for the ratio itself, and for the band where that is narrow enough to be informative."""
    from matplotlib.ticker import LogLocator, NullFormatter

    shown = ratio.value[np.isfinite(ratio.value)]
    if not len(shown):
        axes.text(0.5, 0.5, "not measurable", transform=axes.transAxes, ha="center", va="center", color="0.5")
        return
    told = ratio.high < WIDEST * ratio.low
    shown = np.concatenate([shown, ratio.low[told], ratio.high[told], [1 / 1.02, 1.02]])
    room = (shown.max() / shown.min()) ** 0.08
    low, high = shown.min() / room, shown.max() * room
    axes.set_ylim(low, high)
    if high > WIDEST * low:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())


def draw_density(found: Comparison, one: Density) -> Figure:
    """The log-odds of one against those of the other, of the events of one class."""
    from matplotlib.colors import LogNorm

    drawing, axes = plots.figure(figsize=(6.0, 5.0))
    low, high = found.densities.edges[[0, -1]]
    most = max([2, *(int(density.counts.max()) for density in found.densities.of)])
    image = axes.imshow(
        np.ma.masked_equal(one.counts.T, 0),
        origin="lower",
        extent=(low, high, low, high),
        norm=LogNorm(1, most),
        cmap="viridis",
        interpolation="none",
        aspect="equal",
    )
    axes.plot([low, high], [low, high], color="0.6", linewidth=1, linestyle=":")
    axes.set_title(f"{plots.literal(one.name)}: {one.events:,} events, rank correlation {one.correlation:.3f}")
    axes.set_xlabel(f"log-odds of {plots.literal(found.signal)}, {plots.literal(found.one.name)}")
    axes.set_ylabel(f"log-odds of {plots.literal(found.signal)}, {plots.literal(found.other.name)}")
    drawing.colorbar(image, ax=axes, pad=0.02).set_label("events per bin")
    return drawing


def draw_slices(found: Comparison, name: str, metric: str) -> Figure:
    """A metric of both in each of one kind of slices, and below the difference or ratio."""
    slices = [one for one in found.slices if one.name == name]
    measured = [one.measured[metric] for one in slices]
    record = measured[0].metric
    drawing, (above, below) = plots.figure(2, 1, figsize=(6.0, 5.6), heights=(2, 1))
    x = np.arange(len(slices))
    for side, colour, shift in ((0, COLOURS[0], -0.08), (1, COLOURS[1], 0.08)):
        values = [(one.one, one.other)[side] for one in measured]
        mean = np.array([value.mean for value in values])
        reach = np.abs(np.array([value.interval(record.scale) for value in values]).T - mean)
        label = plots.literal((found.one, found.other)[side].name)
        above.errorbar(x + shift, mean, yerr=reach, fmt="o", color=colour, capsize=3, markersize=5, label=label)
    above.set_ylabel(plots.literal(record.heading))
    above.legend(fontsize=9)
    _differences(below, x, measured)
    for axes in (above, below):
        axes.set_xticks(x, [plots.literal(one.value) for one in slices] if axes is below else [""] * len(x))
        axes.minorticks_off()
        axes.set_xlim(-0.5, len(x) - 0.5)
    below.set_xlabel(plots.literal(name))
    return drawing


def _differences(axes: Axes, x: np.ndarray, measured: list[Measured]) -> None:
    ratio = measured[0].metric.scale == "log"
    values = np.array([one.difference.value for one in measured])
    values = np.exp(values) if ratio else values
    reach = np.abs(np.array([one.interval for one in measured]).T - values)
    axes.axhline(1 if ratio else 0, color="0.6", linewidth=1, linestyle=":")
    axes.errorbar(x, values, yerr=reach, fmt="o", color="0.45", capsize=3, markersize=5)
    axes.set_ylabel("ratio" if ratio else "difference")


CURVES = (
    "Top: ROC curves and background rejection, means over the seeds. Bottom: their ratio, the first over the second. "
    f"Bands: {percent(LEVEL)} intervals; for the ratio, on the same events. Grey, dotted: chance."
)
DENSITIES = (
    "Log-odds of the signal, means over the seeds, event by event; the outermost bins hold what lies beyond. Off the "
    "diagonal the two disagree."
)
SLICES = f"Top: both. Bottom: their difference or ratio on the same events. Bars: {percent(LEVEL)} intervals."
