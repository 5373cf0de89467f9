"""The console script `hepbench`: verbs only; the work is done in the modules they call.

Heavy imports stand inside the verbs, so that help, list and doctor answer at once.
"""

from __future__ import annotations

import errno
import functools
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from hepbench.benchmarks.base import UserError
from hepbench.suite import terminal
from hepbench.suite.commands.console import Console
from hepbench.tracking.passwords import masked
from hepbench.tracking.runs import StoreError

if TYPE_CHECKING:
    from hepbench.suite.workers.place import Place

Verb = TypeVar("Verb", bound=Callable[..., Any])

INTERRUPTED = 130  # what shells report for a process that Ctrl-C ended

# What a machine refuses: the user's to mend, not a fault of the program.
REFUSALS = {
    errno.ENOSPC: "disk full: free some space and repeat",
    errno.EDQUOT: "disk quota used up: free some space and repeat",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EROFS: "read-only file system",
}


def main() -> None:
    """Entry point. Exit status 0 done, 1 a trial or the program failed, 2 the user's mistake, 130 interrupted."""
    terminal.show_what_can_be()
    sys.excepthook = _without_passwords
    complaints = Console(stderr=True, soft_wrap=True, highlight=False)
    try:
        sys.exit(commands(standalone_mode=False))
    except click.ClickException as error:
        complaints.print(masked(f"error: {error.format_message()}"))
        sys.exit(2)
    except (UserError, StoreError) as error:
        complaints.print(masked(f"error: {error}"))
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        complaints.print("interrupted; what was finished is kept, the same command resumes from there")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # the reader of a pipe has seen enough
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:
        if error.errno not in REFUSALS:
            raise
        complaints.print(f"error: {error.filename or 'a file'}: {REFUSALS[error.errno]}")
        sys.exit(2)


def _without_passwords(*raised: Any) -> None:
    """A traceback, which libraries may have written an address into."""
    sys.stderr.write(masked("".join(traceback.format_exception(*raised))))


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def commands() -> None:
    """Benchmarks of particle-physics classifiers, tracked in MLflow."""


DATA = click.option("--data", default="auto", show_default=True, help="official, simulated, or auto.")
SIMULATED_FIRST = "How many events, where they have to be simulated."
DEVICE = click.option("--device", default="auto", show_default=True, help="cpu, gpu, or auto.")
BACKEND = click.option("--backend", default="tensorflow", show_default=True, help="tensorflow or jax.")
BUDGET = click.option("--budget", default="quick", show_default=True, help="smoke, quick, standard or full.")


def _columns(context: click.Context, option: click.Parameter, text: str) -> tuple[str, ...]:
    """Names of "a,b c"; "energy" stands for all of `ranking.ENERGY`."""
    from hepbench.tracking.leaderboard.ranking import ENERGY

    names = text.replace(",", " ").split()
    return tuple(one for name in names for one in (ENERGY if name == "energy" else [name]))


COLUMNS = click.option(
    "--columns",
    default="",
    callback=_columns,
    help="Of the table in place of the usual ones: metrics, times, use of the hardware, energy; a,b,c.",
)


def _settings(context: click.Context, option: click.Parameter, texts: Sequence[str]) -> dict[str, str]:
    """name -> value, both as text, of "name=value"."""
    for text in texts:
        if "=" not in text:
            raise UserError(f"--set {text}: give it as name=value")
    return dict(text.split("=", 1) for text in texts)


def settings(what: str) -> Callable[[Verb], Verb]:
    """The option --set; the command takes it as a dict of texts."""
    return click.option(
        "--set", "settings", multiple=True, callback=_settings, help=f"name=value of {what}; may be repeated."
    )


