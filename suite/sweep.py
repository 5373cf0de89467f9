"""A batch-size study: one network trained with one batch size after another, on each available device.

Each training run has its own process and the machine to itself. It uses only the training and validation sets, and is a
child of one MLflow run for the whole study; runs already done on this hardware are not repeated. Nothing here prints: a
listener gets events.

    asked = sweep.request("pxd_pixels", "mlp_pxd_study", budget="smoke", batch_sizes="64 256")
    outcome = sweep.run(asked)
"""

from __future__ import annotations

import dataclasses
import functools
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from hepbench.benchmarks import budgets, registry
from hepbench.benchmarks.base import Model, Task, UserError, as_text
from hepbench.benchmarks.registry import Entry
from hepbench.suite import campaign, reports, results
from hepbench.suite import device as device_module
from hepbench.suite.campaign import Campaign, closing_runs, ignore, parent_run
from hepbench.suite.data.files import choose, events_to_simulate
from hepbench.suite.data.opening import DataEvent, open_data
from hepbench.suite.data.split import split_events
from hepbench.suite.paths import results_folder
from hepbench.suite.provenance import command
from hepbench.suite.reports import Report
from hepbench.suite.settings import settings_by_model
from hepbench.suite.trial.inputs import check_scaling, check_weights
from hepbench.suite.trial.spec import Spec, Trial, hash_of, identity_of
from hepbench.suite.workers.jobs import Event
from hepbench.suite.workers.place import Place
from hepbench.tracking.hardware import machine
from hepbench.tracking.runs import Store
from hepbench.tracking.sweep import page, record, table
from hepbench.tracking.sweep.record import Point, Sweep, Training

BATCH_SIZES = (32, 128, 256, 512, 1024, 2048, 4096, 8192, 12288, 20480, 40960)
"""Those of the pixel detector study."""

SET_BY_SWEEP = {"batch_size": "--batch-sizes", "epochs": "--epochs"}
"""Hyper-parameter -> the option that sets it."""

BUSY_CHECK_SECONDS = 0.5
"""Seconds for which the load of the machine is measured before anything is timed."""


@dataclasses.dataclass(frozen=True)
class SweepRequest:
    """What to measure.

    epochs: batch size -> number, None: the entry's, at most the budget's. target: the validation AUC to reach, None:
    `record.default_target`. device: "cpu", "gpu" or "auto", which gives devices: device -> why, and not_measured:
    device -> why not. settings: hyper-parameters in place of the defaults. events: of the dataset, None: the budget's.
    force: repeat finished runs.
    """

    task: Entry[Task]
    model: Entry[Model]
    epochs: Mapping[int, int | None]
    target: float | None
    seeds: tuple[int, ...]
    budget: str
    data: str
    device: str
    devices: Mapping[str, str]
    not_measured: Mapping[str, str]
    backend: str
    settings: Mapping[str, Any]
    events: int | None = None
    force: bool = False

    def trial(self, device: str, batch_size: int, seed: int) -> Trial:
        """A training run, with the hyper-parameters of the corresponding bench trial."""
        epochs = self.epochs[batch_size]
        parameters = {**self.settings, "batch_size": batch_size, **({"epochs": epochs} if epochs else {})}
        spec = Spec(
            self.task.given, self.model.given, seed, self.budget, self.data, device, self.backend, parameters,
            events=self.events,
        )  # fmt: skip
        return Trial(spec, self.task, self.model)


def request(
    task: str,
    model: str,
    *,
    batch_sizes: str = "",
    epochs: str = "",
    target: float | None = None,
    settings: Mapping[str, Any] | None = None,
    seeds: int | Sequence[int] = 1,
    budget: str = "quick",
    device: str = "auto",
    backend: str = "tensorflow",
    data: str = "auto",
    events: int | None = None,
    force: bool = False,
) -> SweepRequest:
    """Look up names; the other arguments are as in `campaign.request`.

    batch_sizes: integers separated by commas or blanks; "": `BATCH_SIZES`. epochs: one number, or one per batch size;
    "": the entry's, at most the budget's. device: "auto" is the CPU, and the GPU if there is one. Raises UserError for
    anything unknown or unavailable.
    """
    task_entry, model_entry = registry.find("task", task), registry.find("model", model)
    if model_entry.record.build is None:
        raise UserError(f"{model_entry.name} is not a network and has no batches: give a network, such as mlp")
    for name in SET_BY_SWEEP.keys() & (settings or {}).keys():
        raise UserError(f"--set {name}: a sweep sets it itself, use {SET_BY_SWEEP[name]}")
    chosen = settings_by_model(settings or {}, task_entry, [model_entry])[model_entry.name]
    if target is not None and not record.CHANCE < target <= 1:
        raise UserError(f"--target must be above {record.CHANCE}, the AUC of chance, and at most 1, got {target:g}")
    devices, not_measured = _devices(device, backend)
    asked = SweepRequest(
        task_entry,
        model_entry,
        _epochs_by_size(batch_sizes, epochs),
        target,
        campaign.seeds_of(seeds, budget),
        budget,
        choose(task_entry, data),
        device,
        devices,
        not_measured,
        backend,
        chosen,
        events,
        force,
    )
    if reason := asked.trial("cpu", next(iter(asked.epochs)), 0).refusal:
        raise UserError(f"{model_entry.name} does not support {task_entry.name}: {reason}")
    return asked


def _devices(wanted: str, backend: str) -> tuple[dict[str, str], dict[str, str]]:
    """(device -> why, device -> why not)."""
    found, reason = device_module.resolve(wanted, backend)
    if wanted != "auto":
        other = "gpu" if found == "cpu" else "cpu"
        return {found: reason}, {other: f"DEVICE={wanted} was asked for"}
    if found == "gpu":
        return {"cpu": "every machine has one", "gpu": reason}, {}
    return {"cpu": "every machine has one"}, {"gpu": reason}


def _epochs_by_size(batch_sizes: str, epochs: str) -> dict[int, int | None]:
    """Batch size -> epochs, by size."""
    sizes = _whole_numbers("--batch-sizes", batch_sizes) or list(BATCH_SIZES)
    numbers = _whole_numbers("--epochs", epochs)
    if len(numbers) not in (0, 1, len(sizes)):
        raise UserError(f"--epochs {epochs}: give one number, or {len(sizes)}, one for each batch size")
    each: list[int | None] = [*numbers] if len(numbers) > 1 else [numbers[0] if numbers else None] * len(sizes)
    by_size: dict[int, int | None] = {}
    for size, number in sorted(zip(sizes, each, strict=True), key=lambda one: one[0]):
        if by_size.setdefault(size, number) != number:
            raise UserError(f"--batch-sizes {batch_sizes}: {size} is given twice, with different epochs")
    return by_size


def _whole_numbers(option: str, text: str) -> list[int]:
    """The numbers in a text, none if it is empty."""
    parts = re.split(r"[,\s]+", text.strip()) if text else []
    if not all(re.fullmatch("[0-9]+", part) and int(part) > 0 for part in parts):
        raise UserError(f"{option} must be whole numbers from 1, such as 32,256,2048, got {text!r}")
    return list(map(int, parts))


@dataclasses.dataclass(frozen=True)
class PlannedTraining:
    """A training run and its state: "run" or "done"; "unknown" before the data exist."""

    trial: Trial
    device: str
    batch_size: int
    state: str
    identity: str = ""
    run: str = ""

    @property
    def name(self) -> str:
        return f"batch size {self.batch_size:,} on {record.DEVICES[self.device]}, seed {self.trial.spec.seed}"


@dataclasses.dataclass(frozen=True)
class Plan:
    """left_out: batch sizes larger than the training set. train_events: size of the training set; None before the data
    exist."""

    trainings: tuple[PlannedTraining, ...]
    left_out: tuple[int, ...] = ()
    train_events: int | None = None


@dataclasses.dataclass(frozen=True)
class MachineBusy:
    """Other processes use this percentage of the machine's cores."""

    percent: float


@dataclasses.dataclass(frozen=True)
class TrainingEvent:
    """An event of a training run, the `number`th of `total`."""

    planned: PlannedTraining
    number: int
    total: int
    event: Event


