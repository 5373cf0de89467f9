"""`hepbench measure metrics`: how long the metrics of many scores take."""

from __future__ import annotations

import sys

from rich.table import Table

from hepbench.benchmarks.base import check_known
from hepbench.suite.commands.console import Console
from hepbench.suite.commands.measure_statistics import FORMS
from hepbench.suite.profiling import metrics
from hepbench.suite.progress import progress_bar
from hepbench.tracking.hardware.machine import describe_machine
from hepbench.tracking.printable import markdown_table

HEADINGS = ["what", "s of one core", "times numpy.argsort"]


def measure_metrics(events: int, form: str, console: Console) -> None:
    """Print a table of the core's time that metrics of so many events take."""
    check_known("format", form, FORMS)
    with progress_bar(console, "measuring", metrics.STEPS, "steps") as advance:
        found = metrics.costs(events, advance)
    title = f"{events:,} events, {describe_machine()['cpu']}"
    lines = [[one.what, f"{one.seconds:.3g}", f"{one.sorts:.3g}"] for one in found]
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
