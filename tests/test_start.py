"""Training on from the network that a run saved."""

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import assert_user_mistake, console_script, hepbench

from hepbench.benchmarks.base import UserError
from hepbench.suite.training.network import load_weights
from hepbench.suite.trial import warm_start
from hepbench.suite.trial.artifacts import load_model
from hepbench.suite.trial.spec import Spec, command_for, identity_of, look_up
from hepbench.tracking import runs

SPEC = Spec("magic", "mlp_pxd6", 0, "smoke", "official", "cpu", "tensorflow")
MODEL = ("--model", "mlp_pxd6", "--budget", "smoke")


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A home with finished runs: of a network, and of logistic regression."""
    home = tmp_path_factory.mktemp("begun")
    done = hepbench("bench", "magic", *MODEL, "--model", "logistic", "--set", "scaling=robust", home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    return home


def finals(home, **tags):
    return runs.connect(None, home / "results").runs("magic", tags={"stage": "final", **tags})


def one(home, **tags):
    (run,) = finals(home, **tags)
    return run


def test_weights_and_scaling_are_taken_over(begun, tmp_path):
    """A training at rate 0 gives the scores of the run that it starts from, whatever the seed; and says where it
    started."""
    begin = one(begun, model="mlp_pxd6", start="")
    still = [f"--set={setting}" for setting in ("scaling=robust", "learning_rate=0", "epochs=1")]
    done = hepbench("bench", "magic", *MODEL, *still, "--from", begin["id"][:10], "--seeds", 2, home=begun)
    assert done.returncode == 0, done.stdout + done.stderr
    store = runs.connect(None, begun / "results")
    found = [begin, *finals(begun, start=begin["id"])]
    assert [run["tags"]["seed"] for run in found] == ["0", "0", "1"]
    folders = [store.download(run["id"], "", tmp_path / run["id"]) for run in found]
    scores = [pq.read_table(folder / "scores.parquet")["score_gamma"].to_numpy() for folder in folders]
    for others in scores[1:]:
        np.testing.assert_array_equal(others, scores[0])
    scalings = [load_model(folder / "model").scaling["table"] for folder in folders]
    for shift, scale in scalings[1:]:
        np.testing.assert_array_equal(shift, scalings[0][0])
        np.testing.assert_array_equal(scale, scalings[0][1])
    for run in found[1:]:
        assert f"--from {begin['id']} " in run["tags"]["command"]
    rows = json.loads(hepbench("leaderboard", "magic", "--format", "json", home=begun).stdout)
    assert {row["start"]: row["seeds"] for row in rows if row["model"] == "mlp_pxd6"} == {"": 1, begin["id"]: 2}
    printed = hepbench("leaderboard", "magic", "--format", "markdown", home=begun).stdout
    assert f"scaling=robust from {begin['id'][:8]} |" in printed
    assert f"--from {begin['id']}" in (begun / "results" / "reports" / "magic.html").read_text()
    again = hepbench("bench", "magic", *MODEL, *still, "--from", begin["id"], "--seeds", 2, home=begun)
    assert "2 of 2 results already exist" in again.stdout


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["magic", "--from", "zz", *MODEL], ["no finished trial", "'zz'"]),
        (
            ["magic", "--from", "NETWORK", *MODEL],
            ["has scaling=robust, and scaling=standard is asked", "--set scaling"],
        ),
        (
            ["magic", "--from", "NETWORK", *MODEL, "--set", "scaling=robust", "--set", "widths=6-7"],
            ["has widths=6-6, and widths=6-7 is asked for", "give --set widths=6-6"],
        ),
        (["magic", "--from", "NETWORK", "--model", "mlp"], ["of the model mlp_pxd6, not of mlp", "--model mlp_pxd6"]),
        (["magic", "--from", "NETWORK"], ["of the model mlp_pxd6, not of gbdt", "--model mlp_pxd6"]),
        (["magic", "--from", "LOGISTIC", "--model", "logistic"], ["of logistic, no network"]),
        (["pxd_clusters", "--from", "NETWORK", *MODEL], ["of the task magic, not of pxd_clusters"]),
        (["pxd_clusters:pion_vs_background", "--from", "NETWORK", *MODEL, "--dry-run"], ["of the task magic, not of"]),
    ],
)
def test_another_network_or_task_is_refused_before_anything_starts(begun, arguments, words):
    ids = {"NETWORK": one(begun, model="mlp_pxd6", start="")["id"], "LOGISTIC": one(begun, model="logistic")["id"]}
    before = len(finals(begun))
    assert_user_mistake(hepbench("bench", *(ids.get(word, word) for word in arguments), home=begun), *words)
    assert len(finals(begun)) == before and not (begun / "data" / "pxd_clusters").exists()


def test_a_run_without_a_saved_network_is_refused(home):
    store = runs.connect(None, home / "results")
    tags = {"stage": "final", "task": "magic", "model": "mlp_pxd6", "command": "hepbench bench magic"}
    store.finish(run_id := store.start("magic", "mlp_pxd6 seed 0", tags=tags, parameters={}), "FINISHED")
    done = hepbench("bench", "magic", *MODEL, "--from", run_id, home=home)
    assert_user_mistake(done, f"run {run_id[:8]} has saved no network: run `hepbench bench magic`")


def test_other_data_of_the_same_kind_may_hold_test_events():
    """More simulated events are divided anew; of official data after simulated ones nothing can have been seen."""
    tags = {"task": "ecal", "data": "simulated", "data_digest": "a", "budget": "smoke"}
    run = {"id": "0123456789", "tags": tags}
    warm_start.check_data(run, tags)
    warm_start.check_data(run, {**tags, "budget": "quick"})
    warm_start.check_data(run, {**tags, "data": "official", "data_digest": "b"})
    with pytest.raises(
        UserError, match=r"run 01234567 was trained on other simulated data of ecal.* the run had, smoke"
    ):
        warm_start.check_data(run, {**tags, "data_digest": "b"})


def test_it_is_part_of_the_identity():
    other = replace(SPEC, start="0123456789")
    assert identity_of(look_up(SPEC), "data", "split") != identity_of(look_up(other), "data", "split")
    assert "--from" not in command_for(SPEC) and "--from 0123456789 " in command_for(other)


def test_weights_of_other_shapes_are_refused():
    import keras

    network = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    load_weights(network, [np.ones((3, 2)), np.zeros(2)])
    assert np.asarray(network.weights[0]).all()
    with pytest.raises(UserError, match=r"weights of \(3, 2\) and \(4, 2\)"):
        load_weights(network, [np.ones((4, 2)), np.zeros(2)])
    with pytest.raises(UserError, match="2 and 1 weights"):
        load_weights(network, [np.ones((3, 2))])


@pytest.mark.long
@pytest.mark.takes(35)
def test_in_other_processes_and_with_normalisation(tmp_path):
    """Moving averages and layers of our own are taken over too: steps that hardly change it leave the saved network."""
    some = ("--model", "gnn", "--budget", "smoke", "--events", 1000)
    made = hepbench("bench", "ecal", *some, home=tmp_path)
    assert made.returncode == 0, made.stdout + made.stderr
    store = runs.connect(None, tmp_path / "results")
    (begin,) = store.runs("ecal", tags={"stage": "final"})
    options = ("--from", begin["id"][:12], "--seeds", 2, "--jobs", 2, "--set", "learning_rate=1e-7")
    done = console_script("bench", "ecal", *some, *options, home=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    trained = begin["metrics"]["final_val_log_loss"]
    assert abs(store.history(begin["id"], "val_loss")[0][1] - trained) > 1e-3  # what another network has
    resumed = store.runs("ecal", tags={"stage": "final", "start": begin["id"]})
    assert len(resumed) == 2
    for run in resumed:
        assert abs(store.history(run["id"], "val_loss")[0][1] - trained) < 1e-3
