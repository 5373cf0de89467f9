"""What a page says of the results in a store."""

from __future__ import annotations

from hepbench.benchmarks import registry
from hepbench.suite.results import _commands


def test_a_page_says_how_its_own_rows_are_made_again():
    common = {"budget": "quick", "data": "simulated", "seeds": 1, "set": "", "asked_events": None, "start": ""}
    common |= {"submitted": False}
    rows = [
        {**common, "model": "gbdt"},
        {**common, "model": "particlenet_lite"},
        {**common, "model": "mlp", "set": "blocks=2 width=64"},
        {**common, "model": "gbdt", "seeds": 3},
    ]
    assert _commands(registry.find("task", "ecal"), rows) == [
        "make bench TASK=ecal MODEL='gbdt particlenet_lite' BUDGET=quick DATA=simulated SEEDS=1",
        "make bench TASK=ecal MODEL=mlp BUDGET=quick DATA=simulated SEEDS=1 SET='blocks=2 width=64'",
        "make bench TASK=ecal MODEL=gbdt BUDGET=quick DATA=simulated SEEDS=3",
    ]
