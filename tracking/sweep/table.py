"""The table of a batch-size study: its columns, as text and as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hepbench.tracking.numbers import significant_digits
from hepbench.tracking.sweep.record import DEVICES, Point, Sweep, best_score, highest, median, reached

NOT_MEASURED = "not measured"

NOT_REACHED = "not reached"

SECONDS = "seconds_per_epoch"

LEGEND = {
    SECONDS: "s/epoch: median over the epochs of the seconds of a pass over all {events:,} events of the training "
    "set{spread}. An epoch itself leaves out the events that fill no batch.",
    "trained_seconds": "trained s: the steps of all epochs; without compilation, validation and opening the data.",
    "cpu_percent": "CPU: of the usable cores, during the steps.",
    "gpu_percent": "GPU: as reported by its driver, from the end of the first epoch.",
    "memory_mib": "memory: peak of the training process, including all imported libraries.",
    "auc": "AUC, accuracy: the best epoch, on the validation set. No test event is used.",
    "seconds_to_target": "to target: until the end of the first epoch with a validation AUC of {target}, {rule}.",
    "others_cpu_percent": "others: CPU time of other programs meanwhile, of all cores of the machine.",
}
"""Column -> what it is."""


@dataclass(frozen=True)
class Column:
    """name: of the CSV. heading: "" where it is in the CSV alone. value: NaN where it is not measured. text: of a value
    that is measured."""

    name: str
    heading: str
    value: Callable[[Sweep, Point], float]
    text: Callable[[float], str] = "{:.0f}".format


def _over_epochs(of: Callable[[Sweep, Point], np.ndarray], quantile: float) -> Callable[[Sweep, Point], float]:
    def value(sweep: Sweep, point: Point) -> float:
        known = of(sweep, point)
        known = known[np.isfinite(known)]
        return float(np.quantile(known, quantile)) if len(known) else math.nan

    return value


def _rates(sweep: Sweep, point: Point) -> np.ndarray:
    return np.concatenate([training.rates for training in point.trainings] or [np.zeros(0)])


def seconds_per_epoch(sweep: Sweep, point: Point) -> np.ndarray:
    """(epochs of all trainings,) seconds of a pass over all events of the training part."""
    return sweep.train_events / _rates(sweep, point)


def cpu_percent(sweep: Sweep, point: Point) -> np.ndarray:
    """(epochs of all trainings,)."""
    return np.concatenate([training.cpu_percent for training in point.trainings] or [np.zeros(0)])


def _logged(name: str) -> Callable[[Sweep, Point], float]:
    return lambda sweep, point: point.middle(name)


def _epochs(sweep: Sweep, point: Point) -> float:
    return median([float(len(training.seconds)) for training in point.trainings])


def _accuracy(sweep: Sweep, point: Point) -> float:
    return median([highest(training.accuracy) for training in point.trainings])


def _left_out(sweep: Sweep, point: Point) -> float:
    used = [float(training.rates[0] * training.seconds[0]) for training in point.trainings]
    return 100 * (1 - median(used) / sweep.train_events)


def _to_target(name: str) -> Callable[[Sweep, Point], float]:
    def value(sweep: Sweep, point: Point) -> float:
        hit = reached(point, sweep.target)
        return math.nan if hit is None else float(getattr(hit, name))

    return value


COLUMNS = (
    Column("epochs", "epochs", _epochs, "{:g}".format),
    Column("trained_seconds", "trained s", _logged("train_seconds"), significant_digits),
    Column(SECONDS, "s/epoch", _over_epochs(seconds_per_epoch, 0.5), significant_digits),
    Column("seconds_per_epoch_25", "", _over_epochs(seconds_per_epoch, 0.25)),
    Column("seconds_per_epoch_75", "", _over_epochs(seconds_per_epoch, 0.75)),
    Column("events_per_second", "events/s", _over_epochs(_rates, 0.5), "{:,.0f}".format),
    Column("events_left_out_percent", "", _left_out),
    Column("compile_seconds", "", _logged("compile_seconds")),
    Column("validate_seconds", "", _logged("validate_seconds")),
    Column("cpu_percent", "CPU %", _over_epochs(cpu_percent, 0.5)),
    Column("gpu_percent", "GPU %", _logged("hardware_gpu_mean_percent")),
    Column("memory_mib", "memory MiB", _logged("hardware_memory_peak_mib"), "{:,.0f}".format),
    Column("gpu_memory_mib", "GPU MiB", _logged("hardware_gpu_memory_peak_mib"), "{:,.0f}".format),
    Column("auc", "AUC", lambda sweep, point: best_score(point), "{:.4f}".format),
    Column("accuracy", "accuracy", _accuracy, "{:.4f}".format),
    Column("seconds_to_target", "to target s", _to_target("seconds"), significant_digits),
    Column("seconds_to_target_earliest", "", _to_target("earliest")),
    Column("seconds_to_target_latest", "", _to_target("latest")),
    Column("epochs_to_target", "to target epochs", _to_target("epochs"), "{:g}".format),
    Column("others_cpu_percent", "others %", _logged("hardware_other_cpu_mean_percent")),
)


NARROW = (SECONDS, "events_per_second", "cpu_percent", "gpu_percent", "auc", "seconds_to_target", "epochs_to_target")
"""Columns for which 80 characters are enough."""


def shown(sweep: Sweep, narrow: bool = False) -> list[Column]:
    """The columns of the table that people see; those of a GPU where one was measured. narrow: for 80 characters."""
    gpu = bool(sweep.of("gpu"))
    columns = [column for column in COLUMNS if column.heading and (gpu or not column.name.startswith("gpu_"))]
    return [column for column in columns if column.name in NARROW] if narrow else columns


def headings(sweep: Sweep, narrow: bool = False) -> list[str]:
    """Of `rows`."""
    return ["device", "batch size", *(column.heading for column in shown(sweep, narrow))]


def rows(sweep: Sweep, narrow: bool = False) -> list[list[str]]:
    """The table as text, one row per batch size; what failed, was left out or not measured says so."""
    columns = shown(sweep, narrow)

    def without(word: str) -> list[str]:
        return [word if column.name == "seconds_to_target" else "" for column in columns]

    listed = []
    for point in sorted(sweep.points, key=lambda point: (list(DEVICES).index(point.device), point.batch_size)):
        cells = [_cell(sweep, point, one, narrow) for one in columns] if point.trainings else without("failed")
        listed.append([DEVICES[point.device], f"{point.batch_size:,}", *cells])
    listed += [["all", f"{size:,}", *without("left out")] for size in sweep.left_out]
    listed += [[DEVICES[device], "all", *without(NOT_MEASURED)] for device in sweep.not_measured]
    return listed


def _cell(sweep: Sweep, point: Point, column: Column, narrow: bool) -> str:
    value = column.value(sweep, point)
    if not math.isfinite(value):
        missing = column.name.endswith("_to_target") and sweep.target is not None
        return NOT_REACHED if missing and column.name.startswith("seconds") else "–"
    text = column.text(value)
    if column.name == SECONDS and not narrow:
        low, high = (
            one.value(sweep, point) for one in COLUMNS if one.name in ("seconds_per_epoch_25", "seconds_per_epoch_75")
        )
        text += f" ± {significant_digits((high - low) / 2, 1)}"
    return text


def legend(sweep: Sweep, narrow: bool = False) -> list[str]:
    """What the columns are."""
    target = "–" if sweep.target is None else f"{sweep.target:.4f}"
    spread = "" if narrow else ", and half the interquartile range"
    return [
        LEGEND[column.name].format(events=sweep.train_events, target=target, rule=sweep.rule, spread=spread)
        for column in shown(sweep, narrow)
        if column.name in LEGEND
    ]


def to_csv(sweep: Sweep) -> str:
    """Everything that was measured, and below it what was reported; empty where it is neither."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["source", "device", "hardware", "batch_size", "seeds", *(one.name for one in COLUMNS), "note"])
    for point in sweep.points:
        start = ["measured", point.device, sweep.hardware[point.device], point.batch_size, len(point.trainings)]
        values = [column.value(sweep, point) if point.trainings else math.nan for column in COLUMNS]
        writer.writerow([*start, *map(_plain, values), point.failure])
    empty = [""] * len(COLUMNS)
    for size in sweep.left_out:
        writer.writerow(["measured", "", "", size, 0, *empty, f"left out: {sweep.train_events} training events"])
    for device, reason in sweep.not_measured.items():
        writer.writerow(["measured", device, "", "", 0, *empty, f"{NOT_MEASURED}: {reason}"])
    for one in sweep.reported:
        known = {"epochs": one.epochs, "trained_seconds": one.seconds, SECONDS: one.seconds / one.epochs}
        known[f"{one.device}_percent"] = one.utilisation
        cells = [_plain(known[column.name]) if column.name in known else "" for column in COLUMNS]
        writer.writerow(["reported", one.device, one.hardware, one.batch_size, "", *cells, ""])
    return out.getvalue()


def _plain(value: float) -> str:
    return f"{value:.6g}" if math.isfinite(value) else ""


REPORTED_HEADINGS = ("device", "epochs", "batch size", "duration s", "s/epoch", "utilisation %")


def reported_rows(sweep: Sweep) -> list[Sequence[str]]:
    """What was reported, as it was."""
    return [
        (
            f"{DEVICES[one.device]}, {one.hardware}",
            str(one.epochs),
            f"{one.batch_size:,}",
            f"{one.seconds:.2f}",
            f"{one.seconds / one.epochs:.2f}",
            f"{one.utilisation:g}",
        )
        for one in sweep.reported
    ]
