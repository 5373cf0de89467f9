"""The kinds of faults, a record each, and a fault tried and counted."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from faults import crowds, disk, inputs, kills, servers
from faults.commands import Missed, reference
from faults.counting import HARMS, count
from faults.scene import Scene


@dataclass(frozen=True)
class Kind:
    """name: of its faults, with a number. number: how many there are. act: breaks the program in a scene, as its number
    has it, calls it again, and returns what it did in words."""

    name: str
    title: str
    number: int
    act: Callable[[Scene, int], str]


KINDS = {
    kind.name: kind
    for kind in (
        Kind("kill", "processes killed: parent, worker, group; KILL, TERM, INT, HUP", kills.KILLS, kills.kill),
        Kind("disk", "full disk at each step", disk.DISKS, disk.fill),
        Kind("mlflow", "MLflow server killed or suspended", len(servers.LOST), servers.lose_mlflow),
        Kind("postgresql", "PostgreSQL restarted or suspended", len(servers.RESTARTED), servers.lose_postgresql),
        Kind("equal", "four identical calls at once", len(crowds.EQUAL), crowds.equal_calls),
        Kind("trials", "300 short trials in sequence", 1, crowds.short_trials),
        Kind("model", "hostile models", len(inputs.MODELS), inputs.train_hostile),
        Kind("name", "hostile names of homes and studies", len(inputs.NAMES), inputs.call_by_name),
        *(
            Kind(f"file_{task}", f"corrupted files of {task}", inputs.FILES, functools.partial(inputs.read_file, task))
            for task in inputs.FORMATS
        ),
    )
}


@dataclass(frozen=True)
class Outcome:
    """Of a fault: what was done, in words, and the harm, by its kind. missed: there was no fault in the end, as the
    command was faster."""

    kind: Kind
    number: int
    scene: Scene
    words: str
    harms: dict[str, list[str]]
    missed: bool = False

    @property
    def survived(self) -> bool:
        return not self.missed and not any(self.harms.values())

    @property
    def line(self) -> str:
        bad = "; ".join(f"{harm}: {lines[0]}" for harm, lines in self.harms.items() if lines)
        return f"{self.kind.name}:{self.number} {self.words}: {bad or ('' if self.missed else 'survived')}"


SOONER = (1.0, 0.5, 0.25, 0.0)
"""Parts of its time after which a fault is tried, where the command was faster before."""


def attempt(kind: Kind, number: int, folder: Path, undisturbed: bool = True) -> Outcome:
    """Try one fault in a folder of its own below this one, which is removed where no harm was done. undisturbed: also
    compare its results with those of undisturbed calls."""
    for part in SOONER:
        outcome = _attempt(kind, number, Scene(folder / f"{kind.name}-{number}", part), undisturbed)
        if not outcome.missed:
            break
    return outcome


def _attempt(kind: Kind, number: int, scene: Scene, undisturbed: bool) -> Outcome:
    scene.folder.mkdir()
    missed = False
    try:
        words = kind.act(scene, number)
    except Missed as error:
        words, missed = f"missed, {error}", True
    except Exception as error:  # the others are tried all the same
        words = f"not tried: {type(error).__name__}: {error}"
        scene.complaints.append(words)
    harms: dict[str, list[str]] = {harm: [] for harm in HARMS}
    if not missed:
        compared = reference() if undisturbed else {}
        try:
            harms = count(scene, compared)
        except Exception as error:  # of a store that cannot be read, such as one that is spoilt
            harms["others"].append(f"not counted: {type(error).__name__}: {error}")
    outcome = Outcome(kind, number, scene, words, harms, missed)
    if not any(harms.values()):
        shutil.rmtree(scene.folder, ignore_errors=True)
    return outcome
