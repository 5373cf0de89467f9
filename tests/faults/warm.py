"""The program in a fork of a process that has its imports behind it, since those take most of the time of a short
call."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import sys
from collections.abc import Mapping
from pathlib import Path

IMPORTED = [
    "hepbench.suite.commands.bench",
    "hepbench.suite.commands.leaderboard",
    "hepbench.suite.commands.predict",
    "hepbench.suite.commands.tune",
    "mlflow.store.tracking.sqlalchemy_store",
    "distributed",
    "h5py",
    "matplotlib.pyplot",
    "mplhep",
    "optuna",
    "pyarrow.parquet",
    "conftest",
]
"""What that process has imported. It is imported again where it is missing."""

UNSET = {"MLFLOW_TRACKING_URI", "OPTUNA_STORAGE", "PYTHONDONTWRITEBYTECODE"}
"""Of the environment: where a user has results and studies, and what has every process compile the program anew."""


UNKNOWN = 255
"""The status that multiprocessing gives of a process whose own it could not read."""


def status_of(process: multiprocessing.process.BaseProcess, printed: Path) -> int | None:
    """With which it ended, or None. Where multiprocessing does not know, what the program noted as it left."""
    noted = _noted(printed)
    return int(noted.read_text()) if process.exitcode == UNKNOWN and noted.exists() else process.exitcode


def _noted(printed: Path) -> Path:
    return printed.with_suffix(".status")


def start(
    arguments: tuple[str, ...],
    folder: Path,
    printed: Path,
    variables: Mapping[str, str],
    *,
    in_thread: bool = False,
    memory: int | None = None,
) -> multiprocessing.process.BaseProcess:
    """Begin the program in this folder, with these variables in its environment; what it prints goes to a file.
    in_thread: its trials run in a thread of it in place of processes. memory: bytes that it may take beside those of
    its imports."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # which would start threads before the fork
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    target = (arguments, folder, printed, dict(variables), in_thread, memory)
    process = context.Process(target=_program, args=target)
    process.start()
    return process


def _program(
    arguments: tuple[str, ...],
    folder: Path,
    printed: Path,
    variables: dict[str, str],
    in_thread: bool,
    memory: int | None,
) -> None:
    descriptor = os.open(printed, os.O_WRONLY | os.O_CREAT)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.chdir(folder)
    for name in UNSET:
        os.environ.pop(name, None)
    os.environ.update(variables)
    if memory is not None:
        own = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (own + memory, own + memory))
    sys.argv = ["hepbench", *arguments]
    from hepbench.suite.cli import main

    if in_thread:
        import distributed
        from conftest import in_a_thread

        vars(distributed)["Nanny"] = in_a_thread
    try:
        with contextlib.suppress(KeyboardInterrupt):
            main()
    except SystemExit as left:
        _noted(printed).write_text(str(left.code or 0))
        raise
