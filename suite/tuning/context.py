"""State shared by the parts of a running study."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hepbench.suite.campaign import Campaign
from hepbench.suite.tuning.events import Listener
from hepbench.suite.workers.pool import Workers
from hepbench.tracking.runs import Store


@dataclass(frozen=True)
class RunContext:
    """campaign: what the study's runs have in common. parent: id of their parent run. workers: starts the processes at
    its first call. listener: receives events."""

    campaign: Campaign
    parent: str
    workers: Callable[[], Workers]
    store: Store
    listener: Listener
