"""The HDF5 files of the top-quark tagging reference, tables as pandas writes them: reading and writing.

A file has a table under the key `table`, one row per jet: columns `E_0`, `PX_0`, `PY_0`, `PZ_0` to `PZ_199` of the
particles in GeV, by falling pT and padded with zeros, `truthE` to `truthPZ` of the top quark, 0 for QCD, `ttv`, the set
that the jet belongs to, which the file's name also gives, and `is_signal_new`, 1 for a top quark. pandas stores columns
of one type in a block: `/table/table` has `values_block_0` (804 float32) and `values_block_1` (2 int64), and their
names as a pickle, from which only lists and strings are read. A file without `is_signal_new` holds unlabelled jets.
"""

from __future__ import annotations

import pickle
import pickletools
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hepbench.benchmarks.base import Arrays, Events, UserError
from hepbench.benchmarks.formats.hdf5 import check_filters
from hepbench.benchmarks.formats.refusal import (
    as_float32,
    binary_labels,
    library_errors,
    refuse_beyond_memory,
    refuse_first,
    shown,
)

CLASSES = ("QCD", "top")
PARTICLES = 200
PARTICLE_COLUMNS = tuple(f"{axis}_{number}" for number in range(PARTICLES) for axis in ("E", "PX", "PY", "PZ"))
TRUTH = ("truthE", "truthPX", "truthPY", "truthPZ")
LABEL, PART = "is_signal_new", "ttv"
PARTS = {"train": 0, "val": 1, "test": 2}
"""Word in a file's name -> number in ids."""
TTV = {"train": 0, "test": 1, "val": 2}
"""In simulated files; in the official ones it is not read."""
IDS_OF_FILE = 10**9  # ids of the training, validation and test file begin at a multiple
CHUNK = 2048  # jets read at a time: 7 MB
SHARES = (0.6, 0.8)  # of each class, up to which simulated jets are of the training and the validation file
INCOMPLETE = "not a complete HDF5 file"


def read(paths: Sequence[Path]) -> Iterator[Events]:
    """Yields chunks with particles (n, 200, 4) float32 px, py, pz, E. The id is the row and the set by the file's name:
    training if it begins with neither val nor test. Raises UserError naming file and jet."""
    import h5py

    seen = dict.fromkeys(PARTS.values(), 0)
    for path in paths:
        part = PARTS[part_of(path)]
        with library_errors(path, INCOMPLETE):
            file = h5py.File(path, "r", locking="best-effort")
        with file:
            table, places, label = _opened(path, file)
            for start in range(0, len(table), CHUNK):
                with library_errors(path, f"jets from {start} cannot be read"):
                    rows = table[start : start + CHUNK]
                values = _columns(rows, places, PARTICLE_COLUMNS).reshape(-1, PARTICLES, 4)
                labels = None if label is None else rows[label[0]][:, label[1]]
                yield _checked(path, start, values, labels, part * IDS_OF_FILE + seen[part])
            seen[part] += len(table)


def part_of(path: Path) -> str:
    """ "train", "val" or "test", whichever the file's name begins with; else "train"."""
    name = path.name.casefold()
    return next((part for part in ("val", "test") if name.startswith(part)), "train")


def _opened(path: Path, file: Any) -> tuple[Any, dict[str, tuple[str, int]], tuple[str, int] | None]:
    """The table, the block and index of each column, and those of the label."""
    import h5py

    with library_errors(path, INCOMPLETE):
        table = file.get("table/table")
        there = ", ".join(file)
    if not isinstance(table, h5py.Dataset) or table.dtype.names is None or len(table.shape) != 1:
        raise UserError(f"{path}: no pandas table under the key 'table'; it has {shown(there) or 'nothing'}")
    places: dict[str, tuple[str, int]] = {}
    for block in table.dtype.names:
        if f"{block}_kind" in table.attrs and block != "index":
            kind = table.dtype[block]
            names = _names(path, block, table.attrs[f"{block}_kind"])
            if kind.base.kind not in "fiub" or kind.shape != (len(names),):
                raise UserError(f"{path}: {block} has type {shown(kind)}; expected {len(names)} numbers, one per name")
            twice = [name for name in names if name in places or names.count(name) > 1]
            if twice:
                raise UserError(f"{path}: several columns are called {twice[0]}")
            places |= {name: (block, place) for place, name in enumerate(names)}
    if missing := [name for name in PARTICLE_COLUMNS if name not in places]:
        raise UserError(f"{path}: no column {missing[0]!r}; expected E_0, PX_0, PY_0, PZ_0 to PZ_{PARTICLES - 1}")
    if not len(table):
        raise UserError(f"{path}: no events in it")
    _check_stored(path, table)
    return table, places, places.get(LABEL)


