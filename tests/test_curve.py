"""`hepbench curve`: subsets of the training events, their pace, crossings, power laws, and the page of it."""

from __future__ import annotations

import csv
import math

import numpy as np
import pytest
from conftest import assert_user_mistake, hepbench

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import UserError
from hepbench.suite import curve
from hepbench.suite.data.split import with_fewer
from hepbench.suite.differences import scores_of
from hepbench.suite.training.settings import DEFAULTS
from hepbench.suite.trial.spec import command_for, identity_of
from hepbench.tracking import runs
from hepbench.tracking.curve import crossover, power_law, spread, table
from hepbench.tracking.curve.record import Curves, Line, Point, Training, gaps, paired

EVENTS = [300, 600, 1200, 2400, 4800, 9600, 19200]
SEEDS = [5, 4, 4, 3, 3, 2, 2]
TESTED = 400
ERROR = 0.004


def line(model, auc, rng, chance=0.3, common=None, events=EVENTS, seeds=SEEDS) -> Line:
    """auc: of so many training events. chance: of a training on one event; it falls with the root of their number.
    common: seed and events -> what the training events of a seed are worth to every model."""
    tested, points = rng.normal(0, ERROR / math.sqrt(TESTED), TESTED), []
    tested -= tested.mean()
    shift = rng.normal(0, ERROR)
    for number, several in zip(events, seeds, strict=True):
        trained = rng.normal(0, chance / math.sqrt(number), several)
        values = {seed: auc(number) + shift + float(trained[seed]) for seed in range(several)}
        if common is not None:
            values = {seed: value + common[seed, number] for seed, value in values.items()}
        points.append(Point(number, {seed: Training(value, tested) for seed, value in values.items()}))
    return Line(model, f"a {model}", points)


def law(a, b, c):
    return lambda number: 1 - a - b * number**-c


def curves(*lines, **more) -> Curves:
    return Curves("toy", lines, EVENTS[-1], 100, TESTED, **more)


# --- which events, and at what pace ----------------------------------------------------------------------------------


def test_fewer_events_have_the_shares_of_the_classes_and_each_number_is_drawn_by_itself():
    labels = np.random.default_rng(0).choice(3, 1000, p=(0.6, 0.3, 0.1))
    rows = {"train": np.arange(0, 1000, 2), "validation": np.array([1]), "test": np.array([3])}
    before: set[int] = set()
    for number in (20, 57, 200, 499, 500):
        fewer = with_fewer(rows, labels, number, seed=7)
        chosen = fewer["train"]
        assert len(chosen) == number and np.all(np.diff(chosen) > 0)
        assert set(chosen.tolist()) <= set(rows["train"].tolist())
        common = len(before & set(chosen.tolist()))  # as many as by chance: on average the share of all
        assert number == 500 or abs(common - len(before) * number / 500) < 4 * math.sqrt(len(before) / 4 + 1)
        assert fewer["validation"] is rows["validation"] and fewer["test"] is rows["test"]
        shares = np.bincount(labels[chosen], minlength=3) / number
        whole = np.bincount(labels[rows["train"]], minlength=3) / 500
        assert np.all(np.abs(shares - whole) * number <= 1)
        before = set(chosen.tolist())
    first, other = (with_fewer(rows, labels, 100, seed)["train"] for seed in (0, 1))
    assert len(np.intersect1d(first, other)) < 50
    assert np.array_equal(first, with_fewer(rows, labels, 100, 0)["train"])
    assert with_fewer(rows, labels, None, 0) is rows
    with pytest.raises(UserError, match="500 events, but 501"):
        with_fewer(rows, labels, 501, 0)
    with pytest.raises(UserError, match="none of a class"):
        with_fewer(rows, labels, 2, 0)


def test_a_network_on_few_events_has_the_time_of_one_on_all():
    asked = curve.request("magic", ["mlp", "gbdt"], budget="quick", settings={"schedule": "step", "step_epoch": "4"})
    mlp, gbdt = asked.models
    known = {**DEFAULTS, **curve._trial(asked, mlp, 0, None).hyperparameters}
    trial = curve.paced(curve._trial(asked, mlp, 0, 200), whole=12_800, validation=2_700)
    found = trial.hyperparameters
    assert found["passes"] == 14  # an epoch is as long as the validation after it
    longer = 12_800 / 200 / 14
    assert found["epochs"] == math.ceil(known["epochs"] * longer)
    for name in ("patience", "plateau_patience"):
        assert found[name] == math.ceil(known[name] * longer) > known[name] > 0
    assert "plateau_cooldown" not in trial.spec.parameters
    assert float(found["step_epoch"]) == pytest.approx(4 * longer, rel=1e-5)
    whole = curve._trial(asked, mlp, 0, None)
    assert curve.paced(whole, 12_800, 2_700) is whole
    trees = curve._trial(asked, gbdt, 0, 200)
    assert curve.paced(trees, 12_800, 2_700) is trees


