"""Networks of PyTorch, trained by the loop that trains Keras networks."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, hepbench

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import Sample, UserError
from hepbench.suite.training.loop import fit_network

if not importlib.util.find_spec("torch"):
    if os.environ.get("CI"):
        pytest.fail("PyTorch is not installed")
    pytest.skip("PyTorch is not installed", allow_module_level=True)

TAGGER = ROOT / "examples" / "torch_tagger.py"
HOSTILE = """
import torch
from torch import nn
from hepbench import Model

class Network(nn.Module):
    def __init__(self, variables, classes):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(variables, 8), nn.ReLU(), nn.Linear(8, classes))

    def forward(self, table):
        return self.layers(table)

def build(shapes, classes, parameters):
    return Network(shapes["table"][0], classes)

MODEL = Model(title="own", view="table", build=build, space=lambda trial: {}, defaults={"epochs": 1})
"""

LATE = (
    HOSTILE.replace("import torch\nfrom torch import nn\n", "")
    .replace("nn.Module", "")
    .replace("return Network", "from torch import nn; return Network")
)
"""It imports PyTorch as it is built."""

IN_KERAS = """
import keras
import torch
from hepbench import Model

def build(shapes, classes, parameters):
    table = keras.Input(shapes["table"], name="table")
    return keras.Model({"table": table}, keras.layers.Dense(1, activation="sigmoid")(table))

MODEL = Model(title="own", view="table", build=build, space=lambda trial: {}, defaults={"epochs": 1})
"""


@pytest.fixture
def sample() -> Sample:
    """300 events of 4 variables, of which one tells the class; with weights."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 300)
    table = rng.normal(size=(300, 4)).astype(np.float32)
    table[:, 0] += labels
    weights = rng.uniform(0.5, 1.5, 300).astype(np.float32)
    return Sample({"table": table}, np.arange(300), labels, weights=weights)


def fit(build, sample, device="cpu", own=False, start=(), package="torch", **settings):
    reported = []
    network = fit_network(
        build,
        sample,
        Sample(sample.inputs, sample.rows[:100], sample.labels[:100]),
        {"epochs": 3, "batch_size": 32, **settings},
        classes=2,
        seed=0,
        device=device,
        report=lambda epoch, values: reported.append(values),
        package=package,
        start=start,
        objects={} if own else None,
    )
    return network, reported


def in_torch(outputs: int):
    from torch import nn

    def build(shapes, classes, parameters):
        return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, outputs))

    return build


def in_keras(outputs: int):
    import keras

    def build(shapes, classes, parameters):
        table = keras.Input((4,), name="table")
        x = keras.layers.Dense(8, activation="relu")(table)
        last = keras.layers.Dense(outputs, activation="sigmoid" if outputs == 1 else "softmax")
        return keras.Model({"table": table}, last(x))

    return build


@pytest.mark.parametrize(
    "outputs, settings",
    [
        (2, {"optimiser": "adam", "weight_decay": 0.1, "schedule": "one_cycle"}),
        (1, {"optimiser": "rmsprop", "passes": 2}),
        (2, {"optimiser": "sgd", "schedule": "constant", "learning_rate": 0.05}),
        (2, {"optimiser": "sgd", "schedule": "one_cycle", "learning_rate": 0.05}),
    ],
)
def test_a_training_is_that_of_the_same_network_in_keras(sample, outputs, settings):
    """From the same weights: the same events in the same order, rates, loss, weights of events and steps."""
    rng = np.random.default_rng(1)
    weights = [rng.normal(size=shape).astype(np.float32) for shape in ((4, 8), (8,), (8, outputs), (outputs,))]
    turned = [weight.T.copy() for weight in weights]
    theirs, expected = fit(in_keras(outputs), sample, start=weights, package="", **settings)
    ours, found = fit(in_torch(outputs), sample, start=turned, **settings)
    for name in ("loss", "accuracy", "val_loss", "val_auc", "learning_rate"):
        np.testing.assert_allclose([one[name] for one in found], [one[name] for one in expected], rtol=2e-3)
    assert expected[0]["loss"] - expected[-1]["loss"] > 0.02
    np.testing.assert_allclose(ours.predict(sample), theirs.predict(sample), atol=2e-3)
    assert ours.trainable_parameters == theirs.trainable_parameters == 4 * 8 + 8 + 9 * outputs


