"""Tables of comma-separated text with one column per variable and one row per event: reading.

Columns may be in any order if a header or the @attribute lines of ARFF name them; semicolons and tabs are separators,
too. Quotes, comments (# or %) and empty lines are ignored; an empty field is an error.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hepbench.benchmarks.base import UserError
from hepbench.benchmarks.formats import text as text_file
from hepbench.benchmarks.formats.refusal import binary_labels, shown

PARSERS = 2  # blocks parsed at once, in addition to the thread that decompresses


@dataclass(frozen=True)
class Rows:
    """Rows of a file. lines: (n,) line numbers, from 1. values: (n, variables) float32. labels: (n,) int64, None if the
    file has none."""

    path: Path
    lines: np.ndarray
    values: np.ndarray
    labels: np.ndarray | None

    def refuse(self, bad: np.ndarray, fault: str) -> None:
        """Raises UserError for the first bad row. bad: (n,) bool."""
        if bad.any():
            raise UserError(f"{self.path}: line {self.lines[int(np.argmax(bad))]}: {fault}")


@dataclass(frozen=True)
class Layout:
    """Layout of a file's rows. columns: name of each. label: name of the label column. classes: words in that column,
    in the order of the labels; empty for 0 and 1."""

    separator: str
    columns: tuple[str, ...]
    label: str
    classes: tuple[str, ...]


def read(
    path: Path,
    variables: Sequence[str],
    label: str,
    classes: Sequence[str] = (),
    header: bool = True,
    label_first: bool = False,
) -> Iterator[Rows]:
    """Yields the rows of each block, in file order, their values in the order of `variables`.

    header: whether a file must have one; without one the columns are `variables` and the label, or, with label_first,
    the label and `variables`, in this order.
    Raises UserError naming file and line for anything but finite float32 numbers, and for rows of another length.
    """
    found = False
    with ThreadPoolExecutor(PARSERS) as pool:
        waiting: deque[Future[Rows]] = deque()
        try:
            for line, layout, block in _blocks(path, variables, label, tuple(classes), header, label_first):
                waiting.append(pool.submit(_parse, path, line, layout, variables, block))
                if len(waiting) > PARSERS:
                    rows = waiting.popleft().result()
                    found = found or bool(len(rows.lines))
                    yield rows
            while waiting:
                rows = waiting.popleft().result()
                found = found or bool(len(rows.lines))
                yield rows
        finally:
            for future in waiting:
                future.cancel()
    if not found:
        raise UserError(f"{path}: no events in it; expected rows of {len(variables)} numbers and {label}")


def _blocks(
    path: Path, variables: Sequence[str], label: str, classes: tuple[str, ...], header: bool, label_first: bool
) -> Iterator[tuple[int, Layout, bytes]]:
    """Number of the first line, layout, and text of each block of whole lines after the header."""
    layout: Layout | None = None
    declared: list[str] = []
    wanted = {name.casefold() for name in (*variables, label)}
    for line, text in text_file.blocks(path):
        start = 0
        while layout is None and start < len(text):
            end = text.index(b"\n", start) + 1
            words = text[start:end].strip()
            separator, names = text_file.names(words)
            if attribute := re.match(rb"""@attribute\s+('[^']*'|"[^"]*"|[^\s{]+)""", words, re.IGNORECASE):
                declared += text_file.names(attribute[1])[1]
            elif len(wanted & set(names)) > 1:
                layout = Layout(
                    separator, tuple(text_file.ordered(path, line, names, variables, label)), label, classes
                )
            elif words and words[:1] not in (b"#", b"%", b"@"):
                row = text_file.fields(words)[1]
                if text_file.is_numbering(row):
                    start, line = end, line + 1
                    continue
                if (header and not declared) or not any(map(text_file.is_number, row)):
                    text_file.ordered(path, line, names, variables, label)
                layout = Layout(
                    separator, _columns(path, declared, len(row), variables, label, label_first), label, classes
                )
                break  # this line is a row
            start, line = end, line + 1
        if layout and start < len(text):
            yield line, layout, text[start:]


