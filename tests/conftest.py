"""Fixtures: every test works in a folder of its own, with no store or data of the user's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import hypothesis
import numpy as np
import pytest

hypothesis.settings.load_profile("ci")  # the same examples everywhere, and no deadline: tests run side by side

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as in a trial

ROOT = Path(__file__).parent.parent


LONG_FILES = ("test_tune.py", "test_bench.py", "test_cluster.py", "test_weaver.py", "test_measure.py", "test_data.py")


def pytest_collection_modifyitems(items):
    """Begin with what takes minutes, so that the processes of pytest-xdist end together."""
    order = {name: number for number, name in enumerate((*LONG_FILES, "test_models.py"))}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """One process runs a file, as its fixtures are made once; of test_models.py, the tests of one model."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFileOrModel(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            file, _, test = nodeid.partition("::")
            return f"{file} {test.partition('[')[2].split('-')[-1]}" if file.endswith("test_models.py") else file

    return ByFileOrModel(config, log)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """HEPBENCH_HOME of this test."""
    monkeypatch.setenv("HEPBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path / "home"


def hepbench(*arguments: object, home: Path, **variables: str) -> subprocess.CompletedProcess:
    """The console script in a process of its own, as a user runs it."""
    return subprocess.run(
        [sys.executable, "-c", "from hepbench.suite.cli import main; main()", *map(str, arguments)],
        env={**os.environ, "HEPBENCH_HOME": str(home), "COLUMNS": "200", **variables},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )


def measure(home: Path, *arguments: object) -> dict[str, list[str]]:
    """The cells of each row of `hepbench measure models` on a small sample."""
    done = hepbench("measure", "models", "--events", 500, "--seconds", 0.01, *arguments, home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    return {line.split("│")[1].strip(): line.split("│")[2:-1] for line in done.stdout.splitlines() if "│" in line}


def assert_user_mistake(done: subprocess.CompletedProcess, *words: str) -> None:
    """Exit status 2, and one line on stderr that holds these words."""
    assert done.returncode == 2, done.stdout + done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    for word in words:
        assert word in done.stderr


def write_images(path: Path, images: np.ndarray, labels: np.ndarray, **options) -> Path:
    """A file in the format of the official calorimeter images."""
    import h5py

    with h5py.File(path, "w") as file:
        file.create_dataset("X", data=images, **options)
        file.create_dataset("y", data=labels)
    return path


def images_by_hand(count: int, seed: int = 0) -> np.ndarray:
    """(count, 32, 32, 2) float32 with some fifty hits each, the hottest in the middle."""
    rng = np.random.default_rng(seed)
    image = np.zeros((count, 32, 32, 2), np.float32)
    hit = rng.random((count, 32, 32)) < 0.05
    image[..., 0] = np.where(hit, rng.exponential(0.002, hit.shape), 0)
    image[..., 1] = np.where(hit, rng.normal(0, 0.1, hit.shape), 0)
    image[:, 16, 16] = 0.6, 0.01
    return image
