"""Published files as other programs save them again, and files that are damaged: read, or refused in one line."""

from __future__ import annotations

import bz2
import gzip
import lzma
from pathlib import Path

import numpy as np
import pytest
from conftest import images_by_hand, write_images
from mutate import mutants

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import UserError

RNG = np.random.default_rng(0)
ECAL, JETS, IMAGES, HEPMASS, CLUSTERS, PIXELS, MAGIC = (
    registry.find("task", name).record
    for name in ("ecal", "qg_jets", "qg_images", "hepmass", "pxd_clusters", "pxd_pixels", "magic")
)


def arrays_of(task, *paths: Path) -> dict[str, np.ndarray]:
    """All events, with their labels and ids."""
    chunks = list(task.read(paths))
    arrays = {
        key: np.concatenate([chunk.arrays[key][np.arange(len(chunk.ids))] for chunk in chunks])
        for key in chunks[0].arrays
    }
    labels = [chunk.labels for chunk in chunks if chunk.labels is not None]
    return {**arrays, "labels": np.concatenate(labels), "ids": np.concatenate([chunk.ids for chunk in chunks])}


def assert_same(task, path: Path, plain: Path) -> None:
    read, expected = arrays_of(task, path), arrays_of(task, plain)
    for name in expected:
        np.testing.assert_array_equal(read[name], expected[name], err_msg=name)


def refused(task, path: Path) -> str:
    """The one line that refuses a file."""
    with pytest.raises(UserError) as caught:
        list(task.read([path]))
    message = str(caught.value)
    assert str(path) in message and "\n" not in message and message.isprintable() and len(message) < 600
    return message


# --- text -------------------------------------------------------------------------------------------------------------

NAMES = [*(f"f{i}" for i in range(27)), "mass"]
ROWS = [[f"{i % 2}", *(f"{v:.6f}" for v in RNG.normal(size=27)), ["500.0", "750.0"][i % 2]] for i in range(12)]


def csv(header: list[str] | None = None, rows: list[list[str]] = ROWS, separator: str = ",") -> str:
    lines = [["# label", *NAMES] if header is None else header, *rows]
    return "".join(separator.join(line) + "\n" for line in lines)


QUOTED = [[f'"{value}"' for value in row] for row in ROWS]
SWAPPED = [[row[-1], *row[1:-1], row[0]] for row in ROWS]
PLAIN = csv()
HEPMASS_TEXTS = {
    "Windows": PLAIN.replace("\n", "\r\n"),
    "old Macintosh": PLAIN.replace("\n", "\r"),
    "byte order mark": "\ufeff" + PLAIN,
    "label without #": csv(["label", *NAMES]),
    "capitals": csv(["Label", *map(str.upper, NAMES)]),
    "quoted header": csv([f'"{name}"' for name in ["# label", *NAMES]]),
    "all quoted": csv(rows=QUOTED),
    "another order": csv(["mass", *NAMES[:-1], "label"], SWAPPED),
    "semicolons": csv(separator=";"),
    "tabs": csv(separator="\t"),
    "no last end of line": PLAIN[:-1],
    "empty last lines": PLAIN + "\n \n\n",
    "an empty line within": PLAIN.replace("\n", "\n\n", 3),
    "comments": "# saved by hand\n% of ours\n" + PLAIN.replace("\n", "\n# the first\n", 1),
    "rounded labels": csv(rows=[[["1e-6", "0.999999"][int(row[0])], *row[1:]] for row in ROWS]),
    "labels with a point": csv(rows=[[row[0] + ".0", *row[1:]] for row in ROWS]),
}


@pytest.mark.parametrize("kind", HEPMASS_TEXTS)
def test_hepmass_saved_again_is_the_same(tmp_path, kind):
    (tmp_path / "all_train.csv").write_text(PLAIN)
    path = tmp_path / "again.csv"
    path.write_bytes(HEPMASS_TEXTS[kind].encode())
    assert_same(HEPMASS, path, tmp_path / "all_train.csv")


def zstandard(data: bytes) -> bytes:
    import pyarrow

    return pyarrow.Codec("zstd").compress(data, asbytes=True)


COMPRESSIONS = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": zstandard, "none": bytes}


