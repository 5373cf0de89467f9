"""From stored labels and scores to numbers with errors, the same lines for every model family.

`METRICS` holds the record of each by name. All work on numpy arrays alone: labels (n,) of class indices, scores
(n, classes) with rows summing to 1, and the index of the signal class; with more than two classes the background is
everything else.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from hepbench.benchmarks.base import Metric
from hepbench.benchmarks.scored import Ranking, Scored

FEWEST_PASSING = 10
"""A rejection measured with fewer background events than this is "not measurable" and NaN, and so is an efficiency at a
purity with fewer signal events."""

EFFICIENCIES = (30, 50, 70, 90, 95, 99)
"""Signal efficiencies in percent at which the background rejection is given."""

PURITIES = (90, 95, 99)
"""Purities in percent at which the signal efficiency is given."""

MEASURED_AT = 10_000
"""Thresholds at most that the error of an efficiency at a purity is looked for among."""

Measured = tuple[float, float]
"""Value and one standard deviation, each NaN where it cannot be measured."""


def evaluate(labels: np.ndarray, scores: np.ndarray, signal: int, classes: Sequence[str] = ()) -> dict[str, float]:
    """Every metric as `name` and its standard deviation as `name_error`; NaN where it cannot be measured.

    labels: (n,) class indices. scores: (n, classes). classes: their names; where they are given and more than two, each
    class has metrics of its own against the rest, `name_<class>`. Raises ValueError if the scores are not finite or
    their number is not that of the labels or of the classes.
    """
    if scores.ndim != 2 or len(scores) != len(labels):
        raise ValueError(f"scores must be (n, classes) for {len(labels)} labels, but got {scores.shape}")
    if classes and len(classes) != scores.shape[1]:
        raise ValueError(f"scores must have a column for each of {', '.join(classes)}, but got {scores.shape}")
    if not np.isfinite(scores).all():
        raise ValueError(
            f"scores must be finite, but {np.count_nonzero(~np.isfinite(scores).all(axis=1))} rows are not"
        )
    scored = Scored(labels, scores)
    values = {}
    for name, metric in (metrics_of(classes) if classes else metrics_for(scored.classes)).items():
        values[name], values[f"{name}_error"] = metric.of(scored, signal)
    return values


def metrics_for(classes: int) -> dict[str, Metric]:
    """Those of METRICS that can be measured with so many classes."""
    lacking = "binary" if classes > 2 else "classes"
    return {name: metric for name, metric in METRICS.items() if lacking not in metric.needs}


def metrics_of(classes: Sequence[str]) -> dict[str, Metric]:
    """Every metric of a task with these classes: with more than two, each class' own besides."""
    found = metrics_for(len(classes))
    if len(classes) > 2:
        for metric in list(found.values()):
            if metric.of_class is not None:
                for number, (kind, key) in enumerate(zip(classes, class_keys(classes), strict=True)):
                    name = f"{metric.name}_{key}"
                    found[name] = dataclasses.replace(
                        metric,
                        name=name,
                        title=f"{metric.title}, {kind} against the rest",
                        heading=f"{metric.heading} {kind}",
                        of=partial(_of_class, metric, number),
                        of_class=None,
                    )
    return found


def _of_class(metric: Metric, number: int, scored: Scored, signal: int) -> Measured:
    return metric.of_class(scored, number) if metric.of_class else (np.nan, np.nan)


def class_keys(classes: Sequence[str]) -> list[str]:
    """What stands for each class in the names of metrics: what any store takes, and no two alike."""
    keys = [re.sub(r"[^\w.-]+", "_", name) for name in classes]
    return keys if len(set(keys)) == len(keys) else [f"{key}_{number}" for number, key in enumerate(keys)]


def of_epoch(labels: np.ndarray, scores: np.ndarray, signal: int) -> dict[str, float]:
    """What is reported of the validation part after each epoch: loss, accuracy, AUC, precision, recall and counts;
    precision is left out where no event scores as signal."""
    scored = Scored(labels, scores)
    names = {name: name for name in ("accuracy", "auc", "precision", "recall", *COUNTS)} | {"loss": "log_loss"}
    values = {f"val_{name}": float(METRICS[metric].of(scored, signal)[0]) for name, metric in names.items()}
    return {name: value for name, value in values.items() if name != "val_precision" or np.isfinite(value)}


