"""The jet images: reader of the official layout, every bad file, views against naive loops, the detector's formulae."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import UserError
from hepbench.benchmarks.features import jet_images
from hepbench.benchmarks.formats import qg_images as qg_images_format
from hepbench.benchmarks.formats.sparse_images import Sparse
from hepbench.benchmarks.simulation import qg_images as simulation
from hepbench.benchmarks.tasks import qg_images as task
from hepbench.benchmarks.validation import qg_images as qg_images_validation
from hepbench.suite.data.dataset import obtain, prepare, view_of
from hepbench.suite.data.files import Files, choose, official
from hepbench.suite.data.split import split_events

NAME = "QCDToGGQQ_IMGjet_RH1all_jet0_run{}_n{}.test.snappy.parquet"


def images_by_hand(count: int, seed: int = 0) -> np.ndarray:
    """(count, 3, 125, 125): sparse tracks and crystals, HCAL towers of 5x5 equal pixels, in float32's precision."""
    rng = np.random.default_rng(seed)
    image = np.zeros((count, 3, 125, 125), np.float32)
    for channel, share in ((0, 0.005), (1, 0.02)):
        hit = rng.random((count, 125, 125)) < share
        image[:, channel] = np.where(hit, rng.exponential(2.0, hit.shape), 0)
    towers = np.where(rng.random((count, 25, 25)) < 0.05, rng.exponential(0.2, (count, 25, 25)), 0)
    towers[:, 12, 12] = 2.0
    image[:, 2] = towers.repeat(5, axis=1).repeat(5, axis=2)
    image[:, 1, 0, 0] = 1.0 + np.arange(count)
    return image.astype(np.float64)


def columns_by_hand(count: int) -> dict[str, list]:
    """The official columns, as Python lists."""
    return {
        "X_jets": images_by_hand(count).tolist(),
        "pt": [100.0 + n for n in range(count)],
        "m0": [20.0 + n for n in range(count)],
        "y": [float(n % 2) for n in range(count)],
    }


def write_rows(path: Path, columns: dict[str, list], rows: int = 1, types: dict | None = None) -> Path:
    """A file as the official ones were written, from Python lists, one jet a row group."""
    table = pa.table({name: pa.array(values, (types or {}).get(name)) for name, values in columns.items()})
    pq.write_table(table, path, row_group_size=rows, compression="snappy")
    return path