TEXTS = {
    *("STRING", "BINSTRING", "SHORT_BINSTRING"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
}
"""Pickle instructions that give a string."""

AROUND = {
    *("PROTO", "FRAME", "MARK", "EMPTY_LIST", "LIST", "APPEND", "APPENDS", "STOP"),
    *("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"),
}
"""The other instructions in the pickle of a list of strings."""


def _names(path: Path, block: str, given: Any) -> list[str]:
    """Names of a block's columns, a pickled list in pandas: its instructions are read, none is executed."""
    fault = f"the names of {block}'s columns are not a list of strings"
    names = []
    with library_errors(path, fault):
        for instruction, argument, _ in pickletools.genops(bytes(given)):
            if instruction.name in TEXTS:
                names.append(str(argument))
            elif instruction.name not in AROUND:
                raise UserError(f"{path}: {fault}: the pickle has the instruction {instruction.name}")
    return names


def _check_stored(path: Path, table: Any) -> None:
    """Rejects unavailable filters, rows that are declared but not stored, and chunks beyond the memory."""
    check_filters(path, "the table", table)
    with library_errors(path, "the table cannot be opened"):
        chunks = table.chunks
        stored = table.id.get_num_chunks() if chunks else table.id.get_storage_size()
        declared = -(-len(table) // chunks[0]) if chunks else table.nbytes
    if stored < declared:
        raise UserError(f"{path}: it declares {len(table):,} jets but holds fewer")
    if chunks:
        refuse_beyond_memory(path, "a chunk of the table", chunks[0] * table.dtype.itemsize)


def _columns(rows: np.ndarray, places: dict[str, tuple[str, int]], names: Sequence[str]) -> np.ndarray:
    """(n, columns) of these names, whichever blocks they are in."""
    blocks = {places[name][0] for name in names}
    if len(blocks) == 1:
        return np.asarray(rows[blocks.pop()][:, [places[name][1] for name in names]])
    return np.stack([rows[places[name][0]][:, places[name][1]] for name in names], axis=1)


def _checked(path: Path, start: int, values: np.ndarray, labels: np.ndarray | None, first: int) -> Events:
    refuse = partial(refuse_first, path, "event", start)
    particles = as_float32(values[..., [1, 2, 3, 0]])
    refuse(~np.isfinite(particles).all(axis=(1, 2)), "NaN or infinity among the particles, or beyond float32")
    energy = particles[..., 3]
    refuse((energy < 0).any(axis=1), "negative energy")
    refuse(~(energy > 0).any(axis=1), "a jet without particles")
    pt = np.hypot(particles[..., 0], particles[..., 1])
    refuse(((energy > 0) != (pt > 0)).any(axis=1), "a particle with an energy but no pT, or vice versa")
    momentum = np.hypot(pt.astype(np.float64), particles[..., 2])
    refuse((momentum > 1.01 * energy + 0.01).any(axis=1), "a particle with more momentum than energy")
    order = np.argsort(-pt, axis=1, kind="stable")
    particles = np.take_along_axis(particles, order[..., None], axis=1)
    known = None if labels is None else binary_labels(refuse, labels, LABEL)
    return Events({"particles": particles}, known, first + start + np.arange(len(values), dtype=np.int64))


def write(folder: Path, counts: Sequence[int], chunks: Iterator[tuple[int, Arrays]]) -> list[Path]:
    """The three files, 60, 20 and 20 % of each class, which pandas.read_hdf reads like the official ones."""
    import h5py

    paths = [folder / f"{part}_simulated.h5" for part in PARTS]
    edges = [np.round(count * np.array(SHARES)) for count in counts]
    made = [0] * len(counts)
    files = [h5py.File(path, "w", locking="best-effort") for path in paths]
    try:
        tables = [_created(file) for file in files]
        for label, arrays in chunks:
            number = made[label] + np.arange(len(arrays["particles"]))
            made[label] += len(number)
            part = np.searchsorted(edges[label], number, side="right")
            for code, (name, table) in enumerate(zip(PARTS, tables, strict=True)):
                _append(table, {key: array[part == code] for key, array in arrays.items()}, label, TTV[name])
    finally:
        for file in files:
            file.close()
    return paths


def _created(file: Any) -> Any:
    """An empty table with all attributes that pandas and PyTables require."""
    blocks = {"values_block_0": (*PARTICLE_COLUMNS, *TRUTH), "values_block_1": (PART, LABEL)}
    kinds = {"values_block_0": "f4", "values_block_1": "i8"}
    row = np.dtype([("index", "<i8"), *((name, f"<{kinds[name]}", (len(of),)) for name, of in blocks.items())])

    def pickled(value: Any) -> np.bytes_:
        return np.bytes_(pickle.dumps(value, protocol=0))

    def texts(attributes: Any, **values: str) -> None:
        for name, value in values.items():
            kind = h5py.string_dtype("utf-8", max(1, len(value)))  # which PyTables reads as a string, others as bytes
            attributes.create(name, value if value else h5py.Empty(kind), dtype=kind)

    import h5py

    texts(file.attrs, CLASS="GROUP", PYTABLES_FORMAT_VERSION="2.1", TITLE="", VERSION="1.0")
    group = file.create_group("table")
    texts(group.attrs, CLASS="GROUP", TITLE="", VERSION="1.0", encoding="UTF-8", errors="strict")
    texts(group.attrs, pandas_type="frame_table", pandas_version="0.15.2", table_type="appendable_frame")
    group.attrs["levels"] = 1
    group.attrs["data_columns"] = pickled([])
    group.attrs["index_cols"] = pickled([(0, "index")])
    group.attrs["info"] = pickled({1: {"names": [None], "type": "Index"}, "index": {}})
    group.attrs["nan_rep"] = pickled("nan")
    group.attrs["non_index_axes"] = pickled([(1, [name for of in blocks.values() for name in of])])
    group.attrs["values_cols"] = pickled(list(blocks))
    table = group.create_dataset(
        "table", (0,), dtype=row, maxshape=(None,), chunks=(256,), compression="gzip", shuffle=True
    )
    texts(table.attrs, CLASS="TABLE", TITLE="", VERSION="2.7", index_kind="integer")
    for number, name in enumerate(row.names or ()):
        texts(table.attrs, **{f"FIELD_{number}_NAME": name})
        table.attrs[f"FIELD_{number}_FILL"] = np.zeros((), row[name].base)
    for name, of in blocks.items():
        table.attrs[f"{name}_kind"] = pickled(list(of))
        texts(table.attrs, **{f"{name}_dtype": {"f4": "float32", "i8": "int64"}[kinds[name]]})
        table.attrs[f"{name}_meta"] = pickled(None)
    table.attrs["NROWS"] = 0
    return table


def _append(table: Any, arrays: Arrays, label: int, ttv: int) -> None:
    particles, truth = arrays["particles"], arrays["truth"]
    first, count = len(table), len(particles)
    rows = np.zeros(count, table.dtype)
    rows["index"] = first + np.arange(count)
    rows["values_block_0"][:, : 4 * PARTICLES] = particles[..., [3, 0, 1, 2]].reshape(count, 4 * PARTICLES)
    rows["values_block_0"][:, 4 * PARTICLES :] = truth[:, [3, 0, 1, 2]]
    rows["values_block_1"] = ttv, label
    table.resize((first + count,))
    table[first:] = rows
    table.attrs["NROWS"] = first + count
