"""The console of every command, which shows the text of anyone as it is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import rich.console
from rich.console import ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from hepbench.tracking.printable import printable


class Console(rich.console.Console):
    """Rich's, without its markup: a name such as [bold] is that name. What is to have a style is a `rich.text.Text`.
    Control characters reach no terminal but from rich itself."""

    def __init__(self, **options: Any):
        super().__init__(markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """As it will be shown, so that a table has room for it."""
        return super().render_str(printable(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text))
