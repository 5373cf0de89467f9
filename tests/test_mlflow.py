"""MLflow's page of a store: the views that are prepared, as data and as Chromium shows them."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from browser import mlflow_pages
from conftest import assert_user_mistake, free_port, hepbench

from hepbench.benchmarks import registry
from hepbench.suite import views as prepared_views
from hepbench.suite.data.dataset import obtain, prepare, view_of
from hepbench.suite.differences import scores_of
from hepbench.suite.trial.pyfunc import Loaded
from hepbench.tracking import reading, runs, views


@pytest.fixture(scope="module")
def benched(tmp_path_factory):
    """A home with two models of two seeds."""
    home = tmp_path_factory.mktemp("mlflow") / "home"
    command = ("bench", "magic", "--model", "logistic", "--model", "prior", "--seeds", 2, "--budget", "smoke")
    done = hepbench(*command, "--events", 1000, home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    return home


def state_of(tag: str) -> dict:
    """What a tag says, as MLflow's page reads it."""
    head, _, text = json.loads(tag)["state"].partition(";")
    assert head == "deflate"
    return json.loads(zlib.decompress(base64.b64decode(text)))


def test_an_experiment_is_marked_as_trainings_and_has_views_that_its_page_can_read(benched):
    store = runs.connect(None, benched / "results")
    experiment_id = store.experiments()["magic"]
    tags = store._client.get_experiment(experiment_id).tags
    assert tags[runs.DESCRIPTION] == registry.find("task", "magic").record.title
    assert tags["mlflow.experimentKind"] == "custom_model_development"
    assert max(len(tag) for tag in tags.values()) < runs.LONGEST_TAG
    state = state_of(tags["mlflow.sharedViewState.hepbench-models"])
    assert state["orderByKey"] == "metrics.`test_auc`" and not state["orderByAsc"]
    measured = {metric for run in store.runs("magic") for metric in run["metrics"]}
    for column in ("test_auc", "test_auc_error", "test_rejection_50", "test_accuracy", "train_seconds", "parameters"):
        assert f"metrics.`{column}`" in state["selectedColumns"] and column in measured
    sections = {one["uuid"] for one in state["compareRunSections"]}
    assert {one["metricSectionId"] for one in state["compareRunCharts"]} <= sections
    assert prepared_views.prepare(store) == {"magic": experiment_id}  # again: nothing is written
    assert store._client.get_experiment(experiment_id).tags == tags


def test_a_view_is_the_same_text_whenever_it_is_written():
    first, second = (views.tags_of(prepared_views.VIEWS, when) for when in (1.0, 2.0))
    assert all(views.same(tag, second[name]) for name, tag in first.items())
    other = views.tags_of((prepared_views.MODELS,), 1.0)
    key = f"{views.PREFIX}{prepared_views.MODELS.key}"
    assert not views.same(other[key], first[f"{views.PREFIX}{prepared_views.MEANS.key}"])
    mine = json.dumps(json.loads(other[key]) | {"state": "mine", "updatedAt": 5000})  # as MLflow's page writes it
    assert views.same(other[key], mine)
    assert not views.same(other[key], None) and not views.same(other[key], "not one of ours")


@pytest.mark.long
def test_the_page_opens_on_sorted_rows_columns_and_charts_and_shows_nothing_of_language_models(
    benched, browser, tmp_path
):
    with mlflow_pages(benched, free_port()) as addresses:
        page = browser.open(addresses["models, a table"], 1900, 900)
        page.wait_for("document.querySelectorAll('[role=row] a[href*=\"/runs/\"]').length >= 4")
        text = page.wait_for("document.body.innerText.includes('test_auc_error') && document.body.innerText")
        for column in ("test_auc", "test_rejection_50", "test_accuracy", "train_seconds"):
            assert column in text
        names = page.evaluate(
            "[...document.querySelectorAll('[role=row] a[href*=\"/runs/\"]')].map(one => one.innerText)"
        )
        assert sorted(names[:2]) == ["logistic seed 0", "logistic seed 1"]
        assert "bench magic smoke" not in names and "Welcome to MLflow Assistant" not in text
        assert not {"Prompts", "Traces and sessions", "Judges", "Evaluation runs"} & set(text.splitlines())
        page.screenshot(tmp_path / "table.png")
        charts = browser.open(addresses["models, charts"], 1900, 1400)
        charts.wait_for("document.querySelectorAll('.js-plotly-plot .bars path').length >= 4")
        shown = charts.evaluate("document.body.innerText")
        assert {"Test", "Training", "Cost"} <= {line.partition(" (")[0].strip() for line in shown.splitlines()}
        listed = browser.open(addresses["models, a table"].replace("/runs?", "/models?"), 1900, 900)
        listed.wait_for("['logistic seed 0', 'prior seed 1'].every(one => document.body.innerText.includes(one))")
        not_served = ("users/current", "mlflow/assistant")
        errors = page.errors + charts.errors + listed.errors
        assert not [one for one in errors if not any(path in one for path in not_served)]
        address = addresses["models, a table"].partition("#")[0] + "ajax-api/3.0/mlflow/assistant/config"
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(address)


