"""Saved models from others: whatever is in the folder, none of it is run, and one line says what is wrong."""

from __future__ import annotations

import dataclasses
import json
import pickle
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, assert_user_mistake, hepbench
from test_evaluate import run_of  # noqa: F401  a fixture

from hepbench import UserError
from hepbench.benchmarks.base import Sample
from hepbench.benchmarks.models import hist_gbdt
from hepbench.suite.trial.artifacts import load_model
from hepbench.suite.trial.spec import Spec, command_for
from hepbench.tracking import runs

VARIABLES = 10
"""Of an event of `magic`."""


class Trap:
    """Unpickled, it leaves a file behind."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture
def trapped(tmp_path):
    """A file that is there once code of a model has run."""
    return tmp_path / "trapped"


@pytest.fixture
def predicted(run_of, files_of, trapped, tmp_path):  # noqa: F811
    """Gives a function that predicts by a run whose model folder holds these files, beside what an honest one does."""
    home, honest = run_of("magic")
    store = runs.connect(None, home / "results")
    (raw,) = files_of("magic")[1].paths

    def predict(model: str, change, *options: object):
        folder = tmp_path / "artifacts" / "model"
        shutil.copytree(store.download(honest, "model", tmp_path / "honest"), folder)
        about = json.loads((folder / "trial.json").read_text())
        about["spec"]["model"] = model
        (folder / "trial.json").write_text(json.dumps(about))
        change(folder)
        tags = {"stage": "final", "model": model, "seed": 0, "backend": "tensorflow", "task": "magic"}
        run = store.start("magic", f"{model} seed 0", tags=tags, parameters={})
        store.upload(run, folder.parent)
        store.finish(run, "FINISHED")
        out = tmp_path / "scores.parquet"
        done = hepbench("predict", run, raw, "--out", out, *options, home=home)
        assert out.exists() == (done.returncode == 0)
        return done

    return predict


def changed(folder: Path, **changes: object) -> None:
    """trial.json with other entries, those of the spec among them."""
    about = json.loads((folder / "trial.json").read_text())
    fields = {field.name for field in dataclasses.fields(Spec)}
    about["spec"] |= {name: value for name, value in changes.items() if name in fields}
    about |= {name: value for name, value in changes.items() if name not in fields}
    (folder / "trial.json").write_text(json.dumps(about))


def nodes(tree: list[tuple[bool, int, int, int]], **others) -> dict[str, np.ndarray]:
    """Arrays of a forest with one tree of these (is it a leaf, variable, left, right)."""
    from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE

    array = np.zeros(len(tree), PREDICTOR_RECORD_DTYPE)
    for one, (leaf, variable, left, right) in zip(array, tree, strict=True):
        one["is_leaf"], one["feature_idx"], one["left"], one["right"] = leaf, variable, left, right
    given = {"nodes": array, "lengths": [[len(tree)]], "baseline": [0.0], "known": [0, 1], "classes": 2}
    return given | others


def boosted(folder: Path, **changes: object) -> None:
    """A forest of XGBoost with one tree that splits once, with other numbers of its nodes."""
    import xgboost

    table = np.tile(np.arange(8.0)[:, None], VARIABLES)
    options = {"objective": "binary:logistic", "max_depth": 1, "min_child_weight": 0, "nthread": 1}
    booster = xgboost.train(options, xgboost.DMatrix(table, np.arange(8) > 3), 1)
    saved = json.loads(booster.save_raw("json"))
    (tree,) = saved["learner"]["gradient_booster"]["model"]["trees"]
    assert len(tree["left_children"]) == 3
    tree |= changes
    (folder / "trees.json").write_text(json.dumps(saved))


def network(folder: Path, layer: dict[str, object]) -> None:
    """A network in which this stands in place of a layer."""
    import keras

    inputs = keras.Input((VARIABLES,), name="table")
    keras_model = keras.Model({"table": inputs}, keras.layers.Dense(2, name="x")(inputs))
    keras_model.save(folder / "whole.keras")
    with zipfile.ZipFile(folder / "whole.keras") as whole, zipfile.ZipFile(folder / "network.keras", "w") as file:
        for name in whole.namelist():
            text = whole.read(name)
            if name == "config.json":
                config = json.loads(text)
                config["config"]["layers"][1] |= layer
                text = json.dumps(config).encode()
            file.writestr(name, text)


def lambda_of(trapped: Path) -> dict[str, object]:
    import keras

    layer = keras.layers.Lambda(lambda x: ([0 for _ in [__import__("pathlib").Path("TRAP").touch()]], x)[1])
    return {"class_name": "Lambda", "config": {**layer.get_config(), "name": "x"}}


def layer_of(module: str, name: str, /, **config: object) -> dict[str, object]:
    return {"module": module, "class_name": name, "registered_name": None, "config": {"name": "x", **config}}


SPLIT = [(False, 0, 1, 2), (True, 0, 0, 0), (True, 0, 0, 0)]

HOSTILE = {
    "no trial.json": ("logistic", lambda f, t: (f / "trial.json").unlink(), "no saved model, or a damaged one"),
    "trial.json is a list": ("logistic", lambda f, t: (f / "trial.json").write_text("[1]"), "no saved model"),
    "trial.json of another": ("logistic", lambda f, t: changed(f, spec={"model": 5}), "no saved model"),
    "trial.json with numbers": ("logistic", lambda f, t: changed(f, task=5), "no saved model"),
    "unknown task": ("logistic", lambda f, t: changed(f, task="../../magic"), "unknown task"),
    "own model": ("logistic", lambda f, t: changed(f, model=trap_file(t)), "a file of its user, evil.py"),
    "own model of a family": ("logistic", lambda f, t: changed(f, model=f"{trap_file(t)}:evil_2"), "evil.py"),
    "own model in a folder with a colon": (
        "logistic",
        lambda f, t: changed(f, model=trap_file(t.parent / "a:b" / "trap")),
        "a file of its user, evil.py",
    ),
    "own task": ("logistic", lambda f, t: changed(f, task=trap_file(t)), "the task of this run is a file of its user"),
    "classes are numbers": ("logistic", lambda f, t: changed(f, classes=[1, 2]), "trained on the classes 1, 2"),
    "scaling is a pickle": (
        "logistic",
        lambda f, t: np.savez(f / "scaling.npz", **{"table|0": np.array([Trap(t)], object), "table|1": np.ones(1)}),
        "no saved model",
    ),
    "scaling of other shapes": (
        "logistic",
        lambda f, t: np.savez(f / "scaling.npz", **{"table|0": np.zeros(3), "table|1": np.ones(3)}),
        "fails on the events",
    ),
    "logistic is a pickle": (
        "logistic",
        lambda f, t: np.savez(f / "weights.npz", weights=np.array([Trap(t)], object), constant=0, largest=0),
        "does not load",
    ),
    "logistic of other shapes": (
        "logistic",
        lambda f, t: np.savez(f / "weights.npz", weights=np.zeros((3, 2)), constant=np.zeros(2), largest=np.ones(3)),
        "fails on the events",
    ),
    "prior is text": (
        "prior",
        lambda f, t: (changed(f, shapes={}), (f / "frequencies.json").write_text('{"a": "b"}')),
        "fails on the events",
    ),
    "trees are a pickle": (
        "hist_gbdt",
        lambda f, t: (f / "trees.npz").write_bytes(pickle.dumps(Trap(t))),
        "does not load",
    ),
    "trees of before": (
        "hist_gbdt",
        lambda f, t: (f / "trees.pickle").write_bytes(pickle.dumps(Trap(t))),
        "does not load",
    ),
    "nodes are a pickle": (
        "hist_gbdt",
        lambda f, t: np.savez(f / "trees.npz", **nodes(SPLIT, nodes=np.array([Trap(t)], object))),
        "does not load",
    ),
    "a tree with a circle": (
        "hist_gbdt",
        lambda f, t: np.savez(f / "trees.npz", **nodes([(False, 0, 0, 0), *SPLIT[1:]])),
        "are not whole",
    ),
    "a tree that ends elsewhere": (
        "hist_gbdt",
        lambda f, t: np.savez(f / "trees.npz", **nodes([(False, 0, 1, 2_000_000), *SPLIT[1:]])),
        "are not whole",
    ),
    "a tree of other lengths": (
        "hist_gbdt",
        lambda f, t: np.savez(f / "trees.npz", **nodes(SPLIT, lengths=[[2_000_000]])),
        "does not load",
    ),
    "a tree that splits elsewhere": (
        "hist_gbdt",
        lambda f, t: np.savez(f / "trees.npz", **nodes([(False, 2_000_000, 1, 2), *SPLIT[1:]])),
        "fails on the events (ValueError: the trees split in variable 2000000 of 10)",
    ),
    "boosted trees are a pickle": (
        "gbdt",
        lambda f, t: (f / "trees.json").write_bytes(pickle.dumps(Trap(t))),
        "does not load",
    ),
    "boosted trees are empty": ("gbdt", lambda f, t: (f / "trees.json").touch(), "does not load"),
    "a boosted tree with a circle": ("gbdt", lambda f, t: boosted(f, left_children=[0, -1, -1]), "are not whole"),
    "a boosted tree that ends elsewhere": (
        "gbdt",
        lambda f, t: boosted(f, right_children=[2_000_000, -1, -1]),
        "are not whole",
    ),
    "a boosted tree that splits elsewhere": (
        "gbdt",
        lambda f, t: boosted(f, split_indices=[2_000_000, 0, 0]),
        "are not whole",
    ),
    "a boosted tree of other lengths": ("gbdt", lambda f, t: boosted(f, split_conditions=[0.0]), "are not whole"),
    "a network is a pickle": (
        "mlp",
        lambda f, t: (f / "network.keras").write_bytes(pickle.dumps(Trap(t))),
        "does not load",
    ),
    "a network with a lambda": ("mlp", lambda f, t: network(f, lambda_of(t)), "does not load"),
    "a network with a program of TensorFlow": (
        "mlp",
        lambda f, t: network(f, layer_of("keras.layers", "TFSMLayer", filepath=str(t.parent))),
        "does not load",
    ),
    "a network with a module of PyTorch": (
        "mlp",
        lambda f, t: network(f, layer_of("keras.layers", "TorchModuleWrapper", module="A" * 40)),
        "does not load",
    ),
    "a network with a class of Python": (
        "mlp",
        lambda f, t: network(f, layer_of("pathlib", "Path")),
        "does not load",
    ),
    "a network that downloads": (
        "mlp",
        lambda f, t: network(
            f,
            {
                **layer_of("keras.layers", "Activation"),
                "config": {
                    "name": "x",
                    "activation": {
                        "module": "keras.utils",
                        "class_name": "function",
                        "config": "get_file",
                        "registered_name": "get_file",
                    },
                },
            },
        ),
        "does not load",
    ),
}


def trap_file(trapped: Path) -> str:
    """A Python file that leaves a trace when it is imported."""
    path = trapped.with_name("evil.py")
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"open({str(trapped)!r}, 'w')\n")
    return str(path)


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_model_is_one_line_and_never_runs(kind, predicted, trapped, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    model, change, words = HOSTILE[kind]
    assert_user_mistake(predicted(model, lambda folder: change(folder, trapped)), words)
    assert not trapped.exists() and not Path("TRAP").exists()


def test_the_traps_work(trapped, tmp_path, monkeypatch):
    import keras

    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps(Trap(trapped)))
    assert trapped.exists()
    network(tmp_path, lambda_of(trapped))
    keras.models.load_model(tmp_path / "network.keras", safe_mode=False)
    assert Path("TRAP").exists()


OWN = """
from hepbench import Model
from hepbench.benchmarks.models import logistic

