"""HEPMASS: the reader on files written by hand, the split, the views, and the formulae of the simulation."""

from __future__ import annotations

import csv
import gzip
import itertools
import sys

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import UserError
from hepbench.benchmarks.formats import hepmass as hepmass_format
from hepbench.benchmarks.formats import text as text_format
from hepbench.benchmarks.simulation import atlas_card
from hepbench.benchmarks.simulation import hepmass as simulation
from hepbench.benchmarks.tasks import hepmass
from hepbench.benchmarks.validation import hepmass as hepmass_validation

TASK = registry.find("task", "hepmass").record
HEADER = ["# label", *(f"f{i}" for i in range(27)), "mass"]


def rows_by_hand(count: int) -> list[list[str]]:
    rng = np.random.default_rng(0)
    masses = ["4.999999694824218750e+02", "7.500000000000000000e+02", "1.500000000000000000e+03"]
    return [[f"{i % 2:.18e}", *(f"{value:.18e}" for value in rng.normal(size=27)), masses[i % 3]] for i in range(count)]


def text_of(rows: list[list[str]], header: list[str] = HEADER) -> bytes:
    return "".join(",".join(row) + "\n" for row in [header, *rows]).encode()


def write(path, text: bytes):
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def read(*paths):
    chunks = list(TASK.read(paths))
    arrays = {key: np.concatenate([s.arrays[key] for s in chunks]) for key in ("features", "mass")}
    return arrays, *(np.concatenate([getattr(s, name) for s in chunks]) for name in ("labels", "ids"))


