"""Shows how far running trials are: live lines on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from hepbench.suite.workers.jobs import Event


@contextmanager
def progress_bar(console: Console, what: str, total: int | None, unit: str):
    """Gives a function that advances the bar; shows nothing until it is first called."""
    columns = [
        TextColumn(f"{what} {{task.completed:,}} {unit}"),
        BarColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    ]
    bar = Progress(*columns, console=console)
    line = None

    def advance(done: int) -> None:
        nonlocal line
        if line is None:
            bar.start()
            line = bar.add_task(what, total=total)
        bar.advance(line, done)

    try:
        yield advance
    finally:
        if line is not None:
            if total is None:
                bar.update(line, total=bar.tasks[line].completed)
            bar.stop()


SHOWN = ("loss", "val_loss", "val_auc")

PAUSE = 5.0
"""Seconds between two lines of a trial where the console is no terminal, as trees report many times a second."""


class TrialProgress:
    """Lines of trials, by a key of the caller's. Use as a context manager. epochs: also print some where the console
    is no terminal; a study of many trials would drown in them."""

    def __init__(self, console: Console, epochs: bool = True):
        self.console = console
        self.epochs = epochs
        columns = [SpinnerColumn(), TextColumn("{task.fields[title]}"), BarColumn()]
        columns += [TextColumn("{task.description}"), TimeElapsedColumn()]
        self._bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._lines: dict[Any, Any] = {}
        self._spoken: dict[Any, float] = {}  # when each trial had its last line
        self._whole = None

    def __enter__(self) -> TrialProgress:
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def whole(self, title: str, text: str, done: int, total: int) -> None:
        """The line above the others."""
        if self._whole is None:
            self._whole = self._bar.add_task(text, total=total, title=title)
        self._bar.update(self._whole, description=text, completed=done, title=title)

    def show(self, key: Any, title: str, event: Event) -> None:
        """What an event says of a trial."""
        if event.kind in ("done", "stopped", "failed"):
            if key in self._lines:
                self._bar.remove_task(self._lines.pop(key))
            return
        if key not in self._lines:
            self._lines[key] = self._bar.add_task("starting", total=None, title=title)
            self._spoken[key] = time.monotonic()
        if event.kind == "stage":
            self._bar.update(self._lines[key], description=event.message["stage"])
        elif event.kind == "epoch":
            message = event.message
            parts = [f"{name} {message['metrics'][name]:.4f}" for name in SHOWN if name in message["metrics"]]
            of = f"/{message['epochs']}" if message["epochs"] else ""  # some families report once, at their end
            text = f"epoch {message['epoch']}{of} {' '.join(parts)}"
            self._bar.update(self._lines[key], description=text, total=message["epochs"], completed=message["epoch"])
            now = time.monotonic()
            if self.epochs and not self.console.is_terminal and now - self._spoken[key] > PAUSE:
                self._spoken[key] = now
                self.console.print(f"  {title}: {text}", highlight=False, soft_wrap=True)
