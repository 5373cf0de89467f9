"""The command that a run keeps: typed again, it gives the same result, whatever the run was."""

import shlex

import pytest
from conftest import hepbench
from test_tune import FAST

from hepbench.tracking import runs

SMOKE = ("--budget", "smoke", "--seed", 1)


def finals(home, task):
    return runs.connect(None, home / "results").runs(task, "FINISHED", {"stage": "final"})


def made(home, *arguments):
    done = hepbench(*arguments, home=home)
    assert done.returncode == 0, done.stdout + done.stderr


def repeated(home, task):
    """The latest run is typed again: (its tags, metrics of the test, those of the new run)."""
    first = finals(home, task)[-1]
    program, *words = shlex.split(first["tags"]["command"])
    assert program == "hepbench"
    made(home, *words)
    again = finals(home, task)[-1]
    assert again["id"] != first["id"]
    for tag in ("identity", "configuration", "set", "seed", "start", "data_digest", "split_hash", "budget", "model"):
        assert again["tags"].get(tag) == first["tags"].get(tag), tag
    tested = [
        {name: value for name, value in run["metrics"].items() if name.startswith("test_")} for run in (first, again)
    ]
    assert tested[0] and tested[0].keys() == tested[1].keys()
    for name, value in tested[0].items():
        assert tested[1][name] == pytest.approx(value, rel=1e-6, nan_ok=True), name
    return first["tags"]


@pytest.mark.long
@pytest.mark.takes(40)
def test_it_repeats_what_was_run(home, tmp_path):
    folder = tmp_path / "my models"
    folder.mkdir()
    (folder / "fast.py").write_text(FAST)
    made(home, "bench", "magic", "--model", "logistic", *SMOKE)
    plain = repeated(home, "magic")
    made(home, "bench", "magic", "--model", "gbdt", "--set", "max_depth=2", "--set", "scaling=robust", *SMOKE)
    assert repeated(home, "magic")["set"]
    made(home, "bench", "magic", "--model", "logistic", "--events", 700, *SMOKE)
    assert repeated(home, "magic")["split_hash"] != plain["split_hash"]
    made(home, "bench", "magic", "--model", folder / "fast.py", "--set", "power=0.25", *SMOKE)
    assert repeated(home, "magic")["model"] == "fast"
    made(home, "tune", "magic", "--model", folder / "fast.py", "--budget", "smoke", "--trials", 12, "--pruner", "none")
    assert repeated(home, "magic")["model"] == "fast"
    made(home, "bench", "magic", "--model", folder / "fast.py", "--tuned", "--budget", "smoke", "--seed", 9)
    assert "power=" in repeated(home, "magic")["set"]


@pytest.mark.long
@pytest.mark.parametrize(
    "task, options",
    [
        ("pxd_clusters:tetraquark_vs_background", ()),
        ("pxd_pixels", ("--set", "features=six")),
    ],
)
def test_it_repeats_a_variant_and_a_set_of_features(home, task, options):
    made(home, "bench", task, "--model", "logistic", "--events", 400, "--data", "simulated", *options, *SMOKE)
    repeated(home, task)


@pytest.mark.long
def test_it_repeats_a_start_from_another_run(home):
    made(home, "bench", "magic", "--model", "mlp_pxd6", "--set", "epochs=1", *SMOKE)
    start = finals(home, "magic")[-1]["id"]
    made(home, "bench", "magic", "--model", "mlp_pxd6", "--set", "epochs=1", "--from", start[:9], *SMOKE)
    assert repeated(home, "magic")["start"] == start
