"""Reproduces a study: its experiments as trials of this suite, its numbers compared with ours.

asked = reproduce.request("ecal_cnn", budget="quick")
failures = reproduce.run(asked)
page = reproduce.result(asked, results.open_store())
"""

from __future__ import annotations

import dataclasses
import math
import shlex
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hepbench.benchmarks import budgets, metrics, registry, study
from hepbench.benchmarks.base import UserError, check_known
from hepbench.benchmarks.study import COSTS, TIMES, Comparison, Experiment, Reported, Study
from hepbench.suite import campaign, results
from hepbench.suite import device as device_module
from hepbench.suite.campaign import PlannedTrial
from hepbench.suite.data.files import choose, is_simulated
from hepbench.suite.trial.artifacts import read_roc
from hepbench.suite.trial.score_metrics import VALIDATION
from hepbench.suite.trial.spec import Spec, Trial, command_for, known_hyperparameters
from hepbench.suite.workers.place import Place
from hepbench.tracking import plots, reproduction, statistics
from hepbench.tracking.numbers import significant_digits
from hepbench.tracking.runs import Store

PARTS = ("train", "validation")
"""Sets on which a network is evaluated in its modes."""

NOT_ASKED = "not requested"
"""Reason for leaving out experiments if only others are selected."""

MODE_EVENTS = 5_000
"""Maximum number of events of a set on which a network is evaluated in each of its modes."""

Run = Mapping[str, Any]
"""As `Store.runs` gives it."""


@dataclass(frozen=True)
class Setup:
    """An experiment under a budget.

    trials: one per seed; none if it is left out, for this reason. reduced: what the budget reduces, in words. same_as:
    an earlier experiment that is the same training run under the budget.
    """

    experiment: Experiment
    trials: tuple[Trial, ...]
    left_out: str = ""
    reduced: tuple[str, ...] = ()
    same_as: str = ""


@dataclass(frozen=True)
class Reproduction:
    """A request. setups: one per experiment. device: "cpu" or "gpu", and why. force: repeat finished runs."""

    name: str
    study: Study
    setups: tuple[Setup, ...]
    budget: str
    seeds: tuple[int, ...]
    device: str
    device_reason: str
    backend: str
    force: bool = False


@dataclass(frozen=True)
class ExperimentStarted:
    """The `number`th of `total` experiments that run."""

    setup: Setup
    number: int
    total: int


@dataclass(frozen=True)
class ExperimentFailed:
    """An experiment could not start, for this reason; the others continue."""

    setup: Setup
    reason: str


@dataclass(frozen=True)
class ModesStarted:
    """The network of this trial is evaluated with dropout and normalisation in training mode."""

    trial: str


ReproduceEvent = ExperimentStarted | ExperimentFailed | ModesStarted
Listener = Callable[[Any], None]
"""Called with the events of a campaign, and with ReproduceEvent."""


def request(
    name: str,
    *,
    only: Sequence[str] = (),
    budget: str = "full",
    seeds: int | Sequence[int] | None = None,
    device: str = "auto",
    backend: str = "tensorflow",
    data: str = "auto",
    force: bool = False,
    place: Place | None = None,
) -> Reproduction:
    """Look up a study and its experiments under a budget. only: names of experiments; none: all. The other arguments
    are as in `campaign.request`. Raises UserError for anything unknown, or if no data are available."""
    found = study.find(name)
    known = [experiment.name for experiment in found.experiments]
    for one in only:
        check_known(f"experiment of {name}", one, known)
    numbers = campaign.seeds_of(seeds, budget)
    chosen, reason = (place or Place()).resolve(device, backend)
    setups: list[Setup] = []
    for experiment in found.experiments:
        base = Spec("", "", 0, budget, data, chosen, backend)
        setup = _setup(experiment, base, numbers, setups)
        if only and experiment.name not in only:
            setup = Setup(experiment, (), NOT_ASKED)
        setups.append(setup)
    return Reproduction(name, found, tuple(setups), budget, numbers, chosen, reason, backend, force)


