"""`hepbench sweep`: what batch sizes cost, when a score is reached, the sweet spot, and the page of it."""

from __future__ import annotations

import csv
import math
import re

import numpy as np
import pytest
from conftest import assert_user_mistake, console_script, hepbench

from hepbench.benchmarks import registry
from hepbench.suite import sweep
from hepbench.tracking import plots, runs
from hepbench.tracking.numbers import significant_digits
from hepbench.tracking.sweep import page, record, table
from hepbench.tracking.sweep.record import Point, Sweep, Training

SWEEP = ("sweep", "magic", "--model", "mlp", "--budget", "smoke", "--batch-sizes", "64,256 4096")


def training(auc, seconds=1.0, seed=0, events=1000.0, **measured) -> Training:
    scores = np.array(auc, dtype=float)
    each = np.full(len(scores), float(seconds))
    return Training(seed, scores, scores - 0.1, each, events / each, np.full(len(scores), 50.0), measured)


def study(points, target=0.8, reported=(), left_out=(), **not_measured) -> Sweep:
    hardware = {device: f"a {device}" for device in dict.fromkeys(point.device for point in points)}
    return Sweep(tuple(points), hardware, not_measured, left_out, 1000, target, "as asked for", tuple(reported))


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (999.7, 3, "1,000"),
        (4e-5, 3, "0.0000400"),
        (15.0, 1, "15"),
        (150, 2, "150"),
        (0.0996, 1, "0.1"),
        (9.996, 3, "10.0"),
        (12_345.6, 3, "12,346"),
        (-0.0123, 2, "-0.012"),
        (0, 3, "0"),
        (math.inf, 3, "inf"),
        (math.nan, 3, "nan"),
    ],
)
def test_numbers_are_never_shown_as_powers_of_ten(value, digits, text):
    assert significant_digits(value, digits) == text


def test_times_of_a_study_are_never_shown_as_powers_of_ten():
    wide = [training([0.7, 0.9], seconds=985.0 if seed else 1015.0, seed=seed) for seed in range(2)]
    quick = [training([0.7, 0.9], seconds=4e-5)]
    found = study([Point("cpu", 32, tuple(wide)), Point("cpu", 64, tuple(quick))])
    cells = [cell for row in table.rows(found) for cell in row] + record.verdicts(found)
    assert not any(re.search(r"\de[+-]\d", cell) for cell in cells), cells
    assert "1,000 ± 15" in cells and any("0.0000" in cell for cell in cells)


# --- when a score is reached -----------------------------------------------------------------------------------------


def test_a_score_is_reached_at_the_end_of_the_first_epoch_that_has_it():
    scores, seconds = np.array([0.6, 0.8, 0.7, 0.9]), np.array([1.0, 2.0, 4.0, 8.0])
    assert record.first_reached(scores, seconds, 0.8) == (2, 1.0, 3.0)
    assert record.first_reached(scores, seconds, 0.5) == (1, 0.0, 1.0)
    assert record.first_reached(scores, seconds, 0.95) is None
    assert record.first_reached(np.array([math.nan, 0.9]), seconds[:2], 0.8) == (2, 1.0, 3.0)


def test_of_several_seeds_the_median_counts_and_more_than_half_must_reach_it():
    fast, slow, never = training([0.9, 0.9], 1), training([0.6, 0.9], 2), training([0.6, 0.6], 1)
    both = record.reached(Point("cpu", 32, (fast, slow)), 0.8)
    assert (both.seconds, both.epochs, both.earliest, both.latest) == (2.5, 1.5, 0.0, 4.0)
    assert record.reached(Point("cpu", 32, (fast, never)), 0.8) is None
    two_of_three = record.reached(Point("cpu", 32, (fast, slow, never)), 0.8)
    assert (two_of_three.seconds, two_of_three.latest) == (4.0, math.inf)
    assert record.reached(Point("cpu", 32, (fast,)), None) is None


