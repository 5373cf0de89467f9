"""`hepbench measure gpu`: all measurements that need a GPU, part by part."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from hepbench.suite.commands.console import Console
from hepbench.suite.profiling import gpu


def measure_gpu(out: Path, only: Sequence[str], seconds: float, dry: bool, console: Console) -> int:
    """Print lines as they are measured, and write files into `out`. Returns the number of failed checks plus the number
    of parts that did not finish."""
    from hepbench.suite.profiling.gpu_parts import PARTS

    setting, reason = gpu.setting_of(dry)
    if setting.dry:
        console.print(f"dry run on the CPU ({reason}): its numbers say nothing about a GPU", soft_wrap=True)
    else:
        console.print(f"on {reason}, at most {seconds / 60:.0f} minutes", soft_wrap=True)
    told: dict[str, int] = {}

    def listener(state: gpu.Measured) -> None:
        if state.name not in told:
            console.print(Text(state.title, style="bold"))
        for line in state.lines[told.get(state.name, 0) :]:
            numbers = ", ".join(f"{name} {gpu.shown(value)}" for name, value in line.values.items())
            text = Text(f"  {line.subject}: {numbers}")
            if line.passed is not None:
                text.append(" passed" if line.passed else " failed", "green" if line.passed else "red")
            console.print(text, soft_wrap=True)
        told[state.name] = len(state.lines)
        if state.lacks:
            console.print(Text(f"  {state.lacks}", style="yellow"), soft_wrap=True)

    measured = gpu.run(PARTS, setting, out, only, seconds, listener)
    console.print(f"results: {out / gpu.MARKDOWN}, {out / gpu.CSV}", soft_wrap=True)
    return sum(one.failures for one in measured)