def _setup(experiment: Experiment, base: Spec, seeds: Sequence[int], before: Sequence[Setup]) -> Setup:
    """base: budget, device and backend, and the requested kind of data."""
    task, model = registry.find("task", experiment.task), registry.find("model", experiment.model)
    budget, known = budgets.find(base.budget), known_hyperparameters(task.record, model.record)
    most_epochs = budgets.most_epochs(base.budget, model.record.view)
    reduced = []

    events = experiment.events
    allowed = [n for n in (budget.events, experiment.most_events.get(base.budget)) if n is not None]
    whole = experiment.events or task.record.size
    if allowed and (whole is None or min(allowed) < whole):
        events = min(allowed)
        reduced.append(f"{events:,} events instead of {whole:,}" if whole else f"at most {events:,} events")

    settings = dict(experiment.settings)
    epochs = settings.pop("epochs", known["epochs"])
    if budget.events is not None and epochs > most_epochs:
        reduced.append(f"at most {min(most_epochs, known['epochs'])} epochs instead of {epochs:,}")
    elif epochs != known["epochs"] or epochs > most_epochs:
        settings["epochs"] = epochs

    spec = dataclasses.replace(
        base,
        task=task.given,
        model=model.given,
        data=choose(task, base.data),
        parameters=settings,
        events=None if events == budget.events else events,
    )
    trials = tuple(Trial(dataclasses.replace(spec, seed=seed), task, model) for seed in seeds)
    same = [one.experiment.name for one in before if one.trials and one.trials[0].spec == trials[0].spec]
    left_out = experiment.left_out.get(base.budget) or trials[0].refusal
    if same:
        left_out = f"under the budget {base.budget} it is the same training run as {same[0]}"
    if left_out:
        return Setup(experiment, (), left_out, same_as=same[0] if same else "")
    return Setup(experiment, trials, "", tuple(reduced))


@dataclass(frozen=True)
class Outcome:
    """What was run. trials: experiment -> its trials. failures: experiment -> error messages."""

    trials: Mapping[str, Sequence[PlannedTrial]]
    failures: Mapping[str, Sequence[str]]


def run(
    asked: Reproduction, place: Place | None = None, store: Store | None = None, listener: Listener = campaign.ignore
) -> Outcome:
    """Run what has not been run. Experiments on the same events of one task run together, with a common parent run. A
    failure in one does not end the others. place: where; None: on this machine. Raises StoreError."""
    place, store = place or Place(), store or results.open_store()
    to_run = [setup for setup in asked.setups if setup.trials]
    numbers = {setup.experiment.name: number for number, setup in enumerate(to_run, 1)}
    trials: dict[str, list[PlannedTrial]] = {}
    failures: dict[str, list[str]] = {}
    with place.reserve(asked.device, asked.backend, True) as workers:
        for together in _on_the_same_events(to_run):
            begun = []
            for setup in together:
                name = setup.experiment.name
                listener(ExperimentStarted(setup, numbers[name], len(to_run)))
                try:
                    labelled = [(name, trial) for trial in setup.trials]
                    trials[name], running = campaign.plan_trials(labelled, store, asked.force, listener)
                    begun.append(name)
                except UserError as error:
                    failures[name] = [str(error)]
                    listener(ExperimentFailed(setup, str(error)))
            if not begun:
                continue
            planned = [one for name in begun for one in trials[name]]
            named = f"reproduce {asked.name} {' '.join(begun)}"
            failed, _ = campaign.run_planned(
                planned, running, named, "reproduce", workers, store, listener, asked.force
            )
            for one in planned:
                if one.name in failed:
                    failures.setdefault(one.label, []).append(f"{one.name}: {failed[one.name]}")
            for setup in together:
                if setup.experiment.modes and setup.experiment.name in begun:
                    _evaluate_modes(trials[setup.experiment.name], store, listener)
    return Outcome(trials, failures)


def _on_the_same_events(setups: Sequence[Setup]) -> list[list[Setup]]:
    """Setups grouped by task, kind of data and number of events, in the order of the first of each group."""
    found: dict[tuple[Any, ...], list[Setup]] = {}
    for setup in setups:
        spec = setup.trials[0].spec
        found.setdefault((spec.task, spec.data, spec.events), []).append(setup)
    return list(found.values())


def _evaluate_modes(planned: Sequence[PlannedTrial], store: Store, listener: Listener) -> None:
    """Evaluate the networks trained by these trials in all modes, unless already done."""
    for trial, run in finished(planned, store):
        if f"modes/{PARTS[0]}/inference/accuracy" not in run["metrics"]:
            listener(ModesStarted(trial.name))
            store.log(run["id"], modes_of(trial.trial, run, store))


