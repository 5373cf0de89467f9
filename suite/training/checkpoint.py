"""Checkpoints of a training run, in a file: an interrupted run resumes from the last one."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import math
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hepbench.benchmarks.base import UserError
from hepbench.suite.atomic import atomic_file

EVERY = 20.0
"""Seconds between two checkpoints; a shorter training run has none."""

STALE = 30 * 86400.0
"""Seconds after which an unused checkpoint is removed."""


@dataclasses.dataclass
class Progress:
    """Of a training, in what JSON can hold. epoch: the last one that is done. best: what the best epoch has most of.
    lowest_loss, lowest_epoch: of the validation. shuffle: state of the generator of the order of events. plateau: of
    `Plateau`. history, seconds: as of `Network`, its history and timings."""

    epoch: int = 0
    best: float = -math.inf
    lowest_loss: float = math.inf
    lowest_epoch: int = 0
    shuffle: dict[str, Any] = dataclasses.field(default_factory=dict)
    plateau: dict[str, Any] = dataclasses.field(default_factory=dict)
    history: list[dict[str, float]] = dataclasses.field(default_factory=list)
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)


class Checkpoint:
    """The state of one training in a file, whose name stands for all that decides its result.

    run: id of the present run. earlier_run, earlier_epoch, earlier_seconds: run, last epoch and duration of the
    interrupted one that is resumed; "", 0 and 0 where there is none.
    """

    def __init__(self, path: Path, run: str):
        self.path, self.run = path, run
        self.earlier_run, self.earlier_epoch, self.earlier_seconds = "", 0, 0.0
        self._begun = self._last = time.perf_counter()

    def load(self, restore: Callable[[bytes], Any]) -> tuple[Progress, Any] | None:
        """The progress that `save` wrote, and what `restore` gives of its state. None where there is no checkpoint, or
        none that can be resumed from: restore raises ValueError then, and has changed nothing."""
        try:
            with self.path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                about, state = json.loads(str(file["about"])), file["state"].tobytes()
            progress, run, seconds = Progress(**about["progress"]), str(about["run"]), float(about["seconds"])
            best = restore(state)
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
            return None
        self.earlier_run, self.earlier_epoch, self.earlier_seconds = run, progress.epoch, seconds
        return progress, best

    def save(self, progress: Progress, state: Callable[[], bytes]) -> None:
        """After an epoch, if the last checkpoint is old enough. A failure to write does not end the training run."""
        now = time.perf_counter()
        if now - self._last < EVERY:
            return
        about = {
            "run": self.run,
            "seconds": self.earlier_seconds + now - self._begun,
            "progress": dataclasses.asdict(progress),
        }
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._remove_stale()
            with atomic_file(self.path) as scratch, scratch.open("wb") as file:
                np.savez(file, about=np.array(json.dumps(about, default=float)), state=np.frombuffer(state(), np.uint8))
        except (OSError, UserError) as error:
            logging.getLogger(__name__).warning("checkpoint not written: %s", error)
        self._last = time.perf_counter()

    def _remove_stale(self) -> None:
        for path in self.path.parent.iterdir():
            with contextlib.suppress(OSError):  # another process has removed it
                if time.time() - path.stat().st_mtime > STALE:
                    path.unlink()


def delete(path: Path) -> None:
    """Remove a checkpoint; another user's stays."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
