"""What commands and functions are asked for: refused in one line, before any work, where it cannot be done."""

from __future__ import annotations

import errno
import math
import shlex
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import assert_user_mistake, hepbench
from matplotlib.figure import Figure

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import UserError
from hepbench.suite import campaign, compare, curve, registering, reproduce, results, scoring, sweep
from hepbench.suite.commands import exchange, plot, predict
from hepbench.suite.commands.console import Console
from hepbench.suite.commands.tune import _bench_command
from hepbench.suite.exchange.submission import Submission
from hepbench.suite.trial.artifacts import SCORES
from hepbench.suite.trial.spec import Spec
from hepbench.suite.tuning.study_spec import StudyRequest, count_of, resolve, seconds_of
from hepbench.suite.workers.batch_system import BatchSystem
from hepbench.suite.workers.place import Place, check_jobs
from hepbench.tracking.leaderboard import figures
from hepbench.tracking.runs import Store

BENCH = ("bench", "magic", "-m", "gbdt", "--budget", "smoke", "--dry-run")
CURVE = ("curve", "magic", "-m", "gbdt", "--budget", "smoke", "--dry-run")
MODEL = """
from hepbench import Model
def fit(train, valid, parameters, **rest):
    raise RuntimeError("the loss ran away")
MODEL = Model(title="x", view="table", defaults={"width": 8}, space=lambda trial: {}, fit=fit)
"""
LONG = "x" * 250


@pytest.mark.parametrize(
    "arguments, words",
    [
        ((*BENCH, "--seeds", "2", "--seed", "7"), "give only one of these options"),
        ((*CURVE, "--seeds", "2", "--seed", "7"), "give only one of these options"),
        ((*BENCH, "--queue", "gpu"), "--queue: only with --cluster"),
        ((*BENCH, "--gpus-per-worker", "1"), "--gpus-per-worker: only with --cluster"),
        ((*CURVE, "--walltime", "04:00:00"), "--walltime: only with --cluster"),
        ((*BENCH, "--jobs", "2", "--scheduler", "tcp://127.0.0.1:9"), "--jobs: the workers of --scheduler"),
        ((*BENCH, "--share-gpu", "--cluster", "slurm"), "--share-gpu: only for trials on this machine"),
        ((*BENCH, "--jobs", "-1"), "x>=1"),
        ((*BENCH, "--jobs", "-3", "--cluster", "slurm"), "x>=1"),
        ((*BENCH, "--cluster", "slurm", "--memory-per-worker", "lots"), "memory must be such as 8GB"),
        ((*BENCH, "--cluster", "slurm", "--walltime", "soon"), "walltime must be such as 04:00:00"),
        ((*BENCH, "--cluster", "htcondor", "--walltime", "1-00:00:00"), "walltime must be such as 04:00:00"),
        ((*BENCH, "--set", "rounds=5", "--set", "rounds=7"), "--set rounds is given twice"),
        ((*BENCH, "-m", ""), "--model: give at least one name"),
        (("plot", "magic", "-m", ""), "--models: give at least one name"),
        (("plot", "magic", "--kind", "roc", "--metric", "recall"), "--metric recall: no part of --kind roc"),
        (("plot", "magic", "--x-axis", "parameters"), "--x-axis parameters: no part of --kind rejection"),
        (("plot", "magic", "--out", f"{LONG}.pdf"), "no finished runs"),
        ((*BENCH, "--seed", "-1"), "seed must be at least 0"),
        ((*BENCH, "--seed", str(2**32)), "seed must be at most"),
        ((*BENCH, "--seeds", "1000000000000"), "seeds must be at most 10,000"),
        ((*CURVE, "--seed", "-1"), "seed must be at least 0"),
        ((*BENCH, "-m", "mlp", "--batch-size", "0"), "batch_size=0: it must be a whole number above 0"),
        ((*BENCH, "-m", "mlp", "--batch-size", ""), "batch_size=: expected a whole number"),
        ((*BENCH, "-m", "mlp", "--set", "epochs=-3"), "epochs=-3: it must be"),
        ((*BENCH, "-m", "mlp", "--set", "learning_rate=-1"), "learning_rate=-1.0: it must be finite and not below 0"),
        ((*BENCH, "-m", "mlp", "--set", "learning_rate=nan"), "but got NaN"),
        ((*BENCH, "--set", "rounds=0"), "rounds=0: it must be"),
        (("tune", "magic", "-m", "mlp", "--seeds", "20000"), "SEEDS must be at most 10,000"),
        (("tune", "magic", "-m", "mlp", "--max-parameters", "inf"), "above 0 and finite"),
        (("tune", "magic", "-m", "mlp", "--max-latency", "INF"), "above 0 and finite"),
        (("register", "magic", "--run", "3f2a9c", "--budget", "quick"), "give only one of these options"),
        (("compare", "magic", "", "gbdt"), "no finished runs"),
    ],
)
def test_what_cannot_be_done_or_has_no_effect_is_refused(arguments, words, home):
    assert_user_mistake(hepbench(*arguments, home=home), words)


