"""Which GPU, or slice of one, and how many cores a trial gets: what sites set is read as they mean it."""

from __future__ import annotations

import os
import sys
import types

import pytest
from conftest import hepbench, with_patience

from hepbench.benchmarks.base import UserError
from hepbench.suite import device
from hepbench.suite.workers import place
from hepbench.tracking.hardware import machine
from hepbench.tracking.hardware.sampler import Sampler

WHOLE, CUT = "GPU-aaaa", "GPU-bbbb"
FIRST, SECOND = "MIG-1111", "MIG-1222"


class SlicedNVML:
    """A whole GPU, one that is cut into two slices, and one that is to be cut and is not yet."""

    NVML_DEVICE_MIG_ENABLE = 1
    slices = ((FIRST, 1), (SECOND, 2))

    class NVMLError(Exception):
        pass

    def nvmlInit(self): ...

    def nvmlShutdown(self): ...

    def nvmlSystemGetDriverVersion(self):
        return "580.1"

    def nvmlDeviceGetCount(self):
        return 3

    def nvmlDeviceGetHandleByIndex(self, index):
        return (WHOLE, CUT, "GPU-cccc")[index]

    def nvmlDeviceGetHandleByUUID(self, uuid):
        return uuid

    def nvmlDeviceGetUUID(self, handle):
        return handle

    def nvmlDeviceGetMigMode(self, handle):
        if handle == WHOLE:
            raise self.NVMLError("Not Supported")
        return [1, 1]

    def nvmlDeviceGetMaxMigDeviceCount(self, handle):
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle, number):
        if handle != CUT or number not in (0, 3):
            raise self.NVMLError("Not Found")
        return FIRST if number == 0 else SECOND

    def nvmlDeviceGetGpuInstanceId(self, handle):
        return dict(self.slices)[handle]

    def nvmlDeviceGetComputeInstanceId(self, handle):
        return 0

    def nvmlDeviceGetName(self, handle):
        return "A100"

    def nvmlDeviceGetMemoryInfo(self, handle):
        slice_ = handle in (FIRST, SECOND)
        return types.SimpleNamespace(total=(10 if slice_ else 80) * 2**30, used=(3 if slice_ else 7) * 2**30)

    def nvmlDeviceGetComputeRunningProcesses(self, handle):
        return [types.SimpleNamespace(pid=1)]

    def nvmlDeviceGetUtilizationRates(self, handle):
        if handle.startswith("MIG"):
            raise self.NVMLError("Not Supported")
        return types.SimpleNamespace(gpu=40)

    nvmlDeviceGetPowerUsage = nvmlDeviceGetTotalEnergyConsumption = nvmlDeviceGetUtilizationRates


@pytest.fixture
def sliced(monkeypatch):
    real = pytest.importorskip("pynvml")
    fake = SlicedNVML()
    assert all(hasattr(real, name) for name in dir(fake) if name.lower().startswith("nvml"))
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.parametrize(
    ("setting", "uuids"),
    [
        (None, [WHOLE, FIRST, SECOND]),
        ("0", [WHOLE]),
        ("1,0", [FIRST, SECOND, WHOLE]),  # a GPU that is cut stands for its slices
        ("2", []),  # to be cut, and without a slice yet
        (" 0 , 1", [WHOLE, FIRST, SECOND]),
        ("0,-1,1", [WHOLE]),
        ("", []),
        ("-1", []),
        ("7", []),
        ("NoDevFiles", []),  # Slurm's word for none
        ("GPU-a", [WHOLE]),
        ("GPU-", []),  # of several
        (CUT, [FIRST, SECOND]),
        (SECOND, [SECOND]),
        (f"{SECOND},{FIRST},{SECOND}", [SECOND, FIRST]),
        ("MIG-1", []),  # of several
        ("MIG-12", [SECOND]),
        (f"MIG-{CUT}/2/0", [SECOND]),  # as older drivers name it
    ],
)
def test_visible_devices_are_those_that_cuda_shows(sliced, setting, uuids, monkeypatch):
    if setting is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", setting)
    assert [gpu["uuid"] for gpu in machine.gpus()] == uuids


