"""The command line as somebody types it: help, hints, several names at once, completion."""

from __future__ import annotations

import json
import shlex

import click
import pytest
from conftest import assert_user_mistake, hepbench

from hepbench.suite import cli
from hepbench.suite.commands.arguments import MEANT
from hepbench.suite.forecast import Forecast, forecast, in_words
from hepbench.tracking.leaderboard import text
from hepbench.tracking.leaderboard.selection import Selection, select


def every_verb(group=cli.commands, path=("hepbench",)):
    yield path, group
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from every_verb(command, (*path, name))
        else:
            yield (*path, name), command


VERBS = {" ".join(path): command for path, command in every_verb()}


def completed(words: str, monkeypatch, capsys) -> list[str]:
    """What a shell is offered for the last word of a line."""
    line = f"hepbench {words}".split(" ")
    monkeypatch.setenv("_HEPBENCH_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", " ".join(line))
    monkeypatch.setenv("COMP_CWORD", str(len(line) - 1))
    with pytest.raises(SystemExit):
        cli.commands.main(prog_name="hepbench", standalone_mode=False)
    return capsys.readouterr().out.splitlines()


def test_version(home):
    done = hepbench("--version", home=home)
    assert done.returncode == 0 and done.stdout.startswith("hepbench 0.")


@pytest.mark.parametrize("verb", VERBS)
def test_help_has_its_examples_and_they_are_commands(verb, home):
    done = hepbench(*verb.split()[1:], "--help", home=home, COLUMNS="80")
    assert done.returncode == 0 and done.stdout.startswith(f"Usage: {verb}")
    examples = getattr(VERBS[verb], "examples", ())
    for example in examples:
        assert f"  {example}\n" in done.stdout.replace(" \n", "\n").replace(" " * 8, "") or example in done.stdout
        words = shlex.split(example.partition(" > ")[0])[1:]
        if "--help" in words:
            continue
        group, name, *rest = cli.commands, *words
        while isinstance(group.commands[name], click.Group):
            group, (name, *rest) = group.commands[name], rest
        assert group.commands[name].make_context(name, rest)


def test_options_stand_in_groups_with_their_choices(home):
    told = hepbench("bench", "--help", home=home).stdout
    for heading in ("Training", "Data and device", "Execution", "Output", "Examples"):
        assert f"{heading}:" in told
    for choices in ("smoke|quick|standard|full", "auto|cpu|gpu", "tensorflow|jax", "slurm|htcondor"):
        assert choices in told


@pytest.mark.parametrize(
    "words, meant",
    [
        ("becnh magic", "hepbench bench`"),
        ("run magic", "hepbench bench`"),
        ("compar", "hepbench compare`"),
        ("ecal", "hepbench bench ecal`"),
        ("models", "hepbench list models`"),
        ("measure dat", "hepbench measure data`"),
        ("bench magic --model particlnet", "'particlenet'"),
        ("bench magic -m gbdt,particlnet", "'particlenet'"),
        ("bench ecla", "'ecal'"),
        ("leaderboard ecla", "'ecal'"),
        ("compare ecla a b", "'ecal'"),
        ("bench magic --budget quik", "'quick'"),
        ("compare magic a b --budget quik", "'quick'"),
        ("bench magic --device gppu", "'gpu'"),
        ("bench magic --data offical", "'official'"),
        ("bench magic --modle gbdt", "--model"),
        ("bench magic --columns aucc", "'auc'"),
        ("tune magic -m gbdt --objective acuracy", "'accuracy'"),
        ("tune magic -m gbtd", "'gbdt'"),
        ("tune magic -m gbdt --sampler tp", "'tpe'"),
        ("sweep magic -m mpl", "'mlp'"),
        ("reproduce ecal_cn", "'ecal_cnn'"),
        ("events magic --split tst", "'test'"),
        ("list modles", "'models'"),
    ],
)
def test_a_word_that_is_near_gets_its_hint(words, meant, home):
    done = hepbench(*words.split(), home=home)
    assert_user_mistake(done, "id you mean ", meant)
    assert not (home / "data").exists()


