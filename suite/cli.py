"""The console script `hepbench`: only its commands; the work is done in the modules they call.

Heavy imports are inside the commands, so that help, list and doctor start fast.
"""

from __future__ import annotations

import errno
import functools
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import rich_click as click
from click import get_current_context
from click.core import ParameterSource

from hepbench.benchmarks.base import UserError
from hepbench.suite import terminal
from hepbench.suite.commands import arguments
from hepbench.suite.commands.arguments import CommandGroup
from hepbench.suite.commands.console import Console
from hepbench.tracking.passwords import masked
from hepbench.tracking.runs import StoreError

if TYPE_CHECKING:
    from hepbench.suite.workers.place import Place

CommandFunction = TypeVar("CommandFunction", bound=Callable[..., Any])

INTERRUPTED = 130  # what shells report for a process that Ctrl-C ended

# Errors of the operating system that the user can fix, as opposed to faults of the program.
REFUSALS = {
    errno.ENOSPC: "disk full: free some space and repeat",
    errno.EDQUOT: "disk quota used up: free some space and repeat",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EROFS: "read-only file system",
    errno.ENAMETOOLONG: "file name too long",
}


def main() -> None:
    """Entry point. Exit status: 0 success, 1 a trial or the program failed, 2 user error, 130 interrupted."""
    terminal.replace_unencodable()
    sys.excepthook = _without_passwords
    sys.unraisablehook = _interrupt_again
    complaints = Console(stderr=True, soft_wrap=True, highlight=False)
    try:
        sys.exit(commands(prog_name="hepbench", standalone_mode=False))
    except click.ClickException as error:
        complaints.print(masked(f"error: {error.format_message()}"))
        sys.exit(2)
    except (UserError, StoreError) as error:
        complaints.print(masked(f"error: {error}"))
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        complaints.print("interrupted; finished work is saved, the same command resumes from there")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # the reader of the pipe has closed it
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:
        if error.errno not in REFUSALS:
            raise
        complaints.print(f"error: {error.filename or 'a file'}: {REFUSALS[error.errno]}")
        sys.exit(2)


def _without_passwords(*raised: Any) -> None:
    """Print a traceback with passwords masked, as libraries may put an address into it."""
    sys.stderr.write(masked("".join(traceback.format_exception(*raised))))


def _interrupt_again(ignored: Any) -> None:
    """Repeat an interrupt that came in a callback of the garbage collector: Python would only print that it is
    ignored."""
    if issubclass(ignored.exc_type, KeyboardInterrupt):
        main = threading.main_thread().ident
        threading.Timer(0.01, signal.pthread_kill, (main, signal.SIGINT)).start()
    else:
        sys.__unraisablehook__(ignored)


HELP = {"theme": "default-slim", "max_width": 100, "show_arguments": False}


@click.group(
    cls=CommandGroup,
    context_settings={"help_option_names": ["-h", "--help"], "rich_help_config": HELP},
    examples=("hepbench list", "hepbench bench ecal", "hepbench leaderboard ecal", "hepbench bench --help"),
)
@click.version_option(package_name="hepbench", message="%(prog)s %(version)s")
@click.command_panel("Train and compare", commands=["bench", "leaderboard", "compare", "plot", "ensemble", "rescore"])
@click.command_panel("Hyper-parameters", commands=["tune", "studies", "optuna-ui", "sweep", "curve"])
@click.command_panel("Tasks and data", commands=["list", "describe", "data", "simulate", "validate"])
@click.command_panel("Trained models", commands=["predict", "evaluate", "export-model", "register", "ui"])
@click.command_panel("External results", commands=["reproduce", "events", "score", "export", "import"])
@click.command_panel("This machine", commands=["doctor", "measure"])
def commands() -> None:
    """Benchmarks of particle-physics classifiers, tracked in MLflow."""


TRAINED, SEARCHED, WITH, WHERE, SHOWN = (
    "Training",
    "Search",
    "Data and device",
    "Execution",
    "Output",
)
"""Headings of the option groups."""

TASK = click.argument("task", type=arguments.TASK)
TASKS = click.argument("tasks", type=arguments.TASK, nargs=-1, callback=arguments.several, metavar="[TASK]...")
ONE_OR_MORE = click.argument(
    "tasks", type=arguments.TASK, nargs=-1, required=True, callback=arguments.several, metavar="TASK..."
)
DATA = click.option(
    "--data",
    type=arguments.DATA,
    default="auto",
    show_default=True,
    help="Data to use; auto: official if available, else simulated.",
    panel=WITH,
)
SIMULATED_FIRST = "Number of events to simulate if none are available."
DEVICE = click.option(
    "--device",
    type=arguments.DEVICE,
    default="auto",
    show_default=True,
    help="Device to use; auto: the GPU if there is one.",
    panel=WITH,
)
BACKEND = click.option(
    "--backend",
    type=arguments.BACKEND,
    default="tensorflow",
    show_default=True,
    help="Keras backend of networks.",
    panel=WITH,
)
EVENTS = click.option(
    "--events",
    type=click.IntRange(min=2),
    help="Maximum number of events taken from the dataset. Default: set by --budget.",
    panel=WITH,
)


def budget_option(panel: str) -> Callable[[CommandFunction], CommandFunction]:
    """The option --budget, under this heading."""
    return click.option(
        "--budget",
        type=arguments.BUDGET,
        default="quick",
        show_default=True,
        help="Preset numbers of events, epochs and seeds; see hepbench list budgets.",
        panel=panel,
    )


BUDGET = budget_option(TRAINED)


def models_option(
    text: str, panel: str | None = None, required: bool = False
) -> Callable[[CommandFunction], CommandFunction]:
    """The option --model of commands that take several models."""
    return click.option(
        "--model",
        "-m",
        "models",
        multiple=True,
        required=required,
        type=arguments.MODEL,
        callback=arguments.several,
        metavar="NAME,...",
        help=text,
        panel=panel,
    )