def test_a_slice_is_hardware_of_its_own(sliced):
    whole, first, _ = machine.gpus()
    assert whole["name"] == "A100" and first["name"] == "A100 MIG 10 GiB"
    assert (whole["memory_gib"], first["memory_gib"], first["index"]) == (80, 10, 1)


def test_the_slice_in_use_is_sampled_and_not_its_gpu(sliced, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", SECOND)
    steps = []
    with Sampler(interval=0.05, gpu=0, sink=lambda values, step: steps.append(step)) as sampler:
        with_patience(lambda: len(steps) > 2)
    summary = sampler.summary()
    assert summary["hardware_gpu_memory_peak_mib"] == 3 * 1024
    # What the driver tells of the whole GPU alone is of other jobs as well.
    assert "hardware_gpu_energy_joule" not in summary and "hardware_gpu_mean_percent" not in summary
    sampler.unavailable.pop("cpu energy", None)  # which few machines let be read
    assert sampler.unavailable == dict.fromkeys(
        ("gpu_0_utilization_percentage", "gpu_0_power_usage_watts"), "Not Supported"
    )


@pytest.fixture
def started(monkeypatch, tmp_path):
    """(jobs, chosen) -> the environment of each worker that would be started, and that before its start."""
    import dask
    import distributed

    seen = []

    def cluster(scheduler, workers, **options):
        before = dask.config.get("distributed.nanny.pre-spawn-environ")
        seen.extend((one["options"]["env"], dict(before)) for one in workers.values())
        raise KeyboardInterrupt

    monkeypatch.setattr(distributed, "SpecCluster", cluster)

    def start(jobs, chosen, **options):
        seen.clear()
        with pytest.raises(KeyboardInterrupt):
            place.on_this_machine(jobs, chosen, tmp_path / "worker.log", **options)
        return list(seen)

    return start


def test_each_job_has_a_slice_of_its_own(sliced, started):
    environments = [environment for environment, _ in started(3, "gpu")]
    assert [one["CUDA_VISIBLE_DEVICES"] for one in environments] == [WHOLE, FIRST, SECOND]
    assert all(one["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID" for one in environments)
    with pytest.raises(UserError, match="JOBS=4 on 3 GPUs"):
        place.on_this_machine(4, "gpu", None)


def test_what_the_user_hid_stays_hidden_from_jobs(sliced, started, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", f"{SECOND},0")
    environments = [environment for environment, _ in started(2, "gpu")]
    assert [one["CUDA_VISIBLE_DEVICES"] for one in environments] == [SECOND, WHOLE]


def test_a_process_keeps_to_the_first_device_it_sees(sliced, monkeypatch):
    monkeypatch.setattr(os, "environ", {**os.environ, "CUDA_VISIBLE_DEVICES": "1,0"})
    device.set_environment("gpu", "tensorflow")
    assert (os.environ["CUDA_VISIBLE_DEVICES"], os.environ["CUDA_DEVICE_ORDER"]) == (FIRST, "PCI_BUS_ID")
    device.set_environment("gpu", "tensorflow")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == FIRST


def test_a_worker_without_the_gpu_it_should_have_says_so(sliced, monkeypatch):
    monkeypatch.setattr(os, "environ", {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"})
    with pytest.raises(UserError, match="no GPU is seen on"):
        device.set_environment("gpu", "jax")


def built(monkeypatch, packages, **build):
    """The distributions that are installed, and what TensorFlow tells of its build."""
    found = [types.SimpleNamespace(metadata={"Name": name}) for name in packages]
    monkeypatch.setattr(device.importlib.metadata, "distributions", lambda: found)
    monkeypatch.setattr(device, "_build_of_tensorflow", lambda: build)


@pytest.mark.parametrize(
    ("packages", "build", "backend", "chosen"),
    [
        (["tensorflow", "nvidia-cudnn-cu12"], {"is_cuda_build": True, "cuda_version": "12.5.1"}, "tensorflow", "gpu"),
        (["tensorflow-cpu", "torch", "nvidia-cudnn-cu12"], {"is_cuda_build": False}, "tensorflow", "cpu"),
        (["tensorflow", "nvidia-cudnn-cu13"], {"is_cuda_build": True, "cuda_version": "12.5.1"}, "tensorflow", "cpu"),
        (["tensorflow"], {"is_cuda_build": True, "cuda_version": "12.5.1"}, "tensorflow", "cpu"),
        (["jax", "jax-cuda12-plugin"], {}, "jax", "gpu"),
        (["jax", "nvidia-cudnn-cu12"], {}, "jax", "cpu"),
    ],
)
def test_a_gpu_is_taken_where_the_backend_is_built_for_it(sliced, monkeypatch, packages, build, backend, chosen):
    built(monkeypatch, packages, **build)
    found, why = device.resolve("auto", backend)
    assert found == chosen and (chosen == "gpu" or f"not the CUDA build of {backend}" in why)
    if chosen == "cpu":
        with pytest.raises(UserError, match="DEVICE=gpu: A100 is there, but not the CUDA build"):
            device.resolve("gpu", backend)


def test_a_backend_that_finds_no_gpu_says_so_and_trains_on_no_processor(home, sliced, monkeypatch):
    import tensorflow

    assert dict(device._build_of_tensorflow()) == dict(tensorflow.sysconfig.get_build_info())
    monkeypatch.setattr(tensorflow.config, "list_physical_devices", lambda kind: ["GPU:0"])
    device.check_sees_gpu("tensorflow")
    monkeypatch.setattr(tensorflow.config, "list_physical_devices", lambda kind: [])
    monkeypatch.setattr(device, "_has_cuda", lambda backend: True)
    done = hepbench("bench", "magic", "--model", "mlp", "--budget", "smoke", home=home)
    assert done.returncode and "failed 1/1 mlp seed 0: tensorflow 2" in done.stdout, done.stdout + done.stderr
    assert "finds no GPU" in done.stdout and "or give DEVICE=cpu" in done.stdout


# --- cores -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("affinity", "quota", "jobs", "threads", "bound"),
    [
        (8, 8, 1, 8, [range(8)]),
        (8, 8, 2, 4, [range(4), range(4, 8)]),
        (8, 2.5, 1, 2, [range(8)]),
        (8, 4, 2, 2, [range(8), range(8)]),  # bound to cores, all containers would meet on the first ones
        (8, 0.5, 1, 1, [range(8)]),
    ],
)
def test_jobs_keep_to_the_quota_of_a_container(started, monkeypatch, affinity, quota, jobs, threads, bound):
    monkeypatch.setattr(place, "_cores", lambda: list(range(affinity)))
    monkeypatch.setattr(machine, "cores_usable", lambda: quota)
    for (environment, before), cores in zip(started(jobs, "cpu"), bound, strict=True):
        assert environment["HEPBENCH_WORKER_CORES"] == ",".join(map(str, cores))
        assert {before[name] for name in device.THREADS} == {str(threads)}


def test_boosted_trees_are_given_the_quota(monkeypatch):
    from hepbench.benchmarks.boosting import cores

    affinity = cores()
    monkeypatch.setattr(machine, "cores_usable", lambda: 1.5)
    monkeypatch.setattr(
        os, "environ", {name: value for name, value in os.environ.items() if name not in device.THREADS}
    )
    assert cores() == affinity
    device.set_environment("cpu", "tensorflow")
    assert cores() == 1
    assert {os.environ[name] for name in device.THREADS} == {"1"}
    os.environ["OMP_NUM_THREADS"] = "3,2"  # a user's own, one number a level
    device.set_environment("cpu", "tensorflow")
    assert cores() == 3
