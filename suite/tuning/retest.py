"""Final comparison of a study: the best trial's hyper-parameters and the defaults on the same fresh seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hepbench.benchmarks import metrics
from hepbench.suite import differences
from hepbench.suite.campaign import run_finals
from hepbench.suite.tuning import storage
from hepbench.suite.tuning.context import RunContext
from hepbench.suite.tuning.events import ComparisonStarted, RetestStarted
from hepbench.suite.tuning.study_spec import StudySpec
from hepbench.tracking import statistics
from hepbench.tracking.runs import Store

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial


KINDS = ("tuned", "default")
"""What is trained: the best trial's hyper-parameters, and the defaults."""

Run = Mapping[str, Any]
"""As `Store.runs` gives it."""


def retest(study: Study, study_spec: StudySpec, context: RunContext) -> int:
    """Train the best and the defaults on fresh seeds, test each once, and store the gain of the search as the study's
    attribute "outcome". Returns the number of failed training runs; 1 if there is no best trial. A Pareto front is not
    tested."""
    if len(study_spec.objectives) > 1:
        return 0
    best = storage.best(study)
    if best is None or is_default(study_spec, best):
        return int(best is None)
    store, experiment = context.store, study_spec.task.name
    hyperparameters = {"tuned": best.user_attrs["parameters"], "default": study_spec.base.parameters}
    finals = {
        kind: [context.campaign.plan(study_spec.trial(hyperparameters[kind], seed)) for seed in range(study_spec.seeds)]
        for kind in KINDS
    }
    failed = 0
    done = _by_identity(store, experiment)
    missing = {one.identity: one for kind in KINDS for one in finals[kind] if one.identity not in done}
    if missing:
        context.listener(RetestStarted(best.number, study_spec.seeds))
        planned = list(missing.values())
        failed = len(run_finals(planned, context.campaign, context.parent, context.workers, store, context.listener))
        done = _by_identity(store, experiment)
    trained = {kind: [done[one.identity] for one in finals[kind] if one.identity in done] for kind in KINDS}
    _mark(store, study.study_name, done.values(), trained["tuned"])
    if failed or any(len(found) < study_spec.seeds for found in trained.values()):
        study.set_user_attr("outcome", None)
        return max(1, failed)
    ids = sorted(run["id"] for found in trained.values() for run in found)
    if (study.user_attrs.get("outcome") or {}).get("runs") != ids:
        context.listener(ComparisonStarted())
        outcome = _compare(study_spec, best, trained, store)
        study.set_user_attr("outcome", {**outcome, "runs": ids})
        store.log(context.parent, {name: value for name, value in outcome.items() if isinstance(value, float)})
    return 0


def is_default(study_spec: StudySpec, best: FrozenTrial) -> bool:
    """Whether the best trial is the one with the defaults."""
    return study_spec.changed(best.user_attrs["parameters"]) == study_spec.changed(study_spec.base.parameters)


def _by_identity(store: Store, experiment: str) -> dict[str, dict[str, Any]]:
    found = store.runs(experiment, status="FINISHED", tags={"stage": "final"})
    return {run["tags"]["identity"]: run for run in found}


def _mark(store: Store, name: str, finals: Iterable[Run], best: Sequence[Run]) -> None:
    """Tag the runs with the best trial's hyper-parameters, and no others, as tuned by this study."""
    ids = {run["id"] for run in best}
    for run in finals:
        tuned = run["tags"].get("tuned")
        if run["id"] in ids and tuned != name:
            store.tag(run["id"], {"tuned": name})
        elif run["id"] not in ids and tuned == name:
            store.tag(run["id"], {"tuned": ""})


def _compare(
    study_spec: StudySpec, best: FrozenTrial, trained: Mapping[str, Sequence[Run]], store: Store
) -> dict[str, Any]:
    """The objective of the tuned model and the defaults on the test set, their difference with its error, and the
    optimism of the search: how much better its best trial looked than its hyper-parameters are."""
    objective, signal = study_spec.objectives[0], study_spec.task.record.signal
    values = {kind: _values(found, f"test_{objective.name}") for kind, found in trained.items()}
    stored = {kind: [differences.scores_of(store, run["id"]) for run in found] for kind, found in trained.items()}
    first = stored["tuned"][0]
    sides = [[one.scored() for one in (differences.matched(one, first) for one in stored[kind])] for kind in KINDS]
    paired = statistics.paired(*differences.trainings_of(metrics.METRICS[objective.name], sides, signal))
    means = {kind: float(np.mean(some)) for kind, some in values.items()}
    # A rejection is compared by its logarithm, whose error is the relative one.
    scale = math.sqrt(means["tuned"] * means["default"]) if metrics.METRICS[objective.name].scale == "log" else 1.0
    selected = math.nan if best.value is None else best.value
    validated = float(np.mean(_values(trained["tuned"], objective.measured)))
    sign = 1 if objective.higher_is_better else -1
    costs = {
        f"{kind}_{name}": float(np.mean(_values(found, name)))
        for kind, found in trained.items()
        for name in ("train_seconds", "parameters")
    }
    return {
        "trial": best.number,
        "objective": objective.name,
        **means,
        "tuned_spread": float(np.std(values["tuned"], ddof=1)),
        "default_spread": float(np.std(values["default"], ddof=1)),
        "gain": sign * (means["tuned"] - means["default"]),
        "gain_error": scale * paired.error,
        "gain_p": paired.p,
        "validation_best": selected,
        "validation_refitted": validated,
        "optimism": sign * (selected - validated),
        "seeds": study_spec.seeds,
        **costs,
    }


def _values(found: Sequence[Run], metric: str) -> list[float]:
    return [run["metrics"].get(metric, math.nan) for run in found]
