"""Compression filters of HDF5 datasets beyond those of h5py."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from hepbench.benchmarks.base import UserError
from hepbench.benchmarks.formats.refusal import library_errors, shown


def check_filters(path: Path, what: str, dataset: Any) -> None:
    """Makes a dataset readable if it is compressed with a filter of hdf5plugin, such as Blosc, which PyTables uses.
    what: the dataset, for messages. UserError for other filters."""
    import h5py

    with library_errors(path, f"{what} cannot be opened"):
        filters = dataset.id.get_create_plist()
        used = [filters.get_filter(number) for number in range(filters.get_nfilters())]
        missing = [(code, name) for code, _, _, name in used if not h5py.h5z.filter_avail(code)]
        there = importlib.util.find_spec("hdf5plugin") is not None
        if missing and there:
            import hdf5plugin  # noqa: F401 - registers its filters

            missing = [(code, name) for code, name in missing if not h5py.h5z.filter_avail(code)]
    if missing:
        code, name = missing[0][0], shown(missing[0][1].decode("ascii", "replace"))
        fix = "hdf5plugin lacks: save the file with gzip" if there else "is not installed: pip install hdf5plugin"
        raise UserError(f"{path}: {what} is compressed with HDF5 filter {code} ({name}), which {fix}")
