"""`hepbench measure`: rates of data and of models on this machine, and trainable parameters of networks."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

import click
from rich.table import Table
from rich.text import Text

from hepbench.benchmarks import registry
from hepbench.suite import device
from hepbench.suite.commands.console import Console
from hepbench.suite.commands.opening import open_data
from hepbench.suite.data.files import choose
from hepbench.suite.data.simulate import cores
from hepbench.suite.progress import progress_bar
from hepbench.tracking.hardware.machine import describe_machine
from hepbench.tracking.numbers import significant_digits

if TYPE_CHECKING:
    from hepbench.suite.profiling.models import ComparedRates, ModelRates


def measure_data(tasks: Sequence[str], simulated: int, read: int, console: Console) -> None:
    """Print a table: events simulated per second, then for a file of `read` events its size, the rate of preparing it,
    the peak memory, the time to open it, and the rate of the task's plain reader if it has one."""
    from hepbench.suite.profiling.data import data_rates

    jobs = cores()
    machine = describe_machine()
    table = Table(
        "task",
        title=f"{machine['cpu']}, {machine['cores_usable']} cores, Python {sys.version.split()[0]}",
        title_justify="left",
    )
    for heading in (
        f"simulated /s\n{jobs} processes",
        "events\nread",
        "file\nMB",
        "prepared\n/s",
        "peak\nMiB",
        "opened\nms",
        "plain reader\n/s",
    ):
        table.add_column(heading, justify="right")
    for task in [registry.find("task", given) for given in tasks or registry.names("task")]:
        if not task.record.simulation:
            console.print(f"{task.name}: genuine data only, not simulated and not measured")
            continue
        with progress_bar(console, f"{task.name}: simulating", simulated, "events") as advance:
            rates = data_rates(task, simulated, read, jobs, advance)
        table.add_row(
            task.name,
            f"{rates.simulated:,.0f}",
            f"{rates.read:,}",
            f"{rates.size / 1e6:,.0f}",
            f"{rates.prepared:,.0f}",
            f"{rates.peak:,.0f}",
            f"{1e3 * rates.opened:.0f}",
            "–" if rates.plain is None else f"{rates.plain:,.0f}",
        )
    console.print(table)
    console.print(
        "Prepared: read from the official format, checked and written as arrays. Opened: memory-mapped again."
    )


def measure_models(
    tasks: Sequence[str],
    models: Sequence[str],
    *,
    events: int,
    seconds: float,
    against: str | None,
    modes: Sequence[str],
    wanted_device: str,
    backend: str,
    console: Console,
) -> None:
    """Print one table per task. Each rate is measured for about `seconds`. against: one of `profiling.models.AGAINST`,
    interleaved with ours. modes: of that program; none: all."""
    from hepbench.suite.profiling import models as profiling

    profiling.check_against(against, modes)
    chosen, _ = device.resolve(wanted_device, backend)
    device.load_keras(chosen, backend)
    found = [registry.find("task", given) for given in tasks]
    entries = registry.find_models(models or registry.names("model"))
    matrix_rate = profiling.matrix_rate()
    machine = describe_machine()
    processor = machine["gpus"][0]["name"] if chosen == "gpu" else f"{machine['cpu']}, {machine['cores_usable']} cores"
    where = f"{processor}, {backend}, {date.today()}, {matrix_rate / 1e9:,.0f} GFLOP/s in matrix multiplication"
    with profiling.flop_counter() as count_flops:
        for task in found:
            kind = choose(task, "simulated" if task.record.simulation else "auto")
            _, prepared = open_data(task, kind, events, console)
            table = _table(f"{task.name}: {where}", against)
            missing: list[str] = []
            samples = {}  # by view and scaling, each read once
            for trial in profiling.measurable(task, entries, chosen, backend, against):
                view = trial.model.record.view
                key = view, trial.hyperparameters.get("scaling")
                if key not in samples:
                    samples[key] = profiling.sample_of(task, prepared, view, trial.hyperparameters, seconds)
                with console.status(Text(f"{task.name}: {trial.model.name}")):
                    if against:
                        compared = profiling.rates_against(against, trial, samples[key], seconds, modes)
                        for one in compared:
                            table.add_row(*_compared_cells(one, one is compared[0]))
                        missing += [
                            f"{', '.join(filter(None, (one.model, one.mode)))}: {one.missing}"
                            for one in compared
                            if one.missing
                        ]
                    else:
                        rates = profiling.rates_alone(trial, samples[key], seconds, matrix_rate, count_flops)
                        table.add_row(*_cells(rates))
            console.print(table)
            for line in missing:
                console.print(Text(f"not measured: {line}"), soft_wrap=True)
    told = "Training and prediction in events per second; the machine should be otherwise idle."
    if not against:
        told += f" Medians of {profiling.REPEATS} repeats, ± half of the central 68 % range."
    console.print(told)


def _table(title: str, against: str | None) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("model", no_wrap=True)
    headings = ["trainable\nparameters", "FLOPs per\nprediction", "training\n/s", "prediction\n/s"]
    headings.append("training: fraction of\nmatrix rate")
    if against:
        headings = ["batch", "training\n/s", f"{against}:\ntraining /s", "ratio", "prediction\n/s", f"{against}:\n/s"]
        headings += ["mode"] if against == "weaver" else []
    for heading in headings:
        table.add_column(heading, justify="right")
    return table


def _cells(rates: ModelRates) -> list[str]:
    missing = "–" if rates.whole else "not measured"
    return [
        rates.model,
        f"{rates.parameters:,}",
        missing if rates.flops is None else f"{significant_digits(rates.flops / 1e6)} M",
        f"{'whole ' * rates.whole}{_with_spread(rates.training, rates.training_spread)}",
        _with_spread(rates.prediction, rates.prediction_spread),
        missing if rates.matrix_share is None else f"{significant_digits(100 * rates.matrix_share, 2)} %",
    ]


def _with_spread(rate: float, spread: float | None) -> str:
    return f"{rate:,.0f}" if spread is None else f"{rate:,.0f} ± {spread:,.0f}"


def _compared_cells(rates: ComparedRates, fastest: bool) -> list[str]:
    """Cells of a row: the fastest mode of the other program is next to the model, its other modes are below."""
    numbers = [rates.training, rates.their_training, rates.ratio, rates.prediction, rates.their_prediction]
    forms = [",.0f", ",.0f", ".2f", ",.0f", ",.0f"]
    cells = ["–" if rates.missing else format(number, form) for number, form in zip(numbers, forms, strict=True)]
    name = rates.model if fastest else f"  {rates.model}, slower"
    return [name, str(rates.batch_size), *cells, *([rates.mode] if rates.mode else [])]


def print_parameters() -> None:
    """Write the content of `benchmarks/parameters.csv` to standard output."""
    from hepbench.suite.profiling.models import parameters_by_task

    tasks = registry.names("task")
    with progress_bar(Console(stderr=True), "building", None, "networks") as advance:
        counts = parameters_by_task(advance)
    click.echo(",".join(["model", *tasks]))
    for name in sorted(counts):
        click.echo(",".join([name, *(str(counts[name].get(task, "")) for task in tasks)]))
