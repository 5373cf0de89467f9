"""Many trials of one command: which are done, which are to run, which cannot; and running them.

Nothing here prints: whoever wants to see how far things are gives a listener, a function that is called with each
event. From Python:

    asked = campaign.request("magic", models=["gbdt", "mlp"], budget="smoke")
    outcome = campaign.run(asked)
    rows, _ = results.leaderboard_of(asked.task, results.open_store())
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import json
import math
import operator
import shlex
import time
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from hepbench.benchmarks import budgets, registry
from hepbench.benchmarks.base import Model, Task, UserError, as_text
from hepbench.benchmarks.registry import Entry
from hepbench.suite import batch_size, results, views
from hepbench.suite.batch_size import BatchSizeFound, BatchSizeSought
from hepbench.suite.claims import Claims, heartbeat
from hepbench.suite.data.dataset import Prepared
from hepbench.suite.data.files import Files, choose, events_to_simulate
from hepbench.suite.data.opening import DataEvent, open_data
from hepbench.suite.data.split import split_events, with_fewer
from hepbench.suite.data.weights import tags_of as weights_told
from hepbench.suite.forecast import Forecast, forecast
from hepbench.suite.processes import sigterm_as_interrupt
from hepbench.suite.provenance import command, provenance_tags
from hepbench.suite.settings import settings_by_model
from hepbench.suite.trial import warm_start
from hepbench.suite.trial.inputs import check_scaling, check_slices, check_weights
from hepbench.suite.trial.pyfunc import tensors
from hepbench.suite.trial.spec import Spec, Trial, command_for, identity_of
from hepbench.suite.workers.jobs import Event, Job
from hepbench.suite.workers.place import Place
from hepbench.suite.workers.pool import Workers
from hepbench.tracking.hardware.machine import describe_machine, hardware_name
from hepbench.tracking.leaderboard.differences import OPTIMUM
from hepbench.tracking.runs import DESCRIPTION, LONGEST_TAG, Store, StoreError, best_effort

DEFAULT_MODELS = ("gbdt", "gnn", "mlp", "cnn", "prior")
"""What a bench runs when no model is named: one of each kind, trained in minutes. MODEL=all runs every entry."""

MOST_SEEDS = 10_000
"""Training runs of one model in one command."""

LARGEST_SEED = 2**32 - 1
"""What NumPy takes as the seed of its legacy generator, which Keras sets."""

POLL_SECONDS = 2.0
"""Seconds between two looks at trials that another command is running."""


@dataclasses.dataclass(frozen=True)
class Bench:
    """What is asked for: each model with each seed on one task.

    data: "official" or "simulated". device: "cpu" or "gpu", and why. settings: model -> hyper-parameters in place of
    its defaults. force: run again what has been run. events: how many of the dataset, None: the budget's number.
    start: id of the run that networks start from; "" for none.
    """

    task: Entry[Task]
    models: tuple[Entry[Model], ...]
    seeds: tuple[int, ...]
    budget: str
    data: str
    device: str
    device_reason: str
    backend: str
    settings: Mapping[str, Mapping[str, Any]]
    force: bool = False
    events: int | None = None
    start: str = ""

    @property
    def trials(self) -> list[Trial]:
        """Of the first seed all models, then of the next."""
        return [
            Trial(
                Spec(
                    self.task.given,
                    model.given,
                    seed,
                    self.budget,
                    self.data,
                    self.device,
                    self.backend,
                    dict(self.settings[model.name]),
                    events=self.events,
                    start=self.start,
                ),
                self.task,
                model,
            )
            for seed in self.seeds
            for model in self.models
        ]

    @property
    def networks(self) -> bool:
        """Whether one of the models is a Keras network."""
        return any(model.record.in_keras for model in self.models)


def request(
    task: str,
    models: Sequence[str] = (),
    *,
    settings: Mapping[str, Any] | None = None,
    seeds: int | Sequence[int] | None = None,
    budget: str = "quick",
    device: str = "auto",
    backend: str = "tensorflow",
    data: str = "auto",
    force: bool = False,
    events: int | None = None,
    start: str = "",
    place: Place | None = None,
) -> Bench:
    """Look up what the names stand for. task, models: names or paths of a user's files; models may be ("all",), and
    none stands for `DEFAULT_MODELS`, and for `OPTIMUM` where the task has a view of this name.

    settings: hyper-parameters by name, each set for the models that know it; a text is read as its default's type.
    seeds: their number, or these very ones; None: the budget's number. device: "cpu", "gpu" or "auto".
    data: "official", "simulated" or "auto". events: how many of the dataset, all where it has fewer; None: the
    budget's number. start: a finished run of the same network, by its id or as much of it as is unique, from whose
    weights it starts. place: where it is to run; None: on this machine. The setting batch_size=auto is the largest that
    fits, see `batch_size`. Raises UserError for what is not known or cannot be had.
    """
    events = None if events is None else whole_number("events", events, 2)
    entry = registry.find("task", task)
    known_best = (OPTIMUM,) if OPTIMUM in entry.record.views else ()
    names = registry.names("model") if list(models) == ["all"] else models or (*DEFAULT_MODELS, *known_best)
    entries = registry.find_models(names)
    if all(one.record.missing_package for one in entries):
        raise UserError("; ".join(f"{one.name} {one.record.missing_package}" for one in entries))
    chosen, reason = (place or Place()).resolve(device, backend)
    settings = dict(settings or {})
    auto = {"batch_size": settings.pop("batch_size")} if settings.get("batch_size") == batch_size.AUTO else {}
    by_model = settings_by_model(settings, entry, entries)
    asked = Bench(
        entry,
        entries,
        seeds_of(seeds, budget),
        budget,
        choose(entry, data),
        chosen,
        reason,
        backend,
        {one.name: {**by_model[one.name], **(auto if one.record.build else {})} for one in entries},
        force,
        events,
        results.find_run(results.open_store(), start)["id"] if start else "",
    )
    for trial in asked.trials:
        _ = trial.hyperparameters  # a value that is not known ends here, before any work
    return asked


def seeds_of(seeds: int | Sequence[int] | None, budget: str) -> tuple[int, ...]:
    """Seeds 0 to seeds - 1, or the very ones that are given, or the budget's number. UserError for a seed that not
    every library takes, and for none or more than `MOST_SEEDS`."""
    if seeds is None:
        seeds = budgets.find(budget).seeds
    if not isinstance(seeds, Iterable):
        return tuple(range(whole_number("seeds", seeds, 1, MOST_SEEDS)))
    exact = tuple(dict.fromkeys(whole_number("seed", seed, 0, LARGEST_SEED) for seed in seeds))
    whole_number("number of seeds", len(exact), 1, MOST_SEEDS)
    return exact


def whole_number(name: str, value: Any, least: int, most: int | None = None) -> int:
    """The value as an int; UserError for what is no whole number from `least` to `most`."""
    try:
        number = operator.index(value)
    except TypeError:
        raise UserError(f"{name} must be a whole number, got {value!r}") from None
    if number < least:
        raise UserError(f"{name} must be at least {least}, got {number}")
    if most is not None and number > most:
        raise UserError(f"{name} must be at most {most:,}, got {number}")
    return number


def with_tuned(asked: Bench) -> tuple[Bench, dict[str, str | None]]:
    """The same with the best hyper-parameters that studies found, under what is set by hand; and the name of each
    model's study, None where it has none. UserError where no model has one."""
    from hepbench.suite.tuning import storage

    found = {model.name: storage.tuned(asked.task.name, model.name, asked.budget) for model in asked.models}
    if not any(found.values()):
        raise UserError(
            f"no study of {asked.task.name} with budget {asked.budget} has a best trial yet: "
            f"make tune TASK={shlex.quote(asked.task.given)} MODEL=..."
        )
    settings = {
        model: {**study[1], **asked.settings[model]} if study else asked.settings[model]
        for model, study in found.items()
    }
    return dataclasses.replace(asked, settings=settings), {name: one and one[0] for name, one in found.items()}


