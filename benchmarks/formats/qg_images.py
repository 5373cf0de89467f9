"""The Parquet files of quark and gluon images: reading and writing.

One row per jet: `X_jets` list<list<list<double>>> (3, 125, 125), axes channel, eta and phi, in GeV: pT of tracks,
energy in ECAL, energy in HCAL, where each tower is 5x5 pixels with a 25th of its energy each; `pt` and `m0` of the jet
in GeV; `y`, quark 1, gluon 0, absent for unlabelled jets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hepbench.benchmarks.base import Arrays, Events, UserError
from hepbench.benchmarks.formats.refusal import (
    as_float32,
    binary_labels,
    library_errors,
    refuse_beyond_memory,
    refuse_first,
    shown,
)
from hepbench.benchmarks.formats.sparse_images import Sparse

CLASSES = ("gluon", "quark")
CHANNELS = ("tracks", "ECAL", "HCAL")
SIZE, BLOCK = 125, 5  # pixels of an image and of an HCAL tower
COLUMNS = ("X_jets", "pt", "m0", "y")
CHUNK = 64  # jets read at a time: 24 MB as doubles
SUPPRESSED = 1e-3  # GeV
UNEVEN = 0.1  # maximum fraction of HCAL pixels that differ from their block; above it, it is another channel
ID_OF_CLASS, ID_OF_FILE = 10**12, 10**9
ROW_GROUP = 20  # jets
PIXELS = 3 * SIZE * SIZE  # of a jet
MOST_DECLARED = 2  # times the expected number: smaller excesses are reported by event


def read(paths: Sequence[Path]) -> Iterator[Events]:
    """Yields chunks with image (n, 125, 125, 3), a Sparse; context (n, 2) float32, pt and m0; ids counted within
    class and file, or within an unlabelled file."""
    runs = [re.search(r"_run(\d+)_", path.name) for path in paths]
    numbers = [int(run[1]) for run in runs if run]
    if len(set(numbers)) < len(paths):
        numbers = list(range(len(paths)))
    for path, number in zip(paths, numbers, strict=True):
        yield from _read_file(path, number)


def _read_file(path: Path, number: int) -> Iterator[Events]:
    import pyarrow.parquet

    with library_errors(path, "not a complete Parquet file"):
        file = pyarrow.parquet.ParquetFile(path)
    with file:
        with library_errors(path, "not a complete Parquet file"):
            schema, metadata = file.schema_arrow, file.metadata
        names = _columns(path, schema)
        if not metadata.num_rows:
            raise UserError(f"{path}: no events in it")
        with library_errors(path, "not a complete Parquet file"):
            groups = [metadata.row_group(group) for group in range(metadata.num_row_groups)]
            largest = max(group.total_byte_size for group in groups)
            pixels = [_pixels_declared(group) for group in groups]
        refuse_beyond_memory(path, "a row group", largest)
        for group, declared in zip(groups, pixels, strict=True):
            if declared > MOST_DECLARED * PIXELS * group.num_rows:  # a few bytes may encode any number of equal values
                raise UserError(
                    f"{path}: a row group declares {declared:,} pixels in X_jets for {group.num_rows:,} events; "
                    f"expected {PIXELS:,} per event"
                )
        start, seen = 0, [0, 0]
        batches = file.iter_batches(CHUNK, columns=names)
        while True:
            with library_errors(path, f"events from {start} cannot be read"):
                batch = next(batches, None)
                if batch is None:
                    return
                columns = dict(zip(batch.schema.names, batch.columns, strict=True))
            yield _events(path, start, number, columns, seen)
            start += batch.num_rows


def _pixels_declared(group: Any) -> int:
    """Number of values in X_jets of a row group, by its metadata."""
    columns = map(group.column, range(group.num_columns))
    return sum(int(one.num_values) for one in columns if one.path_in_schema.partition(".")[0] == "X_jets")


def plain_read(paths: Sequence[Path]) -> Iterator[Events]:
    """The same events as lists, jet by jet, without checks or suppression: the baseline for the speed of `read`."""
    import pyarrow.parquet

    row = 0
    for path in paths:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(CHUNK):
                for jet in batch.to_pylist():
                    image = np.array(jet["X_jets"], np.float32).transpose(1, 2, 0)
                    arrays = {"image": image[None], "context": np.array([[jet["pt"], jet["m0"]]], np.float32)}
                    yield Events(arrays, np.array([jet["y"]]).astype(np.int64), np.array([row]))
                    row += 1


def _columns(path: Path, schema: Any) -> list[str]:
    """Those of COLUMNS to be read: all, or all but the label if the file has none."""
    from pyarrow import types

    names = [name for name in COLUMNS if name != "y" or name in schema.names]
    for name in names:
        if schema.names.count(name) != 1:
            there = f"{schema.names.count(name)} columns" if name in schema.names else "no column"
            raise UserError(f"{path}: {there} {name!r}; it has {shown(', '.join(schema.names)) or 'nothing'}")
        given = inner = schema.field(name).type
        depth = 0
        while _is_list(inner):
            inner, depth = inner.value_type, depth + 1
        number = types.is_floating(inner) or types.is_decimal(inner)
        if name != "X_jets":
            number = number or types.is_integer(inner) or types.is_boolean(inner)
        if depth != (3 if name == "X_jets" else 0) or not number:
            expected = "list<list<list<double>>>" if name == "X_jets" else "double"
            raise UserError(f"{path}: column {name} is {shown(given, 200)}; expected {expected}")
    return names


def _is_list(given: Any) -> bool:
    from pyarrow import types

    kinds = (types.is_list, types.is_large_list, types.is_fixed_size_list, types.is_list_view, types.is_large_list_view)
    return any(kind(given) for kind in kinds)


def _events(path: Path, start: int, number: int, columns: dict[str, Any], seen: list[int]) -> Events:
    pixels = _flattened(path, start, columns["X_jets"])  # (n, 3 * 125 * 125)
    pt, m0, *y = (_numbers(path, start, name, columns[name]) for name in COLUMNS[1:] if name in columns)
    refuse = partial(refuse_first, path, "event", start)
    lowest, highest = pixels.min(axis=1), pixels.max(axis=1)  # NaN where there is one
    refuse(~np.isfinite(lowest) | ~np.isfinite(highest), "NaN or infinity in X_jets")
    refuse(highest > np.finfo(np.float16).max, "a pixel above 65,504 GeV in X_jets")
    refuse(highest < SUPPRESSED, f"no pixel of {SUPPRESSED:g} GeV or more in X_jets")
    context = as_float32(np.stack([pt, m0], axis=1))
    refuse(~np.isfinite(context).all(axis=1), "NaN or infinity in pt or m0, or a number beyond float32")
    refuse(context[:, 0] <= 0, "pt not above 0")
    labels = binary_labels(refuse, y[0], "y") if y else None
    row, index = np.divmod(np.flatnonzero(pixels >= SUPPRESSED), pixels.shape[1])
    _check_blocks(path, pixels, row, index)
    arrays = {"image": _channels_last(pixels, row, index), "context": context}
    if labels is None:
        return Events(arrays, None, number * ID_OF_FILE + start + np.arange(len(pt)))
    ids = np.empty(len(labels), np.int64)
    for kind in (0, 1):
        of_kind = labels == kind
        count = int(of_kind.sum())
        ids[of_kind] = kind * ID_OF_CLASS + number * ID_OF_FILE + seen[kind] + np.arange(count)
        seen[kind] += count
    return Events(arrays, labels, ids)


def _flattened(path: Path, start: int, column: Any) -> np.ndarray:
    """(n, 3 * 125 * 125) view on Arrow's buffer of a column of three nested lists, each of a regular length."""
    rows = len(column)
    for length, axis in zip((3, SIZE, SIZE), ("channels", "rows", "pixels"), strict=True):
        if column.null_count:
            raise UserError(f"{path}: events from {start}: null in X_jets")
        with library_errors(path, f"events from {start} cannot be read"):
            lengths = np.asarray(column.value_lengths())
            column = column.flatten()
        if (lengths != length).any():
            which = int(np.argmax(lengths != length))
            event = start + which * rows // len(lengths)
            raise UserError(f"{path}: event {event}: {lengths[which]} {axis} in X_jets; expected {length}")
    return _numbers(path, start, "X_jets", column).reshape(rows, 3 * SIZE * SIZE)


