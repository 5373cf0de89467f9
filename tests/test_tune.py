"""Studies: the search, its interruptions, the test on fresh seeds, and what a user gets wrong."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import socket
import subprocess
import time
import types
import urllib.request
from collections import Counter
from pathlib import Path

import dask
import numpy as np
import psutil
import pytest
from conftest import COMMAND, ROOT, assert_user_mistake, console_script, free_port, hepbench, with_patience
from faults import warm

import hepbench as public
from hepbench.benchmarks.base import UserError
from hepbench.suite import paths
from hepbench.suite.trial import worker
from hepbench.suite.tuning import search, storage
from hepbench.suite.tuning.study_spec import count_of, seconds_of
from hepbench.suite.workers import place, pool
from hepbench.suite.workers.batch_system import BatchSystem
from hepbench.suite.workers.place import check_jobs
from hepbench.tracking import runs
from hepbench.tracking.hardware import machine
from hepbench.tracking.runs import StoreError

pytestmark = pytest.mark.apart

FAST = """
import time

import numpy as np
from hepbench.benchmarks.base import Model, UserError

class Fitted:
    trainable_parameters = 3
    def __init__(self, power): self.power = power
    def predict(self, sample):
        table = sample.take(slice(None))["table"]
        score = 1 / (1 + np.exp(self.power * table[:, 0] + table[:, 8]))
        return np.column_stack([1 - score, score]).astype(np.float32)
    def save(self, folder): (folder / "power").write_text(str(self.power))

def fit(train, valid, parameters, classes, seed, device, report):
    for epoch in range(1, parameters["epochs"] + 1):
        time.sleep(parameters["pause"])
        report(epoch, {"val_auc": 0.5 + parameters["power"] / 10 + epoch / 100})
    return Fitted(parameters["power"] + np.random.default_rng(seed).normal(0, 0.05))

def load(folder): return Fitted(float((folder / "power").read_text()))

MODEL = Model(title="a fast model", view="table", fit=fit, load=load,
    defaults={"power": 0.5, "pause": 0.0, "epochs": 2},
    space=lambda trial: {"power": trial.suggest_float("power", -1, 3)})
