"""The console script `hepbench`: verbs only; the work is done in the modules they call.

Heavy imports stand inside the verbs, so that help, list and doctor answer at once.
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


def _interrupt_again(ignored: Any) -> None:
    """An interrupt in a callback of the garbage collector, which Python would print as ignored, and forget, comes once
    more a moment later."""
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
@click.command_panel("Tasks and their data", commands=["list", "describe", "data", "simulate", "validate"])
@click.command_panel("Trained models", commands=["predict", "evaluate", "export-model", "register", "ui"])
@click.command_panel("Others' results", commands=["reproduce", "events", "score", "export", "import"])
@click.command_panel("This machine", commands=["doctor", "measure"])
def commands() -> None:
    """Benchmarks of particle-physics classifiers, tracked in MLflow."""


TRAINED, SEARCHED, WITH, WHERE, SHOWN = (
    "What is trained",
    "How it is searched",
    "On which data and device",
    "Where trials run",
    "What is shown",
)
"""Headings of options."""

TASK = click.argument("task", type=arguments.TASK)
TASKS = click.argument("tasks", type=arguments.TASK, nargs=-1, callback=arguments.several, metavar="[TASK]...")
ONE_OR_MORE = click.argument(
    "tasks", type=arguments.TASK, nargs=-1, required=True, callback=arguments.several, metavar="TASK..."
)
DATA = click.option(
    "--data", type=arguments.DATA, default="auto", show_default=True, help="The kind of events.", panel=WITH
)
SIMULATED_FIRST = "How many events, where they have to be simulated."
DEVICE = click.option("--device", type=arguments.DEVICE, default="auto", show_default=True, panel=WITH)
BACKEND = click.option("--backend", type=arguments.BACKEND, default="tensorflow", show_default=True, panel=WITH)
BUDGET = click.option(
    "--budget",
    type=arguments.BUDGET,
    default="quick",
    show_default=True,
    help="Events, epochs and seeds: hepbench list budgets.",
    panel=TRAINED,
)
EVENTS = click.option(
    "--events",
    type=click.IntRange(min=2),
    help="Events of the dataset; all where it has fewer. Default: the budget's.",
    panel=TRAINED,
)


def models_option(
    text: str, panel: str | None = None, required: bool = False
) -> Callable[[CommandFunction], CommandFunction]:
    """The option --model of what is done with several."""
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


FILES_TOO = "Models or files ./my_model.py; a,b or repeated."
DRY_RUN = click.option("--dry-run", is_flag=True, help="Print what would run, and run nothing.", panel=SHOWN)
FORCE = click.option("--force", is_flag=True, help="Run again what has been run.", panel=TRAINED)


def _columns(context: click.Context, option: click.Parameter, texts: Sequence[str]) -> tuple[str, ...]:
    """Their names; "energy" stands for all of `ranking.ENERGY`."""
    from hepbench.tracking.leaderboard.ranking import ENERGY

    names = arguments.several(context, option, texts)
    return tuple(one for name in names for one in (ENERGY if name == "energy" else [name]))


COLUMNS = click.option(
    "--columns",
    multiple=True,
    type=arguments.COLUMN,
    callback=_columns,
    metavar="NAME,...",
    help="Of the table in place of the usual ones: metrics, times, use of the hardware, energy.",
    panel=SHOWN,
)


def model_of(what: str) -> Callable[[CommandFunction], CommandFunction]:
    """The option --model of what is done with one alone."""
    return click.option(
        "--model",
        "-m",
        multiple=True,
        required=True,
        type=arguments.MODEL,
        callback=arguments.one,
        metavar="NAME",
        help=f"{what}, or a file ./my_model.py.",
        panel=TRAINED,
    )


def _settings(context: click.Context, option: click.Parameter, texts: Sequence[str]) -> dict[str, str]:
    """name -> value, both as text, of "name=value"."""
    for text in texts:
        if "=" not in text:
            raise UserError(f"--set {text}: give it as name=value")
    return dict(text.split("=", 1) for text in texts)


def settings(what: str) -> Callable[[CommandFunction], CommandFunction]:
    """The option --set; the command takes it as a dict of texts."""
    return click.option(
        "--set",
        "settings",
        multiple=True,
        callback=_settings,
        metavar="NAME=VALUE",
        help=f"Of {what}; may be repeated.",
        panel=TRAINED,
    )


def workers(command: CommandFunction) -> CommandFunction:
    """The options that say where trials run; the command takes them as one `place`."""

    @click.option("--jobs", type=int, help="Trials at once. Default: one a GPU, or one on all cores.", panel=WHERE)
    @click.option("--share-gpu", is_flag=True, help="Let more jobs than GPUs share them.", panel=WHERE)
    @click.option("--scheduler", help="tcp://host:port of a Dask scheduler whose workers run the trials.", panel=WHERE)
    @click.option("--cluster", type=arguments.CLUSTER, help="Submit --jobs workers to it.", panel=WHERE)
    @click.option("--queue", help="Of the cluster.", panel=WHERE)
    @click.option("--cores-per-worker", type=click.IntRange(min=1), default=1, show_default=True, panel=WHERE)
    @click.option("--gpus-per-worker", type=click.IntRange(min=0), default=0, show_default=True, panel=WHERE)
    @click.option("--memory-per-worker", default="8GB", show_default=True, panel=WHERE)
    @click.option("--walltime", help="Of a worker, such as 04:00:00.", panel=WHERE)
    @click.option(
        "--print-job-script", is_flag=True, help="Print what would be submitted to the cluster, and end.", panel=WHERE
    )
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

    return cast(CommandFunction, with_place)


@commands.command(
    short_help="Train and test models on tasks, print the leaderboard.",
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
@models_option("Models, files ./my_model.py, or all; a,b or repeated. Default: one of each kind.", TRAINED)
@settings("a hyper-parameter of the models")
@click.option(
    "--batch-size",
    metavar="N|auto",
    help="Of networks, as --set batch_size; auto: the largest power of two that fits, 32,768 or 16 steps an epoch at "
    "most.",
    panel=TRAINED,
)
@click.option(
    "--seeds", type=int, help="How many trainings of each model. Default: the budget's number.", panel=TRAINED
)
@click.option("--seed", "exact", type=int, multiple=True, help="This very seed; may be repeated.", panel=TRAINED)
@EVENTS
@BUDGET
@DEVICE
@BACKEND
@DATA
@click.option("--tuned", is_flag=True, help="With the best hyper-parameters that studies found.", panel=TRAINED)
@click.option(
    "--from",
    "start",
    default="",
    metavar="RUN",
    help="A finished run, by its id: a network starts from its weights.",
    panel=TRAINED,
)
@FORCE
@click.option(
    "--shift",
    "shifts",
    multiple=True,
    callback=arguments.several,
    metavar="NAME,...",
    help="Score the trained models on these shifted samples of the task, too, or on all; none is trained on them.",
    panel=SHOWN,
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
    """Train and test models on each TASK (a name, a file ./my_task.py, all, or <task>:all for its variants); print the
    leaderboard, or of variants one table."""
    from hepbench.benchmarks import registry
    from hepbench.suite.campaign import request
    from hepbench.suite.commands.bench import bench, bench_variants

    console = Console()
    if not tasks:
        from hepbench.suite.commands.list import print_list

        print_list("tasks", console)
        raise UserError("give a task: hepbench bench ecal, or make bench TASK=ecal")
    if columns and any(word.endswith(":all") for word in tasks):
        raise UserError("a table of variants has one metric a cell: leave --columns out, or bench one variant")
    if batch_size:
        if "batch_size" in settings:
            raise UserError("--batch-size and --set batch_size are the same: give one of the two")
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
    examples=(
        "hepbench reproduce --list",
        "hepbench reproduce ecal_cnn --dry-run",
        "hepbench reproduce qg_particlenet --budget quick",
    )
)
@click.argument("study", type=arguments.STUDY, required=False)
@click.option(
    "--only",
    multiple=True,
    metavar="EXPERIMENT",
    help="An experiment of the study; may be repeated. Default: all.",
    panel=TRAINED,
)
@click.option(
    "--seeds", type=int, help="How many trainings of each experiment. Default: the budget's number.", panel=TRAINED
)
@click.option(
    "--budget",
    type=arguments.BUDGET,
    default="full",
    show_default=True,
    help="full: the document's events and epochs; or a smaller.",
    panel=TRAINED,
)
@FORCE
@DEVICE
@BACKEND
@DATA
@workers
@click.option("--format", "form", type=arguments.TEXT_FORMAT, default="table", show_default=True, panel=SHOWN)
@click.option("--list", "listed", is_flag=True, help="The studies, and end.", panel=SHOWN)
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


@commands.command(
    examples=(
        "hepbench tune pxd_clusters -m mlp --trials 30",
        "hepbench tune qg_jets -m pfn --objective auc --objective latency",
        "hepbench tune ecal -m cnn --timeout 1h --max-parameters 100k --jobs 4",
    )
)
@TASK
@model_of("A model")
@click.option(
    "--trials", type=int, help="How many trials the study is to have. Default: the budget's number.", panel=SEARCHED
)
@click.option(
    "--timeout",
    help="Stop the search after so long, such as 30m or 1h; the same command resumes it.",
    panel=SEARCHED,
)
@click.option("--sampler", type=arguments.SAMPLER, default="tpe", show_default=True, panel=SEARCHED)
@click.option("--pruner", type=arguments.PRUNER, default="median", show_default=True, panel=SEARCHED)
@click.option(
    "--objective",
    "objectives",
    type=arguments.METRIC,
    multiple=True,
    callback=arguments.several,
    default=("auc",),
    show_default=True,
    metavar="NAME,...",
    help="A metric; or two objectives: a metric, and latency, parameters or train_seconds.",
    panel=SEARCHED,
)
@click.option("--max-latency", help="Of the prediction of one event, such as 1ms.", panel=SEARCHED)
@click.option("--max-parameters", help="Of the trained model, such as 100k.", panel=SEARCHED)
@click.option("--study", "name", help="Name of the study. Default: TASK-MODEL-BUDGET.", panel=SEARCHED)
@settings("a hyper-parameter that is not searched")
@click.option(
    "--seeds",
    type=int,
    default=5,
    show_default=True,
    help="Fresh trainings of the best and the defaults.",
    panel=TRAINED,
)
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


@commands.command(
    examples=("hepbench sweep pxd_pixels -m mlp_pxd_study", "hepbench sweep magic -m mlp --batch-sizes 32,256,2048")
)
@TASK
@model_of("A network")
@click.option("--batch-sizes", default="", help="Such as 32,256,2048. Default: 11 from 32 to 40960.", panel=TRAINED)
@click.option(
    "--epochs",
    default="",
    help="One number, or one for each batch size. Default: the model's and budget's.",
    panel=TRAINED,
)
@click.option(
    "--target",
    type=float,
    help="Validation AUC to reach. Default: 99 % of the way from 0.5 to the best.",
    panel=TRAINED,
)
@settings("a hyper-parameter")
@click.option("--seeds", type=int, default=1, show_default=True, help="Trainings of each batch size.", panel=TRAINED)
@EVENTS
@BUDGET
@FORCE
@click.option(
    "--device",
    type=arguments.DEVICE,
    default="auto",
    show_default=True,
    help="auto: both where there is a GPU.",
    panel=WITH,
)
@BACKEND
@DATA
@DRY_RUN
def sweep(task: str, model: str, dry_run: bool, **options: Any) -> int:
    """What each batch size costs on each device, and which learns soonest: MODEL on TASK, one training at a time."""
    from hepbench.suite.commands.sweep import sweep
    from hepbench.suite.sweep import request

    return min(sweep(request(task, model, **options), dry=dry_run, console=Console()), 1)


@commands.command(
    examples=("hepbench curve ecal -m gbdt,mlp", "hepbench curve magic -m mlp --train-events 500,2000,8000 --dry-run")
)
@TASK
@models_option(FILES_TOO, TRAINED, required=True)
@click.option(
    "--train-events",
    default="",
    help="Numbers of training events, 500,2000,8000. Default: all, 1/2, 1/4 ... 1/64.",
    panel=TRAINED,
)
@settings("a hyper-parameter of the models")
@click.option(
    "--seeds",
    type=int,
    help="Trainings on all; one more for each factor of four that events are fewer. Default: the "
    "budget's number, at least 2.",
    panel=TRAINED,
)
@click.option(
    "--seed", "exact", type=int, multiple=True, help="This very seed at each number; may be repeated.", panel=TRAINED
)
@EVENTS
@BUDGET
@DEVICE
@BACKEND
@DATA
@workers
@click.option("--format", "form", type=arguments.TEXT_FORMAT, default="table", show_default=True, panel=SHOWN)
@DRY_RUN
@FORCE
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


@commands.command(
    short_help="Print the rankings, from the store alone.",
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
@click.option("--format", "form", type=arguments.FORMAT, default="table", show_default=True, panel=SHOWN)
@COLUMNS
@click.option(
    "--metric",
    type=arguments.METRIC,
    default="auc",
    show_default=True,
    help="What ranks; = as its paired test says where there is one.",
    panel=SHOWN,
)
@click.option(
    "--sort", default="", type=arguments.COLUMN, help="Rows by this column; ranks stay. Default: by rank.", panel=SHOWN
)
@models_option("Rows of these alone; ranks stay.", SHOWN)
@click.option("--max-latency", default="", help="Rows that predict one event within it, such as 1ms.", panel=SHOWN)
@click.option(
    "--target", type=float, help="With the seconds of training to this validation AUC, such as 0.9.", panel=SHOWN
)
@click.option(
    "--pairs",
    is_flag=True,
    help="The differences between all rows, tested on the same events, as well.",
    panel=SHOWN,
)
@click.option("--page", is_flag=True, help="Draw its page anew, as every bench does.", panel=SHOWN)
@click.option("--open", "opened", is_flag=True, help="And open it in a browser.", panel=SHOWN)
def leaderboard(tasks: tuple[str, ...], models: tuple[str, ...], max_latency: str, sort: str, **options: Any) -> None:
    """Print the ranking of each TASK (a name, a file; without one: of all) from the store alone; of <task>:all its
    variants side by side."""
    from hepbench.suite.commands.leaderboard import Shown, print_leaderboard
    from hepbench.tracking.leaderboard.selection import Selection

    milliseconds = None
    if max_latency:
        from hepbench.suite.tuning.study_spec import seconds_of

        milliseconds = 1e3 * seconds_of(max_latency)
    shown = Shown(Selection(models, milliseconds, sort), **options)
    print_leaderboard(tasks or ("all",), shown, Console())


def _names(context: click.Context, option: click.Parameter, texts: Sequence[str]) -> tuple[str, ...]:
    """Names of "a,b", given once or more."""
    return tuple(name.strip() for text in texts for name in text.split(",") if name.strip())


@commands.command(
    examples=(
        "hepbench plot ecal --models cnn,gbdt --kind rejection --out figure.pdf",
        "hepbench plot ecal --kind pareto --over parameters",
    )
)
@TASK
@click.option("--kind", type=arguments.KIND, default="rejection", show_default=True)
@click.option(
    "--models",
    "--model",
    "-m",
    "names",
    multiple=True,
    type=arguments.MODEL,
    callback=_names,
    metavar="NAME,...",
    help='Rows by their names: cnn,gbdt or "gbdt rounds=300". Default: the first of the table.',
)
@click.option(
    "--metric", type=arguments.METRIC, default="auc", show_default=True, help="Of auc, pareto, learning and slices."
)
@click.option(
    "--over",
    type=arguments.COLUMN,
    default="latency_ms",
    show_default=True,
    help="Of pareto: the cost on the other axis.",
)
@click.option("--budget", type=arguments.BUDGET, help="Of the table. Default: the latest that has all models.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="A .pdf, .png or .svg. Default: TASK-KIND.pdf."
)
def plot(task: str, kind: str, names: tuple[str, ...], **options: Any) -> None:
    """Draw one plot of TASK's leaderboard, as a file for a paper, from the store alone."""
    from hepbench.suite.commands.plot import plot

    plot(task, kind, names, console=Console(), **options)


