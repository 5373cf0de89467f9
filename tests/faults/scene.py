"""A folder in which one fault is tried, and the program running in it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from faults import warm

PROGRAM = Path(sys.executable).with_name("hepbench")
LIMIT = 180.0
"""Seconds after which a call hangs."""
ORPHANED = 20.0
"""Seconds that a process may outlive the call that started it."""


@dataclass
class Call:
    """A call of the program that has ended. status: None where it hung."""

    arguments: tuple[str, ...]
    status: int | None
    printed: str

    @property
    def last_line(self) -> str:
        return (self.printed.strip().splitlines() or ["nothing printed"])[-1]


@dataclass
class Scene:
    """folder: of this scene. part: of the time after which it is struck. variables: of the environment, besides
    HEPBENCH_HOME. store: SQLite file of the runs, None for that of the home. results: final results that there must be
    in the end. trials: that its study must have. states: of these, None where the home has the database of studies.
    orphans: what outlived a call. complaints: of what this kind of fault alone can tell. name: of the home. program:
    what is called in processes of its own."""

    folder: Path
    part: float = 1.0
    variables: dict[str, str] = field(default_factory=dict)
    store: Path | None = None
    results: int = 0
    trials: int = 0
    states: list[str] | None = None
    calls: list[Call] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    name: str = "home"
    program: tuple[str, ...] = (str(PROGRAM),)

    @property
    def home(self) -> Path:
        return self.folder / self.name

    def start(self, *arguments: object, before: Sequence[str] = ()) -> Running:
        return Running(self, tuple(map(str, arguments)), before)

    def call(self, *arguments: object, before: Sequence[str] = (), limit: float = LIMIT) -> Call:
        """From its start to its end and that of its processes."""
        call = self.start(*arguments, before=before).end(limit)
        self.settle()
        return call

    def call_warm(
        self, *arguments: object, in_thread: bool = False, memory: int | None = None, limit: float = LIMIT
    ) -> Call:
        """As `call`, by `warm.start`."""
        texts = tuple(map(str, arguments))
        path = self._new_file()
        process = warm.start(texts, self.folder, path, self._environment, in_thread=in_thread, memory=memory)
        process.join(limit)
        status = warm.status_of(process, path)
        if process.is_alive():
            process.kill()
            process.join()
        self.calls.append(Call(texts, status, path.read_text(errors="replace")))
        self.settle()
        return self.calls[-1]

    def repeat(self, *arguments: object) -> Call:
        """The same again, undisturbed: it must succeed. Its trials run in a thread of it."""
        call = self.call_warm(*arguments, in_thread=True)
        if call.status != 0:
            self.complaints.append(f"the same command again: status {call.status}: {call.last_line}")
        return call

    @property
    def _environment(self) -> dict[str, str]:
        return {"COLUMNS": "200", "HEPBENCH_HOME": str(self.home), **self.variables}

    def _new_file(self) -> Path:
        """An empty one, for what a call prints."""
        path = self.folder / f"printed-{len(list(self.folder.glob('printed-*')))}.txt"
        path.touch()
        return path

    def processes(self) -> list[psutil.Process]:
        """Those that have this scene's home in their environment."""
        found = []
        for one in psutil.process_iter():
            try:
                if one.environ().get("HEPBENCH_HOME") == str(self.home) and one.status() != psutil.STATUS_ZOMBIE:
                    found.append(one)
            except psutil.Error:
                continue
        return found

    def settle(self) -> None:
        """Wait for the processes that calls have left; those that stay are orphans, and are ended here."""
        deadline = time.monotonic() + ORPHANED
        while (left := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.2)
        for one in left:
            try:
                self.orphans.append(f"{one.pid} {' '.join(one.cmdline())[:100]}")
                one.kill()
            except psutil.Error:
                continue


class Running:
    """The program, begun. before: a command that starts it, such as `prlimit`."""

    def __init__(self, scene: Scene, arguments: tuple[str, ...], before: Sequence[str] = ()):
        self.scene, self.arguments = scene, arguments
        self.path = scene._new_file()
        # A shell's background job ignores SIGINT, and so would what it starts.
        command = ["env", "--default-signal", *before, *scene.program, *arguments]
        kept = {name: os.environ[name] for name in os.environ.keys() - warm.UNSET}
        with self.path.open("w") as file:
            self.process = subprocess.Popen(
                command,
                env={**kept, **scene._environment},
                cwd=scene.folder,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def printed(self) -> str:
        return self.path.read_text(errors="replace")

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def workers(self) -> list[psutil.Process]:
        """The processes that compute for it, oldest first."""
        try:
            children = psutil.Process(self.process.pid).children(recursive=True)
            return [one for one in children if "spawn_main" in " ".join(one.cmdline())]
        except psutil.Error:
            return []

    def end(self, limit: float = LIMIT) -> Call:
        """Wait for its end, at most so many seconds."""
        try:
            status: int | None = self.process.wait(limit)
        except subprocess.TimeoutExpired:
            status = None
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        call = Call(self.arguments, status, self.printed)
        self.scene.calls.append(call)
        return call