FILES_TOO = "Model names or files (./my_model.py), comma-separated or repeated."
DRY_RUN = click.option("--dry-run", is_flag=True, help="Print what would run and exit.", panel=SHOWN)
FORCE = click.option("--force", is_flag=True, help="Rerun trials that already have results.", panel=TRAINED)
FORM_HELP = "Output format."
TEXT_FORMAT = click.option(
    "--format", "form", type=arguments.TEXT_FORMAT, default="table", show_default=True, help=FORM_HELP, panel=SHOWN
)


def _columns(context: click.Context, option: click.Parameter, texts: Sequence[str]) -> tuple[str, ...]:
    """Names of columns; "energy" stands for all of `ranking.ENERGY`."""
    from hepbench.tracking.leaderboard.ranking import ENERGY

    names = arguments.several(context, option, texts)
    return tuple(one for name in names for one in (ENERGY if name == "energy" else [name]))


COLUMNS = click.option(
    "--columns",
    multiple=True,
    type=arguments.COLUMN,
    callback=_columns,
    metavar="NAME,...",
    help="Columns to show instead of the default ones: metrics, times, hardware utilisation, energy.",
    panel=SHOWN,
)


def model_of(what: str) -> Callable[[CommandFunction], CommandFunction]:
    """The option --model of commands that take a single model."""
    return click.option(
        "--model",
        "-m",
        multiple=True,
        required=True,
        type=arguments.MODEL,
        callback=arguments.one,
        metavar="NAME",
        help=f"{what} name or file (./my_model.py).",
        panel=TRAINED,
    )


