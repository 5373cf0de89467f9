"""Is there a new particle that decays to top quarks? 27 features of a collision and the mass that is asked about.

The official files are the UCI dataset HEPMASS (1601.07913): text, gzipped, a line of 29 comma-separated columns
`# label` (1 signal, 0 background), `f0` to `f26`, `mass`. Signal is X -> t tbar -> W b W b of mass 500, 750, 1000, 1250
or 1500 GeV with one W to a lepton, background Standard-Model t tbar; a background row's mass is drawn at random from
the same set. Half of the rows are signal. Features are normalised; the constants are not published. The mass is an
input of its own, not a column of the table: a parametrised network is told which mass to look for.

`all_train.csv.gz` alone is split 70/15/15; with `all_test.csv.gz` beside it that file is the test part, and the last
tenth of the training file validates. `benchmarks/simulation/hepmass.py` writes a file of the same format, with
normalisation constants of its own.

    make bench TASK=hepmass
"""

from __future__ import annotations

import csv
import gzip
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks.base import Arrays, Check, Comparison, Events, Reference, Simulation, Source, Task, UserError

CLASSES = ("background", "signal")
MASSES = (500, 750, 1000, 1250, 1500)  # GeV
VARIABLES = (
    *("lepton_pt", "lepton_eta", "lepton_phi", "missing_pt", "missing_phi", "jets"),
    *(f"jet{jet}_{variable}" for jet in (1, 2, 3, 4) for variable in ("pt", "eta", "phi", "b_tag")),
    *("m_jj", "m_jjj", "m_lv", "m_jlv", "m_wwbb"),
)
"""Columns f0 to f26, as 1601.07913 describes them: momenta of the lepton, of what is missing and of the four hardest
jets, and the masses of the combinations that are W, t, W, t and X."""

COLUMNS = ("# label", *(f"f{i}" for i in range(27)), "mass")
CHUNK = 150  # events simulated from one seed, so that any number of events begins with the same ones
ID_OF_CLASS = 10**9  # ids of a class in a file begin at a multiple: training file 0 and 1, test file 2 and 3
VALIDATED = 20_000  # events at most
PSEUDO_SAMPLES = 50
JET_SCALE = 0.04  # share by which the energy of jets below 60 GeV is known: ATLAS, 1112.6426
BLOCK = 2**22  # bytes of text parsed at a time: some 5,700 official rows
PARSERS = 2  # blocks parsed at once, beside the thread that decompresses

# Kinds of the objects of a cloud, one-hot.
OBJECTS = ("lepton", "missing", "jet", "jet", "jet", "jet")
KINDS = ("lepton", "missing", "jet")
CLOUD_FEATURES = ("pt", "eta", "phi", "b_tag", *KINDS)


# --- reading ---------------------------------------------------------------------------------------------------------


def read(paths: Sequence[Path]) -> Iterator[Events]:
    """Yields stretches with features (n, 27) float32 and mass (n, 1) float32 of .csv or .csv.gz files, row by row.

    The mass is rounded to GeV, since the official file holds 499.999969 for 500. An id tells the file, training or test
    by its name, the class, and the number within these. Raises UserError naming file and line.
    """
    seen: dict[int, int] = {}
    for path in paths:
        path = Path(path)
        first = 2 * ("test" in path.name)
        rows = 0
        for features, mass, labels in _parsed(path):
            ids = np.empty(len(labels), np.int64)
            for label in (0, 1):
                of_class = labels == label
                start = seen.get(first + label, 0)
                count = int(of_class.sum())
                ids[of_class] = (first + label) * ID_OF_CLASS + start + np.arange(count)
                seen[first + label] = start + count
            rows += len(labels)
            yield Events({"features": features, "mass": mass}, labels, ids)
        if not rows:
            raise UserError(f"{path}: no events in it")


