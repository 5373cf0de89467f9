"""The records shared by all modules: tasks, models, metrics and the data passed between them."""

from __future__ import annotations

import difflib
import importlib.util
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from hepbench.benchmarks.scored import Scored

if TYPE_CHECKING:
    import keras
    import optuna
    import torch


Arrays = Mapping[str, Any]
"""Named arrays whose first axis is the event: numpy's, or `benchmarks.formats.sparse_images.Sparse`."""

Shapes = Mapping[str, tuple[int, ...]]
"""Shape of one event in each named array: `{"image": (32, 32, 2)}`."""

Parameters = Mapping[str, Any]
"""Hyper-parameters by name, each a number, a string, a bool, None or a tuple of these."""

Report = Callable[[int, Mapping[str, float]], None]
"""Called by a training run after each epoch or round: `report(epoch, {"loss": ..., "val_loss": ...})`, epochs from 1.
"""


class UserError(Exception):
    """A mistake that the user can fix: printed as one line without a traceback, exit status 2."""


def check_known(kind: str, given: str, known: Iterable[str], more: str = "") -> None:
    """Raises UserError, suggesting the closest match, if `given` is not one of `known`."""
    known = list(known)
    if given not in known:
        near = difflib.get_close_matches(given, known, n=1, cutoff=0.5)
        hint = f", did you mean {near[0]!r}?" if near else "."
        raise UserError(f"unknown {kind} {given!r}{hint} Known: {', '.join(known)}{more}")


NAME = re.compile(r"\w[\w.-]*")
"""Names of hyper-parameters, views, feature sets and variants: used in commands, folder names and every store of
results."""

LONGEST_NAME = 100


def check_names(kind: str, names: Iterable[Any]) -> None:
    """Raises UserError for the first of these that is not a valid name."""
    for name in names:
        if not isinstance(name, str) or not NAME.fullmatch(name) or len(name) > LONGEST_NAME:
            raise UserError(
                f"{kind} {name!r}: its name must consist of at most {LONGEST_NAME} letters, digits, '_', '-' and '.', "
                "and begin with a letter, a digit or '_'"
            )


