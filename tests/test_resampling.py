"""The paired bootstrap against what it must give, and how fast it is."""

import numpy as np
import pytest

from hepbench.benchmarks import resampling
from hepbench.benchmarks.metrics import METRICS, metrics_of
from hepbench.benchmarks.scored import Scored, log_scores_of
from hepbench.suite import differences
from hepbench.tracking import statistics

DRAWN = sorted(name for name, metric in METRICS.items() if metric.bootstrap)


def models(rng, events, number=2, digits=None):
    labels = rng.integers(0, 2, events)
    hard = rng.normal(size=events) + 1.6 * labels
    seen = [hard + 0.5 * rng.normal(size=events) for _ in range(number)]
    seen = [one if digits is None else one.round(digits) for one in seen]
    return [Scored(labels, log_scores_of(one[:, None].astype(np.float32))) for one in seen]


def naive(metric, trained, resamplings, rng):
    """PlotData event by event, with replacement, and measured again."""
    number = len(trained[0].labels)
    found = np.empty((len(trained), resamplings))
    for sample in range(resamplings):
        which = rng.integers(0, number, number)
        found[:, sample] = [metric.of(Scored(one.labels[which], one.log_scores[which]), 1)[0] for one in trained]
    return found


def test_every_metric_is_compared_by_parts_or_by_the_bootstrap():
    for metric in metrics_of(("a", "b", "c")).values():
        assert metric.influences or metric.bootstrap, metric.name


@pytest.mark.parametrize("digits", [None, 1])
@pytest.mark.parametrize("name", ["rejection_50", "rejection_90", "efficiency_at_purity_90"])
def test_it_spreads_as_events_drawn_one_by_one_do(name, digits):
    trained = models(np.random.default_rng(3), 3000, digits=digits)
    expected = naive(METRICS[name], trained, 300, np.random.default_rng(4))
    found = METRICS[name].bootstrap(trained, 1, 3000)
    assert found.mean(axis=1) == pytest.approx(expected.mean(axis=1), rel=0.03)
    for own, theirs in ((found, expected), (np.diff(found, axis=0), np.diff(expected, axis=0))):
        assert own.std(axis=1) == pytest.approx(theirs.std(axis=1), rel=0.2)


def test_rejections_have_the_errors_of_their_parts():
    sides = [[one] for one in models(np.random.default_rng(5), 20_000)]
    for name in ("rejection_30", "rejection_50", "rejection_70"):
        exact = statistics.paired(*differences.trainings_of(METRICS[name], sides, 1))
        drawn = statistics.paired(*differences.bootstrapped(METRICS[name], sides, 1, 4000))
        assert drawn.value == pytest.approx(exact.value)
        assert drawn.error == pytest.approx(exact.error, rel=0.1)


@pytest.mark.parametrize("name", DRAWN)
def test_a_model_does_not_differ_from_itself(name):
    one, _ = models(np.random.default_rng(6), 2000)
    found = METRICS[name].bootstrap([one, one], 1, 50)
    assert np.array_equal(found[0], found[1], equal_nan=True)


def test_too_few_events_are_not_compared():
    sides = [[one] for one in models(np.random.default_rng(7), 8)]
    for name in DRAWN:
        assert np.isnan(statistics.paired(*differences.bootstrapped(METRICS[name], sides, 1, 50)).p), name
    empty = [Scored(np.zeros(0, int), np.zeros((0, 2), np.float32))] * 2
    assert np.isnan(METRICS["rejection_50"].bootstrap(empty, 1, 5)).all()


def test_numbers_of_draws_are_those_of_a_poisson_variable():
    drawn = resampling._poisson(np.random.default_rng(8), np.array([1] * 100 + [7]), 20_000)
    assert drawn[:100].mean() == pytest.approx(1, abs=0.005) and drawn[:100].var() == pytest.approx(1, abs=0.005)
    assert drawn[100].mean() == pytest.approx(7, abs=0.1) and drawn[100].var() == pytest.approx(7, abs=0.4)
