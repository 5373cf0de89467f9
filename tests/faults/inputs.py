"""Hostile files, models and names: what others give to the program."""

from __future__ import annotations

import tempfile
from pathlib import Path

from faults.commands import add_store, once
from faults.counting import runs_of, tracebacks
from faults.scene import Call, Scene

# --- files -----------------------------------------------------------------------------------------------------------

FILES = 100
EVENTS = 60
FORMATS = (
    *("atlas_higgs", "ecal", "hepmass", "jetclass", "magic", "pxd_clusters", "pxd_pixels", "qg_images", "qg_jets"),
    "top_tagging",
)
"""Tasks, of each format one."""
TIME_LIMIT = 60.0
"""Seconds that a file of so few events is read at most."""
MEMORY = 4 * 2**30
"""Bytes that reading it takes at most."""

READING = """
from dataclasses import replace
from pathlib import Path

from hepbench.benchmarks import registry

entry = registry.find("task", {task!r})
TASK = replace(
    entry.record, sources=(), custom_layout=None, required_sources=None, simulation=None, variants={{}},
    locate=lambda: [Path(path) for path in {files!r}],
)
"""
"""A task of a user's own on these files, which nobody has published and no checksum is known of."""


def read_file(task: str, scene: Scene, number: int) -> str:
    """Prepare the events of a file that the mutator has spoilt, with the other files of the task as they are: read, or
    refused in a line."""
    every, others = mutants(task)
    spoilt = every[number]
    (scene.folder / "hostile.py").write_text(READING.format(task=task, files=list(map(str, [spoilt, *others]))))
    add_store(scene)
    asked = ("bench", "hostile.py", "--model", "prior", "--budget", "smoke", "--dry-run")
    call = scene.call_warm(*asked, memory=MEMORY, limit=TIME_LIMIT)
    complain_of_refusal(scene, call, allowed=(0, 2))
    return f"{spoilt.parent.name} {spoilt.name}: {'read' if call.status == 0 else call.last_line}"


def complain_of_refusal(scene: Scene, call: Call, allowed: tuple[int, ...]) -> None:
    """A refusal is one line."""
    if call.status not in (None, *allowed) and not tracebacks(call.printed):
        scene.complaints.append(f"status {call.status}: {call.last_line}")
    if call.status == 2 and sum(line.startswith("error: ") for line in call.printed.splitlines()) != 1:
        scene.complaints.append(f"refused without a line that says so: {call.last_line}")


@once
def mutants(task: str) -> tuple[list[Path], list[Path]]:
    """The spoilt files, and the files of the task that stay as they are."""
    import mutate

    folder = Path(tempfile.mkdtemp(prefix="hepbench-faults-"))
    first, *others = genuine(task, folder)
    return [path for _, path in mutate.mutants(first, folder / "spoilt", FILES, 0)], others


