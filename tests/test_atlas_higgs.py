"""The challenge's file: read as its layout says, refused in one line; its AMS and what it is known to."""

from __future__ import annotations

import gzip
import math
import re
from pathlib import Path

import numpy as np
import pytest
from conftest import assert_user_mistake, hepbench

from hepbench.benchmarks import registry, significance
from hepbench.benchmarks.base import UserError
from hepbench.benchmarks.formats.atlas_higgs import COLUMNS, VARIABLES, read
from hepbench.benchmarks.scored import Scored
from hepbench.suite.data.checked import checked

TASK = registry.find("task", "atlas_higgs").record


def lines(number: int = 8, **changed: str) -> str:
    """Rows as the official file writes them."""
    text = [",".join(COLUMNS)]
    for i in range(number):
        row = dict.fromkeys(VARIABLES, f"{i}.25") | {
            "DER_mass_MMC": "-999.0" if i % 2 else "138.47",
            "PRI_jet_num": "2",
        }
        row |= {"EventId": f"{100000 + i}", "Weight": f"{0.002 + i}", "Label": "bs"[i % 2], "KaggleSet": "tbvu"[i % 4]}
        row |= {"KaggleWeight": f"{0.002653 * i}"} | (changed if i == 5 else {})
        text.append(",".join(row[name] for name in COLUMNS))
    return "\n".join(text) + "\n"


def written(path: Path, text: str) -> Path:
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("name", ["official.csv.gz", "official.csv"])
def test_the_official_layout(tmp_path, name):
    (events,) = checked("x", TASK, read([written(tmp_path / name, lines())]))
    assert events.labels.tolist() == [0, 1] * 4
    np.testing.assert_allclose(events.weights, 0.002 + np.arange(8), rtol=1e-6)
    table = events.arrays["table"]
    assert table.shape == (8, 30) and table.dtype == np.float32
    assert np.isnan(table[:, 0]).tolist() == [False, True] * 4
    np.testing.assert_allclose(table[::2, 0], 138.47, rtol=1e-6)
    np.testing.assert_array_equal(table[:, VARIABLES.index("PRI_jet_all_pt")], np.arange(8) + 0.25)
    assert events.ids.tolist() == [10**9 * (i % 4) + 100000 + i for i in range(8)]
    assert TASK.split(events.labels, events.ids).tolist() == [0, 1, 2, -1] * 2


