"""`hepbench studies` and `hepbench optuna-ui`."""

from __future__ import annotations

from functools import partial

from rich import box
from rich.table import Table

from hepbench.benchmarks.base import UserError
from hepbench.suite.commands.console import Console
from hepbench.suite.commands.tune import print_database_gone
from hepbench.suite.processes import refuse_taken_port
from hepbench.suite.tuning.storage import best, connect, counted, location
from hepbench.tracking.passwords import masked


def print_studies(console: Console) -> None:
    """`hepbench studies`: every study with its trials and its best value."""
    import optuna

    storage = connect(partial(print_database_gone, console=console))
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("study", no_wrap=True)  # so that it can be copied
    table.add_column("objective")
    for heading in ("complete", "pruned", "failed", "pending", "best"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("last", min_width=10)
    for summary in optuna.get_all_study_summaries(storage=storage):
        description = summary.user_attrs.get("about")
        if description is None:  # of another program
            continue
        study = optuna.load_study(study_name=summary.study_name, storage=storage)
        trials = study.get_trials(deepcopy=False)
        counts = counted(trials)
        ended = [trial.datetime_complete for trial in trials if trial.datetime_complete]
        if len(study.directions) > 1:
            found = f"Pareto front of {len(study.best_trials)}"
        else:
            first = best(study)
            found = f"{first.value:.4f}" if first else "–"
        numbers = [counts["complete"], counts["pruned"], counts["failed"], counts["running"] + counts["waiting"]]
        last = f"{max(ended):%Y-%m-%d %H:%M}" if ended else "–"
        table.add_row(summary.study_name, " ".join(description["objectives"]), *map(str, numbers), found, last)
    where = f"studies in {masked(location())}"
    if table.row_count:
        console.print(where, soft_wrap=True)
        console.print(table)
    else:
        console.print(f"no {where}: run make tune TASK=... MODEL=...", soft_wrap=True)


def dashboard(port: int, console: Console) -> None:
    """Run optuna-dashboard on the same database. UserError if it is not installed."""
    try:
        from optuna_dashboard import run_server
    except ImportError as error:
        raise UserError("optuna-dashboard is not installed: pip install 'hepbench[dashboard]'") from error
    refuse_taken_port(port)
    console.print(f"optuna-dashboard: http://127.0.0.1:{port}")
    run_server(connect(partial(print_database_gone, console=console)), host="127.0.0.1", port=port)
