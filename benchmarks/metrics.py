"""Metrics with errors from stored labels and scores, with the same code for every model family.

`METRICS` has the record of each by name. All work on numpy arrays only: labels (n,) of class indices, scores
(n, classes) of probabilities with rows summing to 1 or of their natural logarithms, and the index of the signal class;
with more than two classes the background is everything else. Events are ranked by the log-odds of a class.

With event weights, with a mean of one in each class, every number of events is a sum of weights. The contribution of an
event to a value then follows from its weight, and the variance is the sum of squared contributions, as without weights.
Where the errors of a cut depend on numbers of events, they use the numbers of equivalent events, (sum w)^2 / sum w^2
(Bohm and Zech, Nucl. Instr. Meth. A 748 (2014) 1).
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from hepbench.benchmarks.base import Metric
from hepbench.benchmarks.resampling import REACH, bootstrap, cuts_between
from hepbench.benchmarks.scored import Ranking, Scored, blocks

FEWEST_AT_THRESHOLD = 5
"""With fewer signal events above or below the threshold a rejection is "not measurable"."""

FEWEST_PASSING = 10
"""An efficiency at a purity with fewer signal events is "not measurable" and NaN."""

WINDOW = 2.5
"""Standard deviations of the passing signal, to either side, over which the slope of a ROC curve is taken."""

LIMIT = 0.95
"""Confidence level of intervals, and of the limit given where a value is not measurable."""

TWO_SIDED = 1.959964
"""Standard deviations to either side that contain LIMIT of a normal distribution."""

EFFICIENCIES = (30, 50, 70, 90, 95, 99)
"""Signal efficiencies in percent at which the background rejection is given."""

PURITIES = (90, 95, 99)
"""Purities in percent at which the signal efficiency is given."""

MEASURED_AT = 10_000
"""Maximum number of thresholds searched for the error of an efficiency at a purity."""

BINS = 15
"""Bins of equal numbers of events, in which predicted probabilities are compared with fractions of positives."""

WORKING_POINT = 0.5
"""Signal efficiency on all events that defines the common cut at which slices are compared."""

Measured = tuple[float, float]
"""Value and one standard deviation, each NaN where not measurable."""


def evaluate(
    labels: np.ndarray,
    scores: np.ndarray,
    signal: int,
    classes: Sequence[str] = (),
    weights: np.ndarray | None = None,
) -> dict[str, float]:
    """Every metric as `name` and its standard deviation as `name_error`; NaN where not measurable. If in that case a
    limit is known, at a confidence level of LIMIT, it is `name_limit`. A metric with its own interval has it as
    `name_low` and `name_high`.

    labels: (n,) class indices. scores: (n, classes), probabilities or their logarithms. classes: their names; if given
    and more than two, each class also has one-vs-rest metrics, `name_<class>`. weights: (n,) of the events; None: each
    counts one. Raises ValueError for invalid scores or weights, if their number is not that of the labels or of the
    classes, a label is beyond the classes, a class has only one event, or, without names and with several classes, a
    class has none.
    """
    if classes and scores.ndim == 2 and len(classes) != scores.shape[1]:
        raise ValueError(f"scores must have a column for each of {', '.join(classes)}, but got {scores.shape}")
    scored = Scored(labels, scores, weights)
    names = classes or range(scored.classes)
    alone = [str(name) for name, number in zip(names, scored.numbers, strict=True) if number == 1]
    if alone:
        raise ValueError(f"a class must have no event or at least two, but there is only one of {', '.join(alone)}")
    if not classes and scored.classes > 2 and not scored.numbers.all():
        raise ValueError(
            f"scores have {scored.classes} columns, but the labels have {np.count_nonzero(scored.numbers)} classes: "
            "give one column per class, or the names of the classes if one has no events"
        )
    return measure(scored, signal, metrics_of(classes) if classes else metrics_for(scored.classes))


def measure(scored: Scored, signal: int, records: Mapping[str, Metric]) -> dict[str, float]:
    """These metrics of scored events, as `evaluate` names them."""
    values = {}
    for name, metric in records.items():
        values[name], values[f"{name}_error"] = metric.of(scored, signal)
        if metric.limit and math.isnan(values[name]) and math.isfinite(limit := metric.limit(scored, signal)):
            values[f"{name}_limit"] = limit
        if metric.interval:
            values[f"{name}_low"], values[f"{name}_high"] = metric.interval(scored, signal, TWO_SIDED)
    return values


def metrics_for(classes: int) -> dict[str, Metric]:
    """Those of METRICS that are defined for this number of classes."""
    lacking = "binary" if classes > 2 else "classes"
    return {name: metric for name, metric in METRICS.items() if lacking not in metric.needs}


def metrics_of(classes: Sequence[str], own: Mapping[str, Metric] | None = None) -> dict[str, Metric]:
    """Every metric of a task with these classes: with more than two, also one-vs-rest for each; and the task's own."""
    found = metrics_for(len(classes))
    if len(classes) > 2:
        for metric in list(found.values()):
            if metric.of_class is not None:
                for number, (kind, key) in enumerate(zip(classes, class_keys(classes), strict=True)):
                    name = f"{metric.name}_{key}"
                    found[name] = dataclasses.replace(
                        metric,
                        name=name,
                        title=f"{metric.title}, {kind} vs rest",
                        heading=f"{metric.heading} {kind}",
                        of=partial(_of_class, metric, number),
                        of_class=None,
                        limit=partial(_limit_of_class, metric, number) if metric.limit else None,
                        interval=None,
                        influences=partial(_influences_of_class, metric, number) if metric.influences else None,
                        bootstrap=partial(_bootstrap_of_class, metric, number) if metric.bootstrap else None,
                    )
    return {**found, **(own or {})}


def _of_class(metric: Metric, number: int, scored: Scored, signal: int) -> Measured:
    return metric.of_class(scored, number) if metric.of_class else (np.nan, np.nan)


def _influences_of_class(metric: Metric, number: int, scored: Scored, signal: int) -> np.ndarray:
    if metric.of_class is _auc_of_class:
        return _area_influences(scored, [number])  # the metric itself is a mean over the classes
    assert metric.influences is not None
    return metric.influences(scored, number)


def _limit_of_class(metric: Metric, number: int, scored: Scored, signal: int) -> float:
    return metric.limit(scored, number) if metric.limit else math.nan


