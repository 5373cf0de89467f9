"""Declaration of the contents of a group's own text files by particle type, stored next to them.

`layout.toml` in the folder of the files has one line for each type whose file is not `<kind>.txt` with only the numbers
(`Pion.txt` and `pion.txt.gz` also count as such):

    background = {file = "monopol_bg_9x9.txt", first_column = 1, only_where_zero = 0}
    monopole = {file = "monopol_bg_9x9.txt", first_column = 1, skip_where_zero = 0}
    pion = {file = "pions.txt", first_column = 2}

file: its name. columns: numbers of the columns to use, in order, counted from 0; or first_column, if they are
consecutive: a line may have others, before and after them. only_where_zero, skip_where_zero: number of a column; only
lines where it is 0, or where it is not, are used, so that one file may hold two types.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hepbench.benchmarks.base import UserError, check_known
from hepbench.benchmarks.formats import text_table
from hepbench.benchmarks.formats.text import find, plain_name

DECLARATION = "layout.toml"
ID_OF_KIND = 10**9  # ids of the kind of number k begin at k times this
KEYS = ("file", "columns", "first_column", "only_where_zero", "skip_where_zero")


@dataclass(frozen=True)
class Part:
    """Location of a particle type. columns: None if lines have no others; only_where_zero, skip_where_zero: None if all
    lines are of this type."""

    kind: str
    file: str
    columns: tuple[int, ...] | None = None
    only_where_zero: int | None = None
    skip_where_zero: int | None = None


@dataclass(frozen=True)
class Rows:
    """Lines of a file that are of one particle type, "" if unknown.

    ids: (n,) int64, the index of the type times ID_OF_KIND, plus the row within the type. lines: (n,) line numbers,
    from 1. columns: (width,) column numbers in the file, from 0. values: (n, width) float64.
    """

    kind: str
    ids: np.ndarray
    path: Path
    lines: np.ndarray
    columns: np.ndarray
    values: np.ndarray

    def place(self, bad: np.ndarray) -> str:
        """File, line and column of the first of bad (n, width)."""
        row, column = np.argwhere(bad)[0]
        return f"{self.path}, line {self.lines[row]}, column {self.columns[column]} (counted from 0)"


def parts_of(folder: Path, kinds: Sequence[str], width: int) -> dict[str, Part]:
    """Particle type -> its location, by the folder's declaration, or `<kind>.txt` where it says nothing. UserError for
    an invalid declaration."""
    path = folder / DECLARATION
    found = {kind: Part(kind, f"{kind}.txt") for kind in kinds}
    if not path.is_file():
        return found
    try:
        text = path.read_text(encoding="utf-8")
        declared = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not TOML ({error})") from None
    for kind, given in declared.items():
        where = f"{path}, line {_line_of(text, kind)}"
        try:
            check_known("particle type", kind, kinds)
            found[kind] = _part(kind, given, width)
        except UserError as error:
            raise UserError(f"{where}: {error}") from None
    for kind, part in found.items():
        for other in found.values():
            same = plain_name(other.file) == plain_name(part.file)
            if same and other.kind != kind and not _apart(part, other):
                raise UserError(
                    f"{path}: {kind} and {other.kind} are the same lines of {part.file}: distinguish them with "
                    "only_where_zero for the one and skip_where_zero for the other, both with the same column"
                )
    return found


def files_of(
    folder: Path, classes: Sequence[str], kinds: Sequence[str], width: int, of_study: Mapping[str, str]
) -> list[Path] | None:
    """The files with these classes, preceded by the declaration if there is one; None if a class is not declared and
    has no `<kind>.txt`, in upper or lower case and compressed or not.

    of_study: particle type -> the line that declares it for a file named as in the study. UserError if such a file
    exists without a declaration, and for a declared file that does not exist.
    """
    declaration = folder / DECLARATION
    parts = parts_of(folder, kinds, width)
    there = {kind: find(folder, parts[kind].file) for kind in classes}
    missing = [kind for kind, path in there.items() if path is None]
    found = list(dict.fromkeys(path for path in there.values() if path is not None))
    if not declaration.is_file():
        lines = [f"`{line}`" for line in of_study.values() if (folder / line.split('"')[1]).is_file()]
        if missing and lines:
            raise UserError(
                f"{folder} has files named as in the pixel study, without a declaration of their contents: write "
                f"{DECLARATION} next to them with the line{'s' * (len(lines) > 1)} {' and '.join(lines)}"
            )
        return None if missing else found
    for kind in missing:
        if parts[kind] != Part(kind, f"{kind}.txt"):
            raise UserError(f"{declaration}: {kind} is declared to be in {parts[kind].file}, which does not exist")
    return None if missing else [declaration, *found]


def read(
    paths: Sequence[Path], classes: Sequence[str], kinds: Sequence[str], width: int, names: Sequence[str] = ()
) -> Iterator[Rows]:
    """The lines of the classes in these files, `width` numbers each, with these column names; declarations among the
    paths are skipped, as are other particle types. A file neither named after a type nor declared is read as lines of
    only the numbers, unlabelled. Raises UserError if nothing is left."""
    seen = dict.fromkeys((*kinds, ""), 0)
    for path in paths:
        if path.name == DECLARATION:
            continue
        name = plain_name(path.name)
        parts = [part for part in parts_of(path.parent, kinds, width).values() if plain_name(part.file) == name]
        for part in parts or [Part("", path.name)]:
            if part.kind and part.kind not in classes:
                continue
            columns = np.arange(width) if part.columns is None else np.array(part.columns)
            for lines, values in _lines(path, part, width, names):
                first = kinds.index(part.kind) * ID_OF_KIND if part.kind else 0
                ids = first + seen[part.kind] + np.arange(len(lines), dtype=np.int64)
                seen[part.kind] += len(lines)
                yield Rows(part.kind, ids, path, lines, columns, values)
    if not any(seen.values()):
        raise UserError(f"{', '.join(map(str, paths))}: none of the requested particle types, {', '.join(classes)}")


def _lines(path: Path, part: Part, width: int, names: Sequence[str]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Line numbers of a part, and the values in its columns."""
    if part.columns is None:
        yield from text_table.read(path, width, names=names)
        return
    selector = part.only_where_zero if part.skip_where_zero is None else part.skip_where_zero
    found = False
    for lines, values in text_table.read(path, width, part.columns if selector is None else (*part.columns, selector)):
        taken = np.ones(len(lines), bool)
        if selector is not None:
            taken = (values[:, -1] == 0) == (part.skip_where_zero is None)
        if taken.any():
            found = True
            yield lines[taken], values[taken, :width]
    if not found:
        zero = "0" if part.skip_where_zero is None else "other than 0"
        raise UserError(f"{path}: no {part.kind} in it: column {selector} (counted from 0) is never {zero}")


