"""The numbers against scikit-learn, the bootstrap and counts by hand."""

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from hepbench.benchmarks import metrics
from hepbench.benchmarks.scored import Scored, log_scores_of


def toy(events=2000, classes=2, seed=0, digits=None):
    """Labels and scores that carry some knowledge of them; rounded to so many digits for ties."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, events)
    logits = rng.normal(size=(events, classes)) + np.eye(classes)[labels]
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    if digits is not None:
        scores = rng.multinomial(10**digits, scores) / 10**digits
    return labels, scores


def columns(signal_scores):
    signal_scores = np.asarray(signal_scores, dtype=float)
    if signal_scores.min() < 0 or signal_scores.max() > 1:  # of any size: their order is what counts
        signal_scores = 1 / (1 + np.exp(-signal_scores))
    return np.stack([1 - signal_scores, signal_scores], axis=1)


@pytest.mark.parametrize("digits", [None, 1])
def test_auc_is_that_of_scikit_learn(digits):
    labels, scores = toy(digits=digits)
    assert metrics.auc(labels, scores, 1)[0] == pytest.approx(sklearn_metrics.roc_auc_score(labels, scores[:, 1]))


def test_auc_of_the_other_class_as_signal_is_the_same():
    labels, scores = toy()
    assert metrics.auc(labels, scores, 0) == pytest.approx(metrics.auc(labels, scores, 1))


def test_auc_of_several_classes_is_the_mean_of_one_against_the_rest():
    labels, scores = toy(classes=4)
    expected = sklearn_metrics.roc_auc_score(labels, scores, multi_class="ovr", average="macro")
    assert metrics.auc(labels, scores, 1)[0] == pytest.approx(expected)


@pytest.mark.parametrize(("classes", "digits"), [(2, None), (2, 1), (3, None)])
def test_error_of_the_auc_is_the_spread_of_repeated_samples(classes, digits):
    areas = [metrics.auc(*toy(300, classes, seed, digits), 1)[0] for seed in range(1, 401)]
    errors = [metrics.auc(*toy(300, classes, seed, digits), 1)[1] for seed in range(1, 401)]
    assert np.mean(errors) == pytest.approx(np.std(areas), rel=0.12)  # 400 samples give the spread to 3.5 %


def test_error_of_the_auc_against_the_bootstrap():
    labels, scores = toy(500, seed=3)
    rng = np.random.default_rng(0)
    draws = rng.integers(0, len(labels), (500, len(labels)))
    areas = [metrics.auc(labels[draw], scores[draw], 1)[0] for draw in draws]
    assert metrics.auc(labels, scores, 1)[1] == pytest.approx(np.std(areas), rel=0.12)


def test_equal_scores_give_one_half():
    labels = np.array([0, 1] * 50)
    assert metrics.auc(labels, columns(np.full(100, 0.3)), 1) == (0.5, pytest.approx(0, abs=1e-12))


def test_auc_needs_two_events_of_each_class():
    value, error = metrics.auc(np.array([0, 0, 1]), columns([0.1, 0.2, 0.3]), 1)
    assert np.isnan(value) and np.isnan(error)


def test_rejection_by_hand():
    # 100 signal events at 0.995, 0.985, ...; 100 background events, of which 20 lie at 0.6, above the 41st signal event
    labels = np.repeat([1, 0, 0], [100, 20, 80])
    scores = columns(np.concatenate([np.arange(99.5, 0, -1) / 100, np.full(20, 0.6), np.full(80, 0.001)]))
    value, error = metrics.rejection(Scored(labels, scores), 1, efficiency=0.5)
    assert value == pytest.approx(100 / 20)
    # Two and a half standard deviations to either side of 50 signal events, at 37.5 and 62.5, none and 20 of it pass
    assert error == pytest.approx(25 * np.sqrt(0.2 * 0.8 / 100 + (0.2 / 0.25) ** 2 * 0.5 * 0.5 / 100))


def test_rejection_where_no_background_passes_has_a_limit():
    for passing, measurable in ((0, False), (1, True)):
        labels = np.repeat([1, 0, 0], [100, passing, 1000 - passing])
        scores = columns(np.repeat([0.9, 0.95, 0.1], [100, passing, 1000 - passing]))
        value, error = metrics.rejection(Scored(labels, scores), 1, efficiency=0.5)
        assert np.isfinite(value) == np.isfinite(error) == measurable
        limit = metrics.rejection_limit(Scored(labels, scores), 1, efficiency=0.5)
        assert np.isnan(limit) if measurable else limit == pytest.approx(1 / (1 - 0.05 ** (1 / 1000)))
        values = metrics.evaluate(labels, scores, 1)
        assert ("rejection_50_limit" in values) != measurable


def test_rejection_is_not_measurable_where_too_few_signal_events_decide():
    labels = np.repeat([1, 0], [40, 1000])
    scored = Scored(labels, columns(np.linspace(1, 0, 1040)))
    assert np.isnan(metrics.rejection(scored, 1, 0.9)).all() and np.isnan(metrics.rejection_limit(scored, 1, 0.9))


def test_a_rejection_near_no_signal_where_background_scores_highest():
    """The window of its slope begins at no event, and there at a step of the background alone."""
    labels = np.array([0] * 20 + [1] * 100 + [0] * 80)
    scored = Scored(labels, columns(np.linspace(1, 0, 202)[1:-1]))
    value, error = metrics.rejection(scored, 1, 0.05)
    assert value == pytest.approx(5) and np.isfinite(error)


def test_rejection_takes_equal_scores_in_proportion():
    labels = np.repeat([1, 0], [100, 1000])
    for efficiency in (0.3, 0.5, 0.7):
        value, _ = metrics.rejection(Scored(labels, columns(np.full(1100, 0.5))), 1, efficiency)
        assert value == pytest.approx(1 / efficiency)


def test_rejection_without_a_class_is_nan():
    for label in (0, 1):
        assert np.isnan(metrics.rejection(Scored(np.full(50, label), columns(np.linspace(0, 1, 50))), 1, 0.5)[0])


def test_shares_are_those_of_scikit_learn():
    labels, scores = toy()
    guessed = scores.argmax(axis=1)
    assert metrics.accuracy(labels, scores, 1)[0] == pytest.approx(sklearn_metrics.accuracy_score(labels, guessed))
    assert metrics.precision(labels, scores, 1)[0] == pytest.approx(sklearn_metrics.precision_score(labels, guessed))
    assert metrics.recall(labels, scores, 1)[0] == pytest.approx(sklearn_metrics.recall_score(labels, guessed))
    assert metrics.log_loss(labels, scores, 1)[0] == pytest.approx(sklearn_metrics.log_loss(labels, scores))


def test_error_of_a_share():
    assert metrics._share(700, 1000) == (0.7, pytest.approx(np.sqrt(0.7 * 0.3 / 1000), rel=0.01))
    assert metrics._share(1000, 1000)[1] > 0


def test_one_certain_mistake_does_not_make_the_log_loss_infinite():
    value, error = metrics.log_loss(np.array([0, 1]), columns([1.0, 1.0]), 1)
    assert np.isfinite(value) and np.isfinite(error)


@pytest.mark.parametrize("digits", [None, 1])
def test_roc_curve_is_that_of_scikit_learn(digits):
    labels, scores = toy(500, digits=digits)
    roc = metrics.roc_curve(labels, scores, 1)
    background, signal, threshold = sklearn_metrics.roc_curve(labels, scores[:, 1], drop_intermediate=False)
    np.testing.assert_allclose(roc["background_efficiency"], background)
    np.testing.assert_allclose(roc["signal_efficiency"], signal)
    np.testing.assert_allclose(roc["threshold"], threshold)


def test_thinned_roc_curve_keeps_its_area_and_its_corner():
    labels, scores = toy(50_000)
    roc = metrics.roc_curve(labels, scores, 1, most=400)
    assert len({len(column) for column in roc.values()}) == 1
    assert len(roc["threshold"]) <= 402
    area = np.trapezoid(roc["signal_efficiency"], roc["background_efficiency"])
    assert area == pytest.approx(metrics.auc(labels, scores, 1)[0], abs=2e-4)
    assert np.count_nonzero(roc["background_efficiency"] < 1e-2) > 40


def test_roc_curve_without_signal_is_nan():
    roc = metrics.roc_curve(np.zeros(5, int), columns(np.linspace(0, 1, 5)), 1)
    assert np.isnan(roc["signal_efficiency"]).all()
    assert roc["background_efficiency"][-1] == 1


def test_evaluate_gives_every_metric_with_its_error():
    values = metrics.evaluate(*toy(), 1)
    names = [name for name, metric in metrics.METRICS.items() if "classes" not in metric.needs]
    bounds = {f"efficiency_at_purity_{percent}{suffix}" for percent in (90, 95, 99) for suffix in ("_low", "_high")}
    assert set(values) == bounds | {f"{name}{suffix}" for name in names for suffix in ("", "_error")}
    unmeasurable = {name for name, value in values.items() if not np.isfinite(value)}
    assert unmeasurable <= {f"efficiency_at_purity_99{suffix}" for suffix in ("", "_error")}
    assert 0 < values["ece"] < 0.2 and values["brier"] < 0.25


def test_a_metric_is_one_record_under_its_own_name():
    for name, metric in metrics.METRICS.items():
        assert metric.name == name and metric.title and metric.heading
        assert set(metric.needs) <= {"binary", "classes", "weights"}
    assert metrics.METRICS["auc"].heading == "AUC" and metrics.METRICS["rejection_50"].heading == "1/ε_B at 50 %"
    fewer_is_better = {name for name, metric in metrics.METRICS.items() if not metric.higher_is_better}
    assert fewer_is_better == {"log_loss", "brier", "ece", "false_positives", "false_negatives"}


def test_evaluate_refuses_what_cannot_be_scores():
    labels, scores = toy(20)
    with pytest.raises(ValueError, match="for 20 labels"):
        metrics.evaluate(labels, scores[:10], 1)
    scores[3] = np.nan
    with pytest.raises(ValueError, match="1 rows are not"):
        metrics.evaluate(labels, scores, 1)


def test_metrics_hold_for_events_of_one_class():
    values = metrics.evaluate(np.zeros(30, int), columns(np.linspace(0, 0.4, 30)), 1)
    assert values["accuracy"] == 1
    assert np.isnan(values["auc"]) and np.isnan(values["recall"]) and np.isnan(values["rejection_50"])


# --- several classes -------------------------------------------------------------------------------------------------

CLASSES = ("background", "mono pole", "pion", "proton")


def one_hot(labels):
    return np.eye(len(CLASSES))[labels]


@pytest.mark.parametrize("digits", [None, 1])
def test_areas_of_classes_micro_and_macro_are_those_of_scikit_learn(digits):
    labels, scores = toy(classes=4, digits=digits)
    values = metrics.evaluate(labels, scores, 1, CLASSES)
    for number, key in enumerate(["background", "mono_pole", "pion", "proton"]):
        expected = sklearn_metrics.roc_auc_score(labels == number, scores[:, number])
        assert values[f"auc_{key}"] == pytest.approx(expected)
    for average in ("micro", "macro"):
        expected = sklearn_metrics.roc_auc_score(one_hot(labels), scores, average=average)
        assert values[f"auc_{average}"] == pytest.approx(expected)
    assert values["auc_macro"] == values["auc"]


@pytest.mark.parametrize("name", ["auc_micro", "auc_pion"])
def test_errors_of_the_areas_are_the_spread_of_repeated_samples(name):
    samples = [toy(300, 4, seed) for seed in range(1, 301)]
    found = [metrics.evaluate(labels, scores, 1, CLASSES) for labels, scores in samples]
    areas, errors = ([values[key] for values in found] for key in (name, f"{name}_error"))
    assert np.mean(errors) == pytest.approx(np.std(areas), rel=0.15)  # 300 samples give the spread to 4 %


def test_each_class_has_the_metrics_that_it_has_as_the_signal():
    labels, scores = toy(classes=4)
    values = metrics.evaluate(labels, scores, 1, CLASSES)
    for number, key in enumerate(metrics.class_keys(CLASSES)):
        as_signal = metrics.evaluate(labels, scores, number)
        for name in ("precision", "recall", "rejection_50", "rejection_90", "efficiency_at_purity_90"):
            for suffix in ("", "_error"):
                np.testing.assert_equal(values[f"{name}_{key}{suffix}"], as_signal[f"{name}{suffix}"])
    of_scikit_learn = sklearn_metrics.precision_score(labels, scores.argmax(axis=1), average=None)
    np.testing.assert_allclose([values[f"precision_{key}"] for key in metrics.class_keys(CLASSES)], of_scikit_learn)


def test_the_records_of_a_task_are_those_that_are_evaluated():
    for classes in (CLASSES, ("h", "g")):
        labels, scores = toy(classes=len(classes))
        values = metrics.evaluate(labels, scores, 1, classes)
        records = metrics.metrics_of(classes)
        own = {f"{name}{suffix}" for name, one in records.items() if one.interval for suffix in ("_low", "_high")}
        assert set(values) == own | {f"{name}{suffix}" for name in records for suffix in ("", "_error")}
        assert all(name == record.name for name, record in records.items())
    assert "auc_micro" not in records


def test_names_of_classes_become_keys_that_differ():
    assert metrics.class_keys(("anti-deuteron", "pi$^0$", "π")) == ["anti-deuteron", "pi_0_", "π"]
    assert metrics.class_keys(("e+", "e*")) == ["e__0", "e__1"]
    with pytest.raises(ValueError, match="a column for each of a, b"):
        metrics.evaluate(*toy(classes=3), 1, ("a", "b"))


def test_confusion_and_counts_are_those_of_scikit_learn():
    labels, scores = toy(classes=4)
    expected = sklearn_metrics.confusion_matrix(labels, scores.argmax(axis=1))
    np.testing.assert_array_equal(Scored(labels, scores).confusion, expected)
    values = metrics.evaluate(labels, scores, 1)
    one_vs_rest = sklearn_metrics.multilabel_confusion_matrix(labels, scores.argmax(axis=1))[1]
    names = ("true_negatives", "false_positives", "false_negatives", "true_positives")
    assert [values[name] for name in names] == one_vs_rest.ravel().tolist()
    misses, share = values["false_negatives"], values["false_negatives"] / np.count_nonzero(labels == 1)
    assert values["false_negatives_error"] == pytest.approx(np.sqrt(misses * (1 - share)), rel=0.02)


def test_curves_of_several_classes():
    labels, scores = toy(20_000, classes=4)
    curves = metrics.roc_curves(Scored(labels, scores), 1, CLASSES, most=400)
    assert list(curves) == [*CLASSES, "micro", "macro"]
    values = metrics.evaluate(labels, scores, 1, CLASSES)
    for name, key in zip(curves, [*metrics.class_keys(CLASSES), "micro", "macro"], strict=True):
        curve = curves[name]
        assert (curve["signal_efficiency"][0], curve["background_efficiency"][0]) == (0, 0)
        assert (curve["signal_efficiency"][-1], curve["background_efficiency"][-1]) == (1, 1)
        area = np.trapezoid(curve["signal_efficiency"], curve["background_efficiency"])
        assert area == pytest.approx(values[f"auc_{key}"], abs=2e-3)
    assert list(metrics.roc_curves(Scored(*toy()), 1, ("h", "g"))) == ["g"]


@pytest.mark.parametrize("digits", [None, 1])
def test_the_area_of_the_macro_curve_is_the_mean_of_the_areas(digits):
    labels, scores = toy(150, classes=4, digits=digits)
    curve = metrics.roc_curves(Scored(labels, scores), 1, CLASSES)["macro"]
    area = np.trapezoid(curve["signal_efficiency"], curve["background_efficiency"])
    assert area == pytest.approx(metrics.evaluate(labels, scores, 1, CLASSES)["auc_macro"], abs=1e-12)
    assert np.all(np.diff(curve["background_efficiency"]) >= 0)
    assert np.all(np.diff(curve["signal_efficiency"]) > -1e-12)


def test_several_classes_where_one_is_absent():
    labels, scores = toy(classes=4)
    labels[labels == 3] = 0
    values = metrics.evaluate(labels, scores, 1, CLASSES)
    assert np.isnan([values["auc"], values["auc_micro"], values["auc_proton"], values["recall_proton"]]).all()
    curves = metrics.roc_curves(Scored(labels, scores), 1, CLASSES)
    assert (
        np.isnan(curves["proton"]["signal_efficiency"]).all()
        and np.isnan(curves["macro"]["signal_efficiency"][1:]).all()
    )
    assert np.isfinite(curves["pion"]["signal_efficiency"]).all()


# --- efficiency at a purity ------------------------------------------------------------------------------------------


def test_efficiency_at_a_purity_by_hand():
    # From high to low: 20 signal, 2 background (20/22 = 91 %), 10 signal, 40 background, 70 signal
    labels = np.repeat([1, 0, 1, 0, 1], [20, 2, 10, 40, 70])
    scored = Scored(labels, columns(np.linspace(1, 0, len(labels))))
    assert metrics.efficiency_at_purity(scored, 1, 0.9)[0] == pytest.approx(0.30)  # 30 of 32, and of the first 33
    assert metrics.efficiency_at_purity(scored, 1, 0.95)[0] == pytest.approx(0.20)
    # With a third of the background, 30/(30 + 4/3), and so of the first 38: the four of the forty
    value, _ = metrics.efficiency_at_purity(scored, 1, 0.9, proportions=(42 / 3, 100))
    assert value == pytest.approx(0.30)
    assert metrics.efficiency_at_purity(scored, 1, 0.6)[0] == 1.0


def test_a_purity_that_cannot_be_reached_is_not_measurable():
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 2, 5000), columns(rng.random(5000))
    assert np.isnan(metrics.efficiency_at_purity(Scored(labels, scores), 1, 0.99)).all()
    few = Scored(np.repeat([1, 0], [9, 100]), columns(np.linspace(1, 0, 109)))
    assert np.isnan(metrics.efficiency_at_purity(few, 1, 0.9)).all()
    equal = Scored(np.repeat([1, 0], [50, 50]), columns(np.full(100, 0.5)))
    assert np.isnan(metrics.efficiency_at_purity(equal, 1, 0.9)).all()
    for label in (0, 1):
        alone = Scored(np.full(50, label), columns(np.linspace(0, 1, 50)))
        assert np.isnan(metrics.efficiency_at_purity(alone, 1, 0.9)).all()


@pytest.mark.parametrize(
    ("distance", "share", "purity", "proportions"),
    [(2, 0.5, 0.9, None), (2, 0.5, 0.99, None), (1, 0.5, 0.9, None), (3, 0.2, 0.95, None), (3, 0.5, 0.9, (0.9, 0.1))],
)
def test_error_of_an_efficiency_at_a_purity_covers(distance, share, purity, proportions):
    """Normal distributions of one width: 68 of 100 toys lie within the error, give or take 3 for 400 of them."""
    from scipy.optimize import brentq
    from scipy.stats import norm

    signals = proportions[1] if proportions else share

    def excess(threshold):
        passing = signals * norm.sf(threshold - distance)
        return passing / (passing + (1 - signals) * norm.sf(threshold)) - purity

    true = norm.sf(brentq(excess, -8, 12) - distance)
    rng = np.random.default_rng(1)
    labels = np.repeat([1, 0], [round(4000 * share), round(4000 * (1 - share))])
    inside = []
    for _ in range(400):
        scored = Scored(labels, columns(rng.normal(distance * labels)))
        value, error = metrics.efficiency_at_purity(scored, 1, purity, proportions)
        inside.append(abs(value - true) < error)
    assert 0.60 <= np.mean(inside) <= 0.75


def test_error_of_an_efficiency_at_a_purity_where_the_curve_is_steep():
    """Where nearly all of the signal passes and ten background events decide."""
    rng = np.random.default_rng(2)
    labels = np.repeat([1, 0], 1000)
    found = [metrics.efficiency_at_purity(Scored(labels, columns(rng.normal(4 * labels))), 1, 0.99) for _ in range(200)]
    values, errors = np.transpose(found)
    assert np.median(errors) == pytest.approx(np.std(values), rel=0.35)


# --- what is refused, and what ranks where probabilities round to one -------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "scores", "words"),
    [
        ([0, 1, 2, 1], np.full((4, 2), 0.5), "labels must be from 0 to 1"),
        ([0, 1, -1, 1], np.full((4, 2), 0.5), "labels must be from 0 to 1"),
        ([0.0, 1.0, 1.0, 0.0], np.full((4, 2), 0.5), "labels must be integers"),
        ([0, 1, 0, 1], np.full((4, 2), 0.4), "4 rows do not, the first at 0: 0.8"),
        ([0, 1, 0, 1], np.tile([1.5, -0.5], (4, 1)), "must be probabilities"),
        ([0, 1, 0, 1], np.tile([0.5, 0.3, 0.2], (4, 1)), "3 columns, but the labels have 2 classes"),
        ([0, 0, 0, 1], np.full((4, 2), 0.5), "there is only one of 1"),
        ([0, 1, 0, 1], np.full(4, 0.5), "for 4 labels"),
    ],
)
def test_evaluate_refuses_what_cannot_be_measured(labels, scores, words):
    with pytest.raises(ValueError, match=words):
        metrics.evaluate(np.array(labels), scores, 1)


def test_three_columns_for_two_classes_are_refused():
    with pytest.raises(ValueError, match="a column for each of a, b"):
        metrics.evaluate(np.array([0, 1, 0, 1]), np.tile([0.5, 0.3, 0.2], (4, 1)), 1, ("a", "b"))


@pytest.mark.parametrize("classes", [2, 3])
def test_logarithms_rank_where_probabilities_round_to_one(classes):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, 4000)
    logits = (40 * np.eye(classes)[labels] + rng.normal(size=(4000, classes)) * 15).astype(np.float32)
    logs = log_scores_of(logits if classes > 2 else logits[:, 1:] - logits[:, :1])
    assert np.mean(np.exp(logs).max(axis=1) == 1) > 0.5
    odds = Scored(labels, logs).log_odds(1)
    assert len(np.unique(odds)) > 3990
    rest = np.delete(logits.astype(float), 1, axis=1)
    np.testing.assert_allclose(odds, logits[:, 1] - np.logaddexp.reduce(rest, axis=1), rtol=1e-5, atol=1e-4)
    values = metrics.evaluate(labels, logs, 1)
    assert values["auc"] == pytest.approx(metrics.evaluate(labels, np.exp(logs.astype(float)), 1)["auc"], abs=1e-6)
    assert values["log_loss"] > 0 and np.isfinite(values["brier"])


def test_one_against_one_does_not_depend_on_the_proportions():
    labels, scores = toy(60_000, classes=3)
    thinned = np.flatnonzero((labels != 2) | (np.arange(len(labels)) % 10 == 0))
    whole, part = (metrics.evaluate(labels[some], scores[some], 1) for some in (slice(None), thinned))
    expected = sklearn_metrics.roc_auc_score(labels, scores, multi_class="ovo")
    assert whole["auc_ovo"] == pytest.approx(expected, abs=2e-3)  # which ranks by probability in place of the odds
    assert abs(part["auc_ovo"] - whole["auc_ovo"]) < 3 * part["auc_ovo_error"]


def test_error_of_one_against_one_is_the_spread_of_repeated_samples():
    found = [metrics.evaluate(*toy(300, 3, seed), 1) for seed in range(1, 301)]
    areas, errors = ([values[key] for values in found] for key in ("auc_ovo", "auc_ovo_error"))
    assert np.mean(errors) == pytest.approx(np.std(areas), rel=0.15)


def test_parts_of_events_give_the_error():
    for classes in (2, 3):
        scored = Scored(*toy(3000, classes, digits=2))
        for name, metric in metrics.metrics_for(classes).items():
            if metric.influences:
                parts, (_, error) = metric.influences(scored, 1), metric.of(scored, 1)
                assert abs(parts.sum()) < 1e-6 * len(parts), name
                assert np.sqrt(np.dot(parts, parts)) == pytest.approx(error, rel=0.06), name


def test_calibration_of_what_is_calibrated_and_what_is_not():
    rng = np.random.default_rng(3)
    probability = rng.random(20_000)
    labels = (rng.random(20_000) < probability).astype(int)
    true, sharpened = (metrics.evaluate(labels, columns(p), 1) for p in (probability, probability > 0.5))
    assert true["ece"] < 0.008 and true["brier"] == pytest.approx(1 / 6, abs=0.005)
    assert sharpened["ece"] == pytest.approx(0.25, abs=0.02)
    bins = metrics.reliability(Scored(labels, columns(probability)), 1)
    assert len(bins["score"]) == 15 and bins["events"].sum() == 20_000
    pulls = (bins["share"] - bins["score"]) / bins["error"]
    assert (pulls**2).sum() < 35


def test_chance_is_taken_off_the_calibration_error_and_what_may_remain_is_in_its_error():
    rng, events = np.random.default_rng(5), 1500
    for shift in (0.0, 0.02, 0.04, 0.2):
        predicted = rng.permuted(np.tile(np.linspace(0.3, 0.7, events), (400, 1)), axis=1)
        labels = (rng.random(predicted.shape) < predicted + shift).astype(int)
        pairs = zip(labels, predicted, strict=True)
        values, errors = np.array([metrics.METRICS["ece"].compute(one, columns(told), 1) for one, told in pairs]).T
        bins = np.sqrt(0.23 / 100)  # standard deviation of the distance in one
        assert abs(values.mean() - shift) < 0.3 * bins, shift
        assert np.mean(np.abs(values - shift) <= errors) > 0.55
        assert np.mean(np.abs(values - shift) <= 1.96 * errors) > 0.92
        parts = metrics.METRICS["ece"].influences(Scored(labels[0], columns(predicted[0])), 1)
        assert np.sqrt(parts @ parts) == pytest.approx(errors[0], rel=0.02 if shift < 0.1 else 0.12)


def test_slices_at_a_common_cut():
    labels, scores = toy(20_000)
    slices = np.repeat([300, 500], 10_000)
    values = metrics.by_slice("pt", slices, labels, scores, 1)
    assert {name.removesuffix("_error") for name in values} == {
        f"{metric}_pt_{value}" for metric in metrics.BY_SLICE for value in (300, 500)
    }
    assert values["efficiency_pt_300"] == pytest.approx(0.5, abs=4 * values["efficiency_pt_300_error"])
    assert values["auc_pt_500"] == metrics.auc(labels[10_000:], scores[10_000:], 1)[0]
