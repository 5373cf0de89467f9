"""`hepbench measure step`: where the time of a network's training step goes."""

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
from hepbench.tracking.printable import markdown_table

EVENTS = 2_000
"""Of the task, which are repeated to a length that can be timed."""

SHOWN = 12
"""Rows of each table; the last sums up what is left."""

HEADINGS = ("calls", "ms", "share of the kernels' time", "MiB", "share of the copy rate")


def measure_step(
    task_given: str, models: Sequence[str], seconds: float, form: str, wanted_device: str, console: Console
) -> None:
    """Print for each model its step: the whole, by kind of kernel and pass, and by layer."""
    check_known("format", form, FORMS)
    chosen, _ = device.resolve(wanted_device, "tensorflow")
    device.load_keras(chosen, "tensorflow")
    task = registry.find("task", task_given)
    trials = []
    for entry in [registry.find("model", given) for given in models]:
        trial = Trial(Spec(task.given, entry.given, 0, "full", "simulated", chosen, "tensorflow"), task, entry)
        if trial.refusal:
            raise UserError(f"{entry.name} on {task.name}: {trial.refusal}")
        if not entry.record.in_keras:
            raise UserError(f"{entry.name} is no Keras network: it has no steps")
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
    told = f"a step of {found.batch_size} events takes {1e3 * found.seconds:.3g} ms, {events:,.0f} events/s: "
    if found.flops is None:
        told += "share of the rate of matrix products not measured, which needs JAX to count"
    else:
        share = found.flops / found.seconds / matrix
        told += f"{100 * share:.2g} % of {matrix / 1e9:,.0f} GFLOP/s in matrix products"
    told += f"; copies in memory {copied / 1e9:.3g} GB/s; kernels over {found.steps} profiled steps"
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
        for name in ("calls", "ms", "share", "MiB", "of copy rate"):
            table.add_column(name, justify="right", no_wrap=True)
        for row in rows:
            table.add_row(*map(Text, row))
        console.print(table)
    console.print(
        "ms: of the threads that begin a kernel, of which several may run at once, not of those that help it, with the "
        "profiler's own cost; kernels of a few microseconds are not traced. MiB: memory that the kernels ask for; "
        "some write over what they take in, and ask for none.",
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
            f"{calls:.3g}",
            f"{1e3 * seconds:.3g}",
            f"{100 * seconds / total:.1f} %",
            f"{size / 2**20:.3g}",
            f"{100 * size / seconds / copied:.2g} %" if seconds and size else "–",
        ]
        for names, (calls, seconds, size) in ordered
    ]
