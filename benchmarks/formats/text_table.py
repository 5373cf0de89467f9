"""Text files of numbers, a fixed count a line, separated by blanks, commas or semicolons: reading and writing."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from hepbench.benchmarks.base import UserError

BLOCK = 2**22  # bytes read at a time
SEPARATORS = bytes.maketrans(b",;\t\r", b"    ")


def read(path: Path, columns: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields (number of each line (n,), from 1; (n, columns) float64) until the file ends; blank lines are passed over.

    Raises UserError, which names the file and the line, for a line of another length, for what is no finite number,
    and for a file that is missing, empty or not text.
    """
    before, found = 0, False
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
                lines, rows = _rows(path, text, columns, before)
                before += text.count(b"\n")
                if len(rows):
                    found = True
                    yield lines, rows
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    if not found:
        raise UserError(f"{path}: no events in it; expected lines of {columns} numbers")


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


def _rows(path: Path, text: bytes, columns: int, before: int) -> tuple[np.ndarray, np.ndarray]:
    """Line numbers and rows of whole lines that stand after `before` others."""
    letters = np.frombuffer(text, np.uint8)
    if (letters > 126).any() or (letters < 10).any():
        raise UserError(f"{path}: not a text file of numbers")
    blank = letters <= 32
    starts = ~blank & np.concatenate([[True], blank[:-1]])
    ends = np.flatnonzero(letters == 10)
    numbers = np.diff(np.cumsum(starts)[ends], prepend=0)  # on each line
    filled = np.flatnonzero(numbers)
    bad = filled[numbers[filled] != columns]
    if len(bad):
        raise UserError(f"{path}, line {before + bad[0] + 1}: {numbers[bad[0]]} values; expected {columns}")
    if not len(filled):
        return filled, np.empty((0, columns))
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # how numpy tells that it met what is no number
        try:
            values = np.fromstring(text, sep=" ")
        except (DeprecationWarning, ValueError):
            values = np.empty(0)
    if len(values) != numbers.sum() or not np.isfinite(values).all():
        raise UserError(f"{path}, {_first_bad(text, before)}")
    return before + filled + 1, values.reshape(-1, columns)


def _first_bad(text: bytes, before: int) -> str:
    for number, line in enumerate(text.decode("ascii").splitlines(), before + 1):
        for word in line.split():
            try:
                finite = np.isfinite(float(word))
            except ValueError:
                return f"line {number}: {word!r} is no number"
            if not finite:
                return f"line {number}: NaN or infinity"
    return "a number that cannot be read"
