"""Runs, hardware, statistics, plots and the leaderboard, on a real SQLite store and a real server."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import html
import io
import itertools
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
import types
import urllib.request
from pathlib import Path

import jinja2
import numpy as np
import psutil
import pytest
from conftest import COMMAND, ROOT, free_port, with_patience
from scipy import stats

from hepbench.benchmarks.metrics import METRICS, class_keys, evaluate, metrics_of
from hepbench.benchmarks.scored import Scored
from hepbench.suite.commands.console import Console
from hepbench.tracking import pages, plots, runs, statistics
from hepbench.tracking.hardware import machine
from hepbench.tracking.hardware.sampler import Sampler
from hepbench.tracking.leaderboard import page, ranking, text
from hepbench.tracking.leaderboard.selection import Selection, select
from hepbench.tracking.leaderboard.side_by_side import Cell, side_by_side
from hepbench.tracking.leaderboard.table import REPORTED, Leaderboard, hardware_lines


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield runs.connect(None, tmp_path_factory.mktemp("a home") / "results")


def started(store, experiment, **options):
    return store.start(experiment, "mlp seed 0", **{"tags": {}, "parameters": {}, "parent": None, **options})


# --- runs ------------------------------------------------------------------------------------------------------------


def test_run_comes_back_as_it_was_logged(store, tmp_path):
    dataset = {"name": "magic", "digest": "0123456789abcdef", "source": "magic04.data", "context": "all"}
    parent = started(store, "round trip")
    run = started(
        store, "round trip", tags={"seed": 3}, parameters={"rate": 0.001, "wide": True}, parent=parent, dataset=dataset
    )
    store.log(run, {"loss": 0.7, "system/cpu_utilization_percentage": 50}, 1)
    store.log(run, {"loss": 0.5}, 2)
    store.tag(run, {"note": "x" * 20_000})
    files = tmp_path / "files"
    (files / "model").mkdir(parents=True)
    (files / "model" / "weights.bin").write_bytes(b"\x00\xff")
    store.upload(run, files)
    store.finish(run, "FINISHED")
    store.finish(parent, "FAILED", "no such file\n\nTraceback ...")

    above, found = store.runs("round trip")
    assert (found["id"], found["status"], found["name"]) == (run, "FINISHED", "mlp seed 0")
    assert found["parameters"] == {"rate": "0.001", "wide": "True"}
    assert found["metrics"] == {"loss": 0.5, "system/cpu_utilization_percentage": 50}
    assert found["tags"]["seed"] == "3"
    assert found["tags"]["mlflow.parentRunId"] == parent
    assert len(found["tags"]["note"]) == runs.LONGEST_TAG
    assert time.time() - 600 < found["start"] <= found["end"] <= time.time()
    assert store.history(run, "loss") == [(1, 0.7), (2, 0.5)]
    assert store.download(run, "model/weights.bin", tmp_path / "new").read_bytes() == b"\x00\xff"
    assert (store.download(run, "model", tmp_path / "whole") / "weights.bin").is_file()
    assert above["tags"]["failure"] == above["tags"]["mlflow.note.content"] == "no such file"
    assert "Traceback" in store.download(parent, "failure.txt", tmp_path / "new").read_text()
    assert [r["id"] for r in store.runs("round trip", status="FAILED")] == [parent]

    inputs = store._client.get_run(run).inputs.dataset_inputs
    assert [(i.dataset.name, i.dataset.digest, i.tags[0].value) for i in inputs] == [
        ("magic", "0123456789abcdef", "all")
    ]


def test_what_is_not_measurable_is_not_logged(store):
    run = started(store, "not a number")
    store.log(run, {"rejection": math.nan, "loss": math.inf, "auc": np.float32(0.5)})
    store.log(run, {"rejection": math.nan})
    assert store.runs("not a number")[0]["metrics"] == {"auc": 0.5}
    assert store.history(run, "rejection") == []


def test_unknown_experiment_has_no_runs(store):
    assert store.runs("never run") == []
    assert store.reconcile("never run") == []


def test_all_pages_are_read(store, monkeypatch):
    ids = [started(store, "pages") for _ in range(5)]
    monkeypatch.setattr(runs, "PAGE", 2)
    assert [run["id"] for run in store.runs("pages")] == ids


def test_runs_of_a_killed_process_are_ended_and_no_others(store):
    mine = started(store, "killed")
    program = """
import os, signal, sys
from pathlib import Path
from hepbench.tracking import runs
store = runs.connect(sys.argv[1], Path(sys.argv[2]))
print(store.start("killed", "dies", tags={}, parameters={}), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    command = [sys.executable, "-c", program, store.uri, str(store.artifacts.parent)]
    dead = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert dead.returncode == -signal.SIGKILL
    theirs = dead.stdout.strip()
    assert theirs, dead.stderr
    assert "alembic" not in dead.stderr

    assert store.reconcile("killed") == [theirs]
    status = {run["id"]: run["status"] for run in store.runs("killed")}
    assert status == {mine: "RUNNING", theirs: "KILLED"}
    assert store.reconcile("killed") == []


def test_experiments_come_into_being_once(store):
    """Two clients that start a first run at the same moment share the experiment."""
    other = runs.connect(store.uri, store.artifacts.parent)
    started(store, "shared")
    started(other, "shared")
    assert len(store.runs("shared")) == 2


def test_unwritable_home_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(runs.StoreError, match="cannot be stored") as error:
        runs.connect(None, tmp_path / "file" / "results")
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)


def test_file_that_is_no_database_is_one_line(tmp_path):
    (tmp_path / "mlflow.db").write_text("not a database, but long enough to be looked at " * 50)
    with pytest.raises(runs.StoreError, match="cannot be opened") as error:
        runs.connect(None, tmp_path)
    assert "\n" not in str(error.value)


def test_address_without_a_scheme_is_refused(tmp_path):
    with pytest.raises(runs.StoreError, match="must be like"):
        runs.connect("localhost:5000", tmp_path)


