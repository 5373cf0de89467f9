"""Digests of code: what identifies a result beside its data, parameters and seed.

A digest is taken of syntax trees without comments and docstrings, so that a word in a comment retrains nothing, of all
modules that are reached from a start by the imports they hold, so that a constant changed in any of them does. Imports
are read from the text: nothing is imported. Followed are those of this package, and from a user's file those of files
beside it or of its own package. What does not decide a score is left out: `tracking`, where results go; simulations,
whose files have a digest of their own; and validations, which look at data and change none.
"""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import Model, Task
from hepbench.benchmarks.registry import Entry

SUITE = Path(__file__).parent
ROOTS = {"benchmarks": registry.HOME, "suite": SUITE}
BASE = registry.HOME / "base.py"
FEATURES, FORMATS = registry.HOME / "features", registry.HOME / "formats"
SIMULATION = registry.HOME / "simulation"
VALIDATION = registry.HOME / "validation"
TRIAL = SUITE / "trial" / "worker.py"
"""Where a trial begins, in the process of a worker."""


def code_of_trial(task: Entry[Task], model: Entry[Model]) -> str:
    """Of everything that a trial of this model on this task runs through."""
    return _digest_of_reached(_dated(TRIAL, task.path, model.path))


def code_of_reader(task: Entry[Task]) -> str:
    """Of what makes arrays of a task's files. The records of `benchmarks.base` are left out: hours of preparing are
    not to be done again for a field of theirs."""
    return _digest_of_reached(_dated(task.path), (BASE,))


def code_of_generators(task: Entry[Task]) -> str:
    """Of what simulates a task's files: of a task of ours its `Simulation`, what of the task's file this makes use of,
    and the simulations and features that are imported there; of a user's task all that it imports. The formats that
    are written are left out: that they are read back as they were written is tested."""
    return _digest_of_generators(_dated(task.path))


def reached(start: Collection[Path], without: Collection[Path] = (SIMULATION, VALIDATION)) -> set[Path]:
    """The files of `start` and those that they import of this package, and what these import.

    without: files and folders that are left out with what they import.
    """
    found: set[Path] = set()
    waiting = list(start)
    while waiting:
        path = waiting.pop()
        if path not in found and not any(path.is_relative_to(one) for one in without):
            found.add(path)
            waiting += _read(path, path.stat().st_mtime_ns)[0]
    return found


def digest_of_code(paths: Collection[Path]) -> str:
    """sha256 over the syntax trees of these files, without comments, docstrings and positions."""
    trees = sorted((path.name, _read(path, path.stat().st_mtime_ns)[1]) for path in paths)
    return hashlib.sha256(repr(trees).encode()).hexdigest()


@functools.cache
def _read(path: Path, changed: int) -> tuple[list[Path], str]:
    """(files of this package that a file imports, its syntax tree as text): read once, as most files are on the way of
    every trial. changed: the time of its change, as in `_dated`."""
    tree = ast.parse(path.read_bytes())  # bytes, which declare their encoding
    imported = _imported(tree, path)
    return imported, repr(_shape(_without_docstrings(tree)))


def _dated(*paths: Path) -> tuple[tuple[Path, int], ...]:
    """Files with the time of their change: a user's own may change while a notebook runs."""
    return tuple((path, path.stat().st_mtime_ns) for path in paths)


@functools.cache
def _digest_of_reached(start: tuple[tuple[Path, int], ...], without: tuple[Path, ...] = ()) -> str:
    return digest_of_code(reached([path for path, _ in start], (SIMULATION, VALIDATION, *without)))


@functools.cache
def _digest_of_generators(tasks: tuple[tuple[Path, int], ...]) -> str:
    start, statements = [], []
    for path, _ in tasks:
        if path.is_relative_to(registry.HOME):
            used = _of_simulation(ast.parse(path.read_bytes()))
            imported = _imported(used, path)
            start += [one for one in imported if one.is_relative_to(SIMULATION) or one.is_relative_to(FEATURES)]
            statements.append(_shape(_without_docstrings(used)))
        else:
            start.append(path)
    reached_code = digest_of_code(reached(start, without=(BASE, FORMATS, VALIDATION)))
    return hashlib.sha256(repr([statements, reached_code]).encode()).hexdigest()


