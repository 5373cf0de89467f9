"""The top-tagging reference: the reader on tables by hand, the split, variables, and the simulation's parts."""

from __future__ import annotations

import pickle
import subprocess
import sys

import h5py
import hdf5plugin
import numpy as np
import pytest
from conftest import assert_user_mistake, hepbench

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import UserError
from hepbench.benchmarks.features import boosted_jets
from hepbench.benchmarks.formats import top_tagging as layout
from hepbench.benchmarks.simulation import atlas_card
from hepbench.benchmarks.simulation import boosted_jets as simulation

TASK = registry.find("task", "top_tagging").record


def jets_by_hand(count: int, seed: int = 0) -> np.ndarray:
    """(count, 200, 4) float32 E, px, py, pz of massless particles, 5 to 60 of a jet, by falling pT."""
    rng = np.random.default_rng(seed)
    pt = -np.sort(-rng.exponential(20, (count, 200)) - 0.5, axis=1)
    pt *= np.arange(200) < rng.integers(5, 60, (count, 1))
    eta, phi = 0.3 + rng.normal(0, 0.3, (2, count, 200))
    momenta = [pt * np.cosh(eta), pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)]
    return np.stack(momenta, axis=-1).astype(np.float32)


def write(path, particles, labels=None, blocks=None, compression=None, kind=None):
    """A table as pandas writes it. blocks: which columns stand in which, in place of floats and whole numbers."""
    floats = dict(zip(layout.PARTICLE_COLUMNS, particles.reshape(len(particles), 800).T, strict=True))
    floats |= dict.fromkeys(layout.TRUTH, np.zeros(len(particles)))
    whole = {"ttv": np.zeros(len(particles)), "is_signal_new": labels}
    columns = floats | ({} if labels is None else whole)
    blocks = blocks or {"f4": list(floats), **({} if labels is None else {"i8": list(whole)})}
    names = [f"values_block_{number}" for number in range(len(blocks))]
    parts = [(name, of, (len(those),)) for name, (of, those) in zip(names, blocks.items(), strict=True)]
    row = np.dtype([("index", "<i8"), *parts])
    rows = np.zeros(len(particles), row)
    for name, those in zip(names, blocks.values(), strict=True):
        rows[name] = np.stack([columns[one] for one in those], axis=1)
    with h5py.File(path, "w") as file:
        table = file.create_dataset(
            "table/table", data=rows, compression=compression, chunks=(3,) if len(rows) else None
        )
        for name, those in zip(names, blocks.values(), strict=True):
            table.attrs[f"{name}_kind"] = np.bytes_(kind or pickle.dumps(those, protocol=0))
    return path


def read(*paths):
    chunks = list(TASK.read(paths))
    return *(np.concatenate([one.arrays["particles"] for one in chunks]),), *(
        np.concatenate([getattr(one, name) for one in chunks]) for name in ("labels", "ids")
    )


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_reader_gives_momenta_labels_and_the_row(tmp_path, monkeypatch, compression):
    monkeypatch.setattr(layout, "CHUNK", 4)
    jets, labels = jets_by_hand(10), np.arange(10) % 2
    particles, found, ids = read(write(tmp_path / "val.h5", jets, labels, compression=compression))
    np.testing.assert_array_equal(particles, jets[..., [1, 2, 3, 0]])
    np.testing.assert_array_equal(found, labels)
    np.testing.assert_array_equal(ids, 10**9 + np.arange(10))


