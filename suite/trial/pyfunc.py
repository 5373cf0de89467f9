"""A trained model as MLflow knows one: its folder says what it takes and gives, and MLflow loads it by this module.

    mlflow.pyfunc.load_model("runs:/<run>/model").predict({"table": events})

What it takes are the inputs that the model was trained on, before their scaling, by name; what it gives are the scores
of each class. No object is pickled: the folder is the one of `save_model`, and `load_model` loads it.
https://mlflow.org/docs/latest/ml/model/
"""

from __future__ import annotations

import json
import platform
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hepbench.benchmarks.base import Arrays, Sample, UserError
from hepbench.suite.provenance import versions

if TYPE_CHECKING:
    from hepbench.suite.trial.artifacts import SavedModel

MODEL_FILE = "MLmodel"

EXAMPLES = 2
"""Events of the training part that are kept as the example of an input."""


def tensors(arrays: Mapping[str, Any]) -> list[dict[str, Any]]:
    """How MLflow describes arrays whose first axis counts events, by name."""
    return [
        {"name": name, "type": "tensor", "tensor-spec": {"dtype": str(one.dtype), "shape": [-1, *one.shape[1:]]}}
        for name, one in arrays.items()
    ]


def describe_model(folder: Path, train: Sample, classes: Sequence[str], run_id: str) -> dict[str, str]:
    """Write beside a saved model what MLflow reads of it: signature, example of an input, requirements. Returns the
    tags by which a run tells that it has a model."""
    from hepbench.suite.training.torch_network import TORCH_FILE

    example = {name: np.asarray(array[train.rows[:EXAMPLES]]) for name, array in train.inputs.items()}
    scores = {"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, len(classes)]}}
    found = {name: one.partition("+")[0] for name, one in versions().items()}  # what an index has
    if not (folder / TORCH_FILE).is_file():
        found.pop("torch", None)
    about: dict[str, Any] = {
        "artifact_path": folder.name,
        "run_id": run_id,
        "model_uuid": uuid.uuid4().hex,
        "utc_time_created": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}",
        "mlflow_version": found["mlflow"],
        "flavors": {
            "python_function": {
                "loader_module": __name__,
                "python_version": platform.python_version(),
                "env": {"virtualenv": "python_env.yaml"},
            }
        },
        "metadata": {"classes": list(classes)},
    }
    if example:
        about["signature"] = {"inputs": json.dumps(tensors(example)), "outputs": json.dumps([scores]), "params": None}
        about["saved_input_example_info"] = {
            "artifact_path": "input_example.json",
            "serving_input_path": "serving_input_example.json",
            "type": "ndarray",
        }
        listed = {name: array.tolist() for name, array in example.items()}
        (folder / "input_example.json").write_text(json.dumps(listed))
        (folder / "serving_input_example.json").write_text(json.dumps({"inputs": listed}))
    (folder / MODEL_FILE).write_text(json.dumps(about, indent=1))  # which is YAML, too
    ours = versions(("hepbench",)).get("hepbench", "")
    needed = [f"hepbench=={ours}", *(f"{name}=={version}" for name, version in found.items() if name != "optuna")]
    (folder / "requirements.txt").write_text("\n".join(needed) + "\n")
    environment = {"python": platform.python_version(), "dependencies": ["-r requirements.txt"]}
    (folder / "python_env.yaml").write_text(json.dumps(environment))
    told = ("run_id", "artifact_path", "utc_time_created", "model_uuid", "flavors")
    return {"mlflow.log-model.history": json.dumps([{name: about[name] for name in told}])}


class Loaded:
    """What `mlflow.pyfunc.load_model` wraps."""

    def __init__(self, model: SavedModel):
        self._model = model

    def predict(self, inputs: Any, params: Mapping[str, Any] | None = None) -> np.ndarray:
        """(n, classes) float32 scores. inputs: name -> (n, ...) array, or the array itself where the model takes one.

        UserError where one is missing or has another shape than the model was trained on.
        """
        from hepbench.suite.trial.artifacts import log_scores

        shapes = self._model.shapes or {}
        given: Arrays = inputs if isinstance(inputs, Mapping) else dict.fromkeys(shapes, np.asarray(inputs))
        if missing := sorted(shapes.keys() - given.keys()):
            raise UserError(f"the model takes {', '.join(shapes)}, and {', '.join(missing)} is missing")
        arrays = {name: np.asarray(given[name]) for name in shapes}
        for name, shape in shapes.items():
            if arrays[name].shape[1:] != shape:
                raise UserError(f"{name} must be of shape (n, {', '.join(map(str, shape))}), got {arrays[name].shape}")
        count = len(next(iter((arrays or given).values()), inputs))
        sample = Sample(arrays, np.arange(count), np.zeros(count, np.int64), self._model.scaling)
        scores: np.ndarray = np.exp(log_scores(self._model.fitted, sample)).astype(np.float32)
        return scores


def _load_pyfunc(folder: str, config: Mapping[str, str] | None = None) -> Loaded:
    """As MLflow calls it. config: `model_config` of `mlflow.pyfunc.load_model`, "task" and "model", the user's own
    files, where the run has them; their code is run. UserError as `load_model`."""
    from hepbench.suite import device
    from hepbench.suite.training.network import NETWORK_FILE
    from hepbench.suite.trial.artifacts import load_model

    backend = json.loads((Path(folder) / "trial.json").read_text())["spec"]["backend"]
    if (Path(folder) / NETWORK_FILE).is_file():
        device.load_keras("cpu", backend)
    return Loaded(load_model(Path(folder), **dict(config or {})))
