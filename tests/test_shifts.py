"""Shifted samples: named, made, scored by trained models, stored, measured again, shown."""

from __future__ import annotations

import json
import textwrap

import numpy as np
import pytest
from conftest import assert_user_mistake, hepbench

import hepbench as public
from hepbench.benchmarks import registry, shift
from hepbench.benchmarks.base import UserError
from hepbench.benchmarks.metrics import METRICS
from hepbench.suite import results, shifted
from hepbench.suite.data.dataset import Prepared
from hepbench.suite.fingerprint import TRIAL, reached
from hepbench.suite.trial.artifacts import StoredScores
from hepbench.tracking.leaderboard import shifts

TASK = """
from dataclasses import replace
from functools import partial

import numpy as np

from hepbench import Events, Simulation, Task
from hepbench.benchmarks.shift import Shift


def generate(label, number, seed, moved=0.0):
    rng = np.random.default_rng([seed, label, number, int(10 * moved)])
    return {"x": rng.normal((1 - moved) * label, 1, (100, 3)).astype(np.float32)}


def write(folder, counts, chunks):
    every = list(chunks)
    x = np.concatenate([arrays["x"] for _, arrays in every])
    y = np.concatenate([np.full(len(arrays["x"]), label) for label, arrays in every])
    np.savez(folder / "events.npz", x=x, y=y)
    return [folder / "events.npz"]


def read(paths):
    with np.load(paths[0]) as saved:
        yield Events({"x": saved["x"]}, saved["y"], np.arange(len(saved["y"])))


BASE = Task(
    title="two Gaussians",
    classes=("background", "signal"),
    read=read,
    views={"table": lambda arrays: {"table": arrays["x"]}},
    variables=("a", "b", "c"),
    simulation=Simulation(100, generate, write),
    size=1000,
)
OTHER = replace(BASE, simulation=Simulation(100, partial(generate, moved=0.5), write, name="other"))
TASK = replace(BASE, variants={"other": OTHER})
SHIFTS = {
    "same": Shift("nothing", change=dict),
    "noise": Shift("noise", change=lambda arrays, rng: {"x": arrays["x"] + rng.normal(0, 1, arrays["x"].shape)}),
    "other": Shift("another simulation", sample=f"{__file__}:other"),
}
""".replace("change=dict)", "change=lambda arrays, rng: dict(arrays))").replace(
    'arrays["x"].shape)}', 'arrays["x"].shape).astype(np.float32)}'
)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("task") / "gauss.py"
    path.write_text(textwrap.dedent(TASK))
    return path


@pytest.fixture(scope="module")
def home(tmp_path_factory, file):
    """Of two models that were trained without shifts and then scored on them."""
    home = tmp_path_factory.mktemp("home")
    asked = ("bench", file, "--model", "logistic,prior", "--budget", "smoke", "--seeds", 2)
    assert hepbench(*asked, home=home).returncode == 0
    done = hepbench(*asked, "--shift", "all", home=home)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "4 of 4 results already exist" in done.stdout  # nothing was trained for it
    assert "Shifted samples" in done.stdout and "another simulation; 150 other events" in done.stdout
    return home


def rows_of(home):
    return {row["model"]: row for row in json.loads(hepbench("leaderboard", "--format", "json", home=home).stdout)}


def rows_in(home, monkeypatch, file):
    monkeypatch.setenv("HEPBENCH_HOME", str(home))
    store = results.open_store()
    return {row["model"]: row for row in results.leaderboard_of(registry.find("task", str(file)), store)[0]}, store


def test_models_are_scored_on_shifted_samples(home, file, monkeypatch):
    rows, _ = rows_in(home, monkeypatch, file)
    found = rows["logistic"]["shifts"]
    assert list(found) == ["noise", "other", "same"]
    assert found["same"]["change"] == found["same"]["change_error"] == 0  # event by event
    assert found["same"]["auc"] == pytest.approx(rows["logistic"]["auc"])
    for name in ("noise", "other"):
        assert found[name]["change"] < -2 * found[name]["change_error"] < 0, name
    assert found["noise"]["change_error"] < found["other"]["change_error"]  # paired
    assert found["other"]["events"] == 150 and not found["other"]["same_events"]
    assert rows["prior"]["shifts"]["noise"]["relative"] == 0
    assert shifts.resilience(rows["logistic"])[0] == max(abs(one["relative"]) for one in found.values())


def resilience_of(changes, error=0.01, seeds=1):
    runs = [
        {
            "tags": {f"shift_{number}": '{"title": "", "events": 9, "same_events": false}' for number in range(4)},
            "metrics": {"test_auc": 0.8}
            | {
                f"shift_{number}_{name}": value
                for number, change in enumerate(changes)
                for name, value in (
                    ("auc", 0.8 + change),
                    ("auc_error", error),
                    ("change", change),
                    ("change_error", error),
                )
            },
        }
    ] * seeds
    heads, cells = shifts.table([{"model": "m", "auc": 0.8, "auc_error": 0.01, "shifts": shifts.of_runs(runs)}])
    return cells[0][heads.index("resilience %")]


