"""Specification of a study: task, model, objectives, limits, sampler and pruner."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from hepbench.benchmarks import budgets, metrics, registry
from hepbench.benchmarks.base import Model, Task, UserError, check_known, check_names, plain
from hepbench.benchmarks.registry import Entry
from hepbench.suite.campaign import MOST_SEEDS, whole_number
from hepbench.suite.data.files import choose
from hepbench.suite.settings import settings_by_model
from hepbench.suite.trial.score_metrics import VALIDATION
from hepbench.suite.trial.spec import Spec, Trial, check_budget, known_hyperparameters
from hepbench.suite.workers.place import Place
from hepbench.tracking.printable import printable

if TYPE_CHECKING:
    import optuna


SAMPLERS = ("tpe", "random", "nsga2")
PRUNERS = ("median", "hyperband", "halving", "none")

FIRST_SEED = 1_000_000
"""Seeds of the trials begin here, so that no final training run repeats the random seed of a selected one."""


@dataclass(frozen=True)
class Objective:
    """What a study optimises: a metric on the validation set, or a cost.

    name: as requested. title: description. measured: its key among the metrics of a trial.
    epochwise: quantity reported after each epoch, used for pruning; None: nothing.
    """

    name: str
    title: str
    measured: str
    higher_is_better: bool = False
    epochwise: str | None = None

    @property
    def direction(self) -> Literal["maximize", "minimize"]:
        return "maximize" if self.higher_is_better else "minimize"


COSTS = {
    cost.name: cost
    for cost in (
        Objective("latency", "milliseconds to predict one event", "latency_ms"),
        Objective("parameters", "trainable parameters", "parameters"),
        Objective("train_seconds", "seconds of training", "train_seconds"),
    )
}
"""Costs, which a second objective or a limit may be in addition to the metrics."""


def metric_objective(name: str) -> Objective:
    metric = metrics.METRICS[name]
    return Objective(metric.name, metric.title, f"{VALIDATION}{metric.name}", metric.higher_is_better, metric.epochwise)


@dataclass(frozen=True)
class StudyRequest:
    """A user's request, by names; `resolve` looks them up.

    task, model: names or paths. settings: hyper-parameters that are not searched. trials: total number in the study;
    None: the budget's. timeout: such as "30m". max_latency: such as "1ms". max_parameters: such as "100k". name: of the
    study; None: task-model-budget. seeds: number of fresh seeds for the best and for the defaults.
    """

    task: str
    model: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    trials: int | None = None
    timeout: str | None = None
    budget: str = "quick"
    sampler: str = "tpe"
    pruner: str = "median"
    objectives: Sequence[str] = ("auc",)
    max_latency: str | None = None
    max_parameters: str | None = None
    name: str | None = None
    seeds: int = 5
    device: str = "auto"
    backend: str = "tensorflow"
    data: str = "auto"


@dataclass(frozen=True)
class StudySpec:
    """Specification of a study.

    base: a trial without the searched hyper-parameters. space: an Optuna trial -> hyper-parameters. limits: cost ->
    maximum. trials: total number in the study. seeds: number of fresh seeds for the best and for the defaults.
    seconds: time limit of the search. device_reason: why the base has its device.
    """

    name: str
    task: Entry[Task]
    model: Entry[Model]
    base: Spec
    space: Callable[[optuna.Trial], Mapping[str, Any]]
    objectives: tuple[Objective, ...]
    limits: Mapping[str, float]
    sampler: str
    pruner: str
    trials: int
    seeds: int
    seconds: float
    device_reason: str

    @functools.cached_property
    def defaults(self) -> dict[str, Any]:
        """All hyper-parameters, without any search."""
        return known_hyperparameters(self.task.record, self.model.record) | self.base.parameters

    def trial(self, hyperparameters: Mapping[str, Any], seed: int) -> Trial:
        """The base with these hyper-parameters instead of its own. Those equal to the model's defaults do not count as
        settings, as in a bench."""
        return Trial(replace(self.base, parameters=self.changed(hyperparameters), seed=seed), self.task, self.model)

    def proposed(self, proposal: optuna.Trial) -> Trial:
        """The trial with the hyper-parameters suggested by Optuna's trial."""
        return self.trial({**self.base.parameters, **self.suggested(proposal)}, FIRST_SEED + proposal.number)

    def suggested(self, proposal: optuna.Trial) -> Mapping[str, Any]:
        """The hyper-parameters that the space takes from Optuna's trial, with the user's settings instead of
        suggestions."""
        fixing: Any = _Fixing(proposal, self.base.parameters)
        return self.space(fixing)

    def changed(self, hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
        """Those that differ from the model's defaults, and epochs, whose default is capped by the budget, unlike a
        setting."""
        known = known_hyperparameters(self.task.record, self.model.record)
        given = {name: plain(name, value) for name, value in hyperparameters.items()}
        return {name: value for name, value in given.items() if value != known[name] or name == "epochs"}

    @functools.cached_property
    def distributions(self) -> dict[str, str]:
        """Searched hyper-parameter -> its distribution as JSON. UserError if the space is empty, contradicts itself, or
        gives an unknown hyper-parameter."""
        return _distributions_of(self)

    @property
    def objective_names(self) -> list[str]:
        return [objective.name for objective in self.objectives]

    def values(self, measured: Mapping[str, float]) -> list[float]:
        """Values of the objectives from a trial's metrics; NaN where not measurable."""
        return [measured.get(objective.measured, math.nan) for objective in self.objectives]

    def epoch_value(self, reported: Mapping[str, float]) -> float | None:
        """The value used for pruning from the report of an epoch; None if there is none, as with two objectives."""
        if len(self.objectives) > 1:
            return None
        value = reported.get(self.objectives[0].epochwise or "")
        return None if value is None or not math.isfinite(value) else value


class _Fixing:
    """An Optuna trial that returns the user's settings instead of suggestions, and accepts any `plain` value of a
    hyper-parameter, and numpy values, as choices and bounds."""

    def __init__(self, proposal: optuna.Trial, fixed: Mapping[str, Any]):
        self._proposal = proposal
        self._fixed = fixed

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._proposal, name)
        if not name.startswith("suggest_"):
            return method

        def suggest(parameter: str, *rest: Any, **options: Any) -> Any:
            check_names("hyper-parameter", [parameter])
            if parameter in self._fixed:
                return self._fixed[parameter]
            rest = plain(parameter, rest)
            options = {key: plain(parameter, value) for key, value in options.items()}
            if name != "suggest_categorical":
                return method(parameter, *rest, **options)
            choices = options["choices"] if "choices" in options else rest[0]
            kept = [stored(choice) for choice in choices]
            return choices[kept.index(method(parameter, kept))]

        return suggest


