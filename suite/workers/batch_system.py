"""Workers as jobs of a batch system: dask-jobqueue writes and submits the job script."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hepbench.benchmarks.base import UserError, check_known
from hepbench.suite import device
from hepbench.suite.paths import home_folder, jobs_folder
from hepbench.suite.workers.jobs import RETRIES
from hepbench.suite.workers.pool import Workers

if TYPE_CHECKING:
    from dask_jobqueue.core import JobQueueCluster


SYSTEMS = ("slurm", "htcondor")
PASSED_ON = ("MLFLOW_TRACKING_URI",)
"""Variables of the environment that a job is given beside HEPBENCH_HOME."""


@dataclass(frozen=True)
class BatchSystem:
    """A batch system, and what is asked of it for each worker. system: "slurm" or "htcondor". memory: as "8GB".
    walltime: as "04:00:00"."""

    system: str
    queue: str | None = None
    cores: int = 1
    gpus: int = 0
    memory: str = "8GB"
    walltime: str | None = None

    def start(self, jobs: int) -> Workers:
        """Submit this many jobs; trials begin as soon as the first of them runs."""
        import dask
        from distributed import Client

        with dask.config.set({"distributed.scheduler.allowed-failures": RETRIES}):
            cluster = _cluster(self)
            cluster.scale(jobs=jobs)
            return Workers(Client(cluster, set_as_default=False), cluster, None)

    def job_script(self) -> str:
        """What would be submitted for each worker."""
        cluster = _cluster(self)
        try:
            script: str = cluster.job_script()
            return script
        finally:
            cluster.close()


def _cluster(batch: BatchSystem) -> JobQueueCluster:
    import dask

    from hepbench.suite.workers import security

    check_known("cluster", batch.system, SYSTEMS)
    try:
        from dask_jobqueue.htcondor import HTCondorCluster
        from dask_jobqueue.slurm import SLURMCluster
    except ImportError as error:
        raise UserError("dask-jobqueue is not installed: pip install 'hepbench[cluster]'") from error
    settings = {"HEPBENCH_HOME": str(home_folder())}
    settings |= {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    settings |= device.threads(batch.cores) | device.MEMORY_KEPT
    own = f"jobqueue.{batch.system}."
    jobs_folder().mkdir(parents=True, exist_ok=True)
    options: dict[str, Any] = {
        # The certificate reaches the jobs as files of the user alone, which go with the cluster.
        "security": security.certificate(),
        "shared_temp_directory": dask.config.get(f"{own}shared-temp-directory", None) or str(jobs_folder()),
        "scheduler_cls": security.Scheduler,
        "cores": 1,  # threads of a worker, which runs one trial at a time; the job has batch.cores of them
        "processes": 1,
        "memory": batch.memory,
        "python": sys.executable,
        "job_name": "hepbench",
        "job_script_prologue": [f"export {name}={shlex.quote(value)}" for name, value in settings.items()],
        "worker_extra_args": ["--memory-limit", "0", "--worker-class", f"{security.__name__}.Worker"],
        "log_directory": str(jobs_folder()),
        # Any free port: two clusters may be started on one login node. What the site has set stays.
        "scheduler_options": {"port": 0, **dask.config.get(f"{own}scheduler-options", {}), "dashboard": False},
    }
    if batch.system == "slurm":
        gpus = [f"--gres=gpu:{batch.gpus}"] if batch.gpus else []
        return SLURMCluster(
            queue=batch.queue, walltime=batch.walltime, job_cpu=batch.cores, job_extra_directives=gpus, **options
        )
    extra: dict[str, Any] = {"RequestCpus": batch.cores}
    if batch.gpus:
        extra["request_gpus"] = batch.gpus
    if batch.queue:
        extra["+Queue"] = f'"{batch.queue}"'
    if batch.walltime:
        extra["+MaxRuntime"] = _seconds(batch.walltime)
    return HTCondorCluster(disk="4GB", job_extra_directives=extra, **options)


def _seconds(walltime: str) -> int:
    try:
        hours, minutes, seconds = map(int, walltime.split(":"))
    except ValueError:
        raise UserError(f"a walltime such as 04:00:00 is expected, got {walltime!r}") from None
    return 3600 * hours + 60 * minutes + seconds
