"""Electron or photon: 32x32x2 images of the CMS electromagnetic calorimeter, pT = 50 GeV.

The official pair of HDF5 files is CMS open-data simulation of single particles in the barrel (1910.07029). Keys `X`
(n, 32, 32, 2) float32, channel 0 hit energy in units of 50 GeV, channel 1 hit time; `y` (n,) electron 1, photon 0.
`benchmarks/simulation/ecal.py` writes the same pair.

    make bench TASK=ecal
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path

import numpy as np

from benchmarks import metrics, views
from benchmarks.base import Arrays, Check, Events, Reference, Simulation, Source, Task, UserError

CLASSES = ("photon", "electron")
STRETCH = 4096  # events read at a time: 32 MiB
CHUNK = 1000  # events simulated from one seed, so that any number of events begins with the same ones
ID_OF_CLASS = 10**9  # ids of electrons begin here, those of photons at 0
# The reference notebook's rows of each class: train, validation, test; the rest is left unused.
OFFICIAL_ROWS = np.cumsum([160_000, 25_600, 25_600])

# Figures of 200 genuine images, by which any others are judged; AUCs take electrons as signal.
GENUINE_EVENTS = (98, 102)
GENUINE_SOURCE = "200 genuine images (98 photons, 102 electrons)"
GENUINE = {
    "hits, photon, mean": 45.2,
    "hits, electron, mean": 51.2,
    "E_max/E, photon, mean": 0.579,
    "E_max/E, electron, mean": 0.516,
    "eta width, photon, mean": 0.731,
    "eta width, electron, mean": 0.769,
    "phi width, photon, mean": 1.049,
    "phi width, electron, mean": 1.267,
    "phi width, photon, median": 0.833,
    "phi width, electron, median": 0.996,
    "hit energy, 1 % quantile": 5.7e-5,
    "hit energy, 5 % quantile": 2.7e-4,
    "hit energy, 25 % quantile": 1.2e-3,
    "hit energy, 50 % quantile": 2.2e-3,
    "hit energy, 75 % quantile": 5.8e-3,
    "hit energy, 95 % quantile": 8.8e-2,
    "hit energy, 99 % quantile": 0.67,
    "total energy, median": 1.18,
    "total energy, lowest of 200": 0.48,
    "total energy, highest of 200": 1.84,
    "total energy, AUC": 0.51,
    "hits, AUC": 0.62,
    "E_max/E, AUC": 0.38,
    "eta width, AUC": 0.57,
    "phi width, AUC": 0.62,
}
PSEUDO_SAMPLES = 200
VALIDATED = 20_000  # events at most


def read(paths: Sequence[Path]) -> Iterator[Events]:
    """Yields stretches with image (n, 32, 32, 2) float32, label and id = row, counted within its class."""
    import h5py

    seen = [0, 0]
    for path in paths:
        try:
            file = h5py.File(path, "r")
        except FileNotFoundError:
            raise UserError(f"{path}: no such file") from None
        except OSError as error:
            raise UserError(f"{path}: not a complete HDF5 file ({error})") from None
        with file:
            images, labels = (_dataset(file, path, key, shape) for key, shape in (("X", (32, 32, 2)), ("y", ())))
            if len(images) != len(labels):
                raise UserError(f"{path}: X has {len(images)} events and y {len(labels)}; they must be equal")
            if not len(images):
                raise UserError(f"{path}: no events in it")
            for start in range(0, len(images), STRETCH):
                where = slice(start, start + STRETCH)
                try:
                    image, label = images[where], labels[where]
                except OSError as error:
                    raise UserError(f"{path}: events from {start} cannot be read ({error})") from None
                yield _checked(path, start, image, label, seen)


def _dataset(file, path: Path, key: str, shape: tuple[int, ...]):
    import h5py

    if key not in file or not isinstance(file[key], h5py.Dataset):
        raise UserError(f"{path}: no dataset {key!r}; it has {', '.join(file) or 'nothing'}")
    data = file[key]
    if data.shape is None or data.shape[1:] != shape or data.ndim != 1 + len(shape):
        raise UserError(f"{path}: {key} has shape {data.shape}; expected (n, {', '.join(map(str, shape))})")
    if data.dtype.kind != "f":
        raise UserError(f"{path}: {key} has dtype {data.dtype}; expected float32")
    return data


def _checked(path: Path, start: int, image: np.ndarray, label: np.ndarray, seen: list[int]) -> Events:
    def refuse(bad: np.ndarray, what: str):
        if bad.any():
            raise UserError(f"{path}: event {start + int(np.argmax(bad))}: {what}")

    refuse(~np.isfinite(image).all(axis=(1, 2, 3)), "NaN or infinity in X")
    refuse((image[..., 0] < 0).any(axis=(1, 2)), "negative energy in X")
    refuse(~np.isin(label, (0, 1)), "label outside {0, 1} in y")
    labels = label.astype(np.int64)
    ids = np.empty(len(labels), dtype=np.int64)
    for kind in (0, 1):
        of_kind = labels == kind
        count = int(of_kind.sum())
        ids[of_kind] = kind * ID_OF_CLASS + seen[kind] + np.arange(count)
        seen[kind] += count
    return Events({"image": image.astype(np.float32, copy=False)}, labels, ids)


def generate(label: int, number: int, seed: int) -> Arrays:
    from benchmarks.simulation import ecal as simulation

    return {"image": simulation.generate(CLASSES[label], CHUNK, np.random.default_rng([seed, label, number]))}


def write(folder: Path, counts: Sequence[int], chunks: Iterator[tuple[int, Arrays]]) -> list[Path]:
    """The pair of files, photons and electrons."""
    import h5py

    paths = [
        folder / f"Single{kind.capitalize()}Pt50_IMGCROPS_n{count}_simulated.hdf5"
        for kind, count in zip(CLASSES, counts, strict=True)
    ]
    storage = {"dtype": "f4", "compression": "lzf"}
    with h5py.File(paths[0], "w") as photons, h5py.File(paths[1], "w") as electrons:
        files, filled = (photons, electrons), [0, 0]
        for label, (file, count) in enumerate(zip(files, counts, strict=True)):
            file.create_dataset("X", (count, 32, 32, 2), chunks=(min(count, 100), 32, 32, 2), **storage)
            file.create_dataset("y", data=np.full(count, label, np.float32), **storage)
        for label, arrays in chunks:
            start, filled[label] = filled[label], filled[label] + len(arrays["image"])
            files[label]["X"][start : filled[label]] = arrays["image"]
    return paths


def split(labels: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """The reference notebook's rows where the file has them all; else 70/15/15 of each class, in file order."""
    row = ids % ID_OF_CLASS
    part = np.full(len(labels), -1, dtype=np.int8)
    for kind in (0, 1):
        of_kind = labels == kind
        count = int(of_kind.sum())
        edges = OFFICIAL_ROWS if count >= OFFICIAL_ROWS[-1] else np.round(count * np.array([0.70, 0.85, 1.0]))
        part[of_kind] = np.searchsorted(edges, row[of_kind], side="right")
    part[part == 3] = -1
    return part