def test_what_is_meant_exists():
    for words in MEANT.values():
        assert words.startswith("--") or words.split()[0] in cli.commands.commands


def test_without_a_task_the_tasks_are_listed(home):
    done = hepbench("bench", home=home)
    assert done.returncode == 2 and "magic" in done.stdout and "qg_jets" in done.stdout
    assert done.stderr == "error: give a task: hepbench bench ecal, or make bench TASK=ecal\n"
    assert_user_mistake(hepbench("tune", "-m", "mlp", home=home), "Missing argument 'TASK'", "magic", "qg_jets")


def test_several_tasks_and_models_in_one_call(home, tmp_path):
    options = ("-m", "prior,logistic", "--model", "gbdt", "--dry-run", "--budget", "smoke")
    done = hepbench("bench", "magic", "ecal,magic", *options, home=home)
    assert done.returncode == 0, done.stderr
    assert done.stdout.index("magic: ") < done.stdout.index("ecal: ")
    for model in ("prior", "logistic", "gbdt"):
        assert done.stdout.count(f"│ {model} ") == 2
    assert done.stdout.count("to run") == 6
    assert_user_mistake(hepbench("bench", "magic", "nothing", *options, home=home), "unknown task 'nothing'")
    assert_user_mistake(
        hepbench("tune", "magic", "-m", "mlp,gbdt", home=home), "--model: give exactly one, got mlp, gbdt"
    )
    assert_user_mistake(hepbench("leaderboard", "magic", "pxd_clusters:all", home=home), "pxd_clusters:all", "alone")


def test_a_path_with_a_comma_or_a_space_is_one_name(home, tmp_path):
    file = tmp_path / "my own, tagger.py"
    file.write_text("raise RuntimeError('read')\n")
    for model in (file, f"{file}:big"):
        assert_user_mistake(hepbench("bench", "magic", "-m", model, home=home), f"model file {file}", "read")


@pytest.mark.parametrize(
    "words, offered",
    [
        ("be", ["plain,bench"]),
        ("bench qg", ["plain,qg_images", "plain,qg_jets"]),
        ("bench ./my", ["file,./my"]),
        ("bench magic -m cnn,gb", ["plain,cnn,gbdt"]),
        ("bench magic --budget s", ["plain,smoke", "plain,standard"]),
        ("reproduce ec", ["plain,ecal_cnn"]),
        ("leaderboard magic --columns latency_m", ["plain,latency_ms"]),
        ("tune magic --objective rejection_9", ["plain,rejection_90", "plain,rejection_95", "plain,rejection_99"]),
    ],
)
def test_a_shell_completes_names(words, offered, monkeypatch, capsys):
    assert completed(words, monkeypatch, capsys) == offered


# --- the leaderboard --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def benched(tmp_path_factory):
    """A home with two results of magic, and what the benches of them printed."""
    home = tmp_path_factory.mktemp("benched")
    bench = ("bench", "magic", "--budget", "smoke", "--events", 1000, "--model")
    first = hepbench(*bench, "logistic", home=home)
    assert first.returncode == 0, first.stderr
    second = hepbench(*bench, "logistic,prior", "--seeds", 2, home=home)
    assert second.returncode == 0, second.stderr
    return home, first.stdout, second.stdout


def test_the_page_is_drawn_when_it_is_asked_for(benched):
    page = benched[0] / "results" / "reports" / "magic.html"
    before = page.stat().st_mtime_ns
    done = hepbench("leaderboard", home=benched[0])
    assert "hepbench leaderboard all --page" in done.stdout and "magic · official data" in done.stdout
    assert page.stat().st_mtime_ns == before
    done = hepbench("leaderboard", "magic", "--page", "--sort", "model", home=benched[0])
    assert f"report: {page}" in done.stdout and page.stat().st_mtime_ns > before