def _settings(context: click.Context, option: click.Parameter, texts: Sequence[str]) -> dict[str, str]:
    """name -> value, both as text, from "name=value"."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise UserError(f"--set {text}: give it as name=value")
        if name in found:
            raise UserError(f"--set {name} is given twice: give it once")
        found[name] = value
    return found


def settings(what: str) -> Callable[[CommandFunction], CommandFunction]:
    """The option --set; the command takes it as a dict of texts."""
    return click.option(
        "--set",
        "settings",
        multiple=True,
        callback=_settings,
        metavar="NAME=VALUE",
        help=f"Set {what}; may be repeated.",
        panel=TRAINED,
    )


FOR_CLUSTER = ("queue", "cores_per_worker", "gpus_per_worker", "memory_per_worker", "walltime")


def _refuse_unused(names: Sequence[str], reason: str) -> None:
    """UserError if one of these options of the command is given, which would have no effect."""
    context = get_current_context()
    for name in names:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise UserError(f"--{name.replace('_', '-')}: {reason}; omit it")


def workers(command: CommandFunction) -> CommandFunction:
    """The options for where trials run; the command takes them as one `place`."""

    @click.option(
        "--jobs",
        type=click.IntRange(min=1),
        help="Number of parallel trials. Default: one per GPU, or one using all cores.",
        panel=WHERE,
    )
    @click.option("--share-gpu", is_flag=True, help="Allow several jobs per GPU.", panel=WHERE)
    @click.option(
        "--scheduler",
        help="Address of a running Dask scheduler, tcp://host:port, whose workers run the trials.",
        panel=WHERE,
    )
    @click.option(
        "--cluster", type=arguments.CLUSTER, help="Batch system to which --jobs workers are submitted.", panel=WHERE
    )
    @click.option("--queue", help="Queue (Slurm partition) of the cluster.", panel=WHERE)
    @click.option(
        "--cores-per-worker",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        help="CPU cores of a worker job.",
        panel=WHERE,
    )
    @click.option(
        "--gpus-per-worker",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        help="GPUs of a worker job.",
        panel=WHERE,
    )
    @click.option("--memory-per-worker", default="8GB", show_default=True, help="Memory of a worker job.", panel=WHERE)
    @click.option("--walltime", help="Time limit of a worker job, e.g. 04:00:00.", panel=WHERE)
    @click.option("--print-job-script", is_flag=True, help="Print the job script and exit.", panel=WHERE)
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
        if cluster and scheduler:
            raise UserError("--cluster starts workers and --scheduler uses running ones: give only one of them")
        _refuse_unused(FOR_CLUSTER if not cluster else (), "only with --cluster")
        _refuse_unused(("share_gpu",) if cluster or scheduler else (), "only for trials on this machine")
        _refuse_unused(("jobs",) if scheduler else (), "the workers of --scheduler are already running")
        if cluster:
            from hepbench.suite.workers.batch_system import BatchSystem

            batch = BatchSystem(cluster, queue, cores_per_worker, gpus_per_worker, memory_per_worker, walltime)
        if print_job_script:
            if batch is None:
                raise UserError("--print-job-script needs --cluster slurm or htcondor")
            click.echo(batch.job_script())
            return 0
        return command(place=Place(jobs, share_gpu, scheduler, batch), **options)

    return cast(CommandFunction, with_place)


@commands.command(
    short_help="Train and test models on tasks and print the leaderboard.",
    examples=(
        "hepbench bench ecal",
        "hepbench bench ecal magic -m cnn,gbdt --seeds 3 --budget standard",
        "hepbench bench magic -m ./my_tagger.py --set width=128",
        "hepbench bench pxd_clusters:all --dry-run",
        "hepbench bench qg_jets -m gbdt,pfn --shift all",
        "hepbench bench qg_jets -m all --cluster slurm --jobs 20 --queue gpu",
    ),
)
@TASKS
@models_option(
    "Model names, files (./my_model.py) or all, comma-separated or repeated. Default: one model of each kind.", TRAINED
)
@settings("a hyper-parameter of the models")
@click.option(
    "--batch-size",
    metavar="N|auto",
    help="Batch size of networks (same as --set batch_size); auto: the largest power of two that fits in memory, at "
    "most 32,768 and with at least 16 steps per epoch.",
    panel=TRAINED,
)
@click.option(
    "--seeds",
    type=int,
    help="Number of training runs (seeds) per model. Default: set by --budget.",
    panel=TRAINED,
)
@click.option("--seed", "exact", type=int, multiple=True, help="Run exactly this seed; may be repeated.", panel=TRAINED)
@EVENTS
@BUDGET
@DEVICE
@BACKEND
@DATA
@click.option("--tuned", is_flag=True, help="Use the best hyper-parameters found by a tuning study.", panel=TRAINED)
@click.option(
    "--from",
    "start",
    default="",
    metavar="RUN",
    help="Initialise the network from the weights of this finished run, given by its id (fine-tuning).",
    panel=TRAINED,
)
@FORCE
@click.option(
    "--shift",
    "shifts",
    multiple=True,
    callback=arguments.several,
    metavar="NAME,...",
    help="Also evaluate the trained models on these shifted samples (or all); they are never trained on.",
    panel=WITH,
)
@workers
@COLUMNS
@DRY_RUN
def bench(
    tasks: tuple[str, ...],
    models: tuple[str, ...],
    settings: dict[str, str],
    batch_size: str | None,
    seeds: int | None,
    exact: tuple[int, ...],
    events: int | None,
    start: str,
    budget: str,
    device: str,
    backend: str,
    data: str,
    tuned: bool,
    shifts: tuple[str, ...],
    columns: tuple[str, ...],
    place: Place,
    dry_run: bool,
    force: bool,
) -> int:
    """Train and test models on each TASK (a name, a file ./my_task.py, all, or <task>:all for its variants) and print
    the leaderboard; variants share one table."""
    from hepbench.benchmarks import registry
    from hepbench.suite.campaign import request
    from hepbench.suite.commands.bench import bench, bench_variants

    console = Console()
    if not tasks:
        from hepbench.suite.commands.list import print_list

        print_list("tasks", console)
        raise UserError("give a task: hepbench bench ecal, or make bench TASK=ecal")
    if columns and any(word.endswith(":all") for word in tasks):
        raise UserError("a table of variants has one metric per cell: omit --columns, or bench a single variant")
    if exact and seeds is not None:
        raise UserError("--seeds is a number of seeds and --seed is one of them: give only one of these options")
    if batch_size is not None:
        if "batch_size" in settings:
            raise UserError("--batch-size and --set batch_size are the same option: give only one of them")
        settings = {**settings, "batch_size": batch_size}
    every = {
        word: [
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
                place=place,
            )
            for one in registry.expand(word)
        ]
        for word in tasks
    }
    failed = 0
    for word, some in every.items():
        if word.endswith(":all"):
            failed += bench_variants(some, tuned=tuned, dry=dry_run, place=place, console=console, shifts=shifts)
            continue
        for asked in some:
            failed += bench(
                asked, tuned=tuned, dry=dry_run, columns=columns, place=place, console=console, shifts=shifts
            )
    return min(failed, 1)


@commands.command(
    short_help="Reproduce a study and compare its published numbers with ours.",
    examples=(
        "hepbench reproduce --list",
        "hepbench reproduce ecal_cnn --dry-run",
        "hepbench reproduce qg_particlenet --budget quick",
    ),
)
@click.argument("study", type=arguments.STUDY, required=False)
@click.option(
    "--only",
    multiple=True,
    metavar="EXPERIMENT",
    help="Run only this experiment of the study; may be repeated. Default: all.",
    panel=TRAINED,
)
@click.option(
    "--seeds",
    type=int,
    help="Number of training runs (seeds) per experiment. Default: set by --budget.",
    panel=TRAINED,
)
@click.option(
    "--budget",
    type=arguments.BUDGET,
    default="full",
    show_default=True,
    help="full: the events and epochs of the original study; the others use fewer.",
    panel=TRAINED,
)
@FORCE
@DEVICE
@BACKEND
@DATA
@workers
@TEXT_FORMAT
@click.option("--list", "listed", is_flag=True, help="List the studies and exit.", panel=SHOWN)
@DRY_RUN
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
    """Reproduce the experiments of STUDY and compare each published number with ours, printed and as an HTML page."""
    from hepbench.suite.commands.reproduce import print_studies, reproduce

    if listed:
        print_studies(Console())
        return 0
    if study is None:
        raise UserError("give a study; hepbench reproduce --list shows them")
    from hepbench.suite.reproduce import request

    asked = request(
        study,
        only=only,
        budget=budget,
        seeds=seeds,
        device=device,
        backend=backend,
        data=data,
        force=force,
        place=place,
    )
    console = Console(stderr=form == "markdown")
    return min(reproduce(asked, dry=dry_run, form=form, place=place, console=console), 1)


@commands.command(
    short_help="Search the hyper-parameters of a model on a task and test the best trial.",
    examples=(
        "hepbench tune pxd_clusters -m mlp --trials 30",
        "hepbench tune qg_jets -m pfn --objective auc --objective latency",
        "hepbench tune ecal -m cnn --timeout 1h --max-parameters 100k --jobs 4",
    ),
)
@TASK
@model_of("Model")
@click.option(
    "--trials", type=int, help="Total number of trials of the study. Default: set by --budget.", panel=SEARCHED
)
@click.option(
    "--timeout",
    help="Stop the search after this time, e.g. 30m or 1h; the same command resumes it.",
    panel=SEARCHED,
)
@click.option(
    "--sampler",
    type=arguments.SAMPLER,
    default="tpe",
    show_default=True,
    help="Optuna sampler.",
    panel=SEARCHED,
)
@click.option(
    "--pruner", type=arguments.PRUNER, default="median", show_default=True, help="Optuna pruner.", panel=SEARCHED
)
@click.option(
    "--objective",
    "objectives",
    type=arguments.METRIC,
    multiple=True,
    callback=arguments.several,
    default=("auc",),
    show_default=True,
    metavar="NAME,...",
    help="A metric, or two objectives: a metric and one of latency, parameters or train_seconds.",
    panel=SEARCHED,
)
@click.option("--max-latency", help="Maximum latency per event, e.g. 1ms.", panel=SEARCHED)
@click.option("--max-parameters", help="Maximum number of trainable parameters, e.g. 100k.", panel=SEARCHED)
@click.option("--study", "name", help="Name of the study. Default: TASK-MODEL-BUDGET.", panel=SEARCHED)
@settings("a hyper-parameter that is not searched")
@click.option(
    "--seeds",
    type=int,
    default=5,
    show_default=True,
    help="Number of new seeds on which the best trial and the defaults are retrained.",
    panel=TRAINED,
)
@BUDGET
@DEVICE
@BACKEND
@DATA
@workers
def tune(place: Place, **options: Any) -> int:
    """Search the hyper-parameters of a model on TASK, then test the best trial and the defaults on new seeds."""
    from hepbench.suite.commands.tune import tune
    from hepbench.suite.tuning.study_spec import StudyRequest, resolve

    return min(tune(resolve(StudyRequest(**options), place), place, Console()), 1)


@commands.command(
    short_help="Measure the cost of each batch size, and which one trains fastest.",
    examples=("hepbench sweep pxd_pixels -m mlp_pxd_study", "hepbench sweep magic -m mlp --batch-sizes 32,256,2048"),
)
@TASK
@model_of("Network")
@click.option(
    "--batch-sizes",
    default="",
    help="Batch sizes, e.g. 32,256,2048. Default: 11 sizes from 32 to 40,960.",
    panel=TRAINED,
)
@click.option(
    "--epochs",
    default="",
    help="Number of epochs, or one number per batch size. Default: the model's, limited by --budget.",
    panel=TRAINED,
)
@click.option(
    "--target",
    type=float,
    help="Validation AUC to reach. Default: 99 % of the way from 0.5 to the best.",
    panel=TRAINED,
)
@settings("a hyper-parameter")
@click.option(
    "--seeds",
    type=int,
    default=1,
    show_default=True,
    help="Number of training runs per batch size.",
    panel=TRAINED,
)
@EVENTS
@BUDGET
@FORCE
@click.option(
    "--device",
    type=arguments.DEVICE,
    default="auto",
    show_default=True,
    help="Devices to use; auto: the CPU, and the GPU if there is one.",
    panel=WITH,
)
@BACKEND
@DATA
@DRY_RUN
def sweep(task: str, model: str, dry_run: bool, **options: Any) -> int:
    """Measure the cost of each batch size of a network on TASK, on each device, and which batch size reaches the target
    AUC fastest; training runs are sequential."""
    from hepbench.suite.commands.sweep import sweep
    from hepbench.suite.sweep import request

    return min(sweep(request(task, model, **options), dry=dry_run, console=Console()), 1)


@commands.command(
    short_help="Measure learning curves: scores versus the number of training events.",
    examples=("hepbench curve ecal -m gbdt,mlp", "hepbench curve magic -m mlp --train-events 500,2000,8000 --dry-run"),
)
@TASK
@models_option(FILES_TOO, TRAINED, required=True)
@click.option(
    "--train-events",
    default="",
    help="Numbers of training events, e.g. 500,2000,8000. Default: all, 1/2, 1/4 ... 1/64.",
    panel=TRAINED,
)
@settings("a hyper-parameter of the models")
@click.option(
    "--seeds",
    type=int,
    help="Training runs on the full training set; one more per factor of four fewer events. Default: set by --budget, "
    "at least 2.",
    panel=TRAINED,
)
@click.option(
    "--seed",
    "exact",
    type=int,
    multiple=True,
    help="Run exactly this seed at each number of events; may be repeated.",
    panel=TRAINED,
)
@EVENTS
@BUDGET
@DEVICE
@BACKEND
@DATA
@workers
@TEXT_FORMAT
@DRY_RUN
@FORCE
def curve(task: str, models: tuple[str, ...], place: Place, form: str, dry_run: bool, **options: Any) -> int:
    """Measure learning curves: train models on increasing numbers of events of TASK and test each on the same test
    set."""
    from hepbench.suite.commands.curve import curve
    from hepbench.suite.curve import request

    asked = request(task, models, place=place, **options)
    return min(curve(asked, dry=dry_run, form=form, place=place, console=Console(stderr=form == "markdown")), 1)


@commands.command()
def studies() -> None:
    """List the tuning studies with their trials and best values."""
    from hepbench.suite.commands.studies import print_studies

    print_studies(Console())


@commands.command("optuna-ui")
@click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True, help="Port of the server.")
def optuna_ui(port: int) -> None:
    """Start optuna-dashboard on the tuning studies."""
    from hepbench.suite.commands.studies import dashboard

    dashboard(port, Console())


@commands.command(
    short_help="Print the rankings from stored results.",
    examples=(
        "hepbench leaderboard",
        "hepbench leaderboard ecal magic --columns recall,latency_ms",
        "hepbench leaderboard ecal --max-latency 1ms --sort train_seconds",
        "hepbench leaderboard ecal --metric rejection_50 -m cnn,gbdt --pairs",
        "hepbench leaderboard ecal --open",
        "hepbench leaderboard all --format csv > results.csv",
    ),
)
@TASKS
@click.option(
    "--format", "form", type=arguments.FORMAT, default="table", show_default=True, help=FORM_HELP, panel=SHOWN
)
@COLUMNS
@click.option(
    "--metric",
    type=arguments.METRIC,
    default="auc",
    show_default=True,
    help="Ranking metric; ties (=) by its paired test if it has one.",
    panel=SHOWN,
)
@click.option(
    "--sort",
    default="",
    type=arguments.COLUMN,
    help="Sort rows by this column; ranks are unchanged. Default: by rank.",
    panel=SHOWN,
)
@models_option("Show only these models; ranks are unchanged.", SHOWN)
@click.option(
    "--max-latency", default="", help="Show only rows with at most this latency per event, e.g. 1ms.", panel=SHOWN
)
@click.option("--target", type=float, help="Add a column: training time to this validation AUC, e.g. 0.9.", panel=SHOWN)
@click.option(
    "--pairs",
    is_flag=True,
    help="Also show the differences between all rows, tested on the same events (formats other than table: only "
    "these).",
    panel=SHOWN,
)
@click.option("--page", is_flag=True, help="Regenerate the HTML page, as every bench does.", panel=SHOWN)
@click.option("--open", "opened", is_flag=True, help="Regenerate the HTML page and open it in a browser.", panel=SHOWN)
def leaderboard(tasks: tuple[str, ...], models: tuple[str, ...], max_latency: str, sort: str, **options: Any) -> None:
    """Print the ranking of each TASK (a name or a file; default: all tasks) from stored results, without training;
    <task>:all shows its variants side by side."""
    from hepbench.suite.commands.leaderboard import Shown, print_leaderboard
    from hepbench.tracking.leaderboard.selection import Selection

    milliseconds = None
    if max_latency:
        from hepbench.suite.tuning.study_spec import seconds_of

        milliseconds = 1e3 * seconds_of(max_latency)
    shown = Shown(Selection(models, milliseconds, sort), **options)
    print_leaderboard(tasks or ("all",), shown, Console())


def _names(context: click.Context, option: click.Parameter, texts: Sequence[str]) -> tuple[str, ...]:
    """Names from "a,b", given once or more."""
    return tuple(name for text in texts for name in arguments.not_empty(option, map(str.strip, text.split(","))))


@commands.command(
    short_help="Draw one plot of a leaderboard, as a file for a paper.",
    examples=(
        "hepbench plot ecal --models cnn,gbdt --kind rejection --out figure.pdf",
        "hepbench plot ecal --kind pareto --x-axis parameters",
    ),
)
@TASK
@click.option(
    "--kind",
    type=arguments.KIND,
    default="rejection",
    show_default=True,
    metavar="KIND",
    help="roc, rejection, auc, pareto, learning, calibration or slices.",
)
@click.option(
    "--models",
    "--model",
    "-m",
    "names",
    multiple=True,
    type=arguments.MODEL,
    callback=_names,
    metavar="NAME,...",
    help='Rows by name, e.g. cnn,gbdt or "gbdt rounds=300". Default: the first rows of the table.',
)
@click.option(
    "--metric",
    type=arguments.METRIC,
    default="auc",
    show_default=True,
    help="Metric, only for the kinds auc, pareto, learning and slices.",
)
@click.option(
    "--x-axis",
    type=arguments.COLUMN,
    default="latency_ms",
    show_default=True,
    help="x axis, only of --kind pareto: a cost.",
)
@click.option(
    "--budget",
    type=arguments.BUDGET,
    help="Budget of the results. Default: that of the latest table with all these models.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Output file, .pdf, .png or .svg. Default: TASK-KIND.pdf.",
)
def plot(task: str, kind: str, names: tuple[str, ...], **options: Any) -> None:
    """Draw one plot of TASK's leaderboard from stored results, as a file for a paper."""
    from hepbench.suite.commands.plot import plot

    plot(task, kind, names, console=Console(), **options)


