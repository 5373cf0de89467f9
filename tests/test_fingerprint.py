"""What identifies a result: the code that decides it, and no word of its comments."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest

from hepbench.benchmarks import registry
from hepbench.suite import fingerprint, provenance
from hepbench.suite.trial.spec import Spec, identity_of, look_up

ROOT = registry.HOME.parent
ON_THE_WAY = sorted(
    fingerprint.reached(
        [fingerprint.TRIAL, registry.find("task", "qg_jets").path, registry.find("model", "particlenet_lite").path]
    )
)
SPEC = Spec("qg_jets", "particlenet_lite", 0, "quick", "simulated", "cpu", "tensorflow")


@pytest.fixture
def behind(monkeypatch):
    """path -> text that every later reading of the file finds at its end."""
    added: dict[Path, str] = {}
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda self: read(self) + added.get(self, "").encode())
    yield added
    delete()


def delete() -> None:
    """What a process keeps to its end, as no module of this package changes meanwhile."""
    fingerprint._digest_of_reached.cache_clear()
    fingerprint._digest_of_generators.cache_clear()
    fingerprint._read.cache_clear()


def identity() -> str:
    delete()
    return identity_of(look_up(SPEC), "digest", "split")[1]


@pytest.mark.parametrize(("model", "same"), [("gbdt", True), ("prior", True), ("mlp", False)])
def test_a_backend_is_of_a_network_alone(model, same):
    specs = [Spec("magic", model, 0, "smoke", "official", "cpu", backend) for backend in ("tensorflow", "jax")]
    identities = {identity_of(look_up(spec), "digest", "split") for spec in specs}
    assert (len(identities) == 1) == same


def test_what_a_trial_runs_through():
    names = {str(path.relative_to(ROOT)) for path in ON_THE_WAY}
    assert {
        "benchmarks/base.py",  # scales a batch
        "benchmarks/budgets.py",
        "benchmarks/features/jets.py",
        "benchmarks/formats/qg_jets.py",
        "benchmarks/layers/edge_conv.py",
        "benchmarks/metrics.py",
        "benchmarks/models/particlenet.py",
        "benchmarks/scaling.py",
        "benchmarks/tasks/qg_jets.py",
        "suite/data/split.py",
        "suite/device.py",  # sets the flags of the backends
        "suite/training/adam.py",
        "suite/training/loop.py",
        "suite/trial/run.py",
    } <= names
    assert not [name for name in names if "commands" in name or "simulation/" in name or "tracking" in name]
    assert not [name for name in names if name.startswith("benchmarks/models/") and "particlenet" not in name]


def test_a_comment_and_a_docstring_change_nothing(behind):
    before = identity()
    behind.update(dict.fromkeys(ON_THE_WAY, "\n# a comment\n\n\n'''a text that stands alone'''\n"))
    assert identity() == before


@pytest.mark.parametrize("path", ON_THE_WAY, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_constant_in_any_module_on_the_way_changes_the_identity(path, behind):
    before = identity()
    behind[path] = "\nCHANGED = 1\n"
    assert identity() != before


def test_what_decides_no_score_changes_nothing(behind):
    before = identity()
    for name in ("simulation/qg_jets.py", "validation/qg_jets.py", "tasks/ecal.py", "models/cnn.py"):
        assert (registry.HOME / name).is_file()
        behind[registry.HOME / name] = "\nCHANGED = 1\n"
    behind[ROOT / "tracking" / "plots.py"] = "\nCHANGED = 1\n"
    assert identity() == before


def test_the_version_of_a_library_that_computes_changes_the_identity(monkeypatch):
    before = identity()
    monkeypatch.setattr(provenance, "versions", lambda names: {"keras": "0"})
    assert identity() != before


def test_prepared_arrays_outlive_a_change_of_the_records(behind):
    task = registry.find("task", "qg_jets")

    def reader() -> str:
        delete()
        return fingerprint.code_of_reader(task)

    before = reader()
    behind[registry.HOME / "base.py"] = "\nCHANGED = 1\n"
    assert reader() == before
    behind[registry.HOME / "formats" / "qg_jets.py"] = "\nCHANGED = 1\n"
    assert reader() != before


def test_simulated_files_belong_to_their_generators(behind):
    task = registry.find("task", "qg_jets")

    def generators() -> str:
        delete()
        return fingerprint.code_of_generators(task)

    before = generators()
    behind[registry.HOME / "simulation" / "hepmass.py"] = "\nCHANGED = 1\n"
    assert generators() == before
    behind[registry.HOME / "simulation" / "pythia.py"] = "\nCHANGED = 1\n"
    assert generators() != before


def test_a_users_file_that_changes_while_a_process_runs_changes_the_identity(tmp_path):
    path = tmp_path / "my_model.py"
    task = registry.find("task", "magic")

    def code(width: int) -> str:
        path.write_text(
            "from hepbench import Model\n"
            f"DEFAULTS = {{'width': {width}}}\n"
            "MODEL = Model(title='x', view='table', defaults=DEFAULTS, space=lambda trial: {}, build=len)\n"
        )
        os.utime(path, ns=(0, width))
        return fingerprint.code_of_trial(task, registry.find("model", str(path)))

    assert code(1) != code(2)
    assert code(1) == code(1)


def test_versions_of_python_agree():
    # What 3.12 knows of a function (type parameters) and 3.11 does not stands in no digest.
    shape = fingerprint._shape(ast.parse("def scale(x):\n    return x"))
    arguments = ("arguments", ("args", [("arg", ("arg", "x"))]))
    returned = ("Return", ("value", ("Name", ("id", "x"), ("ctx", ("Load",)))))
    function = ("FunctionDef", ("name", "scale"), ("args", arguments), ("body", [returned]))
    assert shape == ("Module", ("body", [function]))


GENERATES = """
import numpy as np
from hepbench import Events, Simulation, Task
from hepbench.benchmarks.simulation import units
{more}
SCALE = {scale}


