"""Terminals that cannot show every character."""

from __future__ import annotations

import codecs
import io
import sys
import unicodedata

INSTEAD = {"±": "+-", "–": "-", "—": "-", "−": "-", "×": "x", "…": "...", "µ": "u", "μ": "u", "→": "->", "·": "."}
"""Replacements of characters that cannot be encoded; for others the letter without its accent, or a question mark."""


def replace_unencodable() -> None:
    """Let standard output and error replace characters that are missing from their encoding, as in a latin-1 or ASCII
    locale, or that are invalid in every encoding, as in some file names."""
    codecs.register_error("hepbench", _instead)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="hepbench")


def _instead(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    written = ""
    for character in error.object[error.start : error.end]:
        plain = INSTEAD.get(character) or unicodedata.normalize("NFKD", character)[:1]
        written += plain if plain.isascii() and plain else "?"
    return written, error.end
