"""`hepbench measure statistics`: toy studies of the errors of the metrics and of the tests."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.table import Table

from hepbench.benchmarks.base import check_known
from hepbench.suite.commands.console import Console
from hepbench.suite.profiling import coverage
from hepbench.suite.progress import progress_bar
from hepbench.tracking.printable import markdown_table

FORMS = ("table", "markdown")
COVERED = [
    "events",
    "distance",
    "quantity",
    "truth",
    "toys with a value",
    *(f"{level:.0%}" for level in coverage.LEVELS),
]
TESTED = ["events", "distance", "metric", "type I error rate", "power", "power, unpaired test"]


def measure_statistics(events: Sequence[int], toys: int, form: str, console: Console) -> None:
    """Print a table of the coverage of intervals and one of the tests, from this many toys of this many events each."""
    check_known("format", form, FORMS)
    with progress_bar(
        console, "toys", sum(number for *_, number, _ in coverage.studies(events, toys)), "toys"
    ) as advance:
        covered, tested = coverage.every(events, toys, advance)
    lines = [
        [
            f"{one.events:,}",
            f"{one.distance:g}",
            one.quantity,
            f"{one.truth:.4g}",
            f"{one.measured:.0%}",
            *(f"{share:.1%}" for share in one.covered),
        ]
        for one in covered
    ]
    tests = [
        [
            f"{one.events:,}",
            f"{one.distance:g}",
            one.metric,
            *(f"{share:.1%}" for share in (one.false, one.power, one.independent)),
        ]
        for one in tested
    ]
    for title, headings, cells in (
        ("Coverage of intervals", COVERED, lines),
        ("Tests of a difference at the 5 % level", TESTED, tests),
    ):
        if form == "markdown":
            rule = [":---" if name in ("quantity", "metric") else "---:" for name in headings]
            sys.stdout.write("\n".join([f"**{title}**", "", *markdown_table([headings, rule, *cells]), "", ""]))
            continue
        table = Table(title=title, title_justify="left")
        for name in headings:
            table.add_column(name, justify="left" if name in ("quantity", "metric") else "right")
        for line in cells:
            table.add_row(*line)
        console.print(table)
