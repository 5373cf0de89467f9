"""What a trial runs on and how much of it the trial uses. Light to import: psutil, and pynvml where it is asked."""

from __future__ import annotations

import contextlib
import functools
import math
import os
import platform
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

MIB = 2**20
GIB = 2**30
SHORTEST = 0.05
"""Seconds that CPU use is measured over at least: the system counts CPU time in steps of 0.01 s."""

CGROUP = Path("/sys/fs/cgroup")


def describe() -> dict[str, Any]:
    """This machine as far as this process may use it.

    cpu: model name. cores: {"physical", "logical"} of the machine. cores_usable: cores that affinity and the cgroup's
    quota leave, a fraction possible. memory_gib: of the machine or the cgroup's limit. gpus: as `gpus()`. os, hostname.
    """
    return {
        "cpu": _cpu_name(),
        "cores": {"physical": psutil.cpu_count(logical=False), "logical": psutil.cpu_count()},
        "cores_usable": cores_usable(),
        "memory_gib": round(_memory_limit() / GIB, 1),
        "gpus": gpus(),
        "os": f"{_os_name()}, {platform.system()} {platform.release()}",
        "hostname": platform.node(),
    }


def cores_usable() -> float:
    """Cores that affinity and the cgroup's CPU quota leave to this process: an int unless the quota is a fraction."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else psutil.cpu_count()
    quota = _cgroup_cores()
    if quota is None or quota >= cores:
        return cores
    return int(quota) if quota == int(quota) else round(quota, 2)


def gpus(hidden: bool = False) -> list[dict[str, Any]]:
    """NVIDIA GPUs that CUDA_VISIBLE_DEVICES leaves, in its order; hidden=True: all of the machine.

    Each is {"index", "name", "memory_gib", "driver", "uuid"}, with the index that the driver counts by. Empty without
    a driver.
    """
    with _nvml() as nvml:
        if nvml is None:
            return []
        driver = nvml.nvmlSystemGetDriverVersion()
        found = []
        for index in range(nvml.nvmlDeviceGetCount()):
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            try:
                memory = nvml.nvmlDeviceGetMemoryInfo(handle).total
            except nvml.NVMLError:  # a GPU that shares the machine's memory has none of its own to tell
                memory = psutil.virtual_memory().total
            found.append(
                {
                    "index": index,
                    "name": nvml.nvmlDeviceGetName(handle),
                    "memory_gib": round(memory / GIB, 1),
                    "driver": driver,
                    "uuid": nvml.nvmlDeviceGetUUID(handle),
                }
            )
    return found if hidden else _visible(found, os.environ.get("CUDA_VISIBLE_DEVICES"))


def _visible(found: list[dict[str, Any]], setting: str | None) -> list[dict[str, Any]]:
    """What CUDA makes of CUDA_VISIBLE_DEVICES: indices or beginnings of UUIDs, up to the first that is not valid."""
    if setting is None:
        return found
    chosen = []
    for part in setting.split(","):
        part = part.strip()
        if part.startswith("MIG-"):  # a slice: the GPU that it is a slice of
            match = [gpu for gpu in found if gpu["uuid"] == _parent_of_slice(part)]
        else:
            match = [gpu for gpu in found if part == str(gpu["index"]) or (part and gpu["uuid"].startswith(part))]
        if len(match) != 1:
            break
        chosen += match
    return chosen


def _parent_of_slice(uuid: str) -> str | None:
    with _nvml() as nvml:
        try:
            slice_ = nvml.nvmlDeviceGetHandleByUUID(uuid)
            return nvml.nvmlDeviceGetUUID(nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(slice_))
        except nvml.NVMLError:
            return None


@contextlib.contextmanager
def _nvml() -> Iterator[Any]:
    """The initialised NVML module, or None where there is no NVIDIA driver."""
    try:
        import pynvml

        pynvml.nvmlInit()
    except ImportError:
        yield None
        return
    except pynvml.NVMLError:
        yield None
        return
    try:
        yield pynvml
    finally:
        pynvml.nvmlShutdown()


class Sampler:
    """Samples the use of CPU, memory and one GPU by this process and its children, from a thread.

    gpu: position among the visible GPUs of the one in use, or None. sink: called with {metric name: value} and the
    number of the sample, at once, every `interval` seconds and at the end, from the thread, so that a slow sink delays
    samples and never the measured work. A fault of a probe or of the sink is told in `unavailable` and ends nothing.
    """

    def __init__(
        self,
        interval: float = 1.0,
        gpu: int | None = None,
        sink: Callable[[dict[str, float], int], None] = lambda values, step: None,
    ):
        self.interval = interval
        self.sink = sink
        self.unavailable: dict[str, str] = {}
        """What could not be measured, or logged, by name, with the reason."""
        self._gpu = gpu
        self._lost = 0
        self._why_lost = ""
        self._family: list[psutil.Process] = []
        self._family_due = 0.0
        self._points: list[dict[str, float]] = []
        self._energy_end: float | None = None
        self._ended = threading.Event()

    def __enter__(self) -> Sampler:
        self._cores = cores_usable()
        self._stack = contextlib.ExitStack()
        self._handle = self._open_gpu()
        self._energy_start = self._gpu_energy()
        self._children()
        self._start = time.perf_counter()
        self._busy_before: tuple[float, dict[int, float]] = (self._start, self._busy_seconds())
        self._busy_total = 0.0
        self._thread = threading.Thread(target=self._loop, name="hardware sampler", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._thread.join(timeout=60)  # a dead server holds the sink for a while, and the trial not for ever
        if self._thread.is_alive():
            self.unavailable["log"] = "the store did not take the last samples within 60 s"
            return
        if self._busy_before[0] - self._start < SHORTEST:
            self.unavailable["cpu"] = f"shorter than {SHORTEST} s"
        if self._lost:
            self.unavailable["log"] = f"{self._lost} of {len(self._points)} samples: {self._why_lost}"
        self._energy_end = self._gpu_energy()
        self._stack.close()

    def summary(self) -> dict[str, float]:
        """Means and maxima over the samples; what was not measured is absent, and told in `unavailable`.

        hardware_cpu_mean_percent: of the usable cores, by CPU time between start and end.
        hardware_memory_peak_mib: resident memory of the processes together, at the samples.
        hardware_gpu_mean_percent, hardware_gpu_memory_peak_mib: of the GPU in use, as its driver tells.
        hardware_gpu_energy_joule: of the whole GPU, idle power included, from its counter or from power by time.
        """
        named = {
            "hardware_cpu_peak_percent": ("system/cpu_utilization_percentage", max),
            "hardware_memory_peak_mib": ("system/process_memory_megabytes", max),
            "hardware_gpu_mean_percent": ("system/gpu_0_utilization_percentage", _mean),
            "hardware_gpu_memory_peak_mib": ("system/gpu_0_memory_usage_megabytes", max),
            "hardware_gpu_power_mean_watt": ("system/gpu_0_power_usage_watts", _mean),
        }
        result = {}
        for name, (metric, reduce) in named.items():
            values = [point[metric] for point in self._points if metric in point]
            if values:
                result[name] = float(reduce(values))
        seconds = self._busy_before[0] - self._start
        if seconds > SHORTEST:
            result["hardware_cpu_mean_percent"] = 100 * self._busy_total / seconds / self._cores
        if self._energy_start is not None and self._energy_end is not None:
            result["hardware_gpu_energy_joule"] = self._energy_end - self._energy_start
        elif "hardware_gpu_power_mean_watt" in result:
            result["hardware_gpu_energy_joule"] = result["hardware_gpu_power_mean_watt"] * seconds
        return result

    def _loop(self) -> None:
        ended = False
        due = time.perf_counter()
        while True:
            point = self._sample()
            self._points.append(point)
            try:
                self.sink(point, len(self._points) - 1)
            except Exception as error:  # whatever a store raises; the trial is worth more than its samples
                self._lost += 1
                self._why_lost = f"{type(error).__name__}: {error}"
            if ended:
                return
            due = max(due + self.interval, time.perf_counter())
            ended = self._ended.wait(due - time.perf_counter())

    def _sample(self) -> dict[str, float]:
        point: dict[str, float] = {}
        probes = {"processes": self._children, "cpu": self._cpu, "memory": self._memory, "gpu": self._gpu_use}
        for name, probe in probes.items():
            try:
                point |= probe()
            except Exception as error:  # a probe that fails now may work a second later
                self.unavailable[name] = f"{type(error).__name__}: {error}"
        return point

    def _children(self) -> dict[str, float]:
        """Look for children now and then only: that reads the state of every process of the machine, and each reading
        waits for the interpreter while the measured work holds it."""
        if time.perf_counter() > self._family_due:
            me = psutil.Process()
            self._family = [me, *me.children(recursive=True)]
            self._family_due = time.perf_counter() + 5 * self.interval
        return {}

    def _cpu(self) -> dict[str, float]:
        busy = self._busy_seconds()
        now = time.perf_counter()
        before, busy_before = self._busy_before
        used = sum(max(0.0, seconds - busy_before.get(pid, 0.0)) for pid, seconds in busy.items())
        self._busy_before = now, busy
        self._busy_total += used
        if now - before < SHORTEST:
            return {}
        return {"system/cpu_utilization_percentage": 100 * used / (now - before) / self._cores}

    def _memory(self) -> dict[str, float]:
        resident = 0
        for process in self._family:
            with contextlib.suppress(psutil.NoSuchProcess):
                resident += process.memory_info().rss
        return {
            "system/process_memory_megabytes": resident / MIB,
            "system/system_memory_usage_percentage": psutil.virtual_memory().percent,
        }

    def _busy_seconds(self) -> dict[int, float]:
        """CPU time of each process of the family, with that of the children it has waited for."""
        busy = {}
        for process in self._family:
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                busy[process.pid] = times.user + times.system
        return busy

    def _open_gpu(self) -> Any:
        """NVML's handle of the GPU in use, or None with the reason noted."""
        if self._gpu is None:
            self.unavailable["gpu"] = "no NVIDIA GPU in use"
            return None
        visible = gpus()
        nvml = self._stack.enter_context(_nvml())
        if nvml is None or self._gpu >= len(visible):
            self.unavailable["gpu"] = "no NVIDIA driver" if nvml is None else f"no visible GPU {self._gpu}"
            return None
        self._nvml = nvml
        return nvml.nvmlDeviceGetHandleByIndex(visible[self._gpu]["index"])

    def _gpu_use(self) -> dict[str, float]:
        if self._handle is None:
            return {}
        nvml, handle = self._nvml, self._handle
        probes = {
            "system/gpu_0_utilization_percentage": lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu,
            "system/gpu_0_memory_usage_megabytes": lambda: nvml.nvmlDeviceGetMemoryInfo(handle).used / MIB,
            "system/gpu_0_power_usage_watts": lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1000,
        }
        point = {}
        for name, probe in probes.items():
            try:
                point[name] = float(probe())
            except nvml.NVMLError as error:
                self.unavailable[name.removeprefix("system/")] = str(error)
        return point

    def _gpu_energy(self) -> float | None:
        """The GPU's energy counter in joule, or None where it has none."""
        if self._handle is None:
            return None
        try:
            return self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle) / 1000
        except self._nvml.NVMLError:
            return None


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)


