"""The parts of `hepbench measure gpu`, most valuable first. Each yields lines as results become available."""

from __future__ import annotations

import concurrent.futures
import itertools
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import Model, Sample, Task, UserError
from hepbench.benchmarks.metrics import METRICS
from hepbench.benchmarks.registry import Entry
from hepbench.suite import batch_size, campaign, device, results
from hepbench.suite.data.dataset import Prepared
from hepbench.suite.data.files import choose
from hepbench.suite.data.opening import open_data
from hepbench.suite.data.split import split_events
from hepbench.suite.processes import end_with_parent, without_main_file
from hepbench.suite.profiling.gpu import BACKEND, Line, Part, Setting
from hepbench.suite.profiling.models import sample_of
from hepbench.suite.profiling.seeds import seeds_at_once
from hepbench.suite.profiling.timing import rates_of
from hepbench.suite.profiling.weaver import Mode, require_weaver, weaver_rates
from hepbench.suite.trial.inputs import samples_of
from hepbench.suite.trial.spec import Spec, Trial, look_up
from hepbench.suite.workers.place import Place
from hepbench.tracking.hardware import machine

EVENTS = 1_000
"""Events of each task's data."""

FEW = 240
"""Events in a dry run."""

FIRST = "ecal"
"""The task for measurements on a single one."""

CLOUDS = ("qg_jets", "lund_jets")
"""Tasks whose clouds are timed: the first with available events; simulating the second does not require Pythia."""

TIMED = ("particlenet", "part", "particlenet_lite", "part_lite")

BATCH = 512
"""Batch size of these, as in their papers."""

COMPILED = Mode(compiled=True, optimiser_compiled=True, tf32=True)
THEIRS = {
    "compile-optimizer": COMPILED,
    "compile": replace(COMPILED, optimiser_compiled=False),
    "as-installed": Mode(),
    "compile-optimizer, use-amp": replace(COMPILED, bfloat16=True),
}
"""weaver-core's modes on a GPU. Compiled, it may multiply float32 with TF32, as JAX does there."""

ROUNDS = (
    ("float32", ("compile-optimizer",)),
    ("bfloat16", ("compile-optimizer, use-amp",)),
    ("float32", ("compile", "as-installed")),
)
DRY_ROUNDS = (("float32", ("as-installed",)),)
"""Precision, and modes that ours is compared with, most valuable first."""

SHORT = {"epochs": 1, "rounds": 20, "batch_size": 64, "passes": 1}
"""Hyper-parameters of the training runs that are compared with the CPU's."""

REPEATS = 3
SEEDS = 8


def _data(setting: Setting, name: str) -> tuple[Entry[Task], Prepared]:
    """A task's events: local files, or simulated ones. UserError if neither are available."""
    task = registry.find("task", name)
    kind = choose(task, "simulated" if task.record.simulation else "auto")
    try:
        return task, open_data(task, kind, FEW if setting.dry else EVENTS, campaign.ignore)[1]
    except ImportError as error:
        raise UserError(f"{name} cannot be simulated here ({error}): carry data/{name} along") from error


def _trial(setting: Setting, task: str, model: str, **parameters: Any) -> Trial:
    return look_up(Spec(task, model, 0, "full", "simulated", setting.device, BACKEND, parameters))


def computer(setting: Setting) -> Iterator[Line]:
    """Its peak performance."""
    import jax
    import jax.numpy as jnp

    yield Line("JAX sees", {"devices": ", ".join(sorted({one.device_kind for one in jax.devices()}))})
    side = 256 if setting.dry else 8192
    kinds = {"float32, as JAX multiplies it": ("float32", None), "float32, exact": ("float32", "highest")}
    for name, (kind, precision) in (kinds | {"bfloat16": ("bfloat16", None)}).items():
        x = jnp.ones((side, side), kind)
        product = jax.jit(lambda a, precision=precision: jnp.matmul(a, a, precision=precision))
        seconds = min(_seconds(lambda: product(x).block_until_ready()) for _ in range(6))  # noqa: B023
        yield Line(f"product of matrices, {name}", {"TFLOP/s": 2 * side**3 / seconds / 1e12})
    host = np.ones(2**20 if setting.dry else 2**28, np.uint8)
    copied = min(_seconds(lambda: jax.device_put(host).block_until_ready()) for _ in range(4))
    yield Line("copy to the device", {"GB/s": len(host) / copied / 1e9})


def _seconds(step: Callable[[], object]) -> float:
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


def data(setting: Setting) -> Iterator[Line]:
    """Every task's events, simulated or found."""
    for name in [FIRST] if setting.dry else registry.names("task"):
        started = time.perf_counter()
        try:
            prepared = _data(setting, name)[1]
        except UserError as error:
            yield Line(name, {"events": "none", "why": str(error)})
            continue
        yield Line(name, {"events": float(len(prepared)), "seconds": time.perf_counter() - started})


