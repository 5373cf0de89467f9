"""Studies that are done again: their records, what a budget makes of them, a run, the page, a second call."""

from __future__ import annotations

import math
import re
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import assert_user_mistake, hepbench

from hepbench.benchmarks import metrics, registry, study
from hepbench.benchmarks.base import Sample, UserError
from hepbench.benchmarks.metrics import METRICS
from hepbench.benchmarks.scored import Scored
from hepbench.benchmarks.study import COSTS, Experiment, Reported
from hepbench.suite import campaign, reproduce
from hepbench.suite.reproduce import in_words
from hepbench.suite.trial.artifacts import write_roc
from hepbench.suite.trial.score_metrics import VALIDATION
from hepbench.suite.trial.spec import known_hyperparameters
from hepbench.tracking import reproduction, runs

EPOCHWISE = ("loss", "accuracy", "auc", "precision", "recall", "false_positives", "false_negatives")


def is_metric(key: str, experiment: Experiment) -> bool:
    """A key of METRICS, or with one of the task's classes behind it."""
    classes = registry.find("task", experiment.task).record.classes
    return key in METRICS or any(key.endswith(f"_{one}") and key.removesuffix(f"_{one}") in METRICS for one in classes)


def measured(key: str) -> str:
    """The metric of a key of a run, of the test or the validation part; "" where it is neither's."""
    return next((key.removeprefix(one) for one in ("test_", VALIDATION) if key.startswith(one)), "")


@pytest.mark.parametrize("name", study.names())
def test_a_record_fits_the_registry(name):
    one = study.find(name)
    names = [experiment.name for experiment in one.experiments]
    assert len(set(names)) == len(names) and one.source and one.title
    for experiment in one.experiments:
        task, model = registry.find("task", experiment.task), registry.find("model", experiment.model)
        assert set(experiment.settings) <= set(known_hyperparameters(task.record, model.record))
        assert not model.record.incompatibility(task.record)
        for number in experiment.reported:
            if number.epoch is not None:
                assert number.metric.removeprefix("val_") in EPOCHWISE
            else:
                assert number.metric in COSTS or is_metric(measured(number.metric), experiment)
            assert number.what and number.where and math.isfinite(number.value)
        assert {key.removeprefix("val_") for key in experiment.by_epoch} <= set(EPOCHWISE)
        assert len({len(values) for values in experiment.by_epoch.values()}) <= 1
    for comparison in one.comparisons:
        assert set(comparison.experiments) <= set(names) and len(comparison.experiments) > 1
        for key in comparison.metrics:
            last = key.startswith("last ") and key.removeprefix("last ").removeprefix("val_") in EPOCHWISE
            for experiment in one.experiments:
                if experiment.name in comparison.experiments:
                    assert last or is_metric(measured(key), experiment)


@pytest.mark.parametrize("name", study.names())
def test_a_budget_says_what_it_leaves_out(name):
    quick = reproduce.request(name, budget="quick")
    specs = [setup.trials[0].spec for setup in quick.setups if setup.trials]
    assert specs and not [spec for spec in specs if specs.count(spec) > 1]
    for setup in quick.setups:
        assert bool(setup.trials) != bool(setup.left_out)
        for trial in setup.trials:
            most = 50 if trial.model.record.view == "table" else 8
            assert trial.hyperparameters["epochs"] <= most and (trial.spec.most_events or 0) <= 30_000
    full = reproduce.request(name, budget="full", seeds=2)
    for setup in full.setups:
        assert setup.trials and not setup.reduced
        first, second = setup.trials
        assert (first.spec.seed, second.spec.seed, first.spec.events) == (0, 1, setup.experiment.events)
        entry = registry.find("model", setup.experiment.model).record.defaults
        assert first.hyperparameters["epochs"] == setup.experiment.settings.get("epochs", entry["epochs"])


def test_numbers_stand_beside_the_network_that_they_belong_to():
    found = [reference for task in registry.names("task") for reference in study.references(task)]
    assert {reference.model.split()[0] for reference in found} <= {
        name for name in registry.names("model") if "_study" in name
    }
    (ecal,) = study.references("ecal")
    assert (ecal.model, round(ecal.metrics["auc"], 4), ecal.metrics["accuracy"]) == ("cnn_ecal_study", 0.8104, 0.7404)
    for task in registry.names("task"):
        record = registry.find("task", task).record
        for one in (record, *record.variants.values()):
            assert not [reference for reference in one.references if "study" in reference.model + reference.source]


