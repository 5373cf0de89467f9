"""The leaderboard's page in Chromium: it sorts, filters and draws, asks for nothing, and shows any name as text."""

from __future__ import annotations

import dataclasses
import json
import re

import numpy as np
import pytest
from test_tracking import METRICS, REFERENCES, a_run, board_of, ranked, with_limits

from hepbench.benchmarks.metrics import BY_SLICE, by_slice, class_keys, evaluate, metrics_of
from hepbench.benchmarks.scored import Scored
from hepbench.suite import plot_data
from hepbench.tracking import pages, plots
from hepbench.tracking.leaderboard import charts, figures, index, latex, page, ranking, text
from hepbench.tracking.leaderboard.plot_data import EFFICIENCIES, PlotData
from hepbench.tracking.leaderboard.table import Leaderboard

HOSTILE = "<img src=x onerror=\"document.title='taken'\">"
CLOSING = "</script><script>document.title='taken'</script>"


def numbers(run: int) -> PlotData:
    """Curves as two gaussians give them."""
    rng = np.random.default_rng(run)
    labels = np.arange(4000) % 2
    odds = rng.normal(size=4000) + (1 + 0.3 * run) * labels
    trained = [Scored(labels, np.stack([-np.logaddexp(0, odds), -np.logaddexp(0, -odds)], axis=1))]
    history = {"epoch": [1.0, 2.0], "loss": [0.7, 0.6], "val_loss": [0.7, 0.65], "val_auc": [0.7, 0.8]}
    bins = {"score": [0.2, 0.8], "share": [0.25, 0.7], "error": [0.02, 0.02], "events": [50.0, 50.0]}
    return PlotData({"signal": plot_data._rejection(trained, 1)}, bins, history, [[900, 100], [200, 800]])


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A page of two tables, with names of anyone."""
    listed = [
        a_run(1, "mlp", auc=0.90, device="cpu"),
        a_run(2, HOSTILE, auc=0.895, set=f"width={CLOSING}", device="gpu"),
        a_run(3, "gbdt", auc=0.80, device="cpu"),
        a_run(4, "mlp", auc=0.93, budget="smoke", device="cpu"),
    ]
    for run, (accuracy, latency) in zip(listed, [(0.70, 1.0), (0.71, 0.1), (0.72, 20.0), (0.73, 1.0)], strict=True):
        run["metrics"] |= {"test_accuracy": accuracy, "test_accuracy_error": 0.002, "latency_ms": latency}
        run["metrics"] |= {"test_precision": accuracy, "test_precision_error": 0.01}
    board = board_of(ranked(listed), title=CLOSING, references=REFERENCES, notes=[f"failed {HOSTILE}: {CLOSING}"])
    board = dataclasses.replace(board, chance=None)
    folder = tmp_path_factory.mktemp("reports")
    text = page.render(
        board,
        {f"r{run}": numbers(run) for run in range(1, 5)},
        library=pages.vega(tmp_path_factory.mktemp("kept")),
    )
    (folder / "magic.html").write_text(text)
    (folder / "index.html").write_text(index.render(folder))
    return folder


@pytest.fixture
def opened(browser, written):
    shown = browser.open((written / "magic.html").as_uri())
    shown.evaluate("window.drawn")
    yield shown
    assert not shown.errors
    assert [one for one in shown.requests if not one.startswith("data:")] == [(written / "magic.html").as_uri()]
    assert "taken" not in shown.evaluate("document.title").replace(CLOSING, "")


def column(shown, name: str, table: int = 0) -> list[str]:
    """The cells of a table's column that are seen, from above."""
    return shown.evaluate(
        f"""(() => {{
            const board = document.querySelectorAll("table.board")[{table}];
            const place = [...board.tHead.rows[0].cells].findIndex((one) => one.dataset.name === "{name}");
            return [...board.tBodies[0].rows]
                .filter((row) => row.dataset.id && row.offsetParent && row.cells[place].offsetParent)
                .map((row) => row.cells[place].querySelector("b")?.textContent ?? row.cells[place].innerText);
        }})()"""
    )


