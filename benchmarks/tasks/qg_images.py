"""Quark or gluon: 125x125x3 images of jets, tracks beside the two calorimeters of CMS.

Three official Parquet files, CMS open-data simulation of dijets at 8 TeV (1902.08276); the first makes a dataset, the
others add to it. Columns `X_jets` list<list<list<double>>> (3, 125, 125), `pt` and `m0` of the jet in GeV, `y` quark 1,
gluon 0, one jet a row group; as many quarks as gluons. Axes of an image: channel, eta, phi. Channel 0 is the pT of
tracks, 1 the energy in ECAL, 2 that in HCAL, of which each tower is 5x5 pixels with a 25th of its energy; the tower of
most energy is in the middle. The reader makes (125, 125, 3) of it by transposing and checks that the blocks of HCAL are
in channel 2. A reshape straight to (125, 125, 3), as in a published notebook, scrambles the image: its test accuracy is
0.50. Parts are 70/15/15, seeded; there is no official split of these files.

Pixels below 1e-3 GeV become 0, as in the analysis code of the data. What is left is kept as hits (`Sparse`), at
4 bytes a hit, 4 kB a simulated jet for 188 kB of the dense image: values as float16 are off by 0.05 % at most, a sixth
of the calorimeters' best resolution.
`benchmarks/simulation/qg_images.py` writes one such file, with 20 jets a row group.

    make bench TASK=qg_images
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.base import Arrays, Check, Events, Reference, Simulation, Source, Task, UserError
from benchmarks.sparse import Sparse

CLASSES = ("gluon", "quark")
CHANNELS = ("tracks", "ECAL", "HCAL")
SIZE, BLOCK = 125, 5  # pixels of an image and of an HCAL tower
PIXEL = 0.0174  # of eta and of phi
COLUMNS = ("X_jets", "pt", "m0", "y")
STRETCH = 64  # jets read at a time: 24 MB as doubles
SUPPRESSED = 1e-3  # GeV
UNEVEN = 0.1  # share of HCAL pixels that differ from their block beyond which it is another channel
ID_OF_CLASS, ID_OF_FILE = 10**12, 10**9
CHUNK = 100  # jets simulated from one seed
ROW_GROUP = 20  # jets
POINTS = 128  # of a cloud
# Files of the public share https://cernbox.cern.ch/s/oolDBdQegsITFcv; an older share is index.php/s/hqz8zE7oxyPjvsL.
SHARE = "https://cernbox.cern.ch/remote.php/dav/public-files/oolDBdQegsITFcv"
RUNS = ("run0_n36272", "run1_n47540", "run2_n55494")
VALIDATED = 20_000  # jets at most
CHARGED_SOURCE = "65 % of a jet's energy is charged (1706.04965), 95 % of that tracked (1405.6569)"
TRACKS_SOURCE = "OPAL, hep-ex/9903027, whole jets of 40 GeV (reported, unverified); +- 0.15 for cone and initial state"


# --- reader ----------------------------------------------------------------------------------------------------------


def read(paths: Sequence[Path]) -> Iterator[Events]:
    """Yields stretches with image (n, 125, 125, 3), a Sparse; context (n, 2) float32, pt and m0; ids counted within
    class and file."""
    runs = [re.search(r"_run(\d+)_", path.name) for path in paths]
    numbers = [int(run[1]) for run in runs] if all(runs) else list(range(len(paths)))
    if len(set(numbers)) < len(numbers):
        numbers = list(range(len(paths)))
    for path, number in zip(paths, numbers, strict=True):
        yield from _read_file(path, number)


def _read_file(path: Path, number: int) -> Iterator[Events]:
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"{path}: not a complete Parquet file ({_one_line(error)})") from None
    with file:
        _check_columns(path, file.schema_arrow)
        if not file.metadata.num_rows:
            raise UserError(f"{path}: no events in it")
        start, seen = 0, [0, 0]
        try:
            for batch in file.iter_batches(STRETCH, columns=list(COLUMNS)):
                yield _events(path, start, number, batch, seen)
                start += batch.num_rows
        except (pyarrow.ArrowException, OSError) as error:
            raise UserError(f"{path}: events from {start} cannot be read ({_one_line(error)})") from None


def plain_read(paths: Sequence[Path]) -> Iterator[Events]:
    """The same events as lists, jet by jet, without checks or suppression: what `read` is measured against."""
    import pyarrow.parquet

    row = 0
    for path in paths:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(STRETCH):
                for jet in batch.to_pylist():
                    image = np.array(jet["X_jets"], np.float32).transpose(1, 2, 0)
                    arrays = {"image": image[None], "context": np.array([[jet["pt"], jet["m0"]]], np.float32)}
                    yield Events(arrays, np.array([jet["y"]]).astype(np.int64), np.array([row]))
                    row += 1


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _check_columns(path: Path, schema) -> None:
    from pyarrow import types

    for name in COLUMNS:
        if name not in schema.names:
            raise UserError(f"{path}: no column {name!r}; it has {', '.join(schema.names) or 'nothing'}")
        given = inner = schema.field(name).type
        depth = 0
        while types.is_list(inner) or types.is_large_list(inner):
            inner, depth = inner.value_type, depth + 1
        number = types.is_floating(inner) or (types.is_integer(inner) and name != "X_jets")
        if depth != (3 if name == "X_jets" else 0) or not number:
            expected = "list<list<list<double>>>" if name == "X_jets" else "double"
            raise UserError(f"{path}: column {name} is {given}; expected {expected}")


def _events(path: Path, start: int, number: int, batch, seen: list[int]) -> Events:
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    pixels = _flattened(path, start, columns["X_jets"])  # (n, 3 * 125 * 125)
    pt, m0, y = (_scalars(path, start, name, columns[name]) for name in COLUMNS[1:])

    def refuse(bad: np.ndarray, what: str):
        if bad.any():
            raise UserError(f"{path}: event {start + int(np.argmax(bad))}: {what}")

    lowest, highest = pixels.min(axis=1), pixels.max(axis=1)  # NaN where there is one
    refuse(~np.isfinite(lowest) | ~np.isfinite(highest), "NaN or infinity in X_jets")
    refuse(highest > np.finfo(np.float16).max, "a pixel above 65,504 GeV in X_jets")
    refuse(~np.isfinite(pt) | ~np.isfinite(m0), "NaN or infinity in pt or m0")
    refuse(pt <= 0, "pt not above 0")
    refuse(~np.isin(y, (0, 1)), "label outside {0, 1} in y")
    row, index = np.divmod(np.flatnonzero(pixels >= SUPPRESSED), pixels.shape[1])
    _check_blocks(path, pixels, row, index)
    labels = y.astype(np.int64)
    ids = np.empty(len(labels), np.int64)
    for kind in (0, 1):
        of_kind = labels == kind
        count = int(of_kind.sum())
        ids[of_kind] = kind * ID_OF_CLASS + number * ID_OF_FILE + seen[kind] + np.arange(count)
        seen[kind] += count
    context = np.stack([pt, m0], axis=1).astype(np.float32)
    return Events({"image": _channels_last(pixels, row, index), "context": context}, labels, ids)


def _flattened(path: Path, start: int, column) -> np.ndarray:
    """(n, 3 * 125 * 125) view on Arrow's buffer of a column of three nested lists, each of a regular length."""
    rows = len(column)
    for length, axis in zip((3, SIZE, SIZE), ("channels", "rows", "pixels"), strict=True):
        if column.null_count:
            raise UserError(f"{path}: events from {start}: null in X_jets")
        lengths = np.diff(np.asarray(column.offsets))
        if (lengths != length).any():
            which = int(np.argmax(lengths != length))
            event = start + which * rows // len(column)
            raise UserError(f"{path}: event {event}: {lengths[which]} {axis} in X_jets; expected {length}")
        column = column.flatten()
    if column.null_count:
        raise UserError(f"{path}: events from {start}: null in X_jets")
    return np.asarray(column).reshape(rows, 3 * SIZE * SIZE)


