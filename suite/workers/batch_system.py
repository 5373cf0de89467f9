"""Workers as jobs of a batch system: dask-jobqueue writes and submits the job script."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hepbench.benchmarks.base import UserError, check_known
from hepbench.suite import device
from hepbench.suite.paths import home_folder, jobs_folder
from hepbench.suite.workers.jobs import RETRIES
from hepbench.suite.workers.pool import Workers

if TYPE_CHECKING:
    from dask_jobqueue.core import JobQueueCluster


SYSTEMS = ("slurm", "htcondor")
LOGS = {"o": "out", "e": "err"}  # option of sbatch -> ending of the file


@dataclass(frozen=True)
class BatchSystem:
    """A batch system, and the resources requested per worker. system: "slurm" or "htcondor". memory: such as "8GB".
    walltime: such as "04:00:00"."""

    system: str
    queue: str | None = None
    cores: int = 1
    gpus: int = 0
    memory: str = "8GB"
    walltime: str | None = None

    def __post_init__(self) -> None:
        """UserError for values that no batch system accepts."""
        from dask.utils import parse_bytes

        check_known("cluster", self.system, SYSTEMS)
        try:
            enough = parse_bytes(self.memory) > 0
        except ValueError:
            enough = False
        if not enough:
            raise UserError(f"memory must be such as 8GB, got {self.memory!r}")
        if self.walltime is not None:
            if self.system == "htcondor":
                _seconds(self.walltime)
            elif not re.fullmatch(r"[0-9]+([-:][0-9]+)*", self.walltime):
                raise UserError(f"walltime must be such as 04:00:00, got {self.walltime!r}")

    def start(self, jobs: int) -> Workers:
        """Submit this many jobs; trials begin as soon as the first of them runs."""
        import dask
        from distributed import Client

        from hepbench.suite.workers.credentials import Credentials

        with (
            dask.config.set({"distributed.scheduler.allowed-failures": RETRIES}),
            contextlib.ExitStack() as at_end,
        ):
            cluster = _cluster(self, Path(at_end.enter_context(_folder_of_certificate(self))))
            client = Client(cluster, set_as_default=False)
            client.register_plugin(Credentials())
            cluster.scale(jobs=jobs)
            return Workers(client, cluster, None, at_end.pop_all())

    def job_script(self) -> str:
        """The job script that would be submitted for each worker."""
        with _folder_of_certificate(self) as certificate:
            cluster = _cluster(self, Path(certificate))
            try:
                script: str = cluster.job_script()
                return script
            finally:
                cluster.close()


def _folder_of_certificate(batch: BatchSystem) -> tempfile.TemporaryDirectory[str]:
    """An empty folder that only the user can read and the jobs' machines see."""
    import dask

    of_site = dask.config.get(f"jobqueue.{batch.system}.shared-temp-directory", None)
    folder = Path(os.path.expandvars(of_site)).expanduser() if of_site else jobs_folder()
    folder.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(prefix="certificate-", dir=folder)


def _cluster(batch: BatchSystem, certificate: Path) -> JobQueueCluster:
    import dask

    from hepbench.suite.workers import security

    try:
        from dask_jobqueue.htcondor import HTCondorCluster
        from dask_jobqueue.slurm import SLURMCluster
    except ImportError as error:
        raise UserError("dask-jobqueue is not installed: pip install 'hepbench[cluster]'") from error
    of_site = dask.config.get(f"jobqueue.{batch.system}.scheduler-options", {})
    settings = {"HEPBENCH_HOME": str(home_folder())}
    settings |= device.threads(batch.cores) | device.MEMORY_KEPT
    options: dict[str, Any] = {
        "security": security.as_files(security.certificate(), certificate),
        "scheduler_cls": security.Scheduler,
        "cores": 1,  # threads of a worker, which runs one trial at a time; the job has batch.cores of them
        "processes": 1,
        "memory": batch.memory,
        "python": shlex.quote(sys.executable),
        "job_name": "hepbench",
        "job_script_prologue": [
            *_of_site(batch, "job-script-prologue", []),
            *(f"export {name}={shlex.quote(value)}" for name, value in settings.items()),
        ],
        "worker_extra_args": [
            *_of_site(batch, "worker-extra-args", []),
            *("--memory-limit", "0", "--worker-class", f"{security.__name__}.Worker"),
        ],
        "log_directory": str(jobs_folder()),
        # Any free port: two clusters may be started on one login node. The site's settings have precedence.
        "scheduler_options": {"port": 0} | of_site | {"dashboard": False},
    }
    if batch.system == "slurm":
        # Dask-jobqueue's own log directives do not quote their path.
        logs = [f"-{kind} {shlex.quote(f'{jobs_folder()}/hepbench-%J.{ending}')}" for kind, ending in LOGS.items()]
        gpus = [f"--gres=gpu:{batch.gpus}"] if batch.gpus else []
        return SLURMCluster(
            queue=batch.queue,
            walltime=batch.walltime,
            job_cpu=batch.cores,
            job_extra_directives=[*_of_site(batch, "job-extra-directives", []), *gpus, *logs],
            job_directives_skip=[*_of_site(batch, "job-directives-skip", []), *(f"#SBATCH -{kind} " for kind in LOGS)],
            **options,
        )
    extra: dict[str, Any] = {**dict(_of_site(batch, "job-extra-directives", {})), "RequestCpus": batch.cores}
    if batch.gpus:
        extra["request_gpus"] = batch.gpus
    if batch.queue:
        extra["+Queue"] = f'"{batch.queue}"'
    if batch.walltime:
        extra["+MaxRuntime"] = _seconds(batch.walltime)
    return HTCondorCluster(disk="4GB", job_extra_directives=extra, **options)


def _of_site(batch: BatchSystem, name: str, without: Any) -> Any:
    """The site's setting of this name in jobqueue.yaml, to which ours is added."""
    import dask

    return dask.config.get(f"jobqueue.{batch.system}.{name}", None) or without


def _seconds(walltime: str) -> int:
    """Seconds from a walltime, for HTCondor."""
    if not re.fullmatch("[0-9]+:[0-9]+:[0-9]+", walltime):
        raise UserError(f"walltime must be such as 04:00:00, got {walltime!r}")
    hours, minutes, seconds = map(int, walltime.split(":"))
    return 3600 * hours + 60 * minutes + seconds
