"""`hepbench compare`: two results of a task on the same test events, printed and as an HTML page."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from hepbench.suite import compare as compare_module
from hepbench.suite import results
from hepbench.suite.commands.console import Console, fits, print_table
from hepbench.suite.paths import reports_folder
from hepbench.suite.progress import progress_bar
from hepbench.tracking.comparison import table
from hepbench.tracking.comparison.record import Comparison

Shown = tuple[Sequence[str], Sequence[Sequence[str]]]
"""Headings of columns, and cells."""

FEW_EVENTS = 5
"""Number of the events with the largest disagreement that are printed; the page has more."""


def compare(task: str, one: str, other: str, budget: str | None, console: Console) -> None:
    """Print the difference of each metric and the events on which the two disagree, and write the page."""
    store = results.open_store(to_write=False)
    asked = compare_module.request(task, one, other, store, budget)
    with progress_bar(console, "comparing:", asked.steps, "steps") as advance:
        found = compare_module.compare(asked, store, advance)
    console.print(
        Text.assemble((found.one.name, "bold"), " and ", (found.other.name, "bold"), f" on {found.task}"),
        soft_wrap=True,
    )
    console.print(" · ".join(found.facts), soft_wrap=True, highlight=False)
    for side in (found.one, found.other):
        console.print(Text(table.about(side), style="dim"), soft_wrap=True)
    for line in found.notes:
        console.print(Text(line, style="yellow"), soft_wrap=True)
    for line in table.verdicts(found):
        console.print(Text(line, style="bold"), soft_wrap=True)
    for heading, heads, cells in _tables(found, console.width):
        console.print()
        if heading:
            console.print(Text(heading, style="bold"))
        print_table(heads, cells, console)
    console.print()
    for line in (*table.agreement_lines(found), *table.LEGEND):
        console.print(Text(line, style="dim"))
    try:
        line = f"page: {compare_module.write_page(asked, found)}"
    except OSError as error:
        line = f"page not written: {error.filename or reports_folder()}: {error.strerror or error}"
    console.print(line, soft_wrap=True, highlight=False)


def _tables(found: Comparison, width: int) -> list[tuple[str, Sequence[str], Sequence[Sequence[str]]]]:
    """(heading, headings of columns, cells) of each table that is not empty; narrow ones if the width requires it."""

    def measured(heads: Sequence[Sequence[str]], cells: Sequence[Sequence[Sequence[str]]]) -> Shown:
        narrow = not fits(heads[0], cells[0], width)
        return heads[narrow], cells[narrow]

    heads = [table.headings(found, narrow) for narrow in (False, True)]
    slices = [table.slice_headings(found, narrow) for narrow in (False, True)]
    every = [
        ("", *measured(heads, [table.cells(found, False, narrow) for narrow in (False, True)])),
        ("Slices", *measured(slices, [table.slice_cells(found, narrow) for narrow in (False, True)])),
        ("Where they disagree", table.overlap_headings(found), table.overlap_cells(found)),
        ("Events with the largest score differences", table.odd_headings(found), table.odd_cells(found)[:FEW_EVENTS]),
        ("Costs", table.cost_headings(found), found.costs),
    ]
    return [one for one in every if one[2]]
