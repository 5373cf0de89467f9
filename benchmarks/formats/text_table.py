"""Text files of numbers, equally many per line, separated by blanks, commas or semicolons: reading and writing."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from hepbench.benchmarks.base import UserError
from hepbench.benchmarks.formats import text as text_file
from hepbench.benchmarks.formats.refusal import shown

SEPARATORS = bytes.maketrans(b",;\t", b"   ")
COMMAS = bytes.maketrans(b";\t", b",,")


def read(
    path: Path, columns: int, wanted: Sequence[int] | None = None, names: Sequence[str] = ()
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields (number of each line (n,), from 1; (n, columns) float64) until the file ends; empty lines, comments (from
    # on) and one header line at the start are ignored.

    wanted: numbers of the columns to use, from 0, if lines, all of the same length, have others, too; it then yields
    (n, len(wanted)). names: of the columns; a header with exactly these defines their order. Raises UserError naming
    file and line for a line of another length, an empty field, anything but a finite number, and a file that is
    missing, empty or not text.
    """
    found = False
    width = columns if wanted is None else None  # then that of the first line
    order: list[int] | None = None
    for first, text in text_file.blocks(path):
        if not found:
            order, text = _without_header(text, columns if wanted is None else max(wanted) + 1, wanted is None, names)
        if b"#" in text:
            text = re.sub(rb"#[^\n]*", b"", text)
        lines, rows = _rows(path, _blanks(path, text, first), width, wanted, first - 1)
        if len(rows):
            found, width = True, rows.shape[1]
            rows = rows if wanted is None else rows[:, list(wanted)]
            yield lines, rows if order is None else rows[:, order]
    if not found:
        expected = f"{columns} numbers" if wanted is None else f"at least {max(wanted) + 1} numbers"
        raise UserError(f"{path}: no events in it; expected lines of {expected}")


def _without_header(text: bytes, width: int, exactly: bool, names: Sequence[str]) -> tuple[list[int] | None, bytes]:
    """(indices of the columns `names`, None if no header gives them; the text with its header as an empty line).

    A header has a word per column, none of which is a number, or numbers the columns from 0; or it is a comment."""
    for start, end in ((line.start(), line.end()) for line in re.finditer(rb"[^\n]*\n", text)):
        words = text[start:end].translate(SEPARATORS, b'"').decode("utf-8", "replace").split()
        comment = bool(words) and words[0].startswith("#")
        if not words:
            continue
        given = [word.casefold() for word in " ".join(words).lstrip("# ").split()]
        order = [given.index(name) for name in names] if set(given) == set(names) and len(given) == len(names) else None
        enough = len(words) == width if exactly else len(words) >= width
        numbering = text_file.is_numbering(words)
        if not comment and (not enough or (any(map(text_file.is_number, words)) and not numbering)):
            return None, text
        if order is not None or not comment:
            return order, text[:start] + b"\n" + text[end:]
    return None, text


def _blanks(path: Path, text: bytes, first: int) -> bytes:
    """The text with blanks between its numbers. UserError for an empty field, which would be skipped silently, and for
    commas that may be decimal commas."""
    comma, semicolon = b"," in text, b";" in text
    if comma or semicolon or b"\t" in text:
        if comma and semicolon:
            raise UserError(f"{path}: both commas and semicolons between the numbers: write decimals with a point")
        closed = text.translate(COMMAS, b" ")
        if b",," in closed or b"\n," in closed or closed.startswith(b","):
            start = re.search(rb"^,|,,", closed, re.MULTILINE)
            number = first + closed.count(b"\n", 0, start.start() if start else 0)
            raise UserError(f"{path}, line {number}: an empty field; expected a number in every column")
    return text.translate(SEPARATORS, b'"')


def write_by_class(folder: Path, classes: Sequence[str], chunks: Iterator[tuple[int, np.ndarray]]) -> list[Path]:
    """One file of integers per class, `<class>.txt`, with columns separated by a blank.

    chunks: (index into `classes`, rows (n, columns)); those of a class are written one after the other.
    """
    paths = [folder / f"{kind}.txt" for kind in classes]
    for path in paths:
        path.touch()
    for label, rows in chunks:
        with paths[label].open("a") as file:
            np.savetxt(file, rows, fmt="%d")
    return paths


def _rows(
    path: Path, text: bytes, width: int | None, wanted: Sequence[int] | None, before: int
) -> tuple[np.ndarray, np.ndarray]:
    """Line numbers and rows of whole lines that follow `before` others. width: None for the first lines, which must
    have enough columns for `wanted`."""
    letters = np.frombuffer(text, np.uint8)
    if (letters > 126).any() or (letters < 10).any():
        raise UserError(f"{path}: not a text file of numbers")
    blank = letters <= 32
    starts = ~blank & np.concatenate([[True], blank[:-1]])
    ends = np.flatnonzero(letters == 10)
    numbers = np.diff(np.cumsum(starts)[ends], prepend=0)  # on each line
    filled = np.flatnonzero(numbers)
    if not len(filled):
        return filled, np.empty((0, width or 0))
    if width is None and wanted is not None and (width := int(numbers[filled[0]])) <= max(wanted):
        raise UserError(
            f"{path}, line {before + filled[0] + 1}: {width} values; column {max(wanted)} (counted from 0) is missing"
        )
    bad = filled[numbers[filled] != width]
    if len(bad):
        expected = f"expected {width}" if wanted is None else f"the lines before have {width}"
        raise UserError(f"{path}, line {before + bad[0] + 1}: {numbers[bad[0]]} values; {expected}")
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # how numpy reports that something is not a number
        try:
            values = np.fromstring(text, sep=" ")
        except (DeprecationWarning, ValueError):
            values = np.empty(0)
    if len(values) != numbers.sum():
        raise UserError(f"{path}, {_first_bad(text, wanted, before)}")
    rows = values.reshape(len(filled), -1)
    if not np.isfinite(rows if wanted is None else rows[:, list(wanted)]).all():
        raise UserError(f"{path}, {_first_bad(text, wanted, before)}")
    return before + filled + 1, rows


def _first_bad(text: bytes, wanted: Sequence[int] | None, before: int) -> str:
    for number, line in enumerate(text.decode("ascii").split("\n"), before + 1):
        for column, word in enumerate(line.split()):
            if not text_file.is_number(word):
                return f"line {number}: {shown(word, 40)!r} is not a number"
            if not np.isfinite(float(word)) and (wanted is None or column in wanted):
                return f"line {number}: NaN or infinity"
    return "a number that cannot be read"
