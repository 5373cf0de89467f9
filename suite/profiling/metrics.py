"""CPU time of the metrics of many scores, compared with sorting them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hepbench.benchmarks.metrics import METRICS
from hepbench.benchmarks.scored import Scored, log_scores_of

REPEATS = 7
"""Repeats of each measurement, interleaved; the median counts."""

RESAMPLINGS = 2000
"""Resamplings of the paired bootstrap."""

DRAWN = ("rejection_30", "rejection_50", "rejection_70")
"""Metrics of two models in the bootstrap."""

Advance = Callable[[int], None]


@dataclass(frozen=True)
class Cost:
    """seconds: on one core. sorts: in units of `numpy.argsort` of the same scores."""

    what: str
    seconds: float
    sorts: float


def costs(events: int, advance: Advance = lambda done: None) -> list[Cost]:
    """Costs for two models' scores of this number of events: `numpy.argsort`; the AUC with its error and placements;
    the paired bootstrap of three rejections."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, events)
    variable = rng.normal(size=events) + 1.5 * labels
    scores = [log_scores_of((variable + 0.5 * rng.normal(size=events))[:, None]) for _ in range(2)]
    odds = scores[0][:, 1] - scores[0][:, 0]

    def area() -> None:
        scored = Scored(labels, scores[0])
        METRICS["auc"].of(scored, 1)
        _ = scored.one_vs_rest(1).placements

    def bootstrap() -> None:
        trained = [Scored(labels, some) for some in scores]
        for name in DRAWN:
            record = METRICS[name]
            assert record.bootstrap is not None
            record.bootstrap(trained, 1, RESAMPLINGS)

    def taken(work: Callable[[], object]) -> float:
        start = time.process_time()
        work()
        advance(1)
        return time.process_time() - start

    both = [(taken(lambda: np.argsort(odds)), taken(area)) for _ in range(REPEATS)]
    sort, measured = (statistics.median(some) for some in zip(*both, strict=True))
    drawn = taken(bootstrap)
    return [
        Cost("numpy.argsort", sort, 1.0),
        Cost("AUC, its error, placements", measured, measured / sort),
        Cost(f"{RESAMPLINGS:,} paired bootstraps of three rejections", drawn, drawn / sort),
    ]


STEPS = 2 * REPEATS + 1
"""Number of steps that `costs` reports."""
