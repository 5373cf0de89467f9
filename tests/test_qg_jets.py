"""Quark and gluon jets: the reader on files written by hand, views against loops, the recipe, the genuine jets."""

from __future__ import annotations

import math
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import UserError
from hepbench.benchmarks.features import jets
from hepbench.benchmarks.formats import qg_jets as qg_jets_format
from hepbench.benchmarks.tasks import qg_jets as task
from hepbench.benchmarks.validation import qg_jets as qg_jets_validation
from hepbench.benchmarks.validation import qg_jets_reference

GENUINE = ROOT.parent / "shared" / "data" / "qg_jets_leading10"


def by_hand(count: int = 6, width: int = 7, seed: int = 0, fewest: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """X and y in the official layout: jets of 525 GeV with `fewest` to `width` particles, not sorted."""
    rng = np.random.default_rng(seed)
    x = np.zeros((count, width, 4))
    for jet in x:
        number = rng.integers(fewest, width + 1)
        centre = rng.uniform(-1.7, 1.7), rng.uniform(0, 2 * np.pi)
        jet[:number, 0] = 525 * rng.dirichlet(np.full(number, 0.7)) + 1e-3
        jet[:number, 1:3] = centre + rng.normal(0, 0.1, (number, 2))
        jet[:number, 3] = rng.choice(jets.CODES, number)
    return x, np.arange(count) % 2.0


def write(path: Path, x: np.ndarray, y: np.ndarray) -> Path:
    np.savez_compressed(path, X=x, y=y)
    return path


def sorted_by_hand(jet: np.ndarray, width: int) -> np.ndarray:
    particles = sorted((p for p in jet if p[0] > 0), key=lambda p: -p[0])[:width]
    padded = np.zeros((width, 4), np.float32)
    if particles:
        padded[: len(particles)] = particles
    return padded


# --- reader ----------------------------------------------------------------------------------------------------------


def test_a_file_in_the_official_layout_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(qg_jets_format, "CHUNK", 4)
    x, y = by_hand(10, 9)
    chunks = list(qg_jets_format.read([write(tmp_path / "QG_jets.npz", x, y)]))
    assert [len(s.labels) for s in chunks] == [4, 4, 2]
    read = np.concatenate([s.arrays["jets"] for s in chunks])
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, [sorted_by_hand(jet, qg_jets_format.PARTICLES) for jet in x])
    np.testing.assert_array_equal(np.concatenate([s.labels for s in chunks]), y)
    np.testing.assert_array_equal(np.concatenate([s.ids for s in chunks]), np.arange(10))


def test_ids_follow_the_number_in_the_name_whatever_else_is_read(tmp_path):
    first = write(tmp_path / "QG_jets.npz", *by_hand(3, 5))
    seventh = write(tmp_path / "QG_jets_7.npz", *by_hand(3, 8, seed=1))
    alone = next(qg_jets_format.read([seventh]))
    _, together = qg_jets_format.read([first, seventh])
    np.testing.assert_array_equal(alone.ids, 7 * qg_jets_format.IDS_OF_FILE + np.arange(3))
    np.testing.assert_array_equal(alone.ids, together.ids)
    np.testing.assert_array_equal(alone.arrays["jets"], together.arrays["jets"])
    (tmp_path / "copy").mkdir()
    again = write(tmp_path / "copy" / "QG_jets_7.npz", *by_hand())
    with pytest.raises(UserError, match="has the same number, 7"):
        list(qg_jets_format.read([seventh, again]))


def test_of_a_jet_with_too_many_particles_the_softest_go(tmp_path):
    x, y = by_hand(2, 200, fewest=200)
    (events,) = qg_jets_format.read([write(tmp_path / "QG_jets.npz", x, y)])
    np.testing.assert_array_equal(events.arrays["jets"][0], sorted_by_hand(x[0], qg_jets_format.PARTICLES))


@settings(max_examples=25, deadline=None)
@given(count=st.integers(1, 9), width=st.integers(1, 12), seed=st.integers(0, 1000), stored=st.booleans())
def test_any_jets_come_back(tmp_path_factory, count, width, seed, stored):
    x, y = by_hand(count, width, seed)
    path = tmp_path_factory.mktemp("any") / "QG_jets_3.npz"
    (np.savez if stored else np.savez_compressed)(path, X=x, y=y)
    (events,) = qg_jets_format.read([path])
    np.testing.assert_array_equal(events.arrays["jets"], [sorted_by_hand(jet, qg_jets_format.PARTICLES) for jet in x])
    np.testing.assert_array_equal(events.labels, y)


