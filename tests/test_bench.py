"""The whole road as a user goes it: the console script, a smoke budget, the store, the files it leaves."""

from __future__ import annotations

import dataclasses
import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from conftest import ROOT, assert_user_mistake, console_script, hepbench, images_by_hand, write_images

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import UserError
from hepbench.suite.trial.artifacts import load_model
from hepbench.suite.trial.spec import Spec
from hepbench.tracking import runs

MODELS = ("cnn", "gbdt", "gnn", "mlp", "prior")


@pytest.fixture(scope="module")
def benched(tmp_path_factory):
    """A finished smoke bench of ecal: (home, what the command printed)."""
    home = tmp_path_factory.mktemp("benched")
    done = console_script("bench", "ecal", "--budget", "smoke", home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    return home, done.stdout


def finals(home: Path, task: str = "ecal") -> list[dict]:
    found = runs.connect(None, home / "results").runs(task)
    return [run for run in found if run["tags"].get("stage") == "final"]


def scores_of(home: Path, run: dict, into: Path):
    store = runs.connect(None, home / "results")
    return pq.read_table(store.download(run["id"], "scores.parquet", into / run["id"]))


def test_says_what_it_does_and_ends_with_a_leaderboard(benched):
    home, printed = benched
    assert "no official data of ecal found (to download: make data TASK=ecal)" in printed
    assert "2,000 events" in printed
    for model in MODELS:
        assert model in printed
    assert "make ui" in printed
    report = home / "results" / "reports" / "ecal.html"
    assert str(report) in printed
    page = report.read_text()
    assert all(model in page for model in MODELS)
    assert len(page) < 3_000_000 and "<link" not in page and "<script src" not in page  # as tests/test_page.py looks


def test_leaderboard_from_the_store_alone(benched):
    home, _ = benched
    done = hepbench("leaderboard", "ecal", "--format", "json", home=home)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert {row["model"] for row in rows} == set(MODELS)
    assert [row["rank"] for row in rows] == list(range(1, len(MODELS) + 1))
    for row in rows:
        assert {"task", "model", "data", "budget", "seeds", "auc", "auc_error", "accuracy", "rejection_50"} <= set(row)
        assert {"train_seconds", "predict_seconds"} <= set(row)
        assert (row["task"], row["data"], row["budget"], row["seeds"]) == ("ecal", "simulated", "smoke", 1)
    by_model = {row["model"]: row for row in rows}
    assert by_model["prior"]["auc"] == 0.5
    assert by_model["gbdt"]["auc"] > 0.5 + 2 * by_model["gbdt"]["auc_error"]
    assert by_model["cnn"]["parameters"] == 868_993
    for form, start in (("csv", "rank,"), ("markdown", "# electron or photon"), ("table", "\necal")):
        done = hepbench("leaderboard", "ecal", "--format", form, home=home)
        assert done.returncode == 0
        assert done.stdout.startswith(start)
        assert all(model in done.stdout for model in MODELS)


def test_the_command_of_a_row_asks_for_what_is_there(benched):
    home, _ = benched
    rows = json.loads(hepbench("leaderboard", "ecal", "--format", "json", home=home).stdout)
    for row in rows[:2]:
        words = shlex.split(row["command"])
        assert words[:2] == ["hepbench", "bench"] and words[-1] == "--force" and row["commit"] != "not available"
        done = hepbench(*words[1:-1], "--dry-run", home=home)
        assert done.returncode == 0 and row["model"] in done.stdout and "to run" not in done.stdout, done.stdout


def test_a_plot_is_a_file_for_a_paper(benched, tmp_path):
    home, _ = benched
    done = hepbench("plot", "ecal", "--models", ",".join(MODELS[:2]), "--out", tmp_path / "fig.pdf", home=home)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "fig.pdf").read_bytes().startswith(b"%PDF") and MODELS[0] in done.stdout
    for arguments, words in (
        (("--kind", "rejektion"), ("unknown kind 'rejektion'", "mean 'rejection'?")),
        (("--models", "no_such"), ("unknown model 'no_such'",)),
        (("--metric", "acuracy"), ("unknown metric", "mean 'accuracy'?")),
        (("--budget", "ful"), ("unknown budget 'ful'",)),
        (("--out", "fig.gif"), ("fig.gif", ".pdf, .png, .svg")),
        (("--out", tmp_path / "no" / "fig.pdf"), ("there is no folder",)),
        (("--kind", "slices"), ("cannot draw slices",)),
    ):
        assert_user_mistake(hepbench("plot", "ecal", *arguments, home=home), *words)


