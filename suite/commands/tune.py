"""A study: search a model's parameters on the validation part, then train the best on fresh seeds and test it once.

The trials are Optuna's, in the database of `suite.studies`; this process alone asks for them and tells their ends, and
workers run them. The best and the defaults are trained on the same fresh seeds; only these trainings see the test set.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from hepbench.benchmarks import budgets, registry
from hepbench.benchmarks.base import UserError, check_known
from hepbench.suite import device
from hepbench.suite.campaign import campaign_of, parent_run, settings_by_model
from hepbench.suite.commands.opening import open_data
from hepbench.suite.data.files import choose
from hepbench.suite.data.split import split_events
from hepbench.suite.paths import reports_folder, results_folder
from hepbench.suite.provenance import command
from hepbench.suite.trial.spec import Spec, Trial, identity_of
from hepbench.suite.tuning import report
from hepbench.suite.tuning import storage as storage_module
from hepbench.suite.tuning.retest import retest, show
from hepbench.suite.tuning.search import PRUNERS, SAMPLERS, counts_text, optuna_version, search, settle, study_of
from hepbench.suite.tuning.study_spec import (
    FIRST_SEED,
    StudySpec,
    count_of,
    defaults_inside,
    distributions_of,
    objectives_of,
    seconds_of,
)
from hepbench.suite.workers.place import Place
from hepbench.tracking import runs

if TYPE_CHECKING:
    from optuna.study import Study


def tune(
    task_given: str,
    model_given: str,
    settings: Mapping[str, Any],
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
    deadline = time.monotonic() + (seconds_of(timeout) if timeout else math.inf)
    objectives = objectives_of(objectives)
    limits = {}
    if max_latency:
        limits["latency"] = 1e3 * seconds_of(max_latency)
    if max_parameters:
        limits["parameters"] = count_of(max_parameters)

    chosen, why = device.resolve(wanted_device, backend)
    kind = choose(task, wanted_data)
    fixed = settings_by_model(settings, task, [model])[model.name]
    base = Spec(task.given, model.given, FIRST_SEED, budget, kind, chosen, backend, fixed)
    space = task.record.spaces.get(model.name, model.record.space)
    question = StudySpec(task, model, base, space, objectives, limits)
    trial = Trial(base, task, model)
    if reason := trial.refusal:
        raise UserError(f"{model.name} cannot serve {task.name}: {reason}")
    distributions = distributions_of(question)
    name = name or f"{task.name}-{model.name}-{budget}"
    console.print(f"[bold]{name}[/]: {model.record.title} on {task.record.title}")
    console.print(
        f"budget {budget} · {wanted} trials · {' and '.join(objectives)} of the validation part · {sampler}, pruning "
        f"{pruner} · {backend} on {chosen} ({why})"
    )

    storage = storage_module.connect(console)
    place_of_results = runs.location(None, results_folder())
    with contextlib.ExitStack() as stack:
        workers = stack.enter_context(place.reserve(chosen, backend, bool(model.record.build)))
        stack.enter_context(storage_module.alone(storage, name))
        # Opening a store takes seconds, and a study that has been answered can do without it.
        there = storage_module.named(storage, name)
        answer = {"seeds": seeds, "store": place_of_results}
        answered = there is not None and there.user_attrs.get("answered") == answer
        store = None if answered else runs.connect(None, results_folder())  # before any work
        files, prepared = open_data(task, kind, budgets.find(budget).events, console)
        _, split_hash = split_events(task.record, prepared, budgets.find(budget).events)
        about = campaign_of(task, budget, files, split_hash)
        configuration, _ = identity_of(trial, files.digest, split_hash)
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
        study = study_of(storage, there, name, described, question, sampler, pruner)
        page = report.path_of(study, reports_folder())
        if answered and storage_module.finished(study.get_trials(deepcopy=False)) >= wanted:
            if not page.is_file():
                report.write(study, described, page)
            _show(study, question, page, console)
            return 0
        store = store or runs.connect(None, results_folder())
        store.reconcile(task.name)
        again = study.user_attrs.get("run", {})
        tags = {
            "stage": "tune",
            "study": name,
            "model": model.name,
            "objectives": " ".join(objectives),
            "sampler": f"{sampler}, {optuna_version()}",
            "pruner": pruner,
            "command": command(),
        }
        known = again.get("id") if again.get("store") == place_of_results else None
        with parent_run(store, f"tune {name}", about, tags, known) as (parent, note):
            if not known:
                study.set_user_attr("run", {"id": parent, "store": place_of_results})
            if not study.user_attrs.get("ended", False):
                if interrupted := storage_module.release(study):
                    listed = ", ".join(map(str, interrupted))
                    console.print(f"interrupted before: trial {listed}, marked and queued once again")
                settle(store, task.name, study, parent)
            study.set_user_attr("answered", None)
            study.set_user_attr("ended", False)
            if not study.get_trials(deepcopy=False):
                study.enqueue_trial(defaults_inside(question, distributions))
            failures = 0
            if storage_module.finished(study.get_trials(deepcopy=False)) < wanted:
                failures = search(study, question, wanted, deadline, about, parent, workers, store, console)
            note(counts_text(study))
            missing = retest(study, question, seeds, about, parent, workers, store, console)
            report.write(study, described, page)
            store.upload_file(parent, page)
            _show(study, question, page, console)
            study.set_user_attr("ended", True)
            study.set_user_attr("answered", None if missing else answer)
    return failures + missing


def _show(study: Study, question: StudySpec, page: Path, console: Console) -> None:
    """What the study has found, all of it kept in its own attributes."""
    console.print(f"{counts_text(study)} trials")
    show(study, question, console)
    if importance := study.user_attrs.get("importance"):
        parts = [f"{parameter} {share:.2f}" for parameter, share in importance.items()]
        console.print(f"importance for {question.objectives[0]}: {', '.join(parts)}")
    console.print(f"study: {page}", soft_wrap=True)
