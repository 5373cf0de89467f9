"""The rules of the house: which package imports which, and what answers without the heavy libraries."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest
from conftest import ROOT

ALLOWED = {"benchmarks": set(), "tracking": set(), "suite": {"benchmarks", "tracking"}}
HEAVY = ("tensorflow", "keras", "jax", "mlflow", "xgboost", "sklearn", "matplotlib", "optuna", "torch")


def imported(path) -> set[str]:
    """Names of the modules that a file imports anywhere, for type checking alone, too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def name_of(path) -> str:
    return ".".join(["hepbench", *path.relative_to(ROOT).with_suffix("").parts]).removesuffix(".__init__")


FILES = {name_of(path): path for package in ALLOWED for path in sorted((ROOT / package).rglob("*.py"))}


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_go_one_way(package):
    files = [path for path in FILES.values() if path.is_relative_to(ROOT / package)]
    assert files
    allowed = tuple(f"hepbench.{name}" for name in (package, *ALLOWED[package]))
    for path in files:
        crossing = {name for name in imported(path) if name.startswith("hepbench") and not name.startswith(allowed)}
        assert crossing <= {"hepbench"}, f"{path.relative_to(ROOT)} imports {crossing}"
        bare = {name for name in imported(path) if name.split(".")[0] in ALLOWED}
        assert not bare, f"{path.relative_to(ROOT)} imports {bare}, which is no installed package"


def test_no_import_goes_in_a_circle():
    imports = {name: imported(path) & set(FILES) - {name} for name, path in FILES.items()}
    done: set[str] = set()

    def visit(name: str, road: tuple[str, ...]) -> None:
        assert name not in road, " -> ".join((*road, name))
        if name not in done:
            for following in sorted(imports[name]):
                visit(following, (*road, name))
            done.add(name)

    for name in FILES:
        visit(name, ())


def test_one_module_imports_mlflow_and_one_its_server():
    users = [path for path in FILES.values() if any(name.split(".")[0] == "mlflow" for name in imported(path))]
    assert sorted(users) == [ROOT / "tracking" / "runs.py", ROOT / "tracking" / "served.py"]


def test_the_command_line_alone_prints():
    """The rest of the suite computes, and calls back whoever wants to see how far it is."""
    suite = ROOT / "suite"
    for path in sorted(suite.rglob("*.py")):
        if path in (suite / "cli.py", suite / "progress.py") or path.is_relative_to(suite / "commands"):
            continue
        assert not {name for name in imported(path) if name.split(".")[0] == "rich"}, path
        called = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        assert not [one for one in called if isinstance(one, ast.Name) and one.id == "print"], path


def test_names_are_looked_up_where_a_trial_or_a_study_begins_and_carried_from_there():
    rooms = [ROOT / "suite" / room for room in ("data", "training", "trial", "tuning", "workers")]
    looking = {path.name for room in rooms for path in room.glob("*.py") if "registry.find(" in path.read_text()}
    assert looking == {"spec.py", "study_spec.py", "simulate.py"}  # the last in the processes that simulate


@pytest.mark.parametrize("verb", [["list"], ["list", "models"], ["doctor"], ["--help"], ["bench", "--help"]])
def test_quick_verbs_import_nothing_heavy(verb, home):
    program = f"""
import sys
sys.argv = ["hepbench", *{verb!r}]
from hepbench.suite.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code
print("HEAVY", [name for name in {HEAVY!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.rstrip().endswith("HEAVY []"), done.stdout + done.stderr
    assert not home.exists()
