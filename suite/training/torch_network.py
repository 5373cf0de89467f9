"""A trained PyTorch network: predicting, saved as numbers alone and loaded by building it again.

The forward of its module takes tensors of a batch: those of the inputs that its arguments are named after; or, where it
has one argument of another name, the table or the image. It gives logits.
"""

from __future__ import annotations

import contextlib
import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hepbench.benchmarks.base import Parameters, Sample, Shapes, UserError
from hepbench.benchmarks.scored import log_scores_of
from hepbench.suite.training.batches import bytes_of_event, cloud_lengths, inputs_of
from hepbench.suite.training.layer_graph import Layer
from hepbench.suite.training.settings import DEFAULTS

if TYPE_CHECKING:
    import torch

TORCH_FILE = "network.pt"
PREDICTION_BATCH = 4096  # events predicted at a time; fewer where an event is large
PREDICTION_BYTES = 2**23  # of such events at most


class TorchNetwork:
    """A trained network of PyTorch.

    shapes, parameters: what `build` made it of. outputs: logits of an event, 1 or as many as there are classes.
    device: "cpu" or "cuda". layers: as `layers_of_module` gives them, empty where it was loaded. history, timings: as
    of `Network`.
    """

    def __init__(self, module: torch.nn.Module, shapes: Shapes, classes: int, parameters: Parameters, outputs: int):
        self.module = module
        self.shapes = {name: tuple(map(int, shape)) for name, shape in shapes.items()}
        self.classes = classes
        self.outputs = outputs
        self.parameters = dict(parameters)
        self.device = "cpu"
        self.input_names, self._by_name = inputs_of_forward(module, self.shapes)
        self.layers: list[Layer] = []
        self.history: list[dict[str, float]] = []
        self.timings: dict[str, float] = {}

    @property
    def trainable_parameters(self) -> int:
        return sum(one.numel() for one in self.module.parameters() if one.requires_grad)

    @property
    def total_parameters(self) -> int:
        moments = (one for one in self.module.buffers() if one.is_floating_point())
        return sum(one.numel() for one in (*self.module.parameters(), *moments))

    def logits(self, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """(n, outputs) of a batch of scaled inputs, by the module as it is, in training or not."""
        import torch

        coarse = self.parameters.get("precision", DEFAULTS["precision"]) == "bfloat16"
        with torch.autocast(self.device, torch.bfloat16) if coarse else contextlib.nullcontext():
            if self._by_name:
                return self.module(**{name: batch[name] for name in self.input_names})
            return self.module(batch[self.input_names[0]])

    def tensors(self, arrays: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
        """Inputs as tensors where the network is: masks of bool, all else float32."""
        import torch

        kinds = {name: torch.bool if name == "mask" else torch.float32 for name in arrays}
        return {name: torch.as_tensor(array, dtype=kinds[name], device=self.device) for name, array in arrays.items()}

    def predict(self, sample: Sample) -> np.ndarray:
        """(n, classes) float32 scores, each row summing to 1, in the order of `sample.rows`."""
        return np.asarray(np.exp(self.predict_log(sample)))

    def predict_log(self, sample: Sample) -> np.ndarray:
        """(n, classes) float32 logarithms of the scores."""
        import torch

        sample = inputs_of(sample, self)
        size = max(1, min(PREDICTION_BATCH, PREDICTION_BYTES // bytes_of_event(sample), len(sample)))
        order = np.argsort(cloud_lengths(sample), kind="stable")
        scores = np.empty((len(sample), self.classes), np.float32)
        self.module.eval()
        with torch.inference_mode():
            for start in range(0, len(sample), size):
                which = order[start : start + size]
                scores[which] = self._log_scores(sample.take(which))
        return scores

    def _log_scores(self, batch: Mapping[str, np.ndarray]) -> np.ndarray:
        return log_scores_of(self.logits(self.tensors(batch)).float().numpy(force=True))

    def weights(self) -> list[np.ndarray]:
        """Of the module, moving averages among them, in the order of its `state_dict`."""
        return [one.numpy(force=True).copy() for one in self.module.state_dict().values()]

    def trained_weights(self) -> dict[str, np.ndarray]:
        """The weights that a training sets by their names."""
        return {name: one.numpy(force=True) for name, one in self.module.named_parameters() if one.requires_grad}

    def save(self, folder: Path) -> None:
        """Write what the network was built of and its weights into an existing folder."""
        import torch

        stored = {name: one.cpu() for name, one in self.module.state_dict().items()}
        about = {"shapes": self.shapes, "classes": self.classes, "outputs": self.outputs, "parameters": self.parameters}
        torch.save({**about, "weights": stored}, folder / TORCH_FILE)


def load_torch(folder: Path, build: Callable[..., torch.nn.Module]) -> TorchNetwork:
    """The network that `TorchNetwork.save` wrote, on the processor; it gives the same scores. build: of its `Model`,
    which makes the module that is given the weights. Nothing in the file is run as code. Raises what PyTorch does of
    other weights than the module has."""
    import torch

    stored = torch.load(folder / TORCH_FILE, map_location="cpu", weights_only=True)
    module = build(stored["shapes"], stored["classes"], stored["parameters"])
    module.load_state_dict(stored["weights"])
    return TorchNetwork(module, *(stored[name] for name in ("shapes", "classes", "parameters", "outputs")))


def inputs_of_forward(module: torch.nn.Module, given: Iterable[str]) -> tuple[list[str], bool]:
    """(inputs that the forward of a module takes in, of those that are given; whether it is called by their names).
    UserError where an argument is none of them."""
    given = list(given)
    arguments = inspect.signature(module.forward).parameters.values()
    if any(one.kind is one.VAR_KEYWORD for one in arguments):
        return given, True
    taken = [one.name for one in arguments if one.name in given]
    other = [one for one in arguments if one.name not in given and one.kind is not one.VAR_POSITIONAL]
    unknown = [one.name for one in other if one.default is one.empty]
    if taken and not unknown:
        return taken, True
    alone = [name for name in given if name != "context"]
    if not taken and len(unknown) == 1 and len(alone) == 1:
        return alone, False
    raise UserError(
        f"forward of the network takes {', '.join(unknown) or 'nothing'}: name its arguments after the inputs that it "
        f"is to be given, of {', '.join(given)}"
    )


@contextlib.contextmanager
def layers_of_module(module: torch.nn.Module, shapes: Shapes, found: list[Layer]) -> Iterator[None]:
    """While the module is called, `found` gets what it takes in and the modules that hold weights or no others, in the
    order of their first call, each behind the one before it; last, what weights lie elsewhere."""
    found += [Layer(name, "InputLayer", "", f"({', '.join(map(str, shape))})", 0, ()) for name, shape in shapes.items()]
    seen: set[str] = set()

    def told(name: str, part: torch.nn.Module) -> Callable[..., None]:
        def hook(_: Any, __: Any, output: Any) -> None:
            if name in seen:
                return
            seen.add(name)
            first = next((one for one in _flat(output) if hasattr(one, "shape")), None)
            shape = "several" if first is None else f"({', '.join(map(str, first.shape[1:]))})"
            settings = " ".join(part.extra_repr().split()).replace(", bias=True", "")
            own = sum(one.numel() for one in part.parameters(recurse=False))
            own += sum(one.numel() for one in part.buffers(recurse=False) if one.is_floating_point())
            found.append(Layer(name or "network", type(part).__name__, settings, shape, own, (len(found) - 1,)))

        return hook

    parts = [
        (name, part)
        for name, part in module.named_modules()
        if not list(part.children()) or list(part.parameters(recurse=False))
    ]
    hooks = [part.register_forward_hook(told(name, part)) for name, part in parts]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
    whole = math.fsum(one.numel() for one in module.state_dict().values() if one.is_floating_point())
    if rest := int(whole) - sum(layer.parameters for layer in found):
        found.append(Layer("others", "weights", "", "several", rest, (len(found) - 1,)))


def _flat(output: Any) -> Sequence[Any]:
    return output if isinstance(output, tuple | list) else [output]
