"""Text files of numbers, as many on each line, separated by blanks, commas or semicolons: reading and writing."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from hepbench.benchmarks.base import UserError

BLOCK = 2**22  # bytes read at a time
SEPARATORS = bytes.maketrans(b",;\t\r", b"    ")


def read(path: Path, columns: int, wanted: Sequence[int] | None = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields (number of each line (n,), from 1; (n, columns) float64) until the file ends; blank lines are passed over.

    wanted: numbers of the columns to take, from 0, of lines that have others, too, and all as many; (n, len(wanted)) is
    what it yields then. Raises UserError, which names the file and the line, for a line of another length, for what is
    no finite number, and for a file that is missing, empty or not text.
    """
    before, found = 0, False
    width = columns if wanted is None else None  # then that of the first line
    try:
        with path.open("rb") as file:
            rest, more = b"", True
            while more:
                block = file.read(BLOCK)
                more = bool(block)
                whole, newline, rest = (rest + (block or b"\n")).rpartition(b"\n")
                if not newline:
                    continue
                text = (whole + newline).translate(SEPARATORS)
                lines, rows = _rows(path, text, width, wanted, before)
                before += text.count(b"\n")
                if len(rows):
                    found, width = True, rows.shape[1]
                    yield lines, rows if wanted is None else rows[:, list(wanted)]
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    if not found:
        expected = f"{columns} numbers" if wanted is None else f"at least {max(wanted) + 1} numbers"
        raise UserError(f"{path}: no events in it; expected lines of {expected}")


def write_by_class(folder: Path, classes: Sequence[str], chunks: Iterator[tuple[int, np.ndarray]]) -> list[Path]:
    """One file of whole numbers a class, `<class>.txt`, its columns separated by a blank.

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
    """Line numbers and rows of whole lines that stand after `before` others. width: None where these are the first, of
    as many columns as `wanted` needs."""
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
            f"{path}, line {before + filled[0] + 1}: {width} values; column {max(wanted)} (counted from 0) is asked for"
        )
    bad = filled[numbers[filled] != width]
    if len(bad):
        expected = f"expected {width}" if wanted is None else f"the lines before have {width}"
        raise UserError(f"{path}, line {before + bad[0] + 1}: {numbers[bad[0]]} values; {expected}")
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # how numpy tells that it met what is no number
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
    for number, line in enumerate(text.decode("ascii").splitlines(), before + 1):
        for column, word in enumerate(line.split()):
            try:
                finite = np.isfinite(float(word))
            except ValueError:
                return f"line {number}: {word!r} is no number"
            if not finite and (wanted is None or column in wanted):
                return f"line {number}: NaN or infinity"
    return "a number that cannot be read"
