"""The view `momenta` and the transformer on it: what the symmetry of space and time promises, on both backends."""

from __future__ import annotations

import functools
import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT

from hepbench.benchmarks import registry
from hepbench.benchmarks.features import boosted_jets, four_momenta, jets
from hepbench.suite.trial.spec import Spec, look_up

ON_KERAS = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
NAME = "lorentz_transformer"
SIZES = [0, 2, 3, 5, 8, 13, 20, 20]
"""Particles of each jet. A single one without a mass has no frame."""
SYMMETRIES = {"none": "any", "beam": "beam", "beam_time": "turn"}
"""`references` -> under which of `transformations` the scores are the same."""


def transformations() -> dict[str, np.ndarray]:
    """(4, 4) each: a turn about the beam; that and a boost along it; boosts and turns in any direction."""

    def boost(axis: int, rapidity: float) -> np.ndarray:
        matrix = np.eye(4)
        matrix[0, 0] = matrix[axis, axis] = np.cosh(rapidity)
        matrix[0, axis] = matrix[axis, 0] = np.sinh(rapidity)
        return matrix

    def turn(one: int, other: int, angle: float) -> np.ndarray:
        matrix = np.eye(4)
        matrix[one, one] = matrix[other, other] = np.cos(angle)
        matrix[one, other], matrix[other, one] = -np.sin(angle), np.sin(angle)
        return matrix

    about = turn(1, 2, 0.9)
    return {
        "turn": about,
        "beam": boost(3, -0.7) @ about,
        "any": turn(2, 3, 1.1) @ boost(1, 0.8) @ boost(3, -0.7) @ about,
    }


def jets_of(sizes: list[int], seed: int = 0) -> np.ndarray:
    """(N, 20, 4) E, px, py, pz of massless particles within jets of 500 GeV, zeros for padding."""
    rng = np.random.default_rng(seed)
    number = len(sizes)
    there = np.arange(20) < np.array(sizes)[:, None]
    pt = -np.sort(-rng.exponential(25, (number, 20)), axis=1) * there
    eta = rng.normal(0, 0.2, (number, 20)) + rng.uniform(-1, 1, (number, 1))
    phi = rng.normal(0, 0.2, (number, 20)) + rng.uniform(-3, 3, (number, 1))
    return np.stack([np.cosh(eta), np.cos(phi), np.sin(phi), np.sinh(eta)], axis=-1) * pt[..., None]


def view_of(momenta: np.ndarray, points: int = 20) -> dict[str, np.ndarray]:
    found = four_momenta.at_rest(momenta[..., [1, 2, 3, 0]], points)
    mask = found["mask"]
    charge = np.sign(np.sin(1e3 * np.arange(20))) * np.ones((len(momenta), 1))
    charge = np.pad(charge, ((0, 0), (0, points - 20)), constant_values=17)  # padding, which must not matter
    return {**found, "features": np.stack([charge, charge**2], axis=-1).astype(np.float32), "mask": mask}


@functools.cache
def network(references: str, points: int = 20):
    import keras

    model = registry.find("model", NAME).record
    keras.utils.set_random_seed(0)
    shapes = {"momenta": (points, 4), "references": (3, 4), "features": (points, 2), "mask": (points,)}
    return model.build(shapes, 2, {**model.defaults, "references": references})


def scores_of(batch: dict[str, np.ndarray], references: str) -> np.ndarray:
    built = network(references, batch["mask"].shape[1])
    return np.asarray(built({one.name: batch[one.name] for one in built.inputs}, training=False))[:, 1]