"""


@pytest.fixture
def fast(tmp_path) -> Path:
    """A model of one parameter that trains in no time."""
    path = tmp_path / "fast.py"
    path.write_text(FAST)
    return path


def changed(path: Path, *pairs: tuple[str, str]) -> Path:
    text = path.read_text()
    for before, after in pairs:
        assert before in text
        text = text.replace(before, after)
    path.write_text(text)
    return path


PAUSE = '        time.sleep(parameters["pause"])'


def waiting_from(fast: Path, epoch: int) -> Path:
    """Lets the fast model wait in every epoch from this one on, counted over all its trainings from 1, until there is
    a file `go on` beside it. Returns a file that grows by a byte whenever an epoch begins."""
    begun = fast.with_name("begun")
    wait = f"""
        import pathlib
        begun = pathlib.Path({str(begun)!r})
        with begun.open("a") as file:
            file.write("x")
        while begun.stat().st_size >= {epoch} and not begun.with_name("go on").exists():
            time.sleep(0.02)
{PAUSE}"""
    changed(fast, (PAUSE, wait))
    return begun


@pytest.fixture(autouse=True)
def closed(monkeypatch):
    """Databases that a test opens in this process are closed at its end."""
    connect, opened = storage.connect, []
    monkeypatch.setattr(storage, "connect", lambda *listener: opened.append(connect(*listener)) or opened[-1])
    yield
    for one in opened:
        one.engine.dispose()


def study_of(home: Path, name: str, monkeypatch):
    monkeypatch.setenv("HEPBENCH_HOME", str(home))
    return storage.named(storage.connect(), name)


def children(home: Path, name: str, task: str = "magic") -> list[dict]:
    found = runs.connect(None, home / "results").runs(task)
    return [run for run in found if run["tags"].get("study") == name and "trial" in run["tags"]]


@pytest.mark.takes(15)
def test_a_study_from_the_first_trial_to_the_test_on_fresh_seeds(home, fast, monkeypatch):
    changed(fast, ('"power": 0.5', '"power": 2.0'))
    command = ("tune", "magic", "--model", fast, "--budget", "smoke", "--trials", 12, "--seeds", 3, "--pruner", "none")
    done = hepbench(*command, home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    for words in (
        "12 complete",
        "gain",
        "optimism of the search",
        "bench it: hepbench bench magic",
        "better than the defaults",
    ):
        assert words in done.stdout, done.stdout
    name = "magic-fast-smoke"
    study = study_of(home, name, monkeypatch)
    assert storage.counted(study.trials) == dict(complete=12, pruned=0, failed=0, running=0, waiting=0)
    assert study.trials[0].params == {"power": 2.0}  # the defaults come first
    found = children(home, name)
    assert Counter(run["tags"]["state"] for run in found) == {"complete": 12}
    assert {run["status"] for run in found} == {"FINISHED"}
    for run in found:
        assert run["tags"]["stage"] == "tune" and "test_auc" not in run["metrics"]
        assert run["metrics"]["final_val_auc"] == study.trials[int(run["tags"]["trial"])].value
        assert float(run["parameters"]["power"]) == study.trials[int(run["tags"]["trial"])].params["power"]
        assert run["tags"]["hardware"]
    everything = runs.connect(None, home / "results").runs("magic")
    finals = [run for run in everything if run["tags"].get("stage") == "final"]
    assert len(finals) == 6 and all(run["tags"]["seed"] in "012" for run in finals)
    tuned = [run for run in finals if run["tags"].get("tuned")]
    assert len(tuned) == 3
    assert {float(run["parameters"]["power"]) for run in tuned} == {study.best_params["power"]}
    outcome = study.user_attrs["outcome"]
    assert outcome["gain"] == pytest.approx(
        np.mean([run["metrics"]["test_auc"] for run in tuned])
        - np.mean([run["metrics"]["test_auc"] for run in finals if not run["tags"].get("tuned")])
    )
    assert 0 < outcome["gain_error"] < 0.1
    page = (home / "results" / "reports" / f"study-{name}.html").read_text()
    assert "History" in page and "Parallel coordinates" in page and page.count("plotly") > 3

    again = console_script(*command, home=home, PYTHONPROFILEIMPORTTIME="1")
    assert again.returncode == 0, again.stderr
    assert "12 complete" in again.stdout and "trial 12" not in again.stdout and "done" not in again.stdout
    assert again.stdout.partition("12 complete")[2] == done.stdout.partition("12 complete")[2]
    assert "optuna" in again.stderr and "mlflow" not in again.stderr  # which takes seconds to import
    other_seeds = hepbench(*command[:-4], "--seeds", 2, "--pruner", "none", home=home)
    assert "2 new seeds each" in other_seeds.stdout and "epoch" not in other_seeds.stdout
    listed = hepbench("studies", home=home)
    assert name in listed.stdout and "fast" in listed.stdout
    ranked = hepbench("leaderboard", "magic", home=home)
    assert "fast tuned" in ranked.stdout
    bench = hepbench("bench", "magic", "--model", fast, "--budget", "smoke", "--seeds", 3, "--tuned", home=home)
    assert f"parameters of study {name}" in bench.stdout and "3 of 3 results already exist" in bench.stdout
    monkeypatch.setenv("HEPBENCH_HOME", str(home))
    table = public.bench("magic", fast, budget="smoke", seeds=3, tuned=True)
    assert list(table["tuned"]) == [name] and list(table["seeds"]) == [3]


def test_more_trials_of_a_finished_study_and_a_limit_of_time(home, fast, monkeypatch):
    command = ("tune", "magic", "--model", fast, "--budget", "smoke", "--seeds", 2)
    assert hepbench(*command, "--trials", 3, home=home).returncode == 0
    assert hepbench(*command, "--trials", 5, home=home).returncode == 0
    study = study_of(home, "magic-fast-smoke", monkeypatch)
    assert len(study.trials) == 5
    assert len({trial.params["power"] for trial in study.trials}) == 5  # no draw of the first call again
    begun = waiting_from(fast, 1_000)
    clock = types.SimpleNamespace(monotonic=lambda: 0.75 * begun.stat().st_size if begun.exists() else 0.0)
    monkeypatch.setattr("hepbench.suite.tuning.study.time", clock)
    monkeypatch.setattr("hepbench.suite.tuning.search.time", clock)  # an epoch takes 0.75 s, a trial has two
    done = hepbench(*command, "--trials", 50, "--timeout", "2s", "--study", "short", home=home)
    assert "timeout reached" in done.stdout
    assert len(study_of(home, "short", monkeypatch).trials) == 2


@pytest.mark.takes(10)
def test_pruning(home, fast, monkeypatch):
    """Each epoch waits until the search has answered to the one before."""
    answered, asked = fast.with_name("answered"), search._Search.is_to_be_pruned

    def answer(of, *arguments):
        found = of(*arguments)
        if not found:  # otherwise the trial is told to stop first
            with answered.open("a") as file:
                file.write("x")
        return found

    def stop_and_answer(workers, event):
        message = event.message
        workers.client.run(worker.stop, message["key"], workers=[message["worker"]])
        answer(lambda: None)

    answered.touch()
    monkeypatch.setattr(search._Search, "is_to_be_pruned", lambda *given: answer(asked, *given))
    monkeypatch.setattr(pool.Workers, "stop", stop_and_answer)
    before = f"    import pathlib; size = lambda: pathlib.Path({str(answered)!r}).stat().st_size; begun = size()\n"
    wait = "        while size() < begun + epoch - 1: time.sleep(0.001)"
    changed(fast, ('"epochs": 2', '"epochs": 8'), ("    for epoch", f"{before}    for epoch"), (PAUSE, wait))
    options = ("--pruner", "median", "--sampler", "random", "--budget", "quick", "--seeds", 2)
    done = hepbench("tune", "magic", "--model", fast, "--trials", 25, *options, home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = storage.counted(study_of(home, "magic-fast-quick", monkeypatch).trials)
    assert counts["pruned"] >= 3 and counts["complete"] >= 5
    states = Counter(run["tags"]["state"] for run in children(home, "magic-fast-quick"))
    assert states == {"pruned": counts["pruned"], "complete": counts["complete"]}


def test_a_study_whose_run_is_gone_resumes_with_a_new_one(home, fast, monkeypatch):
    command = ("tune", "magic", "--model", fast, "--budget", "smoke", "--seeds", 2)
    assert hepbench(*command, "--trials", 2, home=home).returncode == 0
    study = study_of(home, "magic-fast-smoke", monkeypatch)
    gone = study.user_attrs["run"] | {"id": "0" * 32}
    study.set_user_attr("run", gone)
    done = hepbench(*command, "--trials", 3, home=home)
    assert done.returncode == 0, done.stderr
    again = study_of(home, "magic-fast-smoke", monkeypatch)
    assert len(again.trials) == 3
    (found,) = runs.connect(None, paths.results_folder()).find(again.user_attrs["run"]["id"])
    assert found["status"] == "FINISHED" and found["tags"]["stage"] == "tune"


def test_two_objectives_give_a_front(home, fast, monkeypatch):
    counted = "property(lambda self: int(100 + 10 * abs(self.power)))"
    changed(fast, ("trainable_parameters = 3", f"trainable_parameters = {counted}"))
    both = ("--objective", "auc", "--objective", "parameters")
    done = hepbench("tune", "magic", "--model", fast, "--budget", "smoke", "--trials", 10, *both, home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Pareto front" in done.stdout
    assert "Pareto front" in (home / "results" / "reports" / "study-magic-fast-smoke.html").read_text()
    everything = runs.connect(None, home / "results").runs("magic")
    assert not any(run["tags"].get("stage") == "final" for run in everything)


def test_limits_keep_the_best_within_them(home, fast, monkeypatch):
    counted = "property(lambda self: int(100 + 10 * self.power))"
    changed(fast, ("trainable_parameters = 3", f"trainable_parameters = {counted}"))
    options = ("--budget", "smoke", "--trials", 12, "--seeds", 2, "--max-parameters", "115", "--pruner", "none")
    done = hepbench("tune", "magic", "--model", fast, *options, home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    study = study_of(home, "magic-fast-smoke", monkeypatch)
    assert any(trial.user_attrs["measured"]["parameters"] > 115 for trial in study.trials)
    assert study.best_trial.user_attrs["measured"]["parameters"] <= 115


def test_what_is_set_is_not_searched_and_a_task_narrows_a_space(home, fast, tmp_path, monkeypatch):
    changed(fast, ("3)}", '3), "epochs": trial.suggest_int("epochs", 1, 2)}'))
    options = ("--budget", "smoke", "--trials", 4, "--seeds", 2)
    done = hepbench("tune", "magic", "--model", fast, "--set", "epochs=1", *options, home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(set(trial.params) == {"power"} for trial in study_of(home, "magic-fast-smoke", monkeypatch).trials)
    assert {run["parameters"]["epochs"] for run in children(home, "magic-fast-smoke")} == {"1"}
    task = tmp_path / "narrow.py"
    task.write_text(
        "from dataclasses import replace\nfrom hepbench.benchmarks.tasks import magic\n"
        "TASK = replace(magic.TASK, spaces={'fast': lambda trial: {'power': trial.suggest_float('power', 1, 1.1)}})\n"
    )
    done = hepbench("tune", task, "--model", fast, *options, home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    powers = [trial.params["power"] for trial in study_of(home, "narrow-fast-smoke", monkeypatch).trials]
    assert all(1 <= power <= 1.1 for power in powers)


def test_a_metric_that_is_not_a_number_fails_its_trial_alone(home, fast, monkeypatch):
    # Perfect scores: no background passes at a signal efficiency of 30 %, so the rejection is not measurable.
    changed(
        fast,
        ("return np.column_stack", "score = score if self.power < 1 else 0 * score\n        return np.column_stack"),
    )
    changed(fast, ("0 * score", "np.where(sample.labels == 1, 1.0, 0.0)"))
    options = ("--budget", "quick", "--trials", 8, "--sampler", "random", "--seeds", 2, "--objective", "rejection_30")
    done = hepbench("tune", "magic", "--model", fast, *options, home=home)
    counts = storage.counted(study_of(home, "magic-fast-quick", monkeypatch).trials)
    assert counts["failed"] >= 1 and counts["complete"] >= 1 and sum(counts.values()) == 8
    assert "rejection_30 is not a number" in done.stdout
    assert done.returncode == 1


def test_failures_in_a_row_end_the_search(home, fast, monkeypatch):
    changed(fast, ("    for epoch in", '    raise RuntimeError("the loss ran away")\n    for epoch in'))
    done = hepbench("tune", "magic", "--model", fast, "--budget", "smoke", "--trials", 30, home=home)
    assert_user_mistake(done, "5 trials in a row have failed", "the loss ran away")
    assert storage.counted(study_of(home, "magic-fast-smoke", monkeypatch).trials)["failed"] == 5
    assert {run["status"] for run in runs.connect(None, home / "results").runs("magic")} == {"FAILED"}


@pytest.mark.takes(15)
def test_a_bench_on_two_workers(home, fast):
    """Each has its share of the cores, and a crash of one of them costs its own trial alone."""
    broken = fast.with_name("broken.py")
    broken.write_text(FAST)
    changed(broken, ("    for epoch in", "    import os; os._exit(3)\n    for epoch in"))
    options = ("--model", fast, "--model", broken, "--model", "logistic", "--budget", "smoke", "--jobs", 2)
    done = console_script("bench", "magic", *options, home=home)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "the trial's process died 2 times" in done.stdout
    finals = [run for run in runs.connect(None, home / "results").runs("magic") if run["tags"]["stage"] == "final"]
    states = Counter((run["tags"]["model"], run["status"]) for run in finals)
    assert states == {
        ("fast", "FINISHED"): 1,
        ("logistic", "FINISHED"): 1,
        ("broken", "KILLED"): 1,
        ("broken", "FAILED"): 1,
    }
    bound, usable = len(os.sched_getaffinity(0)), machine.cores_usable()
    cores = max(1, bound // 2) if usable == bound else usable  # under a quota each sees all of it
    assert all(run["tags"]["hardware"].endswith(f"x{cores}") for run in finals)


@pytest.mark.takes(10)
def test_the_dashboard_answers(home, fast):
    assert hepbench("tune", "magic", "--model", fast, "--budget", "smoke", "--trials", 2, home=home).returncode == 0
    port = free_port()
    with subprocess.Popen(
        [*COMMAND, "optuna-ui", "--port", str(port)], cwd=ROOT, env={**os.environ, "HEPBENCH_HOME": str(home)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as server:  # fmt: skip
        try:

            def answers() -> bool:
                address = f"http://127.0.0.1:{port}/api/studies"
                with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=60) as page:
                    return "magic-fast-smoke" in page.read().decode()
                return False

            with_patience(answers)
        finally:
            server.kill()


# --- kill ------------------------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.takes(80)
@pytest.mark.parametrize("jobs", [2])
def test_killed_at_random_moments_and_resumed(home, fast, tmp_path, monkeypatch, jobs):
    """kill -9 of the parent, or of a worker, ten times; then the study is finished and counted. Ten times six epochs
    end at most three trials each, so that there are some to kill whenever that is."""
    begun, wanted = waiting_from(changed(fast, ('"pause": 0.0', '"pause": 0.15')), 7), 40
    arguments = ["tune", "magic", "--model", str(fast), "--budget", "smoke", "--trials", str(wanted)]
    arguments += ["--jobs", str(jobs), "--seeds", "2"]
    chance = random.Random(7)
    kills = Counter()
    for number in range(10):
        begun.write_text("")
        printed = tmp_path / f"printed {number}"
        parent = warm.start(tuple(arguments), tmp_path, printed, {"HEPBENCH_HOME": str(home)})
        with_patience(
            lambda printed=printed, parent=parent: (
                (printed.is_file() and f"/{wanted} trial" in printed.read_text()) or not parent.is_alive()
            )
        )
        assert parent.is_alive(), printed.read_text()
        time.sleep(chance.uniform(0, 1.5))
        processes = [
            one for one in psutil.Process(parent.pid).children(recursive=True) if "spawn_main" in str(one.cmdline())
        ]
        if number % 2 and processes:
            chance.choice(processes).kill()
            kills["worker"] += 1
            time.sleep(chance.uniform(0, 2))
        parent.kill()
        parent.join()
        kills["parent"] += 1
        for one in processes:
            with_patience(lambda one=one: not one.is_running() or one.status() == psutil.STATUS_ZOMBIE)
    assert kills == {"parent": 10, "worker": 5}
    begun.with_name("go on").touch()
    done = console_script(*arguments, home=home)
    assert done.returncode in (0, 1), done.stdout + done.stderr  # 1: a trial that was hit twice has failed
    study = study_of(home, "magic-fast-smoke", monkeypatch)
    counts = storage.counted(study.trials)
    assert counts["running"] == counts["waiting"] == 0, counts
    assert sum(counts.values()) == wanted, counts
    everything = runs.connect(None, home / "results").runs("magic")
    assert not [run for run in everything if run["status"] == "RUNNING"]
    ended = Counter(run["tags"]["state"] for run in children(home, "magic-fast-smoke"))
    assert {state: ended[state] for state in ("complete", "pruned", "failed")} == {
        state: counts[state] for state in ("complete", "pruned", "failed")
    }
    per_trial = Counter(
        run["tags"]["trial"] for run in children(home, "magic-fast-smoke") if run["status"] == "FINISHED"
    )
    assert set(per_trial.values()) == {1}


@pytest.mark.long
@pytest.mark.takes(30)
def test_what_was_stopped_goes_on(home, fast):
    """Ctrl-Z, and later `fg`: no trial has been given up for lost. Dask's patience of 5 minutes is 1 s here."""
    begun = waiting_from(fast, 1)
    arguments = ["bench", "magic", "--model", str(fast), "--budget", "smoke", "--seeds", "1"]
    impatient = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "1s", "HEPBENCH_HOME": str(home)}
    with subprocess.Popen(
        [*COMMAND, *arguments], cwd=ROOT, env={**os.environ, **impatient},
        stdout=subprocess.PIPE, text=True, start_new_session=True,
    ) as parent:  # fmt: skip
        with_patience(begun.exists)
        os.killpg(parent.pid, signal.SIGSTOP)
        time.sleep(7)  # Dask gives a silent worker at least 5 s
        os.killpg(parent.pid, signal.SIGCONT)
        begun.with_name("go on").touch()
        printed = parent.communicate(timeout=900)[0]
    assert parent.returncode == 0, printed
    assert {run["status"] for run in runs.connect(None, home / "results").runs("magic")} == {"FINISHED"}