def test_the_largest_change_is_marked_where_none_is_significant():
    assert resilience_of([0.0, -0.022, 0.01, 0.001]) == "2.75 ± 1.25 ="  # 2.2 errors, of one alone p = 0.03
    assert resilience_of([0.0, -0.028, 0.01, 0.001]) == "3.50 ± 1.25"
    assert resilience_of([0.0] * 4, error=0.0) == "0.00 ± 0.00 ="
    assert any("biased upwards" in line and "=: no change" in line for line in shifts.LEGEND)


def test_what_was_scored_is_not_scored_again_and_rescoring_finds_it(home, file, monkeypatch):
    before, store = rows_in(home, monkeypatch, file)
    monkeypatch.setattr(shifted, "_score_run", None)  # fails where it is called
    again = hepbench(
        "bench", file, "--model", "logistic", "--budget", "smoke", "--seeds", 2, "--shift", "noise", home=home
    )
    assert again.returncode == 0, again.stderr
    run = before["logistic"]["run_ids"][0]
    store.log(run, {"shift_noise_auc": 0.1})
    assert rows_in(home, monkeypatch, file)[0]["logistic"]["shifts"] != before["logistic"]["shifts"]
    assert hepbench("rescore", file, home=home).returncode == 0
    after = rows_in(home, monkeypatch, file)[0]["logistic"]["shifts"]
    assert after["noise"]["auc"] == pytest.approx(before["logistic"]["shifts"]["noise"]["auc"])


def test_the_page_and_the_texts_show_them(home, file):
    page = (home / "results" / "reports" / "gauss.html").read_text()
    assert shifts.HEADING in page and "Performance and resilience" in page and '"largest of all"' in page
    for form in ("markdown", "csv"):
        told = hepbench("leaderboard", file, "--format", form, home=home).stdout
        assert "noise" in told, form


def test_what_is_asked_for_wrongly_is_told(home, file):
    asked = ("bench", file, "--model", "prior", "--budget", "smoke")
    assert_user_mistake(hepbench(*asked, "--shift", "nois", home=home), "unknown shift", "did you mean 'noise'?")
    assert_user_mistake(hepbench("bench", "magic", "--shift", "all", home=home), "magic has no shifted samples")
    herwig = hepbench("bench", "qg_jets", "--model", "prior", "--shift", "herwig", home=home)
    assert_user_mistake(herwig, "QG_jets_herwig_0.npz", "zenodo.org/record/3066475")


def test_a_notebook_asks_for_them(file, tmp_path, monkeypatch, trials_in_a_thread):
    monkeypatch.setenv("HEPBENCH_HOME", str(tmp_path))
    table = public.bench(file, "logistic", budget="smoke", seeds=1, shift="noise")
    found = table.loc[0, "shifts"]["noise"]
    assert found["change"] < -2 * found["change_error"] < 0
    monkeypatch.setattr(shifted, "score_runs", lambda *given: ["logistic seed 0 is not scored"])
    with pytest.warns(UserWarning, match="logistic seed 0 is not scored"):
        public.bench(file, "logistic", budget="smoke", seeds=1, shift=["other", "noise"])
    with pytest.raises(UserError, match="did you mean 'noise'"):
        public.bench(file, "gbdt", budget="smoke", shift="nois")


def test_a_shift_is_a_change_or_a_sample():
    for wrong in ({}, {"change": lambda arrays, rng: arrays, "sample": "magic"}):
        with pytest.raises(UserError, match="either a change of the events or a sample, not both"):
            shift.Shift("neither", **wrong)


def test_a_change_that_fails_is_told(file, tmp_path):
    task = registry.find("task", str(file))
    events = Prepared(tmp_path, {"x": np.zeros((4, 3), np.float32)}, np.arange(4) % 2, np.arange(4))
    entry = shifted._changed(
        task, "worse", shift.Shift("worse", change=lambda arrays, rng: arrays["y"]), events, events.ids
    )
    with pytest.raises(UserError, match=r"gauss\.py: the shift 'worse' fails: KeyError"):
        next(iter(entry.record.read([])))


def test_the_error_of_a_change_is_that_of_the_same_events():
    rng = np.random.default_rng(0)
    task = registry.find("task", "magic").record
    labels = rng.integers(0, 2, 2000)

    def stored(odds, order):
        scores = -np.logaddexp(0, np.stack([odds, -odds], axis=1))
        return StoredScores(np.arange(2000)[order], labels[order], scores[order].astype(np.float32))

    odds = labels + rng.normal(size=2000)
    nominal, every = stored(odds, np.arange(2000)), rng.permutation(2000)
    moved = stored(odds + 0.1 * rng.normal(size=2000), every)
    paired = shifted.measured("x", nominal, moved, True, task)
    apart = shifted.measured("x", nominal, moved, False, task)
    assert paired["shift_x_change"] == pytest.approx(apart["shift_x_change"])
    assert paired["shift_x_change_error"] < apart["shift_x_change_error"] / 5
    value, error = METRICS["auc"].of(moved.scored(), task.signal)
    assert (paired["shift_x_auc"], paired["shift_x_auc_error"]) == (value, error)
    drawn = []  # against toys: the spread of the change over resampled events
    for toy in range(200):
        some = np.random.default_rng(toy).integers(0, 2000, 2000)
        areas = [
            METRICS["auc"].of(stored_of(one, some).scored(), task.signal)[0] for one in (nominal, sorted_of(moved))
        ]
        drawn.append(areas[1] - areas[0])
    assert paired["shift_x_change_error"] == pytest.approx(np.std(drawn), rel=0.2)