SweepEvent = DataEvent | Plan | MachineBusy | TrainingEvent
Listener = Callable[[SweepEvent], None]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The results, their page and CSV, and the message of each failed training run, by its name."""

    sweep: Sweep
    page: Path
    csv: Path
    failures: Mapping[str, str]


def plan(asked: SweepRequest, listener: Listener = ignore) -> Plan:
    """What a sweep would run, in order. Nothing is simulated for it, and without data it is not known what is done or
    left out."""
    if events_to_simulate(asked):
        return Plan(tuple(PlannedTraining(trial, *key, "unknown") for key, trial in _trials(asked, list(asked.epochs))))
    return _plan(asked, results.open_store(), listener)[0]


def _trials(asked: SweepRequest, sizes: Sequence[int]) -> Iterator[tuple[tuple[str, int], Trial]]:
    """((device, batch size), training run): all of the first seed, then of the next, so that an early end leaves
    complete curves."""
    for seed in asked.seeds:
        for device in asked.devices:
            for size in sizes:
                yield (device, size), asked.trial(device, size, seed)


def _plan(asked: SweepRequest, store: Store, listener: Listener) -> tuple[Plan, Campaign, dict[str, str]]:
    """The plan, what its runs have in common, and device -> name. Data are simulated or prepared if necessary.
    UserError if every batch size is too large."""
    most = budgets.most_events(asked.budget, asked.events)
    files, prepared = open_data(asked.task, asked.data, most, listener)
    rows, split_hash = split_events(asked.task.record, prepared, most)
    common = campaign.campaign_of(asked.task, asked.budget, files, prepared, split_hash, asked.events)
    events = len(rows["train"])
    sizes = [size for size in asked.epochs if size <= events]
    if not sizes:
        raise UserError(f"the training set has {events:,} events, fewer than any batch size: give smaller ones")
    check_weights(asked.task, prepared, rows)
    check_scaling(asked.trial("cpu", sizes[0], 0), prepared, rows)
    described = machine.describe_machine()
    hardware = {device: machine.hardware_name(described, device) for device in asked.devices}
    store.reconcile(asked.task.name)
    done = {} if asked.force else _done(store, asked.task.name)
    planned = []
    for (device, size), trial in _trials(asked, sizes):
        _, identity = identity_of(trial, files.digest, split_hash)
        run = done.get((identity, hardware[device]), {}).get("id", "")
        planned.append(PlannedTraining(trial, device, size, "done" if run else "run", identity, run))
    return Plan(tuple(planned), tuple(size for size in asked.epochs if size > events), events), common, hardware


def _done(store: Store, experiment: str) -> dict[tuple[str, str], dict[str, Any]]:
    """(identity, hardware) -> its latest finished run."""
    found = store.runs(experiment, status="FINISHED", tags={"stage": "sweep"})
    return {(run["tags"]["identity"], run["tags"]["hardware"]): run for run in found if "identity" in run["tags"]}


def run(asked: SweepRequest, store: Store | None = None, listener: Listener = ignore) -> Outcome:
    """Measure what has not been measured yet, one training run after another, and write the page. store: None: that of
    `results.open_store`. Raises StoreError, UserError."""
    store = store or results.open_store()  # before any work: an unwritable store ends here
    with _alone():
        planned, common, hardware = _plan(asked, store, listener)
        listener(planned)
        to_run = [one for one in planned.trainings if one.state == "run"]
        failures: dict[str, str] = {}
        parent = ""
        if to_run:
            if (percent := machine.busy_percent(BUSY_CHECK_SECONDS)) > record.MOST_OTHERS:
                listener(MachineBusy(percent))
            study, known = _study(asked, common, hardware, store)
            name = f"sweep {asked.task.name} {asked.model.name} {asked.budget}"
            with parent_run(store, name, common, {**study, "command": command()}, known) as (parent, note):
                failures = _run_all(to_run, common, parent, study, store, listener)
                note(f"{len(failures)} of {len(to_run)} trainings failed" if failures else "")
        sweep = _collect(asked, planned, hardware, failures, store)
        written = _write(asked, sweep, common)
        if parent:
            for file in written.files:
                store.upload_file(parent, file)
    return Outcome(sweep, written.page, written.tables[0], failures)


@contextmanager
def _alone() -> Iterator[None]:
    """Lock against concurrent sweeps, which would distort each other's times. UserError if another is running."""
    import filelock

    lock = filelock.FileLock(results_folder() / "sweep.lock")
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout as error:
        raise UserError("another sweep is running here, and each would slow the other down: wait for it") from error
    try:
        yield
    finally:
        lock.release()


def _study(
    asked: SweepRequest, common: Campaign, hardware: Mapping[str, str], store: Store
) -> tuple[dict[str, str], str | None]:
    """(tags of the study's runs, id of its run if there is one): the same network, data, code and machine, with any
    batch sizes."""
    spec = dataclasses.replace(asked.trial("cpu", next(iter(asked.epochs)), 0).spec, parameters=dict(asked.settings))
    trial = Trial(spec, asked.task, asked.model)
    configuration, _ = identity_of(trial, common.tags["data_digest"], common.tags["split_hash"])
    name = hash_of([configuration, sorted(hardware.items())])
    tags = {"stage": "sweep", "sweep": name, "model": asked.model.name}
    known = store.runs(asked.task.name, tags={"sweep": name})
    found = [run for run in known if "mlflow.parentRunId" not in run["tags"]]
    return tags, found[-1]["id"] if found else None


def _run_all(
    planned: Sequence[PlannedTraining],
    common: Campaign,
    parent: str,
    study: Mapping[str, str],
    store: Store,
    listener: Listener,
) -> dict[str, str]:
    """Each in its own process, so that none shares memory or threads with another. Every started run is ended. Returns
    the messages of those that failed, by name."""
    place = Place(jobs=1)
    failures: dict[str, str] = {}
    with closing_runs(store) as runs:
        for number, one in enumerate(planned, 1):
            tags = {**study, "identity": one.identity}
            jobs = iter([common.job(one.trial, one.name, tags, parent, False, one)])
            with place.reserve(one.device, one.trial.spec.backend, True) as workers:
                for event in workers().run(functools.partial(next, jobs, None)):
                    if (error := runs.follow_to_end(event)) is not None:
                        failures[one.name] = error
                    listener(TrainingEvent(one, number, len(planned), event))
    return failures


