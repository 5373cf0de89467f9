"""Plots: the style that all have, those that a trial writes, and the drawings of curves, checks and events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hepbench.tracking.metric import Metric

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


COLOURS = ("#5790fc", "#f89c20", "#e42536", "#964a8b", "#9c9ca1", "#7a21dd", "#3f90da", "#a96b59", "#e76300", "#717581")
"""Told apart by colour-blind eyes and in print: Petroff, arXiv:2107.02270, as CMS takes them."""

SMALLEST_SCORE_RANGE = 1e-6
MOST_HISTORIES = 3  # beside each other


def trial_plots(
    folder: Path,
    scores: np.ndarray,
    labels: np.ndarray,
    signal: int,
    classes: Sequence[str],
    roc: Mapping[str, np.ndarray],
    history: Sequence[Mapping[str, float]],
    metrics: Mapping[str, Metric],
) -> list[Path]:
    """Write roc.png, rejection.png, scores.png and, of a training with epochs, history.png; returns their paths.

    scores: (n, classes). labels: (n,) class indices. signal: index of the signal class. roc: threshold,
    signal_efficiency and background_efficiency, each (m,), as `score >= threshold`. history: a dict an epoch, with
    "epoch", "loss" and names of metrics, each also as val_. metrics: their records by name.
    """
    name = classes[signal]
    efficiencies = roc["signal_efficiency"], roc["background_efficiency"]
    against = classes[1 - signal] if len(classes) == 2 else f"not {name}"
    with style():
        figures: dict[str, Figure | None] = {}
        for file, draw in (("roc.png", draw_roc), ("rejection.png", draw_rejection)):
            figures[file], axes = figure()
            draw(axes, {"": efficiencies}, name, against)
        figures["scores.png"] = _draw_scores(scores, labels, signal, classes)
        figures["history.png"] = _draw_history(history, metrics)
        drawn = {folder / file: drawing for file, drawing in figures.items() if drawing is not None}
        for path, drawing in drawn.items():
            drawing.savefig(path)
    return list(drawn)


@contextmanager
def style(**changes: Any) -> Iterator[None]:
    """The look of the plots, within this block; changes: matplotlib settings on top of it."""
    # pyplot first: where another thread is importing it (Keras does), matplotlib.use would call it half imported
    import matplotlib.pyplot
    import matplotlib.rcsetup
    import matplotlib.style
    import mplhep

    matplotlib.use("Agg")

    ours = {
        "figure.figsize": (6.4, 4.8),
        "figure.dpi": 110,
        "savefig.dpi": 110,
        "figure.constrained_layout.use": True,
        "figure.constrained_layout.h_pad": 0.09,
        "figure.constrained_layout.w_pad": 0.09,
        "font.family": ["DejaVu Sans"],  # comes with matplotlib; mplhep's own is a file that may be absent
        "mathtext.fontset": "dejavusans",
        "font.size": 11,
        "axes.labelsize": 12,
        "axes.titlesize": 12,
        "xtick.labelsize": 10.5,
        "ytick.labelsize": 10.5,
        "legend.fontsize": 10.5,
        "legend.title_fontsize": 10.5,
        "xtick.major.size": 6,
        "ytick.major.size": 6,
        "xtick.minor.size": 3,
        "ytick.minor.size": 3,
        "xtick.major.pad": 5,
        "lines.linewidth": 1.8,
        "axes.linewidth": 1.0,
        "axes.prop_cycle": matplotlib.rcsetup.cycler(color=COLOURS),
        "axes.formatter.limits": (-3, 5),
    }
    with matplotlib.style.context([mplhep.style.ROOT, ours, changes]):
        yield


def literal(name: str) -> str:
    """A name as it is, where matplotlib would read $ as the beginning of a formula."""
    return name.replace("$", r"\$")


def draw_roc(axes: Axes, curves: Mapping[str, tuple[np.ndarray, np.ndarray]], signal: str, background: str) -> None:
    """Background efficiency against signal efficiency. curves: label -> (signal, background) efficiencies; "" for no
    legend entry."""
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle=":")
    for label, (signal_efficiency, background_efficiency) in curves.items():
        axes.plot(signal_efficiency, background_efficiency, label=literal(label) or "_", clip_on=False)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.set_xlabel(rf"signal efficiency $\epsilon_S$ ({literal(signal)})")
    axes.set_ylabel(rf"background efficiency $\epsilon_B$ ({literal(background)})")
    _legend(axes, curves, loc="upper left")


def draw_rejection(
    axes: Axes, curves: Mapping[str, tuple[np.ndarray, np.ndarray]], signal: str, background: str
) -> None:
    """1/eps_B against eps_S on a logarithmic axis, where any background passes. curves: as of `draw_roc`."""
    efficiency = np.linspace(0.01, 1, 200)
    axes.plot(efficiency, 1 / efficiency, color="0.6", linewidth=1, linestyle=":")
    highest = 10.0
    for label, (signal_efficiency, background_efficiency) in curves.items():
        passing = background_efficiency > 0
        rejection = 1 / background_efficiency[passing]
        axes.plot(signal_efficiency[passing], rejection, label=literal(label) or "_")
        highest = max(highest, rejection.max(initial=1))
    axes.set(xlim=(0, 1), ylim=(1, 3 * highest), yscale="log")
    axes.set_xlabel(rf"signal efficiency $\epsilon_S$ ({literal(signal)})")
    axes.set_ylabel(rf"background rejection $1/\epsilon_B$ ({literal(background)})")
    _legend(axes, curves, loc="upper right")


def figure(rows: int = 1, columns: int = 1, **options: Any) -> tuple[Figure, Any]:
    """A figure that pyplot does not keep, so that many trials in one process leave nothing behind."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawing = Figure(**options)
    FigureCanvasAgg(drawing)
    return drawing, drawing.subplots(rows, columns)


