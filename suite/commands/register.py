"""`hepbench register`: the best trained model of a task in MLflow's registry."""

from __future__ import annotations

from hepbench.benchmarks import registry
from hepbench.suite import registering, results
from hepbench.suite.commands.console import Console
from hepbench.tracking.printable import printable


def register(
    task_given: str, run: str | None, budget: str | None, name: str | None, alias: str, console: Console
) -> None:
    """run: the beginning of a run's id; None: that of `registering.winner`. UserError."""
    task = registry.find("task", task_given)
    store = results.open_store()
    if run is None:
        chosen, passed_over = registering.winner(task, store, budget)
        why = "the first of the ranking, of its seeds the best by validation AUC"
    else:
        chosen, passed_over, why = results.find_run(store, run), {}, "as asked for"
    name = name or task.name
    version = registering.register(task, store, chosen, name, alias)
    lines = [f"passed over {model}: {reason}" for model, reason in passed_over.items()]
    lines += [
        f"{name} version {version}, alias {alias}: {chosen['name']}, run {chosen['id'][:12]} ({why})",
        f'mlflow.pyfunc.load_model("models:/{name}@{alias}")  # with MLFLOW_TRACKING_URI={store.address}',
    ]
    for line in lines:
        console.print(printable(line), highlight=False, soft_wrap=True)
