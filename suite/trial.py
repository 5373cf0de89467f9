"""One trial, top to bottom: data, training, one look at the test set, everything to MLflow."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import budgets, registry
from benchmarks.base import Arrays, Fitted, Model, Parameters, Sample, Task, UserError, check_known
from suite import data

if TYPE_CHECKING:
    from tracking.runs import Store

SOURCE = Path(__file__).parent.parent
SHARED = ("benchmarks/metrics.py", "benchmarks/views.py", "suite/adam.py", "suite/training.py")
"""The code behind every entry, a change of which changes results."""

LATENCIES = 30
"""Predictions of one event whose middle time is the latency."""

Say = Callable[[dict[str, Any]], None]
"""Tells whoever watches how far a trial is: {"stage": ...} or {"epoch": ..., "epochs": ..., "metrics": ...}."""


@dataclasses.dataclass(frozen=True)
class Spec:
    """What a trial is. task and model: names or paths as given. parameters replace the family's defaults.
    data: "official" or "simulated". device: "cpu" or "gpu"."""

    task: str
    model: str
    seed: int
    budget: str
    data: str
    device: str
    backend: str
    parameters: dict[str, Any] = dataclasses.field(default_factory=dict)
    data_seed: int = 0


def known_parameters(task: Task, model: Model) -> dict[str, Any]:
    """Every parameter that a trial of the model may set, with its default: the family's own, those of the training
    where it is a network, and which features of the task it is given."""
    from suite import training

    features = {"features": next(iter(task.features))} if task.features else {}
    return {**(training.DEFAULTS if model.build else {}), **model.defaults, **features}


def parameters_of(task: Task, model: Model, spec: Spec) -> dict[str, Any]:
    """The defaults of the family, capped by what the budget allows, and what the trial sets in their place. UserError
    where that is not known, or more than is allowed."""
    known = known_parameters(task, model)
    for name in spec.parameters:
        check_known(f"parameter of {spec.model}", name, known)
    parameters = {name: known[name] for name in (*model.defaults, *(["features"] if task.features else []))}
    parameters |= spec.parameters
    if task.features:
        check_known("set of features", str(parameters["features"]), task.features)
    budget = budgets.find(spec.budget)
    for name, most in (("epochs", budget.epochs), ("rounds", budget.rounds)):
        if spec.parameters.get(name, 0) > most:
            raise UserError(
                f"{name}={spec.parameters[name]} is more than the {most} of the budget {spec.budget}: leave it out, or "
                "choose a larger budget"
            )
        if name in parameters:
            parameters[name] = min(parameters[name], most)
    return parameters


def identity(spec: Spec, data_digest: str, split_hash: str) -> tuple[str, str]:
    """(configuration, identity): hashes of everything that decides a result, without and with the seed.

    The text of the entries and of the code they share is part of it, so that a result of an older version is never
    taken for one of this.
    """

    task, model = registry.find("task", spec.task), registry.find("model", spec.model)
    parameters = parameters_of(task.record, model.record, spec)
    decides = {
        "task": [task.name, task.code],
        "model": [model.name, model.code],
        "shared": [_hash((SOURCE / name).read_text()) for name in SHARED],
        "parameters": parameters,
        "data": [spec.data, data_digest, split_hash],
        "budget": spec.budget,
        "run on": [spec.device, spec.backend],
    }
    configuration = _hash(decides)
    return configuration, _hash([configuration, spec.seed])


def refusal(task: Task, model: Model, features: str | None) -> str | None:
    """Why the model cannot serve the task with this set of features, or None if it can."""
    columns = task.features.get(features, {})
    main = {"cloud": "features"}.get(model.view, model.view)
    if reason := model.refuses(task):
        return reason
    return (
        f"there are no {features} features among the {main} inputs"
        if columns and main and main not in columns
        else None
    )


def cut(task: Task, inputs: Arrays, parameters: Parameters) -> Arrays:
    """The inputs with the columns of the set of features alone; no copy is made of what is memory-mapped."""
    columns = task.features.get(parameters.get("features"), {})
    return {name: array[..., : columns[name]] if name in columns else array for name, array in inputs.items()}


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def run(
    spec: Spec, store: Store, run_id: str, say: Say, final: bool, data_digest: str, split_hash: str
) -> dict[str, float]:
    """Run one trial and log it to a run that has been started; returns the metrics. The caller ends the run.

    final: test at the end, and keep scores, plots and the model; a trial of a study sees the validation part alone and
    keeps numbers. Raises UserError where the data found are not those of the digest and the split.
    """
    from benchmarks import metrics, views
    from suite import training
    from tracking import plots
    from tracking.hardware import Sampler

    seconds: dict[str, float] = {}
    task, model = registry.find("task", spec.task), registry.find("model", spec.model)
    parameters = parameters_of(task.record, model.record, spec)
    classes, signal = task.record.classes, task.record.signal

    say({"stage": "opening data"})
    with _timed(seconds, "open_seconds"):
        budget_events = budgets.find(spec.budget).events
        files = data.obtain(task, spec.data, budget_events, spec.data_seed, lambda done: None)
        prepared = data.prepare(task, files)
        rows, found_hash = data.split(task.record, prepared, budget_events)
        if (files.digest, found_hash) != (data_digest, split_hash):
            raise UserError(
                f"{platform.node()} finds other data of {task.name} in {data.home()} than the bench was started with: "
                "let HEPBENCH_HOME be one folder that all machines see"
            )
        inputs = data.view(task, prepared, model.record.view) if model.record.view else {}
        inputs = cut(task.record, inputs, parameters)
        samples = {part: Sample(inputs, rows[part], prepared.labels[rows[part]]) for part in data.PARTS}
        scaling = views.fit_scaling(samples["train"])
        train, valid, test = (dataclasses.replace(samples[part], scaling=scaling) for part in data.PARTS)

    history: list[dict[str, float]] = []

    def report(epoch: int, values: dict[str, float]) -> None:
        history.append({"epoch": epoch, **values})
        store.log(run_id, values, epoch)
        say({"epoch": epoch, "epochs": parameters.get("epochs") or parameters.get("rounds"), "metrics": values})

    def hardware(values: dict[str, float], step: int) -> None:
        store.log(run_id, values, step)

    say({"stage": "training"})
    fit = model.record.fit or partial(training.fit_network, model.record.build)
    with Sampler(gpu=0 if spec.device == "gpu" else None, sink=hardware) as sampler:
        with _timed(seconds, "fit_seconds"):
            fitted = fit(
                train, valid, parameters, classes=len(classes), seed=spec.seed, device=spec.device, report=report
            )
        say({"stage": "testing" if final else "validating"})
        latency = _latency(fitted, valid)  # also what only a first call does, which is no time of prediction
        valid_scores = fitted.predict(valid)
        if final:
            with _timed(seconds, "predict_seconds"):
                scores = fitted.predict(test)  # the one look at the test set
    seconds.setdefault("train_seconds", seconds["fit_seconds"])
    seconds.update(getattr(fitted, "timings", {}))

    validated = metrics.evaluate(valid.labels, valid_scores, signal)
    result = {f"valid_{name}": value for name, value in validated.items()}
    result |= {**seconds, "latency_ms": latency, "parameters": fitted.parameters}
    if final:
        measured = metrics.evaluate(test.labels, scores, signal)
        for name, value_of in task.record.slices.items():
            measured |= metrics.auc_by_slice(name, value_of(prepared.arrays)[test.rows], test.labels, scores, signal)
        result |= {f"test_{name}": value for name, value in measured.items()}
        result["test_events"] = len(test)
        result["predict_us_per_event"] = 1e6 * seconds["predict_seconds"] / len(test)
    store.log(run_id, result | sampler.summary())
    store.tag(run_id, {"not_available": json.dumps(sampler.unavailable)})
    if not final:
        return result

    say({"stage": "writing"})
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        roc = metrics.roc_curve(test.labels, scores, signal)
        _write_scores(folder / "scores.parquet", prepared.ids[test.rows], test.labels, scores, classes)
        _write_csv(folder / "roc.csv", roc)
        if history:
            columns = list(dict.fromkeys(name for line in history for name in line))
            _write_csv(folder / "history.csv", {c: [line.get(c, np.nan) for line in history] for c in columns})
        (folder / "plots").mkdir()
        plots.trial_plots(folder / "plots", scores, test.labels, signal, classes, roc, history)
        save(folder / "model", fitted, spec, parameters, scaling, classes)
        store.upload(run_id, folder)
    return result


def save(folder: Path, fitted: Fitted, spec: Spec, parameters: dict, scaling: dict, classes: tuple[str, ...]) -> None:
    """A folder from which `load` makes the trained model again, with the scaling that was fitted for it."""
    folder.mkdir()
    fitted.save(folder)
    np.savez(folder / "scaling.npz", **{f"{name}|{i}": x for name, pair in scaling.items() for i, x in enumerate(pair)})
    about = {"spec": dataclasses.asdict(spec), "parameters": parameters, "classes": classes}
    (folder / "trial.json").write_text(json.dumps(about, indent=1))


def load(folder: Path) -> tuple[Spec, Fitted, dict[str, tuple[np.ndarray, np.ndarray]]]:
    """(spec, trained model, scaling) from a folder that `save` wrote."""
    from suite import training

    spec = Spec(**json.loads((folder / "trial.json").read_text())["spec"])
    model = registry.find("model", spec.model).record
    with np.load(folder / "scaling.npz") as saved:
        names = dict.fromkeys(key.rsplit("|", 1)[0] for key in saved.files)
        scaling = {name: (saved[f"{name}|0"], saved[f"{name}|1"]) for name in names}
    return spec, (model.load or training.load_network)(folder), scaling


def predict(folder: Path, raw: list[Path], out: Path) -> int:
    """Score raw files of the task's format with a saved model; writes Parquet like a trial's. Returns the events."""
    spec, fitted, scaling = load(folder)
    task, model = registry.find("task", spec.task).record, registry.find("model", spec.model).record
    parameters = parameters_of(task, model, spec)
    ids, labels, scores = [], [], []
    for events in task.read(raw):
        inputs = cut(task, task.views[model.view](events.arrays) if model.view else {}, parameters)
        sample = Sample(inputs, np.arange(len(events.labels)), events.labels, scaling)
        scores.append(fitted.predict(sample))
        ids.append(events.ids)
        labels.append(events.labels)
    partial_out = out.with_name(f".{out.name}.part")
    _write_scores(partial_out, np.concatenate(ids), np.concatenate(labels), np.concatenate(scores), task.classes)
    os.replace(partial_out, out)
    return sum(map(len, ids))


def _first(sample: Sample, count: int) -> Sample:
    return dataclasses.replace(sample, rows=sample.rows[:count], labels=sample.labels[:count])


def _latency(fitted: Fitted, sample: Sample) -> float:
    """Milliseconds of the prediction of one event, the middle of LATENCIES calls."""
    one = _first(sample, 1)
    fitted.predict(one)
    taken = []
    for _ in range(LATENCIES):
        started = time.perf_counter()
        fitted.predict(one)
        taken.append(time.perf_counter() - started)
    return 1e3 * statistics.median(taken)


@contextlib.contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - start


def _write_scores(path: Path, ids: np.ndarray, labels: np.ndarray, scores: np.ndarray, classes: tuple[str, ...]):
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {"id": ids, "label": labels.astype(np.int8)}
    columns |= {f"score_{name}": scores[:, i].astype(np.float32) for i, name in enumerate(classes)}
    pq.write_table(pa.table(columns), path)


def read_scores(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Labels (n,) and scores (n, classes) of a file that a trial wrote."""
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    scores = [table[name].to_numpy() for name in table.column_names if name.startswith("score_")]
    return table["label"].to_numpy().astype(np.int64), np.column_stack(scores)


def _write_csv(path: Path, columns: dict[str, Any]) -> None:
    np.savetxt(
        path,
        np.column_stack([np.asarray(values, dtype=float) for values in columns.values()]),
        delimiter=",",
        header=",".join(columns),
        comments="",
        fmt="%.9g",
    )