def test_a_table_that_blosc_compresses_is_read_as_it_is(tmp_path):
    """As PyTables writes it, in a process that has not imported the filters."""
    jets, labels = jets_by_hand(10), np.arange(10) % 2
    path = write(tmp_path / "val.h5", jets, labels, compression=hdf5plugin.Blosc("blosclz", 9))
    program = (
        "import sys, numpy as np; from pathlib import Path; from hepbench.benchmarks import registry; "
        "assert 'hdf5plugin' not in sys.modules; "
        "(events,) = registry.find('task', 'top_tagging').record.read([Path(sys.argv[1])]); "
        "np.save(sys.argv[2], events.arrays['particles'])"
    )
    out = tmp_path / "particles.npy"
    done = subprocess.run([sys.executable, "-c", program, path, out], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(np.load(out), jets[..., [1, 2, 3, 0]])


def test_columns_are_found_by_their_names_in_any_blocks(tmp_path):
    jets, labels = jets_by_hand(6), np.arange(6) % 2
    half = list(layout.PARTICLE_COLUMNS[::-1])
    blocks = {"f8": [*half[300:], "is_signal_new"], "f4": half[:300]}
    particles, found, _ = read(write(tmp_path / "train.h5", jets, labels, blocks=blocks))
    np.testing.assert_array_equal(particles, jets[..., [1, 2, 3, 0]])
    np.testing.assert_array_equal(found, labels)


@pytest.mark.parametrize("twice", ["E_0", "is_signal_new"])
def test_a_column_that_stands_twice_is_refused(tmp_path, twice):
    blocks = {"f4": list(layout.PARTICLE_COLUMNS), "i8": ["is_signal_new"], "f8": [twice]}
    with pytest.raises(UserError, match=f"several columns are called {twice}"):
        read(write(tmp_path / "train.h5", jets_by_hand(4), np.arange(4) % 2, blocks=blocks))


def test_python_2_pickles_are_read_and_nothing_in_a_pickle_runs(tmp_path):
    jets, labels = jets_by_hand(3), np.arange(3) % 2
    path = write(tmp_path / "train.h5", jets, labels)
    old = "(lp0\n" + "".join(
        f"S'{name}'\np{n + 1}\na" for n, name in enumerate((*layout.PARTICLE_COLUMNS, *layout.TRUTH))
    )
    with h5py.File(path, "a") as file:
        file["table/table"].attrs["values_block_0_kind"] = np.bytes_((old + ".").encode())
    np.testing.assert_array_equal(read(path)[0], jets[..., [1, 2, 3, 0]])
    trap = f"cbuiltins\nopen\n(S'{tmp_path / 'trapped'}'\nS'w'\ntR."
    with h5py.File(path, "a") as file:
        file["table/table"].attrs["values_block_0_kind"] = np.bytes_(trap.encode())
    with pytest.raises(UserError, match="not a list of strings: the pickle has the instruction GLOBAL"):
        read(path)
    assert not (tmp_path / "trapped").exists()


def spoilt(kind: str, path):
    jets, labels = jets_by_hand(8), np.arange(8) % 2
    options = {}
    match kind:
        case "nan":
            jets[5, 0, 0] = np.nan
        case "negative":
            jets[5, 0, 0] = -3
        case "empty jet":
            jets[5] = 0
        case "no pT":
            jets[5, 0, 1:3] = 0
        case "slow":
            jets[5, 0, 0] /= 2
        case "label":
            labels[5] = 2
        case "none":
            jets, labels = jets[:0], labels[:0]
        case "columns":
            options["blocks"] = {"f4": list(layout.PARTICLE_COLUMNS[4:]), "i8": ["ttv", "is_signal_new"]}
        case "names":
            options["kind"] = b"I3\n."
        case "text":
            path.write_text("<html>gone</html>")
            return
        case "key":
            with h5py.File(path, "w") as file:
                file["jets"] = jets
            return
    write(path, jets, labels, **options)
    if kind == "cut":
        path.write_bytes(path.read_bytes()[:-2000])


BAD = {
    "nan": "event 5: NaN or infinity among the particles",
    "negative": "event 5: negative energy",
    "empty jet": "event 5: a jet without particles",
    "no pT": "event 5: a particle with an energy but no pT",
    "slow": "event 5: a particle with more momentum than energy",
    "label": r"event 5: label outside \{0, 1\} in is_signal_new",
    "none": "no events in it",
    "columns": "no column 'E_0'; expected E_0, PX_0, PY_0, PZ_0 to PZ_199",
    "names": "the names of values_block_0's columns are not a list of strings",
    "text": "not a complete HDF5 file",
    "key": "no pandas table under the key 'table'; it has jets",
    "cut": "not a complete HDF5 file",
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_refused(tmp_path, kind):
    path = tmp_path / "train.h5"
    spoilt(kind, path)
    with pytest.raises(UserError, match=BAD[kind]) as caught:
        read(path)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_the_published_one_is_one_line(home):
    folder = home / "data" / "top_tagging" / "official"
    folder.mkdir(parents=True)
    for name in ("train.h5", "val.h5", "test.h5"):
        write(folder / name, jets_by_hand(4), np.arange(4) % 2)
    done = hepbench("bench", "top_tagging", "--model", "prior", "--budget", "smoke", home=home)
    assert_user_mistake(done, "train.h5: md5 is", "published is 45663819f47c13724f67eb0fd80bfa5c")


def test_split_is_that_of_the_files_or_by_shares():
    ids = np.concatenate([part * layout.IDS_OF_FILE + np.arange(n) for part, n in enumerate((6, 2, 2))])
    np.testing.assert_array_equal(TASK.split(ids % 2, ids), np.repeat([0, 1, 2], [6, 2, 2]))
    alone = np.random.default_rng(0).permutation(20)
    np.testing.assert_array_equal(TASK.split(alone % 2, alone), np.searchsorted([14, 17], alone, side="right"))


# --- variables -------------------------------------------------------------------------------------------------------


def momenta(pt, eta, phi) -> np.ndarray:
    pt, eta, phi = (np.array(values, np.float64)[None] for values in (pt, eta, phi))
    return np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), pt * np.cosh(eta)], axis=-1)