@commands.command(
    short_help="Register the best trained model of a task in MLflow.",
    examples=("hepbench register ecal", "hepbench register ecal --alias best --budget standard"),
)
@TASK
@click.option("--run", help="Run id, or a unique prefix of it. Default: the best run of the ranking.")
@click.option(
    "--budget", type=arguments.BUDGET, help="Budget whose best model is registered, if there are results of several."
)
@click.option("--name", help="Registered model name in MLflow. Default: the task's name.")
@click.option("--alias", default="champion", show_default=True, help="Alias assigned to the new version.")
def register(task: str, run: str | None, budget: str | None, name: str | None, alias: str) -> None:
    """Register the best trained model of TASK in MLflow under a name and an alias."""
    from hepbench.suite.commands.register import register

    register(task, run, budget, name, alias, Console())


@commands.command(
    short_help="Compare two results on the same test events.",
    examples=("hepbench compare ecal cnn gbdt", 'hepbench compare magic "gbdt rounds=300" mine.parquet'),
)
@TASK
@click.argument("a")
@click.argument("b")
@click.option(
    "--budget",
    type=arguments.BUDGET,
    help="Compare only results of this budget. Default: the latest two on the same test events.",
)
def compare(task: str, a: str, b: str, budget: str | None) -> None:
    """Compare two stored results of TASK on the same test events. A and B are each a model, a model with its settings
    ("gbdt rounds=300"), "gbdt tuned", a study, the id of a configuration or a run, or a file of scores as for
    `hepbench score`."""
    from hepbench.suite.commands.compare import compare

    compare(task, a, b, budget, Console())


