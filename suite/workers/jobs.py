"""Messages between a campaign and the workers: jobs, and events from them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hepbench.suite.trial.spec import Spec

RETRIES = 1
"""How often a trial is restarted if its process dies."""


@dataclass(frozen=True)
class Job:
    """A trial for a worker.

    run: the arguments of `Store.start` for its run. final: test at the end; otherwise only the validation set is used.
    data_digest, split_hash: what the worker must find, so that a machine with other files reports an error. context:
    anything the sender needs with the answer; it stays with the sender. stall_timeout: seconds without an epoch or
    another step after which it is terminated.
    """

    spec: Spec
    run: Mapping[str, Any]
    final: bool
    data_digest: str
    split_hash: str
    context: Any = field(default=None, compare=False)
    stall_timeout: float = math.inf


@dataclass(frozen=True)
class Event:
    """An event of a job.

    kind: "started" (run: the id of its run; repeated if the trial is restarted, with `lost` the previous run),
    "elsewhere" (message: {"holder"}, who already runs it and is waited for),
    "stage", "epoch" (message: as passed to a `trial.run.Listener`), and at its end one of "done" (message: the trial's
    metrics), "stopped" and "failed" (message: {"error", "details"}, and "of_store" if the store of results failed).
    """

    job: Job
    kind: str
    run: str | None = None
    message: Mapping[str, Any] = field(default_factory=dict)
    lost: str | None = None
