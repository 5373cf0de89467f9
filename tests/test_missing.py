"""Missing values: NaN in tables, taken by trees as they are, filled and marked for others, saved and exported so."""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import pytest
import uproot
from conftest import ROOT, assert_user_mistake, hepbench

from hepbench.benchmarks import registry, scaling
from hepbench.benchmarks.base import Sample, filled

TASK = ROOT / "examples" / "root_weights.py"


def events(number: int = 1000) -> dict[str, np.ndarray]:
    """Half of the signal has no jet, and one in ten of the background; the weights favour what has one."""
    rng = np.random.default_rng(0)
    label = np.arange(number) % 2
    jet = rng.exponential(30 + 20 * label).astype(np.float32)
    jet[rng.random(number) < 0.1 + 0.4 * label] = -999
    columns = {"lepton_pt": rng.exponential(25 + 5 * label), "missing_et": rng.exponential(20, number), "jet_pt": jet}
    return {name: values.astype(np.float32) for name, values in columns.items()} | {
        "label": label.astype(np.int32),
        "weight": np.where(label == 1, 0.01, 2.0) * np.where(jet > 0, 1.5, 0.5),
    }


def placed(home, **changed):
    path = home / "data" / "root_weights" / "official" / "events.root"
    path.parent.mkdir(parents=True, exist_ok=True)
    branches = events() | changed
    with uproot.recreate(path) as file:
        file["events"] = {name: values for name, values in branches.items() if values is not None}
    return path


@pytest.mark.long
def test_a_root_file_with_weights_and_missing_values(home, tmp_path):
    path = placed(home)
    done = hepbench("bench", TASK, "--model", "gbdt", "--model", "mlp", "--budget", "smoke", home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "events weighted in training and testing" in done.stdout
    assert "missing values: taken as they are: gbdt" in done.stdout
    assert "a column each for 1 variable that tells where: mlp" in done.stdout
    rows = json.loads(hepbench("leaderboard", TASK, "--format", "json", home=home).stdout)
    assert {row["model"] for row in rows} == {"gbdt", "mlp"} and all(row["auc"] > 0.6 for row in rows)
    for row in rows:
        out = tmp_path / row["model"]
        done = hepbench("evaluate", row["run_ids"][0], path, "--task", TASK, "--out", out, home=home)
        assert done.returncode == 0, done.stderr
        assert json.loads((out / "metrics.json").read_text())["metrics"]["auc"] == pytest.approx(row["auc"], abs=1e-6)
        if importlib.util.find_spec("tf2onnx"):
            done = hepbench(
                "export-model", row["run_ids"][0], "--task", TASK, "--out", tmp_path / f"{row['model']}.onnx", home=home
            )
            assert done.returncode == 0, done.stderr
    assert hepbench("describe", TASK, home=home).returncode == 0


def test_bad_files_are_one_line(home):
    bench = ("bench", TASK, "--model", "logistic", "--budget", "smoke")
    for changed, words in (
        ({"weight": None}, "unknown branch of"),
        ({"weight": -events()["weight"]}, "weights: event 0 has -"),
        ({"missing_et": np.where(np.arange(1000) == 7, np.inf, 1.0)}, "table: event 7 has inf at [1]"),
    ):
        placed(home, **changed)
        assert_user_mistake(hepbench(*bench, home=home), words)


def samples(number: int = 600) -> list[Sample]:
    given = events(number)
    table = np.column_stack([given[name] for name in ("lepton_pt", "missing_et", "jet_pt")])
    table[table == -999] = np.nan
    rows = np.split(np.arange(number), [400, 500])
    return [Sample({"table": table}, part, given["label"][part]) for part in rows]


@pytest.mark.parametrize("method", ["standard", "none", "robust", "minmax", "max"])
def test_median_and_marks_are_of_the_training_part(method):
    train, valid, _ = samples()
    fitted = scaling.fit_scaling(scaling.with_filling(train), method)
    shift, scale, fill, marked = fitted["table"]
    known = train.inputs["table"][train.rows]
    np.testing.assert_allclose(fill, np.nanmedian(known, axis=0))
    assert marked.tolist() == [2] and shift.shape == scale.shape == (4,) and (shift[3], scale[3]) == (0, 1)
    scaled = Sample(valid.inputs, valid.rows, valid.labels, fitted)
    assert scaled.shapes == {"table": (4,)} and scaled.raw_shapes == {"table": (3,)}
    taken = scaled.take(slice(None))["table"]
    missing = np.isnan(valid.inputs["table"][valid.rows][:, 2])
    np.testing.assert_array_equal(taken[:, 3], missing)
    np.testing.assert_allclose(taken[missing, 2], (fill[2] - shift[2]) * scale[2], rtol=1e-5)
    assert np.isfinite(taken).all()
    kept = scaling.without_filling(fitted)["table"]
    assert len(kept) == 2 and kept[0].shape == (3,)


def test_a_value_that_is_missing_after_the_training_alone_is_filled():
    values = filled(np.array([[np.nan, 1.0]]), np.array([5.0, 6.0]), np.array([], int))
    assert values.tolist() == [[5.0, 1.0]]


@pytest.mark.parametrize("name", ["gbdt", "hist_gbdt"])
def test_trees_export_where_missing_values_go(name):
    if importlib.util.find_spec("onnxruntime") is None:
        pytest.skip("ONNX is not installed: pip install 'hepbench[onnx]'")
    from hepbench.suite.export.arrays import arrays_to_onnx
    from hepbench.suite.export.runtime import Runtime

    model = registry.find("model", name).record
    train, valid, test = samples()
    fitted = model.fit(
        train, valid, {**model.defaults, "rounds": 15}, classes=2, seed=0, device="cpu", report=lambda e, v: None
    )
    scores = fitted.predict(test)
    file = arrays_to_onnx(fitted, test.inputs, {}, 2).SerializeToString()
    np.testing.assert_allclose(Runtime(file).predict(test), scores, atol=1e-5)
    without = Sample({"table": np.nan_to_num(test.inputs["table"], nan=0.0)}, test.rows, test.labels)
    assert np.abs(fitted.predict(without) - scores).max() > 1e-3


def test_a_linear_model_exports_the_filling():
    if importlib.util.find_spec("onnxruntime") is None:
        pytest.skip("ONNX is not installed: pip install 'hepbench[onnx]'")
    from dataclasses import replace

    from hepbench.suite.export.arrays import arrays_to_onnx
    from hepbench.suite.export.runtime import Runtime

    model = registry.find("model", "logistic").record
    parts = samples()
    fitted_scaling = scaling.fit_scaling(scaling.with_filling(parts[0]))
    train, valid, test = (replace(part, scaling=fitted_scaling) for part in parts)
    fitted = model.fit(train, valid, model.defaults, classes=2, seed=0, device="cpu", report=lambda e, v: None)
    file = arrays_to_onnx(fitted, test.inputs, fitted_scaling, 2).SerializeToString()
    raw = replace(test, scaling={})
    np.testing.assert_allclose(Runtime(file).predict(raw), fitted.predict(test), atol=1e-5)
