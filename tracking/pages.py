"""Pages of HTML that need no other file: the frame, tables, and drawings in the page's own ink."""

from __future__ import annotations

import contextlib
import html
import io
import os
import re
import string
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


INK = "#010203"
"""A colour that nothing else has, to be replaced by that of the page's text."""


def write(path: Path, title: str, about: Sequence[str], sections: Sequence[str], footer: str = "") -> Path:
    """One page, whole or not at all. about: paragraphs of text below the title. sections, footer: HTML."""
    text = PAGE.substitute(
        title=html.escape(title),
        about="".join(f"<p>{linked(line)}</p>" for line in about),
        sections="\n".join(sections),
        footer=footer,
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
    return path


@contextlib.contextmanager
def style(salt: int = 0) -> Iterator[None]:
    """The look of plots that `figure` puts into a page; salt: another one for each group of drawings on a page."""
    from hepbench.tracking import plots

    ink = {name: INK for name in ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")}
    settings = {"svg.fonttype": "none", "svg.hashsalt": str(salt), "legend.labelcolor": INK}
    with plots.style(**ink, **settings):
        yield


def table(columns: Sequence[str], body: Sequence[Sequence[str]], right: set[int]) -> str:
    """A table of cells that are HTML already."""
    kind = [" class=n" if i in right else "" for i in range(len(columns))]
    names = [re.sub(r"ε_(\w)", r"ε<sub>\1</sub>", html.escape(name)) for name in columns]
    head = "".join(f"<th{k}>{name}</th>" for k, name in zip(kind, names, strict=True))
    lines = ("".join(f"<td{k}>{cell}</td>" for k, cell in zip(kind, line, strict=True)) for line in body)
    return (
        f"<div class=scroll><table><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(f'<tr>{line}</tr>' for line in lines)}</tbody></table></div>"
    )


def linked(text: str) -> str:
    """Text as HTML, its web addresses as links."""
    return re.sub(r"https?://[^\s<>\"']*[^\s<>\"'.,;:)]", r'<a href="\g<0>">\g<0></a>', html.escape(text, quote=False))


def figure(figure: Figure, caption: str) -> str:
    """An inline drawing whose ink is the page's text colour, dark or light."""
    out = io.StringIO()
    figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    drawing = out.getvalue()
    drawing = drawing[drawing.index("<svg") :].replace(INK, "currentColor")
    drawing = re.sub(r"<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)
    # Outlines to a hundredth of a point, which halves the page.
    drawing = re.sub(r' d="[^"]*"', lambda path: re.sub(r"(\.\d\d)\d+", r"\1", path[0]), drawing)
    return f"<figure>{drawing}<figcaption>{html.escape(caption)}</figcaption></figure>"


PAGE = string.Template(
    """<!doctype html>
<html lang=en>
<head>
<meta charset=utf-8>
<meta name=viewport content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
:root { color-scheme: light dark; --paper: #fbfbfa; --card: #fff; --ink: #1b1f24; --soft: #5b6470; --line: #e3e5e8;
  --accent: #2f6fdb; --bar: #5790fc2e; --official: #1a7f4b; --simulated: #9a6200; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171b; --card: #1b1f25; --ink: #e8eaed; --soft: #9aa4b1;
  --line: #2d333b; --accent: #7fabff; --bar: #5790fc3d; --official: #5fd39a; --simulated: #f3b95a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 1240px; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.9rem; letter-spacing: -.02em; line-height: 1.2; margin: 0 0 .4rem; }
h2 { font-size: 1.25rem; letter-spacing: -.01em; margin: 0 0 .5rem; }
header p { margin: .2rem 0; color: var(--soft); max-width: 80ch; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1.4rem 1.5rem;
  margin-top: 1.5rem; }
.chips { display: flex; flex-wrap: wrap; gap: .4rem; margin-bottom: 1rem; }
.chip { font-size: .8rem; padding: .1rem .6rem; border: 1px solid var(--line); border-radius: 99px;
  color: var(--soft); }
.chip.official { color: var(--official); border-color: currentColor; }
.chip.simulated { color: var(--simulated); border-color: currentColor; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; font-size: .8rem; color: var(--soft); border-bottom: 2px solid var(--line);
  padding: .4rem .5rem; white-space: nowrap; }
td { padding: .5rem; border-bottom: 1px solid var(--line); vertical-align: top; }
tbody tr:last-child td { border-bottom: 0; }
tbody tr:hover td { background: color-mix(in srgb, var(--accent) 6%, transparent); }
th.n, td.n { text-align: right; white-space: nowrap; }
td small { display: block; color: var(--soft); font-size: .8rem; max-width: 34ch; }
.bar { display: block; padding: 0 .3rem; border-radius: 3px; min-width: 9.5rem;
  background: linear-gradient(to right, var(--bar) var(--share), transparent var(--share)); }
.note, figcaption, footer { color: var(--soft); font-size: .85rem; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 330px), 1fr)); gap: 1rem;
  margin-top: 1rem; align-items: start; }
figure { margin: 0; }
figure svg { width: 100%; height: auto; display: block; }
details { margin-top: 1rem; font-size: .85rem; color: var(--soft); overflow-wrap: anywhere; }
summary { cursor: pointer; }
ul { padding-left: 1.2rem; margin: .4rem 0; }
pre { background: color-mix(in srgb, var(--ink) 6%, transparent); padding: .8rem 1rem; border-radius: 6px;
  overflow-x: auto; font-size: .88rem; margin: 0; }
a { color: var(--accent); overflow-wrap: anywhere; }
footer { margin-top: 1.5rem; }
@media print { section { break-inside: avoid; } }
</style>
</head>
<body>
<main>
<header><h1>$title</h1>$about</header>
$sections
<footer>$footer<p>Written $written.</p></footer>
</main>
</body>
</html>
"""
)
