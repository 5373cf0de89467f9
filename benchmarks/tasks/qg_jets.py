"""Quark or gluon: jets of 500 to 550 GeV as lists of particles, Pythia, no detector.

The official 20 files (Zenodo 3164691) have 100,000 jets each under the keys `X` (n, M, 4) float64 = (pT in GeV,
rapidity, phi, PDG code) of the particles, padded with zeros to the widest jet M of the file, and `y` (n,) quark 1,
gluon 0. Any number of the files, from the first on, make a dataset. `benchmarks/simulation/qg_jets.py` writes the same.

On 5,500 simulated gluon and 5,700 quark jets the means and AUCs of `validate` agree within 1 standard deviation, and
24 of 26 distributions of the ten hardest particles agree with genuine ones (p from 0.05 to 0.82). Two in gluon jets
stand out, the kinds of particle (p = 0.005: neutrons and protons are some 6 % too few) and the pT of the fifth (0.008).

The set of features `kinematic` takes away what kind of particle each is, as the field's results "without PID" have
it; `pid`, the default, has charge and five kinds that an experiment can tell apart.

    make bench TASK=qg_jets
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks import jets, metrics
from benchmarks import qg_jets_genuine as genuine
from benchmarks.base import (
    Arrays,
    Check,
    Comparison,
    Events,
    Reference,
    Simulation,
    Source,
    Task,
    UserError,
)

CLASSES = ("gluon", "quark")
PARTICLES = 150  # that are kept of a jet: the widest of the two million official ones has 148
WIDEST = 1000  # particles of a jet that a file may have
STRETCH = 2048  # jets read at a time: some 9 MB at a width of 139
CHUNK = 100
FILE_EVENTS = 100_000
IDS_OF_FILE = 10**9  # ids of the file of number n begin here n times
VALIDATED = 20_000  # jets at most
FEWEST_OF_BIN = 10  # jets of both samples, for a bin to be judged
CODES = (0, *jets.CODES)

REGENERATED_JETS = 1500  # of each class
REGENERATED_SOURCE = "the official recipe with Pythia 8.317, 1,500 + 1,500 jets"
REGENERATED = {
    "multiplicity, gluon, mean": 52.9,
    "multiplicity, quark, mean": 33.7,
    "multiplicity, AUC": 0.837,
    "pT dispersion, AUC": 0.803,
    "width, AUC": 0.728,
}


def read(paths: Sequence[Path]) -> Iterator[Events]:
    """Yields stretches with jets (n, 150, 4) float32, each jet's particles in falling order of pT.

    The width is the same for every file, and the least pT goes first where a jet has more particles. float32 holds
    each PDG code exactly (they are below 2^24) and angles to 5e-7, a thousandth of the closest particles' distance.
    The id is the row and the number in the file's name (0 where there is none), so that it is the same whichever
    files are read with it.
    """
    numbers: dict[int, Path] = {}
    for path in paths:
        found = re.search(r"_(\d{1,6})\.npz$", path.name)
        number = int(found[1]) if found else 0
        if number in numbers:
            raise UserError(
                f"{path}: has number {number}, as has {numbers[number].name}; each file needs one of its own"
            )
        numbers[number] = path
        first = number * IDS_OF_FILE
        try:
            with zipfile.ZipFile(path) as archive:
                yield from _read_archive(path, archive, first)
        except FileNotFoundError:
            raise UserError(f"{path}: no such file") from None
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise UserError(f"{path}: not a complete npz file ({error})") from None


def _read_archive(path: Path, archive: zipfile.ZipFile, first: int) -> Iterator[Events]:
    members = archive.namelist()
    for key in ("X", "y"):
        if f"{key}.npy" not in members:
            raise UserError(f"{path}: no array {key!r}; it has {', '.join(members) or 'nothing'}")
    with archive.open("X.npy") as particles, archive.open("y.npy") as classes:
        shape, dtype = _header(path, "X", particles, archive.getinfo("X.npy").file_size)
        label_shape, label_dtype = _header(path, "y", classes, archive.getinfo("y.npy").file_size)
        if len(shape) != 3 or shape[2] != 4 or not 0 < shape[1] <= WIDEST:
            raise UserError(f"{path}: X has shape {shape}; expected (n, M, 4) with M from 1 to {WIDEST}")
        if dtype.kind != "f":
            raise UserError(f"{path}: X has dtype {dtype}; expected float64")
        if label_dtype.kind not in "fiu" or len(label_shape) != 1:
            raise UserError(f"{path}: y has shape {label_shape} and dtype {label_dtype}; expected (n,) numbers")
        if shape[0] != label_shape[0]:
            raise UserError(f"{path}: X has {shape[0]} events and y {label_shape[0]}; they must be equal")
        if not shape[0]:
            raise UserError(f"{path}: no events in it")
        for start in range(0, shape[0], STRETCH):
            number = min(STRETCH, shape[0] - start)
            x = _values(path, particles, dtype, (number, *shape[1:]))
            y = _values(path, classes, label_dtype, (number,))
            yield _checked(path, start, x, y, first)


def _header(path: Path, key: str, member, size: int) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and dtype of a npy member, of which nothing but the header is read. Python objects are refused."""
    try:
        version = np.lib.format.read_magic(member)
        reader = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if reader is None:
            raise ValueError(f"npy version {version}")
        shape, fortran_order, dtype = reader(member)
    except ValueError as error:
        raise UserError(f"{path}: {key} is not an array in npy format ({error})") from None
    if dtype.hasobject:
        raise UserError(f"{path}: {key} holds Python objects, which are never loaded; expected numbers")
    if fortran_order and len(shape) > 1:
        raise UserError(f"{path}: {key} is in Fortran order; expected C order")
    expected = member.tell() + dtype.itemsize * int(np.prod(shape, dtype=object))
    if size != expected:
        raise UserError(f"{path}: {key} of shape {shape} has {size} bytes; expected {expected}")
    return shape, dtype


