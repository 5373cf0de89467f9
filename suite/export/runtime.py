"""An ONNX file in ONNX Runtime, on one thread of the processor."""

from __future__ import annotations

import math

import numpy as np

from hepbench.benchmarks.base import Sample

BATCH = 1024

BATCH_BYTES = 2**23


class Runtime:
    """file: the bytes of an ONNX file whose output is scores (n, classes)."""

    def __init__(self, file: bytes):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        self.names = [one.name for one in self.session.get_inputs()]

    def predict(self, sample: Sample, at_once: int = BATCH) -> np.ndarray:
        """(n, classes) float32 scores of events that are not scaled, in the order of `sample.rows`. at_once: events
        that are scored at a time; fewer where an event is large."""
        size = max(1, sum(math.prod(sample.shapes[name]) * 4 for name in self.names))
        batch = max(1, min(at_once, BATCH_BYTES // size))
        parts = []
        for start in range(0, len(sample), batch):
            rows = sample.rows[start : start + batch]
            given = {name: np.ascontiguousarray(sample.inputs[name][rows]) for name in self.names}
            parts.append(self.session.run(None, given)[0])
        return np.concatenate(parts)
