"""JetClass: the reader on ROOT files and archives by hand, the split, views, and the simulation's processes."""

from __future__ import annotations

import hashlib
import tarfile

import awkward as ak
import numpy as np
import pytest
import uproot

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import UserError
from hepbench.benchmarks.features import jetclass as features
from hepbench.benchmarks.formats import jetclass as layout
from hepbench.benchmarks.simulation import boosted_jets as simulation
from hepbench.benchmarks.simulation import pythia

TASK = registry.find("task", "jetclass").record


def jets_by_hand(count: int, seed: int = 0) -> dict[str, ak.Array]:
    """Branches of jets of 3 to 200 particles, the classes in turn."""
    rng = np.random.default_rng(seed)
    numbers = rng.integers(3, 200, count)
    total = numbers.sum()
    kind = rng.integers(0, 5, total)
    px, py, pz = rng.normal(size=(3, total)) * 20
    columns = {"px": px, "py": py, "pz": pz, "energy": np.sqrt(px**2 + py**2 + pz**2)}
    columns |= {name.removeprefix("part_"): kind == place for place, name in enumerate(layout.KINDS)}
    columns["charge"] = np.where(np.isin(kind, (0, 3, 4)), rng.choice([-1, 1], total), 0)
    for name in layout.DISPLACEMENT:
        columns[name.removeprefix("part_")] = np.abs(rng.normal(size=total))
    branches = {f"part_{name}": ak.unflatten(values.astype(np.float32), numbers) for name, values in columns.items()}
    labels = np.arange(count)[:, None] % 10 == np.arange(10)
    return {**branches, **{name: labels[:, place].astype(np.float32) for place, name in enumerate(layout.LABELS)}}


def write(path, branches):
    with uproot.recreate(path) as file:
        tree = file.mktree("tree", {name: ak.type(ak.Array(values)).content for name, values in branches.items()})
        tree.extend(branches)
    return path


def read(*paths):
    chunks = list(TASK.read(paths))
    return {name: np.concatenate([one.arrays[name] for one in chunks]) for name in chunks[0].arrays}, *(
        np.concatenate([getattr(one, name) for one in chunks]) for name in ("labels", "ids")
    )


def test_reader_gives_the_hardest_particles_their_kinds_and_the_class(tmp_path, monkeypatch):
    monkeypatch.setattr(layout, "CHUNK", 7)
    jets = jets_by_hand(20)
    arrays, labels, ids = read(write(tmp_path / "JetClass_Pythia_val_5M.root", jets))
    np.testing.assert_array_equal(labels, np.arange(20) % 10)
    np.testing.assert_array_equal(ids, layout.IDS_OF_PART + np.arange(20))
    for event in range(20):
        part = {name: np.asarray(jets[name][event])[:128] for name in layout.BRANCHES}
        order = np.argsort(-np.hypot(part["part_px"], part["part_py"]), kind="stable")
        number = len(order)
        expected = np.stack([part[name][order] for name in layout.MOMENTA], axis=-1)
        np.testing.assert_array_equal(arrays["momenta"][event, :number], expected)
        assert not arrays["momenta"][event, number:].any() and not arrays["kinds"][event, number:].any()
        for place, code in zip(order, arrays["kinds"][event], strict=False):
            (flag,) = [name for name in layout.KINDS if part[name][place]]
            charge = part["part_charge"][place] * (-1 if "Electron" in flag or "Muon" in flag else 1)
            assert code == layout.KINDS[flag] * (charge or 1)
        np.testing.assert_array_equal(
            arrays["displacement"][event, :number], np.stack([part[n][order] for n in layout.DISPLACEMENT], axis=-1)
        )


def test_an_archive_is_read_in_place_in_the_order_of_its_names(tmp_path):
    paths = [write(tmp_path / name, jets_by_hand(10, seed)) for seed, name in enumerate(("B.root", "A.root"))]
    (tmp_path / "readme.txt").write_text("not a jet")
    archive = tmp_path / "JetClass_Pythia_train_100M_part3.tar"
    with tarfile.open(archive, "w") as file:
        for path in (*paths, tmp_path / "readme.txt"):
            file.add(path, f"train_100M/{path.name}")
    arrays, labels, ids = read(archive)
    expected, _, _ = read(paths[1], paths[0])
    for name in expected:
        np.testing.assert_array_equal(arrays[name], expected[name])
    np.testing.assert_array_equal(ids, 3 * layout.IDS_OF_FILE + np.arange(20))
    assert np.bincount(labels).tolist() == [2] * 10


def spoilt(kind, path):
    jets = jets_by_hand(8)
    numbers = ak.num(jets["part_px"])

    def changed(name, event, value):
        flat = ak.to_numpy(ak.flatten(jets[name])).copy()
        flat[int(ak.sum(numbers[:event]))] = value
        jets[name] = ak.unflatten(flat, numbers)

    match kind:
        case "nan":
            changed("part_pz", 5, np.nan)
        case "energy":
            changed("part_energy", 5, -1)
        case "kinds":
            for name in layout.KINDS:
                changed(name, 5, 1)
        case "charge":
            changed("part_charge", 5, 1 - abs(float(jets["part_charge"][5][0])))
        case "labels":
            jets["label_QCD"] = np.ones(8, np.float32)
        case "branch":
            del jets["part_d0val"]
        case "label":
            del jets["label_Tbl"]
        case "flat":
            jets["part_px"] = np.ones(8, np.float32)
        case "text":
            path.write_text("<html>gone</html>")
            return
        case "empty archive":
            with tarfile.open(path, "w"):
                return
    write(path, jets)
    if kind == "cut":
        path.write_bytes(path.read_bytes()[:3000])


