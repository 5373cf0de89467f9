"""`--batch-size auto`: the largest batch that fits is found before a trial, and is the trial's from then on."""

from __future__ import annotations

import json

import pytest
from conftest import assert_user_mistake, hepbench

from hepbench.benchmarks.base import UserError
from hepbench.suite import batch_size, device
from hepbench.suite.trial import run as run_module
from hepbench.suite.trial.spec import Spec, look_up

BACKENDS = ("tensorflow", "jax")


def full_memory(backend):
    """What this backend raises where memory has run out."""
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor with shape[65536,4096]")
    import jax

    return jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1073741824 bytes.")


def test_the_largest_that_fits_is_a_power_of_two():
    assert batch_size.largest(lambda size: size <= 100, 1024) == (64, (1024, 512, 256, 128))
    assert batch_size.largest(lambda size: True, 1024) == (1024, ())
    assert batch_size.largest(lambda size: False, 4) == (0, (4, 2, 1))
    assert [batch_size.most_for(events) for events in (1, 16, 1_000, 16_000, 10**9)] == [1, 1, 32, 512, 2**15]


@pytest.mark.parametrize("backend", BACKENDS)
def test_memory_that_has_run_out_is_known_from_other_faults(backend):
    pytest.importorskip(backend)
    assert device.out_of_memory(full_memory(backend)) and device.out_of_memory(MemoryError())
    assert not device.out_of_memory(RuntimeError("INVALID_ARGUMENT: shapes")) and not device.out_of_memory(OSError())


@pytest.mark.parametrize("backend", BACKENDS)
def test_steps_that_run_out_of_memory_are_stepped_down(backend, monkeypatch):
    """`warm_up` of this process in place of a backend's."""
    pytest.importorskip(backend)
    error = full_memory(backend)

    def set_up(trial, train, valid):
        if trial.hyperparameters["batch_size"] > 8:
            raise error

    monkeypatch.setattr(device, "load_keras", lambda *chosen, ours: None)
    monkeypatch.setattr(run_module, "open_samples", lambda *digests: (None, {"train": None, "validation": None}))
    monkeypatch.setattr(batch_size, "set_up_training", set_up)
    spec = Spec("ecal", "mlp", 0, "smoke", "simulated", "cpu", backend, {"batch_size": batch_size.AUTO})
    assert batch_size.largest(lambda size: batch_size.fits_into_memory(spec, "", "", size), 32) == (8, (32, 16))
    monkeypatch.setattr(batch_size, "set_up_training", lambda *parts: (_ for _ in ()).throw(ValueError("shapes")))
    with pytest.raises(ValueError, match="shapes"):
        batch_size.fits_into_memory(spec, "", "", 8)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_trial_that_runs_out_of_memory_says_what_to_do(backend):
    pytest.importorskip(backend)
    trial = look_up(Spec("ecal", "mlp", 0, "smoke", "simulated", "cpu", backend, {"batch_size": 4096}))
    with (
        pytest.raises(
            UserError, match=r"mlp ran out of memory with batches of 4,096.* batch_size=2048, or --batch-size"
        ),
        run_module._lack_of_memory_told(trial),
    ):
        raise full_memory(backend)


@pytest.mark.long
def test_a_bench_finds_its_batch_size_and_keeps_it(home):
    asked = "bench", "ecal", "--model", "mlp,prior", "--budget", "smoke", "--events", 400
    done = hepbench(*asked, "--batch-size", "auto", home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "mlp: batch size 16\n" in done.stdout  # of 280 training events
    again = hepbench(*asked, "--set", "batch_size=16", home=home)
    assert "2 of 2 results already exist" in again.stdout
    rows = json.loads(hepbench("leaderboard", "ecal", "--format", "json", home=home).stdout)
    assert {row["model"]: row["set"] for row in rows} == {"mlp": "batch_size=16", "prior": ""}


def test_what_cannot_be_found_here_is_a_mistake(home):
    both = "bench", "ecal", "--batch-size", "auto"
    assert_user_mistake(hepbench(*both, "--set", "batch_size=8", home=home), "give only one of them")
    assert_user_mistake(
        hepbench(*both, "-m", "mlp", "--scheduler", "tcp://127.0.0.1:9", home=home), "the trials run on others"
    )
    assert_user_mistake(
        hepbench("tune", "ecal", "-m", "mlp", "--set", "batch_size=auto", home=home), "expected a whole number"
    )