@pytest.mark.takes(15)
def test_an_interrupt_leaves_nothing_running(home, fast, monkeypatch):
    begun = waiting_from(fast, 3)  # the second trial
    arguments = ["tune", "magic", "--model", str(fast), "--budget", "smoke", "--trials", "20"]
    with subprocess.Popen(
        [*COMMAND, *arguments], cwd=ROOT, env={**os.environ, "HEPBENCH_HOME": str(home)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a gate in the background ignores it
    ) as parent:  # fmt: skip
        while "1/20" not in (line := parent.stdout.readline()):
            assert line, parent.stderr.read()
        with_patience(lambda: begun.stat().st_size > 2)
        os.killpg(parent.pid, signal.SIGINT)  # what Ctrl-C does
        _, complaints = parent.communicate(timeout=900)
    assert parent.returncode == 130, complaints
    assert "interrupted" in complaints and "Traceback" not in complaints
    trials = study_of(home, "magic-fast-smoke", monkeypatch).trials
    assert storage.counted(trials)["running"] == 0
    assert storage.counted(trials)["waiting"] == 1
    assert not [run for run in runs.connect(None, home / "results").runs("magic") if run["status"] == "RUNNING"]


# --- a user's mistakes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--trials", "0"], ["TRIALS must be at least 1, got 0"]),
        (["--timeout", "soon"], ["a time such as", "'soon'"]),
        (["--sampler", "tp"], ["unknown sampler 'tp'", "did you mean 'tpe'"]),
        (["--pruner", "medium"], ["unknown pruner 'medium'", "median"]),
        (["--objective", "aoc"], ["unknown objective 'aoc'", "auc"]),
        (["--objective", "latency"], ["unknown objective 'latency'"]),
        (["--objective", "auc", "--objective", "accuracy", "--objective", "recall"], ["one objective or two"]),
        (["--max-latency", "fast"], ["a time such as", "'fast'"]),
        (["--max-parameters", "-3"], ["above 0"]),
        (["--set", "widht=3"], ["unknown hyper-parameter 'widht'"]),
        (["--set", "epochs=9"], ["epochs=9 is more than the 2 of the budget smoke", "choose a larger budget"]),
        (["--set", "epochs=30"], ["epochs=30 is more than the 2 of the budget smoke"]),  # the default of mlp
        (["--set", "width=3", "--seeds", "1"], ["SEEDS must be at least 2"]),
        (["--jobs", "0"], ["'--jobs': 0 is not in the range x>=1"]),
        (["--cluster", "slrum", "--print-job-script"], ["unknown cluster 'slrum'", "slurm"]),
        (["--print-job-script"], ["needs --cluster"]),
        (["--scheduler", "tcp://127.0.0.1:9"], ["the Dask scheduler tcp://127.0.0.1:9 does not answer"]),
    ],
)
def test_a_mistake_is_one_line_and_status_2(arguments, words, home, monkeypatch):
    monkeypatch.setattr(place, "SCHEDULER_TIMEOUT", "1s")
    done = hepbench("tune", "magic", "--model", "mlp", "--budget", "smoke", *arguments, home=home)
    assert_user_mistake(done, *words)