def workers(command: Verb) -> Verb:
    """The options that say where trials run; the command takes them as one `place`."""

    @click.option("--jobs", type=int, help="Trials at once. Default: one a GPU, or one on all cores.")
    @click.option("--share-gpu", is_flag=True, help="Let more jobs than GPUs share them.")
    @click.option("--scheduler", help="tcp://host:port of a Dask scheduler whose workers run the trials.")
    @click.option("--cluster", help="slurm or htcondor: submit --jobs workers to it.")
    @click.option("--queue", help="Of the cluster.")
    @click.option("--cores-per-worker", type=click.IntRange(min=1), default=1, show_default=True)
    @click.option("--gpus-per-worker", type=click.IntRange(min=0), default=0, show_default=True)
    @click.option("--memory-per-worker", default="8GB", show_default=True)
    @click.option("--walltime", help="Of a worker, such as 04:00:00.")
    @click.option("--print-job-script", is_flag=True, help="Print what would be submitted to the cluster, and end.")
    @functools.wraps(command)
    def with_place(
        jobs: int | None,
        share_gpu: bool,
        scheduler: str | None,
        cluster: str | None,
        queue: str | None,
        cores_per_worker: int,
        gpus_per_worker: int,
        memory_per_worker: str,
        walltime: str | None,
        print_job_script: bool,
        **options: Any,
    ) -> Any:
        from hepbench.suite.workers.place import Place

        batch = None
        if cluster:
            from hepbench.suite.workers.batch_system import BatchSystem

            batch = BatchSystem(cluster, queue, cores_per_worker, gpus_per_worker, memory_per_worker, walltime)
        if print_job_script:
            if batch is None:
                raise UserError("--print-job-script needs --cluster slurm or htcondor")
            click.echo(batch.job_script())
            return 0
        if cluster and scheduler:
            raise UserError("--cluster starts workers and --scheduler takes those that are there: give one of the two")
        return command(place=Place(jobs, share_gpu, scheduler, batch), **options)

    return cast(Verb, with_place)


@commands.command()
@click.argument("task")
@click.option(
    "--model",
    "models",
    multiple=True,
    help="A model, a file ./my_model.py, or all; may be repeated. Default: one of each kind.",
)
@settings("a hyper-parameter of the models")
@click.option("--seeds", type=int, help="How many trainings of each model. Default: the budget's number.")
@click.option("--seed", "exact", type=int, multiple=True, help="This very seed; may be repeated.")
@click.option(
    "--events", type=click.IntRange(min=2), help="Events of the dataset; all where it has fewer. Default: the budget's."
)
@BUDGET
@DEVICE
@BACKEND
@DATA
@click.option("--tuned", is_flag=True, help="With the best hyper-parameters that studies found.")
@COLUMNS
@workers
@click.option("--from", "start", default="", help="A finished run, by its id: a network starts from its weights.")
@click.option("--dry-run", is_flag=True, help="Print what would run, and run nothing.")
@click.option("--force", is_flag=True, help="Run again what has been run.")
def bench(
    task: str,
    models: tuple[str, ...],
    settings: dict[str, str],
    seeds: int | None,
    exact: tuple[int, ...],
    events: int | None,
    start: str,
    budget: str,
    device: str,
    backend: str,
    data: str,
    tuned: bool,
    columns: tuple[str, ...],
    place: Place,
    dry_run: bool,
    force: bool,
) -> int:
    """Train and test models on TASK (a name, a file ./my_task.py, all, or <task>:all for its variants); print the
    leaderboard, or of variants one table."""
    from hepbench.benchmarks import registry
    from hepbench.suite.campaign import request
    from hepbench.suite.commands.bench import bench, bench_variants

    every = [
        request(
            one,
            models,
            settings=settings,
            seeds=exact or seeds,
            budget=budget,
            device=device,
            backend=backend,
            data=data,
            force=force,
            events=events,
            start=start,
        )
        for one in registry.expand(task)
    ]
    if task.endswith(":all"):
        if columns:
            raise UserError("a table of variants has one metric a cell: leave --columns out, or bench one variant")
        failed = bench_variants(every, tuned=tuned, dry=dry_run, place=place, console=Console())
    else:
        failed = sum(
            bench(asked, tuned=tuned, dry=dry_run, columns=columns, place=place, console=Console()) for asked in every
        )
    return min(failed, 1)


