"""The console of every command; prints text literally, whoever wrote it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import rich.console
from rich import box
from rich.console import ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from hepbench.tracking.printable import printable

OF_A_FILE = 140
"""Line width without a terminal, e.g. in the log of a batch job."""


def _is_terminal(descriptor: int) -> bool:
    try:
        return os.isatty(descriptor)
    except OSError:  # closed
        return False


class Console(rich.console.Console):
    """Rich's console without markup: a name such as [bold] is printed literally. Styled text is a `rich.text.Text`.
    Only rich's own control characters reach the terminal."""

    def __init__(self, **options: Any):
        super().__init__(markup=False, emoji=False, **options)
        if not os.environ.get("COLUMNS") and not any(map(_is_terminal, (0, 1, 2))):
            self.width = OF_A_FILE

    def render_str(self, text: str, **options: Any) -> Text:
        """The text as printed, so that tables reserve the right width for it."""
        return super().render_str(printable(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text))


def fits(heads: Sequence[str], cells: Sequence[Sequence[str]], width: int) -> bool:
    """Whether a table with these headings fits into `width` characters."""
    widths = [max([len(head), *(len(line[place]) for line in cells)]) for place, head in enumerate(heads)]
    return sum(widths) + 2 * (len(widths) - 1) <= width


def print_table(heads: Sequence[str], cells: Sequence[Sequence[str]], console: Console) -> None:
    """Print a table; if it does not fit, print one line per cell, so that no number is cut."""
    if fits(heads, cells, console.width):
        drawn = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True, header_style="bold")
        for number, head in enumerate(heads):
            drawn.add_column(head, justify="right" if number else "left", no_wrap=True)
        for line in cells:
            drawn.add_row(*map(Text, line))
        console.print(drawn)
        return
    name = max(map(len, heads))
    for line in cells:
        for head, cell in zip(heads, line, strict=True):
            console.print(Text.assemble((f"{head:<{name}}", "dim"), "  ", cell), soft_wrap=True)
        console.print()