@pytest.mark.parametrize("optimiser", ["sgd", "rmsprop"])
def test_optimisers_take_the_steps_of_keras(optimiser):
    """Also of small gradients, and at rates that change."""
    import keras
    import torch

    from hepbench.suite.training import optimiser as of_keras
    from hepbench.suite.training import torch_training
    from hepbench.suite.training.settings import DEFAULTS

    rng = np.random.default_rng(0)
    options = {**DEFAULTS, "optimiser": optimiser, "learning_rate": 0.1}
    start = rng.normal(size=(5, 3)).astype(np.float32)
    one, other = torch.nn.Parameter(torch.tensor(start)), keras.Variable(start)
    ours, theirs = torch_training.optimiser_of([one], options), of_keras.optimiser_of(options)
    for step in range(20):
        gradient = (rng.normal(size=(5, 3)) * 10.0 ** -np.arange(1, 4)).astype(np.float32)
        rate = 0.1 / (1 + step)
        one.grad, ours.param_groups[0]["lr"] = torch.tensor(gradient), rate
        theirs.learning_rate.assign(rate)
        ours.step()
        theirs.apply([gradient], [other])
    np.testing.assert_allclose(one.numpy(force=True) - start, np.asarray(other) - start, rtol=1e-2)


def test_the_same_seed_gives_the_same_scores_and_the_best_epoch_is_kept(sample):
    build = registry.find("model", str(TAGGER)).record.build
    settings = {"width": 16, "epochs": 8, "learning_rate": 0.05, "patience": 0}
    first, reported = fit(build, sample, own=True, **settings)
    second, _ = fit(build, sample, own=True, **settings)
    scores = first.predict(sample)
    np.testing.assert_array_equal(second.predict(sample), scores)
    best = min(one["val_loss"] for one in reported)
    assert best < reported[-1]["val_loss"]
    assert -np.log(scores[np.arange(100), sample.labels[:100]]).mean() == pytest.approx(best, rel=1e-5)
    other, _ = fit(build, sample, batch_size=32, precision="bfloat16", **settings)
    assert np.abs(other.predict(sample) - scores).max() > 1e-4


@pytest.mark.parametrize("outputs, classes", [(1, 2), (3, 3)])
def test_a_network_gives_its_scores_as_onnx(outputs, classes):
    """Of one event, of clouds with fewer places than it was traced with, and of values that are missing."""
    pytest.importorskip("onnxruntime")
    import torch
    from torch import nn

    from hepbench.suite.export.runtime import Runtime
    from hepbench.suite.export.torch_network import torch_to_onnx
    from hepbench.suite.training.torch_network import TorchNetwork

    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.points, self.table, self.out = nn.Linear(4, 8), nn.Linear(3, 8), nn.Linear(16, outputs)

        def forward(self, features, mask, context):
            pooled = (torch.relu(self.points(features)) * mask[..., None]).sum(dim=1)
            return self.out(torch.cat([pooled, torch.tanh(self.table(context))], dim=1))

    rng = np.random.default_rng(0)
    mask = np.arange(6) < rng.integers(0, 7, 90)[:, None]
    inputs = {"features": rng.normal(size=(90, 6, 4)), "mask": mask, "context": rng.normal(size=(90, 2))}
    inputs["context"][::3, 1] = np.nan
    inputs = {name: array if name == "mask" else array.astype(np.float32) for name, array in inputs.items()}
    scaling = {
        "features": (np.full(4, 0.5, np.float32), np.full(4, 2, np.float32)),
        "context": (*map(np.float32, ([0.1, 0.2, 0], [2, 3, 1], [0.3, 0.4])), np.array([1])),
    }
    events = Sample(inputs, np.arange(90), np.arange(90) % classes, scaling)
    network = TorchNetwork(Both(), events.shapes, classes, {}, outputs)
    exported = Runtime(torch_to_onnx(network, inputs, scaling).SerializeToString())
    raw = Sample({name: inputs[name] for name in exported.names}, events.rows, events.labels)
    np.testing.assert_allclose(exported.predict(raw), network.predict(events), atol=1e-5)
    alone = Sample(raw.inputs, np.arange(3, 4), events.labels[3:4])
    np.testing.assert_allclose(exported.predict(alone), network.predict(events)[3:4], atol=1e-5)
    short = np.flatnonzero(mask.sum(axis=1) <= 4)
    cut = {name: array[:, :4] if name != "context" else array for name, array in raw.inputs.items()}
    fewer = exported.predict(Sample(cut, short, events.labels[short]))
    np.testing.assert_allclose(fewer, network.predict(events)[short], atol=1e-5)


