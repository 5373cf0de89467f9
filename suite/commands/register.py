"""`hepbench register`: the best trained model of a task in MLflow's registry."""

from __future__ import annotations

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import UserError
from hepbench.suite import registering, results
from hepbench.suite.commands.console import Console
from hepbench.tracking.printable import printable


def register(
    task_given: str, run: str | None, budget: str | None, name: str | None, alias: str, console: Console
) -> None:
    """Register a run's model and print how to load it. run: a prefix of its id; None: that of `registering.winner`.
    UserError if the run is not found, is of another task or has no model, and for a run with a budget."""
    if run is not None and budget is not None:
        raise UserError("--budget chooses among the best models and --run gives one: give only one of these options")
    task = registry.find("task", task_given)
    store = results.open_store()
    if run is None:
        chosen, passed_over = registering.winner(task, store, budget)
        why = "first in the ranking, its seed with the best validation AUC"
    else:
        chosen, passed_over, why = results.find_run(store, run), {}, "as requested"
    name = name or task.name
    version = registering.register(task, store, chosen, name, alias)
    lines = [f"skipped {model}: {reason}" for model, reason in passed_over.items()]
    lines += [
        f"{name} version {version}, alias {alias}: {chosen['name']}, run {chosen['id'][:12]} ({why})",
        f'mlflow.pyfunc.load_model("models:/{name}@{alias}")  # with MLFLOW_TRACKING_URI={store.address}',
    ]
    for line in lines:
        console.print(printable(line), highlight=False, soft_wrap=True)
