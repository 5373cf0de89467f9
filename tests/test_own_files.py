"""Tasks and models of a user's own: their names, the values of their hyper-parameters, their layers, their text."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, assert_user_mistake, hepbench
from mlflow.utils import validation

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import Sample, UserError, as_text, plain
from hepbench.suite import fingerprint
from hepbench.suite.settings import settings_by_model
from hepbench.suite.training.loop import fit_network
from hepbench.suite.training.network import objects_of
from hepbench.suite.trial.spec import Spec
from hepbench.tracking.runs import key_of

MODEL = """
import numpy as np
from hepbench import Model

class Fitted:
    trainable_parameters = np.int64(1)
    timings = {}

    def predict(self, sample):
        score = 1 / (1 + np.exp(-sample.take(slice(None))["table"][:, 0]))
        return np.column_stack([1 - score, score]).astype(np.float32)

    def save(self, folder):
        pass

def fit(train, valid, parameters, classes, seed, device, report):
    assert (parameters["layers"], parameters["depth"], parameters["rate"]) in ALLOWED, parameters
    report(np.int64(1), {"val_auc": np.float32(0.5), "val loss, [GeV]": 1, "a/../b?": np.array(2)})
    return Fitted()

ALLOWED = [((64, 64), None, 0.5), ((128,), None, 0.5), ((64, 64), 3, 0.5)]
MODEL = Model(
    title="odd", view="table", fit=fit, load=lambda folder: Fitted(),
    defaults={"layers": [64, np.int64(64)], "depth": None, "rate": np.float32(0.5)},
    space=lambda trial: {"layers": trial.suggest_categorical("layers", [(64, 64), (128,)])},
)
"""

SLICES = """slices={
    "pt [GeV]": lambda arrays: np.digitize(arrays["table"][:, 0], [30, 40]),
    "a/../b?": lambda arrays: arrays["table"][:, 1] > 30,
},
"""


@pytest.fixture
def model(tmp_path) -> Path:
    path = tmp_path / "odd.py"
    path.write_text(MODEL)
    return path


@pytest.fixture
def task(tmp_path) -> Path:
    """The example with odd slices, and a variant of the half of its variables."""
    text = (ROOT / "examples" / "my_task.py").read_text()
    before, record = text.split("TASK = ")
    half = record.replace("lambda arrays: arrays", 'lambda arrays: {"table": arrays["table"][:, :2]}')
    record = record.replace("size=", f'{SLICES} variants={{"half": HALF}}, size=')
    path = tmp_path / "odd_task.py"
    path.write_text(f"{before}HALF = {half}\nTASK = {record}")
    return path


def rows_of(home: Path, task: object) -> list[dict]:
    return json.loads(hepbench("leaderboard", task, "--format", "json", home=home).stdout)


def test_odd_names_and_values_from_the_bench_to_predictions(home, tmp_path, task, model):
    for given, taggers in ((task, [model]), (f"{task}:half", ["logistic"])):
        options = [option for tagger in taggers for option in ("--model", tagger)]
        done = hepbench("bench", given, *options, "--budget", "smoke", home=home)
        assert done.returncode == 0, done.stdout + done.stderr
        (row,) = rows_of(home, given)
        own = ("--task", task, *(("--model", model) if taggers == [model] else ()))
        (file,) = home.glob("data/odd_task/simulated/*/*.csv")
        out = tmp_path / f"{len(str(given))}.parquet"
        done = hepbench("predict", row["run_ids"][0], file, *own, "--out", out, home=home)
        assert done.returncode == 0 and "2,000 events scored" in done.stdout, done.stderr
        folder = tmp_path / f"evaluation-{len(str(given))}"
        done = hepbench("evaluate", row["run_ids"][0], file, *own, "--out", folder, home=home)
        assert done.returncode == 0 and "1,400 of its training part" in done.stdout, done.stderr
        measured = json.loads((folder / "metrics.json").read_text())["metrics"]
        assert measured["auc"] == pytest.approx(row["auc"], abs=1e-4)
    row = rows_of(home, task)[0]
    assert {"auc_pt_GeV_0", "auc_pt_GeV_2_error", "auc_a_.._b_True"} <= row.keys()
    assert row["hyperparameters"] == {"layers": "(64, 64)", "depth": "None", "rate": "0.5"}


def test_a_task_of_any_file_name_has_its_results(home, tmp_path):
    task, tagger = tmp_path / "jets #1? 50%20 é [b].py", tmp_path / "my tagger [v2] #1?.py"
    task.write_text((ROOT / "examples" / "my_task.py").read_text())
    tagger.write_text(MODEL.replace('["table"][:, 0]', '["table"][:, 1]'))
    done = hepbench("bench", task, "--model", tagger, "--budget", "smoke", home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    (row,) = rows_of(home, task)
    (file,) = home.glob("data/*/simulated/*/*.csv")
    given = ("--task", task, "--model", tagger, "--out", tmp_path / "scores.parquet")
    done = hepbench("predict", row["run_ids"][0], file, *given, home=home)
    assert done.returncode == 0 and "2,000 events scored" in done.stdout, done.stderr


def test_a_training_that_ends_the_program_is_one_failed_trial(home, model):
    model.write_text(MODEL.replace("    return Fitted()", "    raise SystemExit(0)", 1))
    done = hepbench("bench", "magic", "--model", model, "--model", "prior", "--budget", "smoke", home=home)
    assert done.returncode == 1 and "odd seed 0: SystemExit: 0" in done.stdout, done.stdout + done.stderr
    assert [row["model"] for row in rows_of(home, "magic")] == ["prior"]


@pytest.mark.parametrize(
    "slices, fault",
    [
        ("{'pt': lambda arrays: arrays['table'][:, 0]}", "the slice 'pt' must give a whole number for each of 1,000"),
        ("{'pt': lambda arrays: np.arange(3)}", r"gives int64 of shape \(3,\)"),
        ("{'pt': lambda arrays: arrays['tabel']}", "the slice 'pt' fails: KeyError: 'tabel'"),
        (
            "dict.fromkeys(['pt [GeV]', 'pt GeV'], lambda arrays: arrays['table'][:, 0] > 1)",
            "the slice 'pt GeV' has the metrics .* of the slice 'pt .GeV.': rename",
        ),
    ],
)
def test_a_wrong_slice_is_refused_before_any_training(home, task, slices, fault):
    task.write_text(task.read_text().replace(SLICES.strip().removesuffix(","), f"slices={slices}"))
    done = hepbench("bench", task, "--model", "prior", "--budget", "smoke", home=home)
    assert_user_mistake(done, str(task))
    assert re.search(fault, done.stderr) and "done 1/1" not in done.stdout


@pytest.mark.parametrize(
    "change, fault",
    [
        (
            ("defaults={", "defaults={'a/../b?': 1, "),
            r"hyper-parameter 'a/\.\./b\?': its name must consist of at most 100 letters",
        ),
        (("defaults={", "defaults={3: 1, "), "hyper-parameter 3: its name must consist of at most 100 letters"),
        (("defaults={", "defaults={'x': {}, "), "hyper-parameter x: expected a number, a string, .* but got a dict"),
        (("defaults={", "defaults={'x': float('nan'), "), "hyper-parameter x: .* but got NaN"),
        (("defaults={", "defaults={'x': np.ones(2), "), "hyper-parameter x: .* but got a ndarray"),
        (("defaults={", "defaults={'epochs': None, "), "the default of epochs must be a whole number above 0"),
        (
            ("import numpy", "import sys; sys.exit(0)\nimport numpy"),
            "exits the program on import: .*__main__",
        ),
        (
            ("ALLOWED =", "import hepbench; hepbench.bench('magic')\nALLOWED ="),
            "calls hepbench while being imported: .*__main__",
        ),
        (
            ("ALLOWED =", "import hepbench; hepbench.predict('a', 'b')\nALLOWED ="),
            "calls hepbench while being imported",
        ),
    ],
)
def test_a_model_that_cannot_be_is_refused_by_name(model, change, fault):
    model.write_text(MODEL.replace(*change))
    with pytest.raises(UserError, match=fault) as caught:
        registry.find("model", str(model))
    assert str(model) in str(caught.value) and len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "change, fault",
    [
        (('("continuum", "Z")', '("Z", "Z")'), "classes must be two or more different names"),
        (('("continuum", "Z")', '"Z"'), "classes must be two or more different names"),
        (('("continuum", "Z")', '("continuum", "Z"), signal=2'), "signal must be the index of a class, 0 to 1, got 2"),
        (('"half":', '"../half":'), r"variant '\.\./half': its name must consist of at most 100 letters"),
        (('"table":', '"a table":'), "view 'a table': its name must consist of"),
    ],
)
def test_a_task_that_cannot_be_is_refused_by_name(task, change, fault):
    task.write_text(task.read_text().replace(*change))
    with pytest.raises(UserError, match=fault) as caught:
        registry.find("task", str(task))
    assert str(task) in str(caught.value) and len(str(caught.value).splitlines()) == 1


def test_classes_may_be_a_list(task):
    task.write_text(task.read_text().replace('("continuum", "Z")', '["continuum", "Z"]'))
    assert registry.find("task", str(task)).record.classes == ("continuum", "Z")


@pytest.mark.parametrize(
    "name", ["a/../b?", "val loss, [GeV]", "..", ".", "", "/", "a//b", "x" * 300, "τ", "system/cpu"]
)
def test_mlflow_takes_every_name(name):
    validation._validate_metric(key_of(name), 1.0, 0, 0)
    validation._validate_param(key_of(name), "1")
    assert key_of(name) == name or name not in ("τ", "system/cpu")


def test_a_path_may_hold_colons(tmp_path, task):
    folder = tmp_path / "12:30"
    folder.mkdir()
    moved = task.rename(folder / task.name)
    assert registry.find("task", f"{moved}:half").name == "odd_task:half"


def test_a_study_of_tuples_resumes_where_it_was_stopped(home, task, model):
    command = ("tune", "magic", "--model", model, "--budget", "smoke", "--seeds", 2, "--trials")
    for trials in (2, 3):
        done = hepbench(*command, trials, home=home)
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"{trials} complete" in done.stdout
    model.write_text(MODEL.replace("[(64, 64), (128,)]", "[{}]"))
    assert_user_mistake(hepbench(*command, 3, home=home), "search space of odd is wrong", "got a dict")
    model.write_text(MODEL.replace('"layers", [(64', '"a/../b?", [(64'))
    assert_user_mistake(hepbench(*command, 3, home=home), "search space of odd is wrong: hyper-parameter 'a/../b?'")


def test_values_given_by_hand_have_the_type_of_the_default(model):
    entry, magic = registry.find("model", str(model)), registry.find("task", "magic")

    def chosen(**settings) -> dict:
        return settings_by_model(settings, magic, [entry])["odd"]

    assert chosen(layers="128, 32") == chosen(layers="(128,32)") == chosen(layers=[128, np.int32(32)])
    assert chosen(layers="128") == {"layers": (128,)} and chosen(layers="64,64") == {}
    assert [chosen(depth=text).get("depth") for text in ("3", "0.5", "deep", "none", "true")] == [
        3,
        0.5,
        "deep",
        None,
        True,
    ]
    with pytest.raises(UserError, match="layers=wide: expected a whole number, such as the default 64"):
        chosen(layers="wide,64")
    with pytest.raises(UserError, match="layers=3: expected several, such as the default 64,64"):
        chosen(layers=3)
    assert as_text(plain("layers", [1, [2, np.float64(0.5)]])) == "1,(2, 0.5)"
    spec = Spec("magic", "odd", 0, "smoke", "official", "cpu", "tensorflow", {"layers": [128]})
    assert Spec(**json.loads(json.dumps(dataclasses.asdict(spec)))) == spec and spec.parameters == {"layers": (128,)}


LAYERS = """
import keras
from keras import layers, ops
from hepbench import Model