def _numbers(path: Path, start: int, name: str, column: Any) -> np.ndarray:
    """(n,) floats of a column of numbers; for a column of floats a view on Arrow's buffer."""
    from pyarrow import types

    if column.null_count:
        raise UserError(f"{path}: events from {start}: null in {name}")
    with library_errors(path, f"events from {start}: {name} cannot be read"):
        floats = column if types.is_floating(column.type) else column.cast("double")
        return np.asarray(floats)


def _check_blocks(path: Path, pixels: np.ndarray, row: np.ndarray, index: np.ndarray) -> None:
    """Rejects images whose channel 2 does not consist of blocks of 5x5 equal pixels. row, index: the hits."""
    channel, pixel = np.divmod(index, SIZE * SIZE)
    across, down = np.divmod(pixel, SIZE)
    middle = (across // BLOCK * BLOCK + BLOCK // 2) * SIZE + down // BLOCK * BLOCK + BLOCK // 2
    unequal = pixels[row, index] != pixels[row, channel * SIZE * SIZE + middle]
    hits = np.bincount(channel, minlength=3)
    uneven = np.bincount(channel, unequal, minlength=3) / np.maximum(hits, 1)
    if uneven[2] <= UNEVEN:
        return
    with_blocks = [str(n) for n in (0, 1) if uneven[n] <= UNEVEN and hits[n]]
    seen = f"; those of channel {' and '.join(with_blocks)} do not" if with_blocks else ""
    raise UserError(
        f"{path}: {100 * uneven[2]:.0f} % of the pixels of channel 2 differ from the centre of their 5x5 block, so it "
        f"is not HCAL{seen}. Expected X_jets as (channel, eta, phi) with channels {', '.join(CHANNELS)}"
    )


def _channels_last(pixels: np.ndarray, row: np.ndarray, index: np.ndarray) -> Sparse:
    """Hits of (n, 3 * 125 * 125) images, channels first, as those of (n, 125, 125, 3). row, index: the hits."""
    channel, pixel = np.divmod(index, SIZE * SIZE)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(pixels)))])
    values = pixels[row, index].astype(np.float16)
    return Sparse(offsets, (3 * pixel + channel).astype(np.uint16), values, (SIZE, SIZE, 3))


