"""Scores that were made elsewhere on the leaderboard: rated by the lines that rate our own, and marked as submitted."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import Task, UserError, check_names
from hepbench.benchmarks.registry import Entry
from hepbench.suite import results
from hepbench.suite.data.opening import DataEvent
from hepbench.suite.data.weights import tags_of
from hepbench.suite.exchange import scores
from hepbench.suite.exchange.part import check_same, open_part
from hepbench.suite.exchange.storing import store_run
from hepbench.suite.provenance import command, provenance_tags
from hepbench.suite.trial.inputs import slices_of
from hepbench.suite.trial.score_metrics import ROC, EvaluatedScores, evaluate_scores, signal_rejections, write_evaluated
from hepbench.suite.trial.spec import hash_of
from hepbench.tracking.leaderboard.ranking import SUBMITTED
from hepbench.tracking.runs import Store

LONGEST_ADDRESS = 500

LARGEST = 10**18 - 1
"""Of its numbers: 18 digits, as `archive` reads them."""


@dataclass(frozen=True)
class Submission:
    """What whoever submits scores says of them. name: of the row. seed: of the training, of which a row may have
    several. train_events, parameters: their number; latency_ms: of one event; None: not told. url: of a description;
    code: of the training's code; "": not told."""

    name: str
    seed: int = 0
    train_events: int | None = None
    parameters: int | None = None
    latency_ms: float | None = None
    url: str = ""
    code: str = ""

    def __post_init__(self) -> None:
        """Raises UserError for what no row can have."""
        check_names("submission", [self.name])
        if self.name in (*registry.names("model"), results.ENSEMBLE):
            raise UserError(f"{self.name} is the name of a model of this suite: give another --name")
        for name, least in (("seed", 0), ("train_events", 1), ("parameters", 0), ("latency_ms", 0)):
            value = getattr(self, name)
            if value is not None and not least <= value <= LARGEST:
                raise UserError(f"{name} must be a number from {least} to {LARGEST:.0e}, got {str(value)[:100]}")
        if self.latency_ms == 0:
            raise UserError("latency_ms must be greater than 0; leave it out if it is not known")
        for name in ("url", "code"):
            address = getattr(self, name)
            if address and not (re.fullmatch(r"https?://[!-~]+", address) and len(address) <= LONGEST_ADDRESS):
                raise UserError(
                    f"{name} must be an address like https://host/path of at most {LONGEST_ADDRESS} letters, got "
                    f"{address[:100]!r}"
                )


@dataclass(frozen=True)
class Entered:
    """A stored submission. run: its id. evaluated: its metrics; None where the same scores are stored already."""

    run: str
    evaluated: EvaluatedScores | None


def enter(
    task: Entry[Task],
    path: Path,
    submission: Submission,
    store: Store,
    *,
    force: bool = False,
    listener: Callable[[DataEvent], None] = lambda event: None,
) -> Entered:
    """Check and rate a file of scores, and store it as a run of the task.

    The same file under the same name and seed is stored once. force: other scores under a name and seed that are there
    take the place of these on the leaderboard. UserError as `scores.read` and `scores.matched`, for scores of other
    data or another split than those here, and for a name and seed that have other scores.
    """
    given = scores.read(path, task.name, task.record.classes)
    told = given.part
    opened = open_part(
        task, "test", data=told.data, budget=told.budget, events=told.events, labels=told.labels, listener=listener
    )
    check_same(opened.part, told, str(path))
    found = scores.matched(given, opened)
    group = {name: getattr(told, name) for name in ("task", "data", "data_digest", "split_hash", "budget")}
    configuration = hash_of([SUBMITTED, submission.name, group, told.events])
    identity = hash_of([configuration, submission.seed])
    about = {name: "" if value is None else str(value) for name, value in dataclasses.asdict(submission).items()}
    content = hash_of([given.sha256, about])
    before = store.runs(task.name, status="FINISHED", tags={"stage": "final", "identity": identity})
    if before and before[-1]["tags"].get("submission") == content:
        return Entered(before[-1]["id"], None)
    if before and not force:
        raise UserError(
            f"{submission.name} seed {submission.seed} is there already, with other scores or other facts: give "
            "another --name, another --seed for another training, or --force to put these in its place"
        )
    rows = opened.rows["test"]
    slices = {name: values[rows] for name, values in slices_of(task, opened.prepared.arrays).items()}
    try:
        evaluated = evaluate_scores(task.record, found, slices)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error
    values = {f"test_{name}": value for name, value in evaluated.metrics.items()} | {"test_events": float(len(rows))}
    facts = ("train_events", "parameters", "latency_ms")
    values |= {name: float(value) for name in facts if (value := getattr(submission, name)) is not None}
    tags = {
        **group,
        **({} if told.events is None else {"events": told.events}),
        **tags_of(task.record, opened.prepared),
        "stage": "final",
        "model": submission.name,
        "seed": submission.seed,
        "set": "",
        "device": "",
        "backend": "",
        "hardware": "" if submission.latency_ms is None else "the submitter's machine",
        "configuration": configuration,
        "identity": identity,
        "origin": SUBMITTED,
        "submission": content,
        "scores_sha256": given.sha256,
        "url": submission.url,
        "training_code": submission.code,
        "test_labels": "given out" if told.labels else "not given out",
        "rated_by": f"hepbench {importlib.metadata.version('hepbench')}, commit {provenance_tags()['git_commit']}",
        "command": command(),
    }
    run = store_run(
        store,
        task.name,
        f"{submission.name} seed {submission.seed}",
        tags=tags,
        parameters={},
        values=values,
        write=partial(write_evaluated, task=task.record, evaluated=evaluated),
        series={ROC: signal_rejections(task.record, evaluated.scored)},
        dataset={"name": task.name, "digest": told.data_digest[:16], "source": opened.source, "context": "test"},
    )
    return Entered(run, evaluated)
