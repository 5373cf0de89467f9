"""How a worker starts: what JAX has compiled is kept for this user alone, and the start is measured."""

from __future__ import annotations

import gc
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.machinery import PathFinder

import pytest
from conftest import assert_user_mistake, hepbench

from hepbench.suite import device, paths

KEPT = ("JAX_COMPILATION_CACHE_DIR", *device.COMPILATION_CACHE)


@pytest.fixture
def kept(monkeypatch):
    """Calls `enable_compilation_cache`, and gives the folder that JAX is to keep it in."""
    for name in KEPT:
        monkeypatch.setenv(name, "")  # for it to be as it was after the test
        monkeypatch.delenv(name)

    def keep():
        device.enable_compilation_cache()
        return os.environ.get("JAX_COMPILATION_CACHE_DIR")

    return keep


def test_what_is_compiled_is_kept_where_results_are(home, kept):
    assert kept() is None and not home.exists()  # nothing comes into being before there are results
    paths.results_folder().mkdir(parents=True)
    folder = paths.compiled_folder(device._kind_of_processor())
    assert kept() == str(folder)
    assert os.environ["JAX_COMPILATION_CACHE_MAX_SIZE"] == str(device.MOST_COMPILED)
    assert folder.stat().st_mode & 0o777 == 0o700 and folder.parent.stat().st_mode & 0o022 == 0


def test_what_the_user_says_of_it_stands(home, kept, monkeypatch):
    paths.results_folder().mkdir(parents=True)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "/elsewhere")
    assert kept() == "/elsewhere"


@pytest.mark.parametrize("place", ["folder", "parent", "link"])
def test_what_others_may_write_into_is_not_read(place, home, kept, tmp_path):
    folder = paths.compiled_folder(device._kind_of_processor())
    if place == "link":
        (tmp_path / "theirs").mkdir()
        folder.parent.mkdir(parents=True)
        folder.symlink_to(tmp_path / "theirs")
    else:
        folder.mkdir(parents=True)
        (folder if place == "folder" else folder.parent).chmod(0o777)
    assert kept() is None


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to be root to give a folder away")
def test_a_folder_of_another_user_is_not_read(home, kept):
    folder = paths.compiled_folder(device._kind_of_processor())
    folder.mkdir(parents=True)
    os.chown(folder, 12345, 12345)
    assert kept() is None


def test_tensorflow_is_hidden_only_where_it_is_not_in_use(monkeypatch):
    """As if it were not installed: MLflow, for one, looks for it among the modules before it imports it."""
    finders = list(sys.meta_path)
    monkeypatch.setattr(sys, "meta_path", finders)
    monkeypatch.setitem(sys.modules, "tensorflow", type(sys)("tensorflow"))
    device.without_tensorflow()
    assert sys.meta_path == finders and PathFinder in finders
    monkeypatch.delitem(sys.modules, "tensorflow")
    device.without_tensorflow()
    assert importlib.util.find_spec("tensorflow") is None and importlib.util.find_spec("numpy.linalg")
    assert "tensorflow" not in sys.modules and importlib.metadata.version("numpy")


def test_what_is_hidden_is_found_by_other_threads_and_afterwards(monkeypatch):
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    with ThreadPoolExecutor(1) as other:
        with pytest.raises(ModuleNotFoundError, match="colorsys"), device.quick_imports({"colorsys"}):
            assert not gc.isenabled()
            assert other.submit(importlib.util.find_spec, "colorsys").result()
            importlib.import_module("colorsys")
        assert gc.isenabled() and importlib.import_module("colorsys")


@pytest.mark.parametrize("backend", device.BACKENDS)
def test_keras_comes_without_what_it_only_looks_for_and_what_a_user_has_set(backend, tmp_path, monkeypatch):
    pytest.importorskip(backend)
    settings = {"image_data_format": "channels_first", "floatx": "float64", "epsilon": 1e-3}
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    program = f"""
import sys
from hepbench.suite import device
device.load_keras("cpu", {backend!r}, ours=True)
print(*sorted(sys.modules.keys() & device.LOOKED_FOR))
import keras, matplotlib.pyplot, pandas, sklearn.metrics
print(keras.config.image_data_format(), keras.config.floatx(), keras.config.epsilon())
network = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
print(network.predict(pandas.DataFrame({{"a": [1.0]}}).to_numpy().repeat(3, axis=1), verbose=0).shape)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=240)
    defaults = "channels_last float32 1e-07"
    assert done.stdout.splitlines() == ["jax" if backend == "jax" else "", defaults, "(1, 1)"], done.stderr


@pytest.mark.long
def test_the_start_of_a_process_is_measured(home):
    pytest.importorskip("jax")
    done = hepbench("measure", "start", "-m", "mlp", "--backend", "jax", "--events", 240, home=home)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("mlp")]
    assert [line.split()[:-4] for line in lines] == [["mlp"], ["mlp,", "again"]]
    assert all(float(number) >= 0 for line in lines for number in line.split()[-4:])


def test_what_has_no_first_step_is_a_mistake(home):
    assert_user_mistake(hepbench("measure", "start", "-m", "gbdt", home=home), "gbdt: not a Keras network")
    assert_user_mistake(hepbench("measure", "start", "-m", "pfn", "--task", "magic", home=home), "needs cloud inputs")
