"""Many trials: every model that can serve a task, on each seed, to a leaderboard."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from hepbench.benchmarks import budgets, registry
from hepbench.benchmarks.base import UserError
from hepbench.benchmarks.registry import Entry
from hepbench.suite import device
from hepbench.suite.campaign import (
    LINE_UP,
    PlannedTrial,
    campaign_of,
    decide,
    parent_run,
    parse_settings,
    run_finals,
    undecided,
)
from hepbench.suite.commands.opening import open_data
from hepbench.suite.data.files import choose, events_wanted, is_simulated
from hepbench.suite.data.split import split_events
from hepbench.suite.paths import results_folder
from hepbench.suite.provenance import command
from hepbench.suite.trial.spec import Spec
from hepbench.suite.workers.place import Place


def bench(
    task_given: str,
    models: Sequence[str],
    settings: Sequence[str] = (),
    *,
    seeds: Sequence[int],
    budget: str,
    wanted_device: str,
    backend: str,
    wanted_data: str,
    tuned: bool,
    force: bool,
    dry: bool,
    place: Place,
    console: Console,
) -> int:
    """Run what has not been run and print the leaderboard. Returns the number of trials that failed."""
    task = registry.find("task", task_given)
    every = list(models) == ["all"]
    names = registry.names("model") if every else models or LINE_UP
    entries = [registry.find("model", given) for given in dict.fromkeys(names)]
    sets = parse_settings(settings, task, entries)
    if tuned:
        sets = _tuned(task, entries, budget, sets, console)
    chosen, why = device.resolve(wanted_device, backend)
    kind = choose(task, wanted_data)
    limit = budgets.find(budget)
    networks = any(entry.record.build for entry in entries)
    cells = [
        (entry, Spec(task.given, entry.given, seed, budget, kind, chosen, backend, sets[entry.name]))
        for seed in seeds
        for entry in entries
    ]
    console.print(f"[bold]{task.name}[/]: {task.record.title}")
    console.print(f"budget {budget} · {len(seeds)} seed{'s' * (len(seeds) > 1)} · {backend} on {chosen} ({why})")
    if dry and kind == "simulated" and not is_simulated(task, limit.events):
        events = events_wanted(task, limit.events)
        console.print(f"data: {events:,} events would be simulated first")
        _print_matrix([undecided(task, e, spec) for e, spec in cells], console)
        return 0

    from hepbench.tracking import runs

    store = runs.connect(None, results_folder())  # before any work: an unwritable store ends here
    with contextlib.ExitStack() as stack:
        workers = None
        if kind == "simulated" and not is_simulated(task, limit.events):  # their imports run beside the simulation
            workers = stack.enter_context(place.start(chosen, backend, networks))
        files, prepared = open_data(task, kind, limit.events, console)
        _, split_hash = split_events(task.record, prepared, limit.events)
        store.reconcile(task.name)
        done = {run["tags"].get("identity") for run in store.runs(task.name, status="FINISHED")}
        plan = [decide(task, e, spec, files.digest, split_hash, set() if force else done) for e, spec in cells]
        if dry:
            _print_matrix(plan, console)
            return 0
        reused = sum(cell.state == "done" for cell in plan)
        if reused:
            console.print(f"{reused} of {len(plan)} results are there already and used again; --force runs them again")
        skipped = {cell.model.name: cell.reason for cell in plan if cell.state == "skip"}
        for name, reason in skipped.items():
            console.print(f"[yellow]skipped[/] {name}: {reason}")
        failed = 0
        if to_run := [cell for cell in plan if cell.state == "run"]:
            workers = workers or stack.enter_context(place.start(chosen, backend, networks))
            about = campaign_of(task, budget, files, split_hash)
            tags = {"stage": "bench", "skipped": json.dumps(skipped), "command": command()}
            with parent_run(store, f"bench {task.name} {budget}", about, tags) as (parent, note):
                failed = run_finals(to_run, about, parent, workers, store, console)
                note(f"{failed} of {len(to_run)} trials failed" if failed else "")
    from hepbench.suite.commands import leaderboard

    leaderboard.write(task, store, console)
    console.print("every run, with its curves, plots and hardware: make ui")
    return failed


def _tuned(task: Entry, models: Sequence[Entry], budget: str, sets: dict[str, dict], console: Console) -> dict:
    """The parameters that a study found best for each model, under what is set by hand."""
    from hepbench.suite.tuning import storage

    found = {entry.name: storage.tuned(task.name, entry.name, budget) for entry in models}
    if not any(found.values()):
        raise UserError(
            f"no study of {task.name} with budget {budget} has a best trial yet: make tune TASK={task.given} MODEL=..."
        )
    for model, study in found.items():
        if study is None:
            console.print(f"{model}: not tuned, its defaults are taken")
        else:
            console.print(f"{model}: parameters of study {study[0]}")
            sets[model] = {**study[1], **sets[model]}
    return sets


def _print_matrix(plan: Sequence[PlannedTrial], console: Console) -> None:
    table = Table("model", "seed", "", "why")
    words = {"run": "to run", "done": "[green]already done[/]", "skip": "[yellow]skipped[/]"}
    for cell in plan:
        table.add_row(cell.model.name, str(cell.spec.seed), words[cell.state], cell.reason)
    console.print(table)