def test_leaderboard_of_every_task_has_one_header(benched):
    home = benched[0]
    done = hepbench("leaderboard", "all", "--format", "csv", home=home)
    assert done.returncode == 0, done.stderr
    assert done.stdout == hepbench("leaderboard", "ecal", "--format", "csv", home=home).stdout


def test_leaderboard_shows_the_columns_that_are_asked_for(benched):
    home, _ = benched
    names = "recall,false_positives,hardware_cpu_mean_percent"
    done = hepbench("leaderboard", "ecal", "--format", "markdown", "--columns", names, home=home)
    assert done.returncode == 0, done.stderr
    assert "| # | model | AUC | recall | false positives | CPU % | seeds |" in done.stdout
    assert_user_mistake(
        hepbench("leaderboard", "ecal", "--columns", "recal", home=home), "unknown column 'recal'", "mean 'recall'?"
    )
    wrong = ("--columns", "recall auc_micro")
    assert_user_mistake(hepbench("bench", "ecal", *wrong, home=home), "'auc_micro'", "hardware_memory_peak_mib")


def test_a_second_call_uses_the_results_again(benched):
    home, _ = benched
    before = {run["id"] for run in finals(home)}
    done = hepbench("bench", "ecal", "--budget", "smoke", home=home)
    assert done.returncode == 0, done.stderr
    assert "5 of 5 results already exist" in done.stdout
    assert {run["id"] for run in finals(home)} == before


def test_every_run_is_whole(benched, tmp_path):
    home, _ = benched
    store = runs.connect(None, home / "results")
    trials = finals(home)
    assert {run["status"] for run in trials} == {"FINISHED"}
    (parent,) = {run["tags"]["mlflow.parentRunId"] for run in trials}
    for run in trials:
        tags, metrics = run["tags"], run["metrics"]
        assert tags["mlflow.parentRunId"] == parent
        for name in ("data_digest", "split_hash", "identity", "hardware", "command", "not_available"):
            assert tags[name], name
        network = registry.find("model", tags["model"]).record.build is not None
        assert tags["backend"] == ("tensorflow" if network else ""), tags["model"]
        for name in ("auc", "accuracy", "precision", "recall", "log_loss"):
            if (tags["model"], name) != ("prior", "precision"):
                assert np.isfinite(metrics[f"test_{name}"]), (tags["model"], name)
        for name in ("open_seconds", "train_seconds", "predict_seconds"):
            assert metrics[name] >= 0
        assert len(store.history(run["id"], "system/process_memory_megabytes")) >= 2
        assert "gpu" in json.loads(tags["not_available"])
        assert not any("gpu" in name for name in metrics)
        folder = store.download(run["id"], "", tmp_path / run["id"])
        files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        drawn = {f"plots/{name}" for name in ("roc", "roc_tpr_fpr", "rejection", "scores", "confusion")}
        assert {f"{plot}.{ending}" for plot in drawn for ending in ("png", "pdf")} <= files
        assert {"scores.parquet", "roc.csv", "confusion.csv"} <= files
        assert pd.read_csv(folder / "confusion.csv", index_col=0).to_numpy().sum() == 300
        if tags["model"] != "prior":
            assert {"history.csv", "plots/history.png"} <= files
            assert len(store.history(run["id"], "val_loss")) >= 2
        of_networks = {"network.txt", "network.svg", "plots/weights.png", "plots/history_decisions.pdf"}
        assert of_networks & files == (of_networks if tags["model"] in ("cnn", "gnn", "mlp") else set())
        if tags["model"] == "cnn":
            assert "868,993" in (folder / "network.txt").read_text()
            for name in ("precision", "recall", "true_positives", "false_positives", "true_negatives"):
                assert len(store.history(run["id"], f"val_{name}")) >= 1
        scores = pq.read_table(folder / "scores.parquet").to_pandas()
        assert list(scores.columns)[:4] == ["id", "label", "score_photon", "score_electron"]
        assert len(scores) == 300
        np.testing.assert_allclose(scores["score_photon"] + scores["score_electron"], 1, atol=1e-6)