def test_rows_of_some_models_by_another_metric(benched):
    def shown(*options):
        done = hepbench("leaderboard", "magic", "--format", "json", *options, home=benched[0])
        assert done.returncode == 0, done.stderr
        return [(row["model"], row["rank"]) for row in json.loads(done.stdout)]

    assert shown() == [("logistic", 1), ("prior", 2)]
    assert shown("-m", "prior") == [("prior", 2)]
    assert shown("--sort", "train_seconds")[0] == ("prior", 2)
    assert shown("--metric", "log_loss", "--sort", "model") == [("logistic", 1), ("prior", 2)]
    done = hepbench("leaderboard", "magic", "--max-latency", "1us", "-m", "prior,logistic", home=benched[0])
    assert "above 0.001 ms for one event; ranks are those among all" in done.stdout
    assert_user_mistake(hepbench("leaderboard", "magic", "-m", "logistik", home=benched[0]), "mean 'logistic'?")
    assert_user_mistake(hepbench("leaderboard", "magic", "--metric", "acuracy", home=benched[0]), "mean 'accuracy'?")
    assert_user_mistake(hepbench("leaderboard", "magic", "--sort", "latency", home=benched[0]), "mean 'latency_ms'?")


@pytest.mark.parametrize("width", [40, 50, 60, 68, 80, 100, 110])
def test_a_narrow_terminal_cuts_no_name_and_no_number(width):
    from test_tracking import a_run, board_of, ranked

    metrics = {"test_auc": 0.7746, "test_auc_error": 0.0069, "test_accuracy": 0.7084, "test_accuracy_error": 0.004}
    metrics |= {"test_rejection_50": 6.71, "test_rejection_50_error": 0.4, "parameters": 1234567.0}
    metrics |= {"train_seconds": 50.123, "predict_us_per_event": 374.0, "latency_ms": 0.001}
    names = ("gnn", "hist_gbdt", "particlenet_lite")
    listed = [a_run(n, name, metrics=metrics, set="features=energy" * (n == 0)) for n, name in enumerate(names)]
    shown = text.render(board_of(ranked(listed)), width=width)
    table = shown.partition("─\n")[2].partition("\nnot shown")[0].splitlines()
    for name, line in zip(names, [line for line in table if "± 0.0069" in line], strict=True):
        assert name in line.split()
    words = {word for line in table if "± 0.0069" in line for word in line.split()}
    numbers = {"0.7746", "±", "0.0069", "0.7084", "6.71", "0.40", "1,234,567", "50.1", "374", "<", "0.01", "1"}
    assert words - {"=2", "=3", "features=energy", *names} <= numbers | {"0.0040"}
    assert max(map(len, shown.splitlines())) <= width
    left_out = " ".join(shown.partition("columns: ")[2].partition("times on")[0].split())
    headings = {"accuracy": "0.7084", "1/ε_B at 50 %": "6.71", "train s": "50.1", "latency ms": "< 0.01"}
    for heading, cell in headings.items():
        assert (cell in shown) != (heading in left_out)
    assert "--columns" not in left_out or "seeds" not in left_out.partition("--columns")[2]


@pytest.mark.parametrize("width", [60, 80, 100, 110])
def test_no_column_is_left_out_in_silence(width):
    from test_tracking import a_run, board_of, ranked

    metrics = {"test_auc": 0.9, "test_auc_error": 0.01, "latency_ms": 0.25, "parameters": 1234567.0}
    shown = text.render(board_of(ranked([a_run(1, metrics=metrics)])), width=width)
    left_out = shown.partition(f"not shown in {width} columns: ")[2]
    for heading, cell in (("latency ms", "0.250"), ("trainable parameters", "1,234,567")):
        assert (cell in shown) != (heading in " ".join(left_out.split()))


