"""Finds a task or a model by its name, by the path of a user's own file, or by an entry point.

A task is a file that exposes `TASK`, and has the file's name. A file of models exposes `MODEL`, which has the file's
name, or `MODELS`, a family of entries by name, each the file's name or that with an ending: `particlenet_lite` stands
in `benchmarks/models/particlenet.py`. A user's file is given as `./my_tagger.py`, one of its family as
`./my_tagger.py:my_tagger_big`. A package adds entries by the entry-point groups `hepbench.tasks` and
`hepbench.models`, each naming a module of this kind.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import importlib
import importlib.metadata
import importlib.util
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, Literal, TypeVar, overload

from hepbench.benchmarks.base import Model, Task, UserError, check_known

HOME = Path(__file__).parent
Kind = Literal["task", "model"]
KINDS: dict[Kind, tuple[str, str, type[Task | Model]]] = {
    "task": ("tasks", "TASK", Task),
    "model": ("models", "MODEL", Model),
}

FOLDERS = ("benchmarks", "suite", "tracking")
"""Of the repository; not installed as packages, although older files import from there."""

PUBLIC = "import from hepbench with `from hepbench import Task, Model, Events, Simulation, UserError`"

GUARD = 'put script code below `if __name__ == "__main__":`'

being_imported: list[Path] = []
"""Users' files that are being imported, the innermost last."""

Record = TypeVar("Record", Task, Model)


@dataclass(frozen=True)
class Entry(Generic[Record]):
    """A task or model with its name and its file.

    given: the name or path that finds it again, from any folder. base: the record without a variant; dataset: its name,
    under which the task's data are stored. module: name that the file was imported as. shipped: part of this package.
    """

    name: str
    path: Path
    record: Record
    given: str
    base: Record
    module: str = ""

    @property
    def shipped(self) -> bool:
        return self.path.is_relative_to(HOME)

    @property
    def dataset(self) -> str:
        return self.name.partition(":")[0]


def names(kind: Kind) -> list[str]:
    """Names of every entry of a kind ("task" or "model") that is shipped or installed, sorted."""
    if kind == "task":
        return _stems(kind)
    return sorted(name for stem in _stems(kind) for name in _records(kind, stem, *_loaded(kind, stem)))


def expand(given: str) -> list[str]:
    """The tasks that a command's argument stands for: "all" for every one, `<task>:all` for every variant of a task,
    any other for itself. UserError where a task has no variants."""
    if given == "all":
        return names("task")
    task, _, last = given.rpartition(":")
    if last != "all" or not task:
        return [given]
    variants = find("task", task).record.variants
    if not variants:
        raise UserError(f"{task} has no variants for {given}: give TASK={task}")
    return [f"{task}:{variant}" for variant in variants]


def _stems(kind: Kind) -> list[str]:
    """Names of the files and entry points with entries."""
    folder = KINDS[kind][0]
    shipped = {path.stem for path in (HOME / folder).glob("*.py") if path.stem != "__init__"}
    plugged = [point.name for point in _plugged(folder)]
    twice = sorted(name for name in set(plugged) if plugged.count(name) + (name in shipped) > 1)
    if twice:
        raise UserError(f"two installed {folder} are called {twice[0]!r}: uninstall one of the packages")
    return sorted(shipped | set(plugged))


@overload
def find(kind: Literal["task"], given: str) -> Entry[Task]: ...


@overload
def find(kind: Literal["model"], given: str) -> Entry[Model]: ...


def find(kind: Kind, given: str) -> Entry[Any]:
    """The entry of this name, or in this file where `given` ends in .py. After a colon: a variant of a task, or one of
    the family in a user's file of models.

    Raises UserError for an unknown name (suggesting the closest match), a missing file, and a file that cannot be
    imported or exposes no record.
    """
    whole = given
    if file := re.fullmatch(r"(.+\.py)(?::(.*))?", given):  # whose folders may have colons in their names
        given, after = file[1], file[2] or ""
        path = Path(given).expanduser().resolve()
        attribute = KINDS[kind][1]
        if not path.is_file():
            raise UserError(f"no {kind} file {given}: give the path of a Python file that exposes {attribute}")
        stem, whole = path.stem, f"{path}:{after}" if after else str(path)
        if stem in names(kind):
            raise UserError(f"{path}: a {kind} named {stem!r} already exists: rename the file")
        loaded = _imported(kind, f"hepbench_user_{kind}_{stem}", path)
        records = _records(kind, stem, loaded, path)
        taken = sorted(set(records) & set(names(kind)))
        if taken:
            raise UserError(f"{path}: a {kind} named {taken[0]!r} already exists: rename the file")
        name = stem
        if kind == "model" and (after or stem not in records):
            name = after
            check_known(f"model of {path}", name, records, more=f"; give one as {path}:{next(iter(records))}")
            after = ""
    else:
        given, _, after = given.partition(":")
        name, stem = given, given
        while stem not in (stems := _stems(kind)) and "_" in stem and kind == "model":
            stem = stem.rpartition("_")[0]
        records = {}
        if stem in stems:
            loaded, path = _loaded(kind, stem)
            records = _records(kind, stem, loaded, path)
        if name not in records:
            check_known(kind, name, names(kind), more=", or a path ending in .py")
    record = records[name]
    place = _file_of(loaded)
    if not after:
        return Entry(name, place, record, whole, record, loaded.__name__)
    variants: Mapping[str, Task] = getattr(record, "variants", {})
    check_known(f"variant of {name}", after, variants)
    return Entry(f"{name}:{after}", place, variants[after], whole, record, loaded.__name__)