def _scalars(path: Path, start: int, name: str, column) -> np.ndarray:
    if column.null_count:
        raise UserError(f"{path}: events from {start}: null in {name}")
    return np.asarray(column).astype(np.float64)


def _check_blocks(path: Path, pixels: np.ndarray, row: np.ndarray, index: np.ndarray) -> None:
    """Refuses images whose channel 2 is not made of 5x5 equal pixels. row, index: the hits."""
    channel, pixel = np.divmod(index, SIZE * SIZE)
    across, down = np.divmod(pixel, SIZE)
    middle = (across // BLOCK * BLOCK + BLOCK // 2) * SIZE + down // BLOCK * BLOCK + BLOCK // 2
    unequal = pixels[row, index] != pixels[row, channel * SIZE * SIZE + middle]
    hits = np.bincount(channel, minlength=3)
    uneven = np.bincount(channel, unequal, minlength=3) / np.maximum(hits, 1)
    if uneven[2] <= UNEVEN:
        return
    with_blocks = [str(n) for n in (0, 1) if uneven[n] <= UNEVEN and hits[n]]
    seen = f"; those of channel {' and '.join(with_blocks)} do not" if with_blocks else ""
    raise UserError(
        f"{path}: {100 * uneven[2]:.0f} % of the pixels of channel 2 differ from the middle of their 5x5 block, so it "
        f"is not HCAL{seen}. Expected X_jets as (channel, eta, phi) with channels {', '.join(CHANNELS)}"
    )


def _channels_last(pixels: np.ndarray, row: np.ndarray, index: np.ndarray) -> Sparse:
    """Hits of (n, 3 * 125 * 125) images, channels first, as those of (n, 125, 125, 3). row, index: the hits."""
    channel, pixel = np.divmod(index, SIZE * SIZE)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(pixels)))])
    values = pixels[row, index].astype(np.float16)
    return Sparse(offsets, (3 * pixel + channel).astype(np.uint16), values, (SIZE, SIZE, 3))


