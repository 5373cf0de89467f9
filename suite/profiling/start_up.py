"""Start-up time of a process until its first training step: imports, data, compilation."""

from __future__ import annotations

import importlib
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from hepbench.benchmarks.base import Sample
from hepbench.suite import batch_size, device
from hepbench.suite.campaign import ignore
from hepbench.suite.data.opening import open_data
from hepbench.suite.data.split import split_events
from hepbench.suite.processes import call_in_process
from hepbench.suite.trial.inputs import samples_of
from hepbench.suite.trial.spec import Spec, Trial, look_up


@dataclass(frozen=True)
class StartUp:
    """Seconds for Python and the imports, for opening the data, and for building the network with its first steps and
    first prediction. kept: whether JAX used the compilation cache of an earlier process."""

    model: str
    kept: bool
    imports: float
    data: float
    compiling: float

    @property
    def whole(self) -> float:
        return self.imports + self.data + self.compiling


def start_ups(trial: Trial, events: int) -> Iterator[StartUp]:
    """Times of a new process; on JAX also of a second one, which uses the compilation cache of the first."""
    before = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(Path(scratch))
        try:
            for kept in (False, True) if trial.spec.backend == "jax" else (False,):
                seconds = call_in_process(_start, trial.spec, events, time.time())
                yield StartUp(trial.model.name, kept, *seconds)
        finally:
            del os.environ["JAX_COMPILATION_CACHE_DIR"]
            if before is not None:
                os.environ["JAX_COMPILATION_CACHE_DIR"] = before


def _start(spec: Spec, events: int, asked: float) -> tuple[float, float, float]:
    """The start of a worker; asked: time of day when the process was requested."""
    device.load_keras(spec.device, spec.backend, ours=True)
    importlib.import_module(spec.backend)
    imported = time.time()
    trial = look_up(spec)
    _, prepared = open_data(trial.task, spec.data, events, ignore)
    rows, _ = split_events(trial.task.record, prepared, events)
    samples = samples_of(trial, prepared, rows)
    opened = time.time()
    few: Sample = samples["validation"]
    batch_size.set_up_training(trial, samples["train"], replace(few, rows=few.rows[:64], labels=few.labels[:64]))
    return imported - asked, opened - imported, time.time() - opened