def validate(arrays: Arrays, labels: np.ndarray) -> list[Check]:
    """The figures of GENUINE on at most VALIDATED evenly spaced events; none where a class is missing.

    The error is that of the genuine sample, the spread of the figure among pseudo-samples of as many events drawn
    from those at hand; with that of the events at hand, smaller by the root of their number; and with the rounding of
    the genuine figure as it is known.
    """
    rows = np.unique(np.linspace(0, len(labels) - 1, min(len(labels), VALIDATED)).astype(np.int64))
    labels = labels[rows]
    of_class = [np.flatnonzero(labels == kind) for kind in (0, 1)]
    if not all(len(events) for events in of_class):
        return []
    # In stretches, so that memory-mapped images are not all in memory at once.
    stretches = [arrays["image"][rows[start : start + STRETCH]] for start in range(0, len(rows), STRETCH)]
    shapes = np.concatenate([views.shower_shapes(stretch) for stretch in stretches]).astype(np.float64)
    columns = dict(zip(views.SHOWER_SHAPES, shapes.T, strict=True))
    energies = np.concatenate([stretch[..., 0][stretch[..., 0] > 0] for stretch in stretches])
    hits = np.split(energies, np.cumsum(columns["hits"].astype(np.int64))[:-1])

    rng = np.random.default_rng(0)
    samples = [
        _figures(columns, hits, *(rng.choice(events, n) for events, n in zip(of_class, GENUINE_EVENTS, strict=True)))
        for _ in range(PSEUDO_SAMPLES)
    ]
    observed = _figures(columns, hits, *of_class)
    checks = []
    for figure, expected in GENUINE.items():
        drawn = np.array([sample[figure] for sample in samples])
        value = drawn.mean() if "of 200" in figure else observed[figure]
        rounding = 10.0 ** Decimal(repr(expected)).as_tuple().exponent / np.sqrt(12)
        error = np.hypot(drawn.std() * np.sqrt(1 + min(GENUINE_EVENTS) / min(map(len, of_class))), rounding)
        checks.append(Check(figure, float(value), expected, float(error), GENUINE_SOURCE))
    return checks


