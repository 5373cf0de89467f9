"""The plots of a leaderboard's page as Vega-Lite specifications, https://vega.github.io/vega-lite/, without their data:
the page's script gives them the rows that are chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hepbench.tracking import plots
from hepbench.tracking.leaderboard.plot_data import MOST_DRAWN

Spec = dict[str, Any]

HEIGHT = 340
MOST_BANDS = 6
"""Rows whose bands can be distinguished."""

LIMITS = "Hollow: a lower limit at 95 %."

FAINT = "rgba(128, 128, 128, 0.22)"
GREY = "#8b93a0"

STYLE: Spec = {
    "background": "transparent",
    "font": "system-ui, -apple-system, Segoe UI, Roboto, Helvetica Neue, sans-serif",
    "view": {"stroke": FAINT},
    "axis": {
        "labelColor": "currentColor",
        "titleColor": "currentColor",
        "domainColor": "currentColor",
        "tickColor": "currentColor",
        "gridColor": FAINT,
        "labelFontSize": 12,
        "titleFontSize": 13,
        "titleFontWeight": "normal",
        "labelLimit": 220,
        "labelOverlap": "greedy",
        "labelSeparation": 6,
    },
    "legend": {
        "labelColor": "currentColor",
        "titleColor": "currentColor",
        "labelFontSize": 12,
        "labelLimit": 260,
        "orient": "bottom",
        "columns": 2,
        "symbolStrokeWidth": 3,
    },
    "text": {"color": "currentColor"},
}
"""Ink is the page's own, dark or light."""

ROW: Spec = {"field": "row", "type": "nominal", "title": None, "legend": {"symbolOpacity": 1}}
"""Of colour, dash or shape: its scale, which row has which, is set by the script."""

OF_LINES = {**ROW, "legend": {**ROW["legend"], "symbolType": "stroke", "symbolSize": 900}}


def specs(
    signal: str, background: str, classes: Sequence[str], choices: Mapping[str, Sequence[tuple[str, str]]]
) -> list[dict[str, Any]]:
    """Each plot: "kind", "title", "caption", "spec" and "choices", which lists can be chosen from beside it: the name
    of each list with its (value, label) pairs.

    signal, background: what the curves are of. classes: of a task with more than two. choices: name of a list -> its
    pairs, such as "x" and "y" of the Pareto plot; a plot that needs a choice and has none is left out.
    """
    of_class = {"class": [(name, name) for name in classes]} if len(classes) > 2 else {}
    band = (
        "Lines: means over the seeds. Bands: 95 % intervals from the finite test sample and the spread of the seeds, "
        f"averaged over neighbouring points; for up to {MOST_BANDS} rows. Grey, dotted: chance."
    )
    found = [
        _plot("rejection", "Background rejection", band, _curve(signal, background, inverted=False), of_class),
        _plot("roc", "ROC", band, _curve(signal, background, inverted=True), of_class),
        _plot("interval", "Ranking metric", f"Bars: 95 % intervals. Dotted: that of the best. {LIMITS}", _intervals()),
        _plot(
            "pareto",
            "Score versus cost",
            f"Large: no other of these is better in both (Pareto front). Bars: 95 % intervals. {LIMITS}",
            _pareto(),
            {name: choices[name] for name in ("x", "y")},
        ),
        _plot(
            "learning",
            "Learning curves",
            "Solid: validation, dashed: training, of the first seed.",
            _learning(),
            {"history": choices["history"]},
        ),
        _plot(
            "calibration",
            "Calibration",
            "Fraction of positives versus predicted probability; first seed, one standard deviation. Grey, dotted: "
            "calibrated.",
            _calibration(signal if len(classes) == 2 else "the predicted class"),
        ),
        _plot(
            "shifts",
            "Performance and resilience",
            "Change of the AUC on a shifted sample, which no model is trained on, versus the AUC on the test set. "
            "Best: lower right. Bars: one standard deviation. Large: no other is better in both (Pareto front).",
            _shifts(),
            {"shift": choices["shift"]},
        ),
        _plot("slices", "Slices", "Bars: one standard deviation.", _slices(), {"slice": choices["slice"]}),
    ]
    if len(classes) > 2:
        found.append(
            _plot(
                "confusion",
                "Confusion matrix",
                "Fractions of each true class, of the first row drawn.",
                _confusion(classes),
            )
        )
    return [plot for plot in found if all(plot["choices"].values())]