@functools.cache
def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return " ".join(line.split(":", 1)[1].split())
    return platform.processor() or platform.machine()


def _os_name() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()


def _cgroups() -> Iterator[Path]:
    """The cgroup folders of this process, from its own to the root: a limit of any of them holds."""
    membership = Path("/proc/self/cgroup")
    if not membership.is_file():
        return
    for line in membership.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for root in (CGROUP, *(CGROUP / name for name in controllers.split(",") if name)):
            folder = root / path.lstrip("/")
            while folder.is_relative_to(root):
                yield folder
                folder = folder.parent


def _cgroup_cores() -> float | None:
    """Cores by the tightest CPU quota, version 2 or 1, or None without one."""
    quotas = []
    for folder in _cgroups():
        match _words(folder / "cpu.max"):
            case [quota, period] if quota != "max":
                quotas.append(int(quota) / int(period))
        match _words(folder / "cpu.cfs_quota_us") + _words(folder / "cpu.cfs_period_us"):
            case [quota, period] if int(quota) > 0:
                quotas.append(int(quota) / int(period))
    return min(quotas, default=None)


def _memory_limit() -> int:
    """Bytes of the machine, or the tightest cgroup's limit."""
    limits = [psutil.virtual_memory().total]
    for folder in _cgroups():
        for name in ("memory.max", "memory.limit_in_bytes"):
            limits += [int(word) for word in _words(folder / name) if word != "max"]
    return min(limits)


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []
