"""Steps of training of a PyTorch network, for the loop that trains Keras networks, too.

SGD and RMSprop take the steps of Keras', Adam those of PyTorch with Keras' constants, and weights decay as there:
decoupled, of every weight.
"""

from __future__ import annotations

import io
import os
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hepbench.benchmarks.base import Parameters, Sample, UserError
from hepbench.suite.training.batches import BatchLoader, inputs_of
from hepbench.suite.training.round_trip import check_round_trip
from hepbench.suite.training.settings import DEFAULTS
from hepbench.suite.training.steps import WEIGHTS
from hepbench.suite.training.torch_network import TorchNetwork, layers_of_module, load_torch

if TYPE_CHECKING:
    import torch


def set_up_torch(
    build: Callable[..., Any],
    train: Sample,
    classes: int,
    parameters: Parameters,
    *,
    seed: int,
    device: str,
    start: Sequence[np.ndarray],
    own: bool,
) -> TorchTraining | None:
    """The module that `build` gives, seeded, about to be trained; None where it gives none of PyTorch. own: of a user's
    own file, which is checked to load again. UserError for a module that cannot be trained so."""
    import torch

    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - as Keras does for its networks
    torch.manual_seed(seed)
    if device == "gpu":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        if not torch.cuda.is_available():
            raise UserError(f"PyTorch {torch.__version__} uses no GPU here: install its CUDA build, or give DEVICE=cpu")
    torch.use_deterministic_algorithms(True, warn_only=True)  # the same seed, the same scores
    module = build(train.shapes, classes, parameters)
    if not isinstance(module, torch.nn.Module):
        return None
    network = TorchNetwork(module, train.shapes, classes, parameters, classes)
    _call_once(network, train)
    if own:
        _check_network(network, train, build)
    if start:
        _take_over(module, start)
    network.device = "cuda" if device == "gpu" else "cpu"
    module.to(network.device)
    return TorchTraining(network, {**DEFAULTS, **parameters})


