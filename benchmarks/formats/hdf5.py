"""Filters that HDF5 datasets are compressed with, beyond those that h5py brings."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from hepbench.benchmarks.base import UserError
from hepbench.benchmarks.formats.refusal import library_errors, shown


def check_filters(path: Path, what: str, dataset: Any) -> None:
    """Let a dataset be read whatever of hdf5plugin's filters it is compressed with, such as Blosc, which PyTables has.
    what: it, in words. UserError for other filters."""
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
        fix = "hdf5plugin has not: save the file with gzip" if there else "is not installed: pip install hdf5plugin"
        raise UserError(f"{path}: {what} is compressed by HDF5 filter {code} ({name}), which {fix}")
