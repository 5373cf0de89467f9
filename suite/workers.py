"""Where trials run: processes that a Dask scheduler hands them to, each running one trial at a time.

A process lives from trial to trial, since importing TensorFlow takes seconds. Its crash, a full memory or a lost
machine ends one trial and nothing else: Dask runs that trial once more in another process.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import queue
import random
import threading
import traceback
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import registry
from benchmarks.base import UserError
from suite import device, worker_start
from suite.trial import Spec
from tracking import hardware
from tracking.runs import StoreError

if TYPE_CHECKING:
    from distributed import Client

    from suite.clusters import Batch
    from tracking.runs import Store

ATTEMPTS = 2
"""How often a trial is begun where the process that runs it dies."""

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")
"""What keeps libraries to the cores of their process; XGBoost and TensorFlow look at the affinity besides."""


@dataclass(frozen=True)
class Job:
    """A trial for a worker. final: look at the test set at the end; otherwise the validation part alone is used.

    run: what `Store.start` takes of its run. data_digest, split_hash: what the worker must find, so that a machine that
    sees other files says so. context: whatever the sender wants to have beside the answer; it stays with the sender.
    """

    spec: Spec
    run: Mapping[str, Any]
    final: bool
    data_digest: str
    split_hash: str
    context: Any = field(default=None, compare=False)


@dataclass(frozen=True)
class Event:
    """What became known of a job.

    kind: "started" (run: the id of its run; again if the trial was begun again, `lost` then being the run before),
    "stage", "epoch" (message: as `trial.Say` has it), and one of "done" (message: the trial's metrics), "stopped",
    "failed" (message: {"error", "details"}, and "of_store" where the store of results failed it) at its end.
    """

    job: Job
    kind: str
    run: str | None = None
    message: Mapping[str, Any] = field(default_factory=dict)
    lost: str | None = None


class Stopped(Exception):
    """The trial's sender wants no more of it."""


class Workers:
    """Processes under a Dask scheduler. Use as a context manager; leaving it ends those that were started here."""

    def __init__(self, client: Client, cluster: Any, log: Path | None):
        self.client = client
        self.log = log
        self._cluster = cluster
        self._topic = f"hepbench-{uuid.uuid4().hex}"
        self._events: queue.SimpleQueue[tuple[str, str, Any]] = queue.SimpleQueue()
        client.subscribe_topic(self._topic, lambda event: self._events.put(("message", event[1]["key"], event[1])))

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *exception: object) -> None:
        with contextlib.suppress(Exception):  # a scheduler that is gone already
            self.client.close(timeout=2)
            if self._cluster is not None:
                self._cluster.close(timeout=5)

    @property
    def capacity(self) -> int:
        """Trials that can run at once."""
        return len(self.client.nthreads())

    def warm(self, chosen: str, backend: str) -> None:
        """Begin the long imports in every process, and return at once."""
        self.client.run(_import, chosen, backend, wait=False, on_error="ignore")

    def run(self, next_job: Callable[[], Job | None]) -> Iterator[Event]:
        """Run jobs, as many at once as there are workers, and yield what becomes known of them until all have ended.

        next_job gives the next, or None where there is none for now; it is asked again whenever a worker falls free.
        Leaving the iteration early cancels what still runs.
        """
        futures: dict[str, tuple[Job, Any]] = {}
        runs: dict[str, list[str]] = {}
        try:
            while True:
                while len(futures) < max(1, self.capacity) and (job := next_job()) is not None:
                    key = f"trial-{uuid.uuid4().hex}"
                    future = self.client.submit(
                        _serve, job.spec, dict(job.run), job.final, job.data_digest, job.split_hash, key, self._topic,
                        key=key, pure=False,
                    )  # fmt: skip
                    futures[key] = job, future
                    runs[key] = []
                    future.add_done_callback(lambda future, key=key: self._events.put(("end", key, future)))
                if not futures:
                    return
                kind, key, value = self._events.get()
                if key not in futures:  # the last words of a job that was ended
                    continue
                job, future = futures[key]
                if kind == "end":
                    event = self._ended(job, future, runs[key])
                elif "run" in value:
                    event = Event(job, "started", value["run"], value, lost=runs[key][-1] if runs[key] else None)
                    runs[key].append(value["run"])
                    if len(runs[key]) > ATTEMPTS:  # a scheduler that others set up may be more patient
                        future.cancel()
                        error = {"error": f"the trial's process died {ATTEMPTS} times", "details": ""}
                        yield event
                        event = Event(job, "failed", value["run"], error)
                else:
                    run = runs[key][-1] if runs[key] else None
                    event = Event(job, "stage" if "stage" in value else "epoch", run, value)
                if event.kind in ("done", "stopped", "failed"):
                    del futures[key]
                yield event
        finally:
            for _, future in futures.values():
                with contextlib.suppress(Exception):
                    future.cancel()

    def stop(self, event: Event) -> None:
        """End the job of an event at its next epoch; it answers "stopped"."""
        address = event.message["worker"]
        self.client.run(_stop, event.message["key"], workers=[address], wait=False, on_error="ignore")

    def _ended(self, job: Job, future: Any, runs: list[str]) -> Event:
        if future.status == "finished":
            answer = future.result()
            kind = "done" if "result" in answer else "stopped" if "stopped" in answer else "failed"
            return Event(job, kind, answer.get("run"), answer.get("result", answer))
        if future.status == "error":
            from distributed.scheduler import KilledWorker

            error = future.exception()
            died = isinstance(error, KilledWorker)
            text = f"the trial's process died {ATTEMPTS} times" if died else f"{type(error).__name__}: {error}"
        else:
            text = "the scheduler lost the trial"
        return Event(job, "failed", runs[-1] if runs else None, {"error": text, "details": _tail(self.log)})