def test_a_name_that_is_too_long_for_a_file_is_one_line(home, monkeypatch):
    def open_store(**options):
        raise OSError(errno.ENAMETOOLONG, "File name too long", LONG)

    monkeypatch.setattr(results, "open_store", open_store)
    assert_user_mistake(hepbench("export", "magic", "--out", LONG, home=home), f"{LONG}: file name too long")


def test_jobs_are_at_least_one():
    with pytest.raises(UserError, match="JOBS must be at least 1, got 0"):
        check_jobs(0, "cpu", share_gpu=False)


def test_seeds_and_events_are_whole_numbers():
    assert campaign.seeds_of(np.int64(2), "smoke") == campaign.seeds_of(np.arange(2), "smoke") == (0, 1)
    assert all(type(seed) is int for seed in campaign.seeds_of(np.arange(2), "smoke"))
    assert campaign.seeds_of((7, 7, 2**32 - 1), "smoke") == (7, 2**32 - 1)
    for wrong in (2.0, [], "01", [0.5], ["1"], 0, [-1], 10**12, range(20_000)):
        with pytest.raises(UserError):
            campaign.seeds_of(wrong, "smoke")
    with pytest.raises(UserError, match=r"events must be a whole number, got 2000\.5"):
        campaign.request("magic", ["prior"], budget="smoke", events=2000.5)
    assert type(campaign.request("magic", ["prior"], budget="smoke", events=np.int64(2000)).events) is int


def test_a_submission_has_no_number_that_nothing_can_hold():
    for name in ("parameters", "seed", "train_events"):
        with pytest.raises(UserError, match=f"{name} must be a number from"):
            Submission("mine", **{name: 10**400})
    with pytest.raises(UserError, match="latency_ms"):
        Submission("mine", latency_ms=math.nan)


def test_a_limit_is_finite():
    for of, text in ((seconds_of, "INF"), (count_of, "inf"), (count_of, "nan")):
        with pytest.raises(UserError, match="above 0 and finite"):
            of(text)


def test_models_are_found_once_and_never_by_one_name(tmp_path, monkeypatch):
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    asked = campaign.request("magic", ["./x/same.py", "x/same.py"], budget="smoke", settings={"width": 32})
    assert [trial.hyperparameters["width"] for trial in asked.trials] == [32]
    for request in (campaign.request, curve.request):
        with pytest.raises(UserError, match="two models are named 'same'"):
            request("magic", ["x/same.py", "y/same.py"], budget="smoke")


WITH_GPUS, WITHOUT = (Place(batch=BatchSystem("slurm", gpus=gpus)) for gpus in (2, 0))