@commands.command(examples=("hepbench register ecal", "hepbench register ecal --alias best --budget standard"))
@TASK
@click.option("--run", help="A run by its id, or the beginning of it. Default: the best of the ranking.")
@click.option("--budget", type=arguments.BUDGET, help="The best of this budget, where there are several.")
@click.option("--name", help="What MLflow's registry calls the model. Default: the task's name.")
@click.option("--alias", default="champion", show_default=True, help="Which this version has from now on.")
def register(task: str, run: str | None, budget: str | None, name: str | None, alias: str) -> None:
    """Register the best trained model of TASK in MLflow, by name and alias."""
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
    "--budget", type=arguments.BUDGET, help="Only results within this one. Default: the latest of the same test events."
)
def compare(task: str, a: str, b: str, budget: str | None) -> None:
    """Compare two results of TASK on the same test events, from the store alone: A and B are each a model, a model with
    its settings ("gbdt rounds=300"), "gbdt tuned", a study, the id of a configuration or a run, or a file of
    scores as `hepbench score` takes it."""
    from hepbench.suite.commands.compare import compare

    compare(task, a, b, budget, Console())


@commands.command()
@ONE_OR_MORE
@click.option("--files", type=click.IntRange(min=1), help="Only the first of its files, where fewer will do.")
def data(tasks: tuple[str, ...], files: int | None) -> None:
    """Fetch the official files of each TASK, or say where to put files fetched by hand."""
    from hepbench.suite.commands.download import fetch

    for name in arguments.each(tasks):
        fetch(name, files, Console())


