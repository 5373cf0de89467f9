"""`hepbench export-model`: the model of a run as an ONNX file or as an FPGA project."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
from rich.text import Text

from hepbench.benchmarks.base import UserError, check_known
from hepbench.suite import results
from hepbench.suite.atomic import atomic_file, full_disk_as_user_error
from hepbench.suite.commands.console import Console
from hepbench.suite.export.exporting import export, export_firmware
from hepbench.suite.export.firmware import BITS, COMPILER, SYNTHESIS
from hepbench.suite.profiling.onnx import auc_and_loss, file_times
from hepbench.tracking.numbers import significant_digits

FORMATS = ("onnx", "hls4ml")


def export_model(
    run_given: str, form: str, out: Path | None, task: str | None, model: str | None, console: Console
) -> None:
    """Write the model to a file, once it is checked to reproduce the run's scores, or to a project folder. task, model:
    as for `scoring.model_of`."""
    check_known("format", form, FORMATS)
    if form == "hls4ml":
        _export_firmware(run_given, out or Path(f"{run_given}-hls4ml"), task, model, console)
        return
    out = out or Path(f"{run_given}.onnx")
    if out.is_dir():
        raise UserError(f"{out} is a folder: give a file")
    if not out.absolute().parent.is_dir():
        raise UserError(f"{out}: no such folder: {out.absolute().parent}")
    with (
        console.status("exporting and comparing on the test events"),
        export(results.open_store(to_write=False), run_given, task=task, model=model) as found,
    ):
        times = file_times(found.file, found.test)
        with full_disk_as_user_error(out), atomic_file(out) as path:
            path.write_bytes(found.file)
    trial = found.model.trial
    console.print(
        Text.assemble((trial.model.name, "bold"), f" seed {trial.spec.seed} of {trial.task.name}: {out}"),
        soft_wrap=True,
    )
    console.print(
        f"scores of {len(found.test):,} test events differ from the run's by at most {found.difference:.1e}; "
        f"{len(found.file) / 2**20:.2f} MiB; one event on one thread takes {significant_digits(times.p50)} ms (median)"
        + ("" if times.p99 is None else f", {significant_digits(times.p99)} ms (99 %)"),
        soft_wrap=True,
        highlight=False,
    )
    settings = f" --view {trial.model.record.view}" if trial.model.record.view else ""
    if features := trial.hyperparameters.get("features"):
        settings += f" --features {features}"
    console.print(
        f"its inputs are those written by hepbench events {shlex.quote(trial.task.given)}{settings}; names, shapes and "
        "units are in the file",
        soft_wrap=True,
        highlight=False,
    )


def _export_firmware(run_given: str, out: Path, task: str | None, model: str | None, console: Console) -> None:
    with console.status("writing, compiling and simulating the project (minutes)"):
        found = export_firmware(results.open_store(to_write=False), run_given, out, task=task, model=model)
    trial, firmware = found.model.trial, found.firmware
    console.print(
        Text.assemble((trial.model.name, "bold"), f" seed {trial.spec.seed} of {trial.task.name}: {out}"),
        soft_wrap=True,
    )
    if firmware.scores is None:
        simulated = f"C simulation: not available, {COMPILER} not found"
    else:
        signal = trial.task.record.signal
        shares = np.maximum(firmware.scores, 0)
        shares = shares / np.maximum(shares.sum(axis=1, keepdims=True), 2.0**-BITS)  # sum to 1 up to rounding
        auc, loss, error = auc_and_loss(found.events.labels, shares, found.trained, signal)
        simulated = (
            f"C simulation of {len(found.events):,} test events, {BITS} bits per number: scores differ from those of "
            f"the trained model by at most {np.abs(firmware.scores - found.trained).max():.1e}; AUC {auc:.4f}, lower "
            f"by {loss:.4f} ± {error:.4f}"
        )
    console.print(simulated, soft_wrap=True, highlight=False)
    if firmware.estimate is None:
        estimate = f"not available, {SYNTHESIS} not found; where it is installed, run build_prj.tcl in the folder"
    else:
        estimate = ", ".join(f"{name} {value}" for name, value in firmware.estimate.items())
    console.print(f"resources and latency, estimated by synthesis: {estimate}", soft_wrap=True, highlight=False)
    console.print("its inputs must be scaled with the numbers in hepbench.json", soft_wrap=True, highlight=False)
