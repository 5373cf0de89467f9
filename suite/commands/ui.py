"""`hepbench ui`: MLflow's own pages on the store."""

from __future__ import annotations

import os

from hepbench.suite import results
from hepbench.suite.commands.console import Console
from hepbench.tracking import runs


def open_ui(port: int, console: Console) -> None:
    """Become the MLflow server on the store, until Ctrl-C."""
    command = results.open_store().ui_command(port=port)
    console.print(
        f"MLflow will answer at {runs.ui_address(port=port)} (Ctrl-C ends it)", highlight=False, soft_wrap=True
    )
    os.execv(command[0], command)