@commands.command()
@TASK
@click.option("--events", type=click.IntRange(min=2), required=True, help="How many events, of all classes together.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--jobs", type=click.IntRange(min=1), help="Processes. Default: one for each core.")
@click.option("--out", type=click.Path(path_type=Path), help="A new folder. Default: where bench looks for it.")
def simulate(task: str, events: int, seed: int, jobs: int | None, out: Path | None) -> None:
    """Write simulated files of TASK in the official format; resumes where it was stopped."""
    from hepbench.suite.commands.simulate import simulate

    simulate(task, events, seed, jobs, out, Console())


@commands.command()
@ONE_OR_MORE
@DATA
@click.option("--events", type=click.IntRange(min=100), default=10_000, show_default=True, help=SIMULATED_FIRST)
def validate(tasks: tuple[str, ...], data: str, events: int) -> None:
    """Compare the data of each TASK with its calibration figures, line by line."""
    from hepbench.suite.commands.validate import validate

    for name in arguments.each(tasks):
        validate(name, data, events, Console())


@commands.command()
@ONE_OR_MORE
@DATA
@click.option("--events", type=click.IntRange(min=100), default=2_000, show_default=True, help=SIMULATED_FIRST)
def describe(tasks: tuple[str, ...], data: str, events: int) -> None:
    """What each TASK is: classes, inputs, files, licence, published results; and a page with pictures of its events."""
    from hepbench.suite.commands.describe import describe

    for name in arguments.each(tasks):
        describe(name, data, events, Console())


