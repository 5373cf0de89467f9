"""The raw files of a task: official or simulated, where they lie, and their digests."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hepbench.benchmarks import budgets
from hepbench.benchmarks.base import Task, UserError, check_known
from hepbench.benchmarks.registry import Entry
from hepbench.suite import fingerprint
from hepbench.suite.atomic import write_atomically
from hepbench.suite.paths import data_folder, official_folder, simulations_folder

KINDS = ("auto", "official", "simulated")


@dataclass(frozen=True)
class Files:
    """The raw files of one dataset. kind: "official" or "simulated". digest: sha256 over the files' own digests."""

    kind: str
    paths: list[Path]
    digest: str


def official(entry: Entry[Task]) -> list[Path] | None:
    """The official files of a task where enough are in place: in its folder, or carried by a package. UserError for
    files that are there in a layout which nothing or nothing right declares."""
    task = entry.record
    folder = official_folder(entry.dataset)
    if task.custom_layout and (declared := task.custom_layout(folder)):
        return declared
    there = [source for source in task.sources if (folder / source.name).is_file()]
    without = [source for source in task.sources if source not in there and not source.optional]
    if there and (not without if task.required_sources is None else len(there) >= task.required_sources):
        return [folder / source.name for source in there]
    return task.locate() if task.locate else None


def simulated_folder(entry: Entry[Task], events: int, seed: int) -> Path:
    """Where a simulation's files lie. The name holds the generators' code, so that data of an older one stay behind."""
    version = fingerprint.code_of_generators(entry)[:8]
    name = entry.record.simulation.name if entry.record.simulation else ""
    return simulations_folder(entry.dataset) / f"{name}{'_' * bool(name)}n{events}_seed{seed}_{version}"


def list_of_written(folder: Path) -> Path:
    """Where the names of the files stand that a simulation wrote into this folder: beside it."""
    return folder.parent / f".{folder.name}.files"


def simulated_files(folder: Path) -> list[Path]:
    """The files of a simulation, whatever else was put beside them; all of the folder where nothing lists them."""
    listed = list_of_written(folder)
    names = set(listed.read_text(encoding="utf-8").splitlines()) if listed.is_file() else None
    return sorted((path for path in folder.iterdir() if names is None or path.name in names), reverse=True)


def choose(entry: Entry[Task], kind: str) -> str:
    """What `auto` means for this task now, or the given kind if the task can serve it: official or simulated."""
    check_known("data", kind, KINDS)
    task = entry.record
    if kind == "auto":
        kind = "official" if official(entry) or not task.simulation else "simulated"
    if kind == "simulated" and not task.simulation:
        raise UserError(f"task {entry.name} has genuine data only: leave DATA=auto, or give DATA=official")
    if kind == "official" and not official(entry):
        raise UserError(f"the official files of {entry.name} are not here: run make data TASK={entry.name}")
    return kind


def events_wanted(entry: Entry[Task], budget_events: int | None) -> int:
    """How many events a simulation makes under a budget: the official dataset's number at most. A variant with fewer
    classes than are simulated has as many events of each as if they were all."""
    events = min(n for n in (budget_events, entry.record.size) if n is not None)
    return math.ceil(events * len(simulated_classes(entry)) / len(entry.record.classes))


class DataAsked(Protocol):
    """What a command asks for of a task: kind of data, budget, and events in place of the budget's."""

    @property
    def task(self) -> Entry[Task]: ...

    @property
    def data(self) -> str: ...

    @property
    def budget(self) -> str: ...

    @property
    def events(self) -> int | None: ...


def events_to_simulate(asked: DataAsked) -> int:
    """How many events are to be simulated before anything runs; 0 where the data are there."""
    most = budgets.most_events(asked.budget, asked.events)
    missing = asked.data == "simulated" and not is_simulated(asked.task, most)
    return events_wanted(asked.task, most) if missing else 0


def simulated_classes(entry: Entry[Task]) -> tuple[str, ...]:
    """What the simulation of a task makes, in the order of its class index: for a variant, too, all classes of the
    task, unless it has a simulation of its own."""
    return (entry.record.simulation and entry.record.simulation.classes) or entry.base.classes


def check_published(entry: Entry[Task], paths: list[Path]) -> None:
    """Raises UserError for a file that counts as official and has another sha256 or md5 than is published. Some
    publishers give none, and files of a group's own layout have none."""
    folder = official_folder(entry.dataset)
    published = {folder / source.name: source.digest for source in entry.record.sources if source.digest}
    for path in paths:
        carried = path.parent != folder  # by a package, under a name of its own
        known = list(published.values()) if carried else [published[path]] if path in published else []
        if not known:
            continue
        kind = known[0][0]
        if (digest := digest_of_file(path, kind)) not in (expected := [of for _, of in known]):
            fix = "Reinstall the package" if carried else f"Remove it and run make data TASK={entry.dataset}"
            raise UserError(
                f"{path}: {kind} is {digest}, published is {' or '.join(expected)}: it is not the official file. "
                f"{fix}; for a file of your own write a task with a Source without {kind}"
            )


def digest_of_files(paths: list[Path]) -> str:
    """sha256 over the sha256 of each file, in order."""
    return hashlib.sha256("".join(map(digest_of_file, paths)).encode()).hexdigest()


def digest_of_file(path: Path, kind: str = "sha256") -> str:
    """sha256 or md5 of a file, kept beside its state, so that gigabytes are read once."""
    path = path.resolve()
    before = state_of(path)
    kept = data_folder() / ("digests.json" if kind == "sha256" else f"digests_{kind}.json")
    known = _known_digests(kept)
    if known.get(str(path), [None])[0] == before:
        return str(known[str(path)][1])
    digest = _digest(path, kind)
    if state_of(path) == before:
        with contextlib.suppress(OSError):  # it is a cache: of another user, on a full disk, in a home to be read only
            write_atomically(kept, json.dumps({**_known_digests(kept), str(path): [before, digest]}, indent=1))
    return digest


def changed_since(folder: Path) -> Path | None:
    """A file of the folder that is gone or has changed since its digest was kept; None where none is known to."""
    for name, (state, digest) in _known_digests(data_folder() / "digests.json").items():
        path = Path(name)
        if path.parent == folder.resolve() and not (
            path.is_file() and (state_of(path) == state or _digest(path, "sha256") == digest)
        ):
            return path
    return None


def _digest(path: Path, kind: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()


def state_of(path: Path) -> list[int]:
    """What changes whenever a file's content does: inode, size, and the times of the change of content and of state;
    the last no program sets back."""
    state = path.stat()
    return [state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns]


def _known_digests(path: Path) -> dict[str, Any]:
    """File -> [state, digest], as far as that can be read: what was cut or is another's is computed again."""
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    entries = known.items() if isinstance(known, dict) else ()
    return {
        key: value for key, value in entries if isinstance(value, list) and len(value) == 2 and _is_digest(value[1])
    }


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}|[0-9a-f]{32}", value) is not None


def is_simulated(task: Entry[Task], events: int | None) -> bool:
    """Whether the files that a simulation under a budget of so many events makes are there."""
    return simulated_folder(task, events_wanted(task, events), 0).is_dir()