@commands.command()
@click.argument("study", required=False)
@click.option("--list", "listed", is_flag=True, help="The studies, and end.")
@click.option("--only", multiple=True, help="An experiment of the study; may be repeated. Default: all.")
@click.option("--seeds", type=int, help="How many trainings of each experiment. Default: the budget's number.")
@click.option(
    "--budget", default="full", show_default=True, help="full: the document's events and epochs; or a smaller."
)
@DEVICE
@BACKEND
@DATA
@workers
@click.option("--format", "form", default="table", show_default=True, help="table or markdown.")
@click.option("--dry-run", is_flag=True, help="Print what would run, and run nothing.")
@click.option("--force", is_flag=True, help="Run again what has been run.")
def reproduce(
    study: str | None,
    listed: bool,
    only: tuple[str, ...],
    seeds: int | None,
    budget: str,
    device: str,
    backend: str,
    data: str,
    place: Place,
    form: str,
    dry_run: bool,
    force: bool,
) -> int:
    """Do the experiments of STUDY again: each number of its document beside ours, printed and as a page."""
    from hepbench.suite.commands.reproduce import print_studies, reproduce

    if listed:
        print_studies(Console())
        return 0
    if study is None:
        raise UserError("give a study: hepbench reproduce --list names them")
    from hepbench.suite.reproduce import request

    asked = request(
        study, only=only, budget=budget, seeds=seeds, device=device, backend=backend, data=data, force=force
    )
    console = Console(stderr=form == "markdown")
    return min(reproduce(asked, dry=dry_run, form=form, place=place, console=console), 1)


@commands.command()
@click.argument("task")
@click.option("--model", required=True, help="A model, or a file ./my_model.py.")
@click.option("--trials", type=int, help="How many trials the study is to have. Default: the budget's number.")
@click.option("--timeout", help="Stop the search after so long, such as 30m or 1h; the same command resumes it.")
@click.option("--sampler", default="tpe", show_default=True, help="tpe, random or nsga2.")
@click.option("--pruner", default="median", show_default=True, help="median, hyperband, halving or none.")
@click.option(
    "--objective",
    "objectives",
    multiple=True,
    default=("auc",),
    show_default=True,
    help="A metric; or two objectives: a metric, and latency, parameters or train_seconds.",
)
@click.option("--max-latency", help="Of the prediction of one event, such as 1ms.")
@click.option("--max-parameters", help="Of the trained model, such as 100k.")
@settings("a hyper-parameter that is not searched")
@click.option("--study", "name", help="Name of the study. Default: TASK-MODEL-BUDGET.")
@click.option("--seeds", type=int, default=5, show_default=True, help="Fresh trainings of the best and the defaults.")
@BUDGET
@DEVICE
@BACKEND
@DATA
@workers
def tune(place: Place, **options: Any) -> int:
    """Search the hyper-parameters of a model on TASK, then test the best and the defaults on fresh seeds."""
    from hepbench.suite.commands.tune import tune
    from hepbench.suite.tuning.study_spec import StudyRequest, resolve

    return min(tune(resolve(StudyRequest(**options)), place, Console()), 1)


@commands.command()
@click.argument("task")
@click.option("--model", required=True, help="A network, or a file ./my_model.py.")
@click.option("--batch-sizes", default="", help="Such as 32,256,2048. Default: 11 from 32 to 40960.")
@click.option("--epochs", default="", help="One number, or one for each batch size. Default: the model's and budget's.")
@click.option("--target", type=float, help="Validation AUC to reach. Default: 99 % of the way from 0.5 to the best.")
@settings("a hyper-parameter")
@click.option("--seeds", type=int, default=1, show_default=True, help="Trainings of each batch size.")
@click.option(
    "--events", type=click.IntRange(min=2), help="Events of the dataset; all where it has fewer. Default: the budget's."
)
@BUDGET
@click.option("--device", default="auto", show_default=True, help="cpu, gpu, or auto: both where there is one.")
@BACKEND
@DATA
@click.option("--dry-run", is_flag=True, help="Print what would run, and run nothing.")
@click.option("--force", is_flag=True, help="Run again what has been run.")
def sweep(task: str, model: str, dry_run: bool, **options: Any) -> int:
    """What each batch size costs on each device, and which learns soonest: MODEL on TASK, one training at a time."""
    from hepbench.suite.commands.sweep import sweep
    from hepbench.suite.sweep import request

    return min(sweep(request(task, model, **options), dry=dry_run, console=Console()), 1)


