"""`hepbench bench`: every model that can serve a task, on each seed, to a leaderboard."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from hepbench.benchmarks.base import Task
from hepbench.benchmarks.registry import Entry
from hepbench.suite import campaign, results, shifted
from hepbench.suite.campaign import Bench, PlannedTrial
from hepbench.suite.commands import leaderboard
from hepbench.suite.commands.console import Console
from hepbench.suite.data.files import events_to_simulate
from hepbench.suite.progress import BenchLines, DataLines, progress_bar
from hepbench.suite.trial.spec import computed_on
from hepbench.suite.workers.place import Place
from hepbench.tracking.runs import Store

CURVES = "every run, with its curves, plots and hardware: make ui"


def bench(
    asked: Bench,
    *,
    tuned: bool,
    dry: bool,
    place: Place,
    console: Console,
    columns: Sequence[str] = (),
    shifts: Sequence[str] = (),
) -> int:
    """Run what has not been run and print the leaderboard. Returns the number of trials that failed.

    tuned: with the best hyper-parameters that studies found. dry: print what would run, and run nothing.
    columns: of the table, in place of the usual ones. shifts: shifted samples that the trained models are scored on.
    """
    results.check_columns([asked.task], columns)
    if shifts:
        shifted.check(asked, shifts)
    store = None if dry else results.open_store()
    failed, parent = _run(asked, tuned, place, store, console, shifts)
    if store:
        leaderboard.write(asked.task, store, console, columns)
        if parent:
            results.keep_ranking(asked.task, store, parent)
        console.print(CURVES)
    return failed


def bench_variants(
    every: Sequence[Bench], *, tuned: bool, dry: bool, place: Place, console: Console, shifts: Sequence[str] = ()
) -> int:
    """The same for the variants of a task, one after the other, with one table of all at the end."""
    for asked in every if shifts else ():
        shifted.check(asked, shifts)
    store = None if dry else results.open_store()
    failed, parents = 0, dict[str, Entry[Task]]()
    for asked in every:
        unsuccessful, parent = _run(asked, tuned, place, store, console, shifts)
        failed += unsuccessful
        parents |= {parent: asked.task} if parent else {}
        console.print()
    if store:
        leaderboard.write_variants([asked.task for asked in every], store, console)
        for parent, task in parents.items():
            results.keep_ranking(task, store, parent)
        console.print(CURVES)
    return failed


def _run(
    asked: Bench, tuned: bool, place: Place, store: Store | None, console: Console, shifts: Sequence[str]
) -> tuple[int, str | None]:
    """Run what has not been run; without a store print what that is. Returns the number of trials that failed, and the
    id of the run that they belong to."""
    if tuned:
        asked, studies = campaign.with_tuned(asked)
        for model, study in studies.items():
            taken = f"hyper-parameters of study {study}" if study else "not tuned, its defaults are taken"
            console.print(f"{model}: {taken}")
    seeds = len(asked.seeds)
    computed = computed_on(asked.models, asked.backend, asked.device)
    events = f", {asked.events:,} events" if asked.events else ""
    console.print(Text.assemble((asked.task.name, "bold"), f": {asked.task.record.title}"))
    console.print(
        f"budget {asked.budget}{events} · {seeds} seed{'s' * (seeds > 1)} · {computed} ({asked.device_reason})"
    )
    with BenchLines(console) as listener:
        if store is None:
            if missing := events_to_simulate(asked):
                console.print(f"data: {missing:,} events would be simulated first")
            _print_plan(campaign.plan(asked, listener=listener), console)
            return 0, None
        outcome = campaign.run(asked, place, store, listener)
    if shifts:
        _score_shifted(asked, shifts, outcome.trials, store, console)
    return len(outcome.failures), outcome.parent


def _score_shifted(
    asked: Bench, shifts: Sequence[str], trials: Sequence[PlannedTrial], store: Store, console: Console
) -> None:
    with DataLines(console) as listener:
        opened, notes = shifted.open_shifts(asked, shifts, listener)
    runs = shifted.runs_of(asked, trials, store)
    with progress_bar(console, "shifted samples:", len(opened) * len(runs), "scored") as advance:
        notes += shifted.score_runs(asked.task, runs, opened, store, advance)
    for line in notes:
        console.print(Text(line, style="yellow"), soft_wrap=True)


def _print_plan(plan: Sequence[PlannedTrial], console: Console) -> None:
    table = Table("model", "seed", "", "why")
    words = {"run": Text("to run"), "done": Text("already done", "green"), "skip": Text("skipped", "yellow")}
    for one in plan:
        table.add_row(one.trial.model.name, str(one.trial.spec.seed), words[one.state], one.reason)
    console.print(table)
