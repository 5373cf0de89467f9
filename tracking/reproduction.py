"""A reproduced study: each number of the original next to ours, as a page of HTML and as Markdown.

What is shown is plain: whoever makes a `Page` has looked up the study and the runs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from hepbench.tracking import pages
from hepbench.tracking.printable import markdown_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


HEADINGS = ("number", "original", "here", "difference", "here on")
"""Of the original's numbers next to ours."""

Cells = Sequence[str]
Rows = Sequence[Cells]

NOT_MEASURED = "not measured"
WITHIN = 2
"""Errors within which a difference is none."""

LEGEND = (
    "±: one standard deviation, the error of the finite test sample and the seeds' spread / √seeds in quadrature; for "
    "accuracies after an epoch the former on that set, for other numbers after an epoch only the latter. The originals "
    "give no errors. With one seed, the run-to-run variance is unknown and not in the error.",
    f"The same: within {WITHIN} errors. Differences between experiments are taken as independent, which is "
    "conservative: those of one task use the same test events.",
)


@dataclass(frozen=True)
class Number:
    """A number of the document beside ours, as text. where: it stands. note: what is to be known of it."""

    what: str
    where: str
    document: str
    here: str
    difference: str
    note: str = ""


@dataclass(frozen=True)
class Curve:
    """A quantity after each epoch from the first, NaN where it is not known. here: a training each."""

    name: str
    document: Sequence[float]
    here: Sequence[Sequence[float]]

    @property
    def mean(self) -> np.ndarray:
        """(epochs,) of those trainings that went on so long."""
        longest = max(map(len, self.here), default=0)
        padded = [[*one, *[math.nan] * (longest - len(one))] for one in self.here]
        columns = np.array(padded).reshape(len(padded), longest).T
        return np.array([np.nanmean(column) if np.isfinite(column).any() else math.nan for column in columns])


@dataclass(frozen=True)
class Part:
    """An experiment.

    facts: data, events, epochs, seeds, and what of the document's they stand for. left_out: why it was not run.
    reduced: what the budget takes from it. differs: what the document does differently. modes: part and mode of the
    network -> accuracy, AUC and share of events called signal; in words. runs: their ids.
    """

    name: str
    title: str
    facts: Sequence[str] = ()
    simulated: bool = False
    left_out: str = ""
    reduced: Sequence[str] = ()
    differs: Sequence[str] = ()
    numbers: Sequence[Number] = ()
    curves: Sequence[Curve] = ()
    modes: Mapping[tuple[str, str], tuple[float, float, float]] = field(default_factory=dict)
    modes_in_words: str = ""
    command: str = ""
    runs: Sequence[str] = ()


@dataclass(frozen=True)
class Compared:
    """Experiments beside each other. columns: headings of the rows' cells, after the experiment's name; in brackets is
    the difference from the first that was measured."""

    question: str
    statement: str
    columns: Cells
    rows: Rows


@dataclass(frozen=True)
class Page:
    """title, source: of the study. facts: of all experiments. elsewhere: what another command does -> that command.
    roc: signal and background -> label -> (signal, background) efficiencies, each (m,). command: what makes it again.
    """

    title: str
    source: str
    facts: Sequence[str]
    parts: Sequence[Part]
    comparisons: Sequence[Compared] = ()
    remarks: Sequence[str] = ()
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    roc: Mapping[tuple[str, str], Mapping[str, tuple[np.ndarray, np.ndarray]]] = field(default_factory=dict)
    command: str = ""


MODE_HEADINGS = ("set", "network mode", "accuracy", "AUC", "predicted signal")


def mode_rows(part: Part) -> list[list[str]]:
    """Cells under MODE_HEADINGS."""
    return [[of, mode, *(f"{value:.4f}" for value in values)] for (of, mode), values in part.modes.items()]


def by_epoch(part: Part) -> tuple[list[str], list[list[str]]]:
    """(headings, a row of cells an epoch): the original's log next to the mean of ours."""
    curves = [curve for curve in part.curves if len(curve.document)]
    if not curves:
        return [], []
    epochs = max(len(curve.document) for curve in curves)
    rows = []
    for epoch in range(epochs):
        row = [str(epoch + 1)]
        for curve in curves:
            row += [_at(curve.document, epoch), _at(curve.mean, epoch)]
        rows.append(row)
    return ["epoch", *(text for curve in curves for text in (curve.name, "here"))], rows


def _at(values: Sequence[float] | np.ndarray, epoch: int) -> str:
    if epoch >= len(values) or not math.isfinite(values[epoch]):
        return "–"
    return f"{values[epoch]:,.0f}" if values[epoch] > 100 else f"{values[epoch]:.4f}"


