"""Shows progress: live lines on a terminal, occasional lines elsewhere.

The computing code calls a listener and knows nothing of the console; the listeners in this module print.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Hashable, Iterator
from dataclasses import replace

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from hepbench.suite.batch_size import BatchSizeFound, BatchSizeSought
from hepbench.suite.campaign import BenchEvent, Planned, TrialEvent
from hepbench.suite.data.opening import DataDamaged, DataEvent, DataProgress, SimulationStarted
from hepbench.suite.forecast import in_words
from hepbench.suite.reproduce import ExperimentFailed, ExperimentStarted, ModesStarted, ReproduceEvent
from hepbench.suite.workers.jobs import Event


@contextlib.contextmanager
def progress_bar(console: Console, what: str, total: int | None, unit: str) -> Iterator[Callable[[int], None]]:
    """Yields a function that advances the bar; shows nothing until it is first called."""
    columns = [
        TextColumn("{task.description} {task.completed:,} {task.fields[unit]}", markup=False),
        BarColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    ]
    bar = Progress(*columns, console=console)
    line: TaskID | None = None

    def advance(done: int) -> None:
        nonlocal line
        if line is None:
            bar.start()
            line = bar.add_task(what, total=total, unit=unit)
        bar.advance(line, done)

    try:
        yield advance
    finally:
        if line is not None:
            if total is None:
                bar.update(line, total=bar.tasks[line].completed)
            bar.stop()


class DataLines:
    """Shows the opening of data; is its listener, within a `with` block."""

    def __init__(self, console: Console):
        self.console = console
        self._doing = ""
        self._bar = contextlib.ExitStack()
        self._advance: Callable[[int], None] = lambda done: None

    def __enter__(self) -> DataLines:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop()

    def _stop(self) -> None:
        self._doing = ""
        self._bar.close()

    def __call__(self, event: DataEvent) -> None:
        if isinstance(event, DataProgress):
            if event.doing != self._doing:
                self._stop()
                self._doing = event.doing
                self._advance = self._bar.enter_context(progress_bar(self.console, event.doing, event.total, "events"))
            self._advance(event.events)
            return
        self._stop()
        if isinstance(event, SimulationStarted):
            task = event.task
            published = any(source.url for source in task.record.sources)
            fetch = f" (to download: make data TASK={task.dataset})" if published else " (none is published)"
            lack = f"no official data of {task.name} found{fetch}. " if task.record.sources else f"{task.name}: "
            self.console.print(f"{lack}Simulating:")
        elif isinstance(event, DataDamaged):
            text = f"{event.path}: corrupted or without a checksum, regenerating"
            self.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            files = event.files
            names = ", ".join(path.name for path in files.paths)
            self.console.print(f"data: {files.kind}, {event.events:,} events, {names}, digest {files.digest[:12]}")


SHOWN = ("loss", "val_loss", "val_auc")

PAUSE = 60.0
"""Seconds until the first line of a trial if the console is not a terminal."""

GROWTH = 1.5
"""Factor by which the time of a trial grows from one such line to the next; a day of training prints twenty."""


class Described(ProgressColumn):
    """The description of a line, followed by what its field `left` returns each time it is drawn."""

    def render(self, task: Task) -> Text:
        left = task.fields.get("left", str)()
        return Text(f"{task.description} · {left}" if left else task.description)


class TrialProgress:
    """Lines of trials, by a key chosen by the caller. Use as a context manager. epochs: also print some epochs if the
    console is not a terminal; too many lines for a study of many trials."""

    def __init__(self, console: Console, epochs: bool = True):
        self.console = console
        self.epochs = epochs
        columns: list[ProgressColumn] = [SpinnerColumn(), TextColumn("{task.fields[title]}", markup=False), BarColumn()]
        columns += [Described(), TimeElapsedColumn()]
        self._bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._lines: dict[Hashable, TaskID] = {}
        self._begun: dict[Hashable, float] = {}
        self._next: dict[Hashable, float] = {}  # time of a trial, s, after which its next line is printed
        self._summary: TaskID | None = None

    def __enter__(self) -> TrialProgress:
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def whole(self, title: str, text: str, done: int, total: int, left: Callable[[], str] = str) -> None:
        """Update the summary line above the others. left: returns the end of the line each time it is drawn."""
        self._bar.start()
        if self._summary is None:
            self._summary = self._bar.add_task(text, total=total, title=title, left=left)
        self._bar.update(self._summary, description=text, completed=done, title=title)

    def show(self, key: Hashable, title: str, event: Event) -> None:
        """Show an event of a trial."""
        self._bar.start()
        if event.kind in ("done", "stopped", "failed"):
            if key in self._lines:
                self._bar.remove_task(self._lines.pop(key))
            return
        if key not in self._lines:
            self._lines[key] = self._bar.add_task("starting", total=None, title=title)
            self._begun[key] = time.monotonic()
            self._next[key] = PAUSE
        if event.kind == "stage":
            self._bar.update(self._lines[key], description=event.message["stage"])
        elif event.kind == "epoch":
            message = event.message
            parts = [f"{name} {message['metrics'][name]:.4f}" for name in SHOWN if name in message["metrics"]]
            of = f"/{message['epochs']}" if message["epochs"] else ""  # some families report only once, at the end
            text = f"epoch {message['epoch']}{of} {' '.join(parts)}"
            self._bar.update(self._lines[key], description=text, total=message["epochs"], completed=message["epoch"])
            seconds = time.monotonic() - self._begun[key]
            if self.epochs and not self.console.is_terminal and seconds > self._next[key]:
                self._next[key] = GROWTH * seconds
                self.console.print(f"  {title}: {text}, {in_words(seconds)}", highlight=False, soft_wrap=True)


class Remaining:
    """Remaining time of running trials, from a forecast: the time of a finished trial is used for other trials of the
    same model whose time was unknown."""

    def __init__(self, planned: Planned):
        self.forecast = planned.forecast
        self.models = {one.name: one.label or one.trial.model.name for one in planned.trials if one.state == "run"}
        self.begun: dict[str, float] = {}
        self.ended: set[str] = set()

    def begins(self) -> str:
        """The expected time, and what it is estimated from; "" without a forecast."""
        if self.forecast is None or not self.models:
            return ""
        models = list(dict.fromkeys(self.models[name] for name in self.forecast.unknown))
        runs = f"{self.forecast.earlier} earlier run{'s' * (self.forecast.earlier > 1)} on this machine"
        if len(self.forecast.unknown) == len(self.models):
            return "estimated time: unknown, no earlier runs of these models on this machine"
        if self.forecast.scaled:
            runs += ", scaled by events and epochs for runs of another budget"
        told = f"about {in_words(self.forecast.left({}, ()))}, from {runs}"
        return f"estimated time: {told}" + (f"; {', '.join(models)}: unknown, no earlier runs" if models else "")

    def follow(self, name: str, kind: str) -> None:
        """Take note of an event of a trial. kind: of the event."""
        now = time.monotonic()
        self.begun.setdefault(name, now)
        if kind not in ("done", "failed", "stopped") or name in self.ended:
            return
        self.ended.add(name)
        if kind == "done" and self.forecast is not None:
            seconds = dict(self.forecast.seconds)
            for other in self.forecast.unknown:
                if self.models[other] == self.models.get(name):
                    seconds[other] = now - self.begun[name]
            self.forecast = replace(self.forecast, seconds=seconds)

    def left(self) -> str:
        """The remaining time; "" if it is unknown or nothing is left to run."""
        if self.forecast is None or len(self.ended) == len(self.models):
            return ""
        now = time.monotonic()
        running = {name: now - begun for name, begun in self.begun.items()}
        seconds = self.forecast.left(running, self.ended)
        models = list(dict.fromkeys(self.models[name] for name in self.forecast.unknown if name not in self.ended))
        if not seconds:
            return ""
        return f"about {in_words(seconds)} left" + (f" and {', '.join(models)}" if models else "")


class BenchLines:
    """Shows a bench, from its data to its last trial; is its listener, within a `with` block."""

    def __init__(self, console: Console):
        self.console = console
        self._data = DataLines(console)
        self._trials = TrialProgress(console)
        self._remaining: Remaining | None = None

    def __enter__(self) -> BenchLines:
        return self

    def __exit__(self, *exception: object) -> None:
        self._data.__exit__()
        self._trials.__exit__()

    def __call__(self, event: BenchEvent) -> None:
        if isinstance(event, Planned):
            self._planned(event)
        elif isinstance(event, BatchSizeSought):
            text = f"{event.model}: searching for the largest batch that fits in memory, at most {event.most:,} events"
            self.console.print(text, soft_wrap=True)
        elif isinstance(event, BatchSizeFound):
            told = ", ".join(f"{size:,}" for size in event.too_large)
            why = f"; out of memory with {told}" if told else ""
            self.console.print(f"{event.model}: batch size {event.size:,}{why}", soft_wrap=True)
        elif isinstance(event, TrialEvent):
            self._trial(event)
        else:
            self._data(event)

    def _planned(self, plan: Planned) -> None:
        reused = sum(one.state == "done" for one in plan.trials)
        if reused:
            self.console.print(
                f"{reused} of {len(plan.trials)} results already exist and are reused; --force reruns them"
            )
        for name, reason in {one.trial.model.name: one.reason for one in plan.trials if one.state == "skip"}.items():
            self.console.print(Text.assemble(("skipped", "yellow"), f" {name}: {reason}"))
        self._remaining = Remaining(plan)
        if line := self._remaining.begins():
            self.console.print(line, highlight=False, soft_wrap=True)

    def _trial(self, told: TrialEvent) -> None:
        event, result = told.event, told.event.message
        title = f"{told.number}/{told.total} {told.planned.name}"
        if event.kind == "elsewhere":
            text = f" for {title}, which {result['holder']} is already running"
            self.console.print(Text.assemble(("waiting", "yellow"), text), soft_wrap=True)
            return
        left = self._left(told)
        self._trials.show(title, title, event)
        if event.kind == "done":
            text = (
                f" {title}: AUC {result['test_auc']:.4f} ± {result['test_auc_error']:.4f}, "
                f"accuracy {result['test_accuracy']:.4f}, trained in {result['train_seconds']:.1f} s{left}"
            )
            self.console.print(Text.assemble(("done", "green"), text), soft_wrap=True)
        elif event.kind == "failed":
            self.console.print(Text.assemble(("failed", "red"), f" {title}: {result['error']}"), soft_wrap=True)

    def _left(self, told: TrialEvent) -> str:
        """The remaining time, for the line of a finished trial; on a terminal it is shown above the running ones."""
        if self._remaining is None:
            return ""
        self._remaining.follow(told.planned.name, told.event.kind)
        left = self._remaining.left()
        ended = len(self._remaining.ended)
        if self._remaining.forecast is not None:
            self._trials.whole("all", f"{ended} of {told.total} done", ended, told.total, self._remaining.left)
        return f" · {left}" if left and not self.console.is_terminal else ""


class ReproduceLines(BenchLines):
    """Shows the reproduction of a study, experiment by experiment; is its listener, within a `with` block."""

    def __call__(self, event: BenchEvent | ReproduceEvent) -> None:
        if isinstance(event, ExperimentStarted):
            experiment = event.setup.experiment
            name = f"{event.number}/{event.total} {experiment.name}"
            self.console.print(Text.assemble((name, "bold"), f": {experiment.title}"), soft_wrap=True)
        elif isinstance(event, ExperimentFailed):
            self.console.print(Text.assemble(("failed", "red"), f": {event.reason}"), soft_wrap=True)
        elif isinstance(event, ModesStarted):
            self.console.print(f"evaluating the network of {event.trial} in each of its modes")
        else:
            super().__call__(event)