def stored(value: Any) -> Any:
    """The value of a hyper-parameter for Optuna's database, which cannot return tuples."""
    return repr(value) if isinstance(value, tuple) else value


def resolve(request: StudyRequest, place: Place | None = None) -> StudySpec:
    """The specification of a request, to be run at this place; None: on this machine. Raises UserError for anything
    unknown, contradictory or unavailable."""
    task, model = registry.find("task", request.task), registry.find("model", request.model)
    trials = budgets.find(request.budget).trials if request.trials is None else request.trials
    if trials < 1:
        raise UserError(f"TRIALS must be at least 1, got {trials}")
    if request.seeds < 2:
        raise UserError(f"SEEDS must be at least 2, as their spread is part of the result, got {request.seeds}")
    whole_number("SEEDS", request.seeds, 2, MOST_SEEDS)
    check_known("sampler", request.sampler, SAMPLERS)
    check_known("pruner", request.pruner, PRUNERS)
    seconds = seconds_of(request.timeout) if request.timeout else math.inf
    objectives = objectives_of(request.objectives, len(task.record.classes))
    limits = {}
    if request.max_latency:
        limits["latency"] = 1e3 * seconds_of(request.max_latency)
    if request.max_parameters:
        limits["parameters"] = count_of(request.max_parameters)
    chosen, reason = (place or Place()).resolve(request.device, request.backend)
    kind = choose(task, request.data)
    fixed = settings_by_model(request.settings, task, [model])[model.name]
    base = Spec(task.given, model.given, FIRST_SEED, request.budget, kind, chosen, request.backend, fixed)
    if refusal := Trial(base, task, model).refusal:
        raise UserError(f"{model.name} does not support {task.name}: {refusal}")
    study_spec = StudySpec(
        name=printable(request.name or f"{task.name}-{model.name}-{request.budget}"),
        task=task,
        model=model,
        base=base,
        space=task.record.spaces.get(model.name, model.record.space),
        objectives=objectives,
        limits=limits,
        sampler=request.sampler,
        pruner=request.pruner,
        trials=trials,
        seeds=request.seeds,
        seconds=seconds,
        device_reason=reason,
    )
    _ = study_spec.distributions  # an invalid space is rejected before anything starts
    return study_spec


