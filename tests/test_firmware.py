"""`hepbench export-model --format hls4ml`: a network as a project whose C simulation gives its scores."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil

import numpy as np
import pytest
from conftest import assert_user_mistake, hepbench

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import Sample, UserError

there = pytest.mark.skipif(
    not os.environ.get("CI") and importlib.util.find_spec("hls4ml") is None,
    reason="hls4ml is not installed: pip install 'hepbench[hls4ml]'",
)
compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")


def a_network(name: str, task: str):
    """(training events, events, network) of outliers, with moving averages as a training leaves them."""
    import keras

    from hepbench.suite.profiling.models import _shapes
    from hepbench.suite.training.network import Network

    model, record = registry.find("model", name).record, registry.find("task", task).record
    shapes = _shapes(task, [model.view])[model.view]
    keras.utils.set_random_seed(0)
    network = model.build(shapes, len(record.classes), model.defaults)
    draw = np.random.default_rng(0)
    for weights in network.weights:
        if "moving" in weights.path:
            weights.assign(np.abs(draw.normal(1, 0.1, weights.shape)))
    inputs = {one: draw.normal(0, 3, (300, *shape)).astype(np.float32) for one, shape in shapes.items()}
    train, events = (Sample(inputs, rows, np.zeros(len(rows), np.int64)) for rows in np.split(np.arange(300), [250]))
    return train, events, Network(network, len(record.classes))


@there
@compiler
@pytest.mark.long
@pytest.mark.parametrize("name, task", [("mlp_pxd6", "pxd_clusters"), ("mlp_pxd6", "magic"), ("cnn_9x9", "pxd_pixels")])
def test_the_simulation_gives_the_scores(name, task, tmp_path):
    from hepbench.suite.export.firmware import write_firmware

    train, events, network = a_network(name, task)
    made = write_firmware(network, train, events, tmp_path)
    assert made.scores.shape == (50, network.classes)
    np.testing.assert_allclose(made.scores, network.predict(events), atol=0.01)
    assert made.estimate is None or made.estimate  # where Vitis is installed


@there
def test_a_project_without_a_compiler(tmp_path, monkeypatch):
    from hepbench.suite.export import firmware

    monkeypatch.setattr(firmware.shutil, "which", lambda name: None)
    made = firmware.write_firmware(*a_network_in_order("mlp_pxd", "pxd_pixels"), tmp_path)
    assert made.scores is None and made.estimate is None
    assert {"firmware", "build_prj.tcl", "hls4ml_config.yml"} <= {path.name for path in tmp_path.iterdir()}
    settings = (tmp_path / "hls4ml_config.yml").read_text()
    assert str(tmp_path) not in settings and "Strategy: Resource" in settings and "Strategy: Latency" in settings


def a_network_in_order(name: str, task: str):
    train, events, network = a_network(name, task)
    return network, train, events


@there
def test_what_hls4ml_has_not_is_told(tmp_path):
    from hepbench.suite.export.firmware import write_firmware

    with pytest.raises(UserError, match="hls4ml has no GELU"):
        write_firmware(*a_network_in_order("mlp", "magic"), tmp_path)
    with pytest.raises(UserError, match="hls4ml has no operation EnsembleDense"):
        write_firmware(*a_network_in_order("tabm", "magic"), tmp_path)


def test_the_scaling_of_missing_values_is_stated():
    from hepbench.benchmarks.scaling import fit_scaling, with_filling
    from hepbench.suite.export.exporting import scaling_facts

    table = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
    table[:10, 1] = np.nan
    filled = with_filling(Sample({"table": table}, np.arange(100), np.arange(100) % 2))
    facts = json.loads(json.dumps(scaling_facts(fit_scaling(filled))))["table"]
    assert set(facts) == {"shift", "scale", "fill", "marked"} and facts["marked"] == [1]
    assert len(facts["shift"]) == 4 and len(facts["fill"]) == 3
    facts = scaling_facts({"table": (np.zeros(3), np.ones(3))})
    assert facts == {"table": {"shift": [0, 0, 0], "scale": [1, 1, 1]}}


@there
def test_the_verb(tmp_path, home, monkeypatch):
    from hepbench.suite.export import firmware

    monkeypatch.setattr(firmware.shutil, "which", lambda name: None)
    asked = ("bench", "magic", "--budget", "smoke", "--model", "mlp_pxd6,prior")
    assert hepbench(*asked, home=home).returncode == 0
    rows = json.loads(hepbench("leaderboard", "magic", "--format", "json", home=home).stdout)
    runs = {row["model"]: row["run_ids"][0] for row in rows}
    out = tmp_path / "project"
    done = hepbench("export-model", runs["mlp_pxd6"], "--format", "hls4ml", "--out", out, home=home)
    assert done.returncode == 0, done.stderr
    assert "C simulation: not available, g++ not found" in done.stdout
    assert "estimated by synthesis: not available" in done.stdout
    about = json.loads((out / "hepbench.json").read_text())
    assert about["run"] == runs["mlp_pxd6"] and len(about["scaling"]["table"]["shift"]) == 10
    done = hepbench("export-model", runs["mlp_pxd6"], "--format", "hls4ml", "--out", out, home=home)
    assert_user_mistake(done, "is there already")
    done = hepbench("export-model", runs["prior"], "--format", "hls4ml", "--out", tmp_path / "x", home=home)
    assert_user_mistake(done, "prior is no network")
    assert not (tmp_path / "x").exists()


def test_a_missing_package_is_told(monkeypatch, tmp_path, home):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "hls4ml" else found(name, *more)
    )
    done = hepbench("export-model", "abc", "--format", "hls4ml", "--out", tmp_path / "x", home=home)
    assert_user_mistake(done, "pip install 'hepbench[hls4ml]'")