@pytest.mark.parametrize("name", ["all_train.csv.gz", "all_train.csv"])
@pytest.mark.parametrize("kind", COMPRESSIONS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_compression_and_encoding_are_told_by_the_content(tmp_path, name, kind, encoding):
    (tmp_path / "plain.csv").write_text(PLAIN)
    path = tmp_path / name
    path.write_bytes(COMPRESSIONS[kind](PLAIN.encode(encoding)))
    assert_same(HEPMASS, path, tmp_path / "plain.csv")


@pytest.mark.parametrize("kind", [kind for kind in COMPRESSIONS if kind != "none"])
def test_a_stream_that_ends_early_is_refused(tmp_path, kind):
    path = tmp_path / "all_train.csv"
    path.write_bytes(COMPRESSIONS[kind](PLAIN.encode())[:-20])
    assert "not a whole" in refused(HEPMASS, path)


HEPMASS_FAULTS = {
    "index": (csv(["", "label", *NAMES], [["0", *row] for row in ROWS]), "column '' is an index.*index=False"),
    "index of pandas": (csv(["Unnamed: 0", "label", *NAMES], [["0", *row] for row in ROWS]), "is an index"),
    "a column twice": (csv(["label", *NAMES[:-2], "f0", "mass"]), "expected the 29 columns"),
    "an empty field": (csv(rows=[*ROWS[:3], ["1", "", *ROWS[4][2:]]]), "line 5: f0 is '', not a number"),
    "missing": (csv(rows=[*ROWS[:3], ["1", "NA", *ROWS[4][2:]]]), "line 5: f0 is 'NA', not a number"),
    "a comma within": (csv(rows=[*ROWS[:3], ["1", '"1,5"', *ROWS[4][2:]]]), "line 5: 30 columns; expected 29"),
    "decimal commas": (csv(separator=";").replace(".", ","), "line 2: f0 is '.*,.*', not a number"),
    "two tables": (PLAIN + PLAIN, "line 14: a second header"),
    "cut in the last number": (PLAIN[:-3], "truncated: line 13.*end it with a newline"),
    "1e300": (csv(rows=[*ROWS[:3], ["1", "1e300", *ROWS[4][2:]]]), "line 5: .* beyond float32"),
    "zeros": (csv(rows=[*ROWS[:3], ["1", *["0"] * 27, "500"]]), "line 5: nothing but zeros"),
    "endless line": ("1" * 2**21, "line 1 is '111"),
    "zeros of a disk": (PLAIN + "\0" * 512, "not a text file"),
}


@pytest.mark.parametrize("kind", HEPMASS_FAULTS)
def test_hepmass_that_may_be_read_in_two_ways_is_refused(tmp_path, kind):
    text, fault = HEPMASS_FAULTS[kind]
    path = tmp_path / "all_train.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=fault):
        list(HEPMASS.read([path]))
    refused(HEPMASS, path)


def test_a_bomb_of_a_line_without_end_is_refused(tmp_path):
    path = tmp_path / "all_train.csv.gz"
    path.write_bytes(gzip.compress(b"1" * 2**25, 9))
    assert "no end of line" in refused(HEPMASS, path)


CLUSTER_NAMES = "charge seed_charge minimum_charge size size_u size_v"
CLUSTER_ROWS = [[str(40 + 2 * i), "30", "5", "3", "2", "2"] for i in range(9)]


def lines(rows: list[list[str]], separator: str = " ") -> str:
    return "".join(separator.join(row) + "\n" for row in rows)


CLUSTER_TEXTS = {
    "comments": "# made by hand\n" + lines(CLUSTER_ROWS[:3]) + "# and\n" + lines(CLUSTER_ROWS[3:]),
    "comment behind": lines(CLUSTER_ROWS).replace("\n", " # first\n", 1),
    "header": "q seed min n nu nv\n" + lines(CLUSTER_ROWS),
    "numbers of columns": "0,1,2,3,4,5\n" + lines(CLUSTER_ROWS, ","),
    "another order": " ".join(reversed(CLUSTER_NAMES.split())) + "\n" + lines([row[::-1] for row in CLUSTER_ROWS]),
    "# another order": "# " + " ".join(reversed(CLUSTER_NAMES.split())) + "\n" + lines([r[::-1] for r in CLUSTER_ROWS]),
    "byte order mark": "\ufeff" + lines(CLUSTER_ROWS),
    "commas": lines(CLUSTER_ROWS, ", "),
    "tabs": lines(CLUSTER_ROWS, "\t"),
    "commas at the end": lines(CLUSTER_ROWS, ",").replace("\n", ",\n"),
    "quotes": "\n".join(",".join(f'"{value}"' for value in row) for row in CLUSTER_ROWS),
}


@pytest.mark.parametrize("kind", CLUSTER_TEXTS)
def test_clusters_saved_again_are_the_same(tmp_path, kind):
    for name in ("again", "plain"):
        (tmp_path / name).mkdir()
    plain, path = tmp_path / "plain" / "pion.txt", tmp_path / "again" / "pion.txt"
    plain.write_text(lines(CLUSTER_ROWS))
    path.write_bytes(CLUSTER_TEXTS[kind].encode())
    assert_same(CLUSTERS, path, plain)


CLUSTER_FAULTS = {
    "an empty field": ("47,30,,5,3,2,2\n", "line 2: an empty field"),
    "an empty first field": (",47,30,5,3,2,2\n", "line 2: an empty field"),
    "an empty field of tabs": ("47\t30\t\t5\t3\t2\t2\n", "line 2: an empty field"),
    "an underscore": ("47 3_0 5 3 2 2\n", "line 2: '3_0' is not a number"),
    "decimal commas": ("47,5;30;5;3;2;2\n", "commas and semicolons"),
    "1e300": ("1e300 30 5 3 2 2\n", "line 2: a number beyond float32"),
    "1e-300": ("47 30 1e-300 3 2 2\n", "line 2: a minimum charge not above 0"),
}


@pytest.mark.parametrize("kind", CLUSTER_FAULTS)
def test_clusters_that_may_be_read_in_two_ways_are_refused(tmp_path, kind):
    text, fault = CLUSTER_FAULTS[kind]
    path = tmp_path / "pion.txt"
    path.write_text(lines(CLUSTER_ROWS[:1]) + text)
    assert fault in refused(CLUSTERS, path)


def test_files_of_a_group_are_found_in_any_case_and_compressed(tmp_path):
    for kind in CLUSTERS.classes:
        (tmp_path / f"{kind.capitalize()}.TXT.gz").write_bytes(gzip.compress(lines(CLUSTER_ROWS).encode()))
        (tmp_path / f"{kind}.txt.bak").write_text(lines(CLUSTER_ROWS))
    paths = CLUSTERS.custom_layout(tmp_path)
    assert [path.name for path in paths] == [f"{kind.capitalize()}.TXT.gz" for kind in CLUSTERS.classes]
    np.testing.assert_array_equal(np.bincount(arrays_of(CLUSTERS, *paths)["labels"]), [9] * 4)
    (tmp_path / "PION.txt").write_text(lines(CLUSTER_ROWS))
    with pytest.raises(UserError, match=r"each could be pion\.txt; keep only one of them"):
        CLUSTERS.custom_layout(tmp_path)


MAGIC_ROWS = "1,2,3,4,5,6,7,8,9,10,g\n1,2,3,4,5,6,7,8,9,0,h\n"
MAGIC_NAMES = "fLength,fWidth,fSize,fConc,fConc1,fAsym,fM3Long,fM3Trans,fAlpha,fDist,class"
ARFF = "% of OpenML\n@RELATION magic\n" + "".join(
    f"@ATTRIBUTE '{name}:' {'{g,h}' if name == 'class' else 'REAL'}\n" for name in MAGIC_NAMES.split(",")
)
MAGIC_TEXTS = {
    "ARFF": ARFF + "\n@DATA\n% first\n" + MAGIC_ROWS.replace("g", "'g'").replace("h", "'h'"),
    "header": MAGIC_NAMES + "\n" + MAGIC_ROWS,
    "numbers of columns": "0,1,2,3,4,5,6,7,8,9,10\n" + MAGIC_ROWS,
    "quoted": MAGIC_ROWS.replace("g", '"g"').replace("h", '"h"'),
    "capitals": MAGIC_ROWS.upper(),
    "blanks": MAGIC_ROWS.replace(",", " , "),
    "class first": "class,"
    + MAGIC_NAMES[:-6]
    + "\n"
    + "".join(f"{row[-1]},{row[:-2]}\n" for row in MAGIC_ROWS.splitlines()),
    "empty lines": "\n" + MAGIC_ROWS.replace("\n", "\n\n"),
}


@pytest.mark.parametrize("kind", MAGIC_TEXTS)
def test_magic_saved_again_is_the_same(tmp_path, kind):
    (tmp_path / "magic04.data").write_text(MAGIC_ROWS)
    path = tmp_path / "again.data"
    path.write_text(MAGIC_TEXTS[kind])
    assert_same(MAGIC, path, tmp_path / "magic04.data")


@pytest.mark.parametrize(
    "text, fault",
    [
        (MAGIC_ROWS.replace("10", "?"), "line 1: fDist is '?', not a number"),
        (MAGIC_ROWS.replace("10", "1e300"), "line 1: NaN or infinity, or a number beyond float32"),
        (",".join(["0"] * 10) + ",g\n", "line 1: nothing but zeros"),
        ("row," + MAGIC_NAMES + "\n0," + MAGIC_ROWS, "expected the 11 columns"),
    ],
)
def test_magic_with_a_fault_is_refused(tmp_path, text, fault):
    path = tmp_path / "magic04.data"
    path.write_text(text)
    assert fault in refused(MAGIC, path)


# --- HDF5, npz, Parquet -----------------------------------------------------------------------------------------------

LABELS = {
    "int64": lambda y: y.astype("i8"),
    "uint8": lambda y: y.astype("u1"),
    "big endian": lambda y: y.astype(">f8"),
    "bool": lambda y: y.astype(bool),
    "column": lambda y: y[:, None],
    "rounded": lambda y: np.where(y == 1, 0.999999, 1e-7),
}


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("options", [{}, {"compression": "gzip", "shuffle": True, "fletcher32": True}])
def test_ecal_with_labels_of_another_type_is_the_same(tmp_path, kind, options):
    images, y = images_by_hand(6), np.arange(6) % 2
    plain = write_images(tmp_path / "plain.hdf5", images, y.astype("f4"))
    assert_same(ECAL, write_images(tmp_path / "again.hdf5", images, LABELS[kind](y), **options), plain)


def ecal_with(tmp_path: Path, change) -> Path:
    import h5py

    path = tmp_path / "photons.hdf5"
    with h5py.File(path, "w") as file:
        file["y"] = np.zeros(4, "f4")
        change(file, h5py)
    return path


def unknown_filter(file, h5py) -> None:
    """A dataset that says it is compressed by a filter that nobody has, and holds no chunk."""
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((1, 32, 32, 2))
    properties.set_filter(60000, h5py.h5z.FLAG_OPTIONAL, (3,))
    space = h5py.h5s.create_simple((4, 32, 32, 2))
    h5py.h5d.create(file.id, b"X", h5py.h5t.IEEE_F32LE, space, properties)


ECAL_FAULTS = {
    "link to nothing": (lambda f, h: f.__setitem__("X", h.SoftLink("/no")), "X is a link to /no, which leads nowhere"),
    "link to no file": (lambda f, h: f.__setitem__("X", h.ExternalLink("no.h5", "/X")), "a link to no.h5:/X, which"),
    "a group": (lambda f, h: f.create_group("X"), "X is not a dataset"),
    "declared": (lambda f, h: f.create_dataset("X", (4, 32, 32, 2), "f4", chunks=(1, 32, 32, 2)), "the file holds 0"),
    "declared at once": (lambda f, h: f.create_dataset("X", (4, 32, 32, 2), "f4"), "the file holds 0"),
    "no energy": (lambda f, h: f.create_dataset("X", data=np.zeros((4, 32, 32, 2), "f4")), "event 0: no energy at all"),
    "1e300": (lambda f, h: f.create_dataset("X", data=np.full((4, 32, 32, 2), 1e300)), "event 0: .*beyond float32"),
    "1e-300": (lambda f, h: f.create_dataset("X", data=np.full((4, 32, 32, 2), 1e-300)), "event 0: no energy at all"),
    "filter": (unknown_filter, "HDF5 filter 60000 .* pip install hdf5plugin"),
}


@pytest.mark.parametrize("kind", ECAL_FAULTS)
def test_ecal_with_a_fault_is_refused(tmp_path, kind, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    change, fault = ECAL_FAULTS[kind]
    path = ecal_with(tmp_path, change)
    with pytest.raises(UserError, match=fault):
        list(ECAL.read([path]))
    refused(ECAL, path)


def test_ecal_in_one_chunk_larger_than_memory_is_refused(tmp_path, monkeypatch):
    path = write_images(tmp_path / "x.hdf5", images_by_hand(4), np.zeros(4), compression="gzip", chunks=(4, 32, 32, 2))
    assert len(arrays_of(ECAL, path)["ids"]) == 4
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("Memory", (), {"available": 10_000}))
    assert "a chunk of X needs 0.0 GiB of memory" in refused(ECAL, path)


def jets_by_hand(count: int = 6) -> tuple[np.ndarray, np.ndarray]:
    x = np.zeros((count, 8, 4))
    x[:, :5, 0] = np.sort(RNG.uniform(5, 100, (count, 5)))[:, ::-1]
    x[:, :5, 1:3] = RNG.normal(0, 0.1, (count, 5, 2))
    x[:, :5, 3] = 211
    return x, (np.arange(count) % 2).astype(float)


@pytest.mark.parametrize("kind", [*LABELS, "fortran", "big endian jets"])
def test_jets_saved_again_are_the_same(tmp_path, kind, monkeypatch):
    monkeypatch.setattr("hepbench.benchmarks.formats.qg_jets.CHUNK", 4)
    x, y = jets_by_hand()
    np.savez(tmp_path / "plain.npz", X=x, y=y)
    again = {"fortran": np.asfortranarray(x), "big endian jets": x.astype(">f8")}.get(kind, x)
    np.savez_compressed(tmp_path / "again.npz", X=again, y=LABELS[kind](y) if kind in LABELS else y)
    assert_same(JETS, tmp_path / "again.npz", tmp_path / "plain.npz")


def test_jets_of_npy_version_3_are_the_same(tmp_path):
    import zipfile

    x, y = jets_by_hand()
    np.savez(tmp_path / "plain.npz", X=x, y=y)
    with zipfile.ZipFile(tmp_path / "again.npz", "w") as archive:
        for name, array in (("X.npy", x), ("y.npy", y)):
            with archive.open(name, "w") as member:
                np.lib.format.write_array(member, array, version=(3, 0))
    assert_same(JETS, tmp_path / "again.npz", tmp_path / "plain.npz")


def test_jets_that_float32_cannot_hold_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "jets.npz"
    for pt, fault in ((1e300, "beyond float32"), (1e-300, "a jet without particles")):
        x, y = jets_by_hand()
        x[3, :, 0] = np.where(x[3, :, 0] > 0, pt, 0)
        np.savez(path, X=x, y=y)
        assert f"event 3: {fault}" in refused(JETS, path).replace("NaN or infinity in X, or a number ", "")
    x, y = jets_by_hand()
    np.savez(path, X=np.asfortranarray(x), y=y)
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("Memory", (), {"available": 100}))
    assert "in Fortran order, needs" in refused(JETS, path)
    np.save(tmp_path / "jets.npy", x)
    assert "numpy.savez writes of X and y" in refused(JETS, tmp_path / "jets.npy")