@pytest.mark.parametrize("model", MODELS)
def test_predict_on_the_raw_files_gives_the_stored_scores(benched, tmp_path, model):
    home, _ = benched
    (run,) = [run for run in finals(home) if run["tags"]["model"] == model]
    (folder,) = (home / "data" / "ecal" / "simulated").glob("n2000_*")
    out = tmp_path / "scores.parquet"
    done = hepbench("predict", run["id"][:12], *sorted(folder.iterdir()), "--out", out, home=home)
    assert done.returncode == 0, done.stderr
    stored = scores_of(home, run, tmp_path).to_pandas().set_index("id")
    made = pq.read_table(out).to_pandas().set_index("id")
    assert len(made) == 2000
    np.testing.assert_allclose(made.loc[stored.index]["score_electron"], stored["score_electron"], rtol=1e-5, atol=1e-6)


def test_the_same_seed_gives_the_same_scores_and_another_does_not(benched, tmp_path):
    home, _ = benched
    options = ("--budget", "smoke", "--model=gbdt", "--model=mlp", "--force")
    done = hepbench("bench", "ecal", *options, "--seed", 0, "--seed", 1, home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    assert_the_seed_decides(home, ("gbdt", "mlp"), MODELS, tmp_path)


@pytest.mark.long
@pytest.mark.takes(40)
def test_the_seed_decides_the_scores_of_networks_in_other_processes(home, tmp_path):
    bench = ("bench", "ecal", "--budget", "smoke", "--events", 600, "--model=cnn", "--model=gnn")
    for options in (("--model=prior", "--seed", 0), ("--force", "--seed", 0, "--seed", 1)):
        done = console_script(*bench, *options, home=home)
        assert done.returncode == 0, done.stdout + done.stderr
    assert_the_seed_decides(home, ("cnn", "gnn"), ("cnn", "gnn", "prior"), tmp_path)


def assert_the_seed_decides(home: Path, models: tuple[str, ...], every: tuple[str, ...], tmp_path: Path) -> None:
    """Of these models, which were trained twice with seed 0 and once with seed 1, among all that are there."""
    for model in models:
        by_seed = {0: [], 1: []}
        for run in finals(home):
            if run["tags"]["model"] == model:
                by_seed[int(run["tags"]["seed"])].append(scores_of(home, run, tmp_path))
        first, again = by_seed[0]
        assert first.equals(again), model
        assert not first.equals(by_seed[1][0]), model
    rows = json.loads(hepbench("leaderboard", "ecal", "--format", "json", home=home).stdout)
    seeds = {row["model"]: row["seeds"] for row in rows}
    assert seeds.keys() == set(every) and {seeds[model] for model in models} == {2} and seeds["prior"] == 1


def test_dry_run_runs_nothing(home):
    done = hepbench("bench", "magic", "--dry-run", home=home)
    assert done.returncode == 0, done.stderr
    assert "to run" in done.stdout and "skipped" in done.stdout
    assert "needs image inputs; the task has table" in done.stdout
    assert finals(home, "magic") == []
    done = hepbench("bench", "ecal", "--dry-run", "--budget", "smoke", home=home)
    assert "2,000 events would be simulated first" in done.stdout
    assert not (home / "data" / "ecal" / "simulated").exists()


def test_another_number_of_events_is_another_result_in_a_table_of_its_own(home):
    magic = ("bench", "magic", "--model", "prior", "--budget", "smoke")
    for events in ((), ("--events", 600), ("--events", 10**9)):
        done = hepbench(*magic, *events, home=home)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "magic · official data · budget smoke, events=600 · 90 test events" in done.stdout
    runs = {run["tags"].get("events"): run for run in finals(home, "magic")}
    assert {events: run["metrics"]["test_events"] for events, run in runs.items()} == {
        None: 300,
        "600": 90,
        "1000000000": 2853,  # all that there are
    }
    assert len({run["tags"]["identity"] for run in runs.values()}) == 3
    assert "--events 600" in runs["600"]["tags"]["command"]
    again = hepbench(*magic, "--events", 600, home=home)
    assert "1 of 1 results already exist" in again.stdout
    assert "--events 600" in (home / "results" / "reports" / "magic.html").read_text()
    done = hepbench("bench", "ecal", "--model", "prior", "--budget", "full", "--events", 400, "--dry-run", home=home)
    assert "data: 400 events would be simulated first" in done.stdout


def test_a_users_own_model_and_task_outside_the_repository(home, tmp_path):
    """The tagger as the README shows it, and the task of the examples."""
    shown = (ROOT / "README.md").read_text().split("# my_tagger.py\n", 1)[1].split("```", 1)[0]
    for name, text in (("my_tagger.py", shown), ("my_task.py", (ROOT / "examples" / "my_task.py").read_text())):
        assert len(text.splitlines()) <= 40
        (tmp_path / name).write_text(text)
    options = ("--model", tmp_path / "my_tagger.py", "--model", "prior", "--budget", "smoke")
    done = hepbench("bench", tmp_path / "my_task.py", *options, home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(hepbench("leaderboard", tmp_path / "my_task.py", "--format", "json", home=home).stdout)
    assert {row["model"] for row in rows} == {"my_tagger", "prior"}


THREE = """
import numpy as np
from hepbench import Model

class Fitted:
    trainable_parameters = 0
    def predict(self, sample): return np.full((len(sample), 3), 1 / 3, np.float32)
    def save(self, folder): pass

def fit(train, valid, parameters, **rest): return Fitted()
MODEL = Model(title="x", view="table", defaults={}, space=lambda trial: {}, fit=fit)
"""


def test_a_failing_model_is_recorded_and_the_others_go_on(home, tmp_path):
    broken, three = tmp_path / "broken_tagger.py", tmp_path / "three.py"
    broken.write_text(
        "from hepbench.benchmarks.base import Model\n"
        "def fit(train, valid, parameters, **rest):\n"
        "    raise RuntimeError('the loss ran away')\n"
        "MODEL = Model(title='x', view='table', defaults={}, space=lambda trial: {}, fit=fit)\n"
    )
    three.write_text(THREE)
    models = ("--model", broken, "--model", three, "--model", "prior")
    done = hepbench("bench", "magic", *models, "--budget", "smoke", home=home)
    assert done.returncode == 1
    assert "the loss ran away" in done.stdout
    assert "predict of three gives scores of shape (300, 3) for 300 events: expected (300, 2), a " in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    states = {run["tags"]["model"]: run["status"] for run in finals(home, "magic")}
    assert states == {"broken_tagger": "FAILED", "three": "FAILED", "prior": "FINISHED"}
    failed = {run["tags"]["model"]: run["tags"] for run in finals(home, "magic") if run["status"] == "FAILED"}
    assert "the loss ran away" in failed["broken_tagger"]["failure"]


# --- a user's mistakes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["bench", "eacl"], ["unknown task 'eacl'", "did you mean 'ecal'"]),
        (["bench", "ecal", "--model", "cn"], ["unknown model 'cn'", "did you mean 'cnn'"]),
        (["bench", "ecal", "--budget", "quik"], ["unknown budget 'quik'", "did you mean 'quick'"]),
        (["bench", "ecal", "--device", "gup"], ["unknown device 'gup'", "did you mean 'gpu'"]),
        (["bench", "ecal", "--backend", "torch"], ["unknown backend 'torch'", "tensorflow, jax"]),
        (["bench", "ecal", "--data", "real"], ["unknown data 'real'", "official"]),
        (["bench", "ecal", "--data", "official"], ["official files of ecal are missing", "make data TASK=ecal"]),
        (["bench", "magic", "--data", "simulated"], ["only genuine data"]),
        (["bench", "ecal", "--seeds", "0"], ["seeds must be at least 1, got 0"]),
        (["bench", "ecal", "--seeds", "many"], ["many", "integer"]),
        (["bench", "ecal", "--events", "1"], ["--events", "1", "x>=2"]),
        (["bench"], ["TASK"]),
        (["bench", "./absent.py"], ["no task file ./absent.py"]),
        (["leaderboard", "ecal"], ["no finished runs of ecal", "make bench TASK=ecal"]),
        (["leaderboard", "ecal", "--format", "xml"], ["unknown format 'xml'", "table, json, csv, markdown"]),
        (["validate", "magic"], ["no calibration figures"]),
        (["predict", "abc", "README.md"], ["no finished trial"]),
    ],
)
def test_a_mistake_is_one_line_and_status_2(arguments, words, home):
    assert_user_mistake(hepbench(*arguments, home=home), *words)


