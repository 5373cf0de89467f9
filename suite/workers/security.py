"""Access to the processes that run trials: only with the certificate created for the run.

Dask's workers execute what they are sent, so each of their ports requires that certificate (TLS, verified on both
sides), and Dask's own web pages, which require nothing, are disabled.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Any

import distributed
from distributed.security import Security

PROTOCOL = "tls://"
LOOPBACK = "127.0.0.1"


def certificate() -> Any:
    """A Security with a new key and certificate, in memory; connections without them are refused."""
    return Security.temporary()


def as_files(certificate: Any, folder: Path) -> Security:
    """The same as files that only the user can read, for processes on other machines that see the folder."""
    paths = {}
    for name, text in (("certificate.pem", certificate.tls_ca_file), ("key.pem", certificate.tls_client_key)):
        paths[name] = str(folder / name)
        with open(os.open(paths[name], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
    roles = ("client", "scheduler", "worker")
    options = {f"tls_{role}_cert": paths["certificate.pem"] for role in roles}
    options |= {f"tls_{role}_key": paths["key.pem"] for role in roles}
    return _InJobScript(  # type: ignore[no-untyped-call]
        require_encryption=True, tls_ca_file=paths["certificate.pem"], **options
    )


class _InJobScript(Security):
    """Quotes the worker's paths, which dask-jobqueue writes into the job script unquoted."""

    def get_tls_config_for_role(self, role: str) -> dict[str, Any]:
        config: dict[str, Any] = super().get_tls_config_for_role(role)  # type: ignore[no-untyped-call]
        if role == "worker":
            config = {name: shlex.quote(path) if isinstance(path, str) else path for name, path in config.items()}
        return config


class _WithoutPages:
    def start_http_server(self, *arguments: Any, **options: Any) -> None:
        """Serve no page."""


class Scheduler(_WithoutPages, distributed.Scheduler):
    """Dask's scheduler without its web server."""


class Worker(_WithoutPages, distributed.Worker):
    """Dask's worker without its web server and without the profiler for its pages."""

    def trigger_profile(self) -> None:
        """Do nothing. Dask's version reads the frames of all threads a hundred times a second while a trial runs; if
        Python before 3.11.9 collects garbage within that call, the process deadlocks (CPython issue 106883)."""