def _accuracy(scored: Scored, signal: int) -> Measured:
    """Share of events whose highest score is their own class."""
    return _share(scored.confusion.trace(), scored.confusion.sum())


def _precision(scored: Scored, signal: int) -> Measured:
    """Share of signal among the events that score highest as signal (purity)."""
    return _share(scored.confusion[signal, signal], scored.confusion[:, signal].sum())


def _recall(scored: Scored, signal: int) -> Measured:
    """Share of the signal that scores highest as signal (efficiency)."""
    return _share(scored.confusion[signal, signal], scored.confusion[signal].sum())


def _count(scored: Scored, signal: int, of_signal: bool, as_signal: bool) -> Measured:
    """Events of the signal, or not, that score highest as signal, or not; the error is that of their share of it."""
    confusion = scored.confusion
    hit, own = confusion[signal, signal], confusion[signal].sum()
    passing = hit if of_signal else confusion[:, signal].sum() - hit
    all_of_it = own if of_signal else confusion.sum() - own
    count = passing if as_signal else all_of_it - passing
    if not all_of_it:
        return np.nan, np.nan
    return float(count), float(all_of_it * _share(count, all_of_it)[1])


def _log_loss(scored: Scored, signal: int) -> Measured:
    """Mean of -log(score of the true class), and the standard error of that mean.

    Scores below the smallest step of float32 are raised to it, so that one certain mistake costs 16 and not infinity.
    """
    labels = scored.labels
    if len(labels) < 2:
        return np.nan, np.nan
    true = scored.scores[np.arange(len(labels)), labels].astype(np.float64)
    losses = -np.log(np.clip(true, np.finfo(np.float32).eps, 1))
    return float(losses.mean()), float(losses.std(ddof=1) / np.sqrt(len(losses)))


def _auc(scored: Scored, signal: int) -> Measured:
    """Area under the ROC curve; with more than two classes the mean over the classes, each against the rest.

    The error is DeLong's (Biometrics 44 (1988) 837). For the mean, each event's parts in every class' area are summed
    before the variance is taken within its true class, so correlations are counted; two classes give DeLong's own
    formula. NaN if a class has fewer than two events.
    """
    return _mean_area(scored, [signal] if scored.classes == 2 else list(range(scored.classes)))


def _auc_of_class(scored: Scored, positive: int) -> Measured:
    """Area under the ROC curve of one class against the rest, with DeLong's error within the true classes."""
    return _mean_area(scored, [positive])


def _mean_area(scored: Scored, tested: Sequence[int]) -> Measured:
    if scored.numbers.min() < 2:
        return np.nan, np.nan
    total = len(scored.labels)
    area, share = 0.0, np.zeros(total)
    for positive in tested:
        ranking = scored.against_the_rest(positive)
        number = ranking.positives[-1]
        area += ranking.area / len(tested)
        share += ranking.placements / np.where(ranking.positive, number, total - number) / len(tested)
    return area, _error_of_mean(scored, share)


def _auc_micro(scored: Scored, signal: int) -> Measured:
    """Area under the ROC curve of all decisions together, of each event whether it is of each class.

    The decisions on one event are not independent: their parts in the area are summed before the variance is taken, as
    in `_auc`.
    """
    if scored.numbers.min() < 2:
        return np.nan, np.nan
    ranking = scored.pooled
    positives, negatives = ranking.positives[-1], ranking.negatives[-1]
    share = ranking.placements / np.where(ranking.positive, positives, negatives)
    return ranking.area, _error_of_mean(scored, share.reshape(-1, scored.classes).sum(axis=1))


def _error_of_mean(scored: Scored, share: np.ndarray) -> float:
    """Of the sum of each event's share (n,), from their variance within each true class."""
    groups = (share[scored.labels == true] for true in range(scored.classes))
    return float(np.sqrt(sum(len(group) * group.var(ddof=1) for group in groups)))


def slice_key(name: str) -> str:
    """What the AUC of a slice's values is called before the value: what any store takes."""
    key = re.sub(r"[^\w.-]+", "_", name).strip("_")
    return f"auc_{key}_"


def auc_by_slice(
    name: str, slices: np.ndarray, labels: np.ndarray, scores: np.ndarray, signal: int
) -> dict[str, float]:
    """The AUC and its error for each value of `slices` (n,) alone, as `auc_<name>_<value>` and `..._error`."""
    values = {}
    for value in np.unique(slices):
        inside = slices == value
        key = f"{slice_key(name)}{value}"
        values[key], values[f"{key}_error"] = auc(labels[inside], scores[inside], signal)
    return values


