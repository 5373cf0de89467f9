"""`hepbench measure gpu`: its dry run passes without a GPU, and a part that fails takes no other with it."""

from __future__ import annotations

import csv
import os
import time
import types

import pytest
from conftest import assert_user_mistake, hepbench

from hepbench.benchmarks.base import UserError
from hepbench.suite.profiling import gpu, gpu_parts
from hepbench.suite.profiling.gpu import Line, Measured, Part, Setting

DRY = Setting(dry=True, device="cpu")


@pytest.mark.long
@pytest.mark.takes(80)
def test_every_part_has_a_dry_run_on_the_processor(home, tmp_path, monkeypatch):
    pytest.importorskip("jax")
    monkeypatch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")  # what is compiled runs for a few steps
    done = hepbench("measure", "gpu", "--dry-run", "--out", tmp_path / "out", home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    text = (tmp_path / "out" / "gpu.md").read_text()
    assert text.startswith("# Dry run: nothing here is a figure of a GPU")
    for name, part in gpu_parts.PARTS.items():
        assert f"## {part.title}\n\n`--only {name}`" in text
    for word in ("failed", "FAILED", "stopped at", "its process ended"):
        assert word not in text, text
    with (tmp_path / "out" / "gpu.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["part"] for row in rows} == set(gpu_parts.PARTS)
    checked = {(row["part"], row["subject"]) for row in rows if row["passed"] == "True"}
    assert {("entries", f"ecal, {model}") for model in ("mlp", "gbdt")} <= checked
    (ratio,) = (row for row in rows if row["quantity"] == "difference of scores after an epoch")
    assert float(ratio["value"]) < 1e-4


def test_an_unknown_part_is_a_mistake(home, tmp_path):
    done = hepbench("measure", "gpu", "--dry-run", "--only", "rate", "--out", tmp_path, home=home)
    assert_user_mistake(done, "unknown part 'rate'", "did you mean 'rates'")


def _crash(setting):
    yield Line("before", {"a": 1.0})
    os._exit(7)


def _hang(setting):
    yield Line("before", {"a": 2.0}, True)
    time.sleep(3600)


def _mistake(setting):
    raise UserError("no events")
    yield


def _fault(setting):
    yield Line("before", {"b": "text"}, False)
    raise ValueError("first line\nsecond line")


FAULTY = {name: Part(name, 600, part) for name, part in (("c", _crash), ("m", _mistake), ("f", _fault), ("h", _hang))}


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # which has threads as it forks
def test_a_part_that_fails_takes_no_other_with_it(monkeypatch, tmp_path):
    """By fork, in place of a new interpreter, so that these parts are known there."""
    context = gpu.multiprocessing.get_context("fork")
    monkeypatch.setattr(gpu.multiprocessing, "get_context", lambda kind: context)
    monkeypatch.setattr(gpu.device, "load_keras", lambda *chosen, ours: None)
    monkeypatch.setattr(gpu, "end_with_parent", lambda: None)
    seen: list[Measured] = []

    def monotonic() -> float:
        """The time is up once the part that hangs does so."""
        hangs = any(one.name == "h" and one.lines for one in seen)
        return time.monotonic() + 1000 * hangs

    monkeypatch.setattr(gpu, "time", types.SimpleNamespace(monotonic=monotonic))
    measured = {one.name: one for one in gpu.run(FAULTY, DRY, tmp_path, seconds=900, listener=seen.append)}
    assert measured["c"].lacks == "its process ended with status 7"
    assert measured["m"].lacks == "not measured: no events"
    assert measured["f"].lacks == "failed: ValueError: first line" and measured["f"].failures == 2
    assert measured["h"].lacks.startswith("stopped at its limit") and measured["h"].lines[0].passed
    text = (tmp_path / "gpu.md").read_text()
    assert all(one.lacks in text for one in measured.values()) and "FAILED" in text
    assert "second line" in (tmp_path / "gpu-errors.txt").read_text()
    assert [one.name for one in seen] == sorted((one.name for one in seen), key="cmfh".index)