# --- simulation ------------------------------------------------------------------------------------------------------


def generate(label: int, number: int, seed: int) -> Arrays:
    from benchmarks.simulation import qg_images as simulation

    return simulation.generate(label, CHUNK, [seed, label, number])


def write(folder: Path, counts: Sequence[int], chunks: Iterator[tuple[int, Arrays]]) -> list[Path]:
    """One file in the official format, by row groups."""
    import pyarrow
    import pyarrow.parquet

    path = folder / f"QCDToGGQQ_IMGjet_RH1all_jet0_run0_n{sum(counts)}.test.snappy.parquet"
    image = pyarrow.list_(pyarrow.list_(pyarrow.list_(pyarrow.float64())))
    schema = pyarrow.schema([("X_jets", image), *((name, pyarrow.float64()) for name in COLUMNS[1:])])
    with pyarrow.parquet.ParquetWriter(path, schema, compression="snappy") as writer:
        for label, arrays in chunks:
            for start in range(0, len(arrays["pt"]), ROW_GROUP):
                part = {name: array[start : start + ROW_GROUP] for name, array in arrays.items()}
                count = len(part["pt"])
                column = pyarrow.array(dense(part["index"], part["values"]).reshape(-1))
                for length in (SIZE, SIZE, 3):
                    offsets = np.arange(0, len(column) + 1, length, dtype=np.int32)
                    column = pyarrow.ListArray.from_arrays(offsets, column)
                scalars = [part["pt"], part["m0"], np.full(count, label)]
                columns = [column, *(pyarrow.array(values.astype(np.float64)) for values in scalars)]
                writer.write_table(pyarrow.table(columns, schema=schema))
    return [path]


