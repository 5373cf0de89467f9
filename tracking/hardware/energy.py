"""Joules that the processor has used, by its own counters (RAPL), where this process may read them.

Read here from the files of Linux, as what is needed is a sum of counters that run over; see docs/timing.md for the
libraries beside it.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
"""Where Linux shows the counters, of Intel's and AMD's processors alike. Since 2020 only root may read them, unless an
administrator has given `energy_uj` to others."""


@dataclass
class _Counter:
    """A counter of microjoules that begins again at 0 after `most`."""

    file: Path
    most: int
    last: int = 0
    total: int = 0

    def update(self) -> None:
        now = int(self.file.read_text())
        self.total += now - self.last if now >= self.last else now + self.most - self.last
        self.last = now


@dataclass
class ProcessorEnergy:
    """Of all processor packages of the machine, and of memory where it has a counter of its own: whoever uses them, and
    when idle. Read it more often than the counters run over, which takes minutes at full power.

    unavailable: why there is nothing to read; "" where there is.
    """

    unavailable: str = ""
    _counters: list[_Counter] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        zones = sorted(POWERCAP.glob("intel-rapl:*")) if POWERCAP.is_dir() else []
        try:
            for zone in zones:
                name = (zone / "name").read_text().strip()
                if name.startswith("package") or name == "dram":
                    counter = _Counter(zone / "energy_uj", int((zone / "max_energy_range_uj").read_text()))
                    counter.last = int(counter.file.read_text())
                    self._counters.append(counter)
        except (OSError, ValueError) as error:
            self._counters, self.unavailable = [], f"{type(error).__name__}: {error}"
        if not self._counters and not self.unavailable:
            self.unavailable = f"no RAPL counters in {POWERCAP}"

    def joules(self) -> float | None:
        """Since this was made; None where it is not available."""
        if not self._counters:
            return None
        with self._lock:
            try:
                for counter in self._counters:
                    counter.update()
            except (OSError, ValueError) as error:
                self._counters, self.unavailable = [], f"{type(error).__name__}: {error}"
                return None
            return sum(counter.total for counter in self._counters) / 1e6