def _clouds(setting: Setting, model: str) -> tuple[Trial, Sample]:
    """Events for timing."""
    for name in (FIRST,) if setting.dry else CLOUDS:
        try:
            task, prepared = _data(setting, name)
        except UserError:
            if name == CLOUDS[-1]:
                raise
            continue
        trial = _trial(setting, name, model, batch_size=16 if setting.dry else BATCH)
        return trial, sample_of(task, prepared, "cloud", trial.hyperparameters, 0.01 if setting.dry else 1.0)
    raise AssertionError


def rates(setting: Setting) -> Iterator[Line]:
    """For each network ours, then weaver-core's, in the rounds of `ROUNDS`."""
    seconds = 0.02 if setting.dry else 2.0
    ours: dict[tuple[str, str], float] = {}
    lacks = ""
    try:
        require_weaver()
    except UserError as error:
        lacks = str(error)
        yield Line("weaver-core", {"training, events/s": "not measured", "why": lacks})
    for precision, modes in DRY_ROUNDS if setting.dry else ROUNDS:
        for model in TIMED[-2:-1] if setting.dry else TIMED:
            trial, sample = _clouds(setting, model)
            if (model, precision) not in ours:
                values = _our_rates(trial, sample, precision, seconds)
                ours[model, precision] = _number(values)
                yield Line(f"{trial.task.name}, {model}, {precision}", values)
            for name in () if lacks else modes:
                values = _their_rates(trial, sample, THEIRS[name], seconds)
                values["ours / theirs"] = ours[model, precision] / _number(values)
                yield Line(f"{trial.task.name}, {model}, {precision}, weaver-core {name}", values)


def _number(values: Mapping[str, float | str]) -> float:
    return float(values.get("training, events/s", float("nan")))


def _our_rates(trial: Trial, sample: Sample, precision: str, seconds: float) -> dict[str, float | str]:
    """Medians of `REPEATS`."""
    build, classes = trial.model.record.build, len(trial.task.record.classes)
    assert build is not None
    settings = {**trial.hyperparameters, "precision": precision}
    try:
        _, train, predict = rates_of(build, sample, settings, classes, seconds)
        found = [(train(), predict()) for _ in range(REPEATS)]
    except Exception as error:
        if not device.out_of_memory(error):
            raise
        return {"batch": float(settings["batch_size"]), "why": "out of memory"}
    training, prediction = (statistics.median(rates) for rates in zip(*found, strict=True))
    return {
        "batch": float(settings["batch_size"]),
        "training, events/s": training,
        "prediction, events/s": prediction,
    }


