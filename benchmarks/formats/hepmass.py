"""The CSV files of HEPMASS, plain or gzipped: reading and writing.

A header, then a line an event of 29 comma-separated numbers: `# label` (1 signal, 0 background), `f0` to `f26`, which
are VARIABLES less their mean over their standard deviation, and `mass` in GeV. The official files write every number
with 18 decimals, some 740 bytes a line. A file without the column `# label` holds events without labels.
"""

from __future__ import annotations

import csv
import gzip
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from hepbench.benchmarks.base import Arrays, Events, UserError
from hepbench.benchmarks.formats.refusal import refuse_first

CLASSES = ("background", "signal")
MASSES = (500, 750, 1000, 1250, 1500)  # GeV
VARIABLES = (
    *("lepton_pt", "lepton_eta", "lepton_phi", "missing_pt", "missing_phi", "jets"),
    *(f"jet{jet}_{variable}" for jet in (1, 2, 3, 4) for variable in ("pt", "eta", "phi", "b_tag")),
    *("m_jj", "m_jjj", "m_lv", "m_jlv", "m_wwbb"),
)
"""Columns f0 to f26, as 1601.07913 describes them: momenta of the lepton, of what is missing and of the four hardest
jets, and the masses of the combinations that are W, t, W, t and X."""

COLUMNS = ("# label", *(f"f{i}" for i in range(27)), "mass")
ID_OF_CLASS = 10**9  # ids of a class in a file begin at a multiple: training file 0 and 1, test file 2 and 3
BLOCK = 2**22  # bytes of text parsed at a time: some 5,700 official rows
PARSERS = 2  # blocks parsed at once, beside the thread that decompresses

Parsed = tuple[np.ndarray, np.ndarray, np.ndarray | None]
"""Features (n, 27), mass (n, 1) and labels (n,)."""


def read(paths: Sequence[Path]) -> Iterator[Events]:
    """Yields chunks with features (n, 27) float32 and mass (n, 1) float32 of .csv or .csv.gz files, row by row.

    The mass is rounded to GeV, since the official file holds 499.999969 for 500. An id tells the file, training or test
    by its name, the class, and the number within these; of events without labels the number alone. Raises UserError
    naming file and line.
    """
    seen: dict[int, int] = {}
    unlabelled = 0
    for path in paths:
        path = Path(path)
        first = 2 * ("test" in path.name)
        rows = 0
        for features, mass, labels in _parsed(path):
            rows += len(mass)
            if labels is None:
                ids = np.arange(unlabelled, unlabelled + len(mass))
                unlabelled += len(mass)
                yield Events({"features": features, "mass": mass}, None, ids)
                continue
            ids = np.empty(len(labels), np.int64)
            for label in (0, 1):
                of_class = labels == label
                start = seen.get(first + label, 0)
                count = int(of_class.sum())
                ids[of_class] = (first + label) * ID_OF_CLASS + start + np.arange(count)
                seen[first + label] = start + count
            yield Events({"features": features, "mass": mass}, labels, ids)
        if not rows:
            raise UserError(f"{path}: no events in it")


def _parsed(path: Path) -> Iterator[Parsed]:
    """Features, mass and labels of each block, in file order. One thread decompresses and PARSERS parse."""
    with ThreadPoolExecutor(PARSERS) as pool:
        waiting: deque[Future[Parsed]] = deque()
        try:
            for line, columns, block in _blocks(path):
                waiting.append(pool.submit(_parse, path, line, columns, block))
                if len(waiting) > PARSERS:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _blocks(path: Path) -> Iterator[tuple[int, tuple[str, ...], memoryview]]:
    """Number of the first line, columns and text of each block of whole lines after the header."""
    line, rest = 1, b""
    columns = COLUMNS
    for text in _texts(path):
        text = rest + text
        start = 0
        if line == 1:
            start = text.find(b"\n") + 1
            if not start:
                rest = text
                continue
            columns = _columns(path, text[:start])
            line = 2
        end = text.rfind(b"\n") + 1
        if end > start:
            yield line, columns, memoryview(text)[start:end]
            line += text.count(b"\n", start, end)
        rest = text[end:]
    if line == 1 and not rest:
        raise UserError(f"{path}: empty file")
    if line == 1:
        _columns(path, rest)
    elif rest:
        raise UserError(f"{path}: truncated: line {line}, the last, has no end")


