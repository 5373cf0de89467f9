"""`hepbench measure models` and the counts of parameters that `hepbench list models` shows."""

from __future__ import annotations

import csv
import ctypes
import os
import re
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import ROOT, assert_user_mistake, hepbench, measure

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import Sample
from hepbench.suite.profiling import timing
from hepbench.suite.training.network import Network

ON_KERAS = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


@ON_KERAS
@pytest.mark.parametrize(
    "task", [name if name == "ecal" else pytest.param(name, marks=pytest.mark.long) for name in registry.names("task")]
)
def test_every_network_has_the_parameters_that_are_listed(task, home, monkeypatch):
    """`hepbench measure parameters > benchmarks/parameters.csv` after a change that is meant."""
    names = registry.names
    monkeypatch.setattr(registry, "names", lambda kind: [task] if kind == "task" else names(kind))
    done = hepbench("measure", "parameters", home=home)
    assert done.returncode == 0, done.stderr
    with (ROOT / "benchmarks" / "parameters.csv").open() as file:
        listed = {row["model"]: row[task] for row in csv.DictReader(file) if row[task]}
    assert {row["model"]: row[task] for row in csv.DictReader(done.stdout.splitlines())} == listed


def test_data_are_measured(home):
    done = hepbench("measure", "data", "--task", "ecal", "--simulated", 20, "--read", 100, home=home)
    assert done.returncode == 0, done.stderr
    (cells,) = (line.split("│")[1:-1] for line in done.stdout.splitlines() if "│ ecal" in line)
    assert len(cells) == 8 and cells[2].strip() == "100"
    assert all(float(cell.replace(",", "")) >= 0 for cell in (*cells[1:7],))


def test_list_models_shows_parameters(home):
    done = hepbench("list", "models", home=home, COLUMNS="80")
    assert done.returncode == 0 and "868,993" in done.stdout
    for name in registry.names("model"):
        assert re.search(rf"\b{name}\b", done.stdout)
    with (registry.HOME / "parameters.csv").open() as file:
        for name, *counts in list(csv.reader(file))[1:]:
            lines = "".join(line for line in done.stdout.splitlines() if re.search(rf"│ {name} ", line))
            assert all(f" {int(count):,} " in lines for count in counts if count), lines
    assert_user_mistake(hepbench("list", "model", home=home), "unknown list 'model'", "did you mean 'models'")


def test_networks_and_trees_are_measured(home):
    rows = measure(home, "--task", "ecal", "--model", "mlp", "--model", "pfn", "--model", "logistic")
    assert set(rows) == {"mlp", "pfn", "logistic"}
    for cells in rows.values():
        assert len(cells) == 5 and all(cell.strip() for cell in cells)
    # A dense network takes two FLOPs a weight and a little more
    parameters = int(rows["mlp"][0].replace(",", ""))
    assert 2 <= float(rows["mlp"][1].split()[0]) * 1e6 / parameters < 3


def test_ours_and_keras_in_turns(home):
    models = ("--model", "mlp", "--model", "logistic", "--model", "tabm")
    rows = measure(home, "--task", "ecal", *models, "--against", "keras")
    assert set(rows) == {"mlp", "tabm"} and float(rows["mlp"][3]) > 0
    assert {cell.strip() for cell in rows["tabm"][1:]} == {"–"}  # Keras has no loss of its members


def test_a_slow_network_is_timed_over_as_many_events_as_it_can_do(monkeypatch):
    """And not over all that a fast one would be, which took minutes."""
    asked = []

    def predict(self, sample):
        asked.append(len(sample))
        time.sleep(2e-3 * len(sample))

    monkeypatch.setattr(Network, "predict", predict)
    monkeypatch.setattr(Network, "batch_size", lambda self, sample: 20)
    rows = np.arange(10_000)
    sample = Sample({"table": np.ones((10_000, 3), np.float32)}, rows, rows % 2)
    record = registry.find("model", "mlp").record
    _, train, rate = timing.rates_of(record.build, sample, {**record.defaults, "batch_size": 8}, 2, seconds=0.2)
    assert 300 < rate() <= 500 and 50 <= asked[-1] <= 100
    assert train() > 0


def test_an_unknown_program_is_a_mistake(home):
    done = hepbench("measure", "models", "--against", "kers", home=home)
    assert_user_mistake(done, "unknown program to compare with 'kers'", "did you mean 'keras'")


def test_keras_comes_without_a_word_and_with_onednn():
    """What the process itself prints afterwards is seen."""
    code = """if True:
        import os
        from hepbench.suite import device
        device.load_keras("cpu", "tensorflow")
        os.write(2, os.environb[b"TF_ENABLE_ONEDNN_OPTS"])
    """
    environment = {name: value for name, value in os.environ.items() if name != "TF_ENABLE_ONEDNN_OPTS"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900)
    assert (done.returncode, done.stderr) == (0, "1")


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="this C library has no mallopt")
def test_a_step_takes_the_memory_that_the_last_one_freed():
    """Page faults of 20 arrays of 64 MiB, one after the other, in a thread like those of the backends."""
    code = """if True:
        import resource, threading
        from hepbench.suite import device
        device.set_environment("cpu", "tensorflow")
        def faults():
            bytes([1]) * 2**26
            return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        found = []
        thread = threading.Thread(target=lambda: found.extend(faults() for _ in range(20)))
        thread.start(); thread.join()
        print(found[-1] - found[0])
    """
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert int(done.stdout) < 1000, done.stderr  # 19 times 16,384 where it is given back


def test_flops_are_not_measured_without_jax(monkeypatch):
    from hepbench.suite.commands.measure import _cells
    from hepbench.suite.profiling import models

    monkeypatch.setattr(models.importlib.util, "find_spec", lambda name: None)
    with models.flop_counter() as count_flops:
        assert count_flops(None, None) is None
    cells = _cells(models.ModelRates("mlp", 1000, training=1.0, prediction=2.0))
    assert cells == ["mlp", "1,000", "not measured", "1", "2", "not measured"]
