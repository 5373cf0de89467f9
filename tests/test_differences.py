"""Rows against each other on the same events: from arrays, from a store, in text and on the page."""

import csv
import io
import json

import numpy as np
import pytest
from conftest import assert_user_mistake, hepbench

from hepbench.benchmarks import registry
from hepbench.benchmarks.metrics import METRICS
from hepbench.benchmarks.scored import Scored
from hepbench.suite import differences, plot_data
from hepbench.suite.differences import NotComparable, matched
from hepbench.suite.trial.artifacts import StoredScores, read_scores, write_scores
from hepbench.tracking import statistics
from hepbench.tracking.leaderboard.differences import compare, mark_tied


def trained(rng, truth, labels, seeds, noise, shift=0.0):
    """Seeds of a model whose log-odds are those of the truth and noise of each seed."""
    values, parts = [], []
    for _ in range(seeds):
        odds = truth + shift * labels + noise * rng.normal(size=len(labels))
        scored = Scored(labels, np.stack([-np.logaddexp(0, odds), -np.logaddexp(0, -odds)], axis=1))
        value, part = differences.compared(METRICS["auc"], scored, 1)
        values.append(value)
        parts.append(part)
    return statistics.trainings(values, parts)


def test_what_is_better_is_told_apart_and_what_is_equal_is_not():
    rng = np.random.default_rng(4)
    labels = np.repeat([0, 1], 1000)
    truth = labels + rng.normal(size=2000)
    found = compare(
        "auc",
        {name: trained(rng, truth, labels, 3, 0.3, shift) for name, shift in (("a", 0.5), ("b", 0.0), ("c", 0.0))},
    )
    assert {(pair.one, pair.other): pair.significant for pair in found.pairs} == {
        ("a", "b"): True,
        ("a", "c"): True,
        ("b", "c"): False,
    }
    assert found.between("b", "a").difference.value == -found.between("a", "b").difference.value < 0
    table = [{"run_ids": [name], "tied": None} for name in "abc"]
    mark_tied(table, found)
    assert [row["tied"] for row in table] == [None, False, False]
    assert [row.get("tied_by") for row in table] == [None, "paired test", "paired test"]
    mark_tied(table[1:], found)
    assert table[2]["tied"]


def test_paired_is_known_better_than_two_errors_in_quadrature():
    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1], 1000)
    truth = labels + rng.normal(size=2000)
    one, other = (trained(rng, truth, labels, 2, 0.2) for _ in range(2))
    alone = np.hypot(*(statistics.combine_trainings(side).error for side in (one, other)))
    assert statistics.paired(one, other).error < alone / 2


@pytest.mark.parametrize(("of_training", "seeds"), [(0.0, 2), (0.03, 2), (0.03, 3), (0.1, 5)])
def test_intervals_over_few_seeds_cover(of_training, seeds):
    """The mean over seeds of which each has its own shift, 600 toys: 95 of 100 give or take 2."""
    rng = np.random.default_rng(2)
    inside = []
    for _ in range(600):
        shared, values, parts = rng.normal(size=200), [], []
        for _ in range(seeds):
            part = (shared + 0.5 * rng.normal(size=200)) / 200
            values.append(part.sum() + of_training * rng.normal())
            parts.append(part - part.mean())
        found = statistics.combine_trainings(statistics.trainings(values, parts))
        low, high = found.interval()
        inside.append(low <= 0 <= high)
    assert 0.93 <= np.mean(inside) <= 0.985


def test_more_seeds_are_needed_for_less():
    needed = [statistics.seeds_needed(difference, 1e-6, [1e-4, 1e-4]) for difference in (0.05, 0.02, 0.01, 0.001)]
    assert needed[0] < needed[1] < needed[2] and needed[3] is None


