"""A dense or small convolutional network as an hls4ml project (1804.06913): C++ for the logic of an FPGA.

The network is written again in the layers that hls4ml knows: swish as a product with a sigmoid, dropout left out, a
cut of the inputs as their saturation. Every number has `BITS` bits, of which one more stands before the point than the
largest value on training events takes; larger ones saturate. Inputs are those of the network, scaled.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import math
import os
import shutil
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hepbench.benchmarks.base import Sample, UserError
from hepbench.benchmarks.sampling import evenly_spaced
from hepbench.suite.training.network import Network
from hepbench.suite.training.steps import structured_batch

if TYPE_CHECKING:
    import keras

BITS = 18
"""Of a number: what one input of a multiplier of the common FPGAs takes."""

TABLE = 4096
"""Values of a tabulated sigmoid, softmax or other curve."""

TABLES = ("table", "exp_table", "inv_table", "inv_inp")
"""Types of a tabulated curve, of values up to 1; the last of what is looked up, a sum over the classes."""

UNROLLED = 4096
"""Products of a layer that are all computed at once; of a layer with more, in as many steps as it takes."""

RANGED = 512
"""Training events by which the bits before the point are chosen."""

COMPILER, SYNTHESIS = "g++", "vitis-run"


@dataclass(frozen=True)
class Firmware:
    """A project. scores: (n, classes) of its C simulation of the given events; None where there is no compiler.
    estimate: resources and latency as the synthesis estimates them; None where there is no such program."""

    scores: np.ndarray | None
    estimate: Mapping[str, str] | None


def require_hls4ml() -> None:
    """UserError where it is not installed."""
    if importlib.util.find_spec("hls4ml") is None:
        raise UserError("this export needs hls4ml: pip install 'hepbench[hls4ml]'")


def write_firmware(network: Network, train: Sample, events: Sample, folder: Path) -> Firmware:
    """Write the project into an existing folder, simulate these events where there is a C++ compiler, and synthesise
    where there is AMD's Vitis. train, events: scaled. UserError where the network has what hls4ml has not."""
    require_hls4ml()
    import hls4ml

    simple, cuts = _in_layers_of_hls4ml(network.keras_model)
    few = train.take(evenly_spaced(len(train), RANGED))
    with _silent():
        try:
            config = hls4ml.utils.config_from_keras_model(
                simple, granularity="name", backend="Vitis", default_precision=_fixed(BITS // 2)
            )
            _choose_bits(config["LayerName"], simple, few, cuts)
            project = hls4ml.converters.convert_from_keras_model(
                simple,
                hls_config=config,
                backend="Vitis",
                output_dir=str(folder),
                io_type="io_parallel",
                project_name="network",
            )
            project.write()
        except Exception as error:  # whatever hls4ml raises of a layer that it has not
            raise UserError(f"hls4ml does not take this network: {' '.join(str(error).split())[:200]}") from error
        scores = estimate = None
        if shutil.which(COMPILER):
            project.compile()
            scores = _simulated(project, simple, events, network.classes)
        if shutil.which(SYNTHESIS):
            report = project.build(reset=True, csim=False, synth=True)
            estimate = {name: str(value) for name, value in report.get("CSynthesisReport", {}).items()}
    settings = folder / "hls4ml_config.yml"  # which names the folder that it was written in
    settings.write_text(settings.read_text().replace(str(folder), "."))
    return Firmware(scores, estimate)


def _in_layers_of_hls4ml(keras_model: keras.Model) -> tuple[keras.Model, dict[str, float]]:
    """A network with the same weights that gives the same outputs, where no input is beyond its cut; and these cuts."""
    import keras
    from keras import layers

    from hepbench.benchmarks.layers.normalization import BatchNormalization

    cuts: dict[str, float] = {}

    def activated(x: Any, activation: str, name: str) -> Any:
        if activation == "gelu":
            raise UserError("hls4ml has no GELU; a network trained with relu or swish would do")
        if activation not in ("silu", "swish"):
            return layers.Activation(activation, name=name)(x)
        return layers.Multiply(name=name)([x, layers.Activation("sigmoid", name=f"{name}_sigmoid")(x)])

    def call(layer: Any, *given: Any, **more: Any) -> Any:
        x, kind = given[0], type(layer).__name__
        activation = getattr(getattr(layer, "activation", None), "__name__", "linear")
        if kind == "Dropout":
            return x
        if kind == "Clip":
            cuts[_input_of(x)] = _cut_of(layer)
            return x
        if kind == "Concatenate":
            return layers.Concatenate(name=layer.name)(x)
        if kind == "Activation":
            return activated(x, activation, layer.name)
        if isinstance(layer, BatchNormalization):
            alike = layers.BatchNormalization(epsilon=layer.epsilon, name=layer.name)
            weights = [np.asarray(one) for one in (layer.gamma, layer.beta, layer.mean, layer.variance)]
        elif isinstance(layer, layers.Layer) and type(layer).__module__.startswith("keras."):
            apart = {} if activation == "linear" else {"activation": "linear"}  # each has bits of its own
            alike = type(layer).from_config({**layer.get_config(), **apart})
            weights = layer.get_weights()
        else:
            raise UserError(f"hls4ml has no operation {kind}")  # a layer of this package or of a user's own among them
        y = alike(*given, **more)
        alike.set_weights(weights)
        return y if activation == "linear" else activated(y, activation, f"{layer.name}_{activation}")

    simple = keras.models.clone_model(keras_model, clone_function=lambda layer: layer, call_function=call)
    return simple, cuts


def _input_of(x: Any) -> str:
    """Name of the input that a tensor is, or is flattened from."""
    while type(layer := x._keras_history.operation).__name__ == "Flatten":
        x = layer.input
    if type(layer).__name__ != "InputLayer":
        raise UserError("hls4ml has no operation Clip but of inputs, whose saturation it is")
    return str(layer.name)


def _cut_of(clip: Any) -> float:
    """Largest value that a Clip lets through. UserError where no number of bits saturates there."""
    largest = float(clip.x_max)
    if float(clip.x_min) != -largest or not math.log2(largest).is_integer():
        raise UserError(f"inputs are cut at {clip.x_min} and {clip.x_max}: numbers saturate at powers of 2 alone")
    return largest


def _choose_bits(
    config: dict[str, Any], simple: keras.Model, few: dict[str, np.ndarray], cuts: Mapping[str, float]
) -> None:
    """Write into hls4ml's settings of each layer what its numbers are kept in."""
    import keras

    shown = {layer.name: layer.output for layer in simple.layers}
    few = {name: np.clip(x, -cuts[name], cuts[name]) if name in cuts else x for name, x in few.items()}
    values = keras.Model(simple.inputs, shown).predict(structured_batch(simple, few), verbose=0)
    weights = {layer.name: layer.get_weights() for layer in simple.layers}
    for name, of_layer in config.items():
        precision = of_layer["Precision"]
        if name in values:  # a softmax takes the differences of its inputs, which have no more bits than they
            more = f"{name}_softmax" in config
            before = _before_the_point(values[name]) + 1 + more
            precision["result"] = _fixed(int(math.log2(cuts[name])) + 1 if name in cuts else before)
        for kind, array in zip(("weight", "bias"), weights.get(name, ()), strict=False):
            if kind in precision:
                precision[kind] = _fixed(_before_the_point(array))
        if "TableSize" in of_layer:
            of_layer["TableSize"] = TABLE
            sum_of_classes = _fixed(2 + math.ceil(math.log2(max(2, simple.output_shape[-1]))))
            for kind in set(precision) & set(TABLES):  # where hls4ml reads them, unlike the others
                of_layer[f"{kind}_t"] = sum_of_classes if kind == "inv_inp" else _fixed(2)
            if "accum" in precision:
                precision["accum"] = sum_of_classes
        products = math.prod(weights[name][0].shape) if weights.get(name) else 0
        if "weight" in precision and products > UNROLLED:
            of_layer |= {"Strategy": "Resource", "ReuseFactor": math.ceil(products / UNROLLED)}


def _before_the_point(values: np.ndarray) -> int:
    """Bits before the point, the sign among them, that the largest value takes."""
    return max(1, math.floor(math.log2(max(float(np.abs(values).max(initial=0)), 2**-20))) + 2)


def _fixed(before: int) -> str:
    return f"fixed<{BITS},{before},RND,SAT>"


def _simulated(project: Any, simple: keras.Model, events: Sample, classes: int) -> np.ndarray:
    """(n, classes) scores."""
    inputs = events.take(slice(None))
    given = [np.ascontiguousarray(inputs[tensor.name], np.float32) for tensor in simple.inputs]
    output = np.asarray(project.predict(given if len(given) > 1 else given[0])).reshape(len(events), -1)
    return np.concatenate([1 - output, output], axis=1) if output.shape[1] == 1 < classes else output


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """hls4ml prints each layer, and its compiler's lines come from another process."""
    kept = os.dup(1)
    with (
        open(os.devnull, "w") as nowhere,
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        os.dup2(nowhere.fileno(), 1)
        try:
            yield
        finally:
            os.dup2(kept, 1)
            os.close(kept)