def test_gpu_asked_for_where_there_is_none(home):
    if shutil.which("nvidia-smi") and subprocess.run(["nvidia-smi", "-L"], capture_output=True).returncode == 0:
        pytest.skip("this machine has an NVIDIA GPU")
    assert_user_mistake(hepbench("bench", "ecal", "--device", "gpu", home=home), "DEVICE=gpu", "no NVIDIA GPU is found")


def test_a_bad_official_file(home):
    folder = home / "data" / "ecal" / "official"
    folder.mkdir(parents=True)
    images = images_by_hand(8)
    images[3, 5, 5, 0] = -1
    for source in registry.find("task", "ecal").record.sources:
        write_images(folder / source.name, images, np.zeros(8, np.float32))
    done = hepbench("bench", "ecal", "--budget", "smoke", home=home)
    assert_user_mistake(done, "SinglePhotonPt50_IMGCROPS_n249k_RHv1.hdf5", "event 3: negative energy")
    assert not any(path.is_dir() for path in (home / "data" / "ecal" / "prepared").iterdir())


def test_an_unwritable_store(tmp_path):
    """A file stands where the folder should be: not even an administrator can write there."""
    (tmp_path / "results").write_text("")
    assert_user_mistake(hepbench("bench", "magic", "--budget", "smoke", home=tmp_path), "results", str(tmp_path))
    done = hepbench("bench", "magic", home=tmp_path / "h", MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert_user_mistake(done, "http://127.0.0.1:9", "does not answer")


@pytest.mark.parametrize(
    "arguments",
    ["simulate ecal --out {small}/files --events 10000", "bench ecal --budget smoke"],
    ids=["simulate", "prepare"],
)
def test_a_full_disk(tmp_path, arguments):
    """On a real file system of 3 MiB, mounted in a name space of its own."""
    small = tmp_path / "small"
    small.mkdir()
    script = (
        f"mount -t tmpfs -o size=3m tmpfs {small} && HEPBENCH_HOME={small} {sys.executable} "
        f"-c 'from hepbench.suite.cli import main; main()' {arguments.format(small=small)}; "
        f"echo status $?; find {small} -not -path '*simulated*' -name '*.hdf5'; "
        f"find {small} -name '*.npy' -not -path '*/.*'"
    )
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"this machine lets nobody mount a small file system: {done.stderr.strip()}")
    printed, _, left = done.stdout.partition("status ")
    assert left == "2\n", printed + left + done.stderr
    assert "disk full while writing" in done.stderr
    assert "Traceback" not in done.stderr