def _columns(path: Path, header: bytes) -> tuple[str, ...]:
    """Those that the header names: all, or all but the label."""
    names = tuple(name.strip() for name in header.decode("ascii", "replace").split(","))
    if names not in (COLUMNS, COLUMNS[1:]):
        text = ",".join(names)
        shown = text if len(text) <= 60 else f"{text[:60]}..."
        raise UserError(f"{path}: line 1 is {shown!r}; expected the 29 columns '# label', f0 to f26, mass")
    return names


def _texts(path: Path) -> Iterator[bytes]:
    """The file's text in pieces, decompressed if its name ends in .gz: by igzip, in a third of zlib's time. It checks
    length and checksum of each member of the stream, and that it ends."""
    from isal import igzip, isal_zlib

    try:
        with igzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:  # type: ignore[no-untyped-call]
            while text := file.read(BLOCK):
                yield text
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (OSError, EOFError, isal_zlib.error) as error:  # type: ignore[misc]
        raise UserError(f"{path}: not a whole gzip file ({error})") from None


def _parse(path: Path, line: int, names: tuple[str, ...], block: memoryview) -> Parsed:
    import pyarrow
    from pyarrow import csv as arrow

    try:
        table = arrow.read_csv(
            pyarrow.py_buffer(block),
            read_options=arrow.ReadOptions(use_threads=False, block_size=len(block) + 1, column_names=list(names)),
            parse_options=arrow.ParseOptions(quote_char=False, ignore_empty_lines=False),
            convert_options=arrow.ConvertOptions(
                column_types=dict.fromkeys(names, pyarrow.float32()), null_values=[], strings_can_be_null=False
            ),
        )
    except pyarrow.ArrowInvalid as error:
        raise _first_fault(path, line, names, block) or UserError(f"{path}: after line {line}: {error}") from None
    columns = [column.to_numpy() for column in table.columns]
    *labels, features, mass = *columns[:-28], np.stack(columns[-28:-1], axis=1), np.round(columns[-1])
    refuse = partial(refuse_first, path, "line", line)
    refuse(~np.isfinite(columns).all(axis=0), "NaN or infinity")
    for label in labels:
        refuse((label != 0) & (label != 1), "label outside {0, 1}")
    refuse(mass < 1, "mass below 1 GeV")
    return features, mass[:, None], labels[0].astype(np.int64) if labels else None


def _first_fault(path: Path, line: int, names: tuple[str, ...], block: memoryview) -> UserError | None:
    """The first line of a block that is not as many numbers as there are columns."""
    for number, row in enumerate(bytes(block).splitlines(), line):
        fields = row.split(b",")
        if len(fields) != len(names):
            return UserError(f"{path}: line {number}: {len(fields)} columns; expected {len(names)}")
        for name, field in zip(names, fields, strict=True):
            try:
                float(field)
            except ValueError:
                shown = field[:40].decode("ascii", "replace")
                return UserError(f"{path}: line {number}: {name} is {shown!r}, not a number")
    return None


def plain_read(paths: Sequence[Path]) -> Iterator[Events]:
    """The same by the csv module and a loop over rows, without the refusals."""
    seen: dict[int, int] = {}
    for path in paths:
        first = 2 * ("test" in path.name)
        features, mass, labels, ids = [], [], [], []
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
            rows = csv.reader(file)
            next(rows)
            for row in rows:
                label = int(float(row[0]))
                labels.append(label)
                features.append([float(value) for value in row[1:28]])
                mass.append([round(float(row[28]))])
                ids.append((first + label) * ID_OF_CLASS + seen.get(first + label, 0))
                seen[first + label] = seen.get(first + label, 0) + 1
        arrays = {"features": np.array(features, np.float32), "mass": np.array(mass, np.float32)}
        yield Events(arrays, np.array(labels), np.array(ids))


def write(folder: Path, counts: Sequence[int], chunks: Iterable[tuple[int, Arrays]]) -> list[Path]:
    """One file with the header, the columns and the number format of the official training file."""
    path = folder / "all_train_simulated.csv.gz"
    with path.open("wb") as raw, gzip.GzipFile("", "wb", compresslevel=6, fileobj=raw, mtime=0) as file:
        file.write((",".join(COLUMNS) + "\n").encode())
        for label, arrays in chunks:
            labels = np.full((len(arrays["mass"]), 1), label)
            np.savetxt(file, np.hstack([labels, arrays["features"], arrays["mass"]]), fmt="%.18e", delimiter=",")
    return [path]