def test_absent_server_is_told_quickly(tmp_path, monkeypatch):
    """At the first refusal: MLflow's client would wait between five tries."""
    address, slept = f"http://127.0.0.1:{free_port()}", []
    monkeypatch.setattr(time, "sleep", slept.append)
    with pytest.raises(runs.StoreError, match="does not answer") as error:
        runs.connect(address, tmp_path)
    assert not slept
    assert address in str(error.value)
    assert not (tmp_path / "artifacts").exists()


def test_lost_run_is_a_store_error(store):
    with pytest.raises(runs.StoreError, match="end a run"):
        store.finish("0" * 32, "FINISHED")


def test_location_opens_nothing(tmp_path, monkeypatch):
    assert runs.location(None, tmp_path / "home") == f"sqlite:///{tmp_path}/home/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://there:1")
    assert runs.location(None, tmp_path / "home") == "http://there:1"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:secret@there/db")
    assert runs.location(None, tmp_path / "home") == "postgresql://me:***@there/db"
    assert not (tmp_path / "home").exists()


def test_server_serves_what_was_stored_and_takes_more(store, tmp_path):
    run = started(store, "over http", tags={"by": "file"})
    store.finish(run, "FINISHED")
    port = free_port()
    home = {"HEPBENCH_HOME": str(store.artifacts.parent.parent)}
    with (
        (tmp_path / "server.log").open("w") as log,
        subprocess.Popen(
            [*COMMAND, "ui", "--port", str(port)], cwd=ROOT, env=os.environ | home, stdout=log, stderr=log,
            start_new_session=True,
        ) as server,
    ):  # fmt: skip
        try:
            address = f"http://127.0.0.1:{port}"
            wait_for(f"{address}/health", server, tmp_path / "server.log")
            remote = runs.connect(address, tmp_path / "nothing")
            second = started(remote, "only over http", parameters={"x": 1})
            remote.log(second, {"loss": 0.25}, 1)
            files = tmp_path / "files"
            files.mkdir()
            (files / "a.txt").write_text("α")
            remote.upload(second, files)
            remote.finish(second, "KILLED", "interrupted")
            assert [r["tags"]["by"] for r in remote.runs("over http")] == ["file"]
            assert remote.download(second, "a.txt", tmp_path / "new").read_text() == "α"
            with pytest.raises(runs.StoreError, match="UI of its own"):
                remote.ui_command()
            assert "kept by the server" in remote.describe()
        finally:
            os.killpg(server.pid, signal.SIGTERM)
    (found,) = store.runs("only over http")
    assert (found["status"], found["metrics"], found["tags"]["failure"]) == ("KILLED", {"loss": 0.25}, "interrupted")


def wait_for(address: str, server: subprocess.Popen, log: Path) -> None:
    def answers() -> bool:
        assert server.poll() is None, log.read_text()
        with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=60):
            return True
        return False

    with_patience(answers)


# --- hardware --------------------------------------------------------------------------------------------------------


def test_machine_is_described():
    found = machine.describe_machine()
    assert found["cpu"] and found["os"] and found["hostname"]
    assert 0 < found["cores_usable"] <= found["cores"]["logical"]
    assert found["memory_gib"] > 0.1
    assert json.loads(json.dumps(found)) == found


def test_short_block_has_two_samples_and_its_use():
    points = []
    with Sampler(interval=1000, sink=lambda values, step: points.append((step, values))) as sampler:
        with_patience(lambda: points)  # of a busy machine, whose first sample could come last
        end = time.process_time() + 0.2
        while time.process_time() < end:
            math.sqrt(2)
    assert [step for step, _ in points] == [0, 1]
    assert points[1][1]["system/cpu_utilization_percentage"] > 0
    summary = sampler.summary()
    assert 0 < summary["hardware_cpu_mean_percent"] <= 110
    assert summary["hardware_memory_peak_mib"] > 5
    sampler.unavailable.pop("cpu energy", None)  # which few machines let be read
    assert sampler.unavailable == {"gpu": "no NVIDIA GPU in use"}
    assert not any("gpu" in name for name in summary)


