"""HIGGS and SUSY: the reader on files by hand, the splits, the views, and the formulae of the simulations."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
from conftest import assert_user_mistake, hepbench

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import UserError
from hepbench.benchmarks.formats import uci_events
from hepbench.benchmarks.simulation import hepmass, higgs

TASKS = [name for name in ("higgs", "susy") if name in registry.names("task")]
COLUMNS = {"higgs": 28, "susy": 18}


def rows_by_hand(task: str, count: int, seed: int = 0) -> np.ndarray:
    """(count, 1 + variables) with the class first."""
    rng = np.random.default_rng(seed)
    return np.column_stack([np.arange(count) % 2, rng.normal(size=(count, COLUMNS[task]))])


def text_of(rows: np.ndarray) -> str:
    return "".join(",".join(f"{value:.18e}" for value in row) + "\n" for row in rows)


def write(path, text: str):
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def read(task: str, *paths):
    chunks = list(registry.find("task", task).record.read(paths))
    return np.concatenate([one.arrays["features"] for one in chunks]), *(
        np.concatenate([getattr(one, name) for one in chunks]) for name in ("labels", "ids")
    )


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz"])
def test_reader_gives_the_numbers_the_class_and_the_row(tmp_path, task, name):
    rows = rows_by_hand(task, 30)
    features, labels, ids = read(task, write(tmp_path / name, text_of(rows)))
    np.testing.assert_array_equal(features, rows[:, 1:].astype(np.float32))
    np.testing.assert_array_equal(labels, np.arange(30) % 2)
    np.testing.assert_array_equal(ids, np.arange(30))
    named = ",".join(["class", *registry.find("task", task).record.variables]) + "\n"
    again, _, _ = read(task, write(tmp_path / name, named + text_of(rows)))
    np.testing.assert_array_equal(again, features)


BAD = {
    "short": (lambda text: text.rsplit(",", 1)[0] + "\n", "expected 29"),
    "word": (lambda text: text.replace(text.split(",")[3], "five", 1), "line 1: .* is 'five', not a number"),
    "class": (lambda text: "7" + text[1:], r"line 1: label outside \{0, 1\}"),
    "nan": (lambda text: text.replace(text.split(",")[3], "nan", 1), "line 1: NaN or infinity"),
    "empty": (lambda text: "", "no events in it"),
    "zeros": (lambda text: "1" + ",0" * 28 + "\n" + text, "line 1: nothing but zeros"),
    "page": (lambda text: "<html>gone</html>\n", "line 1"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_refused(tmp_path, kind):
    spoil, fault = BAD[kind]
    path = write(tmp_path / "HIGGS.csv.gz", spoil(text_of(rows_by_hand("higgs", 6))))
    with pytest.raises(UserError, match=fault) as caught:
        read("higgs", path)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_the_published_one_is_one_line(home):
    folder = home / "data" / "higgs" / "official"
    folder.mkdir(parents=True)
    write(folder / "HIGGS.csv.gz", text_of(rows_by_hand("higgs", 40)))
    done = hepbench("bench", "higgs", "--model", "prior", "--budget", "smoke", home=home)
    assert_user_mistake(done, "HIGGS.csv.gz: sha256 is", "published is ea302c18")


@pytest.mark.parametrize("task", TASKS)
def test_the_official_file_tests_on_its_last_half_million(task):
    size = registry.find("task", task).record.size
    part = registry.find("task", task).record.split(np.zeros(size, np.int64), np.arange(size))
    assert np.bincount(part).tolist() == [size - 1_000_000, 500_000, 500_000]
    assert (np.diff(part) >= 0).all()
    few = registry.find("task", task).record.split(np.zeros(20, np.int64), np.arange(20)[::-1])
    np.testing.assert_array_equal(few[::-1], np.repeat([0, 1, 2], [14, 3, 3]))


def test_written_files_have_the_classes_in_turn_and_every_event(tmp_path):
    rng = np.random.default_rng(0)
    chunks = [(label, {"features": rng.normal(size=(n, 18)) + label}) for label, n in ((0, 4), (1, 4), (0, 3), (1, 1))]
    (path,) = uci_events.write(tmp_path, [7, 5], iter(chunks), "x.csv.gz")
    rows = np.loadtxt(path, delimiter=",")
    assert len(rows) == 12 and rows[:10, 0].tolist() == [0, 1] * 5
    for label in (0, 1):
        np.testing.assert_array_equal(
            rows[rows[:, 0] == label, 1:], np.concatenate([one["features"] for kind, one in chunks if kind == label])
        )


@pytest.mark.parametrize("task", TASKS)
def test_sets_of_features_are_measured_and_derived_variables(task):
    record = registry.find("task", task).record
    features = np.random.default_rng(0).normal(size=(4, COLUMNS[task])).astype(np.float32)
    low = record.features["low"].columns["table"]
    high = record.view("table", "high")({"features": features})["table"]
    np.testing.assert_array_equal(high, features[:, low:])
    cloud = record.views["cloud"]({"features": features})
    assert record.features["low"].columns["features"] == cloud["features"].shape[2]
    name = next(one for one in record.variables if one.endswith("_pt"))
    np.testing.assert_array_equal(cloud["features"][:, 0, 0], features[:, record.variables.index(name)])


# --- simulation of HIGGS ---------------------------------------------------------------------------------------------


def test_masses_are_those_of_the_tagged_and_the_other_jets():
    rng = np.random.default_rng(2)
    direction = rng.normal(size=(30, 4, 3)) * 60
    jets = np.concatenate([direction, np.linalg.norm(direction, axis=2, keepdims=True)], axis=2)
    tagged = np.stack([rng.permutation([1.0, 1.0, 0.0, 0.0]) for _ in range(30)])
    lepton = np.tile([40.0, 10.0, 5.0, np.sqrt(1725.0)], (30, 1))
    missing = rng.normal(size=(30, 2)) * 40
    found = higgs.masses(lepton, missing, jets, tagged)
    for row in range(30):
        pair, other = (jets[row, tagged[row] == kind].sum(axis=0) for kind in (1, 0))
        w = lepton[row] + hepmass.neutrino(lepton[row : row + 1], missing[row : row + 1])[0]
        mass = [hepmass.invariant_mass(one[None])[0] for one in (other, pair, pair + other, pair + w)]
        assert found[row, 0] == pytest.approx(mass[0]) and found[row, 4] == pytest.approx(mass[1])
        nearer = min(mass[2:], key=lambda value: abs(value - 325))
        assert found[row, 5] == pytest.approx(nearer)


def test_normalisation_is_that_of_the_paper():
    """Angles about 0 with a spread of 1, all others in units of their mean."""
    variables = registry.find("task", "higgs").record.variables
    for name, (shift, scale) in zip(variables, higgs.NORMALISATION, strict=True):
        assert (abs(shift) < 0.1 and 0.9 < scale < 2) if name.endswith(("eta", "phi")) else (shift == 0 and scale > 0)
    raw = np.random.default_rng(0).normal(size=(3, 28)) * 50
    np.testing.assert_allclose(higgs.denormalise(higgs.normalise(raw)), raw)


@pytest.mark.parametrize("task", TASKS)
def test_simulated_events_agree_with_physics(task, files_of):
    entry, files = files_of(task)
    features, labels, _ = read(task, *files.paths)
    checks = entry.record.validate({"features": features}, labels)
    assert len(checks) >= 10 and all(abs(check.pull) < 4 for check in checks), checks
    assert np.bincount(labels).tolist() == [100, 100]
