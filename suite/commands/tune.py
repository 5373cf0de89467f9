"""`hepbench tune`: a hyper-parameter study of a model on a task, from the first trial to the test on new seeds."""

from __future__ import annotations

import contextlib
import math
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from hepbench.benchmarks.base import as_text
from hepbench.suite.campaign import Planned, TrialEvent
from hepbench.suite.commands.console import Console
from hepbench.suite.data.opening import DataOpened, DataProgress, SimulationStarted
from hepbench.suite.progress import BenchLines, TrialProgress
from hepbench.suite.trial.spec import computed_on
from hepbench.suite.tuning import storage
from hepbench.suite.tuning import study as study_module
from hepbench.suite.tuning.events import (
    ComparisonStarted,
    Requeued,
    RetestStarted,
    SearchEvent,
    SearchProgress,
    SearchTrialEnded,
    StudyEvent,
    TimeIsUp,
)
from hepbench.suite.tuning.retest import KINDS, is_default
from hepbench.suite.tuning.storage import DatabaseGone
from hepbench.suite.tuning.study_spec import StudySpec
from hepbench.suite.workers.place import Place
from hepbench.tracking.numbers import significant_digits
from hepbench.tracking.statistics import LEVEL

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial


def tune(study_spec: StudySpec, place: Place, console: Console) -> int:
    """Start or resume the study until it has its trials, test the best one, and print the results. Returns the number
    of failed training runs."""
    base = study_spec.base
    computed = computed_on([study_spec.model], base.backend, base.device)
    what = f": {study_spec.model.record.title} on {study_spec.task.record.title}"
    console.print(Text.assemble((study_spec.name, "bold"), what))
    console.print(
        f"budget {base.budget} · {study_spec.trials} trials · {' and '.join(study_spec.objective_names)} on the "
        f"validation set · sampler {study_spec.sampler}, pruner {study_spec.pruner} · {computed} "
        f"({study_spec.device_reason})"
    )
    with StudyLines(study_spec.name, console) as listener:
        outcome = study_module.run(study_spec, place, listener)
    study = outcome.study
    console.print(f"{study_module.counts_text(study)} trials")
    _print_found(study, study_spec, console)
    if importance := study.user_attrs.get("importance"):
        parts = [f"{name} {share:.2f}" for name, share in importance.items()]
        console.print(f"importance for {study_spec.objective_names[0]}: {', '.join(parts)}")
    console.print(f"study: {outcome.page}", soft_wrap=True)
    return outcome.failed


def print_database_gone(event: DatabaseGone, console: Console) -> None:
    said = ("the study database does not answer", "yellow")
    console.print(Text.assemble(said, f", retrying in {event.seconds:.1f} s"))


class StudyLines:
    """Shows a study, from its data to its last training run; is its listener, within a `with` block."""

    def __init__(self, name: str, console: Console):
        self.name = name
        self.console = console
        self._finals = BenchLines(console)
        self._search = TrialProgress(console, epochs=False)
        self._live = contextlib.ExitStack()  # only one may draw on the terminal at a time

    def __enter__(self) -> StudyLines:
        self._live.enter_context(self._finals)
        return self

    def __exit__(self, *exception: object) -> None:
        self._live.close()

    def __call__(self, event: StudyEvent) -> None:
        match event:
            case SimulationStarted() | DataProgress() | DataOpened() | Planned() | TrialEvent():
                self._finals(event)
            case DatabaseGone():
                print_database_gone(event, self.console)
            case Requeued():
                listed = ", ".join(map(str, event.trials))
                self.console.print(
                    f"interrupted earlier: trial {listed}, marked as failed and queued again (at most once)"
                )
            case SearchProgress():
                self._live.close()
                self._live.enter_context(self._search)
                self._progress(event)
            case SearchEvent():
                self._search.show(event.trial, f"trial {event.trial}", event.event)
            case SearchTrialEnded():
                self._trial_ended(event)
                self._progress(event.progress)
            case TimeIsUp():
                text = f" after {event.finished} of {event.wanted} trials; the same command resumes"
                self.console.print(Text.assemble(("timeout reached", "yellow"), text))
            case RetestStarted():
                self._live.close()
                self._live.enter_context(self._finals)
                self.console.print(f"testing trial {event.trial} and the defaults, {event.seeds} new seeds each:")
            case ComparisonStarted():
                self._live.close()
                self._live.enter_context(self.console.status("comparing on the test events"))

    def _trial_ended(self, event: SearchTrialEnded) -> None:
        progress = event.progress
        text = event.reason or ", ".join(
            f"{name} {significant_digits(value, 4)}" for name, value in event.values.items()
        )
        best = ""
        if progress.best is not None:
            value, number = progress.best
            best = f" · best {value:.4f} of trial {number}"
        line = f"{progress.finished}/{progress.wanted} trial {event.trial} {event.state} {text}{best}"
        self.console.print(line, highlight=False, soft_wrap=True)

    def _progress(self, progress: SearchProgress) -> None:
        counts, left = progress.counts, progress.seconds_left
        done = f"{counts['complete']} done, {counts['pruned']} pruned, {counts['failed']} failed of {progress.wanted}"
        parts = [done]
        if progress.best is not None:
            parts.append(f"best {progress.best[0]:.4f}")
        if math.isfinite(left):
            parts.append(f"about {left / 60:.0f} min left" if left > 90 else f"about {left:.0f} s left")
        self._search.whole(self.name, " · ".join(parts), progress.finished, progress.wanted)


