"""What a leaderboard shows, cell by cell: the same in a terminal, in Markdown and on a page."""

from __future__ import annotations

import math
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from hepbench.tracking.leaderboard.differences import BELOW_OPTIMUM, Differences
from hepbench.tracking.leaderboard.ranking import BUSY_PERCENT, COSTS, THROUGHPUTS, TIED_WITHIN, Row, limit_of
from hepbench.tracking.metric import Metric

LEGEND = (
    "±: half of the 68 % interval, from the finite test sample and, by Student's t, the spread of the seeds.",
    "=: not significantly different from the first on the same test events, at 5 % after Holm's correction for all "
    f"pairs of the table; a row without stored scores: within {TIED_WITHIN} combined errors of it.",
)
NOT_MEASURED = "–: not measured, or not measurable with these events. >: lower limit at 95 %, which ranks the row."

REPORTED = "reported by their authors on the official data, not measured here"
PUBLISHED = ("model", "reported", "trained on", "source")
"""Headings of the cells of `published_cells`."""

BUSY = "*"
"""Follows times measured on a busy machine."""

LONGEST_WORD = 16
"""Letters that a narrow table's column of models has room for."""

NUMBERS = {
    "parameters": "trainable parameters",
    "open_seconds": "open s",
    "fit_seconds": "fit s",
    "compile_seconds": "compile s",
    "train_seconds": "train s",
    "validate_seconds": "validate s",
    "predict_seconds": "predict s",
    "log_seconds": "log s",
    "train_events_per_second": "train events/s",
    "predict_us_per_event": "predict µs/event",
    "latency_ms": "latency ms",  # of one event alone
    "latency_p99_ms": "latency p99 ms",
    **{name: f"events/s by {int(name.removeprefix('throughput_')):,}" for name in THROUGHPUTS},
    "hardware_cpu_mean_percent": "CPU %",
    "hardware_cpu_peak_percent": "CPU peak %",
    "hardware_memory_peak_mib": "memory MiB",
    "hardware_gpu_mean_percent": "GPU %",
    "hardware_gpu_memory_peak_mib": "GPU memory MiB",
    "hardware_gpu_power_mean_watt": "GPU W",
    "hardware_gpu_energy_joule": "GPU J",
    "train_cpu_joule": "train CPU J",
    "train_gpu_joule": "train GPU J",
    "million_cpu_joule": "CPU J per million predictions",
    "million_gpu_joule": "GPU J per million predictions",
}
"""What a column may be beside the metrics: name -> heading. Use of the hardware is that of training and prediction."""

TARGET = "target_seconds"
"""In a row: seconds of training until the end of the first epoch or report with the validation AUC of
`Leaderboard.target`, the median over the seeds; None where half of them or more do not reach it, or tell no times."""

Hardware = tuple[str, str, str]
"""What times depend on: machine, device, and for a network the backend, else ""."""


@dataclass(frozen=True)
class Leaderboard:
    """Ranked rows, and what is shown of them and beside them.

    rows: as `ranking.rows` gives them. metrics: the records of the rows' metrics by name. shown: names of those that
    have a column, the one that ranks first. columns: names of metrics and NUMBERS that are shown in place of the usual
    ones, beside the metric that ranks. chance: its value for a model that knows nothing; None: not shown.
    references: published results, each {"model", "metrics": {name: value}, "trained_on", "source", "verified"}.
    notes: lines below the tables, such as what was skipped and why. differences: of each table, in the order of
    `ranking.groups`, those of some metrics between its rows. target: a validation AUC, for the column of the seconds
    of training to it, which the rows have as `target_seconds`; None: no such column.
    """

    rows: Sequence[Row]
    metrics: Mapping[str, Metric]
    shown: Sequence[str]
    chance: float | None = None
    title: str = ""
    references: Sequence[Mapping[str, Any]] = ()
    notes: Sequence[str] = ()
    columns: Sequence[str] = ()
    differences: Sequence[Sequence[Differences]] = ()
    target: float | None = None

    @property
    def ranked_by(self) -> Metric:
        return self.metrics[self.shown[0]]


@dataclass(frozen=True)
class Column:
    """name: of what it holds. cell: its text for a row. numeric: numbers, which stand to the right."""

    name: str
    heading: str
    cell: Callable[[Row], str]
    numeric: bool = True


def columns_of(board: Leaderboard, table: Sequence[Row], narrow: bool = False) -> list[Column]:
    """The columns of one ranked table. narrow: those that 80 letters have room for."""
    columns = [Column("rank", "#", lambda row: f"{'=' if row['tied'] else ''}{row['rank']}")]
    columns.append(Column("model", "model", _broken_name if narrow else _name, numeric=False))
    columns += _chosen(board) if board.columns else _usual(board, narrow)
    if not (narrow or board.columns) and any(row.get(BELOW_OPTIMUM) is not None for row in table):
        columns.insert(3, _metric_column(board.metrics[BELOW_OPTIMUM], True))  # after the metric that ranks
    if board.target is not None:
        columns.append(Column(TARGET, f"s to {board.target:g}", partial(_number, name=TARGET)))
    marks = hardware_marks(table)
    if len(set(marks.values())) > 1:
        columns.append(Column("hardware", "on", lambda row: marks.get(_hardware(row), "–"), numeric=False))
    columns.append(Column("seeds", "seeds", lambda row: str(row["seeds"])))
    return columns


def _usual(board: Leaderboard, narrow: bool) -> list[Column]:
    columns = []
    for place, metric in enumerate(board.metrics[name] for name in board.shown):
        # The error is shown where it decides the rank or the number of digits.
        with_error = place == 0 or (metric.decimals is None and not narrow)
        columns.append(_metric_column(metric, with_error))
    wide = ("parameters", "train_seconds", "predict_us_per_event", "latency_ms")
    return columns + [_number_column(name) for name in (wide[1:3] if narrow else wide)]


