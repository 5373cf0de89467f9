"""`hepbench measure metrics`: the computing time of metrics on many scores."""

from __future__ import annotations

import sys

from rich.table import Table

from hepbench.benchmarks.base import check_known
from hepbench.suite.commands.console import Console
from hepbench.suite.commands.measure_statistics import FORMS
from hepbench.suite.profiling import metrics
from hepbench.suite.progress import progress_bar
from hepbench.tracking.hardware.machine import describe_machine
from hepbench.tracking.numbers import significant_digits
from hepbench.tracking.printable import markdown_table

HEADINGS = ["metric", "s on one core", "relative to numpy.argsort"]


def measure_metrics(events: int, form: str, console: Console) -> None:
    """Print a table of the single-core time of metrics on this many events."""
    check_known("format", form, FORMS)
    with progress_bar(console, "measuring", metrics.STEPS, "steps") as advance:
        found = metrics.costs(events, advance)
    title = f"{events:,} events, {describe_machine()['cpu']}"
    lines = [[one.what, significant_digits(one.seconds), significant_digits(one.sorts)] for one in found]
    if form == "markdown":
        sys.stdout.write(
            "\n".join([f"**{title}**", "", *markdown_table([HEADINGS, [":---", "---:", "---:"], *lines]), ""])
        )
        return
    table = Table(title=title, title_justify="left")
    for place, heading in enumerate(HEADINGS):
        table.add_column(heading, justify="right" if place else "left")
    for line in lines:
        table.add_row(*line)
    console.print(table)
