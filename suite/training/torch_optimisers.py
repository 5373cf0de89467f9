"""SGD and RMSprop for PyTorch networks with the steps of Keras' own, which PyTorch's differ from."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

EPSILON, RHO = 1e-7, 0.9

Move = Callable[["torch.nn.Parameter", dict[str, "torch.Tensor"], float], None]
"""(weight, what is kept of it from step to step, learning rate) -> None: one step of a weight that has a gradient."""


def sgd(weights: list[torch.nn.Parameter], rate: float, momentum: float) -> torch.optim.Optimizer:
    """With momentum. As in Keras, the velocity holds the rates at which its gradients came; PyTorch multiplies all of
    them by the rate of the step, which differs where a schedule changes it."""
    import torch

    def move(weight: torch.nn.Parameter, kept: dict[str, torch.Tensor], rate: float) -> None:
        if "velocity" not in kept:
            kept["velocity"] = torch.zeros_like(weight)
        velocity = kept["velocity"]
        velocity.mul_(momentum).add_(weight.grad, alpha=-rate)
        weight.add_(velocity)

    return _optimiser(weights, rate, move)


def rmsprop(weights: list[torch.nn.Parameter], rate: float) -> torch.optim.Optimizer:
    """Without momentum. As in Keras, epsilon is within the root."""
    import torch

    def move(weight: torch.nn.Parameter, kept: dict[str, torch.Tensor], rate: float) -> None:
        if "square" not in kept:
            kept["square"] = torch.zeros_like(weight)
        square = kept["square"]
        square.mul_(RHO).addcmul_(weight.grad, weight.grad, value=1 - RHO)
        weight.addcdiv_(weight.grad, (square + EPSILON).sqrt(), value=-rate)

    return _optimiser(weights, rate, move)


def _optimiser(weights: list[torch.nn.Parameter], rate: float, move: Move) -> torch.optim.Optimizer:
    import torch

    class Optimiser(torch.optim.Optimizer):  # type: ignore[misc]
        @torch.no_grad()  # type: ignore[untyped-decorator]
        def step(self, closure: Any = None) -> None:
            for group in self.param_groups:
                for weight in group["params"]:
                    if weight.grad is not None:
                        move(weight, self.state[weight], group["lr"])

    return Optimiser(weights, {"lr": rate})