@pytest.mark.parametrize(
    "place, wanted, chosen",
    [
        (WITH_GPUS, "auto", ("gpu", "2 GPUs per worker")),
        (WITHOUT, "auto", ("cpu", "0 GPUs per worker")),
        (WITHOUT, "gpu", ("gpu", "as asked")),
        (WITH_GPUS, "cpu", ("cpu", "as asked")),
        (Place(scheduler="tcp://host:8786"), "gpu", ("gpu", "as asked")),
    ],
)
def test_the_device_is_that_of_the_workers(place, wanted, chosen, monkeypatch):
    monkeypatch.setattr("hepbench.tracking.hardware.machine.gpus", lambda: [])
    options = {"budget": "smoke", "device": wanted}
    benched = campaign.request("magic", ["gbdt"], place=place, **options)
    curved = curve.request("magic", ["gbdt"], place=place, **options)
    again = reproduce.request("ecal_cnn", budget="quick", device=wanted, place=place)
    tuned = resolve(StudyRequest("magic", "gbdt", **options), place)
    assert {(one.device, one.device_reason) for one in (benched, curved, again)} == {chosen}
    assert (tuned.base.device, tuned.device_reason) == chosen
    with pytest.raises(UserError, match="DEVICE=gpu"):
        campaign.request("magic", ["gbdt"], budget="smoke", device="gpu")


def finished(store: Store, experiment: str, **tags: str) -> str:
    group = {"task": experiment, "data": "official", "data_digest": "d", "split_hash": "s", "budget": "smoke"}
    identity = {"model": "gbdt", "seed": "0", "configuration": "c", "identity": experiment}
    run = store.start(experiment, "gbdt seed 0", tags={**group, **identity, "stage": "final", **tags}, parameters={})
    store.finish(run, "FINISHED")
    return run


VARIANT = next(iter(registry.find("task", "pxd_clusters").record.variants))
EVERY = ["magic", "my_own", f"pxd_clusters:{VARIANT}", f"pxd_clusters:{VARIANT}s"]


@pytest.fixture
def store(home):
    opened = results.open_store()
    for name in EVERY:
        finished(opened, name)
    return opened


def test_all_is_every_experiment_with_results(store, tmp_path, capsys):
    tasks, left_out = results.stored_tasks(["all"], store)
    assert [task.name for task in tasks] == ["magic", f"pxd_clusters:{VARIANT}"]
    assert left_out == ["my_own", f"pxd_clusters:{VARIANT}s"] and "my_own" in results.of_left_out(left_out)
    assert [task.name for task in results.stored_tasks(["ecal", "all"], store)[0]] == [
        "ecal", "magic", f"pxd_clusters:{VARIANT}",
    ]  # fmt: skip
    for name in EVERY:
        (run,) = store.runs(name)
        scores = tmp_path / name
        scores.mkdir()
        (scores / SCORES).write_bytes(b"scores")
        store.upload(run["id"], scores)
    exchange.write("all", tmp_path / "all.zip", Console())
    printed = capsys.readouterr().out
    assert all(f"1 run of {name}" in printed for name in EVERY), printed
    assert len([name for name in zipfile.ZipFile(tmp_path / "all.zip").namelist() if name.endswith(SCORES)]) == 4


def test_rescoring_all_names_what_it_leaves_out(store, home):
    done = hepbench("rescore", "all", home=home)
    assert done.returncode == 0, done.stderr
    assert "left out: my_own, pxd" in done.stdout and f"pxd_clusters:{VARIANT}: metrics of 0 runs" in done.stdout


def test_only_results_of_own_tasks_are_no_results_of_all(home):
    finished(results.open_store(), "my_own")
    with pytest.raises(UserError, match="left out: my_own"):
        results.stored_tasks(["all"], results.open_store())


def test_a_run_of_another_task_is_not_registered(store):
    run = store.runs("magic")[0]
    with pytest.raises(UserError, match="is of the task magic, not of ecal"):
        registering.register(registry.find("task", "ecal"), store, run, "ecal", "champion")


