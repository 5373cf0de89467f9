"""python -m faults [KIND | KIND:NUMBER]...: all faults, those of a kind, or one."""

from __future__ import annotations

import concurrent.futures
import csv
import shutil
import sys
import tempfile
import time
from pathlib import Path

from faults.commands import reference
from faults.counting import HARMS
from faults.kinds import KINDS, Kind, Outcome, attempt

CSV = Path(__file__).parents[2] / "docs" / "faults.csv"
AT_ONCE = 3


def main(asked: list[str]) -> int:
    """Exit status 1 where a fault did harm. Kinds that were tried in full have their rows in the table of the pages
    written."""
    faults = chosen(asked)
    folder = Path(tempfile.mkdtemp(prefix="hepbench-faults-"))
    began = time.monotonic()
    reference()  # before the first fault: where an undisturbed call fails, there is nothing to break
    outcomes = []
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        waiting = [pool.submit(attempt, kind, number, folder) for kind, number in faults]
        for done in concurrent.futures.as_completed(waiting):
            outcomes.append(done.result())
            print(f"{len(outcomes)}/{len(faults)} {outcomes[-1].line}", flush=True)
    print(f"\n{table(outcomes)}\n{(time.monotonic() - began) / 60:.0f} minutes")
    bad = [one for one in outcomes if any(one.harms.values())]
    for one in bad:
        print(f"\nmake faults ONLY={one.kind.name}:{one.number}   {one.scene.folder}")
        print("\n".join(f"  {harm}: {line}" for harm, lines in one.harms.items() for line in lines[:5]))
    write(outcomes)
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


def write(outcomes: list[Outcome]) -> None:
    """The rows of kinds that were tried in full; the others stay."""
    rows = {}
    if CSV.is_file():
        with CSV.open(newline="") as file:
            rows = {line[0]: line for line in csv.reader(file)}
    whole = {name: some for name, some in of_kinds(outcomes).items() if len(some) == KINDS[name].number}
    rows |= {name: row(KINDS[name], some) for name, some in whole.items()}
    if whole:
        with CSV.open("w", newline="") as file:
            lines = [HEADINGS, *(rows[name] for name in KINDS if name in rows)]
            csv.writer(file, lineterminator="\n").writerows(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
