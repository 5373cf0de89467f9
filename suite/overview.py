"""`list`, `doctor` and `ui`: what there is and where it lies. Nothing here imports TensorFlow, Keras or MLflow."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import registry
from benchmarks.budgets import BUDGETS
from suite import data, device
from tracking import hardware, runs

PACKAGES = (
    "tensorflow-cpu",
    "tensorflow",
    "jax",
    "jax-cuda12-plugin",
    "keras",
    "xgboost-cpu",
    "xgboost",
    "scikit-learn",
    "numpy",
    "pandas",
    "pyarrow",
    "h5py",
    "mlflow",
    "optuna",
)


def versions() -> dict[str, str]:
    """Version of each package that computes, by name, where it is installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def print_list(console: Console) -> None:
    """Tasks with their data, models with their views, metrics, budgets."""
    from benchmarks.metrics import METRICS

    tasks = Table("task", "what", "inputs", "data here", title="tasks", title_justify="left")
    for name in registry.names("task"):
        entry = registry.find("task", name)
        tasks.add_row(name, entry.record.title, ", ".join(entry.record.views), _data_here(entry))
    models = Table("model", "what", "inputs", "after", title="models", title_justify="left")
    for name in registry.names("model"):
        model = registry.find("model", name).record
        models.add_row(name, model.title, model.view or "labels only", model.source)
    metrics = Table("metric", "what", title="metrics, each with its error", title_justify="left")
    for name, metric in METRICS.items():
        metrics.add_row(name, metric.title)
    budgets = Table(
        "budget", "events at most", "epochs", "rounds (trees)", "seeds", title="budgets", title_justify="left"
    )
    for name, budget in BUDGETS.items():
        events = f"{budget.events:,}" if budget.events else "all"
        budgets.add_row(name, events, str(budget.epochs), f"{budget.rounds:,}", str(budget.seeds))
    for table in (tasks, models, metrics, budgets):
        console.print(table)
    found = versions()
    console.print("installed: " + ", ".join(f"{name} {version}" for name, version in found.items()), highlight=False)


def _data_here(entry: registry.Entry) -> str:
    lines = []
    if paths := data.official(entry):
        lines.append(f"official: {len(paths)} file{'s' * (len(paths) > 1)}")
    elif entry.record.sources:
        lines.append("official: not here")
    if entry.record.simulation:
        folder = data.home() / "data" / entry.dataset / "simulated"
        sets = [path.name.split("_")[0][1:] for path in folder.glob("n*")] if folder.is_dir() else []
        lines.append("simulated: " + (", ".join(f"{int(n):,}" for n in sorted(sets, key=int)) or "not yet"))
    return "\n".join(lines)


def print_doctor(console: Console) -> None:
    """What this machine and this environment have, line by line."""
    machine = hardware.describe()
    home = data.home()
    lines = {
        "python": f"{platform.python_version()}, {sys.executable}",
        "system": machine["os"],
        "processor": f"{machine['cpu']}, {machine['cores_usable']} cores usable",
        "memory": f"{machine['memory_gib']:.1f} GiB",
        "GPU": ", ".join(f"{gpu['name']} {gpu['memory_gib']:.0f} GiB" for gpu in machine["gpus"]) or "none found",
    }
    for backend in device.BACKENDS:
        chosen, why = device.resolve("auto", backend)
        lines[f"auto with {backend}"] = f"{chosen} ({why})"
    lines["packages"] = ", ".join(f"{name} {version}" for name, version in versions().items())
    lines["results"] = runs.location(None, home / "results")
    lines["data"] = str(home / "data")
    lines["disk"] = f"{shutil.disk_usage(_existing(home)).free / 2**30:.1f} GiB free at {home}"
    for name in registry.names("task"):
        entry = registry.find("task", name)
        lines[f"data of {name}"] = _files_line(entry)
    table = Table.grid(padding=(0, 2))
    for name, text in lines.items():
        table.add_row(f"[bold]{name}[/]", text)
    console.print(table, highlight=False)


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.parent)


def _files_line(entry: registry.Entry) -> str:
    paths = data.official(entry)
    if paths:
        return "found " + ", ".join(map(str, paths))
    folder = data.home() / "data" / entry.dataset / "official"
    missing = [source.name for source in entry.record.sources if not (folder / source.name).is_file()]
    published = any(source.url for source in entry.record.sources)
    how = f"make data TASK={entry.name} fetches it" if published else "none is published"
    few = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
    return f"missing {few} in {folder}; {how}"


def open_ui(port: int, console: Console) -> None:
    """Become the MLflow server on the store, until Ctrl-C."""
    command = runs.connect(None, data.home() / "results").ui_command(port=port)
    console.print(
        f"MLflow will answer at {runs.ui_address(port=port)} (Ctrl-C ends it)", highlight=False, soft_wrap=True
    )
    os.execv(command[0], command)
