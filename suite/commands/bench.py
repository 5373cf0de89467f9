"""`hepbench bench`: train and test every model that supports a task, with each seed, and rank them."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from hepbench.benchmarks.base import Task, UserError
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

CURVES = "all runs, with learning curves, plots and hardware use: make ui"


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
    """Run the trials without results and print the leaderboard. Returns the number of failed trials.

    tuned: use the best hyper-parameters found by tuning studies. dry: only print what would run. columns: of the table,
    instead of the default ones. shifts: shifted samples on which the trained models are evaluated.
    """
    results.check_columns([asked.task], columns)
    if shifts:
        shifted.check(asked, shifts)
    store = None if dry else results.open_store()
    failed, parent = _run(asked, tuned, place, store, console, shifts)
    if store and _any_finished([asked], failed, store):
        leaderboard.write(asked.task, store, console, columns)
        if parent:
            results.keep_ranking(asked.task, store, parent)
        console.print(CURVES)
    return failed


def bench_variants(
    every: Sequence[Bench], *, tuned: bool, dry: bool, place: Place, console: Console, shifts: Sequence[str] = ()
) -> int:
    """The same for the variants of a task, one after the other, with one table of all variants at the end."""
    for asked in every if shifts else ():
        shifted.check(asked, shifts)
    store = None if dry else results.open_store()
    failed, parents = 0, dict[str, Entry[Task]]()
    for asked in every:
        unsuccessful, parent = _run(asked, tuned, place, store, console, shifts)
        failed += unsuccessful
        parents |= {parent: asked.task} if parent else {}
        console.print()
    if store and _any_finished(every, failed, store):
        leaderboard.write_variants([asked.task for asked in every], store, console)
        for parent, task in parents.items():
            if leaderboard.has_results(task, store):
                results.keep_ranking(task, store, parent)
        console.print(CURVES)
    return failed


def _any_finished(every: Sequence[Bench], failed: int, store: Store) -> bool:
    """Whether there is a leaderboard to print. UserError if no trial has failed and yet none has finished."""
    if any(leaderboard.has_results(asked.task, store) for asked in every):
        return True
    if not failed:
        reasons = dict.fromkeys(f"{one.model.name} {one.refusal}" for asked in every for one in asked.trials)
        raise UserError(f"no model of these supports {every[0].task.name}: {'; '.join(reasons)}")
    return False


def _run(
    asked: Bench, tuned: bool, place: Place, store: Store | None, console: Console, shifts: Sequence[str]
) -> tuple[int, str | None]:
    """Run the trials without results; without a store, only print them. Returns the number of failed trials and the id
    of their parent run."""
    if tuned:
        asked, studies = campaign.with_tuned(asked)
        for model, study in studies.items():
            taken = f"hyper-parameters of study {study}" if study else "not tuned, using its defaults"
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
    table = Table("model", "seed", "", "reason")
    words = {"run": Text("to run"), "done": Text("already done", "green"), "skip": Text("skipped", "yellow")}
    for one in plan:
        table.add_row(one.trial.model.name, str(one.trial.spec.seed), words[one.state], one.reason)
    console.print(table)
