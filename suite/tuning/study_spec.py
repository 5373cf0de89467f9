"""What a study asks: of which task and model, for which objectives, within which limits and over which parameters."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hepbench.benchmarks import metrics
from hepbench.benchmarks.base import UserError, check_known
from hepbench.benchmarks.registry import Entry
from hepbench.suite.trial.spec import Spec, known_parameters, parameters_of

if TYPE_CHECKING:
    import optuna


COSTS = {"latency": "latency_ms", "parameters": "parameters", "train_seconds": "train_seconds"}
"""What a second objective may be -> what a trial's metrics call it."""

EPOCHWISE = {"accuracy": "val_accuracy", "log_loss": "val_loss"}
"""Metric -> what families report of it after each epoch; pruning goes by val_auc where there is none."""

FIRST_SEED = 1_000_000
"""Seeds of the trials begin here, so that no final training repeats the chance of one that was selected."""


@dataclass(frozen=True)
class StudySpec:
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
        known = known_parameters(self.task.record, self.model.record)
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


def distributions_of(question: StudySpec) -> dict[str, str]:
    """parameter -> its distribution as JSON, of what the space asks a trial for. UserError where the space is empty,
    contradicts itself, or gives a parameter that is not known."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    known = known_parameters(question.task.record, question.model.record)
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
        changed = replace(question.base, parameters=question.changed({**question.base.parameters, **given}))
        parameters_of(question.task.record, question.model.record, changed)  # refuses more than the budget's
        for name, distribution in asked.distributions.items():
            text = optuna.distributions.distribution_to_json(distribution)
            if found.setdefault(name, text) != text:
                raise UserError(f"{where} is wrong: it gives two ranges of {name}, and one is allowed")
    if not found:
        why = "all of it is set" if question.base.parameters else "it has no parameters that are searched"
        raise UserError(f"{where} is empty: {why}. Tune another model, or leave a parameter to the search")
    return dict(sorted(found.items()))


def defaults_inside(question: StudySpec, distributions: Mapping[str, str]) -> dict[str, Any]:
    """The defaults, as far as the space holds them."""
    import optuna

    known = known_parameters(question.task.record, question.model.record) | question.base.parameters
    inside = {}
    for name in set(distributions) & set(known):
        value, distribution = known[name], optuna.distributions.json_to_distribution(distributions[name])
        with contextlib.suppress(ValueError):  # which Optuna raises of a value outside
            optuna.trial.create_trial(params={name: value}, distributions={name: distribution}, value=0.0)
            inside[name] = value
    return inside


def _direction(objective: str) -> str:
    better = objective not in COSTS and metrics.METRICS[objective].higher_is_better
    return "maximize" if better else "minimize"


def objectives_of(given: Sequence[str]) -> tuple[str, ...]:
    given = tuple(dict.fromkeys(given))
    if len(given) > 2:
        raise UserError(f"one objective or two, got {len(given)}: {' '.join(given)}")
    check_known("objective", given[0], metrics.METRICS, more=" first")
    if len(given) == 2:
        check_known("second objective", given[1], (*metrics.METRICS, *COSTS))
    return given


def seconds_of(text: str) -> float:
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


def count_of(text: str) -> float:
    units = {"k": 1e3, "M": 1e6, "": 1.0}
    number = text.rstrip("kM")
    try:
        count = float(number) * units[text[len(number) :]]
    except (ValueError, KeyError):
        raise UserError(f"a number such as 5000, 100k or 2M is expected, got {text!r}") from None
    if not count > 0:
        raise UserError(f"a limit must be above 0, got {text!r}")
    return count