def _plot(
    kind: str, title: str, caption: str, spec: Spec, choices: Mapping[str, Sequence[tuple[str, str]]] | None = None
) -> dict[str, Any]:
    whole = {"width": "container", "height": HEIGHT, "config": STYLE, "description": f"{title}. {caption}", **spec}
    return {"kind": kind, "title": title, "caption": caption, "spec": whole, "choices": dict(choices or {})}


def _number(name: str, title: str | None = None, **scale: Any) -> Spec:
    return {"field": name, "type": "quantitative", "title": title, "scale": scale}


def _told(**fields: str) -> list[Spec]:
    """What a point shows under the mouse: field -> heading."""
    return [{"field": "row", "title": "model"}] + [
        {"field": name, "type": "quantitative", "title": title, "format": ".4~g"} for name, title in fields.items()
    ]


def _line(points: Sequence[tuple[float, float]], **more: Any) -> Spec:
    """A dotted line that is no row's."""
    return {
        "data": {"values": [{"x": x, "value": y} for x, y in points]},
        "mark": {"type": "line", "color": GREY, "strokeDash": [2, 3], "strokeWidth": 1.2, "clip": True, **more},
        "encoding": {"y": {"field": "value", "type": "quantitative"}, "color": {"value": GREY}},
    }


SEEN_BY_MOUSE = {"opacity": 0, "size": 70}


def _marked(encoding: Spec) -> list[Spec]:
    """Layers of points; those of limits are hollow."""
    filled = {"mark": {"type": "point", "filled": True, "opacity": 1}, "transform": [{"filter": "!datum.limit"}]}
    hollow = {"mark": {"type": "point", "strokeWidth": 2, "opacity": 1}, "transform": [{"filter": "datum.limit"}]}
    return [{**layer, "encoding": encoding} for layer in (filled, hollow)]


def _curve(signal: str, background: str, inverted: bool) -> Spec:
    name = f"{'ε_B' if inverted else '1/ε_B'} ({background})"
    scale: Spec = {"domain": [0, 1]} if inverted else {"type": "log"}
    steps = [0.01 * step for step in range(1, 101)]
    return {
        "encoding": {"color": OF_LINES, "x": _number("x", f"ε_S ({signal})", domain=[0, 1])},
        "layer": [
            _line([(step, step if inverted else 1 / step) for step in steps]),
            {
                "mark": {"type": "area", "opacity": 0.18, "clip": True},
                "encoding": {"y": _number("low", name, **scale), "y2": {"field": "high"}},
            },
            {
                "mark": {"type": "line", "clip": True, "strokeWidth": 2, "point": SEEN_BY_MOUSE},
                "encoding": {
                    "strokeDash": OF_LINES,
                    "y": _number("value", name, **scale),
                    "tooltip": _told(x="ε_S", value=name, low="from", high="to"),
                },
            },
        ],
    }


def _intervals() -> Spec:
    return {
        "height": {"step": 26},
        "encoding": {
            "color": {**ROW, "legend": None},
            "y": {"field": "row", "type": "nominal", "title": None, "sort": None},
            "tooltip": _told(value="value", low="from", high="to"),
        },
        "layer": [
            {
                "transform": [{"filter": "datum.first"}, {"fold": ["low", "high"]}],
                "mark": {"type": "rule", "strokeDash": [2, 3], "color": GREY},
                "encoding": {"x": _number("value", zero=False), "y": None, "color": {"value": GREY}},
            },
            {
                "mark": {"type": "rule", "strokeWidth": 2},
                "encoding": {"x": _number("low", zero=False), "x2": {"field": "high"}},
            },
            *_marked({"x": _number("value", zero=False), "size": {"value": 80}}),
        ],
    }


