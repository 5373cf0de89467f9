"""Dask preload of a worker on this machine: binds it to its cores and redirects its output to the log."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

CORES = "HEPBENCH_WORKER_CORES"
LOG = "HEPBENCH_WORKER_LOG"


def dask_setup(worker: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    descriptor = os.open(os.environ[LOG], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(descriptor, stream.fileno())  # what TensorFlow's C++ prints goes there too
    if hasattr(os, "sched_setaffinity"):
        cores = list(map(int, os.environ[CORES].split(",")))
        for thread in os.listdir("/proc/self/task"):
            os.sched_setaffinity(int(thread), cores)
