"""`hepbench curve`: scores versus the number of training events, printed and as an HTML page."""

from __future__ import annotations

import sys

from rich.table import Table
from rich.text import Text

from hepbench.benchmarks.base import check_known
from hepbench.suite import curve as curve_module
from hepbench.suite import results
from hepbench.suite.commands.console import Console, print_table
from hepbench.suite.curve import HALVINGS, CurveRequest
from hepbench.suite.data.files import events_to_simulate
from hepbench.suite.progress import BenchLines, progress_bar
from hepbench.suite.trial.spec import computed_on
from hepbench.suite.workers.place import Place
from hepbench.tracking.curve import table
from hepbench.tracking.printable import printable

FORMATS = ("table", "markdown")


def curve(asked: CurveRequest, *, dry: bool, form: str, place: Place, console: Console) -> int:
    """Run the trials without results, print the learning curves and write the page. Returns the number of failed
    trials.

    dry: only print what would run. form: one of FORMATS; with "markdown", only the text goes to standard output.
    """
    check_known("format", form, FORMATS)
    names = ", ".join(model.name for model in asked.models)
    console.print(Text.assemble((names, "bold"), " on ", (asked.task.name, "bold"), f": {asked.task.record.title}"))
    numbers = f"{len(asked.train_events)} numbers" if asked.train_events else f"1 to 1/{2**HALVINGS}"
    computed = computed_on(asked.models, asked.backend, asked.device)
    told = f"budget {asked.budget} · {numbers} of the training events · {computed} ({asked.device_reason})"
    console.print(told)
    store = None if dry else results.open_store()
    with BenchLines(console) as listener:
        if store is None:
            if missing := events_to_simulate(asked):
                console.print(f"data: {missing:,} events would be simulated first")
            _print_plan(asked, listener, console)
            return 0
        outcome = curve_module.run(asked, place, store, listener)
    with progress_bar(console, "reading scores:", len(outcome.trials), "runs") as advance:
        found = table.findings(curve_module.result(asked, outcome, store, advance))
    written = curve_module.write(asked, outcome, found, store)
    if form == "markdown":
        sys.stdout.write(printable(curve_module.markdown(asked, found)))
    else:
        for heading, headings, rows in table.tables(found):
            console.print()
            console.print(Text(heading, style="bold"))
            print_table(headings, rows, console)
        for line in table.LEGEND:
            console.print(Text(line, style="dim"))
        for line in table.notes(found):
            console.print(Text(line, style="yellow"))
        for line in table.verdicts(found):
            console.print(Text(line, style="bold"))
    console.print(f"table: {written.tables[0]}", soft_wrap=True)
    console.print(f"page: {written.page}", soft_wrap=True)
    return len(outcome.failures)


def _print_plan(asked: CurveRequest, listener: BenchLines, console: Console) -> None:
    planned = curve_module.plan(asked, listener=listener)
    if planned is None:
        console.print("the number of training runs is known once the data are available")
        return
    for model, reason in {one.trial.model.name: one.reason for one in planned if one.state == "skip"}.items():
        console.print(Text.assemble(("skipped", "yellow"), f" {model}: {reason}"), soft_wrap=True)
    printed = Table("training runs", "seeds", "epochs", "passes per epoch", "")
    words = {"run": Text("to run"), "done": Text("already done", "green")}
    for label in dict.fromkeys(one.label for one in planned if one.state != "skip"):
        some = [one for one in planned if one.label == label]
        pace = [str(some[0].trial.hyperparameters.get(name, "")) for name in ("epochs", "passes")]
        for state in dict.fromkeys(one.state for one in some):
            seeds = [str(one.trial.spec.seed) for one in some if one.state == state]
            printed.add_row(label, " ".join(seeds), *pace, words[state])
    console.print(printed)