def test_an_empty_name_is_no_result(store, monkeypatch):
    for name in ("", " "):
        with pytest.raises(UserError, match="is empty"):
            compare._named(registry.find("task", "magic"), name, [{"model": "gbdt", "tuned": "", "set": ""}], store)


def test_scores_replace_no_file_that_they_are_of(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("h.csv").write_text("events")
    Path("link.csv").symlink_to("h.csv")
    for out in ("h.csv", "link.csv"):
        with pytest.raises(UserError, match="is one of the files to be scored"):
            scoring.write_predictions(None, [tmp_path / "h.csv"], Path(out), lambda done: None)
    Path("scores.parquet").write_text("mine")
    with pytest.raises(UserError, match=r"scores\.parquet already exists: give .* --out"):
        predict.predict("3f2a9c", [tmp_path / "h.csv"], None, None, None, Console())
    assert (Path("h.csv").read_text(), Path("scores.parquet").read_text()) == ("events", "mine")


def test_a_full_disk_leaves_the_figure_that_was_there(tmp_path, monkeypatch):
    row = {"model": "gbdt", "set": "", "run_ids": ["a"], "budget": "smoke", "ended": 1}
    board = types.SimpleNamespace(rows=[row])
    monkeypatch.setattr(results, "board_of", lambda tasks, store: board)
    for name, value in (
        ("groups", lambda rows: [rows]),
        ("name_of", lambda row: "gbdt"),
        ("facts_of", lambda rows: []),
    ):
        monkeypatch.setattr(plot, name, value)
    monkeypatch.setattr(plot.plot_data, "of_rows", lambda task, rows, store: ({}, []))
    monkeypatch.setattr(plot.page, "slices_of", lambda rows, slices: {})
    monkeypatch.setattr(figures, "draw", lambda kind, chosen: Figure())

    def savefig(figure, path, **options):
        Path(path).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", savefig)
    out = tmp_path / "figure.pdf"
    out.write_bytes(b"whole")
    with pytest.raises(UserError, match="disk full"):
        plot.plot(
            "magic", "roc", [], metric="auc", x_axis="latency_ms", budget=None, out=out, console=Console(quiet=True)
        )
    assert out.read_bytes() == b"whole" and list(tmp_path.iterdir()) == [out]


def test_a_printed_command_is_one_for_a_shell(tmp_path):
    spec = Spec("/my tasks/t.py", "/my models/m.py", 1, "smoke", "simulated", "cpu", "tensorflow")
    command = _bench_command(types.SimpleNamespace(base=spec), {"act": "a b", "layers": (64, 64)})
    assert shlex.split(command)[2:5] == ["/my tasks/t.py", "--model", "/my models/m.py"]
    assert shlex.split(command)[-4:] == ["--set", "act=a b", "--set", "layers=64,64"]
    path = tmp_path / "a b" / "mine.py"
    path.parent.mkdir()
    path.write_text(
        "from hepbench import Model\n"
        "MODEL = Model('x', 'table', {}, lambda trial: {}, build=lambda shapes, classes, parameters: None)\n"
    )
    asked = sweep.request("magic", str(path), budget="smoke", device="cpu")
    assert shlex.split(sweep._command(asked))[4] == str(path)
    again = reproduce.request("ecal_cnn", budget="quick", device="cpu", data="simulated")
    assert {"DEVICE=cpu", "DATA=simulated"} <= set(reproduce._command(again).split())


def test_a_task_whose_trials_all_fail_is_no_mistake_and_the_others_run(home, tmp_path):
    (tmp_path / "broken.py").write_text(MODEL)
    done = hepbench("bench", "magic", "ecal", "-m", tmp_path / "broken.py", "--budget", "smoke", home=home)
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.count("the loss ran away") >= 2 and "no finished runs" not in done.stdout + done.stderr
    refused = hepbench("bench", "magic", "-m", "cnn", "--budget", "smoke", home=home)
    assert_user_mistake(refused, "no model of these supports magic: cnn needs image inputs")
