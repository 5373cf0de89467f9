"""How much of the machine a trial uses, sampled from a thread."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable
from typing import Any

import psutil

from hepbench.tracking.hardware.energy import ProcessorEnergy
from hepbench.tracking.hardware.machine import cores_usable, gpus, nvml_session

MIB = 2**20
SHORTEST_INTERVAL = 0.05
"""Seconds that CPU use is measured over at least: the system counts CPU time in steps of 0.01 s."""

STOP_TIMEOUT = 60
"""Seconds that the end of the block waits for a slow sink: a dead server holds it, and the trial not for ever."""


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
        self._unlogged = 0
        self._unlogged_reason = ""
        self._processes: list[psutil.Process] = []
        self._processes_due = 0.0
        self._points: list[dict[str, float]] = []
        self._settled = 0
        self._energy_end: float | None = None
        self._ended = threading.Event()

    def __enter__(self) -> Sampler:
        self._cores = cores_usable()
        self._stack = contextlib.ExitStack()
        self._handle = self._open_gpu()
        self._energy_start = self._gpu_energy()
        self._processor = ProcessorEnergy()
        if self._processor.unavailable:
            self.unavailable["cpu energy"] = self._processor.unavailable
        self._look_for_children()
        self._start = time.perf_counter()
        self._busy_before: tuple[float, dict[int, float]] = (self._start, self._busy_seconds())
        self._busy_total = 0.0
        self._machine_busy = self._machine_busy_start = _machine_busy_seconds()
        self._thread = threading.Thread(target=self._loop, name="hardware sampler", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._thread.join(timeout=STOP_TIMEOUT)
        if self._thread.is_alive():
            self.unavailable["log"] = f"the store did not take the last samples within {STOP_TIMEOUT} s"
            return
        if self._busy_before[0] - self._start < SHORTEST_INTERVAL:
            self.unavailable["cpu"] = f"shorter than {SHORTEST_INTERVAL} s"
        if self._unlogged:
            self.unavailable["log"] = f"{self._unlogged} of {len(self._points)} samples: {self._unlogged_reason}"
        self._energy_end = self._gpu_energy()
        self._stack.close()

    def energy(self) -> dict[str, float]:
        """Joules by the counters until now, "cpu" of all processors of the machine, "gpu" of the whole GPU in use; of
        what has no counter that may be read, nothing. To be taken twice: their zero means nothing."""
        found = {"cpu": self._processor.joules(), "gpu": self._gpu_energy()}
        return {name: joules for name, joules in found.items() if joules is not None}

    def settle(self) -> None:
        """Starting and compiling are over, at the first call: what a GPU does before is not its use by a training."""
        self._settled = self._settled or len(self._points)

    def summary(self) -> dict[str, float]:
        """Means and maxima over the samples; what was not measured is absent, and told in `unavailable`.

        hardware_cpu_mean_percent: of the usable cores, by CPU time between start and end.
        hardware_other_cpu_mean_percent: CPU time that others took meanwhile, the host of a virtual machine included, as
            a share of all cores of the machine.
        hardware_memory_peak_mib: resident memory of the processes together, at the samples.
        hardware_other_gpu_processes: of others that compute on the same GPU, where it knows its processes.
        hardware_gpu_mean_percent: use of the GPU as its driver tells, after `settle` where there are such samples.
        hardware_gpu_memory_peak_mib: in use on the GPU, as its driver tells.
        hardware_gpu_energy_joule: of the whole GPU, idle power included, from its counter or from power by time; of a
            slice (MIG) nothing but the memory is known.
        """
        reductions: dict[str, tuple[str, Callable[[list[float]], float]]] = {
            "hardware_cpu_peak_percent": ("system/cpu_utilization_percentage", max),
            "hardware_memory_peak_mib": ("system/process_memory_megabytes", max),
            "hardware_other_gpu_processes": ("system/gpu_0_other_processes", max),
            "hardware_gpu_memory_peak_mib": ("system/gpu_0_memory_usage_megabytes", max),
            "hardware_gpu_power_mean_watt": ("system/gpu_0_power_usage_watts", _mean),
        }
        result = {}
        for name, (metric, reduce) in reductions.items():
            values = [point[metric] for point in self._points if metric in point]
            if values:
                result[name] = reduce(values)
        use = [point.get("system/gpu_0_utilization_percentage") for point in self._points]
        measured = [value for value in use[self._settled :] if value is not None] or [v for v in use if v is not None]
        if measured:
            result["hardware_gpu_mean_percent"] = _mean(measured)
        seconds = self._busy_before[0] - self._start
        if seconds > SHORTEST_INTERVAL:
            result["hardware_cpu_mean_percent"] = 100 * self._busy_total / seconds / self._cores
            others = max(0.0, self._machine_busy - self._machine_busy_start - self._busy_total)
            result["hardware_other_cpu_mean_percent"] = 100 * others / seconds / (psutil.cpu_count() or 1)
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
                self._unlogged += 1
                self._unlogged_reason = f"{type(error).__name__}: {error}"
            if ended:
                return
            due = max(due + self.interval, time.perf_counter())
            ended = self._ended.wait(due - time.perf_counter())

    def _sample(self) -> dict[str, float]:
        point: dict[str, float] = {}
        probes = {"processes": self._look_for_children, "cpu": self._cpu, "memory": self._memory, "gpu": self._gpu_use}
        self._processor.joules()  # before a counter runs over
        for name, probe in probes.items():
            try:
                point |= probe()
            except Exception as error:  # a probe that fails now may work a second later
                self.unavailable[name] = f"{type(error).__name__}: {error}"
        return point

    def _look_for_children(self) -> dict[str, float]:
        """Look for children now and then only: that reads the state of every process of the machine, and each reading
        waits for the interpreter while the measured work holds it."""
        if time.perf_counter() > self._processes_due:
            me = psutil.Process()
            self._processes = [me, *me.children(recursive=True)]
            self._processes_due = time.perf_counter() + 5 * self.interval
        return {}

    def _cpu(self) -> dict[str, float]:
        busy = self._busy_seconds()
        now = time.perf_counter()
        before, busy_before = self._busy_before
        used = sum(max(0.0, seconds - busy_before.get(pid, 0.0)) for pid, seconds in busy.items())
        self._busy_before = now, busy
        self._machine_busy = _machine_busy_seconds()
        self._busy_total += used
        if now - before < SHORTEST_INTERVAL:
            return {}
        return {"system/cpu_utilization_percentage": 100 * used / (now - before) / self._cores}

    def _memory(self) -> dict[str, float]:
        resident = 0
        for process in self._processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                resident += process.memory_info().rss
        return {
            "system/process_memory_megabytes": resident / MIB,
            "system/system_memory_usage_percentage": psutil.virtual_memory().percent,
        }

    def _busy_seconds(self) -> dict[int, float]:
        """CPU time of each process of these, with that of the children it has waited for."""
        busy = {}
        for process in self._processes:
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
        nvml = self._stack.enter_context(nvml_session())
        if nvml is None or self._gpu >= len(visible):
            self.unavailable["gpu"] = "no NVIDIA driver" if nvml is None else f"no visible GPU {self._gpu}"
            return None
        self._nvml = nvml
        return nvml.nvmlDeviceGetHandleByUUID(visible[self._gpu]["uuid"])

    def _gpu_use(self) -> dict[str, float]:
        if self._handle is None:
            return {}
        nvml, handle = self._nvml, self._handle
        probes: dict[str, Callable[[], float]] = {
            "system/gpu_0_utilization_percentage": lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu,
            "system/gpu_0_memory_usage_megabytes": lambda: nvml.nvmlDeviceGetMemoryInfo(handle).used / MIB,
            "system/gpu_0_other_processes": self._others_on_gpu,
            "system/gpu_0_power_usage_watts": lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1000,
        }
        point = {}
        for name, probe in probes.items():
            try:
                point[name] = float(probe())
            except nvml.NVMLError as error:
                self.unavailable[name.removeprefix("system/")] = str(error)
        return point

    def _others_on_gpu(self) -> float:
        """A container sees its own processes under other numbers: one is then taken as this one."""
        running = {one.pid for one in self._nvml.nvmlDeviceGetComputeRunningProcesses(self._handle)}
        others = running - {process.pid for process in self._processes}
        return float(max(0, len(others) - 1) if others == running else len(others))

    def _gpu_energy(self) -> float | None:
        """The GPU's energy counter in joule, or None where it has none."""
        if self._handle is None:
            return None
        try:
            return float(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)) / 1000
        except self._nvml.NVMLError:
            return None


def _machine_busy_seconds() -> float:
    """CPU time of everyone on this machine, and what the host of a virtual one took from it."""
    times = psutil.cpu_times()
    return sum(getattr(times, name, 0.0) for name in ("user", "nice", "system", "irq", "softirq", "steal"))


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)
