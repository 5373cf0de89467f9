"""The trained model of a run as an ONNX file, checked on the run's test events before anyone is given it; or as an
hls4ml project, compared with it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hepbench.benchmarks.base import Sample, Scaling, UserError
from hepbench.benchmarks.sampling import evenly_spaced
from hepbench.suite import scoring
from hepbench.suite.atomic import atomic_folder
from hepbench.suite.export.arrays import arrays_to_onnx
from hepbench.suite.export.firmware import BITS, Firmware, require_hls4ml, write_firmware
from hepbench.suite.export.graph import describe, require_onnx
from hepbench.suite.export.network import network_to_onnx
from hepbench.suite.export.runtime import Runtime
from hepbench.suite.export.torch_network import torch_to_onnx
from hepbench.suite.training.network import Network, objects_of
from hepbench.suite.training.torch_network import TorchNetwork
from hepbench.suite.trial.artifacts import SCORES, SavedModel, read_scores
from hepbench.suite.trial.run import open_samples
from hepbench.tracking.runs import Store

MOST_DIFFERENCE = 1e-5
"""Between a score of the file and the one that the run has stored."""


@dataclass(frozen=True)
class Exported:
    """A run's model as a file, that gives its scores.

    file: bytes of ONNX. test: the run's test events, not scaled. scores: (n, classes) of the file. difference: the
    largest from those that the run has stored.
    """

    run: Mapping[str, Any]
    model: SavedModel
    file: bytes
    train: Sample
    test: Sample
    scores: np.ndarray
    difference: float

    @property
    def runtime(self) -> Runtime:
        return Runtime(self.file)


@contextlib.contextmanager
def export(store: Store, given: str, *, task: str | None = None, model: str | None = None) -> Iterator[Exported]:
    """The model of the run whose id begins so. task, model: as of `scoring.model_of`.

    UserError where the packages are not installed, the model has no form in ONNX, the run's data are not here, or the
    file gives scores that differ from the run's by more than `MOST_DIFFERENCE`.
    """
    require_onnx()
    with scoring.model_of(store, given, task=task, model=model, backend="tensorflow") as (run, saved):
        trial, tags = saved.trial, run["tags"]
        prepared, samples = open_samples(trial, tags["data_digest"], tags["split_hash"])
        train, test = (dataclasses.replace(samples[part], scaling={}) for part in ("train", "test"))
        if not train.inputs:  # of a model that looks at no input: one tells how many events there are
            name, array = next(iter(prepared.arrays.items()))
            train, test = (dataclasses.replace(one, inputs={name: array}) for one in (train, test))
        proto = _graph_of(saved, test)
        describe(proto, saved, {one.name: test.inputs[one.name] for one in proto.graph.input}, run)
        file = proto.SerializeToString()
        scores = Runtime(file).predict(test)
        with tempfile.TemporaryDirectory() as scratch:
            stored = read_scores(store.download(run["id"], SCORES, Path(scratch)))
        if not np.array_equal(stored.ids, prepared.ids[test.rows]):
            raise UserError(f"the scores of run {run['id'][:12]} are of other events than its test part here")
        difference = float(np.abs(np.exp(stored.scores) - scores).max())
        if not difference <= MOST_DIFFERENCE:
            raise UserError(
                f"the scores of {trial.model.name} in ONNX Runtime differ from those of run {run['id'][:12]} by up to "
                f"{difference:.1e}, and at most {MOST_DIFFERENCE:.0e} is allowed: no file is given"
            )
        yield Exported(run, saved, file, train, test, scores, difference)


SIMULATED = 1_000
"""Test events that a project's C simulation scores: it takes milliseconds of each."""


@dataclass(frozen=True)
class Project:
    """A run's model as an hls4ml project. events: of the test part, scaled. trained: (n, classes) scores of them by the
    trained model; the firmware's are beside them."""

    model: SavedModel
    events: Sample
    trained: np.ndarray
    firmware: Firmware


def export_firmware(
    store: Store, given: str, out: Path, *, task: str | None = None, model: str | None = None
) -> Project:
    """Write the model of the run whose id begins so as a project into the new folder `out`. task, model: as of
    `scoring.model_of`.

    UserError where hls4ml is not installed, the model is no network that it takes, the run's data are not here, or the
    folder is there already.
    """
    require_hls4ml()
    if out.exists():
        raise UserError(f"{out} is there already: give another --out")
    with scoring.model_of(store, given, task=task, model=model, backend="tensorflow") as (run, saved):
        trial, tags = saved.trial, run["tags"]
        if not isinstance(saved.fitted, Network):
            raise UserError(f"{trial.model.name} is no network: hls4ml takes dense and small convolutional ones")
        if trial.model.record.view in ("cloud", "momenta"):
            raise UserError(f"{trial.model.name} takes clouds: hls4ml takes dense and small convolutional networks")
        _, samples = open_samples(trial, tags["data_digest"], tags["split_hash"])
        train, test = (dataclasses.replace(samples[part], scaling=saved.scaling) for part in ("train", "test"))
        few = evenly_spaced(len(test), SIMULATED)
        events = dataclasses.replace(test, rows=test.rows[few], labels=test.labels[few])
        trained = saved.fitted.predict(events)
        with atomic_folder(out) as folder:
            firmware = write_firmware(saved.fitted, train, events, folder)
            facts = {
                "run": run["id"],
                "task": trial.task.name,
                "model": trial.model.name,
                "classes": trial.task.record.classes,
                "inputs": [tensor.name for tensor in saved.fitted.keras_model.inputs],
                "scaling": scaling_facts(saved.scaling),
                "scaled": "(x - shift) * scale by the last axis; what the project takes in is scaled. With fill and "
                "marked: fill first replaces a missing x, and a column for each of marked is added, 1 where missing",
                "bits": BITS,
                "estimate": firmware.estimate or "not available",
            }
            (folder / "hepbench.json").write_text(json.dumps(facts, indent=1, ensure_ascii=False))
    return Project(saved, events, trained, firmware)


def scaling_facts(scaling: Scaling) -> dict[str, dict[str, list[float]]]:
    """What a project's inputs are scaled by, as JSON can hold it; fill and marked where values may be missing."""
    names = ("shift", "scale", "fill", "marked")
    return {
        name: {of: values.tolist() for of, values in zip(names, known, strict=False)} for name, known in scaling.items()
    }


def _graph_of(saved: SavedModel, sample: Sample) -> Any:
    trial = saved.trial
    if not isinstance(saved.fitted, Network | TorchNetwork):
        return arrays_to_onnx(saved.fitted, sample.inputs, saved.scaling, len(trial.task.record.classes))
    if (precision := trial.hyperparameters.get("precision", "float32")) != "float32":
        raise UserError(f"{trial.model.name} was trained with precision={precision}: only float32 exports")
    if isinstance(saved.fitted, TorchNetwork):
        return torch_to_onnx(saved.fitted, sample.inputs, saved.scaling)
    objects = None if trial.model.shipped else objects_of(sys.modules[trial.model.module])
    with tempfile.TemporaryDirectory() as scratch:
        saved.fitted.save(Path(scratch))  # a copy to trace, as the network's own has been traced for large batches
        return network_to_onnx(Path(scratch), sample.inputs, saved.scaling, objects)
