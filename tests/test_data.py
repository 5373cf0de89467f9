"""From files to arrays, for every task, and every bad file that a reader must refuse."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
from collections import Counter

import numpy as np
import pytest
from conftest import EVENTS, images_by_hand, write_images

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import UserError
from hepbench.benchmarks.formats.sparse_images import Sparse
from hepbench.suite.data.dataset import prepare, view_of
from hepbench.suite.data.files import Files, digest_of_file, simulated_folder
from hepbench.suite.data.simulate import simulate_files
from hepbench.suite.data.split import PARTS, split_events

SIMULATED = [name for name in registry.names("task") if registry.find("task", name).record.simulation]
SLOW_TO_START = (
    "hepmass",
    "higgs",
    "jetclass",
    "qg_images",
    "qg_jets",
    "susy",
    "top_tagging",
)  # Pythia, in each process
OF_SLOW = (pytest.mark.long, pytest.mark.takes(8))
SHARES = {"pxd_pixels": (0.70, 0.20, 0.10), "pxd_clusters": (0.70, 0.20, 0.10), "top_tagging": (0.60, 0.20, 0.20)}
SHARES["atlas_higgs"] = (25 / 80, 10 / 80, 45 / 80)
"""Of the parts; 70/15/15 else."""


@pytest.mark.parametrize("name", registry.names("task"))
def test_prepared_arrays_are_what_the_reader_gives(name, files_of):
    entry, files = files_of(name)
    prepared = prepare(entry, files)
    stretches = list(entry.record.read(files.paths))
    assert len(prepared) == sum(len(s.labels) for s in stretches)
    np.testing.assert_array_equal(prepared.labels, np.concatenate([s.labels for s in stretches]))
    np.testing.assert_array_equal(prepared.ids, np.concatenate([s.ids for s in stretches]))
    for key, array in prepared.arrays.items():
        assert isinstance(array, np.memmap | Sparse)
        read = [s.arrays[key][np.arange(len(s.labels))] for s in stretches]
        expected = np.concatenate(read)
        if key in entry.record.missing:
            expected = np.where(expected == entry.record.missing[key], np.nan, expected)
        np.testing.assert_array_equal(array[np.arange(len(array))], expected)
    assert len(np.unique(prepared.ids)) == len(prepared)
    assert set(np.unique(prepared.labels)) == set(range(len(entry.record.classes)))


@pytest.mark.parametrize("name", registry.names("task"))
def test_views_have_their_names_and_shapes(name, files_of):
    entry, files = files_of(name)
    prepared = prepare(entry, files)
    expected = {"image": {"image": 4}, "table": {"table": 2}, "cloud": {"points": 3, "features": 3, "mask": 2}}
    expected["optimum"] = {"log_likelihoods": 2}
    expected["momenta"] = {"momenta": 3, "references": 3, "mask": 2}
    task_has_context = bool(entry.record.context)
    for view in entry.record.views:
        inputs = view_of(entry, prepared, view)
        more = {"context": 2} if task_has_context else {}
        if view == "cloud" and "log_pt" in inputs:
            more["log_pt"] = 2
        if view == "momenta" and "features" in inputs:
            more["features"] = 3
        assert {key: array.ndim for key, array in inputs.items()} == expected[view] | more
        assert all(len(array) == len(prepared) for array in inputs.values())
        for key, array in inputs.items():
            wrong = np.isinf if key in entry.record.missing else lambda values: ~np.isfinite(values)
            assert not wrong(array[np.arange(len(array))]).any(), key
    assert view_of(entry, prepared, "table")["table"].shape[1] == len(entry.record.variables)


@pytest.mark.parametrize("name", registry.names("task"))
def test_split_parts_are_disjoint_seeded_and_hold_every_class(name, files_of):
    entry, files = files_of(name)
    prepared = prepare(entry, files)
    parts, hashed = split_events(entry.record, prepared, None)
    again, hashed_again = split_events(entry.record, prepared, None)
    rows = np.concatenate(list(parts.values()))
    assert len(np.unique(rows)) == len(rows)
    assert hashed == hashed_again
    shares = [len(parts[part]) / len(rows) for part in PARTS]
    np.testing.assert_allclose(
        shares, SHARES.get(name, (0.70, 0.15, 0.15)), atol=0.02 if name == "atlas_higgs" else 0.01
    )
    share = 0.9 if len(entry.record.classes) == 10 else 0.5  # of ten classes there are three events each to validate
    fewer, hashed_fewer = split_events(entry.record, prepared, int(share * len(prepared)))
    assert hashed_fewer != hashed
    for part in PARTS:
        np.testing.assert_array_equal(parts[part], again[part])
        assert set(fewer[part]) < set(parts[part])
        assert set(prepared.labels[fewer[part]]) == set(range(len(entry.record.classes)))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=OF_SLOW if name in SLOW_TO_START else ()) for name in SIMULATED]
)
def test_simulation_is_seeded_whatever_the_processes_and_a_longer_one_begins_the_same(name, files_of, tmp_path):
    """The longer one is that of the test session, of seed 0 in a single process."""
    entry, longer = files_of(name)
    chunk, classes = entry.base.simulation.chunk, len(entry.base.classes)
    few = min(chunk, 19) * classes
    assert few < EVENTS
    runs = {"first": (0, 2), "other": (1, 1)}
    for run, (seed, jobs) in runs.items():
        simulate_files(entry, few, seed, tmp_path / run, jobs, lambda done: None)
    files = {run: sorted((tmp_path / run).iterdir()) for run in runs} | {"longer": longer.paths}
    read = {}
    for run, paths in files.items():
        stretches = list(entry.record.read(paths))
        assert sum(len(stretch.labels) for stretch in stretches) == (few if run in runs else EVENTS)
        read[run] = sorted(
            (int(label), *(array[np.array([i])].tobytes() for array in stretch.arrays.values()))
            for stretch in stretches
            for i, label in enumerate(stretch.labels)
        )
    assert read["first"] != read["other"]
    if not name.startswith("pxd"):  # whose events are a few whole numbers, which do come again
        assert not set(read["first"]) & set(read["other"])
    assert not Counter(read["first"]) - Counter(read["longer"])


def test_official_rows_of_ecal():
    """The study's rows: 160,000 train, 25,600 validation, 25,600 test of each class, the rest unused."""
    task = registry.find("task", "ecal").record
    labels = np.repeat([0, 1], 249_000)
    ids = np.concatenate([np.arange(249_000), 10**9 + np.arange(249_000)])
    part = task.split(labels, ids)
    for kind in (0, 1):
        of_kind = part[labels == kind]
        np.testing.assert_array_equal(np.flatnonzero(of_kind == 0), np.arange(160_000))
        np.testing.assert_array_equal(np.flatnonzero(of_kind == 1), 160_000 + np.arange(25_600))
        np.testing.assert_array_equal(np.flatnonzero(of_kind == 2), 185_600 + np.arange(25_600))
        assert (of_kind[211_200:] == -1).all()


