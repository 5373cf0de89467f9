"""Files scored by a saved model: of every task, with labels and without."""

from __future__ import annotations

import csv
import gzip
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
import uproot
from conftest import ROOT, assert_user_mistake, hepbench, images_by_hand, write_images

import hepbench as package
from hepbench.benchmarks import metrics, registry
from hepbench.benchmarks.base import UserError
from hepbench.benchmarks.models.logistic import fit
from hepbench.suite import evaluation, results, scoring
from hepbench.suite.data.dataset import prepare
from hepbench.suite.data.files import Files, digest_of_files, simulated_folder
from hepbench.suite.data.split import split_events
from hepbench.suite.trial.artifacts import save_model
from hepbench.suite.trial.inputs import samples_of
from hepbench.suite.trial.spec import Spec, look_up
from hepbench.tracking import runs

MODEL = "logistic"


def without_labels(dataset: str, paths: Sequence[Path], folder: Path) -> list[Path]:
    """Copies of the files that do not tell the class of an event."""
    folder.mkdir(exist_ok=True)
    return [WITHOUT[dataset](path, folder / f"hidden_{number}{path.suffix}") for number, path in enumerate(paths)]


def _ecal(path: Path, out: Path) -> Path:
    with h5py.File(path) as file, h5py.File(out, "w") as hidden:
        hidden["X"] = file["X"][:]
    return out


def _hepmass(path: Path, out: Path) -> Path:
    with gzip.open(path, "rt") as file, gzip.open(out, "wt") as hidden:
        hidden.writelines(line.partition(",")[2] for line in file)
    return out


def _magic(path: Path, out: Path) -> Path:
    lines = [line.rpartition(",")[0] for line in path.read_text().splitlines() if line[0] != "@"]
    out.write_text("\n".join(lines))
    return out


def _qg_images(path: Path, out: Path) -> Path:
    pq.write_table(pq.read_table(path).drop(["y"]), out)
    return out


def _qg_jets(path: Path, out: Path) -> Path:
    with np.load(path) as file:
        np.savez(out, X=file["X"])
    return out


def _top_tagging(path: Path, out: Path) -> Path:
    with h5py.File(path) as file, h5py.File(out, "w") as hidden:
        table = file["table/table"]
        copy = hidden.create_dataset("table/table", data=table[:][["index", "values_block_0"]])
        copy.attrs["values_block_0_kind"] = table.attrs["values_block_0_kind"]
    return out


def _jetclass(path: Path, out: Path) -> Path:
    tree = uproot.open(path)["tree"]
    rows = tree.arrays([name for name in sorted(tree.keys()) if not name.startswith("label_") and name != "npart"])
    with uproot.recreate(out) as hidden:
        hidden["tree"] = {name: rows[name] for name in rows.fields}
    return out


def _atlas_higgs(path: Path, out: Path) -> Path:
    with gzip.open(path, "rt") as file, gzip.open(out, "wt") as hidden:
        names, *rows = csv.reader(file)
        kept = [place for place, name in enumerate(names) if name not in ("Weight", "Label", "KaggleWeight")]
        csv.writer(hidden).writerows([row[place] for place in kept] for row in (names, *rows))
    return out


def _pxd(path: Path, out: Path) -> Path:
    return Path(shutil.copy(path, out))


WITHOUT = {
    "ecal": _ecal,
    "hepmass": _hepmass,
    "magic": _magic,
    "qg_images": _qg_images,
    "qg_jets": _qg_jets,
    "lund_jets": _qg_jets,
    "pxd_pixels": _pxd,
    "pxd_clusters": _pxd,
    "top_tagging": _top_tagging,
    "jetclass": _jetclass,
    "susy": _hepmass,
    "atlas_higgs": _atlas_higgs,
    "higgs": _hepmass,  # where the class comes first as well
}