def test_the_default_target_is_most_of_the_way_from_chance_to_the_best():
    points = [
        Point("cpu", 32, (training([0.7, 0.9, 0.8], final_val_auc_error=0.01),)),
        Point("cpu", 64, (training([0.6]),)),
    ]
    assert record.default_target(points) == pytest.approx(0.5 + 0.99 * 0.4)
    assert record.default_target([Point("cpu", 32, (training([0.51], final_val_auc_error=0.01),))]) is None
    assert record.default_target([Point("cpu", 32, (), "out of memory")]) is None


# --- the sweet spot --------------------------------------------------------------------------------------------------


def test_the_sweet_spot_is_the_batch_size_that_reaches_the_target_fastest():
    points = [
        Point("cpu", 32, (training([0.9], 10),)),
        Point("cpu", 256, (training([0.7, 0.9], 1),)),
        Point("cpu", 2048, (training([0.6, 0.7, 0.7, 0.9], 0.9),)),
        Point("cpu", 4096, (training([0.6, 0.79], 0.5, final_val_auc_error=0.02),)),
        Point("cpu", 8192, (training([0.5, 0.5], 0.5, final_val_auc_error=0.02),)),
    ]
    sentence, not_measured = record.verdicts(study(points, gpu="no NVIDIA GPU is found"))
    assert "On the CPU (a cpu) the sweet spot is a batch size of 256" in sentence
    assert "0.8000 fastest, after 2.00 s of training and 2 epochs" in sentence
    assert "Not reached within their epochs with 4,096 and 8,192; 4,096 missed it by less than the error" in sentence
    assert "not distinguished from 32:" in sentence  # whose only epoch began before
    assert "run-to-run variance is not measured" in sentence
    assert not_measured == "GPU: not measured (no NVIDIA GPU is found)."


def test_a_sweet_spot_at_an_end_of_the_range_says_so():
    points = [Point("gpu", size, (training([0.7, 0.9], seconds),)) for size, seconds in ((32, 9), (256, 3))]
    (sentence,) = record.verdicts(study(points))
    assert "the largest measured" in sentence


@pytest.mark.parametrize(
    "target, words", [(0.95, "no batch size reached a validation AUC of 0.9500"), (None, "learned more than chance")]
)
def test_without_a_sweet_spot_the_sentence_says_why(target, words):
    measured = study([Point("cpu", 32, (training([0.6, 0.9]),))], target=target)
    (sentence,) = record.verdicts(measured)
    assert words in sentence
    (row,) = table.rows(measured)
    assert ("not reached" in row) == (target is not None)


# --- table, figures, page --------------------------------------------------------------------------------------------


def test_an_epoch_is_a_pass_over_all_events_at_the_measured_rate():
    measured = study([Point("cpu", 600, (training([0.9, 0.9], 2.0, events=600, train_seconds=4.0),))])
    (row,) = csv.DictReader(table.to_csv(measured).splitlines())
    assert (row["events_per_second"], row["events_left_out_percent"], row["trained_seconds"]) == ("300", "40", "4")
    assert float(row["seconds_per_epoch"]) == pytest.approx(1000 / 300, rel=1e-5)
    assert row["gpu_percent"] == "" and row["source"] == "measured"


def test_the_figures_hold_what_was_reported_and_what_was_not_measured(tmp_path):
    reported = registry.find("model", "mlp_pxd_study").record.reported["pxd_pixels"]
    points = [Point("cpu", size, (training([0.6, 0.9]),)) for size in (32, 256)]
    points.append(Point("cpu", 8192, (), "out of memory"))
    measured = study(points, reported=reported, left_out=(40960,), gpu="no NVIDIA GPU is found")
    with plots.style():
        files = [
            path for name, (draw, _) in page.FIGURES.items() for path in plots.save(draw(measured), tmp_path / name)
        ]
    assert {path.name for path in files} == {
        f"{name}.{suffix}" for name in ("cost", "score-by-epoch", "score-by-time") for suffix in ("png", "pdf")
    }
    assert all(path.stat().st_size > 5000 for path in files)
    html = page.render(measured, title="a & b", about=["c"], command="hepbench sweep")
    for words in ("a &amp; b", "reported: GTX 1080", "GPU: not measured", "no NVIDIA GPU", "out of memory", "1211.57"):
        assert words in html, words
    assert html.count("<svg") == 3


