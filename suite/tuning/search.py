"""The search of a study: ask Optuna for trials, let workers run them, tell it their ends."""

from __future__ import annotations

import contextlib
import json
import math
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hepbench.benchmarks.base import UserError
from hepbench.suite.campaign import closing_runs
from hepbench.suite.progress import TrialProgress
from hepbench.suite.trial.spec import Trial, parameters_of
from hepbench.suite.tuning import storage
from hepbench.suite.tuning.study_spec import COSTS, StudySpec
from hepbench.suite.workers.jobs import Event, Job
from hepbench.tracking.runs import Store

if TYPE_CHECKING:
    import optuna
    from optuna.storages import BaseStorage
    from optuna.study import Study


SAMPLERS = ("tpe", "random", "nsga2")
PRUNERS = ("median", "hyperband", "halving", "none")

MOST_FAILURES = 5
"""Failed trials in a row that end a study."""


def counts_text(study: Study) -> str:
    counts = storage.counted(study.get_trials(deepcopy=False))
    return ", ".join(f"{count} {state}" for state, count in counts.items() if count)


def search(
    study: Study, question: StudySpec, wanted: int, deadline: float, about, parent: str, workers, store: Store, console
) -> int:
    """Run trials until there are so many, or until the deadline. Returns how many failed."""
    from optuna.exceptions import UpdateFinishedTrialError

    pruned: set[int] = set()
    in_flight: set[int] = set()
    failures: list[str] = []
    failed = 0
    started = time.monotonic()
    finished = already = storage.finished(study.get_trials(deepcopy=False))

    def next_job() -> Job | None:
        if finished + len(in_flight) >= wanted or time.monotonic() > deadline or len(failures) >= MOST_FAILURES:
            return None
        asked = study.ask()
        in_flight.add(asked.number)
        spec = question.spec(asked)
        asked.set_user_attr("parameters", spec.parameters)
        tags = {"stage": "tune", "study": study.study_name, "trial": asked.number}
        return about.job(
            Trial(spec, question.task, question.model), f"trial {asked.number}", tags, parent, False, asked
        )

    def end(asked: optuna.Trial, state: str, event, values=None, message: str = "") -> None:
        """Optuna is told first: what it knows decides, should this process be killed before the run is ended."""
        nonlocal finished
        with contextlib.suppress(UpdateFinishedTrialError):  # the database took it, and was lost before it said so
            study.tell(asked.number, values, state=_optuna_state(state), skip_if_finished=True)
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
    with TrialProgress(console, epochs=False) as watch, closing_runs(store) as open_runs:
        try:
            progress()
            for event in pool.run(next_job):
                asked: optuna.Trial = event.job.context
                title = f"trial {asked.number}"
                watch.show(asked.number, title, event)
                open_runs.follow(event)
                if event.kind == "started" and not event.lost:
                    asked.set_user_attr("begun", True)
                elif event.kind == "epoch":
                    value = question.step_value(event.message["metrics"])
                    if value is None or len(question.objectives) > 1 or asked.number in pruned:
                        continue
                    with warnings.catch_warnings():  # a trial that was begun again reports an epoch twice
                        warnings.simplefilter("ignore")
                        asked.report(value, event.message["epoch"])
                    if asked.should_prune():
                        pruned.add(asked.number)
                        pool.stop(event)
                elif event.kind in ("done", "stopped", "failed"):
                    state, values, message = _verdict(question, event, asked.number in pruned)
                    if state == "complete":
                        asked.set_user_attr("measured", _finite(event.message))
                        for cost, most in question.limits.items():
                            asked.set_constraint(cost, event.message[COSTS[cost]] / most - 1)
                    end(asked, state, event, values, message)
                    text = message.partition("\n")[0] or (_values_text(question, values) if values else "")
                    if state == "failed":
                        failures.append(text)
                        failed += 1
                    else:
                        failures.clear()
                    tail = ""
                    if len(question.objectives) == 1 and (best := storage.best(study)) is not None:
                        tail = f" · best {best.value:.4f} of trial {best.number}"
                    line = f"{finished}/{wanted} {title} {state} {text}{tail}"
                    console.print(line, highlight=False, markup=False, soft_wrap=True)
                    progress()
        except KeyboardInterrupt:
            storage.release(study)
            raise
    if len(failures) >= MOST_FAILURES:
        raise UserError(
            f"{MOST_FAILURES} trials in a row have failed, the first with: {failures[0]}. Mend it, and the same "
            "command goes on"
        )
    if time.monotonic() > deadline:
        console.print(f"[yellow]time is up[/] after {finished} of {wanted} trials; the same command goes on")
    return failed


def _verdict(question: StudySpec, event: Event, pruned: bool) -> tuple[str, list[float] | None, str]:
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


def _finite(measured: Mapping[str, float]) -> dict[str, float]:
    """What JSON can hold."""
    return {name: float(value) for name, value in measured.items() if math.isfinite(value)}


def _progress(study: Study, left: float, wanted: int) -> str:
    counts = storage.counted(study.get_trials(deepcopy=False))
    parts = [f"{counts['complete']} done, {counts['pruned']} pruned, {counts['failed']} failed of {wanted}"]
    if len(study.directions) == 1 and (best := storage.best(study)) is not None:
        parts.append(f"best {best.value:.4f}")
    if math.isfinite(left):
        parts.append(f"about {left / 60:.0f} min left" if left > 90 else f"about {left:.0f} s left")
    return " · ".join(parts)


def _values_text(question: StudySpec, values: Sequence[float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in zip(question.objectives, values, strict=True))


def settle(store: Store, experiment: str, study: Study, parent: str) -> None:
    """Give the runs of an earlier call, which may have been killed, the states that Optuna knows of their trials."""
    wanted = {}
    for one in study.get_trials(deepcopy=False):
        state = storage.state_of(one)
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


def study_of(
    storage: BaseStorage,
    there: Study | None,
    name: str,
    described: dict,
    question: StudySpec,
    sampler: str,
    pruner: str,
) -> Study:
    """The study of this name, made if it is not there. UserError where the one there asks something else."""
    import optuna

    # In the form that the database gives back.
    described = json.loads(json.dumps(described))
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


def _sampler(name: str, seed: int) -> Any:
    import optuna

    kinds = {
        "tpe": optuna.samplers.TPESampler,
        "random": optuna.samplers.RandomSampler,
        "nsga2": optuna.samplers.NSGAIISampler,
    }
    return kinds[name](seed=seed)


def _pruner(name: str, question: StudySpec) -> Any:
    import optuna

    parameters = parameters_of(question.task.record, question.model.record, question.base)
    most = int(parameters.get("epochs") or parameters.get("rounds") or 1)
    if name == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=max(1, most // 5))
    if name == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=1, max_resource=most)
    return optuna.pruners.SuccessiveHalvingPruner() if name == "halving" else optuna.pruners.NopPruner()


def _optuna_state(state: str) -> Any:
    from optuna.trial import TrialState

    return {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}[state]


def optuna_version() -> str:
    import optuna

    return f"Optuna {optuna.__version__}"