def test_differences_are_told_in_words():
    number = Reported("test AUC", "test_auc", 0.81, "table")
    assert in_words(number, 0.79, 0.004) == "ours lower by 0.0200 ± 0.0040"
    assert in_words(number, 0.813, 0.004) == "the same within the error (+0.0030 ± 0.0040)"
    assert in_words(number, 0.9, math.nan) == "ours higher by 0.0900"
    assert in_words(Reported("", "parameters", 868_993, ""), 868_993, math.nan) == "the same"
    assert in_words(Reported("", "epochs", 38, ""), 8, math.nan) == "fewer by 30"
    slower = in_words(Reported("", "seconds_per_step", 4, ""), 2, math.nan, "a processor")
    assert slower == "0.50 times the document's, on other hardware: a processor"
    assert in_words(Reported("", "test_auc", 0.992, "", sign="above"), 0.999, 0.001) == "ours is above it, too"
    assert (
        in_words(Reported("", "test_auc", 0.992, "", sign="above"), 0.98, 0.001) == "ours is lower by 0.0120 ± 0.0010"
    )


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory):
    home = tmp_path_factory.mktemp("reproduced")
    arguments = ("reproduce", "pxd_mlp_cnn", "--budget", "smoke")
    for name in ("tetraquark_vs_background", "tetraquark_vs_background_appendix", "mlp_tetraquark_vs_background"):
        arguments += ("--only", name)
    done = hepbench(*arguments, home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    return home, arguments, done.stdout


@pytest.mark.parametrize("name", study.names())
def test_every_column_of_a_comparison_has_a_heading(name):
    asked = [metric for comparison in study.find(name).comparisons for metric in comparison.metrics]
    headings = {metric: reproduce._heading(metric) for metric in asked}
    assert all(one.startswith(("test ", "validation ", "training ")) for one in headings.values()), headings
    assert len(set(headings.values())) == len(headings)
    if name == "qg_particlenet":
        assert headings[f"{VALIDATION}accuracy"] == "validation accuracy"


def test_of_several_classes_the_curve_of_the_signal_is_drawn(tmp_path):
    entry = registry.find("task", "pxd_pixels")
    classes, signal = entry.record.classes, entry.record.signal
    rng = np.random.default_rng(0)
    curves = metrics.roc_curves(Scored(rng.integers(0, 5, 900), rng.dirichlet(np.ones(5), 900)), signal, classes)
    write_roc(tmp_path / "roc.csv", curves)
    setup = SimpleNamespace(experiment=SimpleNamespace(name="cnn"), trials=[SimpleNamespace(task=entry)])
    store = SimpleNamespace(download=lambda run, name, folder: tmp_path / name)
    key = f"test_auc_{classes[signal]}"
    runs = {"cnn": [{"id": "1", "metrics": {key: 0.75, f"{key}_error": 0.02, "test_auc": 0.5}}]}
    found = reproduce._roc(SimpleNamespace(setups=[setup]), runs, store)
    ((signal_efficiency, background_efficiency),) = found[classes[signal], "the rest"].values()
    assert list(found[classes[signal], "the rest"]) == ["cnn, AUC 0.7500 ± 0.0200"]
    np.testing.assert_allclose(signal_efficiency, curves[classes[signal]]["signal_efficiency"], rtol=1e-6)
    assert (np.diff(background_efficiency) >= 0).all()


def test_a_study_at_a_small_budget(reproduced):
    """Experiments on the same events run together, under one run."""
    home, _, printed = reproduced
    assert "1/3 tetraquark_vs_background" in printed and "3/3 mlp_tetraquark_vs_background" in printed
    assert re.search(r"test AUC\s+0\.992\s+0\.\d{4} ± 0\.\d{4}\s+(ours (lower|higher) by|the same)", printed)
    assert "2,000 events instead of 200,000; at most 2 epochs instead of 100" in printed
    assert "not run: not requested" in printed and "make sweep TASK=pxd_pixels" in printed
    page = (home / "results" / "reports" / "reproduce-pxd_mlp_cnn.html").read_text()
    for words in ("Marvin Peter", "simulated data", "1,400 training events", "not measured", "ROC curves", "<svg"):
        assert words in page, words
    assert re.search(r"tetraquark_vs_background, AUC 0\.\d{4} ± 0\.\d{4}<", page)  # the legend
    assert re.search(r"done 1/2 tetraquark.* seed 0(?s:.*)done 2/2 tetraquark(?s:.*)done 1/1 mlp_tetraquark", printed)
    alone = "tetraquark_vs_background tetraquark_vs_background_appendix"
    only = f"ONLY=&#39;{alone} mlp_tetraquark_vs_background&#39;"
    assert re.search(f"make reproduce STUDY=pxd_mlp_cnn BUDGET=smoke SEEDS=1 DEVICE=.pu DATA=simulated {only}", page)
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_a_second_call_resumes_and_writes_markdown(reproduced):
    home, arguments, _ = reproduced
    store = runs.connect(None, home / "results")
    before = {run["id"] for run in store.runs("pxd_clusters:tetraquark_vs_background")}
    done = hepbench(*arguments, "--format", "markdown", home=home)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("# Particles in the Belle II pixel detector")
    assert "| test AUC, `tetraquark_vs_background` | 0.992 | 0." in done.stdout
    assert {run["id"] for run in store.runs("pxd_clusters:tetraquark_vs_background")} == before
    dry = hepbench(*arguments, "--dry-run", home=home)
    assert dry.stdout.count("1 already done") == 3 and "left out: not requested" in dry.stdout


def test_an_experiment_that_fails_ends_no_other(reproduced, monkeypatch):
    home, arguments, _ = reproduced
    plan = campaign.plan_trials

    def plan_or_fail(labelled, *rest):
        if labelled[0][0] == "tetraquark_vs_background":
            raise UserError("its files are gone")
        return plan(labelled, *rest)

    monkeypatch.setattr(campaign, "plan_trials", plan_or_fail)
    done = hepbench(*arguments, home=home)
    assert done.returncode == 1
    assert "failed: its files are gone" in done.stdout and "not run: its files are gone" in done.stdout
    assert "1 of 1 results already exist" in done.stdout


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["ecal_cn"], ["unknown study 'ecal_cn'", "did you mean 'ecal_cnn'", "qg_particlenet"]),
        (["ecal_cnn", "--only", "energie"], ["unknown experiment of ecal_cnn", "did you mean 'energy'"]),
        (["ecal_cnn", "--budget", "quik"], ["unknown budget 'quik'"]),
        (["ecal_cnn", "--format", "pdf"], ["unknown format 'pdf'"]),
        (["ecal_cnn", "--data", "official"], ["official files of ecal are missing"]),
        ([], ["hepbench reproduce --list"]),
    ],
)
def test_a_mistake_is_one_line_and_status_2(arguments, words, home):
    assert_user_mistake(hepbench("reproduce", *arguments, home=home), *words)
    assert not (home / "results").exists()