def find_models(given: Iterable[str]) -> tuple[Entry[Model], ...]:
    """The models of these names and files, each once, however its path is written. UserError for two files with a model
    of the same name, by which settings and results are stored."""
    found: dict[str, Entry[Model]] = {}
    for entry in (find("model", one) for one in dict.fromkeys(given)):
        known = found.get(entry.name, entry)
        if known.path != entry.path:
            raise UserError(f"two models are named {entry.name!r}, in {known.path} and {entry.path}: rename one file")
        found[entry.name] = entry
    return tuple(found.values())


def _file_of(loaded: ModuleType) -> Path:
    if loaded.__file__ is None:
        raise UserError(f"{loaded.__name__} is a folder without an __init__.py: name a module in the entry point")
    return Path(loaded.__file__)


@functools.cache
def _plugged(folder: str) -> tuple[importlib.metadata.EntryPoint, ...]:
    """Entry points of other packages, searched once: that reads the text files of every installed package."""
    return tuple(importlib.metadata.entry_points(group=f"hepbench.{folder}"))


def _loaded(kind: Kind, stem: str) -> tuple[ModuleType, Path]:
    """The module of a shipped file or an entry point."""
    folder = KINDS[kind][0]
    path, module = HOME / folder / f"{stem}.py", f"{__package__}.{folder}.{stem}"
    if not path.is_file():
        module = next(point.module for point in _plugged(folder) if point.name == stem)
    loaded = _imported(kind, module, path)
    return loaded, _file_of(loaded)


def _imported(kind: Kind, module: str, path: Path) -> ModuleType:
    try:
        user = module.startswith("hepbench_user_")
        return _from_path(module, path) if user else importlib.import_module(module)
    except (Exception, SystemExit) as error:  # whatever a broken file raises, the user needs its name and the fault
        where = path if path.is_file() else module
        if isinstance(error, UserError):
            raise UserError(f"{kind} file {where}: {error}") from error
        if isinstance(error, SystemExit):
            raise UserError(f"{kind} file {where} exits the program on import: {GUARD}") from error
        old = isinstance(error, ImportError) and (error.name or "").split(".")[0] in FOLDERS
        hint = f"; {PUBLIC}" if old else ""
        if isinstance(error, ModuleNotFoundError) and error.name == "torch":
            hint = ": pip install torch"
        raise UserError(f"{kind} file {where} cannot be imported: {type(error).__name__}: {error}{hint}") from error


def _records(kind: Kind, stem: str, loaded: ModuleType, path: Path) -> Mapping[str, Task | Model]:
    """The records that a module exposes, by name; UserError for any other object or a name of another file."""
    _, attribute, record_type = KINDS[kind]
    family = getattr(loaded, "MODELS", None) if kind == "model" else None
    records: Any = {stem: getattr(loaded, attribute, None)} if family is None else family
    if not isinstance(records, Mapping) or not records:
        raise UserError(f"{kind} file {path}: MODELS must be a dict of names and Models with at least one entry")
    for name, record in records.items():
        if not isinstance(record, record_type):
            got = "nothing" if record is None else f"a {type(record).__name__}"
            wanted = attribute if family is None else f"MODELS[{name!r}]"
            old = type(record).__module__.split(".")[0] in FOLDERS  # from a checkout that Python was started in
            hint = f"; {PUBLIC}" if old else ""
            raise UserError(
                f"{kind} file {path} must expose {wanted}, a {record_type.__name__}; it exposes {got}{hint}"
            )
        if name != stem and not name.startswith(f"{stem}_"):
            raise UserError(f"{kind} file {path}: the name {name!r} must be {stem!r} or begin with '{stem}_'")
    if kind == "model" and not path.is_relative_to(HOME) and _imports(path, "torch"):
        return {name: _with_package(record, "torch") for name, record in records.items()}
    return records


def _imports(path: Path, package: str) -> bool:
    """Whether a file imports a package, at its top or within a function."""
    if package.encode() not in (text := path.read_bytes()):
        return False
    names: list[str] = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.append(node.module or "")
    return any(name.partition(".")[0] == package for name in names)


def _with_package(record: Any, package: str) -> Any:
    return dataclasses.replace(record, package=package) if record.build and not record.package else record


def _from_path(module: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(module, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[module] = loaded  # dataclasses and pickles look a module up by its name
    being_imported.append(path)
    try:
        # Not by the loader, which would reuse bytecode of a file with the same modification second and size.
        exec(compile(path.read_bytes(), path, "exec"), vars(loaded))
    finally:
        being_imported.remove(path)
    return loaded
