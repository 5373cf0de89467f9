"""Our networks beside weaver-core's, the field's own implementation: the same scores, and who is faster."""

from __future__ import annotations

import importlib.util
import os

import numpy as np
import pytest
from conftest import assert_user_mistake, hepbench, measure

from hepbench.benchmarks import registry

pytestmark = pytest.mark.long

INSTALLED = all(importlib.util.find_spec(name) for name in ("torch", "weaver"))
TORCH_EPSILON = 1e-5  # of its batch normalisation


def weaver_there():
    """Skip where weaver-core is not installed, but never in CI."""
    if not INSTALLED:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(
            "weaver-core is not installed: pip install torch weaver-core"
        )


@pytest.mark.takes(25)
@pytest.mark.parametrize("model, at_least", [("particlenet_lite", 1), ("part_lite", 0)])
def test_weaver_is_measured_or_asked_for(model, at_least, home):
    options = ("--task", "ecal", "--model", model, "--against", "weaver", "--mode", "as-installed,memory-kept")
    if not INSTALLED:
        assert_user_mistake(hepbench("measure", "models", *options, home=home), "weaver-core is not installed")
    weaver_there()
    assert float(measure(home, *options)[model][3]) > at_least


def clouds(events, size, features, fewest):
    """(points, features, mask) of clouds of `fewest` to `size` particles."""
    rng = np.random.default_rng(0)
    count = rng.integers(fewest, size + 1, events)
    mask = np.arange(size) < count[:, None]
    points = rng.uniform(-0.4, 0.4, (events, size, 2))
    return (np.float32(array) * mask[..., None] for array in (points, rng.normal(size=(events, size, features)))), mask


def normalisation(ours, theirs):
    ours.gamma.assign(theirs.weight.numpy(force=True))
    ours.beta.assign(theirs.bias.numpy(force=True))
    ours.mean.assign(theirs.running_mean.numpy())
    ours.variance.assign(theirs.running_var.numpy() + TORCH_EPSILON - ours.epsilon)


def kernel(weight):
    """Of a convolution over single particles or edges, or of a dense layer, as Keras has it."""
    return weight.numpy(force=True).reshape(len(weight), -1).T


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
@pytest.mark.parametrize("name", ["particlenet_lite", "particlenet"])
def test_with_weavers_weights_particlenet_gives_weavers_scores(name):
    """For clouds that have as many other particles as neighbours are looked for: below, the two differ by design."""
    weaver_there()
    import torch

    from hepbench.benchmarks.layers.edge_conv import EdgeBlock
    from hepbench.benchmarks.layers.normalization import BatchNormalization
    from hepbench.suite.profiling.weaver import weaver_network

    entry = registry.find("model", name).record
    (points, features), mask = clouds(64, 40, 5, fewest=entry.defaults["neighbours"] + 1)
    torch.manual_seed(0)
    theirs = weaver_network(name, 5, 2)
    inputs = [torch.tensor(array.transpose(0, 2, 1).copy()) for array in (points, features, mask[..., None])]
    for _ in range(3):  # so that moving averages are not those of the start
        theirs(*inputs)
    theirs.fc[1].weight.data *= 50  # so that scores lie far apart
    theirs.eval()
    expected = torch.softmax(theirs(*inputs), dim=1).numpy(force=True)

    ours = entry.build({"points": (40, 2), "features": (40, 5), "mask": (40,)}, 2, entry.defaults)
    normalisation(next(layer for layer in ours.layers if isinstance(layer, BatchNormalization)), theirs.bn_fts)
    blocks = [layer for layer in ours.layers if isinstance(layer, EdgeBlock)]
    for block, edge in zip(blocks, theirs.edge_convs, strict=True):
        for weight, convolution in zip((*block.kernels, block.shortcut), (*edge.convs, edge.sc), strict=True):
            weight.assign(kernel(convolution.weight))
        for own, other in zip(block.normalizations, (*edge.bns, edge.sc_bn), strict=True):
            normalisation(own, other)
    dense = [layer for layer in ours.layers if type(layer).__name__ == "Dense"]
    for layer, linear in zip(dense, (theirs.fc[0][0], theirs.fc[1]), strict=True):
        layer.kernel.assign(kernel(linear.weight))
        layer.bias.assign(linear.bias.numpy(force=True))
    scores = np.asarray(ours({"points": points, "features": features, "mask": mask}, training=False))
    assert scores[:, 1].std() > 0.01
    np.testing.assert_allclose(scores, expected, atol=1e-5)
