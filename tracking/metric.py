"""What is read here of a metric: of its record, which the caller brings."""

from __future__ import annotations

from typing import Protocol


class Metric(Protocol):
    """One number of a result. The values themselves come from the runs, as `test_<name>` and `test_<name>_error`."""

    @property
    def name(self) -> str:
        """Its key in runs, rows and exports, such as "auc"."""

    @property
    def title(self) -> str:
        """What it is, in words."""

    @property
    def heading(self) -> str:
        """Of its column or axis, short."""

    @property
    def higher_is_better(self) -> bool:
        """Which end of it is the best."""

    @property
    def decimals(self) -> int | None:
        """Digits after the point of a printed value; None: as many as give its error two digits."""

    @property
    def scale(self) -> str:
        """As `statistics.interval` takes it: on which an interval is symmetric."""

    @property
    def lowest(self) -> float:
        """The least value that it can have, where an interval is cut; -inf: none."""
