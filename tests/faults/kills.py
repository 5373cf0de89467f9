"""Processes of the program killed: the parent, one worker, or the group, as a terminal or a batch system does."""

from __future__ import annotations

import itertools
import os
import random
import signal
import time

from faults.commands import MOMENTS, Missed, arguments_of, check_files, stage, strike
from faults.scene import Running, Scene

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
TARGETS = ("parent", "worker", "group")
KILLS = 72


def plan() -> list[tuple]:
    """(moment, target, signal) of each kill: every moment comes up as often as the others, the combinations in an order
    by chance."""
    chance = random.Random(0)
    of_moments = []
    for moment in MOMENTS:
        ways = [(moment, *way) for way in itertools.product(TARGETS, SIGNALS) if moment.workers or way[0] != "worker"]
        chance.shuffle(ways)
        of_moments.append(ways)
    rounds = itertools.zip_longest(*of_moments)
    return [way for one in rounds for way in one if way is not None][:KILLS]


def kill(scene: Scene, number: int) -> str:
    moment, target, sent = plan()[number]
    chance = random.Random(f"kill {number}")

    def blow(running: Running) -> str:
        if target == "parent":
            running.process.send_signal(sent)
        elif target == "group":
            os.killpg(running.process.pid, sent)
        else:
            deadline = time.monotonic() + 60
            while not (workers := running.workers()) and not running.ended and time.monotonic() < deadline:
                time.sleep(0.01)
            if not workers:
                raise Missed("no worker was there to be killed")
            chance.choice(workers).send_signal(sent)
        return f"{sent.name} to the {target}"

    stage(scene, moment.command)
    done = strike(scene, moment, chance, blow, limit=120)
    scene.repeat(*arguments_of(moment.command, scene))
    check_files(scene, moment.command)
    return done