@commands.command()
@click.argument("task")
@click.option(
    "--model", "models", multiple=True, required=True, help="A model, or a file ./my_model.py; may be repeated."
)
@click.option(
    "--train-events", default="", help="Numbers of training events, 500,2000,8000. Default: all, 1/2, 1/4 ... 1/64."
)
@settings("a hyper-parameter of the models")
@click.option(
    "--seeds",
    type=int,
    help="Trainings on all; one more for each factor of four that events are fewer. Default: the "
    "budget's number, at least 2.",
)
@click.option("--seed", "exact", type=int, multiple=True, help="This very seed at each number; may be repeated.")
@click.option(
    "--events", type=click.IntRange(min=2), help="Events of the dataset; all where it has fewer. Default: the budget's."
)
@BUDGET
@DEVICE
@BACKEND
@DATA
@workers
@click.option("--format", "form", default="table", show_default=True, help="table or markdown.")
@click.option("--dry-run", is_flag=True, help="Print what would run, and run nothing.")
@click.option("--force", is_flag=True, help="Run again what has been run.")
def curve(task: str, models: tuple[str, ...], place: Place, form: str, dry_run: bool, **options: Any) -> int:
    """Train models on more and more events of TASK, test each on the same ones: who needs how many."""
    from hepbench.suite.commands.curve import curve
    from hepbench.suite.curve import request

    asked = request(task, models, **options)
    return min(curve(asked, dry=dry_run, form=form, place=place, console=Console(stderr=form == "markdown")), 1)


@commands.command()
def studies() -> None:
    """Every study, with its trials and its best."""
    from hepbench.suite.commands.studies import print_studies

    print_studies(Console())


@commands.command("optuna-ui")
@click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True)
def optuna_ui(port: int) -> None:
    """Open optuna-dashboard on the studies."""
    from hepbench.suite.commands.studies import dashboard

    dashboard(port, Console())


@commands.command()
@click.argument("task")
@click.option("--format", "form", default="table", show_default=True, help="table, json, csv, markdown or latex.")
@COLUMNS
@click.option("--pairs", is_flag=True, help="The differences between all rows, tested on the same events, as well.")
@click.option("--target", type=float, help="With the seconds of training to this validation AUC, such as 0.9.")
def leaderboard(task: str, form: str, columns: tuple[str, ...], pairs: bool, target: float | None) -> None:
    """Print the ranking of TASK (a name, a file, or all) from the store alone; of <task>:all its variants side by
    side."""
    from hepbench.suite.commands.leaderboard import print_leaderboard

    print_leaderboard(task, form, columns, pairs, target, Console())


def _names(context: click.Context, option: click.Parameter, texts: Sequence[str]) -> tuple[str, ...]:
    """Names of "a,b", given once or more."""
    return tuple(name.strip() for text in texts for name in text.split(",") if name.strip())


@commands.command()
@click.argument("task")
@click.option(
    "--kind",
    default="rejection",
    show_default=True,
    help="roc, rejection, auc, pareto, learning, calibration or slices.",
)
@click.option(
    "--models",
    "--model",
    "names",
    multiple=True,
    callback=_names,
    help='Rows by their names: cnn,gbdt or "gbdt rounds=300". Default: the first of the table.',
)
@click.option("--metric", default="auc", show_default=True, help="Of auc, pareto, learning and slices.")
@click.option("--over", default="latency_ms", show_default=True, help="Of pareto: the cost on the other axis.")
@click.option("--budget", help="Of the table. Default: the latest that has all models.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="A .pdf, .png or .svg. Default: TASK-KIND.pdf."
)
def plot(task: str, kind: str, names: tuple[str, ...], **options: Any) -> None:
    """Draw one plot of TASK's leaderboard, as a file for a paper, from the store alone."""
    from hepbench.suite.commands.plot import plot

    plot(task, kind, names, console=Console(), **options)


