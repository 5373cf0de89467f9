"""Credentials of the store of results for workers of a batch system: sent over the connection protected by their
certificate, and never written into the job script, which other users of the machine may read."""

from __future__ import annotations

import os
from typing import Any

from distributed.diagnostics.plugin import WorkerPlugin

BEGINNINGS = ("MLFLOW_TRACKING_", "MLFLOW_HTTP_", "PG")
"""Prefixes of environment variables: addresses, users, passwords and certificates of MLflow and PostgreSQL."""


class Credentials(WorkerPlugin):
    """Sets these variables in every worker, before its first trial."""

    name = "hepbench-credentials"

    def __init__(self) -> None:
        self.variables = {name: value for name, value in os.environ.items() if name.startswith(BEGINNINGS)}

    def setup(self, worker: Any) -> None:
        os.environ.update(self.variables)