@commands.command(short_help="Download the official files of tasks.")
@ONE_OR_MORE
@click.option(
    "--files", type=click.IntRange(min=1), help="Download only the first N files, if the task can be run with fewer."
)
def data(tasks: tuple[str, ...], files: int | None) -> None:
    """Download the official files of each TASK, or say where to put files downloaded by hand."""
    from hepbench.suite.commands.download import fetch

    for name in arguments.each(tasks):
        fetch(name, files, Console())


@commands.command(short_help="Simulate events of a task, in files of the official format.")
@TASK
@click.option("--events", type=click.IntRange(min=2), required=True, help="Number of events, all classes together.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the simulation.")
@click.option("--jobs", type=click.IntRange(min=1), help="Number of processes. Default: one per core.")
@click.option("--out", type=click.Path(path_type=Path), help="New output folder. Default: where bench finds it.")
def simulate(task: str, events: int, seed: int, jobs: int | None, out: Path | None) -> None:
    """Simulate events of TASK and write them to files in the official format; resumes where it was stopped."""
    from hepbench.suite.commands.simulate import simulate

    simulate(task, events, seed, jobs, out, Console())


@commands.command(short_help="Compare the data of tasks with calibration figures.")
@ONE_OR_MORE
@DATA
@click.option(
    "--events", type=click.IntRange(min=100), default=10_000, show_default=True, help=SIMULATED_FIRST, panel=WITH
)
def validate(tasks: tuple[str, ...], data: str, events: int) -> None:
    """Compare the data of each TASK with its calibration figures, one by one."""
    from hepbench.suite.commands.validate import validate

    for name in arguments.each(tasks):
        validate(name, data, events, Console())