class Trap:
    """Unpickled, it leaves a file behind."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def spoil(kind: str, path: Path) -> None:
    """Write a file with one fault."""
    x, y = by_hand()
    match kind:
        case "absent":
            return
        case "text":
            path.write_text("<html>too many requests</html>")
            return
        case "nothing":
            path.write_bytes(b"")
            return
        case "truncated":
            write(path, x, y)
            path.write_bytes(path.read_bytes()[:-200])
            return
        case "flipped":
            write(path, x, y)
            data = bytearray(path.read_bytes())
            data[300] ^= 0xFF
            path.write_bytes(data)
            return
        case "no key":
            np.savez(path, y=y)
            return
        case "not npy" | "short member":
            with zipfile.ZipFile(path, "w") as archive, archive.open("X.npy", "w") as member:
                if kind == "not npy":
                    member.write(b"particles")
                else:
                    np.lib.format.write_array(member, x)
                    member.write(b"more")
            with zipfile.ZipFile(path, "a") as archive, archive.open("y.npy", "w") as member:
                np.lib.format.write_array(member, y)
            return
        case "pickle":
            particles = np.array([Trap(path.with_name("trapped"))] * 6, object)
            np.savez(path, X=particles, y=y)
            return
        case "columns":
            x = x[..., :3]
        case "flat":
            x = x.reshape(len(x), -1)
        case "too wide":
            x = np.zeros((2, 1001, 4))
            y = y[:2]
        case "integers":
            x = x.astype(np.int64)
        case "strings":
            y = y.astype(str)
        case "nan":
            x[3, 0, 1] = np.nan
        case "infinity":
            x[3, 0, 0] = np.inf
        case "labels":
            y[3] = 2
        case "label nan":
            y[3] = np.nan
        case "lengths":
            y = y[:-1]
        case "empty":
            x, y = x[:0], y[:0]
        case "negative":
            x[3, 0, 0] = -1
        case "code":
            x[3, 0, 3] = 310
        case "half a code":
            x[3, 0, 3] = 211.5
        case "code alone":
            x[3, 0, 0] = 0
        case "pt alone":
            x[3, 0, 3] = 0
        case "rapidity":
            x[3, 0, 1] = 1e4
        case "no particles":
            x[3] = 0
    write(path, x, y)


BAD = {
    "absent": "no such file",
    "text": "not a complete npz file",
    "nothing": "not a complete npz file",
    "truncated": "not a complete npz file",
    "flipped": "Bad CRC-32",
    "no key": "no array 'X'; it has y.npy",
    "not npy": "X is not an array in npy format",
    "short member": r"X of shape \(6, 7, 4\) has 1476 bytes; expected 1472",
    "pickle": "X holds Python objects, which are never loaded",
    "columns": r"X has shape \(6, 7, 3\); expected \(n, M, 4\) with M from 1 to 1000",
    "flat": r"X has shape \(6, 28\); expected",
    "too wide": r"X has shape \(2, 1001, 4\); expected",
    "integers": "X has dtype int64; expected float64",
    "strings": "y has shape",
    "nan": "event 3: NaN or infinity in X",
    "infinity": "event 3: NaN or infinity in X",
    "labels": r"event 3: label outside \{0, 1\}",
    "label nan": r"event 3: label outside \{0, 1\}",
    "lengths": "X has 6 events and y 5",
    "empty": "no events in it",
    "negative": "event 3: negative pT",
    "code": "event 3: PDG code in X that is none of 0, -2212",
    "half a code": "event 3: PDG code in X",
    "code alone": "event 3: a particle in X with only a pT or only a PDG code",
    "pt alone": "event 3: a particle in X with only a pT or only a PDG code",
    "rapidity": "event 3: rapidity beyond 20",
    "no particles": "event 3: a jet without particles",
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_refused(kind, tmp_path):
    path = tmp_path / "QG_jets.npz"
    spoil(kind, path)
    with pytest.raises(UserError, match=BAD[kind]) as caught:
        list(qg_jets_format.read([path]))
    assert str(path) in str(caught.value)
    assert not (tmp_path / "trapped").exists()


def test_the_pickle_is_a_trap(tmp_path):
    """What the reader refuses would have run: the file above is no harmless one."""
    pickle.loads(pickle.dumps(Trap(tmp_path / "trapped")))
    assert (tmp_path / "trapped").exists()


# --- official files --------------------------------------------------------------------------------------------------


def test_sources_are_the_twenty_files():
    sources = registry.find("task", "qg_jets").record.sources
    assert [s.name for s in sources] == ["QG_jets.npz"] + [f"QG_jets_{n}.npz" for n in range(1, 20)]
    assert all(s.url == f"https://zenodo.org/record/3164691/files/{s.name}?download=1" for s in sources)
    assert len({s.sha256 for s in sources}) == 20
    assert all(len(s.sha256) == 64 and int(s.sha256, 16) for s in sources)


def test_the_fields_split_of_all_twenty_files():
    ids = np.concatenate([n * qg_jets_format.IDS_OF_FILE + np.arange(100_000) for n in range(20)])
    shuffled = np.random.default_rng(0).permutation(len(ids))
    part = task.split(np.zeros(len(ids)), ids[shuffled])
    part = part[np.argsort(shuffled)]
    assert (part[:1_600_000] == 0).all() and (part[1_600_000:1_800_000] == 1).all() and (part[1_800_000:] == 2).all()


def test_the_split_of_the_first_file():
    part = task.split(np.zeros(100_000), np.arange(100_000))
    assert (part[:70_000] == 0).all() and (part[70_000:85_000] == 1).all() and (part[85_000:] == 2).all()


def test_written_files_are_read_back(tmp_path, monkeypatch):
    """Jets of both classes in turn, in files of a fixed size, whose padding is the file's own."""
    monkeypatch.setattr(qg_jets_format, "FILE_EVENTS", 8)
    chunks = [(label, {"X": by_hand(5, width, seed)[0]}) for seed, (label, width) in enumerate([(0, 9), (1, 4)] * 2)]
    chunks[-1] = (1, {"X": chunks[-1][1]["X"][:3]})
    paths = qg_jets_format.write(tmp_path, [10, 8], iter(chunks))
    assert [path.name for path in paths] == [f"QG_jets_simulated_{n}.npz" for n in range(3)]
    with np.load(paths[0], allow_pickle=False) as file:
        assert file["X"].dtype == file["y"].dtype == np.float64
        assert file["X"].shape == (8, max((jet[:, 0] > 0).sum() for jet in file["X"]), 4)
        assert file["y"].tolist() == [0, 1] * 4
    events = list(qg_jets_format.read(paths))
    labels = np.concatenate([e.labels for e in events])
    assert labels.tolist() == [0, 1] * 8 + [0, 0]
    for kind in (0, 1):
        read = np.concatenate([e.arrays["jets"] for e in events])[labels == kind]
        made = np.concatenate([[sorted_by_hand(j, 150) for j in a["X"]] for label, a in chunks if label == kind])
        np.testing.assert_array_equal(read, made)


