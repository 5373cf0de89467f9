"""The page of a comparison."""

from __future__ import annotations

from hepbench.tracking import pages
from hepbench.tracking.comparison import figures, table
from hepbench.tracking.comparison.record import Comparison


def render(found: Comparison, *, command: str) -> str:
    """The page as HTML. command: what makes it again."""
    slices = dict.fromkeys((one.name, metric) for one in found.slices for metric in one.measured)
    with pages.style():
        curves = [pages.inline_svg(draw(found)) for draw in (figures.draw_roc, figures.draw_rejection)]
        densities = [pages.inline_svg(figures.draw_density(found, one)) for one in found.densities.of]
        in_slices = [pages.inline_svg(figures.draw_slices(found, *names)) for names in slices]
    return pages.render(
        "comparison.html",
        title=f"{found.one.name} and {found.other.name} on {found.task}",
        about=[table.about(side) for side in (found.one, found.other)],
        facts=found.facts,
        official=found.facts[0].startswith("official"),
        verdicts=table.verdicts(found),
        notes=found.notes,
        headings=table.headings(found),
        rows=table.cells(found, by_class=False),
        rows_by_class=table.cells(found, by_class=True),
        curves=curves,
        curves_caption=figures.CURVES,
        densities=densities,
        densities_caption=figures.DENSITIES,
        overlap_headings=table.overlap_headings(found),
        overlaps=table.overlap_cells(found),
        agreement=table.agreement_lines(found),
        odd_headings=table.odd_headings(found),
        odd=table.odd_cells(found),
        slice_headings=table.slice_headings(found),
        slices=table.slice_cells(found),
        slice_figures=in_slices,
        slices_caption=figures.SLICES,
        cost_headings=table.cost_headings(found),
        costs=found.costs,
        sides=(found.one, found.other),
        command=command,
        legend=table.LEGEND,
    )
