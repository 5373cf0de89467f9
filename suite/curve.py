"""Learning curves: models trained on 1/64, 1/32 ... 1 of the training events, tested on the same test events.

asked = curve.request("ecal", ["gbdt", "cnn"], budget="quick")
outcome = curve.run(asked)
found = curve.result(asked, outcome, results.open_store())
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hepbench.benchmarks import budgets, metrics, registry
from hepbench.benchmarks.base import Model, Task, UserError, as_text
from hepbench.benchmarks.registry import Entry
from hepbench.suite import campaign, differences, reports, results
from hepbench.suite.campaign import Campaign, Listener, PlannedTrial, ignore
from hepbench.suite.data.files import choose, events_to_simulate
from hepbench.suite.data.opening import open_data
from hepbench.suite.data.split import PARTS, split_events, with_fewer
from hepbench.suite.reports import Report
from hepbench.suite.settings import settings_by_model
from hepbench.suite.trial.artifacts import StoredScores
from hepbench.suite.trial.spec import Spec, Trial, computed_on
from hepbench.suite.workers.place import Place
from hepbench.tracking.curve import page, table
from hepbench.tracking.curve.record import Curves, Line, Point, Training
from hepbench.tracking.curve.table import Findings
from hepbench.tracking.runs import Store

HALVINGS = 6
"""Halvings of the training events if no numbers are given: down to 1/64."""

LEAST_SEEDS = 2
"""Minimum number of seeds on all events if none is given: a single one has no measure of its variance."""

METRIC = differences.COMPARED[0]
"""The metric of the curve."""

BY_EPOCH = ("epochs", "patience", "plateau_patience", "plateau_cooldown")
"""Settings in units of epochs, which are stretched, together with `passes`, to the same number of events."""


@dataclasses.dataclass(frozen=True)
class CurveRequest:
    """What to measure.

    settings: model -> hyper-parameters in place of its defaults. train_events: numbers of training events, () for all
    and HALVINGS halvings. seeds: number on all of them; fewer events have more, see `seeds_for`. exact: exactly these
    seeds at each number; () for none. events: of the dataset, None: the budget's. force: repeat finished runs.
    """

    task: Entry[Task]
    models: tuple[Entry[Model], ...]
    settings: Mapping[str, Mapping[str, Any]]
    train_events: tuple[int, ...]
    seeds: int
    exact: tuple[int, ...]
    budget: str
    data: str
    device: str
    device_reason: str
    backend: str
    events: int | None = None
    force: bool = False

    @property
    def networks(self) -> bool:
        """Whether one of the models is a Keras network."""
        return any(model.record.in_keras for model in self.models)

    def seeds_for(self, events: int, whole: int) -> tuple[int, ...]:
        """One more seed for each factor of four fewer events."""
        if self.exact:
            return self.exact
        return tuple(range(self.seeds + max(0, math.floor(math.log(whole / events, 4) + 1e-9))))


def request(
    task: str,
    models: Sequence[str],
    *,
    train_events: str = "",
    settings: Mapping[str, Any] | None = None,
    seeds: int | None = None,
    exact: Sequence[int] = (),
    budget: str = "quick",
    device: str = "auto",
    backend: str = "tensorflow",
    data: str = "auto",
    events: int | None = None,
    force: bool = False,
    place: Place | None = None,
) -> CurveRequest:
    """Look up names; the other arguments are as in `campaign.request`.

    train_events: integers separated by commas or blanks; "": all, and HALVINGS halvings. seeds: number of seeds on all
    events; None: the budget's, at least LEAST_SEEDS. Raises UserError for anything unknown or unavailable.
    """
    entry = registry.find("task", task)
    entries = registry.find_models(models)
    chosen, reason = (place or Place()).resolve(device, backend)
    if exact and seeds is not None:
        raise UserError("--seeds is a number of seeds and --seed is one of them: give only one of these options")
    if seeds is None:
        seeds = max(LEAST_SEEDS, budgets.find(budget).seeds)
    chosen_settings = settings_by_model(settings or {}, entry, entries)
    if "passes" in (settings or {}):  # also for 1, the default: it says that nothing is to be stretched
        for model in entries:
            if model.record.build is not None:
                chosen_settings[model.name].setdefault("passes", 1)
    asked = CurveRequest(
        entry,
        entries,
        chosen_settings,
        _numbers(train_events),
        len(campaign.seeds_of(seeds, budget)),
        campaign.seeds_of(exact, budget) if exact else (),
        budget,
        choose(entry, data),
        chosen,
        reason,
        backend,
        events,
        force,
    )
    refusals = {model.name: _trial(asked, model, 0, None).refusal for model in entries}
    if all(refusals.values()):
        reasons = "; ".join(f"{name} {why}" for name, why in refusals.items())
        raise UserError(f"none of these models supports {entry.name}: {reasons}")
    return asked


def _numbers(text: str) -> tuple[int, ...]:
    parts = re.split(r"[,\s]+", text.strip()) if text.strip() else []
    if not all(re.fullmatch("[0-9]+", part) and int(part) > 0 for part in parts):
        raise UserError(f"--train-events must be whole numbers from 1, such as 500,2000,8000, got {text!r}")
    return tuple(sorted(set(map(int, parts))))


def _trial(asked: CurveRequest, model: Entry[Model], seed: int, train_events: int | None) -> Trial:
    """The trial; on all training events it is that of a bench."""
    settings = dict(asked.settings[model.name])
    spec = Spec(
        asked.task.given, model.given, seed, asked.budget, asked.data, asked.device, asked.backend, settings,
        events=asked.events, train_events=train_events,
    )  # fmt: skip
    return Trial(spec, asked.task, model)


def paced(trial: Trial, whole: int, validation: int) -> Trial:
    """The trial of a network on fewer events with the training length of one on all events.

    It processes at most as many events and has the same patience: settings in epochs are stretched. An epoch has enough
    passes over the events not to be shorter than the validation after it, which would otherwise cost more than the
    training. whole, validation: events of the training and validation sets. A trial that sets `passes` is unchanged.
    """
    spec = trial.spec
    if trial.model.record.build is None or not spec.train_events or "passes" in spec.parameters:
        return trial
    from hepbench.suite.training.settings import DEFAULTS

    known = {**DEFAULTS, **trial.hyperparameters}
    passes = max(1, math.ceil(validation / spec.train_events))
    longer = whole / (spec.train_events * passes)
    own: dict[str, Any] = {name: math.ceil(known[name] * longer) for name in BY_EPOCH if known[name] > 0}
    if known["schedule"] == "step" and longer != 1:
        steps = str(known["step_epoch"]).replace(",", " ").split()
        own["step_epoch"] = ",".join(f"{float(epoch) * longer:.6g}" for epoch in steps)
    own = {name: value for name, value in own.items() if value != known[name]}
    parameters = {**spec.parameters, **own, "passes": passes}
    return dataclasses.replace(trial, spec=dataclasses.replace(spec, parameters=parameters))


@dataclasses.dataclass(frozen=True)
class Opened:
    """Events of each set, numbers of training events used, and those left out -> why."""

    parts: Mapping[str, int]
    train_events: tuple[int, ...]
    left_out: Mapping[int, str]


def _open(asked: CurveRequest, listener: Listener) -> Opened:
    """Data are simulated or prepared if necessary. UserError if there are too few events for any point."""
    most = budgets.most_events(asked.budget, asked.events)
    _, prepared = open_data(asked.task, asked.data, most, listener)
    rows, _ = split_events(asked.task.record, prepared, most)
    whole = len(rows["train"])
    wanted = asked.train_events or sorted({max(1, round(whole / 2**n)) for n in range(HALVINGS + 1)})
    left_out: dict[int, str] = {}
    for number in wanted:
        try:
            with_fewer(rows, prepared.labels, number, seed=0)  # what another seed draws has as many of each class
        except UserError as error:
            left_out[number] = str(error)
    kept = tuple(number for number in wanted if number not in left_out)
    if not kept:
        raise UserError("; ".join(left_out.values()))
    return Opened({part: len(rows[part]) for part in PARTS}, kept, left_out)


def _labelled(asked: CurveRequest, opened: Opened) -> list[tuple[str, Trial]]:
    """All numbers of events of the first seed, then of the next, so that an early end leaves complete curves."""
    whole = opened.parts["train"]
    seeds = {number: asked.seeds_for(number, whole) for number in opened.train_events}
    labelled = []
    for seed in dict.fromkeys(seed for some in seeds.values() for seed in some):
        for number in opened.train_events:
            for model in asked.models if seed in seeds[number] else ():
                trial = _trial(asked, model, seed, None if number == whole else number)
                if trial.refusal is None:
                    trial = paced(trial, whole, opened.parts["validation"])
                labelled.append((label(model.name, number), trial))
    return labelled


def label(model: str, events: int) -> str:
    """The name of a point."""
    return f"{model} on {events:,} events"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What was run: its plan, the data, what its runs have in common, the message of each failed trial, by its name,
    and the id of the parent run, None if there was nothing to run."""

    trials: tuple[PlannedTrial, ...]
    opened: Opened
    common: Campaign
    failures: Mapping[str, str]
    parent: str | None


