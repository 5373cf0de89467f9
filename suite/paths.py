"""Locations of data and results: all folder names are defined here.

data/<dataset>/official/     published files, downloaded or put there by hand
data/<dataset>/simulated/    simulated ones, one folder for each number of events and seed
data/<dataset>/prepared/     arrays read from either
results/                     the store of runs, the studies, the workers' log
results/reports/             pages
results/compiled-<user>/     JAX's compilation cache, one folder per kind of CPU
results/trainings/           checkpoints of unfinished training runs, from which they resume
results/differences/, drawn/ cached comparisons and plots of stored scores for the leaderboards
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

LONGEST_NAME = 100


def file_name(name: str) -> str:
    """A part of a file's name that represents any name, truncated with a digest if long."""
    safe = re.sub(r"[^A-Za-z0-9_.-]", "_", name)
    if len(safe) <= LONGEST_NAME:
        return safe
    return f"{safe[:LONGEST_NAME]}-{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:8]}"


def home_folder() -> Path:
    """The folder with data/ and results/: HEPBENCH_HOME, or the working folder."""
    return Path(os.environ.get("HEPBENCH_HOME", ".")).resolve()


def data_folder() -> Path:
    return home_folder() / "data"


def official_folder(dataset: str) -> Path:
    return data_folder() / dataset / "official"


def simulations_folder(dataset: str) -> Path:
    return data_folder() / dataset / "simulated"


def prepared_folder(dataset: str) -> Path:
    return data_folder() / dataset / "prepared"


def results_folder() -> Path:
    return home_folder() / "results"


def reports_folder() -> Path:
    return results_folder() / "reports"


def compiled_folder(processor: str) -> Path:
    """JAX's compilation cache for this user on this kind of CPU."""
    return results_folder() / f"compiled-{os.getuid()}" / processor


def training_file(identity: str) -> Path:
    """The checkpoint of an unfinished training run. identity: of all that determines its result."""
    return results_folder() / "trainings" / f"{identity}.npz"


def studies_file() -> Path:
    """The default database of studies."""
    return results_folder() / "studies.db"


def worker_log() -> Path:
    """Output of the workers on this machine."""
    return results_folder() / "worker.log"


def jobs_folder() -> Path:
    """Output of the jobs of a batch system."""
    return results_folder() / "jobs"