def rejection(scored: Scored, signal: int, efficiency: float) -> Measured:
    """Background rejection 1/eps_B at this signal efficiency, with the binomial error of the background that passes.

    Events with equal scores count in proportion, which is the straight line between two corners of the ROC curve.
    NaN, "not measurable", where fewer than 10 background events pass.
    """
    ranking = scored.against_the_rest(signal)
    signal_passing, background_passing = ranking.positives, ranking.negatives
    signals, backgrounds = signal_passing[-1], background_passing[-1]
    if not signals or not backgrounds:
        return np.nan, np.nan
    wanted = efficiency * signals
    after = int(np.searchsorted(signal_passing, wanted))
    before = after - 1
    part = (wanted - signal_passing[before]) / (signal_passing[after] - signal_passing[before])
    passing = background_passing[before] + part * (background_passing[after] - background_passing[before])
    if passing < FEWEST_PASSING:
        return np.nan, np.nan
    value = backgrounds / passing
    return float(value), float(value * np.sqrt((1 - passing / backgrounds) / passing))


def efficiency_at_purity(
    scored: Scored, signal: int, purity: float, proportions: Sequence[float] | None = None
) -> Measured:
    """Signal efficiency at the loosest threshold above which this share of the events, or more, is signal.

    proportions: (classes,) how much of each class there is where the purity is meant; None: as in these events.
    NaN, "not measurable", where no threshold with at least 10 signal events above it is so pure.

    The error is half the width of the efficiencies at which the purity is the wanted one within a standard deviation:
    where |B - S (1 - purity) / purity| is within that of the background B at a fixed signal efficiency, which has a
    binomial part and the slope dB/dS times the binomial error of the signal S. The slope is taken between 0.7 and 1.3
    times the signal that passes, or that fails where that is less.
    """
    ranking = scored.against_the_rest(signal)
    signals, backgrounds = ranking.positives[-1], ranking.negatives[-1]
    if not signals or not backgrounds:
        return np.nan, np.nan
    passing, weights = ranking.positives, np.ones(scored.classes)
    if proportions is not None:
        shares = np.asarray(proportions, float) / sum(proportions)
        weights = np.divide(shares * len(scored.labels), scored.numbers, where=scored.numbers > 0, out=weights)
        weights /= weights[signal]
    of_event = np.where(ranking.positive, 0.0, weights[scored.labels])[ranking.order]
    background, squares = (np.concatenate([[0], np.cumsum(some)[ranking.ends - 1]]) for some in (of_event, of_event**2))

    allowed = passing * (1 - purity) / purity
    pure = np.flatnonzero((allowed >= background * (1 - 1e-9)) & (passing >= FEWEST_PASSING))
    if not len(pure):
        return np.nan, np.nan
    found = passing[pure[-1]]

    looked_at = np.unique(np.append(np.arange(0, len(passing), max(1, len(passing) // MEASURED_AT)), len(passing) - 1))
    near, at = passing[looked_at], background[looked_at]
    half = np.clip(0.3 * np.minimum(near, signals - near), FEWEST_PASSING / 2, signals ** (2 / 3))
    low, high = (np.searchsorted(near, np.clip(near + step, 0, signals)) for step in (-half, half))
    slope = (at[high] - at[low]) / np.maximum(near[high] - near[low], 1)
    one = squares[-1] / background[-1]  # weight of an event: where none has passed yet, one may
    binomial = (squares[looked_at] + one**2) * (1 - at / (background[-1] + one))
    width = np.sqrt(binomial + slope**2 * near * (1 - near / signals))
    excess = allowed[looked_at] - at
    least = near[excess >= width].max(initial=0)
    most = near[excess >= -width].max(initial=found)
    return float(found / signals), max((most - least) / 2 / signals, _share(found, signals)[1])


def roc_curve(labels: np.ndarray, scores: np.ndarray, signal: int, most: int = 2000) -> dict[str, np.ndarray]:
    """Equally long "threshold", "signal_efficiency" and "background_efficiency" of `score >= threshold`, from
    (inf, 0, 0) to (1, 1).

    Thinned to about `most` points: half spread evenly in signal efficiency and half in the logarithm of background
    efficiency, so that the steep corner at high rejection keeps its steps. Efficiencies are NaN for an absent class.
    """
    return _curve(Scored(labels, scores).against_the_rest(signal), most)


def roc_curves(
    labels: np.ndarray, scores: np.ndarray, signal: int, classes: Sequence[str], most: int = 2000
) -> dict[str, dict[str, np.ndarray]]:
    """ROC curves by name, each as `roc_curve` gives it: that of the signal; with more than two classes that of each
    against the rest, "micro" of all decisions together, and "macro", the mean of the classes' signal efficiencies at
    equal background efficiency, which has no threshold (NaN)."""
    scored = Scored(labels, scores)
    if len(classes) == 2:
        return {classes[signal]: _curve(scored.against_the_rest(signal), most)}
    curves = {name: _curve(scored.against_the_rest(number), most) for number, name in enumerate(classes)}
    grid = np.unique(np.concatenate([curve["background_efficiency"] for curve in curves.values()]))
    grid = grid[np.isfinite(grid)]
    grid = grid[np.unique(np.linspace(0, len(grid) - 1, most).astype(int))]
    of_classes = [np.interp(grid, one["background_efficiency"], one["signal_efficiency"]) for one in curves.values()]
    macro = {
        "threshold": np.full(len(grid) + 1, np.nan),
        "signal_efficiency": np.append(0, np.mean(of_classes, axis=0)),
        "background_efficiency": np.append(0, grid),
    }
    return {**curves, "micro": _curve(scored.pooled, most), "macro": macro}


def areas_of(values: Mapping[str, float], signal: int, classes: Sequence[str]) -> dict[str, tuple[float, float]]:
    """(AUC, error) of each of `roc_curves` by its name. values: what `evaluate` gave with these classes."""
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
        "threshold": ranking.thresholds[kept],
        "signal_efficiency": signal_passing[kept] / (signals or np.nan),
        "background_efficiency": background_passing[kept] / (backgrounds or np.nan),
    }


def _share(k: float, n: float) -> Measured:
    """k/n, and the standard deviation of the binomial's posterior with a flat prior.

    Ullrich and Xu, physics/0701199: sqrt(p(1-p)/n) for large n, and not zero where all or none pass.
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

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("auc", "area under the ROC curve", "AUC", _auc, _auc_of_class, decimals=4),
        Metric("accuracy", "accuracy", "accuracy", _accuracy, decimals=4, epochwise="val_accuracy"),
        Metric("precision", "precision (signal purity)", "precision", _precision, _precision, decimals=4),
        Metric("recall", "recall (signal efficiency)", "recall", _recall, _recall, decimals=4),
        Metric("log_loss", "log-loss", "log-loss", _log_loss, higher_is_better=False, decimals=4, epochwise="val_loss"),
        *(
            Metric(
                name=f"rejection_{percent}",
                title=f"1/ε_B at ε_S = {percent} %",
                heading=f"1/ε_B at {percent} %",
                of=partial(rejection, efficiency=percent / 100),
                of_class=partial(rejection, efficiency=percent / 100),
            )
            for percent in EFFICIENCIES
        ),
        *(
            Metric(
                name=f"efficiency_at_purity_{percent}",
                title=f"ε_S at a purity of {percent} %",
                heading=f"ε_S at purity {percent} %",
                of=partial(efficiency_at_purity, purity=percent / 100),
                of_class=partial(efficiency_at_purity, purity=percent / 100),
                decimals=4,
            )
            for percent in PURITIES
        ),
        *(
            Metric(
                name=name,
                title=f"{name.replace('_', ' ')} (events)",
                heading=name.replace("_", " "),
                of=partial(_count, of_signal=of_signal, as_signal=as_signal),
                higher_is_better=of_signal == as_signal,
                decimals=0,
                epochwise="val_accuracy",
            )
            for name, (of_signal, as_signal) in COUNTS.items()
        ),
        Metric("auc_micro", "AUC of all decisions together", "micro AUC", _auc_micro, decimals=4, needs=("classes",)),
        Metric("auc_macro", "mean of the classes' AUC", "macro AUC", _auc, decimals=4, needs=("classes",)),
    )
}

accuracy = METRICS["accuracy"].compute
precision = METRICS["precision"].compute
recall = METRICS["recall"].compute
log_loss = METRICS["log_loss"].compute
auc = METRICS["auc"].compute
