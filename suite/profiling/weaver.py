"""weaver-core's networks, to be measured against."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hepbench.benchmarks.base import Model, Sample, UserError
from hepbench.benchmarks.registry import Entry
from hepbench.suite.data.simulate import cores
from hepbench.suite.processes import end_with_parent, without_main_file
from hepbench.suite.profiling.timing import Rates, for_seconds

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
"""What weaver-core calls the layers of our entries, its own defaults for `part`."""


def require_weaver() -> None:
    """UserError where weaver-core or PyTorch is not installed."""
    try:
        import torch  # noqa: F401
        import weaver.nn.model.ParticleNet  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"weaver-core is not installed ({error}): {sys.executable} -m pip install torch weaver-core"
        ) from None


def weaver_network(name: str, features: int, classes: int) -> torch.nn.Module:
    """weaver-core's network of `WEAVER`, for this many features of a particle."""
    from weaver.nn.model.ParticleNet import ParticleNet
    from weaver.nn.model.ParticleTransformer import ParticleTransformer

    if name.startswith("particlenet"):
        return ParticleNet(features, classes, use_fusion=False, **WEAVER[name])
    return ParticleTransformer(features, classes, **WEAVER[name])


@contextmanager
def weaver_rates(
    entry: Entry[Model], sample: Sample, hyperparameters: Mapping[str, Any], classes: int, seconds: float
) -> Iterator[Rates]:
    """(training, prediction) of weaver-core's network on the same clouds; no loader stands between, the arrays are in
    memory. It has a process of its own, as in its own program, where nothing of `device` is set."""
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
    with without_main_file(), multiprocessing.get_context("spawn").Pool(1, end_with_parent) as process:
        process.apply(_start_weaver, (entry.name, sizes, arrays, few.labels, size))

        def rate_of(step: str) -> Callable[[], float]:
            return lambda: process.apply(_rate_of_weaver, (step, seconds))

        yield rate_of("fit"), rate_of("predict")


_weaver_steps: dict[str, Callable[[], int]] = {}  # in weaver-core's process


def _start_weaver(name: str, sizes: tuple[int, int], arrays: list[np.ndarray], labels: np.ndarray, batch: int) -> None:
    """Its network for (features, classes), trained with AdamW in batches trimmed to their longest as it does itself."""
    import torch

    torch.set_num_threads(cores())
    torch.manual_seed(0)
    network = weaver_network(name, *sizes)
    inputs, labels = [torch.tensor(array) for array in arrays], torch.tensor(labels)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-4)
    loss_of, turn = torch.nn.CrossEntropyLoss(), [0]

    def part() -> slice:
        start = turn[0] % (len(labels) // batch) * batch
        turn[0] += 1
        return slice(start, start + batch)

    def fit() -> int:
        which = part()
        network.train()
        optimiser.zero_grad()
        loss_of(network(*(array[which] for array in inputs)), labels[which]).backward()
        optimiser.step()
        return batch

    def predict() -> int:
        which = part()
        network.eval()
        with torch.no_grad():
            network(*(array[which] for array in inputs))
        return batch

    for _ in range(6):  # it trims clouds from its sixth call on
        fit()
    _weaver_steps.update(fit=fit, predict=predict)


def _rate_of_weaver(step: str, seconds: float) -> float:
    return for_seconds(_weaver_steps[step], seconds)


def _momenta(points: np.ndarray, log_pt: np.ndarray | None) -> np.ndarray:
    """(N, 4, P) momenta (px, py, pz, E) of massless particles at points (N, 2, P); of pT 1 where none is known."""
    eta, phi = points[:, 0], points[:, 1]
    pt = np.ones_like(eta) if log_pt is None else np.exp(log_pt)
    return np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), pt * np.cosh(eta)], axis=1)
