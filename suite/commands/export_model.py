"""`hepbench export-model`: the model of a run as a file for another program."""

from __future__ import annotations

from pathlib import Path

from rich.text import Text

from hepbench.benchmarks.base import UserError, check_known
from hepbench.suite import results
from hepbench.suite.atomic import full_disk_as_user_error, whole_file
from hepbench.suite.commands.console import Console
from hepbench.suite.export.exporting import export
from hepbench.suite.profiling.onnx import file_times

FORMATS = ("onnx",)


def export_model(
    run_given: str, form: str, out: Path | None, task: str | None, model: str | None, console: Console
) -> None:
    """Write the model to a file, once it gives the run's scores there. task, model: as of `scoring.model_of`."""
    check_known("format", form, FORMATS)
    out = out or Path(f"{run_given}.onnx")
    if not out.absolute().parent.is_dir():
        raise UserError(f"{out}: there is no folder {out.absolute().parent}")
    with (
        console.status("exporting, and comparing on the test events"),
        export(results.open_store(to_write=False), run_given, task=task, model=model) as found,
    ):
        times = file_times(found.file, found.test)
        with full_disk_as_user_error(out), whole_file(out) as path:
            path.write_bytes(found.file)
    trial = found.model.trial
    console.print(
        Text.assemble((trial.model.name, "bold"), f" seed {trial.spec.seed} of {trial.task.name}: {out}"),
        soft_wrap=True,
    )
    console.print(
        f"scores of {len(found.test):,} test events differ from the run's by at most {found.difference:.1e}; "
        f"{len(found.file) / 2**20:.2f} MiB; one event on one thread takes {times.p50:.3g} ms (median)"
        + ("" if times.p99 is None else f", {times.p99:.3g} ms (99 %)"),
        soft_wrap=True,
        highlight=False,
    )
    settings = f" --view {trial.model.record.view}" if trial.model.record.view else ""
    if features := trial.hyperparameters.get("features"):
        settings += f" --features {features}"
    console.print(
        f"its inputs are those that hepbench events {trial.task.given}{settings} writes; their names, shapes and units "
        "stand in the file",
        soft_wrap=True,
        highlight=False,
    )