def plan(asked: CurveRequest, store: Store | None = None, listener: Listener = ignore) -> list[PlannedTrial] | None:
    """What would run, in order. Nothing is simulated for it: None if the data do not exist."""
    if events_to_simulate(asked):
        return None
    opened = _open(asked, listener)
    return campaign.plan_trials(_labelled(asked, opened), store or results.open_store(), asked.force)[0]


def run(
    asked: CurveRequest, place: Place | None = None, store: Store | None = None, listener: Listener = ignore
) -> Outcome:
    """Run what has not been run. place: where; None: on this machine, one trial at a time, or one per GPU. Raises
    StoreError, UserError."""
    place = place or Place()
    store = store or results.open_store()  # before any work: an unwritable store ends here
    with place.reserve(asked.device, asked.backend, asked.networks) as workers:
        if events_to_simulate(asked):
            workers()  # whose imports run during the simulation
        opened = _open(asked, listener)
        planned, common = campaign.plan_trials(_labelled(asked, opened), store, asked.force)
        name = f"curve {asked.task.name} {asked.budget}"
        failures, parent = campaign.run_planned(planned, common, name, "curve", workers, store, listener, asked.force)
    return Outcome(tuple(planned), opened, common, failures, parent)


def result(
    asked: CurveRequest, outcome: Outcome, store: Store, advance: Callable[[int], None] = lambda done: None
) -> Curves:
    """The results of this plan's training runs in the store. advance: called with 1 for each of them. UserError if
    there are none."""
    stages = {one.trial.stage for one in outcome.trials}
    found = {run["tags"].get("identity"): run for run in campaign.finished(asked.task.name, stages, store)}
    reference: StoredScores | None = None
    lines: list[Line] = []
    skipped = {one.trial.model.name: one.reason for one in outcome.trials if one.state == "skip"}
    for model in asked.models:
        points = []
        for number in outcome.opened.train_events:
            wanted = [one for one in outcome.trials if one.label == label(model.name, number)]
            trainings = {}
            failures = [outcome.failures[one.name] for one in wanted if one.name in outcome.failures]
            for one in wanted:
                advance(1)
                if one.identity not in found or one.state == "skip" or one.name in outcome.failures:
                    continue
                run = found[one.identity]
                scores = differences.scores_of(store, run["id"])
                reference = reference or scores
                scores = differences.matched(scores, reference)
                trainings[one.trial.spec.seed] = _training(asked.task.record, run, scores, store)
            if trainings or failures:
                points.append(Point(number, trainings, list(dict.fromkeys(failures))))
        lines.append(Line(model.name, model.record.title, points))
    if not any(line.measured for line in lines):
        raise UserError("no training run succeeded: " + "; ".join(dict.fromkeys(outcome.failures.values())))
    parts = outcome.opened.parts
    return Curves(
        asked.task.name, lines, parts["train"], parts["validation"], parts["test"], skipped, outcome.opened.left_out
    )