def images_in_lists(column, count: int, of) -> object:
    import pyarrow as pa

    for size in (125, 125, 3):
        offsets = np.arange(0, len(column) + 1, size)
        if of is pa.FixedSizeListArray:
            column = of.from_arrays(column, size)
        elif of in (pa.ListViewArray, pa.LargeListViewArray):
            column = of.from_arrays(offsets[:-1], np.diff(offsets), column)
        else:
            column = of.from_arrays(offsets, column)
    return column


PARQUET = ["FixedSizeListArray", "ListArray", "LargeListArray", "ListViewArray", "decimal", "float32", "bool", "int8"]


@pytest.mark.parametrize("kind", PARQUET)
def test_jet_images_saved_again_are_the_same(tmp_path, kind):
    import pyarrow as pa
    import pyarrow.parquet as pq

    image = np.zeros((4, 3, 125, 125))
    image[:, 0, 60, 60], image[:, 2, 60:65, 60:65] = 3, 0.5
    pixels, y, pt = pa.array(image.ravel()), pa.array([0.0, 1.0] * 2), pa.array([100.0] * 4)
    write = {name: tmp_path / f"{name}.parquet" for name in ("plain", "again")}
    rest = {"m0": pa.array([10.0] * 4)}
    pq.write_table(
        pa.table({"X_jets": images_in_lists(pixels, 4, pa.ListArray), "pt": pt, "y": y, **rest}), write["plain"]
    )
    of = getattr(pa, kind) if kind.endswith("Array") else pa.ListArray
    if kind == "decimal":
        pixels, pt, y = (column.cast(pa.decimal128(18, 4)) for column in (pixels, pt, y))
    elif kind == "float32":
        pixels = pixels.cast("float32")
    elif kind in ("bool", "int8"):
        y = y.cast(kind)
    pq.write_table(pa.table({"X_jets": images_in_lists(pixels, 4, of), "pt": pt, "y": y, **rest}), write["again"])
    assert_same(IMAGES, write["again"], write["plain"])


