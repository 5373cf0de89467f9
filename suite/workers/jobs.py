"""What passes between a campaign and the workers: jobs, and events of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hepbench.suite.trial.spec import Spec

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