def _bootstrap_of_class(
    metric: Metric, number: int, trained: Sequence[Scored], signal: int, resamplings: int
) -> np.ndarray:
    assert metric.bootstrap is not None
    return metric.bootstrap(trained, number, resamplings)


def class_keys(classes: Sequence[str]) -> list[str]:
    """Each class in the names of metrics: only characters that any store allows, and all different."""
    keys = [re.sub(r"[^\w.-]+", "_", name) for name in classes]
    return keys if len(set(keys)) == len(keys) else [f"{key}_{number}" for number, key in enumerate(keys)]


def epoch_metrics(
    labels: np.ndarray, scores: np.ndarray, signal: int, weights: np.ndarray | None = None
) -> dict[str, float]:
    """Metrics of the validation set reported after each epoch: loss, accuracy, AUC, precision, recall and counts;
    precision is omitted if no event is classified as signal."""
    scored = Scored(labels, scores, weights)
    names = {name: name for name in ("accuracy", "auc", "precision", "recall", *COUNTS)} | {"loss": "log_loss"}
    values = {f"val_{name}": float(METRICS[metric].of(scored, signal)[0]) for name, metric in names.items()}
    return {name: value for name, value in values.items() if name != "val_precision" or np.isfinite(value)}


def _accuracy(scored: Scored, signal: int) -> Measured:
    """Fraction of events whose highest score is that of their own class."""
    if scored.weights is not None:
        return _weighted_share(scored.guessed == scored.labels, np.ones(len(scored.labels), bool), scored)
    return _share(scored.confusion.trace(), scored.confusion.sum())


def _precision(scored: Scored, signal: int) -> Measured:
    """Fraction of signal among the events that score highest as signal (purity)."""
    if scored.weights is not None:
        return _weighted_share(scored.labels == signal, scored.guessed == signal, scored)
    return _share(scored.confusion[signal, signal], scored.confusion[:, signal].sum())


def _recall(scored: Scored, signal: int) -> Measured:
    """Fraction of the signal that scores highest as signal (efficiency)."""
    if scored.weights is not None:
        return _weighted_share(scored.guessed == signal, scored.labels == signal, scored)
    return _share(scored.confusion[signal, signal], scored.confusion[signal].sum())


def _count(scored: Scored, signal: int, of_signal: bool, as_signal: bool) -> Measured:
    """Number of signal events, or others, that score highest as signal, or not; the error is that of their fraction."""
    confusion = scored.confusion
    hit, own = confusion[signal, signal], confusion[signal].sum()
    passing = hit if of_signal else confusion[:, signal].sum() - hit
    all_of_it = own if of_signal else confusion.sum() - own
    count = passing if as_signal else all_of_it - passing
    if not all_of_it:
        return np.nan, np.nan
    if scored.weights is not None:
        found = (scored.guessed == signal) == as_signal
        share, error = _weighted_share(found, (scored.labels == signal) == of_signal, scored)
        return float(all_of_it * share), float(all_of_it * error)
    return float(count), float(all_of_it * _share(count, all_of_it)[1])


def _count_influences(scored: Scored, signal: int, of_signal: bool, as_signal: bool) -> np.ndarray:
    own = (scored.labels == signal) == of_signal
    number = np.count_nonzero(own)
    return _ratio_influences(own & ((scored.guessed == signal) == as_signal), own, scored) * (number or math.nan)


def _hits(scored: Scored, signal: int) -> np.ndarray:
    return _centred(_addends(scored.guessed == scored.labels, scored))


def _purities(scored: Scored, signal: int) -> np.ndarray:
    chosen = scored.guessed == signal
    return _ratio_influences(chosen & (scored.labels == signal), chosen, scored)


def _recalls(scored: Scored, signal: int) -> np.ndarray:
    own = scored.labels == signal
    return _ratio_influences(own & (scored.guessed == signal), own, scored)


def _ratio_influences(hit: np.ndarray, counted: np.ndarray, scored: Scored) -> np.ndarray:
    number = np.count_nonzero(counted)
    if not number:
        return np.full(len(hit), np.nan)
    if scored.weights is not None:
        total = float(scored.weights @ counted)
        return _in_total(hit - counted * (float(scored.weights @ hit) / total), scored) / total
    return np.asarray((hit - counted * (np.count_nonzero(hit) / number)) / number)


def _weighted_share(found: np.ndarray, counted: np.ndarray, scored: Scored) -> Measured:
    """Weighted fraction of the events `counted` that are `found`, both (n,) bool. The error is that of `_share` for the
    number of equivalent events that gives the variance of its parts; where all are found, or none, for
    (sum w)^2 / sum w^2."""
    assert scored.weights is not None
    weights = scored.weights * counted
    total = float(weights.sum())
    if not total:
        return np.nan, np.nan
    share = float(weights @ found) / total
    parts = _ratio_influences(found & counted, counted, scored)
    of_counted = found[weights > 0]
    if of_counted.all() or not of_counted.any():
        number = total**2 / float(weights @ weights)
    else:
        number = share * (1 - share) / float(parts @ parts)
    return share, _share(share * number, number)[1]


def _in_total(values: np.ndarray, scored: Scored) -> np.ndarray:
    """(n,) contribution of each event to the weighted sum of values (n,), where the weights of a class are scaled to
    the number of its events: its weighted deviation from the mean of its class, plus that mean for being in the sample.
    The contributions add up to the sum."""
    assert scored.weights is not None
    means = (_sums_by_class(scored.weights * values, scored) / np.maximum(scored.numbers, 1))[scored.labels]
    return np.asarray(scored.weights * (values - means) + means)


def _addends(values: np.ndarray, scored: Scored) -> np.ndarray:
    """(n,) contribution of each event to the mean of values (n,)."""
    total = max(1, len(scored.labels))
    return np.asarray(values / total if scored.weights is None else _in_total(values, scored) / total)


def _centred(parts: np.ndarray) -> np.ndarray:
    """Parts of a sum, less their mean, so that the sum of their squares is its variance."""
    return np.asarray((parts - parts.mean()) * math.sqrt(len(parts) / max(1, len(parts) - 1)))


