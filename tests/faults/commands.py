"""The commands that are struck, and the moments at which they are."""

from __future__ import annotations

import functools
import hashlib
import random
import shutil
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conftest import empty_store

from faults.counting import runs_of
from faults.scene import LIMIT, Call, Running, Scene

TASK = "ecal"
EVENTS = ("--events", "4000")

TAGGER = """
import pathlib
import time

import numpy as np
from hepbench import Model

class Fitted:
    trainable_parameters = 3
    def __init__(self, power): self.power = power
    def predict(self, sample):
        table = sample.take(slice(None))["table"]
        score = 1 / (1 + np.exp(self.power * table[:, 0] + table[:, 2]))
        return np.column_stack([1 - score, score]).astype(np.float32)
    def save(self, folder): (folder / "power").write_text(str(self.power))

def fit(train, valid, parameters, classes, seed, device, report):
    for epoch in range(1, parameters["epochs"] + 1):
        pathlib.Path(__file__).with_name(f"begun-{seed}").touch()
        time.sleep(parameters["pause"])
        report(epoch, {"val_auc": 0.5 + parameters["power"] / 10 + epoch / 100})
    return Fitted(parameters["power"] + np.random.default_rng(seed).normal(0, 0.05))

def load(folder): return Fitted(float((folder / "power").read_text()))

MODEL = Model(title="a tagger that takes its time", view="table", fit=fit, load=load,
    defaults={"power": 0.5, "pause": 0.3, "epochs": 2},
    space=lambda trial: {"power": trial.suggest_float("power", -1, 3)})
"""


@dataclass(frozen=True)
class Command:
    """results, trials: as of a Scene, when it has ended well. fresh: begins in a new home; otherwise the store and the
    data are there. reads: begins with the results of BENCH in the store."""

    name: str
    arguments: tuple[str, ...]
    results: int = 0
    trials: int = 0
    fresh: bool = False
    reads: bool = False


_TRAINED = ("--model", "tagger.py", "--budget", "smoke", "--jobs", "2")
BENCH = Command("bench", ("bench", TASK, *_TRAINED, *EVENTS, "--seeds", "3"), results=3)
NEW_BENCH = Command("bench in a new home", BENCH.arguments, results=3, fresh=True)
TUNE = Command(
    "tune", ("tune", TASK, *_TRAINED, "--trials", "4", "--seeds", "2", "--pruner", "none"), results=2, trials=4
)
SIMULATE = Command("simulate", ("simulate", TASK, *EVENTS, "--seed", "1", "--jobs", "2"))
PREDICT = Command(
    "predict",
    ("predict", "RUN", "FILES", "--out", "home/scores.parquet", "--model", "tagger.py"),
    results=3,
    reads=True,
)
LEADERBOARD = Command("leaderboard", ("leaderboard", TASK, "--page"), results=3, reads=True)


@dataclass(frozen=True)
class Moment:
    """Within so many seconds after the command's start, or after a file of this pattern appeared in the scene's folder,
    or after it printed this text. workers: it has processes then that compute for it."""

    command: Command
    name: str
    within: float
    file: str = ""
    text: str = ""
    workers: bool = False


MOMENTS = (
    Moment(NEW_BENCH, "the first second", 1.0),
    Moment(NEW_BENCH, "the first seconds", 5.0),
    Moment(NEW_BENCH, "making the store", 1.0, file="home/results/*"),
    Moment(NEW_BENCH, "simulating", 1.0, file="home/data/*/simulated/.*.parts", workers=True),
    Moment(NEW_BENCH, "preparing", 0.2, file="home/data/*/prepared/.*", workers=True),
    Moment(BENCH, "starting a trial", 0.5, file="home/results/artifacts/*", workers=True),
    Moment(BENCH, "training", 1.0, file="begun-*", workers=True),
    Moment(BENCH, "logging", 1.0, file="home/results/artifacts/*/*/artifacts/*", workers=True),
    Moment(BENCH, "writing pages", 1.5, text="done 3/3"),
    Moment(TUNE, "making the study", 1.0, file="home/results/studies*"),
    Moment(TUNE, "searching", 2.0, file="begun-*", workers=True),
    Moment(TUNE, "testing the best", 2.0, text="testing trial", workers=True),
    Moment(TUNE, "writing pages", 1.5, text="done 4/4"),
    Moment(SIMULATE, "simulating", 2.0, file="home/data/*/simulated/.*.parts", workers=True),
    Moment(SIMULATE, "writing the files", 0.2, file="home/data/*/simulated/.*_[!.]*[!s]"),
    Moment(PREDICT, "predicting", 2.0),
    Moment(LEADERBOARD, "writing pages", 1.2),
)


class Missed(Exception):
    """The command was struck too late, so that there was no fault."""


