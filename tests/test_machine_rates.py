"""`hepbench doctor --measure`."""

from __future__ import annotations

import pytest
from conftest import hepbench

from hepbench.benchmarks.base import UserError
from hepbench.suite.profiling import machine


@pytest.fixture(autouse=True)
def small(monkeypatch):
    for name, value in {"MATRIX": 64, "COPIED": 2**20, "WRITTEN": 2**16, "SECONDS": 0.01}.items():
        monkeypatch.setattr(machine, name, value)


def test_rates_of_the_machine(tmp_path):
    found = machine.machine_rates(tmp_path, 0.01)
    assert all(rate > 0 and spread >= 0 for rate, spread in (found.matrix, found.copy, found.disk))
    assert not list(tmp_path.iterdir())
    with pytest.raises(UserError, match="cannot be written"):
        machine.machine_rates(tmp_path / "absent", 0.01)


def test_doctor_tells_them(home, monkeypatch):
    monkeypatch.setattr(machine.machine_rates, "__defaults__", (0.01,))
    done = hepbench("doctor", "--measure", home=home)
    assert done.returncode == 0, done.stderr
    assert all(
        word in done.stdout for word in ("matrix multiplication", "GFLOP/s", "memory copy", "disk writes", "GB/s")
    )
    assert "GFLOP/s" not in hepbench("doctor", home=home).stdout
