"""Many trials: every model that can serve a task, on each seed, to a leaderboard."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import platform
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from benchmarks import budgets, registry
from benchmarks.base import UserError, check_known
from benchmarks.registry import Entry
from suite import data, device, overview, trial
from suite.trial import Spec
from suite.watch import Watch
from suite.workers import Event, Job, Place, Workers
from tracking.runs import Store, StoreError, last_try

LINE_UP = ("gbdt", "gnn", "mlp", "cnn", "prior")
"""What a bench runs when no model is named: one of each kind, trained in minutes. MODEL=all runs every entry."""


@dataclasses.dataclass(frozen=True)
class Cell:
    """One square of the matrix: a trial, and what is to become of it. state: "run", "done" or "skip"."""

    model: Entry
    spec: Spec
    state: str
    reason: str = ""
    configuration: str = ""
    identity: str = ""


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
    kind = data.choose(task, wanted_data)
    limit = budgets.find(budget)
    networks = any(entry.record.build for entry in entries)
    cells = [
        (entry, Spec(task.given, entry.given, seed, budget, kind, chosen, backend, sets[entry.name]))
        for seed in seeds
        for entry in entries
    ]
    console.print(f"[bold]{task.name}[/]: {task.record.title}")
    console.print(f"budget {budget} · {len(seeds)} seed{'s' * (len(seeds) > 1)} · {backend} on {chosen} ({why})")
    if dry and kind == "simulated" and not _simulated(task, limit.events):
        events = data.events_wanted(task, limit.events)
        console.print(f"data: {events:,} events would be simulated first")
        _print_matrix([_undecided(task, e, spec) for e, spec in cells], console)
        return 0

    from tracking import runs

    store = runs.connect(None, data.home() / "results")  # before any work: an unwritable store ends here
    with contextlib.ExitStack() as stack:
        workers = None
        if kind == "simulated" and not _simulated(task, limit.events):  # their imports run beside the simulation
            workers = stack.enter_context(place.start(chosen, backend, networks))
        files, prepared = open_data(task, kind, limit.events, console)
        _, split_hash = data.split(task.record, prepared, limit.events)
        store.reconcile(task.name)
        done = {run["tags"].get("identity") for run in store.runs(task.name, status="FINISHED")}
        plan = [_decide(task, e, spec, files.digest, split_hash, set() if force else done) for e, spec in cells]
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
            about = about_runs(task, budget, files, split_hash)
            tags = {"stage": "bench", "skipped": json.dumps(skipped), "command": command()}
            with parent_run(store, f"bench {task.name} {budget}", about, tags) as (parent, note):
                failed = run_finals(to_run, about, parent, workers, store, console)
                note(f"{failed} of {len(to_run)} trials failed" if failed else "")
    from suite import report

    report.write(task, store, console)
    console.print("every run, with its curves, plots and hardware: make ui")
    return failed


def open_data(task: Entry, kind: str, events: int | None, console: Console) -> tuple[data.Files, data.Prepared]:
    """Files found or simulated, then prepared, with a progress bar and a line on what was taken."""
    if kind == "simulated" and not _simulated(task, events):
        published = any(source.url for source in task.record.sources)
        fetch = f"; make data TASK={task.dataset} fetches it" if published else ", and none is published"
        console.print(f"no official data of {task.name} here{fetch}. Simulating:")
    wanted = data.events_wanted(task, events)
    with progress_bar(console, "simulating", wanted, "events") as advance:
        files = data.obtain(task, kind, events, 0, advance)
    with progress_bar(console, "preparing", None, "events") as advance:
        prepared = data.prepare(task, files, advance)
    names = ", ".join(path.name for path in files.paths)
    console.print(f"data: {files.kind}, {len(prepared):,} events, {names}, digest {files.digest[:12]}")
    return files, prepared


@contextmanager
def progress_bar(console: Console, what: str, total: int | None, unit: str):
    """Gives a function that advances the bar; shows nothing until it is first called."""
    columns = [
        TextColumn(f"{what} {{task.completed:,}} {unit}"),
        BarColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    ]
    bar = Progress(*columns, console=console)
    line = None

    def advance(done: int) -> None:
        nonlocal line
        if line is None:
            bar.start()
            line = bar.add_task(what, total=total)
        bar.advance(line, done)

    try:
        yield advance
    finally:
        if line is not None:
            if total is None:
                bar.update(line, total=bar.tasks[line].completed)
            bar.stop()


def parse_settings(settings: Sequence[str], task: Entry, models: Sequence[Entry]) -> dict[str, dict[str, Any]]:
    """model name -> parameters, from "name=value" each of the type of its default. A name must be known to one of the
    models at least and is set for those that know it; UserError otherwise. What equals the default is no setting."""
    known = {entry.name: trial.known_parameters(task.record, entry.record) for entry in models}
    sets: dict[str, dict[str, Any]] = {entry.name: {} for entry in models}
    for text in settings:
        name, equals, value = text.partition("=")
        if not equals:
            raise UserError(f"--set {text}: give it as name=value")
        check_known("parameter", name, dict.fromkeys(one for parameters in known.values() for one in parameters))
        for model, parameters in known.items():
            if name in parameters:
                parsed = _parsed(name, value, parameters[name])
                if parsed != parameters[name]:
                    sets[model][name] = parsed
    return sets


def _tuned(task: Entry, models: Sequence[Entry], budget: str, sets: dict[str, dict], console: Console) -> dict:
    """The parameters that a study found best for each model, under what is set by hand."""
    from suite import studies

    found = {entry.name: studies.tuned(task.name, entry.name, budget) for entry in models}
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


def _parsed(name: str, text: str, default: Any) -> Any:
    if isinstance(default, bool):
        check_known(f"value of {name}", text.lower(), ("true", "false"))
        return text.lower() == "true"
    try:
        return type(default)(text)
    except ValueError:
        kind = {int: "a whole number", float: "a number"}[type(default)]
        raise UserError(f"--set {name}={text}: expected {kind}, such as the default {default}") from None


# --- the matrix ------------------------------------------------------------------------------------------------------


def _simulated(task: Entry, events: int | None) -> bool:
    return data.simulated_folder(task, data.events_wanted(task, events), 0).is_dir()


def _undecided(task: Entry, model: Entry, spec: Spec) -> Cell:
    parameters = trial.parameters_of(task.record, model.record, spec)
    reason = trial.refusal(task.record, model.record, parameters.get("features"))
    return Cell(model, spec, "skip", reason) if reason else Cell(model, spec, "run")


def _decide(task: Entry, model: Entry, spec: Spec, digest: str, split_hash: str, done: set[str]) -> Cell:
    cell = _undecided(task, model, spec)
    if cell.state == "skip":
        return cell
    configuration, identity = trial.identity(spec, digest, split_hash)
    state = "done" if identity in done else "run"
    return dataclasses.replace(cell, state=state, configuration=configuration, identity=identity)


def _print_matrix(plan: Sequence[Cell], console: Console) -> None:
    table = Table("model", "seed", "", "why")
    words = {"run": "to run", "done": "[green]already done[/]", "skip": "[yellow]skipped[/]"}
    for cell in plan:
        table.add_row(cell.model.name, str(cell.spec.seed), words[cell.state], cell.reason)
    console.print(table)


# --- running ---------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class About:
    """What the runs of one command have in common. tags: of each run; dataset: as `Store.start` takes it."""

    task: Entry
    tags: dict[str, Any]
    dataset: dict[str, str]

    def job(self, spec: Spec, name: str, tags: dict[str, Any], parent: str, final: bool, context: Any) -> Job:
        """A trial whose run is a child of the parent's."""
        model = registry.find("model", spec.model)
        run = {
            "experiment": self.task.name,
            "name": name,
            "tags": {
                **self.tags,
                "model": model.name,
                "seed": spec.seed,
                "set": " ".join(f"{name}={value}" for name, value in sorted(spec.parameters.items())),
                "device": spec.device,
                "backend": spec.backend,
                **tags,
            },
            "parameters": trial.parameters_of(self.task.record, model.record, spec),
            "parent": parent,
            "dataset": self.dataset,
        }
        return Job(spec, run, final, self.tags["data_digest"], self.tags["split_hash"], context)