def _pareto() -> Spec:
    return {
        "encoding": {"x": _number("x", zero=False), "y": _number("y", zero=False), "tooltip": _told(x="x", y="y")},
        "layer": [
            {
                "transform": [{"filter": "datum.front"}],
                "mark": {"type": "line", "color": GREY, "strokeDash": [2, 3], "strokeWidth": 1.2},
            },
            {"mark": {"type": "rule"}, "encoding": {"color": ROW, "y": _number("low"), "y2": {"field": "high"}}},
            *_marked(
                {
                    "color": ROW,
                    "shape": ROW,
                    "size": {"condition": {"test": "datum.front", "value": 160}, "value": 60},
                }
            ),
        ],
    }


def _shifts() -> Spec:
    found = _pareto()
    x, y = _number("x", "AUC on the test set", zero=False), _number("y", zero=True)  # its title is the script's
    return {**found, "encoding": {"x": x, "y": y, "tooltip": _told(x="AUC", y="change %")}}


def _learning() -> Spec:
    return {
        "mark": {"type": "line", "strokeWidth": 1.8, "point": {"size": 30}},
        "encoding": {
            "color": ROW,
            "shape": ROW,
            "x": {**_number("epoch", "epoch or round", zero=False), "axis": {"format": ",d"}},  # ticks: the script's
            "y": _number("value", zero=False),
            "strokeDash": {
                "field": "part",
                "type": "nominal",
                "title": None,
                "scale": {"domain": ["validation", "training"], "range": [[1, 0], [5, 4]]},
                "legend": None,  # its caption says it
            },
            "tooltip": [*_told(epoch="epoch", value="value"), {"field": "part", "title": "set"}],
        },
    }


def _calibration(name: str) -> Spec:
    scale = {"domain": [0, 1]}
    return {
        "encoding": {"color": ROW, "x": _number("x", f"predicted probability of {name}", **scale)},
        "layer": [_line([(0, 0), (1, 1)]), *_points("fraction of positives", **scale)],
    }


def _slices() -> Spec:
    return {
        "encoding": {"color": ROW, "x": {**_number("x", zero=False, padding=15), "axis": {"format": "~g"}}},
        "layer": _points(None, zero=False),
    }


def _points(title: str | None, **scale: Any) -> list[Spec]:
    """Values with their errors, and lines from one to the next."""
    return [
        {
            "mark": {"type": "rule", "clip": True},
            "encoding": {"y": _number("low", title, **scale), "y2": {"field": "high"}},
        },
        {
            "mark": {"type": "line", "strokeWidth": 1.6, "clip": True, "point": {"size": 40}},
            "encoding": {
                "shape": ROW,
                "y": _number("value", title, **scale),
                "tooltip": _told(x="at", value="value", low="from", high="to"),
            },
        },
    ]


def _confusion(classes: Sequence[str]) -> Spec:
    return {
        "encoding": {
            "x": {
                "field": "guessed",
                "type": "nominal",
                "title": "predicted class",
                "sort": list(classes),
                "axis": {"labelAngle": -25},
            },
            "y": {"field": "true", "type": "nominal", "title": "true class", "sort": list(classes)},
        },
        "layer": [
            {
                "mark": "rect",
                "encoding": {
                    "color": {**_number("share", domain=[0, 1], scheme="blues"), "legend": None},
                    "tooltip": [
                        {"field": "true", "title": "true class"},
                        {"field": "guessed", "title": "predicted class"},
                        {"field": "events", "format": ","},
                        {"field": "share", "title": "fraction", "format": ".1%"},
                    ],
                },
            },
            {
                "mark": {"type": "text", "fontSize": 12},
                "encoding": {
                    "text": {"field": "share", "format": ".1%"},
                    "color": {"condition": {"test": "datum.share > 0.6", "value": "white"}, "value": "black"},
                },
            },
        ],
    }


DASHES = ([1, 0], [7, 3], [8, 3, 2, 3], [2, 2], [9, 3, 2, 3, 2, 3])
"""Those of `plots.DASHES`."""

SHAPES = {
    "o": "circle",
    "s": "square",
    "D": "diamond",
    "^": "triangle-up",
    "v": "triangle-down",
    "P": "cross",
    "<": "triangle-left",
    ">": "triangle-right",
}

LOOKS = [
    {"color": one.colour, "strokeDash": DASHES[plots.DASHES.index(one.line)], "shape": SHAPES[one.marker]}
    for one in map(plots.look, range(MOST_DRAWN))
]
"""Of the rows that are drawn, in turn: as of `plots.look`."""
