"""Entries are found by file name, by path, and complain by name."""

from __future__ import annotations

import pytest

from hepbench.benchmarks import budgets, registry
from hepbench.benchmarks.base import Model, Task, UserError, check_known
from hepbench.suite import fingerprint


@pytest.mark.parametrize("kind, record", [("task", Task), ("model", Model)])
def test_every_shipped_entry_is_found(kind, record):
    names = registry.names(kind)
    assert names == sorted(names)
    for name in names:
        entry = registry.find(kind, name)
        assert isinstance(entry.record, record)
        assert entry.name == name
        assert entry.path.stem == name or (kind == "model" and name.startswith(f"{entry.path.stem}_"))


def test_the_names_that_the_readme_gives_are_there():
    assert {"ecal", "magic"} <= set(registry.names("task"))
    assert {"prior", "gbdt", "mlp", "cnn", "gnn"} <= set(registry.names("model"))


def test_unknown_name_gets_the_nearest():
    with pytest.raises(UserError, match=r"unknown task 'eacl', did you mean 'ecal'\? Known: .*ecal, "):
        registry.find("task", "eacl")
    with pytest.raises(UserError, match="did you mean 'quick'"):
        budgets.find("quik")
    with pytest.raises(UserError, match=r"unknown thing 'zzz'\. Known: a, b"):
        check_known("thing", "zzz", ["a", "b"])


def test_a_file_of_the_user(tmp_path):
    path = tmp_path / "my_model.py"
    path.write_text(
        "from hepbench.benchmarks.base import Model\n"
        "MODEL = Model(title='mine', view='table', defaults={}, space=lambda trial: {}, build=lambda *a: None)\n"
    )
    entry = registry.find("model", str(path))
    assert entry.name == "my_model"
    assert entry.record.title == "mine"
    code = fingerprint.digest_of_code([entry.path])
    path.write_text(path.read_text().replace("mine", "changed"))
    changed = registry.find("model", str(path))
    assert changed.record.title == "changed"
    assert fingerprint.digest_of_code([changed.path]) != code


FAMILY = """
from hepbench.benchmarks.base import Model
def one(title):
    return Model(title=title, view="table", defaults={}, space=lambda trial: {}, build=lambda *a: None)
MODELS = {"mine": one("a"), "mine_big": one("b")}
"""


def test_a_family_of_the_user(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(FAMILY)
    assert registry.find("model", str(path)).record.title == "a"
    big = registry.find("model", f"{path}:mine_big")
    assert (big.name, big.record.title) == ("mine_big", "b")
    assert registry.find("model", big.given).record.title == "b"
    with pytest.raises(UserError, match=r"unknown model of .*mine.py 'mine_bug', did you mean 'mine_big'\?"):
        registry.find("model", f"{path}:mine_bug")
    other = tmp_path / "other.py"
    other.write_text(FAMILY)
    with pytest.raises(UserError, match="the name 'mine' must be 'other' or begin with 'other_'"):
        registry.find("model", str(other))


def test_a_family_has_its_entries_names():
    assert registry.find("model", "particlenet_lite_static").path.stem == "particlenet"
    with pytest.raises(UserError, match=r"unknown model 'particlenet_light', did you mean 'particlenet_lite'\?"):
        registry.find("model", "particlenet_light")


@pytest.mark.parametrize(
    "text, fault",
    [
        ("MODELS = {}", "at least one entry"),
        ("MODELS = {'broken': 3}", r"must expose MODELS\['broken'\], a Model; it exposes a int"),
        ("import nowhere_to_be_found", "ModuleNotFoundError"),
        ("from benchmarks.nowhere import Model", "import from hepbench with `from hepbench import Task, Model"),
        (
            "MODEL = type('Model', (), {'__module__': 'benchmarks.base'})()",
            "import from hepbench with `from hepbench import",
        ),
        ("MODEL = ", "SyntaxError"),
        ("x = 1", "it exposes nothing"),
        ("MODEL = 3", "it exposes a int"),
    ],
)
def test_a_broken_file_is_named(tmp_path, text, fault):
    path = tmp_path / "broken.py"
    path.write_text(text)
    with pytest.raises(UserError, match=fault) as caught:
        registry.find("model", str(path))
    assert str(path) in str(caught.value)


def test_a_missing_file_and_a_taken_name(tmp_path):
    with pytest.raises(UserError, match="no task file"):
        registry.find("task", str(tmp_path / "absent.py"))
    taken = tmp_path / "ecal.py"
    taken.write_text("TASK = None")
    with pytest.raises(UserError, match="rename the file"):
        registry.find("task", str(taken))


def test_a_variant_is_found_behind_a_colon():
    with pytest.raises(UserError, match="unknown variant of ecal 'x'"):
        registry.find("task", "ecal:x")
    for name in registry.names("task"):
        for variant in registry.find("task", name).record.variants:
            entry = registry.find("task", f"{name}:{variant}")
            assert (entry.name, entry.dataset) == (f"{name}:{variant}", name)
            assert entry.record is not entry.base
