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


def dense(ours, weight, bias):
    ours.kernel.assign(kernel(weight))
    ours.bias.assign(bias.numpy(force=True))


def layer_normalisation(ours, theirs):
    ours.gamma.assign(theirs.weight.numpy(force=True))
    ours.beta.assign(theirs.bias.numpy(force=True))


def pair_layers(pairs, embed):
    """Their normalisations, trained, multiplied into the weights; ours has pairs in another order, and scaled."""
    known = list(embed)
    layers = [(conv.weight[..., 0], conv.bias, norm) for conv, norm in zip(known[1::3], known[2::3], strict=True)]

    def of_norm(norm):
        factor = norm.weight / (norm.running_var + norm.eps) ** 0.5
        return factor, norm.bias - norm.running_mean * factor

    scale, shift = of_norm(known[0])
    for number, (layer, (weight, bias, norm)) in enumerate(zip(pairs.embed, layers, strict=True)):
        if number == 0:
            weight, bias = weight * scale, bias + weight @ shift
            weight = weight[:, [2, 0, 1, 3]] / pairs.scale
        factor, moved = of_norm(norm)
        dense(layer, weight * factor[:, None], bias * factor + moved)


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
@pytest.mark.parametrize("name", ["part_lite", "part"])
def test_with_weavers_weights_the_particle_transformer_gives_weavers_scores(name):
    """But for the normalisation of the inputs and the features of a particle with itself, which differ by design."""
    weaver_there()
    import torch

    from hepbench.benchmarks.layers.attention import PairBias
    from hepbench.suite.profiling.weaver import _momenta, weaver_network

    entry = registry.find("model", name).record
    (points, features), mask = clouds(32, 20, 7, fewest=1)
    log_pt = np.float32(np.random.default_rng(1).normal(1, 1, (32, 20))) * mask
    torch.manual_seed(0)
    theirs = weaver_network(name, 7, 2, trim=False)
    momenta = _momenta(points.transpose(0, 2, 1), log_pt)
    inputs = [torch.tensor(array) for array in (features.transpose(0, 2, 1).copy(), momenta, mask[:, None])]
    for _ in range(3):
        theirs(*inputs)
    torch.manual_seed(1)
    for weight in theirs.parameters():
        weight.data += 0.05 * torch.randn(weight.shape)
    theirs.embed.input_bn.reset_parameters()
    theirs.eval()

    ours = entry.build({"points": (20, 2), "features": (20, 7), "log_pt": (20,), "mask": (20,)}, 2, entry.defaults)
    kinds = {}
    for layer in ours.layers:
        kinds.setdefault(type(layer).__name__, []).append(layer)
    (pairs,) = (layer for layer in ours.layers if isinstance(layer, PairBias))
    pair_layers(pairs, theirs.pair_embed.embed)
    norms, denses = iter(kinds["LayerNormalization"]), iter(kinds["Dense"])
    for norm, linear in zip(theirs.embed.embed[0::3], theirs.embed.embed[1::3], strict=True):
        layer_normalisation(next(norms), norm)
        dense(next(denses), linear.weight, linear.bias)
    attentions, scales = iter(kinds["ParticleAttention"] + kinds["TokenAttention"]), iter(kinds["ChannelScale"])
    for block in [*theirs.blocks, *theirs.cls_blocks]:
        attention = next(attentions)
        parts = zip(block.attn.in_proj.weight.chunk(3), block.attn.in_proj.bias.chunk(3), strict=True)
        for layer, (weight, bias) in zip((attention.query, attention.key, attention.value), parts, strict=True):
            dense(layer, weight, bias)
        dense(attention.out, block.attn.out_proj.weight, block.attn.out_proj.bias)
        attention.scale.assign(block.c_attn.numpy(force=True)[:, None])
        next(scales).scale.assign(block.w_resid.numpy(force=True))
        for norm in (block.pre_attn_norm, block.post_attn_norm, block.pre_fc_norm, block.post_fc_norm):
            layer_normalisation(next(norms), norm)
        for linear in (block.fc1, block.fc2):
            dense(next(denses), linear.weight, linear.bias)
    kinds["ClassToken"][0].token.assign(theirs.cls_token.numpy(force=True)[0])
    layer_normalisation(next(norms), theirs.norm)
    dense(next(denses), theirs.fc[0].weight, theirs.fc[0].bias)
    assert [next(one, None) for one in (norms, denses, attentions, scales)] == [None] * 4

    own = np.zeros((1, 4), np.float32)  # ours of a particle with itself
    for layer in pairs.embed:
        own = layer(own)
    given, of_pairs = torch.tensor(np.asarray(own)[0]), theirs.pair_embed.forward

    def with_ours(*args, **kwargs):
        bias = of_pairs(*args, **kwargs)
        diagonal = torch.arange(bias.shape[-1])
        bias[:, :, diagonal, diagonal] = given[None, :, None]
        return bias

    theirs.pair_embed.forward = with_ours
    expected = torch.softmax(theirs(*inputs), dim=1).numpy(force=True)
    scores = np.asarray(ours({"points": points, "features": features, "log_pt": log_pt, "mask": mask}, training=False))
    assert scores[:, 1].std() > 0.01
    np.testing.assert_allclose(scores, expected, atol=1e-4)
