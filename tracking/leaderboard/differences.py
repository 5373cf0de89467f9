"""Every pair of rows of a ranked table: the difference of a metric on the same test events, and whether it is one."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hepbench.tracking import statistics
from hepbench.tracking.leaderboard.ranking import Row, id_of


@dataclass(frozen=True)
class Pair:
    """one, other: ids of rows, as of `ranking.id_of`. difference: of one minus other; its p is that of this pair alone,
    adjusted that of all pairs of the table."""

    one: str
    other: str
    difference: statistics.Difference
    adjusted: float

    @property
    def significant(self) -> bool:
        return self.adjusted <= 1 - statistics.LEVEL


OPTIMUM = "optimum"
"""The entry that knows the likelihoods of a simulation: no other is better but by chance."""

BELOW_OPTIMUM = "below_optimum"
"""In a row of a table where the optimum is: how far below it the row is in the metric that ranks, on the same test
events, with `_error`, `_low` and `_high`; None where they could not be compared."""

MOST_COMPARED = 40
"""Rows of a table, the first ones, that are compared event by event: pairs are as many as their square."""


@dataclass(frozen=True)
class Differences:
    """Of one metric. left_out: id of a row -> why it is in no pair."""

    metric: str
    pairs: Sequence[Pair]
    left_out: Mapping[str, str]

    def between(self, one: str, other: str) -> Pair | None:
        """The difference of two rows in this order."""
        if pair := self._by_names.get((one, other)):
            return pair
        if pair := self._by_names.get((other, one)):
            found = pair.difference
            turned = replace(found, value=-found.value, low=-found.high, high=-found.low)
            return Pair(one, other, turned, pair.adjusted)
        return None

    @functools.cached_property
    def _by_names(self) -> Mapping[tuple[str, str], Pair]:
        return {(pair.one, pair.other): pair for pair in self.pairs}


def compare(
    metric: str, trainings: Mapping[str, statistics.Trainings], left_out: Mapping[str, str] | None = None
) -> Differences:
    """All pairs of these, in their order; what cannot be measured of either has no pair."""
    names = list(trainings)
    found = [
        (one, other, statistics.paired(trainings[one], trainings[other]))
        for place, one in enumerate(names)
        for other in names[place + 1 :]
    ]
    found = [entry for entry in found if math.isfinite(entry[2].p)]
    adjusted = statistics.holm([difference.p for _, _, difference in found])
    pairs = [Pair(*entry, float(p)) for entry, p in zip(found, adjusted, strict=True)]
    return Differences(metric, pairs, dict(left_out or {}))


def mark_tied(table: Sequence[Row], differences: Differences) -> None:
    """Set "tied" of the rows of a table where the paired test finds no significant difference from the first. Rows
    without a pair keep what their errors give."""
    for row in table[1:]:
        pair = differences.between(id_of(table[0]), id_of(row))
        if pair:
            row["tied"], row["tied_by"] = not pair.significant, "paired test"


def mark_distance(table: Sequence[Row], differences: Differences) -> None:
    """Give the rows of a table what BELOW_OPTIMUM stands for, if the optimum is one of them."""
    best = next((row for row in table if row["model"] == OPTIMUM), None)
    if best is None:
        return
    for row in table:
        pair = differences.between(id_of(best), id_of(row))
        for name in ("value", "error", "low", "high"):
            key = BELOW_OPTIMUM if name == "value" else f"{BELOW_OPTIMUM}_{name}"
            row[key] = getattr(pair.difference, name) if pair else None
