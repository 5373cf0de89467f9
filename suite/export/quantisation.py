"""An ONNX file with weights of 8 bits, by ONNX Runtime's quantisation after training.

"dynamic": weights of matrix multiplications have 8 bits, and what goes into one is brought to 8 bits by its current
range, one over all events of a batch: a score depends on the other events of its batch. "static": convolutions too, by
ranges that are fixed beforehand on training events.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hepbench.benchmarks.base import Sample
from hepbench.benchmarks.sampling import evenly_spaced

WAYS = ("dynamic", "static")

CALIBRATION = 512
"""Training events by which the ranges of "static" are fixed."""

CALIBRATION_BATCH = 64

IN_PRODUCTS = {"dynamic": ("MatMul", "Gemm"), "static": ("MatMul", "Gemm", "Conv")}


def quantised(file: bytes, way: str, train: Sample) -> bytes | None:
    """The file with 8 bits, None where it has nothing that this way makes 8 bits of. train: events that are not
    scaled."""
    import onnx
    from onnxruntime import quantization

    if not {node.op_type for node in onnx.load_from_string(file).graph.node} & set(IN_PRODUCTS[way]):
        return None
    level = logging.root.level
    logging.root.setLevel(logging.ERROR)  # it advises
    try:
        with tempfile.TemporaryDirectory() as scratch:
            before, after = Path(scratch) / "model.onnx", Path(scratch) / "quantised.onnx"
            before.write_bytes(file)
            options: dict[str, Any] = {"op_types_to_quantize": list(IN_PRODUCTS[way]), "per_channel": True}
            if way == "dynamic":
                quantization.quantize_dynamic(before, after, weight_type=quantization.QuantType.QInt8, **options)
            else:
                quantization.quantize_static(
                    before,
                    after,
                    _reader(file, train),
                    activation_type=quantization.QuantType.QUInt8,
                    weight_type=quantization.QuantType.QInt8,
                    **options,
                )
            return after.read_bytes()
    finally:
        logging.root.setLevel(level)


def _reader(file: bytes, train: Sample) -> Any:
    import onnx
    from onnxruntime.quantization import CalibrationDataReader

    names = [one.name for one in onnx.load_from_string(file).graph.input]
    rows = train.rows[evenly_spaced(len(train), CALIBRATION)]

    def batches() -> Iterator[dict[str, np.ndarray]]:
        for start in range(0, len(rows), CALIBRATION_BATCH):
            some = rows[start : start + CALIBRATION_BATCH]
            yield {name: np.ascontiguousarray(train.inputs[name][some]) for name in names}

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left = batches()

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.left, None)

    return Reader()