def _part(kind: str, given: Any, width: int) -> Part:
    """The part that a declaration gives for a type; UserError without file and line."""
    if not isinstance(given, dict):
        raise UserError(f'{kind} must be a table such as {{file = "{kind}.txt", first_column = 1}}, got {given!r}')
    for key in given:
        check_known(f"key of {kind}", key, KEYS)
    file = given.get("file", f"{kind}.txt")
    if not isinstance(file, str) or Path(file).name != file or file == DECLARATION:
        raise UserError(f"file of {kind} must be the name of a file in the same folder, got {file!r}")
    columns = given.get("columns")
    if "first_column" in given:
        if columns is not None:
            raise UserError(f"{kind} has columns and first_column: give one of the two")
        first = _column(kind, "first_column", given["first_column"])
        columns = list(range(first, first + width))
    if not isinstance(columns, list | None):
        raise UserError(f"columns of {kind} must be a list of {width} numbers, got {columns!r}")
    if columns is not None:
        columns = [_column(kind, "columns", column) for column in columns]
        if len(columns) != width or len(set(columns)) != width:
            raise UserError(f"columns of {kind} must be {width} different numbers, got {len(set(columns))}")
    selecting = [key for key in ("only_where_zero", "skip_where_zero") if key in given]
    if len(selecting) > 1:
        raise UserError(f"{kind} has only_where_zero and skip_where_zero: give one of the two")
    selectors = {key: _column(kind, key, given[key]) for key in selecting}
    if selectors and columns is None:
        columns = list(range(width))
    return Part(kind, file, None if columns is None else tuple(columns), **selectors)


def _column(kind: str, key: str, given: Any) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or given < 0:
        raise UserError(f"{key} of {kind} must be the number of a column, counted from 0, got {given!r}")
    return given


def _apart(one: Part, other: Part) -> bool:
    """Whether no line can belong to both."""
    pairs = ((one.only_where_zero, other.skip_where_zero), (one.skip_where_zero, other.only_where_zero))
    return any(only is not None and only == skip for only, skip in pairs)


def _line_of(text: str, kind: str) -> int:
    """Number of the line that declares a type, from 1."""
    begins = re.compile(rf"""\s*\[?\s*["']?{re.escape(kind)}["']?\s*[].=]""")
    return next((number for number, line in enumerate(text.splitlines(), 1) if begins.match(line)), 1)