def genuine(task: str, folder: Path) -> list[Path]:
    """Small files of a task, in the order in which it reads them."""
    from hepbench.benchmarks import registry
    from hepbench.suite.data.simulate import simulate_files

    entry = registry.find("task", task)
    if entry.record.simulation is None:
        (whole,) = entry.record.locate()
        path = folder / entry.record.sources[0].name
        lines = whole.read_text().splitlines(keepends=True)
        head = [line for line in lines if line.startswith("@")]
        path.write_text("".join([*head, *lines[len(head) :: len(lines) // EVENTS]]))
        return [path]
    simulate_files(entry, EVENTS, 0, folder / "genuine", 1, lambda done: None)
    return sorted((folder / "genuine").iterdir(), reverse=True)


# --- models ----------------------------------------------------------------------------------------------------------

MODEL = '''"""{about}"""
import os, signal, sys, time
import numpy as np
from hepbench import Model
{at_import}

class Fitted:
    trainable_parameters = 3

    def predict(self, sample):
        n = len(sample)
        return {scores}

    def save(self, folder):
        {saving}

def fit(train, valid, parameters, classes, seed, device, report):
    {fitting}
    return Fitted()

MODEL = Model(title={title!r}, view="table", fit=fit, load=lambda folder: Fitted(), defaults={defaults},
    space=lambda trial: {{}})
'''
HARMLESS = {
    "about": "harmless",
    "at_import": "",
    "scores": "np.full((n, 2), 0.5, 'f4')",
    "saving": "pass",
    "fitting": "pass",
    "defaults": "{}",
    "title": "harmless",
}
MODELS: tuple[tuple[str, dict[str, str]], ...] = (
    ("markup", {"fitting": 'raise RuntimeError("cannot open [/data/x.csv] [bold]")'}),
    ("surrogate", {"fitting": r'raise RuntimeError("bad \udcff name")'}),
    ("control", {"fitting": r'raise RuntimeError("\x1b[2J\x00\r\x07 gone")'}),
    ("long_message", {"fitting": 'raise RuntimeError("x" * 10**6)'}),
    ("many_lines", {"fitting": r'raise RuntimeError("line\n" * 10**4)'}),
    ("exit_at_import", {"at_import": "sys.exit(0)"}),
    ("exit_in_training", {"fitting": "sys.exit(0)"}),
    ("interrupt_in_training", {"fitting": "raise KeyboardInterrupt"}),
    ("dies_in_training", {"fitting": "os.kill(os.getpid(), signal.SIGKILL)"}),
    ("aborts_in_training", {"fitting": "os.abort()"}),
    ("syntax_error", {"at_import": "def ("}),
    ("no_such_module", {"at_import": "import no_such_module_anywhere"}),
    ("three_columns", {"scores": "np.full((n, 3), 1 / 3, 'f4')"}),
    ("too_few_scores", {"scores": "np.full((n - 1, 2), 0.5, 'f4')"}),
    ("no_scores", {"scores": "None"}),
    ("not_probabilities", {"scores": "np.column_stack([np.full(n, -100.0), np.full(n, 200.0)])"}),
    ("not_numbers", {"scores": "np.full((n, 2), np.nan)"}),
    ("complex", {"scores": "np.full((n, 2), 0.5 + 1j)"}),
    ("texts", {"scores": "np.full((n, 2), 'a')"}),
    ("default_none", {"defaults": '{"depth": None}'}),
    ("default_tuple", {"defaults": '{"layers": (64, 64)}'}),
    ("default_numpy", {"defaults": '{"rate": np.float32(0.1)}'}),
    ("default_name", {"defaults": '{"a/../b?": 1.0}'}),
    ("reports_text", {"fitting": 'report(1, {"val_auc": "good"})'}),
    ("reports_names", {"fitting": 'report(1, {"pt [GeV]/../x": 0.5})'}),
    ("saves_nothing", {"saving": "raise OSError(28, 'No space left on device')"}),
    ("title_markup", {"title": "[/red] <script>alert(1)</script> $^$"}),
    ("title_surrogate", {"title": "\udcff"}),
    ("we$^$ird", {}),
    ("a b'c", {}),
    ("[bold]", {}),
    ("<b>&amp;", {}),
    ("größe", {}),
    ("x" * 200, {}),
    ("x;touch y", {}),
    ("-dash", {}),
)


def train_hostile(scene: Scene, number: int) -> str:
    """Its trial may fail, in a line; the model beside it is trained, and the leaderboard shows it."""
    name, changes = MODELS[number]
    add_store(scene)
    path = scene.folder / f"{name}.py"
    path.write_text(MODEL.format(**{**HARMLESS, **changes}), encoding="utf-8", errors="backslashreplace")
    call = scene.call_warm("bench", "magic", "--model", f"./{name}.py", "--model", "prior", "--budget", "smoke")
    complain_of_refusal(scene, call, allowed=(0, 1, 2))
    if call.status in (0, 1):
        scene.results = 1 + (call.status == 0)
        scene.repeat("leaderboard", "magic")
    elif runs_of(scene.home / "results" / "mlflow.db"):
        scene.complaints.append("refused after a run had begun")
    return f"{name[:30]}: status {call.status}"


# --- names -----------------------------------------------------------------------------------------------------------

HOMES = ("a b", "a?b", "%20", "a#b", "größe", "[red]x[/]", "a'b\"c", "$HOME", "a;b", "a&b=c", "-x", "a\\b", "日本")
STUDIES = ("a/../b?", "[/x]", "größe", "x" * 300, "a b", "'; DROP TABLE trials; --", "%s", "$^$")
NAMES = (*(("home", name) for name in HOMES), *(("study", name) for name in STUDIES))


def call_by_name(scene: Scene, number: int) -> str:
    """A home or a study of this name: it works, or is refused in a line."""
    what, name = NAMES[number]
    arguments = ["bench", "magic", "--model", "prior", "--budget", "smoke"]
    if what == "home":
        scene.name = name
    else:
        arguments = ["tune", "magic", "--model", "logistic", "--budget", "smoke", "--trials", "2", "--seeds", "2"]
        arguments += ["--study", name]
    scene.home.mkdir(parents=True)
    call = scene.call_warm(*arguments)
    complain_of_refusal(scene, call, allowed=(0, 2))
    if call.status == 0 and what == "home":
        scene.results = 1
        scene.repeat("leaderboard", "magic")
    elif call.status == 0:  # a search whose best are the defaults has no result to test
        scene.trials = 2
        scene.repeat("studies")
    return f"{what} {name[:30]!r}: status {call.status}"