@dataclasses.dataclass(frozen=True)
class PlannedTrial:
    """A trial, and what is to become of it. state: "run", "done" or "skip", for this reason. configuration, identity:
    as `identity_of` gives them; empty before the data are known. label: what it is called in place of its model."""

    trial: Trial
    state: str
    reason: str = ""
    configuration: str = ""
    identity: str = ""
    label: str = ""

    @property
    def name(self) -> str:
        return f"{self.label or self.trial.model.name} seed {self.trial.spec.seed}"


@dataclasses.dataclass(frozen=True)
class Planned:
    """A bench knows what it is to run. forecast: how long that takes; None where it runs on other machines."""

    trials: tuple[PlannedTrial, ...]
    forecast: Forecast | None = None


@dataclasses.dataclass(frozen=True)
class TrialEvent:
    """What became known of a trial, the `number`th of `total`."""

    planned: PlannedTrial
    number: int
    total: int
    event: Event


BenchEvent = DataEvent | BatchSizeSought | BatchSizeFound | Planned | TrialEvent
Listener = Callable[[BenchEvent], None]
"""Is called with what happens, as it happens."""


def ignore(event: object) -> None:
    """The listener that listens to nothing."""


@dataclasses.dataclass(frozen=True)
class Campaign:
    """What the runs of one command have in common. tags: of each run; dataset: as `Store.start` takes it. train_events:
    that a trial is trained on, unless it asks for fewer; 0 where that is not known."""

    task: Entry[Task]
    tags: Mapping[str, Any]
    dataset: Mapping[str, str]
    train_events: int = 0

    def plan(self, trial: Trial, done: Collection[str] = (), label: str = "") -> PlannedTrial:
        """done: identities of results that are there."""
        if trial.refusal:
            return PlannedTrial(trial, "skip", trial.refusal, label=label)
        configuration, identity = identity_of(trial, self.tags["data_digest"], self.tags["split_hash"])
        return PlannedTrial(trial, "done" if identity in done else "run", "", configuration, identity, label)

    def _of_trial(self, trial: Trial, final: bool) -> str:
        """In one line, for who sees the run in MLflow."""
        spec = trial.spec
        what = "trained and tested" if final else "trained, seen by validation alone"
        return (
            f"{trial.model.record.title} on {self.task.record.title}, seed {spec.seed}: {what}, budget {spec.budget}, "
            f"{self.tags['data']} data"
        )

    def job(self, trial: Trial, name: str, tags: Mapping[str, Any], parent: str, final: bool, context: Any) -> Job:
        """A trial whose run is a child of the parent's."""
        spec = trial.spec
        run = {
            "experiment": self.task.name,
            "name": name,
            "tags": {
                **self.tags,
                "model": trial.model.name,
                "seed": spec.seed,
                "start": spec.start,
                **({"train_events": spec.train_events} if spec.train_events else {}),
                "set": " ".join(f"{name}={as_text(value)}" for name, value in sorted(spec.parameters.items())),
                "device": spec.device,
                "backend": trial.backend,
                DESCRIPTION: self._of_trial(trial, final),
                **tags,
            },
            "parameters": trial.hyperparameters,
            "parent": parent,
            "dataset": self.dataset,
        }
        stall_timeout = budgets.find(spec.budget).stall_timeout
        return Job(spec, run, final, self.tags["data_digest"], self.tags["split_hash"], context, stall_timeout)