def _distributions_of(study_spec: StudySpec) -> dict[str, str]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    where = f"the search space of {study_spec.model.name}"
    found: dict[str, str] = {}
    for _ in range(20):  # a space may request some hyper-parameters only if others have certain values
        proposal = study.ask()
        try:
            given = study_spec.suggested(proposal)
        except Exception as error:  # whatever a user's file raises
            raise UserError(f"{where} is wrong: {error}") from error
        for name in given:
            check_known(f"hyper-parameter in {where}", name, study_spec.defaults)
        first = study_spec.trial({**study_spec.base.parameters, **given}, FIRST_SEED)
        check_budget(first.spec.parameters, first.model.record, first.spec.budget)
        _ = first.hyperparameters  # rejects unknown ones
        for name, distribution in proposal.distributions.items():
            text = optuna.distributions.distribution_to_json(distribution)
            if found.setdefault(name, text) != text:
                raise UserError(f"{where} is wrong: it gives two ranges of {name}, but only one is allowed")
    if not found:
        why = "all of it is set" if study_spec.base.parameters else "it has no searched hyper-parameters"
        raise UserError(f"{where} is empty: {why}. Tune another model, or leave a hyper-parameter to the search")
    return dict(sorted(found.items()))


def defaults_inside(study_spec: StudySpec) -> dict[str, Any]:
    """The defaults, as far as they are inside the space."""
    import optuna

    inside = {}
    for name in set(study_spec.distributions) & set(study_spec.defaults):
        value = stored(study_spec.defaults[name])
        distribution = optuna.distributions.json_to_distribution(study_spec.distributions[name])
        with contextlib.suppress(ValueError):  # which Optuna raises of a value outside
            optuna.trial.create_trial(params={name: value}, distributions={name: distribution}, value=0.0)
            inside[name] = value
    return inside


def objectives_of(given: Sequence[str], classes: int) -> tuple[Objective, ...]:
    """One metric, or a metric and a second metric or cost, defined for this number of classes; UserError otherwise."""
    known = metrics.metrics_for(classes)
    first, *others = dict.fromkeys(given)
    if len(others) > 1:
        raise UserError(f"give one objective or two, got {1 + len(others)}: {' '.join([first, *others])}")
    check_known("objective", first, known, more=" first")
    for other in others:
        check_known("second objective", other, (*known, *COSTS))
    return (metric_objective(first), *(COSTS.get(other) or metric_objective(other) for other in others))


def seconds_of(text: str) -> float:
    """ "90s", "30m", "2h", "1ms", or seconds."""
    units = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "": 1.0}
    number = text.rstrip("abcdefghijklmnopqrstuvwxyzµ")
    try:
        seconds = float(number) * units[text[len(number) :].strip()]
    except (ValueError, KeyError):
        raise UserError(f"expected a time such as 90s, 30m, 2h or 1ms, got {text!r}") from None
    if not 0 < seconds < math.inf:
        raise UserError(f"a time must be above 0 and finite, got {text!r}")
    return seconds


def count_of(text: str) -> float:
    """ "5000", "100k" or "2M"."""
    units = {"k": 1e3, "M": 1e6, "": 1.0}
    number = text.rstrip("kM")
    try:
        count = float(number) * units[text[len(number) :]]
    except (ValueError, KeyError):
        raise UserError(f"expected a number such as 5000, 100k or 2M, got {text!r}") from None
    if not 0 < count < math.inf:
        raise UserError(f"a limit must be above 0 and finite, got {text!r}")
    return count