def _columns(
    path: Path, declared: list[str], width: int, variables: Sequence[str], label: str, label_first: bool
) -> tuple[str, ...]:
    """Columns of rows of this width without a header: as ARFF declares them, or in the order of the official file."""
    known = (label, *variables) if label_first else (*variables, label)
    if declared and declared != [name.casefold() for name in known[: len(declared)]]:
        return tuple(text_file.ordered(path, 1, declared, variables, label))
    return tuple(variables) if width == len(variables) else known


def _parse(path: Path, line: int, layout: Layout, variables: Sequence[str], text: bytes) -> Rows:
    import pyarrow

    try:
        table = _table(layout, text)
    except pyarrow.ArrowInvalid as error:
        cleaned = re.sub(rb"^[ \t]+$", b"", _without_comments(path, line, layout, text), flags=re.MULTILINE)
        try:
            if cleaned == text:
                raise error
            table = _table(layout, cleaned)
        except pyarrow.ArrowInvalid as error:
            fault = _first_fault(path, line, layout, cleaned)
            raise fault or UserError(f"{path}: after line {line}: {shown(error, 300)}") from None
        text = cleaned
    lines = line + (text_file.filled(text) if len(table) < text.count(b"\n") else np.arange(len(table)))
    values = np.stack([table[name].to_numpy() for name in variables], axis=1)
    rows = Rows(path, lines, values, None)
    rows.refuse(~np.isfinite(values).all(axis=1), "NaN or infinity, or a number beyond float32")
    if layout.label not in layout.columns:
        return rows
    if not layout.classes:
        labels = binary_labels(rows.refuse, table[layout.label].to_numpy(), layout.label)
        return Rows(path, lines, values, labels)
    words = table[layout.label].combine_chunks()
    known = np.array([_class(word, layout.classes) for word in words.dictionary.to_pylist()], np.int64)
    labels = known[np.asarray(words.indices)] if len(known) else np.empty(0, np.int64)
    rows.refuse(labels < 0, f"{layout.label} is none of {', '.join(layout.classes)}")
    return Rows(path, lines, values, labels)


def _without_comments(path: Path, line: int, layout: Layout, text: bytes) -> bytes:
    """The same lines, with comments emptied. UserError for a comment with as many fields as there are columns: a second
    header, as in concatenated files, whose columns may be in another order."""
    for comment in re.finditer(rb"^[#%%][^\n]*%s[^\n]*" % layout.separator.encode(), text, re.MULTILINE):
        if len(text_file.fields(comment[0])[1]) == len(layout.columns):
            number = line + text.count(b"\n", 0, comment.start())
            raise UserError(f"{path}: line {number}: a second header: give the files separately")
    return text_file.without_comments(text)


def _class(word: bytes, classes: Sequence[str]) -> int:
    name = word.decode("utf-8", "replace").strip().strip("'\"").strip().casefold()
    return classes.index(name) if name in classes else -1


def _table(layout: Layout, text: bytes) -> Any:
    import pyarrow
    from pyarrow import csv as arrow

    types = dict.fromkeys(layout.columns, pyarrow.float32())
    if layout.classes and layout.label in types:
        types[layout.label] = pyarrow.dictionary(pyarrow.int32(), pyarrow.binary())
    return arrow.read_csv(
        pyarrow.py_buffer(text),
        read_options=arrow.ReadOptions(use_threads=False, block_size=len(text) + 1, column_names=list(layout.columns)),
        parse_options=arrow.ParseOptions(
            delimiter=layout.separator, quote_char='"' if b'"' in text else False, ignore_empty_lines=True
        ),
        convert_options=arrow.ConvertOptions(column_types=types, null_values=[], strings_can_be_null=False),
    )


def _first_fault(path: Path, line: int, layout: Layout, text: bytes) -> UserError | None:
    """Error for the first line of a block that does not have one number per column."""
    for number, row in enumerate(text.splitlines(), line):
        if not row.strip():
            continue
        fields = row.split(layout.separator.encode())
        if len(fields) != len(layout.columns):
            return UserError(f"{path}: line {number}: {len(fields)} columns; expected {len(layout.columns)}")
        for name, field in zip(layout.columns, fields, strict=True):
            word = field.decode("utf-8", "replace").strip().strip('"')
            if not text_file.is_number(word) and not (name == layout.label and layout.classes):
                return UserError(f"{path}: line {number}: {name} is {shown(word, 40)!r}, not a number")
    return None