def campaign_of(
    task: Entry[Task], budget: str, files: Files, prepared: Prepared, split_hash: str, events: int | None = None
) -> Campaign:
    """Of a task's files and their split, within a budget, with so many events in place of its own; with the versions
    and the commit that run them."""
    tags = {"task": task.name, "budget": budget, "data": files.kind}
    tags |= {"data_digest": files.digest, "split_hash": split_hash, **provenance_tags()}
    if events is not None:
        tags["events"] = str(events)
    tags |= weights_told(task.record, prepared)
    return Campaign(task, tags, dataset_of(task, files, prepared))


def dataset_of(task: Entry[Task], files: Files, prepared: Prepared) -> dict[str, str]:
    """As `Store.start` takes it: what the events are, and where they are from."""
    sources = [source.url for source in task.record.sources if source.name in {path.name for path in files.paths}]
    source = sources[0] if files.kind == "official" and sources else files.paths[0].parent.name
    targets = [{"type": "tensor", "tensor-spec": {"dtype": str(prepared.labels.dtype), "shape": [-1]}}]
    schema = {"features": json.dumps(tensors(prepared.arrays)), "targets": json.dumps(targets)}
    profile = {"events": len(prepared), "classes": list(task.record.classes), "data": files.kind}
    return {
        "name": task.name,
        "digest": files.digest[:16],
        "source": source,
        "context": "all",
        "schema": json.dumps({"mlflow_tensorspec": schema}),
        "profile": json.dumps(profile),
    }


