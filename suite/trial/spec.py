"""What a trial is, what decides its result, and which models can serve which task."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
import shlex
from collections.abc import Iterable
from typing import Any

from hepbench.benchmarks import budgets, registry
from hepbench.benchmarks.base import Arrays, FeatureSet, Model, Parameters, Task, UserError, as_text, check_known, plain
from hepbench.benchmarks.registry import Entry
from hepbench.benchmarks.scaling import DEFAULT as SCALING
from hepbench.benchmarks.scaling import methods_of
from hepbench.suite import fingerprint, provenance

COUNTS = ("epochs", "batch_size", "passes", "rounds")
"""Hyper-parameters that count what a training does."""


@dataclasses.dataclass(frozen=True)
class Spec:
    """What a trial is, to be sent to other processes. task and model: names or paths as given. parameters:
    hyper-parameters in place of the family's defaults. data: "official" or "simulated". device: "cpu" or "gpu".
    events: how many of the dataset, in place of the budget's number; None: the budget's. start: id of the run whose
    weights a network starts from; "" for none. train_events: how many of the training part, drawn by the seed; None:
    all."""

    task: str
    model: str
    seed: int
    budget: str
    data: str
    device: str
    backend: str
    parameters: dict[str, Any] = dataclasses.field(default_factory=dict)
    data_seed: int = 0
    events: int | None = None
    start: str = ""
    train_events: int | None = None

    def __post_init__(self) -> None:
        """JSON, in which specs are kept, knows no tuples."""
        object.__setattr__(self, "parameters", {name: plain(name, value) for name, value in self.parameters.items()})

    @property
    def most_events(self) -> int | None:
        """Events of the dataset that are used at most; None: all."""
        return budgets.most_events(self.budget, self.events)


def known_hyperparameters(task: Task, model: Model) -> dict[str, Any]:
    """Every hyper-parameter that a trial of the model may set, with its default: the family's own, how its inputs are
    scaled, those of the training where it is a network, and which features of the task it is given."""
    from hepbench.suite.training.settings import DEFAULTS

    features = {"features": next(iter(task.features))} if task.features else {}
    scaling = {"scaling": SCALING} if model.view else {}
    return {**scaling, **(DEFAULTS if model.build else {}), **model.defaults, **features}


def hyperparameters_of(task: Task, model: Model, spec: Spec) -> dict[str, Any]:
    """The defaults of the family, capped by what the budget allows, and what the trial sets in their place; of epochs
    that may be more than the budget's. UserError where that is not known, cannot train, or is more rounds than are
    allowed."""
    known = known_hyperparameters(task, model)
    for name in spec.parameters:
        check_known(f"hyper-parameter of {spec.model}", name, known)
    parameters = {name: known[name] for name in (*model.defaults, *(["features"] if task.features else []))}
    parameters |= spec.parameters
    _check_trainable(spec.parameters)
    if task.features:
        check_known("set of features", str(parameters["features"]), task.features)
    if model.view:
        methods_of(parameters.get("scaling", SCALING))
    check_budget({name: value for name, value in spec.parameters.items() if name != "epochs"}, model, spec.budget)
    for name, most in _most(model, spec.budget).items():
        if name in parameters and not (name == "epochs" and name in spec.parameters):
            parameters[name] = min(parameters[name], most)
    return parameters


def _check_trainable(parameters: Parameters) -> None:
    """UserError for a number with which nothing is trained."""
    for name, value in parameters.items():
        if not isinstance(value, int | float):  # "auto"
            continue
        if name in COUNTS and not (value >= 1 and value % 1 == 0):
            raise UserError(f"{name}={value}: it must be a whole number above 0")
        if name == "learning_rate" and not 0 <= value < math.inf:
            raise UserError(f"{name}={value}: it must be finite and not below 0")


def check_budget(parameters: Parameters, model: Model, budget: str) -> None:
    """UserError where these hyper-parameters ask for more epochs or rounds than the budget has for the family."""
    for name, most in _most(model, budget).items():
        if parameters.get(name, 0) > most:
            raise UserError(
                f"{name}={parameters[name]} is more than the {most} of the budget {budget}: leave it out, or choose a "
                "larger budget"
            )


def _most(model: Model, budget: str) -> dict[str, int]:
    return {"epochs": budgets.most_epochs(budget, model.view), "rounds": budgets.find(budget).rounds}


@dataclasses.dataclass(frozen=True)
class Trial:
    """A trial within a process: what its names stand for, looked up once. A spec crosses borders, a trial does not."""

    spec: Spec
    task: Entry[Task]
    model: Entry[Model]

    @functools.cached_property
    def hyperparameters(self) -> dict[str, Any]:
        """All that the trial runs with; UserError as `hyperparameters_of`."""
        return hyperparameters_of(self.task.record, self.model.record, self.spec)

    @property
    def backend(self) -> str:
        """What computes it, as far as is known before it is built; of its run."""
        return self.model.record.backend(self.spec.backend)

    @property
    def stage(self) -> str:
        """Of its run: "final", by which a leaderboard takes it, or of a training on a part of the training events."""
        return "part" if self.spec.train_events else "final"

    @property
    def refusal(self) -> str | None:
        """Why the model cannot serve the task, or None if it can."""
        return refusal(self.task.record, self.model.record, self.hyperparameters.get("features"))


def computed_on(models: Iterable[Entry[Model]], of_keras: str, device: str) -> str:
    """What computes these models, in words: the backends of their networks, and the device."""
    backends = " and ".join(dict.fromkeys(filter(None, (model.record.backend(of_keras) for model in models))))
    return f"{backends} on {device}" if backends else f"on {device}"


def look_up(spec: Spec) -> Trial:
    """Look up the task and the model of a trial. UserError where this process does not find them."""
    return Trial(spec, registry.find("task", spec.task), registry.find("model", spec.model))


def identity_of(trial: Trial, data_digest: str, split_hash: str) -> tuple[str, str]:
    """(configuration, identity): hashes of everything that decides a result, without and with the seed.

    The code that a trial runs through and the versions of the libraries that compute are part of it, so that a result
    of another version is never taken for one of this.
    """
    spec = trial.spec
    decides = {
        "task": trial.task.name,
        "model": trial.model.name,
        "code": fingerprint.code_of_trial(trial.task, trial.model),
        "versions": provenance.versions((*provenance.COMPUTING, *filter(None, [trial.model.record.package]))),
        "parameters": trial.hyperparameters,
        "data": [spec.data, data_digest, split_hash],
        "budget": spec.budget,
        "events": spec.events,
        "train_events": spec.train_events,
        "start": spec.start,
        "run on": [spec.device, trial.backend],
    }
    configuration = hash_of(decides)
    return configuration, hash_of([configuration, spec.seed])


def command_for(spec: Spec) -> str:
    """The command that runs this trial again, for a shell."""
    verb = "curve" if spec.train_events else "bench"
    options = {"model": spec.model, "seed": spec.seed, "budget": spec.budget, "data": spec.data}
    options |= {"device": spec.device, "backend": spec.backend}
    given = (("events", spec.events), ("train-events", spec.train_events), ("from", spec.start))
    options |= {name: value for name, value in given if value}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    words += [word for name, value in spec.parameters.items() for word in ("--set", f"{name}={as_text(value)}")]
    return shlex.join(["hepbench", verb, spec.task, *words, "--force"])


def refusal(task: Task, model: Model, features: str | None) -> str | None:
    """Why the model cannot serve the task with this set of features, or None if it can."""
    if reason := model.incompatibility(task):
        return reason
    chosen = task.features.get(features or "", FeatureSet())
    return None if chosen.supports(model.view) else f"there are no {features} features among the {model.view} inputs"


def cut(task: Task, inputs: Arrays, parameters: Parameters) -> Arrays:
    """The inputs with the columns of the set of features alone; no copy is made of what is memory-mapped."""
    columns = task.features.get(parameters.get("features", ""), FeatureSet()).columns
    return {name: array[..., : columns[name]] if name in columns else array for name, array in inputs.items()}


def hash_of(value: Any) -> str:
    """16 hexadecimal digits of what JSON can hold, the same for the same content."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
