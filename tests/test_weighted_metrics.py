"""Metrics with weights of the events: values against scikit-learn, errors against repeated samples."""

import math

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from hepbench.benchmarks import metrics, weighting
from hepbench.benchmarks.metrics import METRICS, metrics_of
from hepbench.benchmarks.scored import Scored

NAMES = ("a", "b", "c")


def toy(events=2000, classes=2, seed=0, digits=None, apart=1.0):
    """Labels, scores that carry some knowledge of them, and weights that go with both, as in a sample of unequal cross
    sections."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, events)
    logits = rng.normal(size=(events, classes)) + apart * np.eye(classes)[labels]
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    if digits is not None:
        scores = rng.multinomial(10**digits, scores) / 10**digits
    weights = rng.exponential(1, events) * np.exp(0.4 * logits[:, 0]) * np.array([30.0, 0.1, 2.0])[labels]
    return labels, scores, weights


@pytest.mark.parametrize("digits", [None, 1])
def test_values_are_those_of_scikit_learn(digits):
    labels, scores, weights = toy(digits=digits)
    found = metrics.evaluate(labels, scores, 1, weights=weights)
    given = {"sample_weight": weighting.by_class(labels, weights)}
    guessed = scores.argmax(axis=1)
    assert found["auc"] == pytest.approx(sklearn_metrics.roc_auc_score(labels, scores[:, 1], **given))
    assert found["accuracy"] == pytest.approx(sklearn_metrics.accuracy_score(labels, guessed, **given))
    assert found["precision"] == pytest.approx(sklearn_metrics.precision_score(labels, guessed, **given))
    assert found["recall"] == pytest.approx(sklearn_metrics.recall_score(labels, guessed, **given))
    assert found["brier"] == pytest.approx(sklearn_metrics.brier_score_loss(labels, scores[:, 1], **given))
    if digits is None:
        assert found["log_loss"] == pytest.approx(sklearn_metrics.log_loss(labels, scores, **given))
    roc = metrics.roc_curves(Scored(labels, scores, weights), 1, ("a", "b"), most=10**6)["b"]
    background, signal, _ = sklearn_metrics.roc_curve(labels, scores[:, 1], drop_intermediate=False, **given)
    np.testing.assert_allclose(roc["background_efficiency"], background, atol=1e-12)
    np.testing.assert_allclose(roc["signal_efficiency"], signal, atol=1e-12)


def test_areas_of_several_classes_are_those_of_scikit_learn():
    labels, scores, weights = toy(classes=3)
    found = metrics.evaluate(labels, scores, 1, NAMES, weights)
    given = {"sample_weight": weighting.by_class(labels, weights)}
    own = np.eye(3, dtype=int)[labels]
    for number, name in enumerate(NAMES):
        odds = scores[:, number]
        assert found[f"auc_{name}"] == pytest.approx(sklearn_metrics.roc_auc_score(own[:, number], odds, **given))
    assert found["auc_micro"] == pytest.approx(
        sklearn_metrics.roc_auc_score(own.ravel(), scores.ravel(), sample_weight=np.repeat(given["sample_weight"], 3))
    )


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("digits", [None, 1])
def test_equal_weights_change_nothing(classes, digits):
    labels, scores, _ = toy(classes=classes, digits=digits)
    names = NAMES[:classes]
    without = metrics.evaluate(labels, scores, 1, names)
    equal = metrics.evaluate(labels, scores, 1, names, np.full(len(labels), 0.37))
    assert equal.keys() == without.keys()
    for name, value in without.items():
        assert equal[name] == pytest.approx(value, rel=1e-6, abs=1e-9, nan_ok=True), name
    one, other = Scored(labels, scores), Scored(labels, scores, np.full(len(labels), 0.37))
    for name, metric in metrics_of(names).items():
        if metric.influences:
            np.testing.assert_allclose(metric.influences(other, 1), metric.influences(one, 1), atol=1e-9, err_msg=name)


def test_an_event_of_weight_two_is_two_events():
    labels, scores, _ = toy(400)
    twice = np.arange(400) % 3 == 0
    weights = np.where(twice, 2.0, 1.0)
    doubled = np.concatenate([np.arange(400), np.flatnonzero(twice)])
    scaled = weighting.by_class(labels, weights)
    once = metrics.evaluate(labels, scores, 1, weights=weights)
    again = metrics.evaluate(labels[doubled], scores[doubled], 1, weights=np.ones(len(doubled)))
    for name in ("auc", "recall"):  # of one class at a time, whatever the shares of the classes
        assert once[name] == pytest.approx(again[name])
        assert once[f"{name}_error"] > again[f"{name}_error"]  # two equal events tell no more than one
    assert scaled.sum() == pytest.approx(400)


CHECKED = ("auc", "accuracy", "precision", "recall", "log_loss", "brier", "rejection_50", "rejection_90", "ece")
CHECKED += ("efficiency_at_purity_90", "true_positives")


@pytest.mark.parametrize(
    ("classes", "names"), [(2, CHECKED), (3, ("auc", "accuracy", "auc_ovo", "auc_micro", "auc_a", "rejection_50_c"))]
)
def test_errors_are_the_spread_of_repeated_samples(classes, names):
    known = metrics_of(NAMES[:classes])
    records = {name: known[name] for name in names}
    samples = [Scored(*toy(3000, classes, seed)) for seed in range(1, 201)]
    found = [metrics.measure(scored, 1, records) for scored in samples]
    for one, scored in zip(found, samples, strict=True):
        if "ece" in one:
            _, chance, bias = metrics._calibration(scored, 1)
            assert one["ece_error"] == pytest.approx(math.hypot(chance, bias))
            one["ece_error"] = chance
    for name in names:
        values, errors = (np.array([one[key] for one in found]) for key in (name, f"{name}_error"))
        loose = 0.3 if name.startswith(("efficiency_at", "ece")) else 0.16  # 200 samples give the spread to 5 %
        assert np.isfinite(values).all()
        spread = np.std(np.log(values) if name.startswith("rejection") else values)
        errors = errors / values if name.startswith("rejection") else errors
        assert np.median(errors) == pytest.approx(spread, rel=loose), name


def test_paired_differences_have_the_spread_of_repeated_samples():
    """Two models on the same weighted events: what they share drops out, by parts and by the bootstrap."""
    differences, errors, drawn = [], [], []
    for seed in range(1, 201):
        labels, scores, weights = toy(3000, seed=seed)
        rng = np.random.default_rng(10_000 + seed)
        odds = np.log(scores[:, 1] / scores[:, 0]) + rng.normal(0, 0.7, len(labels))
        other = 1 / (1 + np.exp(-odds))
        pair = [Scored(labels, one, weights) for one in (scores, np.stack([1 - other, other], axis=1))]
        values = [METRICS["auc"].of(one, 1)[0] for one in pair]
        apart = METRICS["auc"].influences(pair[0], 1) - METRICS["auc"].influences(pair[1], 1)
        differences.append(values[0] - values[1])
        errors.append(math.sqrt(apart @ apart))
        if seed <= 20:
            resampled = np.log(METRICS["rejection_50"].bootstrap(pair, 1, 300))
            by_parts = [
                METRICS["rejection_50"].influences(one, 1) / METRICS["rejection_50"].of(one, 1)[0] for one in pair
            ]
            step = by_parts[0] - by_parts[1]
            drawn.append((np.std(resampled[0] - resampled[1]), math.sqrt(step @ step)))
    assert np.mean(errors) == pytest.approx(np.std(differences), rel=0.15)
    by_bootstrap, by_parts = np.mean(drawn, axis=0)
    assert by_bootstrap == pytest.approx(by_parts, rel=0.15)


def test_weights_of_a_calibrated_score_stay_calibrated():
    rng = np.random.default_rng(1)
    probability = rng.random(40_000)
    labels = (rng.random(40_000) < probability).astype(int)
    scores = np.stack([1 - probability, probability], axis=1)
    bins = metrics.reliability(Scored(labels, scores, rng.exponential(1, 40_000)), 1)
    pulls = (bins["share"] - bins["score"]) / bins["error"]
    assert np.abs(pulls).max() < 4 and bins["events"].sum() == pytest.approx(40_000)
    assert METRICS["ece"].of(Scored(labels, scores, rng.exponential(1, 40_000)), 1)[0] < 0.01


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda w: np.where(np.arange(len(w)) == 7, -1.0, w), "event 7 has -1.0: negative weights"),
        (lambda w: np.where(np.arange(len(w)) == 7, np.nan, w), "event 7 has nan: expected a finite number"),
        (lambda w: np.where(np.arange(len(w)) % 2 == 0, 0.0, w), "weights of class 0 sum to zero"),
        (lambda w: w[1:], "expected as many weights as labels, 100"),
    ],
)
def test_weights_that_cannot_weigh_are_refused(change, words):
    labels = np.arange(100) % 2
    with pytest.raises(ValueError, match=words):
        metrics.evaluate(labels, np.full((100, 2), 0.5), 1, weights=change(np.ones(100)))


def test_equal_spectra():
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 2, 20_000)
    pt = rng.exponential(50 + 20 * labels)
    weights = weighting.equal_spectra(labels, pt, 200)
    scores = np.clip(pt / pt.max(), 1e-6, 1 - 1e-6)
    given = np.stack([1 - scores, scores], axis=1)
    assert metrics.auc(labels, given, 1)[0] > 0.57
    assert metrics.auc(labels, given, 1, weights)[0] == pytest.approx(0.5, abs=2e-3)


def test_slices_without_weight_of_a_class_are_not_measurable():
    labels, scores, weights = toy()
    part = np.arange(len(labels)) % 2
    found = metrics.by_slice("part", part, labels, scores, 1, np.where((part == 1) & (labels == 0), 0, weights))
    assert math.isnan(found["auc_part_1"]) and math.isfinite(found["auc_part_0"])
