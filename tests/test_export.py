"""`hepbench export-model` and `hepbench measure onnx`: every model as an ONNX file that gives its scores."""

from __future__ import annotations

import importlib.util
import json
import os
import re

import numpy as np
import pytest
from conftest import assert_user_mistake, hepbench

from hepbench.benchmarks import registry
from hepbench.benchmarks.features.four_momenta import REFERENCES

if not os.environ.get("CI"):
    pytestmark = pytest.mark.skipif(
        any(importlib.util.find_spec(name) is None for name in ("onnx", "onnxruntime", "tf2onnx")),
        reason="ONNX is not installed: pip install 'hepbench[onnx]'",
    )

NETWORKS = [name for name in registry.names("model") if registry.find("model", name).record.build]
QUICK = ("mlp", "gnn")
"""A table and a packed cloud; the others take longer."""


def registry_task(name: str):
    return registry.find("task", name)


def a_network(name: str):
    """(inputs of 9 events that are not scaled, scaling, network)."""
    import keras

    from hepbench.suite.profiling.models import _shapes
    from hepbench.suite.training.network import Network

    model = registry.find("model", name).record
    served = (
        ("qg_jets", "hepmass", "qg_images") if model.view == "cloud" else ("ecal", "hepmass", "pxd_pixels", "qg_jets")
    )
    task = next(
        one for one in map(lambda name: registry.find("task", name), served) if not model.incompatibility(one.record)
    )
    shapes = _shapes(task.given, [model.view])[model.view]
    keras.utils.set_random_seed(0)
    network = model.build(shapes, len(task.record.classes), model.defaults)
    draw = np.random.default_rng(0)
    inputs = {one: draw.normal(3, 2, (9, *shape)).astype(np.float32) for one, shape in shapes.items()}
    if "mask" in inputs:
        places = shapes["mask"][0]
        lengths = np.array([0, 1, 2, 3, 5, 8, 13, places, places])  # an empty event and a full one, too
        inputs["mask"] = np.arange(places) < lengths[:, None]
    for weights in network.weights:  # moving averages as a training leaves them
        if "moving" in weights.path:
            weights.assign(np.abs(draw.normal(1, 0.1, weights.shape)))
    if "momenta" in inputs:
        momenta = inputs["momenta"] * inputs["mask"][..., None]
        momenta[..., 0] = np.sqrt((momenta[..., 1:] ** 2).sum(axis=-1) + inputs["mask"])
        inputs |= {"momenta": momenta, "references": np.tile(REFERENCES.astype(np.float32), (9, 1, 1))}
    scaling = {
        one: (draw.normal(3, 0.1, x.shape[-1:]).astype(np.float32), np.full(x.shape[-1], 0.5, np.float32))
        for one, x in inputs.items()
        if one in ("table", "context", "features", "image")
    }
    return inputs, scaling, Network(network, len(task.record.classes))


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.long) for name in NETWORKS]
)
def test_a_network_gives_its_scores(name, tmp_path):
    """Also of one event, and of clouds with fewer places than in the training."""
    from hepbench.benchmarks.base import Sample
    from hepbench.suite.export.graph import CLOUD
    from hepbench.suite.export.network import network_to_onnx
    from hepbench.suite.export.runtime import Runtime

    inputs, scaling, network = a_network(name)
    network.save(tmp_path)
    file = network_to_onnx(tmp_path, inputs, scaling).SerializeToString()
    rows = np.arange(9)
    trained = network.predict(Sample(inputs, rows, np.zeros(9, np.int64), scaling))
    exported = Runtime(file)
    raw = Sample({one: inputs[one] for one in exported.names}, rows, np.zeros(9, np.int64))
    np.testing.assert_allclose(exported.predict(raw), trained, atol=1e-5)
    alone = Sample(raw.inputs, rows[3:4], np.zeros(1, np.int64))
    np.testing.assert_allclose(exported.predict(alone), trained[3:4], atol=1e-5)
    if "mask" in inputs:
        cut = {one: x[:6, :17] if one in CLOUD else x[:6] for one, x in raw.inputs.items()}
        fewer = exported.predict(Sample(cut, rows[:6], np.zeros(6, np.int64)))
        np.testing.assert_allclose(fewer, trained[:6], atol=1e-5)


