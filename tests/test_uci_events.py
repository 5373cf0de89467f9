"""HIGGS and SUSY: the reader on files by hand, the splits, the views, and the formulae of the simulations."""

from __future__ import annotations

import gzip
import itertools

import numpy as np
import pytest
from conftest import assert_user_mistake, hepbench

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import UserError
from hepbench.benchmarks.formats import uci_events
from hepbench.benchmarks.simulation import hepmass, higgs, susy

TASKS = ["higgs", "susy"]
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
    numbered = ",".join(map(str, range(1 + COLUMNS[task]))) + "\n"  # what pandas writes of columns without names
    for header in (named, numbered):
        again, _, found = read(task, write(tmp_path / name, header + text_of(rows)))
        np.testing.assert_array_equal(again, features)
        np.testing.assert_array_equal(found, ids)


BAD = {
    "last column missing": (
        lambda text: "".join(row.rsplit(",", 1)[0] + "\n" for row in text.splitlines()),
        "the first of which is 0 or 1 like the class",
    ),
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
        w = lepton[row] + higgs.neutrino(lepton[row : row + 1], missing[row : row + 1])[0]
        mass = [hepmass.invariant_mass(one[None])[0] for one in (other, pair, pair + other, pair + w)]
        assert found[row, 0] == pytest.approx(mass[0]) and found[row, 4] == pytest.approx(mass[1])
        nearer = min(mass[2:], key=lambda value: abs(value - 325))
        assert found[row, 5] == pytest.approx(nearer)


def test_assignments_are_those_of_a_loop_over_assignments():
    rng = np.random.default_rng(5)
    n = 40

    def draw():
        p = rng.normal(size=3) * 60
        return np.append(p, np.sqrt(p @ p + 25))

    def mass(p):
        return np.sqrt(max(0, p[3] ** 2 - p[:3] @ p[:3]))

    lepton, missing = np.stack([draw() for _ in range(n)]), rng.normal(size=(n, 2)) * 50
    jets = np.stack([[draw() for _ in range(4)] for _ in range(n)])
    tagged = (rng.random((n, 4)) < 0.5).astype(float)
    got = higgs.combinations(lepton, missing, jets, tagged)
    for i in range(n):
        w = lepton[i] + higgs.neutrino(lepton[i : i + 1], missing[i : i + 1])[0]
        tried = []
        for a, b, c, d in itertools.permutations(range(4)):
            if tagged[i, c] + tagged[i, d] < min(2, tagged[i].sum()):
                continue
            m = (mass(jets[i, a] + jets[i, b]), mass(jets[i, [a, b, c]].sum(axis=0)), mass(w + jets[i, d]))
            far = sum((value / nominal - 1) ** 2 for value, nominal in zip(m, (80.4, 172.5, 172.5), strict=True))
            tried.append((far, m))
        m = min(tried)[1]
        np.testing.assert_allclose(got[i], [m[0], m[1], mass(w), m[2], mass(w + jets[i].sum(axis=0))], rtol=1e-6)


def test_normalisation_is_that_of_the_paper():
    """Angles about 0 with a spread of 1, all others in units of their mean."""
    variables = registry.find("task", "higgs").record.variables
    for name, (shift, scale) in zip(variables, higgs.NORMALISATION, strict=True):
        assert (abs(shift) < 0.1 and 0.9 < scale < 2) if name.endswith(("eta", "phi")) else (shift == 0 and scale > 0)
    raw = np.random.default_rng(0).normal(size=(3, 28)) * 50
    np.testing.assert_allclose(higgs.denormalise(higgs.normalise(raw)), raw)


# --- simulation of SUSY ----------------------------------------------------------------------------------------------


def leptons_by_hand(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    momenta = rng.normal(size=(2, count, 3)) * 50
    return *(np.column_stack([one, np.linalg.norm(one, axis=1)]) for one in momenta), rng.normal(size=(count, 2)) * 40


def test_the_stransverse_mass_is_the_least_over_all_divisions():
    first, second, missing = leptons_by_hand(40)
    found = susy.stransverse_mass(first[:, :2], second[:, :2], missing)
    grid = np.stack(np.meshgrid(*2 * [np.linspace(-400, 400, 401)]), axis=-1).reshape(-1, 2)
    for event in range(40):
        one, other = first[event, :2], second[event, :2]
        rest = missing[event] - grid
        masses = [
            2 * (np.hypot(*lepton) * np.hypot(*part.T) - part @ lepton) for lepton, part in ((one, grid), (other, rest))
        ]
        least = np.sqrt(np.maximum(*masses).min())
        assert found[event] <= least * (1 + 1e-6) + 1e-3 and found[event] > least - 8  # of a grid of 2 GeV


def test_a_pair_without_anything_else_has_a_known_stransverse_mass():
    """Missing momentum against the leptons: mt2^2 = 2 (|p1| |p2| + p1 . p2)."""
    first, second, _ = leptons_by_hand(50)
    found = susy.stransverse_mass(first[:, :2], second[:, :2], -(first + second)[:, :2])
    sizes = np.hypot(*first[:, :2].T) * np.hypot(*second[:, :2].T)
    expected = np.sqrt(2 * (sizes + (first[:, :2] * second[:, :2]).sum(axis=1)))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=0.05)


def test_derived_variables_do_not_know_the_azimuth_the_end_or_the_boost_along_the_beam():
    first, second, missing = leptons_by_hand(60)
    known = susy.derived(first, second, missing)
    assert np.isfinite(known).all()
    turn = np.array([[np.cos(0.7), np.sin(0.7)], [-np.sin(0.7), np.cos(0.7)]])
    turned = [np.column_stack([one[:, :2] @ turn, -one[:, 2], one[:, 3]]) for one in (first, second)]
    np.testing.assert_allclose(susy.derived(*turned, missing @ turn), known, rtol=1e-3, atol=0.05)
    along = np.tile([0, 0, 0.6], (60, 1))
    np.testing.assert_allclose(
        susy.derived(susy.boosted(first, along), susy.boosted(second, along), missing), known, rtol=1e-3, atol=0.05
    )


def test_variables_of_one_event_by_hand():
    """Leptons of 60 and 40 GeV against each other, 30 GeV missing across."""
    first, second = np.array([[60.0, 0, 0, 60]]), np.array([[-40.0, 0, 0, 40]])
    names = registry.find("task", "susy").record.variables[8:]
    found = dict(zip(names, susy.derived(first, second, np.array([[0.0, 30.0]]))[0], strict=True))
    assert found["met_rel"] == pytest.approx(30) and found["axial_met"] == pytest.approx(0)
    assert found["m_r"] == pytest.approx(100) and found["m_tr"] == pytest.approx(np.sqrt(1500))
    assert found["r"] == pytest.approx(np.sqrt(1500) / 100)
    # E = 100, J = (20, 0), P = (20, 30): s_r^2 = 2 (E^2 - J P + E sqrt(E^2 + P^2 - 2 J P))
    assert found["s_r"] == pytest.approx(np.sqrt(2 * (1e4 - 400 + 100 * np.sqrt(1e4 + 1300 - 800))))
    boost = susy.boosted(np.array([[3.0, 4.0, 0.0, 5.0]]), np.array([[0.6, 0.0, 0.0]]))[0]
    np.testing.assert_allclose(boost, [0, 4, 0, 4], atol=1e-12)


@pytest.mark.parametrize("task", TASKS)
def test_simulated_events_agree_with_physics(task, files_of):
    entry, files = files_of(task)
    features, labels, _ = read(task, *files.paths)
    checks = entry.record.validate({"features": features}, labels)
    assert len(checks) >= 8 and all(abs(check.pull) < 4 for check in checks), checks
    assert np.bincount(labels).tolist() == [100, 100]
