"""A study: search a model's parameters on the validation part, then train the best on fresh seeds and test it once.

The trials are Optuna's, in the database of `suite.studies`; this process alone asks for them and tells their ends, and
workers run them. The best and the defaults are trained on the same fresh seeds; only these trainings see the test set.
"""

from __future__ import annotations

import contextlib
import json
import math
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import budgets, metrics, registry
from benchmarks.base import UserError, check_known
from benchmarks.registry import Entry
from suite import bench, data, device, studies, study_page, trial
from suite.trial import Spec
from suite.watch import Watch
from suite.workers import Event, Job, Place, Workers
from tracking import runs, statistics
from tracking.runs import Store, StoreError

if TYPE_CHECKING:
    import optuna
    from optuna.storages import RDBStorage
    from optuna.study import Study

SAMPLERS = ("tpe", "random", "nsga2")
PRUNERS = ("median", "hyperband", "halving", "none")
COSTS = {"latency": "latency_ms", "parameters": "parameters", "train_seconds": "train_seconds"}
"""What a second objective may be -> what a trial's metrics call it."""

EPOCHWISE = {"accuracy": "val_accuracy", "log_loss": "val_loss"}
"""Metric -> what families report of it after each epoch; pruning goes by val_auc where there is none."""

FIRST_SEED = 1_000_000
"""Seeds of the trials begin here, so that no final training repeats the chance of one that was selected."""

MOST_FAILURES = 5
"""Failed trials in a row that end a study."""

RESAMPLINGS = 100
"""Of the test set, for the error of the difference between two models."""


