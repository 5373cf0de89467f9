"""Named budgets: numbers of events, epochs, seeds and trials. A budget's name is part of a result's identity."""

from __future__ import annotations

from dataclasses import dataclass

from hepbench.benchmarks.base import check_known


@dataclass(frozen=True)
class Budget:
    """events: maximum number of events of a dataset (None: all). epochs: maximum number of epochs, `table_epochs` for
    networks on tables, whose epochs take a second, and `rounds` for trees. seeds: training runs per entry. trials: of a
    study. stall_timeout: seconds without an epoch, or another step of a trial, after which it counts as hanging and is
    terminated. timing: seconds for which predictions of each number of events are repeated for timing; 0: only their
    latency is measured."""

    events: int | None
    epochs: int
    table_epochs: int
    rounds: int
    seeds: int
    trials: int
    stall_timeout: float
    timing: float


BUDGETS = {
    "smoke": Budget(
        events=2_000, epochs=2, table_epochs=2, rounds=20, seeds=1, trials=3, stall_timeout=1_800, timing=0
    ),
    "quick": Budget(
        events=30_000, epochs=8, table_epochs=50, rounds=500, seeds=1, trials=20, stall_timeout=7_200, timing=0.5
    ),
    "standard": Budget(
        events=150_000, epochs=20, table_epochs=100, rounds=2_000, seeds=3, trials=50, stall_timeout=43_200, timing=1
    ),
    "full": Budget(
        events=None, epochs=100, table_epochs=100, rounds=10_000, seeds=5, trials=200, stall_timeout=172_800, timing=2
    ),
}


def find(name: str) -> Budget:
    """The budget of this name; UserError suggesting the closest match otherwise."""
    check_known("budget", name, BUDGETS)
    return BUDGETS[name]


def most_epochs(budget: str, view: str) -> int:
    """Maximum number of epochs of a network on this view of the events."""
    allowed = find(budget)
    return allowed.table_epochs if view == "table" else allowed.epochs


def most_events(budget: str, events: int | None) -> int | None:
    """Maximum number of events used of a dataset: the requested number, else the budget's; None: all."""
    return find(budget).events if events is None else events
