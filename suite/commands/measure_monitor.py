"""`hepbench measure monitor`: the overhead of hardware monitoring."""

from __future__ import annotations

from hepbench.suite.commands.console import Console
from hepbench.suite.profiling import sampling
from hepbench.suite.progress import progress_bar
from hepbench.tracking.hardware.machine import describe_machine


def measure_monitor(seconds: float, console: Console) -> None:
    """Print the fraction of the work that the sampler takes, from pairs of intervals with and without it."""
    pairs = max(2, round(seconds / (2 * sampling.TURN)))
    with progress_bar(console, "with and without monitoring", pairs, "pairs") as advance:
        cost = sampling.sampler_cost(seconds, advance)
    console.print(
        f"monitoring takes {100 * cost.share:.2f} ± {100 * cost.error:.2f} % of the work: {cost.pairs} pairs of "
        f"intervals, {cost.samples:.1f} samples each, {describe_machine()['cpu']}, "
        f"{describe_machine()['cores_usable']} cores",
        soft_wrap=True,
        highlight=False,
    )
