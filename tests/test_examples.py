"""The files in examples/ run as they stand, on public names alone."""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import json
import os
import subprocess
import sys

import nbclient
import nbformat
import numpy as np
import pytest
from conftest import ROOT, console_script, hepbench

import hepbench as public
from hepbench.benchmarks import registry

EXAMPLES = ROOT / "examples"
NOTEBOOK = EXAMPLES / "first_result.ipynb"


def notebook():
    return nbformat.read(NOTEBOOK, as_version=4)


def code_of(path) -> str:
    if path.suffix == ".py":
        return path.read_text()
    cells = [cell.source for cell in notebook().cells if cell.cell_type == "code"]
    return "\n".join(cell.partition("\n")[2] if cell.startswith("%%writefile") else cell for cell in cells)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.*")), ids=lambda path: path.name)
def test_an_example_uses_public_names_alone(path):
    for node in ast.walk(ast.parse(code_of(path))):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("hepbench"):
            assert node.module == "hepbench"
            assert {alias.name for alias in node.names} <= set(public.__all__)
        elif isinstance(node, ast.Import):
            assert not [alias.name for alias in node.names if alias.name.startswith("hepbench.")]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "hepbench":
            assert node.attr in public.__all__


def test_the_tagger_on_the_task(home):
    task, tagger = EXAMPLES / "my_task.py", EXAMPLES / "my_tagger.py"
    done = hepbench("bench", task, "--model", tagger, "--model", "prior", "--budget", "smoke", home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(hepbench("leaderboard", task, "--format", "json", home=home).stdout)
    assert [row["model"] for row in rows] == ["my_tagger", "prior"]
    assert rows[0]["auc"] > 0.55  # after two epochs


@pytest.fixture(scope="module")
def outside(tmp_path_factory):
    """A folder with the exported events of a task, and the home that they are from."""
    folder = tmp_path_factory.mktemp("outside")
    home = folder / "home"
    for name, *options in (("train.h5", "--split", "train", "--labels"), ("test.h5",)):
        done = hepbench("events", "magic", "--budget", "smoke", "--out", folder / name, *options, home=home)
        assert done.returncode == 0, done.stderr
    done = hepbench("bench", "magic", "--model", "prior", "--budget", "smoke", home=home)
    assert done.returncode == 0, done.stderr
    return folder, home


@pytest.mark.parametrize("how", ["trees", pytest.param("torch", marks=pytest.mark.long)])
def test_a_script_outside_is_ranked_by_its_scores(how, outside):
    if how == "torch":
        torch_there("torch")
    folder, home = outside
    files = [folder / name for name in ("train.h5", "test.h5", "scores.parquet")]
    script = [sys.executable, EXAMPLES / "outside.py", *files, how]
    done = subprocess.run(script, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    done = hepbench("score", "magic", files[2], "--name", how, "--train-events", 1_400, home=home)
    assert done.returncode == 0, done.stderr
    rows = {
        row["model"]: row for row in json.loads(hepbench("leaderboard", "magic", "--format", "json", home=home).stdout)
    }
    assert rows[how]["submitted"] and rows[how]["rank"] < rows["prior"]["rank"]
    assert rows[how]["auc"] > 0.8
    assert f"<b>{how}</b> submitted" in (home / "results" / "reports" / "magic.html").read_text()


@pytest.mark.long
@pytest.mark.takes(35)
def test_the_notebook(tmp_path, home):
    book = notebook()
    assert not any(cell.get("outputs") for cell in book.cells), "the notebook is kept without outputs"
    nbclient.NotebookClient(book, timeout=900, resources={"metadata": {"path": str(tmp_path)}}).execute()
    printed = "".join(
        output.get("text", "") or output["data"]["text/plain"]
        for cell in book.cells
        for output in cell.get("outputs", ())
        if output.output_type != "error"
    )
    assert "done 6/6" in printed and "my_tagger" in printed
    assert (home / "results" / "mlflow.db").is_file()


def torch_there(*names):
    """Skip where a package is not installed, but never in CI."""
    missing = [name for name in names if not importlib.util.find_spec(name)]
    if missing:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"not installed: {', '.join(missing)}")


@pytest.fixture
def jets():
    """A Sample of 300 clouds of 4 to 30 particles with 4 features, and the same with 10 more places of padding."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 300)
    mask = np.arange(30) < rng.integers(4, 31, 300)[:, None]
    inputs = {"points": rng.uniform(-0.4, 0.4, (300, 30, 2)), "features": rng.normal(size=(300, 30, 4))}
    inputs["features"][..., 0] += labels[:, None]
    inputs = {name: np.float32(array * mask[..., None]) for name, array in inputs.items()} | {"mask": mask}
    padded = {name: np.concatenate([array, np.zeros_like(array[:, :10])], axis=1) for name, array in inputs.items()}
    return tuple(public.Sample(arrays, np.arange(300), labels) for arrays in (inputs, padded))


def trained(sample, name, tmp_path):
    """A network after two epochs, stored and loaded again."""
    model = registry.find("model", f"{EXAMPLES / 'particlenet_torch.py'}:{name}").record
    parameters = {**model.defaults, "epochs": 2, "batch_size": 32}
    reported = []
    network = model.fit(
        sample,
        dataclasses.replace(sample, rows=sample.rows[:100], labels=sample.labels[:100]),
        parameters,
        classes=2,
        seed=0,
        device="cpu",
        report=lambda epoch, values: reported.append((epoch, values)),
    )
    assert [epoch for epoch, _ in reported] == [1, 2]
    assert reported[1][1]["val_loss"] < reported[0][1]["val_loss"] and reported[1][1]["val_auc"] > 0.9
    network.save(tmp_path)
    return network, model.load(tmp_path)


@pytest.mark.long
def test_the_pytorch_network_learns_and_padding_changes_no_score(jets, tmp_path):
    torch_there("torch")
    sample, padded = jets
    network, loaded = trained(sample, "particlenet_torch", tmp_path)
    scores = network.predict(sample)
    assert scores.shape == (300, 2) and scores.dtype == np.float32
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(loaded.predict(sample), scores)
    np.testing.assert_allclose(network.predict(padded), scores, atol=1e-5)
    again, _ = trained(sample, "particlenet_torch", tmp_path)
    np.testing.assert_array_equal(again.predict(sample), scores)


@pytest.mark.long
def test_with_weavers_weights_the_pytorch_network_gives_weavers_scores(jets, tmp_path):
    """For clouds that have as many other particles as neighbours are looked for."""
    torch_there("torch", "weaver")
    many = jets[0].inputs["mask"].sum(axis=1) > 7
    sample = dataclasses.replace(jets[0], rows=jets[0].rows[many], labels=jets[0].labels[many])
    theirs, _ = trained(sample, "particlenet_torch_weaver", tmp_path)
    ours, _ = trained(sample, "particlenet_torch", tmp_path)
    wanted = theirs.predict(sample)
    assert wanted[:, 1].std() > 0.01 and np.abs(ours.predict(sample) - wanted).max() > 0.01
    weaver = theirs.network.network
    ordered = [weaver.bn_fts]
    for edge in weaver.edge_convs:
        ordered += [layer for pair in zip(edge.convs, edge.bns, strict=True) for layer in pair]
        ordered += [edge.sc, edge.sc_bn]
    ordered += [weaver.fc[0][0], weaver.fc[1]]
    own = [layer for layer in ours.network.modules() if not list(layer.children()) and list(layer.parameters())]
    for layer, other in zip(own, ordered, strict=True):
        weights = other.state_dict()
        layer.load_state_dict({name: weights[name].reshape(value.shape) for name, value in layer.state_dict().items()})
    np.testing.assert_allclose(ours.predict(sample), wanted, atol=1e-5)


@pytest.mark.long
@pytest.mark.takes(30)
def test_the_pytorch_networks_on_the_leaderboard(home):
    torch_there("torch", "weaver")
    path = EXAMPLES / "particlenet_torch.py"
    options = ("--model", path, "--model", f"{path}:particlenet_torch_weaver", "--budget", "smoke")
    done = console_script("bench", "ecal", *options, home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "done 1/2 particlenet_torch" in done.stdout and "done 2/2 particlenet_torch_weaver" in done.stdout