def read_all(*paths: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """image (dense), context, labels and ids of all chunks."""
    chunks = list(qg_images_format.read(list(paths)))
    images = [s.arrays["image"][np.arange(len(s.labels))] for s in chunks]
    return (
        np.concatenate(images),
        np.concatenate([s.arrays["context"] for s in chunks]),
        np.concatenate([s.labels for s in chunks]),
        np.concatenate([s.ids for s in chunks]),
    )


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    return write_rows(tmp_path_factory.mktemp("good") / NAME.format(1, 5), columns_by_hand(5))


@pytest.fixture(scope="module")
def jets() -> dict[int, dict[str, np.ndarray]]:
    return {label: simulation.generate(label, 40, [3, label, 0]) for label in (0, 1)}


# --- reader ----------------------------------------------------------------------------------------------------------


def test_the_official_layout_is_read_with_channels_last(good):
    image, context, labels, ids = read_all(good)
    by_hand = images_by_hand(5)
    expected = np.where(by_hand >= 1e-3, by_hand, 0).transpose(0, 2, 3, 1)
    assert image.shape == (5, 125, 125, 3)
    np.testing.assert_allclose(image, expected, rtol=2**-11, atol=0)
    np.testing.assert_array_equal(context, np.stack([100 + np.arange(5), 20 + np.arange(5)], axis=1))
    np.testing.assert_array_equal(labels, [0, 1, 0, 1, 0])
    first, second = 10**9, 10**12 + 10**9
    np.testing.assert_array_equal(ids, [first, second, first + 1, second + 1, first + 2])


@pytest.mark.parametrize("rows", [2, 5])
def test_row_groups_make_no_difference(good, tmp_path, rows):
    other = write_rows(tmp_path / NAME.format(1, 5), columns_by_hand(5), rows)
    for one, two in zip(read_all(good), read_all(other), strict=True):
        np.testing.assert_array_equal(one, two)


def test_ids_of_a_file_are_the_same_whatever_is_read_with_it(good, tmp_path):
    other = write_rows(tmp_path / NAME.format(0, 5), columns_by_hand(5))
    alone, both = read_all(good)[3], read_all(other, good)[3]
    np.testing.assert_array_equal(both[5:], alone)
    assert len(np.unique(both)) == 10


def test_memory_is_that_of_a_chunk(tmp_path, monkeypatch):
    monkeypatch.setattr(qg_images_format, "CHUNK", 2)
    path = write_rows(tmp_path / "x.parquet", columns_by_hand(5), rows=5)
    assert [len(events.labels) for events in qg_images_format.read([path])] == [2, 2, 1]


@pytest.fixture
def eight_times(tmp_path):
    return write_rows(tmp_path / "x.parquet", {name: rows * 8 for name, rows in columns_by_hand(8).items()})


@pytest.mark.long
def test_reading_is_at_least_four_times_as_fast_as_lists(eight_times):
    """The median of how often as fast, each in turn, as another program on the machine slows both."""

    def seconds(read):
        started = time.process_time()
        list(read([eight_times]))
        return time.process_time() - started

    pairs = [(seconds(qg_images_format.plain_read), seconds(qg_images_format.read)) for _ in range(15)]
    assert np.median([plain / flat for plain, flat in pairs]) > 4


def test_reading_gives_what_lists_give(eight_times):
    (whole,) = qg_images_format.read([eight_times])
    for event, plain in enumerate(qg_images_format.plain_read([eight_times])):
        np.testing.assert_allclose(
            whole.arrays["image"][np.array([event])], plain.arrays["image"], rtol=1e-3, atol=qg_images_format.SUPPRESSED
        )


def test_few_bytes_that_ask_for_much_memory_are_refused_unread(tmp_path, monkeypatch):
    """Equal numbers take no place in the file: a million of them here, and a billion in as few bytes."""
    path, column = tmp_path / "x.parquet", pa.array(np.full(1_000_000, 2.0))
    for count in (1_000_000, 1, 1):
        column = pa.ListArray.from_arrays([0, count], column)
    pq.write_table(pa.table({"X_jets": column, "pt": [100.0], "m0": [10.0], "y": [1.0]}), path, compression="zstd")
    assert path.stat().st_size < 4000
    monkeypatch.setattr(pq.ParquetFile, "iter_batches", None)
    with pytest.raises(UserError, match="a row group declares 1,000,000 pixels in X_jets for 1 events"):
        list(qg_images_format.read([path]))


def spoiled(kind: str) -> tuple[dict[str, list], dict]:
    columns, types = columns_by_hand(4), {}
    jets = columns["X_jets"]
    match kind:
        case "no column":
            del columns["m0"]
        case "flat":
            columns["X_jets"] = [np.ravel(jet).tolist() for jet in jets]
        case "integers":
            columns["X_jets"] = np.zeros((4, 3, 125, 125), int).tolist()
        case "text":
            columns["pt"] = ["100"] * 4
        case "short row":
            jets[2][1][7].pop()
        case "fewer rows":
            jets[2][1].pop()
        case "two channels":
            columns["X_jets"] = [jet[:2] for jet in jets]
        case "small images":
            columns["X_jets"] = np.array(jets)[:, :, :124, :124].tolist()
        case "null image":
            jets[2] = None
        case "null pixel":
            jets[2][0][3][4] = None
        case "null label":
            columns["y"][2] = None
        case "nan":
            jets[2][0][3][4] = float("nan")
        case "infinite":
            jets[2][0][3][4] = float("inf")
        case "huge":
            jets[2][0][3][4] = 1e6
        case "nan mass":
            columns["m0"][2] = float("nan")
        case "no pt":
            columns["pt"][2] = 0.0
        case "negative pt":
            columns["pt"][2] = -90.0
        case "label":
            columns["y"][2] = 2.0
        case "half a label":
            columns["y"][2] = 0.5
        case "hcal first":
            columns["X_jets"] = [jet[::-1] for jet in jets]
        case "channels last":
            columns["X_jets"] = np.array(jets).transpose(0, 2, 3, 1).reshape(4, 3, 125, 125).tolist()
        case "empty":
            columns = {name: values[:0] for name, values in columns.items()}
            types["X_jets"] = pa.list_(pa.list_(pa.list_(pa.float64())))
            types |= dict.fromkeys(("pt", "m0", "y"), pa.float64())
    return columns, types


BAD = {
    "no column": "no column 'm0'; it has X_jets, pt, y",
    "flat": r"column X_jets is list<.*double>; expected list<list<list<double>>>",
    "integers": r"column X_jets is .*int64.*; expected list<list<list<double>>>",
    "text": "column pt is string; expected double",
    "short row": "event 2: 124 pixels in X_jets; expected 125",
    "fewer rows": "event 2: 124 rows in X_jets; expected 125",
    "two channels": "event 0: 2 channels in X_jets; expected 3",
    "small images": "event 0: 124 rows in X_jets; expected 125",
    "null image": "null in X_jets",
    "null pixel": "null in X_jets",
    "null label": "null in y",
    "nan": "event 2: NaN or infinity in X_jets",
    "infinite": "event 2: NaN or infinity in X_jets",
    "huge": "event 2: a pixel above 65,504 GeV in X_jets",
    "nan mass": "event 2: NaN or infinity in pt or m0",
    "no pt": "event 2: pt not above 0",
    "negative pt": "event 2: pt not above 0",
    "label": r"event 2: label outside \{0, 1\}",
    "half a label": r"event 2: label outside \{0, 1\}",
    "hcal first": "channel 2 differ from .* so it is not HCAL; those of channel 0 do not",
    "channels last": r"channel 2 differ from .* so it is not HCAL\. Expected X_jets as",
    "empty": "no events in it",
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_refused(kind, tmp_path):
    columns, types = spoiled(kind)
    path = write_rows(tmp_path / "bad.parquet", columns, types=types)
    with pytest.raises(UserError, match=BAD[kind]) as caught:
        list(qg_images_format.read([path]))
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "kind", ["absent", "folder", "nothing", "web page", "cut at the end", "cut in the middle", "bits"]
)
def test_a_file_that_is_not_whole_is_refused(kind, good, tmp_path):
    path, whole = tmp_path / "bad.parquet", good.read_bytes()
    match kind:
        case "folder":
            path.mkdir()
        case "nothing":
            path.write_bytes(b"")
        case "web page":
            path.write_text("<html>this share has expired</html>")
        case "cut at the end":
            path.write_bytes(whole[:-100])
        case "cut in the middle":
            path.write_bytes(whole[: len(whole) // 2])
        case "bits":
            path.write_bytes(whole[:50] + bytes(len(whole) // 2) + whole[50 + len(whole) // 2 :])
    with pytest.raises(UserError) as caught:
        list(qg_images_format.read([path]))
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_few_uneven_blocks_are_tolerated(tmp_path):
    columns = columns_by_hand(2)
    columns["X_jets"][0][2][62][62] += 0.1
    image = read_all(write_rows(tmp_path / "x.parquet", columns))[0]
    assert len(image) == 2


def test_other_number_types_are_read(good, tmp_path):
    single = pa.list_(pa.list_(pa.large_list(pa.float32())))
    types = {"X_jets": single, "pt": pa.float32(), "m0": pa.float32(), "y": pa.int64()}
    columns = columns_by_hand(5) | {"y": [n % 2 for n in range(5)]}
    other = write_rows(tmp_path / NAME.format(1, 5), columns, types=types)
    for one, two in zip(read_all(good), read_all(other), strict=True):
        np.testing.assert_array_equal(one, two)


@settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_pixel_comes_back_in_its_place(data, tmp_path):
    dense = np.zeros((2, 3, 125, 125))
    pixels = st.tuples(*(st.integers(0, n - 1) for n in (2, 2, 125, 125)))
    dense[:, 0, 0, 0] = 1.0  # an image without a pixel is refused
    for place in data.draw(st.lists(pixels, max_size=8)):
        assume(place[1:] != (0, 0, 0))
        dense[place] = data.draw(st.floats(0, 6e4))
    for row, column in data.draw(st.lists(st.tuples(st.integers(0, 24), st.integers(0, 24)), max_size=4)):
        dense[1, 2, 5 * row : 5 * row + 5, 5 * column : 5 * column + 5] = data.draw(st.floats(0, 100))
    columns = {"X_jets": dense.tolist(), "pt": [80.0, 90.0], "m0": [0.0, 9.0], "y": [1.0, 0.0]}
    image = read_all(write_rows(tmp_path / "x.parquet", columns))[0]
    expected = np.where(dense >= 1e-3, dense, 0).transpose(0, 2, 3, 1)
    np.testing.assert_allclose(image, expected, rtol=2**-11, atol=0)


@pytest.mark.parametrize("run", [0, 1, 2])
def test_any_one_of_the_official_files_makes_a_dataset(run, home, good):
    """Whichever it is, with ids and a digest of its own, and its events are the same beside another file."""
    entry = registry.find("task", "qg_images")
    folder = home / "data" / "qg_images" / "official"
    folder.mkdir(parents=True)
    alone = folder / entry.record.sources[run].name
    alone.write_bytes(good.read_bytes())
    assert official(entry) == [alone] and choose(entry, "auto") == "official"
    files = obtain(entry, "official", None, 0)
    prepared = prepare(entry, files)
    assert set(prepared.ids % 10**12 // 10**9) == {run}
    other = folder / entry.record.sources[(run + 1) % 3].name
    write_rows(other, columns_by_hand(4))
    both = obtain(entry, "official", None, 0)
    assert set(both.paths) == {alone, other} and both.digest != files.digest
    together = prepare(entry, both)
    assert set(prepared.ids) < set(together.ids) and len(set(together.ids)) == 9


# --- views -----------------------------------------------------------------------------------------------------------


def sparse_of(dense: np.ndarray) -> Sparse:
    """Channels-last image of (n, 3, 125, 125), as the reader gives it."""
    return Sparse.of(np.where(dense >= 1e-3, dense, 0).transpose(0, 2, 3, 1), np.float16)


def arrays_of(dense: np.ndarray) -> dict:
    """Reader's arrays of (n, 3, 125, 125) images."""
    image = sparse_of(dense)
    context = np.stack([100.0 + np.arange(len(dense)), np.full(len(dense), 15.0)], axis=1).astype(np.float32)
    return {"image": image, "context": context}


def naive_hits(image: np.ndarray) -> list[tuple[int, float, float, float]]:
    """(channel, eta, phi, energy) of one (3, 125, 125) image, a tower once."""
    hits = []
    for channel, row, column in np.argwhere(image >= 1e-3):
        energy = float(np.float16(image[channel, row, column]))
        if channel == 2:
            if row % 5 != 2 or column % 5 != 2:
                continue
            energy *= 25
        hits.append((int(channel), (row - 62) * 0.0174, (column - 62) * 0.0174, energy))
    return hits


def test_the_image_view_hands_the_readers_arrays_through():
    arrays = arrays_of(images_by_hand(2))
    view = task.TASK.views["image"](arrays)
    assert view["image"] is arrays["image"]
    assert view["context"] is arrays["context"]


def test_the_scrambled_image_is_that_of_the_reshape():
    """As the study has it: (N, 3, 125, 125) flattened, then (-1, 125, 125, 3), with no axis moved."""
    dense = np.random.default_rng(0).uniform(1, 9, (3, 3, 125, 125)).astype(np.float16).astype(np.float32)
    arrays = arrays_of(dense)
    view = task.TASK.variants["scrambled"].views["image"](arrays)
    expected = dense.reshape(3, -1).reshape(-1, 125, 125, 3)
    np.testing.assert_array_equal(view["image"][np.arange(3)], expected)
    np.testing.assert_array_equal(view["image"][1:][np.array([1, 0])], expected[[2, 1]])
    assert view["context"] is arrays["context"]


def test_the_scrambled_variant_has_the_same_events_and_copies_no_hit(tmp_path):
    """Files, arrays, ids and split are those of the task; the view is the task's arrays, differently placed."""
    path = write_rows(tmp_path / NAME.format(1, 40), {k: v * 8 for k, v in columns_by_hand(5).items()}, rows=40)
    files = Files("official", [path], "0" * 64)
    plain, scrambled = (registry.find("task", f"qg_images{variant}") for variant in ("", ":scrambled"))
    one, other = (prepare(entry, files) for entry in (plain, scrambled))
    assert one.folder == other.folder
    assert list(scrambled.record.views) == ["image"]
    assert split_events(plain.record, one, None)[1] == split_events(scrambled.record, other, None)[1]
    view = view_of(scrambled, other, "image")
    assert not list(one.folder.glob("view-*"))
    rows = np.array([7, 3])
    true = view_of(plain, one, "image")["image"][rows]
    np.testing.assert_array_equal(view["image"][rows], true.transpose(0, 3, 1, 2).reshape(-1, 125, 125, 3))
    np.testing.assert_array_equal(view["context"][rows], one.arrays["context"][rows])


def test_the_cloud_is_that_of_a_loop(monkeypatch):
    monkeypatch.setattr(jet_images, "POINTS", 40)
    dense = images_by_hand(3)
    dense[2] = 0
    dense[2, 0, 60, 64] = 5.0
    view = jet_images.cloud(arrays_of(dense))
    for n, image in enumerate(dense):
        hits = sorted(naive_hits(image), key=lambda hit: -hit[3])
        total = sum(hit[3] for hit in hits)
        assert view["mask"][n].sum() == min(40, len(hits))
        for place, (channel, eta, phi, energy) in enumerate(hits[:40]):
            np.testing.assert_allclose(view["features"][n, place, 2], np.log(energy), rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(view["features"][n, place, 3], np.log(energy / total), rtol=1e-4, atol=1e-6)
            if energy not in [hit[3] for hit in hits[:place] + hits[place + 1 :]]:
                np.testing.assert_allclose(view["points"][n, place], [eta, phi], rtol=1e-5)
                np.testing.assert_array_equal(view["features"][n, place, 5:], np.eye(3)[channel])
    assert not view["features"][~view["mask"]].any()


def test_the_table_is_that_of_a_loop():
    dense = images_by_hand(3)
    table = jet_images.jet_variables(arrays_of(dense))
    assert table.shape == (3, len(jet_images.VARIABLES))
    for n, image in enumerate(dense):
        got = dict(zip(jet_images.VARIABLES, table[n], strict=True))
        hits = naive_hits(image)
        near = [hit for hit in hits if np.hypot(hit[1], hit[2]) < 0.5]
        total = sum(hit[3] for hit in near)
        axis = [sum(hit[3] * hit[k] for hit in near) / total for k in (1, 2)]
        jet = [(c, e, np.hypot(eta - axis[0], phi - axis[1])) for c, eta, phi, e in hits]
        jet = [hit for hit in jet if hit[2] < 0.5]
        whole = sum(hit[1] for hit in jet)
        for layer, channels in (("track", [0]), ("ecal", [1]), ("hcal", [2]), ("all", [0, 1, 2])):
            mine = sorted(((e, r) for c, e, r in jet if c in channels), reverse=True)
            energy = sum(e for e, _ in mine)
            carried, n90 = 0.0, 0
            for e, _ in mine:
                n90 += carried < 0.9 * energy
                carried += e
            expected = {
                "number": len(mine),
                "fraction": energy / whole,
                "leading_fraction": mine[0][0] / energy,
                "pt_d": np.sqrt(sum(e**2 for e, _ in mine)) / energy,
                "girth": sum(e * r for e, r in mine) / energy,
                "lha": sum(e * np.sqrt(r) for e, r in mine) / energy,
                "thrust": sum(e * r**2 for e, r in mine) / energy,
                "in_01": sum(e for e, r in mine if r < 0.1) / energy,
                "in_02": sum(e for e, r in mine if r < 0.2) / energy,
                "n90": n90,
            }
            for name, value in expected.items():
                np.testing.assert_allclose(got[f"{layer}_{name}"], value, rtol=1e-4, err_msg=f"{layer}_{name}")
        assert got["mass_over_pt"] == pytest.approx(15 / (100 + n))


def test_axes_and_correlations_of_two_tracks():
    """Two tracks of pT 3 and 1, 10 pixels apart in eta: the spread along that line is known, none across."""
    dense = np.zeros((1, 3, 125, 125))
    dense[0, 0, 60, 62], dense[0, 0, 70, 62] = 3.0, 1.0
    got = dict(zip(jet_images.VARIABLES, jet_images.jet_variables(arrays_of(dense))[0], strict=True))
    distance, weight = 10 * 0.0174, 0.9  # of e^2
    assert got["track_axis_1"] == pytest.approx(distance * np.sqrt(weight * (1 - weight)), rel=1e-4)
    assert got["track_axis_2"] == pytest.approx(0, abs=1e-6)
    assert got["track_c1_02"] == pytest.approx(0.75 * 0.25 * distance**0.2, rel=1e-4)
    assert got["track_c1_10"] == pytest.approx(0.75 * 0.25 * distance, rel=1e-4)
    assert got["track_second_fraction"] == pytest.approx(0.25)
    assert got["track_sum_over_pt"] == pytest.approx(0.04)


def test_slices_are_by_pt():
    pt = np.array([70.0, 89.9, 90.0, 109.0, 110.0, 139.0, 140.0, 500.0], np.float32)
    context = np.stack([pt, pt / 10], axis=1)
    np.testing.assert_array_equal(task.slice_of_pt({"context": context}), [0, 0, 90, 90, 110, 110, 140, 140])


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_views_of_any_jets_are_finite_and_know_no_neighbour(data):
    count = data.draw(st.integers(1, 3))
    dense = np.zeros((count, 3, 125, 125))
    pixels = st.tuples(*(st.integers(0, n - 1) for n in (count, 2, 125, 125)))
    for place in data.draw(st.lists(pixels, max_size=12)):
        dense[place] = data.draw(st.floats(1e-3, 500))
    towers = st.tuples(*(st.integers(0, n - 1) for n in (count, 25, 25)))
    for event, row, column in data.draw(st.lists(towers, max_size=4)):
        dense[event, 2, 5 * row : 5 * row + 5, 5 * column : 5 * column + 5] = data.draw(st.floats(1e-3, 20))
    arrays = arrays_of(dense)
    for view in (task.TASK.views["cloud"], task.TASK.views["table"]):
        whole = view(arrays)
        assert all(np.isfinite(array).all() for array in whole.values())
        last = view({name: array[count - 1 :] for name, array in arrays.items()})
        for name, array in last.items():
            np.testing.assert_allclose(array, whole[name][count - 1 :], rtol=1e-3, atol=1e-5)


# --- simulation ------------------------------------------------------------------------------------------------------


def test_a_track_meets_the_barrel_on_its_circle():
    """Radius pT / (0.3 B) in metres: the chord of 1.29 m and the path along the circle follow from it."""
    pt, radius = 2.0, 2.0 / (0.299792458 * 3.8)
    turn = np.arcsin(1.29 / (2 * radius))
    eta, phi = simulation.propagate(
        np.full(3, pt), np.full(3, 1.0), np.zeros(3), np.array([1.0, -1.0, 0.0]), np.zeros(3)
    )
    np.testing.assert_allclose(phi, [-turn, turn, 0], atol=1e-12)
    np.testing.assert_allclose(np.sinh(eta) * 1.29, [2 * radius * turn * 0.5, 2 * radius * turn * 0.5, 1.29 * 0.5])


def test_a_soft_track_curls_up_and_ends_in_an_endcap():
    eta, _ = simulation.propagate(*(np.array([x]) for x in (0.3, 1.0, 0.0, 1.0, 0.0)))
    straight, _ = simulation.propagate(*(np.array([x]) for x in (0.3, 1.0, 0.0, 0.0, 0.0)))
    assert eta[0] > 1.479
    assert straight[0] == pytest.approx(np.arcsinh(1 / 0.3))


def test_a_vertex_moves_the_point_on_the_barrel():
    eta, _ = simulation.propagate(*(np.array([x]) for x in (10.0, 0.0, 0.0, 0.0, 0.1)))
    assert np.sinh(eta[0]) * 1.29 == pytest.approx(0.1)


def test_towers_hold_five_pixels_each():
    assert simulation.eta_to_pixel(np.array([0.0]))[0] == 140
    np.testing.assert_allclose(simulation.eta_to_pixel(simulation.TOWER_ETA), 140 + 5 * np.arange(1, 29))
    np.testing.assert_allclose(np.diff(simulation.eta_to_pixel(np.array([0.0, 0.0174]))), 1.0)


def test_a_shower_is_mostly_in_its_crystal_and_whole_within_a_few():
    """Integral of the rational profile over the whole plane is 1; over a disc of radius r it is r^2 / (r^2 + R^2)."""
    corners = [simulation.contained(x, y, 0.3) for x in (-1e6, 1e6) for y in (-1e6, 1e6)]
    assert corners[3] - corners[1] - corners[2] + corners[0] == pytest.approx(1, abs=1e-5)
    grid = np.linspace(-2, 2, 801)
    middle = (grid[1:] + grid[:-1]) / 2
    r2 = middle[:, None] ** 2 + middle**2
    numeric = (0.3**2 / np.pi / (r2 + 0.3**2) ** 2).sum() * 0.005**2
    analytic = 4 * simulation.contained(2.0, 2.0, 0.3)
    assert analytic == pytest.approx(numeric, rel=1e-3)
    share = simulation.electromagnetic(np.array([100.5]), np.array([50.5]), np.array([0.0225]))[0]
    assert share[2, 2] > 0.6
    assert 0.95 < share.sum() < 1
    np.testing.assert_allclose(share, share.T)
    np.testing.assert_allclose(share, share[::-1, ::-1])


def test_a_pion_of_50_gev_that_passes_ecal_is_50_gev():
    """HCAL's scale. A third of hadrons, exp(-1.13), pass ECAL; they leave there what a minimum-ionising one does."""
    ecal, hcal = simulation.hadronic(np.full(20_000, 50.0), np.random.default_rng(0))
    passed = ecal == simulation.MINIMUM_IONISING
    assert passed.mean() == pytest.approx(np.exp(-0.23 / 0.203), abs=0.01)
    np.testing.assert_allclose(hcal[passed], 49.75)
    assert (ecal + hcal < 50.01).all()


def test_smearing_keeps_the_mean_and_has_its_spread():
    energy = np.full(50_000, 20.0)
    seen = simulation._smeared(energy, 0.847, 0.074, np.random.default_rng(0))
    expected = np.hypot(0.847 / np.sqrt(20), 0.074)
    assert seen.min() > 0
    assert seen.mean() == pytest.approx(20, rel=4 * expected / np.sqrt(50_000))
    assert seen.std() / 20 == pytest.approx(expected, rel=0.03)


def test_particle_flow_takes_tracks_as_pions_and_drops_what_no_cluster_seeds():
    momentum = np.array([[3.0, 4.0, 0.0]] * 4)
    found, scale = np.array([True, False, False, False]), np.full(4, 1.1)
    ecal, hcal = np.array([9.0, 2.0, 0.2, 0.2]), np.array([9.0, 0.5, 0.7, 0.9])
    px, py, pz, energy = simulation._candidates(momentum, found, scale, ecal, hcal).T
    measured = np.array([5.5, 2.0, 0.0, 0.9])
    np.testing.assert_allclose(np.hypot(px, py), measured)
    np.testing.assert_allclose(energy, [np.hypot(5.5, 0.1396), 2.0, 0.0, 0.9])
    assert not pz.any()


def test_pile_up_is_turned_whole_collisions(jets):
    pool, events = simulation.pile_up(3), 40
    hard = {"event": np.arange(events), "id": np.full(events, 22), "momentum": np.ones((events, 4))}
    hard |= {"partons": np.zeros((events, 2, 4)), "parton_ids": np.zeros((events, 2))}
    both = simulation._overlay(hard, pool, events, simulation.PILE_UP, np.random.default_rng(0))
    number = np.bincount(pool["event"], minlength=simulation.POOL)
    mean = simulation.PILE_UP * number.mean()
    spread = np.sqrt(simulation.PILE_UP * (number**2).mean() / events)
    assert len(both["id"]) / events - 1 == pytest.approx(mean, abs=4 * spread)
    assert set(both["id"][events:]) <= set(pool["id"])
    pt = np.hypot(*both["momentum"][events:, :2].T).round(9)
    assert set(pt) <= set(np.hypot(*pool["momentum"][:, :2].T).round(9))


def test_jets_pass_the_selection_and_the_seed_is_in_the_middle(jets):
    for made in jets.values():
        assert made["pt"].min() >= 70
        dense = qg_images_format.dense(made["index"], made["values"])
        towers = 25 * dense[:, 2, 2::5, 2::5]
        window = towers[:, 9:16, 9:16]
        assert (towers[:, 12, 12] > 0).mean() > 0.98
        # The seed is the highest of the 7x7 round the jet, which is not always in the middle of these 7x7.
        assert (towers[:, 12, 12] == window.max(axis=(1, 2))).mean() > 0.8
        np.testing.assert_array_equal(dense[:, 2], dense[:, 2, 2::5, 2::5].repeat(5, axis=1).repeat(5, axis=2))
        assert dense.min() == 0


def test_gluon_jets_have_more_tracks_and_are_wider(jets):
    """Colour factors: a gluon radiates 9/4 as much as a quark."""
    table = {}
    for label, made in jets.items():
        dense = qg_images_format.dense(made["index"], made["values"])
        arrays = {
            "image": sparse_of(dense),
            "context": np.stack([made["pt"], made["m0"]], axis=1),
        }
        table[label] = dict(zip(jet_images.VARIABLES, jet_images.jet_variables(arrays).T, strict=True))
    for name in ("tracks_above_1_gev", "track_n90", "track_girth", "all_axis_2", "mass_over_pt"):
        assert table[0][name].mean() > table[1][name].mean(), name
    assert table[0]["track_pt_d"].mean() < table[1]["track_pt_d"].mean()


def test_chunks_are_byte_identical_and_differ_by_seed_label_and_number(jets):
    again = simulation.generate(0, 40, [3, 0, 0])
    for name, array in jets[0].items():
        assert array.tobytes() == again[name].tobytes()
    assert not set(jets[0]["pt"]) & set(jets[1]["pt"])
    assert not set(jets[0]["pt"]) & set(simulation.generate(0, 5, [3, 0, 1])["pt"])


def test_what_is_written_is_the_official_schema_and_reads_back(jets, tmp_path):
    chunks = [(label, {name: array[:25] for name, array in jets[label].items()}) for label in (0, 1)]
    (path,) = qg_images_format.write(tmp_path, [25, 25], iter(chunks))
    assert path.name == NAME.format(0, 50)
    assert str(pq.read_schema(path).field("X_jets").type).count("list<") == 3
    assert pq.read_schema(path).names == ["X_jets", "pt", "m0", "y"]
    assert pq.ParquetFile(path).metadata.num_row_groups == 4
    image, context, labels, _ = read_all(path)
    np.testing.assert_array_equal(labels, np.repeat([0, 1], 25))
    made = np.concatenate([qg_images_format.dense(arrays["index"], arrays["values"]) for _, arrays in chunks])
    expected = np.where(made >= 1e-3, made, 0).transpose(0, 2, 3, 1)
    np.testing.assert_allclose(image, expected, rtol=2**-11)
    np.testing.assert_array_equal(context[:, 0], np.concatenate([arrays["pt"] for _, arrays in chunks]))


def test_a_missing_pythia_is_told(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pythia8mc", None)
    with pytest.raises(UserError, match=r'needs pythia8mc.* pip install "hepbench\[simulation\]".*3\.11 and 3\.12'):
        simulation._collider(np.random.default_rng(0))


# --- validation ------------------------------------------------------------------------------------------------------


def test_validation_counts_by_construction():
    """Ten tracks in each gluon jet, five in each quark jet, no pile-up; half the pT in tracks."""
    count = 40
    labels = np.arange(count) % 2
    dense = np.zeros((count, 3, 125, 125))
    for n in range(count):
        tracks = 10 if labels[n] == 0 else 5
        dense[n, 0, 62, 60 : 60 + tracks] = 50 / tracks
    dense[:, 2, 60:65, 60:65] = 1.0
    arrays = arrays_of(dense) | {"context": np.stack([np.linspace(70, 130, count), np.full(count, 15.0)], axis=1)}
    checks = {check.figure: check for check in qg_images_validation.validate(arrays, labels)}
    assert checks["tracks, gluon / quark"].observed == pytest.approx(2)
    assert checks["quark jets, share"].observed == 0.5
    assert checks["HCAL blocks with equal pixels, share"].observed == 1
    assert checks["pt, lowest, GeV"].observed == 70
    assert all(np.isfinite(check.pull) for check in checks.values())
    assert qg_images_validation.validate(arrays, np.zeros(count, int)) == []


def test_validation_sees_pixels_that_are_no_blocks():
    dense = images_by_hand(4)
    dense[:, 2] = dense[:, 1]
    observed = qg_images_validation.validate(arrays_of(dense), np.array([0, 1, 0, 1]))[0]
    assert observed.observed < 0.1
    assert isinstance(arrays_of(dense)["image"], Sparse)
