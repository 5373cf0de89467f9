"""Many trials of one command: which are done, which are to run, which cannot; and running them."""

from __future__ import annotations

import contextlib
import dataclasses
import signal
from collections.abc import Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console

from hepbench.benchmarks import budgets, registry
from hepbench.benchmarks.base import UserError, check_known
from hepbench.benchmarks.registry import Entry
from hepbench.suite.data.files import Files
from hepbench.suite.progress import TrialProgress
from hepbench.suite.provenance import provenance_tags
from hepbench.suite.trial.spec import Spec, identity_of, known_parameters, parameters_of, refusal
from hepbench.suite.workers.jobs import Event, Job
from hepbench.suite.workers.pool import Workers
from hepbench.tracking.runs import Store, StoreError, last_try

LINE_UP = ("gbdt", "gnn", "mlp", "cnn", "prior")
"""What a bench runs when no model is named: one of each kind, trained in minutes. MODEL=all runs every entry."""


@dataclasses.dataclass(frozen=True)
class PlannedTrial:
    """One square of the matrix: a trial, and what is to become of it. state: "run", "done" or "skip"."""

    model: Entry
    spec: Spec
    state: str
    reason: str = ""
    configuration: str = ""
    identity: str = ""


def parse_settings(settings: Sequence[str], task: Entry, models: Sequence[Entry]) -> dict[str, dict[str, Any]]:
    """model name -> parameters, from "name=value" each of the type of its default. A name must be known to one of the
    models at least and is set for those that know it; UserError otherwise. What equals the default is no setting."""
    known = {entry.name: known_parameters(task.record, entry.record) for entry in models}
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


def _parsed(name: str, text: str, default: Any) -> Any:
    if isinstance(default, bool):
        check_known(f"value of {name}", text.lower(), ("true", "false"))
        return text.lower() == "true"
    try:
        return type(default)(text)
    except ValueError:
        kind = {int: "a whole number", float: "a number"}[type(default)]
        raise UserError(f"--set {name}={text}: expected {kind}, such as the default {default}") from None


def undecided(task: Entry, model: Entry, spec: Spec) -> PlannedTrial:
    parameters = parameters_of(task.record, model.record, spec)
    reason = refusal(task.record, model.record, parameters.get("features"))
    return PlannedTrial(model, spec, "skip", reason) if reason else PlannedTrial(model, spec, "run")


def decide(task: Entry, model: Entry, spec: Spec, digest: str, split_hash: str, done: set[str]) -> PlannedTrial:
    cell = undecided(task, model, spec)
    if cell.state == "skip":
        return cell
    configuration, identity = identity_of(spec, digest, split_hash)
    state = "done" if identity in done else "run"
    return dataclasses.replace(cell, state=state, configuration=configuration, identity=identity)


@dataclasses.dataclass(frozen=True)
class Campaign:
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
            "parameters": parameters_of(self.task.record, model.record, spec),
            "parent": parent,
            "dataset": self.dataset,
        }
        return Job(spec, run, final, self.tags["data_digest"], self.tags["split_hash"], context)


def campaign_of(task: Entry, budget: str, files: Files, split_hash: str) -> Campaign:
    tags = {"task": task.name, "budget": budget, "data": files.kind}
    tags |= {"data_digest": files.digest, "split_hash": split_hash, **provenance_tags()}
    source = files.paths[0].parent.name
    return Campaign(task, tags, {"name": task.name, "digest": files.digest[:16], "source": source, "context": "all"})


@contextmanager
def parent_run(store: Store, name: str, about: Campaign, tags: dict[str, Any], again: str | None = None):
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
    cells: Sequence[PlannedTrial], about: Campaign, parent: str, workers: Workers, store: Store, console: Console
) -> int:
    """Train and test what the cells say. Every run that is started is ended. Returns the number that failed."""
    numbered = iter(enumerate(cells, 1))

    def next_job() -> Job | None:
        for number, cell in numbered:
            own = {"configuration": cell.configuration, "identity": cell.identity, "command": command_for(cell.spec)}
            name = f"{cell.model.name} seed {cell.spec.seed}"
            title = f"{number}/{len(cells)} {name}"
            return about.job(cell.spec, name, {"stage": "final", **own}, parent, True, title)
        return None

    failures = 0
    with TrialProgress(console) as watch, closing_runs(store) as runs:
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
def closing_runs(store: Store):
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


def seeds_of(count: int | None, exact: Sequence[int], budget: str) -> list[int]:
    """Seeds 0 to count-1, or the exact ones, or the budget's number."""
    if exact:
        return list(exact)
    if count is None:
        count = budgets.find(budget).seeds
    if count < 1:
        raise UserError(f"seeds must be at least 1, got {count}")
    return list(range(count))


def command_for(spec: Spec) -> str:
    return (
        f"hepbench bench {spec.task} --model {spec.model} --seed {spec.seed} --budget {spec.budget} "
        f"--data {spec.data} --device {spec.device} --backend {spec.backend} "
        + "".join(f"--set {name}={value} " for name, value in spec.parameters.items())
        + "--force"
    )
