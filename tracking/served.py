"""MLflow's server without what acts for whoever reaches it: its assistant.

The assistant calls programs as the user who has started the server, and any other user of the machine could set it up
and ask it; no setting of MLflow's leaves it out. `mlflow server --app-name hepbench` finds `application` by the entry
point `mlflow.app` of this package. https://mlflow.org/docs/latest/ml/plugins/
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

CLOSED = "/mlflow/assistant"
"""What is in the path of each of its addresses."""

NOT_OPENED = "<script>localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')</script>"
"""By which MLflow's page knows that the assistant's panel need not open by itself."""


def application() -> Any:
    """The server, as uvicorn takes one."""
    from mlflow import server
    from mlflow.server.fastapi_app import app
    from starlette.responses import HTMLResponse, PlainTextResponse

    closed = PlainTextResponse("this server has no assistant", 404)
    page = (Path(str(server.app.static_folder)) / "index.html").read_text(encoding="utf-8")
    opening = HTMLResponse(page.replace("<head>", f"<head>{NOT_OPENED}", 1), headers={"X-Frame-Options": "SAMEORIGIN"})

    async def served(scope: Any, receive: Any, send: Any) -> None:
        path = scope.get("path", "").lower()
        answer = closed if CLOSED in path else opening if path == "/" and scope["type"] == "http" else app
        await answer(scope, receive, send)

    return served