@commands.command()
@click.argument("task")
@click.option("--run", help="A run by its id, or the beginning of it. Default: the best of the ranking.")
@click.option("--budget", help="The best of this budget, where there are several.")
@click.option("--name", help="What MLflow's registry calls the model. Default: the task's name.")
@click.option("--alias", default="champion", show_default=True, help="Which this version has from now on.")
def register(task: str, run: str | None, budget: str | None, name: str | None, alias: str) -> None:
    """Register the best trained model of TASK in MLflow, by name and alias."""
    from hepbench.suite.commands.register import register

    register(task, run, budget, name, alias, Console())


@commands.command()
@click.argument("task")
@click.argument("a")
@click.argument("b")
@click.option("--budget", help="Only results within this one. Default: the latest of the same test events.")
def compare(task: str, a: str, b: str, budget: str | None) -> None:
    """Compare two results of TASK on the same test events, from the store alone: A and B are each a model, a model with
    its settings ("gbdt rounds=300"), "gbdt tuned", a study, the id of a configuration or a run, or a file of
    scores as `hepbench score` takes it."""
    from hepbench.suite.commands.compare import compare

    compare(task, a, b, budget, Console())


@commands.command()
@click.argument("task")
@click.option("--files", type=click.IntRange(min=1), help="Only the first of its files, where fewer will do.")
def data(task: str, files: int | None) -> None:
    """Fetch the official files of TASK, or say where to put files fetched by hand."""
    from hepbench.suite.commands.download import fetch

    fetch(task, files, Console())


@commands.command()
@click.argument("task")
@click.option("--events", type=click.IntRange(min=2), required=True, help="How many events, of all classes together.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--jobs", type=click.IntRange(min=1), help="Processes. Default: one for each core.")
@click.option("--out", type=click.Path(path_type=Path), help="A new folder. Default: where bench looks for it.")
def simulate(task: str, events: int, seed: int, jobs: int | None, out: Path | None) -> None:
    """Write simulated files of TASK in the official format; resumes where it was stopped."""
    from hepbench.suite.commands.simulate import simulate

    simulate(task, events, seed, jobs, out, Console())


@commands.command()
@click.argument("task")
@DATA
@click.option("--events", type=click.IntRange(min=100), default=10_000, show_default=True, help=SIMULATED_FIRST)
def validate(task: str, data: str, events: int) -> None:
    """Compare the data of TASK with its calibration figures, line by line."""
    from hepbench.suite.commands.validate import validate

    validate(task, data, events, Console())


@commands.command()
@click.argument("task")
@DATA
@click.option("--events", type=click.IntRange(min=100), default=2_000, show_default=True, help=SIMULATED_FIRST)
def describe(task: str, data: str, events: int) -> None:
    """What TASK is: classes, inputs, files, licence, published results; and a page with pictures of its events."""
    from hepbench.suite.commands.describe import describe

    describe(task, data, events, Console())


@commands.group()
def measure() -> None:
    """Measure this machine on what the suite does; nothing else should run beside it."""


@measure.command("data")
@click.option("--task", "tasks", multiple=True, help="A task; may be repeated. Default: all.")
@click.option("--simulated", type=click.IntRange(min=10), default=2_000, show_default=True, help="Events to simulate.")
@click.option(
    "--read", type=click.IntRange(min=10), default=20_000, show_default=True, help="Events of the file to read."
)
def measure_data(tasks: tuple[str, ...], simulated: int, read: int) -> None:
    """Rates of simulating, reading and opening each task's data, and memory."""
    from hepbench.suite.commands.measure import measure_data

    measure_data(tasks, simulated, read, Console())


@measure.command("models")
@click.option("--task", "tasks", multiple=True, default=("ecal", "qg_jets", "hepmass"), show_default=True)
@click.option(
    "--model", "models", multiple=True, help="A model or a file ./my_model.py; may be repeated. Default: all."
)
@click.option("--events", type=click.IntRange(min=500), default=4_000, show_default=True, help="Events to take.")
@click.option("--seconds", type=click.FloatRange(min=0.01), default=5.0, show_default=True, help="Of each measurement.")
@click.option("--against", help="keras: plain keras.Model.fit; weaver: weaver-core's networks, where installed.")
@DEVICE
@BACKEND
def measure_models(
    tasks: tuple[str, ...],
    models: tuple[str, ...],
    events: int,
    seconds: float,
    against: str | None,
    device: str,
    backend: str,
) -> None:
    """Trainable parameters, FLOPs, and rates of training and prediction of each entry, alone or in turns with another
    program."""
    from hepbench.suite.commands.measure import measure_models

    measure_models(
        tasks,
        models,
        events=events,
        seconds=seconds,
        against=against,
        wanted_device=device,
        backend=backend,
        console=Console(),
    )