@pytest.mark.parametrize(
    ("value", "error", "scale", "expected"),
    [
        (0.5, 0.1, "linear", (0.304, 0.696)),
        (10, 1, "log", (8.22, 12.17)),
        (0.99, 0.01, "logit", (0.932, 0.9986)),
        (1.0, 0.01, "logit", (0.97, 1.0)),
        (0.0, 0.01, "logit", (0.0, 0.03)),
    ],
)
def test_intervals_by_hand(value, error, scale, expected):
    assert statistics.interval(value, error, scale) == pytest.approx(expected, rel=2e-3)
    assert np.isnan(statistics.interval(float("nan"), error, scale)).all()


def test_scores_of_other_events_are_not_paired():
    ids, labels, scores = np.arange(4), np.array([0, 1, 0, 1]), np.log(np.full((4, 2), 0.5))
    one = StoredScores(ids, labels, scores)
    turned = matched(StoredScores(ids[::-1], labels[::-1], scores - ids[::-1, None]), one)
    np.testing.assert_array_equal(turned.scores[:, 0] - scores[:, 0], -ids)
    for other, words in (
        (StoredScores(ids + 1, labels, scores), "other events"),
        (StoredScores(ids, 1 - labels, scores), "other labels"),
        (StoredScores(ids, labels, scores[:, :1]), "another number of classes"),
    ):
        with pytest.raises(NotComparable, match=words):
            matched(other, one)


def test_stored_scores_are_read_as_they_were(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    logs = -np.array([[0.0, 60.0], [120.0, 1e-30], [0.7, 0.69]], np.float32)
    write_scores(tmp_path / "new.parquet", StoredScores(np.arange(3), np.array([0, 1, 1]), logs), ("h", "g"))
    np.testing.assert_array_equal(read_scores(tmp_path / "new.parquet").scores, logs)
    assert pq.read_table(tmp_path / "new.parquet")["score_h"].to_pylist()[0] == 1
    old = {"id": [5, 6], "label": [0, 1], "score_h": [0.75, 0.0], "score_g": [0.25, 1.0]}
    pq.write_table(pa.table(old), tmp_path / "old.parquet")
    found = read_scores(tmp_path / "old.parquet")
    np.testing.assert_allclose(found.scores[0], np.log([0.75, 0.25]), rtol=1e-6)
    assert np.isfinite(found.scores).all() and found.ids.tolist() == [5, 6]


class StoreWithFaults:
    """Keeps scores and a history of each run, of which it sees only what is not `away`."""

    def __init__(self, folder, scores):
        self.folder, self.away = folder, set()
        for run, found in scores.items():
            (folder / run).mkdir(parents=True)
            write_scores(folder / run / "scores.parquet", found, ("h", "g"))
            (folder / run / "history.csv").write_text("epoch,val_loss\n1,0.5\n2,0.4\n")

    def files(self, run, folder=""):
        return [name for name in ("scores.parquet", "history.csv") if (run, name) not in self.away]

    def download(self, run, name, into):
        return self.folder / run / name

    def history(self, run, metric):
        return [(1, 0.5), (2, 0.4)]


def test_what_the_store_did_not_give_at_one_moment_is_not_cached(tmp_path, monkeypatch):
    monkeypatch.setenv("HEPBENCH_HOME", str(tmp_path))
    (tmp_path / "results").mkdir()
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 500)
    scores = {}
    for run in ("a", "b"):
        odds = labels + rng.normal(size=1000)
        logs = np.stack([-np.logaddexp(0, odds), -np.logaddexp(0, -odds)], axis=1).astype(np.float32)
        scores[run] = StoredScores(np.arange(1000), labels, logs)
    store, task = StoreWithFaults(tmp_path / "store", scores), registry.find("task", "magic")
    table = [{"run_ids": [run], "model": run} for run in scores]
    store.away = {("b", "scores.parquet"), ("a", "history.csv")}
    assert "b" in differences.of_table(task, table, store)[0].left_out
    drawn, lost = plot_data.of_rows(task, table, store)
    assert drawn["a"].history == {} and len(lost) == 1
    store.away = set()
    assert len(differences.of_table(task, table, store)[0].pairs) == 1
    drawn, lost = plot_data.of_rows(task, table, store)
    assert drawn["a"].history["epoch"] == [1, 2] and not lost
    store.away = {(run, name) for run in scores for name in ("scores.parquet", "history.csv")}  # all is cached now
    assert len(differences.of_table(task, table, store)[0].pairs) == 1
    assert plot_data.of_rows(task, table, store) == (drawn, [])