def test_ids_of_ecal_count_within_the_class_whatever_the_file(tmp_path):
    task = registry.find("task", "ecal").record
    mixed = np.array([1, 0, 0, 1], np.float32)
    paths = [write_images(tmp_path / f"{n}.hdf5", images_by_hand(4), mixed) for n in range(2)]
    ids = np.concatenate([events.ids for events in task.read(paths)])
    np.testing.assert_array_equal(ids, [10**9, 0, 1, 10**9 + 1, 10**9 + 2, 2, 3, 10**9 + 3])


def good_file(path):
    return write_images(path, images_by_hand(8), np.ones(8, np.float32))


def spoil(kind: str, path):
    """Make a file with one fault."""
    import h5py

    images, labels = images_by_hand(8), np.ones(8, np.float32)
    if kind == "absent":
        return
    if kind == "text":
        path.write_text("<html>this share has expired</html>")
        return
    if kind == "truncated":
        good_file(path)
        path.write_bytes(path.read_bytes()[:-5000])
        return
    if kind == "no key":
        with h5py.File(path, "w") as file:
            file["X"] = images
        return
    match kind:
        case "shape":
            images = images[:, :31]
        case "integers":
            images = images.astype(np.int32)
        case "nan":
            images[5, 3, 3, 0] = np.nan
        case "negative":
            images[5, 3, 3, 0] = -0.1
        case "labels":
            labels[5] = 2
        case "lengths":
            labels = labels[:-1]
        case "empty":
            images, labels = images[:0], labels[:0]
    write_images(path, images, labels)


