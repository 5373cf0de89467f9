"""Plots: the style that all have, those that a trial writes, and the drawings of curves, checks and events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hepbench.tracking.metric import Metric
from hepbench.tracking.printable import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


COLOURS = ("#5790fc", "#f89c20", "#e42536", "#964a8b", "#9c9ca1", "#7a21dd", "#3f90da", "#a96b59", "#e76300", "#717581")
"""Distinct to colour-blind eyes: Petroff, arXiv:2107.02270, as used by CMS."""

DASHES = ("-", "--", "-.", (0, (1, 1.2)), (0, (6, 2, 1.2, 2, 1.2, 2)))
MARKERS = "osD^vP<>"


class Look(NamedTuple):
    """colour; line: style of a line; marker: of points."""

    colour: str
    line: Any
    marker: str


def look(place: int) -> Look:
    """Of the curve or points at this place in a figure: distinct in grey, too, and where the colours begin again."""
    turn = place // len(COLOURS)
    line = DASHES[(place + turn) % len(DASHES)]
    return Look(COLOURS[place % len(COLOURS)], line, MARKERS[place % len(MARKERS)])


SMALLEST_SCORE_RANGE = 1e-6
MOST_HISTORIES = 3  # beside each other
MOST_WEIGHTS = 60  # histograms below each other
ZOOM = (0.0, 0.2), (0.8, 1.0)
"""Of false and true positive rate: the corner that matters."""

MEANS = {"micro": "#d63aaf", "macro": "#2a9d5c"}
"""Curves that are no class', with their colours."""

DECISIONS = ("precision", "recall", "true_positives", "false_positives", "true_negatives", "false_negatives")
"""Metrics whose history has a figure of its own: shares in a panel, counts in another."""

Curves = Mapping[str, Mapping[str, np.ndarray]]
"""Name -> "signal_efficiency" and "background_efficiency" of `score >= threshold`, each (m,)."""

Areas = Mapping[str, tuple[float, float]]
"""Name of a curve -> the area under it, with its error."""


def trial_plots(
    folder: Path,
    scores: np.ndarray,
    labels: np.ndarray,
    signal: int,
    classes: Sequence[str],
    curves: Curves,
    areas: Areas,
    metrics: Mapping[str, Metric],
    history: Sequence[Mapping[str, float]] = (),
    weights: Mapping[str, np.ndarray] | None = None,
    reliability: Mapping[str, np.ndarray] | None = None,
    of_events: np.ndarray | None = None,
) -> list[Path]:
    """Write what a trial has to show, each as PNG and PDF: roc, roc_tpr_fpr, rejection, scores and confusion, of a
    training with epochs history and history_decisions, of a network weights. Returns the paths.

    scores: (n, classes). labels: (n,) class indices. signal: index of the signal class. curves: of the signal; with
    more than two classes of each, "micro" and "macro". history: a dict an epoch, with "epoch", "loss" and names of
    metrics, each also as val_. metrics: their records by name. weights: of a network by name. reliability: "score",
    "share" and "error" of bins of events. of_events: (n,) their weights; None: each counts one.
    """
    name = classes[signal]
    against = classes[1 - signal] if len(classes) == 2 else f"not {name}"
    label_of = {curve: with_area(curve, *areas.get(curve, ())) for curve in curves}
    drawn = {label_of[curve]: efficiencies(points) for curve, points in curves.items()}
    own = {label_of[curve]: drawn[label_of[curve]] for curve in curves if curve in classes}
    with style(**{"xtick.minor.visible": False, "ytick.minor.visible": False}):  # each costs as much as a label
        figures: dict[str, Figure | None] = {}
        figures["roc"], axes = _panels()
        draw_roc(axes, {label_of[name]: drawn[label_of[name]]}, name, against)
        figures["roc_tpr_fpr"], panels = _panels(1, 2, 5.4, 5.0)
        for panel, corner in zip(panels, (None, ZOOM), strict=True):
            draw_rates(panel, drawn, corner)
        figures["rejection"], axes = _panels()
        several = len(own) > 1
        draw_rejection(axes, own, "the class" if several else name, "the rest" if several else against)
        figures["scores"] = _draw_scores(scores, labels, signal, classes, of_events)
        side = 2.6 + 0.85 * len(classes)
        figures["confusion"], axes = figure(figsize=(side + 0.9, side))
        draw_confusion(axes, confusion_of(labels, scores, of_events), classes)
        figures["history"] = _draw_history(history, metrics)
        figures["history_decisions"] = _draw_decisions(history, metrics)
        figures["weights"] = _draw_weights(weights or {})
        figures["reliability"] = _draw_reliability(reliability, name if len(classes) == 2 else "the predicted class")
        written = []
        for file, drawing in figures.items():
            if drawing is not None:
                written += save(drawing, folder / file)
    return written


