"""Scalings by hand, what they meet, and that a trial keeps to the one it is asked for."""

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import assert_user_mistake, hepbench

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import Sample, UserError
from hepbench.benchmarks.formats.sparse_images import Sparse
from hepbench.benchmarks.models import logistic
from hepbench.benchmarks.scaling import METHODS, constant_columns, fit_scaling, method_of, methods_of
from hepbench.suite.trial.artifacts import load_model
from hepbench.suite.trial.spec import Spec, identity_of, known_hyperparameters, look_up
from hepbench.tracking import runs

SPEC = Spec("magic", "mlp", 0, "smoke", "official", "cpu", "tensorflow")


def sample_of(inputs, rows=None):
    rows = np.arange(len(next(iter(inputs.values())))) if rows is None else np.asarray(rows)
    return Sample(inputs, rows, np.zeros(len(rows), np.int64))


def scaled(inputs, scaling, rows=None):
    """The inputs of these rows under a scaling that is fitted on them."""
    sample = sample_of(inputs, rows)
    return replace(sample, scaling=fit_scaling(sample, scaling)).take(slice(None))


TABLE = np.array([[0, -4, 3], [1, 8, 3], [2, 0, 3], [3, 4, 3], [4, 0, 3]], np.float32)


def test_a_table_by_hand():
    assert fit_scaling(sample_of({"table": TABLE}), "none") == {}
    expected = {
        "standard": (TABLE - TABLE.mean(axis=0)) / [np.sqrt(2), TABLE[:, 1].std(), 1],
        "minmax": np.stack([TABLE[:, 0] / 4, (TABLE[:, 1] + 4) / 12, np.zeros(5)], axis=1),
        "max": np.stack([TABLE[:, 0] / 4, TABLE[:, 1] / 8, np.ones(5)], axis=1),
        "robust": np.stack([(TABLE[:, 0] - 2) / 2, TABLE[:, 1] / 4, np.zeros(5)], axis=1),
    }
    for scaling, values in expected.items():
        found = scaled({"table": TABLE}, scaling)["table"]
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, values, rtol=1e-6, atol=1e-7, err_msg=scaling)


def test_an_image_by_hand():
    """Of two channels, the second of both signs. Only minmax looks at pixels without a hit."""
    image = np.zeros((3, 2, 2, 2), np.float32)
    image[0, 0, 0], image[1, 1, 1], image[2, 0, 1], image[2, 1, 1] = (1, 2), (3, -2), (5, 6), (7, 0)
    expected = {
        "standard": image / np.sqrt([(1 + 9 + 25 + 49) / 4, (4 + 4 + 36) / 3]),
        "minmax": (image - [0, -2]) / [7, 8],
        "max": image / [7, 6],
        "robust": image / [5.5 - 2.5, 4 - 0],  # quartiles of 1, 3, 5, 7 and of -2, 2, 6
    }
    for scaling, values in expected.items():
        for images in (image, Sparse.of(image)):
            np.testing.assert_allclose(scaled({"image": images}, scaling)["image"], values, rtol=1e-6, err_msg=scaling)


@pytest.mark.parametrize("scaling", METHODS[1:])
def test_features_are_scaled_by_true_points_alone(scaling):
    rng = np.random.default_rng(1)
    features = rng.normal(2, 4, (50, 10, 3)).astype(np.float32)
    mask = rng.random((50, 10)) < 0.5
    features[~mask] = 1e9
    points = {"points": features[..., :2], "features": features, "mask": mask}
    (name,) = fitted = fit_scaling(sample_of(points), scaling)
    as_table = fit_scaling(sample_of({"table": features[mask]}), scaling)["table"]
    assert name == "features"
    for found, expected in zip(fitted["features"], as_table, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_smallest_and_largest_are_those_of_the_whole_training_part():
    """The one value far out is among 200,000 events, and one farther out in another part."""
    table = np.random.default_rng(0).uniform(size=(200_001, 1)).astype(np.float32)
    table[123_457], table[0], table[200_000] = 50, -50, 1e6
    for scaling, least in (("minmax", 0), ("max", -1)):
        found = scaled({"table": table}, scaling, np.arange(200_000))["table"]
        assert found.min() == pytest.approx(least) and found.max() == pytest.approx(1)


def test_extremes_in_chunks_are_those_of_the_whole():
    table = np.random.default_rng(2).normal(100, 1, (3000, 10_000)).astype(np.float32)  # two chunks
    shift, scale = fit_scaling(sample_of({"table": table}), "minmax")["table"]
    np.testing.assert_array_equal(shift, table.min(axis=0))
    np.testing.assert_allclose(scale, 1 / np.ptp(table.astype(np.float64), axis=0), rtol=1e-6)


def test_a_flag_that_is_rarely_set_is_robust():
    """Its interquartile range is 0: the standard deviation takes its place."""
    table = np.zeros((1000, 1), np.float32)
    table[:20] = 1
    shift, scale = fit_scaling(sample_of({"table": table}), "robust")["table"]
    assert shift == 0 and scale == pytest.approx(1 / table.std())
    image = np.zeros((10, 2, 2, 1), np.float32)
    image[:, 0, 0] = 3
    assert fit_scaling(sample_of({"image": image}), "robust")["image"][1] == pytest.approx(1 / 3)


@pytest.mark.parametrize("scaling", METHODS[1:])
def test_a_constant_is_not_divided_by_zero(scaling):
    table = np.stack([np.arange(9), np.zeros(9), np.full(9, 1e4 / 3)], axis=1).astype(np.float32)
    found = scaled({"table": table}, scaling)["table"]
    assert np.isfinite(found).all() and not found[:, 1].any()
    assert (found[:, 2] == (1 if scaling == "max" else 0)).all()
    constant = {"standard": [], "max": [("table", 1)]}.get(scaling, [("table", 1), ("table", 2)])
    assert constant_columns(sample_of({"table": table}), scaling) == constant


@pytest.mark.parametrize("scaling", METHODS)
def test_what_has_no_value_is_left_as_it_is(scaling):
    cloud = {"features": np.zeros((4, 3, 2), np.float32), "mask": np.zeros((4, 3), bool)}
    for inputs in (cloud, {"image": np.zeros((4, 3, 3, 2), np.float32)}):
        for values in scaled(inputs, scaling).values():
            assert not values.any()


def test_a_text_names_inputs():
    assert methods_of("max") == dict.fromkeys(("table", "context", "features", "image"), "max")
    assert methods_of("none,context:standard,image:max") == {
        **{"table": "none", "context": "standard", "features": "none", "image": "max"}
    }
    assert method_of({}, "table") == "standard" and method_of({"scaling": "none,table:max"}, "table") == "max"
    inputs = {"image": np.ones((5, 2, 2, 1), np.float32), "context": TABLE}
    assert set(fit_scaling(sample_of(inputs), "none,context:standard")) == {"context"}


@pytest.mark.parametrize(
    "given, words",
    [
        ("minmx", "unknown scaling 'minmx', did you mean 'minmax'"),
        ("", "unknown scaling ''"),
        ("none,mass:standard", "unknown input in scaling=none,mass:standard 'mass'"),
        ("none,context", "unknown scaling of context ''"),
    ],
)
def test_an_unknown_scaling_is_refused(given, words):
    with pytest.raises(UserError, match=words):
        methods_of(given)
    with pytest.raises(UserError, match=words):
        _ = look_up(replace(SPEC, parameters={"scaling": given})).hyperparameters


def test_every_model_that_looks_at_events_knows_it():
    task = registry.find("task", "qg_images").record
    for name in registry.names("model"):
        model = registry.find("model", name).record
        assert ("scaling" in known_hyperparameters(task, model)) == bool(model.view), name
    with pytest.raises(UserError, match="unknown hyper-parameter of prior 'scaling'"):
        _ = look_up(replace(SPEC, model="prior", parameters={"scaling": "max"})).hyperparameters


def test_it_is_part_of_the_identity():
    found = {identity_of(look_up(replace(SPEC, parameters=given)), "data", "split")[1] for given in parameters()}
    assert len(found) == len(METHODS)


def parameters():
    return [{"scaling": scaling} if scaling != "standard" else {} for scaling in METHODS]


def test_values_are_cut_where_they_are_scaled_by_their_spread():
    """A mass of 1,500 GeV that no scaling brings down is no outlier."""
    import keras

    model = registry.find("model", "mlp").record
    for scaling, cut in {
        "standard": True,
        "robust": True,
        "none": False,
        "max": False,
        "none,table:max": False,
    }.items():
        keras.utils.set_random_seed(0)
        network = model.build({"table": (2,), "context": (1,)}, 2, {**model.defaults, "scaling": scaling})
        low, high = (
            network({"table": np.ones((1, 2), np.float32), "context": np.full((1, 1), mass, np.float32)})
            for mass in (500, 1500)
        )
        assert (float(low[0, 0]) == float(high[0, 0])) == cut, scaling


def test_trees_see_the_same_splits_under_any_scaling():
    model = registry.find("model", "gbdt").record
    rng = np.random.default_rng(0)
    table = rng.normal(3, 2, (600, 3)).astype(np.float32)
    labels = (table[:, 0] + rng.normal(0, 1, 600) > 3).astype(np.int64)
    scores = []
    for scaling in METHODS:
        train, valid = (Sample({"table": table}, rows, labels[rows]) for rows in (np.arange(400), np.arange(400, 600)))
        fitted = fit_scaling(train, scaling)
        train, valid = (replace(part, scaling=fitted) for part in (train, valid))
        settings = {**model.defaults, "rounds": 5}
        trees = model.fit(train, valid, settings, classes=2, seed=0, device="cpu", report=lambda epoch, values: None)
        scores.append(trees.predict(valid))
    for found in scores[1:]:
        np.testing.assert_allclose(found, scores[0], atol=1e-5)


def test_logistic_regression_cuts_what_is_scaled_by_its_spread():
    table = np.array([[1.0], [500.0]], np.float32)
    assert logistic._table(sample_of({"table": table}), logistic._largest(sample_of({"table": table}), {})).max() == 8
    given = {"scaling": "none"}
    assert (
        logistic._table(sample_of({"table": table}), logistic._largest(sample_of({"table": table}), given)).max() == 500
    )


# --- as a user asks for it -------------------------------------------------------------------------------------------


def test_a_bench_keeps_to_it_and_so_does_a_saved_model(home, tmp_path):
    options = ("--budget", "smoke", "--model", "logistic", "--model", "prior", "--set", "scaling=minmax")
    done = hepbench("bench", "magic", *options, home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(hepbench("leaderboard", "magic", "--format", "json", home=home).stdout)
    assert {row["model"]: row["set"] for row in rows} == {"logistic": "scaling=minmax", "prior": ""}
    store = runs.connect(None, home / "results")
    (run,) = (run for run in store.runs("magic", tags={"model": "logistic"}))
    assert run["parameters"]["scaling"] == "minmax" and "--set scaling=minmax" in run["tags"]["command"]
    folder = store.download(run["id"], "model", tmp_path / "run")
    model = load_model(folder)
    fitted, scaling = model.fitted, model.scaling

    entry = registry.find("task", "magic")
    (events,) = entry.record.read(entry.record.locate())
    train_like = (events.arrays["table"] - scaling["table"][0]) * scaling["table"][1]
    assert -0.5 < train_like.min() < 0.01 and 0.9 < train_like.max() < 2
    stored = pq.read_table(store.download(run["id"], "scores.parquet", tmp_path / "scores")).to_pandas()
    place = {one: row for row, one in enumerate(events.ids)}
    rows = np.array([place[one] for one in stored["id"]])
    scores = fitted.predict(Sample({"table": events.arrays["table"]}, rows, events.labels[rows], scaling))
    np.testing.assert_allclose(scores[:, 1], stored["score_gamma"], atol=1e-6)


CONSTANT_TASK = """
import numpy as np
from hepbench import Events, Task

def read(paths):
    rng = np.random.default_rng(0)
    table = np.stack([rng.normal(size=600), np.zeros(600), np.full(600, 7.0)], axis=1).astype(np.float32)
    yield Events({"table": table}, (table[:, 0] > 0).astype(np.int64), np.arange(600))

TASK = Task(
    title="a variable that is always the same", classes=("no", "yes"), read=read, variables=("x", "nothing", "seven"),
    views={"table": lambda arrays: {"table": arrays["table"]}}, locate=lambda: [__import__("pathlib").Path(__file__)],
)
"""


def test_a_constant_column_is_refused_where_a_scaling_is_asked_for(home, tmp_path):
    task = tmp_path / "constant.py"
    task.write_text(CONSTANT_TASK)
    for scaling, words in {
        "minmax": ("the variable nothing is the same in all 420 training events, and so are 1 more",),
        "max": ("the variable nothing is 0 in all 420 training events: ", "give none or standard"),
        "robust": ("scaling=robust", "the variable nothing"),
    }.items():
        options = ("--budget", "smoke", "--model", "logistic", "--set", f"scaling={scaling}")
        assert_user_mistake(hepbench("bench", task, *options, home=home), *words)
    assert not runs.connect(None, home / "results").runs("constant")
    options = ("--budget", "smoke", "--model", "logistic", "--model", "mlp_pxd_study_six")
    done = hepbench("bench", task, *options, home=home)
    assert done.returncode == 0, done.stdout + done.stderr  # a default leaves it as it is


def test_a_mistake_ends_before_anything_is_simulated(home):
    done = hepbench("bench", "ecal", "--budget", "smoke", "--set", "scaling=minmx", home=home)
    assert_user_mistake(done, "unknown scaling 'minmx', did you mean 'minmax'")
    assert not (home / "data" / "ecal").exists()