def final_of(home: Path, model: str) -> tuple[runs.Store, dict]:
    store = runs.connect(None, home / "results")
    found = store.runs("magic", status="FINISHED", tags={"stage": "final", "model": model})
    return store, found[0]


@pytest.mark.filterwarnings("ignore")  # of mlflow's own modules
def test_a_trained_model_is_one_of_mlflow_that_scores_a_batch(benched, monkeypatch):
    import mlflow

    monkeypatch.setenv("HEPBENCH_HOME", str(benched))
    store, run = final_of(benched, "logistic")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)  # which the next line sets for good
    mlflow.set_tracking_uri(store.uri)
    model = mlflow.pyfunc.load_model(f"runs:/{run['id']}/model")
    assert model.metadata.metadata == {"classes": ["hadron", "gamma"]}
    (column,) = model.metadata.get_input_schema().inputs
    assert column.name == "table" and column.shape == (-1, 10)
    example = {name: np.asarray(one, "float32") for name, one in model.input_example.items()}
    scores = model.predict(example)
    assert scores.shape == (2, 2) and np.allclose(scores.sum(axis=1), 1, atol=1e-5)

    entry = registry.find("task", "magic")
    prepared = prepare(entry, obtain(entry, "official" if run["tags"]["data"] == "official" else "simulated", 1000, 0))
    stored = scores_of(store, run["id"])
    rows = np.searchsorted(prepared.ids, stored.ids[:50])
    assert (prepared.ids[rows] == stored.ids[:50]).all()
    table = np.asarray(view_of(entry, prepared, "table", "")["table"])[rows].astype("float32")
    assert np.allclose(model.predict({"table": table}), np.exp(stored.scores[:50]), atol=1e-5)
    with pytest.raises(Exception, match="table"):
        model.predict({"tables": table})


def test_a_model_without_inputs_takes_events_in_any_form():
    """One that gives the same scores for every event, as `prior`."""
    fitted = SimpleNamespace(predict=lambda sample: np.full((len(sample), 2), 0.5))
    loaded = Loaded(SimpleNamespace(shapes={}, scaling=None, fitted=fitted))
    table = np.zeros((5, 10))
    for given in ({"table": table}, {"table": table.tolist()}, table, table.tolist(), pd.DataFrame(table)):
        assert loaded.predict(given).shape == (5, 2)


def test_a_run_has_its_curve_by_efficiency_a_line_that_says_what_it_is_and_a_dataset_with_schema(benched):
    store, run = final_of(benched, "logistic")
    curve = dict(store.history(run["id"], "test_roc_rejection"))
    assert set(curve) <= set(range(1, 100)) and len(curve) > 60
    assert curve[50] == pytest.approx(run["metrics"]["test_rejection_50"], rel=0.2)
    assert all(curve[later] <= curve[step] for step, later in zip(list(curve), list(curve)[1:], strict=False))
    assert run["tags"][runs.DESCRIPTION].startswith("logistic regression on ")
    assert "\n" not in run["tags"][runs.DESCRIPTION]
    (parent,) = store.runs("magic", tags={"stage": "bench"})
    assert parent["tags"][runs.DESCRIPTION].startswith("bench of ")
    assert store.files(parent["id"]) == ["leaderboard.json", "magic.html"]
    table = json.loads(store.download(parent["id"], "leaderboard.json", Path()).read_text())
    ranked = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    assert [row["model"] for row in ranked] == ["logistic", "prior"] and ranked[0]["auc"] > 0.6
    assert json.loads(parent["tags"]["mlflow.loggedArtifacts"]) == [{"path": "leaderboard.json", "type": "table"}]
    (dataset,) = store._client.get_run(run["id"]).inputs.dataset_inputs
    schema = json.loads(dataset.dataset.schema)["mlflow_tensorspec"]
    assert json.loads(schema["features"])[0]["tensor-spec"]["shape"][0] == -1
    assert json.loads(dataset.dataset.profile)["classes"] == ["hadron", "gamma"]