@pytest.mark.parametrize(
    "space, words",
    [
        ("{}", ["search space of fast is empty"]),
        ('{"power": trial.suggest_float("power", 2, 1)}', ["search space of fast is wrong", "low"]),
        ('{"pwer": trial.suggest_float("pwer", 1, 2)}', ["unknown hyper-parameter", "pwer"]),
        ('{"epochs": trial.suggest_int("epochs", 5, 9)}', ["is more than the 2 of the budget smoke"]),
    ],
)
def test_a_space_that_cannot_be_searched(space, words, home, fast):
    changed(fast, ('{"power": trial.suggest_float("power", -1, 3)}', space))
    assert_user_mistake(hepbench("tune", "magic", "--model", fast, "--budget", "smoke", home=home), *words)


def test_models_that_cannot_be_tuned(home, fast):
    assert_user_mistake(hepbench("tune", "magic", "--model", "prior", home=home), "search space of prior is empty")
    assert_user_mistake(hepbench("tune", "magic", "--model", "cnn", home=home), "cnn does not support magic", "image")
    done = hepbench("tune", "magic", "--model", fast, "--set", "power=1", home=home)
    assert_user_mistake(done, "empty: all of it is set")
    done = hepbench("bench", "magic", "--tuned", "--model", fast, home=home)
    assert_user_mistake(done, "no study of magic", "make tune TASK=magic")