def plan(asked: Reproduction, store: Store | None = None) -> dict[str, list[PlannedTrial]]:
    """Experiment -> its trials with their states. Nothing is simulated for it: without data no trial is done."""
    trials = {}
    for setup in asked.setups:
        labelled = [(setup.experiment.name, trial) for trial in setup.trials]
        if not labelled:
            continue
        first = setup.trials[0]
        if first.spec.data == "simulated" and not is_simulated(first.task, first.spec.most_events):
            planned = [PlannedTrial(trial, "run", label=label) for label, trial in labelled]
        else:
            store = store or results.open_store()
            planned, _ = campaign.plan_trials(labelled, store, asked.force)
        trials[setup.experiment.name] = planned
    return trials


def finished(planned: Sequence[PlannedTrial], store: Store) -> list[tuple[PlannedTrial, Run]]:
    """Each trial with a result, and its latest run."""
    if not planned:
        return []
    found = store.runs(planned[0].trial.task.name, status="FINISHED", tags={"stage": "final"})
    by_identity = {run["tags"].get("identity"): run for run in found}
    return [(one, by_identity[one.identity]) for one in planned if one.identity in by_identity]


def modes_of(trial: Trial, run: Run, store: Store) -> dict[str, float]:
    """`modes/<part>/<mode>/<what>`: accuracy, AUC and the fraction of events classified as signal by the trained
    network on the training and validation sets, in each of its modes."""
    from hepbench.suite.training.modes import scores_by_mode
    from hepbench.suite.training.network import load_network
    from hepbench.suite.trial.run import open_samples

    device_module.load_keras(trial.spec.device, trial.spec.backend)
    tags = run["tags"]
    _, samples = open_samples(trial, tags["data_digest"], tags["split_hash"])
    signal, measured = trial.task.record.signal, {}
    with tempfile.TemporaryDirectory() as scratch:
        network = load_network(store.download(run["id"], "model", Path(scratch)))
        for part in PARTS:
            sample = samples[part]
            drawn = np.random.default_rng(2026).permutation(len(sample))[:MODE_EVENTS]
            sample = dataclasses.replace(sample, rows=sample.rows[drawn], labels=sample.labels[drawn])
            for mode, scores in scores_by_mode(network, sample, trial.hyperparameters["batch_size"]).items():
                for name in ("accuracy", "auc"):
                    value, _ = metrics.METRICS[name].compute(sample.labels, scores, signal)
                    measured[f"modes/{part}/{mode}/{name}"] = value
                measured[f"modes/{part}/{mode}/called_signal"] = float((scores.argmax(axis=1) == signal).mean())
    return measured


def result(asked: Reproduction, outcome: Outcome, store: Store) -> reproduction.Page:
    """The study's numbers compared with those in the store."""
    found = {name: [run for _, run in finished(trials, store)] for name, trials in outcome.trials.items()}
    parts = [_part(asked, setup, found.get(setup.experiment.name, []), outcome, store) for setup in asked.setups]
    kinds = sorted({trial.spec.data for setup in asked.setups for trial in setup.trials})
    facts = [f"budget {asked.budget}", f"{_counted(len(asked.seeds), 'seed')}", f"{' and '.join(kinds)} data"]
    facts.append(f"{asked.backend} on {asked.device}")
    return reproduction.Page(
        title=asked.study.title,
        source=asked.study.source,
        facts=facts,
        parts=parts,
        comparisons=[_compared(asked, comparison, found, store) for comparison in asked.study.comparisons],
        remarks=asked.study.remarks,
        elsewhere=asked.study.elsewhere,
        roc=_roc(asked, found, store),
        command=_command(asked),
    )


def _command(asked: Reproduction) -> str:
    """The command that regenerates the page."""
    only = [setup.experiment.name for setup in asked.setups if setup.left_out != NOT_ASKED]
    words = [f"STUDY={asked.name}", f"BUDGET={asked.budget}", f"SEEDS={len(asked.seeds)}", f"DEVICE={asked.device}"]
    kinds = {trial.spec.data for setup in asked.setups for trial in setup.trials}
    if len(kinds) == 1:  # otherwise "auto" has chosen them
        words.append(f"DATA={kinds.pop()}")
    if len(only) < len(asked.setups):
        words.append(f"ONLY={shlex.quote(' '.join(only))}")
    if asked.backend != device_module.BACKENDS[0]:
        words.append(f"BACKEND={asked.backend}")
    return f"make reproduce {' '.join(words)}"