def _centred_by_class(parts: np.ndarray, scored: Scored) -> np.ndarray:
    """As `_centred`, within each class, that is, for fixed numbers of events per class; in place."""
    numbers = scored.numbers
    if scored.weights is not None:
        means = _sums_by_class(scored.weights * parts, scored) / np.maximum(numbers, 1)
        spare = np.sqrt(scored.equivalent / np.maximum(scored.equivalent - 1, 1))
        return np.asarray(scored.weights * (parts - means[scored.labels]) * spare[scored.labels])
    means = _sums_by_class(parts, scored) / np.maximum(numbers, 1)
    spare = np.sqrt(numbers / np.maximum(numbers - 1, 1))
    for block in blocks(len(parts)):
        labels = scored.labels[block]
        parts[block] -= means[labels]
        parts[block] *= spare[labels]
    return parts


def _sums_by_class(values: np.ndarray, scored: Scored, power: int = 1) -> np.ndarray:
    """(classes,) sums of values (n,), or of their squares."""
    sums = np.zeros(scored.classes)
    for block in blocks(len(values)):
        some, labels = values[block], scored.labels[block]
        some = some * some if power == 2 else some
        if scored.classes == 2:  # a third of what counting takes
            one = float(np.einsum("i,i", some, labels))
            sums += (float(some.sum()) - one, one)
        else:
            sums += np.bincount(labels, some, scored.classes)
    return sums


def _error(parts: np.ndarray, scored: Scored | None = None) -> float:
    """One standard deviation of a sum from its `_centred` parts, enlarged where few events dominate it. scored: if
    they are centred by class.

    The variance is then itself poorly known: its relative error is that of a chi-squared variable with 2 V^2 / var(V)
    degrees of freedom f, var(V) from the fourth moments. The factor 1 + 1.5 / f is nearly that of Student's t at 95 %.
    """
    sums = np.array([np.dot(parts, parts)]) if scored is None else _sums_by_class(parts, scored, 2)
    numbers = np.array([len(parts)]) if scored is None else scored.numbers
    variance = float(sums.sum())
    if not variance > 0:
        return 0.0 if variance == 0 else math.nan
    own = float((sums**2 / np.maximum(numbers, 1)).sum())
    fourth = math.fsum(float(np.square(np.square(parts[block])).sum()) for block in blocks(len(parts)))
    return math.sqrt(variance) * (1 + 0.75 * max(fourth - own, 0) / variance**2)


def _losses(scored: Scored) -> np.ndarray:
    """(n,) -log(score of the true class). Scores are clipped from below at the machine epsilon of float32, so that one
    confident mistake costs 16 and not infinity."""
    true = scored.log_scores[np.arange(len(scored.labels)), scored.labels].astype(np.float64)
    return np.asarray(-np.clip(true, math.log(np.finfo(np.float32).eps), 0))


def _log_loss(scored: Scored, signal: int) -> Measured:
    """Mean of -log(score of the true class), and the standard error of that mean."""
    return _mean_of(_losses(scored), scored)


def _squares(scored: Scored) -> np.ndarray:
    """(n,) squared distance of the scores from the truth: of one class' score for two classes, else the sum over the
    classes."""
    if scored.classes == 2:
        return np.asarray((scored.scores[:, 1].astype(np.float64) - scored.labels) ** 2)
    total = (scored.scores.astype(np.float64) ** 2).sum(axis=1)
    return np.asarray(total + 1 - 2 * scored.scores[np.arange(len(scored.labels)), scored.labels])


def _brier(scored: Scored, signal: int) -> Measured:
    """Mean squared distance of the scores from the truth (Brier, Monthly Weather Review 78 (1950) 1)."""
    return _mean_of(_squares(scored), scored)


def _mean_of(values: np.ndarray, scored: Scored) -> Measured:
    if len(values) < 2:
        return np.nan, np.nan
    mean = float(np.average(values, weights=scored.weights)) if scored.weights is not None else float(values.mean())
    return mean, _error(_centred(_addends(values, scored)))


def _loss_influences(scored: Scored, signal: int) -> np.ndarray:
    return _centred(_addends(_losses(scored), scored))


def _brier_influences(scored: Scored, signal: int) -> np.ndarray:
    return _centred(_addends(_squares(scored), scored))


def reliability(scored: Scored, signal: int) -> dict[str, np.ndarray]:
    """Equally long "score", "share", "error" and "events" of at most BINS bins of equal numbers of events: the mean
    probability that was told, the share of events for which it came true, and the standard deviation of their
    difference. Told is the probability of the signal; with more than two classes that of the class that scores highest.
    With weights means, share and events are by these.
    """
    told, true, bins = _told(scored, signal)
    gaps, total = true - told, int(bins.max(initial=0)) + 1
    kept = np.flatnonzero(np.bincount(bins, minlength=total) > 1)
    if scored.weights is not None:
        return _weighted_reliability(scored.weights, told, gaps, bins, kept)
    events = np.bincount(bins, minlength=total)[kept]
    score, gap, square = (np.bincount(bins, one, total)[kept] / events for one in (told, gaps, gaps**2))
    expected = np.bincount(bins, told * (1 - told), total)[kept] / events  # so that a bin without a miss has an error
    error = np.sqrt(np.maximum(np.maximum(square - gap**2, expected), 0) / events)
    return {"score": score, "share": score + gap, "error": error, "events": events.astype(np.float64)}


def _weighted_reliability(
    weights: np.ndarray, told: np.ndarray, gaps: np.ndarray, bins: np.ndarray, kept: np.ndarray
) -> dict[str, np.ndarray]:
    total = int(bins.max(initial=0)) + 1

    def sums(values: np.ndarray) -> np.ndarray:
        return np.bincount(bins, values, total)

    events = sums(weights)
    kept = kept[events[kept] > 0]
    size = np.where(events > 0, events, 1)
    score, gap = sums(weights * told) / size, sums(weights * gaps) / size
    spread, expected = sums((weights * (gaps - gap[bins])) ** 2), sums(weights**2 * told * (1 - told))
    error = np.sqrt(np.maximum(spread, expected)) / size
    found = {"score": score, "share": score + gap, "error": error, "events": events}
    return {name: values[kept] for name, values in found.items()}


