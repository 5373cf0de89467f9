"""Texts of anyone, as they can be shown on a terminal and kept in a file, a database or a page."""

from __future__ import annotations

import re
from collections.abc import Sequence

_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, those that turn the direction of writing, and halves of characters, which no encoding takes."""


def printable(text: str) -> str:
    """The text with what would not be seen as it is written in Python: `\\x1b`, `\\udcff`. Line feeds and tabs stay."""
    return _HIDDEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def markdown_cell(text: str) -> str:
    """The text in a cell of a Markdown table, where a bar would end it and a tag would be one."""
    return re.sub("<(?=[A-Za-z/!?])", "&lt;", printable(text)).replace("|", r"\|").replace("\n", " ")


def markdown_table(lines: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table; the second has the rule."""
    return ["| " + " | ".join(markdown_cell(text) for text in line) + " |" for line in lines]
