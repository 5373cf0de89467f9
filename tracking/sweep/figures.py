"""The figures of a batch-size study: what an epoch costs, and the validation score over epochs and over time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from hepbench.tracking import plots
from hepbench.tracking.sweep.record import DEVICES, Sweep, Training, first_reached
from hepbench.tracking.sweep.table import COLUMNS, SECONDS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


COLOURS = {"cpu": plots.COLOURS[0], "gpu": plots.COLOURS[2]}

CURVES = 0.92
"""Of the colour scale, so that the largest batch size can be seen on white."""

FEW_EPOCHS = 30
"""Up to so many the axis of epochs is linear."""


def draw_cost(sweep: Sweep) -> Figure:
    """Seconds of a pass over the training set, and utilisation, versus batch size; with what was reported."""
    drawing, (seconds, utilisation) = plots.figure(1, 2, figsize=(10.5, 4.6))
    by_name = {column.name: column.value for column in COLUMNS}
    for device, name in DEVICES.items():
        points = sweep.of(device)
        sizes = [point.batch_size for point in points]
        label = f"{name}, here" if points else f"{name}: not measured"
        line = {"marker": "o"} if points else {"linestyle": "none"}
        for axes, column in ((seconds, SECONDS), (utilisation, f"{device}_percent")):
            values = [by_name[column](sweep, point) for point in points]
            axes.plot(sizes, values, color=COLOURS[device], label=label, **line)
        if points:
            low, high = (
                [by_name[f"seconds_per_epoch_{quarter}"](sweep, point) for point in points] for quarter in (25, 75)
            )
            seconds.fill_between(sizes, low, high, color=COLOURS[device], alpha=0.2, linewidth=0)
        reported = sorted((one for one in sweep.reported if one.device == device), key=lambda one: one.batch_size)
        if reported:
            sizes = [one.batch_size for one in reported]
            style: dict[str, Any] = {"color": COLOURS[device], "markerfacecolor": "none", "linewidth": 1.2}
            label = plots.literal(f"reported: {reported[0].hardware}")
            seconds.plot(sizes, [one.seconds / one.epochs for one in reported], "s--", label=label, **style)
            utilisation.plot(sizes, [one.utilisation for one in reported], "s--", label=label, **style)
    for axes in (seconds, utilisation):
        _axis_of_sizes(axes, sweep)
    seconds.set(yscale="log")
    seconds.set_ylabel("seconds per epoch")
    utilisation.set_ylim(0, 105)
    utilisation.set_ylabel("utilisation of the device [%]")
    seconds.legend(loc="best", fontsize=9)
    return drawing


def draw_by_epoch(sweep: Sweep) -> Figure:
    """The validation AUC after each epoch, a curve for each training."""
    drawing = _draw_curves(sweep, lambda training: np.arange(1.0, len(training.auc) + 1), "epoch")
    most = max((len(one.auc) for point in sweep.points for one in point.trainings), default=1)
    if most > FEW_EPOCHS:
        _logarithmic(drawing)
    return drawing


def draw_by_time(sweep: Sweep) -> Figure:
    """The validation AUC over the seconds of training until then, a curve for each training."""
    drawing = _draw_curves(sweep, lambda training: training.trained, "training time [s]")
    _logarithmic(drawing)
    return drawing


def _logarithmic(drawing: Figure) -> None:
    for axes in drawing.axes[: len(DEVICES)]:
        if axes.lines:
            axes.set_xscale("log")


def _draw_curves(sweep: Sweep, along: Callable[[Training], np.ndarray], name: str) -> Figure:
    """A panel for each device; one colour scale of all batch sizes, evenly by their order. A dot is where a training
    first had the target."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import BoundaryNorm, ListedColormap

    drawing, panels = plots.figure(1, len(DEVICES), figsize=(10.5, 4.4))
    panels[1].sharey(panels[0])
    sizes = sorted({point.batch_size for point in sweep.points})
    scale = colormaps["viridis"](np.linspace(0, CURVES, len(sizes)))
    colours = dict(zip(sizes, scale, strict=True))
    for axes, (device, title) in zip(panels, DEVICES.items(), strict=True):
        axes.set_title(title)
        axes.set_xlabel(name)
        points = sweep.of(device)
        if not points:
            reason = sweep.not_measured.get(device, "no training succeeded")
            axes.text(0.5, 0.5, f"not measured:\n{plots.literal(reason)}", ha="center", va="center", wrap=True,
                      transform=axes.transAxes)  # fmt: skip
            axes.set(xticks=[])
            axes.minorticks_off()
            continue
        if sweep.target is not None:
            axes.axhline(sweep.target, color="0.6", linewidth=1, linestyle=":")
        for point in points:
            for training in point.trainings:
                x, colour = along(training), colours[point.batch_size]
                few = {"marker": "o", "markersize": 3} if len(x) == 1 else {}
                axes.plot(x, training.auc, color=colour, linewidth=1.5, **few)
                hit = first_reached(training.auc, training.seconds, np.inf if sweep.target is None else sweep.target)
                if hit:
                    axes.plot(x[hit[0] - 1], training.auc[hit[0] - 1], "o", color=colour, markersize=5)
    panels[0].set_ylabel("validation AUC")
    if sizes:
        edges = np.arange(len(sizes) + 1) - 0.5
        mappable = ScalarMappable(BoundaryNorm(edges, len(sizes)), ListedColormap(scale))
        bar = drawing.colorbar(mappable, ax=list(panels), ticks=range(len(sizes)), pad=0.02)
        bar.ax.set_yticklabels([f"{size:,}" for size in sizes])
        bar.ax.minorticks_off()
        bar.ax.tick_params(length=0)
        bar.set_label("batch size")
    return drawing


def _axis_of_sizes(axes: Axes, sweep: Sweep) -> None:
    from matplotlib.ticker import FixedLocator, NullLocator

    sizes = sorted({point.batch_size for point in sweep.points} | {one.batch_size for one in sweep.reported})
    axes.set(xscale="log")
    axes.xaxis.set_major_locator(FixedLocator(sizes))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([f"{size:,}" for size in sizes], rotation=90)
    axes.set_xlabel("batch size")
