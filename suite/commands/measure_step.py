"""`hepbench measure step`: profile of a network's training step."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import date

from rich import box
from rich.table import Table
from rich.text import Text

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import UserError, check_known
from hepbench.suite import device
from hepbench.suite.commands.console import Console
from hepbench.suite.commands.measure_statistics import FORMS
from hepbench.suite.commands.opening import open_data
from hepbench.suite.data.files import choose
from hepbench.suite.profiling import models as profiling
from hepbench.suite.profiling.machine import copy_rate
from hepbench.suite.profiling.step import Kernel, StepProfile, profile_of
from hepbench.suite.trial.spec import Spec, Trial
from hepbench.tracking.hardware.machine import describe_machine
from hepbench.tracking.numbers import significant_digits
from hepbench.tracking.printable import markdown_table

EVENTS = 2_000
"""Events of the task, which are repeated to a length that can be timed."""

SHOWN = 12
"""Rows of each table; one more row sums the remaining ones."""

HEADINGS = ("calls", "ms", "fraction of kernel time", "MiB", "fraction of copy rate")


def measure_step(
    task_given: str, models: Sequence[str], seconds: float, form: str, wanted_device: str, console: Console
) -> None:
    """Print the profile of each model's step: in total, by kind of kernel and pass, and by layer and pass."""
    check_known("format", form, FORMS)
    chosen, _ = device.resolve(wanted_device, "tensorflow")
    device.load_keras(chosen, "tensorflow")
    task = registry.find("task", task_given)
    trials = []
    for entry in registry.find_models(models):
        trial = Trial(Spec(task.given, entry.given, 0, "full", "simulated", chosen, "tensorflow"), task, entry)
        if trial.refusal:
            raise UserError(f"{entry.name} on {task.name}: {trial.refusal}")
        if not entry.record.in_keras:
            raise UserError(f"{entry.name} is not a Keras network: it has no training steps")
        trials.append(trial)
    matrix, copied = profiling.matrix_rate(), copy_rate(min(seconds, 2.0))
    _, prepared = open_data(task, choose(task, "simulated" if task.record.simulation else "auto"), EVENTS, console)
    machine = describe_machine()
    processor = machine["gpus"][0]["name"] if chosen == "gpu" else f"{machine['cpu']}, {machine['cores_usable']} cores"
    with profiling.flop_counter() as count_flops:
        for trial in trials:
            with console.status(Text(f"{task.name}: {trial.model.name}")):
                sample = profiling.sample_of(
                    task, prepared, trial.model.record.view, trial.hyperparameters, min(1.0, seconds)
                )
                found = profile_of(trial, sample, seconds, count_flops)
            title = f"{trial.model.name} on {task.name}: {processor}, {date.today()}"
            _print(found, title, matrix, copied, form, console)


def _print(found: StepProfile, title: str, matrix: float, copied: float, form: str, console: Console) -> None:
    events = found.batch_size / found.seconds
    duration = significant_digits(1e3 * found.seconds)
    told = f"a step of {found.batch_size} events takes {duration} ms, {events:,.0f} events/s: "
    if found.flops is None:
        told += "fraction of the matrix multiplication rate not measured, as counting FLOPs requires JAX"
    else:
        share = found.flops / found.seconds / matrix
        told += f"{significant_digits(100 * share, 2)} % of {matrix / 1e9:,.0f} GFLOP/s in matrix multiplication"
    told += f"; memory copy {significant_digits(copied / 1e9)} GB/s; kernels from {found.steps} profiled steps"
    tables = [
        (["kernel", "pass"], _rows(found.kernels, lambda one: (one.kind, one.stage), copied)),
        (["layer", "pass"], _rows(found.kernels, lambda one: (one.layer or "–", one.stage), copied)),
    ]
    if form == "markdown":
        lines = [f"**{title}**", "", f"{told[0].upper()}{told[1:]}.", ""]
        for names, rows in tables:
            rule = [":---"] * 2 + ["---:"] * len(HEADINGS)
            lines += [*markdown_table([[*names, *HEADINGS], rule, *rows]), ""]
        sys.stdout.write("\n".join(lines))
        return
    console.print(Text(title, style="bold"))
    console.print(told, soft_wrap=True, highlight=False)
    for names, rows in tables:
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
        for name in names:
            table.add_column(name)
        for name in ("calls", "ms", "fraction", "MiB", "of copy rate"):
            table.add_column(name, justify="right", no_wrap=True)
        for row in rows:
            table.add_row(*map(Text, row))
        console.print(table)
    console.print(
        "ms: time in the threads that start a kernel, of which several may run in parallel, without the threads that "
        "help it and including the profiler's overhead; kernels of a few microseconds are not traced. MiB: memory "
        "allocated by the kernels; kernels that work in place allocate none.",
        soft_wrap=True,
    )


def _rows(kernels: Iterable[Kernel], key: Callable[[Kernel], tuple[str, str]], copied: float) -> list[list[str]]:
    sums: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    for one in kernels:
        for place, value in enumerate((one.calls, one.seconds, one.bytes)):
            sums[key(one)][place] += value
    ordered = sorted(sums.items(), key=lambda item: -item[1][1])
    total = sum(values[1] for values in sums.values())
    if left := [values for _, values in ordered[SHOWN:]]:
        ordered = [*ordered[:SHOWN], ((f"{len(left)} more", ""), [sum(some) for some in zip(*left, strict=True)])]
    return [
        [
            *names,
            significant_digits(calls),
            significant_digits(1e3 * seconds),
            f"{100 * seconds / total:.1f} %",
            significant_digits(size / 2**20),
            f"{significant_digits(100 * size / seconds / copied, 2)} %" if seconds and size else "–",
        ]
        for names, (calls, seconds, size) in ordered
    ]