# --- the other verbs -------------------------------------------------------------------------------------------------


def test_simulate_goes_where_bench_looks_or_where_it_is_told(home, tmp_path):
    done = hepbench("simulate", "ecal", "--events", 200, "--seed", 0, "--jobs", 2, home=home)
    assert done.returncode == 0, done.stderr
    assert "per second with 2 processes" in done.stdout
    (folder,) = (path for path in (home / "data" / "ecal" / "simulated").iterdir() if path.is_dir())
    assert folder.name.startswith("n200_seed0_")
    out = tmp_path / "files"
    done = hepbench("simulate", "ecal", "--events", 200, "--jobs", 1, "--out", out, home=home)
    assert done.returncode == 0, done.stderr
    for path in folder.iterdir():
        assert path.read_bytes() == (out / path.name).read_bytes()
    again = hepbench("simulate", "ecal", "--events", 200, "--out", out, home=home)
    assert_user_mistake(again, str(out), "already exists: give a new folder")


def test_validate_and_describe_print_and_write_a_page(benched):
    home, _ = benched
    done = hepbench("validate", "ecal", "--events", 2000, home=home)
    assert done.returncode == 0, done.stderr
    assert "phi width, electron, mean" in done.stdout
    assert "of 63 agree" in done.stdout
    page = (home / "results" / "reports" / "ecal-validation.html").read_text()
    assert "phi width, electron, mean" in page and "<svg" in page
    done = hepbench("describe", "ecal", home=home)
    assert done.returncode == 0, done.stderr
    for word in (
        "0 photon, 1 electron",
        "image (32, 32, 2)",
        "1910.07029",
        "parallel ResNet-15",
        "87,010,508 bytes",
        "cnn_ecal_study: AUC 0.8104",
    ):
        assert word in done.stdout
    assert (home / "results" / "reports" / "ecal-description.html").read_text().count("<svg") > 10


def test_a_saved_model_that_does_not_load_says_how_to_train_it_again(tmp_path):
    spec = Spec("magic", "mlp", 3, "smoke", "official", "cpu", "tensorflow", {"width": 8})
    (tmp_path / "trial.json").write_text(json.dumps({"spec": dataclasses.asdict(spec)}))
    np.savez(tmp_path / "scaling.npz")
    (tmp_path / "network.keras").write_text("of another version")
    with pytest.raises(UserError, match=r"again with `hepbench bench magic --model mlp --seed 3 .* width=8 --force`"):
        load_model(tmp_path)


def test_a_task_with_a_study_alone_has_no_leaderboard(home):
    store = runs.connect(None, home / "results")
    store.finish(store.start("magic", "tune", tags={"stage": "tune"}, parameters={}), "FINISHED")
    assert_user_mistake(hepbench("leaderboard", "all", home=home), "no finished runs", "make bench TASK=all")