def test_a_study_that_asks_something_else(home, fast):
    command = ("tune", "magic", "--model", fast, "--budget", "smoke", "--trials", 2, "--seeds", 2)
    assert hepbench(*command, home=home).returncode == 0
    done = hepbench(*command, "--objective", "accuracy", home=home)
    assert_user_mistake(done, "is there already with another objectives", "--study magic-fast-smoke-2")
    changed(fast, ('"power", -1, 3', '"power", -1, 4'))
    assert_user_mistake(hepbench(*command, home=home), "is there already with another space and version of the code")


def test_a_study_that_another_process_runs(home, fast, monkeypatch):
    monkeypatch.setenv("HEPBENCH_HOME", str(home))
    command = ("tune", "magic", "--model", fast, "--budget", "smoke", "--trials", 2, "--seeds", 2)
    with storage.alone("magic-fast-smoke"):
        assert_user_mistake(hepbench(*command, home=home), "is being run by another process")
    assert hepbench(*command, home=home).returncode == 0


def test_a_database_that_is_not_there(home, fast):
    command = ("tune", "magic", "--model", fast, "--budget", "smoke")
    done = hepbench(*command, home=home, OPTUNA_STORAGE="postgresql://nobody:secret@127.0.0.1:9/studies")
    assert_user_mistake(done, "the database of studies", "127.0.0.1:9", "OPTUNA_STORAGE")
    assert "secret" not in done.stderr
    assert_user_mistake(hepbench(*command, home=home, OPTUNA_STORAGE="mongodb://x"), "must be like postgresql://")