def test_the_number_of_training_events_is_part_of_the_identity_and_of_the_command():
    asked = curve.request("magic", ["mlp"], budget="smoke", exact=[3])
    some = [curve.paced(curve._trial(asked, asked.models[0], 3, n), 1400, 300) for n in (700, 701, None)]
    assert len({identity_of(one, "data", "split")[1] for one in some}) == 3
    assert [one.stage for one in some] == ["part", "part", "final"]
    words = command_for(some[0].spec).split()
    assert words[:3] == ["hepbench", "curve", "magic"] and words[words.index("--train-events") + 1] == "700"
    given = dict(one.split("=") for place, one in enumerate(words) if words[place - 1] == "--set")
    again = curve.request("magic", ["mlp"], budget="smoke", exact=[3], train_events="700", settings=given)
    repeated = curve.paced(curve._trial(again, again.models[0], 3, 700), 1400, 300)
    assert identity_of(repeated, "data", "split") == identity_of(some[0], "data", "split")


def test_fewer_events_have_more_seeds():
    asked = curve.request("magic", ["gbdt"], budget="smoke")
    assert [len(asked.seeds_for(n, 6400)) for n in (6400, 3200, 1600, 800, 400, 200, 100)] == [2, 2, 3, 3, 4, 4, 5]
    assert len(curve.request("magic", ["gbdt"], budget="full").seeds_for(100, 100)) == 5
    assert curve.request("magic", ["gbdt"], exact=[4, 4, 2]).seeds_for(1, 100) == (4, 2)


# --- what the curves say ---------------------------------------------------------------------------------------------


def test_an_exponent_is_found_within_its_errors():
    found = [power_law.fit_line(line("a", law(0.2, 1.5, 0.4), np.random.default_rng(n)))[0] for n in range(40)]
    assert sum(one.interval[0] <= 0.4 <= one.interval[1] for one in found) in range(19, 37)
    assert sum(one.interval_95[0] <= 0.4 <= one.interval_95[1] for one in found) >= 34
    assert sum(one.floor_interval[0] <= 0.2 <= one.floor_interval[1] for one in found) in range(19, 37)
    assert sum(one.fits for one in found) >= 34
    assert found[0].at(np.array([1e12]))[0] == pytest.approx(found[0].floor, abs=1e-3)


def test_what_is_no_power_law_is_not_called_one():
    rng = np.random.default_rng(0)
    step = line("step", lambda number: 0.6 if number < 2000 else 0.9, rng, chance=0.01)
    whole, part = power_law.fit_line(step)
    assert not whole.fits and (part is None or part.start > 300)
    flat = line("flat", lambda number: 0.5, rng)
    whole, _ = power_law.fit_line(flat)
    assert whole.fits and not whole.determined
    late = line("late", lambda number: 0.5 if number < 600 else 1 - 3 * number**-0.5, rng, chance=0.01)
    whole, part = power_law.fit_line(late)
    assert not whole.fits and part.fits and part.start == 600
    assert part.interval_95[0] <= 0.5 <= part.interval_95[1]
    few = line("few", law(0.2, 1.5, 0.4), rng, events=EVENTS[:3], seeds=SEEDS[:3])
    assert power_law.fit_line(few) == (None, None)
    told = table.verdicts(table.findings(curves(step, flat, late, few)))
    assert any(text.startswith("step:") and "does not fit" in text for text in told)
    assert any(text.startswith("flat:") and "do not determine an exponent" in text for text in told)
    assert any(text.startswith("late:") and "from 600 events on" in text for text in told)
    assert any("few: no power law, not fitted: 3 points, at least 4 are needed" in text for text in told)


def test_one_overtakes_another_where_their_curves_cross():
    rng = np.random.default_rng(1)
    trees = line("trees", lambda number: 0.80 + 0.005 * math.log2(number / 300), rng, chance=0.05)
    network = line("network", lambda number: 0.74 + 0.025 * math.log2(number / 300), rng, chance=0.05)
    found = crossover.crossover(trees, network)
    assert (found.ahead, found.behind) == ("network", "trees") and found.certain
    assert found.low < 300 * 2**3 < found.high and found.low < found.at < found.high
    assert (found.fewest, found.most) == (300, 19200) and not found.before
    low = line("low", lambda number: 0.6, rng, chance=0.01)
    ahead = crossover.crossover(low, trees)
    assert ahead.ahead == "trees" and math.isnan(ahead.at) and (ahead.low, ahead.high) == (0, 0)
    like = line("like", lambda number: 0.80 + 0.005 * math.log2(number / 300), rng, chance=0.05)
    unsure = crossover.crossover(trees, like)
    assert not unsure.certain and math.isinf(unsure.high)
    told = table.findings(curves(trees, network, low, like))
    words = " ".join(table.verdicts(told))
    assert "network overtakes trees at " in words
    assert "trees is ahead of low at each number of training events" in words
    assert "low does not overtake it within these events" in words
    assert "is not significant." in words
    rows = {(row[0].split(",")[0], row[1]): row for row in table.overtaking_rows(told)}
    assert rows["trees", "low"][2:] == ["at each", "below 300"]