def render(page: Page) -> str:
    """The page of HTML, which needs no other file."""
    return pages.render(
        "reproduction.html",
        title=page.title,
        about=[page.source],
        page=page,
        headings=HEADINGS,
        mode_headings=MODE_HEADINGS,
        mode_rows=mode_rows,
        by_epoch=by_epoch,
        figures={part.name: _curves(part) for part in page.parts},
        roc=[_roc(classes, curves) for classes, curves in page.roc.items()],
        command=page.command,
        legend=LEGEND,
    )


def _curves(part: Part) -> list[Markup]:
    """Loss and accuracy after each epoch, the document's as points, a line a seed here."""
    shown = [("loss", "val_loss"), ("accuracy", "val_accuracy")]
    curves = {curve.name: curve for curve in part.curves}
    figures = []
    with pages.style():
        for names in shown:
            drawn = [curves[name] for name in names if name in curves]
            if any(len(one) > 1 or curve.document for curve in drawn for one in curve.here):
                figures.append(pages.inline_svg(_draw_curves(drawn)))
    return figures


def _draw_curves(drawn: Sequence[Curve]) -> Figure:
    from hepbench.tracking import plots

    figure, axes = plots.figure(figsize=(6.0, 4.2))
    for curve, colour in zip(drawn, plots.COLOURS, strict=False):
        what = "validation" if curve.name.startswith("val_") else "training"
        for number, values in enumerate(curve.here):
            axes.plot(range(1, len(values) + 1), values, color=colour, label="_" if number else f"{what}, here")
        if len(curve.document):
            epochs = range(1, len(curve.document) + 1)
            axes.plot(
                epochs,
                curve.document,
                "o",
                color=colour,
                markersize=3.5,
                fillstyle="none",
                label=f"{what}, original",
            )
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("epoch")
    axes.set_ylabel(plots.literal(drawn[0].name.removeprefix("val_")))
    axes.legend()
    return figure


def _roc(classes: tuple[str, str], curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> tuple[Markup, str]:
    """True over false positives, as the documents draw them."""
    from hepbench.tracking import plots

    signal, background = classes
    with pages.style():
        figure, axes = plots.figure(figsize=(6.0, 5.2))
        axes.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle=":")
        for number, (label, (true, false)) in enumerate(curves.items()):
            colour, line, _ = plots.look(number)
            axes.plot(false, true, color=colour, linestyle=line, label=plots.literal(label), clip_on=False)
        axes.set(xlim=(0, 1), ylim=(0, 1))
        axes.set_xlabel(plots.literal(f"false positive rate ({background})"))
        axes.set_ylabel(plots.literal(f"true positive rate ({signal})"))
        axes.legend(loc="lower right")
        caption = f"ROC curves of {signal} versus {background}, one seed each. Grey, dotted: chance."
        return pages.inline_svg(figure), caption


def markdown(page: Page) -> str:
    """The page as Markdown, without its drawings."""
    lines = [f"# {page.title}", "", f"{page.source}.", "", f"{', '.join(page.facts)}.", ""]
    numbers = [(part, number) for part in page.parts for number in part.numbers]
    if numbers:
        rows = [
            [f"{number.what}, `{part.name}`", number.document, number.here, number.difference, ", ".join(part.facts)]
            for part, number in numbers
        ]
        lines += [*_table(HEADINGS, rows), ""]
    for compared in page.comparisons:
        lines += [f"## {compared.question}", "", f"Original: {compared.statement} In brackets: the difference from"]
        lines += ["the first that was measured.", ""]
        lines += [*_table(["experiment", *compared.columns], compared.rows), ""]
    if page.remarks:
        lines += ["## Contradictions in the original, and what its code listing shows", ""]
        lines += [*(f"- {text}" for text in page.remarks), ""]
    lines += ["## The experiments", ""]
    for part in page.parts:
        lines += [f"**`{part.name}`**: {part.title}. {_sentence(part)}", ""]
        lines += [*(f"- {text}" for text in part.differs), ""] if part.differs else []
        if part.modes:
            lines += ["The trained network in each of its modes:", "", *_table(MODE_HEADINGS, mode_rows(part)), ""]
            lines += [part.modes_in_words, ""]
        headings, epochs = by_epoch(part)
        if epochs:
            lines += ['??? note "By epoch: the log of the original, and the mean of ours"', ""]
            lines += [*(f"    {line}" for line in _table(headings, epochs)), ""]
    for what, command in page.elsewhere.items():
        lines += [f"{what}: `{command}`", ""]
    lines += ["```sh", page.command, "```", "", *(f"{line}  " for line in LEGEND)]
    return "\n".join(lines).rstrip() + "\n"


def _sentence(part: Part) -> str:
    """What was run of an experiment, and what was not."""
    parts = [
        f"Not run: {part.left_out}." if part.left_out else "",
        f"Here: {', '.join(part.facts)}." if part.facts else "",
        f"Reduced by the budget: {'; '.join(part.reduced)}." if part.reduced else "",
    ]
    return " ".join(text for text in parts if text)


def _table(headings: Cells, rows: Rows) -> list[str]:
    return markdown_table([headings, [":---"] * len(headings), *rows])
