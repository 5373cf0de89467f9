"""Pages of HTML that need no other file: the templates, and drawings that go into them in the page's own ink.

A page is written in `templates/`, where whatever is put into it is escaped. The two functions that give markup, which
is not, are here: they turn drawings into it, whose text is escaped by the library that draws.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import io
import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from markupsafe import Markup

from hepbench.tracking.printable import printable

if TYPE_CHECKING:
    from jinja2 import Environment
    from matplotlib.figure import Figure


TEMPLATES = Path(__file__).parent / "templates"

INK = "#010203"
"""A colour that nothing else has, to be replaced by that of the page's text."""

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"
SOFT_INK = "#7d8792"
"""A grey that can be read on white and on black, for drawings that know no `currentColor`."""


def render(template: str, **content: Any) -> str:
    """The page of this template in `templates/`. content: what the template asks for; all of it is escaped but the
    drawings of `inline_svg` and `inline_plotly`."""
    written = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return _environment().get_template(template).render(content, written=written)


@functools.cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: type(value)(printable(value)) if isinstance(value, str) else value,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


@contextlib.contextmanager
def style() -> Iterator[None]:
    """The look of plots that `inline_svg` puts into a page."""
    from hepbench.tracking import plots

    ink = {name: INK for name in ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")}
    settings = {"svg.fonttype": "none", "svg.hashsalt": "page", "legend.labelcolor": INK}
    with plots.style(**ink, **settings):
        yield


def inline_svg(figure: Figure) -> Markup:
    """A matplotlib figure drawn under `style`, whose ink is the page's text colour, dark or light."""
    out = io.StringIO()
    figure.savefig(out, format="svg", transparent=True, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    drawing = ElementTree.fromstring(out.getvalue())
    own = hashlib.sha256(out.getvalue().encode()).hexdigest()[:8]  # names of parts are those of one drawing on a page
    for element in drawing.iter():
        for name, value in element.items():
            if name == "id":
                value = f"{own}-{value}"
            elif name == f"{{{XLINK}}}href" and value.startswith("#"):
                value = f"#{own}-{value[1:]}"
            elif name == "d":
                value = re.sub(r"(\.\d\d)\d+", r"\1", value)  # to a hundredth of a point, which halves the page
            else:
                value = value.replace(INK, "currentColor").replace("url(#", f"url(#{own}-")
            element.set(name, value)
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    return Markup(ElementTree.tostring(drawing, encoding="unicode"))


def inline_plotly(figure: Any, library: bool) -> Markup:
    """An interactive plotly figure. library: with plotly's own code, which the first of a page brings for all."""
    figure.update_layout(
        title=None,
        margin={"t": 20},
        paper_bgcolor="rgba(0, 0, 0, 0)",
        plot_bgcolor="rgba(128, 128, 128, 0.08)",
        font={"color": SOFT_INK},
        modebar={"bgcolor": "rgba(0, 0, 0, 0)", "color": SOFT_INK},
    )
    figure.update_traces(tickfont_color=SOFT_INK, rangefont_color=SOFT_INK, selector={"type": "parcoords"})
    grid = {"gridcolor": "rgba(128, 128, 128, 0.25)", "zerolinecolor": "rgba(128, 128, 128, 0.4)"}
    figure.update_xaxes(**grid)
    figure.update_yaxes(**grid)
    return Markup(
        type(figure)(_as_text(figure.to_dict())).to_html(
            full_html=False, include_plotlyjs=library, config={"displaylogo": False, "responsive": True}
        )
    )


def json_script(content: Any) -> Markup:
    """Data for a script of the page, as JSON that ends no <script>. What is not finite is null."""
    text = as_json(content)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def as_json(content: Any) -> str:
    """Compact; texts as `printable`, and null for what is not finite."""
    return json.dumps(_finite(content), ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _finite(part: Any) -> Any:
    if isinstance(part, float):
        return part if math.isfinite(part) else None
    if isinstance(part, str):
        return printable(part)
    if isinstance(part, Mapping):
        return {printable(str(key)): _finite(value) for key, value in part.items()}
    return [_finite(value) for value in part] if isinstance(part, list | tuple) else part


VEGA_LICENCE = "Vega, Vega-Lite and Vega-Embed, https://vega.github.io, BSD-3-Clause, University of Washington"


def vega(kept: Path) -> str:
    """The JavaScript of Vega-Lite, which draws the plots of a page without a network; `vegaEmbed` is its name there.

    kept: a folder where it is kept once it has been put together, which takes a second or more.
    """
    path = kept / f"vega-{importlib.metadata.version('vl-convert-python')}.js"
    with contextlib.suppress(OSError, ValueError):
        return path.read_text(encoding="utf-8")
    text = f"/* {VEGA_LICENCE} */\n{_vega_bundle()}"
    with contextlib.suppress(OSError):  # a folder that cannot be written has it put together again
        path.parent.mkdir(exist_ok=True, parents=True)
        unfinished = path.with_suffix(f".{os.getpid()}")
        try:
            unfinished.write_text(text, encoding="utf-8")
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    return text


@functools.cache
def _vega_bundle() -> str:
    import vl_convert

    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").replace("</script", r"<\/script")


OWN_TAGS = re.compile(r"<(?!/?(?:br|extra)\b)")
"""What plotly would take for markup, but for the tags that those who draw put between names."""


def _as_text(part: Any) -> Any:
    """A part of a plotly figure whose names are shown as they are, not as the HTML that plotly would read in them."""
    if isinstance(part, str):
        return OWN_TAGS.sub("&lt;", printable(part))
    if isinstance(part, dict):
        return {key: _as_text(value) for key, value in part.items()}
    if isinstance(part, list | tuple):
        return [_as_text(value) for value in part]
    if getattr(part, "dtype", None) is not None and part.dtype.kind in "OU":
        return [_as_text(value) for value in part.tolist()]
    return part
