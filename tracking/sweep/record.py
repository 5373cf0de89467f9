"""What a batch-size study measured, and what follows from it: how fast a score is reached, and the sweet spot."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from hepbench.tracking.numbers import significant_digits

CHANCE = 0.5
"""AUC of a network that knows nothing; with more than two classes, too, as it is the mean of one-vs-rest."""

SHARE = 0.99
"""Of the way from chance to the best score, where no target is given."""

DEVICES = {"cpu": "CPU", "gpu": "GPU"}
"""What a study measures on -> how it is written."""

MOST_OTHERS = 10.0
"""Per cent of the machine's cores that others may use while a training is timed, before a study says so."""


class ReportedTraining(Protocol):
    """A published cost of a training, which the caller brings."""

    @property
    def device(self) -> str:
        """ "cpu" or "gpu"."""

    @property
    def hardware(self) -> str:
        """Name of the device."""

    @property
    def epochs(self) -> int:
        """How many were trained."""

    @property
    def batch_size(self) -> int:
        """Events a step."""

    @property
    def seconds(self) -> float:
        """Of all epochs."""

    @property
    def utilisation(self) -> float:
        """Of the device, in per cent."""


@dataclass(frozen=True)
class Training:
    """One training. The arrays are (epochs,), a value after each epoch, NaN where it was not measured.

    auc, accuracy: of the validation part. seconds: of the steps of each epoch. rates: events a second. cpu_percent: of
    the usable cores, in the steps. measured: metrics of the whole run by name, as they were logged.
    """

    seed: int
    auc: np.ndarray
    accuracy: np.ndarray
    seconds: np.ndarray
    rates: np.ndarray
    cpu_percent: np.ndarray
    measured: Mapping[str, float] = field(default_factory=dict)

    @property
    def trained(self) -> np.ndarray:
        """(epochs,) seconds of training since its start."""
        return np.cumsum(self.seconds)


@dataclass(frozen=True)
class Point:
    """A batch size on a device: its trainings, one a seed. failure: why there is none."""

    device: str
    batch_size: int
    trainings: tuple[Training, ...]
    failure: str = ""

    def middle(self, name: str) -> float:
        """Median over the trainings of a metric of the whole run; NaN where one has not got it."""
        return median([training.measured.get(name, math.nan) for training in self.trainings])


@dataclass(frozen=True)
class Sweep:
    """A study of one network on one task.

    hardware: device -> its name, for those that were measured; not_measured: device -> why, for the others. left_out:
    batch sizes that are larger than the training part. train_events: in it. target: the validation AUC that is to be
    reached, None where nothing was learned; rule: where it comes from, in words. reported: published trainings of this
    very network on this task.
    """

    points: tuple[Point, ...]
    hardware: Mapping[str, str]
    not_measured: Mapping[str, str]
    left_out: tuple[int, ...]
    train_events: int
    target: float | None
    rule: str
    reported: tuple[ReportedTraining, ...] = ()

    def of(self, device: str) -> list[Point]:
        """The points of a device that have a training, by batch size."""
        found = [point for point in self.points if point.device == device and point.trainings]
        return sorted(found, key=lambda point: point.batch_size)


@dataclass(frozen=True)
class Reached:
    """When the trainings of a batch size first had the target score. seconds, epochs: medians. earliest, latest: the
    seconds between which it came to pass, over all trainings: a score is known at the end of an epoch only."""

    seconds: float
    epochs: float
    earliest: float
    latest: float


def first_reached(scores: np.ndarray, seconds: np.ndarray, target: float) -> tuple[int, float, float] | None:
    """(epoch from 1, seconds when it began, seconds when it ended) of the first epoch that ends with the target score
    or more; None where there is none. scores: (epochs,). seconds: (epochs,) of each epoch."""
    hits = np.flatnonzero(scores >= target)
    if not len(hits):
        return None
    ends = np.cumsum(seconds)
    epoch = int(hits[0])
    return epoch + 1, float(ends[epoch - 1]) if epoch else 0.0, float(ends[epoch])


