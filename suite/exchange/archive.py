"""Results of a store as one file, and such a file read again.

A zip with `hepbench.json`, which names the machine and for each run its files with their sha256:

    runs/<id>/record.json                 name, times, tags, metrics and hyper-parameters of the run
    runs/<id>/scores.parquet              scores of the test part
    runs/<id>/validation_scores.parquet   of the validation part, where the run has them

Models, plots and values by epoch stay where they are.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import platform
import re
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hepbench.benchmarks.base import UserError
from hepbench.benchmarks.formats.refusal import library_errors, refuse_beyond_memory, shown
from hepbench.suite.atomic import atomic_file
from hepbench.suite.provenance import versions
from hepbench.suite.trial.artifacts import SCORES, VALIDATION_SCORES
from hepbench.tracking.leaderboard.ranking import GROUP, IDENTITY
from hepbench.tracking.printable import printable
from hepbench.tracking.runs import Store, StoreError

FORMAT = 1
CONTENTS, RECORD = "hepbench.json", "record.json"
NO_EXPORT = "no file of hepbench export, or a damaged one: export it again"
MOST_JSON = 2**26
"""Bytes of a text in it that is read."""

OF_A_STORE = ("mlflow.", "process.")
"""What the tags begin with that a store has for itself."""


@dataclass(frozen=True)
class Record:
    """A finished trial. id: in the store that has trained it. started, ended: seconds since 1970."""

    id: str
    name: str
    started: float
    ended: float
    tags: Mapping[str, str]
    metrics: Mapping[str, float]
    parameters: Mapping[str, str]

    @property
    def origin(self) -> str:
        """The id of the run in the store that has trained it, however often it was exported since."""
        return self.tags.get("imported_run", self.id)


@dataclass(frozen=True)
class Packed:
    """A run of an archive that lies unpacked in a folder. host: the machine that it is from."""

    record: Record
    folder: Path
    host: str


def records_of(store: Store, tasks: Iterable[str]) -> list[Record]:
    """The finished trials of these tasks."""
    found = []
    for task in tasks:
        for run in store.runs(task, status="FINISHED", tags={"stage": "final"}):
            if run["tags"].keys() >= {*IDENTITY, *GROUP}:
                tags = {name: text for name, text in run["tags"].items() if not name.startswith(OF_A_STORE)}
                times = (run["start"], max(run["start"], run["end"] or run["start"]))  # a clock may have been set back
                numbers = {name: value for name, value in run["metrics"].items() if math.isfinite(value)}
                found.append(Record(run["id"], run["name"], *times, tags, numbers, run["parameters"]))
    return found


def write(
    out: Path, store: Store, records: Sequence[Record], scratch: Path, progress: Callable[[int], None]
) -> dict[str, str]:
    """Write the runs of these records to an archive, whole or not at all; returns id -> why a run is left out.
    progress: is called after each. scratch: an empty folder. UserError where none is left."""
    left_out, contents = {}, []
    with atomic_file(out) as path, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for record in records:
            try:
                there = [name for name in (SCORES, VALIDATION_SCORES) if name in store.files(record.id)]
                if SCORES not in there:
                    raise StoreError("it keeps no scores")
                files = {name: store.download(record.id, name, scratch / record.id) for name in there}
            except StoreError as error:
                left_out[record.id] = str(error)
                continue
            finally:
                progress(1)
            digests = {}
            for name, file in files.items():
                digests[name] = _sha256(file)
                archive.write(file, f"runs/{record.id}/{name}", zipfile.ZIP_STORED)  # Parquet is compressed itself
            text = json.dumps(dataclasses.asdict(record), indent=1, ensure_ascii=False)
            digests[RECORD] = hashlib.sha256(text.encode()).hexdigest()
            archive.writestr(f"runs/{record.id}/{RECORD}", text)
            contents.append({"run": record.id, "sha256": digests})
        if not contents:
            reasons = "; ".join(sorted(set(left_out.values())))
            raise UserError(f"nothing to export: {reasons or 'no finished run of these tasks'}")
        about = {"format": FORMAT, "made_by": versions(("hepbench",)).get("hepbench", ""), "host": platform.node()}
        archive.writestr(CONTENTS, json.dumps({**about, "runs": contents}, indent=1))
    return left_out


def unpack(path: Path, scratch: Path) -> list[Packed]:
    """The runs of an archive, each into a folder of its own in `scratch`. UserError for a file that is none, and where
    a digest differs."""
    with library_errors(path, NO_EXPORT), zipfile.ZipFile(path) as archive:
        contents = json.loads(_text(path, archive, CONTENTS))
        if not isinstance(contents, dict) or contents.get("format") != FORMAT:
            written = contents.get("format") if isinstance(contents, dict) else None
            raise UserError(
                f"{path}: an export of format {shown(written)}, and this version reads {FORMAT}: export it by this one"
            )
        host = printable(str(contents["host"]))[:60] or "another machine"
        found = []
        for number, one in enumerate(contents["runs"]):
            run, digests = one["run"], one["sha256"]
            if not re.fullmatch("[0-9a-zA-Z]{1,64}", run) or not {SCORES, RECORD} <= set(digests) <= FILES:
                raise UserError(f"{path}: {CONTENTS} names other files than an export has: export it again")
            folder = scratch / str(number)
            folder.mkdir()
            for name, digest in digests.items():
                _extract(path, archive, f"runs/{run}/{name}", folder / name, digest)
            record = _record(path, json.loads((folder / RECORD).read_text(encoding="utf-8")))
            if record.id != run:
                raise UserError(f"{path}: {CONTENTS} and {RECORD} tell other ids of run {run}: export it again")
            found.append(Packed(record, folder, record.tags.get("imported_from", host)))
        if not found:
            raise UserError(f"{path}: it holds no runs: export it where there are some")
        return found


FILES = {SCORES, VALIDATION_SCORES, RECORD}


def _text(path: Path, archive: zipfile.ZipFile, name: str) -> str:
    if archive.getinfo(name).file_size > MOST_JSON:
        raise UserError(f"{path}: {name} is longer than any of an export: export it again")
    return archive.read(name).decode("utf-8")


def _extract(path: Path, archive: zipfile.ZipFile, name: str, to: Path, digest: str) -> None:
    size = archive.getinfo(name).file_size
    if to.name == RECORD and size > MOST_JSON:
        raise UserError(f"{path}: {name} is longer than any of an export: export it again")
    refuse_beyond_memory(path, name, size)
    found = hashlib.sha256()
    with archive.open(name) as packed, to.open("wb") as file:
        while block := packed.read(2**20):
            found.update(block)
            file.write(block)
    if found.hexdigest() != digest:
        raise UserError(
            f"{path}: {name}: its sha256 is {found.hexdigest()[:12]}..., and the export says {shown(digest)[:12]}...: "
            "it was changed or damaged since; export it again"
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _record(path: Path, found: Any) -> Record:
    """UserError where a field is missing or of another type."""
    try:
        record = Record(**found)
        texts = [record.id, record.name, *record.tags, *record.tags.values()]
        texts += [*record.parameters, *record.parameters.values()]
        numbers = [record.started, record.ended, *record.metrics.values()]
        if not all(isinstance(text, str) for text in [*texts, *record.metrics]):
            raise TypeError("a name, tag or hyper-parameter is no text")
        if not all(isinstance(number, int | float) and math.isfinite(number) for number in numbers):
            raise TypeError("a metric or time is no number")
        if not 0 <= record.started <= record.ended < 2**40:
            raise TypeError("its times are none")
        if lacking := sorted({*IDENTITY, *GROUP, "stage"} - record.tags.keys()):
            raise TypeError(f"no {lacking[0]}")
        if record.tags["stage"] != "final" or not re.fullmatch(r"\d{1,18}", record.tags["seed"]):
            raise TypeError("it is of no trial")
        if not re.fullmatch(r"\d{0,18}", record.tags.get("events", "")):
            raise TypeError("events is no number")
        if not record.tags.get("imported_from", "somewhere").strip():
            raise TypeError("imported_from names no machine")
    except (TypeError, AttributeError) as error:
        raise UserError(f"{path}: the record of a run is none ({shown(error)}): export it again") from None
    return record
