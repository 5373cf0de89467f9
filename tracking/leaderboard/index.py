"""The index of a folder of leaderboard pages: the summary of each, and a link to it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from hepbench.tracking import pages

FILE = "index.html"

READ = 20_000
"""Letters of a page within which its summary is."""


class _Head(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.summary = ""
        self.title = ""
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_title = tag == "title"
        own = dict(attrs)
        if tag == "meta" and own.get("name") == "hepbench-leaderboard":
            self.summary = own.get("content") or ""

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title += data
            self._in_title = False


def render(folder: Path) -> str:
    """The index of the pages in this folder; other pages are listed below, by their titles."""
    boards, others = [], []
    for path in sorted(folder.glob("*.html")):
        if path.name == FILE:
            continue
        summary, title = _read(path)
        written = datetime.fromtimestamp(path.stat().st_mtime, UTC).strftime("%Y-%m-%d %H:%M")
        if summary:
            boards.append({"file": path.name, "written": written, **summary})
        else:
            others.append({"file": path.name, "written": written, "title": title or path.stem})
    return pages.render("index.html", title="Leaderboards", about=(), boards=boards, others=others)


def _read(path: Path) -> tuple[dict[str, Any], str]:
    """(summary of a page, its title); empty where it is no leaderboard."""
    head = _Head()
    with path.open(encoding="utf-8", errors="replace") as file:
        head.feed(file.read(READ).partition("</head>")[0])
    try:
        summary = json.loads(head.summary)
        return {name: summary[name] for name in ("title", "task", "metric", "tables")}, head.title
    except (ValueError, LookupError, TypeError):
        return {}, head.title