def _training(task: Task, run: Mapping[str, Any], scores: StoredScores, store: Store) -> Training:
    auc, parts = differences.compared(metrics.METRICS[METRIC], scores.scored(), task.signal)
    losses = [value for _, value in store.history(run["id"], "val_loss")]
    last_was_best = len(losses) > 1 and losses[-1] < min(losses[:-1])
    return Training(auc, parts, run["metrics"].get("train_seconds", math.nan), last_was_best)


def write(asked: CurveRequest, outcome: Outcome, found: Findings, store: Store) -> Report:
    """Write the page, the CSV files of scores and differences next to it, and the figures; also to the parent run."""
    html = page.render(
        found,
        title=title(asked),
        about=about(asked, found.curves),
        facts=facts(asked, outcome, found.curves),
        command=command_of(asked),
    )
    figures = {name: functools.partial(draw, found) for name, (draw, _) in page.drawn(found).items()}
    tables = {"": table.to_csv(found), "-differences": table.gaps_to_csv(found)}
    written = reports.write(f"curve-{asked.task.name}-{asked.budget}", html, tables, figures)
    for file in written.files if outcome.parent else ():
        store.upload_file(str(outcome.parent), file)
    return written


def markdown(asked: CurveRequest, found: Findings) -> str:
    """The page without its figures."""
    return table.markdown(found, title=title(asked), about=about(asked, found.curves), command=command_of(asked))


