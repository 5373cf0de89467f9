"""SQLite files that come into being whole or not at all."""

from __future__ import annotations

import contextlib
import glob
import os
import re
import shutil
import sqlite3
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock

WHOLE = 0x68657062
"""`PRAGMA user_version` of a file that was made whole."""

BESIDE = ("-journal", "-wal", "-shm")
"""Endings of what SQLite keeps beside a file that it writes."""

WAIT = 60.0
"""Seconds that a file which another process writes is waited for."""


def address(file: Path) -> str:
    """As SQLAlchemy reads it. With the driver's name MLflow makes no folder of the name before it is decoded."""
    name = str(file).replace("%", "%25").replace("?", "%3F")
    return f"sqlite:///{name}" if name == str(file) else f"sqlite+pysqlite:///{name}"


def file_of(uri: str) -> Path | None:
    """The file of such an address; None where it is that of another database."""
    found = re.match(r"sqlite(\+\w+)?:///(?P<file>[^?]+)", uri)
    if not found or found["file"] == ":memory:":
        return None
    return Path(urllib.parse.unquote(found["file"])).absolute()


@contextlib.contextmanager
def opened(file: Path) -> Iterator[sqlite3.Connection]:
    """A connection to a file that is there, which may be one that cannot be written. sqlite3.Error."""
    connection = sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True, timeout=WAIT)
    try:
        yield connection
    finally:
        connection.close()


def create_atomically(file: Path, make: Callable[[str], None], table: str) -> None:
    """Make the file where it is missing. make: makes its tables at the address it is given, that of another file, which
    is then renamed. What a killed process of an older version left half made, with no row in `table`, is made anew, and
    is kept beside it as FILE.half-made. OSError, and whatever `make` raises; then there is no file.

    One process does so at a time. What holds rows is left to its own library.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(file.with_suffix(".lock")):
        if _is_there(file, table):
            return
        with _scratch(file) as scratch:
            make(address(scratch))
            if file.exists() and file.stat().st_size:
                if _schema(file) == _schema(scratch):  # whole, and of a version that left no mark
                    _mark(file)
                    return
                shutil.copy2(file, file.with_name(f"{file.name}.half-made"))
            _mark(scratch)
            for ending in BESIDE:  # SQLite would write a journal of the old file into the new one
                file.with_name(file.name + ending).unlink(missing_ok=True)
            os.replace(scratch, file)
            _write_through(file.parent)


def _is_there(file: Path, table: str) -> bool:
    """Whether there is a file that is no half-made one."""
    if not file.exists() or not file.stat().st_size:
        return False
    with contextlib.suppress(sqlite3.Error), opened(file) as connection:
        if connection.execute("PRAGMA user_version").fetchone() == (WHOLE,):
            return True
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        return table in tables and connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() is not None
    return True  # it is no database, or cannot be read


def _mark(file: Path) -> None:
    with opened(file) as connection:
        connection.execute(f"PRAGMA user_version = {WHOLE}")


def _schema(file: Path) -> tuple[set[str], list[str]]:
    """Tables, and the version that they say they have."""
    with opened(file) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        version = "SELECT version_num FROM alembic_version"
        return tables, [one for (one,) in connection.execute(version)] if "alembic_version" in tables else []


@contextlib.contextmanager
def _scratch(file: Path) -> Iterator[Path]:
    """A name beside the file; what has it is removed at the end, and what killed processes left of theirs."""

    def remove() -> None:
        for left in file.parent.glob(f".{glob.escape(file.name)}.new*"):
            left.unlink()

    remove()
    try:
        yield file.with_name(f".{file.name}.new.{os.getpid()}")
    finally:
        remove()


def _write_through(folder: Path) -> None:
    """Let a renaming in the folder outlast a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
