"""Names and messages of anyone, shown as they are: on the terminal, in pages, plots and MLflow."""

from __future__ import annotations

import ast
import io
import json
import re
from pathlib import Path

import pytest
from conftest import ROOT, hepbench
from rich.progress import Progress, TextColumn
from rich.table import Table
from rich.text import Text

from hepbench.suite.commands.console import Console
from hepbench.tracking import diagram, pages, plots, runs
from hepbench.tracking.printable import markdown_cell, printable

ODD = [
    "[bold]",
    "[/data/x.csv]",
    "[/]",
    "we$^$ird",
    r"$\frac{",
    ":smile:",
    "<b>&",
    "a\x1b[2Jb",
    "\x07\x00",
    "\udcff",
    "\u202e",
]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("pt [GeV], σ², 日本\n\tx", "pt [GeV], σ², 日本\n\tx"),
        ("a\x1b[31mb\x07\r\x00\x9b", r"a\x1b[31mb\x07\r\x00\x9b"),
        ("bad \udcff name", r"bad \udcff name"),
        ("\u202etxt.exe", r"\u202etxt.exe"),
    ],
)
def test_what_cannot_be_seen_is_written(text, shown):
    assert printable(text) == shown
    assert printable(shown) == shown
    shown.encode()


def test_a_cell_of_markdown_is_one_cell():
    assert markdown_cell("p < 0.05 | <b>x</b>\n<!-- \x1b") == r"p < 0.05 \| &lt;b>x&lt;/b> &lt;!-- \x1b"


@pytest.mark.parametrize("odd", ODD)
def test_a_console_shows_text_as_it_is(odd):
    out = io.StringIO()
    console = Console(file=out, width=200, force_terminal=True, color_system=None)
    console.print(odd)
    console.print(Text.assemble((odd, "bold"), " is bold"))
    table = Table(odd, title=odd)
    table.add_row(odd)
    console.print(table)
    seen = printable(odd.replace("\x07", ""))  # rich leaves the bell out
    assert out.getvalue().replace("\\x07", "").count(seen) == 5
    assert not set(out.getvalue()) & set("\x1b\x07\x00\udcff")


def test_a_console_keeps_what_rich_says_to_the_terminal():
    out = io.StringIO()
    Console(file=out, force_terminal=True, color_system="standard").print(Text("red", "red"))
    assert out.getvalue() == "\x1b[31mred\x1b[0m\n"


@pytest.mark.parametrize("odd", ODD)
def test_plots_and_pages_show_text_as_it_is(odd, tmp_path):
    with pages.style():
        figure, axes = plots.figure()
        axes.plot([1, 2], label=plots.literal(odd))
        axes.set_xlabel(rf"$\epsilon_S$ ({plots.literal(odd)})")
        axes.legend()
        drawing = pages.inline_svg(figure)
        plots.save(figure, tmp_path / "plot")
    page = pages.render("study.html", title=odd, about=[odd], outcome=None, drawings=[(odd, drawing)])
    page.encode()
    assert "<b>&" not in page and "\x1b" not in page
    boxes = [diagram.Box(odd, odd, "input", ())]
    assert not set(diagram.svg(boxes)) & set("\x1b\x07\x00\udcff")


def test_plots_of_optuna_show_text_as_it_is():
    import plotly.graph_objects

    names = ['<a href="https://example.org">x</a>', "a<br>b", "x < 1", "</script><script>alert(1)</script>", "\udcff"]
    figure = plotly.graph_objects.Figure(plotly.graph_objects.Bar(x=names, y=list(range(len(names))), name=names[0]))
    figure.update_xaxes(title=names[0])
    shown = str(pages.inline_plotly(figure, library=False))
    shown.encode()
    data = re.search(r"Plotly\.newPlot\(\s*\"[^\"]+\",\s*(\[.*?\]),\s*\{", shown, re.DOTALL).group(1)
    (bar,) = json.loads(data)
    assert bar["x"][0] == bar["name"] == '&lt;a href="https://example.org">x&lt;/a>'
    assert bar["x"][1] == "a<br>b" and bar["x"][4] == r"\udcff"
    assert "<script>alert" not in shown and "<a href" not in shown


def test_mlflow_keeps_whatever_it_is_given(tmp_path):
    store = runs.connect(None, tmp_path)
    odd = "".join(ODD)
    run = store.start("odd", odd + "n" * 2000, tags={"a": odd, "b": "x" * 20_000}, parameters={"c": odd + "y" * 20_000})
    store.tag(run, {"d": odd})
    store.finish(run, "FAILED", f"{odd}\n{odd}")
    (found,) = store.runs("odd")
    assert found["tags"]["a"] == found["tags"]["d"] == found["tags"]["failure"] == printable(odd)
    assert len(found["tags"]["b"]) == len(found["parameters"]["c"]) == runs.LONGEST_TAG
    assert found["name"].startswith(printable(odd)) and len(found["name"]) == runs.LONGEST_NAME


