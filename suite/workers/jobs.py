"""What passes between a campaign and the workers: jobs, and events of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hepbench.suite.trial.spec import Spec

RETRIES = 1
"""How often a trial is begun again where the process that runs it dies."""


@dataclass(frozen=True)
class Job:
    """A trial for a worker.

    run: the arguments of `Store.start` for its run. final: test at the end; otherwise the validation part alone is
    used. data_digest, split_hash: what the worker must find, so that a machine that sees other files says so.
    context: whatever the sender wants to have beside the answer; it stays with the sender. stall_timeout: seconds
    without an epoch or another step after which it is ended.
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
    """What became known of a job.

    kind: "started" (run: the id of its run; again if the trial was begun again, `lost` then being the run before),
    "elsewhere" (message: {"holder"}, who runs it already and is waited for),
    "stage", "epoch" (message: as a `trial.run.Listener` is given it), and at its end one of "done" (message: the
    trial's metrics), "stopped" and "failed" (message: {"error", "details"}, and "of_store" where the store of results
    failed it).
    """

    job: Job
    kind: str
    run: str | None = None
    message: Mapping[str, Any] = field(default_factory=dict)
    lost: str | None = None
