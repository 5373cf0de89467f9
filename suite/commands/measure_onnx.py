"""`hepbench measure onnx`: models as 32-bit and 8-bit ONNX files on one thread, compared with the trained ones."""

from __future__ import annotations

import csv
import shlex
import sys
from collections.abc import Sequence
from datetime import date

from rich import box
from rich.table import Table
from rich.text import Text

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import UserError, check_known
from hepbench.suite import results
from hepbench.suite.commands.console import Console
from hepbench.suite.export.graph import require_onnx
from hepbench.suite.profiling.onnx import AT_ONCE, TRAINED, Form, exportable, forms_of
from hepbench.tracking.hardware.machine import describe_machine
from hepbench.tracking.numbers import significant_digits
from hepbench.tracking.printable import markdown_table

WIDE = 100
"""Width of a terminal, in characters, that fits the whole table."""

SHORT = ("differs\nby", "AUC", "loss\nof AUC", "event\nms", "99 %\nms", "events\n/ms")
"""Short forms, for a terminal, of HEADINGS from the fourth on."""

FORMS = ("table", "markdown", "csv")
TEXTS = ("task", "model", "form")
HEADINGS = (
    *TEXTS, "largest difference", "AUC", "loss of AUC", "one event, ms", "99 %, ms", f"events/ms by {AT_ONCE:,}", "MiB"
)  # fmt: skip
CSV = (
    *TEXTS, "difference", "auc", "auc_loss", "auc_loss_error", "p50_ms", "p99_ms", "events_per_second", "mib",
    "missing", "machine", "day",
)  # fmt: skip


def measure_onnx(tasks: Sequence[str], models: Sequence[str], seconds: float, form: str, console: Console) -> None:
    """Print a table of the latest runs of these models, or of all models with one. seconds: duration of each timing; 0:
    no timing."""
    check_known("format", form, FORMS)
    require_onnx()
    store = results.open_store(to_write=False)
    entries = registry.find_models(models)
    own = {entry.name: entry.given for entry in entries if not entry.shipped}
    found = [registry.find("task", given) for given in tasks]
    runs = [(task, run) for task in found for run in exportable(task, entries, store)]
    if not runs:
        names = ", ".join(task.name for task in found)
        raise UserError(
            f"no finished run of {names} has a model to export: run hepbench bench {shlex.quote(found[0].given)} first"
        )
    machine = describe_machine()
    where = f"{machine['cpu']}, {machine['cores_usable']} cores"
    lines: list[Form] = []
    writer = csv.writer(sys.stdout, lineterminator="\n")
    if form == "csv":
        writer.writerow(CSV)
    for number, (task, run) in enumerate(runs, 1):
        name = next(one["tags"]["model"] for one in store.find(run))
        with console.status(Text(f"{number}/{len(runs)} {task.name}: {name}")):
            for one in forms_of(store, run, seconds, task, own.get(name)):
                lines.append(one)
                if form == "csv":
                    writer.writerow([*_numbers(one), where, date.today()])
                    sys.stdout.flush()
    if form != "csv":
        _print(lines, f"{where}, {date.today()}", form, console)


def _print(forms: Sequence[Form], title: str, form: str, console: Console) -> None:
    """Print the table, with names of tasks if there are several."""
    several = len({one.task for one in forms}) > 1
    lines = [_cells(one) for one in forms if not one.missing]
    missing = [f"{one.task}, {one.model}, {one.form}: not measured: {one.missing}" for one in forms if one.missing]
    if not several:
        title = f"{forms[0].task}: {title}"
    if form == "markdown":
        head = list(HEADINGS if several else HEADINGS[1:])
        rule = [":---" if name in TEXTS else "---:" for name in head]
        text = [f"**{title}**", "", *markdown_table([head, rule, *(line[-len(head) :] for line in lines)]), ""]
        sys.stdout.write("\n".join([*text, *(f"{one}  " for one in missing)]).rstrip() + "\n")
        return
    console.print(Text(title))
    console.print(_table(lines, several, console.width))
    for one in missing:
        console.print(Text(one), soft_wrap=True)
    console.print(
        "ONNX and 8 bits: in ONNX Runtime on one thread; rates in batches of 1,000 events. Loss of AUC: on the test "
        "set of the run, ± the paired error. The machine should be otherwise idle."
    )


def _table(lines: Sequence[Sequence[str]], several: bool, width: int) -> Table:
    """The forms of each model are listed below it; without file sizes if the terminal is too narrow."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    table.add_column("model", no_wrap=True)
    for name in SHORT if width < WIDE else (*SHORT, "MiB"):
        table.add_column(name, justify="right", no_wrap=True)
    for task, model, form, *cells in lines:
        trained = f"{task}: {model} {TRAINED}" if several else f"{model} {TRAINED}"
        name = trained if form == TRAINED else "  " + form.rpartition(", ")[2].replace("one thread", "ONNX")
        table.add_row(Text(name, style="bold" if form == TRAINED else ""), *cells[: len(table.columns) - 1])
    return table


def _cells(found: Form) -> list[str]:
    times = found.times
    return [
        found.task,
        found.model,
        found.form,
        "" if found.difference is None else f"{found.difference:.1e}",
        "" if found.auc is None else f"{found.auc:.4f}",
        "" if found.loss is None else f"{found.loss[0]:.4f} ± {found.loss[1]:.4f}",
        "–" if times is None else significant_digits(times.p50, 2),
        "–" if times is None or times.p99 is None else significant_digits(times.p99, 2),
        "–" if times is None else significant_digits(times.rate / 1e3),
        "" if found.mib is None else f"{found.mib:.2f}",
    ]


def _numbers(found: Form) -> list[object]:
    """The cells for CSV; empty if not measured."""
    loss, times = found.loss or (None, None), found.times
    of_times = (None,) * 3 if times is None else (times.p50, times.p99, times.rate)
    numbers = (found.difference, found.auc, *loss, *of_times, found.mib)
    return [found.task, found.model, found.form, *("" if x is None else f"{x:.6g}" for x in numbers), found.missing]