@dataclass(frozen=True)
class Question:
    """What a study asks. base: the trial without what is searched. space: an Optuna trial -> parameters.
    limits: cost -> the most that is allowed."""

    task: Entry
    model: Entry
    base: Spec
    space: Callable[[optuna.Trial], dict[str, Any]]
    objectives: tuple[str, ...]
    limits: dict[str, float]

    def spec(self, trial_: optuna.Trial) -> Spec:
        """Ask the trial for its parameters."""
        chosen = {**self.base.parameters, **self.space(_Fixing(trial_, self.base.parameters))}
        return replace(self.base, parameters=self.changed(chosen), seed=FIRST_SEED + trial_.number)

    def changed(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Those that differ from the defaults, as a bench has it."""
        known = trial.known_parameters(self.task.record, self.model.record)
        return {name: value for name, value in parameters.items() if value != known[name]}

    @property
    def directions(self) -> list[str]:
        return [_direction(name) for name in self.objectives]

    def values(self, measured: Mapping[str, float]) -> list[float]:
        return [measured.get(COSTS.get(name, f"valid_{name}"), math.nan) for name in self.objectives]

    def step_value(self, reported: Mapping[str, float]) -> float | None:
        """What pruning goes by, after an epoch."""
        value = reported.get(EPOCHWISE.get(self.objectives[0], "val_auc"))
        return None if value is None or not math.isfinite(value) else value


class _Fixing:
    """An Optuna trial that answers with what the user has set in place of a suggestion."""

    def __init__(self, trial_: optuna.Trial, fixed: Mapping[str, Any]):
        self._trial = trial_
        self._fixed = fixed

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._trial, name)
        if not name.startswith("suggest_"):
            return method
        fixed = self._fixed
        return lambda parameter, *rest, **options: (
            fixed[parameter] if parameter in fixed else method(parameter, *rest, **options)
        )


def tune(
    task_given: str,
    model_given: str,
    settings: Sequence[str] = (),
    *,
    trials: int | None,
    timeout: str | None,
    budget: str,
    sampler: str,
    pruner: str,
    objectives: Sequence[str],
    max_latency: str | None,
    max_parameters: str | None,
    name: str | None,
    seeds: int,
    wanted_device: str,
    backend: str,
    wanted_data: str,
    place: Place,
    console: Console,
) -> int:
    """Go on with the study until it has so many trials, then test its best. Returns the number of trials that failed
    in this call."""
    task, model = registry.find("task", task_given), registry.find("model", model_given)
    wanted = budgets.find(budget).trials if trials is None else trials
    if wanted < 1:
        raise UserError(f"TRIALS must be at least 1, got {wanted}")
    if seeds < 2:
        raise UserError(f"SEEDS must be at least 2, as their spread is part of the answer, got {seeds}")
    check_known("sampler", sampler, SAMPLERS)
    check_known("pruner", pruner, PRUNERS)
    deadline = time.monotonic() + (_seconds(timeout) if timeout else math.inf)
    objectives = _objectives(objectives)
    limits = {}
    if max_latency:
        limits["latency"] = 1e3 * _seconds(max_latency)
    if max_parameters:
        limits["parameters"] = _count(max_parameters)

    chosen, why = device.resolve(wanted_device, backend)
    kind = data.choose(task, wanted_data)
    fixed = bench.parse_settings(settings, task, [model])[model.name]
    base = Spec(task.given, model.given, FIRST_SEED, budget, kind, chosen, backend, fixed)
    space = task.record.spaces.get(model.name, model.record.space)
    question = Question(task, model, base, space, objectives, limits)
    parameters = trial.parameters_of(task.record, model.record, base)
    if reason := trial.refusal(task.record, model.record, parameters.get("features")):
        raise UserError(f"{model.name} cannot serve {task.name}: {reason}")
    distributions = distributions_of(question)
    name = name or f"{task.name}-{model.name}-{budget}"
    console.print(f"[bold]{name}[/]: {model.record.title} on {task.record.title}")
    console.print(
        f"budget {budget} · {wanted} trials · {' and '.join(objectives)} of the validation part · {sampler}, pruning "
        f"{pruner} · {backend} on {chosen} ({why})"
    )

    store = runs.connect(None, data.home() / "results")
    storage = studies.connect()
    with contextlib.ExitStack() as stack:
        started: list[Workers] = []

        def workers() -> Workers:
            """Started when there is something to run."""
            if not started:
                started.append(stack.enter_context(place.start(chosen, backend, bool(model.record.build))))
            return started[0]

        stack.enter_context(studies.alone(storage, name))
        files, prepared = bench.open_data(task, kind, budgets.find(budget).events, console)
        _, split_hash = data.split(task.record, prepared, budgets.find(budget).events)
        about = bench.about_runs(task, budget, files, split_hash)
        configuration, _ = trial.identity(base, files.digest, split_hash)
        described = {
            "task": task.name,
            "model": model.name,
            "budget": budget,
            "objectives": list(objectives),
            "limits": limits,
            "space": distributions,
            "set": fixed,
            "data": [files.kind, files.digest, split_hash],
            "run on": [chosen, backend],
            "code": configuration,
        }
        study = _study(storage, name, described, question, sampler, pruner)
        store.reconcile(task.name)
        again = study.user_attrs.get("run", {})
        tags = {
            "stage": "tune",
            "study": name,
            "model": model.name,
            "objectives": " ".join(objectives),
            "sampler": f"{sampler}, {_optuna_version()}",
            "pruner": pruner,
            "command": bench.command(),
        }
        known = again.get("id") if again.get("store") == store.describe() else None
        with bench.parent_run(store, f"tune {name}", about, tags, known) as (parent, note):
            if not known:
                study.set_user_attr("run", {"id": parent, "store": store.describe()})
            if not study.user_attrs.get("ended", False):
                if interrupted := studies.release(study, console):
                    listed = ", ".join(map(str, interrupted))
                    console.print(f"interrupted before: trial {listed}, marked and queued once again")
                _settle(store, task.name, study, parent)
            study.set_user_attr("ended", False)
            _enqueue_defaults(study, question, distributions)
            failures = 0
            if studies.finished(study.get_trials(deepcopy=False)) < wanted:
                failures = _search(study, question, wanted, deadline, about, parent, workers, store, console)
            counts = studies.counted(study.get_trials(deepcopy=False))
            note(", ".join(f"{count} {state}" for state, count in counts.items() if count))
            console.print(", ".join(f"{count} {state}" for state, count in counts.items() if count) + " trials")
            if len(objectives) > 1:
                _print_front(study, question, console)
            else:
                failures += _finish(study, question, seeds, about, parent, files, split_hash, workers, store, console)
            page = study_page.path_of(study, data.home() / "results" / "reports")
            if started or not page.is_file():  # nothing has been added otherwise
                study_page.write(study, described, page)
                store.upload_file(parent, page)
            if importance := study.user_attrs.get("importance"):
                parts = [f"{parameter} {share:.2f}" for parameter, share in importance.items()]
                console.print(f"importance for {objectives[0]}: {', '.join(parts)}")
            console.print(f"study: {page}", soft_wrap=True)
            study.set_user_attr("ended", True)
    return failures


# --- the search ------------------------------------------------------------------------------------------------------


def _search(
    study: Study, question: Question, wanted: int, deadline: float, about, parent: str, workers, store: Store, console
) -> int:
    """Run trials until there are so many, or until the deadline. Returns how many failed."""
    pruned: set[int] = set()
    in_flight: set[int] = set()
    failures: list[str] = []
    failed = 0
    started = time.monotonic()
    finished = already = studies.finished(study.get_trials(deepcopy=False))

    def patiently(call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        return studies.patiently(call, *arguments, console=console, **options)

    def next_job() -> Job | None:
        if finished + len(in_flight) >= wanted or time.monotonic() > deadline or len(failures) >= MOST_FAILURES:
            return None
        asked = patiently(study.ask)
        in_flight.add(asked.number)
        spec = patiently(question.spec, asked)
        patiently(asked.set_user_attr, "parameters", spec.parameters)
        tags = {"stage": "tune", "study": study.study_name, "trial": asked.number}
        return about.job(spec, f"trial {asked.number}", tags, parent, False, asked)

    def end(asked: optuna.Trial, state: str, event, values=None, message: str = "") -> None:
        """Optuna is told first: what it knows decides, should this process be killed before the run is ended."""
        nonlocal finished
        patiently(study.tell, asked.number, values, state=_optuna_state(state), skip_if_finished=True)
        in_flight.discard(asked.number)
        finished += 1
        if event.run:
            store.tag(event.run, {"state": state})
        open_runs.end(event.run, "FAILED" if state == "failed" else "FINISHED", message)

    def progress() -> None:
        rate = (time.monotonic() - started) / (finished - already) if finished > already else math.inf
        left = min(rate * max(0, wanted - finished), deadline - time.monotonic())
        watch.whole(study.study_name, _progress(study, left, wanted), finished, wanted)

    pool = workers()
    with Watch(console, epochs=False) as watch, bench.open_runs(store) as open_runs:
        try:
            progress()
            for event in pool.run(next_job):
                asked: optuna.Trial = event.job.context
                title = f"trial {asked.number}"
                watch.show(asked.number, title, event)
                open_runs.follow(event)
                if event.kind == "started" and not event.lost:
                    patiently(asked.set_user_attr, "begun", True)
                elif event.kind == "epoch":
                    value = question.step_value(event.message["metrics"])
                    if value is None or len(question.objectives) > 1 or asked.number in pruned:
                        continue
                    with warnings.catch_warnings():  # a trial that was begun again reports an epoch twice
                        warnings.simplefilter("ignore")
                        patiently(asked.report, value, event.message["epoch"])
                    if patiently(asked.should_prune):
                        pruned.add(asked.number)
                        pool.stop(event)
                elif event.message.get("of_store"):  # no fault of the trial, which the next call begins again
                    raise StoreError(event.message["error"])
                elif event.kind in ("done", "stopped", "failed"):
                    state, values, message = _verdict(question, event, asked.number in pruned)
                    if state == "complete":
                        patiently(asked.set_user_attr, "measured", _finite(event.message))
                        for cost, most in question.limits.items():
                            patiently(asked.set_constraint, cost, event.message[COSTS[cost]] / most - 1)
                    end(asked, state, event, values, message)
                    text = message.partition("\n")[0] or (_shown(question, values) if values else "")
                    if state == "failed":
                        failures.append(text)
                        failed += 1
                    else:
                        failures.clear()
                    tail = ""
                    if len(question.objectives) == 1 and (best := studies.best(study)) is not None:
                        tail = f" · best {best.value:.4f} of trial {best.number}"
                    console.print(f"{finished}/{wanted} {title} {state} {text}{tail}", highlight=False, markup=False)
                    progress()
        except KeyboardInterrupt:
            studies.release(study, console)
            raise
    if len(failures) >= MOST_FAILURES:
        raise UserError(
            f"{MOST_FAILURES} trials in a row have failed, the first with: {failures[0]}. Mend it, and the same "
            "command goes on"
        )
    if time.monotonic() > deadline:
        console.print(f"[yellow]time is up[/] after {finished} of {wanted} trials; the same command goes on")
    return failed


def _verdict(question: Question, event: Event, pruned: bool) -> tuple[str, list[float] | None, str]:
    """(state, values, message) of a trial that has ended."""
    if event.kind == "done":
        values = question.values(event.message)
        if all(map(math.isfinite, values)):
            return "complete", values, ""
        return "failed", None, f"{' or '.join(question.objectives)} is not a number"
    if event.kind == "stopped" and pruned:
        return "pruned", None, ""
    message = event.message.get("error", "it was stopped")
    return "failed", None, f"{message}\n\n{event.message.get('details', '')}".strip()


def _progress(study: Study, left: float, wanted: int) -> str:
    counts = studies.counted(study.get_trials(deepcopy=False))
    parts = [f"{counts['complete']} done, {counts['pruned']} pruned, {counts['failed']} failed of {wanted}"]
    if len(study.directions) == 1 and (best := studies.best(study)) is not None:
        parts.append(f"best {best.value:.4f}")
    if math.isfinite(left):
        parts.append(f"about {left / 60:.0f} min left" if left > 90 else f"about {left:.0f} s left")
    return " · ".join(parts)


def _shown(question: Question, values: Sequence[float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in zip(question.objectives, values, strict=True))


def _settle(store: Store, experiment: str, study: Study, parent: str) -> None:
    """Give the runs of an earlier call, which may have been killed, the states that Optuna knows of their trials."""
    wanted = {}
    for one in study.get_trials(deepcopy=False):
        state = studies.state_of(one)
        wanted[one.number] = state, {"complete": "FINISHED", "pruned": "FINISHED", "failed": "FAILED"}.get(state)
    latest = {}
    children = store.runs(experiment, tags={"mlflow.parentRunId": parent})
    for run in children:
        if "trial" in run["tags"]:
            latest[int(run["tags"]["trial"])] = run["id"]
    retried = {one.user_attrs.get("retry_of") for one in study.get_trials(deepcopy=False)}
    for run in children:
        tags = run["tags"]
        if "trial" not in tags:
            continue
        number = int(tags["trial"])
        state, status = wanted.get(number, ("failed", "FAILED"))
        if run["id"] != latest[number] or number in retried:
            state, status = "interrupted", "KILLED"
        if status and (run["status"], tags.get("state")) != (status, state):
            store.tag(run["id"], {"state": state})
            store.finish(run["id"], status, "interrupted" if status == "KILLED" else "")


def _study(storage: RDBStorage, name: str, described: dict, question: Question, sampler: str, pruner: str) -> Study:
    """The study of this name, made if it is not there. UserError where one of the name asks something else."""
    import optuna

    # In the form that the database gives back.
    described = json.loads(json.dumps(described))
    there = studies.named(storage, name)
    if there is not None:
        kept = there.user_attrs.get("about", {})
        other = [key for key in described if kept.get(key) != described[key]]
        if other:
            raise UserError(
                f"the study {name} is there already with another {' and '.join(other)}: give a new name, such as "
                f"--study {name}-2, or in make STUDY={name}-2"
            )
    number = len(there.get_trials(deepcopy=False)) if there is not None else 0
    study = optuna.create_study(
        study_name=name,
        storage=storage,
        load_if_exists=True,
        directions=question.directions,
        sampler=_sampler(sampler, seed=number),  # not the draws of an earlier call again
        pruner=_pruner(pruner if len(question.objectives) == 1 else "none", question),
    )
    if there is None:
        study.set_user_attr("about", described)
    return study


def distributions_of(question: Question) -> dict[str, str]:
    """parameter -> its distribution as JSON, of what the space asks a trial for. UserError where the space is empty,
    contradicts itself, or gives a parameter that is not known."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    known = trial.known_parameters(question.task.record, question.model.record)
    where = f"the search space of {question.model.name}"
    found: dict[str, str] = {}
    for _ in range(20):  # a space may ask for some parameters only where others have certain values
        asked = study.ask()
        try:
            given = question.space(_Fixing(asked, question.base.parameters))
        except Exception as error:  # whatever a user's file raises
            raise UserError(f"{where} is wrong: {error}") from error
        for name in given:
            check_known(f"parameter in {where}", name, known)
        for name, distribution in asked.distributions.items():
            text = optuna.distributions.distribution_to_json(distribution)
            if found.setdefault(name, text) != text:
                raise UserError(f"{where} is wrong: it gives two ranges of {name}, and one is allowed")
    if not found:
        why = "all of it is set" if question.base.parameters else "it has no parameters that are searched"
        raise UserError(f"{where} is empty: {why}. Tune another model, or leave a parameter to the search")
    return dict(sorted(found.items()))


def _enqueue_defaults(study: Study, question: Question, distributions: Mapping[str, str]) -> None:
    """The defaults, as far as the space holds them, are the first trial."""
    import optuna

    if study.get_trials(deepcopy=False):
        return
    known = trial.known_parameters(question.task.record, question.model.record) | question.base.parameters
    inside = {}
    for name, text in distributions.items():
        distribution = optuna.distributions.json_to_distribution(text)
        if name in known and distribution._contains(distribution.to_internal_repr(known[name])):
            inside[name] = known[name]
    study.enqueue_trial(inside)


def _sampler(name: str, seed: int) -> Any:
    import optuna

    kinds = {
        "tpe": optuna.samplers.TPESampler,
        "random": optuna.samplers.RandomSampler,
        "nsga2": optuna.samplers.NSGAIISampler,
    }
    return kinds[name](seed=seed)


def _pruner(name: str, question: Question) -> Any:
    import optuna

    parameters = trial.parameters_of(question.task.record, question.model.record, question.base)
    most = int(parameters.get("epochs") or parameters.get("rounds") or 1)
    if name == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=max(1, most // 5))
    if name == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=1, max_resource=most)
    return optuna.pruners.SuccessiveHalvingPruner() if name == "halving" else optuna.pruners.NopPruner()


def _optuna_state(state: str) -> Any:
    from optuna.trial import TrialState

    return {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}[state]


def _optuna_version() -> str:
    import optuna

    return f"Optuna {optuna.__version__}"


# --- the winner ------------------------------------------------------------------------------------------------------


def _finish(study, question: Question, seeds: int, about, parent, files, split_hash, workers, store, console) -> int:
    """Train the best and the defaults on fresh seeds, test each once, and print what the search gained."""
    best = studies.best(study)
    if best is None:
        reason = "no trial keeps to the limits" if question.limits else "no trial is complete"
        console.print(f"[yellow]no best trial[/]: {reason}")
        return 1
    if question.changed(best.user_attrs["parameters"]) == question.changed(question.base.parameters):
        console.print(f"no trial is better than the defaults, trial {best.number}, on the validation part")
        return 0
    finals = {}
    for kind, parameters in (("tuned", best.user_attrs["parameters"]), ("default", question.base.parameters)):
        for seed in range(seeds):
            spec = replace(question.base, parameters=question.changed(parameters), seed=seed)
            configuration, identity = trial.identity(spec, files.digest, split_hash)
            finals[kind, seed] = bench.Cell(question.model, spec, "run", "", configuration, identity)
    failed = 0
    there = _by_identity(store, question.task.name)
    missing = {cell.identity: cell for cell in finals.values() if cell.identity not in there}
    if missing:
        console.print(f"testing trial {best.number} and the defaults, {seeds} fresh seeds each:")
        failed = bench.run_finals(list(missing.values()), about, parent, workers(), store, console)
        there = _by_identity(store, question.task.name)
    trained = {
        kind: [there[cell.identity] for (one, _), cell in finals.items() if one == kind and cell.identity in there]
        for kind in ("tuned", "default")
    }
    _mark(store, study.study_name, there.values(), trained["tuned"])
    if failed or any(len(found) < seeds for found in trained.values()):
        console.print("[yellow]not all of the final trainings are there[/]: the same command tries them again")
        return max(1, failed)
    outcome = study.user_attrs.get("outcome", {})
    identities = sorted(cell.identity for cell in finals.values())
    if outcome.get("identities") != identities:
        with console.status("comparing on the test events"):
            outcome = _compare(question, best, trained, store)
        study.set_user_attr("outcome", {**outcome, "identities": identities})
        store.log(parent, {name: value for name, value in outcome.items() if isinstance(value, float)})
    _print_outcome(question, best, outcome, trained, seeds, console)
    return 0


def _by_identity(store: Store, experiment: str) -> dict[str, dict[str, Any]]:
    found = store.runs(experiment, status="FINISHED", tags={"stage": "final"})
    return {run["tags"]["identity"]: run for run in found}


def _mark(store: Store, name: str, finals: Sequence[dict[str, Any]], winners: Sequence[dict[str, Any]]) -> None:
    """Tag the runs of the winner, and no others, as tuned by this study."""
    ids = {run["id"] for run in winners}
    for run in finals:
        tuned = run["tags"].get("tuned")
        if run["id"] in ids and tuned != name:
            store.tag(run["id"], {"tuned": name})
        elif run["id"] not in ids and tuned == name:
            store.tag(run["id"], {"tuned": ""})


def _compare(question: Question, best: Any, trained: dict[str, list[dict]], store: Store) -> dict[str, Any]:
    """The objective of the tuned model and the defaults on the test set, their difference with its error, and how
    much better the search's best looked than its parameters are."""
    objective = question.objectives[0]
    signal = question.task.record.signal
    values, scores, labels = {}, {}, None
    with tempfile.TemporaryDirectory() as scratch:
        for kind, found in trained.items():
            values[kind] = [run["metrics"].get(f"test_{objective}", math.nan) for run in found]
            scores[kind] = []
            for run in found:
                table = trial.read_scores(store.download(run["id"], "scores.parquet", Path(scratch) / run["id"]))
                labels = table[0] if labels is None else labels
                scores[kind].append(table[1])
    compute = metrics.METRICS[objective].compute
    differences = np.subtract(values["tuned"], values["default"])
    of_the_test_set = statistics.paired_bootstrap(
        lambda truth, given: compute(truth, given, signal)[0], labels, scores["tuned"], scores["default"], RESAMPLINGS
    )
    spread = float(differences.std(ddof=1)) / math.sqrt(len(differences))
    validated = [run["metrics"].get(f"valid_{objective}", math.nan) for run in trained["tuned"]]
    sign = 1 if metrics.METRICS[objective].higher_is_better else -1
    return {
        "trial": best.number,
        "objective": objective,
        "tuned": float(np.mean(values["tuned"])),
        "default": float(np.mean(values["default"])),
        "tuned_spread": float(np.std(values["tuned"], ddof=1)),
        "default_spread": float(np.std(values["default"], ddof=1)),
        "gain": sign * float(differences.mean()),
        "gain_error": math.hypot(of_the_test_set, spread),
        "validation_best": float(best.value),
        "validation_refitted": float(np.mean(validated)),
        "optimism": sign * float(best.value - np.mean(validated)),
    }


def _print_outcome(question: Question, best: Any, outcome: dict, trained: dict, seeds: int, console: Console) -> None:
    parameters = Table("parameter", "best", "default", title=f"trial {best.number}", title_justify="left")
    known = trial.known_parameters(question.task.record, question.model.record) | question.base.parameters
    for name in sorted(set(best.params) | set(best.user_attrs["parameters"])):
        value = best.user_attrs["parameters"].get(name, known.get(name))
        parameters.add_row(name, _short(value), _short(known.get(name)))
    console.print(parameters)
    objective = outcome["objective"]
    table = Table("", f"{objective}, test", "spread of seeds", "train s", "parameters", title_justify="left")
    for kind in ("tuned", "default"):
        cost = [np.mean([run["metrics"][name] for run in trained[kind]]) for name in ("train_seconds", "parameters")]
        table.add_row(
            kind, f"{outcome[kind]:.4f}", f"{outcome[f'{kind}_spread']:.4f}", f"{cost[0]:.3g}", f"{cost[1]:,.0f}"
        )
    console.print(table)
    gain, error = outcome["gain"], outcome["gain_error"]
    verdict = "better than the defaults" if gain > error else "not better than the defaults by more than the error"
    if gain < -error:
        verdict = "worse than the defaults"
    console.print(f"gain {gain:+.4f} ± {error:.4f} in {objective}, {seeds} fresh seeds each: {verdict}")
    console.print(
        f"validation: best trial {outcome['validation_best']:.4f}, refitted {outcome['validation_refitted']:.4f}: "
        f"the search's optimism is {outcome['optimism']:+.4f}"
    )
    console.print(f"bench it: {_command(question, best.user_attrs['parameters'])} --seeds {seeds}", soft_wrap=True)


def _print_front(study: Study, question: Question, console: Console) -> None:
    """The trials that no other beats in both objectives, by the first."""
    title = "Pareto front, of the validation part; none of these has been tested"
    table = Table("trial", *question.objectives, "command", title=title, title_justify="left")
    sign = -1 if question.directions[0] == "maximize" else 1
    for one in sorted(study.best_trials, key=lambda one: sign * one.values[0]):
        command = _command(question, one.user_attrs["parameters"])
        table.add_row(str(one.number), *(f"{value:.4g}" for value in one.values), command)
    console.print(table)


def _command(question: Question, parameters: Mapping[str, Any]) -> str:
    base = question.base
    parts = [f"hepbench bench {base.task} --model {base.model} --budget {base.budget} --data {base.data}"]
    if base.backend != "tensorflow":
        parts.append(f"--backend {base.backend}")
    return " ".join([*parts, *(f"--set {name}={value}" for name, value in sorted(parameters.items()))])


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


# --- what the user gives ---------------------------------------------------------------------------------------------


def _direction(objective: str) -> str:
    better = objective not in COSTS and metrics.METRICS[objective].higher_is_better
    return "maximize" if better else "minimize"


def _objectives(given: Sequence[str]) -> tuple[str, ...]:
    given = tuple(dict.fromkeys(given))
    if len(given) > 2:
        raise UserError(f"one objective or two, got {len(given)}: {' '.join(given)}")
    check_known("objective", given[0], metrics.METRICS, more=" first")
    if len(given) == 2:
        check_known("second objective", given[1], (*metrics.METRICS, *COSTS))
    return given


def _seconds(text: str) -> float:
    """ "90s", "30m", "2h", "1ms", or seconds."""
    units = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "": 1.0}
    number = text.rstrip("abcdefghijklmnopqrstuvwxyzµ")
    try:
        seconds = float(number) * units[text[len(number) :].strip()]
    except (ValueError, KeyError):
        raise UserError(f"a time such as 90s, 30m, 2h or 1ms is expected, got {text!r}") from None
    if not seconds > 0:
        raise UserError(f"a time must be above 0, got {text!r}")
    return seconds


def _count(text: str) -> float:
    units = {"k": 1e3, "M": 1e6, "": 1.0}
    number = text.rstrip("kM")
    try:
        count = float(number) * units[text[len(number) :]]
    except (ValueError, KeyError):
        raise UserError(f"a number such as 5000, 100k or 2M is expected, got {text!r}") from None
    if not count > 0:
        raise UserError(f"a limit must be above 0, got {text!r}")
    return count


def _finite(measured: Mapping[str, float]) -> dict[str, float]:
    """What JSON can hold."""
    return {name: float(value) for name, value in measured.items() if math.isfinite(value)}
