"""What the plots of a leaderboard draw of its rows, as numbers: on the page, and as files for papers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Numbers = Sequence[float | None]
"""None: not measurable."""

EFFICIENCIES = tuple(round(0.01 * percent, 2) for percent in range(1, 100))
"""Of the signal, at which the curves are measured."""

MOST_DRAWN = 40
"""Rows of a table, the first ones, that can be drawn: a page stays small."""


@dataclass(frozen=True)
class PlotData:
    """Of one row. Plain lists, as they are kept and as a page holds them.

    rejection: class -> "value", "low" and "high" of 1/eps_B against the rest at EFFICIENCIES, the mean over the seeds
    and its 95 % interval. reliability: "score", "share" and "error" of its bins, history: columns by epoch, confusion:
    (classes, classes) events of each true class that score highest in each; these of the first seed.
    """

    rejection: Mapping[str, Mapping[str, Numbers]] = field(default_factory=dict)
    reliability: Mapping[str, Numbers] = field(default_factory=dict)
    history: Mapping[str, Numbers] = field(default_factory=dict)
    confusion: Sequence[Sequence[int]] = ()
