"""Claims of commands on trials before they run them, so that identical trials requested concurrently are run once.

A claim is a tag of the command's own run, in the store itself, and is valid wherever that store is shared: a SQLite
file, PostgreSQL, an MLflow server. It ends with the run. Of two concurrent requests the one with the smaller id wins:
each writes its request before it looks for others, hence at least the later of two sees the other.

A command of this machine that died is known by its process. One of another machine or container is given up when its
heartbeat has not changed for `HEARTBEAT_TIMEOUT` seconds; one that was stopped there for longer, as by Ctrl-Z, is taken
for dead.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

from hepbench.tracking.runs import Store, StoreError, of_this_machine

ASKED, HELD, NONE = "asked", "held", ""
"""Values of the tag of a claim."""

HEARTBEAT_TAG = "process.sign"
"""Tag that a running command changes every EVERY seconds."""

EVERY, HEARTBEAT_TIMEOUT = 60.0, 300.0


class Claims:
    """Claims of the command whose run has the id `own`."""

    def __init__(self, store: Store, experiment: str, own: str):
        self.store = store
        self.experiment = experiment
        self.own = own
        self._held: set[str] = set()
        self._heartbeats: dict[str, tuple[str, float]] = {}  # of other machines' commands: the last, and since when

    def held_elsewhere(self) -> dict[str, str]:
        """identity -> who holds or has requested it, in words."""
        return {identity: _who(run) for run in self._others() for identity in _claimed(run)}

    def take(self, identity: str) -> str | None:
        """Claim a trial. None if this command now has it; otherwise who has it, in words."""
        tag = _tag(identity)
        if identity in self._held:
            return "this command"
        if taken := self.held_elsewhere().get(identity):
            return taken
        self.store.tag(self.own, {tag: ASKED})
        while True:
            others = [run for run in self._others() if identity in _claimed(run)]
            first = [run for run in others if run["tags"][tag] == HELD or run["id"] < self.own]
            if first:
                self.store.tag(self.own, {tag: NONE})
                return _who(first[0])
            if not others:
                self.hold(identity)
                return None
            time.sleep(0.1)  # until they have seen this one, or hold it

    def hold(self, identity: str) -> None:
        """Claim a trial that is run regardless of others."""
        self.store.tag(self.own, {_tag(identity): HELD})
        self._held.add(identity)

    def release(self, identity: str) -> None:
        """Release a trial whose run has ended."""
        if identity in self._held:
            self.store.tag(self.own, {_tag(identity): NONE})
            self._held.discard(identity)

    def _others(self) -> list[dict[str, Any]]:
        """Runs of other commands that are alive."""
        self.store.reconcile(self.experiment)
        found = []
        for run in self.store.runs(self.experiment, status="RUNNING"):
            if run["id"] == self.own or not _claimed(run):
                continue
            if not of_this_machine(run) and self._is_dead(run):
                self.store.finish(run["id"], "KILLED", f"no heartbeat of {_who(run)} for {HEARTBEAT_TIMEOUT:.0f} s")
                continue
            found.append(run)
        return found

    def _is_dead(self, run: dict[str, Any]) -> bool:
        """Whether its heartbeat has not changed for HEARTBEAT_TIMEOUT seconds by this machine's clock."""
        sign, now = run["tags"].get(HEARTBEAT_TAG, ""), time.monotonic()
        known, since = self._heartbeats.get(run["id"], (None, now))
        if known != sign:
            self._heartbeats[run["id"]] = sign, now
            return False
        return now - since > HEARTBEAT_TIMEOUT


def _tag(identity: str) -> str:
    return f"claim.{identity}"


def _claimed(run: dict[str, Any]) -> list[str]:
    """Identities of the trials that a command's run claims."""
    prefix = _tag("")
    return [name.removeprefix(prefix) for name, value in run["tags"].items() if name.startswith(prefix) and value]


def _who(run: dict[str, Any]) -> str:
    tags = run["tags"]
    return f"process {tags.get('process.id', 'unknown')} on {tags.get('process.host', 'an unknown machine')}"


@contextlib.contextmanager
def heartbeat(store: Store, run_id: str) -> Iterator[None]:
    """Show other machines, by a tag of the run, that this process is alive while the block runs."""
    ended = threading.Event()

    def show() -> None:
        while not ended.wait(EVERY):
            with contextlib.suppress(StoreError):  # the block runs into the same error
                store.tag(run_id, {HEARTBEAT_TAG: f"{time.time():.0f}"})

    threading.Thread(target=show, daemon=True).start()
    try:
        yield
    finally:
        ended.set()