def choose(shown, selector: str, value: str) -> None:
    shown.evaluate(
        f"""(() => {{
            const one = document.querySelector({json.dumps(selector)});
            one.value = {json.dumps(value)};
            one.dispatchEvent(new Event(one.tagName === "SELECT" ? "change" : "input", {{ bubbles: true }}));
        }})()"""
    )


def drawn_in(shown, kind: str) -> str:
    shown.evaluate("window.drawn")
    return shown.evaluate(f"document.querySelector('[data-plot={kind}] .plot').textContent")


def test_headings_sort_by_mouse_and_keyboard(opened):
    opened.click("th[data-name=latency_ms] button")
    assert column(opened, "model")[:3] == [HOSTILE, "mlp", "gbdt"]
    assert opened.evaluate("document.querySelector('th[data-name=latency_ms]').ariaSort") == "ascending"
    opened.evaluate("document.querySelector('th[data-name=latency_ms] button').focus()")
    opened.press("Enter")
    assert column(opened, "model")[:3] == ["gbdt", "mlp", HOSTILE]
    assert opened.evaluate("document.querySelectorAll('table.board')[0].querySelectorAll('[aria-sort]').length") == 1


def test_another_metric_ranks(opened):
    assert column(opened, "model")[:3] == ["mlp", HOSTILE, "gbdt"]
    choose(opened, "#rank", "accuracy")
    assert column(opened, "model")[:3] == ["gbdt", HOSTILE, "mlp"]
    assert column(opened, "rank")[:3] == ["1", "2", "3"]
    assert "accuracy" in drawn_in(opened, "interval")


def test_filters(opened):
    assert opened.evaluate("document.querySelector('#count').textContent") == "4 of 4 rows"
    choose(opened, "#find", "mlp")
    assert column(opened, "model") == ["mlp"] and column(opened, "model", 1) == ["mlp"]
    choose(opened, "#find", "")
    choose(opened, "[data-filter=budget]", "smoke")
    assert column(opened, "model") == [] and column(opened, "model", 1)[0] == "mlp"
    assert opened.evaluate("document.querySelector('#count').textContent") == "1 of 4 rows"
    hidden = "[...document.querySelectorAll('section.table')].map((one) => one.offsetParent === null)"
    assert opened.evaluate(hidden) == [True, False]
    choose(opened, "[data-filter=budget]", "")
    choose(opened, "[data-filter=device]", "gpu")
    opened.click("#published")
    assert column(opened, "model") == [HOSTILE]
    choose(opened, "[data-filter=device]", "")
    choose(opened, "[data-filter=model]", "gbdt")
    assert column(opened, "model") == ["gbdt"]


def test_columns_are_shown_and_hidden(opened):
    shown = "document.querySelector('table.board td.c{0}, table.board th.c{0}').offsetParent !== null"
    places = opened.evaluate("[...document.querySelectorAll('[data-column]')].map((one) => one.dataset.column)")
    before = [opened.evaluate(shown.format(place)) for place in places]
    ticked = opened.evaluate("[...document.querySelectorAll('[data-column]')].map((one) => one.checked)")
    assert before == ticked and len(set(ticked)) == 2
    opened.evaluate("document.querySelectorAll('[data-column]').forEach((one) => one.click())")
    assert [opened.evaluate(shown.format(place)) for place in places] == [not one for one in before]


def test_plots_answer_to_the_rows_that_are_ticked(opened):
    assert "gbdt" in drawn_in(opened, "rejection")
    opened.click("#draw-none")
    assert drawn_in(opened, "rejection") == "No row is ticked."
    opened.click("tr[data-id=r3] input.draw")
    for kind in ("rejection", "roc", "interval", "pareto", "learning", "calibration"):
        assert "gbdt" in drawn_in(opened, kind) and "mlp" not in drawn_in(opened, kind), kind
    opened.click("tr[data-id=r2] input.draw")
    assert HOSTILE[:20] in drawn_in(opened, "roc")
    choose(opened, "[data-choice=x]", "train_seconds")
    assert "train s" in drawn_in(opened, "pareto")
    choose(opened, "[data-choice=history]", "auc")
    assert "AUC" in drawn_in(opened, "learning")


