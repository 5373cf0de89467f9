"""`hepbench measure start`: the start-up time of a worker up to its first training step."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from rich import box
from rich.table import Table
from rich.text import Text

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import UserError
from hepbench.suite import device
from hepbench.suite.commands.console import Console
from hepbench.suite.commands.opening import open_data
from hepbench.suite.data.files import choose
from hepbench.suite.profiling.start_up import start_ups
from hepbench.suite.trial.spec import Spec, Trial
from hepbench.tracking.hardware.machine import describe_machine


def measure_start(
    task_given: str, models: Sequence[str], events: int, wanted: str, backend: str, console: Console
) -> None:
    """Print one row per network; on JAX a second one, of a process with a warm compilation cache. UserError for a model
    that is incompatible with the task or no Keras network."""
    chosen, _ = device.resolve(wanted, backend)
    task = registry.find("task", task_given)
    kind = choose(task, "simulated" if task.record.simulation else "auto")
    entries = registry.find_models(models)
    trials = [Trial(Spec(task.given, one.given, 0, "full", kind, chosen, backend), task, one) for one in entries]
    for trial in trials:
        if trial.refusal or not trial.model.record.in_keras:
            raise UserError(f"{trial.model.name}: {trial.refusal or 'not a Keras network, so nothing is compiled'}")
    open_data(task, kind, events, console)
    machine = describe_machine()
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("model")
    for heading in ("imports\ns", "data\ns", "first steps\ns", "total\ns"):
        table.add_column(heading, justify="right")
    for trial in trials:
        with console.status(Text(f"{task.name}: {trial.model.name}")):
            for one in start_ups(trial, events):
                name = f"{one.model}{', again' * one.kept}"
                table.add_row(name, *(f"{x:.1f}" for x in (one.imports, one.data, one.compiling, one.whole)))
    where = machine["gpus"][0]["name"] if chosen == "gpu" else f"{machine['cpu']}, {machine['cores_usable']} cores"
    console.print(Text(f"{task.name}: {where}, {backend}, {date.today()}"))
    console.print(table)
    if backend == "jax":
        console.print("again: a second process, with the compilation cache of the first.")
    console.print("The machine should be otherwise idle.")