def dense(index: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(n, 3, 125, 125) float64 images of padded hits, as `benchmarks.simulation.qg_images.generate` gives them: an
    HCAL tower's energy stands in the middle of its block and is shared by all of it."""
    events, width = len(index), 3 * SIZE * SIZE
    flat = (index + np.arange(events)[:, None] * width).ravel()
    image = np.bincount(flat, values.ravel(), minlength=events * width).astype(np.float32)
    image = image.reshape(events, 3, SIZE, SIZE)
    middle = slice(BLOCK // 2, None, BLOCK)
    shared = image[:, 2, middle, middle] / np.float32(BLOCK**2)
    image[:, 2] = shared.repeat(BLOCK, axis=1).repeat(BLOCK, axis=2)
    return image.astype(np.float64)


# --- views -----------------------------------------------------------------------------------------------------------

CLOUD_FEATURES = (
    "delta_eta",
    "delta_phi",
    "log_energy",
    "log_energy_fraction",
    "delta_r",
    "is_track",
    "is_ecal",
    "is_hcal",
)

LAYERS = ("track", "ecal", "hcal", "all")
LAYER_VARIABLES = (
    "number",
    "fraction",
    "leading_fraction",
    "pt_d",
    "girth",
    "lha",
    "thrust",
    "axis_1",
    "axis_2",
    "in_01",
    "in_02",
    "n90",
)
VARIABLES = (
    "mass_over_pt",
    *(f"{layer}_{name}" for layer in LAYERS for name in LAYER_VARIABLES),
    "tracks_above_1_gev",
    "tracks_in_core",
    "track_c1_02",
    "track_c1_10",
    "track_second_fraction",
    "track_sum_over_pt",
    "tracks_outside",
)
JET = 0.5  # radius within which jet variables are taken, that of the official jets
PAIRED = 24  # tracks of which pairs are taken


def hits_of(image: Sparse) -> tuple[np.ndarray, ...]:
    """(event, channel, eta, phi, energy) of each track pixel, crystal and HCAL tower; energy in GeV, eta and phi from
    the image's middle. A tower is one hit: its middle pixel with the energy of all 25."""
    event, index, energy = image.hits()
    pixel, channel = np.divmod(index, 3)
    row, column = np.divmod(pixel, SIZE)
    once = (channel < 2) | ((row % BLOCK == BLOCK // 2) & (column % BLOCK == BLOCK // 2))
    event, channel, row, column = event[once], channel[once], row[once], column[once]
    energy = energy[once].astype(np.float64) * np.where(channel == 2, BLOCK**2, 1)
    return event, channel, (row - SIZE // 2) * PIXEL, (column - SIZE // 2) * PIXEL, energy


def cloud(arrays: Arrays) -> dict[str, np.ndarray]:
    """The POINTS most energetic hits of each image, in falling order of energy, padded with zeros.

    points (N, P, 2), eta and phi from the seed tower; features (N, P, F), those of CLOUD_FEATURES, the recipe of
    ParticleNet (1902.08570, table 1) with the layer in place of the particle's kind; log_pt (N, P), the logarithm of
    the energy; mask (N, P).
    """
    events = len(arrays["image"])
    event, channel, eta, phi, energy = hits_of(arrays["image"])
    total = np.bincount(event, energy, minlength=events)
    place = _ranked(event, energy, events)
    kept = place < POINTS
    event, channel, eta, phi, energy, place = (x[kept] for x in (event, channel, eta, phi, energy, place))
    points = np.zeros((events, POINTS, 2), np.float32)
    features = np.zeros((events, POINTS, len(CLOUD_FEATURES)), np.float32)
    mask = np.zeros((events, POINTS), bool)
    flags = (channel == layer for layer in range(3))
    columns = (eta, phi, np.log(energy), np.log(energy / total[event]), np.hypot(eta, phi), *flags)
    points[event, place] = np.stack([eta, phi], axis=1)
    features[event, place] = np.stack(columns, axis=1)
    mask[event, place] = True
    log_pt = np.zeros((events, POINTS), np.float32)
    log_pt[event, place] = np.log(energy)
    inputs = {"points": points, "features": features, "log_pt": log_pt, "mask": mask}
    return {**inputs, "context": arrays["context"]}


def _ranked(group: np.ndarray, energy: np.ndarray, groups: int) -> np.ndarray:
    """Place of each hit in its group by falling energy, from 0."""
    order = np.lexsort((-energy, group))
    number = np.bincount(group, minlength=groups)
    place = np.empty(len(group), np.int64)
    place[order] = np.arange(len(group)) - (np.cumsum(number) - number)[group[order]]
    return place


def jet_variables(arrays: Arrays) -> np.ndarray:
    """(N, len(VARIABLES)) float32 jet variables from the hits within 0.5 of the jet's axis, which is the centroid of
    the energy within 0.5 of the seed tower.

    Sources. CMS' quark-gluon likelihood (CMS-PAS-JME-13-002): number of constituents, pt_d = sqrt(sum e^2) / sum e,
    axis_1 and axis_2, the axes of the jet's ellipse, weighted with e^2. girth, sum z r: Gallicchio and Schwartz,
    1106.3076. lha, sum z r^0.5, and thrust, sum z r^2, the generalised angularities of 1704.03878. c1 = sum over pairs
    z_i z_j r_ij^beta with beta 0.2 and 1: Larkoski, Salam and Thaler, 1305.0007, here of the 24 highest tracks. in_01
    and in_02, shares of the energy within 0.1 and 0.2, the integrated jet shape (CMS, 1204.3170). n90, hits that carry
    90 % of the energy: Pumplin, Phys. Rev. D 44 (1991) 2025. leading_fraction: z of the highest hit (Field and Feynman,
    Nucl. Phys. B 136 (1978) 1, who first took it for telling quarks). fraction: a layer's share of the jet's energy
    (particle-flow fractions, 1706.04965). tracks_outside, those between 0.6 and 0.9, measure pile-up.

    z and e are a hit's energy, in the tracks' layer their pT; a layer without hits gives zeros.
    """
    image, (pt, m0) = arrays["image"], np.asarray(arrays["context"], np.float64).T
    events = len(image)
    event, channel, eta, phi, energy = hits_of(image)
    near = np.hypot(eta, phi) < JET
    total = np.bincount(event[near], energy[near], minlength=events)
    eta = eta - _ratio(np.bincount(event[near], (energy * eta)[near], minlength=events), total)[event]
    phi = phi - _ratio(np.bincount(event[near], (energy * phi)[near], minlength=events), total)[event]
    r = np.hypot(eta, phi)
    outside = np.bincount(event[(channel == 0) & (r > 0.6) & (r < 0.9)], minlength=events)
    inside = r < JET
    event, channel, eta, phi, energy, r = (x[inside] for x in (event, channel, eta, phi, energy, r))

    whole = np.bincount(event, energy, minlength=events)
    group = np.concatenate([4 * event + channel, 4 * event + 3])
    eta, phi, energy, r = (np.tile(x, 2) for x in (eta, phi, energy, r))
    layers = _layers(group, eta, phi, energy, r, 4 * events)
    layers["fraction"] = layers["sum"] / np.maximum(whole, 1e-9).repeat(4)
    table = np.stack([layers[name] for name in LAYER_VARIABLES], axis=1).reshape(events, -1)

    track = np.flatnonzero(group % 4 == 0)
    owner, z = group[track] // 4, energy[track]
    tracks = np.bincount(owner, z, minlength=events)
    z = z / tracks[owner]
    place = _ranked(owner, z, events)
    c1_02, c1_10 = _correlations(owner, place, z, eta[track], phi[track], events)
    second = np.bincount(owner[place == 1], z[place == 1], minlength=events)
    columns = [
        np.bincount(owner[energy[track] > 1], minlength=events),
        np.bincount(owner[r[track] < 0.2], minlength=events),
        c1_02,
        c1_10,
        second,
        tracks / pt,
        outside,
    ]
    return np.concatenate([(m0 / pt)[:, None], table, np.stack(columns, axis=1)], axis=1).astype(np.float32)


def _layers(group, eta, phi, energy, r, groups: int) -> dict[str, np.ndarray]:
    """Each variable for each group of hits, a layer of an event."""

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(group, values, minlength=groups)

    whole = total(energy)
    square = total(energy**2)
    z = energy / whole[group]
    weight = energy**2 / square[group]
    mean_eta, mean_phi = total(weight * eta), total(weight * phi)
    step_eta, step_phi = eta - mean_eta[group], phi - mean_phi[group]
    a, b, c = total(weight * step_eta**2), total(weight * step_phi**2), total(weight * step_eta * step_phi)
    spread = np.hypot(a - b, 2 * c)
    order = np.lexsort((-energy, group))
    above = np.cumsum(z[order])
    number = np.bincount(group, minlength=groups)
    start = np.cumsum(number) - number
    before = above - z[order] - np.concatenate([[0.0], above])[start[group[order]]]
    leading = np.zeros(groups)
    leading[number > 0] = z[order[start[number > 0]]]
    return {
        "number": number,
        "sum": whole,
        "leading_fraction": leading,
        "pt_d": _ratio(np.sqrt(square), whole),
        "girth": total(z * r),
        "lha": total(z * np.sqrt(r)),
        "thrust": total(z * r**2),
        "axis_1": np.sqrt(np.maximum(a + b + spread, 0) / 2),
        "axis_2": np.sqrt(np.maximum(a + b - spread, 0) / 2),
        "in_01": total(z * (r < 0.1)),
        "in_02": total(z * (r < 0.2)),
        "n90": np.bincount(group[order[before < 0.9]], minlength=groups),
    }


def _correlations(owner, place, z, eta, phi, events: int) -> tuple[np.ndarray, np.ndarray]:
    """C1 with beta 0.2 and 1 of the PAIRED highest tracks of each event."""
    kept = place < PAIRED
    padded = np.zeros((3, events, PAIRED))
    padded[:, owner[kept], place[kept]] = z[kept], eta[kept], phi[kept]
    high_z, high_eta, high_phi = padded
    one, other = np.triu_indices(PAIRED, 1)
    product = high_z[:, one] * high_z[:, other]
    distance = np.hypot(high_eta[:, one] - high_eta[:, other], high_phi[:, one] - high_phi[:, other])
    return (product * distance**0.2).sum(axis=1), (product * distance).sum(axis=1)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.zeros(len(below)), where=below > 0)


def slice_of_pt(arrays: Arrays) -> np.ndarray:
    """(N,) lower edge in GeV of the jet's interval of pT: 0, 90, 110 or 140."""
    edges = np.array([0, 90, 110, 140])
    return edges[np.searchsorted(edges, arrays["context"][:, 0], side="right") - 1]


# --- validation ------------------------------------------------------------------------------------------------------


def validate(arrays: Arrays, labels: np.ndarray) -> list[Check]:
    """Figures that the construction of the official data and the literature give, on at most VALIDATED evenly spaced
    jets; none where a class is missing. No pixel of the official files was at hand to calibrate against."""
    rows = np.unique(np.linspace(0, len(labels) - 1, min(len(labels), VALIDATED)).astype(np.int64))
    labels = labels[rows]
    if len(np.unique(labels)) < 2:
        return []
    context = np.asarray(arrays["context"][rows], np.float64)
    stretches = np.array_split(rows, -(-len(rows) // 500))
    parts = [_figures(arrays["image"], arrays["context"], part) for part in stretches]
    whole, tracks, charged = (np.concatenate(values) for values in zip(*parts, strict=True))
    means = [tracks[labels == kind].mean() for kind in (0, 1)]
    errors = [tracks[labels == kind].std() / np.sqrt((labels == kind).sum()) / means[kind] for kind in (0, 1)]
    ratio = means[0] / means[1]
    spacing = (np.quantile(context[:, 0], 0.1) - context[:, 0].min()) / (0.1 * len(rows))
    root = np.sqrt(len(rows))
    code = "analysis code of the official data"
    return [
        Check("HCAL blocks with equal pixels, share", whole.mean(), 1.0, 1e-3, code),
        Check("quark jets, share", labels.mean(), 0.5, 0.5 / root, code),
        Check("pt, lowest, GeV", context[:, 0].min(), 70.0, 3 * spacing, code),
        Check("track pT / pt, mean", charged.mean(), 0.62, np.hypot(0.03, charged.std() / root), CHARGED_SOURCE),
        Check("tracks, gluon / quark", ratio, 1.514, np.hypot(ratio * np.hypot(*errors), 0.15), TRACKS_SOURCE),
    ]


def _figures(image: Sparse, context: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each jet: share of its HCAL blocks that are whole; tracks within 0.5 of the middle, less those that a ring
    from 0.7 to 1 leads one to expect of pile-up; their pT over that of the jet."""
    event, index, energy = image.hits(rows)
    pixel, channel = np.divmod(index, 3)
    row, column = np.divmod(pixel, SIZE)
    hcal, towers = channel == 2, SIZE // BLOCK
    block = (event[hcal] * towers + row[hcal] // BLOCK) * towers + column[hcal] // BLOCK
    blocks, number = len(rows) * towers**2, BLOCK**2
    filled = np.bincount(block, minlength=blocks).reshape(len(rows), -1)
    mean = np.bincount(block, energy[hcal], minlength=blocks).reshape(len(rows), -1) / number
    square = np.bincount(block, energy[hcal].astype(np.float64) ** 2, minlength=blocks).reshape(len(rows), -1) / number
    equal = (filled == number) & (np.abs(square - mean**2) <= 1e-6 * mean**2)
    whole = _ratio(equal.sum(axis=1).astype(float), (filled > 0).sum(axis=1))

    r = np.hypot(row - SIZE // 2, column - SIZE // 2) * PIXEL
    near, ring = (channel == 0) & (r < JET), (channel == 0) & (r > 0.7) & (r < 1.0)
    expected = np.bincount(event[ring], minlength=len(rows)) * JET**2 / (1.0 - 0.7**2)
    tracks = np.bincount(event[near], minlength=len(rows)) - expected
    charged = np.bincount(event[near], energy[near], minlength=len(rows)) / np.asarray(context[rows])[:, 0]
    return whole, tracks, charged


TASK = Task(
    title="quark or gluon: CMS jet images, 125x125 pixels of tracks, ECAL and HCAL",
    classes=CLASSES,
    read=read,
    plain_read=plain_read,
    views={
        "image": lambda arrays: {"image": arrays["image"], "context": arrays["context"]},
        "cloud": cloud,
        "table": lambda arrays: {"table": jet_variables(arrays), "context": arrays["context"]},
    },
    variables=VARIABLES,
    context=("pt", "m0"),
    sources=tuple(
        Source(name, f"{SHARE}/{name}")
        for name in (f"QCDToGGQQ_IMGjet_RH1all_jet0_{run}.test.snappy.parquet" for run in RUNS)
    ),
    needed=1,
    slices={"pt_above": slice_of_pt},
    simulation=Simulation(CHUNK, generate, write),
    validate=validate,
    size=139_306,
    references=(
        Reference("CoAtNet", {"auc": 0.8146}, "all three files", "ML4SCI/E2E", verified=True),
        Reference("EffSwin", {"auc": 0.8144}, "all three files", "ML4SCI/E2E", verified=True),
        Reference("Swin-T", {"auc": 0.8083}, "all three files", "ML4SCI/E2E", verified=True),
        Reference("ResNet", {"auc": 0.8076}, "all three files", "ML4SCI/E2E", verified=True),
        Reference("ResNet-15, combined images", {"auc": 0.8077}, "paper's sample", "arXiv:1902.08276", verified=False),
        Reference("RecNN", {"auc": 0.8017}, "paper's sample", "arXiv:1902.08276", verified=False),
        Reference(
            "ViT, 5,178 parameters", {"auc": 0.793}, "all three files", "salcc/QuantumTransformers", verified=True
        ),
        Reference("GCN", {"auc": 0.778}, "run 0 alone", "ML4SCI/E2E", verified=True),
        Reference("Xception", {"auc": 0.769}, "run 0 alone", "ML4SCI/E2E", verified=True),
    ),
    licence="CMS open data, CC0",
    citation="M. Andrews et al., Nucl. Instrum. Meth. A 977 (2020) 164304, arXiv:1902.08276",
)