@measure.command("parameters")
def measure_parameters() -> None:
    """Build every network for every task and print, as CSV, how many trainable parameters it has."""
    from hepbench.suite.commands.measure import print_parameters

    print_parameters()


OWN_TASK = click.option("--task", help="The file ./my_task.py of the run's task, where it is one: its code runs.")
OWN_MODEL = click.option("--model", help="The file ./my_model.py of the run's model, where it is one: its code runs.")


@measure.command("metrics")
@click.option("--events", type=click.IntRange(min=1_000), default=1_000_000, show_default=True, help="Scores.")
@click.option("--format", "form", default="table", show_default=True, help="table or markdown.")
def measure_metrics(events: int, form: str) -> None:
    """How long the AUC with its error and the paired bootstrap of rejections take, beside sorting the scores."""
    from hepbench.suite.commands.measure_metrics import measure_metrics

    measure_metrics(events, form, Console(stderr=form == "markdown"))


@measure.command("statistics")
@click.option("--toys", type=click.IntRange(min=2), default=4_000, show_default=True, help="Test sets of each study.")
@click.option(
    "--events", type=click.IntRange(min=50), multiple=True, default=(1_000, 10_000), show_default=True, help="Of a toy."
)
@click.option("--format", "form", default="table", show_default=True, help="table or markdown.")
def measure_statistics(toys: int, events: tuple[int, ...], form: str) -> None:
    """Toys: whether intervals cover, how often equal models are told apart, and how often unequal ones."""
    from hepbench.suite.commands.measure_statistics import measure_statistics

    measure_statistics(events, toys, form, Console(stderr=form == "markdown"))


@measure.command("onnx")
@click.option("--task", required=True, help="A task, of which there are finished runs.")
@click.option(
    "--model",
    "models",
    multiple=True,
    help="A model or a file ./my_model.py; may be repeated. Default: all.",
)
@click.option("--seconds", type=click.FloatRange(min=0.01), default=2.0, show_default=True, help="Of each time.")
@click.option("--format", "form", default="table", show_default=True, help="table or markdown.")
def measure_onnx(task: str, models: tuple[str, ...], seconds: float, form: str) -> None:
    """Models of finished runs as ONNX files in ONNX Runtime on one thread, with 32 and 8 bits: agreement, loss of AUC,
    latency, rate."""
    from hepbench.suite.commands.measure_onnx import measure_onnx

    measure_onnx(task, models, seconds, form, Console(stderr=form == "markdown"))


@commands.command()
@click.argument("task")
def rescore(task: str) -> None:
    """Measure every stored run of TASK (a name, a file, or all) again from the scores it keeps, without a training."""
    from hepbench.suite.commands.rescore import rescore

    rescore(task, Console())


@commands.command()
@click.argument("task")
def ensemble(task: str) -> None:
    """Ensembles of the trained models of TASK, chosen by their validation scores, each a row of the leaderboard."""
    from hepbench.suite.commands.ensemble import ensemble

    ensemble(task, Console())


@commands.command()
@click.argument("run")
@click.argument("files", type=click.Path(exists=True, dir_okay=False, path_type=Path), nargs=-1, required=True)
@OWN_TASK
@OWN_MODEL
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), default=Path("scores.parquet"), show_default=True
)
def predict(run: str, files: tuple[Path, ...], task: str | None, model: str | None, out: Path) -> None:
    """Score raw FILES, with labels or without, by the model that RUN saved (its id, or as much of it as is unique)."""
    from hepbench.suite.commands.predict import predict

    predict(run, list(files), out, task, model, Console())