def test_subjettiness_of_prongs_by_hand():
    """Three particles are three prongs: tau_3 is 0, tau_2 has the softer of the two nearest on the other's axis."""
    tau = boosted_jets.subjettiness(momenta([300, 200, 100], [0, 0, 0.4], [0, 0.5, 0.0]))[0]
    assert tau[2] == tau[3] == 0
    # the middle of 300 and 100 lies a quarter of 0.4 from the harder: 300 * 0.1 + 100 * 0.3
    assert tau[1] == pytest.approx((300 * 0.1 + 100 * 0.3) / (600 * 0.8), rel=1e-6)
    assert tau[0] > tau[1]
    padded = np.concatenate([momenta([300, 200, 100], [0, 0, 0.4], [0, 0.5, 0.0]), np.zeros((1, 7, 4))], axis=1)
    np.testing.assert_allclose(boosted_jets.subjettiness(padded)[0], tau, rtol=1e-9, atol=1e-12)


def test_features_of_a_jet_by_hand():
    found = boosted_jets.cloud(momenta([300, 100, 0], [1.0, 1.2, 0], [3.1, -3.1, 0]).astype(np.float32), points=3)
    assert found["mask"].tolist() == [[True, True, False]]
    named = dict(zip(boosted_jets.KINEMATIC_FEATURES, found["features"][0].T, strict=True))
    assert named["log_pt"][:2] == pytest.approx(np.log([300, 100]), rel=1e-5)
    assert named["delta_phi"][1] - named["delta_phi"][0] == pytest.approx(2 * np.pi - 6.2, abs=1e-5)
    assert named["delta_eta"][1] - named["delta_eta"][0] == pytest.approx(0.2, abs=1e-5)
    np.testing.assert_allclose(named["delta_r"], np.hypot(named["delta_eta"], named["delta_phi"]), rtol=1e-5)
    assert not found["features"][0, 2].any()
    assert np.exp(named["log_pt_fraction"][:2]).sum() == pytest.approx(1, abs=0.01)
    raw = boosted_jets.four_momenta(momenta([300.0], [1.0], [0.0]), points=3)["features"]
    np.testing.assert_allclose(raw[0, 0], [300 * np.cosh(1), 300, 0, 300 * np.sinh(1)], rtol=1e-6)


def test_a_table_has_its_variables_and_padding_changes_nothing():
    jets = jets_by_hand(20)[..., [1, 2, 3, 0]]
    table = boosted_jets.variables(jets)
    assert table.shape == (20, len(TASK.variables)) and np.isfinite(table).all()
    order = np.random.default_rng(0).permutation(20)
    np.testing.assert_allclose(boosted_jets.variables(jets[order, :100]), table[order], rtol=1e-4, atol=1e-5)


# --- simulation ------------------------------------------------------------------------------------------------------


