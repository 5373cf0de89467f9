"""A store that was moved or copied with its folder: its database names the files where they lay before.

MLflow keeps an absolute address with each experiment and each run. Of a database that lies beside its artifacts, what
was written under `.../artifacts/<experiment>` is looked for in the same place under its own folder, and its addresses
are renewed when it is opened to be written. What is only where it was before, and there still, stays there.
"""

from __future__ import annotations

import sqlite3
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
    ("model_versions", "source"),
)
"""Columns of MLflow's tables that hold addresses of files."""


def path_of(address: str) -> Path | None:
    """The file or folder of this machine that an address names; None where it names another kind of place."""
    parts = urllib.parse.urlsplit(address)
    if parts.scheme == "file":
        return Path(urllib.parse.unquote(parts.path))
    return Path(address) if address.startswith("/") else None


def root_of(location: str, names: tuple[str, ...]) -> Path | None:
    """The folder that held the artifacts of all experiments, from the place of one. names: what that may be called
    there."""
    path = path_of(location)
    for name in names:
        if path is not None and name and str(path).endswith(f"/{name}"):
            return Path(str(path).removesuffix(f"/{name}"))
    return None


def here(path: Path, root: Path, artifacts: Path) -> Path:
    """Where to look for what lay under `root`, in a store whose folder of artifacts is this one."""
    if root == artifacts or not path.is_relative_to(root):
        return path
    found = artifacts / path.relative_to(root)
    return path if path.exists() and not found.exists() else found


def renew(connection: sqlite3.Connection, artifacts: Path) -> int:
    """Let the addresses of a database name its own folder of artifacts; returns how many were others. sqlite3.Error."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    roots = set()
    if "experiments" in tables:
        listed = connection.execute("SELECT experiment_id, name, artifact_location FROM experiments")
        roots = {root_of(location or "", (name, str(number))) for number, name, location in listed}
    others = [root for root in roots if root is not None and root != artifacts]
    changes = [
        (table, column, row, new)
        for table, column in ADDRESSES
        if others and table in tables
        for row, new in _renewed(connection, table, column, others, artifacts)
    ]
    with connection:
        for table, column, row, new in changes:
            connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (new, row))
    return len(changes)


def _renewed(
    connection: sqlite3.Connection, table: str, column: str, roots: list[Path], artifacts: Path
) -> Iterator[tuple[int, str]]:
    for row, address in connection.execute(f"SELECT rowid, {column} FROM {table}").fetchall():
        path = path_of(address or "")
        for root in roots:
            if path is not None and path.is_relative_to(root) and (found := here(path, root, artifacts)) != path:
                yield row, found.as_uri() if address.startswith("file:") else str(found)
                break
