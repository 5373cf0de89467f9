"""SGD and RMSprop of PyTorch networks with the steps of Keras' own, which PyTorch's differ from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

EPSILON, RHO = 1e-7, 0.9


class SGD(torch.optim.Optimizer):  # type: ignore[misc]
    """With momentum. As in Keras, the velocity holds the rates at which its gradients came; PyTorch multiplies all of
    them by the rate of the step, which differs where a schedule changes it."""

    def __init__(self, weights: Iterable[torch.nn.Parameter], rate: float, momentum: float):
        super().__init__(weights, {"lr": rate, "momentum": momentum})

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for weight in _moved(group):
                velocity = self.state[weight].setdefault("velocity", torch.zeros_like(weight))
                velocity.mul_(group["momentum"]).add_(weight.grad, alpha=-group["lr"])
                weight.add_(velocity)


class RMSprop(torch.optim.Optimizer):  # type: ignore[misc]
    """Without momentum. As in Keras, epsilon is within the root."""

    def __init__(self, weights: Iterable[torch.nn.Parameter], rate: float):
        super().__init__(weights, {"lr": rate})

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for weight in _moved(group):
                square = self.state[weight].setdefault("square", torch.zeros_like(weight))
                square.mul_(RHO).addcmul_(weight.grad, weight.grad, value=1 - RHO)
                weight.addcdiv_(weight.grad, (square + EPSILON).sqrt(), value=-group["lr"])


def _moved(group: dict[str, Any]) -> list[torch.nn.Parameter]:
    """The weights of which there is a gradient."""
    return [weight for weight in group["params"] if weight.grad is not None]