def test_published_rows_have_links_and_no_rank(opened):
    assert opened.evaluate("document.querySelector('tr.reported th a').href") == "https://x.org/z"
    assert opened.evaluate("document.querySelector('tr.reported td').textContent.trim()") == ""


def test_a_phone_scrolls_no_page_sideways(opened):
    opened.resize(400, 800, phone=True)
    opened.evaluate("new Promise(requestAnimationFrame)")
    assert opened.evaluate("document.documentElement.scrollWidth") == 400


def test_what_can_be_clicked_has_a_name(opened):
    nameless = opened.evaluate(
        """[...document.querySelectorAll("button, input, select")].filter((one) => !one.closest(".vega-embed") &&
            !(one.ariaLabel || one.textContent.trim() && one.tagName === "BUTTON" || one.closest("label")))
            .map((one) => one.outerHTML)"""
    )
    assert nameless == []


def test_the_index_leads_to_the_page(browser, written):
    shown = browser.open((written / "index.html").as_uri())
    shown.click("td a")
    assert shown.wait_for("document.querySelector('table.board') !== null")
    assert not shown.errors


def test_limits_costs_of_zero_and_names_of_slices(browser, tmp_path):
    listed = with_limits()
    for run in listed:
        run["metrics"] |= {f"test_auc_pt_GeV_b_{value}{part}": 0.5 for value in (10, 20) for part in ("", "_error")}
    board = Leaderboard(ranking.rows(listed, METRICS, "rejection_50"), METRICS, ("rejection_50", "auc"))
    slices = {"pt_GeV_b": page.Slice("pt [GeV] (jet) <b>", {"auc": "AUC"})}
    drawn = {f"r{run}": numbers(run) for run in range(4)}
    (tmp_path / "page.html").write_text(page.render(board, drawn, slices=slices, library=pages.vega(tmp_path)))
    shown = browser.open((tmp_path / "page.html").as_uri())
    marks = "document.querySelectorAll('[data-plot={}] .mark-symbol.role-mark path').length"
    axis = "[...document.querySelectorAll('[data-plot={}] .role-axis-label text')].map((one) => one.textContent)"
    assert "perfect" in drawn_in(shown, "interval") and "nothing" not in drawn_in(shown, "interval")
    assert shown.evaluate(marks.format("interval")) == 3 and shown.evaluate(axis.format("interval"))[-3] == "perfect"
    choose(shown, "[data-choice=y]", "auc")
    for cost in ("latency_ms", "parameters"):
        choose(shown, "[data-choice=x]", cost)
        assert "nothing" not in drawn_in(shown, "pareto") and shown.evaluate(marks.format("pareto")) == 3
        left_out = shown.evaluate("document.querySelector('[data-plot=pareto] .left-out').textContent")
        assert left_out.startswith("Left out: nothing: ") and left_out.endswith("a logarithmic axis cannot show.")
    drawn_in(shown, "learning")
    assert [one for one in shown.evaluate(axis.format("learning")) if one.isdigit()] == ["1", "2"]
    assert "validation" not in drawn_in(shown, "learning")  # no legend of nothing beside what the caption says
    assert "pt [GeV] (jet) <b>" in drawn_in(shown, "slices")
    shown.click("th[data-name=rejection_50] button")
    assert column(shown, "model") == ["perfect", "good", "poor", "nothing"]
    choose(shown, "#rank", "auc")
    choose(shown, "#rank", "rejection_50")
    assert column(shown, "rank") == ["1", "=2", "3", "4"] and column(shown, "model")[0] == "perfect"
    assert shown.evaluate("document.querySelector('.scroll .ranked') === null")
    assert not shown.errors


def test_forty_rows_differ_in_look_and_ten_without_colour():
    assert len({json.dumps(one) for one in charts.LOOKS}) == 40
    for part in ("line", "marker"):
        assert len({str((plots.look(n).colour, getattr(plots.look(n), part))) for n in range(40)}) == 40
    assert len({str(plots.look(n)[1:]) for n in range(10)}) == 10