def test_a_change_of_any_code_that_measures_is_another_digest(monkeypatch):
    """Of what `metrics` imports, too, as the weights of the events."""
    found = []
    monkeypatch.setattr(differences, "digest_of_code", lambda paths: found.extend(paths) or "")
    monkeypatch.setattr(differences, "_known", {differences.hash_of(["magic", differences.COMPARED, [], ""]): []})
    differences.of_table(registry.find("task", "magic"), [], None)
    ours = {"/".join(path.parts[-2:]) for path in found}
    assert ours >= {
        "benchmarks/metrics.py",
        "benchmarks/scored.py",
        "benchmarks/weighting.py",
        "tracking/statistics.py",
    }
    assert ours >= {"benchmarks/resampling.py", "leaderboard/differences.py", "suite/differences.py"}


def test_pairs_of_a_leaderboard(tmp_path):
    bench = ("bench", "magic", "--model", "logistic", "--model", "prior", "--budget", "smoke", "--seeds", 2)
    assert hepbench(*bench, home=tmp_path).returncode == 0
    done = hepbench("leaderboard", "magic", "--pairs", home=tmp_path)
    assert done.returncode == 0 and "Differences of AUC" in done.stdout and "× " in done.stdout
    pairs = json.loads(hepbench("leaderboard", "magic", "--pairs", "--format", "json", home=tmp_path).stdout)
    assert [pair["metric"] for pair in pairs] == list(differences.COMPARED)
    assert pairs[0]["significant"] and pairs[0]["one"] == "logistic" and pairs[0]["difference"] > 0.1
    lines = list(
        csv.DictReader(
            io.StringIO(hepbench("leaderboard", "magic", "--pairs", "--format", "csv", home=tmp_path).stdout)
        )
    )
    assert float(lines[0]["p"]) == pytest.approx(pairs[0]["p"])
    page = (tmp_path / "results" / "reports" / "magic.html").read_text()
    assert "Differences between all rows" in page
    latex = hepbench("leaderboard", "magic", "--pairs", "--format", "latex", home=tmp_path).stdout
    assert latex.count(r"\toprule") == latex.count(r"\bottomrule") == 3 and "differences of AUC" in latex
    assert len(list((tmp_path / "results" / "differences").iterdir())) == 1
    assert_user_mistake(hepbench("leaderboard", "pxd_clusters:all", "--pairs", home=tmp_path), "omit --pairs")
    rows = json.loads(hepbench("leaderboard", "magic", "--format", "json", home=tmp_path).stdout)
    assert rows[0]["auc_low"] < rows[0]["auc"] < rows[0]["auc_high"]


def test_a_page_draws_slices_and_says_whether_a_cut_is_flat():
    from test_tracking import a_run, board_of, ranked

    from hepbench.benchmarks.metrics import BY_SLICE, by_slice
    from hepbench.tracking.leaderboard import page

    rng = np.random.default_rng(0)
    labels, slices = rng.integers(0, 2, 3000), rng.choice([500, 1000, 1500], 3000)
    odds = rng.normal(size=3000) + 2 * labels * slices / 1000
    measured = by_slice("mass", slices, labels, np.stack([-np.logaddexp(0, odds), -np.logaddexp(0, -odds)], axis=1), 1)
    run = a_run(1)
    run["metrics"] |= {f"test_{name}": value for name, value in measured.items()}
    shown = page.render(board_of(ranked([run])), slices={"mass": page.Slice("mass", BY_SLICE)}, library="vega")
    listed = shown.partition('data-choice="slice"')[2].partition("</select>")[0]
    assert listed.count(" versus mass") == 4 and listed.count("flat with p = ") == 2
    assert statistics.flat([1.0, 1.1], [0.1, 0.1]) == pytest.approx(0.4795, abs=1e-3)
    assert statistics.flat([1.0, 2.0], [0.1, 0.1]) < 1e-6