def trained(home: Path, task: str, files: Files, model: str = MODEL) -> str:
    """The id of a run with a linear model, trained on the training part of the files as a bench trains it."""
    files = Files(files.kind, files.paths, digest_of_files(files.paths))
    trial = look_up(Spec(task, model, 0, "smoke", files.kind, "cpu", "tensorflow"))
    prepared = prepare(trial.task, files)
    rows, split_hash = split_events(trial.task.record, prepared, trial.spec.most_events)
    train = samples_of(trial, prepared, rows)["train"]
    classes = len(trial.task.record.classes)
    fitted = fit(
        train, train, trial.hyperparameters, classes=classes, seed=0, device="cpu", report=lambda *values: None
    )
    store = runs.connect(None, home / "results")
    tags = {"stage": "final", "model": model, "seed": 0, "backend": "tensorflow", "task": trial.task.name}
    tags |= {"data_digest": files.digest, "split_hash": split_hash}
    run = store.start(trial.task.name, f"{model} seed 0", tags=tags, parameters={})
    save_model(home / "model", fitted, trial, train)
    (home / "all").mkdir()
    (home / "model").rename(home / "all" / "model")
    store.upload(run, home / "all")
    store.finish(run, "FINISHED")
    shutil.rmtree(home / "all")
    return run


@pytest.fixture(scope="module")
def run_of(tmp_path_factory, files_of):
    """Name of a task or a variant -> (home, id of a run on its files)."""
    made: dict[str, tuple[Path, str]] = {}

    def get(name: str) -> tuple[Path, str]:
        if name not in made:
            home = tmp_path_factory.mktemp("run") / "home"
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("HEPBENCH_HOME", str(home))
                hepbench("leaderboard", "magic", home=home)  # makes the store without the second that takes
                made[name] = home, trained(home, name, files_of(name.partition(":")[0])[1])
        return made[name]

    return get


