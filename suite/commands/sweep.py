"""`hepbench sweep`: the cost of each batch size, and which one reaches the target AUC fastest."""

from __future__ import annotations

from rich import box
from rich.table import Table
from rich.text import Text

from hepbench.suite import sweep as sweep_module
from hepbench.suite.commands.console import Console
from hepbench.suite.data.files import events_to_simulate
from hepbench.suite.progress import DataLines, TrialProgress
from hepbench.suite.sweep import MachineBusy, Plan, SweepEvent, SweepRequest, TrainingEvent
from hepbench.tracking.sweep import page, record, table

WIDE = 125
"""Width of the whole table in characters."""


def sweep(asked: SweepRequest, *, dry: bool, console: Console) -> int:
    """Measure what has not been measured and print the results. Returns the number of failed training runs.

    dry: only print what would run.
    """
    names = (asked.model.name, "bold"), " on ", (asked.task.name, "bold")
    console.print(Text.assemble(*names, f": {asked.model.record.title}"))
    devices = ", ".join(f"{record.DEVICES[device]} ({why})" for device, why in asked.devices.items())
    backend = asked.model.record.backend(asked.backend)
    console.print(f"budget {asked.budget} · {len(asked.epochs)} batch sizes · {backend} on {devices}")
    for device, reason in asked.not_measured.items():
        console.print(Text.assemble(("not measured", "yellow"), f" {record.DEVICES[device]}: {reason}"), soft_wrap=True)
    with SweepLines(console) as listener:
        if dry:
            if missing := events_to_simulate(asked):
                console.print(f"data: {missing:,} events would be simulated first")
            _print_plan(sweep_module.plan(asked, listener), console)
            return 0
        outcome = sweep_module.run(asked, listener=listener)
    measured = outcome.sweep
    narrow = console.width < WIDE
    _print_table(measured, narrow, console)
    for line in table.legend(measured, narrow):
        console.print(Text(line, style="dim"))
    for line in page.notes(measured):
        console.print(Text(line, style="yellow"))
    for line in record.verdicts(measured):
        console.print(Text(line, style="bold"))
    console.print(f"table: {outcome.csv}", soft_wrap=True)
    console.print(f"page: {outcome.page}", soft_wrap=True)
    return len(outcome.failures)


class SweepLines:
    """Shows a sweep, from its data to its last training run; is its listener, within a `with` block."""

    def __init__(self, console: Console):
        self.console = console
        self._data = DataLines(console)
        self._trainings = TrialProgress(console)

    def __enter__(self) -> SweepLines:
        return self

    def __exit__(self, *exception: object) -> None:
        self._data.__exit__()
        self._trainings.__exit__()

    def __call__(self, event: SweepEvent) -> None:
        match event:
            case Plan():
                self._planned(event)
            case MachineBusy():
                text = f": other processes use {event.percent:.0f} % of its cores; times will be too long"
                self.console.print(Text.assemble(("the machine is busy", "yellow"), text), soft_wrap=True)
            case TrainingEvent():
                self._training(event)
            case _:
                self._data(event)

    def _planned(self, plan: Plan) -> None:
        done = sum(one.state == "done" for one in plan.trainings)
        if done:
            self.console.print(
                f"{done} of {len(plan.trainings)} results already exist and are reused; --force reruns them"
            )
        if plan.left_out:
            sizes = record.listed(plan.left_out)
            text = f" {sizes}: the training set has {plan.train_events:,} events"
            self.console.print(Text.assemble(("left out", "yellow"), text))

    def _training(self, told: TrainingEvent) -> None:
        event, result = told.event, told.event.message
        title = f"{told.number}/{told.total} {told.planned.name}"
        self._trainings.show(title, title, event)
        if event.kind == "done":
            text = (
                f" {title}: trained in {result['train_seconds']:.1f} s, final validation AUC "
                f"{result['final_val_auc']:.4f}"
            )
            self.console.print(Text.assemble(("done", "green"), text), soft_wrap=True)
        elif event.kind == "failed":
            self.console.print(Text.assemble(("failed", "red"), f" {title}: {result['error']}"), soft_wrap=True)


def _print_plan(plan: Plan, console: Console) -> None:
    printed = Table("device", "batch size", "epochs", "seed", "")
    words = {"run": Text("to run"), "done": Text("already done", "green")}
    words["unknown"] = Text("to run, if the training set is large enough")
    for one in plan.trainings:
        epochs = str(one.trial.hyperparameters.get("epochs", ""))
        size = f"{one.batch_size:,}"
        printed.add_row(record.DEVICES[one.device], size, epochs, str(one.trial.spec.seed), words[one.state])
    for large in plan.left_out:
        why = Text.assemble(("left out", "yellow"), f": {plan.train_events:,} training events")
        printed.add_row("all", f"{large:,}", "", "", why)
    console.print(printed)


def _print_table(measured: record.Sweep, narrow: bool, console: Console) -> None:
    printed = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True, header_style="bold")
    for number, heading in enumerate(table.headings(measured, narrow)):
        printed.add_column("\n".join(heading.rsplit(" ", 1)), justify="right" if number else "left", no_wrap=True)
    for row in table.rows(measured, narrow):
        printed.add_row(*row)
    console.print(printed)