def test_a_figure_says_what_it_leaves_out_and_what_is_dashed():
    rows = {row["model"]: (row, numbers(1)) for row in ranking.rows(with_limits(), METRICS, "rejection_50")}
    of = dataclasses.replace(chosen(), rows=rows, metric=METRICS["rejection_50"], x_axis="parameters")
    assert figures.left_out("pareto", of) == ["nothing"] and figures.left_out("auc", of) == []
    with plots.style():
        (axes,) = figures.draw("auc", of).axes
        assert [one.get_text() for one in axes.get_yticklabels()] == ["perfect", "good", "poor"]
        assert axes.get_xlabel().endswith("(hollow: lower limit)")
        (axes,) = figures.draw("pareto", of).axes
        assert {one.get_text() for one in axes.get_legend().get_texts()} == {"perfect", "good", "poor", "Pareto front"}
        (axes,) = figures.draw("learning", dataclasses.replace(of, metric=METRICS["log_loss"])).axes
        assert axes.get_xlabel() == "epoch or round (dashed: training)"
        assert all(float(tick).is_integer() for tick in axes.get_xticks())
        (axes,) = figures.draw("learning", dataclasses.replace(of, metric=METRICS["auc"])).axes
        assert axes.get_xlabel() == "epoch or round"


def test_a_page_of_forty_rows_is_small(tmp_path):
    listed = [a_run(number, f"model{number}", auc=0.6 + number / 200) for number in range(1, 41)]
    text = page.render(
        board_of(ranked(listed)), {f"r{run}": numbers(run) for run in range(1, 41)}, library=pages.vega(tmp_path)
    )
    assert len(text.encode()) < 3_000_000


def test_the_command_of_a_row_has_all_of_its_seeds():
    runs = [a_run(number, seed=seed) for number, seed in ((1, 3), (2, 0))]
    for run in runs:
        seed = run["tags"]["seed"]
        run["tags"] |= {"command": f"hepbench bench magic --model mlp --seed {seed} --set 'a=b c' --force"}
        run["tags"] |= {"git_commit": "c0ffee", "git_dirty": "False"}
    (row,) = ranked(runs)
    assert row["command"] == "hepbench bench magic --model mlp --seed 0 --seed 3 --set 'a=b c' --force"
    assert row["commit"] == "c0ffee"


def test_curves_are_those_of_the_metric():
    found = numbers(1).rejection["signal"]
    place = EFFICIENCIES.index(0.5)
    assert found["low"][place] < found["value"][place] < found["high"][place]
    assert METRICS["rejection_50"].scale == "log"


def chosen(**changes) -> figures.Chosen:
    listed = [a_run(1, "mlp", auc=0.9), a_run(2, "$x_1$ & <b>", auc=0.8)]
    for run, latency in zip(listed, (1.0, 20.0), strict=True):
        run["metrics"] |= {"latency_ms": latency, "test_auc_mass_5": 0.8, "test_auc_mass_5_error": 0.01}
        run["metrics"] |= {"test_auc_mass_10": 0.9, "test_auc_mass_10_error": 0.01}
    rows = {row["model"]: (row, numbers(place)) for place, row in enumerate(ranked(listed))}
    cuts = {"mass": page.Slice("mass [GeV] (jet) <b>", {"auc": "AUC"})}
    slices = page.slices_of([row for row, _ in rows.values()], cuts)
    options = {"metric": METRICS["auc"], "x_axis": "latency_ms", "slices": slices} | changes
    return figures.Chosen(rows=rows, signal="signal", background="background", **options)


@pytest.mark.parametrize("kind", figures.KINDS)
def test_every_kind_of_plot_names_its_rows(kind, tmp_path):
    with plots.style():
        drawing = figures.draw(kind, chosen())
        (axes,) = drawing.axes
        legend = axes.get_legend()
        named = [one.get_text() for one in (legend.get_texts() if legend else axes.get_yticklabels())]
        drawing.savefig(tmp_path / "figure.svg")
    assert {"mlp", plots.literal("$x_1$ & <b>")} <= set(named)
    assert axes.get_xlabel() and (axes.get_ylabel() or kind == "auc")