def predicted(home: Path, run: str, *files: Path, out: Path, options: Sequence[object] = ()):
    done = hepbench("predict", run[:8], *files, "--out", out, *options, home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    return pq.read_table(out).to_pandas(), done.stdout


@pytest.mark.parametrize(
    "task",
    [
        pytest.param(task, marks=pytest.mark.long) if task in ("lund_jets", "susy") else task  # readers of others
        for task in registry.names("task")
    ],
)
def test_scores_do_not_ask_for_labels(task, files_of, run_of, tmp_path):
    entry, files = files_of(task)
    home, run = run_of(task)
    known, _ = predicted(home, run, *files.paths, out=tmp_path / "known.parquet")
    hidden_paths = without_labels(task, files.paths, tmp_path / "hidden")
    hidden, said = predicted(home, run, *hidden_paths, out=tmp_path / "hidden.parquet")
    scores = [f"{what}_{kind}" for what in ("score", "log_probability") for kind in entry.record.classes]
    weighted = ["weight"] * (task == "atlas_higgs")
    assert list(known.columns) == ["id", "label", *weighted, *scores] and list(hidden.columns) == ["id", *scores]
    np.testing.assert_array_equal(hidden[scores], known[scores])  # in the order of the files
    events = list(entry.record.read(files.paths))
    np.testing.assert_array_equal(known["label"], np.concatenate([one.labels for one in events]))
    assert not hidden["id"].duplicated().any() and f"{len(hidden):,} events scored by logistic seed 0" in said
    assert not list(tmp_path.glob(".*"))
    one, _ = predicted(home, run, hidden_paths[-1], out=tmp_path / "one.parquet")
    np.testing.assert_array_equal(one[scores], known[scores][-len(one) :])  # one file alone of a dataset of several


@pytest.mark.parametrize("task", registry.names("task"))
def test_training_asks_for_labels(task, files_of, home, tmp_path):
    entry, files = files_of(task)
    hidden = without_labels(task, files.paths[-1:], tmp_path / "hidden")
    with pytest.raises(UserError, match="no labels: neither the file nor its name") as caught:
        prepare(entry, Files("official", [*files.paths[:-1], *hidden], "0" * 64))
    assert str(hidden[0]) in str(caught.value) and len(str(caught.value).splitlines()) == 1
    left = home / "data" / task / "prepared"
    assert not left.exists() or all(path.name.endswith(".lock") for path in left.iterdir())


def test_a_model_of_a_pair_scores_other_particles_too(run_of, files_of, tmp_path):
    home, run = run_of("pxd_clusters:tetraquark_vs_background")
    paths = {path.stem: path for path in files_of("pxd_clusters")[1].paths}
    table, _ = predicted(home, run, paths["pion"], paths["tetraquark"], out=tmp_path / "s.parquet")
    assert list(table.columns)[:4] == ["id", "label", "score_background", "score_tetraquark"]
    pions = table["label"].isna()
    assert 0 < pions.sum() < len(table) and set(table["label"][~pions]) == {1}


def test_a_file_of_another_class_that_a_reader_passes_over(run_of, files_of, tmp_path):
    home, run = run_of("pxd_pixels")
    paths = files_of("pxd_pixels")[1].paths
    other = Path(shutil.copy(paths[0], tmp_path / "tetraquark.txt"))
    done = hepbench("predict", run, *paths, other, "--out", tmp_path / "s.parquet", home=home)
    assert_user_mistake(done, "tetraquark.txt: none of the requested particle types")


OWN_TASK = (ROOT / "examples" / "my_task.py").read_text()


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A user's own task, whose `read` knows nothing of files without labels: (home, run, its file)."""
    folder = tmp_path_factory.mktemp("own")
    path = folder / "my_task.py"
    path.write_text(OWN_TASK)
    home = folder / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEPBENCH_HOME", str(home))
        hepbench("leaderboard", "magic", home=home)
        assert (
            hepbench("simulate", path, "--events", 300, "--jobs", 1, "--out", folder / "raw", home=home).returncode == 0
        )
        raw = folder / "raw" / "dileptons.csv"
        return home, trained(home, str(path), Files("simulated", [raw], "a" * 64)), raw


def test_files_of_a_users_own_task(own, tmp_path):
    home, run, raw = own
    again = ["--task", ROOT / "examples" / "my_task.py"]
    done = hepbench("predict", run, raw, "--out", tmp_path / "scores.parquet", home=home)
    assert_user_mistake(done, "the task of this run is a file of its user, my_task.py, whose code runs")
    table, _ = predicted(home, run, raw, out=tmp_path / "scores.parquet", options=again)
    assert len(table) == 300 and set(table["label"]) == {0, 1}
    rows = raw.read_text().splitlines()
    hidden = tmp_path / "hidden.csv"
    hidden.write_text("\n".join(row.rpartition(",")[0] for row in rows))
    done = hepbench("predict", run, hidden, "--out", tmp_path / "other.parquet", *again, home=home)
    assert_user_mistake(done, str(hidden), "expected 5 columns, got 4")
    hidden.write_text("pt1,pt2\na,b\n")
    done = hepbench("predict", run, hidden, "--out", tmp_path / "other.parquet", *again, home=home)
    assert_user_mistake(done, str(hidden), "the reader of my_task fails on it (ValueError:", "labels=None")
    assert not (tmp_path / "other.parquet").exists()


FAULTS = {
    "another format": "not a complete HDF5 file",
    "empty": "not a complete HDF5 file",
    "other shape": "X has shape (8, 16, 16, 2); expected (n, 32, 32, 2)",
    "nan": "event 3: NaN or infinity in X",
    "twice": "given twice",
    "absent": "does not exist",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_file_that_cannot_be_scored(fault, run_of, tmp_path):
    home, run = run_of("ecal")
    path = tmp_path / "hidden.hdf5"
    images = images_by_hand(8)
    if fault == "nan":
        images[3, 0, 0, 0] = np.nan
    match fault:
        case "another format":
            path.write_text("# label,f0\n")
        case "empty":
            path.touch()
        case "absent":
            pass
        case _:
            write_images(path, images[:, :16, :16] if fault == "other shape" else images, np.zeros(8, np.float32))
    files = [path, path] if fault == "twice" else [path]
    out = tmp_path / "out"
    out.mkdir()
    done = hepbench("predict", run, *files, "--out", out / "scores.parquet", home=home)
    assert_user_mistake(done, str(path.name), FAULTS[fault])
    assert not list(out.iterdir())


def test_a_run_that_has_no_model(run_of):
    home, _ = run_of("magic")
    store = runs.connect(None, home / "results")
    tags = {"model": "mlp", "seed": 0, "backend": "tensorflow", "command": "hepbench bench magic --force"}
    studied = store.start("magic", "trial 3", tags={**tags, "stage": "tune", "study": "magic-mlp"}, parameters={})
    failed = store.start("magic", "mlp seed 0", tags={**tags, "stage": "final"}, parameters={})
    bench = store.start("magic", "bench magic", tags={"stage": "bench"}, parameters={})
    store.finish(studied, "FINISHED")
    store.finish(failed, "FAILED", "the loss ran away")
    store.finish(bench, "FINISHED")
    for given, words in {
        studied[:10]: ["'trial 3'", "is of the study magic-mlp, whose trials keep no model", "--tuned"],
        failed: ["'mlp seed 0'", "is failed and has no model: run `hepbench bench magic --force`"],
        bench: ["'bench magic'", "holds trials"],
        "zzzz": ["no finished trial with an id that begins with 'zzzz'"],
        "": ["no finished trial with an id that begins with ''"],
        "%": ["no finished trial with an id that begins with '%'"],
    }.items():
        assert_user_mistake(hepbench("predict", given, ROOT / "README.md", home=home), *words)


def test_an_id_that_is_not_unique():
    class Twins:
        def find(self, beginning):
            tags = {"stage": "final"}
            return [{"id": f"ab{n}", "name": f"mlp seed {n}", "status": "FINISHED", "tags": tags} for n in range(5)]

    with pytest.raises(UserError, match=r"5 finished trials have .* 'ab': ab0 \(mlp seed 0\), .* and 2 more"):
        results.find_run(Twins(), "ab")


def test_a_folder_that_is_not_there(run_of, files_of, tmp_path):
    home, run = run_of("magic")
    done = hepbench("predict", run, *files_of("magic")[1].paths, "--out", tmp_path / "no" / "s.parquet", home=home)
    assert_user_mistake(done, "there is no folder")


# --- evaluate --------------------------------------------------------------------------------------------------------


def evaluated(home: Path, run: str, *files: Path, out: Path) -> tuple[dict, str]:
    done = hepbench("evaluate", run, *files, "--out", out, home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((out / "metrics.json").read_text()), done.stdout


def parts_of(home: Path, name: str, files: Files, monkeypatch) -> dict[str, np.ndarray]:
    """Ids of each part of the split that the run of this task had."""
    monkeypatch.setenv("HEPBENCH_HOME", str(home))
    trial = look_up(Spec(name, MODEL, 0, "smoke", files.kind, "cpu", "tensorflow"))
    prepared = prepare(trial.task, files)
    rows, _ = split_events(trial.task.record, prepared, trial.spec.most_events)
    return {part: prepared.ids[some] for part, some in rows.items()}


@pytest.mark.parametrize("task", [*registry.names("task"), "pxd_clusters:tetraquark_vs_background"])
def test_events_that_trained_a_model_do_not_count(task, files_of, run_of, tmp_path, monkeypatch):
    _, files = files_of(task.partition(":")[0])
    record = registry.find("task", task).record
    home, run = run_of(task)
    about, said = evaluated(home, run, *files.paths, out=tmp_path / "found")
    table, _ = predicted(home, run, *files.paths, out=tmp_path / "all.parquet")
    table = table[table["label"].notna()]
    parts = parts_of(home, task, files, monkeypatch)
    counted = table[~table["id"].isin(np.concatenate([parts["train"], parts["validation"]]))]
    assert set(parts["test"]) <= set(counted["id"])
    scores = counted.filter(like="log_probability_").to_numpy()
    weights = counted["weight"].to_numpy() if "weight" in counted else None
    expected = metrics.evaluate(counted["label"].to_numpy(np.int64), scores, record.signal, record.classes, weights)
    for name, value in expected.items():
        assert about["metrics"][name] == (pytest.approx(value, abs=1e-6) if np.isfinite(value) else None), name
    assert len([name for name in about["metrics"] if name not in expected]) >= 2 * len(record.slices)
    assert about["events"] == len(counted)
    left = about["left_out"]
    assert left["of its training part"] == len(parts["train"])
    assert left["of its validation part"] == len(parts["validation"])
    assert (
        f"{len(parts['train']):,} of its training part, {len(parts['validation'])} of its validation part are" in said
    )
    assert {path.name for path in (tmp_path / "found").iterdir()} == FOUND
    assert (tmp_path / "found" / "plots" / "roc.png").stat().st_size > 1000
    kept = pq.read_table(tmp_path / "found" / "scores.parquet").to_pandas()
    assert set(kept["id"]) == set(counted["id"]) and kept["label"].notna().all()
    if ":" in task:
        assert left["of classes that it does not know"] == 100 and "100 events of classes that the model" in said


FOUND = {"metrics.json", "scores.parquet", "roc.csv", "confusion.csv", "reliability.csv", "plots"}


@pytest.mark.parametrize("task", registry.names("task"))
def test_files_without_labels_are_not_evaluated(task, files_of, run_of, tmp_path):
    home, run = run_of(task)
    hidden = without_labels(task, files_of(task)[1].paths[:1], tmp_path / "hidden")
    done = hepbench("evaluate", run, *hidden, "--out", tmp_path / "found", home=home)
    assert_user_mistake(done, str(hidden[0]), "no labels", "hepbench predict scores unlabelled events")
    assert not list(tmp_path.glob("*found*"))


def test_other_files_and_what_they_cannot_measure(run_of, files_of, tmp_path, monkeypatch):
    home, run = run_of("ecal")
    monkeypatch.setenv("HEPBENCH_HOME", str(home))
    entry, files = files_of("ecal")
    folder = simulated_folder(entry, 2000, 0)
    folder.mkdir(parents=True)
    for path in files.paths:
        shutil.copy(path, folder)
    path = write_images(tmp_path / "electrons.hdf5", images_by_hand(40), np.ones(40, np.float32))
    about, said = evaluated(home, run, path, out=tmp_path / "found")
    assert "electrons.hdf5: other files than the model was trained on, and other events" in said
    assert about["events"] == 40 and about["left_out"] == {} and about["warnings"] == []
    assert about["metrics"]["auc"] is None and 0 <= about["metrics"]["accuracy"] <= 1
    (line,) = [line for line in said.splitlines() if "area under the ROC curve" in line]
    assert "not measurable" in line and "nan" not in said
    assert {path.name for path in (tmp_path / "found").iterdir()} == FOUND
    about, said = evaluated(home, run, files.paths[0], path, out=tmp_path / "mixed")  # one of the run's two files
    assert about["left_out"] == {"of its training part": 70, "of its validation part": 15} and about["events"] == 55
    assert f"{files.paths[0].name}: the model was trained on it. Of 100 events 70 of its training" in said
    with h5py.File(files.paths[0]) as file:  # saved again, in another order
        label = file["y"][0]
        saved = write_images(tmp_path / "saved.hdf5", file["X"][:][::-1], file["y"][:][::-1], compression="gzip")
    about, said = evaluated(home, run, saved, out=tmp_path / "again")
    assert about["left_out"] == {"equal to one of its training or validation part": 85} and about["events"] == 15
    assert "saved.hdf5: other files than the model was trained on, but 85 of 100 events equal one of its" in said
    assert set(pq.read_table(tmp_path / "again" / "scores.parquet")["label"].to_pylist()) == {label}
    again = hepbench("evaluate", run, path, "--out", tmp_path / "found", home=home)
    assert_user_mistake(again, "found already exists", "--out")
    copy = Path(shutil.copy(path, tmp_path / "copy.hdf5"))
    done = hepbench("evaluate", run, path, copy, "--out", tmp_path / "other", home=home)
    assert_user_mistake(done, "electrons.hdf5: the same content is given twice")


def test_a_split_that_is_not_found_again_and_nothing_left(run_of, files_of, tmp_path, monkeypatch):
    home, run = run_of("magic")
    paths = files_of("magic")[1].paths
    monkeypatch.setenv("HEPBENCH_HOME", str(home))
    with scoring.model_of(results.open_store(), run) as (found, model):
        changed = {**found, "tags": {**found["tags"], "split_hash": "of another version"}}
        provenance = evaluation.provenance_of(changed, model.trial, paths)
        assert (
            "the numbers are too good" in provenance.warnings[0] and not provenance.notes and provenance.parts is None
        )
        assert len(evaluation.evaluate(model, provenance).ids) == 19_020
        unknown = {**found, "tags": {**found["tags"], "data_digest": "0" * 64}}
        provenance = evaluation.provenance_of(unknown, model.trial, paths)
        assert "is not known" in provenance.notes[0] and provenance.others == paths
        everything = {"train": np.arange(19_020), "validation": np.zeros(0, np.int64)}
        with pytest.raises(UserError, match=r"no event is left to evaluate: 19,020 of its training part"):
            evaluation.evaluate(model, evaluation.Provenance(paths, [], everything))


def test_in_a_notebook(run_of, files_of, tmp_path, monkeypatch):
    home, run = run_of("ecal")
    paths = files_of("ecal")[1].paths
    monkeypatch.setenv("HEPBENCH_HOME", str(home))
    environment = dict(os.environ)
    table = package.predict(run, paths)
    assert list(table.columns)[:4] == ["id", "label", "score_photon", "score_electron"] and len(table) == 200
    hidden = without_labels("ecal", paths[:1], tmp_path / "hidden")
    assert list(package.predict(run[:10], hidden[0]).columns)[:3] == ["id", "score_photon", "score_electron"]
    with pytest.warns(UserWarning, match="the model was trained on them. Of 200 events 140 of its training part"):
        measured = package.evaluate_files(run, paths, tmp_path / "found")
    assert 0 < measured["auc_error"] < 0.5 and (tmp_path / "found" / "roc.csv").is_file()
    assert dict(os.environ) == environment
    for files, fault in (([], "no files"), ("absent.hdf5", "no such file"), (hidden, "no labels")):
        with pytest.raises(UserError, match=fault):
            package.evaluate_files(run, files)


def test_contents_tell_events_apart(files_of):
    """By every number of theirs, in whatever chunk and order they come."""
    for task in registry.names("task"):
        entry, files = files_of(task)
        chunks = list(entry.record.read(files.paths))
        found = np.concatenate([evaluation.contents(one.arrays) for one in chunks])
        arrays = chunks[0].arrays
        few = {name: array[np.array([2, 0])] for name, array in arrays.items()}
        np.testing.assert_array_equal(evaluation.contents(few), found[[2, 0]])
        if task not in ("pxd_clusters", "pxd_pixels", "magic"):  # where events may be equal
            assert len(set(found)) == len(found)
        for name, array in few.items():
            other = evaluation.contents({**few, name: -array})
            assert not array.any() or (other != evaluation.contents(few)).any()