def test_children_are_counted():
    """Half a second of a child's processor time, however long it takes to be given that."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as child:
        try:
            burnt = psutil.Process(child.pid).cpu_times
            before, start, begun = time.process_time(), time.perf_counter(), burnt().user
            with Sampler(interval=0.1) as sampler:
                with_patience(lambda: burnt().user > begun + 0.5)
            own, seconds = time.process_time() - before, time.perf_counter() - start
        finally:
            child.kill()
    counted = sampler.summary()["hardware_cpu_mean_percent"] / 100 * machine.cores_usable() * seconds
    assert counted > own + 0.3


def test_failing_sink_ends_nothing_and_is_told():
    steps = []

    def broken(values, step):
        steps.append(step)
        raise OSError("server gone")

    with Sampler(interval=0.05, sink=broken) as sampler:
        with_patience(lambda: len(steps) > 3)
    assert "server gone" in sampler.unavailable["log"]
    assert sampler.summary()["hardware_memory_peak_mib"] > 0


def test_fault_in_the_block_passes_through():
    with pytest.raises(ValueError, match="mine"), Sampler():
        raise ValueError("mine")


class FakeNVML:
    """Two GPUs; the second counts its energy, the first does not."""

    class NVMLError(Exception):
        pass

    def __init__(self):
        self.readings = 0

    def nvmlInit(self): ...

    def nvmlShutdown(self): ...

    def nvmlSystemGetDriverVersion(self):
        return "580.1"

    def nvmlDeviceGetCount(self):
        return 2

    def nvmlDeviceGetHandleByIndex(self, index):
        return index

    def nvmlDeviceGetHandleByUUID(self, uuid):
        return int(uuid.removeprefix("GPU-"))

    def nvmlDeviceGetMigMode(self, handle):
        raise self.NVMLError("Not Supported")

    def nvmlDeviceGetName(self, handle):
        return f"H{handle}"

    def nvmlDeviceGetUUID(self, handle):
        return f"GPU-{handle}"

    def nvmlDeviceGetMemoryInfo(self, handle):
        return types.SimpleNamespace(total=80 * 2**30, used=2**30)

    def nvmlDeviceGetComputeRunningProcesses(self, handle):
        return [types.SimpleNamespace(pid=1)]

    def nvmlDeviceGetUtilizationRates(self, handle):
        if handle == 0:
            raise self.NVMLError("Not Supported")
        return types.SimpleNamespace(gpu=40)

    def nvmlDeviceGetPowerUsage(self, handle):
        return 100_000

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):
        if handle == 0:
            raise self.NVMLError("Not Supported")
        self.readings += 1
        return 400_000 * self.readings


@pytest.mark.parametrize("index", [0, 1])
def test_gpu_in_use_is_sampled_and_no_other(index, monkeypatch):
    real = pytest.importorskip("pynvml")
    assert all(hasattr(real, name) for name in dir(FakeNVML) if name.startswith("nvml"))
    monkeypatch.setitem(sys.modules, "pynvml", FakeNVML())
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", str(index))
    (gpu,) = machine.gpus()
    assert gpu == {"index": index, "name": f"H{index}", "memory_gib": 80.0, "driver": "580.1", "uuid": f"GPU-{index}"}
    assert len(machine.gpus(hidden=True)) == 2
    steps, start = [], time.perf_counter()
    with Sampler(interval=0.1, gpu=0, sink=lambda values, step: steps.append(step)) as sampler:
        with_patience(lambda: len(steps) > 3)
    seconds, summary = time.perf_counter() - start, sampler.summary()
    assert summary["hardware_gpu_memory_peak_mib"] == 1024
    assert summary["hardware_gpu_power_mean_watt"] == 100
    sampler.unavailable.pop("cpu energy", None)  # which few machines let be read
    if index == 1:
        assert summary["hardware_gpu_mean_percent"] == 40
        assert summary["hardware_gpu_energy_joule"] == 400  # by the counter
        assert sampler.unavailable == {}
    else:
        assert "hardware_gpu_mean_percent" not in summary
        assert 20 < summary["hardware_gpu_energy_joule"] < 100 * seconds  # by power and time, 100 W
        assert sampler.unavailable == {"gpu_0_utilization_percentage": "Not Supported"}


def test_gpu_that_is_not_there_is_told(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert machine.gpus() == []
    with Sampler(gpu=0) as sampler:
        pass
    assert sampler.unavailable["gpu"] in ("no NVIDIA driver", "no visible GPU 0")


def test_quota_and_memory_limit_of_a_container_hold(tmp_path, monkeypatch):
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    (tmp_path / "memory.max").write_text(f"{2**29}\n")
    monkeypatch.setattr(machine, "_cgroups", lambda: [tmp_path, tmp_path / "absent"])
    assert machine.cores_usable() == 0.5
    assert machine.describe_machine()["memory_gib"] == 0.5
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert machine.cores_usable() >= 1


# --- statistics ------------------------------------------------------------------------------------------------------


def test_seeds_share_the_test_set():
    found = statistics.combine([0.80, 0.82, 0.84, 0.82], [0.01, 0.01, 0.02, 0.02])
    assert found.mean == pytest.approx(0.82)
    assert found.spread == pytest.approx(np.std([0.80, 0.82, 0.84, 0.82], ddof=1))
    assert found.error == pytest.approx(math.hypot(0.015, stats.t.ppf(stats.norm.cdf(1), 3) * found.spread / 2))
    low, high = found.interval()
    assert high - 0.82 == pytest.approx(math.hypot(1.96 * 0.015, stats.t.ppf(0.975, 3) * found.spread / 2), rel=1e-4)
    assert high - 0.82 == pytest.approx(0.82 - low)


def test_one_seed_has_no_spread():
    found = statistics.combine([0.8], [0.01])
    assert (found.mean, found.error) == (0.8, pytest.approx(0.01))
    assert math.isnan(found.spread)
    with pytest.raises(ValueError, match="one error a value"):
        statistics.combine([], [])


def brute_auc(labels, scores) -> float:
    pairs = itertools.product(scores[labels == 1], scores[labels == 0])
    return float(np.mean([1.0 if s > b else 0.5 if s == b else 0.0 for s, b in pairs]))


def trained(labels, *scores):
    scored = [Scored(labels, np.stack([-np.logaddexp(0, x), -np.logaddexp(0, -x)], axis=1)) for x in scores]
    auc = METRICS["auc"]
    return statistics.trainings([auc.of(one, 1)[0] for one in scored], [auc.influences(one, 1) for one in scored])


def test_paired_delong_is_the_sum_over_all_pairs():
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 60)
    a = np.round(labels + random.normal(size=60), 1)  # rounded: some scores are equal
    b = np.round(a + random.normal(size=60), 1)
    found = statistics.paired(trained(labels, a), trained(labels, b))
    assert found.value == pytest.approx(brute_auc(labels, a) - brute_auc(labels, b))

    def placements(scores):
        above = (scores[labels == 1][:, None] > scores[labels == 0]) + 0.5 * (
            scores[labels == 1][:, None] == scores[labels == 0]
        )
        return above.mean(axis=1), above.mean(axis=0)

    parts = [placements(a)[side] - placements(b)[side] for side in (0, 1)]
    assert found.error == pytest.approx(math.sqrt(sum(part.var(ddof=1) / len(part) for part in parts)))
    assert found.p == pytest.approx(math.erfc(abs(found.value / found.error) / math.sqrt(2)))


def test_paired_delong_covers():
    """Two equally good taggers differ at the 5 % level in 5 % of experiments."""
    random = np.random.default_rng(1)
    labels = np.repeat([0, 1], 300)
    truth = labels + random.normal(size=(600, 600))
    p = [
        statistics.paired(
            trained(labels, x + 0.5 * random.normal(size=600)), trained(labels, x + 0.5 * random.normal(size=600))
        ).p
        for x in truth
    ]
    assert 0.025 < np.mean(np.array(p) < 0.05) < 0.08


def test_scores_that_rank_alike_do_not_differ():
    labels = np.array([0, 0, 1, 1, 1])
    scores = np.array([0.1, 0.7, 0.6, 0.8, 0.9])
    found = statistics.paired(trained(labels, scores), trained(labels, scores**3))
    assert (found.value, found.error, found.p) == (0.0, 0.0, 1.0)
    assert math.isnan(statistics.paired(trained(labels[1:], scores[1:]), trained(labels[1:], scores[1:])).p)


def test_holm_by_hand():
    np.testing.assert_allclose(statistics.holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(statistics.holm([0.9, 0.8]), [1, 1])
    assert len(statistics.holm([])) == 0


# --- plots -----------------------------------------------------------------------------------------------------------


def roc_of(labels, scores):
    thresholds = np.append(np.inf, np.unique(scores)[::-1])
    with np.errstate(invalid="ignore"):
        passing = [(scores >= t) for t in thresholds]
        counts = [np.array([np.count_nonzero(p & (labels == c)) for p in passing]) for c in (1, 0)]
        signal_efficiency, background_efficiency = (c / np.float64(c[-1]) for c in counts)
    return {
        "threshold": thresholds,
        "signal_efficiency": signal_efficiency,
        "background_efficiency": background_efficiency,
    }


DRAWN = ("roc", "roc_tpr_fpr", "rejection", "scores", "confusion")


def assert_drawn(written, *names):
    assert {path.name for path in written} == {f"{name}.{ending}" for name in names for ending in ("png", "pdf")}
    for path in written:
        assert path.read_bytes().startswith({".png": b"\x89PNG", ".pdf": b"%PDF"}[path.suffix])
        assert path.stat().st_size > 5000


@pytest.mark.parametrize("case", ["usual", "constant", "perfect", "one class"])
def test_plots_of_two_classes(case, tmp_path):
    from matplotlib import pyplot

    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 500)
    score = {"usual": 1 / (1 + np.exp(-labels - random.normal(size=500))), "perfect": labels.astype(float)}.get(
        case, np.full(500, 0.5)
    )
    if case == "one class":
        labels[:] = 0
    history = [{"epoch": 1, "loss": 0.6, "val_loss": math.nan}, {"epoch": 2, "loss": 0.5, "val_auc": 0.8}]
    scores = np.column_stack([1 - score, score])
    names = ("pi$^0", "electron")
    curves, areas = {"electron": roc_of(labels, score)}, {"electron": (0.8, 0.01)}
    weights = {"dense$/kernel": random.normal(size=(9, 9)), "dense/bias": np.zeros(9)}
    written = plots.trial_plots(tmp_path, scores, labels, 1, names, curves, areas, METRICS, history, weights)
    assert_drawn(written, *DRAWN, "history", "weights")
    for name in ("confusion", "weights"):  # laid out for the dots of the picture, which a PDF has fewer of
        dark = pyplot.imread(tmp_path / f"{name}.png")[..., :3].min(axis=2) < 0.9
        assert np.ptp(np.flatnonzero(dark.any(axis=0))) > 0.8 * dark.shape[1]


def test_plots_of_many_classes_and_no_epochs(tmp_path):
    random = np.random.default_rng(0)
    labels = random.integers(0, 5, 500)
    scores = random.dirichlet(np.ones(5), 500)
    names = tuple("guWZt")
    curves = {name: roc_of(labels == number, scores[:, number]) for number, name in enumerate(names)}
    curves |= {"micro": curves["g"], "macro": curves["g"]}
    history = [{"epoch": epoch, "val_precision": 0.5, "val_false_positives": 30} for epoch in (1, 2)]
    written = plots.trial_plots(tmp_path, scores, labels, 4, names, curves, {"g": (math.nan, math.nan)}, METRICS)
    assert_drawn(written, *DRAWN)
    written = plots.trial_plots(tmp_path, scores, labels, 4, names, curves, {}, METRICS, history)
    assert_drawn(written, *DRAWN, "history_decisions")


@pytest.mark.parametrize(("low", "scale"), [(0.0, "log"), (-1.0, "linear")])
def test_pictures_of_a_channel_have_a_scale_of_their_own(low, scale):
    images = np.random.default_rng(0).uniform(low, 1.0, (4, 8, 8))
    images[:, 0] = 0
    drawing = plots.draw_images(images, ["a", "b", "$c$", "d"], 2)
    *pictures, bar = drawing.axes
    assert len(pictures) == 4 and bar.get_yscale() == scale
    norm = pictures[0].images[0].norm
    assert all(picture.images[0].norm is norm for picture in pictures)
    assert (norm.vmin == -norm.vmax) == (low < 0)
    assert np.ma.getmaskarray(pictures[0].images[0].get_array())[:, 0].all()  # white is no hit
    plots.draw_images(np.zeros((2, 8, 8)), ["empty", "too"], 3)


# --- leaderboard -----------------------------------------------------------------------------------------------------


def ranked(listed, **options):
    return ranking.rows(listed, METRICS, "auc", **options)


def board_of(rows, **options):
    return Leaderboard(rows, METRICS, ("auc", "accuracy", "rejection_50"), 0.5, **options)


def a_run(number, model="mlp", seed=0, auc=0.8, version="", **changes):
    """A finished run as `Store.runs` gives it; changes: of its tags, or status, metrics, parameters."""
    configuration = f"{model}{version}"
    own = {name: changes.pop(name) for name in ("status", "metrics", "parameters") if name in changes}
    tags = {"stage": "final", "task": "magic", "data": "official", "data_digest": "d1", "split_hash": "s1"}
    tags |= {"budget": "quick", "model": model, "seed": str(seed), "configuration": configuration, "device": "cpu"}
    tags |= {"identity": f"{configuration}/{seed}/{sorted(changes.items())}", "backend": "jax", "hardware": "EPYC x2"}
    metrics = {"test_auc": auc, "test_auc_error": 0.01, "test_accuracy": 0.7, "test_accuracy_error": 0.02}
    metrics |= {"train_seconds": 2.0, "predict_seconds": 0.3, "predict_us_per_event": 100.0, "parameters": 1000}
    metrics["test_events"] = 3000
    run = {"id": f"r{number}", "name": model, "status": "FINISHED", "start": number, "end": number + 1.0}
    return run | {"parameters": {"rate": "0.1"}} | {"tags": tags | changes, "metrics": metrics} | own


def test_plots_wait_for_an_import_in_another_thread():
    """A worker's thread imports Keras, and with it pyplot, while its first trial may draw already."""
    script = """
import importlib.abc, sys, threading, time
import matplotlib
from hepbench.tracking import plots


class Slow(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.startswith("matplotlib."):
            time.sleep(0.02)


sys.meta_path.insert(0, Slow())
threading.Thread(target=__import__, args=["matplotlib.pyplot"]).start()
while "matplotlib.pyplot" not in sys.modules:
    time.sleep(0.001)
with plots.style():
    assert matplotlib.get_backend().lower() == "agg"
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=900)


def test_seeds_become_one_row():
    (row,) = ranked([a_run(1, seed=1, auc=0.82), a_run(2, seed=0, auc=0.80)], titles={"mlp": "dense"})
    assert (row["rank"], row["model"], row["title"], row["seeds"], row["seed_list"]) == (1, "mlp", "dense", 2, [0, 1])
    assert row["run_ids"] == ["r2", "r1"]
    assert row["auc"] == pytest.approx(0.81)
    assert row["auc_error"] == statistics.combine([0.80, 0.82], [0.01, 0.01]).error
    assert 0 < row["auc_low"] < row["auc"] - 2 * row["auc_error"] and row["auc"] < row["auc_high"] < 1
    assert (row["parameters"], row["train_seconds"], row["events"]) == (1000, 2.0, 3000)
    assert row["rejection_50"] is None


def test_what_cannot_be_compared_is_ranked_apart():
    apart = [{}, {"data": "simulated"}, {"data_digest": "d2"}, {"split_hash": "s2"}, {"budget": "full"}]
    listed = [
        a_run(2 * i + j, model, auc=auc, **changes)
        for i, changes in enumerate(apart)
        for j, (model, auc) in enumerate([("mlp", 0.7), ("gnn", 0.9)])
    ]
    rows = ranked(listed)
    tables = list(ranking.groups(rows))
    assert len(tables) == len(apart)
    for table in tables:
        assert [(row["rank"], row["model"]) for row in table] == [(1, "gnn"), (2, "mlp")]
    kinds = [table[0]["data"] for table in tables]
    assert kinds == sorted(kinds)  # official first


def test_latest_of_a_repeated_trial_counts():
    (row,) = ranked([a_run(5, auc=0.9), a_run(3, auc=0.7)])
    assert (row["auc"], row["seeds"], row["run_ids"]) == (0.9, 1, ["r5"])


def test_changed_code_replaces_and_other_parameters_do_not():
    older = [a_run(1, auc=0.9), a_run(2, seed=1, auc=0.9)]
    newer = a_run(3, auc=0.6, version="changed")
    other = a_run(4, auc=0.5, version="wide", parameters={"rate": "0.9"})
    rows = ranked([*older, newer, other])
    assert [row["auc"] for row in rows] == [0.6, 0.5]


def test_only_final_runs_that_finished_count():
    assert ranked([a_run(1, status="FAILED"), a_run(2, status="RUNNING"), a_run(3, stage="tune")]) == []


def test_tied_with_the_first():
    rows = ranked([a_run(1, "a", auc=0.90), a_run(2, "b", auc=0.88), a_run(3, "c", auc=0.80)])
    assert [row["tied"] for row in rows] == [False, True, False]
    assert [row["tied_by"] for row in rows] == ["", "errors", "errors"]


def test_lower_is_better_and_not_measured_is_last():
    listed = [
        a_run(i, model, metrics={"test_log_loss": loss, "test_log_loss_error": 0.01} if loss else {})
        for i, (model, loss) in enumerate([("a", None), ("b", 0.5), ("c", 0.4)])
    ]
    rows = ranking.rows(listed, METRICS, "log_loss")
    assert [(row["rank"], row["model"]) for row in rows] == [(1, "c"), (2, "b"), (3, "a")]


def with_limits():
    """Runs whose rejection is measured, has a limit, or neither."""
    listed = [a_run(n, name, auc=0.9 - n / 100) for n, name in enumerate(("poor", "good", "perfect", "nothing"))]
    for run, (value, latency) in zip(listed, ((40.0, 1.0), (65.0, 2.0), (None, 3.0), (None, 0.0)), strict=True):
        run["metrics"] |= {"latency_ms": latency, "parameters": 1000 * latency}
        if value:
            run["metrics"] |= {"test_rejection_50": value, "test_rejection_50_error": 4.0}
    listed[2]["metrics"]["test_rejection_50_limit"] = 70.6
    return listed


def test_a_limit_ranks_before_the_values_that_it_exceeds():
    rows = ranking.rows(with_limits(), METRICS, "rejection_50")
    assert [(row["model"], row["tied"]) for row in rows] == [
        ("perfect", False), ("good", True), ("poor", False), ("nothing", False),
    ]  # fmt: skip
    above = a_run(9, "best")
    above["metrics"] |= {"test_rejection_50": 80.0, "test_rejection_50_error": 1.0}
    rows = ranking.rows([*with_limits(), above], METRICS, "rejection_50")
    assert [(row["model"], row["tied"]) for row in rows][:3] == [("best", False), ("perfect", True), ("good", False)]


def test_a_limit_has_its_place_in_every_order():
    board = board_of(ranked(with_limits()))
    assert [row["model"] for row in select(board, Selection(sort="rejection_50")).rows][:2] == ["perfect", "good"]
    ordered = ranking.rows(with_limits(), METRICS, "rejection_50")
    first = dataclasses.replace(board, shown=("rejection_50",), rows=ordered)
    assert side_by_side(first, ["magic"], {})[0].lines[0] == ("perfect", [Cell("> 70.6", best=True)])
    shown = page.render(first)
    data = json.loads(shown.partition("id=data>")[2].partition("</script>")[0])
    assert data["ranks"]["rejection_50"] == {"r2": [1, False], "r1": [2, True], "r0": [3, False], "r3": [4, False]}
    assert 'data-value="70.6"' in shown  # by which a heading sorts
    assert text.render(first).index("> 70.6") < text.render(first).index("65.0")


def test_an_interval_ends_where_the_metric_does():
    metrics = {f"test_{name}": 0.002 for name in ("ece", "brier", "log_loss", "false_positives")}
    metrics |= {f"{name}_error": 0.01 for name in metrics}
    (row,) = ranked([a_run(1, metrics=metrics)])
    for name in ("ece", "brier", "log_loss", "false_positives"):
        assert row[f"{name}_low"] == 0 and row[f"{name}_high"] > 0.02
    assert row["auc_low"] is None


def test_metric_that_one_seed_could_not_measure_is_not_measured():
    metrics = {"test_rejection_50": 30.0, "test_rejection_50_error": 2.0}
    (row,) = ranked([a_run(1, seed=0, metrics=metrics), a_run(2, seed=1, metrics={})])
    assert row["rejection_50"] is None


def test_times_of_a_second_machine_stand_beside_those_of_the_first():
    here = [a_run(n, seed=n, identity=f"i{n}") for n in (0, 1)]
    again = [
        a_run(5 + n, seed=n, identity=f"i{n}", hardware="Xeon x8", metrics={**here[n]["metrics"], "train_seconds": 1})
        for n in (0, 1)
    ]
    rows = ranked(here + again)
    assert [(row["hardware"], row["seeds"], row["train_seconds"]) for row in rows] == [
        ("EPYC x2", 2, 2.0),
        ("Xeon x8", 2, 1.0),
    ]
    assert len({ranking.id_of(row) for row in rows}) == 2
    newer = [a_run(9, seed=0, identity="new", configuration="mlp2", hardware="Xeon x8")]
    assert sorted((row["hardware"], row["run_ids"]) for row in ranked(here + again + newer)) == [
        ("EPYC x2", ["r0", "r1"]),
        ("Xeon x8", ["r9"]),
    ]


def test_the_latest_submission_and_ensemble_count_whatever_machine_they_name():
    submitted = {"model": "mine", "identity": "s", "origin": "submitted", "device": "", "backend": ""}
    listed = [
        a_run(1, auc=0.99, hardware="", **submitted),
        a_run(2, auc=0.80, hardware="the submitter's machine", **submitted),
        a_run(3, "ensemble", identity="e0", weights="{}", auc=0.7),
        a_run(4, "ensemble", identity="e0", weights="{}", auc=0.6, hardware="H100", device="gpu", backend="tensorflow"),
        a_run(5, "ensemble", seed=1, identity="e1", weights="{}", auc=0.6),
    ]
    assert [(row["model"], row["run_ids"]) for row in ranked(listed)] == [("mine", ["r2"]), ("ensemble", ["r4", "r5"])]
    later = [run | {"tags": run["tags"] | {"configuration": "changed"}} for run in listed[:2]]
    later[1]["tags"]["hardware"], later[1]["start"] = "", 9
    assert [row["run_ids"] for row in ranked([listed[1], later[1]])] == [["r2"]]
    of_seeds = [
        a_run(n, "ensemble", version=backend, weights="{}", set="of 2 seeds of mlp", backend=backend)
        for n, backend in enumerate(("jax", "tensorflow"))
    ]
    assert len(ranked(of_seeds)) == 2


def test_what_is_no_network_shares_the_letter_of_the_networks_on_its_machine():
    """It has no backend, and its times compare with theirs."""
    tree, torch = a_run(1, "gbdt", auc=0.9, backend=""), a_run(3, "tagger", auc=0.7, backend="torch")
    lines = hardware_lines(ranked([tree, a_run(2, "mlp")]))
    assert lines == hardware_lines(ranked([a_run(2, "mlp")])) == ["times on EPYC x2, cpu, jax"]
    assert hardware_lines(ranked([tree])) == ["times on EPYC x2, cpu"]
    far = a_run(4, "prior", auc=0.5, backend="", hardware="Xeon x8")
    assert hardware_lines(ranked([tree, a_run(2, "mlp"), torch, far]))[:3] == [
        "times [a] on EPYC x2, cpu, jax",
        "times [b] on EPYC x2, cpu, torch",
        "times [c] on Xeon x8, cpu",
    ]


def test_times_of_a_busy_machine_are_marked():
    def load(cpu, gpu=None):
        measured = {
            "test_auc": 0.8,
            "test_auc_error": 0.01,
            "train_seconds": 147.0,
            "hardware_other_cpu_mean_percent": cpu,
        }
        return {"metrics": measured if gpu is None else measured | {"hardware_other_gpu_processes": gpu}}

    rows = ranked(
        [
            a_run(1, "calm", **load(ranking.BUSY_PERCENT)),
            a_run(2, "busy", **load(2.0)),
            a_run(3, "busy", seed=1, **load(ranking.BUSY_PERCENT + 1)),
            a_run(4, "shared", **load(0.0, gpu=1.0)),
            a_run(5, "unknown"),
        ]
    )
    assert {row["model"]: row["busy"] for row in rows} == dict(calm=False, busy=True, shared=True, unknown=None)
    shown = text.render(board_of(rows))
    assert "147*" in shown and "on a busy machine" in shown.replace("\n", " ")
    assert "on a busy machine" not in text.render(board_of([row for row in rows if not row["busy"]]))
    (busy,) = [row for row in json.loads(text.render(board_of(rows), "json")) if row["model"] == "busy"]
    assert busy["busy"] is True and busy["hardware_other_cpu_mean_percent"] == ranking.BUSY_PERCENT + 1
    assert "busy" in text.render(board_of(rows), "csv").splitlines()[0].split(",")


def test_times_of_different_machines_are_not_averaged():
    listed = [a_run(1, seed=0), a_run(2, seed=1)]
    listed[1]["tags"]["hardware"] = "H100"
    (row,) = ranked(listed)
    assert (row["train_seconds"], row["hardware"]) == (None, "EPYC x2; H100")


REFERENCES = [
    {"model": "forest", "metrics": {"auc": 0.93}, "trained_on": "all", "source": "https://x.org/z", "verified": True}
]
NOTES = ["skipped cnn: needs image inputs; the task has table"]


@pytest.fixture
def two_tables():
    listed = [a_run(1, "mlp", auc=0.90), a_run(2, "<b>[red]", auc=0.895), a_run(3, "prior", auc=0.5, data="simulated")]
    return ranked(listed)


def test_json_is_strict(two_tables):
    read = text.render(board_of(two_tables, title="Magic", notes=NOTES, references=REFERENCES), "json")
    read = json.loads(read, parse_constant=lambda word: pytest.fail(word))
    assert [row["rank"] for row in read] == [1, 2, 1]
    assert read[0]["auc_spread"] is None


def test_csv_has_a_line_a_row(two_tables):
    lines = list(csv.DictReader(io.StringIO(text.render(board_of(two_tables), "csv"))))
    assert [line["model"] for line in lines] == ["mlp", "<b>[red]", "prior"]
    assert float(lines[0]["auc"]) == 0.9
    assert lines[0]["rejection_50"] == ""


@pytest.mark.parametrize("form", ["table", "markdown"])
@pytest.mark.parametrize("width", [80, 120])
def test_text_shows_what_matters(two_tables, form, width):
    board = board_of(two_tables, title="Magic", notes=NOTES, references=REFERENCES)
    shown = text.render(board, form, width=width)
    odd = "<b>[red]" if form == "table" else "&lt;b>[red]"  # which Markdown shows as the same
    for part in ("Magic", "0.9000 ± 0.0100", "=2", odd, "EPYC x2", "3,000 test events", "AUC 0.93", REPORTED):
        assert part in shown
    assert NOTES[0] in shown
    assert "\x1b" not in shown
    if form == "table":
        assert max(map(len, shown.splitlines())) <= width


def test_a_long_setting_is_broken_after_its_name(two_tables):
    row = {**two_tables[0], "model": "particlenet_lite", "set": "features=kinematic width=16"}
    narrow = [line.strip() for line in text.render(board_of([row]), width=80).splitlines()]
    assert narrow[narrow.index("features=") + 1] == "kinematic width=16"
    assert "particlenet_lite features=kinematic width=16" in text.render(board_of([row]), width=160)


def test_text_of_nothing():
    assert "no finished result" in text.render(board_of([]), "table")
    assert json.loads(text.render(board_of([]), "json")) == []
    with pytest.raises(ValueError, match="format must be one of"):
        text.render(board_of([]), "yaml")


def test_page_needs_nothing_else(two_tables):
    shown = page.render(board_of(two_tables, title="Magic & more", notes=NOTES, references=REFERENCES))
    assert "Magic &amp; more" in shown
    assert "&lt;b&gt;[red]" in shown
    assert "<b>[red]" not in shown
    assert '<a href="https://x.org/z" rel=noopener>forest</a>' in shown
    for loading in ("<link", "src=", "@import", "url(http"):
        assert loading not in shown


def test_page_of_nothing():
    assert "No finished result" in page.render(board_of([]))


def test_bars_begin_at_chance_and_only_where_it_is_known(two_tables):
    shown = page.render(board_of(two_tables))
    assert [float(part.split("%")[0]) for part in shown.split("--share:")[1:]] == [100, 98.8, 0]
    assert "--share:" not in page.render(Leaderboard(two_tables, METRICS, ("auc",)))


def test_chosen_columns_stand_in_place_of_the_usual_ones():
    metrics = {"test_auc": 0.9, "test_auc_error": 0.01, "test_precision": 0.81, "test_precision_error": 0.02}
    metrics |= {"test_false_positives": 1234.0, "test_false_positives_error": 30.0, "hardware_cpu_mean_percent": 87.6}
    names = ("precision", "false_positives", "hardware_cpu_mean_percent", "hardware_gpu_mean_percent")
    board = dataclasses.replace(board_of(ranked([a_run(1, metrics=metrics)])), columns=names)
    head, _, line = text.render(board, "markdown").splitlines()[2:5]
    assert head == "| # | model | AUC | precision | false positives | CPU % | GPU % | seeds |"
    assert line == "| 1 | mlp | 0.9000 ± 0.0100 | 0.8100 ± 0.0200 | 1,234 ± 30 | 87.6 | – | 1 |"
    narrow = text.render(board, width=50)
    assert max(map(len, narrow.splitlines())) <= 50
    assert all(cell in narrow for cell in ("0.8100 ± 0.0200", "1,234 ± 30", "87.6"))
    assert narrow.count("mlp") == 2  # two tables below each other
    assert json.loads(text.render(board, "json"))[0]["hardware_cpu_mean_percent"] == 87.6


def test_page_has_all_that_was_measured(two_tables):
    shown = page.render(board_of(two_tables))
    named = re.findall(r'<th scope=col class="c\d+[^"]*" data-name="(.*?)"', shown)
    assert named[:3] == ["rank", "model", "auc"] and {"train_seconds", "seeds", "parameters"} <= set(named)
    assert "0.7000 ± 0.0200" in shown


def test_page_of_several_classes_shows_each_against_the_rest():
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 300)
    names = ("hot & cold", "<i>", "c")
    scores = random.dirichlet(np.ones(3), 300)
    values = evaluate(labels, scores, 1, names)
    metrics = {f"test_{name}": value for name, value in values.items() if math.isfinite(value)}
    run = a_run(1, "mlp", metrics={**metrics, "train_seconds": 1.0})
    records = metrics_of(names)
    board = Leaderboard(ranking.rows([run], records, "auc"), records, ("auc", "accuracy"))
    keys = dict(zip(names, class_keys(names), strict=True))
    shown = page.render(board, signal="<i>", background="the rest", classes=keys, library="vega")
    assert_shown_as_text(shown, "<i>")
    assert set(re.findall('data-plot="(.*?)"', shown)) >= {"rejection", "roc", "interval", "confusion"}
    for name in ("micro", "macro", f"{values['auc_c']:.4f} ± {values['auc_c_error']:.4f}"):
        assert name in shown
    assert "–" in shown  # an efficiency at a purity that cannot be reached


def test_a_board_ranks_and_shows_any_metric():
    metrics = {"test_log_loss": 0.51234, "test_log_loss_error": 0.01, "test_rejection_30": 81.26}
    listed = [a_run(1, metrics=metrics), a_run(2, "gnn", metrics={**metrics, "test_log_loss": 0.4})]
    rows = ranking.rows(listed, METRICS, "log_loss")
    board = Leaderboard(rows, METRICS, ("log_loss", "rejection_30"), math.log(2))
    head, _, first, second = text.render(board, "markdown").splitlines()[2:6]
    assert "| log-loss | 1/ε_B at 30 % |" in head
    assert "| gnn | 0.4000 ± 0.0100 | 81.3 |" in first
    assert "| mlp | 0.5123 ± 0.0100 | 81.3 |" in second
    shares = [float(part.split("%")[0]) for part in page.render(board).split("--share:")[1:]]
    assert shares[0] == 100
    assert 0 < shares[1] < 100


# --- pages: whatever has a name may have any -------------------------------------------------------------------------

ODD = "we$^$ird<script>"
TITLE = "leptons &<b> jets"


def assert_shown_as_text(shown, *names):
    for name in names:
        assert html.escape(name) in shown
        assert name not in shown


def drawings_in(shown) -> str:
    return "".join(re.findall(r"<svg.*?</svg>", shown, flags=re.DOTALL))


def test_leaderboard_page_shows_odd_names_as_text():
    rows = ranked([a_run(1, ODD, set=f"width={ODD}", hardware=ODD), a_run(2, ODD, auc=0.7, task=ODD)])
    reference = {"model": ODD, "metrics": {ODD: 1}, "trained_on": ODD, "source": TITLE, "verified": True}
    board = board_of(rows, title=TITLE, references=[reference], notes=[ODD])
    shown = page.render(board, signal=ODD, background=TITLE, about=[ODD], library="vega")
    assert_shown_as_text(shown, ODD, TITLE)


def test_study_page_shows_odd_names_as_text(tmp_path):
    import optuna

    from hepbench.suite.tuning import report

    study = optuna.create_study(study_name=f"magic-{ODD}")
    study.optimize(lambda trial: trial.suggest_float(f"rate {ODD}", 0, 1), n_trials=4)
    outcome = dict.fromkeys(report.OUTCOME, 0.5)
    study.set_user_attr("outcome", {**outcome, "trial": 0, "objective": ODD})
    report.write(study, {"model": ODD, "task": TITLE, "budget": "smoke", "objectives": ["auc"]}, tmp_path / "page.html")
    assert_shown_as_text((tmp_path / "page.html").read_text(), f"magic-{ODD}", TITLE, f"rate {ODD}")


TASK_OF_ODD_NAMES = f'''"""{TITLE}"""
import numpy as np
from pathlib import Path
from hepbench.benchmarks.base import Check, Comparison, Events, Reference, Source, Task

def read(paths):
    random = np.random.default_rng(0)
    yield Events({{"x": random.random((90, 4), np.float32)}}, np.arange(90) % 2, np.arange(90))

def validate(arrays, labels):
    share = np.full(3, 1 / 3)
    return [
        Check("{ODD}", 1.0, 1.0, 0.1, "{ODD}"), Comparison("{ODD}", np.arange(4.0), share, share, share / 9, "{ODD}")
    ]

TASK = Task(
    title="{TITLE}",
    classes=("{ODD}", "{TITLE}"),
    read=read,
    views={{
        "table": lambda arrays: {{"table": arrays["x"]}},
        "image": lambda arrays: {{"image": arrays["x"].reshape(-1, 2, 2, 1)}},
    }},
    variables=("{ODD}", "{TITLE}", "[/bold]", "[red]"),
    locate=lambda: [Path(__file__)],
    validate=validate,
    references=(Reference("{ODD}", {{"auc": 0.9}}, "{TITLE}", "{ODD}", True),),
    licence="{ODD} https://example.org/a_(b)?c=d&e",
)
'''


@pytest.fixture
def task_of_odd_names(tmp_path):
    path = tmp_path / "odd.py"
    path.write_text(TASK_OF_ODD_NAMES)
    return str(path)


def test_description_shows_odd_names_as_text(task_of_odd_names):
    from hepbench.suite.commands.describe import describe

    out = io.StringIO()
    shown = describe(task_of_odd_names, "auto", 90, Console(file=out, width=200)).read_text()
    assert_shown_as_text(shown, ODD, TITLE)
    assert '<a href="https://example.org/a_(b)?c=d&amp;e"' in shown
    assert html.escape(ODD) in drawings_in(shown)
    for name in (ODD, TITLE, "[/bold], [red]"):
        assert name in out.getvalue()


def test_validation_shows_odd_names_as_text(task_of_odd_names, home):
    from hepbench.suite.commands.validate import validate

    out = io.StringIO()
    validate(task_of_odd_names, "auto", 90, Console(file=out, width=200))
    (path,) = (home / "results" / "reports").iterdir()
    shown = path.read_text()
    assert_shown_as_text(shown, ODD, TITLE)
    assert drawings_in(shown).count(html.escape(ODD)) == 2
    assert ODD in out.getvalue()
    assert path.stat().st_mode & 0o444 == 0o444


def test_drawings_of_a_page_share_no_names():
    with pages.style():
        drawn = []
        for values in ([1, 2], [2, 1]):
            figure, axes = plots.figure()
            axes.plot(values, marker="o")
            drawn.append(pages.inline_svg(figure))
    names = [set(re.findall(r' id="([^"]+)"', drawing)) for drawing in drawn]
    assert names[0] and not names[0] & names[1]
    for drawing, own in zip(drawn, names, strict=True):
        assert set(re.findall(r'(?:href="|url\()#([^")]+)', drawing)) <= own
        assert pages.INK not in drawing and "currentColor" in drawing


def test_a_page_with_a_hole_is_no_page():
    with pytest.raises(jinja2.UndefinedError, match="about"):
        pages.render("study.html", title="nothing else")
