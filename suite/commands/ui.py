"""`hepbench ui`: the MLflow UI on the store, with prepared views."""

from __future__ import annotations

import os

from hepbench.suite import results, views
from hepbench.suite.commands.console import Console
from hepbench.suite.processes import refuse_taken_port
from hepbench.tracking import runs
from hepbench.tracking.views import page_of


def open_ui(port: int, console: Console) -> None:
    """Prepare the views, print their addresses, and become the MLflow server on the store until Ctrl-C; a store that is
    a server has its own UI. UserError if another program uses the port."""
    store = results.open_store()
    if store.is_server:
        address = f"{store.address.rstrip('/')}/"
        lines = [f"the store is a server with its own UI: {address}{runs.EXPERIMENTS}"]
    else:
        refuse_taken_port(port)
        address = runs.ui_address(port=port)
        lines = [f"MLflow UI: {address}{runs.EXPERIMENTS} (stop with Ctrl-C)"]
    for name, experiment_id in views.prepare(store).items():
        lines += ["", f"{name}:"]
        lines += [f"  {'models, a table':<18} {address}{page_of(experiment_id, views.MODELS)}"]
        lines += [f"  {'models, charts':<18} {address}{page_of(experiment_id, views.MODELS, charts=True)}"]
        lines += [f"  {'means of seeds':<18} {address}{page_of(experiment_id, views.MEANS)}"]
        lines += [f"  {'trials of studies':<18} {address}{page_of(experiment_id, views.STUDIES)}"]
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)
    if store.is_server:
        return
    command, environment = store.ui_command(port=port)
    os.execve(command[0], command, {**os.environ, **environment})