@pytest.mark.parametrize("odd", ["it's", "' OR 1=1 --", "a\"b'c`d", "\udcff\x1b", "%", "n" * 300])
def test_runs_are_found_by_odd_names(odd, tmp_path):
    """In the database's tables, and as a server is asked for them."""
    store = runs.connect(None, tmp_path)
    wanted = store.start(odd, "one", tags={"sweep": odd}, parameters={})
    store.start(odd, "other", tags={"sweep": "other"}, parameters={})
    for through_mlflow in (False, True):
        if through_mlflow:
            vars(store)["_rows"] = None
        assert [run["id"] for run in store.runs(odd, tags={"sweep": odd})] == [wanted]
        assert len(store.runs(odd)) == 2 and store.runs("another") == []


MODEL = '''"""A model that {about}."""
import numpy as np
from hepbench import Model

class Fitted:
    trainable_parameters = 3

    def predict(self, sample):
        return np.full((len(sample), 2), 0.5, "f4")

    def save(self, folder):
        pass

def fit(train, valid, parameters, *, classes, seed, device, report):
    report(1, {{"loss": 1.0, "val_loss": 1.0}})
    {fitting}
    return Fitted()

MODEL = Model({title!r}, "table", {{}}, lambda trial: {{}}, fit=fit, load=lambda folder: Fitted())
'''

RAISED = {
    "markup": "cannot open [/data/x.csv]",
    "surrogate": "bad \udcff name",
    "control": "a\x1b[2J\x07b",
    "tags": "<script>alert(1)</script> [red]",
    "long": "y" * 20_000,
}


def model(folder: Path, name: str, fitting: str, title: str) -> Path:
    path = folder / f"{name}.py"
    path.write_text(MODEL.format(about=name.replace("\\", ""), fitting=fitting, title=title))
    return path


def test_a_bench_shows_odd_names_and_messages_and_goes_on(home, tmp_path):
    failing = [model(tmp_path, name, f"raise RuntimeError({text!r})", name) for name, text in RAISED.items()]
    running = [
        model(tmp_path, name, "pass", odd) for name, odd in zip(("we$^$ird", "[red]x", "b<i>"), ODD, strict=False)
    ]
    given = [word for path in (*failing, *running) for word in ("--model", path)]
    done = hepbench("bench", "magic", *given, "--budget", "smoke", "--seeds", 1, home=home)
    assert done.returncode == 1, done.stderr
    for name, text in RAISED.items():
        assert f"{name} seed 0: RuntimeError: {printable(text)}" in done.stdout
    for path in running:
        assert f"done {[*failing, *running].index(path) + 1}/8 {path.stem} seed 0: AUC" in done.stdout, done.stdout
    assert "\x1b" not in done.stdout
    states = [run["status"] for run in runs.connect(None, home / "results").runs("magic", tags={"stage": "final"})]
    assert sorted(states) == ["FAILED"] * 5 + ["FINISHED"] * 3
    page = (home / "results" / "reports" / "magic.html").read_text()
    assert "we$^$ird" in page and "b&lt;i&gt;" in page and "<script>alert" not in page
    for form in ("table", "json", "csv", "markdown"):
        again = hepbench("leaderboard", "magic", "--format", form, home=home)
        assert again.returncode == 0 and "we$^$ird" in again.stdout, again.stderr


def test_a_progress_bar_shows_text_as_it_is():
    out = io.StringIO()
    console = Console(file=out, width=200, force_terminal=True, color_system=None)
    with Progress(TextColumn("{task.description}", markup=False), console=console) as bar:
        bar.add_task("[/x] {y}", total=1)
    assert "[/x] {y}" in out.getvalue()


def test_no_text_is_read_as_markup():
    """Every console is ours, and what rich reads as markup by itself is told not to."""
    for path in [*(ROOT / "suite").rglob("*.py"), *(ROOT / "tracking").rglob("*.py")]:
        text = path.read_text()
        assert "from_markup" not in text and "[/" not in re.sub(r"\[/@?[^\]]*\]\*", "", text), path
        for call in [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]:
            name = ast.unparse(call.func)
            if name.endswith("TextColumn"):
                assert "markup" in [one.arg for one in call.keywords], path
            if name.endswith(".status") and call.args:
                assert isinstance(call.args[0], ast.Constant | ast.Call), path
