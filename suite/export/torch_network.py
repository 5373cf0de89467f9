"""A PyTorch network as an ONNX graph, by the exporter of PyTorch that traces and needs no package beyond it."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from hepbench.benchmarks.base import Arrays, Scaling, UserError
from hepbench.suite.export.graph import CLOUD, OPSET, SCORES
from hepbench.suite.training.torch_network import TorchNetwork

if TYPE_CHECKING:
    import onnx
    import torch

TRACED = 2
"""Events that a network is traced on."""


def torch_to_onnx(network: TorchNetwork, inputs: Arrays, scaling: Scaling) -> onnx.ModelProto:
    """inputs: of which its graph takes those that the network takes in, not scaled. UserError where it cannot be
    traced, or has an operation that ONNX has not."""
    import onnx
    import torch

    names = network.input_names

    class Scores(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.module = network.module

        def forward(self, *given: torch.Tensor) -> torch.Tensor:
            batch = {name: _scaled(values, name, scaling) for name, values in zip(names, given, strict=True)}
            logits = network.logits(batch).float()
            if network.outputs > 1:
                return torch.softmax(logits, dim=1)
            return torch.cat([torch.sigmoid(-logits), torch.sigmoid(logits)], dim=1)

    few = tuple(torch.as_tensor(np.array(inputs[name][:TRACED])) for name in names)
    axes = {name: {0: "events", **({1: "particles"} if name in CLOUD else {})} for name in names}
    file = io.BytesIO()
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # of what a trace takes as constant: the scores are compared afterwards
            torch.onnx.export(
                Scores().eval(),
                few,
                file,
                input_names=names,
                output_names=[SCORES],
                dynamic_axes={**axes, SCORES: {0: "events"}},
                opset_version=OPSET,
                dynamo=False,
            )
    except Exception as error:  # whatever PyTorch or a user's module raises
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(f"the network cannot be written as ONNX by torch.onnx.export ({lines[0][:200]})") from error
    proto: onnx.ModelProto = onnx.load_model_from_string(file.getvalue())
    return proto


def _scaled(values: torch.Tensor, name: str, scaling: Scaling) -> Any:
    import torch

    if values.dtype == torch.bool or name not in scaling:
        return values if values.dtype == torch.bool else values.to(torch.float32)
    shift, scale, *filling = (torch.as_tensor(array) for array in scaling[name])
    values = values.to(torch.float32)
    if filling:
        fill, marked = filling
        missing = torch.isnan(values)
        marks = missing[:, marked.to(torch.int64)].to(torch.float32)
        values = torch.cat([torch.where(missing, fill.to(torch.float32), values), marks], dim=1)
    return (values - shift.to(torch.float32)) * scale.to(torch.float32)