@commands.command(short_help="Describe tasks: classes, inputs, files, published results, pictures.")
@ONE_OR_MORE
@DATA
@click.option(
    "--events", type=click.IntRange(min=100), default=2_000, show_default=True, help=SIMULATED_FIRST, panel=WITH
)
def describe(tasks: tuple[str, ...], data: str, events: int) -> None:
    """Describe each TASK: classes, inputs, files, licence and published results, and an HTML page with pictures of its
    events."""
    from hepbench.suite.commands.describe import describe

    for name in arguments.each(tasks):
        describe(name, data, events, Console())


@commands.group(cls=CommandGroup, examples=("hepbench measure models --task ecal -m cnn,gbdt",))
def measure() -> None:
    """Benchmark this machine; it should be otherwise idle."""


@measure.command("data", short_help="Measure how fast data are simulated, read and opened.")
@click.option(
    "--task",
    "tasks",
    type=arguments.TASK,
    multiple=True,
    callback=arguments.several,
    metavar="NAME,...",
    help="Task names or files (./my_task.py), comma-separated or repeated. Default: all.",
)
@click.option(
    "--simulated", type=click.IntRange(min=10), default=2_000, show_default=True, help="Number of events to simulate."
)
@click.option(
    "--read",
    type=click.IntRange(min=10),
    default=20_000,
    show_default=True,
    help="Number of events in the file to read.",
)
def measure_data(tasks: tuple[str, ...], simulated: int, read: int) -> None:
    """Measure how fast the data of each task are simulated, read and opened, and the memory used."""
    from hepbench.suite.commands.measure import measure_data

    measure_data(tasks, simulated, read, Console())


@measure.command("models", short_help="Measure rates of training and prediction.")
@click.option(
    "--task",
    "tasks",
    type=arguments.TASK,
    multiple=True,
    callback=arguments.several,
    default=("ecal", "qg_jets", "hepmass"),
    show_default=True,
    metavar="NAME,...",
    help="Task names or files (./my_task.py), comma-separated or repeated.",
)
@models_option(f"{FILES_TOO} Default: all.")
@click.option(
    "--events", type=click.IntRange(min=500), default=4_000, show_default=True, help="Number of events to use."
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0.01),
    default=5.0,
    show_default=True,
    help="Duration of each measurement, s.",
)
@click.option(
    "--against",
    type=arguments.PROGRAM,
    help="Program to compare with: plain keras.Model.fit, or the networks of weaver-core (if installed).",
)
@click.option(
    "--mode",
    "modes",
    type=arguments.MODE,
    multiple=True,
    callback=arguments.several,
    metavar="NAME,...",
    help="Modes of weaver: as-installed, memory-kept, compile, compile-optimizer; the last three keep freed memory. "
    "Default: all.",
)
@DEVICE
@BACKEND
def measure_models(
    tasks: tuple[str, ...],
    models: tuple[str, ...],
    events: int,
    seconds: float,
    against: str | None,
    modes: tuple[str, ...],
    device: str,
    backend: str,
) -> None:
    """Measure trainable parameters, FLOPs, and rates of training and prediction of each model, alone or interleaved
    with another program."""
    from hepbench.suite.commands.measure import measure_models

    measure_models(
        tasks,
        models,
        events=events,
        seconds=seconds,
        against=against,
        modes=modes,
        wanted_device=device,
        backend=backend,
        console=Console(),
    )


@measure.command("gpu", short_help="Run all measurements that need a GPU.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("gpu-check"),
    show_default=True,
    help="Output folder.",
)
@click.option(
    "--only",
    type=arguments.GPU_PART,
    multiple=True,
    callback=arguments.several,
    metavar="PART,...",
    help="Parts to run: machine, data, rates, entries, memory, logged, seeds, precision, batches. Default: all, in "
    "this order.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=1),
    default=570,
    show_default=True,
    help="Maximum duration of all parts together, s.",
)
@click.option("--dry-run", is_flag=True, help="Run on the CPU with a few events (the default without a GPU).")
def measure_gpu(out: Path, only: tuple[str, ...], seconds: float, dry_run: bool) -> int:
    """Run all measurements that need a GPU, with JAX, in ten minutes: every entry on its tasks compared with the CPU,
    rates compared with weaver-core, 16-bit precision, batches that exceed the memory, energy in MLflow, several seeds
    at once."""
    from hepbench.suite.commands.measure_gpu import measure_gpu

    return min(measure_gpu(out, only, seconds, dry_run, Console()), 1)