def plain(name: str, value: Any) -> Any:
    """The value of a hyper-parameter as stored and passed to models: numpy numbers become Python numbers, lists become
    tuples. Raises UserError for anything but a number, string, bool, None or sequence of these, and for NaN."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, list | tuple):
        return tuple(plain(name, one) for one in value)
    is_nan = isinstance(value, float) and math.isnan(value)
    if is_nan or not (value is None or isinstance(value, bool | int | float | str)):
        got = "NaN" if is_nan else f"a {type(value).__name__}"
        raise UserError(
            f"hyper-parameter {name}: expected a number, a string, a bool, None or a tuple of these, but got {got}"
        )
    return value


def as_text(value: Any) -> str:
    """The value of a hyper-parameter as `--set` takes it: a tuple with commas and without spaces."""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


@dataclass(frozen=True)
class Events:
    """A chunk of events as a reader yields it.

    arrays: named arrays, each (N, ...). labels: (N,) class index into `Task.classes`; None for unlabelled files: such
    events can be scored, not trained on. ids: (N,) int64, unique, the same for the same event in every reading of the
    file. weights: (N,) of the events, none negative; None in all chunks: each counts one. Arrays of the same name have
    the same shape (apart from N) and dtype in all chunks.
    """

    arrays: Arrays
    labels: np.ndarray | None
    ids: np.ndarray
    weights: np.ndarray | None = None


@dataclass(frozen=True)
class Source:
    """A published file. sha256, md5 or size in bytes is None where the publisher gives none. optional: the dataset is
    complete without it. mirrors: other addresses of the same file, tried in order."""

    name: str
    url: str
    sha256: str | None = None
    size: int | None = None
    optional: bool = False
    mirrors: Sequence[str] = ()
    md5: str | None = None

    @property
    def digest(self) -> tuple[str, str] | None:
        """("sha256" or "md5", expected value); None where none is published."""
        return ("sha256", self.sha256) if self.sha256 else ("md5", self.md5) if self.md5 else None


@dataclass(frozen=True)
class Reference:
    """A published result. verified: read in the named source by this project, not quoted from memory."""

    model: str
    metrics: Mapping[str, float]
    trained_on: str
    source: str
    verified: bool


@dataclass(frozen=True)
class ReportedTraining:
    """Published cost of a training run. device: "cpu" or "gpu"; hardware: its name. seconds: of all epochs.
    utilisation: of the device, in per cent."""

    device: str
    hardware: str
    epochs: int
    batch_size: int
    seconds: float
    utilisation: float


@dataclass(frozen=True)
class Check:
    """One line of a validation: a quantity measured on these events and its expected value.

    error: one standard deviation of observed minus expected, both errors in quadrature.
    """

    figure: str
    observed: float
    expected: float
    error: float
    source: str

    @property
    def pull(self) -> float:
        """Observed minus expected in standard deviations."""
        return (self.observed - self.expected) / self.error


@dataclass(frozen=True)
class Comparison:
    """A distribution of these events compared with the expected one, bin by bin.

    edges: (bins + 1,). observed, expected: (bins,) fractions. error: (bins,) one standard deviation of their
    difference.
    """

    figure: str
    edges: np.ndarray
    observed: np.ndarray
    expected: np.ndarray
    error: np.ndarray
    source: str

    @property
    def chi2(self) -> float:
        known = self.error > 0
        return float((((self.observed - self.expected)[known] / self.error[known]) ** 2).sum())

    @property
    def degrees(self) -> int:
        """Bins with an error, less one, since fractions sum to 1."""
        return max(1, int((self.error > 0).sum()) - 1)

    @property
    def p_value(self) -> float:
        from scipy.stats import chi2

        return float(chi2.sf(self.chi2, self.degrees))


@dataclass(frozen=True)
class Simulation:
    """A simulation of events in chunks, so that processes share the work and an interrupted simulation resumes.

    chunk: events of one class per call.
    generate: (class index, chunk number, seed) -> named arrays of `chunk` events. The same arguments give the same
        bytes, and chunks are independent of each other.
    write: (folder, events of each class, chunks) -> files in the official format. chunks yields (class index, arrays)
        with chunk 0 of every class, then chunk 1, and so on; the last of a class is truncated to the number requested.
    classes, name: for a variant with its own simulation: the classes that it generates, in the order of the class
        index, and a name that distinguishes its files from those of the task. Empty: the classes of the task.
    """

    chunk: int
    generate: Callable[[int, int, int], Arrays]
    write: Callable[[Path, Sequence[int], Iterator[tuple[int, Arrays]]], list[Path]]
    classes: tuple[str, ...] = ()
    name: str = ""


WEIGHTED = ("both", "training", "testing")
"""Where event weights enter."""

View = Callable[[Arrays], Arrays]
"""From `Events.arrays` to a model's inputs."""


@dataclass(frozen=True)
class FeatureSet:
    """A subset of a task's inputs, for published results that differ in the inputs of their models.

    columns: input -> how many of its leading columns belong to the set. views: view -> function that replaces the
    task's. A set without either is all inputs; any other has only the inputs that it names.
    """

    columns: Mapping[str, int] = field(default_factory=dict)
    views: Mapping[str, View] = field(default_factory=dict)

    def supports(self, view: str) -> bool:
        """Whether the set has inputs for a model that uses this view."""
        main = {"cloud": "features"}.get(view, view)
        return not (self.columns or self.views) or not view or main in self.columns or view in self.views


