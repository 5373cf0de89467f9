"""Named columns of a user's own files as numpy arrays: ROOT, Parquet, HDF5, NumPy's npz, and text with a header.

def read(paths):
    for ids, chunk in columns(paths, ("pt1", "pt2", "label", "weight")):
        table = np.column_stack([chunk["pt1"], chunk["pt2"]])
        yield Events({"table": table}, chunk["label"], ids, chunk["weight"])
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hepbench.benchmarks.base import UserError, check_known
from hepbench.benchmarks.formats import root_tree
from hepbench.benchmarks.formats import text as text_file
from hepbench.benchmarks.formats.hdf5 import check_filters
from hepbench.benchmarks.formats.refusal import library_errors

CHUNK = 20_000
"""Events per chunk."""

Chunks = Iterator[dict[str, np.ndarray]]


def columns(
    paths: Sequence[Path], names: Sequence[str], *, tree: str = "", padded: int = 0, chunk: int = CHUNK
) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """Named columns of the files in their order, a chunk of events at a time: (ids, name -> array).

    The format is recognised by a file's content, not its name: branches of a TTree or fields of an RNTuple; columns of
    Parquet; datasets of HDF5, or fields of one; arrays of npz; columns of text with a header, separated by commas,
    semicolons or tabs, compressed or not, in which an empty field or nan is NaN.

    tree: name of the tree in each ROOT file, or of the group or the dataset of fields in an HDF5 file; "": the only one
    in the file. padded: for columns with one number per particle, as in ROOT and Parquet: the first so many of an event
    are kept, padded with zeros; 0: there are no such columns.

    ids: (n,) int64, the index of the event over all files. Arrays: (n,) for one number per event, (n, padded) for one
    per particle, (n, ...) for columns of fixed shape, with the type in the file, float64 for text. Raises UserError
    naming file and fault for damaged files, a missing tree or column, and columns without numbers.
    """
    first = 0
    for path in paths:
        for arrays in _reader_of(path)(path, tuple(names), tree, padded, chunk):
            lengths = {name: len(array) for name, array in arrays.items()}
            count = next(iter(lengths.values()))
            if other := [name for name, length in lengths.items() if length != count]:
                raise UserError(
                    f"{path}: {names[0]} has {count:,} events and {other[0]} {lengths[other[0]]:,}; they must be equal"
                )
            yield np.arange(first, first + count), arrays
            first += count


def _reader_of(path: Path) -> Callable[[Path, tuple[str, ...], str, int, int], Chunks]:
    with library_errors(path, "cannot be read"), path.open("rb") as file:
        head = file.read(8)
    for magic, reader in KINDS.items():
        if head.startswith(magic):
            return reader
    return _of_text


def _of_parquet(path: Path, names: tuple[str, ...], tree: str, padded: int, chunk: int) -> Chunks:
    import awkward as ak
    import pyarrow.parquet as pq
    import pyarrow.types as kinds

    fault = "not a Parquet file, or a damaged one"
    with library_errors(path, fault), pq.ParquetFile(path) as file:
        _check(path, names, file.schema_arrow.names)
        for batch in file.iter_batches(chunk, columns=list(names)):
            found = {}
            for name in names:
                column = batch.column(name)
                if kinds.is_floating(column.type):
                    found[name] = column.to_numpy(zero_copy_only=False)  # NaN where there is none
                else:
                    found[name] = root_tree.dense(f"{path}: {name}", ak.from_arrow(column), padded)
            yield found


def _of_hdf5(path: Path, names: tuple[str, ...], tree: str, padded: int, chunk: int) -> Chunks:
    import h5py

    fault = "not an HDF5 file, or a damaged one"
    with library_errors(path, fault), h5py.File(path) as file:
        where = _group_of(path, file, tree)
        _check(path, names, list(where.dtype.names or ()) if isinstance(where, h5py.Dataset) else list(where))
        if isinstance(where, h5py.Dataset):
            check_filters(path, where.name, where)
            for start in range(0, len(where), chunk):
                rows = where[start : start + chunk]
                yield {name: _numbers(path, name, rows[name]) for name in names}
            return
        if groups := [name for name in names if not isinstance(where[name], h5py.Dataset) or not where[name].shape]:
            raise UserError(f"{path}: {groups[0]}: expected a dataset with one row per event")
        for name in names:
            check_filters(path, name, where[name])
        for start in range(0, max(len(where[name]) for name in names), chunk):
            yield {name: _numbers(path, name, where[name][start : start + chunk]) for name in names}


def _group_of(path: Path, file: Any, wanted: str) -> Any:
    """The group of datasets, or the dataset of fields, of this name; "": the only one at the top, or the top."""
    import h5py

    if wanted:
        if wanted not in file:
            check_known(f"group of {path}", wanted, list(file))
        return file[wanted]
    inner = [one for one in file.values() if isinstance(one, h5py.Group) or one.dtype.names]
    return inner[0] if len(inner) == len(file) == 1 else file


def _of_npz(path: Path, names: tuple[str, ...], tree: str, padded: int, chunk: int) -> Chunks:
    with library_errors(path, "not an npz file, or a damaged one"), np.load(path, allow_pickle=False) as file:
        _check(path, names, file.files)
        arrays = {name: _numbers(path, name, file[name]) for name in names}
    for start in range(0, max(map(len, arrays.values())), chunk):
        yield {name: array[start : start + chunk] for name, array in arrays.items()}


def _of_text(path: Path, names: tuple[str, ...], tree: str, padded: int, chunk: int) -> Chunks:
    header: tuple[str, list[str]] | None = None
    for line, text in text_file.blocks(path):
        start = 0
        while header is None and start < len(text):
            end = text.index(b"\n", start) + 1
            header = _header(path, line, text[start:end], names)
            start, line = end, line + 1
        if header and start < len(text):
            table = _rows_of(path, line, text[start:], *header, names)
            for row in range(0, len(table[names[0]]), chunk):
                yield {name: values[row : row + chunk] for name, values in table.items()}
    if not header:
        raise UserError(f"{path}: no header in it; expected column names, and rows of numbers")


def _header(path: Path, number: int, line: bytes, names: Sequence[str]) -> tuple[str, list[str]] | None:
    """(separator, lower-case names of the columns); None for an empty line or a comment. UserError if it is not a
    header, or a name is missing."""
    wanted = [name.casefold() for name in names]
    separator, found = text_file.names(line)
    comment = line.lstrip()[:1] in (b"#", b"%") and not set(wanted) & set(found)
    if comment or not any(found):
        return None
    if all(map(text_file.is_number, found)):
        raise UserError(f"{path}: line {number} has only numbers; expected a header with the column names")
    _check(path, wanted, found)
    return separator, found


def _rows_of(
    path: Path, line: int, text: bytes, separator: str, header: Sequence[str], names: Sequence[str]
) -> dict[str, np.ndarray]:
    """Name -> (n,) float64 from whole lines, the first of which has this number."""
    import pyarrow

    table = text_file.table(path, line, text, separator, header, dict.fromkeys(names, pyarrow.float64()))
    return {name: table[name].to_numpy() for name in names}


def _check(path: Path, names: Sequence[str], there: Sequence[str]) -> None:
    for name in names:
        check_known(f"column of {path}", name, there)
        if there.count(name) > 1:
            raise UserError(f"{path}: {there.count(name)} columns are called {name}: rename one")


def _numbers(path: Path, name: str, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "biuf" or not array.ndim:
        raise UserError(f"{path}: {name}: expected one number per event, got {array.dtype} of shape {array.shape}")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


KINDS: dict[bytes, Callable[[Path, tuple[str, ...], str, int, int], Chunks]] = {
    b"root": root_tree.read,
    b"PAR1": _of_parquet,
    b"\x89HDF\r\n\x1a\n": _of_hdf5,
    b"PK\3\4": _of_npz,
}
"""First bytes of a file -> its reader; all others are text."""
