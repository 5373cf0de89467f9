"""From stored labels and scores to numbers with errors, the same lines for every model family.

`METRICS` holds the record of each by name. All work on numpy arrays alone: labels (n,) of class indices, scores
(n, classes) with rows summing to 1, and the index of the signal class; with more than two classes the background is
everything else.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from hepbench.benchmarks.base import Metric

FEWEST_PASSING = 10
"""A rejection measured with fewer background events than this is "not measurable" and NaN."""


def evaluate(labels: np.ndarray, scores: np.ndarray, signal: int) -> dict[str, float]:
    """Every metric as `name` and its standard deviation as `name_error`; NaN where it cannot be measured.

    labels: (n,) class indices. scores: (n, classes). Raises ValueError if the scores are not finite or their number
    is not that of the labels.
    """
    if scores.ndim != 2 or len(scores) != len(labels):
        raise ValueError(f"scores must be (n, classes) for {len(labels)} labels, but got {scores.shape}")
    if not np.isfinite(scores).all():
        raise ValueError(
            f"scores must be finite, but {np.count_nonzero(~np.isfinite(scores).all(axis=1))} rows are not"
        )
    values = {}
    for name, metric in METRICS.items():
        values[name], values[f"{name}_error"] = metric.compute(labels, scores, signal)
    return values


def accuracy(labels: np.ndarray, scores: np.ndarray, signal: int) -> tuple[float, float]:
    """Share of events whose highest score is their own class."""
    return _efficiency(scores.argmax(axis=1) == labels)


def precision(labels: np.ndarray, scores: np.ndarray, signal: int) -> tuple[float, float]:
    """Share of signal among the events that score highest as signal (purity)."""
    return _efficiency(labels[scores.argmax(axis=1) == signal] == signal)


def recall(labels: np.ndarray, scores: np.ndarray, signal: int) -> tuple[float, float]:
    """Share of the signal that scores highest as signal (efficiency)."""
    return _efficiency(scores[labels == signal].argmax(axis=1) == signal)


def log_loss(labels: np.ndarray, scores: np.ndarray, signal: int) -> tuple[float, float]:
    """Mean of -log(score of the true class), and the standard error of that mean.

    Scores below the smallest step of float32 are raised to it, so that one certain mistake costs 16 and not infinity.
    """
    if len(labels) < 2:
        return np.nan, np.nan
    true = scores[np.arange(len(labels)), labels].astype(np.float64)
    losses = -np.log(np.clip(true, np.finfo(np.float32).eps, 1))
    return float(losses.mean()), float(losses.std(ddof=1) / np.sqrt(len(losses)))


def auc(labels: np.ndarray, scores: np.ndarray, signal: int) -> tuple[float, float]:
    """Area under the ROC curve; with more than two classes the mean over the classes, each against the rest.

    The error is DeLong's (Biometrics 44 (1988) 837) by the mid-rank algorithm of Sun and Xu (IEEE Signal Processing
    Letters 21 (2014) 1389), in O(n log n). For the mean, each event's parts in every class' area are summed before
    the variance is taken within its true class, so correlations are counted; two classes give DeLong's own formula.
    NaN if a class has fewer than two events.
    """
    classes = scores.shape[1]
    number = np.bincount(labels, minlength=classes)
    if number.min() < 2:
        return np.nan, np.nan
    tested = [signal] if classes == 2 else list(range(classes))
    area, share = 0.0, np.zeros(len(labels))
    for positive in tested:
        above = _placements(labels == positive, scores[:, positive])
        area += above[labels == positive].mean() / len(tested)
        own = np.where(labels == positive, number[positive], len(labels) - number[positive])
        share += above / own / len(tested)
    if classes == 2:
        groups = [labels == signal, labels != signal]
    else:
        groups = [labels == true for true in range(classes)]
    variance = sum(np.count_nonzero(group) * share[group].var(ddof=1) for group in groups)
    return float(area), float(np.sqrt(variance))


def auc_by_slice(
    name: str, slices: np.ndarray, labels: np.ndarray, scores: np.ndarray, signal: int
) -> dict[str, float]:
    """The AUC and its error for each value of `slices` (n,) alone, as `auc_<name>_<value>` and `..._error`."""
    values = {}
    for value in np.unique(slices):
        inside = slices == value
        key = f"auc_{name}_{value}"
        values[key], values[f"{key}_error"] = auc(labels[inside], scores[inside], signal)
    return values


def rejection(labels: np.ndarray, scores: np.ndarray, signal: int, efficiency: float) -> tuple[float, float]:
    """Background rejection 1/eps_B at this signal efficiency, with the binomial error of the background that passes.

    Events with equal scores count in proportion, which is the straight line between two corners of the ROC curve.
    NaN, "not measurable", where fewer than 10 background events pass.
    """
    _, signal_passing, background_passing = _cumulative(labels == signal, scores[:, signal])
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


def roc_curve(labels: np.ndarray, scores: np.ndarray, signal: int, most: int = 2000) -> dict[str, np.ndarray]:
    """Equally long "threshold", "signal_efficiency" and "background_efficiency" of `score >= threshold`, from
    (inf, 0, 0) to (1, 1).

    Thinned to about `most` points: half spread evenly in signal efficiency and half in the logarithm of background
    efficiency, so that the steep corner at high rejection keeps its steps. Efficiencies are NaN for an absent class.
    """
    thresholds, signal_passing, background_passing = _cumulative(labels == signal, scores[:, signal])
    signals, backgrounds = signal_passing[-1], background_passing[-1]
    last = len(thresholds) - 1
    kept = np.arange(len(thresholds))
    if len(thresholds) > most:
        evenly = np.searchsorted(signal_passing, np.linspace(0, signals, most // 2))
        steeply = np.searchsorted(background_passing, np.geomspace(1, max(backgrounds, 1), most // 2))
        kept = np.unique(np.minimum(np.concatenate([[0, last], evenly, steeply]), last))
    return {
        "threshold": thresholds[kept],
        "signal_efficiency": signal_passing[kept] / (signals or np.nan),
        "background_efficiency": background_passing[kept] / (backgrounds or np.nan),
    }


def _efficiency(passed: np.ndarray) -> tuple[float, float]:
    """Share that passed, and the standard deviation of the binomial's posterior with a flat prior.

    Ullrich and Xu, physics/0701199: sqrt(p(1-p)/n) for large n, and not zero where all or none pass.
    """
    n = len(passed)
    if not n:
        return np.nan, np.nan
    k = np.count_nonzero(passed)
    variance = (k + 1) * (k + 2) / ((n + 2) * (n + 3)) - (k + 1) ** 2 / (n + 2) ** 2
    return k / n, float(np.sqrt(variance))


def _placements(positive: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """For a positive event the share of negatives below it, for a negative the share of positives above it; equal
    scores count one half. Both average to the area under the curve (Sun and Xu, equations 6 to 10)."""
    from scipy.stats import rankdata

    ranks = rankdata(scores)
    positives, negatives = np.count_nonzero(positive), np.count_nonzero(~positive)
    placements = np.empty(len(scores))
    placements[positive] = (ranks[positive] - rankdata(scores[positive])) / negatives
    placements[~positive] = 1 - (ranks[~positive] - rankdata(scores[~positive])) / positives
    return placements


def _cumulative(positive: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Falling distinct thresholds, starting above every score, and how many positives and negatives reach each."""
    order = np.argsort(-scores, kind="stable")
    falling, hit = scores[order], positive[order]
    corner = np.flatnonzero(np.append(falling[1:] != falling[:-1], True)) if len(falling) else np.zeros(0, np.int64)
    thresholds = np.concatenate([[np.inf], falling[corner]])
    positives = np.concatenate([[0], np.cumsum(hit)[corner]])
    return thresholds, positives, np.concatenate([[0], corner + 1]) - positives


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("auc", "area under the ROC curve", "AUC", auc, decimals=4),
        Metric("accuracy", "accuracy", "accuracy", accuracy, decimals=4, epochwise="val_accuracy"),
        Metric("precision", "precision (signal purity)", "precision", precision, decimals=4),
        Metric("recall", "recall (signal efficiency)", "recall", recall, decimals=4),
        Metric("log_loss", "log-loss", "log-loss", log_loss, higher_is_better=False, decimals=4, epochwise="val_loss"),
        *(
            Metric(
                name=f"rejection_{percent}",
                title=f"1/ε_B at ε_S = {percent} %",
                heading=f"1/ε_B at {percent} %",
                compute=partial(rejection, efficiency=percent / 100),
            )
            for percent in (30, 50, 70)
        ),
    )
}