def product(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return one[..., 0] * other[..., 0] - (one[..., 1:] * other[..., 1:]).sum(axis=-1)


def test_jets_are_at_rest_and_products_stay():
    """Of particles with each other and with the references, whatever the jet's mass."""
    lab = jets_of([2, 3, 20, 20])
    found = view_of(lab)
    assert found["momenta"].dtype == np.float32
    total = found["momenta"].astype(np.float64).sum(axis=1)
    mass = np.sqrt(product(lab.sum(axis=1), lab.sum(axis=1)))
    np.testing.assert_allclose(total[:, 0], mass, rtol=1e-5)
    np.testing.assert_allclose(total[:, 1:] / mass[:, None], 0, atol=1e-5)
    seen, ends = found["momenta"].astype(np.float64), found["references"].astype(np.float64)
    laboratory = np.broadcast_to(four_momenta.REFERENCES, ends.shape)
    for before, after in ((lab, seen), (laboratory, ends)):
        expected = product(lab[:, :, None], before[:, None])
        np.testing.assert_allclose(product(seen[:, :, None], after[:, None]), expected, rtol=2e-3, atol=1e-4)


def test_float32_keeps_more_digits_in_the_frame_of_the_jet():
    """The median relative error of the product of two particles: at rest a hundredth of that in the laboratory."""
    lab = jets_of([20] * 50)
    exact = product(lab[:, :, None], lab[:, None])
    pairs = np.broadcast_to(~np.eye(20, dtype=bool), exact.shape)

    def error(momenta: np.ndarray) -> float:
        momenta = momenta.astype(np.float32)
        found = product(momenta[:, :, None], momenta[:, None])
        return float(np.median(np.abs(found[pairs] / exact[pairs] - 1)))

    at_rest = error(view_of(lab)["momenta"])
    assert at_rest < 2e-6 and at_rest < error(lab) / 2


@pytest.mark.parametrize("references", SYMMETRIES)
@ON_KERAS
def test_scores_have_the_symmetry_that_is_promised(references):
    """And no more: by what is not one of it they change. Jets are transformed in the laboratory, references stay."""
    lab = jets_of(SIZES)
    before = scores_of(view_of(lab), references)
    assert len(np.unique(before)) == len(SIZES)
    kept = list(transformations())[: 1 + list(transformations()).index(SYMMETRIES[references])]
    for name, matrix in transformations().items():
        change = np.abs(scores_of(view_of(lab @ matrix.T), references) - before)
        if name in kept:
            assert change.max() < 2e-4, (name, change)
        else:
            assert np.median(change[1:]) > 1e-3, (name, change)


@pytest.mark.parametrize("references", SYMMETRIES)
@ON_KERAS
def test_the_network_itself_is_invariant(references):
    """Where momenta and references are transformed together, in any frame."""
    batch = view_of(jets_of(SIZES))
    matrix = transformations()["any"].T
    moved = {**batch, **{name: (batch[name] @ matrix).astype(np.float32) for name in ("momenta", "references")}}
    np.testing.assert_allclose(scores_of(moved, references), scores_of(batch, references), atol=2e-4)


@ON_KERAS
def test_neither_order_nor_padding_changes_a_score():
    lab = jets_of(SIZES)
    before = scores_of(view_of(lab), "beam_time")
    order = np.random.default_rng(3).permutation(20)
    batch = view_of(lab)
    turned = {name: values[:, order] if name != "references" else values for name, values in batch.items()}
    np.testing.assert_allclose(scores_of(turned, "beam_time"), before, atol=1e-5)
    padded = view_of(lab, 32)
    padded["momenta"][~padded["mask"]] = 17
    np.testing.assert_allclose(scores_of(padded, "beam_time"), before, atol=1e-5)


@ON_KERAS
def test_gradients_are_finite_without_a_mass_and_without_a_particle():
    """Of jets of no, one and two particles in one direction, in the laboratory, too, and of momenta that are zero."""
    import tensorflow as tf

    lab = jets_of([1, *SIZES[1:]])
    lab[2, 1:3] = lab[2, 0]
    batches = [view_of(lab), {**view_of(lab), "momenta": lab.astype(np.float32)}]
    batches.append({**batches[0], "momenta": np.zeros_like(batches[0]["momenta"])})
    built = network("beam")
    for batch in batches:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(built({one.name: batch[one.name] for one in built.inputs}, training=True)[:, 1])
        for gradient in tape.gradient(loss, built.trainable_variables):
            assert gradient is not None and np.isfinite(np.asarray(gradient)).all()


@ON_KERAS
def test_vectors_stay_in_float32(tmp_path):
    """In a network of 16 bits, whose scores keep their symmetry; and a saved one gives the same scores."""
    import keras

    from hepbench.suite.training.network import Network, load_network

    model = registry.find("model", NAME).record
    shapes = {"momenta": (20, 4), "references": (3, 4), "mask": (20,)}
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        coarse = model.build(shapes, 3, {**model.defaults, "blocks": 1, "references": "none"})
    finally:
        keras.config.set_dtype_policy("float32")
    vectors = [layer for layer in coarse.layers if "vector" in layer.name or "lorentz" in layer.name]
    assert {layer.compute_dtype for layer in vectors} == {"float32"} and len(vectors) >= 4
    lab, matrix = jets_of(SIZES), transformations()["any"]
    before, after = (view_of(momenta) for momenta in (lab, lab @ matrix.T))
    names = [one.name for one in coarse.inputs]
    scores, moved = (np.asarray(coarse({name: batch[name] for name in names})) for batch in (before, after))
    assert scores.shape == (8, 3) and scores.dtype == np.float32
    np.testing.assert_allclose(moved, scores, atol=0.02)
    Network(coarse, 3).save(tmp_path)
    loaded = load_network(tmp_path).keras_model
    np.testing.assert_array_equal(np.asarray(loaded({name: before[name] for name in names})), scores)


JAX = """if True:
    import sys
    import numpy as np
    from pathlib import Path
    from hepbench.suite.training.network import load_network
    batch = dict(np.load(sys.argv[2]))
    network = load_network(Path(sys.argv[1])).keras_model
    print(*np.asarray(network({one.name: batch[one.name] for one in network.inputs}))[:, 1])
"""


@pytest.mark.long
@ON_KERAS
def test_jax_gives_the_same_scores(tmp_path):
    batch = view_of(jets_of(SIZES))
    network("beam_time").save(tmp_path / "network.keras")
    np.savez(tmp_path / "batch.npz", **batch)
    command = [sys.executable, "-c", JAX, tmp_path, tmp_path / "batch.npz"]
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(np.array(done.stdout.split(), float), scores_of(batch, "beam_time"), atol=2e-5)


@ON_KERAS
def test_its_layers():
    """Numbers of each: scalars 64, vectors 16, 4 heads, 2 blocks, as the docstring says; vectors have no constants."""
    built = network("beam")
    attention = 4 * (64 * 64 + 64) + 4 * 16 * 16
    block = attention + 2 * 64 * 3 + 2 * 16 * 16 + (80 + 1) * 256 + 2 * 256 + (256 + 1) * 64
    gated = block + (256 + 1) * 16 + 16 * 16
    pairs = (3 + 1) * 16 + (16 + 1) * 4
    embedding = (7 + 1) * 64 + 2 * 64 + (64 + 1) * 256 + 2 * 256 + (256 + 1) * 64 + 5 * 16
    last = 2 * 64 + (64 + 1) * 64 + (64 + 1) * 2
    assert built.count_params() == pairs + embedding + gated + block + last


@pytest.mark.parametrize(
    "task, features, refusal",
    [
        ("ecal", "all", "needs momenta inputs; the task has image, cloud, table"),
        ("hepmass", "", "needs momenta inputs; the task has table, cloud"),
        ("qg_jets", "pid", None),
        ("qg_jets", "massless", None),
        ("qg_jets", "kinematic", "there are no kinematic features among the momenta inputs"),
        ("jetclass", "kinpid", None),
        ("jetclass", "kin", "there are no kin features among the momenta inputs"),
        ("top_tagging", "raw", None),
    ],
)
def test_who_is_served(task, features, refusal):
    parameters = {"features": features} if features else {}
    assert look_up(Spec(task, NAME, 0, "smoke", "auto", "cpu", "tensorflow", parameters)).refusal == refusal


def test_unknown_references_are_refused():
    from hepbench.benchmarks.base import UserError

    model = registry.find("model", NAME).record
    with pytest.raises(
        UserError, match=r"unknown references 'beams', did you mean 'beam'\? Known: none, beam, beam_time"
    ):
        model.build({"momenta": (20, 4), "mask": (20,)}, 2, {**model.defaults, "references": "beams"})


def test_massless_particles_tell_no_kinds():
    """A particle becomes another kind of the same momentum: with masses and charges the view changes, without not."""
    rng = np.random.default_rng(0)
    particles = np.stack(
        [
            -np.sort(-rng.exponential(20, (6, 9)), axis=1),
            rng.normal(0, 0.2, (6, 9)),
            rng.normal(0, 0.2, (6, 9)),
            rng.choice(jets.CODES, (6, 9)).astype(float),
        ],
        axis=-1,
    )
    other = particles.copy()
    other[..., 3] = rng.permutation(particles[..., 3].ravel()).reshape(6, 9)
    view = registry.find("task", "qg_jets").record
    for features in ("pid", "massless"):
        of = view.view("momenta", features)
        one, two = of({"jets": particles}), of({"jets": other})
        assert np.array_equal(one["momenta"], two["momenta"]) == (features == "massless")
        assert ("features" in one) == (features == "pid")
    kinds = jets.identities(particles[..., 3])
    features = registry.find("task", "qg_jets").record.view("momenta")({"jets": particles})["features"]
    assert features.shape == (6, 100, 6) and not features[:, 9:].any()
    np.testing.assert_array_equal(features[:, :9], np.stack([kinds[name] for name in jets.IDENTITY_FEATURES], axis=-1))


def test_momenta_of_a_task_are_those_of_its_cloud(files_of):
    """By products with the beams and time: transverse momentum and energy of the hardest particles, in GeV."""
    from hepbench.suite.data.dataset import prepare

    entry, files = files_of("top_tagging")
    arrays = {name: np.asarray(array[:40]) for name, array in prepare(entry, files).arrays.items()}
    cloud, found = entry.record.view("cloud", "raw")(arrays), entry.record.view("momenta")(arrays)
    np.testing.assert_array_equal(found["mask"], cloud["mask"])
    seen, ends = (found[name].astype(np.float64) for name in ("momenta", "references"))
    minus, plus, energy = np.moveaxis(product(seen[:, :, None], ends[:, None]), -1, 0)
    mask = cloud["mask"]
    np.testing.assert_allclose(energy[mask], cloud["features"][..., 0][mask], rtol=1e-4)
    np.testing.assert_allclose(np.log((plus * minus)[mask]) / 2, cloud["log_pt"][mask], atol=2e-3)
    assert boosted_jets.cloud(arrays["particles"])["mask"].shape == mask.shape