@measure.command("start", short_help="Measure the start-up time up to the first training step.")
@click.option("--task", type=arguments.TASK, default="ecal", show_default=True, help="Task name or file.")
@models_option(f"{FILES_TOO} Networks only.", required=True)
@click.option("--events", type=click.IntRange(min=100), default=1_000, show_default=True, help="Number of events.")
@DEVICE
@BACKEND
def measure_start(task: str, models: tuple[str, ...], events: int, device: str, backend: str) -> None:
    """Measure the start-up time of a new process up to its first training step: imports, data, compilation; on JAX also
    with a warm compilation cache."""
    from hepbench.suite.commands.measure_start import measure_start

    measure_start(task, models, events, device, backend, Console())


@measure.command("parameters", short_help="Print the numbers of trainable parameters as CSV.")
def measure_parameters() -> None:
    """Build every network for every task and print the numbers of trainable parameters as CSV."""
    from hepbench.suite.commands.measure import print_parameters

    print_parameters()


OWN_TASK = click.option(
    "--task", help="File of the run's task, if it is your own (./my_task.py); its code is executed."
)
OWN_MODEL = click.option(
    "--model", "-m", help="File of the run's model, if it is your own (./my_model.py); its code is executed."
)
PLAIN_FORMAT = click.option(
    "--format", "form", type=arguments.TEXT_FORMAT, default="table", show_default=True, help=FORM_HELP
)


@measure.command("metrics", short_help="Measure the computing time of metrics.")
@click.option(
    "--events", type=click.IntRange(min=1_000), default=1_000_000, show_default=True, help="Number of scores."
)
@PLAIN_FORMAT
def measure_metrics(events: int, form: str) -> None:
    """Measure the computing time of the AUC with its error and of the paired bootstrap of rejections, compared with
    sorting the scores."""
    from hepbench.suite.commands.measure_metrics import measure_metrics

    measure_metrics(events, form, Console(stderr=form == "markdown"))


@measure.command("statistics", short_help="Run toy studies of the intervals and tests.")
@click.option("--toys", type=click.IntRange(min=2), default=4_000, show_default=True, help="Number of toys per study.")
@click.option(
    "--events",
    type=click.IntRange(min=50),
    multiple=True,
    default=(1_000, 10_000),
    show_default=True,
    help="Number of test events per toy; may be repeated.",
)
@PLAIN_FORMAT
def measure_statistics(toys: int, events: tuple[int, ...], form: str) -> None:
    """Run toy studies: coverage of the intervals, and type I error rate and power of the tests."""
    from hepbench.suite.commands.measure_statistics import measure_statistics

    measure_statistics(events, toys, form, Console(stderr=form == "markdown"))


@measure.command("monitor", short_help="Measure the overhead of hardware monitoring.")
@click.option("--seconds", type=click.FloatRange(min=0.1), default=120.0, show_default=True, help="Total duration, s.")
def measure_monitor(seconds: float) -> None:
    """Measure the overhead of hardware monitoring: the same work with and without it, interleaved."""
    from hepbench.suite.commands.measure_monitor import measure_monitor

    measure_monitor(seconds, Console())


@measure.command(
    "step",
    short_help="Profile one training step of networks.",
    examples=("hepbench measure step --task ecal -m gnn,cnn",),
)
@click.option("--task", type=arguments.TASK, required=True, help="Task name or file.")
@models_option(f"{FILES_TOO} Networks only.", required=True)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0.01),
    default=5.0,
    show_default=True,
    help="Duration of each measurement, s.",
)
@PLAIN_FORMAT
@DEVICE
def measure_step(task: str, models: tuple[str, ...], seconds: float, form: str, device: str) -> None:
    """Profile one training step of each network by kernel and layer, compared with the measured peak rates of the
    machine."""
    from hepbench.suite.commands.measure_step import measure_step

    measure_step(task, models, seconds, form, device, Console(stderr=form != "table"))


@measure.command("onnx", short_help="Measure models as ONNX files, in 32 and 8 bits.")
@click.option(
    "--task",
    "tasks",
    type=arguments.TASK,
    multiple=True,
    required=True,
    callback=arguments.several,
    metavar="NAME,...",
    help="Tasks with finished runs, comma-separated or repeated.",
)
@models_option(f"{FILES_TOO} Default: all.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=0),
    default=2.0,
    show_default=True,
    help="Duration of each timing, s; 0: no timing.",
)
@click.option("--format", "form", type=arguments.ONNX_FORMAT, default="table", show_default=True, help=FORM_HELP)
def measure_onnx(tasks: tuple[str, ...], models: tuple[str, ...], seconds: float, form: str) -> None:
    """Evaluate models of finished runs as ONNX files in ONNX Runtime on one thread, in 32-bit precision and with 8-bit
    quantisation: agreement, loss of AUC, latency, rate."""
    from hepbench.suite.commands.measure_onnx import measure_onnx

    measure_onnx(tasks, models, seconds, form, Console(stderr=form != "table"))


@commands.command(short_help="Recompute all metrics of stored runs, without retraining.")
@ONE_OR_MORE
def rescore(tasks: tuple[str, ...]) -> None:
    """Recompute all metrics of the stored runs of each TASK (a name, a file, or all) from their scores, without
    retraining."""
    from hepbench.suite.commands.rescore import rescore

    rescore(tasks, Console())


@commands.command(short_help="Build ensembles of trained models and of seeds.")
@ONE_OR_MORE
def ensemble(tasks: tuple[str, ...]) -> None:
    """Build ensembles of the trained models of each TASK, chosen by validation scores, and of the seeds of each model,
    as rows of the leaderboard."""
    from hepbench.suite.commands.ensemble import ensemble

    ensemble(tasks, Console())


