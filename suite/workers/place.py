"""Where trials are to run: this machine, a Dask scheduler, or a batch system."""

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
"""How long a Dask scheduler that others have started is waited for."""


@dataclass(frozen=True)
class Place:
    """Where trials are to run. jobs: how many at once on this machine; None: one for each GPU, or one with all cores.
    scheduler: address of a Dask scheduler that is there already, in place of this machine. batch: a batch system that
    is asked for so many workers. share_gpu: let more jobs than GPUs share them."""

    jobs: int | None = None
    share_gpu: bool = False
    scheduler: str | None = None
    batch: BatchSystem | None = None

    def at_once(self, chosen: str) -> int:
        """How many trials run side by side on this machine; 0 where they run on others. chosen: "cpu" or "gpu"."""
        if self.scheduler or self.batch:
            return 0
        return self.jobs or (len(machine.gpus()) if chosen == "gpu" else 1)

    def start(self, chosen: str, backend: str, networks: bool) -> Workers:
        """Start the workers. chosen: "cpu" or "gpu". networks: with the imports begun that networks need. UserError
        where they cannot be had."""
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
        """Gives a function that returns the workers and starts them at its first call, so that who finds nothing to
        run starts none. They end with the block."""
        started: list[Workers] = []
        with without_main_file(), contextlib.ExitStack() as stack:

            def workers() -> Workers:
                if not started:
                    started.append(stack.enter_context(self.start(chosen, backend, networks)))
                return started[0]

            yield workers


def on_this_machine(jobs: int, chosen: str, log: Path, share_gpu: bool = False) -> Workers:
    """This many processes on this machine, each with its share of the cores, or with a GPU of its own. They are reached
    on loopback alone, with the certificate that is made for them."""
    check_jobs(jobs, chosen, share_gpu)
    import dask
    from distributed import Client, Nanny, SpecCluster

    from hepbench.suite.workers import security

    cores = _cores()
    usable = machine.cores_usable()
    share = max(1, int(usable) // jobs)
    # Under a container's quota each has its number of threads alone: bound to cores, as those of all other containers
    # would be, they would meet on the first ones of the machine.
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
            # A silent process here was stopped, as by Ctrl-Z, or is in a long step: one that ends is noticed anyway.
            "distributed.scheduler.worker-ttl": None,
            "distributed.comm.timeouts.connect": "60s",
        }
    ):
        with interrupts_held():
            cluster = SpecCluster(scheduler=scheduler, workers=workers, security=certificate, silence_logs="CRITICAL")
        return Workers(Client(cluster, set_as_default=False), cluster, log)


def of_scheduler(address: str) -> Workers:
    """The workers of a Dask cluster that runs already."""
    from distributed import Client

    try:
        client = Client(address, timeout=SCHEDULER_TIMEOUT, set_as_default=False)
    except TypeError as error:  # Dask's word for a tls:// address without a certificate
        raise UserError(
            f"the Dask scheduler {address} asks for a certificate, and none is set: give DASK_DISTRIBUTED__COMM__TLS__"
            "CA_FILE, ..__CLIENT__CERT and ..__CLIENT__KEY, as docs/security.md shows"
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
            f"workers of {address} have {max(wide)} threads, and two trials in one process are in each other's way: "
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