@commands.group(cls=CommandGroup, examples=("hepbench measure models --task ecal -m cnn,gbdt",))
def measure() -> None:
    """Measure this machine on what the suite does; nothing else should run beside it."""


@measure.command("data")
@click.option(
    "--task",
    "tasks",
    type=arguments.TASK,
    multiple=True,
    callback=arguments.several,
    metavar="NAME,...",
    help="Tasks; a,b or repeated. Default: all.",
)
@click.option("--simulated", type=click.IntRange(min=10), default=2_000, show_default=True, help="Events to simulate.")
@click.option(
    "--read", type=click.IntRange(min=10), default=20_000, show_default=True, help="Events of the file to read."
)
def measure_data(tasks: tuple[str, ...], simulated: int, read: int) -> None:
    """Rates of simulating, reading and opening each task's data, and memory."""
    from hepbench.suite.commands.measure import measure_data

    measure_data(tasks, simulated, read, Console())


@measure.command("models")
@click.option(
    "--task",
    "tasks",
    type=arguments.TASK,
    multiple=True,
    callback=arguments.several,
    default=("ecal", "qg_jets", "hepmass"),
    show_default=True,
    metavar="NAME,...",
)
@models_option(f"{FILES_TOO} Default: all.")
@click.option("--events", type=click.IntRange(min=500), default=4_000, show_default=True, help="Events to take.")
@click.option("--seconds", type=click.FloatRange(min=0.01), default=5.0, show_default=True, help="Of each measurement.")
@click.option(
    "--against",
    type=arguments.PROGRAM,
    help="keras: plain keras.Model.fit; weaver: weaver-core's networks, where installed.",
)
@click.option(
    "--mode",
    "modes",
    type=arguments.MODE,
    multiple=True,
    callback=arguments.several,
    metavar="NAME,...",
    help="Of weaver: as-installed, memory-kept, compile, compile-optimizer; the last three keep memory. Default: all.",
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
    """Trainable parameters, FLOPs, and rates of training and prediction of each entry, alone or in turns with another
    program."""
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


@measure.command("gpu")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("gpu-check"),
    show_default=True,
    help="Folder of the results.",
)
@click.option(
    "--only",
    type=arguments.GPU_PART,
    multiple=True,
    callback=arguments.several,
    metavar="PART,...",
    help="machine, data, rates, entries, memory, logged, seeds, precision, batches. Default: all, in this order.",
)
@click.option(
    "--seconds", type=click.FloatRange(min=1), default=570, show_default=True, help="Of all parts together, at most."
)
@click.option("--dry-run", is_flag=True, help="On the CPU, with a few events; so it is as well where there is no GPU.")
def measure_gpu(out: Path, only: tuple[str, ...], seconds: float, dry_run: bool) -> int:
    """All that needs a GPU, by JAX, in ten minutes: every entry on its tasks beside the CPU, rates beside weaver-core,
    16 bits, full memory, energy in MLflow, several seeds at once."""
    from hepbench.suite.commands.measure_gpu import measure_gpu

    return min(measure_gpu(out, only, seconds, dry_run, Console()), 1)