def test_a_selection_leaves_no_table_empty():
    from test_tracking import a_run, board_of, ranked

    tables = [a_run(1, budget="quick"), a_run(2, budget="smoke", model="cnn")]
    board = select(board_of(ranked(tables)), Selection(models=("cnn",)))
    assert [row["model"] for row in board.rows] == ["cnn"]
    assert board.notes[0] == "rows left out: 1 of other models; ranks are those among all"


# --- how long it takes ------------------------------------------------------------------------------------------------


def a_past_run(seconds: float, number: int = 0, parameters=None, **tags):
    tags = {"model": "mlp", "budget": "quick", "data": "official", "hardware": "here", **tags}
    return {
        "id": f"r{number}",
        "start": 10.0,
        "end": 10.0 + seconds,
        "tags": tags,
        "parameters": parameters or {},
        "metrics": {},
    }


def test_a_forecast_is_of_what_ran_here():
    tags = a_past_run(0)["tags"]
    trials = {"mlp seed 1": (tags, {"width": 64}), "cnn seed 1": ({**tags, "model": "cnn"}, {})}
    others = [
        a_past_run(5, 1, budget="smoke"),
        a_past_run(5, 2, hardware="elsewhere"),
        a_past_run(5, 3, imported_from="another"),
        a_past_run(5, 4, events="600"),
    ]
    nothing = forecast(trials, others)
    assert nothing.unknown == ["mlp seed 1", "cnn seed 1"] and nothing.earlier == 0
    some = forecast(trials, [*others, a_past_run(60, 5), a_past_run(70, 6), a_past_run(100, 7)])
    assert some.seconds == {"mlp seed 1": 70, "cnn seed 1": None} and some.earlier == 3
    same = forecast(trials, [a_past_run(60, 5), a_past_run(90, 6, {"width": "64"})])
    assert same.seconds["mlp seed 1"] == 90 and same.earlier == 1


def test_a_forecast_scales_runs_within_another_budget():
    tags = a_past_run(0, budget="full", events="all")["tags"]
    trials = {"mlp seed 1": (tags, {"width": 64, "epochs": 100})}
    small = a_past_run(30, 1, {"width": "64", "epochs": "2"}, budget="smoke")
    small["metrics"] = {"train_events": 1_000, "train_seconds": 10.0, "predict_seconds": 1.0}
    larger = a_past_run(60, 2, {"width": "64", "epochs": "10"}, budget="quick")
    larger["metrics"] = {"train_events": 2_000, "train_seconds": 40.0, "predict_seconds": 2.0}
    wider = a_past_run(60, 3, {"width": "128", "epochs": "100"}, budget="standard")
    wider["metrics"] = {"train_events": 4_000, "train_seconds": 40.0}
    made = forecast(trials, [small, larger, wider], events=4_000)
    assert made.scaled and made.earlier == 1
    assert made.seconds["mlp seed 1"] == pytest.approx(60 + 40 * 19 + 2)  # twice the events, ten times the epochs
    assert forecast(trials, [wider], events=8_000).seconds["mlp seed 1"] == pytest.approx(100)
    assert forecast(trials, [small, larger]).unknown == ["mlp seed 1"]  # how many events is not known


def test_what_is_left():
    of_four = Forecast({"a": 60, "b": 60, "c": 30, "d": None}, 3, 2)
    assert of_four.left({}, ()) == 75 and of_four.left({"a": 50}, ()) == 60
    assert of_four.left({"a": 500}, {"b"}) == 30 and of_four.left({}, "abc") == 0
    assert [in_words(seconds) for seconds in (0.2, 89, 200, 7200)] == ["1 s", "89 s", "3 min", "2.0 h"]


def test_a_bench_says_how_long_it_takes(benched):
    _, first, second = benched
    assert "estimated time: unknown, no earlier runs of these models on this machine" in first
    assert "from 1 earlier run on this machine; prior: unknown, no earlier runs" in second
    assert "estimated time: about " in second and "epoch" not in first + second
