"""`hepbench doctor`: this machine and this environment. Nothing here imports TensorFlow, Keras or MLflow."""

from __future__ import annotations

import platform
import shutil
import sys
from pathlib import Path

from rich.table import Table
from rich.text import Text

from hepbench.benchmarks import registry
from hepbench.benchmarks.base import Task, UserError
from hepbench.benchmarks.registry import Entry
from hepbench.suite import device, results
from hepbench.suite.commands.console import Console
from hepbench.suite.data.files import official
from hepbench.suite.paths import data_folder, home_folder, official_folder
from hepbench.suite.provenance import versions
from hepbench.suite.tuning import storage
from hepbench.tracking.hardware.machine import describe_machine
from hepbench.tracking.numbers import significant_digits
from hepbench.tracking.passwords import masked


def print_doctor(console: Console, measured: bool = False) -> None:
    """Print one line per fact of this machine and environment. measured: with the machine's rates (20 seconds)."""
    machine = describe_machine()
    home = home_folder()
    lines = {
        "python": f"{platform.python_version()}, {sys.executable}",
        "system": machine["os"],
        "CPU": f"{machine['cpu']}, {machine['cores_usable']} cores usable",
        "memory": f"{machine['memory_gib']:.1f} GiB",
        "GPU": ", ".join(f"{gpu['name']} {gpu['memory_gib']:.0f} GiB" for gpu in machine["gpus"]) or "none found",
    }
    if measured:
        lines |= _rates(home, console)
    for backend in device.BACKENDS:
        lines[f"auto with {backend}"] = device.missing(backend) or "{} ({})".format(*device.resolve("auto", backend))
    lines["packages"] = ", ".join(f"{name} {version}" for name, version in versions().items())
    lines["results"] = results.store_location()
    lines["studies"] = masked(storage.location())
    lines["data"] = str(data_folder())
    lines["disk"] = f"{shutil.disk_usage(_existing(home)).free / 2**30:.1f} GiB free at {home}"
    for name in registry.names("task"):
        entry = registry.find("task", name)
        lines[f"data of {name}"] = _files_line(entry)
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")  # so that paths can be copied
    for name, text in lines.items():
        table.add_row(Text(name, style="bold"), text)
    console.print(table, highlight=False)


def _rates(home: Path, console: Console) -> dict[str, str]:
    from hepbench.suite.profiling.machine import machine_rates

    folder = _existing(home)
    with console.status("measuring the machine, 20 s"):
        found = machine_rates(folder)
    units = {
        "matrix multiplication": (found.matrix, "GFLOP/s, 32-bit"),
        "memory copy": (found.copy, "GB/s"),
        "disk writes": (found.disk, f"GB/s to {folder}"),
    }
    return {
        name: f"{significant_digits(rate / 1e9)} ± {significant_digits(spread / 1e9, 2)} {unit}"
        for name, ((rate, spread), unit) in units.items()
    }


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.parent)


def _files_line(entry: Entry[Task]) -> str:
    try:
        paths = official(entry)
    except UserError as error:
        return str(error)
    if paths:
        return f"found {', '.join(map(str, paths))}"
    folder = official_folder(entry.dataset)
    missing = [source.name for source in entry.record.sources if not (folder / source.name).is_file()]
    published = any(source.url for source in entry.record.sources)
    how = f"run make data TASK={entry.name}" if published else "no published files"
    few = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
    return f"missing {few} in {folder}; {how}"