# --- views -----------------------------------------------------------------------------------------------------------


def some_jets(count: int = 5, width: int = 12, seed: int = 0) -> np.ndarray:
    return np.array([sorted_by_hand(jet, width + 3) for jet in by_hand(count, width, seed, fewest=3)[0]])


def momentum(particle) -> np.ndarray:
    pt, y, phi, code = map(float, particle)
    mt = math.hypot(pt, jets.PARTICLES[abs(int(code))][0])
    return np.array([pt * math.cos(phi), pt * math.sin(phi), mt * math.sinh(y), mt * math.cosh(y)])


def axis(jet) -> tuple[float, float, float, float, float]:
    px, py, pz, e = sum(momentum(p) for p in jet if p[0] > 0)
    mass = math.sqrt(max(0, e * e - px * px - py * py - pz * pz))
    return math.hypot(px, py), 0.5 * math.log((e + pz) / (e - pz)), math.atan2(py, px), e, mass


def test_masses_and_charges():
    codes = np.array([[0, 22, -211, 211], [2212, -2212, 11, -11], [130, 2112, -2112, 13]])
    mass, charge = jets.masses_and_charges(codes)
    np.testing.assert_array_equal(charge, [[0, 0, -1, 1], [1, -1, -1, 1], [0, 0, 0, -1]])
    np.testing.assert_allclose(mass[:, 3], [0.1395704, 0.000510999, 0.1056584])