def about_runs(task: Entry, budget: str, files: data.Files, split_hash: str) -> About:
    tags = {"task": task.name, "budget": budget, "data": files.kind}
    tags |= {"data_digest": files.digest, "split_hash": split_hash, **_versions()}
    source = files.paths[0].parent.name
    return About(task, tags, {"name": task.name, "digest": files.digest[:16], "source": source, "context": "all"})


@contextmanager
def parent_run(store: Store, name: str, about: About, tags: dict[str, Any], again: str | None = None):
    """A run that others belong to, or one that had ended, again. Gives its id and a function that takes the note of
    its end. It is ended whatever happens, a polite kill included."""
    run_id = again or store.start(
        about.task.name, name, tags={**about.tags, **tags}, parameters={}, dataset=about.dataset
    )
    if again:
        store.resume(again)
    notes = [""]
    ending = "FAILED", "the command ended by an error"
    manner = contextlib.nullcontext()
    try:
        with _terminate_as_interrupt():
            yield run_id, notes.append
            ending = "FINISHED", notes[-1]
    except KeyboardInterrupt:
        ending = "KILLED", "interrupted"
        raise
    except StoreError as error:
        manner = last_try()
        raise StoreError(f"{error}. What was finished is kept; the same command goes on from there") from error
    finally:
        with manner:
            store.finish(run_id, *ending)


