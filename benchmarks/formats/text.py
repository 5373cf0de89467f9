"""Text files as programs write them: compression, encoding, line endings, comments, and column names.

Compression is recognised by the content, not the name: gzip, bzip2, xz, Zstandard or none. A byte order mark is
removed, UTF-16 converted to UTF-8, and all lines, including the last, end in a line feed.
"""

from __future__ import annotations

import bz2
import codecs
import csv
import io
import lzma
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hepbench.benchmarks.base import UserError
from hepbench.benchmarks.formats.refusal import library_errors, shown

BLOCK = 2**22  # bytes of text read at a time: some 5,700 rows of HEPMASS
LONGEST_LINE = 2**20  # bytes
SUFFIXES = (".gz", ".bz2", ".xz", ".zst")
INDEX = ("", "index", "rownames", "row.names", "unnamed: 0", "__index_level_0__", "...1")
"""Names that pandas, R and others give to a saved column of row numbers."""


def plain_name(name: str) -> str:
    """A file's name for comparison: in lower case, without the suffix of a compression."""
    name = name.casefold()
    return next((name.removesuffix(suffix) for suffix in SUFFIXES if name.endswith(suffix)), name)


def find(folder: Path, name: str) -> Path | None:
    """The file of this name, in any case and compressed or not; None if there is none. UserError if several could be
    meant."""
    if (folder / name).is_file():
        return folder / name
    there = sorted(folder.iterdir()) if folder.is_dir() else []
    named = [path for path in there if plain_name(path.name) == plain_name(name) and path.is_file()]
    if len(named) > 1:
        raise UserError(f"{' and '.join(map(str, named))}: each could be {name}; keep only one of them")
    return named[0] if named else None


def blocks(path: Path) -> Iterator[tuple[int, bytes]]:
    """(number of the first line, from 1; whole lines) of the file, some BLOCK bytes at a time. Raises UserError for a
    missing file, one that is not text, an incomplete stream, and a last line that may be truncated."""
    line, before = 1, b""
    for text in _pieces(path):
        if b"\r" in text:
            text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if b"\0" in text:
            raise UserError(f"{path}: not a text file")
        if not text.endswith(b"\n"):
            text = _ended(path, line, text, before)
        yield line, text
        line += text.count(b"\n")
        before = text[text.rfind(b"\n", 0, -1) + 1 :]


def without_comments(text: bytes) -> bytes:
    """The same lines, with those that begin with # or % emptied."""
    return re.sub(rb"^[ \t]*[#%][^\n]*", b"", text, flags=re.MULTILINE) if b"#" in text or b"%" in text else text


def filled(text: bytes) -> np.ndarray:
    """(n,) int64: which of these whole lines, from 0, are not empty."""
    letters = np.frombuffer(text, np.uint8)
    return np.flatnonzero(np.diff(np.cumsum(letters > 32)[letters == 10], prepend=0))


def fields(line: bytes) -> tuple[str, list[str]]:
    """(separator, fields without blanks and quotes) of a line: comma, semicolon or tab, whichever comes first in it."""
    text = line.decode("utf-8", "replace").strip()
    separator = next((letter for letter in text if letter in ",;\t"), ",")
    try:
        row = next(csv.reader([text], delimiter=separator, skipinitialspace=True), [])
    except csv.Error:  # a field of more than 128 KiB
        row = text.split(separator)
    return separator, [field.strip().strip("'\"").strip() for field in row]


def is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return "_" not in field  # which Python takes between digits


def is_numbering(row: Sequence[str]) -> bool:
    """Whether these fields are 0, 1, 2, ...: the header that pandas writes where columns have no names."""
    return len(row) > 1 and list(row) == [str(place) for place in range(len(row))]


def names(line: bytes) -> tuple[str, list[str]]:
    """(separator, names for comparison) of a header."""
    separator, found = fields(line)
    return separator, [name.lstrip("#% ").rstrip(":").casefold() for name in found]


def ordered(path: Path, number: int, found: Sequence[str], wanted: Sequence[str], label: str) -> list[str]:
    """Content of each column of a file whose header has the names `found`: one of `wanted`, or the label, which may be
    absent. UserError for columns that are missing, duplicated or unknown."""
    known = {name.casefold(): name for name in (*wanted, label)}
    complete = set(known) - {label.casefold()} <= set(found)
    if complete and len(set(found)) == len(found) and set(found) <= set(known):
        return [known[name] for name in found]
    index = [name for name in found if name not in known and name in INDEX]
    if complete and index:
        raise UserError(
            f"{path}: line {number}: column {index[0]!r} is an index of row numbers: save the file without it "
            "(index=False in pandas, row.names=FALSE in R)"
        )
    names = ", ".join(known.values()) if len(known) < 12 else f"{label}, {wanted[0]} to {wanted[-2]}, {wanted[-1]}"
    raise UserError(
        f"{path}: line {number} is {shown(','.join(found))!r}; expected the {len(known)} columns {names}, in any order"
    )