def test_crossings_of_drawn_curves():
    x = np.log([100.0, 200.0, 400.0])
    drawn = np.array([[1, 1, 1], [-1, 1, 1], [1, -1, 1], [1, 1, -1], [-1, 1, -1], [-3, -1, 1]], dtype=float)
    found = crossover.last_crossing(x, drawn)
    assert found == pytest.approx([0, 100 * 2**0.5, 200 * 2**0.5, np.inf, np.inf, 200 * 2**0.5])


def test_the_training_events_of_a_seed_drop_out_of_a_difference():
    rng = np.random.default_rng(3)
    common = {(seed, number): float(rng.normal(0, 1 / math.sqrt(number))) for seed in range(5) for number in EVENTS}
    both = [line(name, law(0.2, b, 0.5), rng, 0.02, common) for name, b in (("a", 1.0), ("b", 1.6))]
    (some,) = gaps(curves(*both)).values()
    assert all(gap.error < 0.4 * point.score.error for gap, point in zip(some[:3], both[0].points, strict=False))
    assert some[0].significant and some[0].value == pytest.approx(0.6 * 300**-0.5, abs=0.02)
    assert [gap.seeds for gap in some] == SEEDS
    assert paired(Point(1, {0: Training(0.5, np.zeros(3))}), Point(1, {1: Training(0.5, np.zeros(3))})) is None


def test_the_chance_in_training_falls_with_the_events():
    found = []
    for n in range(20):
        points = line("a", law(0.2, 1, 0.5), np.random.default_rng(n), chance=0.5).points
        found.append(spread.of_training(EVENTS, [point.together for point in points]))
    assert np.median(found, axis=0) == pytest.approx(0.25 / np.array(EVENTS), rel=0.6)
    alone = line("a", law(0.2, 1, 0.5), np.random.default_rng(0), seeds=[1] * 7)
    assert not spread.of_training(EVENTS, [point.together for point in alone.points]).any()


def test_what_failed_or_ended_early_is_said():
    rng = np.random.default_rng(0)
    one = line("a", law(0.2, 1.5, 0.4), rng)
    broken = Line("b", "b", [Point(300, {}, ["no memory"]), *line("b", law(0.2, 2, 0.4), rng).points[1:]])
    early = Point(600, {0: Training(0.7, np.zeros(TESTED), last_was_best=True)}, ["out of time"])
    other = Line("c", "c", [early, *line("c", law(0.2, 2, 0.4), rng).points[2:]])
    found = table.findings(curves(one, broken, other, skipped={"d": "needs images"}, left_out={2: "too few"}))
    rows = table.score_rows(found)
    assert rows[0][:2] == ["300", "5"] and rows[0][3:] == ["failed", "–"]
    assert rows[1][4].endswith("↑, 1 failed")
    text = " ".join(table.notes(found))
    for words in ("Skipped d: needs images", "Left out 2 events", "b on 300 events: no memory", "c at 600."):
        assert words in text
    assert "1 to 4" in rows[1][1]


# --- by command ------------------------------------------------------------------------------------------------------

CURVE = ("curve", "magic", "--model", "logistic", "--model", "mlp", "--budget", "smoke", "--seeds", "1")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """(home, the finished command) of two models on two numbers of events."""
    home = tmp_path_factory.mktemp("curve")
    more = ("--model", "cnn", "--train-events", "1,350,1400")
    return home, hepbench(*CURVE, *more, "--format", "markdown", home=home)


