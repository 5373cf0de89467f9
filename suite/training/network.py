"""A trained Keras network: built, seeded, predicting, saved and loaded."""

from __future__ import annotations

import importlib
import math
import pkgutil
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from hepbench.benchmarks.base import Parameters, Sample, UserError
from hepbench.benchmarks.scored import log_scores_of, logarithms
from hepbench.suite.training.batches import bytes_of_event, cloud_lengths, inputs_of
from hepbench.suite.training.round_trip import check_round_trip
from hepbench.suite.training.settings import DEFAULTS, PRECISIONS
from hepbench.suite.training.steps import assign, forward, gives_logits, structured_batch, values_of

if TYPE_CHECKING:
    import keras

NETWORK_FILE = "network.keras"
PREDICTION_BATCH = 4096  # events predicted at a time; fewer where an event is large
PREDICTION_BYTES = 2**23  # of such events at most


class Network:
    """A trained Keras network.

    history: what was reported of each epoch. timings: seconds of "compile_seconds" (the first step and the first
    prediction), "train_seconds" and "validate_seconds", none of them containing another.
    """

    def __init__(self, keras_model: keras.Model, classes: int):
        self.keras_model = keras_model
        self.classes = classes
        self.input_names = [tensor.name for tensor in keras_model.inputs]
        self.outputs: int = keras_model.output_shape[-1]
        self.total_parameters: int = keras_model.count_params()
        self.trainable_parameters = trainable_parameters(keras_model)
        self.history: list[dict[str, float]] = []
        self.timings: dict[str, float] = {}
        self._are_logits = gives_logits(keras_model)
        self._forward = forward(keras_model, self._are_logits)

    def predict(self, sample: Sample) -> np.ndarray:
        """(n, classes) float32 scores, each row summing to 1, in the order of `sample.rows`."""
        return np.asarray(np.exp(self.predict_log(sample)))

    def predict_log(self, sample: Sample) -> np.ndarray:
        """(n, classes) float32 logarithms of the scores, from the logits where the last layer ends in a sigmoid or a
        softmax: they do not pile up where probabilities round to 1."""
        sample = inputs_of(sample, self)
        batch_size = self.batch_size(sample)
        order = np.argsort(cloud_lengths(sample), kind="stable")
        scores = np.empty((len(sample), self.classes), np.float32)
        for start in range(0, len(sample), batch_size):
            which = order[start : start + batch_size]
            filled = np.resize(which, batch_size)  # one shape for the backend: repeats events of this batch
            output = np.asarray(self._forward(sample.take(filled)))[: len(which)]
            if self._are_logits:
                scores[which] = log_scores_of(output)
            else:
                both = np.concatenate([1 - output, output], axis=1) if output.shape[1] == 1 else output
                scores[which] = logarithms(both)
        return scores

    def batch_size(self, sample: Sample) -> int:
        """Events predicted at a time."""
        return max(1, min(PREDICTION_BATCH, PREDICTION_BYTES // bytes_of_event(sample), len(sample)))

    def weights(self) -> list[np.ndarray]:
        """Of every layer, moving averages among them, as `load_weights` takes them."""
        return values_of(self.keras_model.weights)

    def save(self, folder: Path) -> None:
        """Write architecture and weights into an existing folder."""
        self.keras_model.save(folder / NETWORK_FILE)


def load_network(folder: Path, objects: Mapping[str, Any] | None = None) -> Network:
    """The network that `Network.save` wrote; it gives the same scores. objects: as `objects_of` gives them. Raises what
    Keras does of unknown layers, and of code in the file, which is not run."""
    import keras

    _register_layers()
    path, own = folder / NETWORK_FILE, dict(objects or {})
    keras_model = keras.models.load_model(path, custom_objects=own, compile=False, safe_mode=True)
    return Network(keras_model, max(2, keras_model.output_shape[-1]))


def objects_of(module: ModuleType) -> dict[str, Any]:
    """Layers, functions and what else a user's module gives to its network, by the names under which Keras saves what
    is not registered: so that they need no decorator."""
    found = {}
    for one in vars(module).values():
        own_class = isinstance(one, type) and hasattr(one, "from_config") and not one.__module__.startswith("keras.")
        if own_class or (isinstance(one, FunctionType) and one.__module__ == module.__name__):
            found[one.__name__] = one
    return found


def check_network(network: Network, sample: Sample, objects: Mapping[str, Any]) -> None:
    """UserError where a network does not load again from its own file. objects: as `objects_of` gives them."""
    few = inputs_of(sample, network).take(slice(0, 2))

    def scores(one: Network) -> np.ndarray:
        return np.asarray(one.keras_model(structured_batch(one.keras_model, few), training=False), np.float32)

    check_round_trip(
        network,
        lambda folder: load_network(folder, objects),
        scores,
        _reason,
        "let its layers and functions stand at the top of the file, no lambda among them, under names that Keras has "
        "not, and let get_config of each layer give every argument of its __init__",
    )


def _reason(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    named = re.search(r"Could not locate [^.\n]*|__init__\(\) [^.\n]*", text)  # within all that Keras says of it
    return named[0] if named else text.splitlines()[0].partition(". ")[0]


def _register_layers() -> None:
    """Import the modules whose custom layers Keras loads by their names; by name, as they decide no training here."""
    from hepbench.benchmarks import layers

    for module in pkgutil.iter_modules(layers.__path__):
        importlib.import_module(f"{layers.__name__}.{module.name}")


def load_weights(keras_model: keras.Model, weights: Sequence[np.ndarray]) -> None:
    """Give a network the weights of another that is built alike. UserError where they have other shapes."""
    ours, theirs = ([tuple(one.shape) for one in some] for some in (keras_model.weights, weights))
    if ours != theirs:
        differs = [f"{a} and {b}" for a, b in zip(ours, theirs, strict=False) if a != b]
        what = f"weights of {differs[0]}" if differs else f"{len(ours)} and {len(theirs)} weights"
        raise UserError(f"the network and the one it is to start from have {what}: they must be built alike")
    assign(keras_model.weights, weights)


def trainable_parameters(keras_model: keras.Model) -> int:
    """How many numbers a training changes; moving averages of a normalisation are none of them."""
    return sum(math.prod(weight.shape) for weight in keras_model.trainable_variables)


def start_session(seed: int, device: str) -> None:
    """Forget the networks of before, and seed what is drawn from now on. device: "cpu" or "gpu", where the same seed
    gives the same weights as well."""
    import keras

    keras.utils.clear_session()  # a process that trains many networks does not keep the graphs of all
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow" and device == "gpu":
        import tensorflow

        tensorflow.config.experimental.enable_op_determinism()


def build_network(
    build: Callable[..., keras.Model], sample: Sample, classes: int, parameters: Parameters
) -> keras.Model:
    """What `build(shapes, classes, parameters)` gives in the precision that is asked for. UserError where its output
    does not fit the classes."""
    import keras

    keras.config.set_dtype_policy(PRECISIONS[parameters.get("precision", DEFAULTS["precision"])])
    try:
        keras_model = build(sample.shapes, classes, parameters)
    finally:
        keras.config.set_dtype_policy("float32")
    if not isinstance(keras_model, keras.Model):
        raise UserError(
            f"build gives a {type(keras_model).__module__}.{type(keras_model).__name__}: it must give a keras.Model, "
            'or a torch.nn.Module where the Model says package="torch"'
        )
    outputs = keras_model.output_shape[-1]
    if len(keras_model.output_shape) != 2 or (outputs != classes and (outputs, classes) != (1, 2)):
        raise UserError(
            f"the network must end in (N, {classes}) probabilities{', or (N, 1)' if classes == 2 else ''}, "
            f"but its output is {keras_model.output_shape}"
        )
    return keras_model
