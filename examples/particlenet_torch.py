"""ParticleNet-Lite (1902.08570) in PyTorch: what is no Keras network gives `fit` and `load` in place of `build`.

    pip install torch
    hepbench bench qg_jets --model particlenet_lite --model examples/particlenet_torch.py

`particlenet_torch_weaver` trains weaver-core's network (pip install torch weaver-core) by the same loop:

    hepbench bench qg_jets --model examples/particlenet_torch.py:particlenet_torch_weaver

Batches, optimiser and schedule are those of the paper, as in `particlenet_lite`; weights start as PyTorch has them.
"""

import copy
import functools
import itertools
import math

import numpy as np
import torch
from torch import nn

from hepbench import METRICS, Model

FILE = "network.pt"
PREDICTED = 1024  # events at a time
NEIGHBOURS = 7
WIDTHS = (32, 64)
LAYERS = 3
DENSE = 128
DROPOUT = 0.1


class EdgeConv(nn.Module):
    """[x (M, C), index (M, k)] -> (M, width): M particles of all jets, each with k neighbours."""

    def __init__(self, channels, width):
        super().__init__()
        steps = []
        for before, after in itertools.pairwise([2 * channels, *[width] * LAYERS]):
            steps += [nn.Linear(before, after, bias=False), nn.BatchNorm1d(after), nn.ReLU()]
        self.edges = nn.Sequential(*steps)
        self.shortcut = nn.Sequential(nn.Linear(channels, width, bias=False), nn.BatchNorm1d(width))

    def forward(self, x, index):
        own = x[:, None].expand(-1, index.shape[1], -1)
        edges = torch.cat([own, x[index] - own], dim=-1)  # (M, k, 2 C)
        edges = self.edges(edges.flatten(0, 1)).unflatten(0, index.shape)
        return torch.relu(edges.mean(dim=1) + self.shortcut(x))


class ParticleNet(nn.Module):
    """[points (N, P, 2), features (N, P, F), mask (N, P)] -> logits (N, classes). Padding takes part in nothing."""

    def __init__(self, features, classes):
        super().__init__()
        self.normalise = nn.BatchNorm1d(features)
        self.blocks = nn.ModuleList(itertools.starmap(EdgeConv, itertools.pairwise([features, *WIDTHS])))
        dense = nn.Linear(WIDTHS[-1], DENSE), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(DENSE, classes)
        self.dense = nn.Sequential(*dense)

    def forward(self, points, features, mask):
        x, coordinates = self.normalise(features[mask]), points
        for block in self.blocks:
            x = block(x, neighbours(coordinates, mask))
            coordinates = x.new_zeros(*mask.shape, x.shape[1])
            coordinates[mask] = x
        return self.dense(coordinates.sum(dim=1) / mask.sum(dim=1, keepdim=True).clamp(min=1))


class Weaver(nn.Module):
    """weaver-core's ParticleNet-Lite on the same inputs."""

    def __init__(self, features, classes):
        super().__init__()
        from weaver.nn.model import ParticleNet as weaver

        blocks = [(NEIGHBOURS, (width,) * LAYERS) for width in WIDTHS]
        self.network = weaver.ParticleNet(features, classes, blocks, [(DENSE, DROPOUT)], use_fusion=False)

    def forward(self, points, features, mask):
        return self.network(points.mT, features.mT, mask[:, None])


@torch.no_grad()
def neighbours(coordinates, mask):
    """(M, k): the nearest others in the same jet, numbered among the particles of all jets; a particle itself where
    there are fewer than k others. coordinates: (N, P, D)."""
    distance = torch.cdist(coordinates, coordinates)
    distance.masked_fill_(~mask[:, None], math.inf)
    distance.diagonal(dim1=1, dim2=2).fill_(math.inf)
    distance, index = distance.topk(min(NEIGHBOURS, mask.shape[1] - 1), largest=False)
    itself = torch.arange(mask.shape[1], device=mask.device)[:, None]
    index = torch.where(distance.isinf(), itself, index)
    number = (mask.flatten().cumsum(0) - 1).view(mask.shape)
    jet = torch.arange(len(mask), device=mask.device)[:, None, None]
    return number[jet, index][mask]


