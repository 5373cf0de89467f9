"""MLflow's list and charts of runs as somebody prepared them: a tag of the experiment, which its page opens by a key.

What MLflow's page keeps of itself when a view is saved there is JSON, compressed by zlib, in base64, under a name and a
time; this writes the same for a view that is described here. The page of a version that knows some of it not leaves
that out.
"""

from __future__ import annotations

import base64
import json
import uuid
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

KIND = {"mlflow.experimentKind": "custom_model_development"}
"""The tag that tells MLflow's page that an experiment is one of trainings, not of language models."""

PREFIX = "mlflow.sharedViewState."
"""Of the tags that hold views, followed by a view's key."""

REST = ("Model metrics", "System metrics")
"""Sections to which the page itself adds a chart of every metric that has none; they are shown folded."""


WIDTHS = {"attributes.`Run Name`": 150, "runDateAndNestInfo": 110}
"""Pixels of the columns that every table has."""


@dataclass(frozen=True)
class Chart:
    """A card of the charts. metrics: one, or several lines of one chart. kind: "bar", of a metric's last value by run;
    "line", by step; "time", by seconds since the start; "scatter", of the second metric against the first.
    "differences", a table of what is not alike. log: a logarithmic scale upwards."""

    title: str
    kind: str
    metrics: tuple[str, ...] = ()
    log: bool = False


@dataclass(frozen=True)
class View:
    """key: in its address. title: in the page's own list of views. query: which runs, as MLflow's search takes it.
    order: the column that sorts, its highest first. columns: of the table, as `metric`, `parameter`, `tag` and
    `attribute` name them. sections: charts under headings. group: tags whose runs, where they are alike in all of
    them, are one row and one bar, with the mean."""

    key: str
    title: str
    query: str
    order: str
    columns: tuple[str, ...]
    sections: tuple[tuple[str, tuple[Chart, ...]], ...] = ()
    group: tuple[str, ...] = ()


def metric(name: str) -> str:
    return f"metrics.`{name}`"


def parameter(name: str) -> str:
    return f"params.`{name}`"


def tag(name: str) -> str:
    return f"tags.`{name}`"


def attribute(name: str) -> str:
    """Of "Source", "Models", "Dataset", "Description", "User", "Version"."""
    return f"attributes.`{name}`"


def tags_of(views: Sequence[View], created: float) -> dict[str, str]:
    """The tags of an experiment that has these views. created: seconds since 1970."""
    return KIND | {f"{PREFIX}{one.key}": _encoded(one, round(1000 * created)) for one in views}


def same(one: str, other: str | None) -> bool:
    """Whether a tag that is there, `other`, may stay in place of a new one: it holds the same view, whenever it was
    written, or one that somebody has changed on MLflow's page."""
    if other is None:
        return False
    try:
        first, second = json.loads(one), json.loads(other)
        if second["updatedAt"] != second["createdAt"]:
            return True
        return bool(first["name"] == second["name"] and first["state"] == second["state"])
    except (ValueError, TypeError, KeyError):
        return one == other


def page_of(experiment_id: str, view: View, charts: bool = False) -> str:
    """What follows the address of an MLflow server: the view as a table, or its charts."""
    mode = "&compareRunsMode=CHART" if charts else ""
    return f"#/experiments/{experiment_id}/runs?workflowType=machine_learning&viewStateShareKey={view.key}{mode}"


def _encoded(view: View, created: int) -> str:
    compressed = base64.b64encode(zlib.compress(json.dumps(_state(view), separators=(",", ":")).encode(), 9)).decode()
    return json.dumps(
        {"name": view.title, "createdAt": created, "updatedAt": created, "state": f"deflate;{compressed}"}
    )


def _state(view: View) -> dict[str, Any]:
    names = [*(title for title, _ in view.sections), *REST]
    shown = {"isReordered": True, "deleted": False, "isGenerated": False}
    sections = [shown | {"name": name, "uuid": _id(view, name), "display": name not in REST} for name in names]
    return {
        "searchFilter": view.query,
        "orderByKey": view.order,
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": list(view.columns),
        "columnOrder": list(view.columns),
        "columnWidths": WIDTHS | {column: _width(column) for column in view.columns},
        "runsHiddenMode": "FIRST_20_RUNS",
        "compareRunCharts": [_card(view, title, chart) for title, charts in view.sections for chart in charts],
        "compareRunSections": sections,
        "isAccordionReordered": True,
        "hideEmptyCharts": True,
        "groupBy": _grouping(view.group) if view.group else None,
        "useGroupedValuesInCharts": True,
        "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
    }


def _width(column: str) -> int:
    """Pixels for a heading, or most of a long one."""
    return min(40 + 7 * len(column.partition("`")[2]), 150)


def _grouping(names: Sequence[str]) -> dict[str, Any]:
    return {"aggregateFunction": "average", "groupByKeys": [{"mode": "tag", "groupByData": name} for name in names]}


def _card(view: View, section: str, chart: Chart) -> dict[str, Any]:
    """As the page describes one; what is left out has its default there."""
    card = {
        "uuid": _id(view, section, chart.title),
        "metricSectionId": _id(view, section),
        "displayName": chart.title,
        "deleted": False,
        "isGenerated": False,
    }
    if chart.kind == "bar":
        return card | {"type": "BAR", "metricKey": chart.metrics[0], "runsCountToCompare": 20}
    if chart.kind == "scatter":
        axes = [{"key": name, "type": "METRIC"} for name in chart.metrics]
        return card | {"type": "SCATTER", "xaxis": axes[0], "yaxis": axes[1], "runsCountToCompare": 100}
    if chart.kind == "differences":
        shown = {"compareGroups": ["Parameters", "Tags", "Model metrics"], "showDifferencesOnly": True}
        return card | shown | {"type": "DIFFERENCE", "chartName": chart.title, "showChangeFromBaseline": True}
    return card | {
        "type": "LINE",
        "metricKey": chart.metrics[0],
        "selectedMetricKeys": list(chart.metrics),
        "lineSmoothness": 0,
        "xAxisKey": "time-relative" if chart.kind == "time" else "step",
        "xAxisScaleType": "linear",
        "scaleType": "log" if chart.log else "linear",
        "range": {},
        "selectedXAxisMetricKey": "",
        "yAxisKey": "metric",
        "yAxisExpressions": [],
        "useGlobalXaxisKey": False,
        "useGlobalLineSmoothing": True,
        "runsCountToCompare": 20,
    }


def _id(view: View, *names: str) -> str:
    """The same for the same, so that a view is the same text whenever it is written."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "/".join(("hepbench", view.key, *names))))