def test_a_curve_prints_and_writes_what_it_found(drawn):
    home, done = drawn
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("# Learning curves on magic") and "| 350 | 2 |" in done.stdout
    assert "Left out 1 events: 1 training events have none of a class" in done.stdout
    assert "Skipped cnn: needs image inputs" in done.stdout and "2 points, at least 4 are needed" in done.stdout
    assert "skipped cnn" in done.stderr
    report = home / "results" / "reports" / "curve-magic-smoke"
    html = report.with_suffix(".html").read_text()
    assert "Crossovers" in html and "Reproduce" in html and html.count("<svg") == 3
    rows = list(csv.DictReader(report.with_suffix(".csv").read_text().splitlines()))
    assert [(row["model"], row["train_events"], row["seeds"]) for row in rows] == [
        ("logistic", "350", "2"),
        ("logistic", "1400", "1"),
        ("mlp", "350", "2"),
        ("mlp", "1400", "1"),
    ]
    assert all(0.5 < float(row["auc"]) < 1 and float(row["error"]) > 0 for row in rows)
    differences = (report.parent / "curve-magic-smoke-differences.csv").read_text()
    apart = list(csv.DictReader(differences.splitlines()))
    assert [row["train_events"] for row in apart] == ["350", "1400"]
    difference = float(rows[1]["auc"]) - float(rows[3]["auc"])
    assert float(apart[1]["difference"]) == pytest.approx(difference, abs=1e-5)
    for name in ("scores", "power-laws", "differences"):
        assert (report / f"{name}.png").is_file() and (report / f"{name}.pdf").is_file()


def test_each_point_is_a_run_on_the_same_test_events_and_none_of_a_leaderboard_but_the_last(drawn):
    home, _ = drawn
    store = runs.connect(None, home / "results")
    parts = store.runs("magic", tags={"stage": "part"})
    finals = store.runs("magic", tags={"stage": "final"})
    (parent,) = store.runs("magic", tags={"stage": "curve"})
    assert len(parts) == 4 and len(finals) == 2
    assert {run["tags"]["mlflow.parentRunId"] for run in (*parts, *finals)} == {parent["id"]}
    assert {run["tags"]["train_events"] for run in parts} == {"350"}
    assert {run["metrics"]["train_events"] for run in parts} == {350}
    assert {"curve-magic-smoke.html", "curve-magic-smoke.csv", "scores.pdf"} <= set(store.files(parent["id"]))
    assert len({run["tags"]["identity"] for run in (*parts, *finals)}) == 6
    tested = [scores_of(store, run["id"]).ids for run in (*parts, *finals)]
    assert all(np.array_equal(np.sort(one), np.sort(tested[0])) for one in tested)
    assert "--train-events 350" in parts[0]["tags"]["command"]
    board = hepbench("leaderboard", "magic", "--format", "csv", home=home)
    assert len(list(csv.DictReader(board.stdout.splitlines()))) == 2
    out = home / "scores.parquet"
    (file,) = registry.find("task", "magic").record.locate()
    scored = hepbench("predict", parts[0]["id"], file, "--out", out, home=home)
    assert scored.returncode == 0 and out.is_file(), scored.stderr


def test_what_is_there_is_not_trained_again_by_curve_or_bench(drawn):
    home, _ = drawn
    again = hepbench(*CURVE, "--train-events", "350 1400", "--dry-run", home=home)
    assert again.returncode == 0 and again.stdout.count("already done") == 4 and "to run" not in again.stdout
    more = hepbench(*CURVE, "--train-events", "350 700 1400", "--dry-run", home=home)
    assert more.stdout.count("already done") == 4 and more.stdout.count("to run") == 2
    bench = hepbench("bench", "magic", "--model", "mlp", "--budget", "smoke", "--seeds", "1", "--dry-run", home=home)
    assert "already done" in bench.stdout


def test_a_dry_run_on_no_data_simulates_nothing(home):
    done = hepbench("curve", "pxd_pixels", "--model", "mlp_pxd_study", "--budget", "smoke", "--dry-run", home=home)
    assert done.returncode == 0, done.stderr
    assert "events would be simulated first" in done.stdout and not (home / "data").exists()


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("nothing", "--model", "mlp"), ("unknown task",)),
        (("magic", "--model", "mpl"), ("unknown model", "mlp")),
        (("magic",), ("--model",)),
        (("magic", "--model", "cnn"), ("none of these models supports magic", "image")),
        (("magic", "--model", "mlp", "--train-events", "10,-4"), ("--train-events", "whole numbers")),
        (("magic", "--model", "mlp", "--train-events", "1.5"), ("whole numbers",)),
        (("magic", "--model", "mlp", "--budget", "smoke", "--train-events", "5000"), ("1,400 events",)),
        (("magic", "--model", "mlp", "--seeds", "0"), ("seeds must be at least 1",)),
        (("magic", "--model", "mlp", "--set", "nothing=1"), ("unknown hyper-parameter",)),
        (("magic", "--model", "mlp", "--format", "pdf"), ("unknown format",)),
    ],
)
def test_mistakes_are_one_line(arguments, words, home):
    assert_user_mistake(hepbench("curve", *arguments, home=home), *words)
