"""Child processes, which never rerun the caller's main file, and their ports."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import Any, TypeVar

from hepbench.benchmarks.base import UserError

Result = TypeVar("Result")


@contextmanager
def without_main_file() -> Iterator[None]:
    """Processes started in the block do not import the caller's `__main__`, as Python's `spawn` would: they only run
    functions of modules. So a script needs no guard, and may come from standard input."""
    main = sys.modules["__main__"]
    hidden: dict[str, Any] = {name: vars(main).pop(name) for name in ("__file__", "__spec__") if name in vars(main)}
    main.__spec__ = None
    try:
        yield
    finally:
        vars(main).update(hidden)


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Threads and processes started in the block never receive a Ctrl-C, not even while Python starts in them: the
    caller handles it when the block ends."""
    resource_tracker.ensure_running()  # which lets interrupts through again when it starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """Handle SIGTERM like Ctrl-C: stop cleanly. Only the main thread of a process can set it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def end_with_parent() -> None:
    """Called in a `multiprocessing` process: exit when its parent has ended, even by SIGKILL."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def call_in_process(function: Callable[..., Result], *arguments: Any) -> Result:
    """The result of a module-level function, run in a new process with its own memory."""
    with without_main_file(), multiprocessing.get_context("spawn").Pool(1, end_with_parent) as pool:
        return pool.apply(function, arguments)


def refuse_taken_port(port: int) -> None:
    """UserError if another program of this machine listens on this loopback port, or it may not be used."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as error:
        raise UserError(f"port {port} cannot be used ({error.strerror}): give another with PORT= or --port") from None
