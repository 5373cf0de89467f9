"""ROOT files: what uproot wrote is read as it was, in chunks, and what is none is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot
from conftest import ROOT, assert_user_mistake, hepbench

from hepbench.benchmarks.base import UserError
from hepbench.benchmarks.formats.columns import columns

JETS = 300


def jets(seed: int = 0) -> dict:
    """Branches of jets: label, a number of each event, a fixed three, and lists of every length from 0 on."""
    rng = np.random.default_rng(seed)
    label = np.arange(JETS, dtype=np.int32) % 2
    count = rng.poisson(6, JETS) + (np.arange(JETS) > 0)
    far = np.where(rng.random(count.sum()) < 0.5, 0.3, -0.3) * np.repeat(label, count)
    lists = {
        "pt": rng.exponential(20, count.sum()) + 1,
        "eta": far + rng.normal(0, 0.05, count.sum()),
        "phi": rng.normal(0, 0.05, count.sum()),
    }
    return {
        "label": label,
        "mass": rng.random(JETS),
        "vertex": rng.normal(size=(JETS, 3)),
        **{name: ak.unflatten(values.astype(np.float32), count) for name, values in lists.items()},
    }


def written(path: Path, compression: object = None, **trees: dict) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with uproot.recreate(path, compression=compression or uproot.ZLIB(1)) as file:
        for name, branches in (trees or {"jets": jets()}).items():
            file[name] = branches
    return path


@pytest.mark.parametrize("kind", ["ZLIB", "LZMA", "LZ4", "ZSTD", "RNTuple"])
def test_branches_are_read_as_they_were_written(tmp_path, kind):
    expected, path = jets(), tmp_path / "jets.root"
    if kind == "RNTuple":
        with uproot.recreate(path) as file:
            file.mkrntuple("jets", expected)
    else:
        written(path, getattr(uproot, kind)(1))
    names = ("label", "mass", "vertex", "pt")
    chunks = list(columns([path, path], names, padded=5, chunk=100))
    np.testing.assert_array_equal(np.concatenate([ids for ids, _ in chunks]), np.arange(2 * JETS))
    assert len(chunks) == 6
    found = {name: np.concatenate([chunk[name] for _, chunk in chunks])[:JETS] for name in names}
    for name in ("label", "mass", "vertex"):
        np.testing.assert_array_equal(found[name], expected[name])
        assert found[name].dtype == expected[name].dtype
    for row, particles in zip(found["pt"], expected["pt"].to_list(), strict=True):
        np.testing.assert_array_equal(row, np.float32([*particles, *[0] * 5][:5]))


def test_what_is_no_tree_of_numbers_is_named(tmp_path):
    path = written(tmp_path / "two.root", jets=jets(), more=jets(), **{"folder/texts": {"word": ak.Array(["a", "b"])}})

    def first(*names: str, path: Path = path, **options) -> None:
        next(columns([path], names, **options))

    for options, fault in (
        ({}, "it has the trees jets, more, folder/texts: choose one of them, such as tree='jets'"),
        ({"tree": "jet"}, "unknown tree of .*two.root 'jet', did you mean 'jets'"),
        (
            {"tree": "jets"},
            "two.root: pt: a variable number of values per event: give the number to keep with padded=...",
        ),
    ):
        with pytest.raises(UserError, match=fault):
            first("pt", **options)
    with pytest.raises(UserError, match=r"unknown branch of .*two.root 'lable', did you mean 'label'"):
        first("lable", tree="more")
    with pytest.raises(UserError, match="word: expected numbers"):
        first("word", tree="folder/texts", padded=2)
    empty = tmp_path / "empty.root"
    with uproot.recreate(empty):
        pass
    with pytest.raises(UserError, match=r"empty\.root: no TTree or RNTuple in it"):
        first("pt", path=empty)


@pytest.mark.parametrize("damage", ["text", "cut", "bytes"])
def test_a_damaged_file_is_named(tmp_path, damage):
    path = written(tmp_path / "jets.root")
    whole = path.read_bytes()
    changed = bytearray(whole)
    middle = slice(len(whole) // 4, len(whole) // 2)  # of the baskets
    changed[middle] = bytes(255 - byte for byte in whole[middle])
    path.write_bytes({"text": b"root,eta\n1,2\n", "cut": whole[: len(whole) // 2], "bytes": bytes(changed)}[damage])
    with pytest.raises(UserError, match=r"jets.root: not a ROOT file, or a damaged one") as caught:
        list(columns([path], ("pt", "label"), padded=5))
    assert len(str(caught.value).splitlines()) == 1


def test_the_example_from_a_root_file_to_predictions(home, tmp_path):
    task = ROOT / "examples" / "root_task.py"
    done = hepbench("bench", task, "--model", "logistic", "--budget", "smoke", home=home)
    assert_user_mistake(done, "data", "root_task")
    branches = {name: values for name, values in jets().items() if name not in ("mass", "vertex")}
    branches = {name: values[1:] for name, values in branches.items()}  # the first jet has no particle
    file = written(home / "data" / "root_task" / "official" / "jets.root", jets=branches)
    done = hepbench("bench", task, "--model", "logistic", "--budget", "smoke", home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    (row,) = json.loads(hepbench("leaderboard", task, "--format", "json", home=home).stdout)
    assert row["auc"] > 0.9 and row["data"] == "official"
    out = tmp_path / "scores.parquet"
    done = hepbench("predict", row["run_ids"][0], file, "--task", task, "--out", out, home=home)
    assert done.returncode == 0 and f"{JETS - 1} events scored" in done.stdout, done.stderr