def test_cloud_against_a_loop():
    x = some_jets()
    cloud = jets.cloud(x, points=10)
    assert cloud["features"].shape == (5, 10, 13)
    for i, jet in enumerate(x):
        pt, y, phi, energy, _ = axis(jet)
        for j, particle in enumerate(jet[:10]):
            assert cloud["mask"][i, j] == (particle[0] > 0)
            if not particle[0]:
                assert not cloud["features"][i, j].any() and not cloud["points"][i, j].any()
                continue
            dy, dphi = particle[1] - y, math.remainder(particle[2] - phi, 2 * math.pi)
            e = momentum(particle)[3]
            code = int(particle[3])
            hadron, charge = abs(code) > 100, jets.PARTICLES[abs(code)][1] * (1 if code > 0 else -1)
            expected = [dy, dphi, math.log(particle[0]), math.log(e), math.log(particle[0] / pt), math.log(e / energy)]
            expected += [math.hypot(dy, dphi), charge, abs(code) == 11, abs(code) == 13]
            expected += [hadron and charge != 0, hadron and charge == 0, code == 22]
            np.testing.assert_allclose(cloud["features"][i, j], expected, rtol=1e-5, atol=1e-5)
            np.testing.assert_allclose(cloud["points"][i, j], [dy, dphi], atol=1e-6)


def test_cloud_is_padded_to_its_width_and_knows_nothing_of_kinds_without_identity():
    x = some_jets(3, 4)
    cloud = jets.cloud(x, points=30, identity=False)
    assert {name: array.shape for name, array in cloud.items()} == {
        "points": (3, 30, 2),
        "features": (3, 30, 7),
        "log_pt": (3, 30),
        "mask": (3, 30),
    }
    assert not cloud["mask"][:, 4:].any()
    np.testing.assert_array_equal(cloud["features"][:, :7], jets.cloud(x, points=7)["features"][..., :7])


def test_variables_against_a_loop():
    x = some_jets(6, 9)
    table = jets.variables(x)
    for row, jet in zip(table, x, strict=True):
        values = dict(zip(task.TASK.variables, row.tolist(), strict=True))
        particles = [p.astype(float) for p in jet if p[0] > 0]
        pt, y, phi, _, mass = axis(jet)
        whole = sum(p[0] for p in particles)
        z = [p[0] / whole for p in particles]

        def apart(a, b):
            return math.hypot(a[0] - b[0], math.remainder(a[1] - b[1], 2 * math.pi)) / 0.4

        r = [apart(p[1:3], (y, phi)) for p in particles]
        n = range(len(z))
        q = [jets.PARTICLES[abs(int(p[3]))][1] * (1 if p[3] > 0 else -1) for p in particles]
        d = [[apart(particles[i][1:3], particles[j][1:3]) for j in n] for i in n]
        two = sum(z[i] * z[j] * d[i][j] for i in n for j in range(i))
        low = sum(z[i] * z[j] * d[i][j] ** 0.2 for i in n for j in range(i))
        three = sum(z[i] * z[j] * z[k] * d[i][j] * d[i][k] * d[j][k] for i in n for j in range(i) for k in range(j))
        weight = np.array(z) ** 2
        place = np.array([[p[1] - y, math.remainder(p[2] - phi, 2 * math.pi)] for p in particles])
        minor, major = np.sqrt(np.linalg.eigvalsh(np.cov(place.T, aweights=weight, ddof=0)).clip(0))
        tracks = sum(z[i] for i in n if q[i])
        expected = {
            "jet_pt": pt,
            "jet_rapidity": y,
            "multiplicity": len(z),
            "mass": mass,
            "mass_over_pt": mass / pt,
            "lha": sum(z[i] * r[i] ** 0.5 for i in n),
            "girth": sum(z[i] * r[i] for i in n),
            "thrust": sum(z[i] * r[i] ** 2 for i in n),
            "pt_dispersion": math.sqrt(sum(f * f for f in z)),
            "axis_major": major,
            "axis_minor": minor,
            "entropy": -sum(f * math.log(f) for f in z),
            "leading_fraction": z[0],
            "second_fraction": z[1],
            "third_fraction": z[2],
            "fraction_of_ten": sum(z[:10]),
            "n_half": next(k + 1 for k in n if sum(z[: k + 1]) >= 0.5),
            "n_90_percent": next(k + 1 for k in n if sum(z[: k + 1]) >= 0.9),
            "leading_distance": r[0],
            "c1_02": low,
            "c1_1": two,
            "c2_1": three / two**2,
            "d2_1": three / two**3,
            "core_fraction": sum(z[i] for i in n if r[i] < 0.25),
            "charged_multiplicity": sum(c != 0 for c in q),
            "charged_fraction": tracks,
            "photon_multiplicity": sum(p[3] == 22 for p in particles),
            "photon_fraction": sum(z[i] for i in n if particles[i][3] == 22),
            "neutral_hadron_fraction": sum(z[i] for i in n if particles[i][3] != 22 and q[i] == 0),
            "leptons": sum(abs(p[3]) < 20 for p in particles),
            "jet_charge": sum(q[i] * math.sqrt(z[i]) for i in n),
            "absolute_jet_charge": abs(sum(q[i] * math.sqrt(z[i]) for i in n)),
            "charged_girth": sum(z[i] * r[i] for i in n if q[i]) / tracks if tracks else 0,
            "charged_pt_dispersion": math.sqrt(sum(z[i] ** 2 for i in n if q[i])) / tracks if tracks else 0,
        }
        assert values.keys() == expected.keys()
        for name, value in values.items():
            assert value == pytest.approx(expected[name], rel=2e-4, abs=2e-5), name


