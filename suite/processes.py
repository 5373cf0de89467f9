"""Processes of our own, which never run the caller's main file again, and the ports that they take."""

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
    """Processes that are started meanwhile do not import what the caller's `__main__` is made of, as Python's `spawn`
    would have it: what they run stands in modules. So a script needs no guard, and standard input will do as well."""
    main = sys.modules["__main__"]
    hidden: dict[str, Any] = {name: vars(main).pop(name) for name in ("__file__", "__spec__") if name in vars(main)}
    main.__spec__ = None
    try:
        yield
    finally:
        vars(main).update(hidden)


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Threads and processes that are started meanwhile never see a Ctrl-C, not even while Python starts in them: it is
    the caller's to answer, when the block ends."""
    resource_tracker.ensure_running()  # which lets interrupts through again when it starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """SIGTERM is answered as a Ctrl-C is: what is begun ends, and is closed. Only a process' main thread may set it."""
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
    """Called in a process of `multiprocessing`: end when the one that started it has ended, even by SIGKILL."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def call_in_process(function: Callable[..., Result], *arguments: Any) -> Result:
    """What a function of a module returns in a process that is made for it and has a memory of its own."""
    with without_main_file(), multiprocessing.get_context("spawn").Pool(1, end_with_parent) as pool:
        return pool.apply(function, arguments)


def refuse_taken_port(port: int) -> None:
    """UserError where another program of this machine listens on this port of loopback, or it may not be used."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as error:
        raise UserError(f"port {port} cannot be used ({error.strerror}): give another one, PORT= or --port") from None
