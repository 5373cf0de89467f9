"""What a user's `read` yields is checked when it is prepared; the line says what was expected, and where."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import assert_user_mistake, hepbench

from hepbench.benchmarks.base import Events, Task, UserError
from hepbench.benchmarks.formats.sparse_images import Sparse
from hepbench.benchmarks.registry import Entry
from hepbench.suite.data.dataset import Prepared, prepare, view_of
from hepbench.suite.data.files import Files

N = 5  # events of a chunk


def entry_of(read, **more) -> Entry[Task]:
    views = more.pop("views", {"table": lambda arrays: arrays})
    task = Task(title="x", classes=("background", "signal"), read=read, views=views, **more)
    return Entry("mine", Path(__file__), task, "mine", task)


def chunk(number: int, arrays=None, labels=None, ids=None) -> Events:
    """A chunk as it should be, but for what is given."""
    if arrays is None:
        arrays = {"table": np.arange(3.0 * N).reshape(N, 3), "mass": np.ones(N)}
    labels = np.arange(N) % 2 if labels is None else labels
    return Events(arrays, labels, number * N + np.arange(N) if ids is None else ids)


def prepared(*chunks, digest: str = "0", **more) -> Prepared:
    return prepare(entry_of(lambda paths: iter(chunks), **more), Files("official", [], digest * 64))


def table(value: float, dtype: type = np.float64) -> dict[str, np.ndarray]:
    array = np.zeros((N, 3), dtype)
    array[2, 1] = value
    return {"table": array, "mass": np.ones(N)}


CLASSES = "expected class numbers, 0 background, 1 signal"
COUNT = "in the chunk from event 5 on; expected as many"
FINITE = "expected a finite number in single precision"
BAD = {
    "labels from -1": (lambda: chunk(1, labels=np.array([1, -1, 1, -1, 1])), f"labels: event 6 has -1; {CLASSES}"),
    "labels from 1": (lambda: chunk(1, labels=np.array([1, 1, 1, 2, 2])), f"labels: event 8 has 2; {CLASSES}"),
    "half a label": (lambda: chunk(1, labels=np.array([1, 0.5, 0, 0, 0])), f"labels: event 6 has 0.5; {CLASSES}"),
    "no number": (lambda: chunk(1, labels=np.array([1, np.nan, 0, 0, 0])), f"labels: event 6 has nan; {CLASSES}"),
    "names": (lambda: chunk(1, labels=np.array(["signal"] * N)), "labels are <U6, event 5 has np.str_('signal')"),
    "one-hot": (lambda: chunk(1, labels=np.eye(2)[[0, 1, 1, 0, 1]]), f"labels have the shape (5, 2); {CLASSES}"),
    "fewer labels": (lambda: chunk(1, labels=np.zeros(4)), f"labels: 4 for 5 ids {COUNT}"),
    "fewer rows": (lambda: chunk(1, {"table": np.ones((4, 3)), "mass": np.ones(N)}), f"table: 4 for 5 ids {COUNT}"),
    "a number": (lambda: chunk(1, {"table": np.array(3.0)}), f"table: a single number for 5 ids {COUNT}"),
    "a list": (lambda: chunk(1, {"table": [[1.0, 2.0]] * N}), "table is a list; expected a numpy array"),
    "masked": (lambda: chunk(1, {"table": np.ma.ones((N, 3))}), "table is a MaskedArray; expected a numpy array"),
    "objects": (lambda: chunk(1, {"table": np.array([None] * N)}), "table has the dtype object; expected numbers"),
    "nothing": (lambda: chunk(1, {}), "arrays is a dict; expected a dict of at least one named array"),
    "an array": (lambda: chunk(1, np.ones((N, 3))), "arrays is a ndarray; expected a dict"),
    "nan": (
        lambda: chunk(1, table(np.nan)),
        f"table: event 7 has nan at [1]; {FINITE}, or missing={{'table': nan}}",
    ),
    "infinity": (lambda: chunk(1, table(-np.inf)), f"table: event 7 has -inf at [1]; {FINITE}"),
    "1e300": (lambda: chunk(1, table(1e300)), f"table: event 7 has 1e+300 at [1]; {FINITE}"),
    "a sparse nan": (
        lambda: chunk(1, {"image": Sparse.of(table(np.inf)["table"])}),
        f"image: event 7 has inf; {FINITE}",
    ),
    "another width": (
        lambda: chunk(1, {"table": np.ones((N, 4)), "mass": np.ones(N)}),
        "table: float64 (4,) from event 5 on, float64 (3,) before; expected the same in all",
    ),
    "another dtype": (lambda: chunk(1, table(1, np.int64)), "table: int64 (3,) from event 5 on, float64 (3,) before"),
    "another name": (lambda: chunk(1, {"table": np.ones((N, 3))}), "mass: nothing from event 5 on, float64 () before"),
    "ids again": (lambda: chunk(0), "ids: event 5 has 0, like event 0; expected unique ids over all files"),
    "ids with a fraction": (lambda: chunk(1, ids=np.arange(N) / 2), "ids are float64 of the shape (5,)"),
    "a tuple": (lambda: ({}, [], []), "read yields a tuple; expected hepbench.Events(arrays, labels, ids)"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_chunk_is_refused_with_its_place(kind, home):
    bad, words = BAD[kind]
    with pytest.raises(UserError) as caught:
        prepared(chunk(0), bad())
    text = str(caught.value)
    assert text.startswith("mine: ") and words in text and "\n" not in text
    left = home / "data" / "mine" / "prepared"
    assert [path.suffix for path in left.iterdir()] == [".lock"]


@pytest.mark.parametrize(
    "read, words",
    [
        (lambda paths: None, "read gives None; expected an iterator: yield Events"),
        (lambda paths: chunk(0), "read gives a Events; expected an iterator"),
        (lambda paths: iter(()), "read yields no events"),
        (lambda paths: iter([chunk(0, {"table": np.ones((0, 3))}, np.ones(0), np.arange(0))]), "read yields no events"),
    ],
)
def test_a_reader_without_events_is_refused(read, words, home):
    with pytest.raises(UserError, match=words):
        prepare(entry_of(read), Files("official", [], "0" * 64))


def test_what_means_the_same_is_taken(home):
    """Labels as bool or whole floats, ids of 32 bits, numbers of another byte order."""
    made = prepared(
        chunk(0, {"table": np.ones((N, 3), ">f4")}, np.array([0, 1, 1, 0, 1], bool), np.arange(N, dtype=np.int32)),
        chunk(1, {"table": np.ones((N, 3), "<f4")}, np.array([1.0, 0, 0, 1, 0])),
    )
    assert made.labels.tolist() == [0, 1, 1, 0, 1, 1, 0, 0, 1, 0]
    assert made.labels.dtype == made.ids.dtype == np.int64
    assert made.arrays["table"].dtype == np.dtype("<f4") and (np.asarray(made.arrays["table"]) == 1).all()


@pytest.mark.parametrize("given", [np.nan, -9])
def test_declared_missing_values_are_nan(home, given):
    made = prepared(chunk(0, table(given)), chunk(1), missing={"table": -9})
    assert np.argwhere(np.isnan(made.arrays["table"])).tolist() == [[2, 1]]
    with pytest.raises(UserError, match="event 2 has inf"):
        prepared(chunk(0, table(np.inf)), missing={"table": -9}, digest="1")
    with pytest.raises(UserError, match="missing names 'tabel'; expected one of its arrays: table, mass"):
        prepared(chunk(0), missing={"tabel": 0}, digest="2")


def test_a_view_that_gives_no_finite_numbers_is_refused(home):
    def logarithm(arrays):
        with np.errstate(divide="ignore"):
            return {"table": np.log(arrays["table"])}

    entry = entry_of(lambda paths: iter([chunk(0)]), views={"table": logarithm})
    made = prepare(entry, Files("official", [], "0" * 64))
    with pytest.raises(UserError, match=r"mine: view table: table: event 0 has -inf at \[0\]; expected a finite"):
        view_of(entry, made, "table")
    assert not [path for path in made.folder.iterdir() if path.name.startswith("view")]


TASK = """
import numpy as np
from hepbench import Events, Source, Task
def read(paths):
    for path in paths:
        rows = np.loadtxt(path, ndmin=2)
        yield Events({"table": rows[:, 1:]}, rows[:, 0], np.arange(len(rows)))