# --- reader ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["all_train.csv.gz", "all_train.csv"])
@pytest.mark.parametrize("block", [2**22, 3000])
def test_reader_gives_what_csv_and_float_give(tmp_path, monkeypatch, name, block):
    monkeypatch.setattr(text_format, "BLOCK", block)
    rows = rows_by_hand(50)
    path = write(tmp_path / name, text_of(rows))
    arrays, labels, ids = read(path)
    expected = np.array(rows, dtype=np.float64)
    np.testing.assert_array_equal(arrays["features"], expected[:, 1:28].astype(np.float32))
    np.testing.assert_array_equal(arrays["mass"][:3, 0], [500, 750, 1500])
    assert arrays["features"].dtype == arrays["mass"].dtype == np.float32
    np.testing.assert_array_equal(labels, np.arange(50) % 2)
    np.testing.assert_array_equal(ids, 10**9 * (np.arange(50) % 2) + np.arange(50) // 2)


def test_ids_tell_the_file_and_windows_lines_are_read(tmp_path):
    rows = rows_by_hand(6)
    train = write(tmp_path / "all_train.csv.gz", text_of(rows))
    test = write(tmp_path / "all_test.csv.gz", text_of(rows).replace(b"\n", b"\r\n"))
    arrays, labels, ids = read(train, test)
    np.testing.assert_array_equal(ids // 10**9, [0, 1, 0, 1, 0, 1, 2, 3, 2, 3, 2, 3])
    np.testing.assert_array_equal(arrays["features"][:6], arrays["features"][6:])
    np.testing.assert_array_equal(labels[:6], labels[6:])


def test_plain_reader_gives_the_same(tmp_path):
    paths = [write(tmp_path / name, text_of(rows_by_hand(9))) for name in ("all_train.csv.gz", "all_test.csv")]
    (one, two), (fast, faster) = TASK.plain_read(paths), TASK.read(paths)
    for plain, other in ((one, fast), (two, faster)):
        for name in ("features", "mass"):
            np.testing.assert_array_equal(plain.arrays[name], other.arrays[name])
        np.testing.assert_array_equal(plain.labels, other.labels)
        np.testing.assert_array_equal(plain.ids, other.ids)


def test_a_stream_of_several_gzip_members_is_read_whole(tmp_path):
    text = text_of(rows_by_hand(10))
    path = tmp_path / "all_train.csv.gz"
    path.write_bytes(gzip.compress(text[:1000]) + gzip.compress(text[1000:]))
    assert len(read(path)[1]) == 10


@given(values=st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=27, max_size=27))
@settings(max_examples=50, deadline=None)
def test_any_float32_comes_back(tmp_path_factory, values):
    assume(any(values))  # an event of nothing but zeros is refused
    path = tmp_path_factory.mktemp("any") / "all_train.csv"
    arrays, _, _ = read(write(path, text_of([["1.0", *(f"{value:.18e}" for value in values), "1000"]])))
    np.testing.assert_array_equal(arrays["features"][0], np.array(values, np.float32))


def changed(row: int, column: int, value: str) -> bytes:
    rows = rows_by_hand(8)
    rows[row][column] = value
    return text_of(rows)


def dropped(row: int) -> bytes:
    rows = rows_by_hand(8)
    del rows[row][-1]
    return text_of(rows)


BAD_TEXT = {
    "empty": (b"", "no events in it"),
    "header alone": (text_of([]), "no events in it"),
    "header cut": (b"# label,f0", "line 1 is 'label,f0'; expected the 29 columns"),
    "no header": (text_of(rows_by_hand(3), rows_by_hand(1)[0]), "line 1 is"),
    "no mass": (text_of([row[:-1] for row in rows_by_hand(3)], HEADER[:-1]), "line 1 is"),
    "page": (b"<html>not found</html>\n", "line 1 is '<html>not found</html>'"),
    "short row": (dropped(4), "line 6: 28 columns; expected 29"),
    "long row": (changed(4, 3, "1.0,2.0"), "line 6: 30 columns; expected 29"),
    "header again": (text_of(rows_by_hand(2)) + b"\n" + text_of(rows_by_hand(2)), "line 5: a second header"),
    "word": (changed(5, 4, "five"), "line 7: f3 is 'five', not a number"),
    "nothing": (changed(5, 28, ""), "line 7: mass is '', not a number"),
    "nan": (changed(2, 10, "nan"), "line 4: NaN or infinity"),
    "infinity": (changed(2, 10, "-inf"), "line 4: NaN or infinity"),
    "too large": (changed(2, 10, "1e60"), "line 4: NaN or infinity"),
    "label": (changed(7, 0, "2.0"), r"line 9: label outside \{0, 1\}"),
    "no label": (changed(7, 0, "0.5"), r"line 9: label outside \{0, 1\}"),
    "mass": (changed(7, 28, "-500"), "line 9: mass below 1 GeV"),
    "cut row": (text_of(rows_by_hand(8))[:-2], "truncated: line 9, the last, does not end"),
}


@pytest.mark.parametrize("block", [2**22, 1000])
@pytest.mark.parametrize("name", ["all_train.csv.gz", "all_train.csv"])
@pytest.mark.parametrize("kind", BAD_TEXT)
def test_bad_text_is_refused(tmp_path, monkeypatch, kind, name, block):
    monkeypatch.setattr(text_format, "BLOCK", block)
    text, fault = BAD_TEXT[kind]
    path = write(tmp_path / name, text)
    with pytest.raises(UserError, match=fault) as caught:
        read(path)
    assert str(path) in str(caught.value)


def flipped(position: int) -> bytes:
    good = bytearray(gzip.compress(text_of(rows_by_hand(200))))
    good[position] ^= 1
    return bytes(good)


BAD_STREAM = {
    "truncated": gzip.compress(text_of(rows_by_hand(200)))[:-2000],
    "without its checksum": gzip.compress(text_of(rows_by_hand(200)))[:-8],
    "second part truncated": gzip.compress(text_of(rows_by_hand(200))) + gzip.compress(b"1," * 999)[:-9],
    "lies about its checksum": flipped(-6),
    "lies about its size": flipped(-2),
    "spoilt within": flipped(9000),
    "rubbish after it": gzip.compress(text_of(rows_by_hand(3))) + b"rubbish",
}


@pytest.mark.parametrize("kind", BAD_STREAM)
def test_a_bad_gzip_stream_is_refused(tmp_path, kind):
    path = tmp_path / "all_train.csv.gz"
    path.write_bytes(BAD_STREAM[kind])
    with pytest.raises(UserError, match=r"all_train\.csv\.gz: not a whole gzip file"):
        read(path)


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"all_train\.csv\.gz: no such file"):
        read(tmp_path / "all_train.csv.gz")