def _print_found(study: Study, study_spec: StudySpec, console: Console) -> None:
    """Print the results of the study, which are all in its attributes; with two objectives, the Pareto front."""
    if len(study_spec.objectives) > 1:
        _print_front(study, study_spec, console)
        return
    best = storage.best(study)
    if best is None:
        reason = "no trial is within the limits" if study_spec.limits else "no trial is complete"
        console.print(Text.assemble(("no best trial", "yellow"), f": {reason}"))
    elif is_default(study_spec, best):
        console.print(f"no trial is better than the defaults (trial {best.number}) on the validation set")
    elif outcome := study.user_attrs.get("outcome"):
        _print_outcome(study_spec, best, outcome, console)
    else:
        said = ("some final training runs are missing", "yellow")
        console.print(Text.assemble(said, ": the same command retries them"))


def _print_outcome(study_spec: StudySpec, best: FrozenTrial, outcome: Mapping[str, Any], console: Console) -> None:
    found = best.user_attrs["parameters"]
    chosen = Table("hyper-parameter", "best", "default", title=f"trial {best.number}", title_justify="left")
    for name in sorted(set(best.params) | set(found)):
        default = study_spec.defaults.get(name)
        chosen.add_row(name, _short(found.get(name, default)), _short(default))
    console.print(chosen)
    objective = outcome["objective"]
    table = Table("", f"{objective}, test", "seed spread", "training s", "trainable parameters")
    for kind in KINDS:
        table.add_row(
            kind,
            f"{outcome[kind]:.4f}",
            f"{outcome[f'{kind}_spread']:.4f}",
            significant_digits(outcome[f"{kind}_train_seconds"]),
            f"{outcome[f'{kind}_parameters']:,.0f}",
        )
    console.print(table)
    gain, error, seeds = outcome["gain"], outcome["gain_error"], outcome["seeds"]
    p = outcome.get("gain_p", math.nan)  # not stored by older versions
    verdict = f"{'better' if gain > 0 else 'worse'} than the defaults"
    if not p <= 1 - LEVEL:
        verdict = "not significantly different from the defaults"
    console.print(f"gain {gain:+.4f} ± {error:.4f} in {objective}, {seeds} new seeds each: {verdict}, p = {p:.2g}")
    console.print(
        f"validation: best trial {outcome['validation_best']:.4f}, retrained {outcome['validation_refitted']:.4f}: "
        f"optimism of the search {outcome['optimism']:+.4f}"
    )
    console.print(f"to bench it: {_bench_command(study_spec, found)} --seeds {seeds}", soft_wrap=True)


def _print_front(study: Study, study_spec: StudySpec, console: Console) -> None:
    """Print the trials that no other beats in both objectives, sorted by the first objective."""
    title = "Pareto front on the validation set; none of these has been tested"
    table = Table("trial", *study_spec.objective_names, "command", title=title, title_justify="left")
    sign = -1 if study_spec.objectives[0].higher_is_better else 1
    for trial in sorted(study.best_trials, key=lambda one: sign * one.values[0]):
        command = _bench_command(study_spec, trial.user_attrs["parameters"])
        table.add_row(str(trial.number), *(significant_digits(value, 4) for value in trial.values), command)
    console.print(table)


def _bench_command(study_spec: StudySpec, hyperparameters: Mapping[str, Any]) -> str:
    base = study_spec.base
    words = ["hepbench", "bench", base.task, "--model", base.model, "--budget", base.budget, "--data", base.data]
    if base.backend != "tensorflow":
        words += ["--backend", base.backend]
    words += [word for name, value in sorted(hyperparameters.items()) for word in ("--set", f"{name}={as_text(value)}")]
    return shlex.join(words)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else as_text(value)
