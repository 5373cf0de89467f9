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
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module)
    return found


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_go_one_way(package):
    files = list((ROOT / package).rglob("*.py"))
    assert files
    forbidden = set(ALLOWED) - ALLOWED[package] - {package}
    for path in files:
        crossing = {name for name in imported(path) if name.split(".")[0] in forbidden}
        assert not crossing, f"{path.relative_to(ROOT)} imports {crossing}"


def test_one_module_imports_mlflow():
    files = [path for package in ALLOWED for path in (ROOT / package).rglob("*.py")]
    users = [path for path in files if any(name.split(".")[0] == "mlflow" for name in imported(path))]
    assert users == [ROOT / "tracking" / "runs.py"]


@pytest.mark.parametrize("verb", [["list"], ["list", "models"], ["doctor"], ["--help"], ["bench", "--help"]])
def test_quick_verbs_import_nothing_heavy(verb, home):
    program = f"""
import sys
sys.argv = ["hepbench", *{verb!r}]
from suite.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code
print("HEAVY", [name for name in {HEAVY!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.rstrip().endswith("HEAVY []"), done.stdout + done.stderr
    assert not home.exists()