def _their_rates(trial: Trial, sample: Sample, mode: Mode, seconds: float) -> dict[str, float | str]:
    batch = float(trial.hyperparameters["batch_size"])
    classes = len(trial.task.record.classes)
    shared = trial.model, sample, trial.hyperparameters, classes, seconds, mode, trial.spec.device
    try:
        with weaver_rates(*shared) as (train, predict):
            found = [(train(), predict()) for _ in range(REPEATS)]
    except Exception as error:  # whatever PyTorch, its compiler or a full memory raises
        return {"batch": batch, "why": f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"}
    training, prediction = (statistics.median(rates) for rates in zip(*found, strict=True))
    return {"batch": batch, "training, events/s": training, "prediction, events/s": prediction}


def entries(setting: Setting) -> Iterator[Line]:
    """A short training run of each entry that uses a GPU, on each of its tasks, here and on the CPU: the scores of one
    seed must differ by less than those of two seeds on the CPU. First every entry on one task, then on another."""
    with _pool(setting.device, 1 if setting.dry else 5) as here, _pool("cpu", 1 if setting.dry else 8) as there:
        pairs = _pairs(setting)
        both = []
        for trial in pairs:
            name = trial.task.name, trial.model.name
            on_gpu = here.submit(short_training, *name, setting, setting.device, (0,))
            both.append((on_gpu, there.submit(short_training, *name, setting, "cpu", (0, 1))))
        place = {one: number for number, some in enumerate(both) for one in some}
        told: set[int] = set()
        for future in concurrent.futures.as_completed(place):
            number = place[future]
            if number not in told and all(one.done() for one in both[number]):
                told.add(number)
                yield _agreement(pairs[number], *both[number])


def _pairs(setting: Setting) -> list[Trial]:
    """Entries that train on a GPU if there is one: networks and XGBoost's trees."""
    tasks = [FIRST] if setting.dry else [name for name in registry.names("task") if _is_there(setting, name)]
    models = ("mlp", "gbdt") if setting.dry else registry.names("model")
    by_model = []
    for number, model in enumerate(models):
        record = registry.find("model", model).record
        if record.build or model == "gbdt":
            trials = [_trial(setting, task, model) for task in tasks]
            served = [trial for trial in trials if not trial.refusal]
            turn = number % max(1, len(served))
            by_model.append([*served[turn:], *served[:turn]])
    rounds = itertools.zip_longest(*by_model)
    return [trial for one in rounds for trial in one if trial is not None]


def _is_there(setting: Setting, name: str) -> bool:
    """Whether there are events of a task; the part `data` reports why there are none."""
    try:
        _data(setting, name)
    except UserError:
        return False
    return True


def _pool(chosen: str, processes: int) -> ProcessPoolExecutor:
    with without_main_file():
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(processes, context, initializer=_begin, initargs=(chosen, processes))


def _begin(chosen: str, processes: int) -> None:
    end_with_parent()
    os.environ.update(device.threads(machine.cores_usable() / processes))
    if chosen == "cpu":
        device.set_environment(chosen, BACKEND)
    device.import_keras(BACKEND)


def short_training(
    task: str, model: str, setting: Setting, chosen: str, seeds: Sequence[int]
) -> tuple[list[np.ndarray], np.ndarray, float]:
    """(scores of the test events for each seed, their labels, total seconds)."""
    from hepbench.suite.training.loop import fit_network

    trial = _trial(replace(setting, device=chosen), task, model)
    _, prepared = _data(setting, task)
    rows, _ = split_events(trial.task.record, prepared, FEW if setting.dry else EVENTS)
    train, valid, test = samples_of(trial, prepared, rows).values()
    settings = {**trial.hyperparameters, **{k: v for k, v in SHORT.items() if k in trial.hyperparameters}}
    record: Model = trial.model.record
    settings |= {"batch_size": SHORT["batch_size"]} if record.build else {}
    classes = len(trial.task.record.classes)
    started, scores = time.perf_counter(), []
    for seed in seeds:
        shared: Mapping[str, Any] = {"classes": classes, "seed": seed, "device": chosen}
        if record.build:
            fitted: Any = fit_network(record.build, train, valid, settings, **shared, report=lambda epoch, values: None)
        else:
            assert record.fit is not None
            fitted = record.fit(train, valid, settings, **shared, report=lambda epoch, values: None)
        scores.append(fitted.predict(test))
    return scores, test.labels, time.perf_counter() - started


def _agreement(trial: Trial, on_gpu: Future[Any], on_cpu: Future[Any]) -> Line:
    subject = f"{trial.task.name}, {trial.model.name}"
    try:
        ((ours,), labels, seconds), ((same, other), _, _) = on_gpu.result(), on_cpu.result()
    except Exception as error:  # whatever a backend raises: the others are measured all the same
        where = "GPU" if on_gpu.exception() else "CPU"
        return Line(
            subject, {"why": f"{where}: {type(error).__name__}: {next(iter(str(error).splitlines()), '')}"}, False
        )
    difference, spread = float(np.abs(ours - same).mean()), float(np.abs(other - same).mean())
    signal = trial.task.record.signal
    of = METRICS["auc"].compute
    values: dict[str, float | str] = {
        "seconds with compiling": seconds,
        "mean difference of scores": difference,
        "of two seeds": spread,
        "AUC": of(labels, ours, signal)[0],
        "AUC on the CPU": of(labels, same, signal)[0],
    }
    return Line(subject, values, bool(np.isfinite(ours).all()) and difference <= max(spread, 1e-3))


def seeds(setting: Setting) -> Iterator[Line]:
    """Several seeds of small networks in one program."""
    for model in ("mlp",) if setting.dry else ("mlp", "mlp_resnet", "mlp_hepmass"):
        trial = _trial(setting, FIRST, model, batch_size=64)
        _, prepared = _data(setting, FIRST)
        rows, _ = split_events(trial.task.record, prepared, None)
        sample = samples_of(trial, prepared, rows)["train"]
        number, epochs = (2, 1) if setting.dry else (SEEDS, 20)
        found = seeds_at_once(trial, sample, number, epochs)
        values: dict[str, float | str] = {
            "seeds": float(number),
            "one, s": found.one,
            "all at once, s": found.all,
            "ratio": found.all / found.one,
            "difference of scores after an epoch": found.difference,
        }
        yield Line(model, values, found.difference < 1e-3)


def memory(setting: Setting) -> Iterator[Line]:
    """Batches that do not fit into memory are detected, reported and halved."""
    trial, sample = _clouds(setting, "pfn")  # which compiles fastest
    most = 32 if setting.dry else 2**19

    def fits(size: int) -> bool:
        rows = np.resize(sample.rows, size)
        whole = replace(sample, rows=rows, labels=np.resize(sample.labels, size))
        few = replace(sample, rows=rows[:64], labels=whole.labels[:64])
        return batch_size.fits(batch_size.with_size(trial, size), whole, few)

    size, too_large = batch_size.largest(fits, most)
    values: dict[str, float | str] = {
        "the largest batch that fits": float(size),
        "ran out of memory": ", ".join(f"{one:,}" for one in too_large) or "none",
    }
    yield Line(trial.model.name, values, None if setting.dry else bool(size and too_large))


LOGGED = {
    "events trained a second": "train_events_per_second",
    "use, %": "hardware_gpu_mean_percent",
    "memory, MiB": "hardware_gpu_memory_peak_mib",
    "training, J": "train_gpu_joule",
    "a million predictions, J": "million_gpu_joule",
    "AUC": "test_auc",
}


def logged(setting: Setting) -> Iterator[Line]:
    """A bench as a user runs it, with automatic batch size, and its record in MLflow."""
    events = FEW if setting.dry else 6_000
    models = ("mlp",) if setting.dry else ("cnn", "gbdt")
    settings = {"batch_size": batch_size.AUTO, "epochs": 1 if setting.dry else 8}
    asked = campaign.request(
        FIRST, models, settings=settings, budget="smoke", events=events, device=setting.device, backend=BACKEND
    )
    store = results.open_store()
    outcome = campaign.run(replace(asked, force=True), Place(1), store)
    runs = {run["tags"]["model"]: run for run in store.runs(FIRST, "FINISHED", {"stage": "final"})}
    for model in models:
        if model in {one.trial.model.name for one in outcome.trials if one.name in outcome.failures}:
            yield Line(model, {"why": next(iter(outcome.failures.values()))}, False)
            continue
        run = runs[model]
        values: dict[str, float | str] = {
            name: float(run["metrics"].get(metric, float("nan"))) for name, metric in LOGGED.items()
        }
        missing = [name for name in ("use, %", "memory, MiB", "training, J") if values[name] != values[name]]
        batch = run["parameters"].get("batch_size", "–")
        yield Line(model, {"batch": batch, **values}, None if setting.dry else not missing)


def batches(setting: Setting) -> Iterator[Line]:
    """Rates versus batch size."""
    for model in ("pfn",) if setting.dry else ("particlenet_lite", "pfn", "part_lite"):
        trial, sample = _clouds(setting, model)
        for size in (16,) if setting.dry else (64, 256, 1024, 4096, 16384):
            yield Line(
                f"{model}, {size:,}",
                _our_rates(batch_size.with_size(trial, size), sample, "float32", 0.02 if setting.dry else 0.7),
            )


def precision(setting: Setting) -> Iterator[Line]:
    """Effect of 16-bit precision on scores: one entry of each family, trained identically."""
    for model in ("mlp",) if setting.dry else ("mlp", "pfn", "particlenet_lite", "cnn", "gnn", "part_lite"):
        trial = _trial(setting, FIRST, model)
        _, prepared = _data(setting, FIRST)
        rows, _ = split_events(trial.task.record, prepared, None)
        train, valid, test = samples_of(trial, prepared, rows).values()
        scores = [_short_network(trial, train, valid, test, seed, kind) for seed, kind in PRECISIONS]
        difference, spread = (float(np.abs(scores[0] - one).mean()) for one in scores[1:])
        signal = trial.task.record.signal
        values: dict[str, float | str] = {
            "mean difference of scores": difference,
            "of two seeds": spread,
            "AUC": METRICS["auc"].compute(test.labels, scores[0], signal)[0],
            "AUC, bfloat16": METRICS["auc"].compute(test.labels, scores[1], signal)[0],
        }
        yield Line(model, values, difference <= max(spread, 1e-2))


PRECISIONS = ((0, "float32"), (0, "bfloat16"), (1, "float32"))


def _short_network(trial: Trial, train: Sample, valid: Sample, test: Sample, seed: int, precision: str) -> np.ndarray:
    from hepbench.suite.training.loop import fit_network

    build = trial.model.record.build
    assert build is not None
    settings = {**trial.hyperparameters, "epochs": 1, "batch_size": SHORT["batch_size"], "precision": precision}
    classes = len(trial.task.record.classes)
    options: dict[str, Any] = {"classes": classes, "seed": seed, "device": trial.spec.device}
    return fit_network(build, train, valid, settings, **options, report=lambda epoch, values: None).predict(test)


PARTS = {
    "machine": Part("The machine", 20, computer),
    "data": Part("Data", 40, data),
    "rates": Part("Rates, compared with weaver-core", 200, rates),
    "entries": Part("Every entry, compared with the CPU", 120, entries),
    "memory": Part("Batches that do not fit", 45, memory),
    "logged": Part("What is logged of a bench", 60, logged),
    "seeds": Part("Several seeds in one program", 25, seeds),
    "precision": Part("Scores in 16 bits", 40, precision),
    "batches": Part("Rates by batch size", 20, batches),
}
"""Name -> part, in the order of measurement."""