def test_the_list(home):
    done = hepbench("reproduce", "--list", home=home)
    assert done.returncode == 0
    for name in ("ecal_cnn", "qg_particlenet", "qg_images_cnn", "hepmass_dense", "pxd_mlp_cnn"):
        assert name in done.stdout


def test_modes_of_a_network():
    """Inference gives what `predict` gives, each other mode something else, and the network is left as it was."""
    import keras

    from hepbench.suite.training.modes import MODES, scores_by_mode
    from hepbench.suite.training.network import Network

    keras.utils.set_random_seed(0)
    table = keras.Input((4,), name="table")
    x = keras.layers.Dense(8, activation="relu")(table)
    x = keras.layers.Dropout(0.5)(keras.layers.BatchNormalization()(x))
    network = Network(keras.Model({"table": table}, keras.layers.Dense(1, activation="sigmoid")(x)), 2)
    values = np.random.default_rng(0).normal(3, 2, (70, 4)).astype(np.float32)
    sample = Sample({"table": values}, np.arange(70), np.zeros(70, np.int64))
    before = network.predict(sample)
    weights = [weight.numpy() for weight in network.keras_model.weights]
    scores = scores_by_mode(network, sample, 32)
    assert list(scores) == list(MODES)
    np.testing.assert_allclose(scores["inference"], before, rtol=1e-5)
    for mode in ("moments_of_the_batch", "dropout", "training"):
        assert scores[mode].shape == (70, 2) and np.abs(scores[mode] - before).max() > 1e-3, mode
    normalised = keras.Model(network.keras_model.input, network.keras_model.layers[2].output)
    np.testing.assert_allclose(network.predict(sample), before, rtol=1e-6)
    assert normalised is not None
    for weight, value in zip(network.keras_model.weights, weights, strict=True):
        np.testing.assert_array_equal(weight.numpy(), value)


def test_a_page_without_a_run_says_so():
    number = reproduction.Number("test AUC", "table", "0.8", reproduction.NOT_MEASURED, "it was not run")
    part = reproduction.Part("a", "its title", left_out="too long", numbers=[number])
    page = reproduction.Page("A study", "its author", ["budget quick"], [part], command="make reproduce STUDY=a")
    text = reproduction.markdown(page)
    assert "**`a`**: its title. Not run: too long." in text
    assert "| test AUC, `a` | 0.8 | not measured | it was not run |  |" in text
    assert "Not run: too long." in reproduction.render(page)


def test_curves_of_several_lengths_have_a_mean_as_long_as_the_longest():
    curve = reproduction.Curve("loss", [], [[1.0, 2.0], [3.0]])
    np.testing.assert_array_equal(curve.mean, [2.0, 2.0])
