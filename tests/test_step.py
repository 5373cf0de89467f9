"""`hepbench measure step` and `measure monitor`: profile of a training step, and the overhead of monitoring."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
from conftest import assert_user_mistake, hepbench

from hepbench.suite.profiling import step
from hepbench.suite.profiling.sampling import sampler_cost

# Keras 3.15 converts TensorFlow's variables with a numpy call that numpy 2 deprecates
ON_KERAS = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def event(name: int, start: int, length: int, **stats: int) -> SimpleNamespace:
    given = [SimpleNamespace(metadata_id=9, int64_value=value, uint64_value=0) for value in stats.values()]
    return SimpleNamespace(metadata_id=name, offset_ps=start, duration_ps=length, stats=given)


def test_a_kernel_within_another_is_counted_once():
    names = {1: "while:While", 2: "a/b:MatMul", 3: "MemoryAllocation", 4: "Session::Run", 5: "a/c:_FusedRelu"}
    line = SimpleNamespace(
        events=[event(4, 0, 900), event(1, 0, 100), event(2, 10, 30), event(3, 12, 0, size=64), event(5, 50, 20)]
    )
    found = list(step._own_seconds(line, names, {9: "allocation_bytes"}))
    assert sorted(found) == [("a/b:MatMul", 30e-12, 64), ("a/c:_FusedRelu", 20e-12, 0), ("while:While", 50e-12, 0)]


def test_stages_and_layers_are_told_by_names():
    forward = "while/body/_1/while/functional_1/dense_1/BiasAdd"
    assert step._stage_and_layer(forward) == ("forward", "dense_1")
    backward = "while/body/_1/gradient_tape/while/functional_1/dense_1/MatMul/MatMul"
    assert step._stage_and_layer(backward) == ("backward", "dense_1")
    assert step._stage_and_layer("while/body/_1/while/adam/ResourceApplyAdam") == ("update", "")


@ON_KERAS
def test_a_step_is_profiled(home):
    asked = ("measure", "step", "--task", "magic", "-m", "mlp", "--seconds", 0.01, "--format", "markdown")
    done = hepbench(*asked, home=home)
    assert done.returncode == 0, done.stderr
    assert re.search(r"A step of 128 events takes \S+ ms, \S+ events/s", done.stdout)
    rows = [line.split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")]
    assert {"forward", "backward", "update"} <= {row[1] for row in rows}
    assert any("MatMul" in row[0] for row in rows) and any("normalization" in row[0] for row in rows)
    shares = [float(row[4].removesuffix(" %")) for row in rows if row[4].endswith("%")]
    assert 195 < sum(shares) < 205  # of two tables


def test_what_has_no_steps_is_told(home):
    done = hepbench("measure", "step", "--task", "magic", "-m", "gbdt", home=home)
    assert_user_mistake(done, "gbdt is not a Keras network")
    done = hepbench("measure", "step", "--task", "magic", "-m", "cnn", home=home)
    assert_user_mistake(done, "cnn on magic: needs image inputs")


def test_the_samplers_cost_is_paired(home):
    cost = sampler_cost(0.4)
    assert cost.pairs == 2 and cost.error >= 0 and cost.samples >= 2 and cost.share < 1
    done = hepbench("measure", "monitor", "--seconds", 0.2, home=home)
    assert done.returncode == 0 and "% of the work: 2 pairs of intervals" in done.stdout