class TorchTraining:
    """A PyTorch network with its optimiser. options: hyper-parameters of the training."""

    holds = False

    def __init__(self, network: TorchNetwork, options: Parameters):
        self.network = network
        self._options = options
        self._trained = [one for one in network.module.parameters() if one.requires_grad]
        self._optimiser = optimiser_of(self._trained, options)

    def run_steps(
        self, inputs: Mapping[str, Any], targets: np.ndarray, rates: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """As `steps.ChunkSteps`."""
        import torch

        decay = float(self._options["weight_decay"])
        self.network.module.train()
        batches = self.network.tensors(inputs)
        labels = torch.as_tensor(targets, device=self.network.device)
        losses, found = [], []
        for number, rate in enumerate(rates.tolist()):
            batch = {name: values[number] for name, values in batches.items()}
            self._optimiser.zero_grad()
            loss, accuracy = loss_of(self.network.logits(batch).float(), labels[number], batch.get(WEIGHTS))
            loss.backward()
            if decay:
                with torch.no_grad():
                    for weight in self._trained:
                        weight.mul_(1 - rate * decay)
            for group in self._optimiser.param_groups:
                group["lr"] = rate
            self._optimiser.step()
            losses.append(loss.detach())
            found.append(accuracy.detach())
        return torch.stack(losses).numpy(force=True), torch.stack(found).numpy(force=True)

    def warm_up(self, feed: BatchLoader, valid: Sample) -> None:
        """A step and a prediction; weights, optimiser and what is drawn next are as before."""
        import torch

        before = self.weights()
        with torch.random.fork_rng(devices=[0] if self.network.device == "cuda" else []):
            inputs, targets = feed.chunk(np.arange(feed.batch_size))
            self.run_steps(inputs, targets, np.zeros(1))
            few = slice(0, feed.batch_size)
            self.network.predict(replace(valid, rows=valid.rows[few], labels=valid.labels[few]))
        self.set_weights(before)
        self._optimiser = optimiser_of(self._trained, self._options)

    def weights(self) -> dict[str, torch.Tensor]:
        return {name: one.detach().clone() for name, one in self.network.module.state_dict().items()}

    def set_weights(self, weights: dict[str, torch.Tensor]) -> None:
        self.network.module.load_state_dict(weights)

    def state(self, best: dict[str, torch.Tensor]) -> bytes:
        import torch

        drawn = [torch.get_rng_state()] + ([torch.cuda.get_rng_state()] if self.network.device == "cuda" else [])
        file = io.BytesIO()
        torch.save([self.weights(), self._optimiser.state_dict(), drawn, best], file)
        return file.getvalue()

    def restore(self, state: bytes) -> dict[str, torch.Tensor]:
        import torch

        try:
            weights, moments, drawn, best = torch.load(io.BytesIO(state), map_location="cpu", weights_only=True)
        except Exception as error:  # whatever PyTorch raises of what it did not write
            raise ValueError("no state of a training") from error
        if {name: one.shape for name, one in self.weights().items()} != {name: one.shape for name, one in best.items()}:
            raise ValueError("of another network")
        self.set_weights(weights)
        self._optimiser.load_state_dict(moments)
        torch.set_rng_state(drawn[0])
        if self.network.device == "cuda":
            torch.cuda.set_rng_state(drawn[1])
        return dict(best)


def optimiser_of(weights: list[torch.nn.Parameter], options: Parameters) -> torch.optim.Optimizer:
    """Adam, SGD or RMSprop, as the hyper-parameters say, without decay."""
    import torch

    from hepbench.suite.training.torch_optimisers import EPSILON, rmsprop, sgd

    rate = float(options["learning_rate"])
    if options["optimiser"] == "sgd":
        return sgd(weights, rate, float(options["momentum"]))
    if options["optimiser"] == "rmsprop":
        return rmsprop(weights, rate)
    return torch.optim.Adam(weights, rate, eps=EPSILON)


def loss_of(logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor | None) -> tuple[Any, Any]:
    """(mean cross-entropy, share of events whose class is found) of a batch. weights: as of `steps`."""
    import torch
    from torch.nn import functional

    if logits.shape[1] == 1:
        losses = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")[:, 0]
        found = (logits > 0)[:, 0] == (targets > 0.5)[:, 0]
    else:
        losses = functional.cross_entropy(logits, targets.long(), reduction="none")
        found = logits.argmax(dim=1) == targets
    hits = found.to(torch.float32)
    return (losses.mean(), hits.mean()) if weights is None else ((losses * weights).mean(), (hits * weights).mean())


def _call_once(network: TorchNetwork, train: Sample) -> None:
    """Call the module on two events, which tells `outputs` and `layers`. UserError where it cannot be trained."""
    import torch

    few = network.tensors(inputs_of(train, network).take(slice(0, 2)))
    shapes = {name: network.shapes[name] for name in network.input_names}
    network.module.eval()
    with layers_of_module(network.module, shapes, network.layers), torch.random.fork_rng(devices=[]):
        logits = network.logits(few)
    if not network.trainable_parameters:
        raise UserError("the network has no weights to train: layers in a list must be in a torch.nn.ModuleList")
    events, classes = len(few[network.input_names[0]]), network.classes
    given = tuple(getattr(logits, "shape", ()))
    if given not in ((events, classes), *([(events, 1)] if classes == 2 else [])):
        raise UserError(
            f"the network must end in (N, {classes}) logits{', or (N, 1)' if classes == 2 else ''}, but for {events} "
            f"events it gives {given or type(logits).__name__}"
        )
    if type(logits.grad_fn).__name__.startswith(("Softmax", "Sigmoid")):  # what its last operation is
        raise UserError("the network ends in probabilities: it must end in logits, without softmax or sigmoid")
    network.outputs = given[1]


def _check_network(network: TorchNetwork, train: Sample, build: Callable[..., Any]) -> None:
    """UserError where a network does not load again from its own file."""
    import torch

    few = replace(train, rows=train.rows[:2], labels=train.labels[:2], weights=None)
    with torch.random.fork_rng(devices=[]):
        check_round_trip(
            network,
            lambda folder: load_torch(folder, build),
            lambda one: one.predict_log(few),
            _reason,
            "let build give the same layers each time, and every tensor that they keep be a parameter or a "
            "register_buffer",
        )


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return f"{type(error).__name__}: {' '.join(lines)[:200]}"


def _take_over(module: torch.nn.Module, weights: Sequence[np.ndarray]) -> None:
    """As `network.load_weights`."""
    import torch

    own = module.state_dict()
    ours, theirs = [tuple(one.shape) for one in own.values()], [tuple(one.shape) for one in weights]
    if ours != theirs:
        raise UserError("the network and the one it is to start from have other weights: they must be built alike")
    taken = {name: torch.as_tensor(value) for name, value in zip(own, weights, strict=True)}
    module.load_state_dict(taken)