def _chosen(board: Leaderboard) -> list[Column]:
    names = dict.fromkeys([board.ranked_by.name, *board.columns])
    return [_number_column(name) if name in NUMBERS else _metric_column(board.metrics[name], True) for name in names]


def everything(board: Leaderboard) -> list[Column]:
    """A column for each metric with its error, time and use of the hardware, measured or not."""
    return [*(_metric_column(metric, True) for metric in board.metrics.values()), *map(_number_column, NUMBERS)]


def _metric_column(metric: Metric, with_error: bool) -> Column:
    return Column(metric.name, metric.heading, partial(_measured, metric=metric, with_error=with_error))


def _number_column(name: str) -> Column:
    if name == "parameters":
        return Column(name, NUMBERS[name], lambda row: _count(row["parameters"]))
    return Column(name, NUMBERS[name], partial(_number, name=name))


def facts_of(table: Sequence[Row]) -> list[str]:
    """What all rows of a table have in common beside their task: the kind of data first."""
    first = table[0]
    facts = [f"{first['data']} data", f"budget {first['budget']}"]
    if first["requested_events"]:
        facts[-1] += f", events={first['requested_events']:,}"
    if first["events"]:
        facts.append(f"{first['events']:,} test events")
    if first.get("weighted"):
        facts.append(str(first["weighted"]))
    return [*facts, f"data {str(first['data_digest'])[:12]}", f"split {str(first['split_hash'])[:12]}"]


def heading_of(table: Sequence[Row]) -> str:
    return " · ".join([str(table[0]["task"]), *facts_of(table)])


def hardware_marks(table: Sequence[Row]) -> dict[Hardware, str]:
    """A letter for each hardware: times compare within a letter. Rows that tell of none have no letter; what is no
    network has that of the networks on its machine."""
    places = list(dict.fromkeys(_hardware(row) for row in table if any(_hardware(row))))
    of_networks = {place[:2]: place for place in reversed(places) if place[2]}
    shared = {place: place if place[2] else of_networks.get(place[:2], place) for place in places}
    distinct = dict.fromkeys(shared.values())
    letters = {place: string.ascii_lowercase[i % 26] * (i // 26 + 1) for i, place in enumerate(distinct)}
    return {place: letters[shared[place]] for place in places}


def hardware_lines(table: Sequence[Row]) -> list[str]:
    """What the times of a table were measured on."""
    places = sorted(hardware_marks(table).items(), key=lambda item: (item[1], bool(item[0][2])))
    marks = {mark: place for place, mark in places}  # of those that share a letter the one that tells a backend
    lines = []
    for mark, (machine, device, backend) in marks.items():
        on = ", ".join(part for part in (machine or "unknown hardware", device, backend) if part)
        lines.append(f"times [{mark}] on {on}" if len(marks) > 1 else f"times on {on}")
    if len(marks) > 1:
        lines.append("times compare only between rows of the same letter")
    if any(row.get("busy") for row in table):
        lines.append(
            f"{BUSY}: on a busy machine, where others took more than {BUSY_PERCENT} % of the CPU time, or were on the "
            "same GPU, during training and prediction: the times are too high"
        )
    return lines


def setting_of(row: Row) -> str:
    """What makes a row another than that of the model's defaults."""
    start = f"from {row['start'][:8]}" if row.get("start") else ""
    submitted = "submitted" if row.get("submitted") else ""
    elsewhere = f"on {row['imported_from']}" if row.get("imported_from") else ""
    return " ".join(part for part in ("tuned" if row["tuned"] else row["set"], start, submitted, elsewhere) if part)


def published_cells(board: Leaderboard) -> list[list[str]]:
    """A row of cells for each published result."""
    return [_published(entry, board.metrics) for entry in board.references]


def _published(entry: Mapping[str, Any], metrics: Mapping[str, Metric]) -> list[str]:
    reported = entry["metrics"].items()
    numbers = [f"{metrics[name].heading if name in metrics else name} {value:g}" for name, value in reported]
    source = entry.get("source", "")
    if not entry.get("verified", True):
        source += " (not verified)"
    return [entry["model"], ", ".join(numbers), entry.get("trained_on", ""), source]


def _hardware(row: Row) -> Hardware:
    return row["hardware"], row["device"], row["backend"]


def _name(row: Row) -> str:
    return f"{row['model']} {setting_of(row)}".strip()


def _broken_name(row: Row) -> str:
    """With a setting that is too long for its column broken after its "="."""
    words = setting_of(row).split()
    broken = [word.replace("=", "=\n", 1) if len(word) > LONGEST_WORD else word for word in words]
    return " ".join([row["model"], *broken])


def _measured(row: Row, metric: Metric, with_error: bool) -> str:
    value, error = row.get(metric.name), row.get(f"{metric.name}_error")
    if value is None:
        low = limit_of(row, metric.name)
        return "–" if low is None else f"> {low:,.{max(2 - math.floor(math.log10(low)), 0) if low > 0 else 0}f}"
    decimals = metric.decimals
    if decimals is None:
        decimals = 1 if not error else min(max(1 - math.floor(math.log10(error)), 0), 4)
    text = f"{value:,.{decimals}f}"
    return f"{text} ± {error:,.{decimals}f}" if with_error and error is not None else text


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _number(row: Row, name: str) -> str:
    """With three digits that count."""
    value = row[name]
    if value is None:
        return "–"
    text = "< 0.01" if value < 0.01 else f"{value:,.{max(2 - math.floor(math.log10(value)), 0)}f}"
    return text + BUSY if row.get("busy") and name in (*COSTS, TARGET) else text