def write(folder: Path, counts: Sequence[int], chunks: Iterator[tuple[int, Arrays]]) -> list[Path]:
    """One file in the official format, by row groups."""
    import pyarrow
    import pyarrow.parquet

    path = folder / f"QCDToGGQQ_IMGjet_RH1all_jet0_run0_n{sum(counts)}.test.snappy.parquet"
    image = pyarrow.list_(pyarrow.list_(pyarrow.list_(pyarrow.float64())))
    schema = pyarrow.schema([("X_jets", image), *((name, pyarrow.float64()) for name in COLUMNS[1:])])
    with pyarrow.parquet.ParquetWriter(path, schema, compression="snappy") as writer:
        for label, arrays in chunks:
            for start in range(0, len(arrays["pt"]), ROW_GROUP):
                part = {name: array[start : start + ROW_GROUP] for name, array in arrays.items()}
                count = len(part["pt"])
                column = pyarrow.array(dense(part["index"], part["values"]).reshape(-1))
                for length in (SIZE, SIZE, 3):
                    offsets = np.arange(0, len(column) + 1, length, dtype=np.int32)
                    column = pyarrow.ListArray.from_arrays(offsets, column)
                scalars = [part["pt"], part["m0"], np.full(count, label)]
                columns = [column, *(pyarrow.array(values.astype(np.float64)) for values in scalars)]
                writer.write_table(pyarrow.table(columns, schema=schema))
    return [path]


def dense(index: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(n, 3, 125, 125) float64 images of padded hits from `benchmarks.simulation.qg_images.generate`, where an HCAL
    tower's energy is in the centre of its block: here it is spread over the block."""
    events, width = len(index), 3 * SIZE * SIZE
    flat = (index + np.arange(events)[:, None] * width).ravel()
    image = np.bincount(flat, values.ravel(), minlength=events * width).astype(np.float32)
    image = image.reshape(events, 3, SIZE, SIZE)
    middle = slice(BLOCK // 2, None, BLOCK)
    shared = image[:, 2, middle, middle] / np.float32(BLOCK**2)
    image[:, 2] = shared.repeat(BLOCK, axis=1).repeat(BLOCK, axis=2)
    return image.astype(np.float64)
