"""Columns of files in five formats by the same words: arrays, chunks, ids, weights; what cannot be read is one line."""

from __future__ import annotations

import gzip
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import uproot
from conftest import hepbench

from hepbench.benchmarks.base import UserError
from hepbench.benchmarks.formats.columns import columns
from hepbench.tracking import runs

EVENTS = 300
NAMES = ("pt", "label", "weight")


def events() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    label = np.arange(EVENTS, dtype=np.int32) % 2
    pt = rng.exponential(20 + 20 * label)
    return {"pt": pt, "other": pt * 2, "label": label, "weight": rng.uniform(0.5, 1.5, EVENTS)}


def text(arrays: dict[str, np.ndarray], separator: str = ",") -> bytes:
    rows = [separator.join(map(repr, row)) for row in zip(*(array.tolist() for array in arrays.values()), strict=True)]
    return "\n".join([separator.join(arrays), *rows, ""]).encode()


def in_fields(path: Path, arrays: dict[str, np.ndarray]) -> None:
    rows = np.zeros(EVENTS, [(name, array.dtype) for name, array in arrays.items()])
    for name, array in arrays.items():
        rows[name] = array
    with h5py.File(path, "w") as file:
        file.create_group("inner")["rows"] = rows


def in_datasets(path: Path, arrays: dict[str, np.ndarray]) -> None:
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array, chunks=True, compression="gzip")


def in_a_tree(path: Path, arrays: dict[str, np.ndarray]) -> None:
    with uproot.recreate(path) as file:
        file["events"] = arrays


WRITERS = {
    "events.root": in_a_tree,
    "events.parquet": lambda path, arrays: pq.write_table(pa.table(arrays), path, row_group_size=70),
    "datasets.h5": in_datasets,
    "fields.h5": in_fields,
    "events.npz": lambda path, arrays: np.savez_compressed(path, **arrays),
    "events.csv": lambda path, arrays: path.write_bytes(b"# of a program\n\n" + text(arrays)),
    "events.csv.gz": lambda path, arrays: path.write_bytes(gzip.compress(b"#" + text(arrays, ";"))),
}
GROUPS = {"fields.h5": "inner/rows"}


@pytest.mark.parametrize("name", WRITERS)
def test_columns_are_read_as_they_were_written(tmp_path, name):
    expected, path = events(), tmp_path / name
    WRITERS[name](path, expected)
    chunks = list(columns([path, path], NAMES, chunk=100, tree=GROUPS.get(name, "")))
    np.testing.assert_array_equal(np.concatenate([ids for ids, _ in chunks]), np.arange(2 * EVENTS))
    assert max(len(ids) for ids, _ in chunks) <= 100 and all(tuple(chunk) == NAMES for _, chunk in chunks)
    for column in NAMES:
        found = np.concatenate([chunk[column] for _, chunk in chunks])
        np.testing.assert_array_equal(found, np.tile(expected[column], 2))
        assert found.dtype == (np.float64 if ".csv" in name else expected[column].dtype)
    for missing in ("waight", "pt2"):
        with pytest.raises(UserError, match=f"unknown (column|branch) of .*{name} '{missing}'") as caught:
            next(columns([path], ["pt", missing], tree=GROUPS.get(name, "")))
        assert len(str(caught.value).splitlines()) == 1


TASK = """
import numpy as np
from hepbench import Events, Source, Task, columns

def read(paths):
    for ids, chunk in columns(paths, ("pt", "label", "weight")):
        yield Events({"table": chunk["pt"][:, None]}, chunk["label"], ids, chunk["weight"])

TASK = Task(title="x", classes=("b", "s"), read=read, views={"table": lambda arrays: arrays}, variables=("pt",),
            sources=(Source("events.csv", ""),))
"""


def test_weights_of_a_text_file_reach_the_scores(home, tmp_path):
    task, path = tmp_path / "mine.py", home / "data" / "mine" / "official" / "events.csv"
    task.write_text(TASK)
    path.parent.mkdir(parents=True)
    WRITERS["events.csv"](path, events())
    done = hepbench("bench", task, "--model", "prior", "--budget", "smoke", home=home)
    assert done.returncode == 0 and "events weighted in training and testing" in done.stdout, done.stdout + done.stderr
    store = runs.connect(None, home / "results")
    (run,) = store.runs("mine", "FINISHED", {"stage": "final"})
    table = pq.read_table(store.download(run["id"], "scores.parquet", tmp_path))
    np.testing.assert_array_equal(
        table["weight"].to_numpy(), events()["weight"].astype(np.float32)[table["id"].to_numpy()]
    )