def _part(asked: Reproduction, setup: Setup, runs: Sequence[Run], outcome: Outcome, store: Store) -> reproduction.Part:
    experiment = setup.experiment
    failed = outcome.failures.get(experiment.name, ())
    left_out = setup.left_out or "; ".join(failed) or ("" if runs else "it was not run yet")
    numbers = [_number(number, experiment.trained, runs, left_out, store) for number in experiment.reported]
    return reproduction.Part(
        name=experiment.name,
        title=experiment.title,
        facts=_facts(experiment, runs),
        simulated=bool(runs) and runs[0]["tags"]["data"] == "simulated",
        left_out="" if runs and not failed else left_out,
        reduced=setup.reduced,
        differs=experiment.differs,
        numbers=numbers,
        curves=_curves(experiment, runs, store),
        modes=_modes(runs),
        modes_in_words=_modes_in_words(runs),
        command=command_for(setup.trials[0].spec) if setup.trials else "",
        runs=[run["id"] for run in runs],
    )


def _facts(experiment: Experiment, runs: Sequence[Run]) -> list[str]:
    """Data, events, epochs and seeds of the runs, compared with the document's."""
    if not runs:
        return []
    first = runs[0]["metrics"]
    facts = [f"{runs[0]['tags']['data']} data"]
    for part, key, theirs in (("training", "train", experiment.trained), ("test", "test", experiment.tested)):
        ours = round(first[f"{key}_events"])
        share = f" (the document: {theirs:,})" if theirs and theirs != ours else ""
        facts.append(f"{ours:,} {part} events{share}")
    if "epochs" in first:
        epochs = sorted({round(run["metrics"]["epochs"]) for run in runs})
        wanted = experiment.settings.get("epochs", registry.find("model", experiment.model).record.defaults["epochs"])
        most = f" of at most {wanted:,}" if epochs[-1] < wanted else ""
        facts.append(f"{' to '.join(f'{n:,}' for n in dict.fromkeys((epochs[0], epochs[-1])))} epochs{most}")
    return [*facts, _counted(len(runs), "seed")]


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


Measured = tuple[float, float]
"""A mean over the seeds, and one standard deviation, NaN where unknown."""


def measured(key: str, epoch: int | None, runs: Sequence[Run], store: Store) -> Measured:
    """The value for the trained networks, or after an epoch, -1 the last. UserError with the reason if unavailable."""
    if epoch is None:
        values = [_of_run(key, run) for run in runs]
        errors = [run["metrics"].get(f"{key}_error", math.nan) for run in runs]
    else:
        values, errors = [], []
        for run in runs:
            history = dict(store.history(run["id"], key))
            if not history:
                raise UserError("not reported after each epoch")
            at = max(history) if epoch == -1 else epoch
            if at not in history:
                raise UserError(f"trained for {max(history)} epochs, not {epoch}")
            values.append(history[at])
            events = run["metrics"]["val_events" if key.startswith("val_") else "train_events"]
            share = key.removeprefix("val_") == "accuracy"
            errors.append(math.sqrt(values[-1] * (1 - values[-1]) / events) if share else math.nan)
    known = [error for error in errors if math.isfinite(error)]
    found = statistics.combine(values, known if len(known) == len(values) else [0.0] * len(values))
    return found.mean, found.error if known or len(values) > 1 else math.nan


def _of_run(key: str, run: Run) -> float:
    found = run["metrics"]
    if key in found:
        return float(found[key])
    if key in TIMES and "epochs" in found:
        steps = found["train_events"] // min(int(run["parameters"]["batch_size"]), found["train_events"])
        return float(found["train_seconds"] / found["epochs"] / (steps if key == "seconds_per_step" else 1))
    raise UserError("not measurable with these events" if key.startswith(("test_", VALIDATION)) else "not recorded")


