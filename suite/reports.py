"""Writes reports: a page, tables next to it, and a folder with its figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hepbench.suite.atomic import write_atomically
from hepbench.suite.paths import file_name, reports_folder

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Report:
    """page: of HTML. tables: CSV files in the order they were given. figures: each as PNG and PDF."""

    page: Path
    tables: list[Path]
    figures: list[Path]

    @property
    def files(self) -> list[Path]:
        """All of them."""
        return [self.page, *self.tables, *self.figures]


def write(name: str, html: str, tables: Mapping[str, str], figures: Mapping[str, Callable[[], Figure]]) -> Report:
    """Write a report under a name, replacing any existing one. tables: suffix of the name -> CSV. figures: name of a
    file -> function that draws it."""
    from hepbench.tracking import plots

    name = file_name(name)
    folder = reports_folder() / name
    folder.mkdir(parents=True, exist_ok=True)
    drawn: list[Path] = []
    with plots.style():
        for figure, draw in figures.items():
            drawn += plots.save(draw(), folder / figure)
    written = []
    for more, text in tables.items():
        written.append(reports_folder() / f"{name}{more}.csv")
        write_atomically(written[-1], text)
    path = reports_folder() / f"{name}.html"
    write_atomically(path, html)
    return Report(path, written, drawn)
