"""Where trials run: a process of its own, so that a crash, a full memory or an interrupt ends one trial and not the
bench. The process lives from trial to trial, since importing TensorFlow takes seconds."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import traceback
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from benchmarks.base import UserError
from suite.trial import Say, Spec


class TrialFailed(Exception):
    """A trial did not reach its end. details: the traceback, or what the process left behind."""

    def __init__(self, message: str, details: str = ""):
        super().__init__(message)
        self.details = details


class Worker:
    """A process that runs one trial at a time. Use as a context manager: leaving it ends the process.

    It starts with the first trial, or before it by `start`, so that its imports run beside other work.
    """

    def __init__(self, store_uri: str | None, log: Path):
        self.store_uri = store_uri
        self.log = log
        self.process: multiprocessing.Process | None = None

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *exception: object) -> None:
        if self.process is not None and exception[0] is None:
            self.connection.send(None)
            self.process.join(timeout=5)
        self.kill()

    def run(self, spec: Spec, run_id: str, say: Say) -> dict[str, float]:
        """Metrics of the trial. Raises TrialFailed with its message when it raises or its process dies."""
        self.start()
        try:
            self.connection.send((spec, run_id))
            while True:
                wait([self.connection, self.process.sentinel])
                message = self.connection.recv()  # EOFError where only the sentinel is ready
                if "result" in message:
                    return message["result"]
                if "error" in message:
                    raise TrialFailed(message["error"], message["details"])
                say(message)
        except (EOFError, OSError):
            self.process.join()
            code = self.process.exitcode
            self.process = None
            how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
            raise TrialFailed(f"the trial's process ended: {how}", _tail(self.log)) from None

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.process = None

    def start(self) -> None:
        if self.process is not None:
            return
        context = multiprocessing.get_context("spawn")  # a fork of a process with threads can hang
        self.connection, theirs = context.Pipe()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.process = context.Process(target=_serve, args=(theirs, self.store_uri, str(self.log)), daemon=True)
        self.process.start()
        theirs.close()


def _serve(connection: Connection, store_uri: str | None, log: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is the parent's to answer
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(descriptor, stream.fileno())  # what TensorFlow's C++ prints goes there too
    import keras  # noqa: F401  the long import, while the parent plans

    from suite import data, trial
    from tracking import runs

    store = runs.connect(store_uri, data.home() / "results")
    while (task := connection.recv()) is not None:
        spec, run_id = task
        try:
            answer: dict[str, Any] = {"result": trial.run(spec, store, run_id, connection.send)}
        except UserError as error:
            answer = {"error": str(error), "details": ""}
        except Exception as error:  # the bench goes on; the run is ended FAILED with this message
            answer = {"error": f"{type(error).__name__}: {error}", "details": traceback.format_exc()}
        connection.send(answer)


def _tail(log: Path, most: int = 4000) -> str:
    return log.read_text(errors="replace")[-most:] if log.is_file() else ""