class Trained:
    """What `fit` and `load` give: it predicts, it is saved, and it knows how many parameters were trained."""

    def __init__(self, name, sizes, device):
        self.name, self.sizes, self.device = name, sizes, device
        self.network = NETWORKS[name](*sizes).to(device)

    @property
    def trainable_parameters(self):
        return sum(weight.numel() for weight in self.network.parameters())

    def inputs(self, sample, which):
        batch = sample.take(which)  # scaled, as numpy arrays
        return [torch.tensor(batch[name], device=self.device) for name in ("points", "features")] + [
            torch.tensor(batch["mask"], dtype=torch.bool, device=self.device)
        ]

    @torch.no_grad()
    def predict(self, sample):
        self.network.eval()
        parts = [slice(start, start + PREDICTED) for start in range(0, len(sample), PREDICTED)]
        scores = [torch.softmax(self.network(*self.inputs(sample, part)), dim=1).cpu().numpy() for part in parts]
        return np.concatenate(scores)

    def save(self, folder):
        torch.save({"name": self.name, "sizes": self.sizes, "weights": self.network.state_dict()}, folder / FILE)


def fit(name, train, valid, parameters, *, classes, seed, device, report):
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=True)  # the same seed, the same scores
    shuffle = np.random.default_rng(seed)
    trained = Trained(name, (train.shapes["features"][-1], classes), "cuda" if device == "gpu" else "cpu")
    network, epochs = trained.network, parameters["epochs"]
    size = min(parameters["batch_size"], len(train))
    steps = len(train) // size
    rate, lowest = parameters["learning_rate"], parameters["minimum_learning_rate"]
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=parameters["weight_decay"])
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, rate, steps * epochs, pct_start=0.4, three_phase=True, anneal_strategy="linear",
        cycle_momentum=False, div_factor=10, final_div_factor=rate / 10 / lowest,
    )  # fmt: skip
    best, weights = math.inf, {}
    for epoch in range(1, epochs + 1):
        network.train()
        total = 0.0
        for which in shuffle.permutation(len(train))[: steps * size].reshape(steps, size):
            optimiser.zero_grad()
            targets = torch.tensor(train.labels[which], device=trained.device)
            loss = nn.functional.cross_entropy(network(*trained.inputs(train, which)), targets)
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.item()
        scores = trained.predict(valid)
        val_loss, val_auc = (METRICS[metric].compute(valid.labels, scores, 1)[0] for metric in ("log_loss", "auc"))
        report(epoch, {"loss": total / steps, "val_loss": val_loss, "val_auc": val_auc})
        if val_loss < best:  # the best epoch is kept, by the validation part
            best, weights = val_loss, copy.deepcopy(network.state_dict())
    network.load_state_dict(weights)
    return trained


def load(folder):
    stored = torch.load(folder / FILE, map_location="cpu", weights_only=True)  # runs no code
    trained = Trained(stored["name"], stored["sizes"], "cpu")
    trained.network.load_state_dict(stored["weights"])
    return trained


def entry(name, title):
    return Model(
        title=title,
        view="cloud",
        defaults={
            "epochs": 20,
            "batch_size": 1024,
            "learning_rate": 5e-3,
            "weight_decay": 1e-4,
            "minimum_learning_rate": 5e-7,
        },
        space=lambda trial: {"learning_rate": trial.suggest_float("learning_rate", 5e-4, 2e-2, log=True)},
        fit=functools.partial(fit, name),
        load=load,
        source="1902.08570",
        package="torch",
    )


NETWORKS = {"particlenet_torch": ParticleNet, "particlenet_torch_weaver": Weaver}
TITLES = {
    "particlenet_torch": "ParticleNet-Lite in PyTorch",
    "particlenet_torch_weaver": "ParticleNet-Lite of weaver-core",
}
MODELS = {name: entry(name, title) for name, title in TITLES.items()}