def test_a_jet_is_matched_where_it_holds_all_that_the_top_quark_decays_to():
    """t -> b W, W -> q q': of two events one has a quark at 0.9."""
    code = np.tile([90, 6, 6, 5, 24, 24, 2, -1], 2)
    daughter1 = np.tile([0, 2, 3, 0, 5, 6, 0, 0], 2)
    daughter2 = np.tile([0, 2, 4, 0, 5, 7, 0, 0], 2)
    eta = np.array([0, 0, 0, 0.1, 0, 0, 0.5, -0.4, 0, 0, 0, 0.1, 0, 0, 0.9, -0.4])
    momentum = np.stack([0 * eta + 100, 0 * eta, 100 * np.sinh(eta), 100 * np.cosh(eta)], axis=1)
    history = simulation.History(np.repeat([0, 1], 8), code, daughter1, daughter2, momentum)
    jets = atlas_card.Objects.massless(
        np.array([0, 0, 1]), *np.array([[600.0] * 3, [0, 0.6, 0], [0, 0, 0]]), np.zeros(3)
    )
    matched, of = history.matched(jets, 6)
    assert matched.tolist() == [True, False, False] and of[0] == 2


def test_tracks_are_found_as_often_as_the_card_says_and_towers_hold_the_rest():
    rng = np.random.default_rng(0)
    count = 20_000
    event = np.arange(count)
    pions = atlas_card.Objects.massless(
        event, np.full(count, 20.0), np.full(count, 0.7), np.zeros(count), np.full(count, 211)
    )
    objects, displacement = simulation.particle_flow(
        pions, np.ones(count, int), np.zeros((count, 3)), simulation.ATLAS, rng
    )
    track = objects.kind == 211
    assert track.mean() * len(objects) / count == pytest.approx(0.95, abs=0.005)
    assert objects.pt[track].std() == pytest.approx(20 * np.hypot(0.10, 1.7e-3 * 20), rel=0.05)
    assert set(objects.kind[~track]) == {130} and not displacement[~track].any()
    assert displacement[track, 0].std() == pytest.approx(np.hypot(0.0236, 0.0868 / 20), rel=0.1)


def test_displacement_is_the_distance_of_a_line_from_the_beam():
    """A particle along x that begins 2 mm above the beam and 5 mm along it."""
    one = atlas_card.Objects.massless(
        np.zeros(1, int), np.array([1e3]), np.array([1.0]), np.array([0.0]), np.array([211])
    )
    found = [
        simulation.particle_flow(
            one, np.ones(1, int), np.array([[3.0, 2.0, 5.0]]), simulation.CMS, np.random.default_rng(n)
        )
        for n in range(40)
    ]
    rows = np.concatenate([values[objects.kind == 211] for objects, values in found])
    assert np.median(rows[:, 0]) == pytest.approx(2, abs=0.05)
    assert np.median(rows[:, 2]) == pytest.approx(5 - 3 * np.sinh(1), abs=0.1)


def test_simulated_jets_are_in_the_window_and_tops_have_their_mass(files_of):
    _, files = files_of("top_tagging")
    assert [path.name for path in files.paths] == ["val_simulated.h5", "train_simulated.h5", "test_simulated.h5"]
    particles, labels, _ = read(*files.paths)
    pt, eta, _, energy = boosted_jets.axes(particles).T
    assert (pt > 549).all() and (pt < 651).all() and (np.abs(eta) < 2.01).all()
    mass = np.sqrt(np.maximum(0, energy**2 - (pt * np.cosh(eta)) ** 2))
    assert np.median(mass[labels == 1]) == pytest.approx(175, abs=20) and np.median(mass[labels == 0]) < 130
    checks = TASK.validate({"particles": particles}, labels)
    assert len(checks) == 6 and all(abs(check.pull) < 4 for check in checks)
    with h5py.File(next(path for path in files.paths if path.name.startswith("train"))) as file:
        rows = file["table/table"][:]
        assert file["table"].attrs["pandas_type"] in ("frame_table", b"frame_table")
    truth = rows["values_block_1"][:, 1] == 1
    top = rows["values_block_0"][truth, 800:]
    assert np.median(np.sqrt(top[:, 0] ** 2 - (top[:, 1:] ** 2).sum(axis=1))) == pytest.approx(172.5, abs=2)
    assert not rows["values_block_0"][~truth, 800:].any()
