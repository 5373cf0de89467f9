"""A Keras network as an ONNX graph, by tf2onnx: what Keras' own `export(format="onnx")` calls, with three operations
that it lacks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hepbench.benchmarks.base import Arrays, Scaling, UserError
from hepbench.suite.export.graph import CLOUD, OPSET, SCORES, elements_of
from hepbench.suite.training.network import load_network
from hepbench.suite.training.steps import structured_batch

if TYPE_CHECKING:
    import onnx


def network_to_onnx(
    folder: Path, inputs: Arrays, scaling: Scaling, objects: Mapping[str, Any] | None = None
) -> onnx.ModelProto:
    """The network that `Network.save` wrote into the folder. inputs: of which its graph takes those that the network
    takes in, not scaled. UserError where it has an operation that ONNX has not."""
    import onnx
    import tensorflow as tf
    import tf2onnx

    with _one_chunk():
        keras_model = load_network(folder, objects).keras_model
        binary = keras_model.output_shape[-1] == 1
        names = [tensor.name for tensor in keras_model.inputs]
        signature = [
            tf.TensorSpec((None, *_open(name, inputs[name].shape[1:])), inputs[name].dtype, name=name) for name in names
        ]

        def scores(*given: Any) -> dict[str, Any]:
            batch = {
                tensor.name: _scaled(values, tensor, scaling)
                for tensor, values in zip(keras_model.inputs, given, strict=True)
            }
            output = tf.cast(keras_model(structured_batch(keras_model, batch), training=False), tf.float32)
            return {SCORES: tf.concat([1 - output, output], axis=1) if binary else output}

        traced = tf.function(scores, input_signature=signature, autograph=False)
        with _silent():
            proto: onnx.ModelProto
            proto, _ = tf2onnx.convert.from_function(
                traced, signature, opset=OPSET, custom_op_handlers={name: (one, []) for name, one in _LACKING.items()}
            )
    lacking = {node.op_type for node in proto.graph.node if not node.domain and not onnx.defs.has(node.op_type)}
    if lacking:
        raise UserError(
            f"the network has operations that ONNX has not ({', '.join(sorted(lacking))}): build it of layers of Keras "
            "and of keras.ops"
        )
    return proto


def _open(name: str, shape: tuple[int, ...]) -> tuple[int | None, ...]:
    return (None, *shape[1:]) if name in CLOUD else shape


def _scaled(values: Any, tensor: Any, scaling: Scaling) -> Any:
    import tensorflow as tf

    if tensor.dtype == "bool":
        return values
    values = tf.cast(values, tf.float32)
    if tensor.name in scaling:
        shift, scale, *filling = scaling[tensor.name]
        if filling:
            fill, marked = filling
            missing = tf.math.is_nan(values)
            marks = tf.cast(tf.gather(missing, marked.astype(np.int32), axis=1), tf.float32)
            values = tf.concat([tf.where(missing, fill.astype(np.float32), values), marks], axis=1)
        values = (values - shift) * scale
    return values


@contextmanager
def _one_chunk() -> Iterator[None]:
    """Layers of clouds work on a batch in one piece: their chunks save time on large batches, and each would be a copy
    of the layer in the file."""
    from hepbench.benchmarks.layers import attention, point_cloud

    modules: tuple[Any, ...] = (attention, point_cloud)
    caches = (attention.attend_in_chunks, attention.attend_by_class_in_chunks)
    before = [module.CHUNKS for module in modules]
    try:
        for module in modules:
            module.CHUNKS = 1
        for cache in caches:  # of what was traced with as many chunks as before
            cache.cache_clear()
        yield
    finally:
        for module, chunks in zip(modules, before, strict=True):
            module.CHUNKS = chunks
        for cache in caches:
            cache.cache_clear()


@contextmanager
def _silent() -> Iterator[None]:
    """tf2onnx logs every operation that it lacks, and what it does."""
    loggers = [logging.getLogger(name) for name in ("tf2onnx", "tf2onnx.tfonnx", "tf2onnx.optimizer")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _erfc(graph: Any, node: Any, name: str, arguments: Any) -> None:
    """1 - erf(x)."""
    one = graph.make_const(f"{node.name}/one", np.array(1, np.float32)).output[0]
    erf = graph.make_node("Erf", node.input[:1]).output[0]
    _replace(graph, node, "Sub", [one, erf])


def _log1p(graph: Any, node: Any, name: str, arguments: Any) -> None:
    """log(1 + x)."""
    one = graph.make_const(f"{node.name}/one", np.array(1, np.float32)).output[0]
    _replace(graph, node, "Log", graph.make_node("Add", [one, node.input[0]]).output)


def _largest_of_segments(graph: Any, node: Any, name: str, arguments: Any) -> None:
    """Of floats as tf2onnx does. Its own conversion fails on whole numbers, which with `_one_chunk` are one segment."""
    from tf2onnx.onnx_opset.reduction import SegmentSum

    if graph.get_dtype(node.input[0]) in (elements_of(np.dtype(kind)) for kind in ("float32", "float64")):
        least = graph.make_const(f"{name}/least", np.array(np.finfo(np.float32).min)).output[0]
        graph.insert_new_node_on_output("Max", node.output[0], name=f"{name}/finite", inputs=[node.output[0], least])
        SegmentSum.any_version(OPSET, graph, node)  # which gives minus infinity of an empty segment
        return
    if node.inputs[2].get_tensor_value() != 1:
        raise NotImplementedError("the largest whole number of more than one segment")
    axis = graph.make_const(f"{name}/axis", np.array([0], np.int64)).output[0]
    _replace(graph, node, "ReduceMax", [node.input[0], axis], {"keepdims": 1})


def _replace(graph: Any, node: Any, operation: str, inputs: Any, attributes: dict[str, Any] | None = None) -> None:
    shapes, types = [graph.get_shape(node.output[0])], [graph.get_dtype(node.output[0])]
    graph.remove_node(node.name)
    graph.make_node(
        operation, inputs, attr=attributes, outputs=node.output, shapes=shapes, dtypes=types, name=node.name
    )


_LACKING: dict[str, Callable[..., None]] = {
    "Erfc": _erfc,
    "Log1p": _log1p,
    "UnsortedSegmentMax": _largest_of_segments,
}
