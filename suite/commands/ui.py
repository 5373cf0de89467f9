"""`hepbench ui`: MLflow's own pages on the store."""

from __future__ import annotations

import os

from hepbench.suite import results
from hepbench.suite.commands.console import Console
from hepbench.suite.processes import refuse_taken_port
from hepbench.tracking import runs


def open_ui(port: int, console: Console) -> None:
    """Become the MLflow server on the store, until Ctrl-C. UserError where another program has the port."""
    refuse_taken_port(port)
    command, environment = results.open_store().ui_command(port=port)
    console.print(
        f"MLflow will answer at {runs.ui_address(port=port)} (Ctrl-C ends it)", highlight=False, soft_wrap=True
    )
    os.execve(command[0], command, {**os.environ, **environment})
