"""A network as a drawing: boxes from the inputs at the top to the output, as SVG that needs no other program."""

from __future__ import annotations

import html
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hepbench.tracking.printable import printable

HEIGHT, GAP, SPACE = 44, 26, 22
"""Of a box, below it, and between two boxes side by side, in pixels."""

PASSING = 14
"""Width that a line takes where it passes by boxes."""

LETTER = 7.7
"""Width of a letter of a title."""

SWEEPS = 24
"""Times that the boxes are ordered and pulled towards their neighbours; few are enough."""


@dataclass(frozen=True)
class Box:
    """One layer. kind: "input", "layer" with weights, or "step" without. before: boxes whose output it takes, by their
    places in the list, which are lower than its own."""

    title: str
    detail: str
    kind: str
    before: tuple[int, ...]

    @property
    def width(self) -> float:
        return 24 + LETTER * max(len(self.title), 0.8 * len(self.detail), 9)


def svg(boxes: Sequence[Box]) -> str:
    """The drawing of a graph without circles.

    Layers are placed in rows by the longest way from an input; a line that crosses rows has a place in each of them;
    within a row, places are ordered by the mean of their neighbours' and pulled towards it (Sugiyama, Tagawa and Toda,
    IEEE Transactions on Systems, Man, and Cybernetics 11 (1981) 109).
    """
    rows, lines, widths = _places(boxes)
    x = _columns(rows, lines, widths)
    row_of = {place: number for number, row in enumerate(rows) for place in row}
    width = max(x[place] + widths[place] / 2 for place in row_of) + SPACE
    height = len(rows) * (HEIGHT + GAP) - GAP + 2 * SPACE

    def top(place: int) -> float:
        return SPACE + row_of[place] * (HEIGHT + GAP)

    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" font-family="system-ui, Helvetica, Arial, sans-serif" text-anchor="middle">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        '<g fill="none" stroke="#8a93a0" stroke-width="1.3">',
    ]
    for above, below in lines:
        x1, y1, x2, y2 = x[above], top(above) + HEIGHT, x[below], top(below)
        middle = (y1 + y2) / 2
        passing = f"M{x1:.1f} {y1 - HEIGHT:.1f}V{y1:.1f}" if above >= len(boxes) else f"M{x1:.1f} {y1:.1f}"
        drawn.append(f'<path d="{passing}C{x1:.1f} {middle:.1f} {x2:.1f} {middle:.1f} {x2:.1f} {y2:.1f}"/>')
    drawn.append("</g>")
    for place, box in enumerate(boxes):
        fill, edge = {"input": ("#eaf6ee", "#3f9a63"), "layer": ("#e7effd", "#4a7fe0")}.get(
            box.kind, ("#f6f6f7", "#a9b0ba")
        )
        left, y = x[place] - box.width / 2, top(place)
        title, detail = (html.escape(printable(text)) for text in (box.title, box.detail))
        drawn.append(
            f'<rect x="{left:.1f}" y="{y}" width="{box.width:.1f}" height="{HEIGHT}" rx="6" fill="{fill}" '
            f'stroke="{edge}"/>'
            f'<text x="{x[place]:.1f}" y="{y + 18}" font-size="12.5" font-weight="600" fill="#1b1f24">'
            f"{title}</text>"
            f'<text x="{x[place]:.1f}" y="{y + 34}" font-size="11" fill="#5b6470">{detail}</text>'
        )
    return "\n".join([*drawn, "</svg>\n"])


def _places(boxes: Sequence[Box]) -> tuple[list[list[int]], list[tuple[int, int]], dict[int, float]]:
    """(rows of places, lines between places of neighbouring rows, widths). Places from len(boxes) on are where lines
    from one box pass by others, together until they part."""
    depth: list[int] = []
    for box in boxes:
        depth.append(1 + max((depth[one] for one in box.before), default=-1))
    for place in reversed(range(len(boxes))):  # an input stands above what takes it, not at the top
        after = [depth[one] for one, box in enumerate(boxes) if place in box.before]
        if after and not boxes[place].before:
            depth[place] = min(after) - 1
    rows: list[list[int]] = [[] for _ in range(max(depth) + 1)]
    widths = {place: box.width for place, box in enumerate(boxes)}
    for place, row in enumerate(depth):
        rows[row].append(place)
    lines: dict[tuple[int, int], None] = {}
    passing: dict[tuple[int, int], int] = {}  # box and row -> place
    for place, box in enumerate(boxes):
        for before in box.before:
            above = before
            for row in range(depth[before] + 1, depth[place]):
                if (before, row) not in passing:
                    passing[before, row] = len(widths)
                    rows[row].append(len(widths))
                    widths[len(widths)] = PASSING
                lines[above, passing[before, row]] = None
                above = passing[before, row]
            lines[above, place] = None
    return rows, list(lines), widths


def _columns(rows: list[list[int]], lines: Sequence[tuple[int, int]], widths: dict[int, float]) -> dict[int, float]:
    """The middle of each place, so that those of a row do not overlap and lines are short."""
    above: dict[int, list[int]] = {place: [] for place in widths}
    below: dict[int, list[int]] = {place: [] for place in widths}
    for upper, lower in lines:
        below[upper].append(lower)
        above[lower].append(upper)
    x: dict[int, float] = {}
    for row in rows:
        x |= dict(zip(row, np.arange(len(row)) * 100.0, strict=True))
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        near = above if down else below
        for row in rows if down else rows[::-1]:
            wanted = {
                place: float(np.mean([x[one] for one in (near[place] or above[place] or below[place])] or [x[place]]))
                for place in row
            }
            if sweep < SWEEPS // 2:
                row.sort(key=lambda place: (wanted[place], x[place]))
            x |= _apart(row, [wanted[place] for place in row], [widths[place] for place in row])
    left = min(x[place] - widths[place] / 2 for place in x) - SPACE
    return {place: value - left for place, value in x.items()}


def _apart(row: Sequence[int], wanted: Sequence[float], widths: Sequence[float]) -> dict[int, float]:
    """Places as near as possible to where they are wanted, in squares, in this order and not overlapping: a monotonic
    regression of what is wanted less the room that the places before take."""
    room = np.concatenate([[0], np.cumsum([(a + b) / 2 + SPACE for a, b in itertools.pairwise(widths)])])
    blocks: list[tuple[float, int]] = []  # (mean, number)
    for value in np.asarray(wanted) - room:
        blocks.append((float(value), 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (one, first), (other, second) = blocks[-2:]
            blocks[-2:] = [((one * first + other * second) / (first + second), first + second)]
    fitted = np.repeat([mean for mean, _ in blocks], [number for _, number in blocks])
    return dict(zip(row, (fitted + room).tolist(), strict=True))