TASK = Task(title="x", classes=("b", "s"), read=read, views={"table": lambda arrays: arrays}, variables=("x", "y"),
            sources=(Source("x.txt", ""),))
"""


@pytest.mark.long
def test_one_line_in_training_and_in_prediction(home, tmp_path):
    task, path, out = tmp_path / "mine.py", home / "data" / "mine" / "official" / "x.txt", tmp_path / "scores.parquet"
    task.write_text(TASK)
    path.parent.mkdir(parents=True)
    rows = np.column_stack([np.arange(600) % 2, np.random.default_rng(0).normal(size=(600, 2))])
    bench = ["bench", task, "--model", "logistic", "--budget", "smoke"]
    for column, value, words in ((0, 2, "labels: event 7 has 2.0"), (2, np.nan, "table: event 7 has nan at [1]")):
        bad = rows.copy()
        bad[7, column] = value
        np.savetxt(path, bad)
        assert_user_mistake(hepbench(*bench, home=home), f"mine: {words}")
    np.savetxt(path, rows)
    done = hepbench(*bench, home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    from hepbench.tracking import runs

    (run,) = runs.connect(None, home / "results").runs("mine", tags={"stage": "final"})
    np.savetxt(tmp_path / "bad.txt", bad)
    done = hepbench("predict", run["id"], tmp_path / "bad.txt", "--task", task, "--out", out, home=home)
    assert_user_mistake(done, "bad.txt: mine: table: event 7 has nan at [1]")
    assert not out.exists()
