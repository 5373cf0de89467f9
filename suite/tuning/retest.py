"""The end of a study: the best trial's parameters and the defaults on the same fresh seeds, tested once."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table

from hepbench.benchmarks import metrics
from hepbench.suite.campaign import run_finals
from hepbench.suite.progress import BenchLines
from hepbench.suite.trial.artifacts import read_scores
from hepbench.suite.trial.spec import Trial, known_parameters
from hepbench.suite.tuning import storage
from hepbench.suite.tuning.study_spec import StudySpec
from hepbench.tracking import statistics
from hepbench.tracking.runs import Store

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial


RESAMPLINGS = 100
"""Of the test set, for the error of the difference between two models."""


def retest(study: Study, question: StudySpec, seeds: int, about, parent, workers, store, console) -> int:
    """Train the best and the defaults on fresh seeds, test each once, and keep what the search gained as the study's
    attribute "outcome". Returns how many trainings failed; 1 where no trial is the best. A front is not tested."""
    if len(question.objectives) > 1:
        return 0
    best = storage.best(study)
    if best is None or _is_default(question, best):
        return int(best is None)
    finals = {}
    for kind, parameters in (("tuned", best.user_attrs["parameters"]), ("default", question.base.parameters)):
        for seed in range(seeds):
            spec = replace(question.base, parameters=question.changed(parameters), seed=seed)
            finals[kind, seed] = about.plan(Trial(spec, question.task, question.model))
    failed = 0
    there = _by_identity(store, question.task.name)
    missing = {cell.identity: cell for cell in finals.values() if cell.identity not in there}
    if missing:
        console.print(f"testing trial {best.number} and the defaults, {seeds} fresh seeds each:")
        with BenchLines(console) as listener:
            failed = len(run_finals(list(missing.values()), about, parent, workers(), store, listener))
        there = _by_identity(store, question.task.name)
    trained = {
        kind: [there[cell.identity] for (one, _), cell in finals.items() if one == kind and cell.identity in there]
        for kind in ("tuned", "default")
    }
    _mark(store, study.study_name, there.values(), trained["tuned"])
    if failed or any(len(found) < seeds for found in trained.values()):
        study.set_user_attr("outcome", None)
        return max(1, failed)
    ids = sorted(run["id"] for found in trained.values() for run in found)
    if (study.user_attrs.get("outcome") or {}).get("runs") != ids:
        with console.status("comparing on the test events"):
            outcome = _compare(question, best, trained, store)
        study.set_user_attr("outcome", {**outcome, "runs": ids})
        store.log(parent, {name: value for name, value in outcome.items() if isinstance(value, float)})
    return 0


def show(study: Study, question: StudySpec, console: Console) -> None:
    """Print what `judge` found; of two objectives, the front."""
    if len(question.objectives) > 1:
        _print_front(study, question, console)
        return
    best = storage.best(study)
    if best is None:
        reason = "no trial keeps to the limits" if question.limits else "no trial is complete"
        console.print(f"[yellow]no best trial[/]: {reason}")
    elif _is_default(question, best):
        console.print(f"no trial is better than the defaults, trial {best.number}, on the validation part")
    elif outcome := study.user_attrs.get("outcome"):
        _print_outcome(question, best, outcome, console)
    else:
        console.print("[yellow]not all of the final trainings are there[/]: the same command tries them again")


def _is_default(question: StudySpec, best: FrozenTrial) -> bool:
    return question.changed(best.user_attrs["parameters"]) == question.changed(question.base.parameters)


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


def _compare(question: StudySpec, best: FrozenTrial, trained: dict[str, list[dict]], store: Store) -> dict[str, Any]:
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
                table = read_scores(store.download(run["id"], "scores.parquet", Path(scratch) / run["id"]))
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
    costs = {
        f"{kind}_{name}": float(np.mean([run["metrics"][name] for run in found]))
        for kind, found in trained.items()
        for name in ("train_seconds", "parameters")
    }
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
        "seeds": len(differences),
        **costs,
    }


def _print_outcome(question: StudySpec, best: FrozenTrial, outcome: dict[str, Any], console: Console) -> None:
    parameters = Table("parameter", "best", "default", title=f"trial {best.number}", title_justify="left")
    known = known_parameters(question.task.record, question.model.record) | question.base.parameters
    for name in sorted(set(best.params) | set(best.user_attrs["parameters"])):
        value = best.user_attrs["parameters"].get(name, known.get(name))
        parameters.add_row(name, _short(value), _short(known.get(name)))
    console.print(parameters)
    objective = outcome["objective"]
    table = Table("", f"{objective}, test", "spread of seeds", "train s", "parameters", title_justify="left")
    for kind in ("tuned", "default"):
        table.add_row(
            kind,
            f"{outcome[kind]:.4f}",
            f"{outcome[f'{kind}_spread']:.4f}",
            f"{outcome[f'{kind}_train_seconds']:.3g}",
            f"{outcome[f'{kind}_parameters']:,.0f}",
        )
    console.print(table)
    gain, error, seeds = outcome["gain"], outcome["gain_error"], outcome["seeds"]
    verdict = "better than the defaults" if gain > error else "not better than the defaults by more than the error"
    if gain < -error:
        verdict = "worse than the defaults"
    console.print(f"gain {gain:+.4f} ± {error:.4f} in {objective}, {seeds} fresh seeds each: {verdict}")
    console.print(
        f"validation: best trial {outcome['validation_best']:.4f}, refitted {outcome['validation_refitted']:.4f}: "
        f"the search's optimism is {outcome['optimism']:+.4f}"
    )
    console.print(f"bench it: {_command(question, best.user_attrs['parameters'])} --seeds {seeds}", soft_wrap=True)


def _print_front(study: Study, question: StudySpec, console: Console) -> None:
    """The trials that no other beats in both objectives, by the first."""
    title = "Pareto front, of the validation part; none of these has been tested"
    table = Table("trial", *question.objectives, "command", title=title, title_justify="left")
    sign = -1 if question.directions[0] == "maximize" else 1
    for one in sorted(study.best_trials, key=lambda one: sign * one.values[0]):
        command = _command(question, one.user_attrs["parameters"])
        table.add_row(str(one.number), *(f"{value:.4g}" for value in one.values), command)
    console.print(table)


def _command(question: StudySpec, parameters: Mapping[str, Any]) -> str:
    base = question.base
    parts = [f"hepbench bench {base.task} --model {base.model} --budget {base.budget} --data {base.data}"]
    if base.backend != "tensorflow":
        parts.append(f"--backend {base.backend}")
    return " ".join([*parts, *(f"--set {name}={value}" for name, value in sorted(parameters.items()))])


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