def test_columns_in_any_order_and_files_of_the_challenge_itself(tmp_path):
    rows = [line.split(",") for line in lines().splitlines()]
    turned = "\n".join(",".join(row[::-1]) for row in rows) + "\n"
    (whole,), (other,) = (list(read([written(tmp_path / f"{i}.csv", t)])) for i, t in enumerate((lines(), turned)))
    np.testing.assert_array_equal(whole.arrays["table"], other.arrays["table"])
    test = "\n".join(",".join(row[:31]) for row in rows) + "\n"  # test.csv: neither weight nor label
    (events,) = read([written(tmp_path / "test.csv", test)])
    assert events.labels is None and events.weights is None
    training = "\n".join(",".join(row[:33]) for row in rows) + "\n"
    (events,) = read([written(tmp_path / "training.csv", training)])
    assert (events.ids // 10**9 == 4).all() and set(TASK.split(events.labels, events.ids)) <= {0, 1, 2}


@pytest.mark.parametrize(
    "saved",
    [
        lambda text: text.encode("utf-16"),
        lambda text: text.replace(",", ";").encode(),
        lambda text: ("# saved again\n" + text.replace("\n", "\r\n")).encode(),
        lambda text: re.sub(r"(.+)", r"\1,note", text).replace("KaggleWeight,note", "KaggleWeight,note").encode(),
    ],
    ids=["UTF-16", "semicolons", "comment", "another column"],
)
def test_files_saved_by_other_programs(tmp_path, saved):
    (expected,) = read([written(tmp_path / "x.csv", lines())])
    (tmp_path / "saved.csv").write_bytes(saved(lines()))
    (events,) = read([tmp_path / "saved.csv"])
    np.testing.assert_array_equal(events.arrays["table"], expected.arrays["table"])
    np.testing.assert_array_equal(events.ids, expected.ids)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda: lines(Label="x"), "event 5: Label is 'x'; expected b, s"),
        (lambda: lines(KaggleSet=""), "event 5: KaggleSet is ''; expected t, b, v, u"),
        (lambda: lines(PRI_met=""), "have no PRI_met; expected -999"),
        (lambda: lines(PRI_met="much"), "after line 1: In CSV column"),
        (lambda: lines().replace("PRI_met,", "PRI_mett,"), "no column 'PRI_met'; expected EventId"),
        (lambda: lines().replace("Weight,Label", "Weigh,Label"), "only one of the columns 'Label' and 'Weight'"),
        (lambda: lines() + "1,2,3\n", "after line 1: 3 columns in '1,2,3'; expected 35"),
        (lambda: lines().replace("PRI_tau_pt,", "PRI_met,"), "no column 'PRI_tau_pt'"),
        (lambda: lines().replace("KaggleWeight\n", "PRI_met\n"), "line 1: 2 columns are called PRI_met"),
        (lambda: lines()[:-3], "truncated: line"),
        (lambda: "\n\n", "no header in it; expected EventId"),
    ],
)
def test_other_files_are_one_line(tmp_path, spoil, words):
    with pytest.raises(UserError) as caught:
        list(read([written(tmp_path / "x.csv", spoil())]))
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_row_that_is_no_text_is_one_line(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(lines().encode() + b"1,\x8d,3\n")
    with pytest.raises(UserError, match=r"x\.csv: after line 1: .*[Ee]xpected 35 columns") as caught:
        list(read([path]))
    assert "\n" not in str(caught.value)


def test_a_cut_file_and_bad_weights_are_one_line(home, tmp_path):
    path = tmp_path / "x.csv.gz"
    path.write_bytes(gzip.compress(lines(2000).encode())[:-300])
    with pytest.raises(UserError, match="not a whole gzip file"):
        list(read([path]))
    official = home / "data" / "atlas_higgs" / "official"
    official.mkdir(parents=True)
    written(official / "atlas-higgs-challenge-2014-v2.csv.gz", lines(80, Weight="-1"))
    done = hepbench("bench", "atlas_higgs", "--model", "prior", "--budget", "smoke", home=home)
    assert_user_mistake(done, "weights: event 5 has -1.0: negative weights")


def test_the_ams_by_hand():
    assert significance.significance(100, 2000) == pytest.approx(
        math.sqrt(2 * (2110 * math.log(1 + 100 / 2010) - 100)), rel=1e-12
    )
    labels = np.arange(2000) % 2
    rng = np.random.default_rng(0)
    score = 1 / (1 + np.exp(-rng.normal(2.0 * labels)))
    weights = np.where(labels == 1, 0.01, 3.0) * rng.exponential(1, 2000)
    scored = Scored(labels, np.stack([1 - score, score], axis=1), weights)
    chosen = np.argsort(-score)[:300]
    s, b = (weights[chosen][labels[chosen] == k].sum() / weights[labels == k].sum() for k in (1, 0))
    value, error = significance.metric((4e5, 700)).of(scored, 1)
    assert value == pytest.approx(significance.significance(700 * s, 4e5 * b))
    assert 0 < error < value


def test_the_error_of_the_ams_is_the_spread_of_repeated_samples():
    values, errors = [], []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        labels = np.arange(4000) % 2
        odds = rng.normal(1.5 * labels)
        weights = np.where(labels == 1, 0.01, 3.0) * rng.exponential(1, 4000) * np.exp(0.2 * odds)
        score = 1 / (1 + np.exp(-odds))
        scored = Scored(labels, np.stack([1 - score, score], axis=1), weights)
        value, error = significance.ams(scored, 1, (4e5, 700))
        values.append(value)
        errors.append(error)
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.16)


def test_simulated_events_have_the_layout_and_the_expected_numbers(files_of):
    _, files = files_of("atlas_higgs")
    events = list(read(files.paths))
    table = np.concatenate([one.arrays["table"] for one in events])
    labels, weights = (np.concatenate([getattr(one, name) for one in events]) for name in ("labels", "weights"))
    of = {name: table[:, place] for place, name in enumerate(VARIABLES)}
    none, one = of["PRI_jet_num"] == 0, of["PRI_jet_num"] == 1
    assert ((of["PRI_jet_leading_pt"] == -999) == none).all()
    assert ((of["DER_mass_jet_jet"] == -999) == (none | one)).all() and (of["PRI_jet_all_pt"][none] == 0).all()
    np.testing.assert_allclose(of["DER_pt_ratio_lep_tau"], of["PRI_lep_pt"] / of["PRI_tau_pt"], rtol=1e-4)
    assert of["PRI_tau_pt"].min() > 20 and of["PRI_lep_pt"].min() > 26
    expected = [weights[labels == k].mean() * number for k, number in enumerate((538_678, 279_560))]
    np.testing.assert_allclose(expected, (411_000, 692), rtol=0.25)
