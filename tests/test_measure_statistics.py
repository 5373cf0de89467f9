"""The study of toys, reduced: coverage of intervals, equal models that seldom differ, power of the paired test."""

import numpy as np
import pytest
from conftest import hepbench

from hepbench.benchmarks.metrics import METRICS
from hepbench.suite.differences import trainings_of
from hepbench.suite.profiling import coverage
from hepbench.suite.profiling.metrics import costs
from hepbench.tracking.statistics import paired

WITHIN = 3.5
"""Standard deviations of a share of the toys, and TOLERANCE points besides, as the study in full has them."""

TOLERANCE = 0.015

LOW = ("efficiency_at_purity_95", "efficiency_at_purity_99", "rejection_99")
"""Of some ten events at a distance of 1: too few for any interval to be exact."""


OVERCONFIDENT = tuple(f", log-odds × {factor:g}" for factor in coverage.OVERCONFIDENT)

CALIBRATION = METRICS["ece"].heading
"""Its intervals include a bias, and are longer than exact ones."""


def ignore(done):
    pass


@pytest.mark.parametrize("events", [1_000, 5_000])
def test_intervals_cover(events):
    toys = 400 if events == 1_000 else 200
    for one in coverage.coverage(events, 1.0, toys, ignore):
        if one.quantity in {METRICS[name].heading for name in LOW} or one.quantity.startswith(CALIBRATION):
            continue
        for level, share in zip(coverage.LEVELS, one.covered, strict=True):
            error = np.sqrt(level * (1 - level) / toys)
            assert abs(share - level) < TOLERANCE + WITHIN * error, one


@pytest.mark.parametrize("events", [1_000, 10_000])
@pytest.mark.parametrize("distance", coverage.DISTANCES)
def test_intervals_of_the_calibration_error_contain_it(events, distance, monkeypatch):
    monkeypatch.setattr(coverage, "MEASURED", ("ece",))
    found = coverage.coverage(events, distance, 300, ignore)
    assert [one.quantity for one in found] == [CALIBRATION + more for more in ("", *OVERCONFIDENT)]
    assert found[0].truth == 0 < found[1].truth < found[2].truth
    for one in found:
        for level, share in zip(coverage.LEVELS, one.covered, strict=True):
            assert share > level - TOLERANCE - WITHIN * np.sqrt(level * (1 - level) / 300), one


def test_equally_calibrated_models_are_not_told_apart_by_it():
    rng, false = np.random.default_rng(4), 0
    for _ in range(100):
        labels, variable = coverage._events(rng, 3000, 2.0)
        pair = [[coverage._model(labels, variable, 2.0, 0.5, rng, 1.3)] for _ in range(2)]
        false += paired(*trainings_of(METRICS["ece"], pair, 1)).p < 0.05
    assert false <= 10


def test_the_calibration_error_is_that_of_many_events():
    rng = np.random.default_rng(0)
    labels, variable = coverage._events(rng, 400_000, 2.0)
    value, error = METRICS["ece"].of(coverage._model(labels, variable, 2.0, 0.5, rng, 1.3), 1)
    assert value == pytest.approx(coverage.truth("ece", 2.0, 0.5, 1.3), abs=3 * error) and error < 0.001


def test_differences_cover_and_equal_models_are_not_told_apart():
    covered, tested = coverage.differences(1_000, 2.0, 300, ignore)
    for one in covered:
        assert one.covered[1] > 0.95 - TOLERANCE - WITHIN * np.sqrt(0.05 * 0.95 / 300), one
    for test in tested:
        assert test.false < 0.05 + WITHIN * np.sqrt(0.05 * 0.95 / 300), test
    assert tested[0].power > 1.5 * tested[0].independent


def test_truths_are_those_of_many_events():
    rng = np.random.default_rng(0)
    labels, variable = coverage._events(rng, 400_000, 2.0)
    scored = coverage._model(labels, variable, 2.0, 0.5, rng)
    for name in coverage.MEASURED:
        value, error = METRICS[name].of(scored, 1)
        assert value == pytest.approx(coverage.truth(name, 2.0, 0.5), abs=4 * error), name


def test_the_study_is_printed(tmp_path):
    done = hepbench("measure", "statistics", "--toys", 4, "--events", 200, "--format", "markdown", home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "| 200 | 1 | AUC | 0.7602 |" in done.stdout and "| type I error rate | power |" in done.stdout


def test_what_metrics_take_is_printed(tmp_path):
    done = hepbench("measure", "metrics", "--events", 2000, "--format", "markdown", home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "| AUC, its error, placements |" in done.stdout and "bootstraps of three rejections |" in done.stdout


@pytest.mark.long
def test_the_auc_takes_little_more_than_its_sort():
    """Vectorised sorts differ between processors by a factor of six, and the rest does not: half a second of one core,
    or three sorts."""
    _, area, drawn = costs(1_000_000)
    assert area.seconds < 0.5 or area.sorts < 3
    assert drawn.seconds < 20