def _number(
    number: Reported, trained: int | None, runs: Sequence[Run], left_out: str, store: Store
) -> reproduction.Number:
    """trained: number of training events in the document."""
    text = _text(number.metric, number.value)
    if number.metric not in COSTS:
        text = text.rstrip("0")
    document = f"{number.sign} {text}".strip()
    what = number.what, number.where, document
    if not runs:
        return reproduction.Number(*what, reproduction.NOT_MEASURED, left_out, number.note)
    try:
        value, error = measured(number.metric, number.epoch, runs, store)
    except UserError as reason:
        return reproduction.Number(*what, reproduction.NOT_MEASURED, str(reason), number.note)
    here = _text(number.metric, value, error)
    hardware = ", ".join(dict.fromkeys(run["tags"].get("hardware", "") for run in runs))
    words = in_words(number, value, error, hardware)
    events = round(runs[0]["metrics"]["train_events"])
    if number.metric == "seconds_per_epoch" and trained not in (None, events):
        words = f"an epoch of {events:,} events instead of {trained:,}, on other hardware: {hardware}"
    return reproduction.Number(*what, here, words, number.note)


def _text(key: str, value: float, error: float = math.nan) -> str:
    if key in TIMES:
        return f"{significant_digits(value)} s"
    if key in COSTS:
        return f"{value:,.0f}" if value == round(value) else f"{value:,.1f}"
    decimals = 1 if abs(value) >= 10 else 4
    return f"{value:.{decimals}f}" + (f" ± {error:.{decimals}f}" if math.isfinite(error) else "")


def in_words(number: Reported, value: float, error: float, hardware: str = "") -> str:
    """How our number differs from the document's, in words."""
    difference = value - number.value
    if number.metric in TIMES:
        return f"{significant_digits(value / number.value, 2)} times the document's, on other hardware: {hardware}"
    if number.metric in COSTS:
        return "the same" if not difference else f"{'more' if difference > 0 else 'fewer'} by {abs(difference):,.0f}"
    size = f"{abs(difference):.4f}" + (f" ± {error:.4f}" if math.isfinite(error) else "")
    if number.sign in ("above", "at least"):
        return f"ours is {number.sign} it, too" if difference > 0 else f"ours is lower by {size}"
    if math.isfinite(error) and abs(difference) <= reproduction.WITHIN * error:
        return f"the same within the error ({difference:+.4f} ± {error:.4f})"
    return f"ours {'higher' if difference > 0 else 'lower'} by {size}"


def _curves(experiment: Experiment, runs: Sequence[Run], store: Store) -> list[reproduction.Curve]:
    curves = []
    for name in dict.fromkeys(["loss", "val_loss", "accuracy", "val_accuracy", *experiment.by_epoch]):
        document = [math.nan if value is None else value for value in experiment.by_epoch.get(name, ())]
        here = [[value for _, value in store.history(run["id"], name)] for run in runs]
        if document or any(here):
            curves.append(reproduction.Curve(name, document, [one for one in here if one]))
    return curves


def _modes(runs: Sequence[Run]) -> dict[tuple[str, str], tuple[float, float, float]]:
    from hepbench.suite.training.modes import MODES

    found = {}
    for part in PARTS:
        for mode, (of_the_batch, drops) in MODES.items():
            keys = [f"modes/{part}/{mode}/{what}" for what in ("accuracy", "auc", "called_signal")]
            if runs and all(key in run["metrics"] for run in runs for key in keys):
                words = f"{'batch statistics' if of_the_batch else 'moving averages'}, "
                words += f"dropout {'on' if drops else 'off'}"
                words += {"inference": " (inference)", "training": " (training)"}.get(mode, "")
                values = [float(np.mean([run["metrics"][key] for run in runs])) for key in keys]
                found[part, words] = values[0], values[1], values[2]
    return found


