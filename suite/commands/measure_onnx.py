"""`hepbench measure onnx`: models as ONNX files on one thread, with 32 bits and with 8, beside the trained ones."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import date

from rich import box
from rich.table import Table
from rich.text import Text

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import check_known
from hepbench.suite import results
from hepbench.suite.commands.console import Console
from hepbench.suite.export.graph import require_onnx
from hepbench.suite.profiling.onnx import AT_ONCE, TRAINED, Form, exportable, forms_of
from hepbench.tracking.hardware.machine import describe_machine
from hepbench.tracking.printable import markdown_table

WIDE = 100
"""Columns of a terminal that everything has room in."""

SHORT = ("differs\nby", "AUC", "loss\nof AUC", "event\nms", "99 %\nms", "events\n/ms")
"""Headings of a terminal's table, of HEADINGS from the third on."""

FORMS = ("table", "markdown")
TEXTS = ("model", "form")
HEADINGS = (
    *TEXTS, "largest difference", "AUC", "loss of AUC", "one event, ms", "99 %, ms", f"events/ms by {AT_ONCE:,}", "MiB"
)  # fmt: skip


def measure_onnx(task_given: str, models: Sequence[str], seconds: float, form: str, console: Console) -> None:
    """Print a table of the latest runs of these models, or of all that have one; each time is taken over about so many
    seconds."""
    check_known("format", form, FORMS)
    require_onnx()
    task, store = registry.find("task", task_given), results.open_store(to_write=False)
    entries = [registry.find("model", given) for given in models]
    own = {entry.name: entry.given for entry in entries if not entry.shipped}
    runs = exportable(task, entries, store)
    lines, missing = [], []
    for run in runs:
        name = next(one["tags"]["model"] for one in store.find(run))
        with console.status(Text(f"{task.name}: {name}")):
            for found in forms_of(store, run, seconds, task, own.get(name)):
                if found.missing:
                    missing.append(f"{found.model}, {found.form}: not measured: {found.missing}")
                else:
                    lines.append(_cells(found))
    machine = describe_machine()
    title = f"{task.name}: {machine['cpu']}, {machine['cores_usable']} cores, {date.today()}"
    if form == "markdown":
        rule = [":---" if name in TEXTS else "---:" for name in HEADINGS]
        text = [
            f"**{title}**",
            "",
            *markdown_table([HEADINGS, rule, *lines]),
            "",
            *(f"{one}  " for one in missing),
        ]
        sys.stdout.write("\n".join(text).rstrip() + "\n")
        return
    console.print(Text(title))
    console.print(_table(lines, console.width))
    for one in missing:
        console.print(Text(one), soft_wrap=True)
    console.print(
        "ONNX and 8 bits: in ONNX Runtime on one thread; rates by 1,000 events at once. Loss of AUC: on the run's test "
        "events, ± the paired error. Nothing else should run beside this."
    )


def _table(lines: Sequence[Sequence[str]], width: int) -> Table:
    """Each model's forms below it; without the size of the file where a terminal has no room for it."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    table.add_column("model", no_wrap=True)
    for name in SHORT if width < WIDE else (*SHORT, "MiB"):
        table.add_column(name, justify="right", no_wrap=True)
    for model, form, *cells in lines:
        name = (
            f"{model} {TRAINED}" if form == TRAINED else "  " + form.rpartition(", ")[2].replace("one thread", "ONNX")
        )
        table.add_row(Text(name, style="bold" if form == TRAINED else ""), *cells[: len(table.columns) - 1])
    return table


def _cells(found: Form) -> list[str]:
    times = found.times
    return [
        found.model,
        found.form,
        "" if found.difference is None else f"{found.difference:.1e}",
        "" if found.auc is None else f"{found.auc:.4f}",
        "" if found.loss is None else f"{found.loss[0]:.4f} ± {found.loss[1]:.4f}",
        "–" if times is None else f"{times.p50:.2g}",
        "–" if times is None or times.p99 is None else f"{times.p99:.2g}",
        "–" if times is None else f"{times.rate / 1e3:.3g}" if times.rate < 1e6 else f"{times.rate / 1e3:,.0f}",
        "" if found.mib is None else f"{found.mib:.2f}",
    ]
