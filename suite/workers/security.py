"""Who may reach the processes that run trials: whoever holds the certificate that is made for the run, and no one else.

Dask's workers run what they are sent, so each of their ports asks for that certificate (TLS, verified on both sides),
and the web pages that Dask would serve beside them, which ask for nothing, are not there.
"""

from __future__ import annotations

from typing import Any

import distributed
from distributed.security import Security

PROTOCOL = "tls://"
LOOPBACK = "127.0.0.1"


def certificate() -> Security:
    """A key and a certificate that nothing else has; without them a connection is refused. Kept in memory."""
    made: Security = Security.temporary()
    return made


class _WithoutPages:
    def start_http_server(self, *arguments: Any, **options: Any) -> None:
        """Serve no page."""


class Scheduler(_WithoutPages, distributed.Scheduler):
    """Dask's scheduler without its web server."""


class Worker(_WithoutPages, distributed.Worker):
    """Dask's worker without its web server."""