@dataclass(frozen=True)
class Task:
    """A dataset and its meaning. A task file exposes one as `TASK`; its name is the file's name.

    read: official files -> chunks of Events, in file order; raises UserError naming file and fault.
    plain_read: the same result as `read` from a straightforward loop over events: the baseline of its speed.
    views: view name ("image", "cloud", "table") -> function from `Events.arrays` to a model's inputs:
        image {"image": (N, H, W, C)}; cloud {"points": (N, P, 2), "features": (N, P, F), "mask": (N, P)},
        with "log_pt": (N, P) where points are particles or hits, the unscaled logarithm of their pT or energy;
        table {"table": (N, V)}; momenta {"momenta": (N, P, 4), E, px, py, pz in GeV, "mask": (N, P)}, with "features":
        (N, P, F) of Lorentz-invariant inputs, and "references": (N, 3, 4), the directions of both beams and of the
        laboratory's time axis, in the frame of the momenta.
        Any view may add {"context": (N, K)}, event-level variables that every family takes as additional inputs, such
        as the mass hypothesis of a parametrised network; context names them.
    features: input sets in which published results differ, by name; the first is the default.
    missing: array -> the value by which its files mark missing values, such as -999; NaN where they are NaN. Missing
        values are NaN in "table" and "context", which models take unchanged or filled; other inputs of a view must
        have a number there. NaN in other arrays is rejected, and so is infinity.
    weights: where the weights given by `read` enter: "training", in the loss and the early stopping; "testing", in the
        metrics with their errors; or "both". Only relative weights within a class count: those of each class are
        scaled to a mean of one.
    reweight: arrays -> (N,) a variable, such as the pT, whose spectrum is made equal for all classes in testing, by
        weights in bins of it; what a model knows only from it then does not count.
    metrics: the task's own metrics, by name, in addition to those of every task.
    simulation: None where the task has genuine data only.
    locate: path of genuine data that need no download, shipped in a Python package; None if absent. Where sources have
        a sha256, it is that of one of them.
    custom_layout: folder of the official files -> a group's own files there in place of `sources`, with the file that
        declares them, which is part of the data; None without such a declaration.
    required_sources: how many of the sources, whichever, make a dataset; None: all that are not optional.
    split: (labels, ids) -> (N,) int8, 0 training, 1 validation, 2 test, -1 unused. None: 70/15/15, seeded.
    slices: name -> function from arrays to (N,) integers; for each value the AUC is also given, `auc_<name>_<value>`,
        with "_" for characters that stores of results do not allow in the name of a metric.
    validate: all events' arrays and labels -> checks and comparisons with calibration figures.
    variants: name -> a task on the same files, such as one pair of the classes, or on other files in the same folder;
        TASK=<task>:<variant>.
    spaces: model -> a search space in place of the family's, adapted to the task.
    size: events of the official dataset, and of a simulation without a given number.
    """

    title: str
    classes: tuple[str, ...]
    read: Callable[[Sequence[Path]], Iterator[Events]]
    views: Mapping[str, View]
    signal: int = 1
    variables: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()
    context: tuple[str, ...] = ()
    features: Mapping[str, FeatureSet] = field(default_factory=dict)
    plain_read: Callable[[Sequence[Path]], Iterator[Events]] | None = None
    missing: Mapping[str, float] = field(default_factory=dict)
    weights: str = "both"
    reweight: Callable[[Arrays], np.ndarray] | None = None
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    simulation: Simulation | None = None
    locate: Callable[[], list[Path] | None] | None = None
    custom_layout: Callable[[Path], list[Path] | None] | None = None
    required_sources: int | None = None
    split: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    slices: Mapping[str, Callable[[Arrays], np.ndarray]] = field(default_factory=dict)
    validate: Callable[[Arrays, np.ndarray], Sequence[Check | Comparison]] | None = None
    spaces: Mapping[str, Callable[[optuna.Trial], dict[str, Any]]] = field(default_factory=dict)
    size: int | None = None
    references: tuple[Reference, ...] = ()
    variants: Mapping[str, Task] = field(default_factory=dict)
    licence: str = ""
    citation: str = ""

    def __post_init__(self) -> None:
        """Raises UserError for names that folders, commands or stores do not allow, and a signal that is no class."""
        for name in ("classes", "variables", "context"):
            if isinstance(value := getattr(self, name), list):
                object.__setattr__(self, name, tuple(value))
        named = isinstance(self.classes, tuple) and all(isinstance(one, str) and one.strip() for one in self.classes)
        if not named or not 2 <= len(set(self.classes)) == len(self.classes):
            raise UserError(f"classes must be two or more different names, got {self.classes!r}")
        if self.signal not in range(len(self.classes)):
            raise UserError(f"signal must be the index of a class, 0 to {len(self.classes) - 1}, got {self.signal!r}")
        check_known("use of weights", self.weights, WEIGHTED)
        for kind, names in {"view": self.views, "set of features": self.features, "variant": self.variants}.items():
            check_names(kind, names)

    def view(self, name: str, features: str = "") -> View:
        """The function for a view under a feature set."""
        chosen = self.features.get(features, FeatureSet())
        return chosen.views.get(name, self.views[name])


