"""Sets of features: which columns, of which views, for which models."""

import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import EVENTS, assert_user_mistake, hepbench, images_by_hand

from hepbench.benchmarks import registry
from hepbench.benchmarks.features import calorimeter, jets, pixel_clusters
from hepbench.suite import scoring
from hepbench.suite.data.dataset import prepare, view_of
from hepbench.suite.data.files import simulated_folder
from hepbench.suite.trial.spec import Spec, cut, look_up
from hepbench.tracking import runs


def inputs_of(files_of, task, view, features):
    entry, files = files_of(task)
    prepared = prepare(entry, files)
    return cut(entry.record, view_of(entry, prepared, view, features), {"features": features}), prepared, files


def test_raw_is_what_the_files_have(files_of):
    """Every particle of every jet, by falling pT, its four columns as they are; padding is 0."""
    inputs, prepared, files = inputs_of(files_of, "qg_jets", "cloud", "raw")
    with np.load(files.paths[0]) as file:
        x, y = file["X"], file["y"]
    x = np.take_along_axis(x, np.argsort(-x[..., 0], axis=1, kind="stable")[..., None], axis=1)
    order = np.argsort(prepared.ids)
    np.testing.assert_array_equal(prepared.labels[order], y)
    features, mask, points = (np.asarray(inputs[name])[order] for name in ("features", "mask", "points"))
    width = x.shape[1]
    np.testing.assert_array_equal(features[:, :width], x.astype(np.float32))
    assert not features[:, width:].any() and not mask[:, width:].any()
    np.testing.assert_array_equal(mask[:, :width], x[..., 0] > 0)
    assert features.shape[2] == 4 and inputs["log_pt"].shape == mask.shape
    # Places from the axis: their differences are those of rapidity and phi, but for the turn of phi at 2 pi
    there = mask[:, 0] & mask[:, 1]
    step = features[:, 1, 1:3] - features[:, 0, 1:3]
    step[:, 1] = (step[:, 1] + np.pi) % (2 * np.pi) - np.pi
    np.testing.assert_allclose((points[:, 1] - points[:, 0])[there], step[there], atol=1e-5)


def test_the_other_sets_of_jets_are_what_they_were(files_of):
    everything, _, _ = inputs_of(files_of, "qg_jets", "cloud", "pid")
    kinematic, _, _ = inputs_of(files_of, "qg_jets", "cloud", "kinematic")
    assert everything["features"].shape[1:] == (100, 13) and kinematic["features"].shape[1:] == (100, 7)
    np.testing.assert_array_equal(kinematic["features"], everything["features"][..., :7])


def test_massless_alone_does_not_know_the_kinds_of_particles(files_of):
    """Each particle becomes another kind of the same momentum: every other set of inputs changes with it."""
    entry, files = files_of("qg_jets")
    task, some = entry.record, np.asarray(prepare(entry, files).arrays["jets"][:50])
    changed = some.copy()
    codes = np.random.default_rng(3).permutation(some[..., 3][some[..., 0] > 0])
    changed[..., 3][some[..., 0] > 0] = codes
    for view, name in (("cloud", "features"), ("table", "table")):
        for features in task.features:
            if task.features[features].supports(view):
                before, after = (
                    cut(task, task.view(view, features)({"jets": of}), {"features": features})[name]
                    for of in (some, changed)
                )
                assert np.array_equal(before, after) == (features == "massless"), (view, features)
    width = cut(task, task.view("table", "massless")({"jets": some}), {"features": "massless"})["table"].shape[1]
    assert width == len(jets.KINEMATIC_VARIABLES)


def test_energy_leaves_out_all_that_is_made_of_times():
    """An image with other times gives the same inputs, and only these columns are missing."""
    assert calorimeter.TIMES == ("seed_time", "time_mean", "time_spread")
    task = registry.find("task", "ecal").record
    image = images_by_hand(20)
    other = image.copy()
    other[..., 1] = np.random.default_rng(1).normal(size=other.shape[:-1]) * (image[..., 0] > 0)
    missing = {"image": 1, "features": 1, "table": 3}
    for view, name in (("image", "image"), ("cloud", "features"), ("table", "table")):
        whole, changed = (task.views[view]({"image": images}) for images in (image, other))
        few, few_changed = (cut(task, inputs, {"features": "energy"}) for inputs in (whole, changed))
        assert whole[name].shape[-1] - few[name].shape[-1] == missing[name]
        np.testing.assert_array_equal(few[name], few_changed[name])
        assert (whole[name][..., -missing[name] :] != changed[name][..., -missing[name] :]).any()


def test_six_are_those_of_the_same_clusters(files_of):
    inputs, prepared, _ = inputs_of(files_of, "pxd_pixels", "table", "six")
    np.testing.assert_array_equal(inputs["table"], pixel_clusters.six(np.asarray(prepared.arrays["image"])))


@pytest.mark.parametrize(
    "task, model, features, refusal",
    [
        ("pxd_pixels", "mlp_pxd_study_six", "six", None),
        ("pxd_pixels", "cnn_pxd_study", "six", "there are no six features among the image inputs"),
        ("pxd_pixels", "gnn", "six", "there are no six features among the cloud inputs"),
        ("qg_jets", "particlenet_lite_study", "raw", None),
        ("qg_jets", "gbdt", "raw", "there are no raw features among the table inputs"),
        ("qg_jets", "cnn", "kinematic", "there are no kinematic features among the image inputs"),
        ("qg_jets", "prior", "raw", None),
        *(("ecal", model, "energy", None) for model in ("cnn_ecal_study", "gnn", "gbdt", "prior")),
    ],
)
def test_who_is_served(task, model, features, refusal):
    parameters = {"features": features}
    assert look_up(Spec(task, model, 0, "smoke", "auto", "cpu", "tensorflow", parameters)).refusal == refusal


def test_an_unknown_set_is_one_line(home):
    done = hepbench("bench", "ecal", "--model", "mlp", "--budget", "smoke", "--set", "features=energie", home=home)
    assert_user_mistake(done, "unknown set of features 'energie', did you mean 'energy'? Known: all, energy")


@pytest.mark.long
@pytest.mark.takes(20)
def test_a_bench_and_its_saved_model_keep_to_the_set(home, files_of, tmp_path):
    """A view of a set's own: trained, stored, and found again by predict."""
    entry, files = files_of("qg_jets")
    shutil.copytree(files.paths[0].parent, simulated_folder(entry, EVENTS, 0))
    options = ("--model", "pfn", "--model", "gbdt", "--set", "features=raw", "--set", "scaling=standard")
    options += ("--events", EVENTS, "--data", "simulated")
    done = hepbench("bench", "qg_jets", "--budget", "smoke", *options, home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    (row,) = json.loads(hepbench("leaderboard", "qg_jets", "--format", "json", home=home).stdout)
    assert (row["model"], row["set"]) == ("pfn", "features=raw")
    store = runs.connect(None, home / "results")
    (run,) = (run for run in store.runs("qg_jets") if run["tags"].get("stage") == "final")
    out = tmp_path / "scores.parquet"
    with scoring.model_of(store, run["id"]) as (_, model):
        assert scoring.write_predictions(model, files.paths, out, lambda done: None) == EVENTS
    stored = pq.read_table(store.download(run["id"], "scores.parquet", tmp_path / "run")).to_pandas().set_index("id")
    made = pq.read_table(out).to_pandas().set_index("id")
    np.testing.assert_allclose(made.loc[stored.index]["score_quark"], stored["score_quark"], rtol=1e-4, atol=1e-5)