BAD = {
    "absent": "no such file",
    "text": "not a complete HDF5 file",
    "truncated": "not a complete HDF5 file",
    "no key": "no labels: neither the file nor its name",
    "shape": r"X has shape \(8, 31, 32, 2\); expected \(n, 32, 32, 2\)",
    "integers": "dtype int32; expected float32",
    "nan": "event 5: NaN or infinity",
    "negative": "event 5: negative energy",
    "labels": r"event 5: label outside \{0, 1\}",
    "lengths": "X has 8 events and y 7",
    "empty": "no events in it",
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_ecal_file_is_refused_and_leaves_nothing(kind, home):
    entry = registry.find("task", "ecal")
    folder = home / "data" / "ecal" / "official"
    folder.mkdir(parents=True)
    names = [source.name for source in entry.record.sources]
    good_file(folder / names[0])
    spoil(kind, folder / names[1])
    paths = [folder / name for name in names]
    with pytest.raises(UserError, match=BAD[kind]) as caught:
        if kind == "absent":
            list(entry.record.read(paths))
        prepare(entry, Files("official", paths, "0" * 64))
    assert names[1] in str(caught.value)
    left = home / "data" / "ecal" / "prepared"
    assert not left.exists() or all(path.name.endswith(".lock") for path in left.iterdir())


@pytest.mark.parametrize(
    "text, fault",
    [
        ("", "no events"),
        ("1,2,3,g\n", "line 1: 4 columns; expected 11"),
        ("1,2,3,4,5,6,7,8,9,10,q\n", "line 1: class is none of h, g"),
        ("1,2,3,4,5,6,7,8,9,10,g\n1,2,3,4,five,6,7,8,9,10,g\n", "five"),
        ("1,2,3,4,5,6,7,8,9,nan,h\n", "line 1: NaN"),
    ],
)
def test_a_bad_magic_file_is_refused(tmp_path, text, fault):
    path = tmp_path / "magic04.data"
    path.write_text(text)
    with pytest.raises(UserError, match=fault) as caught:
        list(registry.find("task", "magic").record.read([path]))
    assert str(path) in str(caught.value)


def test_magic_in_both_layouts_is_the_same(tmp_path):
    task = registry.find("task", "magic").record
    keel = tmp_path / "magic.dat"
    keel.write_text(
        "@relation magic\n@attribute fLength real\n@data\n1,2,3,4,5,6,7,8,9,10, g\n1,2,3,4,5,6,7,8,9,0, h\n"
    )
    uci = tmp_path / "magic04.data"
    uci.write_text("1,2,3,4,5,6,7,8,9,10,g\n1,2,3,4,5,6,7,8,9,0,h\n")
    (one,), (other,) = list(task.read([keel])), list(task.read([uci]))
    np.testing.assert_array_equal(one.arrays["table"], other.arrays["table"])
    np.testing.assert_array_equal(one.labels, [1, 0])


def test_magic_is_genuine_and_whole():
    task = registry.find("task", "magic").record
    events = list(task.read(task.locate()))
    labels = np.concatenate([e.labels for e in events])
    assert np.bincount(labels).tolist() == [6_688, 12_332]
    assert digest_of_file(task.locate()[0]) == task.sources[0].sha256


def test_a_stopped_simulation_looks_like_no_data_and_goes_on(home):
    entry = registry.find("task", "ecal")
    events = 3 * 2 * entry.record.simulation.chunk
    folder = simulated_folder(entry, events, 0)
    seen = []

    def interrupt(done):
        seen.append(done)
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate_files(entry, events, 0, folder, 1, interrupt)
    assert not folder.exists()
    again = []
    simulate_files(entry, events, 0, folder, 1, again.append)
    assert again[0] == 2 * entry.record.simulation.chunk  # found, not made again
    assert sum(again) == events
    assert [path.name for path in folder.parent.iterdir() if not path.name.startswith(".")] == [folder.name]


def test_a_digest_is_of_the_bytes_and_follows_a_change(home, tmp_path):
    import hashlib

    path = tmp_path / "x"
    path.write_bytes(b"one")
    assert digest_of_file(path) == hashlib.sha256(b"one").hexdigest()
    path.write_bytes(b"other")
    assert digest_of_file(path) == hashlib.sha256(b"other").hexdigest()


def _prepared_sum(task: str, files: Files) -> tuple[int, float]:
    prepared = prepare(registry.find("task", task), files)
    return len(prepared), float(prepared.arrays["image"].sum(dtype=np.float64))


def test_two_processes_that_prepare_at_once_make_one_whole_dataset(files_of, home):
    _, files = files_of("ecal")
    with concurrent.futures.ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        first, second = [future.result() for future in [pool.submit(_prepared_sum, "ecal", files) for _ in range(2)]]
    images = np.concatenate([e.arrays["image"] for e in registry.find("task", "ecal").record.read(files.paths)])
    assert first == second == (EVENTS, pytest.approx(images.sum(dtype=np.float64)))
    left = [path for path in (home / "data" / "ecal" / "prepared").iterdir() if path.is_dir()]
    assert len(left) == 1