def _values(path: Path, member, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    size = dtype.itemsize * int(np.prod(shape))
    data = member.read(size)
    if len(data) != size:
        raise UserError(f"{path}: ends before its arrays do")
    return np.frombuffer(data, dtype).reshape(shape)


def _checked(path: Path, start: int, x: np.ndarray, y: np.ndarray, first: int) -> Events:
    def refuse(bad: np.ndarray, what: str):
        if bad.any():
            raise UserError(f"{path}: event {start + int(np.argmax(bad))}: {what}")

    refuse(~np.isfinite(x).all(axis=(1, 2)), "NaN or infinity in X")
    refuse(~np.isin(y, (0, 1)), "label outside {0, 1} in y")
    pt, code = x[..., 0], x[..., 3]
    refuse((pt < 0).any(axis=1), "negative pT in X")
    refuse(~np.isin(code, CODES).all(axis=1), f"PDG code in X that is none of 0, {', '.join(map(str, jets.CODES))}")
    refuse(((pt > 0) != (code != 0)).any(axis=1), "a particle in X with a pT or a PDG code alone")
    refuse((np.abs(x[..., 1]) > 20).any(axis=1), "rapidity beyond 20 in X")
    refuse(~(pt > 0).any(axis=1), "a jet without particles in X")
    order = np.argsort(-pt, axis=1, kind="stable")[:, :PARTICLES]
    kept = np.zeros((len(x), PARTICLES, 4), np.float32)
    kept[:, : order.shape[1]] = np.take_along_axis(x, order[..., None], axis=1)
    kept[kept[..., 0] == 0] = 0
    return Events({"jets": kept}, y.astype(np.int64), first + start + np.arange(len(y), dtype=np.int64))


def generate(label: int, number: int, seed: int) -> Arrays:
    from benchmarks.simulation import qg_jets as simulation

    return {"X": simulation.generate(CLASSES[label], CHUNK, seed, number)}


def write(folder: Path, counts: Sequence[int], chunks: Iterator[tuple[int, Arrays]]) -> list[Path]:
    """Files of 100,000 jets, gluons and quarks in turn, so that the split by rows has as many of both."""
    paths, total = [], sum(counts)
    waiting: list[list[np.ndarray]] = [[], []]
    rows: list[tuple[int, np.ndarray]] = []

    def finish() -> None:
        path = folder / f"QG_jets_simulated_{len(paths)}.npz"
        _write_file(path, rows)
        paths.append(path)
        rows.clear()

    left = list(counts)
    for label, arrays in chunks:
        # The padding goes: 100,000 jets wait in memory for the widest of them to be known.
        waiting[label] += [jet[jet[:, 0] > 0] for jet in arrays["X"]]
        while any(left) and all(waiting[kind] or not left[kind] for kind in (0, 1)):
            for kind in (0, 1):
                if left[kind]:
                    rows.append((kind, waiting[kind].pop(0)))
                    left[kind] -= 1
                if len(rows) == FILE_EVENTS:
                    finish()
    if rows or not total:
        finish()
    return paths


def _write_file(path: Path, rows: list[tuple[int, np.ndarray]]) -> None:
    """One npz file, written jet by jet, so that its padding is never in memory."""
    width = max(len(jet) for _, jet in rows)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("X.npy", "w", force_zip64=True) as member:
            header = {"descr": "<f8", "fortran_order": False, "shape": (len(rows), width, 4)}
            np.lib.format.write_array_header_1_0(member, header)
            for _, jet in rows:
                padded = np.zeros((width, 4))
                padded[: len(jet)] = jet
                member.write(padded.tobytes())
        with archive.open("y.npy", "w", force_zip64=True) as member:
            np.lib.format.write_array(member, np.array([kind for kind, _ in rows], np.float64))


def split(labels: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """The field's in sequence over the 20 official files, 1.6 million, 200,000 and 200,000; of fewer, 70/15/15 %."""
    shares = np.array([0.8, 0.9]) if len(ids) == 20 * FILE_EVENTS else np.array([0.70, 0.85])
    part = np.empty(len(ids), np.int8)
    part[np.argsort(ids, kind="stable")] = np.searchsorted(np.round(shares * len(ids)), np.arange(len(ids)), "right")
    return part


def validate(arrays: Arrays, labels: np.ndarray) -> list[Check | Comparison]:
    """Two kinds of calibration, on at most VALIDATED evenly spaced jets; none where a class is missing.

    Means and AUCs of REGENERATED, whose error is that of the 1,500 + 1,500 jets they come from, of those at hand, and
    the rounding. Then the ten hardest particles beside those of genuine jets, class by class, after the same cut on
    the number of particles. There a bin's error is that of the two samples' pooled share, so that chi2 is the
    two-sample one, and 0 in a bin of fewer than FEWEST_OF_BIN jets, where chi2 holds no more; a jet's ten kinds are
    not independent, and there it is the spread among jets.
    """
    rows = np.unique(np.linspace(0, len(labels) - 1, min(len(labels), VALIDATED)).astype(np.int64))
    labels, x = labels[rows], np.asarray(arrays["jets"][rows])
    of_class = [np.flatnonzero(labels == kind) for kind in (0, 1)]
    if not all(len(jet) > 1 for jet in of_class):
        return []
    return _regenerated(x, of_class) + [
        comparison for kind, jet in zip(CLASSES, of_class, strict=True) for comparison in _leading_ten(x[jet], kind)
    ]


def _regenerated(x: np.ndarray, of_class: list[np.ndarray]) -> list[Check]:
    _, rapidity, phi, _ = jets.axes(jets.four_momenta(x))
    z = x[..., 0] / x[..., 0].sum(axis=1, keepdims=True)
    figures = {
        "multiplicity": (x[..., 0] > 0).sum(axis=1).astype(np.float64),
        "pT dispersion": np.sqrt((z**2).sum(axis=1)),
        "width": (z * np.hypot(*jets.relative(x, rapidity, phi))).sum(axis=1),
    }
    checks = []
    for kind, jet in zip(CLASSES, of_class, strict=True):
        name = f"multiplicity, {kind}, mean"
        values = figures["multiplicity"][jet]
        error = np.sqrt(values.var() * (1 / len(jet) + 1 / REGENERATED_JETS) + 0.1**2 / 12)
        checks.append(Check(name, float(values.mean()), REGENERATED[name], float(error), REGENERATED_SOURCE))
    for name, values in figures.items():
        higher = of_class if name != "pT dispersion" else of_class[::-1]  # which class has more of it, last first
        area, error = _auc(values[higher[1]], values[higher[0]])
        of_source = _auc_error(area, REGENERATED_JETS, REGENERATED_JETS)
        error = np.sqrt(error**2 + of_source**2 + 0.001**2 / 12)
        name = f"{name}, AUC"
        checks.append(Check(name, area, REGENERATED[name], float(error), REGENERATED_SOURCE))
    return checks


def _auc(below: np.ndarray, above: np.ndarray) -> tuple[float, float]:
    """Probability that a value of the second is above one of the first, ties counting half, and its error."""
    values = np.concatenate([below, above])
    labels = np.repeat([0, 1], [len(below), len(above)])
    area, _ = metrics.auc(labels, np.stack([-values, values], axis=1), signal=1)
    return area, _auc_error(area, len(below), len(above))


def _auc_error(area: float, below: int, above: int) -> float:
    """Hanley and McNeil, Radiology 143 (1982) 29."""
    one, two = area / (2 - area), 2 * area**2 / (1 + area)
    variance = area * (1 - area) + (above - 1) * (one - area**2) + (below - 1) * (two - area**2)
    return float(np.sqrt(variance / (below * above)))


def _leading_ten(x: np.ndarray, kind: str) -> list[Comparison]:
    number = (x[..., 0] > 0).sum(axis=1)
    ten = x[(number >= genuine.FEWEST) & (number <= genuine.MOST), :10]
    if not len(ten):
        return []
    here, there = genuine.summary(ten), genuine.COUNTS[kind]
    jets_here, jets_there = len(ten), genuine.JETS[kind]
    comparisons = []
    for name, edges in genuine.EDGES.items():
        one, other = np.array(here[name], float), np.array(there[name], float)
        pooled = (one + other) / (jets_here + jets_there)
        error = np.sqrt(pooled * (1 / jets_here + 1 / jets_there)) * (one + other >= FEWEST_OF_BIN)
        comparisons.append(
            Comparison(f"{name}, {kind}", edges, one / jets_here, other / jets_there, error, genuine.SOURCE)
        )
    shares = [np.array(counts["kinds of the ten"]) / 10 / n for counts, n in ((here, jets_here), (there, jets_there))]
    mean, square = (
        (np.array(here[name]) + np.array(there[name])) / (jets_here + jets_there)
        for name in ("kinds of the ten", "kinds, squared")
    )
    error = np.sqrt((square - mean**2) * (1 / jets_here + 1 / jets_there)) / 10
    edges = np.arange(len(genuine.KINDS) + 1.0)
    comparisons.append(Comparison(f"kinds of the ten, {kind}", edges, *shares, error, genuine.SOURCE))
    return comparisons


SHA256 = (
    "3f27a02eab06e8b83ccc9d25638021e6e24c9361341730961f9d560dee12c257",
    "648e49cd59b5353e0064e7b1a3388d9c2f4a454d3ca67afaa8d0344c836ecb35",
    "09f7b16fa7edb312c0f652bb8504de45f082c4193df65204d693155017272fe9",
    "7dc9a50bb38e9f6fc1f11db18f9bd04f72823c944851746b848dee0bba808537",
    "3e6217aad8e0502f5ce3b6371c61396dfc48a6cf4f26ee377cc7b991b1d2b543",
    "b5b7d742b2599bcbe1d7a639895bca64c28da513dc3620b0e5bbb5801f8c88fd",
    "7d31bc48c15983401e0dbe8fd5ee938c3809d9ee3c909f4adab6daf8b73c14f1",
    "cec0d7b2afa9d955543c597f9b7f3b3767812a68b2401ec870caf3a2ceb98401",
    "e984620f57abe06fc5d0b063f9f84ba54bd3e8c295d2b2419a7b1c6175079ed4",
    "6e3b69196995d6eb3b8e7af874e2b9f93d904624f7a7a73b8ff39f151e3bd189",
    "fa3d386f230b806058ff17e5bd77326ff4bf01d72aa5eb3325c1df2a8825927c",
    "acd49ab7bea8f72ecf699a9a898bccacc8730474259d68406656a5a43d407fb0",
    "2edd55b8bc30c686a0637855e1ba068586eb97041e8114d5540d96db2a7a2e17",
    "7276a8a0e573f9795a47f9d5addc10d2af903c2a0ffa5c848a720ccae93daa90",
    "2068ecfa912e94cd3ce7273b7c77af0bbd5ec57940997e7483b56f03434a6869",
    "41a732ce6321dd593214225b03fb87329607ccae768c705e3896ffecc28bfcca",
    "9d68caeb18f3ccf127b9032f52e63ee011c4381293a3a503f894e5c0741ae215",
    "086053ca611bb04d97fa0b6509b4ffb6955421b067c7b277498f0e5188879331",
    "cdc595f5fedef7db9411a9f93f2786f110073b4d17a523700f625846588b1e44",
    "d07781139320ae134ce4824bc0cefa43fd5003cd97cdf3aed90d4fb12fad8a1d",
)


def _image(arrays: Arrays) -> Arrays:
    return {"image": jets.image(arrays["jets"])}


def _published(
    model: str,
    source: str,
    accuracy: float | None,
    auc: float,
    at_50: float | None,
    at_30: float | None,
    verified: bool,
) -> Reference:
    known = {"accuracy": accuracy, "auc": auc, "rejection_50": at_50, "rejection_30": at_30}
    metrics = {name: value for name, value in known.items() if value is not None}
    return Reference(model, metrics, "1.6 million jets", f"arXiv:{source}", verified)


WITHOUT_PID = (
    _published("multiplicity alone, kinematic", "1810.05165", None, 0.840, 19.0, None, False),
    _published("EFN, kinematic", "1810.05165", None, 0.8824, 28.6, None, False),
    _published("EFP, kinematic", "1810.05165", None, 0.8919, 29.7, None, False),
    _published("PFN, kinematic", "1810.05165", None, 0.8911, 30.8, None, False),
    _published("P-CNN, kinematic", "1902.08570", 0.818, 0.8915, 31.0, 82.3, False),
    _published("ResNeXt-50, kinematic", "1902.08570", 0.821, 0.8960, 30.9, 80.8, False),
    _published("ParticleNet-Lite, kinematic", "1902.08570", 0.826, 0.8993, 32.8, 84.6, False),
    _published("ParticleNet, kinematic", "1902.08570", 0.828, 0.9014, 33.7, 85.4, False),
)
# Of a row whose AUC was read in its source, only the numbers that were read there too.
WITH_PID = (
    _published("ParticleNet-Lite, PID of five kinds", "1902.08570", 0.835, 0.9079, 37.1, 94.5, False),
    _published("ParticleNet, PID of five kinds", "1902.08570", None, 0.9116, None, None, True),
    _published("PFN-ID, PID of every kind", "1810.05165", None, 0.9052, None, None, True),
    _published("LorentzNet, PID of every kind", "2201.08187", 0.844, 0.9161, 43.2, 112.9, True),
    _published("ParT, PID of every kind", "2202.03772", None, 0.9203, None, None, True),
    _published("ParT, fine-tuned, PID of every kind", "2202.03772", None, 0.9230, None, None, True),
    _published("MIParT, PID of every kind", "2407.08682", 0.851, 0.9215, 49.3, 133.9, False),
    _published("MIParT-L, fine-tuned, PID of every kind", "2407.08682", 0.853, 0.9237, 51.9, 141.4, False),
)

TASK = Task(
    title="quark or gluon: jets of 500-550 GeV as particles, Pythia",
    classes=CLASSES,
    read=read,
    views={
        "cloud": lambda arrays: jets.cloud(arrays["jets"]),
        "table": lambda arrays: {"table": jets.variables(arrays["jets"])},
        "image": _image,
    },
    variables=jets.KINEMATIC_VARIABLES + jets.IDENTITY_VARIABLES,
    features={
        "pid": {},
        "kinematic": {"features": len(jets.KINEMATIC_FEATURES), "table": len(jets.KINEMATIC_VARIABLES)},
    },
    sources=tuple(
        Source(name, f"https://zenodo.org/record/3164691/files/{name}?download=1", sha256=sha256)
        for name, sha256 in zip(
            ["QG_jets.npz", *(f"QG_jets_{number}.npz" for number in range(1, 20))], SHA256, strict=True
        )
    ),
    needed=1,
    simulation=Simulation(CHUNK, generate, write),
    split=split,
    validate=validate,
    size=2_000_000,
    references=WITHOUT_PID + WITH_PID,
    licence="CC-BY-4.0",
    citation="P. T. Komiske, E. M. Metodiev, J. Thaler, JHEP 01 (2019) 121, arXiv:1810.05165; Zenodo 3164691",
)