def strike(scene: Scene, moment: Moment, chance: random.Random, blow: Callable[[Running], str], limit: float) -> str:
    """Call the moment's command, strike it then and wait for its end. Returns what was done, in words; Missed
    where the command ended before."""
    running = scene.start(*arguments_of(moment.command, scene))
    seconds = scene.part * chance.uniform(0, moment.within)
    try:
        _wait_for(running, moment)
        time.sleep(seconds)
        if running.ended:
            raise Missed(f"{moment.command.name} ended before {seconds:.2f} s of {moment.name}")
        done = blow(running)
    finally:
        running.end(limit)
        scene.settle()
    return f"{done}, {moment.command.name}, {moment.name}, {seconds:.2f} s"


def _wait_for(running: Running, moment: Moment) -> None:
    deadline = time.monotonic() + LIMIT
    while not running.ended and time.monotonic() < deadline:
        if (moment.file and not any(running.scene.folder.glob(moment.file))) or moment.text not in running.printed:
            time.sleep(0.01)
        else:
            return


def stage(scene: Scene, command: Command) -> None:
    """Make the scene ready for a command."""
    (scene.folder / "tagger.py").write_text(TAGGER)
    scene.results, scene.trials = command.results, command.trials
    scene.home.mkdir(exist_ok=True)
    if not command.fresh:
        shutil.copytree(undisturbed().home / "data", scene.home / "data")
    if command.reads:
        copy_results(undisturbed().home, scene.home)
    elif not command.fresh:
        add_store(scene)


def copy_results(home: Path, other: Path) -> None:
    """To a home without results."""
    from hepbench.tracking import moved

    shutil.copytree(home / "results", other / "results")
    with closing(sqlite3.connect(other / "results" / "mlflow.db")) as store:
        moved.renew(store, other / "results" / "artifacts")


def arguments_of(command: Command, scene: Scene) -> list[str]:
    """The command's arguments in this scene."""
    arguments = []
    for one in command.arguments:
        if one == "RUN":
            one = next((run.id for run in runs_of(scene.home / "results" / "mlflow.db") if run.auc is not None), "none")
        arguments += files_of(scene.home) if one == "FILES" else [one]
    return arguments


def files_of(home: Path) -> list[str]:
    return sorted(map(str, home.glob(f"data/{TASK}/simulated/n*/*")))


def check_files(scene: Scene, command: Command) -> None:
    """Complain of files that the command does not leave as an undisturbed call does."""
    if command == SIMULATE:
        made = {path.name: digest(path) for path in scene.home.glob(f"data/{TASK}/simulated/n*_seed1_*/*")}
        if made != undisturbed_simulation():
            scene.complaints.append("the simulated files are not those of an undisturbed call")
    if command == PREDICT:
        import pyarrow.parquet as pq

        path = scene.home / "scores.parquet"
        rows = pq.read_metadata(path).num_rows if path.is_file() else 0
        if rows != int(EVENTS[1]):
            scene.complaints.append(f"{rows} of {EVENTS[1]} events have scores")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


_one_makes_it = threading.RLock()


def once(make: Callable[..., Any]) -> Callable[..., Any]:
    """Keeps what a function returns, made by one thread while others wait."""
    kept = functools.cache(make)

    @functools.wraps(make)
    def get(*arguments: Any) -> Any:
        with _one_makes_it:
            return kept(*arguments)

    return get


@once
def new_store() -> bytes:
    """MLflow's tables, which two threads cannot make at once."""
    return empty_store()


def add_store(scene: Scene) -> None:
    """An empty one, without the seconds that its making takes."""
    (scene.home / "results").mkdir(parents=True)
    (scene.home / "results" / "mlflow.db").write_bytes(new_store())


@once
def undisturbed() -> Scene:
    """A scene with simulated and prepared data, and the results of BENCH."""
    scene = Scene(Path(tempfile.mkdtemp(prefix="hepbench-faults-")))
    stage(scene, NEW_BENCH)
    _must(scene.call(*BENCH.arguments), 0)
    return scene


@once
def reference() -> dict[str, float]:
    """Identity -> AUC of the undisturbed results."""
    every = runs_of(undisturbed().home / "results" / "mlflow.db")
    return {run.tags["identity"]: run.auc for run in every if run.tags.get("stage") == "final" and run.auc is not None}


@once
def undisturbed_simulation() -> dict[str, str]:
    """Name -> digest of each file that SIMULATE makes."""
    scene = undisturbed()
    _must(scene.call(*SIMULATE.arguments, "--out", scene.folder / "simulated"), 0)
    return {path.name: digest(path) for path in (scene.folder / "simulated").iterdir()}


def _must(call: Call, status: int) -> None:
    if call.status != status:
        raise RuntimeError(f"{call.arguments} undisturbed: status {call.status}\n{call.printed}")
