"""Everything that needs a GPU, in one command of ten minutes: parts, the most valuable first, each in its own process
with a time limit, so that one that fails, hangs or crashes does not affect the others. Results are written after every
line.

On a machine without a GPU, or if requested, it is a dry run: the same parts on the CPU, with a few
events, to see that they run. Nothing of a dry run is a figure of anything.
"""

from __future__ import annotations

import csv
import io
import multiprocessing
import platform
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from hepbench.benchmarks.base import UserError, as_text, check_known
from hepbench.suite import device
from hepbench.suite.atomic import write_atomically
from hepbench.suite.processes import end_with_parent, without_main_file
from hepbench.suite.provenance import versions
from hepbench.tracking.hardware import machine
from hepbench.tracking.printable import markdown_table

BACKEND = "jax"

SECONDS = 570.0
"""Time limit of all parts together."""

MARKDOWN, CSV, ERRORS = "gpu.md", "gpu.csv", "gpu-errors.txt"
"""Files of the results."""

PROGRAMS = ("hepbench", "jax", "jaxlib", "keras", "torch", "weaver-core", "xgboost", "xgboost-cpu", "mlflow", "numpy")

Value = float | str


@dataclass(frozen=True)
class Setting:
    """dry: on the CPU with a few events. device: "gpu", or "cpu" for a dry run."""

    dry: bool
    device: str


@dataclass(frozen=True)
class Line:
    """Measurements of a subject, by name with units. passed: result of a check; None if nothing is checked."""

    subject: str
    values: Mapping[str, Value]
    passed: bool | None = None


@dataclass(frozen=True)
class Part:
    """seconds: its limit, if all are measured in `SECONDS`. measure: yields results as they become available."""

    title: str
    seconds: float
    measure: Callable[[Setting], Iterator[Line]]


@dataclass(frozen=True)
class Measured:
    """A part, its measurements, the seconds they took, and why some are missing."""

    name: str
    title: str
    lines: tuple[Line, ...] = ()
    seconds: float = 0.0
    lacks: str = ""
    details: str = field(default="", repr=False)

    @property
    def failures(self) -> int:
        """Number of failed checks, plus 1 if the part did not complete."""
        return sum(line.passed is False for line in self.lines) + bool(self.lacks)


Listener = Callable[[Measured], None]
"""Called with a part after each of its lines, and at its end."""


def setting_of(dry: bool) -> tuple[Setting, str]:
    """What can be measured here, and why. UserError if JAX is not installed."""
    chosen, reason = device.resolve("cpu" if dry else "auto", BACKEND)
    return Setting(chosen == "cpu", chosen), "a dry run was requested" if dry else reason


def run(
    parts: Mapping[str, Part],
    setting: Setting,
    out: Path,
    only: Sequence[str] = (),
    seconds: float = SECONDS,
    listener: Listener = lambda _: None,
) -> list[Measured]:
    """Measure all parts, or `only` these, within this number of seconds, and write `out`/gpu.md and gpu.csv."""
    for name in only:
        check_known("part", name, parts)
    out.mkdir(parents=True, exist_ok=True)
    chosen = {name: part for name, part in parts.items() if not only or name in only}
    until = time.monotonic() + seconds
    scale = seconds / sum(part.seconds for part in chosen.values())
    measured: list[Measured] = []
    for name, part in chosen.items():
        left = until - time.monotonic()
        limit = left if setting.dry else min(scale * part.seconds, left)
        for state in _in_process(name, part, setting, limit):
            write(out, setting, [*measured, state])
            listener(state)
        measured.append(state)
    return measured


def _in_process(name: str, part: Part, setting: Setting, limit: float) -> Iterator[Measured]:
    """The part at its start, after each line, and at its end."""
    found = Measured(name, part.title)
    if limit < 1:
        yield replace(found, lacks="not measured: no time was left")
        return
    yield found
    started = time.monotonic()
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    with without_main_file():
        process = context.Process(target=_measure, args=(part, setting, theirs))
        process.start()
    theirs.close()
    lacks, details = "", ""
    try:
        while True:
            if not ours.poll(max(0.0, started + limit - time.monotonic())):
                lacks = f"stopped at its limit of {limit:.0f} s"
                break
            kind, value = ours.recv()
            if kind != "line":
                lacks, details = value
                break
            seconds = time.monotonic() - started
            found = replace(found, lines=(*found.lines, value), seconds=seconds)
            yield found
    except EOFError:
        process.join(10)
        lacks = f"its process ended with status {process.exitcode}"
    finally:
        process.kill()
        process.join()
        ours.close()
    yield replace(found, seconds=time.monotonic() - started, lacks=lacks, details=details)


