"""Several tasks in one table: which cells stand where, what is marked, and of which data."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from hepbench.benchmarks.metrics import METRICS
from hepbench.tracking.leaderboard import side_by_side
from hepbench.tracking.leaderboard.table import Leaderboard


def row(task: str, model: str, rank: int, auc: float | None, **more: Any) -> dict[str, Any]:
    made = {"task": task, "model": model, "rank": rank, "auc": auc, "auc_error": 0.01, "tied": False, "tuned": ""}
    made |= {"set": "", "data": "simulated", "budget": "quick", "requested_events": None, "events": 100, "ended": 1.0}
    made |= {"data_digest": "d", "split_hash": "s", "hardware": "h", "device": "cpu", "backend": "tensorflow"}
    return made | more


ROWS = [
    row("t:a", "one", 1, 0.9, ended=5.0),
    row("t:a", "two", 2, 0.8, tied=True),
    row("t:a", "one", 1, 0.7, data_digest="earlier", ended=2.0),
    row("t:b", "two", 1, 0.95),
    row("t:b", "one", 2, 0.65, set="rounds=3"),
    row("t:b", "one", 3, 0.6),
    row("t:b", "three", 4, None),
    row("t:b", "two", 1, 0.99, budget="full"),
]
REFERENCES = {
    "t:a": [{"model": "theirs", "metrics": {"auc": 0.85}}, {"model": "another", "metrics": {"accuracy": 0.8}}],
    "t:c": [],
}


def tables() -> list[side_by_side.SideBySide]:
    board = Leaderboard(ROWS, METRICS, ("auc", "accuracy"))
    return side_by_side.side_by_side(board, ["t:a", "t:b", "t:c"], REFERENCES)


def test_a_line_a_model_a_column_a_task_of_what_was_last_run_on():
    quick, full = tables()
    assert [table.heading for table in (quick, full)] == [
        "AUC · simulated data · budget quick",
        "AUC · simulated data · budget full",
    ]
    texts = {model: [cell.text for cell in cells] for model, cells in quick.lines}
    assert texts == {
        "two": ["0.8000 ± 0.0100", "0.9500 ± 0.0100", "–"],
        "one": ["0.9000 ± 0.0100", "0.6000 ± 0.0100", "–"],
        "one rounds=3": ["–", "0.6500 ± 0.0100", "–"],
        "three": ["–", "–", "–"],
    }
    assert list(texts) == ["two", "one", "one rounds=3", "three"]
    marks = {(model, n) for model, cells in quick.lines for n, cell in enumerate(cells) if cell.best}
    assert marks == {("one", 0), ("two", 1)}
    assert [(model, n) for model, cells in quick.lines for n, cell in enumerate(cells) if cell.tied] == [("two", 0)]
    assert quick.reported == [("theirs", ["0.85", "–", "–"])]


def test_the_marks_in_a_terminal_and_in_markdown():
    out = io.StringIO()
    console = Console(file=out, width=100)
    for part in side_by_side.renderables(tables()):
        console.print(part)
    lines = [line.split() for line in out.getvalue().splitlines()]
    assert ["two", "=0.8000", "±", "0.0100", "*0.9500", "±", "0.0100", "–"] in lines
    assert lines[lines.index(["reported:"]) + 1] == ["theirs", "0.85", "–", "–"]
    text = side_by_side.markdown(tables(), "Pairs")
    assert text.startswith("# Pairs\n") and "| two | =0.8000 ± 0.0100 | **0.9500 ± 0.0100** | – |" in text
    assert "| reported: theirs | 0.85 | – | – |" in text and "reported by their authors" in text