MODEL = Model("mine", "table", logistic.DEFAULTS, logistic.space, fit=logistic.fit, load=logistic.load)
"""


def test_a_users_own_file_is_loaded_where_it_is_given(predicted, tmp_path):
    own, elsewhere, other = (tmp_path / name for name in ("mine.py", "gone/mine.py", "other.py"))
    own.write_text(OWN)
    other.write_text(OWN)
    about = {"model": str(elsewhere)}
    done = predicted("mine", lambda folder: changed(folder, **about))
    assert_user_mistake(done, "the model of this run is a file of its user, mine.py, whose code runs", "--model")
    shutil.rmtree(tmp_path / "artifacts")
    done = predicted("mine", lambda folder: changed(folder, **about), "--model", other)
    assert_user_mistake(done, "give --model its own file")
    shutil.rmtree(tmp_path / "artifacts")
    done = predicted("mine", lambda folder: changed(folder, **about), "--task", ROOT / "examples" / "my_task.py")
    assert_user_mistake(done, "the task of this run is magic, not", "leave --task out")
    shutil.rmtree(tmp_path / "artifacts")
    done = predicted("mine", lambda folder: changed(folder, **about), "--model", own)
    assert done.returncode == 0, done.stderr


def test_trees_come_back_as_they_were(tmp_path):
    """And give the scores that scikit-learn gives."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    rng = np.random.default_rng(0)
    for classes in (2, 3):
        table, labels = rng.normal(size=(300, 4)).astype(np.float32), rng.integers(0, classes, 300)
        sample = Sample({"table": table}, np.arange(300), labels, {"table": (np.zeros(4), np.ones(4))})
        asked = {**hist_gbdt.DEFAULTS, "rounds": 20}
        trees = hist_gbdt.fit(sample, sample, asked, classes=classes, seed=0, device="cpu", report=lambda *some: None)
        folder = tmp_path / str(classes)
        folder.mkdir()
        trees.save(folder)
        np.testing.assert_array_equal(hist_gbdt.load(folder).predict(sample), trees.predict(sample))
        names = ("learning_rate", "max_leaf_nodes", "min_samples_leaf", "l2_regularization", "max_features")
        theirs = HistGradientBoostingClassifier(
            max_iter=20,
            early_stopping=True,
            n_iter_no_change=50,
            random_state=0,
            **{name: asked[name] for name in names},
        )
        theirs.fit(table, labels, X_val=table, y_val=labels)
        np.testing.assert_allclose(trees.predict(sample), theirs.predict_proba(table), atol=1e-6)


def test_a_command_can_be_given_to_a_shell():
    spec = Spec("magic", "./my models/a;b.py", 0, "smoke", "official", "cpu", "tensorflow", {"x": "$(touch y)"})
    assert "--model './my models/a;b.py'" in command_for(spec) and "--set 'x=$(touch y)'" in command_for(spec)


def test_no_module_unpickles():
    rooms = ("benchmarks", "suite", "tracking")
    files = [path for room in rooms for path in (ROOT / room).rglob("*.py")]
    found = [
        path
        for path in files
        if re.search(r"\bpickle\.(?!dumps)|\b(joblib|marshal|shelve)\.|allow_pickle=True", path.read_text())
    ]
    assert not found


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="no saved model"):
        load_model(tmp_path / "absent")