Scaling = Mapping[str, tuple[np.ndarray, ...]]
"""See `Sample.scaling`."""


@dataclass(frozen=True)
class Sample:
    """The events of a training, validation or test set as a model sees them. Inputs may be memory-mapped and hold every
    event of the file; `rows` are those of this set. Scaling is fitted on the training set only.

    inputs: named arrays over the whole file. rows: (n,) int64. labels: (n,) int64.
    scaling: input name -> (shift, scale), applied as (x - shift) * scale, on the last axis. Where NaN is filled
        (shift, scale, fill, marked), the last two as in `filled`.
    weights: (n,) float32 event weights for training, with a mean of one in each class; None: each counts one.
    """

    inputs: Arrays
    rows: np.ndarray
    labels: np.ndarray
    scaling: Scaling = field(default_factory=dict)
    weights: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, which: np.ndarray | slice) -> dict[str, np.ndarray]:
        """Scaled inputs of these events of the set, in memory: one batch, or `slice(None)` for all."""
        rows = self.rows[which]
        batch = {}
        for name, array in self.inputs.items():
            values = array[rows]
            if name in self.scaling:
                shift, scale, *filling = self.scaling[name]
                values = (filled(values, *filling) if filling else values) - shift
                values *= scale
            batch[name] = values
        return batch

    @property
    def raw_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of an event in each raw input, before scaling."""
        return {name: array.shape[1:] for name, array in self.inputs.items()}

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of an event in each input as `take` gives it: with the columns that flag missing values."""
        shapes = self.raw_shapes
        for name, (_, _, *filling) in self.scaling.items():
            if filling and name in shapes:
                shapes[name] = (*shapes[name][:-1], shapes[name][-1] + len(filling[1]))
        return shapes


def filled(values: np.ndarray, fill: np.ndarray, marked: np.ndarray) -> np.ndarray:
    """(n, V + k) from values (n, V): NaN replaced by `fill` (V,); followed, for the columns `marked` (k,), by flags, 1
    where the value was NaN, else 0."""
    missing = np.isnan(values)
    marks = missing[:, marked].astype(values.dtype)
    return np.concatenate([np.where(missing, fill.astype(values.dtype), values), marks], axis=1)


class Fitted(Protocol):
    """A trained model."""

    @property
    def trainable_parameters(self) -> int:
        """Trained numbers: weights of a network without its moving averages, leaves and splits of trees."""

    def predict(self, sample: Sample) -> np.ndarray:
        """(n, classes) float32 scores, each row summing to 1, in the order of `sample.rows`.

        A model may also have `predict_log`: natural logarithms of the scores, which still rank events where the scores
        round to 1. It is then called instead of this.
        """

    def save(self, folder: Path) -> None:
        """Write what `Model.load` needs into an existing folder."""


