"""Nominal against shifted samples: what rows score on those that no model was trained on, and how resilient they are.

Resilience is defined as in studies of taggers by two generators (arXiv:2509.19431; 2212.10493 introduces the question):
by how many per cent the AUC differs from that on the test set; lower is better.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from hepbench.tracking import statistics

PREFIX = "shift_"
"""Of the names of metrics, tags and files of a run that are of a shifted sample."""

HEADING = "Shifted samples, which no model was trained on: AUC minus that on the test set"

LEGEND = (
    "±: half of the 68 % interval; for the same events modified, paired event by event, else for independent events. "
    "Resilience: the largest relative change of a row's AUC, in per cent; lower is better. As the largest of "
    "several it is biased upwards by their errors. =: no change of the row is significant at 5 % after Holm's "
    "correction.",
)

Row = Mapping[str, Any]


def of_runs(runs: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Name of a shifted sample -> what the seeds of one row score on it, where each was scored on the same one: title,
    events, same_events; auc, change (over the AUC on the test set) and relative (that in per cent of it), each with
    `_error`; change_p: that the change is none."""
    found = {}
    for tag in sorted({tag for run in runs for tag in run["tags"] if tag.startswith(PREFIX)}):
        about = [_about(run["tags"].get(tag, "")) for run in runs]
        if len({one.get("digest") for one in about}) > 1 or not about[0]:
            continue
        auc, change = _combined(runs, f"{tag}_auc"), _combined(runs, f"{tag}_change")
        nominal = [run["metrics"].get("test_auc", math.nan) for run in runs]
        mean = math.fsum(nominal) / len(nominal)
        if auc is None or change is None or not math.isfinite(mean):
            continue
        one: dict[str, Any] = {key: about[0].get(key) for key in ("title", "events", "same_events")}
        one |= {"auc": auc.mean, "auc_error": auc.error, "change": change.mean, "change_error": change.error}
        one["change_p"] = statistics.two_sided(change.mean, change.sampling, change.components)
        one |= {"relative": 100 * change.mean / mean, "relative_error": 100 * change.error / mean}
        found[tag.removeprefix(PREFIX)] = one
    return found


def _about(text: str) -> dict[str, Any]:
    try:
        about = json.loads(text)
    except ValueError:
        return {}
    return about if isinstance(about, dict) else {}


def _combined(runs: Sequence[Mapping[str, Any]], name: str) -> statistics.Combined | None:
    """Over the seeds; None where one has none."""
    values, errors = ([run["metrics"].get(f"{name}{part}", math.nan) for run in runs] for part in ("", "_error"))
    return statistics.combine(values, errors) if all(map(math.isfinite, [*values, *errors])) else None


def resilience(row: Row) -> tuple[float, float] | None:
    """The largest relative change of a row's AUC by a shifted sample, in per cent without its sign, and its error; None
    where it was scored on none."""
    changes = [(abs(one["relative"]), one["relative_error"]) for one in row.get("shifts", {}).values()]
    return max(changes, default=None)


def names_of(rows: Sequence[Row]) -> list[str]:
    """Samples that a row was scored on."""
    return list(dict.fromkeys(name for row in rows for name in row.get("shifts", {})))


def table(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Headings, and cells of the rows that were scored on a shifted sample; none of either where there are none."""
    names, some = names_of(rows), [row for row in rows if row.get("shifts")]
    if not some:
        return [], []
    cells = [
        [
            _name(row),
            _number(row.get("auc"), row.get("auc_error")),
            _largest(row),
            *(_change(row["shifts"].get(name)) for name in names),
        ]
        for row in some
    ]
    return ["model", "AUC", "resilience %", *names], cells


def titles(rows: Sequence[Row]) -> list[str]:
    """One line per shifted sample."""
    lines = []
    for name in names_of(rows):
        one = next(row["shifts"][name] for row in rows if name in row.get("shifts", {}))
        kind = "of the test events, modified" if one["same_events"] else "other events"
        lines.append(f"{name}: {one['title']}; {one['events']:,} {kind}")
    return lines


def _name(row: Row) -> str:
    return f"{row['model']} {'tuned' if row.get('tuned') else row.get('set', '')}".strip()


def _largest(row: Row) -> str:
    found = resilience(row)
    if found is None:
        return "–"
    p = statistics.holm([one["change_p"] for one in row["shifts"].values()])
    return f"{found[0]:.2f} ± {found[1]:.2f}" + " =" * bool(p.min() > 1 - statistics.LEVEL)


def _change(one: Mapping[str, Any] | None) -> str:
    return "–" if one is None else _number(one["change"], one["change_error"], sign="+")


def _number(value: float | None, error: float | None, sign: str = "") -> str:
    if value is None or error is None:
        return "–"
    decimals = min(max(1 - math.floor(math.log10(error)), 0), 5) if error > 0 else 4
    return f"{value:{sign}.{decimals}f} ± {error:.{decimals}f}"
