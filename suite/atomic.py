"""Files and folders that appear whole or not at all, and locks."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hepbench.benchmarks.base import UserError


def write_whole(path: Path, text: str) -> None:
    """Write a text file by a temporary file and a rename; all may read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False
    ) as file:
        file.write(text)
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)


@contextlib.contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A scratch folder that becomes `folder` when the block ends well and is removed when it does not."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        with full_disk_as_user_error(folder):
            yield scratch
        scratch.chmod(0o755)
        scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextlib.contextmanager
def full_disk_as_user_error(folder: Path) -> Iterator[None]:
    """A full disk while `folder` is written raises UserError, whatever library met it."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        if not _is_full_disk(error):
            raise
        free = shutil.disk_usage(folder.parent).free
        message = f"disk full while writing {folder} ({free / 2**20:.0f} MiB free): free some space and repeat"
        raise UserError(message) from None


def _is_full_disk(error: BaseException | None) -> bool:
    """HDF5 raises a second error as it closes the file, in whose text the system's number stands."""
    while error is not None:
        if getattr(error, "errno", None) == errno.ENOSPC or f"errno = {errno.ENOSPC}," in str(error):
            return True
        error = error.__context__
    return False


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock file, waiting for whoever has it; the operating system frees it when the process ends,
    however it ends."""
    from filelock import FileLock

    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / f".{folder.name}.lock"):
        yield
