"""`hepbench export-model`: the model of a run as a file for another program, or as a project for an FPGA."""

from __future__ import annotations

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

FORMATS = ("onnx", "hls4ml")


def export_model(
    run_given: str, form: str, out: Path | None, task: str | None, model: str | None, console: Console
) -> None:
    """Write the model to a file, once it gives the run's scores there, or to the folder of a project. task, model: as
    of `scoring.model_of`."""
    check_known("format", form, FORMATS)
    if form == "hls4ml":
        _export_firmware(run_given, out or Path(f"{run_given}-hls4ml"), task, model, console)
        return
    out = out or Path(f"{run_given}.onnx")
    if out.is_dir():
        raise UserError(f"{out} is a folder: give a file")
    if not out.absolute().parent.is_dir():
        raise UserError(f"{out}: there is no folder {out.absolute().parent}")
    with (
        console.status("exporting, and comparing on the test events"),
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


def _export_firmware(run_given: str, out: Path, task: str | None, model: str | None, console: Console) -> None:
    with console.status("writing the project, compiling and simulating it: minutes"):
        found = export_firmware(results.open_store(to_write=False), run_given, out, task=task, model=model)
    trial, firmware = found.model.trial, found.firmware
    console.print(
        Text.assemble((trial.model.name, "bold"), f" seed {trial.spec.seed} of {trial.task.name}: {out}"),
        soft_wrap=True,
    )
    if firmware.scores is None:
        simulated = f"C simulation: not available, there is no {COMPILER}"
    else:
        signal = trial.task.record.signal
        shares = np.maximum(firmware.scores, 0)
        shares = shares / np.maximum(shares.sum(axis=1, keepdims=True), 2.0**-BITS)  # which sum to 1 but for rounding
        auc, loss, error = auc_and_loss(found.events.labels, shares, found.trained, signal)
        simulated = (
            f"C simulation of {len(found.events):,} test events, {BITS} bits a number: scores differ from the trained "
            f"model's by at most {np.abs(firmware.scores - found.trained).max():.1e}; AUC {auc:.4f}, less by "
            f"{loss:.4f} ± {error:.4f}"
        )
    console.print(simulated, soft_wrap=True, highlight=False)
    if firmware.estimate is None:
        estimate = f"not available, there is no {SYNTHESIS}; build_prj.tcl in the folder runs where there is one"
    else:
        estimate = ", ".join(f"{name} {value}" for name, value in firmware.estimate.items())
    console.print(f"resources and latency, estimated by the synthesis: {estimate}", soft_wrap=True, highlight=False)
    console.print("its inputs are scaled, by the numbers in hepbench.json", soft_wrap=True, highlight=False)