BAD = {
    "nan": "event 5: NaN or infinity among the particles",
    "energy": "event 5: negative energy",
    "kinds": "event 5: a particle of none or several of the five types",
    "charge": "event 5: a particle whose charge is not that of its type",
    "labels": "event 1: not exactly one label that is 1",
    "branch": "no branch 'part_d0val'",
    "label": "no branch 'label_Tbl'",
    "flat": "part_px must have one number per particle",
    "text": "neither a ROOT file nor a tar archive",
    "empty archive": "no ROOT file in the archive",
    "cut": "not a ROOT file, or a damaged one",
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_refused(tmp_path, kind):
    path = tmp_path / "JetClass_Pythia_val_5M.tar"
    spoilt(kind, path)
    with pytest.raises(UserError, match=BAD[kind]) as caught:
        read(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_split_is_that_of_the_archives_or_by_shares():
    ids = np.concatenate([part * layout.IDS_OF_PART + np.arange(4) for part in range(3)])
    np.testing.assert_array_equal(TASK.split(ids % 2, ids), np.repeat([0, 1, 2], 4))
    labels = np.repeat([0, 1], 20)
    part = TASK.split(labels, np.arange(40))
    np.testing.assert_array_equal(part[:20], np.repeat([0, 1, 2], [14, 3, 3]))
    np.testing.assert_array_equal(part[20:], part[:20])


def test_sets_of_features_are_the_leading_columns(tmp_path):
    arrays, _, _ = read(write(tmp_path / "x.root", jets_by_hand(10)))
    cloud, table = features.cloud(arrays), features.variables(arrays)
    assert cloud["features"].shape == (10, 128, 17) and table.shape == (10, len(TASK.variables))
    d0 = np.tanh(arrays["displacement"][..., 0]) * cloud["mask"]
    np.testing.assert_allclose(cloud["features"][..., 13], d0, rtol=1e-6)
    other = {**arrays, "displacement": arrays["displacement"] * 2}
    kinpid = TASK.features["kinpid"].columns
    np.testing.assert_array_equal(
        features.cloud(other)["features"][..., : kinpid["features"]], cloud["features"][..., : kinpid["features"]]
    )
    np.testing.assert_array_equal(features.variables(other)[:, : kinpid["table"]], table[:, : kinpid["table"]])
    photons = {**arrays, "kinds": np.where(arrays["kinds"] != 0, 22, 0).astype(np.int16)}
    kin = TASK.features["kin"].columns
    np.testing.assert_array_equal(
        features.cloud(photons)["features"][..., : kin["features"]], cloud["features"][..., : kin["features"]]
    )
    np.testing.assert_array_equal(features.variables(photons)[:, : kin["table"]], table[:, : kin["table"]])


# --- simulation ------------------------------------------------------------------------------------------------------


def test_every_class_has_a_process_and_leptons_have_both_charges():
    assert tuple(simulation.JETCLASS_PROCESSES) == layout.CLASSES
    one, other = (simulation.jetclass_process("Hqql", number).settings for number in (0, 1))
    assert "24:onPosIfAny = 11 13" in one and "24:onNegIfAny = 11 13" in other
    assert simulation.jetclass_process("Hbb", 0) == simulation.jetclass_process("Hbb", 1)
    generator = pythia.imported("pythia8mc").Pythia("", False)
    assert generator.readString("Print:quiet = on")
    for process in simulation.JETCLASS_PROCESSES.values():
        assert all(generator.readString(setting) for setting in process.settings)


def test_soft_drop_takes_off_what_is_soft_and_wide():
    """Two prongs of 200 GeV and a particle of 5 GeV at 0.7."""
    pt, eta = np.array([200.0, 200.0, 5.0]), np.array([0.0, 0.4, -0.7])
    jet = np.stack([pt, 0 * pt, pt * np.sinh(eta), pt * np.cosh(eta)], axis=-1)[None]
    two = jet[:, :2].sum(axis=1)[0]
    assert simulation.soft_drop_mass(jet)[0] == pytest.approx(np.sqrt(two[3] ** 2 - two[:3] @ two[:3]), rel=1e-6)


def test_the_same_jets_are_the_same_file(tmp_path, files_of):
    _, files = files_of("jetclass")
    arrays, labels, _ = read(*files.paths)
    arrays["soft_drop_mass"] = np.ones(len(labels), np.float32)
    chunks = [(kind, {name: array[labels == kind] for name, array in arrays.items()}) for kind in range(10)]
    found = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        paths = layout.write(tmp_path / name, [20] * 10, iter(chunks))
        found.append([hashlib.sha256(path.read_bytes()).hexdigest() for path in paths])
    assert found[0] == found[1]


def test_simulated_jets_have_the_masses_of_what_decays(files_of):
    _, files = files_of("jetclass")
    arrays, labels, _ = read(*files.paths)
    checks = TASK.validate(arrays, labels)
    assert len(checks) == 10 and all(abs(check.pull) < 4 for check in checks), checks
    hard = np.hypot(arrays["momenta"][..., 0], arrays["momenta"][..., 1]) > 30
    leptons = (np.isin(np.abs(arrays["kinds"]), (11, 13)) & hard).any(axis=1)
    leptonic = np.isin(labels, [layout.CLASSES.index(kind) for kind in ("Hqql", "Tbl")])
    assert leptons[leptonic].mean() > 0.6 and leptons[~leptonic].mean() < 0.3
