"""`hepbench describe`: what a task is, printed, and as a page with pictures of its events."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import Task
from hepbench.benchmarks.registry import Entry
from hepbench.suite.commands.opening import open_data
from hepbench.suite.data.dataset import Prepared, view_of
from hepbench.suite.data.files import Files, choose
from hepbench.suite.paths import reports_folder
from hepbench.tracking import pages

PICTURED = 3  # events of each class
AVERAGED = 2_000  # events of each class at most, in averages and distributions
VARIABLES = 24  # drawn at most
NEWLINE = "\n"


def describe(task_given: str, wanted: str, events: int, console: Console) -> Path:
    """Print what a task is: classes, inputs, sizes, files, licence, citation, published results. Write the page."""
    entry = registry.find("task", task_given)
    kind = choose(entry, wanted)
    files, prepared = open_data(entry, kind, events, console)
    facts = _facts(entry, files, prepared)
    table = Table.grid(padding=(0, 2))
    for name, text in facts.items():
        table.add_row(f"[bold]{name}[/]", text)
    console.print(table, highlight=False)
    published = _published(entry.record)
    if published:
        columns = Table("published", "trained on", "source", title="reported, not measured here", title_justify="left")
        for cells in published:
            columns.add_row(f"{cells[0]}: {cells[1]}", *cells[2:])
        console.print(columns)

    listed = "".join(
        f"<tr><td><b>{html.escape(name)}</b></td><td>{pages.linked(text).replace(NEWLINE, '<br>')}</td></tr>"
        for name, text in facts.items()
    )
    sections = [f"<section><div class=scroll><table><tbody>{listed}</tbody></table></div></section>"]
    sections += _pictures(entry, prepared)
    if published:
        cells = [[pages.linked(cell) for cell in line] for line in published]
        body = pages.table(("model", "result", "trained on", "source"), cells, set())
        sections.append(
            f"<section><h2>Published results</h2><p class=note>Reported, not measured here.</p>{body}</section>"
        )
    path = reports_folder() / f"{entry.name}-description.html"
    about = (entry.path.read_text().split('"""')[1]).strip().split("\n\n")
    pages.write(path, entry.record.title, [" ".join(text.split()) for text in about], sections)
    console.print(f"page: {path}", soft_wrap=True)
    return path


def _facts(entry: Entry, files: Files, prepared: Prepared) -> dict[str, str]:
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
        "data here": f"{files.kind}, {len(prepared):,} events: "
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


def _published(task: Task) -> list[tuple[str, str, str, str]]:
    return [
        (
            reference.model,
            ", ".join(f"{name} {value:g}" for name, value in reference.metrics.items()),
            reference.trained_on,
            reference.source + ("" if reference.verified else " (not verified)"),
        )
        for reference in task.references
    ]


def _pictures(entry: Entry, prepared: Prepared) -> list[str]:
    """Sections with events and average images by class, and with the variables by class."""
    from hepbench.tracking import plots

    task, sections = entry.record, []
    rows = [np.flatnonzero(prepared.labels == label)[:AVERAGED] for label in range(len(task.classes))]
    if "image" in task.views:
        image = view_of(entry, prepared, "image")["image"]
        few = np.concatenate([image[some[:PICTURED]] for some in rows])
        means = np.stack([_mean(image, some) for some in rows])
        with pages.style(1):
            titles = [f"{kind} {i + 1}" for kind in task.classes for i in range(PICTURED)]
            events = plots.draw_images(few[..., 0], titles, PICTURED)
            mean_titles = [f"{kind}{channel}" for kind in task.classes for channel in _channels(image)]
            averages = plots.draw_images(
                np.moveaxis(means, -1, 1).reshape(-1, *image.shape[1:3]), mean_titles, image.shape[3]
            )
            drawn = pages.figure(
                events, "Some events of each class, first channel; first axis to the right, second upwards."
            )
            drawn += pages.figure(averages, f"Averages of up to {AVERAGED:,} events of each class, by channel.")
        sections.append(f"<section><h2>Events</h2><div class=figures>{drawn}</div></section>")
    if "table" in task.views:
        table = view_of(entry, prepared, "table")["table"]
        drawn = []
        with pages.style(2):
            for column, name in list(enumerate(task.variables))[:VARIABLES]:
                drawing, axes = plots.figure(figsize=(4.2, 3.0))
                plots.draw_classes(axes, [table[some, column] for some in rows], task.classes, name)
                drawn.append(pages.figure(drawing, ""))
        sections.append(
            f"<section><h2>Variables</h2><p class=note>Between their 1 % and 99 % quantiles, each class alone.</p>"
            f"<div class=figures>{''.join(drawn)}</div></section>"
        )
    return sections


def _channels(image: Any) -> list[str]:
    return [""] if image.shape[3] == 1 else [f", channel {i}" for i in range(image.shape[3])]


def _mean(image: Any, rows: np.ndarray) -> np.ndarray:
    """Mean image (H, W, C), read in stretches."""
    stretches = np.array_split(rows, max(1, len(rows) // 200))
    return sum(image[some].sum(axis=0, dtype=np.float64) for some in stretches) / len(rows)