def sorted_of(found):
    return found.taken(np.argsort(found.ids))


def stored_of(found, some):
    return StoredScores(np.arange(len(some)), found.labels[some], found.scores[some])


def test_every_shift_of_the_tasks_is_found_and_no_training_sees_it():
    known = {path.stem.removeprefix("shifted_") for path in shift.FOLDER.glob("shifted_*.py")}
    assert known
    for name in registry.names("task"):
        task = registry.find("task", name)
        found = shift.of_task(task)
        assert bool(found) == (name in known), name
        for one in found.values():
            assert one.change or registry.find("task", one.sample).record.classes == task.record.classes
        seen = reached([TRIAL, task.path])
        assert not any(path.is_relative_to(shift.FOLDER) or path.name in ("shift.py", "shifted.py") for path in seen)


def change_of(name, which):
    return shift.of_task(registry.find("task", name))[which].change


def test_images_of_ecal_are_changed():
    rng = np.random.default_rng(1)
    image = np.zeros((500, 32, 32, 2), np.float32)
    image[:, 10:20, 10:20] = rng.exponential(0.01, (500, 10, 10, 2)) + np.array([1e-4, -1])
    hit = image[..., 0] > 0
    before = image.copy()
    for name, mean in (("scale_up", 1.01), ("scale_down", 0.99), ("calibration", 1.0), ("noise", 1.0)):
        changed = change_of("ecal", name)({"image": image}, rng)["image"]
        np.testing.assert_array_equal(image, before)  # what is memory-mapped stays
        assert changed.dtype == np.float32 and not changed[~hit].any() and (changed[..., 0] >= 0).all()
        assert changed[..., 0].sum() / image[..., 0].sum() == pytest.approx(mean, abs=5e-3), name
        kept = changed[..., 0] > 0
        np.testing.assert_array_equal(changed[..., 1], np.where(kept, image[..., 1], 0))
        ratio = changed[..., 0][hit & kept] / image[..., 0][hit & kept]
        assert np.std(ratio) == pytest.approx({"calibration": 0.02}.get(name, np.std(ratio)), rel=0.02)
    assert not kept[hit].all()  # some hits are lost in the noise


def test_events_of_hepmass_are_changed():
    from hepbench.benchmarks.simulation import hepmass as simulation

    rng, n = np.random.default_rng(2), 300
    raw = np.zeros((n, 27))
    raw[:, [0, 3]], raw[:, 5] = rng.uniform(20, 200, (n, 2)), 4
    raw[:, [1, 2, 4]] = rng.uniform(-2, 2, (n, 3))
    jets = np.stack(
        [-np.sort(-rng.uniform(20, 300, (n, 4))), *rng.uniform(-2, 2, (2, n, 4)), rng.integers(0, 2, (n, 4))], 2
    )
    raw[:, 6:22], raw[:, 22:] = jets.reshape(n, 16), rng.uniform(50, 500, (n, 5))
    arrays = {"features": simulation.normalise(raw).astype(np.float32), "mass": np.full((n, 1), 500, np.float32)}

    def changed(name):
        return simulation.denormalise(change_of("hepmass", name)(arrays, np.random.default_rng(3))["features"])

    def summed(events):  # what the jets and the missing momentum have together
        one = events[:, 6:22].reshape(n, 4, 4)
        pt = [one[..., 0] * turn(one[..., 2]) for turn in (np.cos, np.sin)]
        return [pt[0].sum(1) + events[:, 3] * np.cos(events[:, 4]), pt[1].sum(1) + events[:, 3] * np.sin(events[:, 4])]

    up, smeared, tagged = changed("jet_scale_up"), changed("jet_resolution"), changed("b_tag")
    np.testing.assert_allclose(up[:, 6:22:4], 1.03 * raw[:, 6:22:4], rtol=1e-4)
    assert np.median(up[:, 22] / raw[:, 22]) == pytest.approx(1.03, rel=1e-3)  # of two jets that stay the W's
    for events in (up, smeared):
        np.testing.assert_allclose(summed(events), summed(raw), atol=0.05)
        assert (np.diff(events[:, 6:22:4]) <= 1e-3).all()  # the hardest jet is the first
        np.testing.assert_allclose(events[:, [0, 1, 2, 5]], raw[:, [0, 1, 2, 5]], atol=1e-3)
    kept = tagged[:, 9:22:4] > 0.5
    had = raw[:, 9:22:4] > 0.5
    assert kept[had].mean() == pytest.approx(0.9, abs=0.05) and kept[~had].mean() < 0.05
    np.testing.assert_allclose(tagged[:, 6:9], raw[:, 6:9], atol=0.01)