def test_what_pytorch_cannot_trace_is_one_line(sample):
    pytest.importorskip("onnxruntime")
    import torch
    from torch import nn

    from hepbench.suite.export.torch_network import torch_to_onnx
    from hepbench.suite.training.torch_network import TorchNetwork

    class Odd(nn.Module):
        def forward(self, table):
            return torch.linalg.svd(table[:, :2, None] * table[:, None, :2])[1]

    network = TorchNetwork(Odd(), sample.shapes, 2, {}, 2)
    with pytest.raises(UserError, match=r"cannot be written as ONNX by torch\.onnx\.export") as caught:
        torch_to_onnx(network, sample.inputs, {})
    assert len(str(caught.value).splitlines()) == 1


def test_clouds_come_by_the_names_of_the_arguments(sample):
    import torch
    from torch import nn

    class Cloud(nn.Module):
        def __init__(self):
            super().__init__()
            self.points, self.dense = nn.LazyLinear(8), nn.Linear(8, 3)

        def forward(self, features, mask, context=None):
            assert mask.dtype == torch.bool and features.dtype == torch.float32 and context is None
            return self.dense((torch.relu(self.points(features)) * mask[..., None]).sum(dim=1))

    rng = np.random.default_rng(0)
    mask = np.arange(6) < rng.integers(1, 7, 90)[:, None]
    inputs = {"points": rng.normal(size=(90, 6, 2)), "features": rng.normal(size=(90, 6, 4)), "mask": mask}
    events = Sample(inputs, np.arange(90), np.arange(90) % 3)
    network = fit_network(
        lambda *given: Cloud(), events, events, {"epochs": 1, "batch_size": 16}, classes=3, seed=0, device="cpu",
        report=lambda epoch, values: None, package="torch", objects={},
    )  # fmt: skip
    assert network.input_names == ["features", "mask"] and network.trainable_parameters == 5 * 8 + 9 * 3
    assert [layer.kind for layer in network.layers] == ["InputLayer", "InputLayer", "Linear", "Linear"]
    assert network.predict(events).shape == (90, 3)


@pytest.mark.parametrize(
    "change, fault",
    [
        (("forward(self, table)", "forward(self, x, y, table=None)"), "forward of the network takes x, y: name its"),
        (("self.layers(table)", "self.layers(table).softmax(1)"), "must end in logits, without softmax or sigmoid"),
        (("nn.Linear(8, classes)", "nn.Linear(8, 5)"), r"must end in \(N, 2\) logits, or \(N, 1\), but for 2 events"),
        (("return self.layers(table)", "return [table]"), "it gives list"),
        (("self.layers = nn.Seq", "self.layers = lambda x: nn.Seq"), "no weights to train: .*ModuleList"),
        (("super().__init__()", "super().__init__(); self.shift = torch.randn(variables) * 9"), "gives other scores"),
        (("return Network(", "return torch.optim.Adam or Network("), "must give a keras.Model, or a torch.nn.Module"),
    ],
)
def test_a_network_that_cannot_be_trained_is_refused_before(tmp_path, sample, change, fault):
    text = HOSTILE.replace(*change)
    if "shift" in text:
        text = text.replace("self.layers(table)", "self.layers(table + self.shift)")
    path = tmp_path / "own.py"
    path.write_text(text)
    record = registry.find("model", str(path)).record
    assert record.package == "torch" and not record.in_keras
    with pytest.raises(UserError, match=fault) as caught:
        fit(record.build, sample, own=True)
    assert len(str(caught.value).splitlines()) == 1


