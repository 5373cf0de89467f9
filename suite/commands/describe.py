"""`hepbench describe`: the description of a task, printed and as an HTML page with pictures of its events."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from rich.table import Table
from rich.text import Text

from hepbench.benchmarks import registry, study
from hepbench.benchmarks.base import Task
from hepbench.benchmarks.metrics import METRICS
from hepbench.benchmarks.registry import Entry
from hepbench.suite.atomic import write_atomically
from hepbench.suite.commands.console import Console
from hepbench.suite.commands.opening import open_data
from hepbench.suite.data.dataset import Prepared, view_of
from hepbench.suite.data.files import Files, choose
from hepbench.suite.paths import reports_folder
from hepbench.tracking import pages

PICTURED = 3  # events per class
AVERAGED = 2_000  # maximum events per class in averages and distributions
VARIABLES = 24  # maximum number drawn


def describe(task_given: str, wanted: str, events: int, console: Console) -> Path:
    """Print classes, inputs, sizes, files, licence, citation and published results of a task. Write the page."""
    entry = registry.find("task", task_given)
    kind = choose(entry, wanted)
    files, prepared = open_data(entry, kind, events, console)
    facts = _facts(entry, files, prepared)
    table = Table.grid(padding=(0, 2))
    for name, text in facts.items():
        table.add_row(Text(name, style="bold"), Text(text))
    console.print(table, highlight=False)
    published = _published(entry)
    if published:
        columns = Table("published", "trained on", "source", title="reported, not measured", title_justify="left")
        for model, result, *rest in published:
            columns.add_row(*map(Text, (f"{model}: {result}", *rest)))
        console.print(columns)

    path = reports_folder() / f"{entry.name}-description.html"
    about = (ast.get_docstring(ast.parse(entry.path.read_bytes())) or "").split("\n\n")
    page = pages.render(
        "describe.html",
        title=entry.record.title,
        about=[" ".join(text.split()) for text in about],
        facts=facts,
        images=_images(entry, prepared),
        variables=_variables(entry, prepared),
        published=published,
    )
    write_atomically(path, page)
    console.print(f"page: {path}", soft_wrap=True)
    return path


def _facts(entry: Entry[Task], files: Files, prepared: Prepared) -> dict[str, str]:
    task = entry.record
    counts = np.bincount(prepared.labels, minlength=len(task.classes))
    inputs = []
    for name in task.views:
        shapes = {key: array.shape[1:] for key, array in view_of(entry, prepared, name).items()}
        inputs.append(f"{name}: " + ", ".join(f"{key} {shape}" for key, shape in shapes.items()))
    facts = {
        "task": f"{entry.name}, {task.title}",
        "classes": ", ".join(f"{i} {kind}" for i, kind in enumerate(task.classes))
        + f"; signal {task.classes[task.signal]}",
        "inputs": "\n".join(inputs),
        "variables": ", ".join(task.variables),
        "context": ", ".join(task.context),
        "available data": f"{files.kind}, {len(prepared):,} events: "
        + ", ".join(f"{count:,} {kind}" for kind, count in zip(task.classes, counts, strict=True)),
        "official size": f"{task.size:,} events" if task.size else "",
        "official files": "\n".join(_source(source) for source in task.sources[:4])
        + (f"\nand {len(task.sources) - 4} more" if len(task.sources) > 4 else ""),
        "variants": ", ".join(f"{entry.dataset}:{name}" for name in task.variants),
        "licence": task.licence,
        "citation": task.citation,
    }
    return {name: text for name, text in facts.items() if text}


def _source(source: Any) -> str:
    size = f", {source.size:,} bytes" if source.size else ""
    return f"{source.name}{size}{', ' * bool(source.url)}{source.url}"


def _published(entry: Entry[Task]) -> list[tuple[str, str, str, str]]:
    return [
        (
            reference.model,
            ", ".join(f"{_heading(name)} {value:g}" for name, value in reference.metrics.items()),
            reference.trained_on,
            reference.source + ("" if reference.verified else " (not verified)"),
        )
        for reference in (*entry.record.references, *study.references(entry.name))
    ]


def _heading(name: str) -> str:
    return METRICS[name].heading if name in METRICS else name


def _rows_by_class(entry: Entry[Task], prepared: Prepared) -> list[np.ndarray]:
    return [np.flatnonzero(prepared.labels == label)[:AVERAGED] for label in range(len(entry.record.classes))]


def _images(entry: Entry[Task], prepared: Prepared) -> list[tuple[Markup, str]]:
    """(drawing, caption) of single events and of average images by class, one per channel, as each channel has its own
    scale; none if the task has no images."""
    from hepbench.tracking import plots

    task = entry.record
    if "image" not in task.views:
        return []
    rows = _rows_by_class(entry, prepared)
    image = view_of(entry, prepared, "image")["image"]
    few = np.concatenate([image[some[:PICTURED]] for some in rows])
    titles = [
        f"{kind} {i + 1}" for kind, some in zip(task.classes, rows, strict=True) for i in range(len(some[:PICTURED]))
    ]
    means = np.stack([_mean(image, some) for some in rows])
    drawn = []
    with pages.style():
        for channel in range(image.shape[3]):
            of = f" of channel {channel}" if image.shape[3] > 1 else ""
            events = plots.draw_images(few[..., channel], titles, PICTURED)
            averages = plots.draw_images(means[..., channel], task.classes, min(len(rows), PICTURED))
            drawn += [
                (
                    pages.inline_svg(events),
                    f"Example events{of} by class; first axis to the right, second axis upwards. White: no hit.",
                ),
                (pages.inline_svg(averages), f"Average{of} of up to {AVERAGED:,} events per class."),
            ]
    return drawn


def _variables(entry: Entry[Task], prepared: Prepared) -> list[Markup]:
    """A drawing of each variable of the table by class; none if the task has no table."""
    from hepbench.tracking import plots

    task = entry.record
    if "table" not in task.views:
        return []
    rows = _rows_by_class(entry, prepared)
    table = view_of(entry, prepared, "table")["table"]
    drawn = []
    with pages.style():
        for column, name in list(enumerate(task.variables))[:VARIABLES]:
            figure, axes = plots.figure(figsize=(4.2, 3.0))
            plots.draw_classes(axes, [table[some, column] for some in rows], task.classes, name)
            drawn.append(pages.inline_svg(figure))
    return drawn


def _mean(image: Any, rows: np.ndarray) -> np.ndarray:
    """Mean image (H, W, C), read in chunks."""
    total = np.zeros(image.shape[1:])
    for chunk in np.array_split(rows, max(1, len(rows) // 200)):
        total += image[chunk].sum(axis=0, dtype=np.float64)
    return total / len(rows)
