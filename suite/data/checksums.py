"""Checksums of prepared arrays, which detect damage when they are opened.

A folder has `checksums.json`: for each array its size, the CRC-32 of its bytes, and the state of the file when it had
them. While the state is unchanged no byte is read, so that opening gigabytes takes milliseconds; files that were copied
or touched are read once.
"""

from __future__ import annotations

import contextlib
import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hepbench.suite.atomic import write_atomically
from hepbench.suite.data.files import state_of

CHECKSUMS = "checksums.json"
BLOCK = 2**22  # bytes


def write_checksums(folder: Path) -> None:
    """Write the checksums of all arrays in the folder and in its subfolder `arrays`."""
    known = {}
    for name in _arrays_in(folder):
        path = folder / name
        known[name] = {"bytes": path.stat().st_size, "crc32": _crc32(path), "state": state_of(path)}
    write_atomically(folder / CHECKSUMS, json.dumps(known, indent=1))


def damaged(folder: Path) -> str | None:
    """The first file of the folder that differs from what was written, or is missing; None if all are intact. Missing
    or unreadable checksums count as damage."""
    try:
        known: dict[str, Any] = json.loads((folder / CHECKSUMS).read_text(encoding="utf-8"))
        names = _arrays_in(folder)
        if different := sorted(set(names).symmetric_difference(known)):
            return different[0]
        changed = False
        for name in names:
            path, expected = folder / name, known[name]
            state = state_of(path)
            if state == expected["state"]:
                continue
            if path.stat().st_size != expected["bytes"] or _crc32(path) != expected["crc32"]:
                return name
            expected["state"], changed = state, True
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return CHECKSUMS
    if changed:
        with contextlib.suppress(OSError):  # of another user, or a full disk: the bytes are read again next time
            write_atomically(folder / CHECKSUMS, json.dumps(known, indent=1))
    return None


def _arrays_in(folder: Path) -> Sequence[str]:
    paths = [*folder.glob("*.npy"), *folder.glob("arrays/*.npy")]
    return sorted(str(path.relative_to(folder)) for path in paths)


def _crc32(path: Path) -> int:
    found = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            found = zlib.crc32(block, found)
    return found