def _modes_in_words(runs: Sequence[Run]) -> str:
    """Change from training mode to inference on the training events, in two steps."""

    if not runs or any("modes/train/inference/accuracy" not in run["metrics"] for run in runs):
        return ""

    def mean(mode: str, what: str) -> float:
        return float(np.mean([run["metrics"][f"modes/train/{mode}/{what}"] for run in runs]))

    training, between, inference = (mean(mode, "accuracy") for mode in ("training", "dropout", "inference"))
    called = {mode: f"{100 * mean(mode, 'called_signal'):.0f} %" for mode in ("training", "inference")}
    return (
        f"On the training events the accuracy changes from {training:.4f} in training mode to {inference:.4f} in "
        f"inference: {between - training:+.4f} with moving averages instead of batch statistics, and then "
        f"{inference - between:+.4f} with dropout off. Inference classifies {called['inference']} of them as signal, "
        f"with an AUC of {mean('inference', 'auc'):.4f}; training mode classifies {called['training']} as signal, "
        f"with an AUC of {mean('training', 'auc'):.4f}."
    )


def _compared(
    asked: Reproduction, comparison: Comparison, found: Mapping[str, Sequence[Run]], store: Store
) -> reproduction.Compared:
    """Each experiment's metrics, and in brackets their difference from those of the first measured one."""
    first: dict[str, Measured] = {}
    setups = {setup.experiment.name: setup for setup in asked.setups}
    rows = []
    for name in comparison.experiments:
        runs = found.get(name, [])
        same = setups[name].same_as
        row: list[str] = [name]
        reasons: list[str] = []
        if not runs and same not in comparison.experiments and found.get(same):
            runs = found[same]
            reasons.append(f"as {same}, under this budget the same training run")
        for metric in comparison.metrics:
            epoch, key = (-1, metric.removeprefix("last ")) if metric.startswith("last ") else (None, metric)
            try:
                if not runs:
                    raise UserError(setups[name].left_out or "it was not run")
                value, error = measured(key, epoch, runs, store)
            except UserError as reason:
                row.append("–")
                reasons.append(f"{reproduction.NOT_MEASURED}: {reason}")
                continue
            against = f" ({_against(first[metric], value, error)})" if metric in first else ""
            first.setdefault(metric, (value, error))
            row.append(_text(key, value, error) + against)
        rows.append([*row, "; ".join(dict.fromkeys(reasons))])
    columns = [*map(_heading, comparison.metrics), ""]
    return reproduction.Compared(comparison.question, comparison.statement, columns, rows)


def _against(reference: Measured, value: float, error: float) -> str:
    difference, combined = value - reference[0], math.hypot(error, reference[1])
    told = f"{difference:+.4f}" + (f" ± {combined:.4f}" if math.isfinite(combined) else "")
    same = math.isfinite(combined) and abs(difference) <= reproduction.WITHIN * combined
    return f"{told}, not significant" if same else told


def _heading(metric: str) -> str:
    """Heading of a column for a key of a run, as in `Comparison.metrics`."""
    if metric.startswith("last "):
        part, _, name = metric.removeprefix("last ").partition("_")
        whose = "validation" if part == "val" else "training"
        return f"{whose} {name or part}, last epoch".replace("_", " ")
    prefix, whose = (VALIDATION, "validation") if metric.startswith(VALIDATION) else ("test_", "test")
    name = metric.removeprefix(prefix)
    whole = max((key for key in metrics.METRICS if name == key or name.startswith(f"{key}_")), key=len)
    return f"{whose} {metrics.METRICS[whole].heading}{name.removeprefix(whole).replace('_', ' ')}"


def _roc(
    asked: Reproduction, found: Mapping[str, Sequence[Run]], store: Store
) -> dict[tuple[str, str], dict[str, tuple[np.ndarray, np.ndarray]]]:
    """ROC points of each experiment's first run, by the two classes that are distinguished."""
    curves: dict[tuple[str, str], dict[str, tuple[np.ndarray, np.ndarray]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for setup in asked.setups:
            for run in found.get(setup.experiment.name, [])[:1]:
                task = setup.trials[0].task.record
                signal, several = task.classes[task.signal], len(task.classes) > 2
                against = "the rest" if several else task.classes[1 - task.signal]
                found_curves = read_roc(store.download(run["id"], "roc.csv", Path(scratch) / run["id"]))
                auc = f"test_auc_{metrics.class_keys(task.classes)[task.signal]}" if several else "test_auc"
                area = (run["metrics"].get(name, math.nan) for name in (auc, f"{auc}_error"))
                label = plots.with_area(setup.experiment.name, *area)
                curve = plots.efficiencies(found_curves[signal if several else ""])
                curves.setdefault((signal, against), {})[label] = curve
    return curves
