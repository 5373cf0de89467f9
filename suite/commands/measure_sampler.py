"""`hepbench measure sampler`: what watching the hardware costs a training."""

from __future__ import annotations

from hepbench.suite.commands.console import Console
from hepbench.suite.profiling import sampling
from hepbench.suite.progress import progress_bar
from hepbench.tracking.hardware.machine import describe_machine


def measure_sampler(seconds: float, console: Console) -> None:
    """Print the share of work that the sampler takes, paired."""
    pairs = max(2, round(seconds / (2 * sampling.TURN)))
    with progress_bar(console, "with and without the sampler", pairs, "pairs") as advance:
        cost = sampling.sampler_cost(seconds, advance)
    console.print(
        f"the sampler takes {100 * cost.share:.2f} ± {100 * cost.error:.2f} % of the work: {cost.pairs} pairs of turns "
        f"of {cost.samples:.1f} samples, {describe_machine()['cpu']}, {describe_machine()['cores_usable']} cores",
        soft_wrap=True,
        highlight=False,
    )