@pytest.mark.filterwarnings("ignore")
def test_a_trained_model_stands_in_the_list_of_models_with_its_auc(benched, monkeypatch):
    import mlflow

    monkeypatch.setenv("HEPBENCH_HOME", str(benched))
    store, run = final_of(benched, "logistic")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)  # which the next line sets for good
    mlflow.set_tracking_uri(store.uri)
    found = store._client.search_logged_models([store.experiments()["magic"]])
    assert {one.name for one in found} == {f"{model} seed {seed}" for model in ("logistic", "prior") for seed in (0, 1)}
    assert {one.status for one in found} == {"READY"}
    (listed,) = [one for one in found if one.source_run_id == run["id"]]
    assert {one.key: one.value for one in listed.metrics}["test_auc"] == run["metrics"]["test_auc"]
    example = {name: np.asarray(one, "float32") for name, one in _model_of(listed).input_example.items()}
    assert _model_of(listed).predict(example).shape == (2, 2)


def _model_of(listed):
    import mlflow

    return mlflow.pyfunc.load_model(listed.model_uri)


def test_few_metrics_stand_in_the_open_and_all_are_read(benched):
    store, run = final_of(benched, "logistic")
    written = store._client.get_run(run["id"]).data.metrics
    parts = [name for name in written if name.startswith(("test_", "final_val_"))]
    assert len(parts) < 20 and {"test_auc", "test_auc_error", "test_rejection_50_error"} <= set(parts)
    assert written["detail/test_precision"] == run["metrics"]["test_precision"]
    old = {"test_precision": 0.1, "detail/test_precision": 0.2, "test_brier": 0.3}
    assert reading.renamed(old) == {"test_precision": 0.2, "test_brier": 0.3}


def test_no_two_words_for_the_validation_part_and_those_of_older_versions_are_read(benched):
    store, run = final_of(benched, "logistic")
    assert not [name for name in run["metrics"] if name.startswith("valid")]
    assert run["metrics"]["final_val_auc"] == pytest.approx(store.history(run["id"], "val_auc")[-1][1], abs=1e-6)
    old = {"valid_auc": 0.7, "valid_auc_error": 0.1, "val_auc": 0.6, "valid_events": 150.0, "test_auc": 0.8}
    new = {"final_val_auc": 0.7, "final_val_auc_error": 0.1, "val_auc": 0.6, "val_events": 150.0, "test_auc": 0.8}
    assert reading.renamed(old) == new == reading.renamed(new)


@pytest.mark.filterwarnings("ignore")
def test_the_winner_is_registered_by_name_and_alias_once(benched, monkeypatch):
    import mlflow

    done = hepbench("register", "magic", home=benched)
    assert done.returncode == 0, done.stderr
    assert "magic version 1, alias champion: logistic seed " in done.stdout
    store, _ = final_of(benched, "logistic")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)  # which the next line sets for good
    mlflow.set_tracking_uri(store.uri)
    monkeypatch.setenv("HEPBENCH_HOME", str(benched))
    assert mlflow.pyfunc.load_model("models:/magic@champion").metadata.metadata == {"classes": ["hadron", "gamma"]}
    listed = store._client.search_logged_models([store.experiments()["magic"]])
    assert next(one.name for one in listed if "magic" in one.tags.get(runs.VERSIONS, "")).startswith("logistic seed ")
    again = hepbench("register", "magic", "--alias", "best", home=benched)
    assert "magic version 1, alias best" in again.stdout
    of_prior = store.runs("magic", tags={"stage": "final", "model": "prior"})[0]["id"]
    other = hepbench("register", "magic", "--run", of_prior[:12], "--name", "floor", home=benched)
    assert "floor version 1, alias champion: prior seed" in other.stdout
    assert store._client.get_model_version_by_alias("magic", "best").tags["model"] == "logistic"
    assert_user_mistake(hepbench("register", "magic", "--budget", "full", home=benched), "no results", "smoke")
    assert_user_mistake(hepbench("register", "magic", "--name", "a/b", home=benched), "a/b")