# --- parts -----------------------------------------------------------------------------------------------------------


def test_times_and_counts():
    assert [seconds_of(text) for text in ("90s", "1.5h", "1ms")] == [90, 5400, 0.001]
    assert [count_of(text) for text in ("100k", "2M", "7")] == [100_000, 2e6, 7]


def test_a_database_that_stays_away_ends_the_study(monkeypatch):
    from optuna.exceptions import StorageInternalError

    monkeypatch.setattr(storage, "RETRY_SECONDS", 0.1)
    calls, told = [], []

    def gone():
        calls.append(1)
        raise StorageInternalError("the server closed the connection")

    with pytest.raises(StoreError, match="was unreachable for 0 s"):
        storage.with_retries(gone, listener=told.append)
    assert len(calls) == 2 and told == [storage.DatabaseGone(0.5)]


def test_one_gpu_runs_one_trial_unless_it_is_shared(monkeypatch):
    monkeypatch.setattr(machine, "gpus", lambda: [{"index": 0}, {"index": 1}])
    check_jobs(2, "gpu", False)
    check_jobs(3, "gpu", True)
    check_jobs(3, "cpu", False)
    with pytest.raises(UserError, match="JOBS=3 on 2 GPUs: take JOBS=2, or --share-gpu"):
        check_jobs(3, "gpu", False)