@commands.command(short_help="Score raw files with a trained model.")
@click.argument("run")
@click.argument("files", type=click.Path(exists=True, dir_okay=False, path_type=Path), nargs=-1, required=True)
@OWN_TASK
@OWN_MODEL
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Output file. Default: scores.parquet, if there is no such file yet.",
)
def predict(run: str, files: tuple[Path, ...], task: str | None, model: str | None, out: Path | None) -> None:
    """Score raw FILES, with or without labels, with the model of RUN (id or unique prefix)."""
    from hepbench.suite.commands.predict import predict

    predict(run, list(files), out, task, model, Console())


@commands.command(short_help="Evaluate a trained model on labelled files.")
@click.argument("run")
@click.argument("files", type=click.Path(exists=True, dir_okay=False, path_type=Path), nargs=-1, required=True)
@OWN_TASK
@OWN_MODEL
@click.option("--out", type=click.Path(path_type=Path), help="New output folder. Default: evaluation-RUN.")
def evaluate(run: str, files: tuple[Path, ...], task: str | None, model: str | None, out: Path | None) -> None:
    """Evaluate the model of RUN (id or unique prefix) on labelled FILES, excluding events of its training and
    validation sets."""
    from hepbench.suite.commands.evaluate import evaluate

    evaluate(run, list(files), out, task, model, Console())


@commands.command("export-model", short_help="Export a trained model to ONNX, or to an FPGA project with hls4ml.")
@click.argument("run")
@OWN_TASK
@OWN_MODEL
@click.option("--format", "form", type=arguments.MODEL_FORMAT, default="onnx", show_default=True, help=FORM_HELP)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Output file, or folder of the hls4ml project. Default: RUN.onnx or RUN-hls4ml.",
)
def export_model(run: str, task: str | None, model: str | None, form: str, out: Path | None) -> None:
    """Export the model of RUN (id or unique prefix), including the scaling of its inputs, to an ONNX file, which is
    checked to reproduce the run's scores; with --format hls4ml, a dense or small convolutional network to an FPGA
    project, with its C simulation."""
    from hepbench.suite.commands.export_model import export_model

    export_model(run, form, out, task, model, Console())


@commands.command(short_help="Write the events of a task to an HDF5 file, for external scoring.")
@TASK
@click.option("--split", type=arguments.PART, default="test", show_default=True, help="Set of events to write.")
@click.option("--labels", is_flag=True, help="Include the labels.")
@EVENTS
@budget_option(WITH)
@DATA
@click.option(
    "--view",
    default="",
    help="Write the inputs of this view (table, image or cloud), as exported models take them. Default: raw inputs.",
)
@click.option("--features", default="", help="Feature set of --view. Default: the task's first.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Output file. Default: TASK-SPLIT.h5.")
def events(task: str, split: str, out: Path | None, **asked: Any) -> None:
    """Write ids and raw inputs of the training, validation or test set of TASK to an HDF5 file, for external
    scoring."""
    from hepbench.suite.commands.events import write

    write(task, split, out, **asked, console=Console())


@commands.command(short_help="Evaluate external scores and add them to the leaderboard.")
@TASK
@click.argument("scores", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", required=True, help="Name of the row.")
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Seed of the training run; a row may have several."
)
@click.option("--train-events", type=int, help="Number of training events.")
@click.option("--parameters", type=int, help="Number of trainable parameters.")
@click.option("--latency-ms", type=float, help="Latency per event, ms.")
@click.option("--url", default="", help="URL of a description.")
@click.option("--code", default="", help="URL of the training code.")
@click.option("--force", is_flag=True, help="Overwrite existing scores of the same name and seed.")
def score(task: str, scores: Path, force: bool, **facts: Any) -> None:
    """Evaluate external SCORES for the events written by `hepbench events TASK` and add them to the leaderboard as
    submitted."""
    from hepbench.suite.commands.score import score

    score(task, scores, facts, force, Console())


@commands.command(short_help="Write finished results to one file for another machine.")
@TASK
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Output file. Default: TASK-results.zip.")
def export(task: str, out: Path | None) -> None:
    """Write all finished results of TASK (a name, a file, or all), scores and records, to one file for import on
    another machine."""
    from hepbench.suite.commands.exchange import write

    write(task, out, Console())


@commands.command("import", short_help="Add the results exported on another machine.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--task",
    "tasks",
    multiple=True,
    help="File of a task of your own among the results (./my_task.py); may be repeated.",
)
def import_(file: Path, tasks: tuple[str, ...]) -> None:
    """Check the results in FILE, written by `hepbench export`, and add the new ones to those of this machine."""
    from hepbench.suite.commands.exchange import read

    read(file, tasks, Console())


@commands.command("list", short_help="List tasks, models, metrics and budgets, and what is available.")
@click.argument("what", type=arguments.LISTED, default="all")
def list_(what: str) -> None:
    """List tasks, models, metrics and budgets, and what is installed, downloaded or simulated; or only one of these
    lists: `hepbench list models` also shows the trainable parameters of models on each task."""
    from hepbench.suite.commands.list import print_list

    print_list(what, Console())


@commands.command()
@click.option(
    "--measure", is_flag=True, help="Also measure matrix multiplication, memory copy and disk throughput (20 s)."
)
def doctor(measure: bool) -> None:
    """Show versions, devices, store, disk, and data files found or missing."""
    from hepbench.suite.commands.doctor import print_doctor

    print_doctor(Console(), measure)


@commands.command()
@click.option("--port", type=click.IntRange(1, 65535), default=5000, show_default=True, help="Port of the server.")
def ui(port: int) -> None:
    """Start the MLflow UI on the store of the results."""
    from hepbench.suite.commands.ui import open_ui

    open_ui(port, Console())