def plan(asked: Bench, store: Store | None = None, listener: Listener = ignore) -> list[PlannedTrial]:
    """What a bench would run, in its order. Nothing is simulated for it, and without data no trial is done."""
    if events_to_simulate(asked):
        _checked_starts(asked.trials, store or results.open_store())
        return [PlannedTrial(one, "skip" if one.refusal else "run", one.refusal or "") for one in asked.trials]
    labelled = [("", one) for one in asked.trials]
    return plan_trials(labelled, store or results.open_store(), asked.force, listener, dry=True)[0]


def _checked_starts(trials: Sequence[Trial], store: Store) -> list[dict[str, Any]]:
    """The runs that networks start from. UserError where one of them cannot."""
    found: dict[str, dict[str, Any]] = {}
    for trial in {(one.model.name, one.spec.start): one for one in trials if one.spec.start}.values():
        run = found.setdefault(trial.spec.start, results.find_run(store, trial.spec.start))
        warm_start.check(run, trial, store)
    return list(found.values())


def plan_trials(
    labelled: Sequence[tuple[str, Trial]],
    store: Store,
    force: bool = False,
    listener: Listener = ignore,
    dry: bool = False,
) -> tuple[list[PlannedTrial], Campaign]:
    """What is to become of trials of one task, budget, kind of data and number of events, each with its label. Data are
    simulated or prepared where they have to be. force: what is done is run again. dry: batch sizes that are to be found
    are left as they are."""
    task, spec = labelled[0][1].task, labelled[0][1].spec
    started = _checked_starts([trial for _, trial in labelled], store)
    files, prepared = open_data(task, spec.data, spec.most_events, listener)
    check_slices(task, prepared)
    rows, split_hash = split_events(task.record, prepared, spec.most_events)
    check_weights(task, prepared, rows)
    campaign = campaign_of(task, spec.budget, files, prepared, split_hash, spec.events)
    campaign = dataclasses.replace(campaign, train_events=len(rows["train"]))
    for run in started:
        warm_start.check_data(run, campaign.tags)
    if not dry:
        labelled = _with_batch_sizes(labelled, campaign, len(rows["train"]), listener)
    store.reconcile(task.name)
    done = set()
    if not force:
        done = {run["tags"].get("identity") for run in finished(task.name, {one.stage for _, one in labelled}, store)}
    planned = [campaign.plan(trial, done, label) for label, trial in labelled]
    for one in {one.configuration: one for one in planned if one.state == "run"}.values():
        spec = one.trial.spec
        check_scaling(one.trial, prepared, with_fewer(rows, prepared.labels, spec.train_events, spec.seed))
    return planned, campaign


def _with_batch_sizes(
    labelled: Sequence[tuple[str, Trial]], campaign: Campaign, train_events: int, listener: Listener
) -> list[tuple[str, Trial]]:
    """The trials, of which those that are to find their batch size have found it, once for all seeds of a model."""
    sizes: dict[str, int] = {}
    for _, trial in labelled:
        if batch_size.is_auto(trial) and trial.model.name not in sizes and not trial.refusal:
            digests = campaign.tags["data_digest"], campaign.tags["split_hash"]
            listener(BatchSizeSought(trial.model.name, batch_size.most_for(train_events)))
            known = batch_size.found(trial, *digests, train_events)
            listener(known)
            sizes[trial.model.name] = known.size
    return [
        (label, batch_size.with_size(trial, sizes[trial.model.name]) if trial.model.name in sizes else trial)
        for label, trial in labelled
    ]


