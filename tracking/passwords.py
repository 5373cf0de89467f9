"""Messages and addresses without the passwords that stand in them."""

from __future__ import annotations

import os
import re
import urllib.parse

HIDDEN = "***"
VARIABLES = ("MLFLOW_TRACKING_URI", "OPTUNA_STORAGE", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
"""Of the environment: addresses that may hold a password."""
SECRETS = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "PGPASSWORD")
"""Of the environment: what is a password."""
SHORTEST = 4
"""Characters of a password that is looked for by itself: a shorter one would be found in every word."""

# A password ends at the last @ before a blank: those that people type hold /, @ and ? as they come.
_USER = re.compile(r"(\w://[^\s:/@'\"]*):[^\s'\"]*@")
_NAME = r"\b[\w-]*(?:passw|pwd|secret|token|credential|signature|api_?key)[\w-]*="
_NAMED = re.compile(rf"({_NAME})(?:'[^']*'|[^\s&;,#'\")]+)", re.IGNORECASE)


def masked(text: str) -> str:
    """A text, an address or a message, with *** in place of passwords: in addresses, behind names such as `password=`,
    and those of the environment wherever they stand."""
    for secret in _of_environment():
        text = text.replace(secret, HIDDEN)
    return _NAMED.sub(rf"\1{HIDDEN}", _USER.sub(rf"\1:{HIDDEN}@", text))


def _of_environment() -> list[str]:
    """The longest first, as one may be a part of another."""
    found = {os.environ[name] for name in SECRETS if name in os.environ}
    for name in VARIABLES:
        if parts := re.match(r"[^:]+://[^:/@]*:(.*)@", os.environ.get(name, ""), re.DOTALL):
            # Programs disagree on which @ ends it.
            found |= {parts[1], parts[1].split("@")[0]}
    found |= {urllib.parse.unquote(one) for one in found} | {urllib.parse.quote(one, safe="") for one in found}
    return sorted((one for one in found if len(one) >= SHORTEST), key=len, reverse=True)