def run_finals(
    cells: Sequence[Cell], about: About, parent: str, workers: Workers, store: Store, console: Console
) -> int:
    """Train and test what the cells say. Every run that is started is ended. Returns the number that failed."""
    numbered = iter(enumerate(cells, 1))

    def next_job() -> Job | None:
        for number, cell in numbered:
            own = {"configuration": cell.configuration, "identity": cell.identity, "command": _command_for(cell.spec)}
            name = f"{cell.model.name} seed {cell.spec.seed}"
            title = f"{number}/{len(cells)} {name}"
            return about.job(cell.spec, name, {"stage": "final", **own}, parent, True, title)
        return None

    failures = 0
    with Watch(console) as watch, open_runs(store) as runs:
        for event in workers.run(next_job):
            title, result = event.job.context, event.message
            watch.show(title, title, event)
            runs.follow(event)
            if event.kind == "done":
                runs.end(event.run, "FINISHED")
                console.print(
                    f"[green]done[/] {title}: AUC {result['test_auc']:.4f} ± {result['test_auc_error']:.4f}, "
                    f"accuracy {result['test_accuracy']:.4f}, trained in {result['train_seconds']:.1f} s",
                    soft_wrap=True,
                )
            elif event.kind == "failed":
                failures += 1
                runs.end(event.run, "FAILED", f"{result['error']}\n\n{result['details']}".strip())
                console.print(f"[red]failed[/] {title}: {result['error']}", highlight=False, soft_wrap=True)
    return failures


class OpenRuns:
    """Runs that workers have started and that are to be ended here."""

    def __init__(self, store: Store):
        self.store = store
        self.ids: set[str] = set()

    def follow(self, event: Event) -> None:
        """Take up a run that was started; end the one before it of the same trial, whose process died. StoreError
        where the store failed a trial: no fault of the trial, which the next call begins again."""
        if event.message.get("of_store"):
            raise StoreError(event.message["error"])
        if event.kind == "started":
            self.ids.add(event.run)
            if event.lost:
                self.end(event.lost, "KILLED", "its process died; the trial was begun again")

    def end(self, run_id: str | None, status: str, message: str = "") -> None:
        if run_id in self.ids:
            self.store.finish(run_id, status, message)
            self.ids.discard(run_id)


@contextmanager
def open_runs(store: Store):
    """Gives OpenRuns; what is left in them at the end is ended as KILLED."""
    runs = OpenRuns(store)
    ending = "the command ended by an error"
    manner = contextlib.nullcontext()
    try:
        yield runs
    except KeyboardInterrupt:
        ending = "interrupted"
        raise
    except StoreError:
        manner = last_try()
        raise
    finally:
        with manner:
            for run_id in list(runs.ids):
                runs.end(run_id, "KILLED", ending)


@contextmanager
def _terminate_as_interrupt():
    """A polite kill ends runs as an interrupt does."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


# --- where a result comes from ---------------------------------------------------------------------------------------


def _versions() -> dict[str, str]:
    """Git commit, whether the tree was changed, and the versions of what computes."""
    tags = {"python": platform.python_version()}
    tags |= {f"version.{name}": version for name, version in overview.versions().items()}
    here = Path(__file__).parent
    commit = subprocess.run(["git", "-C", here, "rev-parse", "HEAD"], capture_output=True, text=True)
    status = subprocess.run(["git", "-C", here, "status", "--porcelain"], capture_output=True, text=True)
    tags["git_commit"] = commit.stdout.strip() or "not available"
    tags["git_dirty"] = str(bool(status.stdout.strip())) if status.returncode == 0 else "not available"
    return tags


def command() -> str:
    """What the user typed."""
    return " ".join(["hepbench", *sys.argv[1:]])


def _command_for(spec: Spec) -> str:
    return (
        f"hepbench bench {spec.task} --model {spec.model} --seed {spec.seed} --budget {spec.budget} "
        f"--data {spec.data} --device {spec.device} --backend {spec.backend} "
        + "".join(f"--set {name}={value} " for name, value in spec.parameters.items())
        + "--force"
    )


def seeds_of(count: int | None, exact: Sequence[int], budget: str) -> list[int]:
    """Seeds 0 to count-1, or the exact ones, or the budget's number."""
    if exact:
        return list(exact)
    if count is None:
        count = budgets.find(budget).seeds
    if count < 1:
        raise UserError(f"seeds must be at least 1, got {count}")
    return list(range(count))
