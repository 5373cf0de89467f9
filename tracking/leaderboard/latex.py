"""Tables for papers: LaTeX with the rules of the package booktabs."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hepbench.tracking.printable import printable

SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "ε": r"$\varepsilon$",
    "µ": r"$\mu$",
    "–": "--",
    **{letter: rf"\{letter}" for letter in "&%$#_{}"},
}
_INDEXED = re.compile(r"ε_(\w)")
_SPECIAL = re.compile("|".join(map(re.escape, SPECIAL)))

PREAMBLE = "% \\usepackage{booktabs}"


def text(words: str) -> str:
    """Words as LaTeX prints them."""
    parts = _INDEXED.split(printable(words).replace("\n", " "))
    parts[::2] = [_SPECIAL.sub(lambda found: SPECIAL[found[0]], part) for part in parts[::2]]
    parts[1::2] = [rf"$\varepsilon_{{{index}}}$" for index in parts[1::2]]
    return "".join(parts)


def table(
    headings: Sequence[str], numeric: Sequence[bool], rows: Sequence[Sequence[str]], below: Sequence[Sequence[str]] = ()
) -> list[str]:
    """Lines of a tabular. numeric: the columns that stand to the right. below: rows behind another rule, in italics."""
    lines = [rf"\begin{{tabular}}{{{''.join('r' if one else 'l' for one in numeric)}}}", r"\toprule"]
    lines += [_row(headings), r"\midrule", *map(_row, rows)]
    if below:
        lines += [r"\midrule", *(_row(cells, italic=True) for cells in below)]
    return [*lines, r"\bottomrule", r"\end{tabular}"]


def comment(line: str) -> str:
    return f"% {printable(line)}".replace("\n", " ")


def _row(cells: Sequence[str], italic: bool = False) -> str:
    shown = [rf"\textit{{{text(cell)}}}" if italic and cell else text(cell) for cell in cells]
    return f"{' & '.join(shown)} \\\\"
