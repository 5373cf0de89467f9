"""Much at once and much in a row: four equal calls in one home, and 300 short trials."""

from __future__ import annotations

import re
import time

import psutil

from faults.commands import BENCH, LEADERBOARD, NEW_BENCH, PREDICT, SIMULATE, TUNE, arguments_of, check_files, stage
from faults.scene import LIMIT, Scene

EQUAL = (NEW_BENCH, BENCH, TUNE, SIMULATE, PREDICT, LEADERBOARD)
CALLS = 4
TRIALS = 300
FIRST = 20
"""Trials after whose end a worker that was there before has had its first ones, and with them its imports."""
GROWTH = 100 * 2**20
"""Bytes by which a worker may grow after its first trials."""


def equal_calls(scene: Scene, number: int) -> str:
    """One of them may be told that another is at it, in a line."""
    command = EQUAL[number]
    stage(scene, command)
    began = [scene.start(*arguments_of(command, scene)) for _ in range(CALLS)]
    ended = [one.end(300) for one in began]
    scene.settle()
    for call in ended:
        told = call.status == 2 and "another process" in call.printed
        if call.status is not None and call.status != 0 and not told:
            scene.complaints.append(f"one of {CALLS} calls: status {call.status}: {call.last_line}")
    scene.repeat(*arguments_of(command, scene))
    check_files(scene, command)
    return f"{CALLS} calls at once, {command.name}"


def short_trials(scene: Scene, number: int) -> str:
    """300 of them in two workers, whose memory is to stay flat. It hangs where none ends for LIMIT seconds."""
    scene.home.mkdir()
    scene.results = TRIALS
    running = scene.start("bench", "magic", "--model", "prior", "--budget", "smoke", "--seeds", TRIALS, "--jobs", 2)
    seen: dict[int, int] = {}  # process -> trials that had ended; a worker that has had its share is replaced
    first: dict[int, int] = {}
    growth = {}
    ended, deadline = 0, time.monotonic() + LIMIT
    while not running.ended and time.monotonic() < deadline:
        if (now := done(running.printed)) > ended:
            ended, deadline = now, time.monotonic() + LIMIT
        for one in running.workers():
            try:
                memory = one.memory_info().rss
            except psutil.Error:
                continue
            if ended - seen.setdefault(one.pid, ended) >= FIRST:
                growth[one.pid] = memory - first.setdefault(one.pid, memory)
        time.sleep(2)
    running.end(1)
    scene.settle()
    if growth and max(growth.values()) > GROWTH:
        scene.complaints.append(f"a worker grew by {max(growth.values()) >> 20} MiB")
    scene.repeat("leaderboard", "magic")
    return f"{TRIALS} short trials, workers grew by {max(growth.values(), default=0) >> 20} MiB at most"


def done(printed: str) -> int:
    return len(re.findall(r"^done ", printed, re.MULTILINE))