def test_one_particle_is_a_jet():
    x = np.zeros((1, 5, 4), np.float32)
    x[0, 0] = 520, 0.3, 6.5, 22
    table = dict(zip(task.TASK.variables, jets.variables(x)[0], strict=True))
    assert all(np.isfinite(value) for value in table.values())
    assert table["multiplicity"] == table["pt_dispersion"] == 1
    assert table["girth"] == pytest.approx(0, abs=1e-5)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), turn=st.floats(-6, 6), boost=st.floats(-1, 1))
def test_views_do_not_depend_on_where_the_jet_points(seed, turn, boost):
    """Turned in phi and boosted along the beam, a jet has the same cloud, and the same variables but its rapidity."""
    x = some_jets(3, 8, seed).astype(np.float64)
    moved = x.copy()
    there = x[..., 0] > 0
    moved[..., 1][there] += boost
    moved[..., 2][there] += turn
    one, other = jets.cloud(x), jets.cloud(moved)
    invariant = [0, 1, 2, 4, 6, 7, 8, 9, 10, 11, 12]
    np.testing.assert_allclose(one["features"][..., invariant], other["features"][..., invariant], atol=1e-5)
    keep = [i for i, name in enumerate(task.TASK.variables) if name != "jet_rapidity"]
    np.testing.assert_allclose(jets.variables(x)[:, keep], jets.variables(moved)[:, keep], rtol=1e-3, atol=1e-4)


def test_image_against_a_loop():
    x = some_jets(8, 12, 3)
    image = jets.image(x)
    dense = image[np.arange(8)]
    expected = np.zeros((8, 33, 33, 3))
    for i, jet in enumerate(x):
        _, y, phi, _, _ = axis(jet)
        whole = sum(p[0] for p in jet)
        for p in jet:
            if not p[0]:
                continue
            row = math.floor((p[1] - y + 0.4) / 0.8 * 33)
            column = math.floor((math.remainder(p[2] - phi, 2 * math.pi) + 0.4) / 0.8 * 33)
            if 0 <= row < 33 and 0 <= column < 33:
                charged = jets.PARTICLES[abs(int(p[3]))][1] != 0
                expected[i, row, column, 0 if charged else 1] += p[0] / whole
                expected[i, row, column, 2] += charged
    np.testing.assert_allclose(dense, expected, atol=1e-6)
    assert image.shape == (8, 33, 33, 3)
    assert not jets.image(x[:0])[np.arange(0)].size


# --- simulation ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def simulated() -> dict[str, np.ndarray]:
    simulation = pytest.importorskip("hepbench.benchmarks.simulation.qg_jets")
    pytest.importorskip("pythia8mc")
    return {kind: simulation.generate(kind, 20, 3, 5) for kind in qg_jets_format.CLASSES}


