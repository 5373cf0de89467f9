"""What a trial runs on: processor, memory, GPUs, as far as they are this process' to use.

Light to import: psutil, and pynvml where it is asked.
"""

from __future__ import annotations

import contextlib
import functools
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

GIB = 2**30

CGROUP = Path("/sys/fs/cgroup")


def describe_machine() -> dict[str, Any]:
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


def hardware_name(machine: dict[str, Any], device: str) -> str:
    """What results on this device, "cpu" or "gpu", of a machine as `describe_machine` gives it stand under."""
    if device == "gpu":
        return str(machine["gpus"][0]["name"])
    return f"{machine['cpu']} x{machine['cores_usable']}"


def busy_percent(seconds: float) -> float:
    """How much of all cores of this machine is in use, by whom ever, over so many seconds from now."""
    return psutil.cpu_percent(interval=seconds)


def cores_usable() -> float:
    """Cores that affinity and the cgroup's CPU quota leave to this process: an int unless the quota is a fraction."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else psutil.cpu_count() or 1
    quota = _cgroup_cores()
    if quota is None or quota >= cores:
        return cores
    return int(quota) if quota == int(quota) else round(quota, 2)


def gpus(hidden: bool = False) -> list[dict[str, Any]]:
    """NVIDIA GPUs that CUDA_VISIBLE_DEVICES leaves, in its order; hidden=True: all of the machine. Of one that is cut
    into slices (MIG), each slice.

    Each is {"index", "name", "memory_gib", "driver", "uuid"}, with the index by which the driver counts the GPU, and
    the UUID by which driver and CUDA know the GPU or the slice. Empty without a driver.
    """
    with nvml_session() as nvml:
        if nvml is None:
            return []
        driver = nvml.nvmlSystemGetDriverVersion()
        found, names = [], []
        for index in range(nvml.nvmlDeviceGetCount()):
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            of_gpu = str(index), nvml.nvmlDeviceGetUUID(handle)
            slices = _slices(nvml, handle)
            for one in [handle] if slices is None else slices:
                try:
                    memory = nvml.nvmlDeviceGetMemoryInfo(one).total
                except nvml.NVMLError:  # a GPU that shares the machine's memory has none of its own to tell
                    memory = psutil.virtual_memory().total
                name, uuid = nvml.nvmlDeviceGetName(one), nvml.nvmlDeviceGetUUID(one)
                if slices is not None and "MIG" not in name:
                    name = f"{name} MIG {memory / GIB:.0f} GiB"
                found.append(
                    {"index": index, "name": name, "memory_gib": round(memory / GIB, 1), "driver": driver, "uuid": uuid}
                )
                names.append((*of_gpu, uuid, _older_name(nvml, of_gpu[1], one) if slices is not None else uuid))
    if hidden or "CUDA_VISIBLE_DEVICES" not in os.environ:
        return found
    return [found[number] for number in _visible(names, os.environ["CUDA_VISIBLE_DEVICES"])]


def _slices(nvml: Any, handle: Any) -> list[Any] | None:
    """Handles of the slices of a GPU; None where it is a whole one."""
    try:
        if nvml.nvmlDeviceGetMigMode(handle)[0] != nvml.NVML_DEVICE_MIG_ENABLE:
            return None
        most = nvml.nvmlDeviceGetMaxMigDeviceCount(handle)
    except nvml.NVMLError:  # a GPU that knows no slices
        return None
    slices = []
    for number in range(most):
        with contextlib.suppress(nvml.NVMLError):  # no such slice has been made
            slices.append(nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, number))
    return slices


def _older_name(nvml: Any, gpu: str, handle: Any) -> str:
    """What drivers before 470 call a slice, which sites still write."""
    return f"MIG-{gpu}/{nvml.nvmlDeviceGetGpuInstanceId(handle)}/{nvml.nvmlDeviceGetComputeInstanceId(handle)}"


def _visible(names: list[tuple[str, str, str, str]], setting: str) -> list[int]:
    """Which devices CUDA_VISIBLE_DEVICES leaves, as CUDA reads it: indices or beginnings of UUIDs, up to the first that
    is not valid. names: of each device the index and the UUID of its GPU, and its own UUID twice, in both forms.

    A GPU that is cut into slices stands for all of them; CUDA would take the first.
    """
    chosen: list[int] = []
    for part in map(str.strip, setting.split(",")):
        match = [number for number, known in enumerate(names) if part == known[0]]
        for which in (2, 3) if part.startswith("MIG-") else (1,):
            begin = [number for number, known in enumerate(names) if part and known[which].startswith(part)]
            match = match or (begin if len({names[number][which] for number in begin}) == 1 else [])
        if not match:
            break
        chosen += [number for number in match if number not in chosen]
    return chosen


@contextlib.contextmanager
def nvml_session() -> Iterator[Any]:
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