def reached(point: Point, target: float | None) -> Reached | None:
    """None where half of the trainings, or more, do not reach it."""
    if target is None:
        return None
    found = [first_reached(training.auc, training.seconds, target) for training in point.trainings]
    hits = [one for one in found if one is not None]
    if 2 * len(hits) <= len(found):
        return None
    missing = [math.inf] * (len(found) - len(hits))
    return Reached(
        seconds=median([hit[2] for hit in hits] + missing),
        epochs=median([float(hit[0]) for hit in hits] + missing),
        earliest=min(hit[1] for hit in hits),
        latest=max([hit[2] for hit in hits] + missing),
    )


def best_score(point: Point) -> float:
    """The highest validation AUC of a training's epochs, the median over the trainings."""
    return median([highest(training.auc) for training in point.trainings])


def default_target(points: Sequence[Point]) -> float | None:
    """`SHARE` of the way from chance to the best score that any of the points has; None where the best is within two
    errors of chance."""
    scores = [(best_score(point), point.middle("final_val_auc_error")) for point in points if point.trainings]
    known = [(score, error) for score, error in scores if math.isfinite(score)]
    if not known:
        return None
    score, error = max(known)
    learned = score - CHANCE > 2 * (error if math.isfinite(error) else 0.0)
    return CHANCE + SHARE * (score - CHANCE) if learned else None


def verdicts(sweep: Sweep) -> list[str]:
    """The sweet spot of each device in a sentence: the batch size that reaches the target fastest."""
    said = [_verdict(sweep, device) for device in DEVICES if device in sweep.hardware]
    said += [f"{DEVICES[device]}: not measured ({reason})." for device, reason in sweep.not_measured.items()]
    return said


def _verdict(sweep: Sweep, device: str) -> str:
    points = sweep.of(device)
    place = f"On the {DEVICES[device]} ({sweep.hardware[device]})"
    if not points:
        return f"{place} no training run succeeded."
    if sweep.target is None:
        return f"{place} no batch size learned more than chance, so that none is the sweet spot."
    found = [(point, hit) for point in points if (hit := reached(point, sweep.target)) is not None]
    if not found:
        return f"{place} no batch size reached a validation AUC of {sweep.target:.4f} within its epochs."
    best, soonest = min(found, key=lambda one: one[1].seconds)
    sentence = (
        f"{place} the sweet spot is a batch size of {best.batch_size:,}: it reaches a validation AUC of "
        f"{sweep.target:.4f} fastest, after {significant_digits(soonest.seconds)} s of training and {soonest.epochs:g} "
        f"epoch{'s' * (soonest.epochs != 1)}."
    )
    alike = [point.batch_size for point, hit in found if point is not best and hit.earliest < soonest.latest]
    if alike:
        sentence += f" It is not distinguished from {listed(alike)}: their times, known to within an epoch, overlap."
    elif len(found) > 1 and best.batch_size in (points[0].batch_size, points[-1].batch_size):
        end = "smallest" if best is points[0] else "largest"
        sentence += f" It is the {end} measured, so that another may be better."
    if missing := [point for point in points if all(point is not one for one, _ in found)]:
        sentence += f" Not reached within their epochs with {listed([point.batch_size for point in missing])}"
        close = [point.batch_size for point in missing if _nearly(point, sweep.target)]
        sentence += f"; {listed(close)} missed it by less than the error of the score." if close else "."
    if max(len(point.trainings) for point in points) == 1:
        sentence += " One seed each: the run-to-run variance is not measured."
    return sentence


def _nearly(point: Point, target: float) -> bool:
    """Whether the best score is within its statistical error of the target."""
    return target - best_score(point) < point.middle("final_val_auc_error")


def listed(sizes: Sequence[int]) -> str:
    """ "32, 128 and 256"."""
    texts = [f"{size:,}" for size in sizes]
    return " and ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)


def median(values: Sequence[float]) -> float:
    """NaN for none, and where one is NaN. Of two the mean, so that one infinite makes it infinite."""
    return float(np.median(values)) if len(values) else math.nan


def highest(scores: np.ndarray) -> float:
    """Of those that are measured; NaN for none."""
    known = scores[np.isfinite(scores)]
    return float(known.max()) if len(known) else math.nan