def test_simulated_jets_are_in_the_window_and_in_the_format(simulated):
    for x in simulated.values():
        assert x.dtype == np.float64
        assert set(np.unique(x[..., 3])) <= set(qg_jets_format.CODES)
        pt, rapidity, phi, _ = jets.axes(jets.four_momenta(x))
        # masses of the review instead of Pythia's, hence the tolerance
        assert ((pt > 499.999) & (pt < 550.001) & (np.abs(rapidity) < 1.7001)).all()
        there = x[..., 0] > 0
        step = (x[..., 2] - (phi % (2 * np.pi))[:, None])[there]
        assert np.abs(step).max() < 0.8
        assert (there.argmin(axis=1)[~there.all(axis=1)] == there.sum(axis=1)[~there.all(axis=1)]).all()


def test_gluon_jets_have_more_and_softer_particles(simulated):
    """The ratio of colour charges, C_A/C_F = 9/4, shows as more particles: 53 and 33 on average."""
    number = {kind: (x[..., 0] > 0).sum(axis=1).mean() for kind, x in simulated.items()}
    assert 1.2 < number["gluon"] / number["quark"] < 9 / 4


def test_a_chunk_does_not_depend_on_what_was_made_before(simulated):
    from hepbench.benchmarks.simulation import qg_jets as simulation

    other = simulation.generate("quark", 5, 3, 6)
    again = simulation.generate("quark", 20, 3, 5)
    np.testing.assert_array_equal(again, simulated["quark"])
    assert other.shape != again[:5].shape or not np.array_equal(other, again[:5])


def test_masses_and_charges_are_those_of_the_particle_data_group():
    from particle import Particle

    for code, (mass, charge) in jets.PARTICLES.items():
        known = Particle.from_pdgid(code)
        assert (known.mass or 0) / 1000 == pytest.approx(mass, rel=1e-6) and known.charge == charge


def test_a_missing_generator_is_told(monkeypatch):
    import sys

    from hepbench.benchmarks.simulation import qg_jets as simulation

    monkeypatch.setitem(sys.modules, "pythia8mc", None)
    simulation._generator.cache_clear()
    try:
        with pytest.raises(UserError, match=r'needs pythia8mc.* pip install "hepbench\[simulation\]".*3\.11 and 3\.12'):
            simulation.generate("quark", 1, 0, 0)
    finally:
        simulation._generator.cache_clear()


# --- calibration -----------------------------------------------------------------------------------------------------


def genuine_jets() -> tuple[np.ndarray, np.ndarray]:
    if not GENUINE.is_dir():
        pytest.skip(f"the genuine jets are not at hand: no folder {GENUINE}")
    x, y = (np.load(GENUINE / f"{name}10_sorted_12500.npy", allow_pickle=False) for name in "xy")
    return x, y.astype(int)


@pytest.mark.parametrize("label, kind", list(enumerate(qg_jets_format.CLASSES)))
def test_the_histograms_are_those_of_the_genuine_jets(label, kind):
    x, y = genuine_jets()
    assert qg_jets_reference.JETS[kind] == (y == label).sum()
    assert qg_jets_reference.summary(x[y == label]) == qg_jets_reference.COUNTS[kind]


def test_genuine_jets_agree_with_themselves_and_not_with_the_other_class():
    x, y = genuine_jets()
    padded = np.zeros((len(x), 15, 4), np.float32)
    padded[:, :10] = x
    same = [c for c in qg_jets_validation.validate({"jets": padded}, y) if hasattr(c, "chi2")]
    assert len(same) == 2 * (len(qg_jets_reference.EDGES) + 1)
    # float32 moves a value or two over the edge of a bin
    assert all(c.chi2 < 0.1 for c in same)
    swapped = {c.figure: c for c in qg_jets_validation.validate({"jets": padded}, 1 - y) if hasattr(c, "chi2")}
    assert swapped["pT of the hardest, quark"].p_value < 1e-100
    assert swapped["|rapidity| of the ten, quark"].p_value > 1e-9


def test_histograms_hold_every_jet():
    for kind, counts in qg_jets_reference.COUNTS.items():
        for name, edges in qg_jets_reference.EDGES.items():
            assert len(counts[name]) == len(edges) - 1
            assert sum(counts[name]) == qg_jets_reference.JETS[kind]
        assert sum(counts["kinds of the ten"]) == 10 * qg_jets_reference.JETS[kind]


def test_auc_against_a_loop():
    rng = np.random.default_rng(0)
    below, above = rng.integers(0, 9, 30), rng.integers(3, 12, 20)
    pairs = [(a > b) + 0.5 * (a == b) for a in above for b in below]
    assert qg_jets_validation._auc(below, above)[0] == pytest.approx(np.mean(pairs))
