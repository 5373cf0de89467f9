"""Processes to which a Dask scheduler gives trials, each running one trial at a time.

A process is reused from trial to trial, since importing TensorFlow takes seconds. A crash, exhausted memory or a lost
machine affects only one trial: Dask runs it once more in another process.
"""

from __future__ import annotations

import contextlib
import queue
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hepbench.suite.trial.worker import run_in_worker, start_imports, stop
from hepbench.suite.workers.jobs import RETRIES, Event, Job

if TYPE_CHECKING:
    from distributed import Client


TICK = 5.0
"""Seconds between two checks for stalled trials."""

LIFETIME = 30
"""Trials after which a process is replaced: each leaks two or three megabytes."""

DIED = f"the trial's process died {1 + RETRIES} times"


class Workers:
    """Processes under a Dask scheduler. A context manager, which on exit ends those that were started here.

    at_end: resources that are released with them.
    """

    def __init__(self, client: Client, cluster: Any, log: Path | None, at_end: contextlib.ExitStack | None = None):
        self.client = client
        self.log = log
        self._cluster = cluster
        self._trials: Counter[str] = Counter()
        self._at_end = at_end or contextlib.ExitStack()
        self._topic = f"hepbench-{uuid.uuid4().hex}"
        self._events: queue.SimpleQueue[tuple[str, str, Any]] = queue.SimpleQueue()
        client.subscribe_topic(self._topic, lambda event: self._events.put(("message", event[1]["key"], event[1])))

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *exception: object) -> None:
        with self._at_end, contextlib.suppress(Exception):  # a scheduler that is gone already
            self.client.close(timeout=2)
            if self._cluster is not None:
                self._cluster.close(timeout=5)

    @property
    def capacity(self) -> int:
        """Trials that can run at once."""
        return len(self.client.nthreads())

    def warm(self, chosen: str, backend: str) -> None:
        """Start the long imports in every process, and return immediately."""
        self.client.run(start_imports, chosen, backend, wait=False, on_error="ignore")

    def run(self, next_job: Callable[[], Job | None]) -> Iterator[Event]:
        """Run jobs, as many at once as there are workers, and yield their events until all have ended.

        next_job gives the next, or None if there is none at the moment; it is called again whenever a worker is free.
        Leaving the iteration early cancels running jobs.
        """
        futures: dict[str, tuple[Job, Any]] = {}
        runs: dict[str, list[str]] = {}
        places: dict[str, str] = {}  # addresses of the processes
        silent: dict[str, float] = {}
        looked = time.monotonic()
        try:
            while True:
                while len(futures) < max(1, self.capacity) and (job := next_job()) is not None:
                    key = f"trial-{uuid.uuid4().hex}"
                    future = self.client.submit(
                        run_in_worker,
                        job.spec, dict(job.run), job.final, job.data_digest, job.split_hash, key, self._topic,
                        key=key, pure=False,
                    )  # fmt: skip
                    futures[key] = job, future
                    runs[key] = []
                    future.add_done_callback(lambda future, key=key: self._events.put(("end", key, future)))
                if not futures:
                    return
                try:
                    kind, key, value = self._events.get(timeout=TICK)
                except queue.Empty:
                    kind, key, value = "silence", "", None
                passed, looked = time.monotonic() - looked, time.monotonic()
                for one in silent:  # more than a look apart: this process itself was stopped, as by Ctrl-Z
                    silent[one] += min(passed, 2 * TICK)
                silent |= {one: 0.0 for one in (key,) if one in futures and runs[one]}
                for one in [one for one, seconds in silent.items() if seconds > futures[one][0].stall_timeout]:
                    job, future = futures.pop(one)
                    minutes = silent.pop(one) / 60
                    future.cancel()
                    self._replace(places[one])
                    hung = f"it hung: no progress for {minutes:.0f} min, the stall timeout of {job.spec.budget}"
                    yield Event(job, "failed", runs[one][-1], {"error": hung, "details": ""})
                if key not in futures:  # a late message from a terminated job
                    continue
                job, future = futures[key]
                if kind == "end":
                    event = self._ended(job, future, runs[key])
                elif "run" in value:
                    event = Event(job, "started", value["run"], value, lost=runs[key][-1] if runs[key] else None)
                    runs[key].append(value["run"])
                    places[key], silent[key] = value["worker"], 0.0
                    if len(runs[key]) > 1 + RETRIES:  # an external scheduler may allow more of them
                        future.cancel()
                        error = {"error": DIED, "details": ""}
                        yield event
                        event = Event(job, "failed", value["run"], error)
                else:
                    run = runs[key][-1] if runs[key] else None
                    event = Event(job, "stage" if "stage" in value else "epoch", run, value)
                if event.kind in ("done", "stopped", "failed"):
                    del futures[key]
                    silent.pop(key, None)
                    future.release()  # else the scheduler would rerun it for the result that is lost with its process
                    self._age(places.get(key))
                yield event
        finally:
            for _, future in futures.values():
                with contextlib.suppress(Exception):
                    future.cancel()

    def stop(self, event: Event) -> None:
        """Stop the job of an event at its next epoch; it answers "stopped"."""
        address = event.message["worker"]
        self.client.run(stop, event.message["key"], workers=[address], wait=False, on_error="ignore")

    def _age(self, address: str | None) -> None:
        """Count a trial of one of our own processes, and replace the process after LIFETIME trials."""
        if address is None or self._cluster is None:
            return
        self._trials[address] += 1
        if self._trials[address] >= LIFETIME and self._has_nanny(address):
            del self._trials[address]
            self._replace(address)

    def _has_nanny(self, address: str) -> bool:
        """Whether another process would restart the worker."""
        known = self.client.scheduler_info(n_workers=-1)["workers"]
        return bool(known.get(address, {}).get("nanny"))

    def _replace(self, address: str) -> None:
        """Terminate a worker's process; its nanny starts another."""
        with contextlib.suppress(Exception):  # it is gone, or has no nanny: the others continue
            self.client.restart_workers([address], timeout=60, raise_for_error=False)

    def _ended(self, job: Job, future: Any, runs: list[str]) -> Event:
        if future.status == "finished":
            answer = future.result()
            kind = "done" if "result" in answer else "stopped" if "stopped" in answer else "failed"
            return Event(job, kind, answer.get("run"), answer.get("result", answer))
        if future.status == "error":
            from distributed.scheduler import KilledWorker

            error = future.exception()
            died = isinstance(error, KilledWorker)
            text = DIED if died else f"{type(error).__name__}: {error}"
        else:
            text = "the scheduler lost the trial"
        return Event(job, "failed", runs[-1] if runs else None, {"error": text, "details": _tail(self.log)})


def _tail(log: Path | None, most: int = 4000) -> str:
    return log.read_text(errors="replace")[-most:] if log is not None and log.is_file() else ""
