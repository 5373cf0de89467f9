"""Where data and results lie: every folder's name stands here and nowhere else.

data/<dataset>/official/     published files, downloaded or put there by hand
data/<dataset>/simulated/    simulated ones, a folder for each number of events and seed
data/<dataset>/prepared/     arrays that were read from either
results/                     the store of runs, the studies, the workers' log
results/reports/             pages
results/compiled-<user>/     what JAX has compiled, for one kind of processor each
results/trainings/           states of trainings that are not done, to be gone on with
results/differences/, drawn/ what was measured of stored scores for the leaderboards, kept
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

LONGEST_NAME = 100


def file_name(name: str) -> str:
    """A part of a file's name that stands for any name, a long one with a digest of the rest."""
    safe = re.sub(r"[^A-Za-z0-9_.-]", "_", name)
    if len(safe) <= LONGEST_NAME:
        return safe
    return f"{safe[:LONGEST_NAME]}-{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:8]}"


def home_folder() -> Path:
    """The folder that holds data/ and results/: HEPBENCH_HOME, or the working folder."""
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
    """What JAX has compiled for this user on this kind of processor."""
    return results_folder() / f"compiled-{os.getuid()}" / processor


def training_file(identity: str) -> Path:
    """The state of a training that is not done, by what decides its result."""
    return results_folder() / "trainings" / f"{identity}.npz"


def studies_file() -> Path:
    """The database of studies, unless another is named."""
    return results_folder() / "studies.db"


def worker_log() -> Path:
    """What the workers of this machine print."""
    return results_folder() / "worker.log"


def jobs_folder() -> Path:
    """What the jobs of a batch system print."""
    return results_folder() / "jobs"