def _parsed(path: Path) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Features, mass and labels of each block, in file order. One thread decompresses and PARSERS parse."""
    with ThreadPoolExecutor(PARSERS) as pool:
        waiting: deque[Future] = deque()
        try:
            for line, block in _blocks(path):
                waiting.append(pool.submit(_parse, path, line, block))
                if len(waiting) > PARSERS:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _blocks(path: Path) -> Iterator[tuple[int, memoryview]]:
    """Number of the first line and text of each block of whole lines after the header."""
    line, rest = 1, b""
    for text in _texts(path):
        text = rest + text
        start = 0
        if line == 1:
            start = text.find(b"\n") + 1
            if not start:
                rest = text
                continue
            _check_header(path, text[:start])
            line = 2
        end = text.rfind(b"\n") + 1
        if end > start:
            yield line, memoryview(text)[start:end]
            line += text.count(b"\n", start, end)
        rest = text[end:]
    if line == 1 and not rest:
        raise UserError(f"{path}: empty file")
    if line == 1:
        _check_header(path, rest)
    elif rest:
        raise UserError(f"{path}: truncated: line {line}, the last, has no end")


def _check_header(path: Path, header: bytes) -> None:
    names = [name.strip() for name in header.decode("ascii", "replace").split(",")]
    if tuple(names) != COLUMNS:
        text = ",".join(names)
        shown = text if len(text) <= 60 else f"{text[:60]}..."
        raise UserError(f"{path}: line 1 is {shown!r}; expected the 29 columns '# label', f0 to f26, mass")


def _texts(path: Path) -> Iterator[bytes]:
    """The file's text in pieces, decompressed if its name ends in .gz: by igzip, in a third of zlib's time. It checks
    length and checksum of each member of the stream, and that it ends."""
    from isal import igzip, isal_zlib

    try:
        with igzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            while text := file.read(BLOCK):
                yield text
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (OSError, EOFError, isal_zlib.error) as error:
        raise UserError(f"{path}: not a whole gzip file ({error})") from None


def _parse(path: Path, line: int, block: memoryview) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    import pyarrow
    from pyarrow import csv as arrow

    try:
        table = arrow.read_csv(
            pyarrow.py_buffer(block),
            read_options=arrow.ReadOptions(use_threads=False, block_size=len(block) + 1, column_names=list(COLUMNS)),
            parse_options=arrow.ParseOptions(quote_char=False, ignore_empty_lines=False),
            convert_options=arrow.ConvertOptions(
                column_types=dict.fromkeys(COLUMNS, pyarrow.float32()), null_values=[], strings_can_be_null=False
            ),
        )
    except pyarrow.ArrowInvalid as error:
        raise _first_fault(path, line, block) or UserError(f"{path}: after line {line}: {error}") from None
    columns = [column.to_numpy() for column in table.columns]
    label, features, mass = columns[0], np.stack(columns[1:-1], axis=1), np.round(columns[-1])

    def refuse(bad: np.ndarray, what: str):
        if bad.any():
            raise UserError(f"{path}: line {line + int(np.argmax(bad))}: {what}")

    refuse(~np.isfinite(features).all(axis=1) | ~np.isfinite(mass) | ~np.isfinite(label), "NaN or infinity")
    refuse((label != 0) & (label != 1), "label outside {0, 1}")
    refuse(mass < 1, "mass below 1 GeV")
    return features, mass[:, None], label.astype(np.int64)


def _first_fault(path: Path, line: int, block: memoryview) -> UserError | None:
    """The first line of a block that is not 29 numbers."""
    for number, row in enumerate(bytes(block).splitlines(), line):
        fields = row.split(b",")
        if len(fields) != len(COLUMNS):
            return UserError(f"{path}: line {number}: {len(fields)} columns; expected {len(COLUMNS)}")
        for name, field in zip(COLUMNS, fields, strict=True):
            try:
                float(field)
            except ValueError:
                shown = field[:40].decode("ascii", "replace")
                return UserError(f"{path}: line {number}: {name} is {shown!r}, not a number")
    return None


def plain_read(paths: Sequence[Path]) -> Iterator[Events]:
    """The same by the csv module and a loop over rows, without the refusals."""
    seen: dict[int, int] = {}
    for path in paths:
        first = 2 * ("test" in path.name)
        features, mass, labels, ids = [], [], [], []
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
            rows = csv.reader(file)
            next(rows)
            for row in rows:
                label = int(float(row[0]))
                labels.append(label)
                features.append([float(value) for value in row[1:28]])
                mass.append([round(float(row[28]))])
                ids.append((first + label) * ID_OF_CLASS + seen.get(first + label, 0))
                seen[first + label] = seen.get(first + label, 0) + 1
        arrays = {"features": np.array(features, np.float32), "mass": np.array(mass, np.float32)}
        yield Events(arrays, np.array(labels), np.array(ids))


# --- simulation ------------------------------------------------------------------------------------------------------


def generate(label: int, number: int, seed: int) -> Arrays:
    from benchmarks.simulation import hepmass as simulation

    return simulation.generate(label, CHUNK, number, seed)


def write(folder: Path, counts: Sequence[int], chunks: Iterable[tuple[int, Arrays]]) -> list[Path]:
    """One file with the header, the columns and the number format of the official training file."""
    path = folder / "all_train_simulated.csv.gz"
    with path.open("wb") as raw, gzip.GzipFile("", "wb", compresslevel=6, fileobj=raw, mtime=0) as file:
        file.write((",".join(COLUMNS) + "\n").encode())
        for label, arrays in chunks:
            labels = np.full((len(arrays["mass"]), 1), label)
            np.savetxt(file, np.hstack([labels, arrays["features"], arrays["mass"]]), fmt="%.18e", delimiter=",")
    return [path]


# --- split, views ----------------------------------------------------------------------------------------------------


def split(labels: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """The test file where it is there, and the last tenth of each class of the training file as validation; else
    70/15/15 of each class, in file order."""
    of_file, row = ids // ID_OF_CLASS, ids % ID_OF_CLASS
    testing = of_file >= 2
    shares = [0.9, 1.0] if testing.any() else [0.70, 0.85]
    part = np.full(len(labels), 2, np.int8)
    for label in (0, 1):
        of_class = of_file == label
        edges = np.round(int(of_class.sum()) * np.array(shares))
        part[of_class] = np.searchsorted(edges, row[of_class], side="right")
    return part


def table(arrays: Arrays) -> Arrays:
    return {"table": arrays["features"], "context": arrays["mass"]}


def cloud(arrays: Arrays) -> Arrays:
    """The six reconstructed objects, normalised as in the file: points (N, 6, 2) of (eta, phi), features (N, 6, 7) of
    CLOUD_FEATURES, mask (N, 6) all true, context (N, 1) the mass.

    Momenta are in units of their spread in the whole dataset, less its mean, so that pT can be negative and has no
    logarithm here, and a distance between points is not one in Delta R. The missing momentum has no eta and no b-tag:
    zeros. The number of jets and the masses of combinations are of no one object and are left to the table.
    """
    features = arrays["features"]
    events, zero = len(features), np.zeros(len(features), np.float32)
    lepton = [features[:, 0], features[:, 1], features[:, 2], zero]
    missing = [features[:, 3], zero, features[:, 4], zero]
    jets = features[:, 6:22].reshape(events, 4, 4)
    objects = np.concatenate([np.stack([lepton, missing]).transpose(2, 0, 1), jets], axis=1)  # (N, 6, 4)
    one_hot = np.array([[kind == other for other in KINDS] for kind in OBJECTS], np.float32)
    return {
        "points": np.ascontiguousarray(objects[:, :, 1:3]),
        "features": np.concatenate([objects, np.broadcast_to(one_hot, (events, *one_hot.shape))], axis=2),
        "mask": np.ones((events, len(OBJECTS)), bool),
        "context": arrays["mass"],
    }


# --- validation ------------------------------------------------------------------------------------------------------


def validate(arrays: Arrays, labels: np.ndarray) -> list[Check | Comparison]:
    """What physics says of at most VALIDATED evenly spaced events, since no figure of the official file is known.

    Checks that no shift or scale of a feature moves serve both kinds of file. Those in GeV are given for simulated
    events alone, whose normalisation is known; it is the known one if it makes numbers of jets whole.
    """
    rows = np.unique(np.linspace(0, len(labels) - 1, min(len(labels), VALIDATED)).astype(np.int64))
    labels, features = labels[rows], np.asarray(arrays["features"][rows], np.float64)
    mass = np.asarray(arrays["mass"][rows])[:, 0]
    if not all((labels == label).any() for label in (0, 1)):
        return []
    return [
        Check("share of signal", (labels == 1).mean(), 0.5, 0.5 / np.sqrt(len(labels)), "1601.07913: half of the rows"),
        *_masses(mass, labels),
        *_symmetries(features, mass, labels),
        *_peaks(features, mass, labels),
    ]


def _masses(mass: np.ndarray, labels: np.ndarray) -> Iterator[Comparison]:
    """Each of the five masses is as frequent as the others in either class."""
    edges = np.array([*(m - 125 for m in MASSES), MASSES[-1] + 125], np.float64)
    for label, kind in enumerate(CLASSES):
        of_class = mass[labels == label]
        observed = np.histogram(of_class, edges)[0] / len(of_class)
        error = np.full(len(MASSES), np.sqrt(0.2 * 0.8 / len(of_class)))
        yield Comparison(
            f"mass, {kind}", edges, observed, np.full(len(MASSES), 0.2), error, "1601.07913: equal numbers"
        )


def _symmetries(features: np.ndarray, mass: np.ndarray, labels: np.ndarray) -> Iterator[Check]:
    """A detector has no preferred direction in azimuth and no preferred end; a background event has no mass."""
    for name in ("lepton_phi", "missing_phi", "jet1_phi"):
        z = _standard(features[:, VARIABLES.index(name)])
        # Of a uniform variable: E z^4 = 9/5, and z^4 - (18/5) z^2, to which the estimate is linear, varies by 1.317.
        error = np.sqrt(1.317 / len(z))
        yield Check(f"{name}, kurtosis", (z**4).mean(), 1.8, error, "uniform in azimuth")
    for name in ("lepton_eta", "jet1_eta"):
        z = _standard(features[:, VARIABLES.index(name)])
        error = (z**3 - 3 * z).std() / np.sqrt(len(z))
        yield Check(f"{name}, skewness", (z**3).mean(), 0.0, error, "equal beams")
    background = labels == 0
    z = _standard(features[background, VARIABLES.index("m_wwbb")]) * _standard(mass[background])
    yield Check(
        "background, correlation of m_wwbb and mass", z.mean(), 0.0, len(z) ** -0.5, "1601.07913: mass drawn by lot"
    )


def _standard(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / values.std()


def _peaks(features: np.ndarray, mass: np.ndarray, labels: np.ndarray) -> Iterator[Check]:
    """The combinations peak at the masses of what they are made of, as well as the energy of jets is known."""
    from benchmarks.simulation import hepmass as simulation

    raw = simulation.denormalise(features)
    jets = raw[:, VARIABLES.index("jets")]
    if np.abs(jets - np.round(jets)).max() > 1e-3:
        return
    background = labels == 0
    selections = [
        ("m_jj", "background", background, simulation.W_MASS, "W, PDG"),
        ("m_jjj", "background", background, simulation.TOP_MASS, "top, PDG"),
        ("m_jlv", "background", background, simulation.TOP_MASS, "top, PDG"),
        *(("m_wwbb", f"X of {m} GeV", (labels == 1) & (mass == m), m, "X as generated") for m in MASSES),
    ]
    rng = np.random.default_rng(0)
    for name, of, chosen, expected, source in selections:
        values = raw[chosen, VARIABLES.index(name)]
        if len(values) < 20:
            continue
        spread = np.std([_mode(rng.choice(values, len(values))) for _ in range(PSEUDO_SAMPLES)])
        error = np.hypot(spread, JET_SCALE * expected)
        source = f"{source}; jet energy to 4 %, 1112.6426"
        yield Check(f"{name} in GeV, {of}, most frequent", _mode(values), expected, error, source)


def _mode(values: np.ndarray) -> float:
    """Half-sample mode (Bickel and Fruehwirth, math/0505419): the densest half of the densest half, and so on."""
    values = np.sort(values)
    while len(values) > 3:
        half = (len(values) + 1) // 2
        start = int(np.argmin(values[half - 1 :] - values[: len(values) - half + 1]))
        values = values[start : start + half]
    return float(values.mean())


TASK = Task(
    title="X -> t tbar or Standard-Model t tbar: 27 features and the mass asked about",
    classes=CLASSES,
    read=read,
    plain_read=plain_read,
    views={"table": table, "cloud": cloud},
    variables=VARIABLES,
    context=("mass",),
    sources=(
        Source(
            "all_train.csv.gz",
            "https://archive.ics.uci.edu/ml/machine-learning-databases/00347/all_train.csv.gz",
            sha256="52061273edbe84cbfff6cc5432a04366d3401c39baf80da99d9baf91e0165498",
        ),
        Source(
            "all_test.csv.gz",
            "https://archive.ics.uci.edu/ml/machine-learning-databases/00347/all_test.csv.gz",
            sha256="eccba00f8d82c471c582ab629084103356f8dda637fad6d43f16a056673091b3",
        ),
    ),
    needed=1,
    simulation=Simulation(CHUNK, generate, write),
    split=split,
    slices={"mass": lambda arrays: arrays["mass"][:, 0].astype(np.int64)},
    validate=validate,
    size=10_500_000,
    references=(
        Reference(
            "affine parametrised network",
            {"auc": 0.958},
            "7,000,000 events",
            "Luca96/affine-parametric-networks, names of weight files",
            verified=True,
        ),
        Reference(
            "parametrised network",
            {"auc": 0.957},
            "7,000,000 events",
            "Luca96/affine-parametric-networks, names of weight files",
            verified=True,
        ),
        Reference(
            "network without the mass",
            {"auc": 0.902},
            "7,000,000 events",
            "Luca96/affine-parametric-networks, names of weight files",
            verified=True,
        ),
        Reference(
            "parametrised network",
            {
                "auc_mass_500": 0.775,
                "auc_mass_750": 0.926,
                "auc_mass_1000": 0.974,
                "auc_mass_1250": 0.989,
                "auc_mass_1500": 0.994,
            },
            "7,000,000 events",
            "1601.07913, reported",
            verified=False,
        ),
        Reference(
            "dense 500-400-300-200-100",
            {"auc": 0.954, "accuracy": 0.8775},
            "800,000 events, streamed",
            "this project's source document",
            verified=False,
        ),
    ),
    licence="CC-BY-4.0",
    citation="P. Baldi et al., Eur. Phys. J. C 76 (2016) 235, arXiv:1601.07913; UCI Machine Learning Repository 347",
)