def test_particles_of_parquet_are_padded(tmp_path):
    path = tmp_path / "jets.parquet"
    pq.write_table(
        pa.table({"pt": [[3.0, 2.0, 1.0], [], [5.0]], "fixed": pa.array([[1, 2]] * 3, pa.list_(pa.int32(), 2))}), path
    )
    _, chunk = next(columns([path], ["pt", "fixed"], padded=2))
    np.testing.assert_array_equal(chunk["pt"], [[3, 2], [0, 0], [5, 0]])
    assert chunk["fixed"].shape == (3, 2)
    with pytest.raises(UserError, match=r"jets.parquet: pt: .* the number to keep with padded=\.\.\."):
        next(columns([path], ["pt"]))
    pq.write_table(pa.table({"pt": [[3.0, None, 1.0], []], "fixed": [[1, 2], [3, None]]}), path)
    for name in ("pt", "fixed"):
        with pytest.raises(UserError, match=f"{name}: null among the numbers of an event"):
            next(columns([path], [name], padded=2))


def test_a_field_that_is_empty_was_not_measured(tmp_path):
    path = tmp_path / "events.csv"
    path.write_text("pt,label\n1.5,0\n,1\nnan,1\n")
    _, chunk = next(columns([path], ["pt", "label"]))
    np.testing.assert_array_equal(chunk["pt"], [1.5, np.nan, np.nan])
    pq.write_table(pa.table({"pt": [1.5, None]}), path)  # what it is, its content tells
    np.testing.assert_array_equal(next(columns([path], ["pt"]))[1]["pt"], [1.5, np.nan])


FAULTS = {
    "words": (lambda path: path.write_text("pt,label\n1,0\nmany,1\n"), "after line 1: .*many"),
    "a short row": (lambda path: path.write_text("pt,label\n1,0\n2\n"), "1 columns in '2'; expected 2"),
    "no header": (lambda path: path.write_text("1,2\n3,4\n"), "line 1 has only numbers; expected a header"),
    "two of a name": (lambda path: path.write_text("pt,pt,label\n1,2,0\n"), "2 columns are called pt: rename one"),
    "nothing": (lambda path: path.write_text(""), "no header in it"),
    "texts of parquet": (lambda path: pq.write_table(pa.table({"pt": ["a"], "label": [1]}), path), "pt: expected numb"),
    "no number of parquet": (
        lambda path: pq.write_table(pa.table({"pt": [1.0, 2.0], "label": [1, None]}), path), "label: expected numbers"
    ),
    "half of parquet": (
        lambda path: (pq.write_table(pa.table(events()), path), path.write_bytes(path.read_bytes()[:900])),
        "not a Parquet file, or a damaged one",
    ),
    "texts of HDF5": (
        lambda path: in_datasets(path, {"pt": np.array([b"a"], "S1"), "label": np.ones(1)}),
        "pt: expected one number per event, got .S1",
    ),
    "other lengths": (
        lambda path: in_datasets(path, {"pt": np.ones(3), "label": np.ones(4)}),
        "pt has 3 events and label 4; they must be equal",
    ),
    "half of HDF5": (
        lambda path: (in_datasets(path, events()), path.write_bytes(path.read_bytes()[:900])),
        "not an HDF5 file, or a damaged one",
    ),
    "a pickle": (
        lambda path: path.with_suffix(".npz").rename(path)
        if np.savez(path.with_suffix(".npz"), pt=np.array([{}], object), label=np.ones(1)) is None
        else None,
        "not an npz file, or a damaged one",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", FAULTS)
def test_what_cannot_be_read_is_one_line(tmp_path, kind):
    path = tmp_path / "events.any"
    write, fault = FAULTS[kind]
    write(path)
    with pytest.raises(UserError, match=fault) as caught:
        list(columns([path], ["pt", "label"]))
    assert len(str(caught.value).splitlines()) == 1 and str(path) in str(caught.value)