class Scale(layers.Layer):
    def __init__(self, factor, **options):
        super().__init__(**options)
        self.factor = factor

    def call(self, x):
        return x * self.factor

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}

def bent(x):
    return ops.maximum(x, 0.1 * x)

def build(shapes, classes, parameters):
    table = keras.Input(shapes["table"], name="table")
    x = layers.Dense(4, activation=bent)(Scale(3.0)(table))
    return keras.Model({"table": table}, layers.Dense(classes, activation="softmax")(x))

MODEL = Model(title="own layers", view="table", build=build, space=lambda trial: {}, defaults={"epochs": 1})
"""


@pytest.fixture
def layers(tmp_path) -> Path:
    path = tmp_path / "own_layers.py"
    path.write_text(LAYERS)
    return path


def test_a_network_of_own_layers_predicts_what_it_was_tested_with(home, tmp_path, layers, files_of):
    done = hepbench("bench", "magic", "--model", layers, "--budget", "smoke", home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    (row,) = rows_of(home, "magic")
    files, folder = files_of("magic")[1].paths, tmp_path / "evaluation"
    done = hepbench("evaluate", row["run_ids"][0], *files, "--model", layers, "--out", folder, home=home)
    assert done.returncode == 0, done.stderr
    assert "auc" in json.loads((folder / "metrics.json").read_text())["metrics"]


@pytest.mark.parametrize(
    "change, fault",
    [
        (('"factor": self.factor', ""), "missing 1 required positional argument: 'factor'"),
        (("factor, **options", "factor=1.0, **options"), ""),
        (('"factor": self.factor', '"factor": 1.0'), "it gives other scores"),
        (("activation=bent", "activation=lambda x: ops.maximum(x, 0.1 * x)"), "lambda"),
        (("def build(", "def gelu(x):\n    return x\n\ndef build("), ""),
        (("parameters):\n", "parameters):\n    class Scale(Scale0):\n        pass\n\n"), "locate class 'Scale'"),
    ],
)  # fmt: skip
def test_a_network_that_does_not_load_again_is_refused_before_its_training(layers, change, fault):
    text = LAYERS.replace(*change)
    if "Scale0" in text:
        text = text.replace("class Scale(layers.Layer)", "class Scale0(layers.Layer)")
    layers.write_text(text)
    entry, reported = registry.find("model", str(layers)), []
    rng = np.random.default_rng(0)
    sample = Sample({"table": rng.normal(size=(64, 3)).astype(np.float32)}, np.arange(64), rng.integers(0, 2, 64))

    def train() -> None:
        fit_network(
            entry.record.build, sample, sample, {"epochs": 1, "batch_size": 32}, classes=2, seed=0, device="cpu",
            report=lambda epoch, values: reported.append(epoch), objects=objects_of(sys.modules[entry.module]),
        )  # fmt: skip

    if not fault:
        train()
        assert reported == [1]
        return
    with pytest.raises(UserError, match=fault) as caught:
        train()
    assert "it could train but not predict" in str(caught.value) and not reported
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("encoding, first", [("utf-8-sig", ""), ("latin-1", "# -*- coding: latin-1 -*-\n")])
def test_a_file_declares_its_encoding(model, encoding, first):
    model.write_bytes((first + MODEL.replace('title="odd"', 'title="Zürich"')).encode(encoding))
    entry = registry.find("model", str(model))
    assert entry.record.title == "Zürich"
    assert fingerprint.code_of_trial(registry.find("task", "magic"), entry)


def test_a_file_that_changed_within_the_second_is_read_anew(model):
    for title in ("one", "two"):  # as long as each other: Python's own cache goes by size and second
        model.write_text(MODEL.replace('title="odd"', f'title="{title}"'))
        assert registry.find("model", str(model)).record.title == title
    assert not list(model.parent.glob("__pycache__"))


def test_what_a_file_imports_from_the_package_is_part_of_its_code():
    task, tree = ROOT / "examples" / "root_task.py", registry.HOME / "formats" / "root_tree.py"
    assert tree in fingerprint.reached([task])
    assert tree not in fingerprint.reached([ROOT / "examples" / "my_task.py"])
