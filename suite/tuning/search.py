"""The search of a study: gets trials from Optuna, lets workers run them, and reports the results to it."""

from __future__ import annotations

import contextlib
import math
import time
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hepbench.benchmarks.base import UserError
from hepbench.suite.campaign import OpenRuns, closing_runs
from hepbench.suite.tuning import storage
from hepbench.suite.tuning.context import RunContext
from hepbench.suite.tuning.events import SearchEvent, SearchProgress, SearchTrialEnded, TimeIsUp
from hepbench.suite.tuning.study_spec import COSTS, StudySpec
from hepbench.suite.workers.jobs import Event, Job

if TYPE_CHECKING:
    import optuna
    from optuna.study import Study


MOST_FAILURES = 5
"""Consecutive failed trials that end a study."""


def search(study: Study, study_spec: StudySpec, context: RunContext, deadline: float) -> int:
    """Run trials until there are as many as specified, or until the deadline, a time of `time.monotonic`. Returns how
    many failed. UserError if too many fail in a row."""
    going = _Search(study, study_spec, context, deadline)
    workers = context.workers()
    with closing_runs(context.store) as open_runs:
        try:
            context.listener(going.progress())
            for event in workers.run(going.next_job):
                proposal: optuna.Trial = event.job.context
                context.listener(SearchEvent(proposal.number, event))
                open_runs.follow(event)
                if event.kind == "started" and not event.lost:
                    proposal.set_user_attr("begun", True)
                elif event.kind == "epoch":
                    if going.is_to_be_pruned(proposal, event):
                        workers.stop(event)
                elif event.kind in ("done", "stopped", "failed"):
                    going.end(proposal, event, open_runs)
        except KeyboardInterrupt:
            storage.requeue_interrupted(study)
            raise
    if len(going.failures_in_a_row) >= MOST_FAILURES:
        raise UserError(
            f"{MOST_FAILURES} trials in a row have failed, the first with: {going.failures_in_a_row[0]}. Fix it; "
            "the same command resumes the study"
        )
    if time.monotonic() > deadline:
        context.listener(TimeIsUp(going.finished, study_spec.trials))
    return going.failed


class _Search:
    """State of a running search: trials in flight and ended."""

    def __init__(self, study: Study, study_spec: StudySpec, context: RunContext, deadline: float):
        self.study = study
        self.study_spec = study_spec
        self.context = context
        self.deadline = deadline
        self.started = time.monotonic()
        self.finished = self.finished_before = storage.finished(study.get_trials(deepcopy=False))
        self.in_flight: set[int] = set()
        self.pruned: set[int] = set()
        self.failures_in_a_row: list[str] = []
        self.failed = 0

    def next_job(self) -> Job | None:
        if (
            self.finished + len(self.in_flight) >= self.study_spec.trials
            or time.monotonic() > self.deadline
            or len(self.failures_in_a_row) >= MOST_FAILURES
        ):
            return None
        proposal = self.study.ask()
        self.in_flight.add(proposal.number)
        trial = self.study_spec.proposed(proposal)
        proposal.set_user_attr("parameters", trial.spec.parameters)
        tags = {"stage": "tune", "study": self.study.study_name, "trial": proposal.number}
        parent = self.context.parent
        return self.context.campaign.job(trial, f"trial {proposal.number}", tags, parent, False, proposal)

    def is_to_be_pruned(self, proposal: optuna.Trial, event: Event) -> bool:
        """Report an epoch to Optuna, and ask whether to prune the trial."""
        value = self.study_spec.epoch_value(event.message["metrics"])
        if value is None or proposal.number in self.pruned:
            return False
        with warnings.catch_warnings():  # a trial that is retried reports an epoch twice
            warnings.simplefilter("ignore")
            proposal.report(value, event.message["epoch"])
        if proposal.should_prune():
            self.pruned.add(proposal.number)
            return True
        return False

    def end(self, proposal: optuna.Trial, event: Event, open_runs: OpenRuns) -> None:
        """Report a trial's end to Optuna, the store and the listener. Optuna comes first: its state decides if this
        process is killed before the run is ended."""
        from optuna.exceptions import UpdateFinishedTrialError

        state, values, message = _verdict(self.study_spec, event, proposal.number in self.pruned)
        if state == "complete":
            proposal.set_user_attr("measured", _finite(event.message))
            for cost, most in self.study_spec.limits.items():
                proposal.set_constraint(cost, event.message[COSTS[cost].measured] / most - 1)
        with contextlib.suppress(UpdateFinishedTrialError):  # the database took it, and was lost before it said so
            self.study.tell(proposal.number, values, state=_optuna_state(state), skip_if_finished=True)
        self.in_flight.discard(proposal.number)
        self.finished += 1
        if event.run:
            self.context.store.tag(event.run, {"state": state})
        open_runs.end(event.run, "FAILED" if state == "failed" else "FINISHED", message)
        reason = message.partition("\n")[0]
        if state == "failed":
            self.failures_in_a_row.append(reason)
            self.failed += 1
        else:
            self.failures_in_a_row.clear()
        named = dict(zip(self.study_spec.objective_names, values or (), strict=False))
        self.context.listener(SearchTrialEnded(proposal.number, state, named, reason, self.progress()))

    def progress(self) -> SearchProgress:
        ended = self.finished - self.finished_before
        each = (time.monotonic() - self.started) / ended if ended else math.inf
        left = min(each * max(0, self.study_spec.trials - self.finished), self.deadline - time.monotonic())
        best = storage.best(self.study) if len(self.study_spec.objectives) == 1 else None
        return SearchProgress(
            counts=storage.counted(self.study.get_trials(deepcopy=False)),
            finished=self.finished,
            wanted=self.study_spec.trials,
            best=None if best is None or best.value is None else (best.value, best.number),
            seconds_left=left,
        )


def _verdict(study_spec: StudySpec, event: Event, pruned: bool) -> tuple[str, list[float] | None, str]:
    """(state, values, message) of a trial that has ended."""
    if event.kind == "done":
        values = study_spec.values(event.message)
        if all(map(math.isfinite, values)):
            return "complete", values, ""
        return "failed", None, f"{' or '.join(study_spec.objective_names)} is not a number"
    if event.kind == "stopped" and pruned:
        return "pruned", None, ""
    message = event.message.get("error", "it was stopped")
    return "failed", None, f"{message}\n\n{event.message.get('details', '')}".strip()


def _finite(measured: Mapping[str, float]) -> dict[str, float]:
    """The finite values, which JSON can represent."""
    return {name: float(value) for name, value in measured.items() if math.isfinite(value)}


def _optuna_state(state: str) -> Any:
    from optuna.trial import TrialState

    return {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}[state]