# --- split and views -------------------------------------------------------------------------------------------------


def test_split_with_the_test_file_keeps_it_and_validates_on_the_last_tenth():
    ids = np.concatenate([np.arange(100), 10**9 + np.arange(50), 2 * 10**9 + np.arange(30), 3 * 10**9 + np.arange(20)])
    part = hepmass.split(ids // 10**9 % 2, ids)
    np.testing.assert_array_equal(part[:100], np.repeat([0, 1], [90, 10]))
    np.testing.assert_array_equal(part[100:150], np.repeat([0, 1], [45, 5]))
    assert (part[150:] == 2).all()
    alone = hepmass.split(ids[:150] // 10**9, ids[:150])
    np.testing.assert_array_equal(alone[:100], np.repeat([0, 1, 2], [70, 15, 15]))
    np.testing.assert_array_equal(np.bincount(alone[100:]), [35, 7, 8])


def test_cloud_holds_the_objects_and_the_mass():
    rng = np.random.default_rng(1)
    arrays = {"features": rng.normal(size=(5, 27)).astype(np.float32), "mass": np.full((5, 1), 750, np.float32)}
    cloud = TASK.views["cloud"](arrays)
    names = list(TASK.variables)
    for event, row in enumerate(arrays["features"]):
        value = dict(zip(names, row, strict=True))
        for point, kind in enumerate(("lepton", "missing", "jet1", "jet2", "jet3", "jet4")):
            expected = [value.get(f"{kind}_{name}", 0) for name in ("pt", "eta", "phi", "b_tag")]
            one_hot = [kind.startswith(other) for other in ("lepton", "missing", "jet")]
            np.testing.assert_array_equal(cloud["features"][event, point], [*expected, *one_hot])
            np.testing.assert_array_equal(cloud["points"][event, point], expected[1:3])
    assert cloud["mask"].shape == (5, 6) and cloud["mask"].all()
    np.testing.assert_array_equal(cloud["context"], arrays["mass"])
    np.testing.assert_array_equal(TASK.slices["mass"](arrays), np.full(5, 750))


# --- simulation ------------------------------------------------------------------------------------------------------


def four_momentum(pt, eta, phi, mass=0.0):
    p = np.array([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)])
    return np.append(p, np.sqrt(mass**2 + p @ p))


momenta = st.tuples(st.floats(20, 500), st.floats(-2.5, 2.5), st.floats(-3.1, 3.1))


@given(lepton=momenta, missing=st.tuples(st.floats(5, 500), st.floats(-3.1, 3.1)))
def test_neutrino_makes_the_mass_of_the_w_where_it_can(lepton, missing):
    lepton = four_momentum(*lepton)
    missing = missing[0] * np.array([np.cos(missing[1]), np.sin(missing[1])])
    middle, root = simulation.longitudinal(lepton[None], missing[None])
    neutrinos = [simulation.neutrino(missing[None], pz)[0] for pz in (middle + root, middle - root)]
    transverse = np.sqrt(2 * max(0, np.hypot(*lepton[:2]) * np.hypot(*missing) - lepton[:2] @ missing))
    for neutrino in neutrinos:
        np.testing.assert_array_equal(neutrino[:2], missing)
        assert neutrino[3] == pytest.approx(np.hypot(np.hypot(*missing), neutrino[2]))
        mass = simulation.invariant_mass((lepton + neutrino)[None])[0]
        if transverse < simulation.W_MASS:
            assert mass == pytest.approx(simulation.W_MASS, rel=1e-3)
        else:
            assert mass >= transverse * (1 - 1e-6)


def test_combinations_find_the_top_quarks_of_an_exact_event():
    """Two bodies at a time, each decay isotropic: X -> t t, t -> W b, W -> two massless."""
    rng = np.random.default_rng(3)

    def decay(parent, first, second):
        mass = simulation.invariant_mass(parent[None])[0]
        p = np.sqrt((mass**2 - (first + second) ** 2) * (mass**2 - (first - second) ** 2)) / (2 * mass)
        direction = rng.normal(size=3)
        direction *= p / np.linalg.norm(direction)
        beta = parent[:3] / parent[3]
        gamma = parent[3] / mass

        def boosted(momentum, energy):
            along = beta @ momentum
            factor = (gamma - 1) * along / max(beta @ beta, 1e-300) + gamma * energy
            return np.append(momentum + factor * beta, gamma * (energy + along))

        return boosted(direction, np.hypot(p, first)), boosted(-direction, np.hypot(p, second))

    for _ in range(20):
        top, antitop = decay(np.array([0, 0, 0, 800.0]), simulation.TOP_MASS, simulation.TOP_MASS)
        w, b = decay(top, simulation.W_MASS, 0)
        other_w, other_b = decay(antitop, simulation.W_MASS, 0)
        lepton, neutrino = decay(w, 0, 0)
        jets = np.stack([*decay(other_w, 0, 0), b, other_b])
        order = rng.permutation(4)
        tagged = np.isin(order, (2, 3)).astype(float)
        masses = simulation.combinations(lepton[None], neutrino[None, :2], jets[order][None], tagged[None])[0]
        assert masses[0] == pytest.approx(simulation.W_MASS, rel=1e-6)
        assert masses[2] == pytest.approx(simulation.W_MASS, rel=1e-3)
        assert masses[1] == pytest.approx(simulation.TOP_MASS, rel=1e-6)
        if sum(simulation.longitudinal(lepton[None], neutrino[None, :2]))[0] == pytest.approx(neutrino[2], abs=0.1):
            assert masses[3] == pytest.approx(simulation.TOP_MASS, rel=1e-2)
            assert masses[4] == pytest.approx(800, rel=1e-2)


def test_combinations_are_those_of_a_loop_over_assignments():
    rng = np.random.default_rng(5)
    n = 40

    def draw():
        return four_momentum(rng.exponential(60) + 20, rng.normal(), rng.uniform(-3, 3))

    def mass(p):
        return np.sqrt(max(0, p[3] ** 2 - p[:3] @ p[:3]))

    lepton, missing = np.stack([draw() for _ in range(n)]), rng.normal(size=(n, 2)) * 50
    number = rng.integers(4, 8, n)
    jets, tagged = np.zeros((n, 7, 4)), np.zeros((n, 7))
    for i in range(n):
        jets[i, : number[i]] = [draw() for _ in range(number[i])]
        tagged[i, rng.choice(number[i], 2, replace=False)] = 1
    got = simulation.combinations(lepton, missing, jets, tagged)
    for i in range(n):
        pz = sum(simulation.longitudinal(lepton[i : i + 1], missing[i : i + 1]))
        w = lepton[i] + simulation.neutrino(missing[i : i + 1], pz)[0]
        tried = []
        for a, b, c, d in itertools.permutations(range(number[i]), 4):
            if tagged[i, c] and tagged[i, d]:
                m = (mass(jets[i, a] + jets[i, b]), mass(jets[i, [a, b, c]].sum(axis=0)), mass(w + jets[i, d]))
                tried.append((abs(m[1] - 172.5), m))
        m = min(tried)[1]
        np.testing.assert_allclose(got[i], [m[0], m[1], mass(w), m[2], mass(w + jets[i, :4].sum(axis=0))], rtol=1e-6)


def test_two_tags_are_those_of_events_that_happen_to_have_two():
    rng = np.random.default_rng(0)
    probability = np.array([0.5, 0.3, 0.1, 0.4, 0.0])
    number = 200_000
    drawn = rng.random((number, 5)) < probability
    drawn = drawn[drawn.sum(axis=1) == 2]
    taken, tagged = simulation.two_tags(np.tile(probability, (number, 1)), rng)
    assert (tagged.sum(axis=1) == 2).all() and not tagged[:, 4].any()
    assert taken.mean() == pytest.approx(len(drawn) / number / 0.375, abs=0.01)
    for one, other in itertools.combinations(range(4), 2):
        both = (tagged[:, one] & tagged[:, other]).mean()
        assert both == pytest.approx((drawn[:, one] & drawn[:, other]).mean(), abs=0.008)
    assert simulation.two_tags(np.array([[0.5, 0.0, 0.0]]), rng)[0].sum() == 0
    assert simulation.two_tags(np.full((100, 3), 0.5), rng)[0].all()
    with pytest.raises(ValueError, match=r"probability of 0\.600, above 0\.5"):
        simulation.two_tags(np.array([[0.6, 0.1]]), rng)


def test_b_tag_probabilities_are_those_of_the_card():
    flavour, pt, eta = np.array([5, 4, 0]), np.full(3, 100.0), np.array([0.5, 1.5, 2.7])
    expected = [0.8 * np.tanh(0.3) * 30 / 9.6, 0.2 * np.tanh(2.0) / 1.34, 0.002 + 7.3e-4]
    np.testing.assert_allclose(atlas_card.b_tag_probability(flavour, pt, eta), expected)
    rise = np.tanh(2.6)
    for eta, expected in ((0.5, [0.5 * rise, 0.2 * rise, 0.001]), (2.0, [0.4 * rise, 0.1 * rise, 0.001])):
        np.testing.assert_allclose(atlas_card.b_tag_probability_2014(flavour, pt, np.full(3, eta)), expected)
    np.testing.assert_array_equal(atlas_card.b_tag_probability_2014(flavour, pt, np.full(3, -2.6)), [0, 0, 0.001])
    assert atlas_card.b_tag_probability_2014(np.array([5]), np.array([10.0]), np.zeros(1)) == 0


def test_tower_energies_keep_their_mean_and_have_the_resolution():
    rng = np.random.default_rng(0)
    energy, eta = np.full(200_000, 50.0), np.full(200_000, 0.5)
    for resolution, sigma in (
        (atlas_card.electromagnetic_resolution, np.sqrt((0.0017 * 50) ** 2 + 0.101**2 * 50)),
        (atlas_card.hadronic_resolution, np.sqrt((0.0302 * 50) ** 2 + 0.5205**2 * 50 + 1.59**2)),
    ):
        np.testing.assert_allclose(resolution(eta, energy), sigma)
        measured = atlas_card.log_normal(energy, resolution(eta, energy), rng)
        assert measured.mean() == pytest.approx(50, abs=5 * sigma / np.sqrt(len(energy)))
        assert measured.std() == pytest.approx(sigma, rel=0.02)


def particles(event, pt, eta, phi, kind):
    columns = [np.array(column, np.float64) for column in (pt, eta, phi)]
    return atlas_card.Objects.massless(np.array(event), *columns, np.array(kind))


def test_towers_hold_what_reaches_them():
    """A photon keeps its energy in place, a muon leaves none, a soft pion curls up, a hard one is bent."""
    rng = np.random.default_rng(0)
    bend = atlas_card.BEND
    event, kind = [0, 1, 2, 3, 4, 4], [22, 13, 211, 211, 22, 22]
    visible = particles(event, [1000, 1000, 0.9 * bend, 2000 * bend, 500, 500], [0.4] * 6, [0.501] * 6, kind)
    towers = atlas_card.towers_of(visible, np.array([0, -1, 1, 1, 0, 0]), rng)
    np.testing.assert_array_equal(towers.event, [0, 3, 4])
    np.testing.assert_allclose(towers.pt, [1000, 2000 * bend, 1000], rtol=0.3)
    np.testing.assert_allclose(towers.pt[[0, 2]], 1000, rtol=0.04)
    np.testing.assert_allclose(towers.eta, 0.4, atol=0.1)
    np.testing.assert_allclose(towers.phi, 0.5, atol=0.18)
    bent = atlas_card.towers_of(particles([0], [300.0], [0.0], [1.0], [11]), np.array([-1]), rng)
    assert bent.phi[0] == pytest.approx(1.0 + np.arcsin(bend / 300), abs=np.pi / 180)


@given(seed=st.integers(0, 1000), sizes=st.tuples(st.integers(0, 12), st.integers(0, 12)))
def test_pairs_are_those_of_a_loop(seed, sizes):
    rng = np.random.default_rng(seed)
    one, other = (
        particles(np.sort(rng.integers(0, 4, n)), np.full(n, 30), rng.normal(size=n), rng.uniform(-3, 3, n), [0] * n)
        for n in sizes
    )
    left, right, distance = atlas_card.pairs(one, other)
    expected = [(i, j) for i in range(sizes[0]) for j in range(sizes[1]) if one.event[i] == other.event[j]]
    assert list(zip(left, right, strict=True)) == expected
    for i, j, far in zip(left, right, distance, strict=True):
        delta_phi = np.arccos(np.clip(np.cos(one.phi[i] - other.phi[j]), -1, 1))
        assert far == pytest.approx(np.hypot(one.eta[i] - other.eta[j], delta_phi), abs=1e-6)
    near = atlas_card.near(one, other, 0.5)
    np.testing.assert_array_equal(near, [(distance[left == i] < 0.5).any() for i in range(sizes[0])])


@pytest.mark.parametrize(("kind", "eta", "expected"), [(13, 0.2, 0.01118), (13, 1.0, 0.01677), (11, 1.0, 0.01155)])
def test_resolution_of_leptons_is_relative(kind, eta, expected):
    """At 50 GeV: of a muon sqrt(c^2 + (s pT)^2) of its pT; an electron's tower has a tenth of its track's width."""
    n, rng = 40_000, np.random.default_rng(5)
    one = np.full(n, eta), rng.uniform(-3, 3, n), np.full(n, kind)
    found = atlas_card.isolated_leptons(atlas_card.Objects.massless(np.arange(n), np.full(n, 50.0), *one), rng)
    assert found.pt.mean() == pytest.approx(50, abs=0.03)
    assert found.pt.std() / 50 == pytest.approx(expected, rel=0.03)


def test_leptons_in_jets_are_not_isolated():
    rng = np.random.default_rng(0)
    count = 2000
    event = np.repeat(np.arange(count), 2)
    for share, expected in ((0.05, 0.95 * 0.99), (0.3, 0.0)):
        pt = np.tile([50, 50 * share], count)
        visible = particles(event, pt, np.tile([0.1, 0.3], count), np.tile([0.1, 0.3], count), [13, 211] * count)
        found = len(atlas_card.isolated_leptons(visible, rng)) / count
        assert found == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("package", ["pythia8mc", "fastjet"])
def test_a_missing_generator_is_told(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=rf'needs {package}.* pip install "hepbench\[simulation\]"'):
        hepmass.generate(0, 0, 0)


def test_charges_of_stable_particles():
    codes = np.array([11, -11, 13, 211, -211, 321, 2212, -2212, 3112, 3222, 3312, 3334, 22, 130, 2112, 310, 3122])
    expected = [-1, 1, -1, 1, -1, 1, 1, -1, -1, 1, -1, -1, 0, 0, 0, 0, 0]
    np.testing.assert_array_equal(atlas_card.charges(codes), expected)


@given(angle=st.floats(-20, 20))
def test_an_angle_turned_is_the_same_direction_within_pi(angle):
    turned = atlas_card.turn(np.array([angle]))[0]
    assert -np.pi <= turned <= np.pi
    assert np.cos(turned) == pytest.approx(np.cos(angle), abs=1e-9)
    assert np.sin(turned) == pytest.approx(np.sin(angle), abs=1e-9)


def test_normalisation_can_be_undone():
    raw = np.random.default_rng(0).normal(size=(10, 27)) * 100
    np.testing.assert_allclose(simulation.denormalise(simulation.normalise(raw)), raw, atol=1e-9)


EVENTS = 150  # of a class; many more tell the differences to the official events that docs/measurements.md has


@pytest.fixture(scope="module")
def simulated():
    chunks = {label: hepmass.generate(label, 0, 7) for label in (0, 1)}
    return {label: {name: array[:EVENTS] for name, array in arrays.items()} for label, arrays in chunks.items()}


def test_events_pass_the_selection(simulated):
    for arrays in simulated.values():
        raw = simulation.denormalise(arrays["features"])
        value = dict(zip(TASK.variables, raw.T, strict=True))
        assert 15 - 1e-3 < value["lepton_pt"].min() < 20
        assert np.abs(value["lepton_eta"]).max() <= 2.5 + 1e-4
        assert value["jet4_pt"].min() > 20 - 1e-3
        np.testing.assert_allclose(value["jets"], np.round(value["jets"]), atol=1e-4)
        assert value["jets"].min() > 4 - 1e-4
        tags = np.stack([value[f"jet{jet}_b_tag"] for jet in (1, 2, 3, 4)])
        np.testing.assert_allclose(tags, np.round(tags), atol=1e-4)
        assert (tags.sum(axis=0) < 2.01).all() and (tags.sum(axis=0) > 1.99).mean() > 0.75
        assert max(np.abs(value[f"jet{jet}_eta"]).max() for jet in (1, 2, 3, 4)) <= 3 + 1e-4
        for jet in (1, 2, 3):
            assert (value[f"jet{jet}_pt"] > value[f"jet{jet + 1}_pt"] - 1e-2).all()
        assert (value["m_jjj"] > value["m_jj"] - 0.01).all()


def test_any_five_signal_events_in_a_row_have_every_mass(simulated):
    mass = simulated[1]["mass"][:, 0]
    np.testing.assert_array_equal(np.sort(mass[:100].reshape(-1, 5), axis=1), [[500, 750, 1000, 1250, 1500]] * 20)


def test_the_mass_of_all_objects_follows_the_particle(simulated):
    m_wwbb = simulation.denormalise(simulated[1]["features"])[:, 26]
    first = [np.quantile(m_wwbb[simulated[1]["mass"][:, 0] == mass], 0.25) for mass in simulation.MASSES]
    assert (np.diff(first) > 0).all()
    np.testing.assert_allclose(first, simulation.MASSES, rtol=0.25)


def test_the_file_written_is_the_official_text(simulated, tmp_path):
    chunks = [(label, {key: array[:3] for key, array in simulated[label].items()}) for label in (0, 1)]
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        (path,) = hepmass_format.write(folder, [3, 3], iter(chunks))
    assert path.read_bytes() == (tmp_path / "one" / path.name).read_bytes()
    lines = list(csv.reader(gzip.decompress(path.read_bytes()).decode().splitlines()))
    assert lines[0] == HEADER
    assert [float(line[0]) for line in lines[1:]] == [0, 0, 0, 1, 1, 1]
    assert lines[1][0] == "0.000000000000000000e+00"
    arrays, labels, _ = read(path)
    np.testing.assert_array_equal(arrays["features"][:3], simulated[0]["features"][:3])
    np.testing.assert_array_equal(arrays["mass"][3:], simulated[1]["mass"][:3])
    np.testing.assert_array_equal(labels, [0, 0, 0, 1, 1, 1])


# --- validation ------------------------------------------------------------------------------------------------------


def test_simulated_events_pass_their_checks(simulated):
    arrays = {key: np.concatenate([simulated[label][key] for label in (0, 1)]) for key in ("features", "mass")}
    labels = np.repeat([0, 1], EVENTS)
    results = {check.figure: check for check in TASK.validate(arrays, labels)}
    for check in results.values():
        if hasattr(check, "pull"):
            assert abs(check.pull) < 4, check
        else:
            assert check.p_value > 1e-4, check
    assert "m_jj in GeV, background, most frequent" in results and "m_jjj in GeV, quantile of 50 %" in results
    # Of unknown normalisation there are no figures in GeV, and the others do not move.
    other = {**arrays, "features": arrays["features"] * 1.1 + 0.3}
    moved = {check.figure: check for check in TASK.validate(other, labels)}
    assert set(moved) == {figure for figure in results if "GeV" not in figure}
    for figure, check in moved.items():
        if hasattr(check, "pull"):
            assert check.observed == pytest.approx(results[figure].observed, abs=1e-4)


@given(seed=st.integers(0, 1000))
@settings(max_examples=20)
def test_mode_of_a_peak_on_a_tail(seed):
    rng = np.random.default_rng(seed)
    values = np.concatenate([rng.normal(80, 5, 2000), rng.exponential(100, 1000) + 60])
    assert hepmass_validation.mode(values) == pytest.approx(80, abs=8)


def test_no_checks_without_both_classes(simulated):
    assert TASK.validate(simulated[0], np.zeros(EVENTS, np.int64)) == []