def _figures(
    columns: dict[str, np.ndarray], hits: list[np.ndarray], photons: np.ndarray, electrons: np.ndarray
) -> dict[str, float]:
    """Those of GENUINE. columns: variables of all events; hits: their hits' energies; photons, electrons: events."""
    both = np.concatenate([photons, electrons])
    variables = {
        "hits": columns["hits"],
        "E_max/E": columns["seed_fraction"],
        "eta width": columns["eta_width"],
        "phi width": columns["phi_width"],
    }
    figures = {}
    for kind, events in zip(CLASSES, (photons, electrons), strict=True):
        for name, values in variables.items():
            figures[f"{name}, {kind}, mean"] = values[events].mean()
            figures[f"{name}, {kind}, median"] = np.median(values[events])
    total = np.exp(columns["log_energy"])
    energies = np.concatenate([hits[event] for event in both])
    for percent in (1, 5, 25, 50, 75, 95, 99):
        figures[f"hit energy, {percent} % quantile"] = np.quantile(energies, percent / 100)
    figures["total energy, median"] = np.median(total[both])
    figures["total energy, lowest of 200"] = total[both].min()
    figures["total energy, highest of 200"] = total[both].max()
    labels = np.repeat([0, 1], [len(photons), len(electrons)])
    for name, values in (variables | {"total energy": total}).items():
        figures[f"{name}, AUC"] = metrics.auc(labels, np.stack([-values[both], values[both]], axis=1), signal=1)[0]
    return figures


TASK = Task(
    title="electron or photon: CMS ECAL images, 32x32 crystals, energy and time",
    classes=CLASSES,
    read=read,
    views={
        "image": lambda arrays: {"image": arrays["image"]},
        "cloud": lambda arrays: views.image_to_cloud(arrays["image"]),
        "table": lambda arrays: {"table": views.shower_shapes(arrays["image"])},
    },
    variables=views.SHOWER_SHAPES,
    sources=(
        Source(
            "SinglePhotonPt50_IMGCROPS_n249k_RHv1.hdf5",
            "https://cernbox.cern.ch/index.php/s/69nGEZjOy3xGxBq/download",
            size=79_876_391,
        ),
        Source(
            "SingleElectronPt50_IMGCROPS_n249k_RHv1.hdf5",
            "https://cernbox.cern.ch/index.php/s/sHjzCNFTFxutYCj/download",
            size=87_010_508,
        ),
    ),
    simulation=Simulation(CHUNK, generate, write),
    split=split,
    validate=validate,
    size=498_000,
    references=(
        Reference(
            "parallel ResNet-15",
            {"auc": 0.8109, "accuracy": 0.7394},
            "320,000 images",
            "thanh12273203/ML4SCI_GSoC_2025_Submissions",
            verified=True,
        ),
        Reference(
            "CNN, 868,993 parameters",
            {"auc": 0.8104, "accuracy": 0.7404},
            "320,000 images",
            "reference notebook",
            verified=False,
        ),
        Reference("Xception", {"auc": 0.799}, "320,000 images", "ML4SCI submissions", verified=True),
        Reference("quantum ViT", {"auc": 0.7793}, "320,000 images", "ML4SCI submissions", verified=True),
        Reference("ViT, 2,778 parameters", {"auc": 0.7650}, "320,000 images", "ML4SCI submissions", verified=True),
    ),
    licence="CMS open data, CC0",
    citation="M. Andrews et al., EPJ Web Conf. 245 (2020) 06031, arXiv:1910.07029",
)