@pytest.mark.parametrize("change, fault", [("empty", "event 2: no pixel of 0.001 GeV"), ("mass", "beyond float32")])
def test_jet_images_with_a_fault_are_refused(tmp_path, change, fault):
    import pyarrow as pa
    import pyarrow.parquet as pq

    image = np.zeros((4, 3, 125, 125))
    image[:, 2, 60:65, 60:65] = 0.5
    if change == "empty":
        image[2] = 0
    column = images_in_lists(pa.array(image.ravel()), 4, pa.ListArray)
    rest = {name: pa.array([100.0] * 4) for name in ("pt", "m0")}
    if change == "mass":
        rest["m0"] = pa.array([1e300] * 4)
    pq.write_table(pa.table({"X_jets": column, **rest}), tmp_path / "x.parquet")
    assert fault in refused(IMAGES, tmp_path / "x.parquet")


# --- spoilt files -----------------------------------------------------------------------------------------------------

SPOILT = 60  # of each file; thousands were tried by hand


def small_ecal(path: Path) -> Path:
    return write_images(path, images_by_hand(3), np.ones(3, "f4"), compression="gzip", chunks=(2, 32, 32, 2))


def small_jets(path: Path) -> Path:
    x, y = jets_by_hand(4)
    np.savez_compressed(path, X=x, y=y)
    return path