def generate(label, number, seed):
    return {{"x": SCALE * np.random.default_rng([seed, label, number]).normal(size=(10, 2))}}


TASK = Task("x", ("a", "b"), read=iter, views={{}}, simulation=Simulation(10, generate, print))
"""


def test_simulated_files_belong_to_the_generator_of_a_users_task(tmp_path):
    """Also where it imports simulations of this package."""
    path = tmp_path / "my_task.py"

    def generators(scale: int) -> str:
        path.write_text(GENERATES.format(scale=scale, more=""))
        delete()
        return fingerprint.code_of_generators(registry.find("task", str(path)))

    assert generators(1) != generators(100) and generators(1) == generators(1)


@pytest.mark.parametrize("file", ["simulation/units.py", "simulation/pxd.py", "features/pixel_clusters.py"])
def test_simulated_files_belong_to_what_their_generators_import(file, behind):
    def generators() -> tuple[str, ...]:
        delete()
        return tuple(
            fingerprint.code_of_generators(registry.find("task", name)) for name in ("hepmass", "pxd_clusters")
        )

    before = generators()
    behind[registry.HOME / file] = "\nCHANGED = 1\n"
    assert [a != b for a, b in zip(before, generators(), strict=True)] == ["units" in file, "units" not in file]


def test_simulated_files_belong_to_their_chunks_and_not_to_the_rest_of_the_task(behind, monkeypatch):
    task = registry.find("task", "hepmass")

    def generators() -> str:
        delete()
        return fingerprint.code_of_generators(task)

    before = generators()
    behind[task.path] = "\nMASSES = 1\n\n\ndef split(labels, ids):\n    return ids\n"
    assert generators() == before
    behind[task.path] = "\nCHUNK = 1\n"
    assert generators() != before


@pytest.mark.parametrize(
    ("imports", "file"),
    [
        ("import my_layers", "my_layers.py"),
        ("from my_layers import WIDTH", "my_layers.py"),
        ("from my_package.dense import WIDTH", "my_package/dense.py"),
    ],
)
def test_a_file_beside_a_users_own_is_part_of_the_identity(imports, file, tmp_path):
    path, beside = tmp_path / "my_tagger.py", tmp_path / file
    beside.parent.mkdir(exist_ok=True)
    task = registry.find("task", "magic")
    path.write_text(
        f"import sys\nfrom pathlib import Path\nsys.path.insert(0, str(Path(__file__).parent))\n{imports}\n"
        "from hepbench import Model\nMODEL = Model(title='x', view='table', defaults={}, space=dict, build=len)\n"
    )
    beside.write_text("WIDTH = 8\n")
    model = registry.find("model", str(path))
    before = fingerprint.code_of_trial(task, model)
    beside.write_text("WIDTH = 16\n")
    delete()
    assert fingerprint.code_of_trial(task, model) != before


def test_modules_of_a_package_of_entries_are_part_of_the_identity(tmp_path):
    package = tmp_path / "taggers"
    (package / "models").mkdir(parents=True)
    files = {name: package / name for name in ("__init__.py", "layers.py", "models/__init__.py", "models/mine.py")}
    for path in files.values():
        path.write_text("")
    files["models/mine.py"].write_text("from ..layers import WIDTH\nfrom taggers import layers\n")
    assert fingerprint.reached([files["models/mine.py"]]) >= {files["models/mine.py"], files["layers.py"]}


def test_a_users_file_is_the_same_in_a_clone(tmp_path):
    """Where a folder `hepbench` is beside it."""
    text = "from hepbench import Model\nMODEL = Model(title='x', view='table', defaults={}, space=dict, build=len)\n"
    paths = [tmp_path / folder / "my_tagger.py" for folder in ("clone", "elsewhere")]
    for path in paths:
        path.parent.mkdir()
        path.write_text(text)
    (tmp_path / "clone" / "hepbench").mkdir()
    (tmp_path / "clone" / "hepbench" / "__init__.py").write_text("CHANGED = 1\n")
    inside, outside = ({one.name for one in fingerprint.reached([path])} for path in paths)
    assert inside == outside