def table(path: Path, line: int, text: bytes, separator: str, header: Sequence[str], types: Mapping[str, Any]) -> Any:
    """Arrow table of the columns in `types`, name -> Arrow type, from whole lines, the first of which has the number
    `line`. header: names of all columns as `names` gives them. UserError for another type or length."""
    import pyarrow
    from pyarrow import csv as arrow

    faults: list[str] = []

    def told(row: Any) -> str:
        faults.append(f"{row.actual_columns} columns in {shown(row.text)!r}; expected {row.expected_columns}")
        return "error"

    places = {str(header.index(name.casefold())): name for name in types}
    try:
        found = arrow.read_csv(
            pyarrow.py_buffer(without_comments(text)),
            read_options=arrow.ReadOptions(
                use_threads=False, block_size=len(text) + 1, column_names=[str(place) for place in range(len(header))]
            ),
            parse_options=arrow.ParseOptions(
                delimiter=separator,
                ignore_empty_lines=True,
                invalid_row_handler=told if text.isascii() else None,  # Arrow decodes the row as UTF-8 for it
            ),
            convert_options=arrow.ConvertOptions(
                include_columns=list(places), column_types={place: types[name] for place, name in places.items()}
            ),
        )
    except pyarrow.ArrowInvalid as error:
        raise UserError(f"{path}: after line {line - 1}: {faults[0] if faults else shown(error, 200)}") from None
    return found.rename_columns(list(places.values()))


def _pieces(path: Path) -> Iterator[bytes]:
    """The text in pieces of whole lines, without a byte order mark."""
    with library_errors(path, "cannot be read"):
        raw = path.open("rb")
    with raw:
        kind, file = decompressed(path, raw)
        with library_errors(path, f"not a whole {kind} file" if kind else "cannot be read"):
            head = file.peek(4)[:4]
        text = file
        if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            text = io.TextIOWrapper(file, encoding="utf-16", newline="")
        elif head.startswith(codecs.BOM_UTF8):
            file.read(len(codecs.BOM_UTF8))
        while True:
            with library_errors(path, f"not a whole {kind} file" if kind else "cannot be read"):
                piece, end = text.read(BLOCK), text.readline(LONGEST_LINE + 1)
            if len(end) > LONGEST_LINE:
                raise UserError(f"{path}: no end of line within {LONGEST_LINE:,} bytes; expected lines of numbers")
            if not piece:
                return
            yield (piece + end).encode() if text is not file else piece + end


def decompressed(path: Path, raw: Any) -> tuple[str, Any]:
    """Name of the compression, "" for none, and the decompressed file. gzip is read by igzip, in a third of zlib's
    time; it checks length and checksum of each member of the stream, and that the stream is complete."""
    head = raw.peek(8)[:8]
    if head.startswith(b"\x1f\x8b"):
        from isal import igzip

        return "gzip", igzip.open(raw, "rb")  # type: ignore[no-untyped-call]
    if head.startswith(b"BZh"):
        return "bzip2", bz2.open(raw)
    if head.startswith(b"\xfd7zXZ\0"):
        return "xz", lzma.open(raw)
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        import pyarrow

        return "Zstandard", io.BufferedReader(pyarrow.CompressedInputStream(raw, "zstd"), 2**16)
    for magic, name in ((b"PK\3\4", "a zip archive: unpack it"), (b"\x89HDF", "an HDF5 file"), (b"PAR1", "Parquet")):
        if head.startswith(magic):
            raise UserError(f"{path}: not a text file, but {name}")
    return "", raw


def _ended(path: Path, line: int, text: bytes, before: bytes) -> bytes:
    """The last lines of a file with the missing final newline, unless the last number is shorter than the one above it:
    if the file was truncated within that number, its value is wrong."""
    *above, last = text.rsplit(b"\n", 2)
    number = line + text.count(b"\n")
    value, value_above = (_last_field(one) for one in (last, above[-1] if above else before))
    if is_number(value_above) and len(value) < len(value_above):
        raise UserError(
            f"{path}: truncated: line {number}, the last, does not end, and its last value {shown(value)!r} "
            f"is shorter than {shown(value_above)!r} above it. If the file is complete, end it with a newline"
        )
    return text + b"\n"


def _last_field(line: bytes) -> str:
    words = re.split(rb"[\s,;]+", line.strip())
    return words[-1].strip(b"'\"").lstrip(b"+-").decode("utf-8", "replace")