def finished(experiment: str, stages: Collection[str], store: Store) -> list[dict[str, Any]]:
    """The finished runs of these stages, oldest first of each."""
    return [run for stage in sorted(stages) for run in store.runs(experiment, "FINISHED", {"stage": stage})]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a bench did: its plan, the message of each trial that failed, by the trial's name, and the id of the run
    that those it has begun belong to, None where there was nothing to run."""

    trials: tuple[PlannedTrial, ...]
    failures: Mapping[str, str]
    parent: str | None = None


def run(asked: Bench, place: Place | None = None, store: Store | None = None, listener: Listener = ignore) -> Outcome:
    """Run what has not been run. place: where; None: on this machine, one trial at a time, or one a GPU.
    store: None: that of `results.open_store`. Raises StoreError, UserError."""
    place = place or Place()
    store = store or results.open_store()  # before any work: an unwritable store ends here
    _checked_starts(asked.trials, store)
    if not place.at_once(asked.device) and any(map(batch_size.is_auto, asked.trials)):
        raise UserError("batch_size=auto is found on this machine, and the trials run on others: give a number")
    with place.reserve(asked.device, asked.backend, asked.networks) as workers:
        if events_to_simulate(asked):
            workers()  # whose imports run beside the simulation
        planned, campaign = plan_trials([("", one) for one in asked.trials], store, asked.force, listener)
        name = f"bench {asked.task.name} {asked.budget}"
        at_once = place.at_once(asked.device)
        failures, parent = run_planned(planned, campaign, name, "bench", workers, store, listener, asked.force, at_once)
    return Outcome(tuple(planned), failures, parent)


def run_planned(
    planned: Sequence[PlannedTrial],
    campaign: Campaign,
    name: str,
    stage: str,
    workers: Callable[[], Workers],
    store: Store,
    listener: Listener = ignore,
    force: bool = False,
    at_once: int = 0,
) -> tuple[dict[str, str], str | None]:
    """Run what is to run, under one run of this name and stage that the others belong to. Returns the messages of the
    trials that failed, by the trial's name, and that run's id, None where there was nothing to run. at_once: how many
    on this machine, 0: on others."""
    to_run = [one for one in planned if one.state == "run"]
    listener(Planned(tuple(planned), _forecast(to_run, campaign, store, at_once) if at_once else None))
    if not to_run:
        return {}, None
    skipped = {one.trial.model.name: one.reason for one in planned if one.state == "skip"}
    tags = {"stage": stage, "skipped": _within_a_tag(skipped), "command": command()}
    with parent_run(store, name, campaign, tags) as (parent, note):
        failures = run_finals(to_run, campaign, parent, workers, store, listener, force)
        note(f"{len(failures)} of {len(to_run)} trials failed" if failures else "")
    return failures, parent


def _within_a_tag(entries: Mapping[str, str]) -> str:
    """JSON of as many entries, the first ones, as a tag can hold."""
    kept = dict(entries)
    while len(text := json.dumps(kept)) > LONGEST_TAG:
        kept.popitem()
    return text


def _forecast(to_run: Sequence[PlannedTrial], campaign: Campaign, store: Store, at_once: int) -> Forecast:
    machine = describe_machine()
    trials = {}
    for one in to_run:
        spec = one.trial.spec
        tags = {"model": one.trial.model.name, "device": spec.device, "backend": one.trial.backend, **campaign.tags}
        trials[one.name] = ({**tags, "hardware": hardware_name(machine, spec.device)}, one.trial.hyperparameters)
    finals = store.runs(campaign.task.name, status="FINISHED", tags={"stage": "final"}) if trials else []
    return forecast(trials, finals, at_once, campaign.train_events)


@contextmanager
def parent_run(
    store: Store, name: str, campaign: Campaign, tags: Mapping[str, Any], resumed: str | None = None
) -> Iterator[tuple[str, Callable[[str], None]]]:
    """A run that others belong to, or one that had ended, again. Gives its id and a function that takes the note of
    its end. It is ended whatever happens, SIGTERM included."""
    about = (
        f"{tags['stage']} of {campaign.task.record.title}, budget {campaign.tags['budget']}: {tags.get('command', '')}"
    )
    run_id = resumed or store.start(
        campaign.task.name,
        name,
        tags={**campaign.tags, DESCRIPTION: about.rstrip(": "), **tags},
        parameters={},
        dataset=campaign.dataset,
    )
    if resumed:
        store.resume(resumed)
    notes = [""]
    ending = "FAILED", "the command ended by an error"
    manner: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
    try:
        with sigterm_as_interrupt(), heartbeat(store, run_id):
            views.prepare(store, campaign.task.name)
            yield run_id, notes.append
            ending = "FINISHED", notes[-1]
    except KeyboardInterrupt:
        ending = "KILLED", "interrupted"
        raise
    except StoreError as error:
        manner = best_effort()
        raise StoreError(f"{error}. What was finished is kept; the same command resumes from there") from error
    finally:
        with manner:
            store.finish(run_id, *ending)


def run_finals(
    planned: Sequence[PlannedTrial],
    campaign: Campaign,
    parent: str,
    workers: Callable[[], Workers],
    store: Store,
    listener: Listener = ignore,
    force: bool = False,
) -> dict[str, str]:
    """Train and test the trials. Every run that is started is ended. Returns the messages of those that failed, by the
    trial's name.

    What another command is running already is waited for, and its result taken; where it fails there, it is run here.
    force: run all, whatever others do.
    """
    claims, failures, told = Claims(store, campaign.task.name, parent), dict[str, str](), set[int]()
    waiting = deque(enumerate(planned, 1))
    elsewhere: deque[tuple[int, PlannedTrial]] = deque()

    def tell(number: int, one: PlannedTrial, event: Event) -> None:
        listener(TrialEvent(one, number, len(planned), event))

    def next_job() -> Job | None:
        while waiting:
            number, one = waiting.popleft()
            stage = one.trial.stage
            tags = {"stage": stage, "configuration": one.configuration, "identity": one.identity}
            tags["command"] = command_for(one.trial.spec)
            if force:
                tags["forced"] = "yes"
            job = campaign.job(one.trial, one.name, tags, parent, True, (number, one))
            if force:
                claims.hold(one.identity)
                return job
            if holder := claims.take(one.identity):
                elsewhere.append((number, one))
                if number not in told:
                    told.add(number)
                    tell(number, one, Event(job, "elsewhere", message={"holder": holder}))
                continue
            if found := store.runs(campaign.task.name, "FINISHED", {"stage": stage, "identity": one.identity}):
                claims.release(one.identity)
                measured = defaultdict(lambda: math.nan, found[-1]["metrics"])
                tell(number, one, Event(job, "done", found[-1]["id"], measured))
                continue
            return job
        return None

    with closing_runs(store) as runs:
        while waiting or elsewhere:
            if (first := next_job()) is not None:
                jobs = itertools.chain([first], iter(next_job, None))
                for event in workers().run(functools.partial(next, jobs, None)):
                    number, one = event.job.context
                    if (error := runs.follow_to_end(event)) is not None:
                        failures[one.name] = error
                    if event.kind in ("done", "failed", "stopped"):
                        claims.release(one.identity)
                    tell(number, one, event)
            if elsewhere:
                time.sleep(POLL_SECONDS)
                held = claims.held_elsewhere()
                free = [one for one in elsewhere if one[1].identity not in held]
                waiting.extend(free)
                elsewhere = deque(one for one in elsewhere if one[1].identity in held)
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
            if event.run:
                self.ids.add(event.run)
            if event.lost:
                self.end(event.lost, "KILLED", "its process died; the trial was begun again")

    def follow_to_end(self, event: Event) -> str | None:
        """`follow`, and end the run of a trial that is done or failed. Returns what failed it, in one line."""
        self.follow(event)
        if event.kind == "done":
            self.end(event.run, "FINISHED")
        if event.kind != "failed":
            return None
        error: str = event.message["error"]
        self.end(event.run, "FAILED", f"{error}\n\n{event.message['details']}".strip())
        return error

    def end(self, run_id: str | None, status: str, message: str = "") -> None:
        if run_id is not None and run_id in self.ids:
            self.store.finish(run_id, status, message)
            self.ids.discard(run_id)


@contextmanager
def closing_runs(store: Store) -> Iterator[OpenRuns]:
    """Gives OpenRuns; what is left in them at the end is ended as KILLED."""
    runs = OpenRuns(store)
    ending = "the command ended by an error"
    manner: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
    try:
        yield runs
    except KeyboardInterrupt:
        ending = "interrupted"
        raise
    except StoreError:
        manner = best_effort()
        raise
    finally:
        with manner:
            for run_id in list(runs.ids):
                runs.end(run_id, "KILLED", ending)
