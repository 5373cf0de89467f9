"""Where trials run: this machine, a Dask scheduler, or a batch system."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hepbench.benchmarks.base import UserError
from hepbench.suite import device
from hepbench.suite.processes import interrupts_held, without_main_file
from hepbench.suite.workers import preload
from hepbench.suite.workers.jobs import RETRIES
from hepbench.suite.workers.pool import Workers
from hepbench.tracking.hardware import machine

if TYPE_CHECKING:
    from hepbench.suite.workers.batch_system import BatchSystem

SCHEDULER_TIMEOUT = "10s"
"""Timeout of the connection to an existing Dask scheduler."""


@dataclass(frozen=True)
class Place:
    """Where trials run. jobs: number in parallel on this machine; None: one per GPU, or one with all cores. scheduler:
    address of an existing Dask scheduler, instead of this machine. batch: a batch system, with `jobs` workers.
    share_gpu: let more jobs than GPUs share them."""

    jobs: int | None = None
    share_gpu: bool = False
    scheduler: str | None = None
    batch: BatchSystem | None = None

    def resolve(self, wanted: str, backend: str) -> tuple[str, str]:
        """As `device.resolve`, for the workers: in a batch system "auto" is "gpu" if GPUs are requested for them, and
        "gpu" is accepted unchecked on other machines, where every trial checks it."""
        if wanted == "gpu" and (self.batch or self.scheduler):
            chosen, reason = "gpu", "as asked"
        elif wanted == "auto" and self.batch:
            gpus = self.batch.gpus
            chosen, reason = "gpu" if gpus else "cpu", f"{gpus} GPU{'s' * (gpus != 1)} per worker"
        else:
            return device.resolve(wanted, backend)
        device.resolve("cpu", backend)  # whether the backend is installed
        return chosen, reason

    def at_once(self, chosen: str) -> int:
        """Number of trials in parallel on this machine; 0 if they run on others. chosen: "cpu" or "gpu"."""
        if self.scheduler or self.batch:
            return 0
        return self.jobs or (len(machine.gpus()) if chosen == "gpu" else 1)

    def start(self, chosen: str, backend: str, networks: bool) -> Workers:
        """Start the workers. chosen: "cpu" or "gpu". networks: start the imports that networks need. UserError if they
        cannot be started."""
        if self.scheduler:
            workers = of_scheduler(self.scheduler)
        elif self.batch:
            workers = self.batch.start(self.jobs or 1)
        else:
            from hepbench.suite.paths import worker_log

            jobs = self.at_once(chosen) if self.jobs is None else self.jobs
            workers = on_this_machine(jobs, chosen, worker_log(), self.share_gpu)
        if networks:
            workers.warm(chosen, backend)
        return workers

    @contextlib.contextmanager
    def reserve(self, chosen: str, backend: str, networks: bool) -> Iterator[Callable[[], Workers]]:
        """Gives a function that returns the workers and starts them at its first call, so that none are started if
        there is nothing to run. They end with the block."""
        started: list[Workers] = []
        with without_main_file(), contextlib.ExitStack() as stack:

            def workers() -> Workers:
                if not started:
                    started.append(stack.enter_context(self.start(chosen, backend, networks)))
                return started[0]

            yield workers


def on_this_machine(jobs: int, chosen: str, log: Path, share_gpu: bool = False) -> Workers:
    """This number of processes on this machine, each with its share of the cores, or with its own GPU. They listen only
    on loopback, with a certificate created for them."""
    check_jobs(jobs, chosen, share_gpu)
    import dask
    from distributed import Client, Nanny, SpecCluster

    from hepbench.suite.workers import security

    cores = _cores()
    usable = machine.cores_usable()
    share = max(1, int(usable) // jobs)
    # Under a container's quota only their number of threads is limited: bound to cores, like those of all other
    # containers, they would compete for the first ones of the machine.
    bound = jobs > 1 and usable == len(cores)
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("")
    gpus = [gpu["uuid"] for gpu in machine.gpus()] if chosen == "gpu" else []
    certificate = security.certificate()
    listening = {"host": security.LOOPBACK, "protocol": security.PROTOCOL, "security": certificate}
    workers = {}
    for number in range(jobs):
        own = [cores[(number * share + i) % len(cores)] for i in range(share)] if bound else cores
        environment = {preload.CORES: ",".join(map(str, own)), preload.LOG: str(log)}
        if gpus:
            environment |= device.of_gpu(gpus[number % len(gpus)])
        options = {
            "name": number,
            "nthreads": 1,
            "memory_limit": 0,  # memory-mapped data counts as the process' own
            "env": environment,
            "preload": [preload.__name__],
            "silence_logs": "CRITICAL",
            "worker_class": security.Worker,
            **listening,
        }
        workers[number] = {"cls": Nanny, "options": options}
    scheduler = {"cls": security.Scheduler, "options": {"port": 0, "dashboard": False, **listening}}
    with dask.config.set(
        {
            "distributed.nanny.pre-spawn-environ": device.threads(share) | device.MEMORY_KEPT,
            "distributed.scheduler.allowed-failures": RETRIES,
            # A silent process here is suspended, as by Ctrl-Z, or in a long step: the end of one is noticed anyway.
            "distributed.scheduler.worker-ttl": None,
            "distributed.comm.timeouts.connect": "60s",
        }
    ):
        with interrupts_held():
            cluster = SpecCluster(scheduler=scheduler, workers=workers, security=certificate, silence_logs="CRITICAL")
        return Workers(Client(cluster, set_as_default=False), cluster, log)


def of_scheduler(address: str) -> Workers:
    """The workers of an existing Dask cluster."""
    from distributed import Client

    try:
        client = Client(address, timeout=SCHEDULER_TIMEOUT, set_as_default=False)
    except TypeError as error:  # Dask's word for a tls:// address without a certificate
        raise UserError(
            f"the Dask scheduler {address} requires a certificate, and none is set: set DASK_DISTRIBUTED__COMM__TLS__"
            "CA_FILE, ..__CLIENT__CERT and ..__CLIENT__KEY, as in docs/security.md"
        ) from error
    except (OSError, TimeoutError, ValueError) as error:
        raise UserError(
            f"the Dask scheduler {address} does not answer: {error}. Start it with `dask scheduler`, and workers with "
            f"`dask worker {address} --nthreads 1`"
        ) from error
    wide = {threads for threads in client.nthreads().values() if threads != 1}
    if wide:
        client.close()
        raise UserError(
            f"workers of {address} have {max(wide)} threads, but trials in the same process interfere with each other: "
            f"start them with `dask worker {address} --nthreads 1`"
        )
    return Workers(client, None, None)


def check_jobs(jobs: int, chosen: str, share_gpu: bool) -> None:
    if jobs < 1:
        raise UserError(f"JOBS must be at least 1, got {jobs}")
    gpus = len(machine.gpus())
    if chosen == "gpu" and jobs > gpus and not share_gpu:
        raise UserError(f"JOBS={jobs} on {gpus} GPU{'s' * (gpus > 1)}: take JOBS={gpus}, or --share-gpu")


def _cores() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))
