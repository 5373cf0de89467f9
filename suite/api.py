"""For notebooks and scripts: a bench, a leaderboard and scores as data frames. Nothing here prints.

    import hepbench

    hepbench.bench("magic", models=["gbdt", "mlp"], budget="smoke", progress=print)

As on the command line, trials run in separate processes, and results and data are stored in `results/` and `data/` of
the current folder or of `HEPBENCH_HOME`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hepbench.benchmarks.base import UserError

if TYPE_CHECKING:
    import pandas as pd

    from hepbench.suite.campaign import BenchEvent


def tasks() -> list[str]:
    """Names of the shipped and installed tasks."""
    from hepbench.benchmarks import registry

    return registry.names("task")


def models() -> list[str]:
    """Names of the shipped and installed models."""
    from hepbench.benchmarks import registry

    return registry.names("model")


def bench(
    task: str | PathLike[str],
    models: str | PathLike[str] | Sequence[str | PathLike[str]] = (),
    *,
    settings: Mapping[str, Any] | None = None,
    seeds: int | Sequence[int] | None = None,
    budget: str = "quick",
    device: str = "auto",
    backend: str = "tensorflow",
    data: str = "auto",
    jobs: int | None = None,
    force: bool = False,
    events: int | None = None,
    start: str = "",
    tuned: bool = False,
    shift: str | Sequence[str] = (),
    progress: Callable[[str], None] | None = None,
) -> pd.DataFrame:
    """Train and test models on a task; returns one row per model, ranked among themselves.

    The columns are those of `leaderboard` plus `note`: why a model was skipped, or what failed; its numbers are then
    missing. Existing results are reused.

    - task: a name, or the path of a file that defines `TASK`.
    - models: names, or paths of files that define `MODEL`; "all" for every model, none for one of each kind.
    - settings: hyper-parameters by name, each set for the models that have it.
    - seeds: number of training runs (seeds) per model, or a list of seeds; None: set by the budget.
    - budget: "smoke", "quick", "standard" or "full". device: "cpu", "gpu" or "auto". backend: "tensorflow" or "jax".
    - data: "official", "simulated" or "auto".
    - jobs: number of parallel trials; None: one, or one per GPU.
    - force: rerun trials that already have results.
    - events: maximum number of events taken from the dataset; None: set by the budget.
    - start: id of a finished run, or a unique prefix of it; the network is initialised with its weights.
    - tuned: use the best hyper-parameters found by tuning studies.
    - shift: names of shifted samples of the task, or "all", on which the trained models are also evaluated; they are
      never trained on. A warning reports what cannot be evaluated.
    - progress: called with a line of text as the bench proceeds, such as `print`.

    Raises UserError for unknown names and for what is not available.
    """
    import warnings

    from hepbench.suite import campaign, results, shifted
    from hepbench.suite.workers.place import Place

    _not_while_imported()
    asked = campaign.request(
        _given("task", task),
        [_given("model", model) for model in ([models] if isinstance(models, str | PathLike) else models)],
        settings=settings,
        seeds=seeds,
        budget=budget,
        device=device,
        backend=backend,
        data=data,
        force=force,
        events=events,
        start=start,
    )

    shifts = [shift] if isinstance(shift, str) and shift else list(shift)
    if shifts:
        shifted.check(asked, shifts)
    if tuned:
        asked, _ = campaign.with_tuned(asked)

    def listen(event: BenchEvent) -> None:
        if progress and (line := _line(event)):
            progress(line)

    store = results.open_store()
    outcome = campaign.run(asked, Place(jobs), store, listen)
    if shifts:
        opened, unscored = shifted.open_shifts(asked, shifts, listen)
        unscored += shifted.score_runs(asked.task, shifted.runs_of(asked, outcome.trials, store), opened, store)
        for sentence in unscored:
            warnings.warn(sentence, stacklevel=2)
    finished = {one.identity for one in outcome.trials if one.state != "skip" and one.name not in outcome.failures}
    rows = results.leaderboard_of(asked.task, store, finished)[0] if finished else []
    notes: dict[str, list[str]] = {model.name: [] for model in asked.models}
    for one in outcome.trials:
        if one.state == "skip":
            notes[one.trial.model.name] = [f"skipped: {one.reason}"]
        elif one.name in outcome.failures:
            notes[one.trial.model.name].append(f"seed {one.trial.spec.seed} failed: {outcome.failures[one.name]}")
    ranked = {row["model"] for row in rows}
    rows += [
        {"model": model.name, "title": model.record.title, "seeds": 0, "seed_list": [], "run_ids": []}
        for model in asked.models
        if model.name not in ranked
    ]
    return _frame([{**row, "note": "; ".join(notes[row["model"]])} for row in rows])


def leaderboard(task: str | PathLike[str]) -> pd.DataFrame:
    """The ranking of a task from stored results; one row per model and settings, best first.

    Columns:

    - rank, tied (True: not significantly different from the first by the paired test), model, title;
    - task, data, data_digest, split_hash, budget: rows are ranked together only if these are equal;
    - set: settings that differ from the defaults; tuned: the study that chose them;
    - start: id of the run whose weights the network was initialised with;
    - auc, accuracy, precision, recall, log_loss, rejection_50 and the other metrics: means over the seeds, each with
      `_error`, half of the 68 % interval, `_low` and `_high`, the 95 % interval or a limit, and `_spread` over the
      seeds; by class if there are several, and by slice;
    - below_optimum, with `_error`, `_low` and `_high`: difference in AUC from the optimum, if the task knows it;
    - train_seconds, predict_us_per_event, latency_ms and other times; parameters: number of trainable parameters;
      hardware_...: utilisation of CPU, GPU and memory;
    - submitted: whether its scores are external; imported_from: the machine from which the results were imported;
      training_code ("known", a URL or "not known"), test_labels_seen ("no", "not known" or "may have been"), url;
    - requested_events: requested size of the dataset, if it differs from the budget's;
    - events: number of events in the test set; train_events: in the training set; device, hardware, backend;
    - seeds: number of seeds; seed_list, run_ids: lists with one entry per seed;
    - configuration, hyperparameters (a dict), ended (seconds since 1970);
    - shifts: results on shifted samples: sample -> AUC, change and relative change in per cent, with errors.

    What was not measured is missing (NaN). Raises UserError if there are no finished runs.
    """
    from hepbench.benchmarks import registry
    from hepbench.suite import results

    _not_while_imported()
    return _frame(
        results.leaderboard_of(registry.find("task", _given("task", task)), results.open_store(to_write=False))[0]
    )


def predict(
    run: str,
    files: str | PathLike[str] | Sequence[str | PathLike[str]],
    *,
    task: str | PathLike[str] | None = None,
    model: str | PathLike[str] | None = None,
) -> pd.DataFrame:
    """Score files in the task's format, with or without labels, with the model of a run; one row per event.

    Columns: `id`; `label`, the class index, if the file has labels of classes that the model knows; `score_<class>`,
    and its logarithm `log_probability_<class>`, which ranks events whose scores round to 1.

    - run: its id, as in the column `run_ids` of `bench` and `leaderboard`, or a unique prefix of it.
    - files: in the task's published format; a single one is enough if the dataset has several.
    - task, model: path of the file of a user-defined task or model of the run; its code is executed.

    Raises UserError for a run without a model, and for files in another format.
    """
    import pyarrow as pa

    from hepbench.suite import results, scoring
    from hepbench.suite.trial.artifacts import scores_table

    _not_while_imported()
    with scoring.model_of(results.open_store(to_write=False), run, **_own(task, model)) as (_, saved):
        classes = saved.trial.task.record.classes
        chunks = scoring.score(saved, _paths(files))
        table = pa.concat_tables(scores_table(one.ids, one.labels, one.scores, classes, one.weights) for one in chunks)
    frame: pd.DataFrame = table.to_pandas()
    return frame.drop(columns="label") if frame["label"].isna().all() else frame


def evaluate_files(
    run: str,
    files: str | PathLike[str] | Sequence[str | PathLike[str]],
    out: str | PathLike[str] | None = None,
    *,
    task: str | PathLike[str] | None = None,
    model: str | PathLike[str] | None = None,
) -> dict[str, float]:
    """Evaluate the model of a run on labelled files: every metric by its name, each with `_error`, as returned by
    `evaluate`, and by slice if the task has slices; NaN if it cannot be measured.

    Events of the run's training and validation sets are excluded; a warning reports their number.

    - run, files, task, model: as for `predict`.
    - out: a new folder for scores, ROC curve, plots and metrics.json.

    Raises UserError as `predict` does, for files without labels, and if no events are left.
    """
    import warnings

    from hepbench.suite import evaluation, results, scoring

    _not_while_imported()
    paths, folder = _paths(files), None if out is None else Path(out)
    if folder is not None and folder.exists():
        raise UserError(f"{folder} already exists: give a new folder")
    with scoring.model_of(results.open_store(to_write=False), run, **_own(task, model)) as (found_run, saved):
        found = evaluation.evaluate(saved, evaluation.provenance_of(found_run, saved.trial, paths))
        if folder is not None:
            evaluation.write(folder, found_run, saved, paths, found)
    for sentence in found.warnings:
        warnings.warn(sentence, stacklevel=2)
    return dict(found.metrics)


def _not_while_imported() -> None:
    """UserError during the import of a user's file: a trial imports it to find its model, and must not start a bench
    of its own."""
    from hepbench.benchmarks import registry

    if registry.being_imported:
        raise UserError(f"it calls hepbench while being imported: {registry.GUARD}")


def _own(task: str | PathLike[str] | None, model: str | PathLike[str] | None) -> dict[str, str | None]:
    return {"task": str(task) if task else None, "model": str(model) if model else None}


def _paths(files: str | PathLike[str] | Sequence[str | PathLike[str]]) -> list[Path]:
    paths = [Path(one) for one in ([files] if isinstance(files, str | PathLike) else files)]
    if not paths:
        raise UserError("no files given")
    for path in paths:
        if not path.is_file():
            raise UserError(f"{path}: no such file")
    return paths


def _given(kind: str, one: object) -> str:
    if not isinstance(one, str | PathLike):
        raise UserError(
            f"expected the name of a {kind} or the path of its file, got a {type(one).__name__}: trials run in other "
            f"processes, which find a {kind} by its name or file"
        )
    return str(one)


def _line(event: BenchEvent) -> str | None:
    """The line for an event, or None if it is not worth one."""
    from hepbench.suite.batch_size import BatchSizeFound
    from hepbench.suite.campaign import Planned, TrialEvent
    from hepbench.suite.data.opening import DataOpened, SimulationStarted

    if isinstance(event, SimulationStarted):
        return f"simulating {event.events:,} events of {event.task.name}"
    if isinstance(event, DataOpened):
        return f"data: {event.files.kind}, {event.events:,} events"
    if isinstance(event, BatchSizeFound):
        return f"{event.model}: batch size {event.size:,}"
    if isinstance(event, Planned):
        states = [one.state for one in event.trials]
        return f"trials: {states.count('run')} to run, {states.count('done')} already done"
    if isinstance(event, TrialEvent) and event.event.kind in ("done", "failed"):
        message = event.event.message
        done = event.event.kind == "done"
        what = f"AUC {message['test_auc']:.4f} ± {message['test_auc_error']:.4f}" if done else message["error"]
        return f"{event.event.kind} {event.number}/{event.total} {event.planned.name}: {what}"
    return None


def _frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    frame = pd.DataFrame(rows)
    return frame.where(frame.notna(), float("nan")).infer_objects()  # a number missing from all rows is None in each
