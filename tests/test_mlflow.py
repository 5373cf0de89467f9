"""MLflow's page of a store: the views that are prepared, as data and as Chromium shows them."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import zlib

import pytest
from conftest import COMMAND, ROOT, hepbench

from hepbench.suite import views as prepared
from hepbench.tracking import runs, views


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
    (name, experiment_id), *more = prepared.prepare(store).items()
    assert name == "magic" and not more
    tags = store._client.get_experiment(experiment_id).tags
    assert tags["mlflow.experimentKind"] == "custom_model_development"
    assert max(len(tag) for tag in tags.values()) < runs.LONGEST_TAG
    state = state_of(tags["mlflow.sharedViewState.hepbench-models"])
    assert state["orderByKey"] == "metrics.`test_auc`" and not state["orderByAsc"]
    measured = {metric for run in store.runs("magic") for metric in run["metrics"]}
    for column in ("test_auc", "test_auc_error", "test_rejection_50", "test_accuracy", "train_seconds", "parameters"):
        assert f"metrics.`{column}`" in state["selectedColumns"] and column in measured
    sections = {one["uuid"] for one in state["compareRunSections"]}
    assert {one["metricSectionId"] for one in state["compareRunCharts"]} <= sections
    prepared.prepare(store)  # again: nothing is written
    assert store._client.get_experiment(experiment_id).tags == tags


def test_a_view_is_the_same_text_whenever_it_is_written():
    first, second = (views.tags_of(prepared.VIEWS, when) for when in (1.0, 2.0))
    assert all(views.same(tag, second[name]) for name, tag in first.items())
    other = views.tags_of((prepared.MODELS,), 1.0)
    key = f"{views.PREFIX}{prepared.MODELS.key}"
    assert not views.same(other[key], first[f"{views.PREFIX}{prepared.MEANS.key}"])
    assert not views.same(other[key], None) and not views.same(other[key], "not one of ours")


@pytest.mark.long
def test_the_page_opens_on_sorted_rows_columns_and_charts_and_shows_nothing_of_language_models(
    benched, browser, tmp_path
):
    environment = {**os.environ, "HEPBENCH_HOME": str(benched), "PYTHONUNBUFFERED": "1"}
    port = 5900 + os.getpid() % 90
    with subprocess.Popen(
        [*COMMAND, "ui", "--port", str(port)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as server:
        try:
            printed = []
            for line in server.stdout:
                printed.append(line.strip())
                if "startup complete" in line:
                    break
            addresses = {
                line.partition("  ")[0]: line.rpartition(" ")[2] for line in printed if "viewStateShareKey" in line
            }
            page = browser.open(addresses["models, a table"], 1900, 900)
            page.wait_for("document.querySelectorAll('[role=row] a[href*=\"/runs/\"]').length >= 4")
            text = page.wait_for("document.body.innerText.includes('test_auc_error') && document.body.innerText")
            for column in ("test_auc", "test_rejection_50", "test_accuracy", "train_seconds"):
                assert column in text
            names = page.evaluate(
                "[...document.querySelectorAll('[role=row] a[href*=\"/runs/\"]')].map(one => one.innerText)"
            )
            assert sorted(names[:2]) == ["logistic seed 0", "logistic seed 1"]
            assert "bench magic smoke" not in names
            assert not {"Prompts", "Traces and sessions", "Judges", "Evaluation runs"} & set(text.splitlines())
            page.screenshot(tmp_path / "table.png")
            charts = browser.open(addresses["models, charts"], 1900, 1400)
            charts.wait_for("document.querySelectorAll('.js-plotly-plot .bars path').length >= 4", 90)
            shown = charts.evaluate("document.body.innerText")
            assert {"Test", "Training", "Cost"} <= {line.partition(" (")[0].strip() for line in shown.splitlines()}
            assert not [one for one in page.errors + charts.errors if "users/current" not in one]
        finally:
            os.killpg(server.pid, signal.SIGKILL)  # and the processes that it has started