@dataclass(frozen=True)
class Model:
    """A model family. A model file exposes one as `MODEL`; its name is the file's name.

    view: the inputs it uses, a key of `Task.views`; "" if it uses labels only.
    defaults: every hyper-parameter with its default. space: an Optuna trial -> hyper-parameters that replace defaults.
    build: (shapes, classes, parameters) -> an uncompiled Keras network on inputs named as in `shapes`, ending in
        probabilities: (N, 1) of class 1 for two classes, or (N, classes). Or a torch.nn.Module whose forward takes
        tensors by these names, or only the table or the image, and returns logits of the same shapes.
    fit, load: for models that are neither.
        fit(train, valid, parameters, classes=, seed=, device=, report=) -> Fitted, with train and valid Samples and
        device "cpu" or "gpu"; load(folder) -> Fitted.
    needs_context: it supports only tasks with a context.
    takes_missing: it gets NaN for missing values; other models get the median of the training set and, for each
        variable with missing values in training, an additional column, 1 where the value is missing, else 0.
    package: a package that it imports and hepbench does not install; without it, it supports no task. "torch" where
        `build` gives a torch.nn.Module; implied for a file that imports torch.
    reported: task -> published costs of training this same network on that task, for `hepbench sweep`.
    """

    title: str
    view: str
    defaults: Parameters
    space: Callable[[optuna.Trial], dict[str, Any]]
    build: Callable[[Shapes, int, Parameters], keras.Model | torch.nn.Module] | None = None
    fit: Callable[..., Fitted] | None = None
    load: Callable[[Path], Fitted] | None = None
    source: str = ""
    needs_context: bool = False
    takes_missing: bool = False
    package: str = ""
    reported: Mapping[str, Sequence[ReportedTraining]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Makes the defaults `plain`. Raises UserError for invalid names and values of hyper-parameters."""
        check_names("hyper-parameter", self.defaults)
        defaults = {name: plain(name, value) for name, value in self.defaults.items()}
        for name in ("epochs", "rounds"):
            if name in defaults and (type(defaults[name]) is not int or defaults[name] < 1):
                raise UserError(f"the default of {name} must be a whole number above 0, got {defaults[name]!r}")
        object.__setattr__(self, "defaults", defaults)

    @property
    def in_keras(self) -> bool:
        """Whether it is a Keras network, as far as known before it is built."""
        return self.build is not None and self.package != "torch"

    def backend(self, of_keras: str) -> str:
        """Backend that computes it: "torch" for a PyTorch network, whatever the backend of Keras; "" for no network."""
        if self.package == "torch":
            return "torch"
        return of_keras if self.in_keras else ""

    @property
    def missing_package(self) -> str | None:
        """The required package that is not installed, with the command that installs it, or None."""
        if not self.package or importlib.util.find_spec(self.package):
            return None
        return f"needs the package {self.package}, which is not installed: pip install {self.package}"

    def incompatibility(self, task: Task) -> str | None:
        """Why this family does not support the task, or None if it does."""
        if self.missing_package:
            return self.missing_package
        if self.view and self.view not in task.views:
            return f"needs {self.view} inputs; the task has {', '.join(task.views)}"
        if self.needs_context and not task.context:
            return "needs context variables of the event; the task has none"
        return None


@dataclass(frozen=True)
class Metric:
    """One number computed from saved scores, with all that tables, plots, searches and exports need to know of it.

    name: its key, as logged. title: description. heading: of a column or an axis.
    of: scored events, signal class -> (value, one standard deviation), each NaN where not measurable.
    of_class: the same for any class, one-vs-rest; with more than two classes each has it, as `<name>_<class>`.
    higher_is_better: decides a leaderboard's order and the direction of a search.
    decimals: of a printed value; None: two significant digits of its error.
    needs: requirements on a task besides scores: "binary" two classes, "classes" more than two, "weights" of events.
    epochwise: quantity reported after each epoch that follows the metric, by which a search prunes a trial.
    scale: "linear", "logit" or "log": on which an interval is symmetric about the value.
    lowest: the least value possible, where the interval of a linear scale is cut.
    interval: scored events, signal class, standard deviations to either side -> (low, high), where the scale does not
        give it; also where the value is not measurable.
    limit: the bound on the better side, at 95 %, where the value is not measurable but a bound is; else NaN.
    influences: (n,) contribution of each event to the value, less its mean, so that the sum of squares is the variance
        of the value; for the difference of two models on the same events, that of the difference of the influences.
    bootstrap: training runs scored on the same events, signal class, resamplings -> (runs, resamplings) values on the
        same resampled events, NaN where not measurable.
    """

    name: str
    title: str
    heading: str
    of: Callable[[Scored, int], tuple[float, float]]
    of_class: Callable[[Scored, int], tuple[float, float]] | None = None
    higher_is_better: bool = True
    decimals: int | None = None
    needs: tuple[str, ...] = ()
    epochwise: str = "val_auc"
    scale: str = "linear"
    lowest: float = -math.inf
    interval: Callable[[Scored, int, float], tuple[float, float]] | None = None
    limit: Callable[[Scored, int], float] | None = None
    influences: Callable[[Scored, int], np.ndarray] | None = None
    bootstrap: Callable[[Sequence[Scored], int, int], np.ndarray] | None = None

    def compute(
        self, labels: np.ndarray, scores: np.ndarray, signal: int, weights: np.ndarray | None = None
    ) -> tuple[float, float]:
        """(value, one standard deviation) for labels (n,), scores (n, classes) and event weights (n,)."""
        return self.of(Scored(labels, scores, weights), signal)
