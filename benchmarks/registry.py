"""Finds a task or a model by the name of its file, by the path of a user's own file, or by an entry point.

One file is one entry and its name is the file's: `benchmarks/models/gnn.py` is `gnn`; `./my_tagger.py` is
`my_tagger`. A package adds entries by the entry-point groups `hepbench.tasks` and `hepbench.models`, each naming a
module that exposes `TASK` or `MODEL`.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from benchmarks.base import Model, Task, UserError, check_known

HOME = Path(__file__).parent
KINDS = {"task": ("tasks", "TASK", Task), "model": ("models", "MODEL", Model)}


@dataclass(frozen=True)
class Entry:
    """A task or model with its name and the file it stands in.

    given: what finds it again, from any folder. base: the record without a variant; dataset: its name, under which
    the task's data lie. code: sha256 of the file's text and of what it imports of `benchmarks`, so that a result of
    an older text is never taken for one of this; the records and the generators, of which data have digests, are not
    part of it.
    """

    name: str
    path: Path
    record: Task | Model
    given: str
    base: Task | Model

    @property
    def dataset(self) -> str:
        return self.name.partition(":")[0]

    @property
    def code(self) -> str:
        texts = imported(self.path, HOME, {HOME / "base.py", HOME / "simulation"})
        return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(texts))).hexdigest()


def names(kind: str) -> list[str]:
    """Names of every entry of a kind ("task" or "model") that is shipped or installed, sorted."""
    folder = KINDS[kind][0]
    shipped = {path.stem for path in (HOME / folder).glob("*.py") if path.stem != "__init__"}
    plugged = [point.name for point in importlib.metadata.entry_points(group=f"hepbench.{folder}")]
    twice = sorted(name for name in set(plugged) if plugged.count(name) + (name in shipped) > 1)
    if twice:
        raise UserError(f"two installed {folder} are called {twice[0]!r}: uninstall one of the packages")
    return sorted(shipped | set(plugged))


def find(kind: str, given: str) -> Entry:
    """The entry of this name, or in this file where `given` ends in .py; a task's variant follows a colon.

    Raises UserError for an unknown name (with the nearest known ones), a missing file, and a file that does not
    import or exposes no record.
    """
    folder, attribute, record_type = KINDS[kind]
    given, _, variant = given.partition(":")
    if given.endswith(".py"):
        path = Path(given).expanduser().resolve()
        if not path.is_file():
            raise UserError(f"no {kind} file {given}: give the path of a Python file that exposes {attribute}")
        name, module = path.stem, f"hepbench_user_{kind}_{path.stem}"
        if name in names(kind):
            raise UserError(f"{path}: {name!r} is the name of a {kind} that is there already: rename the file")
    else:
        check_known(kind, given, names(kind), more=", or a path ending in .py")
        name = given
        path, module = HOME / folder / f"{name}.py", f"benchmarks.{folder}.{name}"
        if not path.is_file():
            points = importlib.metadata.entry_points(group=f"hepbench.{folder}", name=name)
            module = next(iter(points)).module
    try:
        loaded = _from_path(module, path) if given.endswith(".py") else importlib.import_module(module)
    except Exception as error:  # whatever a broken file raises, the user needs its name and the fault
        where = path if path.is_file() else module
        raise UserError(f"{kind} file {where} does not import: {type(error).__name__}: {error}") from error
    record = getattr(loaded, attribute, None)
    if not isinstance(record, record_type):
        got = "nothing" if record is None else f"a {type(record).__name__}"
        raise UserError(
            f"{kind} file {loaded.__file__} must expose {attribute}, a {record_type.__name__}; it exposes {got}"
        )
    whole = str(path) if given.endswith(".py") else given
    if not variant:
        return Entry(name, Path(loaded.__file__), record, whole, record)
    check_known(f"variant of {name}", variant, getattr(record, "variants", ()))
    varied = record.variants[variant]
    return Entry(f"{name}:{variant}", Path(loaded.__file__), varied, f"{whole}:{variant}", record)


def imported(path: Path, under: Path, without: Collection[Path] = ()) -> set[Path]:
    """This file and the modules that it imports from a folder of `benchmarks`, and what these import, found without
    importing any. without: files and folders that are left out with what they import."""
    found: set[Path] = set()
    waiting = [path]
    while waiting:
        path = waiting.pop()
        found.add(path)
        names = []
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            elif isinstance(node, ast.Import):
                names += [alias.name for alias in node.names]
        for name in names:
            module = HOME.parent.joinpath(*name.split(".")).with_suffix(".py")
            left_out = not module.is_relative_to(under) or any(module.is_relative_to(one) for one in without)
            if not left_out and module.is_file() and module not in found:
                waiting.append(module)
    return found


def _from_path(module: str, path: Path):
    spec = importlib.util.spec_from_file_location(module, path)
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[module] = loaded  # dataclasses and pickles look a module up by its name
    spec.loader.exec_module(loaded)
    return loaded
