"""A study: search a model's hyper-parameters on the validation set, then train the best and the defaults on the same
fresh seeds and test each once.

The trials are Optuna's, in the database of `tuning.storage`; only this process requests them and reports their results,
and workers run them. Only the training runs on fresh seeds use the test set. Nothing here prints: a listener gets
events.

    study_spec = resolve(StudyRequest("magic", "mlp", budget="smoke"))
    outcome = study.run(study_spec)
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hepbench.benchmarks import budgets
from hepbench.benchmarks.base import UserError
from hepbench.suite import results
from hepbench.suite.campaign import Campaign, campaign_of, ignore, parent_run
from hepbench.suite.data.opening import open_data
from hepbench.suite.data.split import split_events
from hepbench.suite.paths import reports_folder
from hepbench.suite.provenance import command
from hepbench.suite.trial.inputs import check_scaling, check_slices, check_weights
from hepbench.suite.trial.spec import Trial, identity_of
from hepbench.suite.tuning import report
from hepbench.suite.tuning import storage as storage_module
from hepbench.suite.tuning.context import RunContext
from hepbench.suite.tuning.events import Listener, Requeued
from hepbench.suite.tuning.retest import retest
from hepbench.suite.tuning.search import search
from hepbench.suite.tuning.study_spec import StudySpec, defaults_inside
from hepbench.suite.workers.place import Place
from hepbench.tracking.runs import Store

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage
    from optuna.study import Study


@dataclass(frozen=True)
class StudyOutcome:
    """study: the Optuna study, with results in its attributes. page: its report. failed: number of trials and final
    training runs that failed in this call."""

    study: Study
    page: Path
    failed: int


def run(study_spec: StudySpec, place: Place | None = None, listener: Listener = ignore) -> StudyOutcome:
    """Start or resume the study until it has its trials, then test its best. place: where; None: on this machine, one
    trial at a time, or one per GPU. Raises StoreError, UserError."""
    deadline = time.monotonic() + study_spec.seconds
    place = place or Place()
    name, task, base = study_spec.name, study_spec.task, study_spec.base
    storage = storage_module.connect(listener)
    reserved = place.reserve(base.device, base.backend, study_spec.model.record.in_keras)
    with reserved as workers, storage_module.alone(name):
        # Opening a store takes seconds, and a finished study does not need it.
        existing = storage_module.named(storage, name)
        answer = {"seeds": study_spec.seeds, "store": results.store_location()}
        answered = existing is not None and existing.user_attrs.get("answered") == answer
        store = None if answered else results.open_store()  # before any work
        events = budgets.find(base.budget).events
        files, prepared = open_data(task, base.data, events, listener)
        check_slices(task, prepared)
        rows, split_hash = split_events(task.record, prepared, events)
        check_weights(task, prepared, rows)
        check_scaling(Trial(base, task, study_spec.model), prepared, rows)
        campaign = campaign_of(task, base.budget, files, prepared, split_hash)
        described = _description(study_spec, campaign)
        study = _open(storage, existing, study_spec, described)
        page = report.path_of(study, reports_folder())
        if answered and storage_module.finished(study.get_trials(deepcopy=False)) >= study_spec.trials:
            if not page.is_file():
                report.write(study, described, page)
            return StudyOutcome(study, page, 0)
        store = store or results.open_store()
        store.reconcile(task.name)
        kept = study.user_attrs.get("run", {})
        known = kept.get("id") if kept.get("store") == results.store_location() and store.find(kept["id"]) else None
        with parent_run(store, f"tune {name}", campaign, _tags(study_spec), known) as (parent, note):
            if not known:
                study.set_user_attr("run", {"id": parent, "store": results.store_location()})
            if not study.user_attrs.get("ended", False):
                if interrupted := storage_module.requeue_interrupted(study):
                    listener(Requeued(interrupted))
                _settle_runs(store, task.name, study, parent)
            study.set_user_attr("answered", None)
            study.set_user_attr("ended", False)
            if not study.get_trials(deepcopy=False):
                study.enqueue_trial(defaults_inside(study_spec))
            context = RunContext(campaign, parent, workers, store, listener)
            failed = 0
            if storage_module.finished(study.get_trials(deepcopy=False)) < study_spec.trials:
                failed = search(study, study_spec, context, deadline)
            note(counts_text(study))
            missing = retest(study, study_spec, context)
            report.write(study, described, page)
            store.upload_file(parent, page)
            study.set_user_attr("ended", True)
            study.set_user_attr("answered", None if missing else answer)
    return StudyOutcome(study, page, failed + missing)


def counts_text(study: Study) -> str:
    """Numbers of trials by state, as text."""
    counts = storage_module.counted(study.get_trials(deepcopy=False))
    return ", ".join(f"{count} {state}" for state, count in counts.items() if count)


def _tags(study_spec: StudySpec) -> dict[str, str]:
    """Tags of the parent run of the study's runs."""
    import optuna

    return {
        "stage": "tune",
        "study": study_spec.name,
        "model": study_spec.model.name,
        "objectives": " ".join(study_spec.objective_names),
        "sampler": f"{study_spec.sampler}, Optuna {optuna.__version__}",
        "pruner": study_spec.pruner,
        "command": command(),
    }


