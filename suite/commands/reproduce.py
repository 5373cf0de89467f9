"""`hepbench reproduce`: the experiments of a study, its numbers compared with ours, printed and as an HTML page."""

from __future__ import annotations

import sys

from rich import box
from rich.table import Table
from rich.text import Text

from hepbench.benchmarks import study
from hepbench.benchmarks.base import UserError, check_known
from hepbench.suite import reproduce as reproducing
from hepbench.suite import results
from hepbench.suite.atomic import write_atomically
from hepbench.suite.commands.console import Console
from hepbench.suite.paths import reports_folder
from hepbench.suite.progress import ReproduceLines
from hepbench.suite.reproduce import Reproduction
from hepbench.suite.workers.place import Place
from hepbench.tracking import reproduction
from hepbench.tracking.printable import printable

FORMATS = ("table", "markdown")


def print_studies(console: Console) -> None:
    """Print every study with its numbers of experiments and of published numbers."""
    for name in study.names():
        one = study.find(name)
        numbers = sum(len(experiment.reported) for experiment in one.experiments)
        console.print(Text.assemble((name, "bold"), f"  {one.title}"), soft_wrap=True)
        console.print(Text(f"  {one.source}"), soft_wrap=True)
        console.print(Text(f"  {len(one.experiments)} experiments, {numbers} numbers", style="dim"))


def reproduce(asked: Reproduction, *, dry: bool, form: str, place: Place, console: Console) -> int:
    """Run the trials without results, print each published number next to ours, and write the page. Returns the number
    of failed experiments. form: one of FORMATS; with "markdown", only the text goes to standard output."""
    check_known("format", form, FORMATS)
    console.print(Text.assemble((asked.name, "bold"), f": {asked.study.title}"), soft_wrap=True)
    console.print(asked.study.source, highlight=False, soft_wrap=True)
    seeds = len(asked.seeds)
    console.print(
        f"budget {asked.budget} · {seeds} seed{'s' * (seeds > 1)} · {asked.backend} on {asked.device} "
        f"({asked.device_reason})"
    )
    if dry:
        _print_plan(asked, console)
        return 0
    if not any(setup.trials for setup in asked.setups):
        raise UserError(
            f"no experiment of {asked.name} runs within the budget {asked.budget}: {asked.setups[0].left_out}"
        )
    store = results.open_store()
    with ReproduceLines(console) as listener:
        outcome = reproducing.run(asked, place, store, listener)
        page = reproducing.result(asked, outcome, store)
    path = reports_folder() / f"reproduce-{asked.name}.html"
    write_atomically(path, reproduction.render(page))
    if form == "markdown":
        sys.stdout.write(printable(reproduction.markdown(page)))
    else:
        _print(page, console)
    console.print(f"report: {path}", soft_wrap=True)
    return len(outcome.failures)


def _print_plan(asked: Reproduction, console: Console) -> None:
    """Print two lines per experiment: what would run, and its settings."""
    planned = reproducing.plan(asked)
    for setup in asked.setups:
        experiment, settings = setup.experiment, dict(setup.experiment.settings)
        state = Text(f"left out: {setup.left_out}", style="yellow")
        if setup.trials:
            spec = setup.trials[0].spec
            settings = {**spec.parameters, **({"events": spec.events} if spec.events else {})}
            trials = planned[experiment.name]
            done = sum(one.state == "done" for one in trials)
            state = Text(f"{len(trials) - done} to run" + (f", {done} already done" if done else ""), style="green")
        console.print(Text.assemble((experiment.name, "bold"), "  ", state), soft_wrap=True)
        words = [experiment.task, experiment.model, *(f"{name}={value}" for name, value in settings.items())]
        console.print(Text(f"  {' '.join(words)}"), soft_wrap=True)
        if setup.reduced:
            console.print(Text(f"  {'; '.join(setup.reduced)}", style="dim"), soft_wrap=True)


def _print(page: reproduction.Page, console: Console) -> None:
    for part in page.parts:
        console.print()
        console.print(Text.assemble((part.name, "bold"), f"  {part.title}"))
        for line in (
            " · ".join(part.facts),
            f"reduced by the budget: {'; '.join(part.reduced)}" if part.reduced else "",
            f"not run: {part.left_out}" if part.left_out else "",
        ):
            if line:
                console.print(Text(line, style="dim"))
        if part.numbers:
            cells = [[number.what, number.document, number.here, number.difference] for number in part.numbers]
            _print_table(("number", "original", "here", "difference"), cells, console)
        if part.modes:
            _print_table(reproduction.MODE_HEADINGS, reproduction.mode_rows(part), console)
            console.print(Text(part.modes_in_words))
    for compared in page.comparisons:
        console.print()
        console.print(Text(compared.question, style="bold"))
        console.print(Text(f"original: {compared.statement}", style="dim"))
        _print_table(["experiment", *compared.columns], compared.rows, console)
    for what, command in page.elsewhere.items():
        console.print(Text(f"{what}: {command}"), soft_wrap=True)
    console.print()
    for line in reproduction.LEGEND:
        console.print(Text(line, style="dim"))


def _print_table(headings: reproduction.Cells, rows: reproduction.Rows, console: Console) -> None:
    table = Table(*headings, box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)