def small_images(path: Path) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    image = np.zeros((2, 3, 125, 125))
    image[:, 2, 60:65, 60:65] = 0.5
    column = images_in_lists(pa.array(image.ravel()), 2, pa.ListArray)
    rest = {name: pa.array([100.0] * 2) for name in ("pt", "m0")}
    pq.write_table(pa.table({"X_jets": column, **rest, "y": pa.array([0.0, 1.0])}), path)
    return path


def small_text(text: str):
    def write(path: Path) -> Path:
        path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
        return path

    return write


PIXEL_ROWS = lines([["0"] * 40 + ["25"] + ["0"] * 40] * 3)
SMALL = {
    "photons.hdf5": (ECAL, small_ecal),
    "QG_jets.npz": (JETS, small_jets),
    "images.parquet": (IMAGES, small_images),
    "all_train.csv.gz": (HEPMASS, small_text(PLAIN)),
    "all_train.csv": (HEPMASS, small_text(PLAIN)),
    "pion.txt": (CLUSTERS, small_text(lines(CLUSTER_ROWS))),
    "pion.txt.gz": (PIXELS, small_text(PIXEL_ROWS)),
    "magic04.data": (MAGIC, small_text(MAGIC_TEXTS["ARFF"])),
}


@pytest.mark.parametrize("name", SMALL)
def test_no_spoilt_file_ends_in_a_traceback(tmp_path, name):
    task, write = SMALL[name]
    good = write(tmp_path / name)
    assert len(arrays_of(task, good)["ids"])
    outcomes = {"read": 0, "refused": 0}
    for _, path in mutants(good, tmp_path, SPOILT, 0):
        try:
            for chunk in task.read([path]):
                assert all(np.isfinite(array[np.arange(len(chunk.ids))]).all() for array in chunk.arrays.values())
            outcomes["read"] += 1
        except UserError:
            refused(task, path)
            outcomes["refused"] += 1
    assert outcomes["refused"] > SPOILT / 3


def test_a_copy_beside_simulated_files_is_not_read(home):
    from hepbench.suite.data.dataset import obtain

    entry = registry.find("task", "pxd_clusters")
    files = obtain(entry, "simulated", 40, 0)
    path = files.paths[0]
    path.with_name(f"{path.name}.bak").write_bytes(path.read_bytes())
    path.with_name(f"Copy of {path.name}").write_bytes(path.read_bytes())
    assert obtain(entry, "simulated", 40, 0) == files


def test_a_locked_file_says_what_helps(tmp_path):
    import fcntl

    path = write_images(tmp_path / "photons.hdf5", images_by_hand(4), np.zeros(4, "f4"))
    with path.open("rb+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(UserError, match=r"locked by another program.*HDF5_USE_FILE_LOCKING=FALSE"):
            list(ECAL.read([path]))