def _of_simulation(tree: ast.Module) -> ast.Module:
    """The calls of `Simulation` in a task's file, and the statements at its top that they make use of."""
    calls: list[ast.stmt] = [
        ast.Expr(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Simulation"
    ]
    used, names = calls, _names(calls)
    while True:
        more = [one for one in tree.body if one not in used and _defined(one) & names]
        if not more:
            return ast.Module(used, [])
        used, names = used + more, names | _names(more)


def _names(statements: Collection[ast.stmt]) -> set[str]:
    return {node.id for one in statements for node in ast.walk(one) if isinstance(node, ast.Name)}


def _defined(statement: ast.stmt) -> set[str]:
    """The names that a statement gives a value."""
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return {alias.asname or alias.name.partition(".")[0] for alias in statement.names}
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return {statement.name}
    if isinstance(statement, ast.Assign | ast.AnnAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        return {node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)}
    stored = (node for node in ast.walk(statement) if isinstance(node, ast.Name))
    return {node.id for node in stored if isinstance(node.ctx, ast.Store)}


def _imported(tree: ast.Module, path: Path) -> list[Path]:
    """Files that the one at `path` imports, of this package and, where it is a user's, beside it; at its top or within
    functions, but not for type checking alone."""
    names: list[str] = []
    files: list[Path] = []
    for node in _statements(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            module = node.module or ""
            files += _files(path.parents[node.level - 1], [module, *(f"{module}.{one.name}" for one in node.names)])
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            if node.module == "hepbench":
                names += [_public()[alias.name] for alias in node.names if alias.name in _public()]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
            if "hepbench" in names:
                names += _public().values()
    for name in names:
        package, *parts = name.split(".")
        if package == "hepbench" and len(parts) > 1 and parts[0] in ROOTS:
            files += _files(ROOTS[parts[0]], [".".join(parts[1:])])
    if not any(path.is_relative_to(root) for root in ROOTS.values()):
        files += _files(_top(path), [name for name in names if name.partition(".")[0] != "hepbench"])
    return files


def _files(folder: Path, names: Collection[str]) -> list[Path]:
    """Those of the modules with these names, in this folder, that are there."""
    paths = [folder.joinpath(*filter(None, name.split("."))) for name in names]
    files = [file for one in paths for file in (one.with_suffix(".py"), one / "__init__.py")]
    return [file for file in dict.fromkeys(files) if file.is_file()]


def _top(path: Path) -> Path:
    """The folder from which a user's file imports what is its own: that of the file, or of its outermost package."""
    folder = path.parent
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return folder


@functools.cache
def _public() -> dict[str, str]:
    """Name that a user's file imports from the package itself -> module of `benchmarks` where it stands."""
    package = SUITE.parent / "hepbench" / "public.py"
    text = (package if package.is_file() else SUITE.parent / "public.py").read_bytes()
    return {
        alias.name: node.module
        for node in ast.parse(text).body
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("hepbench.benchmarks.")
        for alias in node.names
    }


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """Every node below, without blocks that only a type checker reads."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            continue
        yield child
        yield from _statements(child)


def _shape(node: Any) -> Any:
    """A syntax tree as tuples. Fields that are empty are left out: which of those there are differs from one version of
    Python to the next, and the digest of a file must not."""
    if isinstance(node, list):
        return [_shape(one) for one in node]
    if not isinstance(node, ast.AST):
        return node
    fields = [(name, _shape(value)) for name, value in ast.iter_fields(node) if value is not None and value != []]
    return (type(node).__name__, *fields)


def _without_docstrings(tree: ast.Module) -> ast.Module:
    """The tree without texts that stand as statements."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            kept = [one for one in body if not (isinstance(one, ast.Expr) and _is_text(one.value))]
            node.body = kept or [ast.Pass()]  # type: ignore[attr-defined]
    return tree


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)
