"""What notebooks and scripts call gives data frames, from wherever it is called."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import hepbench
from hepbench import UserError

SCRIPT = """
import hepbench

table = hepbench.bench("magic", models="gbdt", budget="smoke", jobs=2, progress=print)
print("AUC", round(table.loc[0, "auc"], 3), table.loc[0, "note"] == "")
"""


def test_a_bench_gives_a_row_a_model_and_a_leaderboard_reads_the_store(tmp_path, trials_in_a_thread):
    broken = tmp_path / "broken.py"
    broken.write_text(
        "from hepbench import Model\n"
        "def fit(train, valid, parameters, **rest):\n"
        "    raise RuntimeError('the loss ran away')\n"
        "MODEL = Model(title='x', view='table', defaults={}, space=lambda trial: {}, fit=fit)\n"
    )
    told: list[str] = []
    asked = ["prior", "gbdt", "cnn", broken]
    table = hepbench.bench("magic", asked, seeds=2, budget="smoke", settings={"max_depth": 3}, progress=told.append)
    assert list(table["model"]) == ["gbdt", "prior", "cnn", "broken"]
    trees, floor, images, failed = (row for _, row in table.iterrows())
    assert (trees["rank"], floor["rank"]) == (1, 2)
    assert 0.7 < trees["auc"] < 1 and 0 < trees["auc_error"] < 0.1 and trees["auc_spread"] >= 0
    assert (floor["auc"], trees["set"], trees["note"], list(trees["seed_list"])) == (0.5, "max_depth=3", "", [0, 1])
    assert len(trees["run_ids"]) == trees["seeds"] == 2
    assert images["note"] == "skipped: needs image inputs; the task has table"
    assert "seed 0 failed: RuntimeError: the loss ran away; seed 1 failed:" in failed["note"]
    assert images["auc"] != images["auc"] and table["auc"].dtype == float
    assert told[1] == "trials: 6 to run, 0 already done" and sum(line.startswith("done") for line in told) == 4

    again = hepbench.bench("magic", ["prior"], seeds=[1], budget="smoke", force=False)
    assert list(again["seed_list"]) == [[1]] and again.loc[0, "run_ids"] == [floor["run_ids"][1]]
    ranking = hepbench.leaderboard("magic")
    assert list(ranking["model"]) == ["gbdt", "prior"] and list(ranking["seeds"]) == [2, 2]
    assert set(ranking.columns) == set(table.columns) - {"note"}


@pytest.mark.parametrize(
    "options, fault",
    [
        (("eacl",), "unknown task 'eacl', did you mean 'ecal'"),
        (("magic", "gbtd"), "unknown model 'gbtd', did you mean 'gbdt'"),
        (
            ("magic", [hepbench.Model("x", "table", {}, lambda trial: {})]),
            "a model or the path of its file, got a Model",
        ),
    ],
)
def test_a_mistake_is_told_without_a_run(options, fault, home):
    with pytest.raises(UserError, match=fault):
        hepbench.bench(*options, budget="smoke")
    with pytest.raises(UserError, match="events must be at least 2, got 1"):
        hepbench.bench("magic", budget="smoke", events=1)
    assert not home.exists()


def test_a_leaderboard_without_runs():
    with pytest.raises(UserError, match="no finished runs of magic"):
        hepbench.leaderboard("magic")


def test_the_lists():
    assert {"magic", "ecal"} <= set(hepbench.tasks())
    assert {"gbdt", "particlenet"} <= set(hepbench.models())


@pytest.mark.parametrize("way", [pytest.param("standard input", marks=pytest.mark.long), "a script without a guard"])
def test_a_program_needs_no_guard(way, tmp_path, home):
    path = tmp_path / "first.py"
    path.write_text(SCRIPT)
    by_name = [sys.executable, str(path)]
    done = subprocess.run(
        by_name if way != "standard input" else [sys.executable, "-"],
        input=None if way != "standard input" else SCRIPT,
        env={**os.environ, "HEPBENCH_HOME": str(home)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "done 1/1 gbdt seed 0: AUC 0.8" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("AUC 0.8") and done.stdout.rstrip().endswith("True")


def test_importing_it_is_light():
    program = f"import sys, hepbench; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


HEAVY = ("tensorflow", "keras", "mlflow", "xgboost", "pandas", "scipy", "rich", "psutil", "distributed", "optuna")