@measure.command("start")
@click.option("--task", type=arguments.TASK, default="ecal", show_default=True)
@models_option(f"{FILES_TOO} Networks.", required=True)
@click.option("--events", type=click.IntRange(min=100), default=1_000, show_default=True, help="Of the data.")
@DEVICE
@BACKEND
def measure_start(task: str, models: tuple[str, ...], events: int, device: str, backend: str) -> None:
    """How long a new process takes to its first step of training: imports, data, compiling; on JAX once more with what
    was compiled."""
    from hepbench.suite.commands.measure_start import measure_start

    measure_start(task, models, events, device, backend, Console())


@measure.command("parameters")
def measure_parameters() -> None:
    """Build every network for every task and print, as CSV, how many trainable parameters it has."""
    from hepbench.suite.commands.measure import print_parameters

    print_parameters()


OWN_TASK = click.option("--task", help="The file ./my_task.py of the run's task, where it is one: its code runs.")
OWN_MODEL = click.option(
    "--model", "-m", help="The file ./my_model.py of the run's model, where it is one: its code runs."
)


@measure.command("metrics")
@click.option("--events", type=click.IntRange(min=1_000), default=1_000_000, show_default=True, help="Scores.")
@click.option("--format", "form", type=arguments.TEXT_FORMAT, default="table", show_default=True)
def measure_metrics(events: int, form: str) -> None:
    """How long the AUC with its error and the paired bootstrap of rejections take, beside sorting the scores."""
    from hepbench.suite.commands.measure_metrics import measure_metrics

    measure_metrics(events, form, Console(stderr=form == "markdown"))