def save(drawing: Figure, path: Path) -> list[Path]:
    """Write a figure as PNG and as PDF; path: without an ending.

    The canvases print it themselves, since `Figure.savefig` draws it twice for each to find its layout.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_pdf import FigureCanvasPdf

    png, pdf = (path.with_name(f"{path.name}.{ending}") for ending in ("png", "pdf"))
    canvas: Any = FigureCanvasAgg(drawing)
    canvas.print_png(png)
    drawing.set_layout_engine("none")
    canvas = FigureCanvasPdf(drawing)  # takes the figure over, with another number of dots an inch
    canvas.print_pdf(pdf)
    return [png, pdf]


def confusion_of(labels: np.ndarray, scores: np.ndarray, of_events: np.ndarray | None = None) -> np.ndarray:
    """(classes, classes) how many events of the row's class, or how much weight, score highest in the column's."""
    classes = scores.shape[1]
    counts = np.bincount(labels * classes + scores.argmax(axis=1), of_events, minlength=classes**2)
    return counts.reshape(classes, classes)


def efficiencies(curve: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """What the drawings of a curve take of it: (signal, background) efficiency."""
    return curve["signal_efficiency"], curve["background_efficiency"]


def with_area(name: str, area: float = np.nan, error: float = np.nan) -> str:
    """The label of a curve in a legend."""
    return f"{name}, AUC {area:.4f} ± {error:.4f}" if np.isfinite(area) else f"{name}, AUC not measurable"


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
    return printable(name).replace("$", r"\$")


def draw_roc(axes: Axes, curves: Mapping[str, tuple[np.ndarray, np.ndarray]], signal: str, background: str) -> None:
    """Background versus signal efficiency. curves: label -> (signal, background) efficiencies; "" for no
    legend entry."""
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle=":")
    for place, (label, (signal_efficiency, background_efficiency)) in enumerate(curves.items()):
        own = {"color": look(place).colour, "linestyle": look(place).line}
        axes.plot(signal_efficiency, background_efficiency, label=literal(label) or "_", clip_on=False, **own)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.set_xlabel(rf"signal efficiency $\epsilon_S$ ({literal(signal)})")
    axes.set_ylabel(rf"background efficiency $\epsilon_B$ ({literal(background)})")
    _legend(axes, curves, loc="upper left")


def draw_rejection(
    axes: Axes, curves: Mapping[str, tuple[np.ndarray, np.ndarray]], signal: str, background: str
) -> None:
    """1/eps_B versus eps_S on a logarithmic axis, where any background passes. curves: as of `draw_roc`."""
    efficiency = np.linspace(0.01, 1, 200)
    axes.plot(efficiency, 1 / efficiency, color="0.6", linewidth=1, linestyle=":")
    highest = 10.0
    for place, (label, (signal_efficiency, background_efficiency)) in enumerate(curves.items()):
        own = {"color": look(place).colour, "linestyle": look(place).line}
        passing = background_efficiency > 0
        rejection = 1 / background_efficiency[passing]
        axes.plot(signal_efficiency[passing], rejection, label=literal(label) or "_", **own)
        highest = max(highest, rejection.max(initial=1))
    axes.set(xlim=(0, 1), ylim=(1, 3 * highest), yscale="log")
    axes.set_xlabel(rf"signal efficiency $\epsilon_S$ ({literal(signal)})")
    axes.set_ylabel(rf"background rejection $1/\epsilon_B$ ({literal(background)})")
    _legend(axes, curves, loc="upper right")


def draw_rates(
    axes: Axes,
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]],
    corner: tuple[tuple[float, float], tuple[float, float]] | None = None,
) -> None:
    """True versus false positive rate, with the legend, or only a corner without. curves: as of `draw_roc`.
    Means of several classes, "micro" and "macro", are dotted."""
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle=":")
    for place, (label, (signal_efficiency, background_efficiency)) in enumerate(curves.items()):
        mean = next((colour for name, colour in MEANS.items() if label.startswith(name)), None)
        axes.plot(
            background_efficiency,
            signal_efficiency,
            label=literal(label) or "_",
            color=mean or look(place).colour,
            linestyle=(0, (1, 1)) if mean else look(place).line,
            linewidth=2.6 if mean else 1.8,
            clip_on=corner is not None,
        )
    axes.set_xlabel("false positive rate")
    axes.set_ylabel("true positive rate")
    if corner:
        axes.set(xlim=corner[0], ylim=corner[1])
        axes.locator_params(nbins=4)
        (_, right), (bottom, _) = corner
        if not any(((background <= right) & (signal >= bottom)).any() for signal, background in curves.values()):
            axes.text(0.5, 0.5, "no curve in this range", transform=axes.transAxes, ha="center", color="0.5")
    else:
        axes.set(xlim=(0, 1), ylim=(0, 1))
        axes.legend(loc="lower right", fontsize=9 if len(curves) > 2 else None)


def draw_confusion(axes: Axes, confusion: np.ndarray, classes: Sequence[str]) -> None:
    """How many events of each row's class score highest in each column's, coloured by the fraction of the row."""
    totals = confusion.sum(axis=1, keepdims=True)
    shares = np.divide(confusion, totals, out=np.zeros(confusion.shape), where=totals > 0)
    axes.imshow(shares, vmin=0, vmax=1, cmap="Blues", interpolation="none", aspect="equal")
    for (row, column), count in np.ndenumerate(confusion):
        share = f"{100 * shares[row, column]:.1f} %" if totals[row, 0] else "–"
        ink = "white" if shares[row, column] > 0.6 else "black"
        axes.text(column, row, f"{share}\n{count:,.0f}", ha="center", va="center", color=ink, fontsize=9.5)
    names = [literal(name) for name in classes]
    axes.set_xticks(range(len(classes)), names, rotation=0 if len(classes) < 3 else 30, ha="center", rotation_mode=None)
    axes.set_yticks(range(len(classes)), names)
    axes.tick_params(which="both", length=0)
    axes.minorticks_off()
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")


def figure(
    rows: int = 1, columns: int = 1, squeeze: bool = True, heights: Sequence[float] | None = None, **options: Any
) -> tuple[Figure, Any]:
    """A figure that pyplot does not keep, so that many trials in one process leave nothing behind. heights: of the
    rows, relative to each other."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawing = Figure(**options)
    FigureCanvasAgg(drawing)
    return drawing, drawing.subplots(rows, columns, squeeze=squeeze, height_ratios=heights)