def test_the_studys_table_belongs_to_its_network_on_its_task():
    reported = registry.find("model", "mlp_pxd_study").record.reported
    assert set(reported) == {"pxd_pixels"}
    rows = reported["pxd_pixels"]
    assert len(rows) == 21
    seconds = {(one.device, one.batch_size): one.seconds / one.epochs for one in rows}
    assert [round(seconds[key], 2) for key in (("cpu", 40960), ("cpu", 32), ("gpu", 40960), ("gpu", 32))] == [
        0.69, 9.03, 0.13, 24.23,
    ]  # fmt: skip
    for name in registry.names("model"):
        assert name == "mlp_pxd_study" or not registry.find("model", name).record.reported


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A finished sweep: (home, what the command printed)."""
    home = tmp_path_factory.mktemp("swept")
    done = hepbench(*SWEEP, "--device", "cpu", "--epochs", "3,4,4", home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    return home, done.stdout


def sweeps(home) -> list[dict]:
    return runs.connect(None, home / "results").runs("magic", tags={"stage": "sweep"})


def test_a_sweep_prints_a_table_and_a_sentence_and_writes_its_page(swept):
    home, printed = swept
    for words in (
        "left out 4,096: the training set has 1,400 events",
        "not measured GPU",
        "to target",
        "validation AUC",
    ):
        assert words in printed, words
    report = home / "results" / "reports" / "sweep-magic-mlp-smoke.html"
    assert str(report) in printed and "GPU: not measured" in report.read_text()
    rows = list(csv.DictReader(report.with_suffix(".csv").read_text().splitlines()))
    assert [row["batch_size"] for row in rows] == ["64", "256", "4096", ""]
    assert [row["epochs"] for row in rows] == ["3", "4", "", ""]
    for row in rows[:2]:
        for name in ("seconds_per_epoch", "events_per_second", "cpu_percent", "memory_mib", "auc", "accuracy"):
            assert float(row[name]) > 0, name
        assert float(row["auc"]) > 0.5
    assert rows[2]["note"].startswith("left out") and rows[3]["note"].startswith("not measured")
    assert (report.with_suffix("") / "score-by-time.pdf").is_file()


def test_the_runs_are_below_one_and_see_no_test_event(swept):
    home, _ = swept
    parents = [run for run in sweeps(home) if "mlflow.parentRunId" not in run["tags"]]
    trainings = [run for run in sweeps(home) if "mlflow.parentRunId" in run["tags"]]
    assert len(parents) == 1 and len(trainings) == 2
    assert {run["tags"]["mlflow.parentRunId"] for run in trainings} == {parents[0]["id"]}
    assert {run["status"] for run in (*parents, *trainings)} == {"FINISHED"}
    store = runs.connect(None, home / "results")
    for run, epochs in zip(trainings, (3, 4), strict=True):
        assert not [name for name in run["metrics"] if name.startswith("test_")]
        for name in ("epoch_seconds", "epoch_events_per_second", "epoch_cpu_percent"):
            values = store.history(run["id"], name)
            assert [step for step, _ in values] == list(range(1, epochs + 1))
            assert all(value > 0 for _, value in values) or name == "epoch_cpu_percent"
        total = math.fsum(value for _, value in store.history(run["id"], "epoch_seconds"))
        assert total == pytest.approx(run["metrics"]["train_seconds"])


def test_a_second_call_runs_what_is_missing_and_bench_takes_none_of_it(swept):
    home, _ = swept
    before = {run["id"] for run in sweeps(home)}
    again = hepbench(*SWEEP, "--device", "cpu", "--epochs", "3,4,4", "--dry-run", home=home)
    assert again.returncode == 0 and again.stdout.count("already done") == 2
    more = hepbench(*SWEEP[:-1], "64,256,512", "--device", "cpu", "--epochs", "3,4,2", home=home)
    assert more.returncode == 0, more.stdout + more.stderr
    assert "2 of 3 results already exist" in more.stdout
    (new,) = {run["id"] for run in sweeps(home)} - before
    assert new in {run["id"] for run in sweeps(home) if run["tags"].get("mlflow.parentRunId") in before}
    same = ("bench", "magic", "--model", "mlp", "--budget", "smoke", "--set", "batch_size=64", "--set", "epochs=3")
    done = hepbench(*same, "--dry-run", home=home)
    assert "to run" in done.stdout and "already done" not in done.stdout


def test_a_dry_run_on_no_data_runs_and_simulates_nothing(home):
    done = hepbench(
        "sweep",
        "pxd_pixels",
        "--model",
        "mlp_pxd_study",
        "--budget",
        "smoke",
        "--device",
        "cpu",
        "--dry-run",
        home=home,
    )
    assert done.returncode == 0, done.stderr
    assert "events would be simulated first" in done.stdout
    assert done.stdout.count("to run") == 11
    assert not (home / "data").exists()


def test_where_there_is_a_gpu_both_devices_are_measured(monkeypatch):
    monkeypatch.setattr(sweep.device_module, "resolve", lambda wanted, backend: ("gpu", "NVIDIA X"))
    asked = sweep.request("magic", "mlp", batch_sizes="64 32", seeds=2)
    assert asked.not_measured == {} and asked.devices["gpu"] == "NVIDIA X"
    order = [(trial.spec.seed, *key) for key, trial in sweep._trials(asked, list(asked.epochs))]
    both = [(device, size) for device in ("cpu", "gpu") for size in (32, 64)]
    assert order == [(seed, *one) for seed in (0, 1) for one in both]
    alone = sweep.request("magic", "mlp", device="gpu")
    assert set(alone.devices) == {"gpu"} and set(alone.not_measured) == {"cpu"}


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("nothing", "--model", "mlp"), ("unknown task",)),
        (("magic", "--model", "mpl"), ("unknown model", "mlp")),
        (("magic", "--model", "gbdt"), ("gbdt is not a network",)),
        (("magic", "--model", "cnn"), ("cnn does not support magic", "image")),
        (("magic", "--model", "mlp", "--batch-sizes", "32,-4"), ("--batch-sizes", "whole numbers")),
        (("magic", "--model", "mlp", "--batch-sizes", "32,0"), ("whole numbers",)),
        (("magic", "--model", "mlp", "--batch-sizes", " , "), ("whole numbers",)),
        (("magic", "--model", "mlp", "--batch-sizes", "1.5"), ("whole numbers",)),
        (("magic", "--model", "mlp", "--batch-sizes", "64,64", "--epochs", "2,3"), ("64 is given twice",)),
        (("magic", "--model", "mlp", "--epochs", "2,3"), ("one number, or 11",)),
        (("magic", "--model", "mlp", "--epochs", "0"), ("--epochs",)),
        (("magic", "--model", "mlp", "--target", "0.4"), ("--target", "above 0.5")),
        (("magic", "--model", "mlp", "--target", "nan"), ("--target",)),
        (("magic", "--model", "mlp", "--set", "batch_size=3"), ("--batch-sizes",)),
        (("magic", "--model", "mlp", "--seeds", "0"), ("seeds must be at least 1",)),
        (("magic", "--model", "mlp", "--budget", "smoke", "--batch-sizes", "5000"), ("1,400 events", "smaller")),
    ],
)
def test_mistakes_are_one_line(arguments, words, home):
    assert_user_mistake(hepbench("sweep", *arguments, home=home), *words)


@pytest.mark.long
@pytest.mark.takes(25)
def test_each_training_has_a_process_of_its_own(tmp_path):
    home = tmp_path / "home"
    done = console_script(*SWEEP, home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    trainings = [run for run in sweeps(home) if "mlflow.parentRunId" in run["tags"]]
    assert len({run["tags"]["process.id"] for run in trainings}) == len(trainings) == 2