@pytest.mark.parametrize(
    "system, words",
    [
        ("slurm", ["#SBATCH -p gpu", "--gres=gpu:1", "--cpus-per-task=4", "-t 02:00:00"]),
        ("htcondor", ["request_gpus = 1", "RequestCpus = 4", "MaxRuntime = 7200"]),
    ],
)
def test_the_job_script_of_a_batch_system(system, words, home):
    """Also where another program has the port that Dask's dashboard is served on."""
    pytest.importorskip("dask_jobqueue")
    with socket.socket() as another:
        with contextlib.suppress(OSError):  # taken already
            another.bind(("", 8787))
            another.listen()
        batch = BatchSystem(system, "gpu", cores=4, gpus=1, memory="8GB", walltime="02:00:00")
        script = batch.job_script()
    for word in (
        *words,
        "distributed",
        "HEPBENCH_HOME",
        "OMP_NUM_THREADS=4",
        "MALLOC_ARENA_MAX=1",
        "--nthreads 1",
        "--memory-limit 0",
    ):
        assert word in script, script


@pytest.mark.parametrize("system", ["slurm", "htcondor"])
def test_a_home_with_blanks_is_quoted_in_a_job_script(system, tmp_path, monkeypatch):
    pytest.importorskip("dask_jobqueue")
    home = tmp_path / "a home"
    monkeypatch.setenv("HEPBENCH_HOME", str(home))
    script = BatchSystem(system).job_script().replace("''", "'")
    jobs = re.escape(str(home / "results" / "jobs"))
    assert re.search(rf"--tls-key '{jobs}/certificate-\w+/key.pem'", script), script
    if system == "slurm":
        assert re.search(rf"#SBATCH -o '{jobs}/hepbench-%J.out'", script), script
        assert script.count("#SBATCH -o ") == script.count("#SBATCH -e ") == 1


