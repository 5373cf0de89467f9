"""What a network consists of, for those who look at a run: its layers as a table and as a drawing, and its weights."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hepbench.tracking.diagram import Box, svg

if TYPE_CHECKING:
    import keras

SETTINGS = ("units", "filters", "kernel_size", "pool_size", "strides", "rate", "activation")
"""What is told of a layer's configuration."""


@dataclass(frozen=True)
class Layer:
    """shape: of the output for one event. parameters: trained or not. before: places of those whose output it takes."""

    name: str
    kind: str
    settings: str
    shape: str
    parameters: int
    before: tuple[int, ...]


def layers_of(keras_model: keras.Model) -> list[Layer]:
    """The layers, each after those whose output it takes; of a network that is no graph of layers but a class of its
    own, its layers in a row."""
    import keras

    if isinstance(keras_model, keras.Sequential) or not hasattr(keras_model, "operations"):
        inputs = [Layer(one.name, "InputLayer", "", _shape(one.shape), 0, ()) for one in keras_model.inputs]
        listed = enumerate(keras_model.layers, len(inputs) - 1)
        return [*inputs, *(_layer(layer, layer.get_config(), (place,)) for place, layer in listed)]
    operations = {operation.name: operation for operation in keras_model.operations}
    configurations = keras_model.get_config()["layers"]
    places = {one["name"]: place for place, one in enumerate(configurations)}
    layers = []
    for place, one in enumerate(configurations):
        # a layer that is used twice may stand before what it takes: it is drawn where it is used first
        taken = {places[name] for name in _sources(one["inbound_nodes"]) if places[name] < place}
        layers.append(_layer(operations[one["name"]], one["config"], tuple(sorted(taken))))
    return layers


def layer_table(layers: Sequence[Layer]) -> str:
    """As text: name, kind, settings, output shape, parameters, and what it takes where that is not the layer above."""
    lines = [("layer", "type", "settings", "output of an event", "parameters", "takes")]
    for place, layer in enumerate(layers):
        usual = layer.before == (place - 1,) or not layer.before
        taken = "" if usual else ", ".join(layers[one].name for one in layer.before)
        lines.append((layer.name, layer.kind, layer.settings, layer.shape, f"{layer.parameters:,}", taken))
    widths = [max(len(line[column]) for line in lines) for column in range(6)]
    text = []
    for line in lines:
        cells = [
            cell.rjust(width) if i == 4 else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        text.append("  ".join(cells).rstrip())
    text.insert(1, "-" * max(map(len, text)))
    return "\n".join([*text, "", f"{sum(layer.parameters for layer in layers):,} parameters, trained or not", ""])


def layer_diagram(layers: Sequence[Layer]) -> str:
    """As a drawing, in SVG."""
    boxes = []
    for layer in layers:
        kind = "input" if layer.kind == "InputLayer" else "layer" if layer.parameters else "step"
        title = layer.name if kind == "input" else f"{layer.kind} {layer.settings}".strip()
        detail = f"{layer.shape}  {layer.parameters:,} parameters" if layer.parameters else layer.shape
        boxes.append(Box(title, detail, kind, layer.before))
    return svg(boxes)


def write_layers(folder: Path, layers: Sequence[Layer]) -> None:
    """Write network.txt and network.svg, table and drawing of the layers."""
    (folder / "network.txt").write_text(layer_table(layers))
    (folder / "network.svg").write_text(layer_diagram(layers))


def write_network(folder: Path, keras_model: keras.Model) -> dict[str, np.ndarray]:
    """Write network.txt and network.svg, table and drawing of the layers; returns the weights that a training sets by
    their paths."""
    import keras

    write_layers(folder, layers_of(keras_model))
    return {weight.path: keras.ops.convert_to_numpy(weight) for weight in keras_model.trainable_variables}


def _layer(operation: Any, configuration: Mapping[str, Any], before: tuple[int, ...]) -> Layer:
    output: Any = getattr(operation, "output", None)
    shape = _shape(output.shape) if hasattr(output, "shape") else "several"
    pooled = configuration.get("pool_size")
    told = [
        _told(name, value)
        for name in SETTINGS
        if (value := configuration.get(name)) not in (None, "linear")
        and not (name == "strides" and value in (1, (1, 1), [1, 1], pooled))
    ]
    parameters = sum(math.prod(weight.shape) for weight in getattr(operation, "weights", ()))
    settings = ", ".join(word for word in told if word)
    return Layer(operation.name, type(operation).__name__, settings, shape, parameters, before)


def _told(name: str, value: Any) -> str:
    """A setting in a word."""
    if isinstance(value, Mapping):  # an activation that is a class or a function of one's own
        value = value.get("config") if isinstance(value.get("config"), str) else value.get("class_name", "")
    words = "×".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
    return f"/{words}" if name == "strides" else words


def _shape(shape: tuple[int | None, ...]) -> str:
    return f"({', '.join('?' if size is None else str(size) for size in shape[1:])})" if shape[1:] else "one number"


def _sources(value: Any) -> Iterator[str]:
    """Names of the layers whose outputs stand anywhere in a configuration of nodes."""
    if isinstance(value, Mapping):
        if "keras_history" in value:
            yield value["keras_history"][0]
        for one in value.values():
            yield from _sources(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _sources(one)
