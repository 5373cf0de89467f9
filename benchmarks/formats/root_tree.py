"""ROOT files: branches of a TTree, or fields of an RNTuple, as numpy arrays, by uproot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hepbench.benchmarks.base import UserError, check_known


def read(path: Path, names: Sequence[str], tree: str, padded: int, chunk: int) -> Iterator[dict[str, np.ndarray]]:
    """The branches of one file, as `columns` gives them."""
    import uproot

    try:
        with uproot.open(path) as file:
            found = file[tree_of(path, file, tree)]
            for name in names:
                check_known(f"branch of {path}", name, found.keys())
            for events in found.iterate(list(names), step_size=chunk, library="ak"):
                yield {name: dense(f"{path}: {name}", events[name], padded) for name in names}
    except UserError:
        raise
    except Exception as error:  # uproot raises whatever the damage causes
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{path}: not a ROOT file, or a damaged one ({type(error).__name__}: {reason})") from error


def tree_of(path: Path, file: Any, wanted: str) -> str:
    trees = [name for name, kind in file.classnames(cycle=False).items() if kind in ("TTree", "ROOT::RNTuple")]
    if not trees:
        raise UserError(f"{path}: no TTree or RNTuple in it")
    if not wanted and len(trees) > 1:
        raise UserError(f"{path}: it has the trees {', '.join(trees)}: choose one of them, such as tree={trees[0]!r}")
    if wanted:
        check_known(f"tree of {path}", wanted, trees)
    return wanted or trees[0]


def dense(where: str, values: Any, padded: int) -> np.ndarray:
    """(n,), (n, padded) or (n, ...) numpy array from an awkward array."""
    import awkward as ak

    lengths = "var" in str(values.type)
    if lengths and not padded:
        raise UserError(f"{where}: a variable number of values per event: give the number to keep with padded=...")
    try:
        if lengths and ak.any(ak.is_none(values, axis=1)):
            raise UserError(f"{where}: null among the numbers of an event: fill it, or omit the particle")
        if lengths:
            values = ak.fill_none(ak.pad_none(values, padded, clip=True), 0)
        dense = ak.to_numpy(values, allow_missing=False)
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}: expected numbers, at most one list of them per event, got {values.type}") from error
    if dense.dtype.kind not in "biuf":
        raise UserError(f"{where}: expected numbers, got {values.type}")
    plain: np.ndarray = dense.astype(dense.dtype.newbyteorder("="), copy=False)
    return plain