def _panels(rows: int = 1, columns: int = 1, width: float = 6.4, height: float = 4.8) -> tuple[Figure, Any]:
    """A figure whose panels have room for labels of their axes, in inches, which takes no search as a layout does.
    width, height: of a panel with its labels."""
    drawing, axes = figure(rows, columns, figsize=(width * columns, height * rows), layout="none")
    left, right, bottom, top = 0.9, 0.25, 0.68, 0.25
    drawing.subplots_adjust(
        left=left / (width * columns),
        right=1 - right / (width * columns),
        bottom=bottom / (height * rows),
        top=1 - top / (height * rows),
        wspace=(left + right) / (width - left - right),
        hspace=(bottom + top) / (height - bottom - top),
    )
    return drawing, axes


def _draw_scores(
    scores: np.ndarray, labels: np.ndarray, signal: int, classes: Sequence[str], of_events: np.ndarray | None
) -> Figure:
    """The signal score by true class; with more than two classes a panel for each class' own score."""
    shown = [signal] if len(classes) == 2 else range(len(classes))
    columns = min(len(shown), 3)
    rows = -(-len(shown) // columns)
    drawing, axes = _panels() if len(shown) == 1 else _panels(rows, columns, 4.3, 3.6)
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
            weights = None if of_events is None else of_events[labels == true]
            density = np.histogram(own, edges, weights=weights)[0] / len(own)
            lowest = min(lowest, density[density > 0].min(initial=1))
            highest = max(highest, density.max())
            colour, line, _ = look(true)
            panel.stairs(density, edges, label=f"true {literal(name)}", color=colour, linestyle=line, linewidth=1.6)
            if true == score:
                panel.stairs(density, edges, color=colour, fill=True, alpha=0.15, linewidth=0)
        height = np.log10(max(highest, lowest) / lowest) + 0.5
        room = 0.2 if len(shown) == 1 else 0.35  # of the height, above the histograms, for the legend
        panel.set(xlim=(edges[0], edges[-1]), yscale="log", ylim=(lowest / 2, highest * 10 ** (height * room + 0.2)))
        panel.set_xlabel(f"score of {literal(classes[score])}")
        panel.set_ylabel("fraction of events per bin")
        panel.legend(loc="upper center", ncols=2, fontsize=None if len(shown) == 1 else 8)
    return drawing


def _draw_reliability(bins: Mapping[str, np.ndarray] | None, name: str) -> Figure | None:
    """The fraction of positives versus the predicted probability."""
    if bins is None or not len(bins["score"]):
        return None
    drawn, axes = figure(figsize=(5.0, 4.6))
    axes.plot([0, 1], [0, 1], ":", color=COLOURS[4], label="calibrated")
    axes.errorbar(bins["score"], bins["share"], yerr=bins["error"], fmt="o-", color=COLOURS[0], capsize=3)
    axes.set_xlabel(literal(f"predicted probability of {name}"))
    axes.set_ylabel("fraction of positives")
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.legend()
    return drawn


def _draw_history(history: Sequence[Mapping[str, float]], metrics: Mapping[str, Metric]) -> Figure | None:
    """Training solid, validation dashed, by epoch, with their last values: the loss, and the logged metrics."""
    names = {name.removeprefix("val_") for line in history for name in line} - {"epoch", *DECISIONS}
    order = ("loss", "accuracy", *metrics)
    shown = ([name for name in dict.fromkeys(order) if name in names] or sorted(names))[:MOST_HISTORIES]
    if not shown:
        return None
    drawing, axes = _panels(1, len(shown), 6.4 if len(shown) == 1 else 4.8, 4.2)
    for axis, name in zip(np.atleast_1d(axes), shown, strict=True):
        lines = {name: ("training", "-", 4), f"val_{name}": ("validation", "--", 4)}
        _draw_epochs(axis, history, lines, _heading(name, metrics))
    return drawing


def _draw_decisions(history: Sequence[Mapping[str, float]], metrics: Mapping[str, Metric]) -> Figure | None:
    """On the validation set by epoch, with the last values: precision and recall, and counts."""
    shares, counts = DECISIONS[:2], DECISIONS[2:]
    if not any(f"val_{name}" in line for line in history for name in DECISIONS):
        return None
    drawing, axes = _panels(1, 2, 4.8, 4.2)
    for axis, names, title, decimals in zip(axes, (shares, counts), ("fraction", "events"), (4, 0), strict=True):
        lines = {f"val_{name}": (_heading(name, metrics), "--", decimals) for name in names}
        _draw_epochs(axis, history, lines, f"{title} (validation set)")
    return drawing


def _draw_epochs(
    axis: Axes, history: Sequence[Mapping[str, float]], lines: Mapping[str, tuple[str, str, int]], title: str
) -> None:
    """lines: key in the history -> (label, style, decimals of its last value)."""
    from matplotlib.ticker import MaxNLocator, NullLocator

    for key, (label, line, decimals) in lines.items():
        points = [(entry["epoch"], entry[key]) for entry in history if key in entry]
        if points:
            last = points[-1][1]
            number = f"{last:,.{decimals}f}" if np.isfinite(last) else "not measurable"
            marker = "o" if len(points) < 25 else None
            axis.plot(
                *zip(*points, strict=True), line, marker=marker, markersize=4, label=f"{literal(label)}, last {number}"
            )
    axis.set_xlabel("epoch")
    axis.set_ylabel(literal(title))
    axis.xaxis.set_major_locator(MaxNLocator(nbins="auto", integer=True, min_n_ticks=1))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlim(history[0]["epoch"] - 0.5, history[-1]["epoch"] + 0.5)
    axis.margins(y=0.12)
    axis.legend(loc="best")


def _heading(name: str, metrics: Mapping[str, Metric]) -> str:
    return metrics[name].heading if name in metrics else name


def _draw_weights(weights: Mapping[str, np.ndarray]) -> Figure | None:
    """A histogram of each weight, from its least to its greatest value, the first on top."""
    shown = {name: np.asarray(values, float).ravel() for name, values in list(weights.items())[:MOST_WEIGHTS]}
    if not shown:
        return None
    drawing, axes = figure(figsize=(7.6, 1.1 + 0.3 * len(shown)))
    for place, (_, values) in enumerate(shown.items()):
        low, high = float(values.min()), float(values.max())
        counts = np.histogram(values, bins=60, range=(low, high if high > low else low + 1))[0]
        heights = place + 0.42 - 0.84 * counts / counts.max()
        axes.stairs(heights, np.linspace(0, 1, 61), baseline=place + 0.42, fill=True, color=COLOURS[0], alpha=0.75)
        axes.text(-0.015, place, f"{low:.3g}", ha="right", va="center", fontsize=8, color="0.4")
        axes.text(1.015, place, f"{high:.3g}", ha="left", va="center", fontsize=8, color="0.4")
    axes.set_yticks(range(len(shown)), [f"{literal(name)} ({len(values):,})" for name, values in shown.items()])
    axes.set_xticks([])
    axes.minorticks_off()
    axes.tick_params(which="both", length=0, labelsize=8.5)
    axes.set(xlim=(-0.14, 1.14), ylim=(len(shown) - 0.4, -0.6))
    more = f"; the first {len(shown)} of {len(weights)}" if len(weights) > len(shown) else ""
    axes.set_xlabel(f"weights from least to greatest{more}")
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
    axes.set_ylabel("fraction per bin")
    axes.legend(loc="upper right", frameon=False)


def draw_classes(axes: Axes, values: Sequence[np.ndarray], classes: Sequence[str], name: str) -> None:
    """One variable's distribution in each class, between its 1 % and 99 % quantiles, as shares of all events. values:
    (n,) of each class; NaN is not drawn."""
    numbers = [len(some) for some in values]
    values = [some[~np.isnan(some)] for some in values]
    low, high = np.quantile(np.concatenate([*values, np.zeros(int(not sum(map(len, values))))]), [0.01, 0.99])
    whole = all(np.array_equal(some, np.round(some)) for some in values) and high - low < 60
    edges = np.arange(low - 0.5, high + 1) if whole else np.linspace(low, high if high > low else low + 1, 41)
    for number, (some, kind) in enumerate(zip(values, classes, strict=True)):
        share = np.histogram(some, edges)[0] / max(1, numbers[number])
        colour, line, _ = look(number)
        axes.stairs(share, edges, color=colour, linestyle=line, linewidth=1.5, label=literal(kind))
    axes.set(xlim=(edges[0], edges[-1]))
    axes.set_ylim(bottom=0)
    axes.set_xlabel(literal(name))
    axes.set_yticks([])
    axes.legend(loc="best", frameon=False, fontsize=9)


def draw_images(images: np.ndarray, titles: Sequence[str], columns: int) -> Figure:
    """Pictures (m, H, W) of one channel, row by row, with a colour bar that is theirs together; white is no hit.

    Values that are nowhere negative have a logarithmic scale, others a linear one, alike above and below 0.
    """
    from matplotlib.colors import LogNorm, Normalize

    rows = -(-len(images) // columns)
    drawing, grid = figure(rows, columns, figsize=(2.1 * columns + 1.0, 2.3 * rows), squeeze=False)
    seen = images[images != 0]
    if len(seen) and seen.min() < 0:
        most = float(np.quantile(np.abs(seen), 0.99))
        norm, colours, extend = Normalize(-most, most), "RdBu_r", "both"
    else:
        low, high = (np.quantile(seen, 0.02), seen.max()) if len(seen) else (0.1, 1.0)
        norm, colours, extend = LogNorm(low, high if high > low else 10 * low), "viridis", "min"
    for axes, image, title in zip(grid.flat, images, titles, strict=False):
        drawn = axes.imshow(
            np.where(image != 0, image, np.nan).T, origin="lower", norm=norm, cmap=colours, interpolation="none"
        )
        axes.set_title(literal(title), fontsize=9)
    for axes in grid.flat[len(images) :]:
        axes.remove()
    for axes in grid.flat[: len(images)]:
        axes.set(xticks=[], yticks=[])
        axes.minorticks_off()
        axes.tick_params(length=0)
    bar = drawing.colorbar(
        drawn, ax=list(grid.flat[: len(images)]), extend=extend, fraction=0.05, pad=0.02, aspect=12 + 8 * rows
    )
    bar.ax.tick_params(labelsize=8.5)
    return drawing