def _description(study_spec: StudySpec, campaign: Campaign) -> dict[str, Any]:
    """Everything that must be unchanged for a study to be resumed, as the database returns it."""
    base = study_spec.base
    digest, split_hash = campaign.tags["data_digest"], campaign.tags["split_hash"]
    configuration, _ = identity_of(Trial(base, study_spec.task, study_spec.model), digest, split_hash)
    described: dict[str, Any] = json.loads(
        json.dumps(
            {
                "task": study_spec.task.name,
                "model": study_spec.model.name,
                "budget": base.budget,
                "objectives": study_spec.objective_names,
                "limits": dict(study_spec.limits),
                "space": study_spec.distributions,
                "set": base.parameters,
                "data": [base.data, digest, split_hash],
                "run on": [base.device, study_spec.model.record.backend(base.backend)],
                "code": configuration,
            }
        )
    )
    return described


def _open(storage: BaseStorage, existing: Study | None, study_spec: StudySpec, described: Mapping[str, Any]) -> Study:
    """The study, made if it is not there. UserError where the one there asks something else."""
    import optuna

    name = study_spec.name
    if existing is not None:
        kept = existing.user_attrs.get("about", {})
        words = {"code": "version of the code"}
        other = [words.get(key, key) for key in described if kept.get(key) != described[key]]
        if other:
            raise UserError(
                f"the study {name} is there already with another {' and '.join(other)}: give a new name, such as "
                f"--study {name}-2, or in make STUDY={name}-2"
            )
    number = len(existing.get_trials(deepcopy=False)) if existing is not None else 0
    study = optuna.create_study(
        study_name=name,
        storage=storage,
        load_if_exists=True,
        directions=[objective.direction for objective in study_spec.objectives],
        sampler=_sampler(study_spec.sampler, seed=number),  # not the draws of an earlier call again
        pruner=_pruner(study_spec),
    )
    if existing is None:
        study.set_user_attr("about", dict(described))
        with warnings.catch_warnings():  # which say that Optuna may rename the function
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names(list(study_spec.objective_names))  # labels of the axes in Optuna's dashboard
    return study


def _sampler(name: str, seed: int) -> BaseSampler:
    import optuna

    kinds: dict[str, type[optuna.samplers.BaseSampler]] = {
        "tpe": optuna.samplers.TPESampler,
        "random": optuna.samplers.RandomSampler,
        "nsga2": optuna.samplers.NSGAIISampler,
    }
    kind: Any = kinds[name]
    sampler: BaseSampler = kind(seed=seed)
    return sampler


def _pruner(study_spec: StudySpec) -> BasePruner:
    """With two objectives nothing is pruned: Optuna does not support it."""
    import optuna

    base = Trial(study_spec.base, study_spec.task, study_spec.model).hyperparameters
    most = int(base.get("epochs") or base.get("rounds") or 1)
    name = study_spec.pruner if len(study_spec.objectives) == 1 else "none"
    if name == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=max(1, most // 5))
    if name == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=1, max_resource=most)
    return optuna.pruners.SuccessiveHalvingPruner() if name == "halving" else optuna.pruners.NopPruner()


STATUSES = {"complete": "FINISHED", "pruned": "FINISHED", "failed": "FAILED"}
"""State of a trial that has ended -> status of its run."""


def _settle_runs(store: Store, experiment: str, study: Study, parent: str) -> None:
    """Give the runs of an earlier call, which may have been killed, the states of their trials in Optuna."""
    trials = study.get_trials(deepcopy=False)
    states = {trial.number: storage_module.state_of(trial) for trial in trials}
    retried = {trial.user_attrs.get("retry_of") for trial in trials}
    children = [run for run in store.runs(experiment, tags={"mlflow.parentRunId": parent}) if "trial" in run["tags"]]
    latest = {int(run["tags"]["trial"]): run["id"] for run in children}
    for run in children:
        number = int(run["tags"]["trial"])
        state = states.get(number, "failed")
        status = STATUSES.get(state)
        if run["id"] != latest[number] or number in retried:
            state, status = "interrupted", "KILLED"
        if status and (run["status"], run["tags"].get("state")) != (status, state):
            store.tag(run["id"], {"state": state})
            store.finish(run["id"], status, "interrupted" if status == "KILLED" else "")
