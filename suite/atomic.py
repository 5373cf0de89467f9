"""Atomic files and folders, which appear complete or not at all, and locks."""

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
"""Suffix of an incomplete folder."""


def write_atomically(path: Path, text: str) -> None:
    """Write a text file, readable by all, through a temporary file and a rename. Temporary files left by killed
    processes of this machine are removed."""
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
    """A scratch folder that becomes `folder` if the block succeeds and is removed otherwise."""
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
    """A scratch file next to it that becomes `path` if the block succeeds and is removed otherwise. UserError if the
    folder does not exist."""
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
    """Converts the error of a full disk while `folder` is written, from any library, to UserError."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        if not _is_full_disk(error):
            raise
        free = shutil.disk_usage(folder.parent).free
        message = f"disk full while writing {folder} ({free / 2**20:.0f} MiB free): free some space and repeat"
        raise UserError(message) from None


def _is_full_disk(error: BaseException | None) -> bool:
    """HDF5 raises a second error when it closes the file, with the system's error number in its text."""
    while error is not None:
        if getattr(error, "errno", None) == errno.ENOSPC or f"errno = {errno.ENOSPC}," in str(error):
            return True
        error = error.__context__
    return False


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock file, waiting for its holder; the operating system releases it when the process ends in
    any way. Raises UserError if this user may not write."""
    from filelock import FileLock

    lock = FileLock(_lock_of(folder))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        raise UserError(
            f"{folder} cannot be created: no permission to write ({error.strerror}): create it as a user who has it, "
            "or set HEPBENCH_HOME to a folder of your own"
        ) from None
    try:
        yield
    finally:
        lock.release()


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes left of `folder`, whose lock the caller holds, and of neighbouring folders that no
    process is creating."""
    from filelock import FileLock, Timeout

    for scratch in folder.parent.glob(f".*{UNFINISHED}"):
        made = folder.parent / scratch.name[1:].removesuffix(UNFINISHED).rpartition(".")[0]
        if made == folder:
            shutil.rmtree(scratch, ignore_errors=True)
        elif _lock_of(made).exists():  # else it is of another program
            with contextlib.suppress(Timeout, OSError), FileLock(_lock_of(made), timeout=0):
                shutil.rmtree(scratch, ignore_errors=True)


def discard(folder: Path) -> None:
    """Remove a folder atomically: no process sees a part of it, even if it cannot be deleted now."""
    hidden = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=UNFINISHED))
    folder.rename(hidden)
    shutil.rmtree(hidden, ignore_errors=True)


def _lock_of(folder: Path) -> Path:
    return folder.parent / f".{folder.name}.lock"