@measure.command("statistics")
@click.option("--toys", type=click.IntRange(min=2), default=4_000, show_default=True, help="Test sets of each study.")
@click.option(
    "--events", type=click.IntRange(min=50), multiple=True, default=(1_000, 10_000), show_default=True, help="Of a toy."
)
@click.option("--format", "form", type=arguments.TEXT_FORMAT, default="table", show_default=True)
def measure_statistics(toys: int, events: tuple[int, ...], form: str) -> None:
    """Toys: whether intervals cover, how often equal models are told apart, and how often unequal ones."""
    from hepbench.suite.commands.measure_statistics import measure_statistics

    measure_statistics(events, toys, form, Console(stderr=form == "markdown"))


@measure.command("sampler")
@click.option("--seconds", type=click.FloatRange(min=0.1), default=120.0, show_default=True, help="Of all turns.")
def measure_sampler(seconds: float) -> None:
    """What watching the hardware costs a training: the same work with the sampler and without, in turns."""
    from hepbench.suite.commands.measure_sampler import measure_sampler

    measure_sampler(seconds, Console())


@measure.command("step", examples=("hepbench measure step --task ecal -m gnn,cnn",))
@click.option("--task", type=arguments.TASK, required=True)
@models_option(f"{FILES_TOO} Networks.", required=True)
@click.option("--seconds", type=click.FloatRange(min=0.01), default=5.0, show_default=True, help="Of each measurement.")
@click.option("--format", "form", type=arguments.TEXT_FORMAT, default="table", show_default=True)
@DEVICE
def measure_step(task: str, models: tuple[str, ...], seconds: float, form: str, device: str) -> None:
    """One training step of each network, kernel by kernel and layer by layer, beside what the machine does at best."""
    from hepbench.suite.commands.measure_step import measure_step

    measure_step(task, models, seconds, form, device, Console(stderr=form != "table"))