def _told(scored: Scored, signal: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(probability told, whether it came true, bin of equally many events), each (n,)."""
    if scored.classes == 2:
        told, true = scored.scores[:, signal].astype(np.float64), scored.labels == signal
    else:
        told, true = scored.scores.max(axis=1).astype(np.float64), scored.guessed == scored.labels
    edges = np.unique(np.quantile(told, np.linspace(0, 1, BINS + 1)[1:-1])) if len(told) else np.zeros(0)
    return told, true, np.searchsorted(edges, told, side="left")


def _calibration_influences(scored: Scored, signal: int) -> np.ndarray:
    """Of the distance of each bin, by its sign; enlarged to the error, so that tests count the remaining bias, too."""
    told, true, bins = _told(scored, signal)
    gaps, weights = true - told, np.ones(len(told)) if scored.weights is None else scored.weights
    means = np.bincount(bins, weights * gaps) / np.maximum(np.bincount(bins, weights), 1e-300)
    _, chance, bias = _calibration(scored, signal)
    enlarged = math.hypot(1, bias / chance) if chance else 1.0
    return np.asarray(enlarged * np.sign(means)[bins] * weights * (gaps - means[bins]) / len(gaps))


def _calibration_error(scored: Scored, signal: int) -> Measured:
    """Expected calibration error: the mean over the bins of `reliability` of |share - score|, less what chance adds.

    The error has two parts: chance, and the bias that remains (see `_calibration`).
    """
    value, chance, bias = _calibration(scored, signal)
    return value, math.hypot(chance, bias)


def _calibration(scored: Scored, signal: int) -> tuple[float, float, float]:
    """(calibration error, its standard deviation by chance, bias that may remain).

    The distance |d| of a bin exceeds the true one on average by 0.8 s where that is 0, and by nothing where it is many
    s, with the standard deviation s of d. No function of d is the true distance on average for all of them;
    |d| - 1.3 s exp(-2 d^2 / s^2) is to within 0.22 s, too high at 0 and too low at s. Its bias does not average out
    over bins that are alike, so that it is added up: s/3 exp(-d^2 / 8 s^2) of each. The numbers are chosen on toys, for
    coverage; `hepbench measure statistics` counts it.
    """
    bins = reliability(scored, signal)
    if not len(bins["events"]):
        return np.nan, np.nan, np.nan
    weights = bins["events"] / bins["events"].sum()
    gap, error = np.abs(bins["share"] - bins["score"]), bins["error"]
    pulls = np.divide(gap, error, where=error > 0, out=np.full(len(gap), np.inf))
    value = float(weights @ (gap - 1.3 * error * np.exp(-2 * pulls**2)))
    chance, bias = math.sqrt(float(weights**2 @ error**2)), float(weights @ (error * np.exp(-(pulls**2) / 8))) / 3
    return max(value, 0.0), chance, bias


def _auc(scored: Scored, signal: int) -> Measured:
    """Area under the ROC curve; with more than two classes the mean over the classes, one-vs-rest.

    The error is DeLong's (Biometrics 44 (1988) 837). For the mean, each event's contributions to every class' area are
    summed before the variance is taken within its true class, so correlations are included; two classes give DeLong's
    original formula. NaN if a class has fewer than two events.
    """
    return _mean_area(scored, _tested(scored, signal))


def _tested(scored: Scored, signal: int) -> list[int]:
    return [signal] if scored.classes == 2 else list(range(scored.classes))


def _auc_of_class(scored: Scored, positive: int) -> Measured:
    """Area under the one-vs-rest ROC curve of one class, with DeLong's error within the true classes."""
    return _mean_area(scored, [positive])


def _auc_influences(scored: Scored, signal: int) -> np.ndarray:
    return _area_influences(scored, _tested(scored, signal))


def _mean_area(scored: Scored, tested: Sequence[int]) -> Measured:
    if scored.numbers.min() < 2:
        return np.nan, np.nan
    area = math.fsum(scored.one_vs_rest(positive).area for positive in tested) / len(tested)
    return area, _error_of_area(area, _area_influences(scored, tested), scored)


def _error_of_area(area: float, parts: np.ndarray, scored: Scored) -> float:
    if area == 1 or (scored.weights is not None and area > 1 - 1e-12):  # no pair is out of order: a share of none
        return 1 / float(scored.equivalent.min())
    return _error(parts, scored)


def _area_influences(scored: Scored, tested: Sequence[int]) -> np.ndarray:
    """(n,) influence of each event on the mean of these areas."""
    total = len(scored.labels)
    if scored.numbers.min() < 2:
        return np.full(total, np.nan)
    share = np.zeros(total)
    if scored.classes == 2 and scored.weights is None:  # the mean of the placements of either class is the area
        ranking = scored.one_vs_rest(tested[0])
        weights = 1 / np.sqrt(scored.numbers * (scored.numbers - 1.0))
        for block in blocks(total):
            share[block] = (ranking.placements[block] - ranking.area) * weights[scored.labels[block]]
        return share
    for positive in tested:
        ranking = scored.one_vs_rest(positive)
        weights = np.full(scored.classes, 1 / (total - scored.numbers[positive]))
        weights[positive] = 1 / scored.numbers[positive]
        weights /= len(tested)
        for block in blocks(total):
            share[block] += ranking.placements[block] * weights[scored.labels[block]]
    return _centred_by_class(share, scored)


def _auc_micro(scored: Scored, signal: int) -> Measured:
    """Area under the ROC curve of all decisions pooled: for each event whether it belongs to each class.

    The decisions on one event are not independent: their contributions to the area are summed before the variance is
    taken, as in `_auc`.
    """
    if scored.numbers.min() < 2:
        return np.nan, np.nan
    area = scored.pooled.area
    return area, _error_of_area(area, _micro_influences(scored, signal), scored)


def _micro_influences(scored: Scored, signal: int) -> np.ndarray:
    if scored.numbers.min() < 2:
        return np.full(len(scored.labels), np.nan)
    ranking = scored.pooled
    positives, negatives = ranking.positives[-1].item(), ranking.negatives[-1].item()
    share = ranking.placements * np.where(ranking.positive, 1 / positives, 1 / negatives)
    return _centred_by_class(share.reshape(-1, scored.classes).sum(axis=1), scored)


def _pairs_of_classes(scored: Scored) -> list[tuple[int, int]]:
    return [(one, other) for one in range(scored.classes) for other in range(scored.classes) if one != other]


def slice_key(name: str) -> str:
    """A slice in the names of metrics, before its value: only characters that any store allows."""
    return re.sub(r"[^\w.-]+", "_", name).strip("_")


def _auc_ovo(scored: Scored, signal: int) -> Measured:
    """Mean over all pairs of classes of the area of one against the other only, ranked by the log-odds of the first
    (Hand and Till, Machine Learning 45 (2001) 171). Independent of the class proportions."""
    if scored.numbers.min() < 2:
        return np.nan, np.nan
    areas = [scored.against(one, other).area for one, other in _pairs_of_classes(scored)]
    area = math.fsum(areas) / len(areas)
    return area, _error_of_area(area, _ovo_influences(scored, signal), scored)


def _ovo_influences(scored: Scored, signal: int) -> np.ndarray:
    share = np.zeros(len(scored.labels))
    if scored.numbers.min() < 2:
        return np.full(len(share), np.nan)
    pairs = _pairs_of_classes(scored)
    for one, other in pairs:
        ranking = scored.against(one, other)
        weights = np.where(ranking.positive, 1 / scored.numbers[one], 1 / scored.numbers[other])
        share[scored.of_two(one, other)] += ranking.placements * weights
    return _centred_by_class(share / len(pairs), scored)


BY_SLICE = {
    "auc": "AUC",
    "rejection_50": "1/ε_B at 50 %",
    "efficiency": "ε_S at the common cut",
    "background_efficiency": "ε_B at the common cut",
}
"""What `by_slice` measures: name -> heading. The common cut is the one that WORKING_POINT of all signal passes."""


def by_slice(
    name: str,
    slices: np.ndarray,
    labels: np.ndarray,
    scores: np.ndarray,
    signal: int,
    weights: np.ndarray | None = None,
) -> dict[str, float]:
    """The metrics of BY_SLICE for the events of each value of `slices` (n,), `<metric>_<name>_<value>` with its error.
    If the efficiencies are the same in all slices, the cut is flat. Events without weight do not count."""
    passed_all = passing_at(Scored(labels, scores, weights), signal, WORKING_POINT)
    values: dict[str, float] = {}
    for value in np.unique(slices):
        inside = slices == value if weights is None else (slices == value) & (weights > 0)
        part = Scored(labels[inside], scores[inside], None if weights is None else weights[inside])
        own, passed = labels[inside] == signal, passed_all[inside]
        measured = {
            "auc": _auc(part, signal),
            "rejection_50": rejection(part, signal, 0.5),
            "efficiency": _share_of(passed, own, part),
            "background_efficiency": _share_of(passed, ~own, part),
        }
        for metric, (found, error) in measured.items():
            key = f"{metric}_{slice_key(name)}_{value}"
            values[key], values[f"{key}_error"] = found, error
    return values


def _share_of(found: np.ndarray, counted: np.ndarray, scored: Scored) -> Measured:
    if scored.weights is not None:
        return _weighted_share(found, counted, scored)
    return _share(float((found & counted).sum()), float(counted.sum()))


def passing_at(scored: Scored, signal: int, efficiency: float) -> np.ndarray:
    """(n,) bool, which events pass the cut that this fraction of the signal passes, or slightly more if scores are
    equal; none if there is no signal."""
    ranking = scored.one_vs_rest(signal)
    chosen = np.zeros(len(scored.labels), bool)
    if number := int(scored.numbers[signal]):
        wanted = math.ceil(efficiency * number) if scored.weights is None else efficiency * number * (1 - 1e-9)
        last = int(np.searchsorted(ranking.positives, wanted))
        chosen[ranking.order[: ranking.ends[last - 1]]] = True
    return chosen


def rejection(scored: Scored, signal: int, efficiency: float) -> Measured:
    """Background rejection 1/eps_B at this signal efficiency. The error has two parts: the binomial one of the passing
    background, and that of the threshold, from the signal events.

    At a threshold that a fraction e of m signal events passes, var(eps_B) = eps_B (1 - eps_B) / n + r^2 e (1 - e) / m
    with the slope r = d eps_B / d eps_S of the ROC curve, taken over WINDOW standard deviations of the signal to either
    side. Intervals are symmetric in the logarithm. Events with equal scores count in proportion, that is, along the
    straight line between two corners of the ROC curve. NaN, "not measurable", where less than one background event
    passes, or fewer than FEWEST_AT_THRESHOLD signal events are above or below the threshold.
    """
    found = _at_efficiency(scored, signal, efficiency)
    if found is None or found.passing < found.unit:
        return np.nan, np.nan
    share = found.passing / found.backgrounds
    if scored.weights is not None:
        return float(1 / share), math.sqrt(_weighted_variance(scored, signal, efficiency, found)) / share**2
    variance = share * (1 - share) / found.backgrounds + found.slope**2 * efficiency * (1 - efficiency) / found.signals
    return float(1 / share), float(np.sqrt(variance) / share**2)


def _weighted_variance(scored: Scored, signal: int, efficiency: float, found: _Threshold) -> float:
    """Variance of eps_B at a signal efficiency, as in `rejection`; binomial variances summed over weighted events."""
    assert scored.weights is not None
    ranking, share = scored.one_vs_rest(signal), found.passing / found.backgrounds
    above = _above(ranking, found)
    aimed = np.where(ranking.positive, efficiency, share)
    squares = scored.weights**2 * (above * (1 - 2 * aimed) + aimed**2)  # of events of which this part is above
    of_signal, of_background = float(squares @ ranking.positive), float(squares @ ~ranking.positive)
    return of_background / found.backgrounds**2 + found.slope**2 * of_signal / found.signals**2


def _above(ranking: Ranking, found: _Threshold) -> np.ndarray:
    """(n,) fraction of each event above a threshold: the same for all equal scores at it."""
    above = np.zeros(len(ranking.order))
    group = found.after - 1  # of equal scores, in which the threshold lies
    start = int(ranking.ends[group - 1]) if group else 0
    above[ranking.order[:start]] = 1
    above[ranking.order[start : ranking.ends[group]]] = found.part
    return above


def rejection_limit(scored: Scored, signal: int, efficiency: float) -> float:
    """Lower limit on 1/eps_B at a confidence level of LIMIT where less than one background event passes; NaN elsewhere.
    The binomial limit (Clopper and Pearson, Biometrika 26 (1934) 404), at a threshold lowered by a standard deviation
    of the passing signal."""
    found = _at_efficiency(scored, signal, efficiency)
    if found is None or found.passing >= found.unit:
        return math.nan
    from scipy.stats import beta

    passing, backgrounds = math.ceil(found.loosened / found.unit), found.backgrounds / found.unit
    if passing >= backgrounds:
        return math.nan
    return 1 / float(beta.ppf(LIMIT, passing + 1, backgrounds - passing))


def _rejection_influences(scored: Scored, signal: int, efficiency: float) -> np.ndarray:
    found = _at_efficiency(scored, signal, efficiency)
    if found is None or found.passing < found.unit:
        return np.full(len(scored.labels), np.nan)
    share = found.passing / found.backgrounds
    ranking = scored.one_vs_rest(signal)
    above = _above(ranking, found)
    if scored.weights is not None:
        apart = _in_total(above - np.where(ranking.positive, efficiency, share), scored)
        scales = np.where(ranking.positive, found.slope / found.signals, -1 / found.backgrounds)
        return np.asarray(apart * scales / share**2)
    of_signal = found.slope * (above - efficiency) / found.signals
    of_background = (above - share) / found.backgrounds
    return np.asarray(np.where(ranking.positive, of_signal, -of_background) / share**2)


def _resampled_rejections(trained: Sequence[Scored], signal: int, resamplings: int, efficiency: float) -> np.ndarray:
    rankings = [scored.one_vs_rest(signal) for scored in trained]
    wanted = efficiency * float(rankings[0].positives[-1])
    units = rankings[0].units
    reach = REACH * math.sqrt(wanted * (1 - efficiency) * units[0])
    cuts = [cuts_between(ranking, wanted - reach, wanted + reach) for ranking in rankings]
    return bootstrap(rankings, cuts, partial(_read_rejections, efficiency=efficiency, units=units), resamplings)


def _read_rejections(
    positives: np.ndarray, negatives: np.ndarray, efficiency: float, units: tuple[float, float]
) -> np.ndarray:
    signals, backgrounds = positives[-1], negatives[-1]
    wanted = efficiency * signals
    after = np.clip((positives < wanted).sum(axis=0), 1, len(positives) - 1)
    places = np.stack([after - 1, after])
    (low, high), (fewer, more) = (np.take_along_axis(reached, places, 0) for reached in (positives, negatives))
    passing = fewer + (wanted - low) / np.where(high > low, high - low, 1) * (more - fewer)
    measurable = (passing >= units[1]) & (np.minimum(wanted, signals - wanted) >= FEWEST_AT_THRESHOLD * units[0] - 1e-6)
    return np.asarray(np.divide(backgrounds, passing, where=measurable, out=np.full(len(passing), np.nan)))


@dataclasses.dataclass(frozen=True)
class _Threshold:
    """A ROC curve at a signal efficiency. passing, loosened: background events that pass, and that pass if the
    threshold is lowered by a standard deviation of the signal. slope: d eps_B / d eps_S. after, part: index just after
    the threshold in `Ranking.positives`, and the fraction of that group of equal scores that passes. unit: weight of a
    background event."""

    signals: float
    backgrounds: float
    passing: float
    loosened: float
    slope: float
    after: int
    part: float
    unit: float


def _at_efficiency(scored: Scored, signal: int, efficiency: float) -> _Threshold | None:
    ranking = scored.one_vs_rest(signal)
    positives, negatives = ranking.positives, ranking.negatives
    signals, backgrounds = positives[-1].item(), negatives[-1].item()
    wanted = efficiency * signals
    of_signal, of_background = ranking.units
    if not backgrounds or min(wanted, signals - wanted) < FEWEST_AT_THRESHOLD * of_signal - 1e-6:
        return None
    spread = math.sqrt(wanted * (1 - efficiency) * of_signal)
    places = np.clip(wanted + spread * np.array([0, 1, WINDOW, -WINDOW]), 0, signals)
    after = np.maximum(np.searchsorted(positives, places - 1e-9 * signals), 1)
    low, high = positives[after - 1], positives[after]
    part = np.divide(places - low, high - low, out=np.zeros(len(places)), where=high > low)  # equal at no event
    passing = negatives[after - 1] + part * (negatives[after] - negatives[after - 1])
    slope = (passing[2] - passing[3]) / (places[2] - places[3]) * signals / backgrounds
    return _Threshold(
        signals,
        backgrounds,
        float(passing[0]),
        float(passing[1]),
        float(slope),
        int(after[0]),
        float(part[0]),
        of_background,
    )


def efficiency_at_purity(
    scored: Scored, signal: int, purity: float, proportions: Sequence[float] | None = None
) -> Measured:
    """Signal efficiency at the loosest threshold above which at least this fraction of the events is signal.

    proportions: (classes,) class proportions to which the purity refers; None: those of these events.
    NaN, "not measurable", if no threshold with at least 10 signal events above it reaches the purity.

    The error is half the width of `purity_interval` for one standard deviation.
    """
    found = _at_purity(scored, signal, purity, proportions)
    if found is None or not found.passing:
        return np.nan, np.nan
    least, most = found.between(1)
    binomial = _share(found.passing / found.unit, found.signals / found.unit)[1]
    return found.passing / found.signals, max((most - least) / 2, binomial)


def purity_interval(
    scored: Scored, signal: int, deviations: float, purity: float, proportions: Sequence[float] | None = None
) -> tuple[float, float]:
    """(least, most) efficiency at which the purity equals the requested one within so many standard deviations,
    measurable or not.

    There |B - S (1 - purity) / purity| is within that many standard deviations of the background B at a fixed signal
    efficiency, which have two parts: Poisson, of the background that this purity allows, and the slope dB/dS times the
    binomial error of the signal S. The slope is taken between 0.7 and 1.3 times the passing signal, or the failing
    signal where that is less. The width is enlarged by 3 %: among the thresholds with the requested purity the loosest
    is taken, which is a selection effect.
    """
    found = _at_purity(scored, signal, purity, proportions)
    return (np.nan, np.nan) if found is None else found.between(1.03 * deviations)


def _resampled_efficiencies(trained: Sequence[Scored], signal: int, resamplings: int, purity: float) -> np.ndarray:
    rankings = [scored.one_vs_rest(signal) for scored in trained]
    cuts = []
    for scored, ranking in zip(trained, rankings, strict=True):
        found = _at_purity(scored, signal, purity, None)
        least, most = found.between(REACH) if found else (0.0, 0.0)
        cuts.append(cuts_between(ranking, least * scored.numbers[signal], most * scored.numbers[signal]))
    unit = rankings[0].units[0]
    return bootstrap(rankings, cuts, partial(_read_efficiencies, purity=purity, unit=unit), resamplings)


def _read_efficiencies(positives: np.ndarray, negatives: np.ndarray, purity: float, unit: float) -> np.ndarray:
    pure = (positives * (1 - purity) / purity >= negatives * (1 - 1e-9)) & (positives >= FEWEST_PASSING * unit)
    loosest = np.where(pure, positives, 0).max(axis=0)
    measurable = loosest > 0
    return np.asarray(np.divide(loosest, positives[-1], where=measurable, out=np.full(len(loosest), np.nan)))


@dataclasses.dataclass(frozen=True)
class _AtPurity:
    """passing: signal events above the loosest threshold with the requested purity, 0 if there is none. near: (m,)
    signal events above thresholds; excess, width: allowed minus found background there, and its standard deviation.
    unit: weight of a signal event."""

    signals: float
    passing: float
    near: np.ndarray
    excess: np.ndarray
    width: np.ndarray
    unit: float

    def between(self, deviations: float) -> tuple[float, float]:
        least = self.near[self.excess >= deviations * self.width].max(initial=0)
        most = self.near[self.excess >= -deviations * self.width].max(initial=self.passing)
        beyond = min(int(np.searchsorted(self.near, most, side="right")), len(self.near) - 1)  # where it is no more
        return float(least / self.signals), float(max(most, self.near[beyond]) / self.signals)


def _at_purity(scored: Scored, signal: int, purity: float, proportions: Sequence[float] | None) -> _AtPurity | None:
    ranking = scored.one_vs_rest(signal)
    signals, backgrounds = float(ranking.positives[-1]), float(ranking.negatives[-1])
    if not signals or not backgrounds:
        return None
    passing, weights = ranking.positives.astype(np.float64), np.ones(scored.classes)
    if proportions is not None:
        shares = np.asarray(proportions, float) / sum(proportions)
        weights = np.divide(shares * len(scored.labels), scored.numbers, where=scored.numbers > 0, out=weights)
        weights /= weights[signal]
    of_event = np.where(ranking.positive, 0.0, weights[scored.labels])[ranking.order]
    if ranking.weights is not None:
        of_event = of_event * ranking.weights[ranking.order]
    unit = ranking.units[0]
    background = np.concatenate([[0], np.cumsum(of_event)[ranking.ends - 1]])
    one = float(np.square(of_event).sum()) / float(background[-1])  # weight of an event

    allowed = passing * (1 - purity) / purity
    pure = np.flatnonzero((allowed >= background * (1 - 1e-9)) & (passing >= FEWEST_PASSING * unit))
    found = float(passing[pure[-1]]) if len(pure) else 0.0

    looked_at = np.unique(np.append(np.arange(0, len(passing), max(1, len(passing) // MEASURED_AT)), len(passing) - 1))
    near, at = passing[looked_at], background[looked_at]
    most = (signals / unit) ** (2 / 3) * unit
    half = np.clip(0.3 * np.minimum(near, signals - near), FEWEST_PASSING / 2 * unit, most)
    low, high = (np.searchsorted(near, np.clip(near + step, 0, signals)) for step in (-half, half))
    slope = (at[high] - at[low]) / np.where(near[high] > near[low], near[high] - near[low], 1)
    allowed = allowed[looked_at]
    poisson = allowed * one * np.clip(1 - allowed / background[-1], 0, 1)
    width = np.sqrt(poisson + slope**2 * near * (1 - near / signals) * unit)
    return _AtPurity(signals, found, near, allowed - at, width, unit)


def roc_curve(labels: np.ndarray, scores: np.ndarray, signal: int, most: int = 2000) -> dict[str, np.ndarray]:
    """Arrays "threshold", "signal_efficiency" and "background_efficiency" of equal length for `score >= threshold`,
    from (inf, 0, 0) to (1, 1).

    Thinned to about `most` points: half spaced evenly in signal efficiency and half in the logarithm of background
    efficiency, so that the steep corner at high rejection keeps its steps. Efficiencies are NaN for an absent class.
    """
    return _curve(Scored(labels, scores).one_vs_rest(signal), most)


def roc_curves(
    scored: Scored, signal: int, classes: Sequence[str], most: int = 2000
) -> dict[str, dict[str, np.ndarray]]:
    """ROC curves by name, each as `roc_curve` gives it: that of the signal; with more than two classes that of each
    against the rest, "micro" of all decisions together, and "macro", the mean of the classes' signal efficiencies at
    equal background efficiency, both ends of each vertical step, which has no threshold (NaN)."""
    if len(classes) == 2:
        return {classes[signal]: _curve(scored.one_vs_rest(signal), most)}
    curves = {name: _curve(scored.one_vs_rest(number), most) for number, name in enumerate(classes)}
    grid = np.unique(np.concatenate([curve["background_efficiency"] for curve in curves.values()]))
    grid = grid[np.isfinite(grid)]
    grid = grid[np.unique(np.linspace(0, len(grid) - 1, most).astype(int))]
    whole = [_curve(scored.one_vs_rest(number), len(scored.labels) + 1) for number in range(len(classes))]
    steps = [_step_ends(grid, one["background_efficiency"], one["signal_efficiency"]) for one in whole]
    macro = {
        "threshold": np.full(2 * len(grid), np.nan),
        "signal_efficiency": np.mean(steps, axis=0).ravel(),
        "background_efficiency": np.repeat(grid, 2),
    }
    return {**curves, "micro": _curve(scored.pooled, most), "macro": macro}


def _step_ends(grid: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(points, 2) y at each point of a grid on a rising curve of vertical and other steps: its lower and its upper
    end."""
    lower = np.interp(-grid, -x[::-1], y[::-1])  # of equal x the last one given counts
    return np.stack([lower, np.interp(grid, x, y)], axis=1)


def areas_of(values: Mapping[str, float], signal: int, classes: Sequence[str]) -> dict[str, tuple[float, float]]:
    """(AUC, error) of each of `roc_curves` by its name. values: the result of `evaluate` with these classes."""
    keys = {classes[signal]: "auc"}
    if len(classes) > 2:
        keys = {name: f"auc_{key}" for name, key in zip(classes, class_keys(classes), strict=True)}
        keys |= {"micro": "auc_micro", "macro": "auc_macro"}
    return {name: (values[key], values[f"{key}_error"]) for name, key in keys.items()}


def _curve(ranking: Ranking, most: int) -> dict[str, np.ndarray]:
    signal_passing, background_passing = ranking.positives, ranking.negatives
    signals, backgrounds = signal_passing[-1], background_passing[-1]
    last = len(signal_passing) - 1
    kept = np.arange(last + 1)
    if len(kept) > most:
        evenly = np.searchsorted(signal_passing, np.linspace(0, signals, most // 2))
        steeply = np.searchsorted(background_passing, np.geomspace(1, max(backgrounds, 1), most // 2))
        kept = np.unique(np.minimum(np.concatenate([[0, last], evenly, steeply]), last))
    return {
        "threshold": _thresholds(ranking)[kept],
        "signal_efficiency": signal_passing[kept] / (signals or np.nan),
        "background_efficiency": background_passing[kept] / (backgrounds or np.nan),
    }


def _thresholds(ranking: Ranking) -> np.ndarray:
    """Probabilities of the ranking log-odds, starting above all events."""
    with np.errstate(over="ignore"):
        return np.concatenate([[np.inf], 1 / (1 + np.exp(-ranking.scores.astype(np.float64)))])


def _share(k: float, n: float) -> Measured:
    """k/n, and the standard deviation of the binomial posterior with a flat prior.

    Ullrich and Xu, physics/0701199: sqrt(p(1-p)/n) for large n, and not zero if all or none pass.
    """
    if not n:
        return np.nan, np.nan
    variance = (k + 1) * (k + 2) / ((n + 2) * (n + 3)) - (k + 1) ** 2 / (n + 2) ** 2
    return float(k / n), float(np.sqrt(variance))


COUNTS = {
    "true_positives": (True, True),
    "false_positives": (False, True),
    "true_negatives": (False, False),
    "false_negatives": (True, False),
}
"""name -> (of the signal, scores highest as signal)."""


def rejection_at(percent: float) -> Metric:
    """The record of the background rejection at a signal efficiency in percent."""
    return Metric(
        name=f"rejection_{percent:g}",
        title=f"1/ε_B at ε_S = {percent:g} %",
        heading=f"1/ε_B at {percent:g} %",
        of=partial(rejection, efficiency=percent / 100),
        of_class=partial(rejection, efficiency=percent / 100),
        scale="log",
        limit=partial(rejection_limit, efficiency=percent / 100),
        influences=partial(_rejection_influences, efficiency=percent / 100),
        bootstrap=partial(_resampled_rejections, efficiency=percent / 100),
    )


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "auc",
            "area under the ROC curve",
            "AUC",
            _auc,
            _auc_of_class,
            decimals=4,
            scale="logit",
            influences=_auc_influences,
        ),
        Metric(
            "accuracy",
            "accuracy",
            "accuracy",
            _accuracy,
            decimals=4,
            epochwise="val_accuracy",
            scale="logit",
            influences=_hits,
        ),
        Metric(
            "precision",
            "precision (signal purity)",
            "precision",
            _precision,
            _precision,
            decimals=4,
            scale="logit",
            influences=_purities,
        ),
        Metric(
            "recall",
            "recall (signal efficiency)",
            "recall",
            _recall,
            _recall,
            decimals=4,
            scale="logit",
            influences=_recalls,
        ),
        Metric(
            "log_loss",
            "log-loss",
            "log-loss",
            _log_loss,
            higher_is_better=False,
            decimals=4,
            epochwise="val_loss",
            lowest=0.0,
            influences=_loss_influences,
        ),
        Metric(
            "brier",
            "Brier score",
            "Brier score",
            _brier,
            higher_is_better=False,
            decimals=4,
            epochwise="val_loss",
            lowest=0.0,
            influences=_brier_influences,
        ),
        Metric(
            "ece",
            "expected calibration error",
            "calibration error",
            _calibration_error,
            higher_is_better=False,
            decimals=4,
            epochwise="val_loss",
            lowest=0.0,
            influences=_calibration_influences,
        ),
        *(rejection_at(percent) for percent in EFFICIENCIES),
        *(
            Metric(
                name=f"efficiency_at_purity_{percent}",
                title=f"ε_S at a purity of {percent} %",
                heading=f"ε_S at purity {percent} %",
                of=partial(efficiency_at_purity, purity=percent / 100),
                of_class=partial(efficiency_at_purity, purity=percent / 100),
                decimals=4,
                scale="logit",
                interval=partial(purity_interval, purity=percent / 100),
                bootstrap=partial(_resampled_efficiencies, purity=percent / 100),
            )
            for percent in PURITIES
        ),
        *(
            Metric(
                name=name,
                title=f"{name.replace('_', ' ')} (events)",
                heading=name.replace("_", " "),
                of=partial(_count, of_signal=of_signal, as_signal=as_signal),
                influences=partial(_count_influences, of_signal=of_signal, as_signal=as_signal),
                higher_is_better=of_signal == as_signal,
                decimals=0,
                epochwise="val_accuracy",
                lowest=0.0,
            )
            for name, (of_signal, as_signal) in COUNTS.items()
        ),
        Metric(
            "auc_ovo",
            "mean AUC over pairs of classes",
            "one-vs-one AUC",
            _auc_ovo,
            decimals=4,
            needs=("classes",),
            scale="logit",
            influences=_ovo_influences,
        ),
        Metric(
            "auc_micro",
            "AUC of all decisions pooled",
            "micro AUC",
            _auc_micro,
            decimals=4,
            needs=("classes",),
            scale="logit",
            influences=_micro_influences,
        ),
        Metric(
            "auc_macro",
            "mean of the one-vs-rest AUCs",
            "macro AUC",
            _auc,
            decimals=4,
            needs=("classes",),
            scale="logit",
            influences=_auc_influences,
        ),
    )
}

accuracy = METRICS["accuracy"].compute
precision = METRICS["precision"].compute
recall = METRICS["recall"].compute
log_loss = METRICS["log_loss"].compute
auc = METRICS["auc"].compute