def _draw_scores(scores: np.ndarray, labels: np.ndarray, signal: int, classes: Sequence[str]) -> Figure:
    """The signal score by true class; with more than two classes a panel for each class' own score."""
    shown = [signal] if len(classes) == 2 else range(len(classes))
    columns = min(len(shown), 3)
    rows = -(-len(shown) // columns)
    drawing, axes = figure(rows, columns, figsize=(6.4, 4.8) if len(shown) == 1 else (4.3 * columns, 3.6 * rows))
    panels = np.atleast_1d(axes).ravel()
    for panel in panels[len(shown) :]:
        panel.remove()
    for panel, score in zip(panels, shown, strict=False):
        values = scores[:, score].astype(np.float64)
        low, high = (0.0, 1.0) if values.min() >= 0 and values.max() <= 1 else (values.min(), values.max())
        edges = np.linspace(low, max(high, low + SMALLEST_SCORE_RANGE), 51)
        lowest, highest = 0.1, 0.0
        for true, name in enumerate(classes):
            own = values[labels == true]
            if not len(own):
                continue
            density = np.histogram(own, edges)[0] / len(own)
            lowest = min(lowest, density[density > 0].min(initial=1))
            highest = max(highest, density.max())
            colour = COLOURS[true % len(COLOURS)]
            panel.stairs(density, edges, label=f"true {literal(name)}", color=colour, linewidth=1.6)
            if true == score:
                panel.stairs(density, edges, color=colour, fill=True, alpha=0.15, linewidth=0)
        height = np.log10(max(highest, lowest) / lowest) + 0.5
        room = 0.2 if len(shown) == 1 else 0.35  # of the height, above the histograms, for the legend
        panel.set(xlim=(edges[0], edges[-1]), yscale="log", ylim=(lowest / 2, highest * 10 ** (height * room + 0.2)))
        panel.set_xlabel(f"score of {literal(classes[score])}")
        panel.set_ylabel("share of events per bin")
        panel.legend(loc="upper center", ncols=2 if len(classes) < 5 else 3, fontsize=None if len(shown) == 1 else 9)
    return drawing


def _draw_history(history: Sequence[Mapping[str, float]], metrics: Mapping[str, Metric]) -> Figure | None:
    """Training in colour, validation dashed, by epoch: the loss, and beside it the metrics that were logged."""
    from matplotlib.ticker import NullLocator

    names = {name.removeprefix("val_") for line in history for name in line} - {"epoch"}
    shown = ([name for name in ("loss", *metrics) if name in names] or sorted(names))[:MOST_HISTORIES]
    if not shown:
        return None
    drawing, axes = figure(1, len(shown), figsize=(6.4 if len(shown) == 1 else 4.6 * len(shown), 4.2))
    for axis, name in zip(np.atleast_1d(axes), shown, strict=True):
        for key, label, line in ((name, "training", "-"), (f"val_{name}", "validation", "--")):
            points = [(entry["epoch"], entry[key]) for entry in history if key in entry]
            if points:
                marker = "o" if len(points) < 25 else None
                axis.plot(*zip(*points, strict=True), line, marker=marker, markersize=4, label=label)
        axis.set_xlabel("epoch")
        axis.set_ylabel(metrics[name].heading if name in metrics else name)
        axis.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axis.xaxis.set_minor_locator(NullLocator())
        axis.set_xlim(history[0]["epoch"] - 0.5, history[-1]["epoch"] + 0.5)
        axis.margins(y=0.12)
        axis.legend(loc="best")
    return drawing


def _legend(axes: Axes, curves: Mapping[str, Any], **place: Any) -> None:
    if any(curves):
        axes.legend(**place)


def draw_pulls(axes: Axes, names: Sequence[str], pulls: np.ndarray, agree: float) -> None:
    """Differences in standard deviations, the first on top. names, pulls: (m,). agree: half width of the band."""
    axes.axvspan(-agree, agree, color=COLOURS[0], alpha=0.15, linewidth=0)
    axes.axvline(0, color="0.6", linewidth=1)
    place = np.arange(len(names))
    beyond = np.abs(pulls) >= agree
    axes.errorbar(pulls[~beyond], place[~beyond], xerr=1, fmt="o", color=COLOURS[0], markersize=5, capsize=2)
    axes.errorbar(pulls[beyond], place[beyond], xerr=1, fmt="o", color=COLOURS[2], markersize=5, capsize=2)
    axes.set_yticks(place, [literal(name) for name in names])
    axes.tick_params(axis="y", which="both", length=0)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlabel("(here - expected) / error")


def draw_comparison(
    axes: Axes, edges: np.ndarray, observed: np.ndarray, expected: np.ndarray, error: np.ndarray, name: str
) -> None:
    """A distribution here as points with the error of the difference, the expected one as steps."""
    axes.stairs(expected, edges, color=COLOURS[4], linewidth=1.8, label="expected", fill=True, alpha=0.35)
    centre = (edges[1:] + edges[:-1]) / 2
    axes.errorbar(centre, observed, yerr=error, fmt="o", color=COLOURS[0], markersize=4, linewidth=1.2, label="here")
    axes.set(xlim=(edges[0], edges[-1]), ylim=(0, 1.35 * max(observed.max(), expected.max())))
    axes.set_xlabel(literal(name))
    axes.set_ylabel("share of a bin")
    axes.legend(loc="upper right", frameon=False)


def draw_classes(axes: Axes, values: Sequence[np.ndarray], classes: Sequence[str], name: str) -> None:
    """One variable's distribution in each class, between its 1 % and 99 % quantiles. values: (n,) of each class."""
    low, high = np.quantile(np.concatenate(values), [0.01, 0.99])
    whole = all(np.array_equal(some, np.round(some)) for some in values) and high - low < 60
    edges = np.arange(low - 0.5, high + 1) if whole else np.linspace(low, high if high > low else low + 1, 41)
    for number, (some, kind) in enumerate(zip(values, classes, strict=True)):
        share = np.histogram(some, edges)[0] / max(1, len(some))
        axes.stairs(share, edges, color=COLOURS[number % len(COLOURS)], linewidth=1.5, label=literal(kind))
    axes.set(xlim=(edges[0], edges[-1]))
    axes.set_ylim(bottom=0)
    axes.set_xlabel(literal(name))
    axes.set_yticks([])
    axes.legend(loc="best", frameon=False, fontsize=9)


def draw_images(images: np.ndarray, titles: Sequence[str], columns: int) -> Figure:
    """Pictures (m, H, W) of energies on a common logarithmic colour scale, row by row; white is no hit."""
    from matplotlib.colors import LogNorm

    rows = -(-len(images) // columns)
    drawing, grid = figure(rows, columns, figsize=(2.1 * columns, 2.3 * rows))
    grid = np.array(grid, ndmin=1)
    seen = images[images > 0]
    low, high = (np.quantile(seen, 0.02), seen.max()) if len(seen) else (0.1, 1.0)
    norm = LogNorm(low, high if high > low else 10 * low)
    for axes, image, title in zip(grid.flat, images, titles, strict=False):
        axes.imshow(
            np.where(image > 0, image, np.nan).T, origin="lower", norm=norm, cmap="viridis", interpolation="none"
        )
        axes.set_title(literal(title), fontsize=9)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
        axes.minorticks_off()
        axes.tick_params(length=0)
    return drawing