def test_scores_of_dynamic_ranges_are_of_one_event_at_a_time(tmp_path):
    """An outlier in a batch would round the scores of all others."""
    from onnx import TensorProto, helper, numpy_helper

    from hepbench.benchmarks.base import Sample
    from hepbench.suite.export.quantisation import quantised
    from hepbench.suite.export.runtime import Runtime
    from hepbench.suite.profiling.onnx import scores_with_bits

    draw = np.random.default_rng(1)
    weights = numpy_helper.from_array(draw.normal(size=(4, 2)).astype(np.float32), "weights")
    nodes = [
        helper.make_node("MatMul", ["table", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"], axis=1),
    ]
    given, told = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["events", width])
        for name, width in (("table", 4), ("scores", 2))
    )
    graph = helper.make_graph(nodes, "scores", [given], [told], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    table = draw.normal(size=(50, 4)).astype(np.float32)
    table[0] *= 30
    test = Sample({"table": table}, np.arange(50), np.zeros(50, np.int64))
    file = quantised(model.SerializeToString(), "dynamic", test)
    alone = np.concatenate(
        [Runtime(file).predict(Sample(test.inputs, test.rows[i : i + 1], test.labels[:1])) for i in range(50)]
    )
    np.testing.assert_array_equal(scores_with_bits(file, "dynamic", test), alone)
    assert np.abs(Runtime(file).predict(test) - alone).max() > 0.01


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """Home with runs of magic, and model -> id."""
    home = tmp_path_factory.mktemp("export") / "home"
    names = ("mlp", "gbdt", "hist_gbdt", "logistic", "prior")
    done = hepbench(
        "bench", "magic", "--budget", "smoke", *(word for name in names for word in ("--model", name)), home=home
    )
    assert done.returncode == 0, done.stderr
    done = hepbench("leaderboard", "magic", "--format", "json", home=home)
    return home, {row["model"]: row["run_ids"][0] for row in json.loads(done.stdout)}


@pytest.mark.parametrize("name", ["mlp", "gbdt", "hist_gbdt", "logistic", "prior"])
def test_a_run_is_exported(bench, name, tmp_path):
    import h5py
    import onnx
    import onnxruntime

    home, runs = bench
    out = tmp_path / "model.onnx"
    done = hepbench("export-model", runs[name], "--out", out, home=home)
    assert done.returncode == 0, done.stderr
    assert float(re.search(r"at most (\S+);", done.stdout)[1]) <= 1e-5
    onnx.checker.check_model(onnx.load(out), full_check=True)
    session = onnxruntime.InferenceSession(out)
    about = session.get_modelmeta().custom_metadata_map
    assert (about["task"], about["run"], json.loads(about["classes"])) == ("magic", runs[name], ["hadron", "gamma"])
    assert about["commit"] and "f" in about["data"]
    if name == "prior":
        return
    columns = json.loads(about["inputs"])["table"]["columns"]
    assert columns == list(registry.find("task", "magic").record.variables)

    # The inputs as `hepbench events` writes them give the scores that the run has
    events = tmp_path / "events.h5"
    asked = ("events", "magic", "--budget", "smoke", "--view", "table", "--out", events)
    assert hepbench(*asked, home=home).returncode == 0
    with h5py.File(events) as file:
        scores = session.run(None, {"table": file["inputs/table"][:]})[0]
        ids = file["id"][:]
    from hepbench.suite import results
    from hepbench.suite.trial.artifacts import SCORES, read_scores
    from hepbench.tracking import runs as tracked

    stored = read_scores(tracked.connect(None, home / "results").download(runs[name], SCORES, tmp_path / "scores"))
    assert results and np.array_equal(ids, stored.ids)
    np.testing.assert_allclose(scores, np.exp(stored.scores), atol=1e-5)


def test_the_table_has_each_form(bench):
    home, _ = bench
    asked = ("measure", "onnx", "--task", "magic", "--model", "mlp", "--model", "gbdt", "--seconds", 0.01)
    done = hepbench(*asked, "--format", "markdown", home=home)
    assert done.returncode == 0, done.stderr
    lines = [line.split(" | ") for line in done.stdout.splitlines() if line.startswith(("| mlp", "| gbdt"))]
    forms = [line[1] for line in lines]
    assert forms[:2] == ["as trained", "ONNX Runtime, one thread"] and len(forms) == 2 + 4
    for line in lines:
        assert float(line[5]) > 0 and float(line[7].replace(",", "")) > 0
        if "8 bits" in line[1]:
            loss, error = map(float, line[4].split(" ± "))
            assert abs(loss) < 0.05 and 0 <= error < 0.05
        elif "ONNX" in line[1]:
            assert float(line[2]) <= 1e-5


def test_mistakes_are_told(bench, tmp_path):
    home, runs = bench
    done = hepbench("export-model", runs["mlp"], "--format", "onx", home=home)
    assert_user_mistake(done, "unknown format 'onx'", "did you mean 'onnx'")
    done = hepbench("measure", "onnx", "--task", "magic", "--model", "cnn", home=home)
    assert_user_mistake(done, "no finished run of magic", "hepbench bench magic")
    done = hepbench("events", "magic", "--view", "cloud", "--budget", "smoke", "--out", tmp_path / "x.h5", home=home)
    assert_user_mistake(done, "unknown view 'cloud'", "table")
    done = hepbench("events", "magic", "--features", "all", "--budget", "smoke", home=home)
    assert_user_mistake(done, "--features all", "--view")
