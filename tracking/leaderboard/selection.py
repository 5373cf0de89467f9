"""Some rows of a leaderboard, in another order: the ranks stay, and what is left out is reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hepbench.tracking.leaderboard.differences import Differences
from hepbench.tracking.leaderboard.ranking import Row, groups, id_of, value_or_limit
from hepbench.tracking.leaderboard.table import NUMBERS, Leaderboard


@dataclass(frozen=True)
class Selection:
    """models: names of those whose rows are shown; none: all. max_latency: milliseconds of the prediction of one event
    that a row may have at most. sort: the metric, number or "model" that rows are in the order of, the best first, and
    of times and sizes the smallest; "": by rank."""

    models: Sequence[str] = ()
    max_latency: float | None = None
    sort: str = ""

    def keeps(self, row: Row) -> bool:
        if self.models and row["model"] not in self.models:
            return False
        return self.max_latency is None or (row["latency_ms"] is not None and row["latency_ms"] <= self.max_latency)


def select(board: Leaderboard, selection: Selection) -> Leaderboard:
    """The same with the rows of the selection, table by table, and notes on those that are left out."""
    rows: list[Row] = []
    differences: list[Sequence[Differences]] = []
    for place, table in enumerate(groups(board.rows)):
        kept = _sorted([row for row in table if selection.keeps(row)], board, selection.sort)
        rows += kept
        if kept and place < len(board.differences):
            names = {id_of(row) for row in kept}
            differences.append([_between(one, names) for one in board.differences[place]])
    notes = [*_left_out(board.rows, selection), *board.notes]
    return replace(board, rows=rows, differences=differences, notes=notes)


def _sorted(table: Sequence[Row], board: Leaderboard, sort: str) -> list[Row]:
    if not sort:
        return list(table)
    if sort == "model":
        return sorted(table, key=lambda row: (row["model"], row["rank"]))
    sign = -1 if sort not in NUMBERS and board.metrics[sort].higher_is_better else 1
    known = [(value, row) for row in table if (value := value_or_limit(row, sort)) is not None]
    known.sort(key=lambda one: (sign * one[0], one[1][sort] is not None))
    return [row for _, row in known] + [row for row in table if value_or_limit(row, sort) is None]


def _between(differences: Differences, names: set[str]) -> Differences:
    pairs = [pair for pair in differences.pairs if {pair.one, pair.other} <= names]
    return replace(
        differences, pairs=pairs, left_out={name: why for name, why in differences.left_out.items() if name in names}
    )


def _left_out(rows: Sequence[Row], selection: Selection) -> list[str]:
    asked = [row for row in rows if not selection.models or row["model"] in selection.models]
    others = len(rows) - len(asked)
    parts = [f"{others} of other models"] * bool(others)
    if selection.max_latency is not None:
        limit = selection.max_latency
        above = sum(row["latency_ms"] is not None and row["latency_ms"] > limit for row in asked)
        unknown = sum(row["latency_ms"] is None for row in asked)
        parts += [f"{above} above {limit:g} ms for one event"] * bool(above)
        parts += [f"{unknown} without a measured latency"] * bool(unknown)
    return [f"rows left out: {', '.join(parts)}; ranks are those among all"] if parts else []
