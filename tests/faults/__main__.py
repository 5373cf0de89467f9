"""python -m faults [KIND | KIND:NUMBER]...: all faults, those of a kind, or one."""

from __future__ import annotations

import concurrent.futures
import csv
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

from faults.commands import reference
from faults.counting import HARMS
from faults.kinds import KINDS, Kind, Outcome, attempt
from hepbench.tracking.hardware.machine import cores_usable

DOCS = Path(__file__).parents[2] / "docs"
AT_ONCE = 3


def main(asked: list[str]) -> int:
    """Exit status 1 where a fault did harm. A call of all faults writes the table of the pages, which is thus of one
    call."""
    faults = chosen(asked)
    folder = Path(tempfile.mkdtemp(prefix="hepbench-faults-"))
    began = time.monotonic()
    reference()  # before the first fault: where an undisturbed call fails, there is nothing to break
    outcomes = []
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        waiting = [pool.submit(attempt, kind, number, folder) for kind, number in faults]
        for done in concurrent.futures.as_completed(waiting):
            outcomes.append(done.result())
            minutes = (time.monotonic() - began) / 60
            print(f"{len(outcomes)}/{len(faults)} {minutes:.1f} min {outcomes[-1].line}", flush=True)
    minutes = (time.monotonic() - began) / 60
    print(f"\n{table(outcomes)}\n{minutes:.0f} minutes")
    bad = [one for one in outcomes if any(one.harms.values())]
    for one in bad:
        print(f"\nmake faults ONLY={one.kind.name}:{one.number}   {one.scene.folder}")
        print("\n".join(f"  {harm}: {line}" for harm, lines in one.harms.items() for line in lines[:5]))
    if not asked:
        write(outcomes, minutes)
    if not bad:
        shutil.rmtree(folder)
    return min(len(bad), 1)


def chosen(asked: list[str]) -> list[tuple[Kind, int]]:
    """Faults by name; those that take long begin first."""
    every = [(kind, number) for kind in KINDS.values() for number in range(kind.number)]
    if not asked:
        return every
    known = {name for kind, number in every for name in (kind.name, f"{kind.name}:{number}")}
    if unknown := [name for name in asked if name not in known]:
        kinds = ", ".join(f"{kind.name}:0-{kind.number - 1}" for kind in KINDS.values())
        raise SystemExit(f"error: no fault {unknown[0]!r}; there are {kinds}")
    return [(kind, number) for kind, number in every if {kind.name, f"{kind.name}:{number}"} & set(asked)]


HEADINGS = ("kind", "title", "tried", "survived", *HARMS)


def row(kind: Kind, outcomes: list[Outcome]) -> list[str]:
    """How often each harm was done by the faults of a kind."""
    harms = [sum(len(one.harms[harm]) for one in outcomes) for harm in HARMS]
    tried = sum(not one.missed for one in outcomes)
    return [kind.name, kind.title, *map(str, [tried, sum(one.survived for one in outcomes), *harms])]


def of_kinds(outcomes: list[Outcome]) -> dict[str, list[Outcome]]:
    return {name: found for name in KINDS if (found := [one for one in outcomes if one.kind.name == name])}


def table(outcomes: list[Outcome]) -> str:
    rows = [HEADINGS, *(row(KINDS[name], some) for name, some in of_kinds(outcomes).items())]
    lines = [[name, *numbers] for name, _, *numbers in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)


def write(outcomes: list[Outcome], minutes: float) -> None:
    """The table of the pages, with what it is of: docs/faults.csv, and with docs/tables.py docs/tables/faults.md."""
    with (DOCS / "faults.csv").open("w", newline="") as file:
        took = f"{minutes:.0f} minutes on {cores_usable():g} cores"
        file.write(f"# One call of all {len(outcomes)} faults, {date.today():%-d %B %Y}, {took}\n")
        lines = [HEADINGS, *(row(KINDS[name], some) for name, some in of_kinds(outcomes).items())]
        csv.writer(file, lineterminator="\n").writerows(lines)
    subprocess.run([sys.executable, DOCS / "tables.py"], check=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
