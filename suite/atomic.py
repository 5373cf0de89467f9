"""Files and folders that appear whole or not at all, and locks."""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

from hepbench.benchmarks.base import UserError

UNFINISHED = ".unfinished"
"""The ending of a folder that is not yet whole."""


def write_atomically(path: Path, text: str) -> None:
    """Write a text file by a temporary file and a rename; all may read it. Temporary files that killed processes of
    this machine have left are removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beginning = f".{path.name[:100]}.{platform.node()}-"
    for left in path.parent.glob(f"{glob.escape(beginning)}*"):
        process = left.name.removeprefix(beginning).partition("-")[0]
        if process.isdigit() and not psutil.pid_exists(int(process)):
            left.unlink(missing_ok=True)
    prefix = f"{beginning}{os.getpid()}-"
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, prefix=prefix, delete=False) as file:
        try:
            file.write(text)
            file.flush()
            os.chmod(file.name, 0o644)
            os.replace(file.name, path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """A scratch folder that becomes `folder` when the block ends well and is removed when it does not."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=UNFINISHED))
    try:
        with full_disk_as_user_error(folder):
            yield scratch
        scratch.chmod(0o755)
        scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A scratch file beside it that becomes `path` when the block ends well and is removed when it does not. UserError
    where its folder is not there."""
    folder = path.absolute().parent
    if not folder.is_dir():
        raise UserError(f"{path}: there is no folder {folder}")
    scratch = path.with_name(f".{path.name}.{os.getpid()}{UNFINISHED}")
    try:
        with full_disk_as_user_error(path):
            yield scratch
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


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
    however it ends. Raises UserError where this user may not write."""
    from filelock import FileLock

    lock = FileLock(_lock_of(folder))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        raise UserError(
            f"{folder} is to be made, and this user may not write there ({error.strerror}): make it as the user who "
            "may, or set HEPBENCH_HOME to a folder of your own"
        ) from None
    try:
        yield
    finally:
        lock.release()


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes left unfinished of `folder`, whose lock the caller holds, and of those beside it
    that nobody is making."""
    from filelock import FileLock, Timeout

    for scratch in folder.parent.glob(f".*{UNFINISHED}"):
        made = folder.parent / scratch.name[1:].removesuffix(UNFINISHED).rpartition(".")[0]
        if made == folder:
            shutil.rmtree(scratch, ignore_errors=True)
        elif _lock_of(made).exists():  # else it is of another program
            with contextlib.suppress(Timeout, OSError), FileLock(_lock_of(made), timeout=0):
                shutil.rmtree(scratch, ignore_errors=True)


def discard(folder: Path) -> None:
    """Remove a folder so that nobody sees a part of it, not even where it cannot be removed now."""
    hidden = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=UNFINISHED))
    folder.rename(hidden)
    shutil.rmtree(hidden, ignore_errors=True)


def _lock_of(folder: Path) -> Path:
    return folder.parent / f".{folder.name}.lock"