# --- where they come from --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """Where trials are to run. jobs: how many at once on this machine; None: one for each GPU, or one with all cores.
    scheduler: address of a Dask scheduler that is there already, in place of this machine. batch: a batch system that
    is asked for as many workers."""

    jobs: int | None = None
    share_gpu: bool = False
    scheduler: str | None = None
    batch: Batch | None = None

    def start(self, chosen: str, backend: str, networks: bool) -> Workers:
        """The processes; networks: with the imports begun that networks need. UserError where they cannot be had."""
        if self.scheduler:
            workers = of_scheduler(self.scheduler)
        elif self.batch:
            workers = self.batch.start(self.jobs or 1)
        else:
            from suite import data

            jobs = self.jobs
            if jobs is None:
                jobs = len(hardware.gpus()) if chosen == "gpu" else 1
            workers = on_this_machine(jobs, chosen, data.home() / "results" / "worker.log", self.share_gpu)
        if networks:
            workers.warm(chosen, backend)
        return workers


def on_this_machine(jobs: int, chosen: str, log: Path, share_gpu: bool = False) -> Workers:
    """This many processes on this machine, each with its share of the cores, or with a GPU of its own."""
    _check_jobs(jobs, chosen, share_gpu)
    import dask
    from distributed import Client, Nanny, Scheduler, SpecCluster

    cores = _cores()
    share = max(1, len(cores) // jobs)
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("")
    gpus = [str(gpu["index"]) for gpu in hardware.gpus()] if chosen == "gpu" else []
    workers = {}
    for number in range(jobs):
        own = [cores[(number * share + i) % len(cores)] for i in range(share)] if jobs > 1 else cores
        environment = {worker_start.CORES: ",".join(map(str, own)), worker_start.LOG: str(log)}
        if gpus:
            environment["CUDA_VISIBLE_DEVICES"] = gpus[number % len(gpus)]
        options = {
            "name": number,
            "nthreads": 1,
            "memory_limit": 0,  # memory-mapped data counts as the process' own
            "env": environment,
            "preload": [worker_start.__name__],
            "silence_logs": "CRITICAL",
            "dashboard": False,
        }
        workers[number] = {"cls": Nanny, "options": options}
    scheduler = {
        "cls": Scheduler,
        "options": {"host": "127.0.0.1", "port": 0, "dashboard": False, "dashboard_address": "127.0.0.1:0"},
    }
    with dask.config.set(
        {
            "distributed.nanny.pre-spawn-environ": dict.fromkeys(THREADS, str(share)) | device.MEMORY_KEPT,
            "distributed.scheduler.allowed-failures": ATTEMPTS - 1,
            # A silent process here was stopped, as by Ctrl-Z, or is in a long step: one that ends is noticed anyway.
            "distributed.scheduler.worker-ttl": None,
            "distributed.comm.timeouts.connect": "60s",
        }
    ):
        cluster = SpecCluster(scheduler=scheduler, workers=workers, silence_logs="CRITICAL")
        return Workers(Client(cluster, set_as_default=False), cluster, log)


def of_scheduler(address: str) -> Workers:
    """The workers of a Dask cluster that runs already."""
    from distributed import Client

    try:
        client = Client(address, timeout="10s", set_as_default=False)
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


def _check_jobs(jobs: int, chosen: str, share_gpu: bool) -> None:
    if jobs < 1:
        raise UserError(f"JOBS must be at least 1, got {jobs}")
    gpus = len(hardware.gpus())
    if chosen == "gpu" and jobs > gpus and not share_gpu:
        raise UserError(f"JOBS={jobs} on {gpus} GPU{'s' * (gpus > 1)}: take JOBS={gpus}, or --share-gpu")


def _cores() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _tail(log: Path | None, most: int = 4000) -> str:
    return log.read_text(errors="replace")[-most:] if log is not None and log.is_file() else ""


# --- in the worker's process -----------------------------------------------------------------------------------------


_stopped: set[str] = set()
_one_at_a_time = threading.Lock()


async def _stop(key: str) -> None:
    _stopped.add(key)


async def _import(chosen: str, backend: str) -> None:
    """In a thread, as the process must go on answering its scheduler."""
    threading.Thread(target=_keras, args=(chosen, backend), daemon=True).start()


def _keras(chosen: str, backend: str) -> None:
    device.set_environment(chosen, backend)
    import keras

    if (there := keras.backend.backend()) != backend:
        raise UserError(f"this worker runs {there} already: start workers of their own for BACKEND={backend}")


@functools.cache
def _store() -> Store:
    from suite import data
    from tracking import runs

    return runs.connect(None, data.home() / "results")


def _serve(
    spec: Spec, run: dict[str, Any], final: bool, data_digest: str, split_hash: str, key: str, topic: str
) -> dict[str, Any]:
    """Run a trial; what it answers is plain, as an exception's class may not be known to the sender."""
    import dask.sizeof
    from distributed import get_worker

    from suite import trial

    # Its draws, in the thread that answers the scheduler, would come between the seed of a network and its weights.
    dask.sizeof.random = random.Random()

    worker = get_worker()

    def say(message: dict[str, Any]) -> None:
        worker.log_event(topic, {"key": key, "worker": worker.address, **message})
        task = worker.state.tasks.get(key)
        if key in _stopped or task is None or task.state in ("cancelled", "released"):
            raise Stopped

    with _one_at_a_time:
        run_id = None
        try:
            device.set_environment(spec.device, spec.backend)
            if registry.find("model", spec.model).record.build:
                _keras(spec.device, spec.backend)
            store = _store()
            machine = hardware.describe()
            tags = {"hardware": _hardware_name(machine, spec.device), "machine": json.dumps(machine)}
            run_id = store.start(**{**run, "tags": {**run["tags"], **tags}})
            say({"run": run_id})
            return {"run": run_id, "result": trial.run(spec, store, run_id, say, final, data_digest, split_hash)}
        except Stopped:
            return {"run": run_id, "stopped": True}
        except (UserError, StoreError) as error:
            return {"run": run_id, "error": str(error), "details": "", "of_store": isinstance(error, StoreError)}
        except Exception as error:  # the sender goes on; the run is ended FAILED with this message
            return {"run": run_id, "error": f"{type(error).__name__}: {error}", "details": traceback.format_exc()}
        finally:
            _stopped.discard(key)


def _hardware_name(machine: dict[str, Any], chosen: str) -> str:
    if chosen == "gpu":
        return machine["gpus"][0]["name"]
    return f"{machine['cpu']} x{machine['cores_usable']}"