@measure.command("onnx")
@click.option(
    "--task",
    "tasks",
    type=arguments.TASK,
    multiple=True,
    required=True,
    callback=arguments.several,
    metavar="NAME,...",
    help="Tasks of which there are finished runs; a,b or repeated.",
)
@models_option(f"{FILES_TOO} Default: all.")
@click.option(
    "--seconds", type=click.FloatRange(min=0), default=2.0, show_default=True, help="Of each time; 0: no times."
)
@click.option("--format", "form", type=arguments.ONNX_FORMAT, default="table", show_default=True)
def measure_onnx(tasks: tuple[str, ...], models: tuple[str, ...], seconds: float, form: str) -> None:
    """Models of finished runs as ONNX files in ONNX Runtime on one thread, with 32 and 8 bits: agreement, loss of AUC,
    latency, rate."""
    from hepbench.suite.commands.measure_onnx import measure_onnx

    measure_onnx(tasks, models, seconds, form, Console(stderr=form != "table"))


@commands.command()
@ONE_OR_MORE
def rescore(tasks: tuple[str, ...]) -> None:
    """Measure every stored run of each TASK (a name, a file, or all) again from its scores, without a training."""
    from hepbench.suite.commands.rescore import rescore

    rescore(tasks, Console())


@commands.command()
@ONE_OR_MORE
def ensemble(tasks: tuple[str, ...]) -> None:
    """Ensembles of the trained models of each TASK, chosen by validation scores, and of the seeds of each: rows of the
    leaderboard."""
    from hepbench.suite.commands.ensemble import ensemble

    for name in arguments.each(tasks):
        ensemble(name, Console())


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
@click.option("--format", "form", type=arguments.MODEL_FORMAT, default="onnx", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="A file, or the project's folder. Default: RUN.onnx.")
def export_model(run: str, task: str | None, model: str | None, form: str, out: Path | None) -> None:
    """Write the model that RUN saved, scaling included, to a file for another program, checked to give the run's scores
    there; or, hls4ml, a dense or small convolutional network as a project for an FPGA, with its C simulation."""
    from hepbench.suite.commands.export_model import export_model

    export_model(run, form, out, task, model, Console())


@commands.command()
@TASK
@click.option("--split", type=arguments.PART, default="test", show_default=True)
@click.option("--labels", is_flag=True, help="With the class of each event.")
@EVENTS
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
@TASK
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
@TASK
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


@commands.command("list", short_help="Tasks, models, metrics and budgets; what is here of them.")
@click.argument("what", type=arguments.LISTED, default="all")
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
