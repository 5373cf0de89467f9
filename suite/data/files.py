"""The raw files of a task: official or simulated, their locations and digests."""

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
    """The official files of a task if enough are present: in its folder, or shipped in a package. UserError for files
    in a custom layout without a valid declaration."""
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
    """Folder of a simulation's files. Its name contains the digest of the generators' code, so that data from older
    code are not used."""
    version = fingerprint.code_of_generators(entry)[:8]
    name = entry.record.simulation.name if entry.record.simulation else ""
    return simulations_folder(entry.dataset) / f"{name}{'_' * bool(name)}n{events}_seed{seed}_{version}"


def list_of_written(folder: Path) -> Path:
    """File next to this folder with the names of the files that a simulation wrote into it."""
    return folder.parent / f".{folder.name}.files"


def simulated_files(folder: Path) -> list[Path]:
    """The files of a simulation, without others in the folder; all files if there is no list."""
    listed = list_of_written(folder)
    names = set(listed.read_text(encoding="utf-8").splitlines()) if listed.is_file() else None
    return sorted((path for path in folder.iterdir() if names is None or path.name in names), reverse=True)


def choose(entry: Entry[Task], kind: str) -> str:
    """Meaning of `auto` for this task now, or the given kind if the task supports it: official or simulated."""
    check_known("data", kind, KINDS)
    task = entry.record
    if kind == "auto":
        kind = "official" if official(entry) or not task.simulation else "simulated"
    if kind == "simulated" and not task.simulation:
        raise UserError(f"task {entry.name} has only genuine data: omit DATA, or give DATA=official")
    if kind == "official" and not official(entry):
        raise UserError(f"the official files of {entry.name} are missing: run make data TASK={entry.name}")
    return kind


def events_wanted(entry: Entry[Task], budget_events: int | None) -> int:
    """Number of events that a simulation generates under a budget: at most that of the official dataset. A variant with
    fewer classes than are simulated has as many events of each as if it had them all."""
    events = min(n for n in (budget_events, entry.record.size) if n is not None)
    return math.ceil(events * len(simulated_classes(entry)) / len(entry.record.classes))


class DataAsked(Protocol):
    """A command's request for data of a task: kind of data, budget, and events in place of the budget's."""

    @property
    def task(self) -> Entry[Task]: ...

    @property
    def data(self) -> str: ...

    @property
    def budget(self) -> str: ...

    @property
    def events(self) -> int | None: ...


def events_to_simulate(asked: DataAsked) -> int:
    """Number of events to be simulated before anything runs; 0 if the data exist."""
    most = budgets.most_events(asked.budget, asked.events)
    missing = asked.data == "simulated" and not is_simulated(asked.task, most)
    return events_wanted(asked.task, most) if missing else 0


def simulated_classes(entry: Entry[Task]) -> tuple[str, ...]:
    """Classes that the simulation of a task generates, in the order of its class index: also for a variant all classes
    of the task, unless it has its own simulation."""
    return (entry.record.simulation and entry.record.simulation.classes) or entry.base.classes


def check_published(entry: Entry[Task], paths: list[Path]) -> None:
    """Raises UserError for an official file with another sha256 or md5 than the published one. Some publishers give
    none, and files in a group's own layout have none."""
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
                f"{fix}; for your own file write a task with a Source without {kind}"
            )


def digest_of_files(paths: list[Path]) -> str:
    """sha256 over the sha256 of each file, in order."""
    return hashlib.sha256("".join(map(digest_of_file, paths)).encode()).hexdigest()


def digest_of_file(path: Path, kind: str = "sha256") -> str:
    """sha256 or md5 of a file, cached with its state, so that gigabytes are read once."""
    path = path.resolve()
    before = state_of(path)
    kept = data_folder() / ("digests.json" if kind == "sha256" else f"digests_{kind}.json")
    known = _known_digests(kept)
    if known.get(str(path), [None])[0] == before:
        return str(known[str(path)][1])
    digest = _digest(path, kind)
    if state_of(path) == before:
        with contextlib.suppress(OSError):  # a cache: may belong to another user, on a full disk or a read-only home
            write_atomically(kept, json.dumps({**_known_digests(kept), str(path): [before, digest]}, indent=1))
    return digest


def changed_since(folder: Path) -> Path | None:
    """A file of the folder that is missing or has changed since its digest was cached; None if none is known."""
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
    """State that changes whenever a file's content does: inode, size, mtime and ctime; no program can set back the
    last."""
    state = path.stat()
    return [state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns]


def _known_digests(path: Path) -> dict[str, Any]:
    """File -> [state, digest], as far as readable: anything truncated or of another user is computed again."""
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
    """Whether the simulated files for a budget of this number of events exist."""
    return simulated_folder(task, events_wanted(task, events), 0).is_dir()
