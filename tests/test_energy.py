"""Joules from the counters of processors, docs/timing.md; the counters here are files of the test's own."""

from __future__ import annotations

from conftest import ROOT

from hepbench.suite.trial.run import _used
from hepbench.tracking.hardware import energy
from hepbench.tracking.hardware.sampler import Sampler
from hepbench.tracking.leaderboard.ranking import ENERGY
from hepbench.tracking.leaderboard.table import NUMBERS


def counter(folder, zone, name, microjoules, most=1_000_000_000):
    (folder / zone).mkdir(exist_ok=True)
    for file, text in {"name": name, "energy_uj": microjoules, "max_energy_range_uj": most}.items():
        (folder / zone / file).write_text(f"{text}\n")


def test_packages_and_memory_count_and_run_over(tmp_path, monkeypatch):
    monkeypatch.setattr(energy, "POWERCAP", tmp_path)
    counter(tmp_path, "intel-rapl:0", "package-0", 999_000_000)
    counter(tmp_path, "intel-rapl:0:0", "core", 5)
    counter(tmp_path, "intel-rapl:0:1", "dram", 10_000_000)
    counter(tmp_path, "intel-rapl:1", "psys", 7)
    meter = energy.ProcessorEnergy()
    assert (meter.unavailable, meter.joules()) == ("", 0)
    counter(tmp_path, "intel-rapl:0", "package-0", 1_000_000)  # 2 J later it has begun again
    counter(tmp_path, "intel-rapl:0:0", "core", 1_000_000)
    counter(tmp_path, "intel-rapl:0:1", "dram", 13_000_000)
    assert meter.joules() == 2 + 3
    (tmp_path / "intel-rapl:0" / "energy_uj").unlink()
    assert meter.joules() is None and "No such file" in meter.unavailable


def test_what_cannot_be_read_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(energy, "POWERCAP", tmp_path / "none")
    with Sampler() as sampler:
        assert sampler.energy() == {}
    assert "no RAPL counters" in sampler.unavailable["cpu energy"]


def test_a_sampler_tells_joules(tmp_path, monkeypatch):
    monkeypatch.setattr(energy, "POWERCAP", tmp_path)
    counter(tmp_path, "intel-rapl:0", "package-0", 1_000_000)
    with Sampler() as sampler:
        before = sampler.energy()
        counter(tmp_path, "intel-rapl:0", "package-0", 4_500_000)
        assert _used(before, sampler.energy()) == {"cpu": 3.5}
    assert "cpu energy" not in sampler.unavailable


def test_every_number_of_energy_has_a_column():
    from hepbench.suite.cli import _columns

    assert _columns(None, None, ("auc", "energy")) == ("auc", *ENERGY)
    assert set(ENERGY) <= NUMBERS.keys()
    text = (ROOT / "docs" / "timing.md").read_text()
    assert all(f"`{name}`" in text for name in ENERGY)