def _measure(part: Part, setting: Setting, connection: Connection) -> None:
    """Runs in the process of a part."""
    end_with_parent()
    lacks = ("", "")
    try:
        device.load_keras(setting.device, BACKEND, ours=True)
        for line in part.measure(setting):
            connection.send(("line", line))
    except UserError as error:
        lacks = (f"not measured: {error}", "")
    except Exception as error:
        first = next(iter(str(error).strip().splitlines()), "")
        lacks = (f"failed: {type(error).__name__}: {first}", traceback.format_exc())
    connection.send(("end", lacks))


def write(out: Path, setting: Setting, measured: Sequence[Measured]) -> None:
    """gpu.md, gpu.csv, and gpu-errors.txt if something failed."""
    write_atomically(out / MARKDOWN, _markdown(setting, measured))
    write_atomically(out / CSV, _csv(setting, measured))
    if details := "\n".join(f"{one.name}\n{one.details}" for one in measured if one.details):
        write_atomically(out / ERRORS, details)


def _where(setting: Setting) -> dict[str, str]:
    described = machine.describe_machine()
    processor = f"{described['cpu']}, {described['cores_usable']} cores"
    gpu = described["gpus"][0] if setting.device == "gpu" else None
    return {
        "device": f"{gpu['name']}, driver {gpu['driver']}" if gpu else f"{processor}: a dry run, no GPU",
        "processor": processor,
        "date": str(date.today()),
        "versions": ", ".join(f"{name} {found}" for name, found in _versions().items()),
    }


def _versions() -> dict[str, str]:
    found = {"Python": platform.python_version(), **versions(PROGRAMS)}
    return {name: version for name, version in found.items() if version}


def _markdown(setting: Setting, measured: Sequence[Measured]) -> str:
    where = _where(setting)
    text = ["# What was measured on a GPU" if not setting.dry else "# Dry run: nothing here is a figure of a GPU", ""]
    text += [f"{name}: {value}  " for name, value in where.items()]
    for one in measured:
        text += ["", f"## {one.title}", "", f"`--only {one.name}`, {one.seconds:.0f} s{_verdict(one)}"]
        if one.lacks:
            text += ["", one.lacks]
        if one.lines:
            names = list(dict.fromkeys(name for line in one.lines for name in line.values))
            rows = [[line.subject, *(shown(line.values.get(name, "")) for name in names)] for line in one.lines]
            if checked := any(line.passed is not None for line in one.lines):
                for row, line in zip(rows, one.lines, strict=True):
                    row.append({True: "passed", False: "FAILED", None: ""}[line.passed])
            head = ["", *names, *(["check"] if checked else [])]
            text += ["", *markdown_table([head, [":---", *["---:"] * (len(head) - 1)], *rows])]
    return "\n".join(text) + "\n"


def _verdict(one: Measured) -> str:
    checked = [line.passed for line in one.lines if line.passed is not None]
    return f", {sum(checked)} of {len(checked)} checks passed" if checked else ""


def shown(value: Value) -> str:
    """Text of a table cell."""
    if isinstance(value, str):
        return value
    return "–" if value != value else f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _csv(setting: Setting, measured: Sequence[Measured]) -> str:
    """One line per number."""
    where = _where(setting)
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["device", "date", "part", "subject", "quantity", "value", "passed"])
    for one in measured:
        common: list[Any] = [where["device"], where["date"], one.name]
        for line in one.lines:
            passed = "" if line.passed is None else line.passed
            lines.writerows(
                [*common, line.subject, *(name, as_text(value)), passed] for name, value in line.values.items()
            )
        if one.lacks:
            lines.writerow([*common, "", "lacks", one.lacks, ""])
    return text.getvalue()