@commands.command()
@click.argument("run")
@click.argument("files", type=click.Path(exists=True, dir_okay=False, path_type=Path), nargs=-1, required=True)
@OWN_TASK
@OWN_MODEL
@click.option("--out", type=click.Path(path_type=Path), help="A new folder. Default: evaluation-RUN.")
def evaluate(run: str, files: tuple[Path, ...], task: str | None, model: str | None, out: Path | None) -> None:
    """Measure the model that RUN saved on labelled FILES, without the events that it was trained on."""
    from hepbench.suite.commands.evaluate import evaluate

    evaluate(run, list(files), out, task, model, Console())


@commands.command("export-model")
@click.argument("run")
@OWN_TASK
@OWN_MODEL
@click.option("--format", "form", default="onnx", show_default=True, help="onnx.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="A file. Default: RUN.onnx.")
def export_model(run: str, task: str | None, model: str | None, form: str, out: Path | None) -> None:
    """Write the model that RUN saved, scaling included, to a file for another program, checked to give the run's scores
    there."""
    from hepbench.suite.commands.export_model import export_model

    export_model(run, form, out, task, model, Console())


@commands.command()
@click.argument("task")
@click.option("--split", default="test", show_default=True, help="train, validation or test.")
@click.option("--labels", is_flag=True, help="With the class of each event.")
@click.option(
    "--events", type=click.IntRange(min=2), help="Events of the dataset; all where it has fewer. Default: the budget's."
)
@BUDGET
@DATA
@click.option("--view", default="", help="Inputs of this view, as exported models take them: table, image or cloud.")
@click.option("--features", default="", help="Of the view: a set of features. Default: the task's first.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="A file. Default: TASK-SPLIT.h5.")
def events(task: str, split: str, out: Path | None, **asked: Any) -> None:
    """Write ids and raw inputs of one part of TASK's events to an HDF5 file, to be scored by other means."""
    from hepbench.suite.commands.events import write

    write(task, split, out, **asked, console=Console())


@commands.command()
@click.argument("task")
@click.argument("scores", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", required=True, help="Of the row.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the training: a row may have several.")
@click.option("--train-events", type=int, help="How many events it was trained on.")
@click.option("--parameters", type=int, help="How many of it were trained.")
@click.option("--latency-ms", type=float, help="Of the prediction of one event.")
@click.option("--url", default="", help="Of a description of it.")
@click.option("--code", default="", help="Address of the code that trained it.")
@click.option("--force", is_flag=True, help="Put these scores in the place of others of the same name and seed.")
def score(task: str, scores: Path, force: bool, **facts: Any) -> None:
    """Rate SCORES, made elsewhere for the events that `hepbench events TASK` gave, and enter them on its leaderboard as
    submitted."""
    from hepbench.suite.commands.score import score

    score(task, scores, facts, force, Console())


@commands.command()
@click.argument("task")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="A file. Default: TASK-results.zip.")
def export(task: str, out: Path | None) -> None:
    """Write every finished result of TASK (a name, a file, or all), scores and records, to one file for another
    machine."""
    from hepbench.suite.commands.exchange import write

    write(task, out, Console())


@commands.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--task", "tasks", multiple=True, help="The file ./my_task.py of a task of its results; may be repeated.")
def import_(file: Path, tasks: tuple[str, ...]) -> None:
    """Check the results in FILE, which `hepbench export` wrote, and put those that are new beside the ones here."""
    from hepbench.suite.commands.exchange import read

    read(file, tasks, Console())


@commands.command("list")
@click.argument("what", default="all")
def list_(what: str) -> None:
    """Tasks, models, metrics and budgets; what is installed, downloaded, simulated. WHAT: one of these alone; models
    come with their trainable parameters on each task."""
    from hepbench.suite.commands.list import print_list

    print_list(what, Console())


@commands.command()
@click.option("--measure", is_flag=True, help="With the machine's rates: matrix products, copies, disk; 20 seconds.")
def doctor(measure: bool) -> None:
    """Versions, devices, store, disk, data files found or missing."""
    from hepbench.suite.commands.doctor import print_doctor

    print_doctor(Console(), measure)


@commands.command()
@click.option("--port", type=click.IntRange(1, 65535), default=5000, show_default=True)
def ui(port: int) -> None:
    """Open the MLflow UI on the same store."""
    from hepbench.suite.commands.ui import open_ui

    open_ui(port, Console())