def title(asked: CurveRequest) -> str:
    return f"Learning curves on {asked.task.name}"


def about(asked: CurveRequest, curves: Curves) -> list[str]:
    """Lines on what was trained."""
    names = "; ".join(f"{line.model}: {line.title}" for line in curves.lines)
    settings = [
        f"{model} with {' '.join(f'{name}={as_text(value)}' for name, value in sorted(own.items()))}"
        for model, own in asked.settings.items()
        if own
    ]
    lines = [
        f"{asked.task.record.title}. {asked.data} data, budget {asked.budget}.",
        names,
        f"The training set has {curves.train_events:,} events. Every training run is tested on the same "
        f"{curves.test_events:,} events, with early stopping by the same {curves.validation_events:,} validation "
        "events.",
    ]
    return [*lines, "; ".join(settings)] if settings else lines


def facts(asked: CurveRequest, outcome: Outcome, curves: Curves) -> list[str]:
    """Facts for the head of the page."""
    digest = str(outcome.common.tags["data_digest"])[:12]
    trainings = sum(len(point.trainings) for line in curves.lines for point in line.points)
    return [
        asked.data,
        f"digest {digest}",
        f"budget {asked.budget}",
        f"{trainings} training runs",
        computed_on(asked.models, asked.backend, asked.device),
    ]


def command_of(asked: CurveRequest) -> str:
    """The command that regenerates the page."""
    words = ["hepbench", "curve", asked.task.given]
    words += [word for model in asked.models for word in ("--model", model.given)]
    words += ["--budget", asked.budget]
    words += ["--train-events", ",".join(map(str, asked.train_events))] if asked.train_events else []
    words += [word for seed in asked.exact for word in ("--seed", str(seed))] or ["--seeds", str(asked.seeds)]
    words += ["--events", str(asked.events)] if asked.events is not None else []
    settings = {name: value for own in asked.settings.values() for name, value in own.items()}
    words += [word for name, value in sorted(settings.items()) for word in ("--set", f"{name}={as_text(value)}")]
    return shlex.join([*words, "--data", asked.data, "--device", asked.device, "--backend", asked.backend])
