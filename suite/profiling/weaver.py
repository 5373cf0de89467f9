"""weaver-core's networks, for comparison."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hepbench.benchmarks.base import Model, Sample, UserError
from hepbench.benchmarks.registry import Entry
from hepbench.suite import device
from hepbench.suite.data.simulate import cores
from hepbench.suite.processes import end_with_parent, without_main_file
from hepbench.suite.profiling.timing import Rates

if TYPE_CHECKING:
    import torch

WEAVER_BATCH = 256

WEAVER = {
    "particlenet_lite": {"conv_params": [(7, (32, 32, 32)), (7, (64, 64, 64))], "fc_params": [(128, 0.1)]},
    "particlenet": {
        "conv_params": [(16, (64, 64, 64)), (16, (128, 128, 128)), (16, (256, 256, 256))],
        "fc_params": [(256, 0.1)],
    },
    "part_lite": {
        "embed_dims": [64, 256, 64],
        "pair_embed_dims": [16],
        "num_heads": 4,
        "num_layers": 2,
        "num_cls_layers": 1,
    },
    "part": {},
}
"""weaver-core's options for the layers of our entries, its own defaults for `part`."""


@dataclass(frozen=True)
class Mode:
    """Mode of weaver-core's program. keeps_memory: with `device.MEMORY_KEPT`, on the CPU. compiled: with its option
    --compile, the optimiser too with --compile-optimizer. bfloat16: with --use-amp. tf32: float32 matrices are
    multiplied as in JAX on a GPU; PyTorch does so only if told to."""

    keeps_memory: bool = False
    compiled: bool = False
    optimiser_compiled: bool = False
    bfloat16: bool = False
    tf32: bool = False


MODES = {
    "as-installed": Mode(),
    "memory-kept": Mode(keeps_memory=True),
    "compile": Mode(keeps_memory=True, compiled=True),
    "compile-optimizer": Mode(keeps_memory=True, compiled=True, optimiser_compiled=True),
}
"""Modes on a CPU, by the name of an option's value."""


def require_weaver() -> None:
    """UserError if weaver-core or PyTorch is not installed."""
    try:
        import torch  # noqa: F401
        import weaver.nn.model.ParticleNet  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"weaver-core is not installed ({error}): {sys.executable} -m pip install torch weaver-core"
        ) from None


def weaver_network(name: str, features: int, classes: int, **options: bool) -> torch.nn.Module:
    """weaver-core's network of `WEAVER`, for this many features of a particle. options: of its own, such as
    compile_model."""
    from weaver.nn.model.ParticleNet import ParticleNet
    from weaver.nn.model.ParticleTransformer import ParticleTransformer

    if name.startswith("particlenet"):
        return ParticleNet(features, classes, use_fusion=False, **WEAVER[name], **options)
    return ParticleTransformer(features, classes, **WEAVER[name], **options)


@contextmanager
def weaver_rates(
    entry: Entry[Model],
    sample: Sample,
    hyperparameters: Mapping[str, Any],
    classes: int,
    seconds: float,
    mode: Mode,
    on: str = "cpu",
) -> Iterator[Rates]:
    """(training, prediction) of weaver-core's network on the same clouds; without a loader, with the arrays in the
    memory of the device, "cpu" or "gpu". It has its own process, as in its own program, with no settings of `device`
    other than the mode's."""
    size = int(hyperparameters["batch_size"])
    few = replace(sample, rows=sample.rows[: 16 * size], labels=sample.labels[: 16 * size])
    batch = few.take(slice(None))
    points, features = batch["points"].transpose(0, 2, 1), batch["features"].transpose(0, 2, 1)
    mask = batch["mask"][:, None, :]
    if entry.name.startswith("particlenet"):
        inputs = points, features, mask
    else:
        inputs = features, _momenta(points, batch.get("log_pt")), mask
    arrays, sizes = [np.ascontiguousarray(array) for array in inputs], (features.shape[1], classes)
    spawn = multiprocessing.get_context("spawn")
    with without_main_file(), _environment(device.MEMORY_KEPT if mode.keeps_memory else {}):
        pool = spawn.Pool(1, end_with_parent)
    with pool as process:
        process.apply(_start_weaver, (entry.name, sizes, arrays, few.labels, size, mode, on))

        def rate_of(step: str) -> Callable[[], float]:
            return lambda: process.apply(_rate_of_weaver, (step, seconds, on))

        yield rate_of("fit"), rate_of("predict")


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for processes started in the block."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


_weaver_steps: dict[str, Callable[[], int]] = {}  # in weaver-core's process


def _start_weaver(
    name: str, sizes: tuple[int, int], arrays: list[np.ndarray], labels: np.ndarray, batch: int, mode: Mode, on: str
) -> None:
    """Its network for (features, classes), trained with AdamW in batches trimmed to their longest event as it does
    itself, compiled and warmed up."""
    import torch

    torch.set_num_threads(cores())
    torch.manual_seed(0)
    if mode.tf32:
        torch.set_float32_matmul_precision("high")
    place = torch.device("cuda" if on == "gpu" else "cpu")
    options = {"compile_model": True} if mode.compiled else {}
    options |= {"use_amp": True} if mode.bfloat16 else {}
    network = weaver_network(name, *sizes, **options).to(place)
    run = torch.compile(network) if mode.compiled else network
    inputs, targets = [torch.tensor(array, device=place) for array in arrays], torch.tensor(labels, device=place)
    rate = torch.tensor(1e-4, device=place) if mode.optimiser_compiled else 1e-4
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate)
    step = torch.compile(optimiser.step) if mode.optimiser_compiled else optimiser.step
    loss_of, turn = torch.nn.CrossEntropyLoss(), [0]
    batches = len(labels) // batch

    def part() -> slice:
        start = turn[0] % batches * batch
        turn[0] += 1
        return slice(start, start + batch)

    def precision() -> Any:
        return torch.autocast(place.type, dtype=torch.bfloat16) if mode.bfloat16 else nullcontext()

    def fit() -> int:
        which = part()
        network.train()
        optimiser.zero_grad()
        with precision():
            loss = loss_of(run(*(array[which] for array in inputs)), targets[which])
        loss.backward()
        step()
        return batch

    def predict() -> int:
        which = part()
        network.eval()
        with torch.no_grad(), precision():
            run(*(array[which] for array in inputs))
        return batch

    for _ in range(6 + batches * mode.compiled):  # it trims clouds from its sixth call on, each length compiled anew
        fit()
    for _ in range(batches * mode.compiled):
        predict()
    _weaver_steps.update(fit=fit, predict=predict)


def _rate_of_weaver(step: str, seconds: float, on: str) -> float:
    """Events per second; on a GPU including the time until all its work is done."""
    started, events = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        events += _weaver_steps[step]()
    if on == "gpu":
        import torch

        torch.cuda.synchronize()
    return events / (time.perf_counter() - started)


def _momenta(points: np.ndarray, log_pt: np.ndarray | None) -> np.ndarray:
    """(N, 4, P) momenta (px, py, pz, E) of massless particles at points (N, 2, P); of pT 1 where none is known."""
    eta, phi = points[:, 0], points[:, 1]
    pt = np.ones_like(eta) if log_pt is None else np.exp(log_pt)
    return np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), pt * np.cosh(eta)], axis=1)
