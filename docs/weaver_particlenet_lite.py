"""weaver-core's ParticleNet-Lite, of PyTorch, as a model of one's own: on the leaderboard beside `particlenet_lite`,
with the same jets, batches, optimiser and schedule; weights start as PyTorch has them.

    .venv/bin/python -m pip install torch weaver-core
    make bench TASK=qg_jets SET=features=kinematic SEEDS=3 MODEL="particlenet_lite docs/weaver_particlenet_lite.py"
"""

from __future__ import annotations

import dataclasses
import math
import time
from typing import TYPE_CHECKING

import numpy as np

from hepbench.benchmarks import metrics
from hepbench.benchmarks.models import particlenet

if TYPE_CHECKING:
    import torch

FILE = "network.pt"
PREDICTED = 1024  # events at a time


@dataclasses.dataclass(frozen=True)
class Network:
    torch_model: torch.nn.Module
    sizes: tuple[int, int]  # features, classes
    timings: dict[str, float]

    @property
    def trainable_parameters(self):
        return sum(weight.numel() for weight in self.torch_model.parameters())

    def predict(self, sample):
        import torch

        self.torch_model.eval()
        scores = np.empty((len(sample), self.sizes[1]), np.float32)
        with torch.no_grad():
            for start in range(0, len(sample), PREDICTED):
                part = slice(start, start + PREDICTED)
                scores[part] = torch.softmax(self.torch_model(*_inputs(sample, part)), dim=1).numpy()
        return scores

    def save(self, folder):
        import torch

        torch.save({"sizes": self.sizes, "weights": self.torch_model.state_dict()}, folder / FILE)


def fit(train, valid, parameters, *, classes, seed, device, report):
    import torch

    from hepbench.suite.training.schedules import learning_rates

    torch.manual_seed(seed)
    sizes = train.shapes["features"][-1], classes
    network = Network(_build(*sizes), sizes, {"train_seconds": 0.0, "validate_seconds": 0.0})
    shuffle = np.random.default_rng(seed)
    epochs, batch_size = parameters["epochs"], min(parameters["batch_size"], len(train))
    steps = len(train) // batch_size
    optimiser = torch.optim.AdamW(network.torch_model.parameters(), weight_decay=parameters["weight_decay"])
    best, best_weights = math.inf, None
    for epoch in range(1, epochs + 1):
        started, total = time.perf_counter(), 0.0
        network.torch_model.train()
        order = shuffle.permutation(len(train))[: steps * batch_size].reshape(steps, batch_size)
        rates = learning_rates((epoch - 1 + np.arange(steps) / steps) / epochs, parameters)
        for rate, which in zip(rates, order, strict=True):
            optimiser.param_groups[0]["lr"] = rate
            optimiser.zero_grad()
            output = network.torch_model(*_inputs(train, which))
            loss = torch.nn.functional.cross_entropy(output, torch.tensor(train.labels[which]))
            loss.backward()
            optimiser.step()
            total += loss.item()
        trained = time.perf_counter()
        scores = network.predict(valid)
        val_loss = metrics.log_loss(valid.labels, scores, 1)[0]
        if val_loss < best:
            best, weights = val_loss, network.torch_model.state_dict()
            best_weights = {name: value.clone() for name, value in weights.items()}
        network.timings["train_seconds"] += trained - started
        network.timings["validate_seconds"] += time.perf_counter() - trained
        val_auc = metrics.auc(valid.labels, scores, 1)[0]
        report(epoch, {"loss": total / steps, "val_loss": val_loss, "val_auc": val_auc})
    network.torch_model.load_state_dict(best_weights)
    return network


def load(folder):
    import torch

    stored = torch.load(folder / FILE)
    network = Network(_build(*stored["sizes"]), stored["sizes"], {})
    network.torch_model.load_state_dict(stored["weights"])
    return network


def _build(features, classes):
    from hepbench.suite.profiling.weaver import weaver_network

    return weaver_network("particlenet_lite", features, classes)


def _inputs(sample, which):
    """(points, features, mask), each (n, channels, P), as weaver-core has them."""
    import torch

    batch = sample.take(which)
    arrays = batch["points"].transpose(0, 2, 1), batch["features"].transpose(0, 2, 1), batch["mask"][:, None, :]
    return [torch.tensor(np.ascontiguousarray(array)) for array in arrays]


LITE = particlenet.MODELS["particlenet_lite"]
OPTIONS = ("epochs", "batch_size", "learning_rate", "weight_decay", "schedule", "minimum_learning_rate")
MODEL = dataclasses.replace(
    LITE,
    title="ParticleNet-Lite of weaver-core",
    defaults={name: LITE.defaults[name] for name in OPTIONS},
    space=lambda trial: {},
    build=None,
    fit=fit,
    load=load,
)