def test_a_bench_predicts_and_starts_again_from_its_run(home, tmp_path, files_of):
    both = tmp_path / "both.py"
    both.write_text(IN_KERAS)
    done = hepbench("bench", "magic", "--model", TAGGER, "--model", both, "--budget", "smoke", home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 seed · torch on cpu" in done.stdout and ", cpu, torch" in done.stdout

    def rows() -> list[dict]:
        return json.loads(hepbench("leaderboard", "magic", "--format", "json", home=home).stdout)

    row, in_keras = rows()
    assert in_keras["model"] == "both" and in_keras["backend"] == "tensorflow"
    assert row["model"] == "torch_tagger" and row["auc"] > 0.7 and row["parameters"] > 10_000
    assert row["latency_ms"] > 0 and row["backend"] == "torch"
    assert ", cpu, torch" in (home / "results" / "reports" / "magic.html").read_text()
    files, run = files_of("magic")[1].paths, row["run_ids"][0]
    done = hepbench("evaluate", run, *files, "--out", tmp_path / "without", home=home)
    assert done.returncode == 2 and "give the file that you trust" in done.stderr
    folder = tmp_path / "evaluation"
    done = hepbench("evaluate", run, *files, "--model", TAGGER, "--out", folder, home=home)
    assert done.returncode == 0, done.stderr
    assert json.loads((folder / "metrics.json").read_text())["metrics"]["auc"] == pytest.approx(row["auc"], abs=0.05)
    tested = pd.read_parquet(next(home.glob(f"results/**/{run}/artifacts/scores.parquet")))
    merged = tested.merge(pd.read_parquet(folder / "scores.parquet"), on="id")
    assert len(merged) == len(tested)
    np.testing.assert_allclose(merged["score_gamma_x"], merged["score_gamma_y"], atol=1e-6)
    done = hepbench("bench", "magic", "--model", TAGGER, "--budget", "smoke", "--from", run, home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(rows()) == 3
    out = tmp_path / "tagger.onnx"
    if importlib.util.find_spec("tf2onnx"):
        done = hepbench("export-model", run, "--model", TAGGER, "--out", out, home=home)
        assert done.returncode == 0, done.stdout + done.stderr
        assert float(re.search(r"at most (\S+);", done.stdout)[1]) <= 1e-5
    stored = next(home.glob(f"results/**/{run}/artifacts/network.txt")).read_text()
    assert "BatchNorm1d" in stored and "parameters, trained or not" in stored


@pytest.mark.parametrize("text", [TAGGER.read_text(), LATE])
def test_without_pytorch_its_cure_is_told(tmp_path, text):
    path = tmp_path / "own_tagger.py"
    path.write_text(text)
    program = (
        "import sys; sys.modules['torch'] = None; from hepbench.__main__ import main; "
        f"sys.argv = ['hepbench', 'bench', 'magic', '--budget', 'smoke', '--model', {str(path)!r}]; main()"
    )
    environment = {**os.environ, "HEPBENCH_HOME": str(tmp_path / "home"), "COLUMNS": "200"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, timeout=900)
    assert done.returncode == 2 and "pip install torch" in done.stderr, done.stdout + done.stderr
    assert len(done.stderr.strip().splitlines()) == 1 and not Path(tmp_path / "home" / "results").exists()
