"""Servers that go away, stand still and come back: an MLflow server with the runs, PostgreSQL with the studies."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from faults.commands import BENCH, TUNE, Missed, Moment, arguments_of, stage, strike
from faults.counting import states_of
from faults.scene import Running, Scene

MOMENTS = (
    Moment(BENCH, "the first seconds", 6.0),
    Moment(BENCH, "training", 1.0, file="begun-*"),
    Moment(BENCH, "the last result", 1.0, text="done 2/3"),
    Moment(TUNE, "searching", 2.0, file="begun-*"),
)
AWAY = (5.0, 30.0, None)
"""Seconds until a server is back; None: when the command has ended."""
IMPATIENT = """
from hepbench.suite.cli import main
from hepbench.suite.tuning import storage

storage.RETRY_SECONDS = 10.0
main()
"""
"""The program, which waits for a database for 10 s in place of a minute."""


@dataclass
class MLflow:
    """A server of runs with a folder of its own, on loopback."""

    folder: Path
    port: int

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def database(self) -> Path:
        return self.folder / "mlflow.db"

    def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{self.database}"]
        command += ["--artifacts-destination", str(self.folder / "artifacts")]
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(
                command,
                env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + 120
        while not self._answers():
            if time.monotonic() > deadline:
                raise RuntimeError(f"the MLflow server does not answer: {(self.folder / 'log').read_text()[-500:]}")
            time.sleep(0.2)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            return bool(urllib.request.urlopen(f"{self.address}/health", timeout=60).status == 200)
        return False

    def signal(self, sent: signal.Signals) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            for one in [*psutil.Process(self.process.pid).children(recursive=True), psutil.Process(self.process.pid)]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.send_signal(sent)

    def stop(self) -> None:
        self.signal(signal.SIGKILL)
        self.process.wait()


LOST = random.Random(0).sample([*itertools.product(("stopped", "stands still"), MOMENTS, AWAY)], 12)
RESTARTED = [*itertools.product(("immediate", "fast", "stands still"), AWAY)]


def lose_mlflow(scene: Scene, number: int) -> str:
    from test_cluster import free_port

    what, moment, away = LOST[number]
    server = MLflow(scene.folder / "mlflow", free_port())
    server.start()
    try:
        scene.store = server.database
        scene.variables["MLFLOW_TRACKING_URI"] = server.address

        def go() -> None:
            server.stop() if what == "stopped" else server.signal(signal.SIGSTOP)

        def come() -> None:
            server.start() if what == "stopped" else server.signal(signal.SIGCONT)

        return f"MLflow {what}, {_struck(scene, moment, away, number, go, come)}"
    finally:
        server.stop()


def lose_postgresql(scene: Scene, number: int) -> str:
    from test_cluster import Postgres, lack_of_postgres

    if lack := lack_of_postgres():
        raise Missed(lack)
    how, away = RESTARTED[number]
    if away is None:
        scene.program = (sys.executable, "-c", IMPATIENT)
    server = Postgres(scene.folder / "postgres")
    try:
        address = scene.variables["OPTUNA_STORAGE"] = server.database("studies")

        def processes() -> list[psutil.Process]:
            parent = psutil.Process(int((server.folder / "data" / "postmaster.pid").read_text().split()[0]))
            return [parent, *parent.children(recursive=True)]

        def go() -> None:
            if how == "stands still":
                for one in processes():
                    one.suspend()
            else:
                server.stop(how)

        def come() -> None:
            if how == "stands still":
                for one in processes():
                    one.resume()
            else:
                server.start()

        done = f"PostgreSQL {how}, {_struck(scene, MOMENTS[-1], away, number, go, come)}"
        scene.states = states_of(address)
        return done
    finally:
        server.stop()


def _struck(
    scene: Scene, moment: Moment, away: float | None, number: int, go: Callable[[], None], come: Callable[[], None]
) -> str:
    """The server goes in a moment of a command and comes back; then the command is given again."""
    chance = random.Random(f"server {number}")
    back: list[threading.Thread] = []

    def blow(running: Running) -> str:
        go()
        if away is not None:
            back.append(threading.Timer(away, come))
            back[0].start()
        return f"back after {away:.0f} s" if away is not None else "back when the command has ended"

    stage(scene, moment.command)
    done = strike(scene, moment, chance, blow, limit=240)
    if back:
        back[0].join()
    else:
        come()
    scene.repeat(*arguments_of(moment.command, scene))
    return done
