"""What every exported model is: an ONNX graph from the raw inputs of a view to scores, scaling included, with what a
reader of the file must know of it."""

from __future__ import annotations

import importlib.util
import inspect
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hepbench.benchmarks.base import Arrays, UserError
from hepbench.suite.trial.artifacts import SavedModel

if TYPE_CHECKING:
    import onnx

OPSET = 18
TREES_OPSET = 3
"""Of ai.onnx.ml, which trees are of."""

SCORES = "scores"
"""Name of the output: (n, classes) probabilities, each row summing to 1."""

CLOUD = ("points", "features", "log_pt", "momenta", "mask")
"""Inputs whose second axis is the particles of an event: a file takes any number of them."""


def require_onnx() -> None:
    """UserError where the packages that an export needs are not installed."""
    if any(importlib.util.find_spec(name) is None for name in ("onnx", "onnxruntime", "tf2onnx")):
        raise UserError("an export needs ONNX: pip install 'hepbench[onnx]'")


def shape_of(name: str, array: Any) -> list[Any]:
    """Of an input in the file: the number of events, and of a cloud's particles, stay open."""
    fixed = list(array.shape[1:])
    return ["events", "particles", *fixed[1:]] if name in CLOUD else ["events", *fixed]


def describe(proto: onnx.ModelProto, model: SavedModel, inputs: Arrays, run: Mapping[str, Any]) -> None:
    """Write into the file what it is: task, classes, inputs as the view describes them, run and commit."""
    import onnx

    trial, task = model.trial, model.trial.task.record
    features = trial.hyperparameters.get("features", "")
    view = task.view(trial.model.record.view, features) if trial.model.record.view else None
    columns = {"table": task.variables, "context": task.context}
    tags = run["tags"]
    facts = {
        "task": trial.task.name,
        "task_title": task.title,
        "model": trial.model.name,
        "classes": json.dumps(task.classes, ensure_ascii=False),
        "signal": task.classes[task.signal],
        "inputs": json.dumps(
            {
                name: {
                    "shape": shape_of(name, array),
                    "type": str(array.dtype),
                    "columns": list(columns.get(name, ()))[: array.shape[-1]],
                }
                for name, array in inputs.items()
            }
        ),
        "view": trial.model.record.view,
        "units": " ".join((inspect.getdoc(view) or "").split()) if view else "",
        "features": str(features),
        "scaling": "in the graph: the inputs are as `hepbench events --view` writes them",
        "data": f"{trial.spec.data}, {tags.get('data_digest', '')}",
        "budget": trial.spec.budget,
        "seed": str(trial.spec.seed),
        "run": run["id"],
        "commit": tags.get("git_commit", "not available"),
    }
    onnx.helper.set_model_props(proto, facts)
    proto.producer_name = "hepbench"
    proto.doc_string = f"{trial.model.name} on {trial.task.name}: {task.title}"


def elements_of(dtype: np.dtype[Any]) -> int:
    """ONNX' number of a type of numpy."""
    import onnx

    return int(onnx.helper.np_dtype_to_tensor_dtype(dtype))