def test_what_was_not_measured_is_not_drawn():
    for kind, changes, words in (
        ("auc", {"metric": METRICS["rejection_95"]}, "none of these rows has rejection_95"),
        ("pareto", {"x_axis": "hardware_gpu_energy_joule"}, "both auc and hardware_gpu_energy_joule"),
        ("slices", {"slices": {}}, "declares no slices"),
    ):
        with plots.style(), pytest.raises(figures.NotMeasured, match=words):
            figures.draw(kind, chosen(**changes))


def test_a_table_for_a_paper():
    rows = ranked([a_run(1, "my_cnn", auc=0.9), a_run(2, "a&b$50%#{}~^\\", auc=0.8)])
    shown = text.render(board_of(rows, title="A_title", references=REFERENCES), "latex")
    assert r"my\_cnn & 0.9000 $\pm$ 0.0100 & " in shown
    assert r"a\&b\$50\%\#\{\}\textasciitilde{}\textasciicircum{}\textbackslash{} &" in shown
    for rule in (r"\toprule", r"\bottomrule", r"\textit{forest} & \textit{0.93}", "% A_title"):
        assert rule in shown
    assert shown.count(r"\midrule") == 2
    head, *lines = [line for line in shown.splitlines() if line.endswith(r"\\")]
    assert {len(re.findall(r"(?<!\\)&", line)) for line in lines} == {len(re.findall(r"(?<!\\)&", head))}
    assert latex.text("1/ε_B at 50 %") == r"1/$\varepsilon_{B}$ at 50 \%"


def test_several_classes_and_slices(browser, tmp_path):
    names = ("quark & gluon", "<i>", "top")
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 3000)
    scores = rng.dirichlet(np.ones(3), 3000) * 0.7 + 0.3 * np.eye(3)[labels]
    trained = [Scored(labels, scores / scores.sum(axis=1, keepdims=True))]
    values = evaluate(labels, trained[0].scores, 1, names) | by_slice(
        "mass", rng.choice([10, 20], 3000), np.minimum(labels, 1), np.stack([1 - scores[:, 1], scores[:, 1]], axis=1), 1
    )
    run = a_run(1, "mlp")
    run["metrics"] |= {f"test_{name}": value for name, value in values.items() if np.isfinite(value)}
    records = metrics_of(names)
    rows = ranking.rows([run], records, "auc")
    records |= {
        name: dataclasses.replace(METRICS["auc"], name=name)
        for name in rows[0]
        if f"{name}_error" in rows[0] and name not in records
    }
    curves = {name: plot_data._rejection(trained, number) for number, name in enumerate(names)}
    text = page.render(
        Leaderboard(rows, records, ("auc", "accuracy")),
        {"r1": PlotData(curves, {}, {}, trained[0].confusion.tolist())},
        signal="<i>",
        classes=dict(zip(names, class_keys(names), strict=True)),
        slices={"mass": page.Slice("mass [GeV] (jet) <b>", BY_SLICE)},
        library=pages.vega(tmp_path),
    )
    (tmp_path / "jets.html").write_text(text)
    shown = browser.open((tmp_path / "jets.html").as_uri())
    assert "quark & gluon" in drawn_in(shown, "confusion") and "true class" in drawn_in(shown, "confusion")
    assert "AUC" in drawn_in(shown, "slices")
    choose(shown, "[data-choice=slice]", "efficiency_mass")
    assert "ε_S at the common cut" in drawn_in(shown, "slices")
    lines = (
        "[...document.querySelectorAll('[data-plot=rejection] .mark-line path')].map((one) => one.getAttribute('d'))"
    )
    assert "ε_S (<i>)" in drawn_in(shown, "rejection")
    before = shown.evaluate(lines)
    choose(shown, "[data-choice=class]", "top")
    assert "ε_S (top)" in drawn_in(shown, "rejection")
    assert len(before) == 2 and before[1] != shown.evaluate(lines)[1]
    assert not shown.errors