def _collect(
    asked: SweepRequest, planned: Plan, hardware: Mapping[str, str], failures: Mapping[str, str], store: Store
) -> Sweep:
    """The results of this plan's training runs in the store."""
    done = _done(store, asked.task.name)
    points = []
    for device in asked.devices:
        for size in dict.fromkeys(one.batch_size for one in planned.trainings):
            wanted = [one for one in planned.trainings if (one.device, one.batch_size) == (device, size)]
            found = [done[key] for one in wanted if (key := (one.identity, hardware[device])) in done]
            failed = [failures[one.name] for one in wanted if one.name in failures]
            points.append(Point(device, size, tuple(_training(run, store) for run in found), "; ".join(failed)))
    target, rule = asked.target, "as requested"
    if target is None:
        target = record.default_target(points)
        rule = f"{100 * record.SHARE:.0f} % of the way from chance to the best of any batch size"
    ours = not asked.settings  # a setting may change the network
    reported = asked.model.record.reported.get(asked.task.name, ()) if ours else ()
    return Sweep(
        tuple(points),
        hardware,
        asked.not_measured,
        planned.left_out,
        planned.train_events or 0,
        target,
        rule,
        tuple(reported),
    )


HISTORIES = {
    "auc": "val_auc",
    "accuracy": "val_accuracy",
    "seconds": "epoch_seconds",
    "rates": "epoch_events_per_second",
    "cpu_percent": "epoch_cpu_percent",
}
"""Field of `record.Training` -> the metric that is logged after each epoch."""


def _training(run: Mapping[str, Any], store: Store) -> Training:
    """A finished run, with its metrics by epoch."""
    points = {field: store.history(run["id"], metric) for field, metric in HISTORIES.items()}
    epochs = max((step for history in points.values() for step, _ in history), default=0)
    arrays = {}
    for field, history in points.items():
        arrays[field] = np.full(epochs, np.nan)
        for step, value in history:
            arrays[field][step - 1] = value
    return Training(int(run["tags"]["seed"]), measured=run["metrics"], **arrays)


def _write(asked: SweepRequest, sweep: Sweep, common: Campaign) -> Report:
    """Write the page, the CSV next to it and the figures in a folder."""
    html = page.render(
        sweep,
        title=f"Batch sizes: {asked.model.name} on {asked.task.name}",
        about=_about(asked, sweep, common),
        command=_command(asked),
    )
    figures = {name: functools.partial(draw, sweep) for name, (draw, _) in page.FIGURES.items()}
    name = f"sweep-{asked.task.name}-{asked.model.name}-{asked.budget}"
    return reports.write(name, html, {"": table.to_csv(sweep)}, figures)


def _about(asked: SweepRequest, sweep: Sweep, common: Campaign) -> list[str]:
    seeds = f"{len(asked.seeds)} seed{'s' * (len(asked.seeds) > 1)}"
    settings = " ".join(f"{name}={as_text(value)}" for name, value in sorted(asked.settings.items()))
    backend = asked.model.record.backend(asked.backend)
    devices = "; ".join(f"{record.DEVICES[device]}: {name}" for device, name in sweep.hardware.items())
    return [
        f"{asked.model.record.title}; {asked.task.record.title}",
        f"{common.tags['data']} data, budget {asked.budget}, {sweep.train_events:,} training events, {seeds}, "
        f"{backend}{', ' * bool(settings)}{settings}. One training run at a time, each in its own process.",
        devices,
    ]


def _command(asked: SweepRequest) -> str:
    """The command that regenerates the page."""
    epochs = list(asked.epochs.values())
    words = ["hepbench", "sweep", asked.task.given, "--model", asked.model.given, "--budget", asked.budget]
    words += ["--batch-sizes", ",".join(map(str, asked.epochs))]
    if any(epochs):
        words += ["--epochs", ",".join(map(str, epochs if len(set(epochs)) > 1 else epochs[:1]))]
    if asked.target is not None:
        words += ["--target", f"{asked.target:g}"]
    if asked.events is not None:
        words += ["--events", str(asked.events)]
    words += [word for name, value in sorted(asked.settings.items()) for word in ("--set", f"{name}={as_text(value)}")]
    words += ["--seeds", str(len(asked.seeds)), "--data", asked.data, "--device", asked.device]
    return shlex.join([*words, "--backend", asked.backend])