def test_the_sites_own_settings_of_a_cluster_stay(home):
    pytest.importorskip("dask_jobqueue")
    with dask.config.set({"jobqueue.slurm.scheduler-options": {"host": "127.0.0.1"}}):
        assert "tls://127.0.0.1:" in BatchSystem("slurm").job_script()


def test_what_the_site_has_set_for_jobs_is_added_to_ours(home):
    pytest.importorskip("dask_jobqueue")
    site = {"job-script-prologue": ["module load cuda"], "worker-extra-args": ["--resources", "fast=1"]}
    of_slurm = {"jobqueue.slurm": {**dask.config.get("jobqueue.slurm"), **site, "job-extra-directives": ["-C a100"]}}
    of_condor = {"jobqueue.htcondor": {**dask.config.get("jobqueue.htcondor"), **site}}
    of_condor["jobqueue.htcondor"]["job-extra-directives"] = {"+Group": '"hep"'}
    with dask.config.set({**of_slurm, **of_condor}):
        for system, words in (
            ("slurm", ["-C a100", "--gres=gpu:1"]),
            ("htcondor", ['+Group = "hep"', "request_gpus = 1"]),
        ):
            script = BatchSystem(system, gpus=1).job_script()
            for word in (*words, "module load cuda", "OMP_NUM_THREADS=1", "--resources fast=1", "--memory-limit 0"):
                assert word in script, script


@pytest.mark.parametrize("system", ["slurm", "htcondor"])
def test_credentials_reach_workers_and_stand_in_no_job_script(system, home, monkeypatch):
    pytest.importorskip("dask_jobqueue")
    from distributed import Client, LocalCluster

    from hepbench.suite.workers.credentials import Credentials

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:s3cret@host/db")
    monkeypatch.setenv("PGPASSWORD", "s3cret")
    assert "s3cret" not in BatchSystem(system).job_script()
    sent = Credentials()
    with LocalCluster(n_workers=0, processes=False, dashboard_address=None) as cluster, Client(cluster) as client:
        client.register_plugin(sent)
        monkeypatch.delenv("MLFLOW_TRACKING_URI")
        cluster.scale(1)
        client.wait_for_workers(1, timeout=240)
        assert os.environ["MLFLOW_TRACKING_URI"] == "postgresql://me:s3cret@host/db"


def test_a_name_of_any_length_is_a_files():
    assert paths.file_name("a/../b?") == "a_.._b_"
    one, other = (paths.file_name("x" * 300 + end) for end in "ab")
    assert one != other and len(one) == len(other) < 120
